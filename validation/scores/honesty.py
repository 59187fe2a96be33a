"""Whether a result's own sigma is honest: error over sigma in the interior, of the voxels that have both."""

import numpy as np
from numpy.typing import NDArray

from .compared import Compared
from .grids import Mask
from .score import score_of

_FEWEST = 10


def judged(c: Compared) -> Mask:
    """Interior voxels with an answer and a sigma."""
    sigma = c.result.phase_fraction_sigma
    if sigma is None:
        return np.zeros_like(c.interior)
    return np.asarray(c.interior & c.answered & np.isfinite(sigma) & (sigma > 0))


def pulls(c: Compared, mask: Mask | None = None) -> NDArray[np.float64] | None:
    """(found - true) / sigma, (voxel,), of all judged voxels or those of a mask; None for fewer than 10."""
    chosen = judged(c) if mask is None else judged(c) & mask
    sigma = c.result.phase_fraction_sigma
    if sigma is None or chosen.sum() < _FEWEST:
        return None
    return np.asarray((c.found_x - c.true_x)[chosen] / sigma[chosen], float)


def _mean(values: NDArray[np.float64] | None) -> float | None:
    return None if values is None else float(values.mean())


def _std(values: NDArray[np.float64] | None) -> float | None:
    return None if values is None else float(values.std())


def _below(values: NDArray[np.float64] | None, sigmas: float) -> float | None:
    return None if values is None else float((np.abs(values) < sigmas).mean())


@score_of()
def sigma_share(c: Compared) -> float | None:
    """share of interior voxels with an answer and a sigma above 0: pulls and coverage are of these."""
    return float(judged(c)[c.interior].mean()) if c.interior.any() else None


@score_of()
def pull_rms(c: Compared) -> float | None:
    """root mean square of (recovered − truth) / sigma, bias included; 1 when honest."""
    found = pulls(c)
    return None if found is None else float(np.sqrt(np.mean(found**2)))


@score_of()
def pull_mean(c: Compared) -> float | None:
    """mean of (recovered − truth) / sigma, interior; 0 when honest."""
    return _mean(pulls(c))


@score_of()
def pull_std(c: Compared) -> float | None:
    """its standard deviation; 1 when sigma is honest."""
    return _std(pulls(c))


@score_of()
def coverage_68(c: Compared) -> float | None:
    """share of errors below 1 sigma; 0.683 when honest."""
    return _below(pulls(c), 1.0)


@score_of()
def coverage_95(c: Compared) -> float | None:
    """share of errors below 1.96 sigma; 0.95 when honest."""
    return _below(pulls(c), 1.96)


@score_of()
def pull_std_LFP(c: Compared) -> float | None:
    """the same in the core."""
    return _std(pulls(c, c.true_x < 0.5))


@score_of()
def pull_std_FP(c: Compared) -> float | None:
    """the same in the shell."""
    return _std(pulls(c, c.true_x >= 0.5))


@score_of()
def pull_mean_LFP(c: Compared) -> float | None:
    """mean pull in the core."""
    return _mean(pulls(c, c.true_x < 0.5))


@score_of()
def pull_mean_FP(c: Compared) -> float | None:
    """mean pull in the shell."""
    return _mean(pulls(c, c.true_x >= 0.5))


@score_of()
def phase_sigma_interior(c: Compared) -> float | None:
    """rms of the analysis' own sigma there."""
    chosen = judged(c)
    sigma = c.result.phase_fraction_sigma
    return float(np.sqrt(np.mean(sigma[chosen].astype(float) ** 2))) if sigma is not None and chosen.any() else None


SCORES = (
    sigma_share,
    pull_rms,
    pull_mean,
    pull_std,
    pull_std_LFP,
    pull_std_FP,
    coverage_68,
    coverage_95,
    pull_mean_LFP,
    pull_mean_FP,
    phase_sigma_interior,
)
