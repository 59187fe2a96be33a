"""The command compare: several methods on the same scans, and how they differ from the first."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from instrument.progress import Progress
from phantom import InputError

from ..methods import Method
from ..study import Study
from .replicate import Estimate, Replicate, estimate, replicates

SCORES = (
    "phase_rmse",
    "phase_rmse_interior",
    "phase_bias_interior",
    "bulk_fraction_error",
    "dice_FP",
    "fsc_truth_phase_um",
    "pull_std",
    "elapsed_s",
)
_WIDTH = 24  # of a column


@dataclass(frozen=True)
class Comparison:
    """Replicates of methods on the same seeds; `found` are those of each method, by its text."""

    study: Study
    seeds: tuple[int, ...]
    found: dict[str, list[Replicate]]

    def score(self, method: str, name: str) -> Estimate:
        """Mean over the seeds in which the method has the score."""
        return estimate([value for one in self.found[method] if (value := one.scores.get(name)) is not None])

    def difference(self, method: str, name: str) -> Estimate:
        """Of a method less the first, seed by seed, where both have the score: what the scans have in common cancels."""
        first = next(iter(self.found.values()))
        pairs = [(a.scores.get(name), b.scores.get(name)) for a, b in zip(first, self.found[method], strict=True)]
        return estimate([b - a for a, b in pairs if a is not None and b is not None])

    @property
    def failures(self) -> list[str]:
        """What failed, and with which seed."""
        return [f"seed {one.seed}: {one.failure}" for each in self.found.values() for one in each if one.failure]

    def as_dict(self, names: Sequence[str] = SCORES) -> dict[str, Any]:
        """Plain values, for a file."""
        return {
            "study": self.study.name,
            "seeds": list(self.seeds),
            "methods": {
                text: {
                    "scores": [{name: one.scores.get(name) for name in names} for one in each],
                    "failures": [one.failure for one in each],
                }
                for text, each in self.found.items()
            },
        }


def compare(
    study: Study, methods: Sequence[Method], seeds: int, *, threads: int = 1, progress: Progress | None = None
) -> Comparison:
    """Methods on `seeds` scans of a study, from its own seed on. Raises InputError for two methods of one text."""
    texts = [method.text for method in methods]
    if len(set(texts)) < len(texts):
        raise InputError(f"compare: found {', '.join(texts)}; allowed is each method once")
    numbers = tuple(range(study.seed, study.seed + seeds))
    found: dict[str, list[Replicate]] = {text: [] for text in texts}
    for one in replicates(study, methods, numbers, threads=threads, progress=progress):
        found[one.method.text].append(Replicate(one.seed, one.method, one.scores, one.failure))
    return Comparison(study, numbers, found)


def table(found: Comparison, names: Sequence[str] = SCORES) -> list[str]:
    """Lines of text: each method's means, then what each differs from the first by; * where chance is unlikely (5 %)."""
    texts = list(found.found)
    width = max(len(name) for name in names) + 2

    def rows(cells: dict[str, list[str]]) -> list[str]:
        return [f"{name:<{width}}" + "".join(f"{cell:>{_WIDTH}}" for cell in line) for name, line in cells.items()]

    lines = rows({"": [_short(text) for text in texts]})
    lines += rows({name: [_in_words(found.score(text, name)) for text in texts] for name in names})
    if len(texts) > 1:
        lines += ["", f"less {texts[0]}, seed by seed, ± half of the 95 % interval; * where it excludes 0"]
        lines += rows({name: ["", *(_difference_in_words(found.difference(text, name)) for text in texts[1:])] for name in names})
    return lines


def _short(text: str) -> str:
    return text if len(text) < _WIDTH else f"…{text[2 - _WIDTH :]}"


def _in_words(one: Estimate) -> str:
    if not one.count:
        return "–"
    return f"{one.mean:.4g}" if one.count < 2 else f"{one.mean:.4g} ± {one.error:.1g}"


def _difference_in_words(one: Estimate) -> str:
    if not one.count:
        return "–"
    return f"{one.mean:+.3g}" if one.count < 2 else f"{one.mean:+.3g} ± {one.half_width:.1g}{' *' if one.is_telling else '  '}"
