"""Parallel-beam projection by the Fourier slice theorem on finufft."""

from concurrent.futures import ThreadPoolExecutor

import finufft
import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

# Fixed by the size alone, so that results never depend on the number of threads. Of large slices few stand in memory.
_SLICES_A_CALL, _FEW, _LARGE = 16, 4, 512


def project(volume: NDArray[np.float32], angles_rad: Array, voxel_um: float, threads: int = 1) -> NDArray[np.float32]:
    """Line integrals of `volume` (z, y, x), shape (angle, z, x): value * um, on columns of one voxel.

    x = u cos - s sin, y = u sin + s cos, the axis in the middle. The object is taken as band-limited at
    the voxel and must lie inside the inscribed cylinder. Two real slices share one complex type-2
    transform (Barnett, Magland, af Klinteberg, SIAM J. Sci. Comput. 41 (2019) C479).
    """
    return np.asarray(project_slabs(volume, angles_rad, voxel_um, np.zeros(1), threads)[0])


def slab_weight(depth_um: Array, spacing_um: float) -> Array:
    """Share of a slab in what lies at a depth from its middle, `depth_um` of any shape: a Hann window; slabs sum to 1."""
    return np.where(np.abs(depth_um) < spacing_um, np.cos(np.pi * depth_um / (2 * spacing_um)) ** 2, 0.0)


def project_slabs(
    volume: NDArray[np.float32], angles_rad: Array, voxel_um: float, depths_um: Array, threads: int = 1
) -> NDArray[np.float32]:
    """`project` in slabs along the beam, (slab, angle, z, x); their sum is the projection.

    `depths_um` (slab,) are the slabs' middles, equally spaced, the outer ones at the object's ends. In the Fourier
    transform of a slice a wave exp(i kappa s) along the ray moves the line that a view samples sideways by kappa: a few
    lines beside it give all slabs.
    """
    rows, n_y, n_x = volume.shape
    if n_y != n_x:
        raise ValueError(f"slices must be square, found {n_y} x {n_x}")
    kappa, weights = _waves(depths_um, voxel_um)
    k = np.fft.fftfreq(n_x) * 2 * np.pi
    sin, cos = np.sin(angles_rad)[:, None], np.cos(angles_rad)[:, None]
    arg_y = k * sin - kappa[:, None, None] * cos
    arg_x = k * cos + kappa[:, None, None] * sin
    # finufft counts modes from -n//2; voxel i sits half a voxel above that for even n.
    offset = n_x // 2 - (n_x - 1) / 2
    # To the detector's own samples: column j of n sits at j - (n-1)/2.
    phase = np.exp(-1j * offset * (arg_x + arg_y)) * np.exp(-1j * (n_x - 1) / 2 * k)
    if n_x % 2 == 0:
        phase[..., n_x // 2] = 0  # the unpaired Nyquist sample has no real counterpart
    phase = phase.astype(np.complex64)
    out = np.zeros((len(depths_um), len(angles_rad), rows, n_x), np.float32)
    filled = np.flatnonzero([layer.any() for layer in volume])
    batch_size = max(2, (_SLICES_A_CALL if n_x <= _LARGE else _FEW) // len(kappa) // 2 * 2)
    batches = [filled[i : i + batch_size] for i in range(0, len(filled), batch_size)]

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
        waves = spectra.reshape(-1, *arg_x.shape) * phase
        for slab, share in zip(out, weights, strict=True):
            lines = np.fft.ifft(np.tensordot(waves, share, axes=(1, 0)) if len(share) > 1 else waves[:, 0], axis=-1)
            lines = lines.transpose(1, 0, 2) * voxel_um
            slab[:, batch[0::2]] = lines.real
            slab[:, batch[1::2]] = lines.imag[:, : len(batch) // 2]

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(run, batches))
    return out


def _waves(depths_um: Array, voxel_um: float) -> tuple[Array, NDArray[np.complex64]]:
    """Waves kappa (wave,), radian per voxel, and the share (slab, wave) of each in the window of each slab."""
    count = len(depths_um)
    if count == 1:
        return np.zeros(1), np.ones((1, 1), np.complex64)
    spacing = float(depths_um[1] - depths_um[0])
    order = np.arange(-2 * count, 2 * count + 1)
    turn = 2 * order / count
    # Fourier series of the Hann window repeated after `count` spacings; its orders beyond fall with the third power.
    hann = np.where(np.abs(turn) == 1, 0.5, np.sinc(turn) / np.where(np.abs(turn) == 1, 1, 1 - turn**2)) / count
    kappa = 2 * np.pi * order / (count * spacing)
    return np.asarray(kappa * voxel_um, float), np.asarray(hann * np.exp(-1j * np.outer(depths_um, kappa)), np.complex64)
