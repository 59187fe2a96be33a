"""Whether a method's sigma can be trusted: errors over their sigma, of many scans, against what honesty asks for.

Each interior voxel's rank is the share of its own error distribution below its error, Phi(error / sigma): uniform when sigma is
honest (probability integral transform; Gneiting et al., J. R. Stat. Soc. B 69 (2007) 243). Voxels of one map are correlated, so
confidence comes from the spread between maps alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from instrument.progress import Progress
from phantom import InputError

from ..methods import Method
from ..scores import compare
from ..scores.honesty import pulls
from ..study import Study
from .replicate import Estimate, estimate, replicates

Array = NDArray[np.float64]

LEVELS = (0.5, 0.683, 0.9, 0.95, 0.99)
BINS = 20
_FEWEST = 3  # scans, for an interval worth its name
_HONEST = (0.9, 1.1)  # of the pulls' width: what is nearer to 1 changes no decision
_BIAS = 0.1  # of sigma
_NAMES = ("phase_rmse", "phase_rmse_interior", "phase_sigma_interior", "phase_bias_interior", "pull_mean", "pull_std")


@dataclass(frozen=True)
class Calibration:
    """`ranks` are the bins' share of all voxels over what honesty asks for, 1; `coverage` that of the `LEVELS`."""

    study: Study
    method: Method
    seeds: tuple[int, ...]
    ranks: tuple[Estimate, ...]
    coverage: tuple[Estimate, ...]
    scores: dict[str, Estimate]
    rows: tuple[dict[str, Any], ...]

    @property
    def is_honest(self) -> bool:
        """Whether sigma is within 10 % of the errors' size, and the mean error within a tenth of sigma."""
        low, high = _HONEST
        return low <= self.scores["pull_std"].mean <= high and abs(self.scores["pull_mean"].mean) <= _BIAS

    @property
    def is_bold(self) -> bool:
        """Whether errors are larger than sigma says."""
        return self.scores["pull_std"].mean > _HONEST[1]

    @property
    def sentence(self) -> str:
        """The verdict on sigma, in words."""
        width, bias = self.scores["pull_std"], self.scores["pull_mean"]
        told = f"errors are {width.mean:.3f} ± {width.half_width:.3f} of the stated sigma (95 %, {width.count} scans)"
        low, high = _HONEST
        if self.is_bold:
            verdict = f"Sigma is too small: {told}; multiply it by {width.mean:.2f}"
        elif width.mean < low:
            verdict = f"Sigma is too large, so cautious: {told}; multiply it by {width.mean:.2f}"
        else:
            verdict = f"Sigma is honest: {told}"
        if abs(bias.mean) > _BIAS:
            verdict += f"; the map is biased by {bias.mean:+.2f} sigma"
        tails = self.coverage[-1]
        if tails.mean + tails.half_width < LEVELS[-1] - 0.01 and low <= width.mean <= high:
            verdict += f"; its tails are heavy: {100 * tails.mean:.1f} % within the 99 % interval"
        return verdict + "."

    def as_dict(self) -> dict[str, Any]:
        """Plain values, as calibration.json."""

        def plain(one: Estimate) -> dict[str, float]:
            return {"mean": one.mean, "half_width_95": one.half_width}

        return {
            "study": self.study.name,
            "method": self.method.text or None,
            "seeds": list(self.seeds),
            "verdict": self.sentence,
            "is_honest": self.is_honest,
            "coverage": {f"{level:g}": plain(one) for level, one in zip(LEVELS, self.coverage, strict=True)},
            "ranks": [plain(one) for one in self.ranks],
            "scores": {name: plain(one) for name, one in self.scores.items()},
            "replicates": list(self.rows),
        }


def calibrate(study: Study, method: Method, seeds: int, *, threads: int = 1, progress: Progress | None = None) -> Calibration:
    """A method's sigma over as many scans of a study, of its own seed and those after it.

    Raises InputError for fewer than 3 scans, and where there is nothing to judge: no noise, no sigma, no interior, no map.
    """
    if seeds < _FEWEST:
        raise InputError(f"--seeds: found {seeds}; allowed is {_FEWEST} or more, for an interval")
    if not study.beam.shot_noise:
        raise InputError(
            f"calibrate: {study.name} has no photon noise, so sigma has no meaning; allowed is beam.shot_noise = true"
        )
    numbers = tuple(range(study.seed, study.seed + seeds))
    found, rows = [], []
    for one in replicates(study, [method], numbers, threads=threads, progress=progress):
        values = None if one.pair is None else pulls(compare(one.pair))
        if values is None:
            why = one.failure or "no voxel away from surface and front has a sigma"
            raise InputError(
                f"calibrate: seed {one.seed}: {why}; allowed is a method that states sigma, and a particle with interior"
            )
        found.append(values)
        rows.append({"seed": one.seed, **{name: one.scores[name] for name in (*_NAMES, "dose_MGy", "scan_time_s")}})
    scores = {name: estimate([row[name] for row in rows]) for name in _NAMES}
    return Calibration(study, method, numbers, rank_histogram(found), coverages(found), scores, tuple(rows))


def rank_histogram(pulls_of: Sequence[Array]) -> tuple[Estimate, ...]:
    """Share of each map's ranks in each of 20 bins, times 20; the mean over maps and its error."""
    counts = np.array([np.histogram(ndtr(pull), BINS, (0, 1))[0] / len(pull) * BINS for pull in pulls_of])
    return tuple(estimate(column) for column in counts.T)


def coverages(pulls_of: Sequence[Array]) -> tuple[Estimate, ...]:
    """Share of each map's errors within the interval of each of the `LEVELS`; the mean over maps and its error."""
    limits = ndtri(0.5 + np.array(LEVELS) / 2)
    return tuple(estimate([float((np.abs(pull) < limit).mean()) for pull in pulls_of]) for limit in limits)
