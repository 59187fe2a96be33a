"""What a charge curve says: plateau, capacity, overpotential, dQ/dV, and the charge counted at any time."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d
from scipy.special import ndtr

from instrument.attenuation import formula_mass_g_mol
from instrument.measurement import ChargeCurve, InputError

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

THEORETICAL_mAh_g = 96485.33 / 3.6 / formula_mass_g_mol("LiFePO4")  # one electron per iron
_MOST_CHARGE = 2.0  # of the theoretical capacity: more is a wrong unit or a wrong mass
_VOLTAGES = (1.0, 6.0)  # of a cell that charges
_REST = 0.05  # of the charging current: less is none
_FEWEST = 10  # samples under current
_TWO_PHASE = (0.05, 0.9)  # charge fractions between which a rested cell shows the plateau's equilibrium
_MEDIAN = np.sqrt(np.pi / 2)  # standard error of a median over that of a mean, normal noise


@dataclass(frozen=True)
class DifferentialCapacity:
    """dQ/dV, mAh/g/V, and its sigma from the noise of the voltage, (v,) each, on an even grid `voltage_V`.

    `resolution_V` is the standard deviation that everything in it is broadened by: the smoothing and the noise itself.
    """

    voltage_V: Array
    mAh_per_g_V: Array
    sigma: Array
    resolution_V: float

    @property
    def peak_V(self) -> float:
        """Voltage at which most charge passes."""
        return float(self.voltage_V[np.argmax(self.mAh_per_g_V)])


@dataclass(frozen=True)
class ChargeFindings:
    """What was found in a curve; sigmas from the noise of its readings.

    `plateau_rise_V` is how far the voltage rises over the middle half of the charge: how flat the plateau is. The equilibrium
    voltage, its sigma and the overpotential are None where nobody gave one and the record holds no rest on the plateau.
    """

    capacity_mAh_per_g: float
    capacity_sigma: float
    plateau_V: float
    plateau_sigma_V: float
    plateau_rise_V: float
    voltage_noise_V: float
    equilibrium_V: float | None
    equilibrium_sigma_V: float | None
    differential: DifferentialCapacity

    @property
    def overpotential_V(self) -> float | None:
        """Plateau less equilibrium: ohmic drop, kinetics, transport and nucleation together.

        A curve at one current cannot tell these apart; a rest that had not ended makes it too small.
        """
        return None if self.equilibrium_V is None else self.plateau_V - self.equilibrium_V

    @property
    def overpotential_sigma_V(self) -> float | None:
        """Its sigma: of plateau and equilibrium together."""
        return None if self.equilibrium_sigma_V is None else float(np.hypot(self.plateau_sigma_V, self.equilibrium_sigma_V))


def charge_findings(curve: ChargeCurve, equilibrium_V: float | None = None) -> ChargeFindings:
    """Plateau, capacity, overpotential and dQ/dV of a charge.

    The plateau is the median voltage of the middle half of the charge, each sample weighed by the charge it stands for. It
    has nothing to tune; the peak of dQ/dV, its alternative, moves with the smoothing. `equilibrium_V` is the voltage
    without current, if known; else it is looked for in the rests of the record.
    Raises InputError for a discharge, a record without charge, and one with fewer than 10 samples under current.
    """
    loaded = _loaded(curve)
    share = curve.capacity_mAh_per_g / curve.capacity_mAh_per_g[-1]
    middle = loaded & (share > 0.25) & (share < 0.75)
    if middle.sum() < 3:
        raise InputError(
            f"charge curve: {middle.sum()} samples in the middle half of the charge; allowed at least 3 for a plateau; "
            "sample more often"
        )
    weights = np.diff(share, prepend=share[0])[middle]
    voltage = curve.voltage_V[middle]
    low, plateau, high = _quantiles(voltage, weights, (0.05, 0.5, 0.95))
    noise = _voltage_noise(curve.voltage_V[loaded])
    rest, rest_sigma = (equilibrium_V, 0.0) if equilibrium_V is not None else _rested(curve, loaded, noise)
    return ChargeFindings(
        capacity_mAh_per_g=float(curve.capacity_mAh_per_g[-1]),
        capacity_sigma=float(_counting_sigma(curve, loaded)[-1]),
        plateau_V=plateau,
        plateau_sigma_V=_median_sigma(voltage, weights, plateau, noise),
        plateau_rise_V=high - low,
        voltage_noise_V=noise,
        equilibrium_V=rest,
        equilibrium_sigma_V=rest_sigma,
        differential=differential_capacity(curve, noise_V=noise),
    )


def differential_capacity(
    curve: ChargeCurve, *, smoothing_V: float | None = None, noise_V: float | None = None
) -> DifferentialCapacity:
    """dQ/dV as the density of charge over voltage: each sample's charge, spread by a normal curve of `smoothing_V`.

    Nothing is divided by a noisy difference of voltages, and the integral is the charge (point counting, Feng et al.,
    Appl. Energy 262 (2020) 114460, with a smooth kernel). By default the kernel is three times the noise of
    the voltage, at least 1 mV. Raises InputError as `charge_findings` does.
    """
    loaded = _loaded(curve)
    noise = _voltage_noise(curve.voltage_V[loaded]) if noise_V is None else noise_V
    width = max(3 * noise, 1e-3) if smoothing_V is None else smoothing_V
    if not width > 0:
        raise InputError(f"dQ/dV: smoothing_V is {width:g} V; allowed more than 0; leave it out for three times the noise")
    step = width / 4
    charge = np.diff(curve.capacity_mAh_per_g, prepend=curve.capacity_mAh_per_g[0])[loaded]
    voltage = curve.voltage_V[loaded]
    grid = np.arange(voltage.min() - 5 * width, voltage.max() + 5 * width + step, step)
    index = np.rint((voltage - grid[0]) / step).astype(int)
    density = gaussian_filter1d(np.bincount(index, charge, len(grid)) / step, width / step, truncate=5, mode="constant")
    t = np.arange(-20, 21) / 4
    slope = -t * np.exp(-(t**2) / 2) / np.sqrt(2 * np.pi) / width**2
    variance = np.convolve(np.bincount(index, charge**2, len(grid)), slope**2, mode="same") * noise**2
    return DifferentialCapacity(grid, density, np.sqrt(variance), float(np.hypot(width, noise)))


def charge_fraction(curve: ChargeCurve, time_s: float) -> tuple[float, float]:
    """Charge counted until `time_s` over the theoretical 169.9 mAh/g, and its sigma; held beyond the record.

    This is the share of Fe3+ in the whole electrode if all charge went into LiFePO4. Sigma holds the noise of the current's
    reading and what it reads at rest; not the active mass, and no side reaction.
    """
    counted = np.interp(time_s, curve.time_s, curve.capacity_mAh_per_g)
    sigma = np.interp(time_s, curve.time_s, _counting_sigma(curve, _loaded(curve)))
    return float(counted / THEORETICAL_mAh_g), float(sigma / THEORETICAL_mAh_g)


def _loaded(curve: ChargeCurve) -> Mask:
    """Samples under charging current. Raises InputError where that is no charge, or in other units."""
    most, voltage = float(curve.capacity_mAh_per_g.max()), float(np.median(curve.voltage_V))
    if most > _MOST_CHARGE * THEORETICAL_mAh_g:
        raise InputError(
            f"charge curve: capacity_mAh_per_g reaches {most:.4g}; allowed is up to {_MOST_CHARGE * THEORETICAL_mAh_g:.0f}, "
            "twice what LFP holds; is it per gram of active material, in mAh?"
        )
    if not _VOLTAGES[0] <= voltage <= _VOLTAGES[1]:
        raise InputError(
            f"charge curve: the median of voltage_V is {voltage:.4g}; allowed is {_VOLTAGES[0]:g} to {_VOLTAGES[1]:g} V; "
            "is it in V?"
        )
    current = curve.current_mA
    passed = np.diff(curve.capacity_mAh_per_g)
    largest = float(np.abs(current).max())
    if largest == 0 or np.abs(passed).sum() == 0:
        raise InputError(
            f"charge curve: no charge passes in {len(current)} samples, largest current {largest:g} mA; allowed is a charge; "
            "is the column right?"
        )
    back = float(-passed[passed < 0].sum() / np.abs(passed).sum())
    loaded = np.asarray(current > _REST * np.median(np.abs(current)[np.abs(current) > largest / 2]))
    if back > 0.02 or not loaded.any():
        raise InputError(
            f"charge curve: {100 * back:.2g} % of the charge flows back, current {current.min():g}..{current.max():g} mA; "
            "allowed is a charge, current positive and capacity rising; cut it out, or turn the signs"
        )
    if loaded.sum() < _FEWEST:
        raise InputError(
            f"charge curve: {loaded.sum()} samples under current; allowed at least {_FEWEST}; sample more often or record longer"
        )
    return loaded


def _voltage_noise(voltage_V: Array) -> float:
    """Noise of one sample, from second differences, in which a smooth curve does not show; robust against steps."""
    second = np.diff(voltage_V, 2)
    return float(1.4826 * np.median(np.abs(second - np.median(second))) / np.sqrt(6))


def _counting_sigma(curve: ChargeCurve, loaded: Mask) -> Array:
    """Sigma (sample,) of the capacity: noise of the current adds as a random walk, what it reads at rest along with time."""
    current = curve.current_mA[loaded]
    steps = np.diff(curve.time_s, prepend=curve.time_s[0])
    per_mAs = curve.capacity_mAh_per_g[-1] / float((curve.current_mA * steps).sum())
    noise = 1.4826 * float(np.median(np.abs(np.diff(current) - np.median(np.diff(current))))) / np.sqrt(2)
    offset = float(curve.current_mA[~loaded].mean()) if (~loaded).sum() >= 3 else 0.0
    walk = noise * np.sqrt(np.cumsum(steps**2))
    return np.asarray(abs(per_mAs) * np.hypot(walk, offset * (curve.time_s - curve.time_s[0])))


def _rested(curve: ChargeCurve, loaded: Mask, noise_V: float) -> tuple[float | None, float | None]:
    """Voltage to which the cell settles in its rests on the plateau, and its sigma; None where there is no such rest.

    Of each rest of 4 samples or more the last half counts; sigma holds noise and what still changed over that half.
    """
    edges = np.flatnonzero(np.diff(np.concatenate([[False], ~loaded, [False]]).astype(int)))
    values, variances = [], []
    for start, stop in edges.reshape(-1, 2):
        fraction = curve.capacity_mAh_per_g[start] / THEORETICAL_mAh_g
        half = curve.voltage_V[(start + stop) // 2 : stop]
        if stop - start < 4 or not _TWO_PHASE[0] < fraction < _TWO_PHASE[1]:
            continue
        change = np.median(half[len(half) // 2 :]) - np.median(half[: len(half) // 2])
        chance = (_MEDIAN * noise_V) ** 2 / len(half)
        values.append(float(np.median(half)))
        variances.append(chance + max(float(change) ** 2 - 4 * chance, 0.0))  # noise alone makes a change of 4 chance
    if not values:
        return None, None
    scatter = float(np.var(values, ddof=1)) if len(values) > 1 else 0.0
    return float(np.mean(values)), float(np.sqrt(max(float(np.mean(variances)), scatter) / len(values)))


def _median_sigma(values: Array, weights: Array, median: float, noise: float) -> float:
    """Sigma of the weighted median of noisy values on a smooth trend: the chance of each to fall on the other side."""
    if noise == 0:
        return 0.0
    z = (median - gaussian_filter1d(values, 5, mode="nearest")) / noise
    below = ndtr(z)
    density = float((weights * np.exp(-(z**2) / 2)).sum()) / np.sqrt(2 * np.pi) / noise
    return float(np.sqrt((weights**2 * below * (1 - below)).sum()) / density)


def _quantiles(values: Array, weights: Array, shares: tuple[float, ...]) -> list[float]:
    """Weighted quantiles: each value stands at the middle of its weight."""
    order = np.argsort(values, kind="stable")
    place = np.cumsum(weights[order]) - weights[order] / 2
    return [float(q) for q in np.interp(np.array(shares) * weights.sum(), place, values[order])]
