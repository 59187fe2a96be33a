"""What happens to a frame between source and file, one function each.

Exposure effects: (instrument, frame) -> displacement (row, column) in um. Photon and count effects:
(image, instrument, frame) -> image, photon effects on the fine grid before shot noise, count
effects on pixels. An effect of size zero returns its input unchanged, so that it equals the effect
taken out bit for bit. The order is `microscope.EXPOSURE`, `PHOTONS`, `COUNTS`.
"""

from functools import lru_cache

import numpy as np
import scipy.fft
from numpy.typing import NDArray
from scipy.ndimage import correlate1d
from scipy.special import erf

from .frame import Frame
from .settings import FULL_SCALE_ADU, Instrument

Array = NDArray[np.float64]
Image = NDArray[np.float32]
FWHM_PER_SIGMA = 2 * np.sqrt(2 * np.log(2))


def runout_um(instrument: Instrument, frame: Frame) -> Array:
    """Random displacement of the sample in this frame, normal, independent along row and column."""
    if instrument.stage.runout_um == 0:
        return np.zeros(2)
    return np.asarray(frame.rng("runout").normal(0, instrument.stage.runout_um, 2))


def _filtered(image: Image, row_transfer: Array, column_transfer: Array) -> Image:
    """A transmission image through a separable transfer function; beyond the field lies open beam."""
    absorbed = 1 - image
    if not absorbed.any():
        return image
    spectrum = scipy.fft.rfft2(absorbed)
    spectrum *= row_transfer[:, None].astype(np.complex64)
    spectrum *= column_transfer[None, :].astype(np.complex64)
    return np.asarray(1 - scipy.fft.irfft2(spectrum, s=image.shape))


def displace(image: Image, shift: Array) -> Image:
    """Move an image by (row, column) samples of its own grid, by the Fourier shift theorem."""
    if not np.any(shift):
        return image
    rows, columns = image.shape
    return _filtered(
        image,
        np.exp(-2j * np.pi * scipy.fft.fftfreq(rows) * shift[0]),
        np.exp(-2j * np.pi * scipy.fft.rfftfreq(columns) * shift[1]),
    )


def blur(image: Image, instrument: Instrument, frame: Frame) -> Image:
    """The optics' blur of intensity: a Gaussian of `optics.blur_fwhm_um`."""
    fwhm = instrument.optics.blur_fwhm_um
    if fwhm == 0:
        return image
    sigma = fwhm / FWHM_PER_SIGMA / frame.pixel_um * frame.oversampling
    rows, columns = image.shape
    return _filtered(
        image,
        np.exp(-2 * (np.pi * sigma * scipy.fft.fftfreq(rows)) ** 2),
        np.exp(-2 * (np.pi * sigma * scipy.fft.rfftfreq(columns)) ** 2),
    )


@lru_cache(maxsize=4)
def _profile(shape: tuple[int, int], falloff: float) -> Image:
    row, column = (np.linspace(-1, 1, n) ** 2 / 2 for n in shape)
    return (1 - falloff * (row[:, None] + column[None, :])).astype(np.float32)


def beam_profile(image: Image, instrument: Instrument, frame: Frame) -> Image:
    """Illumination at the detector: a parabola that falls by `beam.falloff` towards the corners."""
    if instrument.beam.falloff == 0:
        return image
    return image * _profile((image.shape[0], image.shape[1]), instrument.beam.falloff)


def shot_noise(photons: Array, instrument: Instrument, frame: Frame) -> Array:
    """Detected photons, Poisson-distributed about the expected ones."""
    if not instrument.beam.shot_noise:
        return photons
    return frame.rng("shot noise").poisson(np.maximum(photons, 0)).astype(float)


@lru_cache(maxsize=4)
def spread_kernel(sigma_px: float) -> Array:
    """Share of light in each pixel along one axis: a Gaussian integrated over pixels, sum 1."""
    half = int(np.ceil(5 * sigma_px))
    edges = (np.arange(-half, half + 2) - 0.5) / (sigma_px * np.sqrt(2))
    weights = np.diff(erf(edges)) / 2
    return np.asarray(weights / weights.sum())


def scintillator_spread(photons: Array, instrument: Instrument, frame: Frame) -> Array:
    """Light spreads to neighbours after the photon was counted: blurs the signal and correlates its noise."""
    sigma = instrument.camera.spread_px
    if sigma == 0:
        return photons
    kernel = spread_kernel(sigma)
    return np.asarray(correlate1d(correlate1d(photons, kernel, axis=0, mode="nearest"), kernel, axis=1, mode="nearest"))


def gain(photons: Array, instrument: Instrument, frame: Frame) -> Array:
    """Photons to ADU, on the camera's offset."""
    return photons * instrument.gain_adu + instrument.camera.offset_adu


def read_noise(adu: Array, instrument: Instrument, frame: Frame) -> Array:
    """Normal noise of the readout."""
    if instrument.camera.read_noise_adu == 0:
        return adu
    return np.asarray(adu + frame.rng("read noise").normal(0, instrument.camera.read_noise_adu, adu.shape))


def digitize(adu: Array, instrument: Instrument, frame: Frame) -> Array:
    """Rounded to whole ADU, clipped to 16 bits."""
    return np.clip(np.rint(adu), 0, FULL_SCALE_ADU)
