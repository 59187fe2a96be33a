"""Image first against projection first: time of reconstruction and fit after preparation, error, and peak memory.

    python benchmarks/orders.py [--repeats 3] [--rows 256] [--memory]

31 energies, 181 angles, 256 columns, fields and settings of the study `low-dose`. Times are side by side on the same rays, which
stand ready in memory: 16 simulated rows, taken again and again until there are 256. Errors are those of the whole study.
With --memory, each order analyzes a file of the full size in a process of its own.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from analysis.choices import Analysis
from analysis.order.model import energy_weights, model_of
from analysis.pipeline import METHODS, analyze
from analysis.prepare.normalize import Rays
from analysis.prepare.prepared import Prepared, prepare
from instrument.files.native import new_scan
from instrument.measurement import Header
from validation import load_study, score, simulate

CHOICES = {
    "image": Analysis(method="image", unexplained=False),
    "projection, weights of the energies": Analysis(method="projection"),
    "projection, each ray's own": Analysis(method="projection", weights="ray"),
}
ROWS = 16


@dataclass(frozen=True)
class Ready(Prepared):
    """Rays of a few rows in memory, handed out as if they were all rows of a scan."""

    memory: tuple[Rays, ...] = ()

    def rays(self, energy, rows, views=slice(None)):
        found = self.memory[energy]
        part = slice(rows.start % ROWS, (rows.stop - 1) % ROWS + 1)
        return Rays(found.optical_depth[part], found.variance[part], found.shared_variance[part], found.repaired[part])


def middle(scan):
    """The middle rows of a scan."""
    low = (scan.rows - ROWS) // 2
    part = slice(low, low + ROWS)
    return replace(scan, projections=scan.projections[:, :, part], flats=scan.flats[:, :, part], darks=scan.darks[:, :, part])


def ready(scan, rows):
    prepared = prepare(scan)
    whole = slice(0, ROWS)
    memory = tuple(
        Rays(r.optical_depth.astype(np.float32), r.variance.astype(np.float32), r.shared_variance, r.repaired)
        for r in (prepared.rays(i, whole) for i in range(len(scan.energies_eV)))
    )

    def tall(frames):
        return np.broadcast_to(frames[:, :1, :1, :], (*frames.shape[:2], rows, frames.shape[3]))

    large = replace(scan, projections=tall(scan.projections), flats=tall(scan.flats), darks=tall(scan.darks))
    fields = {name: getattr(prepared, name) for name in ("settings", "noises", "border", "geometry", "pattern")}
    return Ready(scan=large, memory=memory, **fields)


def times(simulation, rows, repeats):
    scan, standards = middle(simulation.scan), simulation.standards
    weights = energy_weights(prepare(scan))
    model = model_of(standards, scan, weights, background="constant")
    prepared = ready(scan, rows)
    seconds = {name: [] for name in CHOICES}
    for _ in range(repeats):
        for name, choice in CHOICES.items():
            start = time.perf_counter()
            METHODS[choice.method](prepared, model, choice, threads=2)
            seconds[name].append(time.perf_counter() - start)
    first = np.array(seconds["image"])
    print(f"| order | s, best of {repeats} | image over it, median of pairs |\n|---|---|---|")
    for name, found in seconds.items():
        print(f"| {name} | {min(found):.1f} | {np.median(first / found):.2f} |", flush=True)


def errors(simulation):
    print("| order | phase_rmse | interior | pull_std |\n|---|---|---|---|")
    for name, choice in CHOICES.items():
        found = score(simulation.truth, analyze(simulation.scan, simulation.standards, choice, threads=2).map)
        print(
            f"| {name} | {found['phase_rmse']:.4f} | {found['phase_rmse_interior']:.4f} | {found['pull_std']:.3f} |", flush=True
        )


def memory(simulation, rows):
    """Peak memory of the command `analyze` on a file of the full size."""
    scan, standards = middle(simulation.scan), simulation.standards
    repeat = rows // ROWS
    with tempfile.TemporaryDirectory() as text:
        folder = Path(text)
        shape = (rows, scan.columns)
        header = Header(
            scan.energies_eV, scan.angles_rad, scan.time_s, scan.pixels_um, scan.center_px, scan.exposure_s, shape, 20, 20
        )
        with new_scan(folder / "scan.h5", header) as target:
            for name in ("projections", "flats", "darks"):
                for i, frames in enumerate(getattr(scan, name)):
                    getattr(target, name)[i] = np.tile(frames, (1, repeat, 1))
        files = []
        for standard in standards:
            np.savetxt(folder / f"{standard.name}.txt", np.stack([standard.energies_eV, standard.mu], axis=1))
            files.append(f"{standard.name}={folder / standard.name}.txt")
        print("| order | peak memory (GB) | min |\n|---|---|---|")
        for method in ("image", "projection"):
            command = [sys.executable, __file__, "--one", method, text, *files]
            told = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1])
            print(f"| {method} | {told['peak_GB']:.2f} | {told['minutes']:.1f} |", flush=True)


def one(method, folder, files):
    from validation.cli import main

    start = time.perf_counter()
    main(["analyze", f"{folder}/scan.h5", "--standards", *files, "--method", method, "-o", f"{folder}/{method}"])
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9
    print(json.dumps({"peak_GB": peak, "minutes": (time.perf_counter() - start) / 60}))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--rows", type=int, default=256)
    parser.add_argument("--memory", action="store_true", help="peak memory instead")
    parser.add_argument("--one", nargs="+", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        one(arguments.one[0], arguments.one[1], arguments.one[2:])
    else:
        simulated = simulate(load_study("low-dose", {}), threads=2)
        if arguments.memory:
            memory(simulated, arguments.rows)
        else:
            times(simulated, arguments.rows, arguments.repeats)
            errors(simulated)
