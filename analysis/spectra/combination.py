"""Linear combination of standards, for all voxels at once."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from instrument.attenuation import attenuation_per_um, formula_mass_g_mol, iron_per_formula
from instrument.measurement import InputError, Spectrum

from .constraints import Constraint, Face, cheapest, faces

Array = NDArray[np.float64]
Values = NDArray[np.float32]
Background = Literal["none", "constant", "linear"]

LFP_IRON_MOL_CM3 = 3.600 / formula_mass_g_mol("LiFePO4")
_AT_ONCE = 2**16  # values at a time: these, their variance and the residual stay in a core's cache
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
        formula = standard.formula or _FORMULAS.get(standard.name, "Fe")
        iron = iron_per_formula(formula)
        if iron <= 0:
            raise InputError(
                f"standard {standard.name}: its formula {formula} holds no iron, and amounts are iron; allowed are species with "
                "iron; matter without it is the background's (--background)"
            )
        if standard.normalized:
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


def linear_combination(
    mu: Values, variance: Values, design: Array, weights: Array, species: int, constraint: Constraint = "free"
) -> LinearFit:
    """Weighted least squares of mu (energy, n) on `design` (energy, unknown), NaN = missing.

    `weights` (energy,) are 1 / a typical variance, the same for all voxels, so that they share one estimator P; its covariance
    is exact for the given `variance` (energy, n) whatever the weights (Aitken's sandwich form, P V P^T). `constraint` bounds the
    amounts, see `faces`; the background is free.

    At a bound: an amount held at 0 has covariance 0, and that of the others is of the fit without it. This is right as a mean
    over voxels (a true 0 is found as 0 by half of them, and the squared errors of all average to their mean variance), but no
    statement about the one voxel that reads 0: an amount within about 1 sigma of 0 needs the free fit's sigma.
    """
    n = mu.shape[1]
    found = LinearFit(
        np.empty((species, n), np.float32),
        np.empty((species, species, n), np.float32),
        np.empty(n, np.float32),
        np.empty(n, np.intp),
    )
    complete = faces(design, weights, species, constraint)
    step = max(_AT_ONCE // len(mu), 1)
    for low in range(0, n, step):
        part = slice(low, low + step)
        _solve(mu[:, part], variance[:, part], design, complete, found, part)
    # NaN in either spreads to chi2: only such voxels are searched for what they miss.
    suspect = np.flatnonzero(np.isnan(found.chi2))
    missing = np.isnan(mu[:, suspect]) | np.isnan(variance[:, suspect])
    patterns, number = np.unique(np.packbits(missing, axis=0), axis=1, return_inverse=True)
    for k, packed in enumerate(patterns.T):
        use = np.unpackbits(packed, count=len(mu)) == 0
        where = suspect[number.ravel() == k]  # numpy 2.0 alone gives it another shape
        if use.all():
            continue
        if use.sum() < design.shape[1]:
            for values in (found.amounts, found.covariance, found.chi2):
                values[..., where] = np.nan
            found.dof[where] = 0
            continue
        partial = faces(design[use], weights[use], species, constraint)
        rows = np.ix_(use, where)
        _solve(mu[rows], variance[rows], design[use], partial, found, where)
    return found


def _solve(
    mu: Values,
    variance: Values,
    design: Array,
    candidates: list[Face],
    found: LinearFit,
    where: slice | NDArray[np.intp],
) -> None:
    """Fit the spectra `mu` (energy, n), none missing, and write them to `where` in `found`."""
    widest = candidates[0]
    species = len(widest.held)
    unknowns = widest.estimator.astype(np.float32) @ mu
    unknowns += widest.offset[:, None].astype(np.float32)
    covariance = _sandwich(widest, variance)
    dof: NDArray[np.intp] | int = len(mu) - widest.parameters
    if len(candidates) > 1:
        below = np.flatnonzero((unknowns[:species] < 0).any(axis=0))
        best = cheapest(unknowns[:, below], candidates)
        dof = np.full(mu.shape[1], dof)
        for number in np.unique(best):
            face, chosen = candidates[number], below[best == number]
            unknowns[:, chosen] = face.projection.astype(np.float32) @ unknowns[:, chosen] + face.offset[:, None]
            covariance[:, :, chosen] = _sandwich(face, variance[:, chosen])
            dof[chosen] = len(mu) - face.parameters
    found.amounts[:, where] = unknowns[:species]
    found.covariance[:, :, where] = covariance
    found.dof[where] = dof
    residual = design.astype(np.float32) @ unknowns
    residual -= mu
    residual *= residual
    with np.errstate(divide="ignore", invalid="ignore"):
        residual /= variance
    found.chi2[where] = residual.sum(axis=0)


def _sandwich(face: Face, variance: Values) -> Values:
    """Covariance (species, species, n) of the amounts on a face: P V P^T with V the diagonal `variance` (energy, n)."""
    species = len(face.held)
    amounts = face.estimator[:species]
    products = (amounts[:, None] * amounts).reshape(species**2, -1).astype(np.float32)
    return (products @ variance).reshape(species, species, -1)


def fit(
    mu: Values,
    sigma: Values,
    energies_eV: Array,
    standards: Array,
    background: Background = "constant",
    constraint: Constraint = "free",
) -> tuple[Values, Values]:
    """The fit role: amounts and their sigma, each (species, n). An energy that all spectra miss is as one not scanned."""
    seen = ~np.isnan(mu + sigma).all(axis=1)
    design = design_matrix(standards[:, seen], energies_eV[seen], background)
    variance = sigma[seen].astype(np.float32) ** 2
    result = linear_combination(mu[seen], variance, design, 1 / np.nanmean(variance, axis=1), len(standards), constraint)
    return result.amounts, np.sqrt(np.einsum("iin->in", result.covariance))
