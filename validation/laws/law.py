"""What a law is: a sentence about any function of a role, cases that hypothesis draws, and a trial that raises where it fails."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from hypothesis import HealthCheck, Phase, Verbosity, given, seed, settings
from hypothesis.errors import Flaky
from hypothesis.strategies import SearchStrategy
from numpy.typing import NDArray

from ..guests.guest import GuestError, Hung

Function = Callable[..., Any]


class Broken(AssertionError):
    """A law does not hold: what was found, and what is allowed."""


@dataclass(frozen=True)
class Law:
    """`claim` in a sentence, `cases` to try it on, and `trial` (function, case), which raises `Broken`.

    `needs` names what only some functions promise, such as "linear"; a user whose function does not may leave those laws out.
    `false_alarms` is the probability that a trial fails for a function that obeys, by noise alone; 0 where no noise decides.
    After the first case that breaks it, at most `shrinks` smaller ones are tried.
    """

    name: str
    claim: str
    cases: SearchStrategy[Any]
    trial: Callable[[Function, Any], None]
    examples: int
    needs: str = ""
    false_alarms: float = 0.0
    shrinks: int = 500

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True)
class Finding:
    """Whether a law holds: `message` is empty where it does, else says what happened in `case`, the smallest found."""

    law: Law
    message: str = ""
    case: Any = None
    hung: bool = False

    @property
    def holds(self) -> bool:
        """Whether no case broke the law."""
        return not self.message


def law(
    cases: SearchStrategy[Any], *, examples: int = 10, needs: str = "", false_alarms: float = 0.0, shrinks: int = 500
) -> Callable[[Callable[[Function, Any], None]], Law]:
    """Makes a law of a trial: its name is the law's, its docstring the claim."""

    def named(trial: Callable[[Function, Any], None]) -> Law:
        claim = " ".join((trial.__doc__ or "").split())
        return Law(trial.__name__.replace("_", " "), claim, cases, trial, examples, needs, false_alarms, shrinks)

    return named


def examine(function: Function, held: Law, *, seed_: int = 0, examples: int | None = None) -> Finding:
    """A function tried on a law's cases; a case that breaks it is made as small as hypothesis can."""
    last: list[tuple[Any, Broken]] = []
    hung: list[str] = []
    tried = 0

    def called(*arguments: Any, **named: Any) -> Any:
        if hung:  # no smaller case is worth waiting for
            raise Broken(hung[0])
        try:
            return function(*arguments, **named)
        except GuestError as error:
            if isinstance(error, Hung):
                hung.append(str(error))
            raise Broken(str(error)) from error
        except Exception as error:  # whatever a user's function does is its verdict, not ours
            why = " ".join(str(error).split()) or "no reason given"
            raise Broken(f"raises {type(error).__name__}: {why}") from error

    @seed(seed_)
    @settings(
        max_examples=examples or held.examples,
        database=None,
        deadline=None,
        verbosity=Verbosity.quiet,
        report_multiple_bugs=False,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
    )
    @given(case=held.cases)
    def trial(case: Any) -> None:
        nonlocal tried
        if last and tried == held.shrinks:  # the smallest one yet has to do
            if case == last[0][0]:
                raise last[0][1]
            return
        tried += bool(last)
        try:
            held.trial(called, case)
        except Broken as broken:
            if not (hung and last):
                last[:] = [(case, broken)]
            raise

    try:
        trial()
    except (Broken, Flaky):
        case, broken = last[0]
        return Finding(held, str(broken), case, bool(hung))
    return Finding(held)


def hold(function: Function, held: Law, *, seed_: int = 0, examples: int | None = None) -> None:
    """`examine` for a test of one's own: Broken, an AssertionError, with the law and the case where it does not hold."""
    found = examine(function, held, seed_=seed_, examples=examples)
    if not found.holds:
        raise Broken(f"{held.name}: {found.message}\nthe law: {held.claim}\nthe case: {found.case}, seed {seed_}")


def sealed(values: NDArray[Any], kind: type = float) -> NDArray[Any]:
    """A copy as the roles give it: whoever writes to it fails."""
    out: NDArray[Any] = np.array(values, kind)
    out.flags.writeable = False
    return out


def checked(found: Any, shape: tuple[int, ...], what: str = "an array") -> NDArray[np.float64]:
    """An answer as numbers, where it is an array of the shape that the role promises."""
    values = np.asarray(found)
    if values.shape != shape or values.dtype.kind not in "fiu":
        raise Broken(f"answers with {what} of shape {values.shape}, {values.dtype}; allowed {shape}, real numbers")
    return np.asarray(values, float)


def close(found: NDArray[Any], wanted: NDArray[Any], allowed: float, what: str, unit: str = "") -> None:
    """Broken where the rms of a difference is more than `allowed`, or anything is not finite."""
    left = np.asarray(found, float) - wanted
    if not np.isfinite(left).all():
        raise Broken(f"{what}: {np.sum(~np.isfinite(left))} of {left.size} values are not finite")
    size = float(np.sqrt(np.mean(left**2)))
    if not size <= allowed:
        raise Broken(f"{what}: {size:.3g}{unit} rms; allowed {allowed:.3g}")


def within(found: float, low: float, high: float, what: str) -> None:
    """Broken where a number is not between two others."""
    if not low <= found <= high:
        raise Broken(f"{what}: {found:.4g}; allowed {low:.4g} to {high:.4g}")
