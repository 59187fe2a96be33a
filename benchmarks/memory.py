"""Peak memory and time of the analysis of a large scan: 256 x 256 pixels, 181 angles, 31 energies, read from its file.

    python benchmarks/memory.py [METHOD ...]

The result has 256^3 voxels. 1 GB goes to the temporary folder (TMPDIR).
"""

import os
import subprocess
import sys
import tempfile
import time


def measured(*command: str) -> tuple[float, float]:
    """Peak memory (GB) and time (min) of a run of txm-twin."""
    start = time.perf_counter()
    child = subprocess.Popen([sys.executable, "-m", "validation.cli", *command], stdout=sys.stderr)
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise SystemExit(f"txm-twin {' '.join(command)} ended with {child.returncode}")
    return usage.ru_maxrss * 1024 / 1e9, (time.perf_counter() - start) / 60


def main() -> None:
    print(f"{'':>12} {'peak memory (GB)':>17} {'time (min)':>11}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        particle = ("--set", "scan.rows=256", "--set", "particle.semi_axes_um=[6.5, 5.2, 5.8]")
        peak, minutes = measured("simulate", "low-dose", *particle, "-o", f"{folder}/scan")
        print(f"{'(simulate)':>12} {peak:17.2f} {minutes:11.1f}", flush=True)
        standards = [f"{name}={folder}/scan/standards/{name}.txt" for name in ("LFP", "FP")]
        for method in sys.argv[1:] or ["image", "projection", "joint"]:
            scan = (
                "analyze",
                f"{folder}/scan/scan.h5",
                "--standards",
                *standards,
                "--method",
                method,
                "-o",
                f"{folder}/{method}",
            )
            peak, minutes = measured(*scan)
            print(f"{method:>12} {peak:17.2f} {minutes:11.1f}", flush=True)


if __name__ == "__main__":
    main()
