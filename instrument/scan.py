"""A scan: its energies, views and frames, and the clock that says when each was taken."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Literal

import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from phantom.errors import InputError

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Clock:
    """When each frame is taken, and how much light it gets.

    Middle of the exposure of every frame, s from the start of the scan: (energy, frame) each; `end_s` ends the last. `light`
    (energy,) is the exposure over the one for which the beam's photons are stated.
    """

    projections_s: Array
    flats_s: Array
    darks_s: Array
    end_s: float
    light: Array


@dataclass(frozen=True)
class Scan:
    """Energies, views and frames of an energy scan of tomograms."""

    energies_eV: Annotated[
        tuple[Annotated[float, Meta(ge=6900, le=7600)], ...],
        Meta(
            min_length=2,
            description="energies in the order of the scan, around the Fe K edge at 7112",
            extra={"unit": "eV", "source": "guess: before, on and after the edge"},
        ),
    ] = (7090.0, 7105.0, 7115.0, 7120.0, 7123.0, 7125.0, 7126.5, 7128.0, 7131.0, 7134.0, 7138.0, 7150.0, 7180.0)
    kind: Annotated[
        Literal["tomography", "series"],
        Meta(
            description="'tomography': at each energy, all angles; 'series': 2D, all energies at first_angle_deg, again and "
            "again, a projection for each of scan.angles"
        ),
    ] = "tomography"
    angles: Annotated[int, Meta(ge=1, le=10000, description="projections at each energy, ends included")] = 121
    first_angle_deg: Annotated[float, Meta(ge=-360, le=360, description="first view", extra={"unit": "degree"})] = -90.0
    last_angle_deg: Annotated[float, Meta(ge=-360, le=360, description="last view", extra={"unit": "degree"})] = 90.0
    rows: Annotated[int, Meta(ge=8, le=4096, description="detector rows, along the rotation axis")] = 128
    columns: Annotated[int, Meta(ge=8, le=4096, description="detector columns")] = 128
    pixel_um: Annotated[
        float,
        Meta(gt=0, le=10, description="pixel on the sample, and voxel of the result", extra={"unit": "um"}),
    ] = 0.06
    outside_px: Annotated[
        int,
        Meta(
            ge=0,
            le=2048,
            description="how far the sample may reach beyond each side of the field, which then cuts it off",
            extra={"unit": "pixel"},
        ),
    ] = 0
    flats: Annotated[
        int, Meta(ge=2, le=1000, description="frames without sample at each energy", extra={"source": "FXI control code: 20"})
    ] = 20
    darks: Annotated[
        int,
        Meta(ge=2, le=1000, description="frames with closed shutter at each energy", extra={"source": "FXI control code: 20"}),
    ] = 20
    exposure_s: Annotated[
        float, Meta(gt=0, le=1e5, description="exposure of a frame", extra={"unit": "s", "source": "FXI control code: 0.05"})
    ] = 0.05
    exposures_s: Annotated[
        tuple[Annotated[float, Meta(gt=0, le=1e5)], ...],
        Meta(
            description="exposure of a frame at each energy, in the order of energies_eV, none above exposure_s, for which "
            "beam.photons_per_pixel is stated; empty: exposure_s at all",
            extra={"unit": "s"},
        ),
    ] = ()
    readout_s: Annotated[
        float,
        Meta(
            ge=0, le=1e3, description="dead time after each frame; the shutter is closed", extra={"unit": "s", "source": "guess"}
        ),
    ] = 0.0
    energy_change_s: Annotated[
        float, Meta(ge=0, le=1e5, description="time to change the energy", extra={"unit": "s", "source": "guess"})
    ] = 5.0
    refocus_s: Annotated[
        float,
        Meta(ge=0, le=1e5, description="time to refocus after a change of energy", extra={"unit": "s", "source": "guess"}),
    ] = 0.0
    flat_move_s: Annotated[
        float,
        Meta(
            ge=0,
            le=1e5,
            description="time to take the sample out for the flats, and the same to bring it back",
            extra={"unit": "s", "source": "guess"},
        ),
    ] = 0.0
    interval_s: Annotated[
        float,
        Meta(
            ge=0, le=1e6, description="of a series: from the start of one energy scan to the next, at least", extra={"unit": "s"}
        ),
    ] = 0.0
    oversampling: Annotated[int, Meta(ge=2, le=8, description="samples of the truth across a pixel, along each direction")] = 2
    start: Annotated[
        str,
        Meta(
            pattern=r"^\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])T([01]\d|2[0-3]):[0-5]\d:[0-5]\dZ$",
            description="date and time (UTC) at which the simulated scan starts; the dates in its files follow",
        ),
    ] = "2026-01-15T08:00:00Z"

    @property
    def is_straight(self) -> bool:
        """Whether every view looks along y, as a series at angle 0 does."""
        return self.kind == "series" and self.first_angle_deg == 0

    @property
    def start_s(self) -> float:
        """Start of the scan, s since 1970, UTC."""
        return datetime.fromisoformat(self.start).timestamp()

    @property
    def angles_rad(self) -> Array:
        """Nominal angles, radian, (angle,)."""
        last = self.first_angle_deg if self.kind == "series" else self.last_angle_deg
        return np.deg2rad(np.linspace(self.first_angle_deg, last, self.angles))

    @property
    def clock(self) -> Clock:
        """When every frame is taken.

        At each energy: change and refocus, sample out, flats, darks, sample in, projections. A series takes flats and
        darks of all energies before all else.
        """
        angle, exposures = np.arange(self.angles), self.frame_exposures_s
        half, frame = exposures[:, None] / 2, exposures[:, None] + self.readout_s
        change = self.energy_change_s + self.refocus_s
        references = 2 * self.flat_move_s + (self.flats + self.darks) * frame
        if self.kind == "tomography":
            first = _starts(change + references + self.angles * frame) + change
            projections = first + references + angle * frame + half
        else:
            first = _starts(change + references) + change
            steps = change + frame
            start = (change + references).sum()
            projections = start + angle * max(self.interval_s, steps.sum()) + _starts(steps) + change + half
        flats = first + self.flat_move_s + np.arange(self.flats) * frame + half
        darks = first + self.flat_move_s + (self.flats + np.arange(self.darks)) * frame + half
        return Clock(projections, flats, darks, float((projections + half).max()), exposures / self.exposure_s)

    @property
    def frame_exposures_s(self) -> Array:
        """Exposure of a frame at each energy, (energy,)."""
        return np.array(self.exposures_s or (self.exposure_s,) * len(self.energies_eV), float)

    @property
    def frame_time_s(self) -> Array:
        """Middle of the exposure of every projection, s from the start of the scan, (energy, angle)."""
        return self.clock.projections_s

    @property
    def time_s(self) -> float:
        """Duration of the scan."""
        return self.clock.end_s

    def check(self) -> None:
        """InputError for energies, angles or a date that make no scan."""
        try:
            datetime.fromisoformat(self.start)
        except ValueError as error:
            raise InputError(
                f"study: scan.start is {self.start!r}; allowed is a date ({error}); write it like 2026-01-15T08:00:00Z"
            ) from None
        if len(set(self.energies_eV)) < 2:
            raise InputError(f"study: scan.energies_eV holds {len(set(self.energies_eV))} different energy; allowed at least 2")
        if self.exposures_s and len(self.exposures_s) != len(self.energies_eV):
            raise InputError(
                f"study: scan.exposures_s holds {len(self.exposures_s)} exposures; allowed is one for each of "
                f"{len(self.energies_eV)} energies, or none"
            )
        if self.exposures_s and max(self.exposures_s) > self.exposure_s * (1 + 1e-9):
            raise InputError(
                f"study: scan.exposures_s goes up to {max(self.exposures_s):g}; allowed is up to scan.exposure_s "
                f"({self.exposure_s:g} s), for which beam.photons_per_pixel is stated; raise both"
            )
        if self.kind == "series":
            return
        if self.interval_s:
            raise InputError(f"study: scan.interval_s is {self.interval_s:g}; allowed with scan.kind = 'series', 0 in tomography")
        if self.angles < 2:
            raise InputError(f"study: scan.angles is {self.angles}; allowed in tomography is at least 2, or scan.kind = 'series'")
        if self.first_angle_deg >= self.last_angle_deg:
            raise InputError(
                f"study: scan.first_angle_deg is {self.first_angle_deg:g}; allowed less than last_angle_deg "
                f"({self.last_angle_deg:g})"
            )


def _starts(durations: Array) -> Array:
    """When each of (n, 1) that follow one another starts."""
    return np.cumsum(durations, axis=0) - durations
