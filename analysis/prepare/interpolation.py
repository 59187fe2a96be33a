"""What moving frames by cubic splines does to their noise: it is smoothed, and no longer shared where views move apart.

A spline between pixels is a filter whose response depends on how far between it is asked (Unser, IEEE Signal Process. Mag. 16(6)
(1999) 22); over a scan that distance takes many values, and the mean response counts.
"""

import numpy as np
from numpy.typing import NDArray

from .geometry import Geometry
from .noise import power_spectrum

Array = NDArray[np.float64]

_PLACES = 5  # of the detector along rows and columns, at which the distance is looked at
_VIEWS = 64
_SIZE = 64  # frequencies


def spline_power(distance_px: Array, size: int) -> Array:
    """Mean squared response of cubic splines at `distance_px` (n,) from pixels, at the frequencies of an FFT of `size`."""
    omega = 2 * np.pi * np.fft.fftfreq(size)
    d = np.mod(distance_px, 1.0)[:, None]
    taps = (1 - d) ** 3 / 6, 2 / 3 - d**2 + d**3 / 2, 2 / 3 - (1 - d) ** 2 + (1 - d) ** 3 / 2, d**3 / 6
    response = sum(tap * np.exp(1j * omega * lag) for lag, tap in zip((-1, 0, 1, 2), taps, strict=True))
    return np.asarray((np.abs(response) ** 2).mean(axis=0) / (2 / 3 + np.cos(omega) / 3) ** 2)


def noise_after(geometry: Geometry, energy: int, shape: tuple[int, int], correlation: Array) -> tuple[float, Array]:
    """Factor on the variance of straightened frames of `shape`, and the correlation (lag,) along their rows.

    Before that it is `correlation` (lag,), along rows and columns alike.
    """
    if geometry.is_straight:
        return 1.0, correlation
    along, across = (part.ravel() for part in _places(geometry, energy, shape))
    power = power_spectrum(correlation, _SIZE)
    rows, columns = (np.fft.ifft(power * spline_power(distance, _SIZE)).real for distance in (along, across))
    return float(rows[0] * columns[0] / power.mean() ** 2), np.asarray(columns[: len(correlation)] / columns[0])


def still_shared(geometry: Geometry, energy: int) -> float:
    """Share of what is common to all views on the detector that still is where the sample stands still.

    Two views moved apart by d, pixels, share sinc(d) of a white error, along rows and columns.
    """
    shifts = geometry.shifts_px[energy]
    shifts = shifts[:: max(1, len(shifts) // _VIEWS)]
    apart = shifts[:, None] - shifts[None]
    return float(np.clip(np.sinc(apart).prod(axis=-1).mean(), 0, 1))


def _places(geometry: Geometry, energy: int, shape: tuple[int, int]) -> tuple[Array, Array]:
    """Rows and columns (place, view) of the detector at which straightened frames are asked for."""
    sides = [np.rint(np.linspace(0, n - 1, _PLACES)) - (n - 1) / 2 for n in shape]
    grid = np.stack(np.meshgrid(*sides, indexing="ij"), axis=-1).reshape(-1, 1, 2)
    shifts = geometry.shifts_px[energy]
    middle = (np.array(shape) - 1) / 2
    places = grid @ geometry.matrix(energy).T + shifts[:: max(1, len(shifts) // _VIEWS)] + middle
    return places[..., 0], places[..., 1]
