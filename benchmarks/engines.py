"""Median time per slice of projection and reconstruction, side by side, and the projector's error.

    python benchmarks/engines.py [--threads 2] [--repeats 9]

Times are this machine's; compare ratios. Nothing here decides a test.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from analysis.reconstruct.fbp import FilteredBackprojection
from instrument.projector import project
from phantom import Ellipsoid, ellipsoid_paths, voxelize

ROWS = 32


def milliseconds_a_slice(work: Callable[[], object], repeats: int) -> float:
    work()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return statistics.median(times) / ROWS * 1e3


def measure(size: int, views: int, threads: int, repeats: int) -> None:
    scale = size / 256
    angles = np.arange(views) * np.pi / views
    body = Ellipsoid((0.0, 10 * scale, -20 * scale), (80 * scale, 50 * scale, 60 * scale))
    layer = voxelize([body], (1, size, size), 1.0)
    volume = np.repeat(layer, ROWS, axis=0)
    axis = np.arange(size) - (size - 1) / 2
    offsets = (np.arange(8) - 3.5) / 8
    exact = np.mean([ellipsoid_paths([body], angles, np.array([b]), axis + a) for a in offsets for b in offsets], axis=0)[:, 0]
    found = project(volume, angles, 1.0, threads)
    error = np.linalg.norm(found[:, 0] - exact) / np.linalg.norm(exact)

    depth = np.ascontiguousarray(found.transpose(1, 0, 2))
    transform = FilteredBackprojection(angles, size, center_px=(size - 1) / 2, pixel_um=1.0)
    blocks = [depth[k : k + 8] for k in range(0, ROWS, 8)]
    plans = [transform.plan(8) for _ in blocks]

    def backproject() -> None:
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(transform.reconstruct, blocks, plans))

    forward = milliseconds_a_slice(lambda: project(volume, angles, 1.0, threads), repeats)
    backward = milliseconds_a_slice(backproject, repeats)
    times = f"project {forward:6.2f}  fbp {backward:6.2f} ms a slice"
    print(f"{size:5d} pixels {views:4d} views  {times}  relative L2 error of the projection {error:.2e}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=9)
    arguments = parser.parse_args()
    for size, views in ((256, 181), (512, 361)):
        measure(size, views, arguments.threads, arguments.repeats)
