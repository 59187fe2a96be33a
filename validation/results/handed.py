"""Whether a result fits the truth better with other axes: a program's rotation may run the other way than ours."""

from functools import cache
from itertools import permutations, product

import numpy as np

from analysis.result import AmountMap

from ..scores import average_onto
from .grid import turned
from .stated import Stated, axes_of
from .volumes import Values

_ALIKE = 0.9  # correlation of the iron above which no other axes are tried
_BETTER = 0.05


def better_axes(truth: AmountMap, found: AmountMap, stated: Stated) -> str | None:
    """A line with the --axes under which the result's iron fits the truth's clearly better than under those stated; or None.

    Nothing is changed by it: a result that is mirrored is wrong, unless its maker's geometry is.
    """
    if truth.is_series or found.is_series:
        return None

    @cache
    def true_iron(shape: tuple[int, int, int]) -> Values:
        return average_onto(truth, shape, found.voxel_um, np.zeros(3)).iron

    now = _correlation(true_iron(found.shape), found.iron)
    if not now < _ALIKE:  # nor where the iron is the same everywhere
        return None
    best, axes = now, ""
    for order, signs in product(permutations("zyx"), product(("", "-"), repeat=3)):
        tried = "".join(sign + letter for sign, letter in zip(signs, order, strict=True))
        moved = turned(found.iron, tried)
        if (fit := _correlation(true_iron(moved.shape), moved)) > best:
            best, axes = fit, tried
    if best < now + _BETTER:
        return None
    return (
        f"the iron fits the truth better with --axes={_after(stated.axes, axes)} (correlation {best:.2f}, now {now:.2f}): "
        "mirrored or turned? images of tomopy run against our y"
    )


def _correlation(one: Values, other: Values) -> float:
    a, b = (values - values.mean() for values in (one, np.nan_to_num(other)))
    scale = float(np.linalg.norm(a.ravel()) * np.linalg.norm(b.ravel()))
    return float(np.vdot(a, b)) / scale if scale > 0 else np.nan


def _after(first: str, then: str) -> str:
    """The axes that turn as `first` and `then` do, one after the other."""
    second = dict(zip("zyx", axes_of(then), strict=True))
    both = [(second[letter][0], back != second[letter][1]) for letter, back in axes_of(first)]
    return "".join("-" * back + letter for letter, back in both)
