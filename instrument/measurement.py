"""The recorded measurement: what a beamline hands over. Nominal values only, no truth, no seed."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from phantom.errors import InputError

__all__ = ["ChargeCurve", "Header", "InputError", "Measurement", "Spectrum"]

Array = NDArray[np.float64]
CHARGE_COLUMNS = ("time_s", "current_mA", "voltage_V", "capacity_mAh_per_g")
_LARGEST_MU = 10  # 1/um or normalized: an Fe white line stays below 2


@dataclass(frozen=True)
class Spectrum:
    """A spectrum of one species: `energies_eV` (n,) rising, `mu` (n,).

    `mu` is 1/um at LFP's iron density or, when `normalized`, 0 below and 1 above the edge.
    Raises InputError for too few points, NaN, or energies that do not rise.
    """

    name: str
    energies_eV: Array
    mu: Array
    normalized: bool = False
    formula: str = ""

    def __post_init__(self) -> None:
        where = f"spectrum {self.name}"
        if len(self.energies_eV) != len(self.mu) or len(self.mu) < 4:
            raise InputError(f"{where}: found {len(self.mu)} points; allowed at least 4")
        bad = ~(np.isfinite(self.energies_eV) & np.isfinite(self.mu))
        if bad.any():
            raise InputError(
                f"{where}: {bad.sum()} of {len(bad)} points are not finite, the first in data row {np.argmax(bad) + 1}; "
                "remove or measure them"
            )
        if np.abs(self.mu).max() > _LARGEST_MU:
            raise InputError(f"{where}: found mu up to {np.abs(self.mu).max():.3g}; allowed {_LARGEST_MU}; is the column right?")
        if not np.all(np.diff(self.energies_eV) > 0):
            row = int(np.argmax(np.diff(self.energies_eV) <= 0)) + 2
            raise InputError(f"{where}: energies must rise, but do not at data row {row}; sort the file, one row per energy")
        if not 4000 < self.energies_eV[0] < 12000:
            raise InputError(
                f"{where}: first energy is {self.energies_eV[0]:g}; allowed 4000..12000 eV; is the file in keV? multiply by 1000"
            )


@dataclass(frozen=True)
class Header:
    """A scan without its frames: what is known before the first one is taken. Fields as in `Measurement`.

    `shape` is (rows, columns); `flats` and `darks` count those at each energy; `notes` are what the beamline notes beside, by
    name, arrays or numbers: dose, photons, duration.
    """

    energies_eV: Array
    angles_rad: Array
    time_s: Array
    pixels_um: Array
    center_px: float
    exposures_s: Array
    shape: tuple[int, int]
    flats: int
    darks: int
    start_s: float = 0.0
    notes: dict[str, Any] = field(default_factory=dict)
    flats_s: Array | None = None

    def frames_shape(self, name: str) -> tuple[int, int, int, int]:
        """Shape (energy, frame, row, column) of the 'projections', 'flats' or 'darks'."""
        count = {"projections": len(self.angles_rad), "flats": self.flats, "darks": self.darks}[name]
        return (len(self.energies_eV), count, *self.shape)

    def measurement(self, projections: Any, flats: Any, darks: Any) -> "Measurement":
        """The scan with its frames, or with what will hold them."""
        return Measurement(
            self.energies_eV,
            self.angles_rad,
            self.time_s,
            projections,
            flats,
            darks,
            self.pixels_um,
            self.center_px,
            self.exposures_s,
            self.start_s,
            self.flats_s,
        )

    def in_memory(self) -> "Measurement":
        """The scan with empty numpy arrays, to be filled."""
        return self.measurement(*(np.empty(self.frames_shape(name), np.uint16) for name in ("projections", "flats", "darks")))


@dataclass(frozen=True)
class Measurement:
    """An energy scan of tomograms. Arrays may be numpy arrays or open HDF5 datasets, read by energy or row.

    projections (energy, angle, row, column), flats and darks (energy, n, row, column), counts;
    angles_rad (angle,), energies_eV (energy,); `time_s` (energy, angle) says when a projection was taken, s after the
    scan's start at `start_s` (s since 1970, UTC); `pixels_um` (energy,) is the pixel on the sample as the beamline
    states it; `center_px` is the column of the rotation axis; `exposures_s` (energy,) is the exposure of a frame, NaN where
    nobody tells; `flats_s` (energy, n) says when a flat was taken, as `time_s`, None where nobody kept it. Where all angles are
    equal the scan is a series: projections taken one after the other in the same view.
    """

    energies_eV: Array
    angles_rad: Array
    time_s: Array
    projections: Any
    flats: Any
    darks: Any
    pixels_um: Array
    center_px: float
    exposures_s: Array
    start_s: float = 0.0
    flats_s: Array | None = None

    def __post_init__(self) -> None:
        found = tuple(self.projections.shape)
        wanted = (len(self.energies_eV), len(self.angles_rad))
        if len(found) != 4 or found[:2] != wanted:
            raise InputError(f"scan: projections have shape {found}; allowed ({wanted[0]}, {wanted[1]}, rows, columns)")
        for name, frames in (("flats", self.flats), ("darks", self.darks)):
            if frames.ndim != 4 or frames.shape[0] != wanted[0] or frames.shape[2:] != found[2:] or frames.shape[1] < 1:
                raise InputError(
                    f"scan: {name} have shape {tuple(frames.shape)}; allowed ({wanted[0]}, n, {found[2]}, {found[3]})"
                )
        if self.pixels_um.shape != wanted[:1] or not np.all(np.isfinite(self.pixels_um) & (self.pixels_um > 0)):
            raise InputError(f"scan: pixels_um are {self.pixels_um}; allowed more than 0, one for each of {wanted[0]} energies")
        if self.exposures_s.shape != wanted[:1] or (self.exposures_s <= 0).any():
            raise InputError(
                f"scan: exposures_s are {self.exposures_s}; allowed more than 0, one for each of {wanted[0]} energies"
            )
        if self.time_s.shape != wanted:
            raise InputError(f"scan: time_s has shape {self.time_s.shape}; allowed {wanted}, one for each energy and angle")
        if self.flats_s is not None and self.flats_s.shape != self.flats.shape[:2]:
            raise InputError(
                f"scan: flats_s has shape {self.flats_s.shape}; allowed {tuple(self.flats.shape[:2])}, one for each flat, or none"
            )
        for name in ("energies_eV", "angles_rad", "time_s", "flats_s"):
            values = getattr(self, name)
            if values is not None and not np.all(np.isfinite(values)):
                raise InputError(f"scan: {name} hold values that are not finite")

    @property
    def pixel_um(self) -> float:
        """Pixel on the sample at the first energy."""
        return float(self.pixels_um[0])

    @property
    def is_series(self) -> bool:
        """Whether all projections look along the same line."""
        return bool(np.ptp(self.angles_rad) == 0)

    @property
    def rows(self) -> int:
        """Detector rows, pixels."""
        return int(self.projections.shape[2])

    @property
    def columns(self) -> int:
        """Detector columns, pixels."""
        return int(self.projections.shape[3])


@dataclass(frozen=True)
class ChargeCurve:
    """What a cycler recorded, (sample,) each: rising time, current, positive on charge, voltage, capacity per active mass.

    Raises InputError for fewer than 2 samples, unequal lengths, values that are not finite, or time that does not rise.
    """

    time_s: Array
    current_mA: Array
    voltage_V: Array
    capacity_mAh_per_g: Array

    def __post_init__(self) -> None:
        columns = {name: getattr(self, name) for name in CHARGE_COLUMNS}
        lengths = [len(values) for values in columns.values()]
        if min(lengths) != max(lengths) or min(lengths) < 2:
            raise InputError(
                f"charge curve: found columns of {lengths} samples; allowed is one length, at least 2; record longer"
            )
        for name, values in columns.items():
            if not np.all(np.isfinite(values)):
                row = int(np.argmin(np.isfinite(values))) + 1
                raise InputError(
                    f"charge curve: {name} is {values[row - 1]} in sample {row}; allowed are finite numbers; remove it"
                )
        if not np.all(np.diff(self.time_s) > 0):
            row = int(np.argmin(np.diff(self.time_s) > 0)) + 2
            raise InputError(
                f"charge curve: time_s is {self.time_s[row - 1]:g} in sample {row}, after {self.time_s[row - 2]:g}; allowed is "
                "rising time; sort the samples"
            )
