"""The recorded measurement: what a beamline hands over. Nominal values only, no truth, no seed."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from phantom.errors import InputError

__all__ = ["InputError", "Measurement", "Spectrum"]

Array = NDArray[np.float64]
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
class Measurement:
    """An energy scan of tomograms. Arrays may be numpy arrays or open HDF5 datasets, read by energy or row.

    projections (energy, angle, row, column), flats and darks (energy, n, row, column), counts;
    angles_rad (angle,), energies_eV (energy,); `center_px` is the column of the rotation axis.
    """

    energies_eV: Array
    angles_rad: Array
    projections: Any
    flats: Any
    darks: Any
    pixel_um: float
    center_px: float
    exposure_s: float

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
        if not (np.isfinite(self.pixel_um) and self.pixel_um > 0):
            raise InputError(f"scan: pixel_um is {self.pixel_um}; allowed more than 0")
        for name, values in (("energies_eV", self.energies_eV), ("angles_rad", self.angles_rad)):
            if not np.all(np.isfinite(values)):
                raise InputError(f"scan: {name} hold values that are not finite")

    @property
    def rows(self) -> int:
        """Detector rows, pixels."""
        return int(self.projections.shape[2])

    @property
    def columns(self) -> int:
        """Detector columns, pixels."""
        return int(self.projections.shape[3])
