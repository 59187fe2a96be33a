"""What a score is: a function of a truth and a result on one grid, with its meaning, unit and source."""

import math
from collections.abc import Callable
from dataclasses import dataclass

from .compared import Compared

Formed = Callable[[Compared], float | None]


@dataclass(frozen=True)
class Score:
    """`meaning` in a line; `unit` "" for a share or ratio; `best` is its value at the truth, None for what is no accuracy."""

    name: str
    meaning: str
    unit: str
    best: float | None
    source: str
    function: Formed

    def __call__(self, compared: Compared) -> float | None:
        """The score, None where it cannot be formed, or is not finite."""
        value = self.function(compared)
        return value if value is not None and math.isfinite(value) else None


def score_of(*, unit: str = "", best: float | None = None, source: str = "") -> Callable[[Formed], Score]:
    """Makes a score of a function: its name is the score's, its docstring's first sentence the meaning."""

    def made(function: Formed) -> Score:
        text = " ".join((function.__doc__ or "").split())
        return Score(function.__name__, text.partition(". ")[0].removesuffix("."), unit, best, source, function)

    return made
