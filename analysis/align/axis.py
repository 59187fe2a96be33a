"""The column of the rotation axis, before any reconstruction."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import shift
from scipy.optimize import minimize_scalar

from instrument.measurement import InputError

from ..prepare.geometry import Geometry
from .centroid import centroids, moved
from .frames import Frames

Array = NDArray[np.float64]
Values = NDArray[np.float32]

_OPPOSITE_RAD = np.deg2rad(0.1)
_KNOWN, _FEWEST = 0.5, 4  # share and number of an energy's frames that must show the whole sample
_ENERGIES = 8  # at most, from which opposite views are taken


@dataclass(frozen=True)
class Start:
    """Where alignment starts: a geometry, and sigma of its axis, pixels; NaN where that is not known."""

    geometry: Geometry
    center_sigma_px: float


def from_centroids(frames: Frames, geometry: Geometry) -> Start | None:
    """Axis and shifts from the centres of mass, None where in most frames of some energy the sample reaches beyond the field.

    A frame in which it does is put where its energy's other frames say. See `centroid`.
    """
    shifts = np.zeros(geometry.shifts_px.shape)
    axes, heights, sigmas = (np.zeros(frames.energies) for _ in range(3))
    for i in range(frames.energies):
        centres = centroids(frames.on_detector(i).astype(float))
        known = np.isfinite(centres).all(axis=1)
        if known.mean() < _KNOWN or known.sum() < _FEWEST:
            return None
        shifts[i, known], axes[i], spread = moved(centres[known], frames.angles_rad[known])
        heights[i], sigmas[i] = centres[known, 0].mean(), spread[1] / np.sqrt(known.sum())
    shifts[..., 0] += (heights - heights.mean())[:, None]
    shifts[..., 1] += (axes - axes.mean())[:, None]
    center = float(axes.mean()) + (frames.shape[1] - 1) / 2
    between = float(axes.var(ddof=1)) / len(axes) if len(axes) > 1 else 0.0
    sigma = float(np.sqrt(max(float((sigmas**2).sum()) / len(sigmas) ** 2, between)))
    return Start(replace(geometry, shifts_px=shifts, center_px=center), sigma)


def from_opposite_views(frames: Frames, geometry: Geometry) -> Start | None:
    """Axis from views half a turn apart, which are mirror images of each other about it; None where there are none."""
    angles = frames.angles_rad
    apart = np.abs(np.mod(angles[None] - angles[:, None], 2 * np.pi) - np.pi)
    first, second = np.nonzero(np.triu(apart < _OPPOSITE_RAD))
    if not first.size:
        return None
    found = []
    for i in np.unique(np.linspace(0, frames.energies - 1, _ENERGIES).astype(int)):
        depth = frames.on_detector(int(i))
        found += [_mirror(depth[:, k], depth[:, other]) for k, other in zip(first, second, strict=True)]
    centers = np.array(found)
    sigma = float(centers.std(ddof=1) / np.sqrt(len(centers))) if len(centers) > 1 else float("nan")
    return Start(replace(geometry, center_px=float(np.median(centers))), sigma)


def find_axis(frames: Frames, geometry: Geometry) -> Start:
    """The axis by the centres of mass, else by opposite views. Raises InputError where neither is to be had."""
    found = from_centroids(frames, geometry) or from_opposite_views(frames, geometry)
    if found is None:
        raise InputError(
            "analysis.align.center: the sample reaches beyond the field and no two views lie 180 degrees apart; allowed is "
            "either; state the axis' column instead (--center)"
        )
    return found


def _mirror(one: Values, other: Values) -> float:
    """Column about which `one` is the mirror image of `other`, (row, column) each."""
    flipped = other[:, ::-1]
    size = 2 * one.shape[1]
    power = (np.fft.rfft(one, size) * np.fft.rfft(flipped, size).conj()).sum(axis=0)
    lag = int(np.argmax(np.fft.irfft(power)))
    coarse = lag - size if lag > size // 2 else lag

    def misfit(distance: float) -> float:
        moved = shift(flipped, (0, distance), order=3, mode="nearest")
        reach = int(np.ceil(abs(distance)))
        inside = slice(reach, one.shape[1] - reach)
        return float(np.mean((one[:, inside] - moved[:, inside]) ** 2)) if inside.stop - inside.start > 8 else np.inf

    best = minimize_scalar(misfit, bounds=(coarse - 1.0, coarse + 1.0), method="bounded", options={"xatol": 1e-3})
    return float((one.shape[1] - 1 + best.x) / 2)
