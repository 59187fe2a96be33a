"""What the camera makes of the light: effects (image, instrument, frame, exposure) -> image on pixels.

Up to `gain` in detected photons, from there in ADU. An effect of size zero returns its input unchanged. Patterns of pixels belong
to the camera: they are the same in every frame of every scan of a seed.
"""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import correlate1d
from scipy.special import erf

from .frame import Exposure, Frame
from .randomness import generator
from .settings import FULL_SCALE_ADU, Instrument

Array = NDArray[np.float64]


def shot_noise(photons: Array, instrument: Instrument, frame: Frame, exposure: Exposure) -> Array:
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


def scintillator_spread(photons: Array, instrument: Instrument, frame: Frame, exposure: Exposure) -> Array:
    """Light spreads to neighbours after the photon was counted: blurs the signal and correlates its noise."""
    sigma = instrument.camera.spread_px
    if sigma == 0:
        return photons
    kernel = spread_kernel(sigma)
    return np.asarray(correlate1d(correlate1d(photons, kernel, axis=0, mode="nearest"), kernel, axis=1, mode="nearest"))


@lru_cache(maxsize=16)
def _pattern(seed: int, name: str, shape: tuple[int, int], *address: str | int) -> Array:
    return generator(seed, name, *address).normal(size=shape)


def gain_pattern(photons: Array, instrument: Instrument, frame: Frame, exposure: Exposure) -> Array:
    """Pixels differ in gain, always alike: flats take it out."""
    size = instrument.camera.gain_pattern
    if size == 0:
        return photons
    return np.asarray(photons * np.maximum(1 + size * _pattern(frame.seed, "gain pattern", _shape(photons)), 0))


def ring_pattern(photons: Array, instrument: Instrument, frame: Frame, exposure: Exposure) -> Array:
    """Pixels whose gain changes after the flats: one error for all angles of an energy, which makes rings."""
    size = instrument.camera.ring_pattern
    if size == 0 or frame.kind != "projection":
        return photons
    address = (round(frame.energy_eV * 1000), frame.visit, frame.run)
    return np.asarray(photons * np.maximum(1 + size * _pattern(frame.seed, "ring pattern", _shape(photons), *address), 0))


@lru_cache(maxsize=8)
def _chosen(seed: int, name: str, shape: tuple[int, int], share: float) -> NDArray[np.bool_]:
    return np.asarray(generator(seed, name).random(shape) < share)


def dead_pixels(photons: Array, instrument: Instrument, frame: Frame, exposure: Exposure) -> Array:
    """Pixels that see no light."""
    share = instrument.camera.dead_pixels
    return photons if share == 0 else np.where(_chosen(frame.seed, "dead pixels", _shape(photons), share), 0.0, photons)


def dark_current(photons: Array, instrument: Instrument, frame: Frame, exposure: Exposure) -> Array:
    """Electrons without light, Poisson-distributed, in every frame."""
    camera = instrument.camera
    if camera.dark_current_e_s == 0:
        return photons
    electrons = frame.rng("dark current").poisson(camera.dark_current_e_s * frame.exposure_s, photons.shape)
    return np.asarray(photons + electrons / camera.electrons_per_photon)


def hot_pixels(photons: Array, instrument: Instrument, frame: Frame, exposure: Exposure) -> Array:
    """A few pixels with a dark current of their own."""
    camera = instrument.camera
    if camera.hot_pixels == 0:
        return photons
    hot = np.flatnonzero(_chosen(frame.seed, "hot pixels", _shape(photons), camera.hot_pixels))
    current = generator(frame.seed, "hot currents").exponential(camera.hot_current_e_s, len(hot))
    out = photons.copy()
    out.flat[hot] += frame.rng("hot pixels").poisson(current * frame.exposure_s) / camera.electrons_per_photon
    return out


def full_well(photons: Array, instrument: Instrument, frame: Frame, exposure: Exposure) -> Array:
    """A pixel holds no more electrons than its well."""
    camera = instrument.camera
    return photons if camera.full_well_e == 0 else np.minimum(photons, camera.full_well_e / camera.electrons_per_photon)


def gain(photons: Array, instrument: Instrument, frame: Frame, exposure: Exposure) -> Array:
    """Photons to ADU, on the camera's offset."""
    return photons * instrument.gain_adu + instrument.camera.offset_adu


def zingers(adu: Array, instrument: Instrument, frame: Frame, exposure: Exposure) -> Array:
    """Stray particles hit single pixels, shutter or not: Poisson-distributed hits of exponential brightness."""
    camera = instrument.camera
    if camera.zingers == 0:
        return adu
    rng = frame.rng("zingers")
    hits = int(rng.poisson(camera.zingers * adu.size / 1e6))
    out = adu.copy()
    np.add.at(out.reshape(-1), rng.integers(0, adu.size, hits), rng.exponential(camera.zinger_adu, hits))
    return out


def read_noise(adu: Array, instrument: Instrument, frame: Frame, exposure: Exposure) -> Array:
    """Normal noise of the readout."""
    if instrument.camera.read_noise_adu == 0:
        return adu
    return np.asarray(adu + frame.rng("read noise").normal(0, instrument.camera.read_noise_adu, adu.shape))


def digitize(adu: Array, instrument: Instrument, frame: Frame, exposure: Exposure) -> Array:
    """Rounded to whole ADU, clipped to 16 bits."""
    return np.clip(np.rint(adu), 0, FULL_SCALE_ADU)


def _shape(image: Array) -> tuple[int, int]:
    rows, columns = image.shape
    return rows, columns
