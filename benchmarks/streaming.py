"""Peak memory, time and disk of a large scan: 1024 x 1024 pixels, 181 angles, 11 energies, streamed to disk.

    python benchmarks/streaming.py [um across ...]

The field is 20.5 um wide (20 nm pixels), the truth's grid 2048^3; the particle is 6 um across unless said otherwise.
Up to 10 GB go to the temporary folder (TMPDIR).
"""

import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ENERGIES = [7090, 7110, 7120, 7123, 7126, 7128, 7131, 7134, 7140, 7155, 7180]
SETTINGS = {
    "scan.rows": 1024,
    "scan.columns": 1024,
    "scan.pixel_um": 0.02,
    "scan.angles": 181,
    "scan.energies_eV": ENERGIES,
}


def main() -> None:
    print(f"{'particle (um)':>14} {'peak memory (GB)':>17} {'time (min)':>11} {'disk (GB)':>10}", flush=True)
    for across in map(float, sys.argv[1:] or ["6"]):
        half = across / 2
        changes = SETTINGS | {"particle.semi_axes_um": [half, 0.8 * half, 0.9 * half], "particle.center_spread_um": 0}
        with tempfile.TemporaryDirectory() as folder:
            command = [sys.executable, "-m", "validation.cli", "simulate", "default", "-o", f"{folder}/scan"]
            for key, value in changes.items():
                command += ["--set", f"{key}={value}"]
            start = time.perf_counter()
            subprocess.run(command, check=True, stdout=sys.stderr)
            minutes = (time.perf_counter() - start) / 60
            disk = sum(path.stat().st_size for path in Path(folder).rglob("*") if path.is_file())
        # The largest of all children so far: run the large particle last.
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024 / 1e9
        print(f"{across:14g} {peak:17.2f} {minutes:11.1f} {disk / 1e9:10.2f}", flush=True)


if __name__ == "__main__":
    main()
