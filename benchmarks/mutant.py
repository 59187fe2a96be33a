"""What a broken variant of one of our functions is."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

Function = Callable[..., Any]


@dataclass(frozen=True)
class Mutant:
    """A `function` of a `role` with one thing wrong, which `says` names.

    `source` is the public report of such a fault, "" for one that we thought of. Laws that the sound function does not promise
    (`without`, as `txm-twin check --except`) do not count.
    """

    name: str
    says: str
    role: str
    function: Function
    source: str = ""
    without: tuple[str, ...] = ()


def inside(owner: Any, name: str, change: Callable[[Any], Any], function: Function) -> Function:
    """`function` while `name` of a module or class is `change` of what it was."""

    def broken(*arguments: Any, **named: Any) -> Any:
        with patch.object(owner, name, change(getattr(owner, name))):
            return function(*arguments, **named)

    return broken
