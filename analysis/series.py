"""2D maps over time: optical depth of every pixel fitted directly, without tomography."""

import functools
import operator
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from instrument.measurement import Measurement

from .noise import NoiseModel
from .normalize import optical_depth
from .result import AmountMap, Flag, phase_fraction, phase_fraction_sigma
from .spectra import linear_combination
from .tally import Tally, tally

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
    count = len(names)
    amounts = np.zeros((count, repeats, *grid), np.float32)
    amounts_sigma = np.zeros_like(amounts)
    sigma = np.zeros((repeats, *grid), np.float32)
    flags = np.zeros((repeats, *grid), np.uint8)
    tallies: list[Tally] = []
    for k in range(repeats):
        depth = np.empty((len(noises), *grid), np.float32)
        variance = np.empty_like(depth)
        repaired = np.zeros(grid[0], np.intp)
        for i, noise in enumerate(noises):
            rays = optical_depth(np.asarray(scan.projections[i, k : k + 1]), noise, slice(0, grid[0]))
            depth[i], variance[i] = rays.optical_depth[:, 0], rays.variance[:, 0] + rays.shared_variance
            repaired += rays.repaired
        pixels, noise_of = depth.reshape(len(depth), -1), variance.reshape(len(depth), -1)
        found = linear_combination(pixels, noise_of, design, weights, count)
        covariance = found.covariance.reshape(count, count, 1, *grid)
        amounts[:, k] = found.amounts.reshape(count, *grid)
        amounts_sigma[:, k] = np.sqrt(np.einsum("iiryx->iryx", covariance))[:, 0]
        sigma[k] = phase_fraction_sigma(amounts[:, k : k + 1], covariance, names)[0]
        poor = found.chi2 - found.dof > 5 * np.sqrt(2 * np.maximum(found.dof, 1))
        flags[k] |= np.where(poor.reshape(grid), Flag.POOR_FIT, 0).astype(np.uint8)
        flags[k] |= np.where(repaired > 0, Flag.REPAIRED, 0).astype(np.uint8)[:, None]
        tallies.append(tally(pixels, found.amounts, names, found.chi2, found.dof, int(repaired.sum())))
        if progress:
            progress("analyze", k + 1, repeats)
    flags |= np.where(np.isnan(phase_fraction(amounts, names)), Flag.NO_IRON, 0).astype(np.uint8)
    return (
        AmountMap(
            names,
            amounts,
            scan.pixel_um,
            amounts_sigma=amounts_sigma,
            phase_fraction_sigma=sigma,
            flags=flags,
            axes="time:y:x",
            time_s=scan.time_s.mean(axis=0),
        ),
        functools.reduce(operator.add, tallies),
    )
