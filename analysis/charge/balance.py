"""The fraction imaged against the charge counted: what the map says is Fe3+, and what the cycler says."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation, binary_opening

from instrument.measurement import ChargeCurve, InputError

from ..result import AmountMap, fp_index
from .curve import charge_fraction

Array = NDArray[np.float64]


def imaged_fraction(found: AmountMap) -> tuple[Array, Array]:
    """Bulk fraction of what was imaged, sum of FP over sum of iron, and its sigma, (moment,) each; one moment of a volume.

    Taken over iron >= 0.5, less single voxels, and two voxels around. Sigma takes voxels as independent; the error of the
    standards, which all voxels share, is not in it.
    """
    amounts = np.nan_to_num(found.amounts).astype(float)
    volumes = amounts.transpose(1, 0, 2, 3) if found.is_series else amounts[None]
    unknown = np.full(found.shape, np.nan, np.float32)
    sigma = unknown if found.phase_fraction_sigma is None else found.phase_fraction_sigma
    values, spreads = [], []
    for parts, own in zip(volumes, sigma if found.is_series else sigma[None], strict=True):
        iron = parts.sum(axis=0)
        where = binary_dilation(binary_opening(iron >= 0.5), iterations=2)  # a speck of noise is no particle
        total = float(iron[where].sum())
        error = (iron * own)[where]
        # Where there is hardly iron there is no sigma of x, but FP - x iron is as noisy as nearby.
        error = np.where(np.isfinite(error), error, np.nanmedian(error)) if np.isfinite(error).any() else error
        values.append(float(parts[fp_index(found.species)][where].sum()) / total if total > 0 else np.nan)
        spreads.append(float(np.sqrt((error**2).sum())) / total if total > 0 else np.nan)
    return np.array(values), np.array(spreads)


@dataclass(frozen=True)
class Balance:
    """Imaged and counted fraction at `time_s` of the charge's clock, (moment,) each, and the sigma of their difference."""

    time_s: Array
    imaged: Array
    counted: Array
    sigma: Array

    @property
    def difference(self) -> Array:
        """Imaged less counted."""
        return self.imaged - self.counted


def charge_balance(found: AmountMap, curve: ChargeCurve, scan_s: float) -> Balance:
    """The imaged fraction against the charge counted, where the record ends with a scan of `scan_s`.

    A volume stands for the middle of the scan, a series for its moments. Sigma holds voxel noise and the counting of charge.
    Not in it: the active mass, errors of the standards, and that the few particles imaged need not be
    as far as the electrode's mean. Raises InputError for a record that begins after a moment of the scan.
    """
    moments = np.array([scan_s / 2]) if found.time_s is None else found.time_s
    times = curve.time_s[-1] - scan_s + moments
    if times.min() < curve.time_s[0]:
        raise InputError(
            f"charge curve: lasts {np.ptp(curve.time_s):.4g} s, the scan {scan_s:.4g} s; allowed is a record that ends with the "
            "scan and begins before it; is time_s in seconds?"
        )
    imaged, spread = imaged_fraction(found)
    counted, counting = np.array([charge_fraction(curve, float(time)) for time in times]).T
    return Balance(times, imaged, counted, np.hypot(spread, counting))
