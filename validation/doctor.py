"""What this installation is made of, and whether it works."""

import importlib.util
import platform
import time

import psutil

from analysis.pipeline import analyze

from .files import versions
from .scores import score
from .study import load_study
from .trial import simulate

# phase_rmse_interior of the tiny study lies near 0.17 by photon noise; a broken chain is far above.
_SOUND = 0.4


def examine(threads: int) -> bool:
    """Print versions, engines, threads, memory and a short self-test; whether the test passed."""
    print(f"python      {platform.python_version()} on {platform.system()} {platform.machine()}")
    for name, version in versions().items():
        print(f"{name:<11} {version}")
    memory = psutil.virtual_memory()
    print(f"threads     {threads}")
    print(f"memory      {memory.available / 1e9:.1f} of {memory.total / 1e9:.1f} GB free")
    tomopy = "found" if importlib.util.find_spec("tomopy") else "not installed (optional; environment.yml)"
    print("engine      fbp: finufft, built in")
    print(f"engine      tomopy: {tomopy}")
    start = time.perf_counter()
    study = load_study("tiny")
    simulation = simulate(study, threads=threads)
    found = score(simulation.truth, analyze(simulation.scan, simulation.standards, study.analysis, threads=threads).map)
    error = found["phase_rmse_interior"]
    sound = error is not None and error < _SOUND
    print(
        f"self-test   {'passed' if sound else 'FAILED'}: phase_rmse_interior {error:.3f} in {time.perf_counter() - start:.1f} s"
    )
    return sound
