"""tomopy's gridrec in the engine role, with the corrections it needs to be quantitative.

Used when tomopy is importable; it comes from conda-forge (environment.yml).
"""

from functools import cache

import numpy as np
from numpy.typing import NDArray

from .fbp import Filter

Array = NDArray[np.float64]
Volume = NDArray[np.float32]

_FILTERS = {"ramp": "ramlak", "shepp-logan": "shepp", "cosine": "cosine", "hann": "hann"}


# Columns added on either side, in widths: with less, a disc reads low and stands in a trough. Nine widths are
# never a power of two, where gridrec reads past the end of its window.
_PADDING = 4


def _raw(optical_depth: Array, angles_rad: Array, center_px: float, window: Filter) -> Volume:
    import tomopy

    columns = optical_depth.shape[2]
    before = _PADDING * columns
    padded = np.pad(optical_depth, ((0, 0), (0, 0), (before, before))).astype(np.float32)
    image = tomopy.recon(
        padded,
        angles_rad,
        center=center_px + before,
        sinogram_order=True,
        algorithm="gridrec",
        filter_name=_FILTERS[window],
        ncore=1,
    )
    return np.asarray(image[:, before : before + columns, before : before + columns])


def _to_grid(image: Volume) -> Volume:
    """gridrec's y runs the other way, and its grid lies off by half a pixel, by a whole one at odd widths.

    Both are undone, the second by a phase.
    """
    flipped = image[:, ::-1, :]
    n = flipped.shape[1]
    k = np.fft.fftfreq(n)
    turn = np.exp(1j * np.pi * (1 + n % 2) * (k[:, None] + k[None, :]))
    return np.asarray(np.fft.ifft2(np.fft.fft2(flipped) * turn).real, dtype=np.float32)


@cache
def _gain(columns: int, angles: int, window: Filter) -> float:
    """gridrec's reading of a unit disc at this padding and number of views, from exact chords."""
    radius = 0.3 * columns
    u = np.arange(columns) - (columns - 1) / 2
    chord = 2 * np.sqrt(np.maximum(radius**2 - u**2, 0))
    sinogram = np.broadcast_to(chord, (2, angles, columns)).copy()
    image = _to_grid(_raw(sinogram, np.arange(angles) * np.pi / angles, (columns - 1) / 2, window))[0]
    inside = np.hypot(u[:, None], u[None, :]) < 0.8 * radius
    return float(image[inside].mean())


def gridrec(optical_depth: Array, angles_rad: Array, *, center_px: float, pixel_um: float, window: Filter = "ramp") -> Volume:
    """The engine role: (row, angle, column) to attenuation (z, y, x) in 1/um, calibrated on a disc.

    Views are taken as evenly spread over half a turn, as gridrec does. Raises ImportError without tomopy.
    """
    rows, angles, columns = optical_depth.shape
    # gridrec packs two slices into one transform and drops none: it needs at least two.
    stack = optical_depth if rows > 1 else np.repeat(optical_depth, 2, axis=0)
    image = _to_grid(_raw(stack, angles_rad, center_px, window))[:rows]
    return np.asarray(image / (_gain(columns, angles, window) * pixel_um), dtype=np.float32)
