"""Linear combination of standards, for all voxels at once."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from instrument.attenuation import attenuation_per_um, formula_mass_g_mol, iron_per_formula
from instrument.measurement import InputError, Spectrum

Array = NDArray[np.float64]
Values = NDArray[np.float32]
Background = Literal["none", "constant", "linear"]

LFP_IRON_MOL_CM3 = 3.600 / formula_mass_g_mol("LiFePO4")
_FORMULAS = {"LFP": "LiFePO4", "FP": "FePO4"}


@dataclass(frozen=True)
class LinearFit:
    """amounts (species, n), their covariance (species, species, n), and chi2 (n,) of `dof` (n,)."""

    amounts: Values
    covariance: Values
    chi2: Values
    dof: NDArray[np.intp]


def standards_matrix(standards: list[Spectrum], energies_eV: Array) -> Array:
    """Attenuation of the standards at the scan's energies, (species, energy), 1/um at LFP's iron density.

    Energies between a standard's points are interpolated by cubic spline. A normalized standard is
    scaled by xraylib's iron step of its formula. Raises InputError where a standard does not reach.
    """
    from scipy.interpolate import CubicSpline

    rows = []
    for standard in standards:
        low, high = standard.energies_eV[0], standard.energies_eV[-1]
        outside = (energies_eV < low - 1e-3) | (energies_eV > high + 1e-3)
        if outside.any():
            raise InputError(
                f"standard {standard.name}: the scan's {energies_eV[outside][0]:g} eV lies outside its {low:g}..{high:g} eV; "
                "measure more of it or leave the energy out"
            )
        mu = CubicSpline(standard.energies_eV, standard.mu)(energies_eV)
        if standard.normalized:
            formula = standard.formula or _FORMULAS.get(standard.name, "Fe")
            iron = iron_per_formula(formula)
            if iron <= 0:
                raise InputError(f"standard {standard.name}: formula {formula} holds no iron; name its formula in the header")
            mu = attenuation_per_um(formula, LFP_IRON_MOL_CM3 / iron, energies_eV, mu)
        rows.append(mu)
    return np.array(rows)


def design_matrix(standards: Array, energies_eV: Array, background: Background) -> Array:
    """Columns of the fit, (energy, species + background): standards, then a constant, then a slope.

    Raises InputError for fewer energies than unknowns, or standards that are not independent.
    """
    scale = float(np.abs(standards).max())
    columns = list(standards)
    if background != "none":
        columns.append(np.full(len(energies_eV), scale))
    if background == "linear":
        columns.append(scale * (energies_eV - energies_eV.mean()) / max(float(np.ptp(energies_eV)), 1.0))
    design = np.array(columns).T
    if len(design) < design.shape[1]:
        raise InputError(
            f"fit: {len(design)} energies for {design.shape[1]} unknowns; allowed at least {design.shape[1]}; "
            "add energies or take analysis.background = 'none'"
        )
    if np.linalg.cond(design / np.linalg.norm(design, axis=0)) > 1e5:
        raise InputError("fit: the standards cannot be told apart at these energies; add energies between 7115 and 7140 eV")
    return design


def linear_combination(mu: Values, variance: Values, design: Array, weights: Array, species: int) -> LinearFit:
    """Weighted least squares of mu (energy, n) on `design` (energy, unknown), NaN = missing.

    One weight per energy, so that all voxels share one estimator; its covariance is exact for the
    given `variance` (energy, n) whatever the weights (Aitken's sandwich form, cov = P V P^T).
    """
    missing = np.isnan(mu) | np.isnan(variance)
    n = mu.shape[1]
    amounts = np.full((species, n), np.nan, np.float32)
    covariance = np.full((species, species, n), np.nan, np.float32)
    chi2 = np.full(n, np.nan, np.float32)
    dof = np.zeros(n, np.intp)
    if missing.any():
        patterns, inverse = np.unique(missing, axis=1, return_inverse=True)
    else:
        patterns, inverse = np.zeros((len(mu), 1), bool), None
    for number, pattern in enumerate(patterns.T):
        use = ~pattern
        if use.sum() < design.shape[1]:
            continue
        where = slice(None) if inverse is None else np.flatnonzero(inverse.ravel() == number)
        a, w = design[use], weights[use]
        estimator = np.linalg.solve(a.T @ (a * w[:, None]), (a * w[:, None]).T)
        values, noise = mu[:, where][use], variance[:, where][use]
        amounts[:, where] = estimator[:species].astype(np.float32) @ values
        for i in range(species):
            for j in range(i, species):
                covariance[i, j, where] = covariance[j, i, where] = (estimator[i] * estimator[j]).astype(np.float32) @ noise
        residual = (np.eye(len(a)) - a @ estimator).astype(np.float32) @ values
        chi2[where] = (residual**2 / noise).sum(axis=0)
        dof[where] = len(a) - a.shape[1]
    return LinearFit(amounts, covariance, chi2, dof)


def fit(
    mu: Values, sigma: Values, energies_eV: Array, standards: Array, background: Background = "constant"
) -> tuple[Values, Values]:
    """The fit role: amounts and their sigma, each (species, n)."""
    design = design_matrix(standards, energies_eV, background)
    variance = sigma.astype(np.float32) ** 2
    result = linear_combination(mu, variance, design, 1 / np.nanmean(variance, axis=1), len(standards))
    return result.amounts, np.sqrt(np.einsum("iin->in", result.covariance))
