"""One offset between the energies of a scan and those of its standards."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar

from instrument.measurement import InputError, Spectrum

Array = NDArray[np.float64]

LARGEST_OFFSET_EV = 5.0
FOIL_EDGE_EV = 7112.0
EDGES_EV_PER_UM = 0.2  # of the pixel: an offset's error by averages over edges; a guess, from two sizes of pixel
_FOIL_RANGE_EV = 5.0
_STEP_EV = 0.25


def on_scan_scale(standards: list[Spectrum], offset_eV: float) -> list[Spectrum]:
    """The standards at the energies that a scan calls so whose true energies are higher by `offset_eV`.

    Where the offset moves a standard's end inside the scan, the line through its last two points goes on.
    """
    if offset_eV == 0:
        return standards
    out = []
    for standard in standards:
        energies, mu = standard.energies_eV - offset_eV, standard.mu
        before, after = energies[0] - abs(offset_eV), energies[-1] + abs(offset_eV)
        first = mu[0] + (mu[1] - mu[0]) / (energies[1] - energies[0]) * (before - energies[0])
        last = mu[-1] + (mu[-1] - mu[-2]) / (energies[-1] - energies[-2]) * (after - energies[-1])
        out.append(replace(standard, energies_eV=np.r_[before, energies, after], mu=np.r_[first, mu, last]))
    return out


def energy_offset(spectra: Array, information: Array, weights: Array, design_of: Callable[[float], Array]) -> tuple[float, float]:
    """Offset, eV, and its sigma, at which mixtures of the standards follow `spectra` (energy, unknown) found in a sample.

    `spectra` are what each path through the sample adds to the optical depth at each energy, `information` (unknown, unknown) the
    sum of squares of the paths. One offset is common to all: any mixture of the standards is allowed for each spectrum (variable
    projection; Golub and Pereyra, Inverse Problems 19 (2003) R1). Sigma follows from the misfit that is left. Not in it, and to
    be added (`EDGES_EV_PER_UM`): a pixel or a blur that averages over an edge of the sample absorbs less than its mean path says,
    the more so where absorption is strong, and that draws the offset down, by some 0.01 eV at 60 nm pixels and 0.02 eV at 120 nm.
    """

    def misfit(offset_eV: float) -> float:
        design = design_of(offset_eV) * np.sqrt(weights)[:, None]
        data = spectra * np.sqrt(weights)[:, None]
        left = data - design @ np.linalg.lstsq(design, data, rcond=None)[0]
        return float(np.einsum("ek,kl,el->", left, information, left))

    trials = np.arange(-LARGEST_OFFSET_EV, LARGEST_OFFSET_EV + _STEP_EV / 2, _STEP_EV)
    best = float(trials[np.argmin([misfit(t) for t in trials])])
    found = minimize_scalar(misfit, bounds=(best - _STEP_EV, best + _STEP_EV), method="bounded", options={"xatol": 1e-4})
    offset, h = float(found.x), 0.05
    curvature = (misfit(offset + h) - 2 * misfit(offset) + misfit(offset - h)) / h**2
    energies, unknown = spectra.shape
    freedom = max((energies - unknown) * unknown - 1, 1)
    return offset, float(np.sqrt(2 * found.fun / freedom / curvature)) if curvature > 0 else float("inf")


def foil_offset(foil: Spectrum) -> tuple[float, float]:
    """By how much, eV, true energies are higher than a scale on which `foil`, metallic iron, was measured; and its sigma.

    The edge of iron, 7112.0 eV, is where a foil's spectrum first rises fastest (Kraft et al., Rev. Sci. Instrum. 67 (1996) 681:
    7110.75 eV on an absolute scale; the field's tables say 7112.0, and spectra are calibrated to it). A parabola through the
    highest slope and its neighbours says where; sigma is a tenth of the spacing there, a guess: what curvature of another shape
    than a parabola's moves it by. Raises InputError for a spectrum that has no point every 1 eV about the edge, or no edge.
    """
    energies, mu = foil.energies_eV, foil.mu
    near = np.abs(energies - FOIL_EDGE_EV) <= LARGEST_OFFSET_EV + _FOIL_RANGE_EV
    spacing = np.diff(energies[near])
    if near.sum() < 5 or spacing.max() > 1.0:
        raise InputError(
            f"foil: {near.sum()} points within {LARGEST_OFFSET_EV + _FOIL_RANGE_EV:g} eV of {FOIL_EDGE_EV:g} eV"
            f"{f', up to {spacing.max():g} eV apart' if spacing.size else ''}; allowed is one at least every 1 eV; measure more"
        )
    middle = (energies[near][1:] + energies[near][:-1]) / 2
    slope = np.diff(mu[near]) / spacing
    # The first rise: metallic iron's edge has a second one, of like slope, some 6 eV above.
    tall = np.flatnonzero((slope[1:-1] >= slope[:-2]) & (slope[1:-1] > slope[2:]) & (slope[1:-1] > slope.max() / 2)) + 1
    noise = 1.4826 * float(np.median(np.abs(np.diff(mu[near], 2)))) / np.sqrt(6)
    if not tall.size or slope.max() * spacing.max() < 5 * noise:
        raise InputError(f"foil: its spectrum rises nowhere near {FOIL_EDGE_EV:g} eV; is it iron, and in eV?")
    k = int(tall[0])
    a, b, _ = np.polyfit(middle[k - 1 : k + 2] - middle[k], slope[k - 1 : k + 2], 2)
    return FOIL_EDGE_EV - float(middle[k] - b / (2 * a)), 0.1 * float(np.diff(middle)[k - 1])
