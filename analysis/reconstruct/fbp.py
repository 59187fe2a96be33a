"""Filtered backprojection on finufft, and the exact propagation of noise through it.

f(x, y) = integral over theta of the projection convolved with a kernel h at u = x cos + y sin
(Kak and Slaney, 1988, ch. 3). The sum over angles and frequencies is one type-1 transform.
"""

from typing import Literal

import finufft
import numpy as np
import scipy.fft
from numpy.typing import NDArray

from ..prepare.noise import power_spectrum
from ..prepare.normalize import bridge

Array = NDArray[np.float64]
Volume = NDArray[np.float32]
Filter = Literal["ramp", "shepp-logan", "cosine", "hann"]

_WINDOWS = {
    "ramp": lambda t: np.ones_like(t),
    "shepp-logan": lambda t: np.sinc(t / 2),
    "cosine": lambda t: np.cos(np.pi * t / 2),
    "hann": lambda t: np.cos(np.pi * t / 2) ** 2,
}


def angular_weights(angles_rad: Array) -> Array:
    """Share of the half circle that each view stands for, radian; the sum is pi without gaps.

    Views that look along the same line (the first and last of -90..+90) share their part. A gap of
    more than twice the median is a missing wedge: nobody fills it.
    """
    turned = np.mod(np.asarray(angles_rad, float), np.pi)
    # -90 and +90 degrees fall on either side of the seam by rounding: bring them together.
    turned = np.where(np.pi - turned < 1e-6, turned - np.pi, turned)
    order = np.argsort(turned, kind="stable")
    gaps = np.diff(np.append(turned[order], turned[order][0] + np.pi))
    real = gaps[gaps > 1e-6]
    median = float(np.median(real))
    gaps = np.where(gaps > 2 * median, median, gaps)
    gaps[gaps <= 1e-6] = 0.0
    weights = np.empty_like(turned)
    weights[order] = (gaps + np.roll(gaps, 1)) / 2
    return np.asarray(weights)


