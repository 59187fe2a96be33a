"""Sigma of whatever is measured on a map: how far it scatters when more noise of the map's own kind is added."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import scipy.fft
from numpy.typing import NDArray
from scipy.ndimage import binary_erosion, gaussian_filter

from ..result import AmountMap, Flag, phase_fraction

Array = NDArray[np.float64]
Values = NDArray[np.float32]

_REACH = 5  # voxels over which noise is taken to be correlated
_AWAY = 3  # voxels from any edge: there a phase is flat, and what is left is noise
_FEWEST = 500  # such voxels
_REPLICATES = 8
_SILENT = 1e-5  # noise in units of the map's sigma, or of amounts


@dataclass(frozen=True)
class MapNoise:
    """Noise of a map: its size (species, z, y, x), `mixing` (species, species), amplitude spectrum on a grid of `shape`."""

    size: Values
    mixing: Array
    amplitude: Values
    shape: tuple[int, ...]

    def draw(self, rng: np.random.Generator) -> Values:
        """Noise (species, z, y, x) of this kind."""
        white = rng.standard_normal((len(self.size), *self.shape), dtype=np.float32)
        axes, (z, y, x) = (1, 2, 3), self.size.shape[1:]
        coloured = scipy.fft.irfftn(scipy.fft.rfftn(white, axes=axes) * self.amplitude, self.shape, axes)[:, :z, :y, :x]
        return np.asarray(np.einsum("st,tzyx->szyx", self.mixing, coloured) * self.size, np.float32)


def map_noise(found: AmountMap) -> MapNoise | None:
    """The noise of a map, measured where it should be flat: outside and inside the phases, three voxels from their edges.

    The map's own sigma says how noise is distributed; its correlation, and how far sigma is right, are
    what these voxels show, so that it holds for any method and for a map without sigma. None where too few are flat.
    """
    amounts = np.nan_to_num(found.amounts)
    size = np.ones_like(amounts) if found.amounts_sigma is None else np.nan_to_num(found.amounts_sigma)
    flat = np.zeros(found.shape, bool)
    residual = np.zeros_like(amounts)
    seen = np.isfinite(found.amounts).all(axis=0) & (size > 0).all(axis=0)
    if found.flags is not None:
        seen &= (found.flags & Flag.OUTSIDE) == 0
    for region in _regions(amounts, found.species):
        inner = binary_erosion(region, iterations=_AWAY) & seen
        if inner.any():
            residual[:, inner] = amounts[:, inner] - amounts[:, inner].mean(axis=1, keepdims=True)
            flat |= inner
    if flat.sum() < _FEWEST:
        return None
    residual[:, flat] /= size[:, flat]
    mixing = np.cov(residual[:, flat]) + 1e-12 * np.eye(len(amounts))
    shape = tuple(scipy.fft.next_fast_len(n + _REACH, real=True) for n in found.shape)
    return MapNoise(size, np.asarray(np.linalg.cholesky(mixing), float), _amplitude(residual, flat, shape), shape)


def scatter(measure: Callable[..., Array], found: Array, *maps: AmountMap, count: int = _REPLICATES) -> Array:
    """Covariance (n, n) of what `measure` (maps) -> (n,) `found`, over `count` times more noise; NaN where it is not known.

    Taken about what was found, so that what noise shifts is in it, too: as much more noise shifts once more as much.
    """
    known = [noise for noise in (map_noise(one) for one in maps) if noise is not None]
    if len(known) < len(maps):
        return np.full((len(found),) * 2, np.nan)
    if not any(noise.mixing[0, 0] > _SILENT for noise in known):  # truths: measured again they are the same
        return np.zeros((len(found),) * 2)
    rng = np.random.default_rng(0)  # the replicates' own: maps give one answer
    moved = []
    for _ in range(count):
        more = [
            replace(one, amounts=np.nan_to_num(one.amounts) + noise.draw(rng)) for one, noise in zip(maps, known, strict=True)
        ]
        moved.append(measure(*more) - found)
    return np.asarray(np.einsum("ki,kj->ij", moved, moved) / count)


def _regions(amounts: Values, species: tuple[str, ...]) -> list[NDArray[np.bool_]]:
    """Outside, LFP and FP of the smoothed map."""
    smooth = gaussian_filter(amounts, (0, 1.5, 1.5, 1.5))
    particle = smooth.sum(axis=0) >= 0.5
    fp = phase_fraction(smooth, species) >= 0.5
    return [~particle, particle & ~fp, particle & fp]


def _amplitude(residual: Values, flat: NDArray[np.bool_], shape: tuple[int, ...]) -> Values:
    """Amplitude spectrum of unit-variance noise with the correlation of `residual` (species, z, y, x) over the flat voxels.

    `shape` is larger than the map by at least the reach of the correlation, as opposite faces are no neighbours.
    """
    axes = (-3, -2, -1)
    power = (np.abs(scipy.fft.rfftn(residual, shape, axes)) ** 2).sum(axis=0)
    pairs = scipy.fft.irfftn(np.abs(scipy.fft.rfftn(flat.astype(np.float32), shape, axes)) ** 2, shape, axes)
    covariance = scipy.fft.irfftn(power, shape, axes) / np.maximum(pairs, 0.5)
    lags = np.arange(-_REACH, _REACH + 1)
    taper = np.cos(np.pi * lags / (2 * _REACH + 2)) ** 2
    here = np.ix_(lags, lags, lags)
    correlation = np.zeros(shape, np.float32)
    correlation[here] = covariance[here] / max(float(covariance[0, 0, 0]), 1e-30) * taper[:, None, None] * taper[:, None] * taper
    spectrum = np.maximum(scipy.fft.rfftn(correlation).real, 0)
    whole = scipy.fft.irfftn(spectrum, shape, axes)[0, 0, 0]  # clipped at zero, it is no longer 1
    return np.asarray(np.sqrt(spectrum / max(float(whole), 1e-30)), np.float32)
