"""How far a result is from the truth: each score a function with its meaning, unit and source, null where it cannot be formed."""

from analysis.result import AmountMap

from . import bulk, errors, honesty, regions, resolution
from .compared import Compared, compare, interior
from .grids import average_onto, overlap_matrix
from .overlay import Overlay, overlay
from .resolution import fourier_shell, fsc_halves_um
from .score import Score

Scores = dict[str, float | None]

SCORES: tuple[Score, ...] = (*errors.SCORES, *bulk.SCORES, *regions.SCORES, *honesty.SCORES, *resolution.SCORES)


def score(truth: AmountMap, result: AmountMap) -> Scores:
    """Accuracy scores of a result. `truth` may be on a finer grid; units in the names.

    Scored voxels have truth iron >= 0.5; one without an answer counts as |error| 1. Raises InputError for two that cannot belong
    together.
    """
    return score_pair(overlay(truth, result))


def score_pair(pair: Overlay) -> Scores:
    """As `score`, of an overlay already made."""
    compared = compare(pair)
    return {"registration_shift_um": pair.shift_um} | {one.name: one(compared) for one in SCORES}


__all__ = [
    "SCORES",
    "Compared",
    "Overlay",
    "Score",
    "Scores",
    "average_onto",
    "compare",
    "fourier_shell",
    "fsc_halves_um",
    "interior",
    "overlap_matrix",
    "overlay",
    "score",
    "score_pair",
]
