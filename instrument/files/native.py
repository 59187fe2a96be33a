"""The native scan file: one HDF5 file with all energies."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np

from phantom.errors import InputError

from ..measurement import Header, Measurement
from .hdf5 import FORMAT_VERSION, dataset, open_hdf5, whole_file


@contextmanager
def new_scan(path: Path, header: Header) -> Iterator[Measurement]:
    """A native scan file to be filled frame by frame; it appears at `path` when the block ends."""
    with whole_file(path) as temporary, h5py.File(temporary, "w") as file:
        for name in ("energies_eV", "angles_rad", "time_s", "pixels_um"):
            file[name] = getattr(header, name)
        frames = {
            name: file.create_dataset(name, header.frames_shape(name), np.uint16) for name in ("projections", "flats", "darks")
        }
        file.attrs.update(
            {
                "format_version": FORMAT_VERSION,
                "pixel_um": header.pixels_um[0],
                "center_px": header.center_px,
                "exposure_s": header.exposure_s,
                "start_s": header.start_s,
                "axes": "energy:angle:row:column",
            }
        )
        yield header.measurement(**frames)


@contextmanager
def open_scan(path: Path) -> Iterator[Measurement]:
    """A native scan, its frames read when they are needed. Raises InputError for what is no such file."""
    with open_hdf5(path, "scan") as file:
        yield _measurement(file)


def _measurement(file: h5py.File) -> Measurement:
    frames = {name: dataset(file, name, 4) for name in ("projections", "flats", "darks")}
    values = {}
    for name in ("center_px", "exposure_s", "start_s"):
        if not isinstance(file.attrs.get(name), (int, float, np.number)):
            raise InputError(f"{file.filename}: attribute {name} is missing or no number; is this a txm-twin scan?")
        values[name] = float(file.attrs[name])
    return Measurement(
        energies_eV=np.asarray(dataset(file, "energies_eV", 1)[...], float),
        angles_rad=np.asarray(dataset(file, "angles_rad", 1)[...], float),
        time_s=np.asarray(dataset(file, "time_s", 2)[...], float),
        pixels_um=np.asarray(dataset(file, "pixels_um", 1)[...], float),
        **frames,
        **values,
    )
