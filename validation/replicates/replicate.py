"""A study run again and again, with other seeds and by several methods: what chance and choice do to its scores."""

import math
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import t

from analysis.pipeline import Conclusion
from instrument.progress import Progress

from ..loop import known_scores, laid_over, map_scores, record_into, timed
from ..methods import Method, MethodFailed
from ..scores import Overlay
from ..study import Study


@dataclass(frozen=True)
class Replicate:
    """One scan, of `seed`, by one method: its scores, or how it failed. `pair` and `conclusion` are None then."""

    seed: int
    method: Method
    scores: dict[str, Any]
    failure: str = ""
    pair: Overlay | None = None
    conclusion: Conclusion | None = None


def replicates(
    study: Study, methods: Sequence[Method], seeds: Sequence[int], *, threads: int = 1, progress: Progress | None = None
) -> Iterator[Replicate]:
    """Each seed's scan, analyzed by each method, one after the other; all methods get the same scans.

    Raises InputError for a study that cannot be simulated, or a user's part that cannot be started.
    """
    chosen = [method.applied_to(study) for method in methods]
    for method in methods:
        method.check()
    for count, seed in enumerate(seeds):
        with tempfile.TemporaryDirectory(prefix="txm-replicate-") as name:
            place = Path(name)
            simulation = record_into(place, replace(study, seed=seed), threads)
            for number, (method, settings) in enumerate(zip(methods, chosen, strict=True)):
                own = replace(settings, seed=seed)
                scores = known_scores(own, simulation) | {"method": method.text or None}
                try:
                    conclusion, elapsed_s = timed(method, place, own, threads)
                    pair = laid_over(simulation, conclusion, method)
                except MethodFailed as failure:
                    yield Replicate(seed, method, scores, str(failure))
                else:
                    scores |= map_scores(own, simulation, conclusion, pair) | {"elapsed_s": elapsed_s}
                    yield Replicate(seed, method, scores, "", pair, conclusion)
                if progress:
                    progress("replicate", count * len(methods) + number + 1, len(seeds) * len(methods))


@dataclass(frozen=True)
class Estimate:
    """A mean over replicates, its standard error and 95 % interval (Student); NaN error for fewer than two."""

    mean: float
    error: float
    count: int

    @property
    def half_width(self) -> float:
        """Half of the 95 % interval."""
        return float(t.ppf(0.975, self.count - 1)) * self.error if self.count > 1 else math.nan

    @property
    def is_telling(self) -> bool:
        """Whether the interval excludes 0. Differences that are all alike, and not 0, tell."""
        return self.count > 1 and abs(self.mean) > self.half_width


def estimate(values: Sequence[float]) -> Estimate:
    """Of replicates that are independent."""
    found = np.asarray(values, float)
    error = float(found.std(ddof=1) / np.sqrt(len(found))) if len(found) > 1 else math.nan
    return Estimate(float(found.mean()) if len(found) else math.nan, error, len(found))
