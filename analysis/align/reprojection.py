"""The sample as all energies together show it, looked at again from every view."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from ..prepare.geometry import Geometry
from ..reconstruct.fbp import FilteredBackprojection
from ..reconstruct.operators import Projector
from .frames import Frames

Array = NDArray[np.float64]
Values = NDArray[np.float32]


def reprojected(frames: Frames, geometry: Geometry, pattern: Values, spectra: Array, weights: Array) -> Values:
    """Paths (unknown, row, angle, column) as their reconstruction shows them.

    They are fitted with `spectra` (energy, unknown) and `weights` (energy,) to frames less `pattern` (energy, row, column).
    """
    weighted = spectra * weights[:, None]
    estimator = np.linalg.solve(spectra.T @ weighted, weighted.T).astype(np.float32)
    rows, columns = frames.shape
    paths = np.zeros((spectra.shape[1], rows, len(frames.angles_rad), columns), np.float32)
    for i in range(frames.energies):
        straight = frames.straight(i, geometry, pattern[i])
        for path, share in zip(paths, estimator[:, i], strict=True):
            path += share * straight
    return _look_again(paths, frames, geometry.center_px)


def _look_again(paths: Values, frames: Frames, center_px: float) -> Values:
    columns, place = frames.shape[1], {"center_px": center_px, "pixel_um": frames.pixel_um}
    fbp = FilteredBackprojection(frames.angles_rad, columns, window="cosine", **place)  # type: ignore[arg-type]
    projector = Projector(frames.angles_rad, columns, **place)
    out = np.empty_like(paths)

    def run(low: int) -> None:
        block = slice(low, min(low + projector.rows, paths.shape[1]))
        plan = fbp.plan(block.stop - block.start)
        for path, again in zip(paths, out, strict=True):
            again[block] = projector.forward(fbp.reconstruct(path[block], plan))

    with threadpool_limits(1), ThreadPoolExecutor(frames.threads) as pool:
        list(pool.map(run, range(0, paths.shape[1], projector.rows)))
    return out
