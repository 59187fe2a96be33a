"""The command baseline: scores of several seeds, stored, and later what changed beyond noise.

The same seeds are run again, so unchanged code gives the same scores. A change counts where its mean, seed by seed, has a 95 %
interval without 0 and is more than a twentieth of what the seeds differ by among themselves: rounding is no change.
"""

import json
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from instrument.progress import Progress
from phantom import InputError

from ..files import versions
from ..methods import Method, parse_method
from ..scores import SCORES
from ..staging import whole_text
from ..study import Study, digest, study_from
from ..study_text import study_toml
from .replicate import Estimate, Replicate, estimate, replicates

FORMAT = 1
_TELLING = 0.05  # of the standard deviation between seeds
_BEST = {one.name: one.best for one in SCORES}
_LEFT_OUT = {"elapsed_s", "peak_memory_GB", "seed", "study_digest", "method"}  # of the machine, or no score


@dataclass(frozen=True)
class Baseline:
    """Scores of a study by a method, {name: value} of each of the seeds."""

    study: Study
    method: str
    seeds: tuple[int, ...]
    scores: tuple[dict[str, float | None], ...]
    versions: dict[str, str]


@dataclass(frozen=True)
class Change:
    """A score before and now; `by` is the difference, seed by seed, and `spread` the seeds' standard deviation before."""

    name: str
    before: Estimate
    by: Estimate
    spread: float
    word: str

    @property
    def holds(self) -> bool:
        """Whether it is as before, or better."""
        return self.word in ("", "better")


def measure(
    study: Study, method: Method, seeds: tuple[int, ...], *, threads: int = 1, progress: Progress | None = None
) -> Baseline:
    """The scores of today. Raises InputError where a user's method gives no map."""
    found = []
    for one in replicates(study, [method], seeds, threads=threads, progress=progress):
        if one.failure:
            raise InputError(f"baseline: seed {one.seed}: {one.failure}; allowed is a method that gives a map")
        found.append(_numbers(one))
    return Baseline(study, method.text, seeds, tuple(found), versions())


def _numbers(one: Replicate) -> dict[str, float | None]:
    return {name: value for name, value in one.scores.items() if name not in _LEFT_OUT}


def save(path: Path, found: Baseline) -> None:
    """Store a baseline. Raises InputError where it cannot be written."""
    plain = {
        "format": FORMAT,
        "study": study_toml(found.study),
        "study_digest": digest(found.study),
        "method": found.method,
        "seeds": list(found.seeds),
        "scores": list(found.scores),
        "versions": found.versions,
    }
    whole_text(path, json.dumps(plain, indent=1, allow_nan=False) + "\n")


def load(path: Path) -> Baseline:
    """A stored baseline. Raises InputError for a file that is none."""
    try:
        plain: Any = json.loads(path.read_text())
        if plain["format"] != FORMAT:
            raise InputError(f"{path}: format {plain['format']!r}; allowed is {FORMAT}; make it again with --renew")
        study = study_from(tomllib.loads(plain["study"]))
        scores = tuple({str(name): value for name, value in row.items()} for row in plain["scores"])
        seeds = tuple(int(seed) for seed in plain["seeds"])
        if len(seeds) != len(scores) or not all(isinstance(v, (int, float, type(None))) for row in scores for v in row.values()):
            raise ValueError
        return Baseline(study, str(plain["method"]), seeds, scores, dict(plain["versions"]))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"{path}: is no baseline; allowed is a file that txm-twin baseline wrote; make it again with --renew"
        ) from error


def compare_with(before: Baseline, *, threads: int = 1, progress: Progress | None = None) -> list[Change]:
    """What is different now, score by score, the same study, method and seeds."""
    method = parse_method(before.method)
    now = measure(before.study, method, before.seeds, threads=threads, progress=progress)
    return [change(name, before.scores, now.scores) for name in before.scores[0]]


def change(name: str, before: tuple[dict[str, float | None], ...], now: tuple[dict[str, float | None], ...]) -> Change:
    """One score before and now; a score that is null now, or was, and is not alike, changed."""
    pairs = [(a.get(name), b.get(name)) for a, b in zip(before, now, strict=True)]
    both = [(a, b) for a, b in pairs if a is not None and b is not None]
    old = estimate([a for a, _ in both])
    by = estimate([b - a for a, b in both])
    spread = float(np.std([a for a, _ in both], ddof=1)) if len(both) > 1 else 0.0
    if any((a is None) != (b is None) for a, b in pairs):
        return Change(name, old, by, spread, "appeared" if all(b is not None for _, b in pairs) else "null now")
    tells = by.is_telling if by.count > 1 else by.count == 1
    if not both or not tells or abs(by.mean) <= max(_TELLING * spread, 1e-9 * abs(old.mean)):
        return Change(name, old, by, spread, "")
    best = _BEST.get(name)
    if best is None:
        return Change(name, old, by, spread, "changed")
    nearer = abs(old.mean + by.mean - best) < abs(old.mean - best)
    return Change(name, old, by, spread, "better" if nearer else "worse")


def lines(found: list[Change]) -> list[str]:
    """What changed, a line each, and how many did not."""
    told = [
        f"{one.word:<9}{one.name:<28}{one.before.mean:>12.5g} {one.by.mean:>+11.3g}  (seeds differ by {one.spread:.2g})"
        for one in found
        if one.word
    ]
    return [*told, f"{len(found) - len(told)} of {len(found)} scores are as before"]
