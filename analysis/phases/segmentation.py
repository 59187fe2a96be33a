"""Which phase a voxel is, how sure that is, and whether a particle holds two phases at all."""

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_erosion
from scipy.special import ndtr

from ..result import AmountMap

Array = NDArray[np.float64]
Labels = NDArray[np.uint8]

_STEPS = 80
_MOST = 40_000  # voxels that a histogram is fitted to, evenly taken
_NEAREST = 0.3  # phases that differ less in x are not called two
_EVIDENCE = 10.0  # log of the odds, nats
_CORRELATED = 27  # voxels that may share one noise
_NARROWEST = 1e-3


class Phase(IntEnum):
    """Labels of a segmentation."""

    OUTSIDE = 0
    LFP = 1
    FP = 2
    MIXED = 3


@dataclass(frozen=True)
class Histogram:
    """What lies under the noise of x: two phases at `places` (low, high), a share `mixed` evenly between them.

    `shares` (LFP, FP, mixed) sum to 1; `width` is how wide a phase is beyond the noise. `evidence` is the logarithm of the
    likelihood of this over that of one phase of any place and width, in nats, for so many voxels as are independent.
    """

    places: tuple[float, float]
    shares: tuple[float, float, float]
    width: float
    evidence: float

    @property
    def two_phases(self) -> bool:
        """Whether x has two modes with a valley between: clear evidence, places apart, and most voxels in one or the other."""
        apart = self.places[1] - self.places[0] >= _NEAREST
        return bool(self.evidence > _EVIDENCE and apart and self.shares[2] < 0.5 and min(self.shares[:2]) > 0.01)


@dataclass(frozen=True)
class Segmentation:
    """`labels` (z, y, x) of `Phase` and their `confidence`, percent, (z, y, x): the chance that the label is right."""

    labels: Labels
    confidence: Labels
    histogram: Histogram | None

    def volume_um3(self, phase: Phase, voxel_um: float) -> float:
        """Volume of a phase."""
        return float((self.labels == phase).sum() * voxel_um**3)


