"""Absorbed dose: energy deposited in a particle over its mass."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
_JOULE_PER_EV = 1.602176634e-19


@dataclass(frozen=True)
class Ledger:
    """The dose at every energy, over all exposures with the sample in the beam and the shutter open.

    `sample_MGy` (energy,) is energy over mass of all particles together, `particles_MGy` (particle, energy) of each,
    `entrance_MGy` (energy,) that of pure LFP with its parametric edge where the beam enters, without shade; `photons_per_um2`
    (energy,) the fluence on the sample.
    """

    energies_eV: Array
    photons_per_um2: Array
    entrance_MGy: Array
    particles_MGy: Array
    sample_MGy: Array

    @property
    def mean_MGy(self) -> float:
        """Dose of all particles together, all energies."""
        return float(self.sample_MGy.sum())


def entrance_dose_MGy(energy_eV: Array, absorbed_per_um: Array, density_g_cm3: float, photons_per_um2: Array) -> Array:
    """Dose (energy,) where nothing shades: fluence * E * absorbed coefficient / density.

    `absorbed_per_um` (energy,) is without the fluorescence that escapes, see `attenuation.absorbed_per_um`.
    """
    return np.asarray(photons_per_um2 * energy_eV * _JOULE_PER_EV * absorbed_per_um / (density_g_cm3 * 1e-12) * 1e3 * 1e-6)


def mean_dose_MGy(
    paths: NDArray[np.float32],
    attenuation_per_um: Array,
    absorbed_per_um: Array,
    energies_eV: Array,
    density_g_cm3: Array,
    photons_per_um2: Array,
    sample_um: float,
) -> Array:
    """Mean dose (energy,) of a sample, MGy.

    `paths` (species, view, row, column) in um on samples of `sample_um`, any subset of the views;
    `attenuation_per_um`, `absorbed_per_um` (species, energy) per unit amount (see
    `attenuation.absorbed_per_um`); `density_g_cm3` (species,) mass per volume at
    unit amount; `photons_per_um2` (energy,) fluence of all exposures. Each ray deposits
    (1 - T) of its energy times the absorbed share of its attenuation.
    """
    views = paths.shape[1]
    mass_g = float(np.tensordot(density_g_cm3, paths.sum(axis=(1, 2, 3), dtype=float), axes=1)) * sample_um**2 * 1e-12 / views
    joule = np.zeros(len(energies_eV))
    for i, energy in enumerate(energies_eV):
        depth = np.tensordot(attenuation_per_um[:, i].astype(np.float32), paths, axes=1)
        absorbed = np.tensordot(absorbed_per_um[:, i].astype(np.float32), paths, axes=1)
        # (1 - T) / tau -> 1 for thin rays
        share = np.divide(-np.expm1(-depth), depth, out=np.ones_like(depth), where=depth > 1e-6)
        stopped = float((share * absorbed).sum(dtype=float)) * sample_um**2 / views
        joule[i] = stopped * photons_per_um2[i] * energy * _JOULE_PER_EV
    return np.asarray(joule / (mass_g * 1e-3) * 1e-6)
