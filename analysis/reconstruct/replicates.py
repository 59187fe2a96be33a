"""Sigma for any engine: the spread of reconstructions of the same data with further noise added."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from ..prepare.noise import power_spectrum

Array = NDArray[np.float64]
Floats = NDArray[np.floating[Any]]
Values = NDArray[np.float32]

_REPLICATES = 3
_SMOOTHING_PX = (0.0, 0.0, 1.0, 4.0, 4.0)


def with_replicates(
    engine: Callable[..., Values], angles_rad: Array, correlation: Array, block: slice, *, center_px: float, pixel_um: float
) -> Callable[[Floats, Floats, Floats], tuple[Values, Values]]:
    """For a block of rows: a function from sinograms and their covariance to the engine's images and their covariance.

    Noise of that covariance and of `correlation` along a row is added, the products of the changes of the images averaged over
    replicates and neighbours (a covariance is smooth; the neighbourhood holds some hundred voxels).
    """

    def transform(sinograms: Floats, covariance: Floats, shared: Floats) -> tuple[Values, Values]:
        rng = np.random.default_rng(block.start)  # fixed by the place in the scan, so that runs repeat

        def run(rays: Floats) -> Values:
            return np.stack([engine(part, angles_rad, center_px=center_px, pixel_um=pixel_um) for part in rays])

        images = run(sinograms)
        colour = np.sqrt(power_spectrum(correlation, sinograms.shape[-1]))
        spread = np.zeros((len(images), *images.shape), np.float32)
        own, common = root(covariance), root(shared)
        for _ in range(_REPLICATES):
            noise = coloured(rng, own, colour) + coloured(rng, common, colour)[..., None, :]
            change = run(sinograms + noise) - images
            spread += change[:, None] * change[None] / _REPLICATES
        return images, gaussian_filter(spread, _SMOOTHING_PX, mode="nearest")

    return transform


def root(covariance: Floats) -> Array:
    """Lower factor (n, n, ...) of covariances (n, n, ...)."""
    return np.moveaxis(np.linalg.cholesky(np.moveaxis(covariance, (0, 1), (-2, -1)).astype(float)), (-2, -1), (0, 1))


def coloured(rng: np.random.Generator, root: Array, colour: Array) -> Values:
    """Noise (n, ..., column) of the covariance whose factor is `root`, with the given amplitude spectrum along columns."""
    white = np.fft.ifft(np.fft.fft(rng.normal(size=root.shape[1:])) * colour).real
    return np.asarray(np.einsum("ij...,j...->i...", root, white), np.float32)
