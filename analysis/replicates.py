"""Sigma for any engine: the spread of reconstructions of the same data with further noise added."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from .fbp import power_spectrum
from .normalize import Rays

Array = NDArray[np.float64]
Volume = NDArray[np.float32]

_REPLICATES = 3
_SMOOTHING_PX = (1.0, 4.0, 4.0)


def with_replicates(
    engine: Callable[..., Volume], angles_rad: Array, correlation: Array, block: slice, *, center_px: float, pixel_um: float
) -> Callable[[Rays], tuple[Volume, Volume]]:
    """For a block of rows: a function from rays to the engine's image and the variance of its voxels.

    Noise of the rays' variance and `correlation` along a row is added, the squared change of the
    image averaged over replicates and neighbours (the variance is smooth; the neighbourhood holds
    some hundred voxels).
    """

    def transform(rays: Rays) -> tuple[Volume, Volume]:
        rng = np.random.default_rng(block.start)  # fixed by the place in the scan, so that runs repeat
        image = engine(rays.optical_depth, angles_rad, center_px=center_px, pixel_um=pixel_um)
        colour = np.sqrt(power_spectrum(correlation, rays.optical_depth.shape[2]))
        variance = np.zeros_like(image)
        for _ in range(_REPLICATES):
            own = _coloured(rng, rays.variance.shape, colour) * np.sqrt(rays.variance)
            shared = _coloured(rng, rays.shared_variance.shape, colour) * np.sqrt(rays.shared_variance)
            disturbed = rays.optical_depth + own + shared[:, None, :]
            change = engine(disturbed, angles_rad, center_px=center_px, pixel_um=pixel_um) - image
            variance += change**2 / _REPLICATES
        return image, gaussian_filter(variance, _SMOOTHING_PX, mode="nearest")

    return transform


def _coloured(rng: np.random.Generator, shape: tuple[int, ...], colour: Array) -> Array:
    """Unit-variance noise with the given amplitude spectrum along its last axis."""
    return np.asarray(np.fft.ifft(np.fft.fft(rng.normal(size=shape)) * colour).real)
