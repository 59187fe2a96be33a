"""Projection and its exact transpose on finufft, for one set of views and columns; the normal operator as a convolution.

An image is samples of a band-limited function: a view is a line through its spectrum (Fourier slice theorem; transforms of
Barnett, Magland and af Klinteberg, SIAM J. Sci. Comput. 41 (2019) C479). Averages over square pixels, seen by detector pixels
of the same width, follow this to 2 % at the Nyquist frequency of a diagonal view, and better below. Samples outside the disc
that every view sees are zero.
"""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import finufft
import numpy as np
import scipy.fft
from numpy.typing import NDArray

Array = NDArray[np.float64]
Floats = NDArray[np.floating[Any]]
Values = NDArray[np.float32]
T = TypeVar("T")

# Fixed by the width alone, so that results never depend on threads. Of wide slices few stand in memory.
_ROWS, _FEW, _WIDE = 8, 4, 512
_EPS = 1e-4


def seen_by_all(columns: int, center_px: float) -> NDArray[np.bool_]:
    """Pixels (y, x) whose centre lies in the disc that every view sees, for an axis at column `center_px`."""
    axis = np.arange(columns) - (columns - 1) / 2
    reach = min(center_px + 0.5, columns - 0.5 - center_px)
    return np.asarray(np.hypot(axis[:, None], axis[None, :]) <= reach)


class Projector:
    """A: slices (row, y, x) in 1/um to optical depth (row, angle, column), and its transpose, `rows` rows a call at most.

    Several threads may call it at the same time; each keeps transforms of its own.
    """

    def __init__(self, angles_rad: Array, columns: int, *, center_px: float, pixel_um: float):
        self.columns, self.views = columns, len(angles_rad)
        self.rows = _ROWS if columns <= _WIDE else _FEW
        self.mask = seen_by_all(columns, center_px)
        k = np.fft.fftfreq(columns) * 2 * np.pi
        y, x = np.outer(np.sin(angles_rad), k), np.outer(np.cos(angles_rad), k)
        # The axis sits at column center_px; pixel i half a pixel above finufft's mode i - n//2 at even n.
        offset = columns // 2 - (columns - 1) / 2
        phase = np.exp(-1j * (k * center_px + offset * (y + x))) * pixel_um
        if columns % 2 == 0:
            phase[:, columns // 2] = 0  # the unpaired Nyquist sample has no real counterpart
        self._phase = phase.astype(np.complex64)
        self._points = y, x
        self._own = threading.local()

    def _plan(self, kind: int) -> finufft.Plan:
        """This thread's transform of type 1 or 2."""
        plans = self._own.__dict__.setdefault("plans", {})
        if kind not in plans:
            size = (self.columns, self.columns)
            options = {"n_trans": self.rows // 2, "isign": 3 - 2 * kind, "eps": _EPS, "upsampfac": 1.25, "nthreads": 1}
            plans[kind] = finufft.Plan(kind, size, dtype="complex64", **options)
            plans[kind].setpts(*(points.ravel().astype(np.float32) for points in self._points))
        return plans[kind]

    def _pack(self, rows: Values) -> NDArray[np.complex64]:
        """Two real rows to a complex one, always as many as the plan takes."""
        packed = np.zeros((self.rows // 2, *rows.shape[1:]), np.complex64)
        packed.real[: (len(rows) + 1) // 2] = rows[0::2]
        packed.imag[: len(rows) // 2] = rows[1::2]
        return packed

    @staticmethod
    def _unpack(packed: NDArray[np.complex64], rows: int) -> Values:
        out = np.empty((rows, *packed.shape[1:]), np.float32)
        out[0::2] = packed.real[: (rows + 1) // 2]
        out[1::2] = packed.imag[: rows // 2]
        return out

    def forward(self, slices: Values) -> Values:
        """Optical depth (row, angle, column) of slices (row, y, x)."""
        spectra = self._plan(2).execute(self._pack(slices * self.mask)).reshape(-1, self.views, self.columns)
        spectra *= self._phase
        return self._unpack(scipy.fft.ifft(spectra, axis=-1, overwrite_x=True), len(slices))

    def adjoint(self, rays: Values) -> Values:
        """The transpose of `forward`: slices (row, y, x) of rays (row, angle, column)."""
        spectra = scipy.fft.fft(self._pack(rays), axis=-1, norm="forward", overwrite_x=True)
        spectra *= self._phase.conj()
        images = self._plan(1).execute(spectra.reshape(self.rows // 2, -1))
        return self._unpack(images, len(rays)) * self.mask

    def kernel(self, weights: Array) -> Array:
        """Of A^T diag(weights) A without the mask, for weights (angle,): the value (dy, dx) at each lag from -columns on."""
        power = np.abs(self._phase.astype(complex)) ** 2 * weights[:, None] / self.columns
        points = (points.ravel() for points in self._points)
        size = (2 * self.columns, 2 * self.columns)
        return np.asarray(finufft.nufft2d1(*points, power.ravel().astype(complex), size, eps=1e-7, nthreads=1).real)


class Convolution:
    """A^T W A for weights (species, species, angle) that depend on the angle alone, by Fourier transforms of twice the width.

    Exact but for the transforms' precision (Chan and Ng, SIAM Review 38 (1996) 427); one slice at a time stays in the cache.
    """

    def __init__(self, projector: Projector, weights: Array):
        n = projector.columns
        self._n, self._mask = n, projector.mask
        shifted = [np.fft.ifftshift(projector.kernel(w)) for row in weights for w in row]
        transfer = np.stack([scipy.fft.rfft2(kernel).real for kernel in shifted])
        self._transfer = transfer.reshape(len(weights), len(weights), 2 * n, n + 1).astype(np.float32)

    def __call__(self, slices: Values) -> Values:
        """A^T W A of slices (species, row, y, x)."""
        out = np.empty_like(slices)
        n, mask = self._n, self._mask
        for row in range(slices.shape[1]):
            spectra = scipy.fft.fft(scipy.fft.rfft(slices[:, row] * mask, 2 * n, axis=-1), 2 * n, axis=-2, overwrite_x=True)
            mixed = np.einsum("pqyx,qyx->pyx", self._transfer, spectra) if len(spectra) > 1 else spectra * self._transfer[0]
            lines = scipy.fft.ifft(mixed, axis=-2, overwrite_x=True)[:, :n]
            out[:, row] = scipy.fft.irfft(lines, 2 * n, axis=-1)[..., :n] * mask
        return out


def circulant(kernel: Array) -> Array:
    """Spectrum (ky, kx >= 0) of the periodic convolution nearest to that with `kernel` (Projector.kernel), 1-norm of lags folded.

    T. Chan, SIAM J. Sci. Stat. Comput. 9 (1988) 766: the lags are weighted by how many pairs of pixels have them. Non-negative.
    """
    n = len(kernel) // 2
    share = 1 - np.abs(np.arange(-n, n)) / n
    folded = (kernel * share[:, None] * share).reshape(2, n, 2, n).sum(axis=(0, 2))
    return np.asarray(np.maximum(scipy.fft.rfft2(folded).real, 0))


def on_blocks(work: Callable[[slice], T], rows: int, size: int, pool: ThreadPoolExecutor) -> list[T]:
    """`work` on blocks of `size` rows, in order of rows whatever the threads."""
    return list(pool.map(work, [slice(low, min(low + size, rows)) for low in range(0, rows, size)]))


def on_rows(work: Callable[[Values], Values], stack: Values, size: int) -> Values:
    """`work` on blocks of `size` rows (row, ...) one after the other."""
    return np.concatenate([work(stack[low : low + size]) for low in range(0, len(stack), size)])
