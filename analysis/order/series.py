"""2D maps over time: optical depth of every pixel fitted directly, without tomography."""

import functools
import operator

import numpy as np
from numpy.typing import NDArray

from ..own import Own
from ..prepare.prepared import Prepared
from ..progress import Progress
from ..result import AmountMap
from .mapping import Mapping
from .model import Model
from .tally import Tally


def fit_series(prepared: Prepared, model: Model, own: Own, progress: Progress | None = None) -> tuple[AmountMap, Tally]:
    """Projected amounts, um, of every pixel at every repeat of an energy scan in one view.

    The model's design (energy, unknown) is in 1/um, so its amounts are thicknesses of LFP that hold the same iron.
    The variance of a pixel holds its own noise and that of the averaged flats, which all repeats share.
    """
    scan = prepared.scan
    repeats, grid = len(scan.angles_rad), (scan.rows, scan.columns)
    mapping = Mapping(model, (repeats, *grid), own=own.fit)
    tallies: list[Tally] = []
    for k in range(repeats):
        depth = np.empty((len(prepared.noises), 1, *grid), np.float32)
        variance = np.empty_like(depth)
        repaired: NDArray[np.intp] = np.zeros(grid[0], np.intp)
        for i in range(len(depth)):
            rays = prepared.rays(i, slice(0, grid[0]), slice(k, k + 1))
            depth[i, 0], variance[i, 0] = rays.optical_depth[:, 0], rays.variance[:, 0] + rays.shared_variance
            repaired += rays.repaired
        tallies.append(mapping.fit(slice(k, k + 1), depth, variance, repaired[None, :, None]))
        if progress:
            progress("analyze", k + 1, repeats)
    result = mapping.result(scan.pixel_um, axes="time:y:x", time_s=scan.time_s.mean(axis=0))
    return result, functools.reduce(operator.add, tallies)
