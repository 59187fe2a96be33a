"""A result's axes and place: turned to z, y, x, and its middle put on the rotation axis."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analysis.result import AmountMap
from phantom import InputError

from ..scores import average_onto
from .stated import Stated, axes_of

_TOO_LARGE = 2.0  # a mask twice as large as the particle, or none

Change = Callable[[NDArray[Any]], NDArray[Any]]


def turned(values: NDArray[Any], axes: str) -> NDArray[Any]:
    """An array with the axes (..., *axes) in the order (..., z, y, x), each running forwards."""
    letters = axes_of(axes)
    order = [[letter for letter, _ in letters].index(letter) for letter in "zyx"]
    backwards = tuple(slice(None, None, -1 if back else None) for _, back in letters)
    lead = values.ndim - 3
    return np.ascontiguousarray(values[(..., *backwards)].transpose(*range(lead), *(lead + k for k in order)))


def placed(found: AmountMap, stated: Stated, truth: AmountMap | None = None) -> AmountMap:
    """A map with the axes stated, turned and moved as they say, and grown to the truth's field. A series is as it is stored."""
    if found.is_series:
        return found

    def turn(values: NDArray[Any]) -> NDArray[Any]:
        return turned(values, stated.axes)

    return _centred(_each(found, turn, turn), stated, truth)


def _centred(found: AmountMap, stated: Stated, truth: AmountMap | None) -> AmountMap:
    """Empty voxels added so that `center` is the middle, to half a voxel, and the field as large as the truth's."""
    if stated.center is None:
        return found
    before, after = [0, 0, 0], [0, 0, 0]
    for axis, (n, at) in enumerate(zip(found.shape, stated.center, strict=True)):
        if not -n <= at <= 2 * n:
            raise InputError(
                f"--center: found {at:g} along {'ZYX'[axis]}, where the result has {n} voxels; allowed is {-n}..{2 * n}"
            )
        more = round(2 * at - (n - 1))
        before[axis], after[axis] = max(-more, 0), max(more, 0)
        if truth is not None:
            short = truth.shape[axis] * truth.voxel_um / found.voxel_um - (n + abs(more))
            both = max(0, int(np.ceil(short / 2 - 1e-6)))
            before[axis], after[axis] = before[axis] + both, after[axis] + both
    margins = list(zip(before, after, strict=True))

    def padded(values: NDArray[Any], fill: float) -> NDArray[Any]:
        return np.pad(values, [(0, 0)] * (values.ndim - 3) + margins, constant_values=fill)

    return _each(found, lambda values: padded(values, 0), lambda values: padded(values, np.nan))


def outlined(found: AmountMap, truth: AmountMap) -> AmountMap:
    """A map whose iron is 1 in voxels by far too many for the truth's particle, with the truth's iron instead.

    Such iron outlines nothing, and the shift that best fits it to the truth's would mean nothing.
    """
    if truth.is_series or found.is_series:
        return found
    iron = average_onto(truth, found.shape, found.voxel_um, np.zeros(3)).iron
    if (found.iron > 0).sum() <= _TOO_LARGE * (iron > 0).sum():
        return found
    return replace(found, amounts=found.amounts * iron)


def _each(found: AmountMap, change: Change, change_sigma: Change) -> AmountMap:
    """The map with its arrays changed: amounts and flags by one function, sigmas, NaN where unknown, by the other."""
    amounts_sigma, sigma, flags = found.amounts_sigma, found.phase_fraction_sigma, found.flags
    return replace(
        found,
        amounts=change(found.amounts),
        amounts_sigma=None if amounts_sigma is None else change_sigma(amounts_sigma),
        phase_fraction_sigma=None if sigma is None else change_sigma(sigma),
        flags=None if flags is None else change(flags),
    )
