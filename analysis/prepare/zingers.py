"""Stray particles in single pixels, found and bridged."""

import numpy as np
from numpy.typing import NDArray

from .noise import NoiseModel

Array = NDArray[np.float64]
Frames = NDArray[np.uint16]


def without_zingers(counts: Frames, noise: NoiseModel, rows: slice, sigma: float) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """Projections (angle, row, column of `rows`) without pixels that outshine all eight neighbours by `sigma` of their noise.

    Also how many in each (row, angle). The edge of a sample is bright on one side only, so it is left; neighbours are compared
    as parts of the open beam, whose pixels differ in gain.
    """
    flat, dark = noise.flat[rows], noise.dark[rows]
    light = (counts - dark) / flat
    highest = _brightest_neighbour(light)
    spread = np.sqrt(noise.variance(highest * flat)) / flat
    struck = light > highest + sigma * spread
    out = counts.astype(float)
    for view, row, column in np.argwhere(struck):
        near = [
            light[view, r, c]
            for r in range(max(row - 1, 0), min(row + 2, light.shape[1]))
            for c in range(max(column - 1, 0), min(column + 2, light.shape[2]))
            if (r, c) != (row, column)
        ]
        out[view, row, column] = np.median(near) * flat[row, column] + dark[row, column]
    return out, struck.sum(axis=2).T


def _brightest_neighbour(light: Array) -> Array:
    """Largest of the up to eight neighbours of each pixel in frames (angle, row, column)."""
    beside = np.full_like(light, -np.inf)
    np.maximum(beside[..., 1:], light[..., :-1], out=beside[..., 1:])
    np.maximum(beside[..., :-1], light[..., 1:], out=beside[..., :-1])
    across = np.maximum(beside, light)
    np.maximum(beside[:, 1:], across[:, :-1], out=beside[:, 1:])
    np.maximum(beside[:, :-1], across[:, 1:], out=beside[:, :-1])
    return beside


def without_zingers_over_time(frames: Frames, sigma: float) -> Array:
    """Frames (n, row, column) of one scene without pixels far above their own median over time; fewer than 3 stay as they are."""
    if len(frames) < 3:
        return frames.astype(float)
    median = np.median(frames, axis=0)
    brightness = np.median(frames / np.maximum(median, 1.0), axis=(1, 2))
    expected = brightness[:, None, None] * median
    # The noise of a pixel goes as the root of its counts; its size is that of most pixels, which no particle struck.
    scale = np.sqrt(np.maximum(median, 1.0))
    typical = 1.4826 * float(np.median(np.abs(frames - expected) / scale))
    struck = frames - expected > sigma * np.maximum(typical, 1e-6) * scale
    return np.where(struck, expected, frames)
