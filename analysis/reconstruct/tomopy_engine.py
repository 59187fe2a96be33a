"""tomopy's gridrec and iterative algorithms in the engine role, with the corrections they need to be quantitative.

Used when tomopy is importable; it comes from conda-forge (environment.yml).
"""

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .fbp import Filter
from .iterative import noise_variance
from .operators import Projector, on_rows

Array = NDArray[np.float64]
Floats = NDArray[np.floating[Any]]
Volume = NDArray[np.float32]

_FILTERS = {"ramp": "ramlak", "shepp-logan": "shepp", "cosine": "cosine", "hann": "hann"}

_DARK = 1e-9  # of the largest value: where mlem has come down to nothing, the next quotient is 0 / 0
# Iterations between looks at the residual, and how often it is looked at.
_STEPS = {"sirt": (10, 20), "mlem": (5, 20)}

# Columns added on either side, in widths: with less, a disc reads low and stands in a trough. Nine widths are
# never a power of two, where gridrec reads past the end of its window.
_PADDING = 4


def _raw(optical_depth: Floats, angles_rad: Array, center_px: float, window: Filter) -> Volume:
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


def gridrec(optical_depth: Floats, angles_rad: Array, *, center_px: float, pixel_um: float, window: Filter = "ramp") -> Volume:
    """The engine role: (row, angle, column) to attenuation (z, y, x) in 1/um, calibrated on a disc.

    Views are taken as evenly spread over half a turn, as gridrec does. Raises ImportError without tomopy.
    """
    rows, angles, columns = optical_depth.shape
    # gridrec packs two slices into one transform and drops none: it needs at least two.
    stack = optical_depth if rows > 1 else np.repeat(optical_depth, 2, axis=0)
    image = _to_grid(_raw(stack, angles_rad, center_px, window))[:rows]
    return np.asarray(image / (_gain(columns, angles, window) * pixel_um), dtype=np.float32)


def iterative(optical_depth: Floats, angles_rad: Array, *, center_px: float, pixel_um: float, algorithm: str) -> Volume:
    """The engine role: tomopy's `algorithm` until the residual is what noise leaves, (z, y, x) in 1/um.

    Its projector counts columns from their edges, so the axis is half a pixel further on, and y runs the other way. tomopy has
    no rule to stop; as in `cgls` noise is measured from the rays, here once for all rows. Rays weigh alike. 'mlem' takes rays
    below zero for zero, so noise about zero becomes a veil. Raises ImportError without tomopy.
    """
    import tomopy

    columns = optical_depth.shape[2]
    rays = np.asarray(np.maximum(optical_depth, 0) if algorithm == "mlem" else optical_depth, np.float32)
    projector = Projector(angles_rad, columns, center_px=center_px, pixel_um=1.0)
    noise = float(noise_variance(optical_depth).mean()) * optical_depth.size
    steps, looks = _STEPS[algorithm]
    image: Any = None
    for _ in range(looks):
        image = tomopy.recon(
            rays,
            angles_rad,
            center=center_px + 0.5,
            sinogram_order=True,
            algorithm=algorithm,
            init_recon=image,
            num_iter=steps,
            ncore=1,
        )
        rest = on_rows(projector.forward, image[:, ::-1], projector.rows) - rays
        if float(np.vdot(rest, rest)) <= noise:
            break
        if algorithm == "mlem":
            np.maximum(image, _DARK * image.max(), out=image)
    return np.asarray(image[:, ::-1] / pixel_um, np.float32)
