"""The bulk fraction: the share of the particle's iron that is FP."""

import numpy as np
from scipy.ndimage import binary_dilation

from analysis.result import AmountMap, fp_index

from .compared import Compared
from .grids import Mask
from .score import score_of


def around(c: Compared) -> Mask:
    """The truth's particle grown by 2 voxels, so that what blur carries out is not lost."""
    return np.asarray(binary_dilation(c.particle, c.neighbours, iterations=2))


def share(m: AmountMap, where: Mask) -> float | None:
    """Sum of FP over sum of iron in a mask; None without iron."""
    iron = float(np.nansum(m.amounts[:, where], dtype=float))
    return float(np.nansum(m.amounts[fp_index(m.species)][where], dtype=float)) / iron if iron > 0 else None


@score_of()
def bulk_fraction_truth(c: Compared) -> float | None:
    """share of iron that is FP, truth."""
    return share(c.truth, around(c))


@score_of()
def bulk_fraction_found(c: Compared) -> float | None:
    """share of iron that is FP, recovered."""
    return share(c.result, around(c))


@score_of(best=0.0)
def bulk_fraction_error(c: Compared) -> float | None:
    """recovered less truth. Iron of scored voxels without an answer counts as wrong, in the direction of the rest."""
    true, found = bulk_fraction_truth(c), bulk_fraction_found(c)
    if true is None or found is None:
        return None
    silent = c.particle & ~c.answered
    iron = c.truth.iron
    return found - true + float(np.copysign(iron[silent].sum() / iron[c.particle].sum(), found - true))


@score_of()
def bulk_fraction_sigma(c: Compared) -> float | None:
    """sigma of the recovered one from voxel noise alone, without standards and flats. Voxels taken as independent."""
    sigma = c.result.phase_fraction_sigma
    if sigma is None:
        return None
    where = around(c)
    iron = c.found_iron[where].astype(float)
    return float(np.sqrt(np.nansum((iron * sigma[where]) ** 2)) / iron.sum()) if iron.sum() > 0 else None


SCORES = (bulk_fraction_truth, bulk_fraction_found, bulk_fraction_error, bulk_fraction_sigma)
