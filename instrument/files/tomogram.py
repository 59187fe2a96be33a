"""One energy as a beamline's file holds it, its units checked; and the scan that several of them make."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from phantom.errors import InputError

from ..measurement import Measurement
from .hdf5 import attribute, scalar, text
from .layout import Stacked

Array = NDArray[np.float64]
_KEV = {"kev": 1000.0, "ev": 1.0}
_DEGREE = {"deg": 1.0, "degree": 1.0, "degrees": 1.0, "°": 1.0, "rad": 180 / np.pi, "radian": 180 / np.pi, "radians": 180 / np.pi}
_UM = {"nm": 1e-3, "um": 1.0, "µm": 1.0, "μm": 1.0, "micron": 1.0, "microns": 1.0, "micrometer": 1.0, "mm": 1e3, "m": 1e6}
ENERGIES_EV = (4000.0, 12000.0)
PIXELS_UM = (0.001, 10.0)
LARGEST_ANGLE_DEG = 720.0
_SMALLEST_RANGE_DEG = 7.0  # 2 pi is less, and nobody reconstructs fewer degrees
_SAME_ENERGY_EV = 1e-3
_SAME_ANGLE_STEPS = 0.1
_LARGEST_PIXEL_RATIO = 1.1  # a zone plate's magnification follows the energy, by 8 % from 7000 to 7600 eV


@dataclass(frozen=True)
class Tomogram:
    """What a file says of one energy: projections, flats, darks (frame, row, column) counts, read when indexed.

    `time_s` (angle,) and `flats_s` (flat,) are s since 1970, None where the file tells no time; `exposure_s` is NaN and
    `center_px` None where it does not say.
    """

    path: Path
    energy_eV: float
    angles_rad: Array
    pixel_um: float
    projections: Any
    flats: Any
    darks: Any
    time_s: Array | None = None
    exposure_s: float = np.nan
    center_px: float | None = None
    flats_s: Array | None = None


def _unit(file: h5py.File, name: str, allowed: dict[str, float]) -> str:
    found = attribute(file[name], "units")
    unit = "" if found is None else text(found)
    if unit and unit.lower() not in allowed:
        raise InputError(
            f"{file.filename}: /{name} has units {unit[:20]!r}; allowed are {', '.join(allowed)}; correct the attribute"
        )
    return unit.lower()


def energy_eV(file: h5py.File, name: str) -> float:
    """Energy from the scalar dataset `name`, keV unless its attribute `units` says eV.

    Raises InputError for other units, and outside 4..12 keV: a value in the wrong unit is refused, never guessed.
    """
    value = scalar(file, name)
    unit = _unit(file, name, _KEV) or "kev"
    if not ENERGIES_EV[0] <= value * _KEV[unit] <= ENERGIES_EV[1]:
        raise InputError(
            f"{file.filename}: /{name} is {value:g} {unit.replace('v', 'V')}; allowed is 4..12 keV; if it is eV, set its "
            "attribute units to 'eV', or divide it by 1000"
        )
    return round(value * _KEV[unit], 6)  # 7.1265 keV are 7126.5 eV, not 7126.499999999999


def angles_rad(file: h5py.File, name: str, found: Array) -> Array:
    """The angles `found` (angle,) of dataset `name` in radian; they are degrees unless its attribute `units` says radian.

    Raises InputError for other units, and for degrees that look like radians: a range above 0 and below 7.
    """
    unit = _unit(file, name, _DEGREE) or "deg"
    degrees = found * _DEGREE[unit]
    if not len(degrees):
        raise InputError(f"{file.filename}: /{name} is empty; allowed is an angle per projection")
    if np.abs(degrees).max() > LARGEST_ANGLE_DEG or 0 < np.ptp(degrees) < _SMALLEST_RANGE_DEG:
        raise InputError(
            f"{file.filename}: /{name} goes from {found.min():g} to {found.max():g} {unit}; allowed are "
            f"-{LARGEST_ANGLE_DEG:g}..{LARGEST_ANGLE_DEG:g} degrees that span {_SMALLEST_RANGE_DEG:g} or more, or one view; "
            "if these are radians, say so in its attribute units"
        )
    return np.deg2rad(degrees)


def pixel_um(file: h5py.File, name: str, value: float | None = None, unit: str = "um") -> float:
    """Pixel on the sample, um: `value`, or the scalar dataset `name`, in `unit` unless its attribute `units` says another.

    Raises InputError for other units, and outside 0.001..10 um.
    """
    if value is None:
        value = scalar(file, name)
        unit = _unit(file, name, _UM) or unit
    if not PIXELS_UM[0] <= value * _UM[unit] <= PIXELS_UM[1]:
        raise InputError(
            f"{file.filename}: /{name.strip('/')} is {value:g} {unit}; allowed is a pixel on the sample of "
            f"{PIXELS_UM[0]:g}..{PIXELS_UM[1]:g} um; correct the value or its unit"
        )
    return value * _UM[unit]


def epoch_s(moment: str) -> float | None:
    """Seconds since 1970 of an ISO 8601 date and time, UTC where it names no zone; None for anything else."""
    try:
        when = datetime.fromisoformat(moment)
    except ValueError:
        return None
    return (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp()


def check(tomogram: Tomogram) -> None:
    """InputError where frames, angles and counts of one file contradict each other; reads one row of a flat and a dark."""
    shape, angles = tuple(tomogram.projections.shape), len(tomogram.angles_rad)
    if shape[0] != angles:
        raise InputError(f"{tomogram.path}: found {shape[0]} projections and {angles} angles; allowed is an angle for each")
    for name, frames in (("flats", tomogram.flats), ("darks", tomogram.darks)):
        if tuple(frames.shape[1:]) != shape[1:] or frames.shape[0] < 1:
            raise InputError(f"{tomogram.path}: {name} have shape {tuple(frames.shape)}; allowed is (n, {shape[1]}, {shape[2]})")
    check_light(str(tomogram.path), tomogram.flats[0, shape[1] // 2], tomogram.darks[0, shape[1] // 2])


def check_light(where: str, flat: NDArray[Any], dark: NDArray[Any]) -> None:
    """InputError where a row of a flat (column,) is not brighter, in the mean, than that of a dark."""
    if not float(np.mean(flat, dtype=float)) > float(np.mean(dark, dtype=float)):
        raise InputError(
            f"{where}: the first flat reads {np.mean(flat):g} in its middle row, the first dark {np.mean(dark):g}; allowed are "
            "flats brighter than darks; are they swapped or empty?"
        )


def joined(tomograms: Sequence[Tomogram]) -> Measurement:
    """The scan that tomograms of several energies make, by rising energy, frames read when they are needed.

    Angles may differ by a tenth of their step, as encoders do (the first file's are used), pixels by 10 %, as magnification
    follows the energy. The scan starts with its first projection; where some file tells no time, all times are 0. Raises
    InputError where two files contradict each other.
    """
    ordered = sorted(tomograms, key=lambda tomogram: tomogram.energy_eV)
    first = ordered[0]
    for tomogram in ordered:
        check(tomogram)
    for before, tomogram in pairwise(ordered):
        if tomogram.energy_eV - before.energy_eV < _SAME_ENERGY_EV:
            raise InputError(
                f"{tomogram.path}: found {tomogram.energy_eV:.2f} eV, which {before.path.name} has too; allowed is an energy "
                "once; leave one file out"
            )
        _agree(first, tomogram)
    told = [tomogram.time_s for tomogram in ordered if tomogram.time_s is not None]
    times = np.stack(told) if len(told) == len(ordered) else np.zeros((len(ordered), len(first.angles_rad)))
    if not np.all(np.isfinite(times)):
        raise InputError(f"{first.path}: found times that are not finite; allowed are s since 1970; remove them")
    start_s = float(times.min())
    flats = [tomogram.flats_s for tomogram in ordered if tomogram.flats_s is not None]
    columns = int(first.projections.shape[2])
    return Measurement(
        energies_eV=np.array([tomogram.energy_eV for tomogram in ordered]),
        angles_rad=first.angles_rad,
        time_s=times - start_s,
        projections=Stacked(tuple(tomogram.projections for tomogram in ordered)),
        flats=Stacked(tuple(tomogram.flats for tomogram in ordered)),
        darks=Stacked(tuple(tomogram.darks for tomogram in ordered)),
        pixels_um=np.array([tomogram.pixel_um for tomogram in ordered]),
        center_px=(columns - 1) / 2 if first.center_px is None else first.center_px,
        exposures_s=np.array([tomogram.exposure_s for tomogram in ordered]),
        start_s=start_s,
        flats_s=np.stack(flats) - start_s if len(flats) == len(told) == len(ordered) else None,
    )


def _agree(first: Tomogram, other: Tomogram) -> None:
    """InputError where two tomograms are of different scans."""
    for name in ("projections", "flats", "darks"):
        one, two = ((tuple(getattr(each, name).shape), getattr(each, name).dtype) for each in (first, other))
        if one != two:
            raise InputError(
                f"{other.path}: {name} are {two[1]} {two[0]}, in {first.path.name} {one[1]} {one[0]}; allowed is one shape and "
                "type; give the files of one scan"
            )
    difference = np.abs(first.angles_rad - other.angles_rad).max()
    step = np.abs(np.diff(first.angles_rad)).mean() if len(first.angles_rad) > 1 else 0.0
    if difference > _SAME_ANGLE_STEPS * step + 1e-6:
        raise InputError(
            f"{other.path}: angles differ from those of {first.path.name} by up to {np.rad2deg(difference):.3g} degrees; allowed "
            f"is a tenth of the step of {np.rad2deg(step):.3g}; give the files of one scan"
        )
    if not 1 / _LARGEST_PIXEL_RATIO < other.pixel_um / first.pixel_um < _LARGEST_PIXEL_RATIO:
        raise InputError(
            f"{other.path}: the pixel is {other.pixel_um:g} um, in {first.path.name} {first.pixel_um:g} um; allowed is a "
            "difference of 10 %; give the files of one scan"
        )
    if first.center_px != other.center_px:
        raise InputError(
            f"{other.path}: the axis is at column {other.center_px}, in {first.path.name} at {first.center_px}; allowed is one "
            "axis; give the files of one scan"
        )
