"""Parallel-beam projection by the Fourier slice theorem on finufft."""

from concurrent.futures import ThreadPoolExecutor

import finufft
import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

_SLICES_A_CALL = 16  # fixed, so that results never depend on the number of threads


def project(volume: NDArray[np.float32], angles_rad: Array, voxel_um: float, threads: int = 1) -> NDArray[np.float32]:
    """Line integrals of `volume` (z, y, x), shape (angle, z, x): value * um, on columns of one voxel.

    x = u cos - s sin, y = u sin + s cos, the axis in the middle. The object is taken as band-limited at
    the voxel and must lie inside the inscribed cylinder. Two real slices share one complex type-2
    transform (Barnett, Magland, af Klinteberg, SIAM J. Sci. Comput. 41 (2019) C479).
    """
    rows, n_y, n_x = volume.shape
    if n_y != n_x:
        raise ValueError(f"slices must be square, found {n_y} x {n_x}")
    k = np.fft.fftfreq(n_x) * 2 * np.pi
    arg_y = np.outer(np.sin(angles_rad), k)
    arg_x = np.outer(np.cos(angles_rad), k)
    # finufft counts modes from -n//2; voxel i sits half a voxel above that for even n.
    offset = n_x // 2 - (n_x - 1) / 2
    # To the detector's own samples: column j of n sits at j - (n-1)/2.
    phase = np.exp(-1j * offset * (arg_x + arg_y)) * np.exp(-1j * (n_x - 1) / 2 * k)
    if n_x % 2 == 0:
        phase[:, n_x // 2] = 0  # the unpaired Nyquist sample has no real counterpart
    phase = phase.astype(np.complex64)
    out = np.zeros((len(angles_rad), rows, n_x), np.float32)
    filled = np.flatnonzero([layer.any() for layer in volume])
    batches = [filled[i : i + _SLICES_A_CALL] for i in range(0, len(filled), _SLICES_A_CALL)]

    def run(batch: NDArray[np.intp]) -> None:
        pairs = np.zeros(((len(batch) + 1) // 2, n_y, n_x), np.complex64)
        pairs.real = volume[batch[0::2]]
        pairs.imag[: len(batch) // 2] = volume[batch[1::2]]
        spectra = finufft.nufft2d2(
            arg_y.ravel().astype(np.float32),
            arg_x.ravel().astype(np.float32),
            pairs,
            isign=-1,
            eps=1e-4,
            upsampfac=1.25,
            nthreads=1,
        )
        lines = np.fft.ifft(spectra.reshape(-1, len(angles_rad), n_x) * phase, axis=-1)
        lines = lines.transpose(1, 0, 2) * voxel_um
        out[:, batch[0::2]] = lines.real
        out[:, batch[1::2]] = lines.imag[:, : len(batch) // 2]

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(run, batches))
    return out
