"""tomopy's gridrec in the engine role, with the corrections it needs to be quantitative.

Used when tomopy is importable; it comes from conda-forge (environment.yml).
"""

from functools import cache

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Volume = NDArray[np.float32]


def _padded_width(columns: int) -> int:
    """At least four times the columns, and no power of two: there gridrec reads past its window's end."""
    return 4 * columns + 2 * (columns % 2) + 6


def _raw(optical_depth: Array, angles_rad: Array, center_px: float) -> Volume:
    import tomopy

    columns = optical_depth.shape[2]
    before = (_padded_width(columns) - columns) // 2
    after = _padded_width(columns) - columns - before
    padded = np.pad(optical_depth, ((0, 0), (0, 0), (before, after))).astype(np.float32)
    image = tomopy.recon(
        padded,
        angles_rad,
        center=center_px + before + 0.5,
        sinogram_order=True,
        algorithm="gridrec",
        filter_name="ramlak",
        ncore=1,
    )
    return np.asarray(image[:, before : before + columns, before : before + columns])


def _to_grid(image: Volume) -> Volume:
    """gridrec's y runs the other way, and its grid lies half a pixel off: both undone, the second by a phase."""
    flipped = image[:, ::-1, :]
    n = flipped.shape[1]
    k = np.fft.fftfreq(n)
    turn = np.exp(1j * np.pi * (_HALF_PIXEL[0] * k[:, None] + _HALF_PIXEL[1] * k[None, :]))
    return np.asarray(np.fft.ifft2(np.fft.fft2(flipped) * turn).real, dtype=np.float32)


_HALF_PIXEL = (-1.0, 1.0)


@cache
def _gain(columns: int, angles: int) -> float:
    """gridrec's reading of a unit disc at this padding and number of views, from exact chords."""
    radius = 0.3 * columns
    u = np.arange(columns) - (columns - 1) / 2
    chord = 2 * np.sqrt(np.maximum(radius**2 - u**2, 0))
    sinogram = np.broadcast_to(chord, (2, angles, columns)).copy()
    image = _to_grid(_raw(sinogram, np.arange(angles) * np.pi / angles, (columns - 1) / 2))[0]
    inside = np.hypot(u[:, None], u[None, :]) < 0.8 * radius
    return float(image[inside].mean())


def gridrec(optical_depth: Array, angles_rad: Array, *, center_px: float, pixel_um: float) -> Volume:
    """The engine role: (row, angle, column) to attenuation (z, y, x) in 1/um, calibrated on a disc.

    Views are taken as evenly spread over half a turn, as gridrec does. Raises ImportError without tomopy.
    """
    rows, angles, columns = optical_depth.shape
    # gridrec packs two slices into one transform and drops none: it needs at least two.
    stack = optical_depth if rows > 1 else np.repeat(optical_depth, 2, axis=0)
    image = _to_grid(_raw(stack, angles_rad, center_px))[:rows]
    return np.asarray(image / (_gain(columns, angles) * pixel_um), dtype=np.float32)