class FilteredBackprojection:
    """The transform for one set of views and columns, shared by all energies, rows and threads.

    `correlation` (lag,) is that of the detector noise along a row; only variances depend on it.
    """

    def __init__(
        self,
        angles_rad: Array,
        columns: int,
        *,
        center_px: float,
        pixel_um: float,
        window: Filter = "ramp",
        correlation: Array | None = None,
    ):
        self.columns = columns
        self.padded = padded_length(columns)
        self.pixel_um = pixel_um
        self.weights = angular_weights(angles_rad)
        self._angles = np.asarray(angles_rad, float)
        self._center = center_px
        k = np.fft.fftfreq(self.padded) * 2 * np.pi
        offset = columns // 2 - (columns - 1) / 2
        self._arguments = np.outer(np.sin(angles_rad), k), np.outer(np.cos(angles_rad), k)
        # The axis sits at column center_px; voxel i half a voxel above finufft's mode i - n//2.
        turns = k * center_px + offset * (self._arguments[0] + self._arguments[1])
        self._phase = np.exp(1j * turns).astype(np.complex64)
        ramp = _ramp(self.padded) * _WINDOWS[window](np.abs(k) / np.pi)
        ramp[self.padded // 2] = 0  # the unpaired Nyquist sample
        self._transfer = self._scaled(ramp / pixel_um, self.weights)
        noise = ramp * np.sqrt(power_spectrum(np.ones(1) if correlation is None else correlation, self.padded))
        squared_kernel = np.fft.ifft(noise).real ** 2
        self._own_gain = float(squared_kernel.sum() * (self.weights**2).sum()) / pixel_um**2
        self._variance_transfer = self._scaled(np.fft.fft(squared_kernel).real / pixel_um**2, self.weights**2)
        self._ring_radii, self._ring_kernel = self._rings(noise)

    def _scaled(self, transfer: Array, weights: Array) -> NDArray[np.complex64]:
        return np.asarray(transfer / self.padded * weights[:, None] * self._phase, np.complex64)

    def plan(self, rows: int) -> finufft.Plan:
        """A transform for blocks of `rows` rows, to be used by one thread at a time."""
        size = (self.columns, self.columns)
        plan = finufft.Plan(1, size, n_trans=(rows + 1) // 2, isign=1, eps=1e-4, dtype="complex64", nthreads=1, upsampfac=1.25)
        plan.setpts(*(argument.ravel().astype(np.float32) for argument in self._arguments))
        return plan

    def _backproject(self, sinograms: Array, transfer: NDArray[np.complex64], plan: finufft.Plan) -> Volume:
        """Convolve (row, angle, column) and sum over angles; two rows share one complex transform."""
        rows = len(sinograms)
        packed = np.zeros(((rows + 1) // 2, len(self._angles), self.columns), np.complex64)
        packed.real = sinograms[0::2]
        packed.imag[: rows // 2] = sinograms[1::2]
        spectra = scipy.fft.fft(packed, self.padded, axis=-1)
        spectra *= transfer
        images = plan.execute(spectra.reshape(len(packed), -1)).reshape(-1, self.columns, self.columns)
        out = np.empty((rows, self.columns, self.columns), np.float32)
        out[0::2] = images.real
        out[1::2] = images.imag[: rows // 2]
        return out

    def reconstruct(self, optical_depth: Array, plan: finufft.Plan) -> Volume:
        """Attenuation (row, y, x), 1/um, of optical depth (row, angle, column)."""
        return self._backproject(optical_depth, self._transfer, plan)

    def variance(self, ray_variance: Array, shared_variance: Array, plan: finufft.Plan) -> Volume:
        """Variance of each voxel, 1/um^2, from that of the rays; or a covariance, from theirs.

        Independent rays (row, angle, column) add with the squared kernel. `shared_variance`
        (row, column) is one error for all angles: it adds with the square of the angular sum, which
        is large near the axis (rings). Noise correlated along a row enters through its power spectrum.
        """
        out = self._backproject(ray_variance, self._variance_transfer, plan)
        profiles = shared_variance @ self._ring_kernel.T / self.pixel_um**2
        axis = np.arange(self.columns) - (self.columns - 1) / 2
        radius = np.hypot(axis[:, None], axis[None, :]).ravel()
        for row, profile in enumerate(profiles):
            out[row] += np.interp(radius, self._ring_radii, profile).reshape(out[row].shape)
        return out

    def gains(self) -> tuple[float, Array, Array]:
        """Variance of a voxel, 1/um^2, where that of all rays is 1; at radii (n,), um, what 1 that all views share adds (n,)."""
        return self._own_gain, self._ring_radii * self.pixel_um, self._ring_kernel.sum(axis=1) / self.pixel_um**2

    def _rings(self, noise: Array) -> tuple[Array, Array]:
        """Squared response (radius, column) of a voxel at each radius, px, to an error of a column at all angles."""
        fine = 16
        spectrum = np.zeros(self.padded * fine)
        half = self.padded // 2
        spectrum[:half], spectrum[-half:] = noise[:half], noise[-half:]
        kernel = np.fft.ifft(spectrum).real * fine
        radii = np.unique(np.concatenate([np.arange(0, 8, 0.5), np.linspace(8, self.columns / np.sqrt(2) + 1, 40)]))
        columns = np.arange(self.columns)
        out = np.zeros((len(radii), self.columns))
        azimuths = np.linspace(0, np.pi, 6, endpoint=False) + 0.1
        for i, radius in enumerate(radii):
            for azimuth in azimuths:
                u = self._center + radius * np.cos(self._angles - azimuth)
                index = np.rint((u[:, None] - columns) * fine).astype(int) % len(kernel)
                out[i] += (self.weights @ kernel[index]) ** 2 / len(azimuths)
        return radii, out


def padded_length(columns: int) -> int:
    """A power of two at least twice the columns: a row's ends do not meet in the convolution."""
    return 2 * int(2 ** np.ceil(np.log2(columns)))


def _ramp(size: int) -> Array:
    """Transfer function of the band-limited ramp per pixel, from its exact kernel (Kak and Slaney, eq. 61)."""
    n = np.fft.fftfreq(size, 1 / size)
    kernel = np.zeros(size)
    kernel[0] = 0.25
    odd = n % 2 == 1
    kernel[odd] = -1 / (np.pi * n[odd]) ** 2
    return np.asarray(np.fft.fft(kernel).real)


def fbp(optical_depth: Array, angles_rad: Array, *, center_px: float, pixel_um: float, window: Filter = "ramp") -> Volume:
    """The engine role: (row, angle, column) to attenuation (z, y, x) in 1/um. Rays that are NaN are bridged along their row."""
    rows, _, columns = optical_depth.shape
    transform = FilteredBackprojection(angles_rad, columns, center_px=center_px, pixel_um=pixel_um, window=window)
    return transform.reconstruct(_bridged(optical_depth), transform.plan(rows))


def _bridged(rays: Array) -> Array:
    """Rays (row, angle, column) without NaN: between their neighbours in the row, 0 where a row of a view has none."""
    missing = np.isnan(rays)
    if not missing.any():
        return rays
    out = rays.copy()
    out[missing.all(axis=2)] = 0
    for place in zip(*np.nonzero(missing.any(axis=2)), strict=True):
        bridge(missing[place], out[place][None])
    return out
