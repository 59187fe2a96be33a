"""Absorbed dose: energy deposited in the particle over its mass."""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
_JOULE_PER_EV = 1.602176634e-19


def mean_dose_MGy(
    paths: NDArray[np.float32],
    attenuation_per_um: Array,
    absorbed_per_um: Array,
    energies_eV: Array,
    density_g_cm3: Array,
    photons_per_um2: Array,
    angles: int,
    sample_um: float,
) -> float:
    """Mean dose of the particle, MGy, over all projections and energies.

    `paths` (species, angle, row, column) in um on samples of `sample_um`, any subset of the angles;
    `attenuation_per_um`, `absorbed_per_um` (species, energy) per unit amount (see
    `attenuation.absorbed_per_um`); `density_g_cm3` (species,) mass per volume at
    unit amount; `photons_per_um2` (energy,) incident fluence per projection. Each ray deposits
    (1 - T) of its energy times the absorbed share of its attenuation.
    """
    mass_g = float(np.tensordot(density_g_cm3, paths.sum(axis=(1, 2, 3), dtype=float), axes=1)) * sample_um**2 * 1e-12
    mass_g /= paths.shape[1]
    joule = 0.0
    for i, energy in enumerate(energies_eV):
        depth = np.tensordot(attenuation_per_um[:, i].astype(np.float32), paths, axes=1)
        absorbed = np.tensordot(absorbed_per_um[:, i].astype(np.float32), paths, axes=1)
        # (1 - T) / tau -> 1 for thin rays
        share = np.divide(-np.expm1(-depth), depth, out=np.ones_like(depth), where=depth > 1e-6)
        stopped = float((share * absorbed).sum(dtype=float)) * sample_um**2 / paths.shape[1]
        joule += stopped * photons_per_um2[i] * angles * energy * _JOULE_PER_EV
    return float(joule / (mass_g * 1e-3) * 1e-6)
