"""Truth and result laid over each other: on the result's grid, without the one shift they have in common."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from analysis.result import AmountMap
from phantom import InputError

from .grids import Array, average_onto, bounding_box, spatial_axes

Values = NDArray[np.float32]

_LARGEST_SHIFT = 3.0  # voxels
_FIELDS_APART = 0.45  # of the larger: a result may be cut, but voxels wrong by two are no cut
_SMALLEST = 7  # voxels along an axis, to find such a shift in


@dataclass(frozen=True)
class Overlay:
    """Truth and result on the result's grid, one rigid shift (z, y, x; voxels) removed."""

    truth: AmountMap
    result: AmountMap
    shift: Array

    @property
    def shift_um(self) -> float:
        """How far the two lay apart."""
        return float(np.linalg.norm(self.shift) * self.result.voxel_um)


def overlay(truth: AmountMap, result: AmountMap) -> Overlay:
    """Truth on the result's grid, moved by the shift that best fits their iron (Gauss-Newton, at most 3 voxels).

    Raises InputError where the two cannot belong together.
    """
    if set(truth.species) != set(result.species):
        raise InputError(f"score: species of truth {truth.species} and result {result.species} differ; allowed are the same")
    if truth.axes != result.axes or (truth.is_series and truth.shape[0] != result.shape[0]):
        raise InputError(
            f"score: truth has axes {truth.axes} {truth.shape}, result {result.axes} {result.shape}; allowed are the same axes, "
            "and as many times"
        )
    if truth.phase_fraction_sigma is not None:
        raise InputError("score: the truth carries a sigma, so it is a result; allowed is TRUTH first, then RESULT")
    spatial = spatial_axes(truth)
    if min(*(m.shape[axis] for m in (truth, result) for axis in spatial)) < _SMALLEST:
        raise InputError(
            f"score: volumes of {truth.shape} and {result.shape} voxels; allowed is {_SMALLEST} or more along each axis"
        )
    fields = [np.array([m.shape[axis] for axis in spatial]) * m.voxel_um for m in (truth, result)]
    if np.any(np.abs(fields[0] - fields[1]) > _FIELDS_APART * np.maximum(*fields)):
        raise InputError(
            f"score: fields of view differ: truth {fields[0].round(2)} um, result {fields[1].round(2)} um; "
            "state the result's voxel size with --voxel"
        )
    order = [result.species.index(name) for name in truth.species]
    result = replace(
        result,
        species=truth.species,
        amounts=result.amounts[order],
        amounts_sigma=None if result.amounts_sigma is None else result.amounts_sigma[order],
    )
    moved = average_onto(truth, result.shape, result.voxel_um, np.zeros(3))
    shift = np.zeros(3)
    shift[list(spatial)] = _integer_shift(*_still(moved, result))
    for _ in range(3):
        moved = average_onto(truth, result.shape, result.voxel_um, shift * result.voxel_um)
        step = _gauss_newton(*_still(moved, result))
        shift[list(spatial)] += step
        shift *= min(1.0, _LARGEST_SHIFT / max(float(np.linalg.norm(shift)), 1e-9))
        if np.abs(step).max() < 1e-3:
            break
    if np.abs(shift).max() < 1e-6:
        shift = np.zeros(3)
    return Overlay(average_onto(truth, result.shape, result.voxel_um, shift * result.voxel_um), result, shift)


def _still(truth: AmountMap, found: AmountMap) -> tuple[Values, Values]:
    """Iron of both in space alone: a series is averaged over time."""
    pair = truth.iron, np.asarray(np.nan_to_num(found.iron))
    return (pair[0].mean(axis=0), pair[1].mean(axis=0)) if truth.is_series else pair


def _integer_shift(truth: Values, found: Values) -> NDArray[np.intp]:
    """Whole voxels along each axis by which the truth must move to lie on what was found."""
    reach, every = int(_LARGEST_SHIFT), tuple(range(truth.ndim))
    if np.ptp(found) == 0:  # iron that is the same everywhere lies nowhere
        return np.zeros(truth.ndim, np.intp)
    correlation = np.fft.irfftn(np.fft.rfftn(found) * np.fft.rfftn(truth).conj(), s=truth.shape, axes=every)
    index = np.arange(-reach, reach + 1)
    near = correlation[np.ix_(*[index] * truth.ndim)]
    return np.array(np.unravel_index(int(np.argmax(near)), near.shape)) - reach


def _gauss_newton(truth: Values, found: Values) -> Array:
    """Sub-voxel shift of the truth from one least-squares step, along each axis."""
    box = bounding_box(truth > 0.05, 3)
    model = truth[box].astype(float)
    # Iron in another unit lies where it lies: the model is scaled to what was found.
    model *= max(float(np.vdot(found[box], model) / np.vdot(model, model)), 0.0)
    gradients = np.stack([-g.ravel() for g in np.gradient(model)])
    difference = (found[box] - model).ravel()
    normal = gradients @ gradients.T
    if not normal.any() or np.linalg.cond(normal) > 1e8:
        return np.zeros(truth.ndim)
    return np.asarray(np.clip(np.linalg.solve(normal, gradients @ difference), -1, 1))
