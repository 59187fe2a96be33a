"""Voxels that no mixture of the standards explains: a further phase, or a standard that is not the sample's."""

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import convolve1d, gaussian_gradient_magnitude
from scipy.special import ndtr

Array = NDArray[np.float64]
Values = NDArray[np.float32]

_NEIGHBOURS = np.array([1, 4, 6, 4, 1]) / 16
_STRATA = 10
_LEAST = 50  # voxels from which a stratum's own spread is taken
_RAREST = 0.05  # share of the voxels in which a further phase is looked for
_LENT = 0.4
_CLIPS, _CLIPPED = 4, 0.01
_NOTHING = 1e-12


def residuals(mu: Values, variance: Values, design: Array, weights: Array) -> Values:
    """What `design` (energy, unknown) leaves of mu (energy, ..., y, x): (energy - unknown, ..., y, x), in units of noise.

    Averaged first over 5 x 5 neighbours in the slice: a grain of another phase leaves the same in neighbouring voxels, noise does
    not. `weights` (energy,) are 1 / a typical variance and `variance` is the voxel's own, so noise alone has the same spread
    in every component, less than 1: compare voxels with each other (`unexplained`). A voxel beside one that misses an
    energy misses all.
    """
    root = np.sqrt(weights)[:, None]
    beyond = np.linalg.qr(design * root, mode="complete")[0][:, design.shape[1] :] * root
    smooth = mu
    for axis in (-2, -1):
        smooth = convolve1d(smooth, _NEIGHBOURS, axis=axis, mode="nearest")
    typical = np.tensordot((weights / len(weights)).astype(np.float32), variance, 1)
    return np.asarray(np.tensordot(beyond.T.astype(np.float32), smooth, 1) / np.sqrt(np.maximum(typical, 1e-30)))


def unexplained(residual: Values, attenuation: Values, particle: NDArray[np.bool_]) -> Array:
    """How rarely a voxel that is explained has so large a residual: p (z, y, x) in `particle`, NaN elsewhere.

    `residual` (component, n) is that of the n voxels of `particle`, in their order. It is looked at twice. A further phase leaves
    the same spectrum wherever it is, noise goes every way: so the first look is how far a voxel goes the way that the
    rarest twentieth of the voxels go on average, which finds what lies below the noise of a chi2. Less than 0.4 of their mean is
    what blur and neighbours lend, and no find. The second is how large the residual beside that way is, as chi2 would: another
    further phase, or an artefact. p is twice the smaller of the two (Bonferroni).

    What explained voxels have is learned from the scan itself (an empirical null: Efron, J. Am. Stat. Assoc. 99 (2004) 96): sigma
    may be off by a factor, and fringes and run-out leave residuals beside every surface. So a voxel is compared with those of
    its kind, one of ten groups by the gradient of `attenuation` (z, y, x), the mean over the energies; in each, what is looked at
    is taken as normal, with the median and the spread of the lower half. A further phase must fill less than about a third of a
    group. p < 0.05 holds in at most 5 % of 2000 explained voxels or more, as the upper tail of a log chi2 is lighter than normal;
    in a tenth of 50, which are too few to know their own spread.
    """
    p = np.full(particle.shape, np.nan)
    known = np.asarray(np.isfinite(residual).all(axis=0))
    if not known.any():
        return p
    found = residual[:, known].astype(float)
    steepness = gaussian_gradient_magnitude(np.nan_to_num(attenuation), 1.0)[particle][known]
    groups = max(1, min(_STRATA, found.shape[1] // _LEAST))
    kinds = [kind for kind in np.array_split(np.argsort(steepness, kind="stable"), groups) if kind.size]
    for kind in kinds:
        found[:, kind] -= np.median(found[:, kind], axis=1, keepdims=True)
    whole = (found**2).sum(axis=0)
    size = _rarity(np.log(np.maximum(whole, _NOTHING)), kinds)
    way = found[:, size <= np.quantile(size, _RAREST)].mean(axis=1)
    length = max(float(way @ way), _NOTHING)
    along = way @ found / length
    far = np.where(along < _LENT, 1.0, _rarity(along, kinds))
    beside = _rarity(np.log(np.maximum(whole - along**2 * length, _NOTHING)), kinds)
    inside = np.full(len(known), np.nan)
    inside[known] = np.minimum(2 * np.minimum(far, beside), 1)
    p[particle] = inside
    return p


def _rarity(values: Array, kinds: list[NDArray[np.intp]]) -> Array:
    """Chance (n,) that an explained voxel of the same kind has a larger value; those that hardly one has are not learned from."""
    rarity = np.full(len(values), np.nan)
    for kind in kinds:
        one = values[kind]
        kept = np.ones(len(one), bool)
        for _ in range(_CLIPS):
            low, median = np.quantile(one[kept], [ndtr(-1.0), 0.5])
            rarity[kind] = ndtr(-(one - median) / max(median - low, 1e-12))
            kept = rarity[kind] > _CLIPPED
    return rarity
