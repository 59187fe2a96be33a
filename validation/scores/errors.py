"""How wrong the phase fraction is, voxel by voxel. A scored voxel without an answer counts as an error of 1."""

import numpy as np

from .compared import Compared
from .grids import Mask
from .score import score_of


def rms(c: Compared, mask: Mask) -> float | None:
    """Root of the mean square error of x in a mask; None for an empty one."""
    error = np.where(c.answered, c.error, 1.0)[mask].astype(float)
    return float(np.sqrt(np.mean(error**2))) if error.size else None


def mean(c: Compared, mask: Mask) -> float | None:
    """Mean error of x in a mask; voxels without an answer count 1 in the direction of the others, so leaving out does not pay."""
    given = c.error[mask & c.answered].astype(float)
    count = int(mask.sum())
    if not count:
        return None
    silent = count - given.size
    total = float(given.sum())
    return float(total + np.copysign(silent, total)) / count


@score_of(best=0.0)
def phase_rmse(c: Compared) -> float | None:
    """rms error of x, all voxels with iron. A voxel counts at most 1, as one without an answer does."""
    return rms(c, c.particle)


@score_of(best=0.0)
def phase_rmse_interior(c: Compared) -> float | None:
    """rms error of x, away from surface and front."""
    return rms(c, c.interior)


@score_of(best=0.0)
def phase_bias(c: Compared) -> float | None:
    """mean error of x, all voxels with iron."""
    return mean(c, c.particle)


@score_of(best=0.0)
def phase_bias_interior(c: Compared) -> float | None:
    """mean error of x in the interior."""
    return mean(c, c.interior)


@score_of(best=0.0)
def phase_bias_interior_LFP(c: Compared) -> float | None:
    """the same in the core."""
    return mean(c, c.interior & c.lfp)


@score_of(best=0.0)
def phase_bias_interior_FP(c: Compared) -> float | None:
    """the same in the shell."""
    return mean(c, c.interior & ~c.lfp)


@score_of(best=1.0)
def scored_share(c: Compared) -> float | None:
    """share of the particle's voxels with an answer."""
    return float(c.answered[c.particle].mean())


@score_of()
def interior_voxels(c: Compared) -> float | None:
    """voxels away from surface and front."""
    return float(c.interior.sum())


SCORES = (
    phase_rmse,
    phase_rmse_interior,
    phase_bias,
    phase_bias_interior,
    phase_bias_interior_LFP,
    phase_bias_interior_FP,
    scored_share,
    interior_voxels,
)
