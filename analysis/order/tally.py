"""Sums over the particle that let a person judge a map: mean spectra of core and shell, and chi2."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..result import fp_index

Array = NDArray[np.float64]
Values = NDArray[np.float32]

# Found phase fraction of a voxel that counts as core or as shell.
CLASSES = {"core": (-0.25, 0.25), "shell": (0.75, 1.25)}


@dataclass(frozen=True)
class Tally:
    """Voxels of the particle and of the classes, summed attenuation (energy,) of the classes; chi2, dof; repaired rays."""

    voxels: float
    counts: Array
    sums: Array
    chi2: float
    dof: float
    repaired: int

    def __add__(self, other: "Tally") -> "Tally":
        return Tally(
            self.voxels + other.voxels,
            self.counts + other.counts,
            self.sums + other.sums,
            self.chi2 + other.chi2,
            self.dof + other.dof,
            self.repaired + other.repaired,
        )

    def spectra(self) -> dict[str, Array]:
        """Mean attenuation (energy,), 1/um, of the classes; one of less than 2 % of the voxels is but the tail of noise."""
        return {
            name: total / count
            for name, count, total in zip(CLASSES, self.counts, self.sums, strict=True)
            if count > 0.02 * self.voxels
        }

    @property
    def reduced_chi2(self) -> float:
        """chi2 per degree of freedom, NaN where there is none."""
        return self.chi2 / self.dof if self.dof else float("nan")


def tally_of_rays(amounts: Values, energies: int, chi2: float, dof: float, repaired: int) -> Tally:
    """Of amounts (species, ...) found from rays, whose chi2 and dof are sums: voxels have no spectra of their own."""
    none = np.zeros(len(CLASSES))
    return Tally(float((amounts.sum(axis=0) > 0.5).sum()), none, np.zeros((len(CLASSES), energies)), chi2, dof, repaired)


def tally(mu: Values, amounts: Values, species: tuple[str, ...], chi2: Values, dof: NDArray[np.intp], repaired: int) -> Tally:
    """Of voxels with iron > 0.5: mu (energy, n), amounts (species, n), chi2 and dof (n,)."""
    iron = amounts.sum(axis=0)
    particle = iron > 0.5
    x = amounts[fp_index(species)] / np.where(particle, iron, 1)
    masks = [particle & (x > low) & (x < high) for low, high in CLASSES.values()]
    return Tally(
        float(particle.sum()),
        np.array([mask.sum() for mask in masks], float),
        np.array([mu[:, mask].sum(axis=1, dtype=float) for mask in masks]),
        float(chi2[particle].sum(dtype=float)),
        float(dof[particle].sum()),
        repaired,
    )
