"""2D maps over time: optical depth of every pixel fitted directly, without tomography."""

import functools
import operator
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from instrument.measurement import Measurement

from .mapping import Mapping
from .noise import NoiseModel
from .normalize import optical_depth
from .result import AmountMap
from .tally import Tally

Array = NDArray[np.float64]
Progress = Callable[[str, int, int], None]


def fit_series(
    scan: Measurement,
    noises: list[NoiseModel],
    design: Array,
    weights: Array,
    names: tuple[str, ...],
    progress: Progress | None = None,
) -> tuple[AmountMap, Tally]:
    """Projected amounts, um, of every pixel at every repeat of an energy scan in one view.

    The fit's `design` (energy, unknown) is in 1/um, so its amounts are thicknesses of LFP that hold the same iron.
    The variance of a pixel holds its own noise and that of the averaged flats, which all repeats share.
    """
    repeats, grid = len(scan.angles_rad), (scan.rows, scan.columns)
    mapping = Mapping(names, (repeats, *grid), design, weights)
    tallies: list[Tally] = []
    for k in range(repeats):
        depth = np.empty((len(noises), 1, *grid), np.float32)
        variance = np.empty_like(depth)
        repaired = np.zeros(grid[0], np.intp)
        for i, noise in enumerate(noises):
            rays = optical_depth(np.asarray(scan.projections[i, k : k + 1]), noise, slice(0, grid[0]))
            depth[i, 0], variance[i, 0] = rays.optical_depth[:, 0], rays.variance[:, 0] + rays.shared_variance
            repaired += rays.repaired
        tallies.append(mapping.fill(slice(k, k + 1), depth, variance, repaired[None, :, None]))
        if progress:
            progress("analyze", k + 1, repeats)
    result = mapping.result(scan.pixel_um, axes="time:y:x", time_s=scan.time_s.mean(axis=0))
    return result, functools.reduce(operator.add, tallies)
