"""DXchange files (APS): tomograms for tomopy, tomopy-cli, algotom and dxchange, and 2D stacks of 32-ID for xanespy."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from phantom.errors import InputError

from ..measurement import Header, Measurement
from . import stacks
from .hdf5 import attribute, frames, scalar, text, told, values
from .tomogram import Tomogram, angles_rad, energy_eV, epoch_s, pixel_um
from .writing import add_groups, new_files, numbered

_TOMOGRAM, _STACK = "dxchange_{}_{:08.2f}eV.h5", "xanes_{}.h5"
_ENERGY = "measurement/instrument/monochromator/energy"
_EXPOSURE = "measurement/instrument/detector/exposure_time"
_TIMES = "process/acquisition/projection_time"
_START = "process/acquisition/start_date"
# In this order: the first two are the pixel on the sample wherever they are; the last may be the camera's.
_PIXELS = (
    "measurement/instrument/detection_system/objective/resolution",
    "measurement/instrument/detector/actual_pixel_size_x",
    "measurement/instrument/detector/pixel_size_x",
)
_GROUPS = (
    "exchange",
    "measurement",
    "measurement/instrument",
    "measurement/instrument/monochromator",
    "measurement/instrument/detector",
    "measurement/instrument/detection_system",
    "measurement/instrument/detection_system/objective",
    "process",
    "process/acquisition",
    "process/acquisition/rotation",
)
_AXES = "theta:y:x"
_DATE = "%Y-%m-%dT%H:%M:%S%z"


@contextmanager
def new_scan(folder: Path, header: Header) -> Iterator[Measurement]:
    """New DXchange files in `folder`, to be filled frame by frame; they appear when the block ends.

    One `dxchange_{n}_{energy}eV.h5` per energy; n counts in the order of the scan, by which the names sort. Raises
    InputError where the folder cannot take the files.
    """
    names = numbered(len(header.energies_eV), _TOMOGRAM, list(header.energies_eV))
    with new_files(folder, header, names, "dxchange_*eV.h5", _build) as scan:
        yield scan


def new_32id(folder: Path, header: Header) -> AbstractContextManager[Measurement]:
    """New 2D stacks `xanes_{n}.h5` of APS 32-ID in `folder`, held in memory; they appear when the block ends.

    `header` has one view: the first angle of a tomography scan, or a series, which makes a stack per time point. Counts
    (energy, row, column), energies rising, one (mean) flat per energy, darks of the first energy scanned. Raises InputError
    for several views, or where the folder cannot take the files.
    """
    return stacks.new_stacks(folder, header, numbered(len(header.angles_rad), _STACK), _STACK.format("*"), _write_stack)


def _put(file: h5py.File, name: str, value: Any, units: str = "") -> None:
    """A value as this layout stores them, in an array of length 1."""
    file[name] = np.array([value])
    if units:
        file[name].attrs["units"] = units


def _dates(file: h5py.File, start_s: float, end_s: float) -> None:
    for name, when in (("start_date", start_s), ("end_date", end_s)):
        _put(file, f"process/acquisition/{name}", datetime.fromtimestamp(when, UTC).strftime(_DATE).encode())


def _build(file: h5py.File, header: Header, i: int) -> tuple[Any, Any, Any]:
    add_groups(file, *_GROUPS)
    file["implements"] = "exchange:measurement:process"
    _put(file, _ENERGY, header.energies_eV[i] / 1000, "keV")
    _put(file, _EXPOSURE, header.exposures_s[i], "s")
    for name in (*_PIXELS, *(name[:-1] + "y" for name in _PIXELS[1:])):
        _put(file, name, header.pixels_um[i], "um")
    times, half = header.start_s + header.time_s[i], header.exposures_s[i] / 2
    _dates(file, times.min() - half, times.max() + half)
    file[_TIMES] = times
    file[_TIMES].attrs["units"] = "s"
    angles = np.rad2deg(header.angles_rad)
    rotation = "process/acquisition/rotation"
    _put(file, f"{rotation}/rotation_start", angles[0], "deg")
    _put(file, f"{rotation}/rotation_step", (angles[-1] - angles[0]) / max(1, len(angles) - 1), "deg")
    _put(file, f"{rotation}/num_angles", len(angles))
    file["exchange/theta"] = angles
    file["exchange/theta"].attrs["units"] = "deg"
    made = []
    for name, kind, axes in (
        ("data", "projections", _AXES),
        ("data_white", "flats", "theta_white:y:x"),
        ("data_dark", "darks", "theta_dark:y:x"),
    ):
        made.append(file.create_dataset(f"exchange/{name}", header.frames_shape(kind)[1:], np.uint16))
        made[-1].attrs.update({"axes": axes, "units": "counts"})
    return made[0], made[1], made[2]


def _write_stack(file: h5py.File, scan: Measurement, k: int) -> None:
    order, (flat, _) = stacks.rising(scan), stacks.references(scan)
    add_groups(file, "exchange", "process", "process/acquisition")
    file["implements"] = "exchange:process"
    times, half = scan.start_s + scan.time_s[:, k], scan.exposures_s / 2
    _dates(file, (times - half).min(), (times + half).max())
    file["exchange/energy"] = scan.energies_eV[order] / 1000
    file["exchange/energy"].attrs["units"] = "keV"
    file["exchange/theta"] = np.full(len(order), np.rad2deg(scan.angles_rad[k]))
    file["exchange/theta"].attrs["units"] = "deg"
    for name, counts in (("data", scan.projections[order, k]), ("data_white", flat[order].astype(np.float32))):
        file[f"exchange/{name}"] = counts
        file[f"exchange/{name}"].attrs.update({"axes": "energy:y:x", "units": "counts"})
    file["exchange/data_dark"] = scan.darks[0]
    file["exchange/data_dark"].attrs["units"] = "counts"


def read(file: h5py.File) -> list[Tomogram]:
    """The tomogram of a DXchange file. Raises InputError where it is none.

    Times are `projection_time` where our own writer left it; else the frames follow each other from `start_date`, at the
    exposure, and where even that is not told all carry the start.
    """
    angles = angles_rad(file, "exchange/theta", values(file, "exchange/theta"))
    projections = frames(file, "exchange/data")
    axes = text(attribute(projections.data, "axes") or _AXES)
    if axes != _AXES:
        raise InputError(f"{file.filename}: /exchange/data has axes {axes[:40]!r}; allowed is {_AXES}; reorder the data")
    pixel = next((name for name in _PIXELS if name in file), _PIXELS[0])
    exposure_s = scalar(file, _EXPOSURE) if _EXPOSURE in file else np.nan
    return [
        Tomogram(
            path=Path(file.filename),
            energy_eV=energy_eV(file, _ENERGY),
            angles_rad=angles,
            pixel_um=pixel_um(file, pixel),
            projections=projections,
            flats=frames(file, "exchange/data_white"),
            darks=frames(file, "exchange/data_dark"),
            time_s=_times(file, len(angles), exposure_s),
            exposure_s=exposure_s,
        )
    ]


def _times(file: h5py.File, count: int, exposure_s: float) -> Any:
    """Middle of each exposure, s since 1970, (angle,), or None."""
    if _TIMES in file:
        found = values(file, _TIMES)
        if len(found) != count:
            raise InputError(f"{file.filename}: /{_TIMES} has {len(found)} values; allowed is one for each of {count} angles")
        return found
    begin = epoch_s(told(file.get(_START)))
    return None if begin is None else begin + (np.arange(count) + 0.5) * (exposure_s if np.isfinite(exposure_s) else 0.0)
