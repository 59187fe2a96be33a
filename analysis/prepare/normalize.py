"""Counts to optical depth with a variance for every ray."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .flats import Light
from .noise import NoiseModel

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Rays:
    """Optical depth of a block of rows, (row, angle, column).

    `variance` is each ray's own. `shared_variance` (row, column) comes from the averaged flats and
    darks: one error for all angles, which makes rings. `made_up` (row, angle) counts rays without a value of their own: at or
    below dark, struck by a stray particle, or of a pixel that sees no light.
    """

    optical_depth: Array
    variance: Array
    shared_variance: Array
    made_up: NDArray[np.intp]

    @property
    def repaired(self) -> NDArray[np.intp]:
        """Rays of each row whose value is made up, (row,)."""
        return np.asarray(self.made_up.sum(axis=1))


def optical_depth(projections: NDArray[np.uint16] | Array, noise: NoiseModel, rows: slice, light: Light | None = None) -> Rays:
    """-ln of the flat-field-corrected transmission of `projections` (angle, row, column of `rows`), in the `light` of each view.

    A ray at or below the dark level has no logarithm: it is set to half a count and reported. Pixels that see no light get what
    their neighbours in the row see, and are reported.
    """
    dark, flat = noise.dark[rows], noise.flat[rows]
    counts = projections - dark
    dead = noise.blind[rows]
    dark_rays = (counts <= 0) & ~dead
    counts = np.where(counts <= 0, 0.5, counts)
    depth = np.log(flat / counts)
    if light is not None:
        depth += np.log(light.ratio)
    variance = noise.variance(counts) / counts**2
    # The flats' error enters every angle alike; the darks' through light and flat with opposite sign.
    dark_lever = (1 / counts - 1 / flat).mean(axis=0)
    flats = noise.variance(flat) / noise.flats / flat**2 if light is None else light.variance
    shared = flats + noise.dark_variance / noise.darks * dark_lever**2
    for row in np.flatnonzero(dead.any(axis=1)):
        bridge(dead[row], depth[:, row], variance[:, row], shared[row : row + 1])
    return Rays(
        depth.transpose(1, 0, 2),
        variance.transpose(1, 0, 2),
        shared,
        (dark_rays | dead).sum(axis=2).T,
    )


def bridge(dead: NDArray[np.bool_], *lines: Array) -> None:
    """Interpolate each of `lines` (n, column) across its dead columns, from the nearest seeing ones; a row all dead stays."""
    columns, seeing = np.flatnonzero(dead), np.flatnonzero(~dead)
    if not seeing.size:
        return
    after = np.searchsorted(seeing, columns)
    left, right = seeing[np.maximum(after - 1, 0)], seeing[np.minimum(after, len(seeing) - 1)]
    share = np.where(right > left, (columns - left) / np.maximum(right - left, 1), 0.0)
    for values in lines:
        values[:, columns] = (1 - share) * values[:, left] + share * values[:, right]
