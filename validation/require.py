"""Requirements on scores: parsed, never evaluated as code."""

import operator
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from phantom.errors import InputError

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

    def found(self, scores: dict[str, Any]) -> Any:
        """The score; InputError for a name that is no score."""
        if self.name not in scores:
            raise InputError(f"--require {self.text}: no score {self.name!r}; allowed are the names in scores.json")
        return scores[self.name]

    def holds(self, scores: dict[str, Any]) -> bool:
        """False for a null score too."""
        value = self.found(scores)
        if not isinstance(value, (int, float)):
            return False
        return _COMPARE[self.sign](abs(value) if self.absolute else value, self.bound)


def parse_requirement(text: str) -> Requirement:
    """'phase_rmse < 0.2' or 'abs(pull_mean) <= 0.1'. Raises InputError for anything else."""
    match = _FORM.fullmatch(text)
    try:
        if match:
            name = match["inner"] or match["plain"]
            return Requirement(text, name, match["inner"] is not None, match["sign"], float(match["bound"]))
    except ValueError:
        pass
    raise InputError(f"--require {text}: allowed is a score, one of < <= > >=, and a number, like 'abs(pull_mean) < 0.1'")
