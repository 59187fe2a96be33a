"""Maps brought from one grid of voxels to another."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from analysis.result import AmountMap
from phantom import InputError

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]


def overlap_matrix(fine: int, fine_um: float, coarse: int, coarse_um: float, shift_um: float) -> Array:
    """Share of each fine voxel in each coarse one along an axis, (coarse, fine); rows sum to 1 inside.

    Both axes are centred on zero; the fine one is moved by `shift_um`.
    """
    low = (np.arange(coarse) - coarse / 2)[:, None] * coarse_um
    left = (np.arange(fine) - fine / 2)[None, :] * fine_um + shift_um
    overlap = np.minimum(low + coarse_um, left + fine_um) - np.maximum(low, left)
    return np.asarray(np.maximum(overlap, 0) / coarse_um)


def average_onto(truth: AmountMap, shape: tuple[int, int, int], voxel_um: float, shift_um: Array) -> AmountMap:
    """The truth's amounts averaged over the voxels of another grid; x formed from them is iron-weighted."""
    box = bounding_box(truth.iron > 0, 0)
    if truth.is_series:
        box = (slice(None), *box[1:])
    amounts = truth.amounts[(slice(None), *box)]
    for axis in spatial_axes(truth):
        matrix = overlap_matrix(truth.shape[axis], truth.voxel_um, shape[axis], voxel_um, float(shift_um[axis]))
        shares = matrix[:, box[axis]].astype(np.float32)
        amounts = np.moveaxis(np.tensordot(shares, amounts, axes=(1, axis + 1)), 0, axis + 1)
    return replace(truth, amounts=np.ascontiguousarray(amounts), voxel_um=voxel_um)


def spatial_axes(m: AmountMap) -> tuple[int, ...]:
    """The axes of a map that are space: all three, or the last two of a series."""
    return (1, 2) if m.is_series else (0, 1, 2)


def bounding_box(mask: Mask, margin: int) -> tuple[slice, ...]:
    """The smallest box around what is true, and `margin` voxels more. Raises InputError where nothing is."""
    if not mask.any():
        raise InputError("score: the truth holds no particle; allowed is iron of at least 0.5 somewhere")
    slices = []
    for axis in range(mask.ndim):
        along = np.flatnonzero(mask.any(axis=tuple(k for k in range(mask.ndim) if k != axis)))
        slices.append(slice(max(0, along[0] - margin), min(mask.shape[axis], along[-1] + 1 + margin)))
    return tuple(slices)
