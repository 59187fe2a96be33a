"""The command check: a user's function held to the laws of its role."""

import sys
from collections.abc import Iterator

from phantom.errors import InputError

from .guests.guest import Guest
from .laws import ALIGN_ENERGIES, ALIGN_VIEWS, ENGINE, FIT, PIPELINE, Finding, Law, examine

_LIMITS_S = {"pipeline": 60.0}  # that a call may take where nobody says; of other roles _LIMIT_S
_LIMIT_S = 10.0
_MOST_HUNG = 3  # laws: a function that hangs in so many is not waited for any longer


def laws_of(role: str, parameters: tuple[str, ...]) -> tuple[Law, ...]:
    """The laws of a role; of an alignment those of views or of energies, as its second parameter's name says."""
    if role == "engine":
        return ENGINE
    if role == "fit":
        return FIT
    if role == "pipeline":
        return PIPELINE
    second = parameters[1] if len(parameters) > 1 else ""
    kinds = {"angles_rad": ALIGN_VIEWS, "energies_eV": ALIGN_ENERGIES}
    if second not in kinds:
        raise InputError(
            f"check --as align: the second parameter is {second or 'missing'}; allowed is angles_rad for views of one energy, or "
            "energies_eV for energies of one view"
        )
    return kinds[second]


def kept(laws: tuple[Law, ...], left_out: str) -> tuple[Law, ...]:
    """The laws without those that `left_out` names, or what they need ("adds, slicewise"). Raises InputError for another name."""
    names = [name.strip() for name in left_out.split(",") if name.strip()]
    known = {law.name for law in laws} | {law.needs for law in laws if law.needs}
    for name in names:
        if name not in known:
            raise InputError(f"--except: found {name!r}; allowed are {', '.join(sorted(known))}")
    return tuple(law for law in laws if law.name not in names and law.needs not in names)


def check(
    text: str,
    role: str,
    *,
    left_out: str = "",
    examples: int | None = None,
    seed: int = 0,
    limit_s: float | None = None,
    python: str = sys.executable,
) -> Iterator[Finding]:
    """What each law says of a function, one after the other. Raises InputError for a function that cannot be loaded.

    A call may take `limit_s`; left out, 60 s for a pipeline, else 10 s.
    """
    hung = 0
    limit_s = _LIMITS_S.get(role, _LIMIT_S) if limit_s is None else limit_s
    with Guest(text, limit_s, python) as guest:
        for law in kept(laws_of(role, guest.parameters), left_out):
            if hung == _MOST_HUNG:
                yield Finding(law, f"not tried: {hung} laws have found no answer in {limit_s:g} s")
                continue
            found = examine(guest, law, seed_=seed, examples=examples)
            hung += found.hung
            yield found
