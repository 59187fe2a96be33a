"""Alignment of one stack of images, in the role that other people's functions have, too.

Each gives shifts (n, 2), pixels (row, column): how far each image has moved from where it should be.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from instrument.measurement import InputError

from ..prepare.geometry import straight
from .alignment import Align, align, solved
from .frames import Frames
from .registration import Registration

Array = NDArray[np.float64]

_PASSES = 12
_SPECIES = 2
_SMALLEST = 8  # rows and columns
_SMOOTHING_PX = (4.0, 2.0, 1.0)
_EDGE_PX = 1.0


def align_views(stack: Array, angles_rad: Array, *, threads: int = 1) -> Array:
    """Shifts of projections of one turning sample: `stack` (n, row, column) is optical depth at `angles_rad` (n,).

    Reconstruction, reprojection, and again (`alignment.align`). A constant along rows, and constant, cosine and sine across them
    are the sample's own place and the axis': they are not in the shifts. Raises InputError for shapes that do not fit.
    """
    _check(stack, angles_rad, "angles_rad")
    frames = Frames(lambda _: stack.transpose(1, 0, 2).astype(np.float32), 1, angles_rad, stack.shape[1:], 1.0, threads)
    stated = straight(1, len(stack), (stack.shape[2] - 1) / 2)
    wanted = Align(center=True, shifts=True, passes=_PASSES)
    found = align(frames, stated, np.zeros(1), lambda _: np.ones((1, 1)), np.ones(1), wanted)
    return np.asarray(found.geometry.shifts_px[0])


def align_energies(stack: Array, energies_eV: Array) -> Array:
    """Shifts of images of one view at several energies: `stack` (n, row, column) is optical depth at `energies_eV` (n,).

    Contrast that changes across the edge does not draw them along: each image is compared with a mixture of two images that
    the stack itself has in common, as two species make them, found anew after each correction. The shifts' mean is zero.
    Raises InputError for shapes that do not fit, and fewer than four images, which two species explain wherever they lie.
    """
    _check(stack, energies_eV, "energies_eV")
    if len(stack) < 2 * _SPECIES:
        raise InputError(f"align: found {len(stack)} images; allowed at least {2 * _SPECIES}; give more energies")
    shape = stack.shape[1:]
    frames = Frames(lambda i: stack[i][:, None].astype(np.float32), len(stack), np.zeros(1), shape, 1.0)
    geometry = straight(len(stack), 1, (shape[1] - 1) / 2)
    geometry.shifts_px[:, 0] = _from_first(stack)
    nothing = np.zeros(shape, np.float32)
    for number in range(_PASSES):
        images = np.stack([frames.straight(i, geometry, nothing) for i in range(len(stack))])
        flat = images.reshape(len(images), -1).astype(float)
        # One species first: with two, the second would be the first one's displacement.
        species = 1 if number < len(_SMOOTHING_PX) else _SPECIES
        spectra, sizes, paths = np.linalg.svd(flat - flat.mean(axis=1, keepdims=True), full_matrices=False)
        views = (sizes[:species, None] * paths[:species]).reshape(species, shape[0], 1, shape[1]).astype(np.float32)
        smoothing = _SMOOTHING_PX[number] if number < len(_SMOOTHING_PX) else 0.0
        registration = Registration(views, spectra[:, :species], np.ones(len(stack)), frames.angles_rad, smoothing_px=smoothing)
        for i, image in enumerate(images):
            registration.add(i, image)
        geometry.shifts_px[:, 0] += solved(registration, frames, Align()).shifts_px[:, 0]
        geometry.shifts_px[:, 0] -= geometry.shifts_px[:, 0].mean(axis=0)
    return np.asarray(geometry.shifts_px[:, 0])


def _from_first(stack: Array) -> Array:
    """Shifts (n, 2), whole pixels, by the correlation of the images' gradients, whose signs do not count."""
    smooth = gaussian_filter(stack.astype(float), _EDGE_PX, axes=(1, 2))  # or noise has more edges than the sample
    edges = np.stack([np.hypot(*np.gradient(image)) for image in smooth])
    edges -= edges.mean(axis=(1, 2), keepdims=True)
    size = tuple(2 * n for n in stack.shape[1:])
    spectra = np.fft.rfft2(edges, size)
    lags = []
    for spectrum in spectra:
        peak = np.argmax(np.fft.irfft2(spectrum * spectra[len(spectra) // 2].conj(), size))
        lags.append([lag - n if lag > n // 2 else lag for lag, n in zip(np.unravel_index(peak, size), size, strict=True)])
    return np.subtract(lags, np.mean(lags, axis=0, dtype=float), dtype=float)


def _check(stack: Array, values: Array, name: str) -> None:
    if (
        stack.ndim != 3
        or min(stack.shape) < 1
        or min(stack.shape[1:]) < _SMALLEST
        or np.shape(values) != stack.shape[:1]
        or not np.isfinite(stack).all()
    ):
        raise InputError(
            f"align: stack has shape {stack.shape}, {name} {np.shape(values)}; allowed is (n, row, column), finite, of at least "
            f"{_SMALLEST} rows and columns, and (n,)"
        )
    blank = np.ptp(stack, axis=(1, 2)) == 0
    if blank.any():
        raise InputError(
            f"align: {blank.sum()} of {len(stack)} images are blank, the first is number {np.argmax(blank)}; remove them"
        )