def phase_histogram(found: AmountMap) -> Histogram | None:
    """The distribution of x inside the particle, its known noise taken out; None for fewer than 100 voxels.

    Two narrow phases and what is evenly mixed between them, each folded with every voxel's own sigma, are fitted by
    expectation maximization (Dempster, Laird and Rubin, J. R. Stat. Soc. B 39 (1977) 1). A dip or a valley of the histogram
    itself would vanish in noise and a two-peaked fit without sigma would call any broad peak two; here width that sigma explains
    is not counted. Without sigma all width counts as the phases' own.
    """
    x, sigma = _inside(found)
    if len(x) < 100:
        return None
    step = max(1, len(x) // _MOST)
    x, sigma = x[::step], sigma[::step]
    places = np.quantile(x, [0.05, 0.95])
    if places[1] - places[0] < _NEAREST / 2:
        places = places.mean() + np.array([-0.5, 0.5]) * _NEAREST
    shares, width = np.array([0.4, 0.4, 0.2]), 0.02
    for _ in range(_STEPS):
        parts = shares[:, None] * _densities(x, sigma, places, width)
        chance = parts / np.maximum(parts.sum(axis=0), 1e-300)
        shares = chance.mean(axis=1)
        weights = chance[:2] / (sigma**2 + width**2)
        places = (weights @ x) / np.maximum(weights.sum(axis=1), 1e-300)
        beyond = (x - places[:, None]) ** 2 - sigma**2
        width = float(np.sqrt(max((chance[:2] * beyond).sum() / max(chance[:2].sum(), 1e-300), _NARROWEST**2)))
    both = np.log(np.maximum((shares[:, None] * _densities(x, sigma, places, width)).sum(axis=0), 1e-300)).sum()
    evidence = float(both - _one_phase(x, sigma)) * step / _CORRELATED
    return Histogram(
        (float(places[0]), float(places[1])), (float(shares[0]), float(shares[1]), float(shares[2])), width, evidence
    )


def segment(found: AmountMap) -> Segmentation:
    """Outside, LFP, FP or mixed of every voxel, from its iron and x and their sigma alone.

    The chances of LFP, FP and mixed follow from the map's own histogram (`phase_histogram`), that of outside from iron below
    0.5 with its sigma. Neighbours are not asked: at a high noise few voxels are sure, and the confidence says so. A voxel without
    an answer is outside, with confidence 0.
    """
    histogram = phase_histogram(found)
    iron = np.nan_to_num(found.iron)
    x = np.nan_to_num(found.phase_fraction)
    if found.amounts_sigma is None:
        inside = (iron >= 0.5).astype(float)
    else:  # as if the amounts' noise were independent: in truth iron is better known
        spread = np.sqrt(np.nansum(found.amounts_sigma.astype(float) ** 2, axis=0))
        inside = ndtr((iron - 0.5) / np.maximum(spread, 1e-6))
    places, shares, width = (np.array([0.0, 1.0]), np.full(3, 1 / 3), 0.0) if histogram is None else _model(histogram)
    chances = np.zeros((4, *found.shape), np.float32)
    chances[Phase.OUTSIDE] = 1 - inside
    held = inside > 0.005
    parts = shares[:, None] * _densities(x[held].astype(float), _sigma(found)[held], places, max(width, _NARROWEST))
    parts += 1e-12 * shares[:, None]  # far off every phase, as likely as before
    chances[1:, held] = inside[held] * parts / parts.sum(axis=0)
    labels = chances.argmax(axis=0).astype(np.uint8)
    known = np.isfinite(found.iron)
    return Segmentation(labels, np.rint(100 * chances.max(axis=0) * known).astype(np.uint8), histogram)


def _model(histogram: Histogram) -> tuple[Array, Array, float]:
    return np.array(histogram.places), np.array(histogram.shares), histogram.width


def _sigma(found: AmountMap) -> Array:
    """Sigma of x, 0 where the map has none."""
    if found.phase_fraction_sigma is None:
        return np.zeros(found.shape)
    return np.nan_to_num(found.phase_fraction_sigma).astype(float)


def _inside(found: AmountMap) -> tuple[Array, Array]:
    """x and sigma (n,) of voxels with iron >= 0.5, one voxel away from the surface, where x is noisier and blurred."""
    particle = np.nan_to_num(found.iron) >= 0.5
    structure = np.ones((1, 3, 3), bool) if found.is_series else np.ones((3, 3, 3), bool)
    core = binary_erosion(particle, structure) & np.isfinite(found.phase_fraction)
    return found.phase_fraction[core].astype(float), _sigma(found)[core]


def _densities(x: Array, sigma: Array, places: Array, width: float) -> Array:
    """Densities (3, n) of x in LFP, FP and evenly mixed, folded with the noise."""
    total = np.sqrt(sigma**2 + width**2)
    z = (x - places[:, None]) / total
    pure = np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi) / total
    between = (ndtr(z[0]) - ndtr(z[1])) / max(float(places[1] - places[0]), 1e-6)
    return np.concatenate([pure, np.maximum(between, 0)[None]])


def _one_phase(x: Array, sigma: Array) -> float:
    """Largest log likelihood of one phase: any place, any width beyond the noise."""
    place, width = float(np.mean(x)), max(float(np.std(x)), _NARROWEST)
    for _ in range(_STEPS):
        total = sigma**2 + width**2
        place = float((x / total).sum() / (1 / total).sum())
        # The derivative of the likelihood by width^2 is zero where this mean equals it.
        weights = 1 / total**2
        width = float(np.sqrt(max((weights * ((x - place) ** 2 - sigma**2)).sum() / weights.sum(), _NARROWEST**2)))
    total = sigma**2 + width**2
    return float((-((x - place) ** 2) / total / 2 - np.log(2 * np.pi * total) / 2).sum())
