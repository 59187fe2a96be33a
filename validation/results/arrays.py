"""Amounts or phase fractions in a TIFF or NumPy file, or in several of a folder."""

import re
from pathlib import Path

import numpy as np

from analysis.result import AmountMap
from phantom import InputError

from .amounts import from_amounts, from_fraction, read_numbers
from .stated import Stated
from .volumes import Volume, foreign

_FRACTION = ("phase_fraction", "x")


def read_array(volume: Volume, stated: Stated) -> tuple[AmountMap, bool]:
    """Amounts (species, z, y, x) or the phase fraction (z, y, x); whether the iron is known."""
    found = read_numbers(volume, stated, (3, 4))
    if found.ndim == 4:
        return from_amounts(volume.where, found, stated), True
    return from_fraction(volume.where, found, stated), False


def read_named(where: Path, volumes: dict[str, Volume], stated: Stated, own_um: float | None = None) -> tuple[AmountMap, bool]:
    """Volumes named after the species, or phase_fraction, with iron and phase_fraction_sigma where known; whether iron is.

    Raises InputError where neither is among the names, and for volumes of different shapes.
    """
    named = {name: _of_species(name, volumes) for name in stated.species}
    if all(named.values()):
        parts = [read_numbers(volume, stated) for volume in named.values() if volume is not None]
        if len({part.shape for part in parts}) > 1:
            raise InputError(f"{where}: {', '.join(named)} have shapes {[part.shape for part in parts]}; allowed are equal ones")
        return from_amounts(where, np.stack(parts), stated, own_um), True
    fraction = next((name for name in _FRACTION if name in volumes), None)
    if fraction is None:
        raise InputError(
            f"{where}: holds {', '.join(list(volumes)[:8]) or 'nothing'}; allowed are volumes {', '.join(stated.species)}, "
            "or phase_fraction and iron; name them so; attenuation at many energies needs --standards"
        )
    x = read_numbers(volumes[fraction], stated)
    iron, sigma = (read_numbers(volumes[name], stated) if name in volumes else None for name in ("iron", "phase_fraction_sigma"))
    return from_fraction(where, x, stated, iron, sigma, own_um), iron is not None


def _of_species(name: str, volumes: dict[str, Volume]) -> Volume | None:
    """The one volume with a species in its name, as a word of it."""
    found = [volume for key, volume in volumes.items() if name.upper() in re.split(r"[^A-Z0-9]+", key.upper())]
    return found[0] if len(found) == 1 else None


def read_npz(path: Path, stated: Stated) -> tuple[AmountMap, bool]:
    """Arrays of a .npz file by name, as `read_named`, or `amounts`; `voxel_um` where it says so. Objects are never loaded."""
    with foreign(path), path.open("rb") as raw, np.load(raw) as file:
        arrays = {name: file[name] for name in file.files}
    size = arrays.pop("voxel_um", None)
    own_um = None if size is None or size.size != 1 or size.dtype.kind not in "iuf" else float(size.ravel()[0])
    volumes = {
        name: Volume(path, array.shape, lambda low, high, array=array: array[low:high])  # type: ignore[misc]
        for name, array in arrays.items()
        if array.ndim > 2
    }
    if "amounts" in volumes:
        return from_amounts(path, read_numbers(volumes["amounts"], stated, (4,)), stated, own_um), True
    return read_named(path, volumes, stated, own_um)
