"""Reconstructions at many energies, fitted voxel by voxel with standards as the analysis does, slab by slab."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from analysis.result import AmountMap
from analysis.spectra.combination import design_matrix, linear_combination, standards_matrix
from phantom import InputError

from .amounts import from_amounts, per_um
from .stated import Array, Stated
from .volumes import Values, Volume, numbers

_AT_ONCE = 2**24  # attenuations of a slab


@dataclass(frozen=True)
class Spectra:
    """Attenuation of voxels `shape` at many energies; `slab` reads slices low..high of it, (energy, slice, row, column)."""

    where: Path
    energies_eV: Array
    shape: tuple[int, ...]
    slab: Callable[[int, int], Values]


def spectra_of(where: Path, volumes: dict[str, Volume], energies_eV: Array | None, stated: Stated) -> Spectra:
    """Of one volume an energy, in their order. Raises InputError for as many as there are no energies, and unequal shapes."""
    energies = energies_for(where, len(volumes), "volumes", energies_eV, stated)
    first = next(iter(volumes))
    shape = volumes[first].shape
    for name, volume in volumes.items():
        if volume.shape != shape or len(shape) != 3:
            raise InputError(
                f"{volume.where}: volume {name} has shape {volume.shape}; allowed is one of 3 axes, and that of {first}, {shape}"
            )

    def slab(low: int, high: int) -> Values:
        return np.stack([numbers(volume.part(low, high), volume.where, stated.scale) for volume in volumes.values()])

    return Spectra(where, energies, shape, slab)


def energies_for(where: Path, count: int, what: str, own_eV: Array | None, stated: Stated) -> Array:
    """The energies stated, or else the files' own. Raises InputError for none, or another number than `count`."""
    energies = stated.energies_eV if stated.energies_eV is not None else own_eV
    if energies is None:
        raise InputError(f"{where}: {count} {what}, but no energies; allowed is one for each; list them with --energies, in eV")
    if len(energies) != count:
        raise InputError(f"{where}: {count} {what} and {len(energies)} energies; allowed are as many; list them with --energies")
    return energies


def fit_spectra(spectra: Spectra, stated: Stated) -> AmountMap:
    """Amounts of the standards in every voxel, all energies of equal weight; sigma is unknown, as the noise is.

    Raises InputError without standards, or where these energies and standards do not allow the fit.
    """
    if not stated.standards:
        raise InputError(
            f"{spectra.where}: holds attenuation at {len(spectra.energies_eV)} energies, no amounts; "
            "allowed with standards to fit: --standards LFP=FILE FP=FILE"
        )
    names = tuple(standard.name for standard in stated.standards)
    voxel_um = stated.voxel_at(spectra.where)
    matrix = standards_matrix(list(stated.standards), spectra.energies_eV)
    design = design_matrix(matrix, spectra.energies_eV, stated.background)
    weights: NDArray[np.float64] = np.ones(len(spectra.energies_eV))
    amounts = np.empty((len(names), *spectra.shape), np.float32)
    step = max(_AT_ONCE // (len(weights) * int(np.prod(spectra.shape[1:]))), 1)
    for low in range(0, spectra.shape[0], step):
        slab = spectra.slab(low, low + step) * np.float32(per_um(voxel_um, stated))
        mu = slab.reshape(len(weights), -1)
        found = linear_combination(mu, np.ones_like(mu), design, weights, len(names))
        amounts[:, low : low + step] = found.amounts.reshape(len(names), *slab.shape[1:])
    stated = replace(stated, species=names)
    return from_amounts(spectra.where, amounts, stated, cure=f"is attenuation per {stated.unit}? state --unit and --voxel")
