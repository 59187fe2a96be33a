"""Linear attenuation coefficients: xraylib, with the iron K edge open for a measured or modelled shape.

The only module that imports xraylib and the only one that converts keV and cm2/g.
"""

from functools import cache

import numpy as np
import xraylib
from numpy.typing import ArrayLike, NDArray

from phantom.errors import InputError

Array = NDArray[np.float64]

IRON = 26
EDGE_EV = 7112.0
HC_EV_UM = 1.23984198
# Fe K fluorescence leaves the particle: yield and mean energy of the K-alpha doublet.
FLUORESCENCE_YIELD = float(xraylib.FluorYield(IRON, xraylib.K_SHELL))
K_ALPHA_EV = float(xraylib.LineEnergy(IRON, xraylib.KA_LINE)) * 1e3
_ENERGY_RANGE_EV = (2000.0, 50000.0)


@cache
def _composition(formula: str) -> tuple[tuple[int, float], ...]:
    try:
        parsed = xraylib.CompoundParser(formula)
    except ValueError as error:
        raise InputError(f"formula {formula!r}: not a chemical formula ({error}); write it like LiFePO4") from error
    return tuple(zip(parsed["Elements"], parsed["nAtoms"], strict=True))


def formula_mass_g_mol(formula: str) -> float:
    """Mass of one formula unit, g/mol. Raises InputError for what is no formula."""
    return sum(count * float(xraylib.AtomicWeight(z)) for z, count in _composition(formula))


def iron_per_formula(formula: str) -> float:
    """Iron atoms in one formula unit."""
    return dict(_composition(formula)).get(IRON, 0.0)


def _element(z: int, energies_eV: Array) -> Array:
    low, high = _ENERGY_RANGE_EV
    if not np.all((energies_eV >= low) & (energies_eV <= high)):
        raise InputError(f"energies_eV: found {energies_eV.min():g}..{energies_eV.max():g} eV; allowed {low:g}..{high:g}")
    return np.array([xraylib.CS_Total(z, energy * 1e-3) for energy in energies_eV.ravel()]).reshape(energies_eV.shape)


@cache
def _branch(low_eV: float, high_eV: float) -> tuple[float, float]:
    """log-log line through xraylib's iron at two energies: slope, intercept (Victoreen-like)."""
    x = np.log([low_eV, high_eV])
    y = np.log(_element(IRON, np.array([low_eV, high_eV])))
    slope = float((y[1] - y[0]) / (x[1] - x[0]))
    return slope, float(y[0] - slope * x[0])


def _extrapolate(branch: tuple[float, float], energies_eV: Array) -> Array:
    return np.asarray(np.exp(branch[0] * np.log(energies_eV) + branch[1]))


def _iron_branches(energies_eV: Array) -> tuple[Array, Array]:
    """Iron without and with its K shell, cm2/g: xraylib on its own side of the edge, a log-log line beyond."""
    bare = _element(IRON, energies_eV)
    below = energies_eV <= EDGE_EV
    without = np.where(below, bare, _extrapolate(_branch(7000.0, EDGE_EV - 0.5), energies_eV))
    with_k = np.where(below, _extrapolate(_branch(EDGE_EV + 0.5, 7300.0), energies_eV), bare)
    return without, with_k


def attenuation_parts(
    formula: str, formula_mol_cm3: float, energies_eV: ArrayLike, normalized: ArrayLike | None = None
) -> tuple[Array, Array]:
    """Attenuation without the iron K shell, and the K shell's part, each 1/um.

    `normalized` is the edge-step-normalized XANES at `energies_eV` (0 below, 1 far above); left out,
    the bare atomic step. Their sum is the total attenuation (photoelectric, coherent, Compton);
    where `normalized` is 0 below or 1 above the edge it equals xraylib. Raises InputError for an
    energy or formula xraylib does not know, or a density that is not positive.
    Source: xraylib 4, Schoonjans et al., Spectrochim. Acta B 66 (2011) 776.
    """
    energies = np.atleast_1d(np.asarray(energies_eV, float))
    if not (np.isfinite(formula_mol_cm3) and formula_mol_cm3 > 0):
        raise InputError(f"density of {formula}: found {formula_mol_cm3:g} mol/cm3; allowed more than 0")
    base, edge = np.zeros_like(energies), np.zeros_like(energies)
    shape = (energies > EDGE_EV).astype(float) if normalized is None else np.asarray(normalized, float)
    for z, count in _composition(formula):
        per_cm = count * float(xraylib.AtomicWeight(z)) * formula_mol_cm3
        if z == IRON:
            without, with_k = _iron_branches(energies)
            base += per_cm * without * 1e-4
            edge += per_cm * (with_k - without) * shape * 1e-4
        else:
            base += per_cm * _element(z, energies) * 1e-4
    return base, edge


def attenuation_per_um(
    formula: str, formula_mol_cm3: float, energies_eV: ArrayLike, normalized: ArrayLike | None = None
) -> Array:
    """Total linear attenuation, 1/um, shape of `energies_eV`; arguments as `attenuation_parts`."""
    base, edge = attenuation_parts(formula, formula_mol_cm3, energies_eV, normalized)
    return base + edge


def absorbed_per_um(formula: str, formula_mol_cm3: float, energies_eV: ArrayLike, normalized: ArrayLike | None = None) -> Array:
    """Energy-absorption coefficient, 1/um: the K shell's part loses the fluorescence that escapes.

    mu_pre + step * norm(E) * (1 - omega_K E_Kalpha / E), reabsorption neglected.
    """
    base, edge = attenuation_parts(formula, formula_mol_cm3, energies_eV, normalized)
    energies = np.atleast_1d(np.asarray(energies_eV, float))
    return base + edge * (1 - FLUORESCENCE_YIELD * K_ALPHA_EV / energies)


def phase_rad_per_um(formula: str, formula_mol_cm3: float, energies_eV: ArrayLike) -> Array:
    """Phase that a wave gains against vacuum, -2 pi delta / lambda, radian per um, shape of `energies_eV`; negative.

    delta from xraylib's refractive index, with its atomic, not its near-edge, anomalous dispersion.
    """
    energies = np.atleast_1d(np.asarray(energies_eV, float))
    density = formula_mol_cm3 * formula_mass_g_mol(formula)
    decrement = np.array([1 - xraylib.Refractive_Index_Re(formula, energy * 1e-3, density) for energy in energies])
    return np.asarray(-2 * np.pi * decrement * energies / HC_EV_UM)
