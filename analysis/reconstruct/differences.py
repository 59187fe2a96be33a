"""Differences of neighbouring voxels, their transpose, and how large they are for waves."""

import numpy as np
import scipy.fft
from numpy.typing import NDArray

Array = NDArray[np.float64]
Values = NDArray[np.float32]


def gradient(maps: Values, part: slice) -> Values:
    """Forward differences (3, species, row of `part`, y, x), 0 at the far end of each axis."""
    out = np.zeros((3, len(maps), part.stop - part.start, *maps.shape[2:]), np.float32)
    here, after = maps[:, part], maps[:, part.start + 1 : part.stop + 1]
    np.subtract(after, here[:, : after.shape[1]], out=out[0, :, : after.shape[1]])
    np.subtract(here[:, :, 1:], here[:, :, :-1], out=out[1, :, :, :-1])
    np.subtract(here[..., 1:], here[..., :-1], out=out[2, ..., :-1])
    return out


def divergence(field: Values, part: slice) -> Values:
    """The transpose of `gradient`, (species, row of `part`, y, x) of a field (3, species, row, y, x)."""
    z, y, x = field[:, :, part]
    out: Values = -(z + y + x)
    before = field[0, :, max(part.start - 1, 0) : part.stop - 1]
    out[:, part.stop - part.start - before.shape[1] :] += before
    out[:, :, 1:] += y[:, :, :-1]
    out[..., 1:] += x[..., :-1]
    return out


def laplacian(columns: int) -> Array:
    """Squared size of the gradient of a wave (kz, ky, kx >= 0), infinite for the constant, which has none."""
    ky, kx, kz = (
        2 - 2 * np.cos(2 * np.pi * k) for k in (scipy.fft.fftfreq(columns), scipy.fft.rfftfreq(columns), scipy.fft.fftfreq(32))
    )
    out = kz[:, None, None] + ky[:, None] + kx
    out[:, 0, 0] = np.inf
    return np.asarray(out)
