"""NXtomo files (NeXus), as nxtomo, tomoscan, nabu and silx open them."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from phantom.errors import InputError

from ..measurement import Header, Measurement
from .hdf5 import attribute, dataset, frames, scalar, text, told, values
from .layout import Chosen
from .tomogram import Tomogram, angles_rad, energy_eV, epoch_s, pixel_um
from .writing import add_groups, new_files, numbered

Array = NDArray[np.float64]
_NAME = "nxtomo_{}_{:08.2f}eV.nx"
_VERSION = 2.1
_PROJECTION, _FLAT, _DARK, _INVALID = range(4)
_GROUPS = {
    "instrument": "NXinstrument",
    "instrument/source": "NXsource",
    "instrument/beam": "NXbeam",
    "instrument/detector": "NXdetector",
    "sample": "NXsample",
    "beam": "NXbeam",
    "data": "NXdata",
}
_LINKS = {
    "beam/incident_energy": "instrument/beam/incident_energy",
    "data/data": "instrument/detector/data",
    "data/image_key": "instrument/detector/image_key",
    "data/rotation_angle": "sample/rotation_angle",
}


@contextmanager
def new_scan(folder: Path, header: Header) -> Iterator[Measurement]:
    """New NXtomo files in `folder`, to be filled frame by frame; they appear when the block ends.

    One `nxtomo_{n}_{energy}eV.nx` per energy; n counts in the order of the scan, by which the names sort. The frames are
    darks, flats, projections, in the order they are taken. Raises InputError where the folder cannot take the files.
    """
    names = numbered(len(header.energies_eV), _NAME, list(header.energies_eV))
    with new_files(folder, header, names, "nxtomo_*eV.nx", _build) as scan:
        yield scan


def _put(entry: h5py.Group, name: str, value: Any, units: str = "") -> None:
    entry[name] = value
    if units:
        entry[name].attrs["units"] = units


def _iso(when_s: float) -> str:
    return datetime.fromtimestamp(when_s, UTC).isoformat(timespec="milliseconds")


def _build(file: h5py.File, header: Header, i: int) -> tuple[Any, Any, Any]:
    file.attrs.update({"NX_class": "NXroot", "default": "entry"})
    add_groups(file, "entry")
    entry = file["entry"]
    entry.attrs.update(
        {
            "NX_class": "NXentry",
            "definition": "NXtomo",
            "version": _VERSION,
            "default": "data",
            "NeXus_Coordinate_System": "McStas",
        }
    )
    add_groups(entry, *_GROUPS)
    for name, kind in _GROUPS.items():
        entry[name].attrs["NX_class"] = kind
    times, half = header.start_s + header.time_s[i], header.exposures_s[i] / 2
    for name, value in (
        ("definition", "NXtomo"),
        ("title", f"simulated tomogram at {header.energies_eV[i]:.2f} eV"),
        ("start_time", _iso(times.min() - half)),
        ("end_time", _iso(times.max() + half)),
        ("sample/name", "simulated"),
        ("instrument/name", "txm-twin"),
        ("instrument/source/type", "Synchrotron X-ray Source"),
        ("instrument/source/probe", "x-ray"),
    ):
        entry[name] = value
    keys = np.repeat([_DARK, _FLAT, _PROJECTION], [header.darks, header.flats, len(times)]).astype(np.int32)
    before = header.darks + header.flats
    degrees = np.rad2deg(header.angles_rad)
    _put(entry, "instrument/beam/incident_energy", header.energies_eV[i] / 1000, "keV")
    _put(entry, "sample/rotation_angle", np.concatenate([np.full(before, degrees[0]), degrees]), "degree")
    for group in ("sample", "instrument/detector"):
        for axis in "xy":
            _put(entry, f"{group}/{axis}_pixel_size", header.pixels_um[i] * 1e-6, "m")
    detector = entry["instrument/detector"]
    detector["image_key"] = keys
    detector["image_key_control"] = keys
    detector["field_of_view"] = "Full"
    detector["x_rotation_axis_pixel_position"] = header.center_px - (header.shape[1] - 1) / 2
    _put(detector, "count_time", np.full(len(keys), header.exposures_s[i]), "s")
    # Start of each exposure; of darks the scan keeps no time.
    flats_s = np.full(header.flats, np.nan) if header.flats_s is None else header.flats_s[i]
    starts_s = np.concatenate([np.full(header.darks, np.nan), flats_s - half, times - half - header.start_s])
    _put(detector, "start_time", starts_s, "s")
    detector["start_time"].attrs["start"] = _iso(header.start_s)
    counts = detector.create_dataset("data", (len(keys), *header.shape), np.uint16)
    counts.attrs["interpretation"] = "image"
    entry["data"].attrs["signal"] = "data"
    for name, target in _LINKS.items():
        entry[target].attrs["target"] = f"/entry/{target}"
        entry[name] = h5py.SoftLink(f"/entry/{target}")
    projections, flats, darks = (Chosen(counts, np.flatnonzero(keys == kind)) for kind in (_PROJECTION, _FLAT, _DARK))
    return projections, flats, darks


def entries(file: h5py.File) -> list[str]:
    """Names of the groups at the root that say they are NXtomo, or have a detector."""
    found = []
    for name in file:
        # Not file.get: that takes a damaged group for none, and the file would be passed over.
        hard = file.id.links.get_info(name.encode()).type == h5py.h5l.TYPE_HARD
        entry = file[name] if hard else None
        if isinstance(entry, h5py.Group):
            definition = told(entry.get("definition")) or text(attribute(entry, "definition") or b"")
            if definition.lower() == "nxtomo" or "instrument/detector" in entry:
                found.append(name)
    return found


def read(file: h5py.File) -> list[Tomogram]:
    """The tomograms of an NXtomo file, one for each entry. Raises InputError where one is none.

    Frames of image_key 3 are left out, a pixel is the sample's where the file tells it, else the detector's. Times are
    the detector's `start_time` and `count_time`; else the projections follow each other from the entry's start, at `count_time`.
    """
    return [_read_entry(file, entry) for entry in entries(file)]


def _read_entry(file: h5py.File, entry: str) -> Tomogram:
    detector, where = f"{entry}/instrument/detector", file.filename
    stored, keys = frames(file, f"{detector}/data"), values(file, f"{detector}/image_key")
    degrees = values(file, f"{entry}/sample/rotation_angle")
    if not len(keys) == len(degrees) == stored.shape[0]:
        raise InputError(
            f"{where}: found {stored.shape[0]} frames, {len(keys)} image_key, {len(degrees)} rotation_angle; allowed is one each"
        )
    if not np.isin(keys, range(4)).all():
        raise InputError(
            f"{where}: image_key holds {keys[~np.isin(keys, range(4))][0]:g}; allowed are 0 projection, 1 flat, 2 dark, 3 invalid"
        )
    numbers = [np.flatnonzero(keys == kind) for kind in (_PROJECTION, _FLAT, _DARK)]
    for name, chosen in zip(("projections (0)", "flats (1)", "darks (2)"), numbers, strict=True):
        if not len(chosen):
            raise InputError(f"{where}: image_key has no {name}; allowed is at least one; correct image_key")
    energy = f"{entry}/instrument/beam/incident_energy"
    counted = f"{detector}/count_time"
    count_time = values(file, counted, file[counted].ndim).ravel() if isinstance(file.get(counted), h5py.Dataset) else np.empty(0)
    exposure_s = float(np.median(count_time)) if len(count_time) else np.nan
    axis = f"{detector}/x_rotation_axis_pixel_position"
    time_s, flats_s = _times(file, entry, numbers[0], numbers[1], exposure_s)
    return Tomogram(
        path=Path(where),
        energy_eV=energy_eV(file, energy if energy in file else f"{entry}/beam/incident_energy"),
        angles_rad=angles_rad(file, f"{entry}/sample/rotation_angle", degrees[numbers[0]]),
        pixel_um=_pixel(file, entry),
        projections=Chosen(stored, numbers[0]),
        flats=Chosen(stored, numbers[1]),
        darks=Chosen(stored, numbers[2]),
        time_s=time_s,
        flats_s=flats_s,
        exposure_s=exposure_s,
        center_px=_center(where, scalar(file, axis), stored.shape[2]) if axis in file else None,
    )


def _pixel(file: h5py.File, entry: str) -> float:
    """Pixel on the sample, um; InputError where it is not square."""
    group = next(
        (group for group in ("sample", "instrument/detector") if f"{entry}/{group}/x_pixel_size" in file), "instrument/detector"
    )
    x, y = (pixel_um(file, f"{entry}/{group}/{axis}_pixel_size", unit="m") for axis in "xy")
    if not 0.99 < x / y < 1.01:
        raise InputError(f"{file.filename}: the pixel is {x:g} um along x, {y:g} um along y; allowed are square pixels")
    return x


def _center(where: str, offset_px: float, columns: int) -> float:
    """Column of the axis, which the file gives from the middle of the detector."""
    if abs(offset_px) > columns / 2:
        raise InputError(
            f"{where}: x_rotation_axis_pixel_position is {offset_px:g}; allowed is -{columns / 2:g}..{columns / 2:g}, "
            "pixels from the middle of the detector; correct or remove it"
        )
    return (columns - 1) / 2 + offset_px


def _times(
    file: h5py.File, entry: str, projections: NDArray[np.intp], flats: NDArray[np.intp], exposure_s: float
) -> tuple[Array | None, Array | None]:
    """Middle of the exposure of projections and flats, s since 1970, (n,) each, or None."""
    wait, name = exposure_s if np.isfinite(exposure_s) else 0.0, f"{entry}/instrument/detector/start_time"
    if name in file:
        starts, since = dataset(file, name, 1), epoch_s(text(attribute(file[name], "start")))
        if since is not None and len(starts) > projections.max():
            middles = np.asarray(starts[...], float) + (since + wait / 2)
            # NaN for frames whose time nobody kept is no damage, unless they are projections.
            known = len(starts) > flats.max() and bool(np.isfinite(middles[flats]).all())
            return middles[projections], middles[flats] if known else None
    begin = epoch_s(told(file.get(f"{entry}/start_time")))
    return None if begin is None else np.asarray(begin + (np.arange(len(projections)) + 0.5) * wait, float), None
