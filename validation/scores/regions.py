"""Where the phases and the front are found: overlap, distance, iron where there is none, and what is mixed."""

import numpy as np
from scipy.ndimage import binary_dilation, distance_transform_edt

from analysis.phases import front_width_um as width_um

from .compared import PARTICLE, Compared
from .grids import Mask
from .score import score_of

_ANSWERED = 0.95  # of the particle's voxels, for a front
_DICE = "Dice, Ecology 26 (1945) 297"


def overlap(a: Mask, b: Mask) -> float | None:
    """2 |A and B| / (|A| + |B|); None where both are empty."""
    total = int(a.sum() + b.sum())
    return float(2 * (a & b).sum() / total) if total else None


def filled(c: Compared) -> Mask:
    """Where the result has iron, and where it should answer and does not."""
    return np.asarray((c.found_iron >= PARTICLE) | (c.particle & ~c.answered))


@score_of(best=1.0, source=_DICE)
def dice_LFP(c: Compared) -> float | None:
    """overlap of the LFP region, 1 is perfect. x below 0.5 and iron from 0.5; no answer is the wrong one."""
    return overlap(c.lfp, filled(c) & c.called_lfp)


@score_of(best=1.0, source=_DICE)
def dice_FP(c: Compared) -> float | None:
    """overlap of the FP region, 1 is perfect. x from 0.5 and iron from 0.5; no answer is the wrong one."""
    return overlap(c.particle & ~c.lfp, filled(c) & c.called_fp)


def front(lfp: Mask, fp: Mask) -> Mask:
    """LFP voxels that touch FP by a face."""
    faces = np.zeros_like(fp)
    for axis in range(3):
        for step in (1, -1):
            faces |= np.roll(fp, step, axis)
    return np.asarray(lfp & faces)


@score_of(unit="um", best=0.0, source="mean symmetric surface distance: Heimann et al., IEEE Trans. Med. Imaging 28 (2009) 1251")
def front_distance_um(c: Compared) -> float | None:
    """mean distance between true and found front (µm). Half the sum of the two mean distances; None without two fronts."""
    # In projection there is none; and where many voxels do not answer, what they are called instead has a front of its own.
    if c.truth.is_series or not c.answered[c.particle].mean() > _ANSWERED:
        return None
    called_fp = c.particle & c.called_fp
    true, found = front(c.lfp, c.particle & ~c.lfp), front(c.particle & ~called_fp, called_fp)
    if not true.any() or not found.any():
        return None
    to_true, to_found = distance_transform_edt(~true)[found], distance_transform_edt(~found)[true]
    return float((to_true.mean() + to_found.mean()) / 2 * c.voxel_um)


@score_of(best=0.0)
def false_particle_share(c: Compared) -> float | None:
    """iron found where there is none, over the particle. Voxels more than 2 from any truth iron."""
    iron = c.whole.truth.iron
    empty = ~binary_dilation(iron >= 0.05, c.neighbours, iterations=2)
    found = np.nan_to_num(c.whole.result.iron) >= PARTICLE
    return float((found & empty).sum() / (iron >= PARTICLE).sum())


def _mixed(c: Compared, x: np.ndarray) -> float | None:
    mask = c.particle if c.truth.is_series else c.interior
    return float(((x > 0.2) & (x < 0.8))[mask].mean()) if mask.any() else None


@score_of()
def mixed_share_truth(c: Compared) -> float | None:
    """share with 0.2 < x < 0.8 in the truth: of interior voxels, or of a series' pixels."""
    return _mixed(c, c.true_x)


@score_of()
def mixed_share_found(c: Compared) -> float | None:
    """the same in the recovered map."""
    return _mixed(c, c.found_x)


@score_of(unit="um")
def front_width_um(c: Compared) -> float | None:
    """width of the recovered front, inverse of its steepness (µm), smoothed by a voxel."""
    return None if c.result.is_series else width_um(c.result)


@score_of(unit="um")
def front_width_truth_um(c: Compared) -> float | None:
    """the same of the truth, averaged onto the result's voxels (µm)."""
    return None if c.truth.is_series else width_um(c.truth)


SCORES = (
    dice_LFP,
    dice_FP,
    front_distance_um,
    false_particle_share,
    mixed_share_truth,
    mixed_share_found,
    front_width_um,
    front_width_truth_um,
)
