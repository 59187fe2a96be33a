"""The native scan file: one HDF5 file with all energies."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from phantom.errors import InputError

from ..measurement import Header, Measurement
from .hdf5 import FORMAT_VERSION, attribute, frames, opened, reading, values, whole_file
from .tomogram import ENERGIES_EV, LARGEST_ANGLE_DEG, PIXELS_UM, check_light
from .writing import new_hdf5, whole_files


@contextmanager
def new_scan(path: Path, header: Header) -> Iterator[Measurement]:
    """A native scan file to be filled frame by frame; it appears at `path` when the block ends."""
    with whole_file(path) as temporary, new_hdf5(temporary) as file:
        for name in ("energies_eV", "angles_rad", "time_s", "pixels_um", "exposures_s", "flats_s"):
            if getattr(header, name) is not None:
                file[name] = getattr(header, name)
        for name, value in header.notes.items():
            file[name] = value
        counts = {
            name: file.create_dataset(name, header.frames_shape(name), np.uint16) for name in ("projections", "flats", "darks")
        }
        file.attrs.update(
            {
                "format_version": FORMAT_VERSION,
                "pixel_um": header.pixels_um[0],
                "center_px": header.center_px,
                "start_s": header.start_s,
                "axes": "energy:angle:row:column",
            }
        )
        yield header.measurement(**counts)


@contextmanager
def new_scan_in(folder: Path, header: Header) -> Iterator[Measurement]:
    """A native scan file `scan.h5` in `folder`, as `new_scan`; makes the folder where it is missing."""
    with whole_files(folder, ["scan.h5"], "scan.h5") as (path,), new_scan(path, header) as scan:
        yield scan


@contextmanager
def open_scan(path: Path) -> Iterator[Measurement]:
    """A native scan, its frames read when they are needed. Raises InputError for what is no such file."""
    with opened(path, "scan") as file:
        yield read(file)


def read(file: h5py.File) -> Measurement:
    """The scan of an open native file, frames read when they are needed. Raises InputError where it is none."""
    path = Path(file.filename)
    full_turn = np.deg2rad(LARGEST_ANGLE_DEG)
    with reading(path):
        projections, flats, darks = (frames(file, name, 4) for name in ("projections", "flats", "darks"))
        header = {
            "energies_eV": _within(file, "energies_eV", *ENERGIES_EV),
            "angles_rad": _within(file, "angles_rad", -full_turn, full_turn),
            "pixels_um": _within(file, "pixels_um", *PIXELS_UM),
            "time_s": values(file, "time_s", 2),
            "exposures_s": values(file, "exposures_s"),
        }
        flats_s = values(file, "flats_s", 2) if "flats_s" in file else None
        center_px, start_s = (_number(file, name) for name in ("center_px", "start_s"))
    try:
        scan = Measurement(
            **header,
            projections=projections,
            flats=flats,
            darks=darks,
            center_px=center_px,
            start_s=start_s,
            flats_s=flats_s,
        )
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    for i, energy in enumerate(scan.energies_eV):
        check_light(f"{path} at {energy:g} eV", scan.flats[i, 0, scan.rows // 2], scan.darks[i, 0, scan.rows // 2])
    return scan


def _within(file: h5py.File, name: str, lowest: float, highest: float) -> NDArray[np.float64]:
    """A dataset (n,) whose values lie in a range; InputError where they do not, as in another unit."""
    found = values(file, name)
    outside = found[(found < lowest) | (found > highest)]
    if not len(found) or len(outside):
        told = f"holds {outside[0]:g}" if len(outside) else "is empty"
        raise InputError(f"{file.filename}: /{name} {told}; allowed is {lowest:g}..{highest:g}; is it in another unit?")
    return found


def _number(file: h5py.File, name: str) -> float:
    found = attribute(file, name)
    if not isinstance(found, (int, float, np.number)) or not np.isfinite(found):
        raise InputError(f"{file.filename}: attribute {name} is missing or no finite number; is this a txm-twin scan?")
    return float(found)
