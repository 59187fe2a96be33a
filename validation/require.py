"""Requirements on scores: parsed, never evaluated as code."""

import math
import operator
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from phantom.errors import InputError

from .score_names import known_score

_COMPARE: dict[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_FORM = re.compile(r"\s*(?:abs\(\s*(?P<inner>\w+)\s*\)|(?P<plain>\w+))\s*(?P<sign><=|>=|<|>)\s*(?P<bound>[-+.\w]+)\s*")


@dataclass(frozen=True)
class Requirement:
    """A score compared with a number."""

    text: str
    name: str
    absolute: bool
    sign: str
    bound: float

    def holds(self, scores: dict[str, Any]) -> bool:
        """False for a null score too."""
        value = scores[self.name]
        if not isinstance(value, (int, float)):
            return False
        return _COMPARE[self.sign](abs(value) if self.absolute else value, self.bound)


def parse_requirement(text: str) -> Requirement:
    """'phase_rmse < 0.2' or 'abs(pull_mean) <= 0.1'. Raises InputError for anything else."""
    match = _FORM.fullmatch(text)
    bound = _number(match["bound"]) if match else None
    if match and bound is not None:
        name = known_score(f"--require {text}", match["inner"] or match["plain"])
        return Requirement(text, name, match["inner"] is not None, match["sign"], bound)
    raise InputError(f"--require {text}: allowed is a score, one of < <= > >=, and a number, like 'abs(pull_mean) < 0.1'")


def _number(text: str) -> float | None:
    try:
        return number if math.isfinite(number := float(text)) else None
    except ValueError:
        return None
