"""How many photons: where a rising function of a factor has a wanted value."""

from collections.abc import Callable

import numpy as np

from phantom import InputError

_CLOSE = 3e-4
_STEPS = 60


class TooBright(InputError):
    """More light than shutter, views and flats can take."""


class TooDim(InputError):
    """Less light than a photon per pixel."""


class OutOfReach(Exception):
    """No scan that can be taken has so large a value, or so small a one: that of `factor` comes nearest."""

    def __init__(self, factor: float, bright: bool) -> None:
        super().__init__(factor)
        self.factor, self.bright = factor, bright


def solved(value: Callable[[float], float], wanted: float, start: float) -> float:
    """A factor at which `value` reaches what is wanted, to 3e-4, sought from below, as it need not rise everywhere.

    Raises OutOfReach where no scan was found to have that value.
    """
    best = (-np.inf, start)

    def at(factor: float) -> float:
        nonlocal best
        try:
            found = value(factor)
        except TooBright:
            return np.inf
        except TooDim:
            return 0.0
        best = max(best, (found, factor))
        return found

    low, below = start, at(start)
    for _ in range(_STEPS):
        if below < wanted:
            break
        low *= 0.25 if np.isinf(below) else float(np.clip(0.9 * wanted / below, 1e-3, 0.9))
        below = at(low)
    high, above = low, below
    for _ in range(_STEPS):
        high = low * (4.0 if below == 0 else float(np.clip(1.1 * wanted / below, 1.02, 4.0)))
        above = at(high)
        if above >= wanted:
            break
        low, below = high, above
    for _ in range(_STEPS):
        if min(abs(above / wanted - 1), abs(below / wanted - 1)) < _CLOSE or high / low < 1 + 1e-6:
            break
        part = 0.5
        if above > below > 0 and np.isfinite(above):
            part = float(np.clip(np.log(wanted / below) / np.log(above / below), 0.02, 0.98))
        middle = low * (high / low) ** part
        here = at(middle)
        if here < wanted:
            low, below = middle, here
        else:
            high, above = middle, here
    nearest = low if abs(below / wanted - 1) < abs(above / wanted - 1) else high
    if np.isinf(above) and abs(below / wanted - 1) > _CLOSE:
        raise OutOfReach(best[1], bright=True)
    if below == 0 and above / wanted - 1 > _CLOSE:
        raise OutOfReach(high, bright=False)
    return nearest
