"""Sigma for any engine: the spread of its images of noisy replicates of the data."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, gaussian_gradient_magnitude

from ..prepare.noise import power_spectrum
from .operators import Projector, on_rows

Array = NDArray[np.float64]
Floats = NDArray[np.floating[Any]]
Values = NDArray[np.float32]

_REPLICATES = 3
_SMOOTHING_PX = (1.0, 4.0, 4.0)
_STEEP_PX, _LEVELS = 1.5, 25


def with_replicates(
    engine: Callable[[Floats, Floats], Values], correlation: Array, block: slice, *, projector: Projector | None = None
) -> Callable[[Floats, Floats, Floats], tuple[Values, Values]]:
    """For a block of rows: a function from sinograms and their covariance to the engine's images and their covariance.

    `engine` makes images (row, y, x) of rays (row, angle, column) and their variance. Noise of the covariance, coloured along a
    row as `correlation` (lag,) says, is added to the data; or to the projections of the images, where a `projector` is given: an
    engine that stops where the noise begins would go too far in data with twice the noise (parametric bootstrap; Efron and
    Tibshirani, An Introduction to the Bootstrap, 1993, ch. 6). The products of the images' changes are averaged over
    replicates and neighbours, some hundred voxels.
    """

    def transform(sinograms: Floats, covariance: Floats, shared: Floats) -> tuple[Values, Values]:
        rng = np.random.default_rng(block.start)  # fixed by the place in the scan, so that runs repeat

        def run(rays: Floats) -> Values:
            return np.stack([engine(part, covariance[i, i]) for i, part in enumerate(rays)])

        images = run(sinograms)
        base = sinograms
        if projector is not None:
            base = np.stack([on_rows(projector.forward, part, projector.rows) for part in images])
        colour = np.sqrt(power_spectrum(correlation, sinograms.shape[-1]))
        spread = np.zeros((len(images), *images.shape), np.float32)
        own, common = root(covariance), root(shared)
        for _ in range(_REPLICATES):
            noise = coloured(rng, own, colour) + coloured(rng, common, colour)[..., None, :]
            change = run(base + noise) - images
            spread += change[:, None] * change[None] / _REPLICATES
        spread = averaged(spread, images, _SMOOTHING_PX)
        for i in range(len(spread)):
            np.maximum(spread[i, i], np.float32(1e-30), out=spread[i, i])
        return images, spread

    return transform


def averaged(covariance: Values, maps: Values, smoothing_px: tuple[float, float, float]) -> Values:
    """Covariance (n, n, row, y, x) averaged over neighbours, after what goes with the steepness of `maps` is divided out.

    An edge is a few voxels wide and may err ten times more than what lies beside it, which a plain average would drown.
    """
    steepness = np.sqrt(sum(gaussian_gradient_magnitude(part, _STEEP_PX, mode="nearest") ** 2 for part in maps))
    level = np.digitize(steepness, float(steepness.max()) * np.geomspace(1e-4, 1, _LEVELS)[:-1]).ravel()
    total = np.einsum("ii...->...", covariance)
    typical = np.bincount(level, total.ravel(), _LEVELS) / np.maximum(np.bincount(level, minlength=_LEVELS), 1)
    # Maps of air may be 0 in every replicate: no share is, so that none is divided by 0.
    least = max(1e-12 * float(typical.max()), float(np.finfo(np.float32).tiny))
    share = np.maximum(typical, least)[level].reshape(total.shape).astype(np.float32)
    out = np.empty_like(covariance)
    for row, target in zip(covariance, out, strict=True):
        for part, smooth in zip(row, target, strict=True):
            smooth[:] = gaussian_filter(part / share, smoothing_px, mode="nearest") * share
    return out


def root(covariance: Floats) -> Array:
    """Lower factor (n, n, ...) of covariances (n, n, ...)."""
    return np.moveaxis(np.linalg.cholesky(np.moveaxis(covariance, (0, 1), (-2, -1)).astype(float)), (-2, -1), (0, 1))


def coloured(rng: np.random.Generator, root: Array, colour: Array) -> Values:
    """Noise (n, ..., column) of the covariance whose factor is `root`, with the given amplitude spectrum along columns."""
    white = np.fft.ifft(np.fft.fft(rng.normal(size=root.shape[1:])) * colour).real
    return np.asarray(np.einsum("ij...,j...->i...", root, white), np.float32)
