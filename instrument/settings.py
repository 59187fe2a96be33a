"""Settings of the instrument and of a scan: the study's tables beam, optics, stage, camera and scan."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Literal

import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from phantom.errors import InputError

Array = NDArray[np.float64]
FULL_SCALE_ADU = 65535


@dataclass(frozen=True)
class Beam:
    """What arrives at the sample."""

    photons_per_pixel: Annotated[
        float,
        Meta(
            ge=1,
            le=1e12,
            description="incident photons per pixel, per projection, per energy, at the beam's centre",
            extra={"source": "guess; FXI's full flux is about 1e12 ph/s on 40 x 40 um2"},
        ),
    ] = 6e4
    falloff: Annotated[
        float,
        Meta(
            ge=0,
            lt=1,
            description="relative loss of intensity from the centre to the corner of the field",
            extra={"source": "guess"},
        ),
    ] = 0.2
    shot_noise: Annotated[bool, Meta(description="photon statistics")] = True


@dataclass(frozen=True)
class Optics:
    """Image formation, in intensity."""

    blur_fwhm_um: Annotated[
        float,
        Meta(
            ge=0,
            le=10,
            description="full width at half maximum of the intensity blur, a Gaussian in place of the zone plate's pattern",
            extra={"unit": "um", "source": "Rayleigh limit 36.6 nm of a zone plate with 30 nm outermost zone"},
        ),
    ] = 0.037


@dataclass(frozen=True)
class Stage:
    """Errors of the sample's position."""

    runout_um: Annotated[
        float,
        Meta(
            ge=0,
            le=10,
            description="rms displacement of the sample per frame, along row and along column",
            extra={"unit": "um", "source": "15-25 nm on the best stages (APS 32-ID docs)"},
        ),
    ] = 0.015
    center_offset_px: Annotated[
        float,
        Meta(ge=-64, le=64, description="known offset of the rotation axis from the middle column", extra={"unit": "pixel"}),
    ] = 0.0


@dataclass(frozen=True)
class Camera:
    """Scintillator and camera."""

    efficiency: Annotated[
        float,
        Meta(
            ge=1e-4,
            le=1,
            description="share of the photons behind the sample that is detected: optics and scintillator",
            extra={"source": "guess"},
        ),
    ] = 0.1
    spread_px: Annotated[
        float,
        Meta(
            ge=0,
            le=5,
            description="standard deviation of the scintillator's spread; it correlates the noise of neighbours",
            extra={"unit": "pixel", "source": "guess"},
        ),
    ] = 0.0
    gain_adu: Annotated[
        Annotated[float, Meta(ge=1e-6, le=1e5)] | Literal["auto"],
        Meta(
            description="ADU per detected photon; 'auto': the open beam reads half of full scale, as an operator would set it",
            extra={"unit": "ADU", "source": "guess"},
        ),
    ] = "auto"
    read_noise_adu: Annotated[
        float, Meta(ge=0, le=10000, description="rms read noise", extra={"unit": "ADU", "source": "guess"})
    ] = 2.0
    offset_adu: Annotated[
        float, Meta(ge=0, le=30000, description="reading without light", extra={"unit": "ADU", "source": "guess"})
    ] = 100.0


@dataclass(frozen=True)
class Instrument:
    """All that shapes one exposure."""

    beam: Beam = field(default_factory=Beam)
    optics: Optics = field(default_factory=Optics)
    stage: Stage = field(default_factory=Stage)
    camera: Camera = field(default_factory=Camera)

    @property
    def detected_photons(self) -> float:
        """Detected photons per pixel in the open beam, at its centre."""
        return self.beam.photons_per_pixel * self.camera.efficiency

    @property
    def gain_adu(self) -> float:
        """ADU per detected photon."""
        if self.camera.gain_adu == "auto":
            return (FULL_SCALE_ADU / 2 - self.camera.offset_adu) / self.detected_photons
        return self.camera.gain_adu

    def check(self) -> None:
        """InputError where the open beam, with its noise, leaves the camera's range or is no light at all."""
        photons = self.detected_photons
        if photons < 1:
            raise InputError(
                f"beam.photons_per_pixel: {photons:.3g} detected photons in the open beam; allowed at least 1; raise it or "
                "camera.efficiency"
            )
        brightest = self.camera.offset_adu + self.gain_adu * (photons + 6 * np.sqrt(photons))
        if brightest > FULL_SCALE_ADU:
            raise InputError(
                f"camera.gain_adu: the open beam reads up to {brightest:.3g} ADU; allowed {FULL_SCALE_ADU}; "
                "lower it, or set it to 'auto'"
            )


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
    energy_change_s: Annotated[
        float,
        Meta(ge=0, le=1e5, description="time to change energy and refocus", extra={"unit": "s", "source": "guess"}),
    ] = 5.0
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
    def start_s(self) -> float:
        """Start of the scan, s since 1970, UTC."""
        return datetime.fromisoformat(self.start).timestamp()

    @property
    def angles_rad(self) -> Array:
        """Nominal angles, radian, (angle,)."""
        last = self.first_angle_deg if self.kind == "series" else self.last_angle_deg
        return np.deg2rad(np.linspace(self.first_angle_deg, last, self.angles))

    @property
    def frame_time_s(self) -> Array:
        """Middle of the exposure of every projection, s from the start of the scan, (energy, angle).

        Flats and darks come first, at each energy, in a series before all else. Readout is taken as hidden.
        """
        energy, angle = np.arange(len(self.energies_eV))[:, None], np.arange(self.angles)
        references = (self.flats + self.darks) * self.exposure_s
        if self.kind == "tomography":
            block = self.energy_change_s + references + self.angles * self.exposure_s
            return energy * block + self.energy_change_s + references + (angle + 0.5) * self.exposure_s
        step = self.energy_change_s + self.exposure_s
        start = len(self.energies_eV) * (self.energy_change_s + references)
        return start + angle * max(self.interval_s, len(self.energies_eV) * step) + (energy + 1) * step - self.exposure_s / 2

    @property
    def time_s(self) -> float:
        """Duration of the scan."""
        return float(self.frame_time_s.max()) + self.exposure_s / 2

    def check(self) -> None:
        """InputError for energies or angles that make no scan."""
        try:
            datetime.fromisoformat(self.start)
        except ValueError as error:
            raise InputError(
                f"study: scan.start is {self.start!r}; allowed is a date ({error}); write 2026-01-15T08:00:00Z"
            ) from None
        if len(set(self.energies_eV)) < 2:
            raise InputError(f"study: scan.energies_eV holds {len(set(self.energies_eV))} different energy; allowed at least 2")
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
