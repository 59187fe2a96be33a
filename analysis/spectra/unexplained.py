"""Voxels that no mixture of the standards explains: a further phase, or a standard that is not the sample's."""

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import convolve1d, gaussian_gradient_magnitude
from scipy.special import ndtr

from .combination import linear_combination

Array = NDArray[np.float64]
Values = NDArray[np.float32]

_NEIGHBOURS = np.array([0.25, 0.5, 0.25])
_STRATA = 10
_LEAST = 50  # voxels from which a stratum's own spread is taken


def neighbourhood_chi2(mu: Values, variance: Values, design: Array, weights: Array) -> Values:
    """chi2 per degree of freedom (..., y, x) of mu (energy, ..., y, x) averaged over the 3 x 3 neighbours in the slice.

    A grain of another phase leaves the same residual in neighbouring voxels, noise does not: averaged before it is squared,
    the residual keeps its size and its noise falls. `variance` is the voxel's own, so noise alone gives less than 1: compare
    voxels with each other (`unexplained`). A voxel beside one that misses an energy misses it, too.
    """
    smooth = mu
    for axis in (-2, -1):
        smooth = convolve1d(smooth, _NEIGHBOURS, axis=axis, mode="nearest")
    flat = smooth.reshape(len(mu), -1), variance.reshape(len(mu), -1)
    found = linear_combination(*flat, design, weights, 1)  # of which only chi2 is wanted
    return (found.chi2 / np.maximum(found.dof, 1)).astype(np.float32).reshape(mu.shape[1:])


def unexplained(chi2: Values, attenuation: Values, particle: NDArray[np.bool_]) -> Array:
    """How rarely a voxel that is explained has so large a chi2: p (z, y, x) in `particle`, NaN elsewhere.

    What explained voxels have is learned from the scan itself (an empirical null: Efron, J. Am. Stat. Assoc. 99 (2004) 96): sigma
    may be off by a factor, and fringes and run-out raise chi2 beside every surface. So a voxel is compared with those of
    its kind, one of ten groups by the gradient of `attenuation` (z, y, x), the mean over the energies; in each log chi2 is taken
    as normal, with the median and the spread of the lower half. A further phase must fill less than about a third of a group.
    p < 0.05 holds in at most 5 % of explained voxels: the upper tail of a chi-square is lighter than that.
    """
    p = np.full(chi2.shape, np.nan)
    known = particle & np.isfinite(chi2)
    values = np.log(np.maximum(chi2[known], 1e-12)).astype(float)
    steepness = gaussian_gradient_magnitude(np.nan_to_num(attenuation), 1.0)[known]
    groups = max(1, min(_STRATA, len(values) // _LEAST))
    rarity = np.full(len(values), np.nan)
    for group in np.array_split(np.argsort(steepness, kind="stable"), groups):
        if group.size:
            low, median = np.quantile(values[group], [ndtr(-1.0), 0.5])
            rarity[group] = ndtr(-(values[group] - median) / max(median - low, 1e-12))
    p[known] = rarity
    return p
