"""What happens to the light before it is detected: effects (image, instrument, frame, exposure) -> image on pixels.

1 is the open beam at its centre. An effect of size zero returns its input unchanged.
"""

from functools import lru_cache

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from .frame import Exposure, Frame
from .randomness import generator
from .settings import Instrument

Array = NDArray[np.float64]


def stray_light(image: Array, instrument: Instrument, frame: Frame, exposure: Exposure) -> Array:
    """Light that has not met the sample lies over the image: (T + s) / (1 + s)."""
    share = instrument.beam.stray_light
    return image if share == 0 else (image + share) / (1 + share)


def structure(image: Array, instrument: Instrument, frame: Frame, exposure: Exposure) -> Array:
    """The beam's own fine structure, a smooth random pattern that walks with `exposure.structure_px`."""
    beam = instrument.beam
    if beam.structure == 0:
        return image
    shape = (image.shape[0], image.shape[1])
    spectrum = _structure_spectrum(frame.seed, shape, beam.structure_px)
    row, column = exposure.structure_px
    if row or column:
        turn = scipy.fft.fftfreq(shape[0])[:, None] * row + scipy.fft.rfftfreq(shape[1]) * column
        spectrum = spectrum * np.exp(-2j * np.pi * turn)
    pattern = scipy.fft.irfft2(spectrum, s=shape)
    return np.asarray(image * np.maximum(1 + beam.structure * pattern, 0))


@lru_cache(maxsize=4)
def _structure_spectrum(seed: int, shape: tuple[int, int], grain_px: float) -> NDArray[np.complex128]:
    """Spectrum of a pattern of mean 0 and rms 1."""
    noise = scipy.fft.rfft2(generator(seed, "beam structure").normal(size=shape))
    radius2 = scipy.fft.fftfreq(shape[0])[:, None] ** 2 + scipy.fft.rfftfreq(shape[1]) ** 2
    noise *= np.exp(-2 * (np.pi * grain_px) ** 2 * radius2)
    noise[0, 0] = 0
    return np.asarray(noise / max(float(scipy.fft.irfft2(noise, s=shape).std()), 1e-30))


@lru_cache(maxsize=8)
def _corner_power(shape: tuple[int, int], power: int) -> Array:
    """(distance from the centre over that of the corner)^power."""
    row, column = (np.linspace(-1, 1, n) ** 2 / 2 for n in shape)
    return np.asarray((row[:, None] + column) ** (power / 2))


def falloff(image: Array, instrument: Instrument, frame: Frame, exposure: Exposure) -> Array:
    """Illumination: a parabola that falls by `beam.falloff` towards the corners."""
    return _dimmed(image, instrument.beam.falloff, 2)


def vignetting(image: Array, instrument: Instrument, frame: Frame, exposure: Exposure) -> Array:
    """The optics' cut at the edge of the field: the 8th power of the distance from its centre."""
    return _dimmed(image, instrument.beam.vignetting, 8)


def halo(image: Array, instrument: Instrument, frame: Frame, exposure: Exposure) -> Array:
    """The condenser's ring that misses the zone plate: light without image, the more the farther out."""
    return _haloed(image, instrument.beam.halo)


def profile(shape: tuple[int, int], instrument: Instrument) -> Array:
    """Intensity of the open beam in every pixel (row, column) of `shape` over that at its centre, without its fine structure."""
    beam = instrument.beam
    return _haloed(_dimmed(_dimmed(np.ones(shape), beam.falloff, 2), beam.vignetting, 8), beam.halo)


def _dimmed(image: Array, share: float, power: int) -> Array:
    """Dimmer by a share at the corners, as a power of the distance from the centre."""
    return image if share == 0 else image * (1 - share * _corner_power((image.shape[0], image.shape[1]), power))


def _haloed(image: Array, share: float) -> Array:
    return image if share == 0 else image + share * _corner_power((image.shape[0], image.shape[1]), 4)


def flux(image: Array, instrument: Instrument, frame: Frame, exposure: Exposure) -> Array:
    """All of it scales with what the source gives."""
    return image if exposure.flux == 1 else image * exposure.flux
