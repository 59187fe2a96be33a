"""The weight of total variation from the data alone: views left out must be foretold as well as can be."""

from dataclasses import dataclass

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from .operators import Projector
from .total_variation import TotalVariation

Array = NDArray[np.float64]
Values = NDArray[np.float32]

_SLAB = 16  # rows that are looked at
_EVERY = 8  # of the views one is left out at a time
_FIRST = (4, 0, 2, 6)  # view of each set
_RAYS = 150_000  # to be foretold, or half of all: with few, chance decides
_HEAVIEST, _STEP, _TRIALS = 8.0, 2.0, 6


@dataclass(frozen=True)
class Choice:
    """The weight of least `loss` (trial,) among `weights` (trial,), or where a parabola through three of them is least."""

    weight: float
    weights: Array
    loss: Array


def choose_weight(
    paths: Values, information: Values, angles_rad: Array, *, center_px: float, pixel_um: float, threads: int = 1
) -> Choice:
    """The weight, in `TotalVariation.unit`, that foretells views left out best (Stone, J. R. Stat. Soc. B 36 (1974) 111).

    Of paths (species, row, angle, column), um, and their information, one view in eight is left out, in the rows that hold most
    iron. Its noise is independent of the maps made from the others, so its squared misfit is that of the maps plus a constant.
    The misfit is filtered with the ramp: A^T ramp A is the identity where views are dense, so what is least is the error of the
    maps themselves, in amounts; that of their projections would let too much noise stay. An error of a pixel that all views
    share passes for a ring of the sample: a small part of all errors, as rings are few. The sets take turns until enough rays
    have been foretold.
    """
    slab = _fullest(paths)
    paths, information = paths[:, slab], information[:, :, slab]
    weights: Array = _HEAVIEST / _STEP ** np.arange(_TRIALS, dtype=float)
    loss: Array = np.zeros(_TRIALS)
    enough = int(np.ceil(_RAYS * _EVERY / paths[0].size))
    every = min(_EVERY, paths.shape[2])
    for first in [view for view in _FIRST if view < every][:enough]:
        left_out = np.arange(paths.shape[2]) % every == first
        kept, hidden = np.ascontiguousarray(paths[:, :, ~left_out]), paths[:, :, left_out]
        known = np.ascontiguousarray(information[:, :, :, ~left_out])
        seen, unseen = (
            Projector(angles_rad[views], paths.shape[3], center_px=center_px, pixel_um=pixel_um)
            for views in (~left_out, left_out)
        )
        problem, state = TotalVariation(known, seen, threads=threads), None
        for i, weight in enumerate(weights):
            state = problem.solve(kept, weight, state)
            loss[i] += _misfit(problem.maps(state), hidden, unseen)
    return Choice(_least(weights, loss), weights, loss)


def _fullest(paths: Values) -> slice:
    """The slab of rows that hold most iron."""
    iron = np.append(0.0, np.cumsum(paths.sum(axis=(0, 2, 3), dtype=float)))
    size = min(_SLAB, len(iron) - 1)
    low = int(np.argmax(iron[size:] - iron[:-size]))
    return slice(low, low + size)


def _misfit(maps: Values, hidden: Values, unseen: Projector) -> float:
    """Mean square of what `unseen` views (species, row, angle, column) have beyond the maps, ramp filtered."""
    total = 0.0
    for images, rays in zip(maps, hidden, strict=True):
        for low in range(0, len(images), unseen.rows):
            part = slice(low, low + unseen.rows)
            rest = unseen.forward(images[part]) - rays[part]
            spectrum = scipy.fft.rfft(rest, 2 * rest.shape[2])
            total += float((np.abs(spectrum) ** 2 * np.arange(spectrum.shape[2])).sum(dtype=float))
    return total


def _least(weights: Array, loss: Array) -> float:
    """Where a parabola in the logarithm of the weight is least, about the least of the trials."""
    best = int(np.argmin(loss))
    if best in (0, len(loss) - 1):
        return float(weights[best])
    before, here, after = loss[best - 1 : best + 2]
    shift = (before - after) / (2 * (before - 2 * here + after))
    return float(weights[best] * (weights[best + 1] / weights[best]) ** shift)
