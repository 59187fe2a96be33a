"""Raw files of FXI (NSLS-II), as PyXAS, TXM-Sandbox and DXchange read them: all datasets at the root, energies in keV."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from phantom.errors import InputError

from ..measurement import Header, Measurement
from . import stacks
from .hdf5 import frames, scalar, told, values
from .tomogram import Tomogram, angles_rad, energy_eV, pixel_um
from .writing import new_files

_FIRST_ID = 10001  # of five digits, so that names sort like ids
_CAMERA_PIXEL_NM = 6500.0
_TOMOGRAM, _STACK = "fly_scan_id_{}.h5", "xanes_scan2_id_{}.h5"
_LARGEST_DISAGREEMENT = 0.02  # the beamline rounds the pixel size


@contextmanager
def new_scan(folder: Path, header: Header) -> Iterator[Measurement]:
    """New FXI files in `folder`, to be filled frame by frame; they appear when the block ends.

    A tomography scan makes one `fly_scan_id_{id}.h5` per energy. Ids have one width and rise in the order of the scan in
    time: readers sort by name and so see rising energies only where the scan took them in rising order; an energy that
    was visited twice has two files. A series (all angles equal) makes one 2D stack `xanes_scan2_id_{id}.h5` per time
    point, with normalized transmission (not -log) at rising energies. Raises InputError where the folder cannot take the files.
    """
    if np.ptp(header.angles_rad) == 0:
        names = [_STACK.format(_FIRST_ID + k) for k in range(len(header.angles_rad))]
        with stacks.new_stacks(folder, header, names, _STACK.format("*"), _write_stack) as scan:
            yield scan
        return
    names = [_TOMOGRAM.format(_FIRST_ID + i) for i in range(len(header.energies_eV))]
    with new_files(folder, header, names, _TOMOGRAM.format("*"), _build, _average) as scan:
        yield scan


def _common(file: h5py.File, number: int, start_s: float, pixel: float, note: str) -> None:
    file["scan_id"] = _FIRST_ID + number
    file["scan_time"] = start_s
    file["uid"] = str(uuid.uuid5(uuid.NAMESPACE_OID, f"{start_s!r} {_FIRST_ID + number}"))
    file["note"] = note
    file["Magnification"] = _CAMERA_PIXEL_NM / (1000 * pixel)


def _build(file: h5py.File, header: Header, i: int) -> tuple[Any, Any, Any]:
    pixel, energy = float(header.pixels_um[i]), float(header.energies_eV[i])
    exposure_s = float(header.exposures_s[i])
    first_s = header.start_s + float(header.time_s[i].min()) - exposure_s / 2
    _common(file, i, first_s, pixel, f"simulated tomogram at {energy:.2f} eV, {exposure_s:g} s a frame")
    file["Pixel Size"] = _CAMERA_PIXEL_NM / file["Magnification"][()]
    file["X_eng"] = energy / 1000
    file["angle"] = np.rad2deg(header.angles_rad)
    for name in ("x_ini", "y_ini", "z_ini"):
        file[name] = 0.0
    file["r_ini"] = float(np.rad2deg(header.angles_rad[0]))
    for name in ("img_bkg_avg", "img_dark_avg"):
        file.create_dataset(name, (1, *header.shape), np.float32)
    projections, flats, darks = (
        file.create_dataset(name, header.frames_shape(kind)[1:], np.uint16)
        for name, kind in (("img_tomo", "projections"), ("img_bkg", "flats"), ("img_dark", "darks"))
    )
    return projections, flats, darks


def _average(file: h5py.File) -> None:
    for name in ("img_bkg", "img_dark"):
        file[f"{name}_avg"][0] = np.median(file[name][...], axis=0)


def _write_stack(file: h5py.File, scan: Measurement, k: int) -> None:
    order, (flat, dark) = stacks.rising(scan), stacks.references(scan)
    start_s = scan.start_s + float((scan.time_s[:, k] - scan.exposures_s / 2).min())
    frames_s = " to ".join(f"{value:g}" for value in np.unique([scan.exposures_s.min(), scan.exposures_s.max()]))
    note = f"simulated 2D stack, {len(order)} energies, {frames_s} s a frame"
    _common(file, k, start_s, scan.pixel_um, note)
    file["Pixel Size"] = f"{1000 * scan.pixel_um:.6g}nm"
    file["X_eng"] = scan.energies_eV[order] / 1000
    file["img_xanes"] = stacks.transmission(scan, k)[order].astype(np.float32)
    file["img_bkg"] = flat[order].astype(np.float32)
    file["img_dark"] = dark[order].astype(np.float32)


def read(file: h5py.File) -> list[Tomogram]:
    """The tomogram of a `fly_scan` file. Raises InputError where it is none.

    Its clock is that of the file: all projections of an energy carry `scan_time`, as the layout says neither when each
    was taken nor the exposure, which is NaN.
    """
    when = scalar(file, "scan_time") if "scan_time" in file else None
    angles = angles_rad(file, "angle", values(file, "angle"))
    return [
        Tomogram(
            path=Path(file.filename),
            energy_eV=energy_eV(file, "X_eng"),
            angles_rad=angles,
            pixel_um=_pixel(file),
            projections=frames(file, "img_tomo"),
            flats=frames(file, "img_bkg"),
            darks=frames(file, "img_dark"),
            time_s=None if when is None else np.full(len(angles), when),
        )
    ]


def _pixel(file: h5py.File) -> float:
    """Pixel on the sample, um, from `Pixel Size` (a number of nm, or '40.0nm') and `Magnification`, which must agree."""
    found = []
    size = file.get("Pixel Size")
    if isinstance(size, h5py.Dataset) and size.dtype.kind not in "iuf" and size.size == 1:
        try:
            found.append(float(told(size).removesuffix("nm")) / 1000)
        except ValueError:
            raise InputError(
                f"{file.filename}: /Pixel Size is {told(size)[:40]!r}; allowed is a number of nm, as 40.0nm"
            ) from None
    elif size is not None:
        found.append(scalar(file, "Pixel Size") / 1000)
    if "Magnification" in file:
        magnification = scalar(file, "Magnification")
        found.append(_CAMERA_PIXEL_NM / 1000 / magnification if magnification else np.inf)
    if not found:
        raise InputError(f"{file.filename}: has neither /Pixel Size nor /Magnification; allowed is one of them; add it")
    if len(found) == 2 and not abs(found[0] - found[1]) <= _LARGEST_DISAGREEMENT * abs(found[0]):
        raise InputError(
            f"{file.filename}: /Pixel Size says {found[0]:g} um, /Magnification {found[1]:g} um; allowed is one pixel; mend one"
        )
    return pixel_um(file, "/Pixel Size", found[0], "um")
