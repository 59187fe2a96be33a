"""What an analysis concludes: amounts, phase fraction and iron of every voxel, each with its sigma."""

from dataclasses import dataclass
from enum import IntFlag

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from instrument.measurement import InputError

Values = NDArray[np.float32]
IRON_FLOOR = 0.05  # below this share of LFP's iron a phase fraction means nothing
_SMOOTHING_PX = 1.5


class Flag(IntFlag):
    """Bits of a result's `flags`."""

    NO_IRON = 1  # iron below 0.05: no phase fraction
    REPAIRED = 2  # a ray through this slice was at or below the dark level, struck by a stray particle, or of a dead pixel
    OUTSIDE = 4  # outside the cylinder that every view sees
    POOR_FIT = 8  # chi2 more than 5 sigma above its degrees of freedom
    UNEXPLAINED = 16  # the standards leave more than in all but 1 in 20 explained voxels of its kind: another phase, or chance


@dataclass(frozen=True)
class AmountMap:
    """Amounts (species, z, y, x) on voxels of `voxel_um`, centred on the rotation axis; truth or result.

    Of a series (`axes` "time:y:x") they are projected amounts, um, (species, time, row, column), at times `time_s`
    from the start of the scan; a truth that moved says so by its one time.

    A result also has `amounts_sigma`, `phase_fraction_sigma`, `flags`, and `resolution_um` is the
    width below which nothing is resolved, where it is known.
    """

    species: tuple[str, ...]
    amounts: Values
    voxel_um: float
    resolution_um: float = 0.0
    amounts_sigma: Values | None = None
    phase_fraction_sigma: Values | None = None
    flags: NDArray[np.uint8] | None = None
    axes: str = "z:y:x"
    time_s: NDArray[np.float64] | None = None

    @property
    def is_series(self) -> bool:
        """Whether these are projected amounts over time."""
        return self.axes == "time:y:x"

    @property
    def iron(self) -> Values:
        """Sum of the amounts, (z, y, x)."""
        return np.asarray(self.amounts.sum(axis=0))

    @property
    def phase_fraction(self) -> Values:
        """FP over iron, NaN where iron < 0.05."""
        return phase_fraction(self.amounts, self.species)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Voxels along z, y, x, or moments and pixels along y, x."""
        z, y, x = self.amounts.shape[1:]
        return z, y, x


def fp_index(species: tuple[str, ...]) -> int:
    """Where FP stands among the species; InputError where there is none."""
    if "FP" not in species:
        raise InputError(f"species: found {', '.join(species)}; allowed must include FP, whose share is the phase fraction")
    return species.index("FP")


def phase_fraction(amounts: Values, species: tuple[str, ...]) -> Values:
    """x = amount of FP / iron, the last axes of `amounts` (species, ...); NaN where iron < 0.05."""
    iron = amounts.sum(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(iron >= IRON_FLOOR, amounts[fp_index(species)] / iron, np.nan).astype(np.float32)


def phase_fraction_sigma(amounts: Values, covariance: Values, species: tuple[str, ...]) -> Values:
    """Sigma of x in slices: amounts (species, row, y, x), covariance (species, species, row, y, x).

    FP - x iron is linear in the amounts, so (found - true) / sigma is normal at any noise if its
    variance is taken at the true x (Fieller, J. R. Stat. Soc. B 16 (1954) 175). For that x stands the
    ratio of amounts smoothed over neighbours in the slice, held to 0..1: the voxel's own x would make
    sigma follow its noise. NaN where iron < 0.05.
    """
    smooth = gaussian_filter(np.nan_to_num(amounts), (0, 0, _SMOOTHING_PX, _SMOOTHING_PX), mode="nearest")
    iron = np.maximum(smooth.sum(axis=0), IRON_FLOOR)
    x = np.clip(smooth[fp_index(species)] / iron, 0, 1)
    gradient = np.broadcast_to(-x, amounts.shape).copy()
    gradient[fp_index(species)] += 1
    variance = np.zeros_like(x)
    for i in range(len(species)):
        for j in range(len(species)):
            variance += gradient[i] * gradient[j] * covariance[i, j]
    own_iron = amounts.sum(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(own_iron >= IRON_FLOOR, np.sqrt(variance) / own_iron, np.nan).astype(np.float32)
