"""The open beam beside the sample: what source and shutter did to a frame as a whole."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .noise import NoiseModel
from .normalize import Rays

Array = NDArray[np.float64]

_TELLING = 0.1  # of the sample's depth: what is darker at the border may be sample
_SIGMAS = 5.0


@dataclass(frozen=True)
class Border:
    """Optical depth of the open beam in each frame, and its variance, (energy, angle) both.

    `sample` (energy, row) is what rows of the border have beyond their median, mean over the views, in units of the sample's own
    depth; 0 where that is chance.
    """

    depth: Array
    variance: Array
    sample: Array

    @property
    def remarks(self) -> tuple[str, ...]:
        """What a person should know of it, a sentence each."""
        if not self.depth.any():
            return ()
        spread, known = 100 * float(np.std(np.exp(-self.depth))), 100 * float(np.sqrt(self.variance.mean()))
        told = f"the open beam differs from frame to frame by {spread:.2g} % rms, each known to {known:.1g} %"
        excess = self.sample.mean(axis=0)
        rows = np.flatnonzero(excess > _TELLING)
        if not rows.size:
            return (told,)
        return told, (
            f"the sample seems to lie in the border: {rows.size} rows from {rows[0]} to {rows[-1]} are darker there than the "
            f"others by up to {excess.max():.2g} of its depth; narrow analysis.prepare.border_px"
        )


def no_border(energies: int, angles: int, rows: int) -> Border:
    """Frames whose brightness is taken as it is."""
    return Border(np.zeros((energies, angles)), np.zeros((energies, angles)), np.zeros((energies, rows)))


def open_beam(rays: Rays, noise: NoiseModel, border_px: int) -> tuple[Array, Array, Array]:
    """Depth of the `border_px` columns at each side and its variance (angle,), and the `sample` (row,) there, of an energy.

    The median over the columns and all rows: a sample in fewer than half of them moves it by little. Its variance counts as each
    ray's own. In a series that is exact; a tomogram, whose filter passes no constant, sees less of it.
    """
    columns = np.r_[0:border_px, -border_px:0]
    depth = rays.optical_depth[:, :, columns]
    size, angles = depth[:, 0].size, depth.shape[1]
    own, shared = rays.variance[:, :, columns].mean(axis=(0, 2)), float(rays.shared_variance[:, columns].mean())
    together = _neighbours(noise.correlation, len(depth), border_px)
    rows = depth.mean(axis=(1, 2))
    excess = rows - np.median(rows)
    chance = np.sqrt((own.mean() / angles + shared) * together / len(columns))
    typical = float(np.quantile(rays.optical_depth.mean(axis=1), 0.9) - np.median(rows))
    sample = np.where(excess > _SIGMAS * chance, excess, 0.0) / typical if typical > 0 else np.zeros_like(excess)
    return np.median(depth, axis=(0, 2)), (own + shared) * together / size, sample


def _neighbours(correlation: Array, rows: int, columns: int) -> float:
    """Variance of the median of `rows` x `columns` normal pixels, times their number, over that of a pixel.

    The signs of two pixels with correlation r are correlated by 2 / pi arcsin(r) (Sheppard, Phil. Trans. A 192 (1899) 101), and
    the median goes by signs: pi / 2 for white noise. `correlation` (lag,) holds along rows and columns alike.
    """
    lags = np.arange(1 - len(correlation), len(correlation))
    rho = correlation[np.abs(lags)]
    share = [np.maximum(1 - np.abs(lags) / count, 0) for count in (rows, columns)]
    return float((np.outer(*share) * np.arcsin(np.clip(np.outer(rho, rho), -1, 1))).sum())
