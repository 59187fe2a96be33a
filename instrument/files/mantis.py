"""Stacks for MANTiS, (x, y, energy): what its data exchange reader wants, in counts over one white spectrum."""

from contextlib import AbstractContextManager
from datetime import UTC, datetime
from pathlib import Path

import h5py
import numpy as np

from ..measurement import Header, Measurement
from . import stacks
from .writing import add_groups, numbered

# The program knows a stack by this extension.
_NAME = "stack_{}.hdf5"


def new_scan(folder: Path, header: Header) -> AbstractContextManager[Measurement]:
    """New stacks `stack_{n}.hdf5` in `folder`, held in memory; they appear when the block ends.

    `header` has one view: the first angle of a tomography scan, or a series, which makes a stack per time point. MANTiS
    divides by one white value per energy, so the data are counts above dark as an even beam would give them:
    transmission times the mean open beam, energies rising, eV. Raises InputError for several views, or where the folder
    cannot take the files.
    """
    return stacks.new_stacks(folder, header, numbered(len(header.angles_rad), _NAME), _NAME.format("*"), _write)


def _write(file: h5py.File, scan: Measurement, k: int) -> None:
    order, (flat, dark) = stacks.rising(scan), stacks.references(scan)
    white = (flat - dark).mean(axis=(1, 2))[order]
    energies = scan.energies_eV[order]
    add_groups(file, "information", "exchange", "spectromicroscopy", "spectromicroscopy/normalization")
    file["implements"] = "information:exchange:spectromicroscopy"
    file["version"] = "1.0"
    file["information/title"] = "simulated stack"
    file["information/file_creation_datetime"] = datetime.fromtimestamp(
        scan.start_s + float(scan.time_s[:, k].min()), UTC
    ).isoformat(timespec="seconds")
    for name, values, units in (
        ("data", stacks.transmission(scan, k)[order] * white[:, None, None], "counts"),
        ("white_data", flat[order], "counts"),
        ("dark_data", dark[order], "counts"),
    ):
        file[f"exchange/{name}"] = values.transpose(2, 1, 0).astype(np.float32)
        file[f"exchange/{name}"].attrs.update({"axes": "x:y:energy", "units": units})
    file["exchange/energy"] = energies
    file["exchange/energy"].attrs["units"] = "eV"
    for name, length in (("x", scan.columns), ("y", scan.rows)):
        file[f"exchange/{name}"] = (np.arange(length) - (length - 1) / 2) * scan.pixel_um
        file[f"exchange/{name}"].attrs["units"] = "um"
    normalization = file["spectromicroscopy/normalization"]
    normalization["white_spectrum"] = white
    normalization["white_spectrum"].attrs["units"] = "counts"
    normalization["white_spectrum_energy"] = energies
    normalization["white_spectrum_energy"].attrs["units"] = "eV"
