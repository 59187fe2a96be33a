"""Image first against projection first: time of reconstruction and fit after preparation, and error.

    python benchmarks/orders.py [--repeats 3] [--rows 256]

31 energies, 181 angles, 256 columns, fields and settings of the study `low-dose`. Times are side by side on the same rays, which
stand ready in memory: 16 simulated rows, taken again and again until there are 256. Errors are those of the whole study.
"""

import argparse
import time
from dataclasses import dataclass, replace

import numpy as np

from analysis.choices import Analysis
from analysis.order.model import energy_weights, model_of
from analysis.pipeline import METHODS, analyze
from analysis.prepare.normalize import Rays
from analysis.prepare.prepared import Prepared, prepare
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
        return Rays(found.optical_depth[part], found.variance[part], found.shared_variance[part], found.made_up[part])


def middle(scan):
    """The middle rows of a scan."""
    low = (scan.rows - ROWS) // 2
    part = slice(low, low + ROWS)
    return replace(scan, projections=scan.projections[:, :, part], flats=scan.flats[:, :, part], darks=scan.darks[:, :, part])


def ready(scan, rows):
    prepared = prepare(scan)
    whole = slice(0, ROWS)
    memory = tuple(
        Rays(r.optical_depth.astype(np.float32), r.variance.astype(np.float32), r.shared_variance, r.made_up)
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


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--rows", type=int, default=256)
    arguments = parser.parse_args()
    simulated = simulate(load_study("low-dose", {}), threads=2)
    times(simulated, arguments.rows, arguments.repeats)
    errors(simulated)
