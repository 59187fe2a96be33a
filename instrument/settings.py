"""Settings of the instrument: the study's tables beam, monochromator, housing, optics, stage and camera.

Every effect of size zero is off. Their order in the light is that of `microscope`'s lists.
"""

from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

import numpy as np
from msgspec import Meta

from phantom.errors import InputError

from .housing import Housing

FULL_SCALE_ADU = 65535
SMALLEST_ZONE_UM = 0.005


def setting(description: str, unit: str = "", source: str = "", **bounds: Any) -> Meta:
    """What `txm-twin studies --show` says of a setting, and its bounds."""
    extra = {name: text for name, text in (("unit", unit), ("source", source)) if text}
    return Meta(description=description, extra=extra or None, **bounds)


@dataclass(frozen=True)
class Beam:
    """What arrives at the sample, and light that misses it."""

    photons_per_pixel: Annotated[
        float,
        setting(
            "incident photons per pixel, per projection, per energy, at the beam's centre",
            source="guess; FXI's full flux is about 1e12 ph/s on 40 x 40 um2",
            ge=1,
            le=1e12,
        ),
    ] = 6e4
    shot_noise: Annotated[bool, Meta(description="photon statistics")] = True
    falloff: Annotated[
        float, setting("relative loss of intensity from the centre to the corner of the field", source="guess", ge=0, lt=1)
    ] = 0.2
    decay_per_hour: Annotated[float, setting("rate at which the stored current decays", "1/hour", "guess", ge=0, le=10)] = 0.0
    topup_s: Annotated[
        float, setting("time between injections, which bring the current back; 0: none", "s", "guess", ge=0, le=1e6)
    ] = 0.0
    flicker: Annotated[float, setting("rms change of intensity from frame to frame", source="guess", ge=0, le=0.2)] = 0.0
    structure: Annotated[float, setting("rms of the beam's fine structure in a flat", source="guess", ge=0, le=0.5)] = 0.0
    structure_px: Annotated[float, setting("grain of the structure, standard deviation", "pixel", "guess", gt=0, le=100)] = 3.0
    structure_drift_px: Annotated[
        float,
        setting("movement of the structure, a random walk, rms at the end of the scan", "pixel", "guess", ge=0, le=100),
    ] = 0.0
    vignetting: Annotated[
        float,
        setting("loss of intensity at the corner of the field by the optics' cut, steep there", source="guess", ge=0, lt=1),
    ] = 0.0
    halo: Annotated[
        float,
        setting("the condenser's light that misses the zone plate, at the corner, per open beam", source="guess", ge=0, le=1),
    ] = 0.0
    stray_light: Annotated[
        float,
        setting("unfocused light that has not met the sample (zero order), per open beam", source="guess", ge=0, le=1),
    ] = 0.0
    harmonics: Annotated[
        float, setting("photons of three times the energy, Si(333), per detected photon", source="guess", ge=0, le=0.2)
    ] = 0.0
    photoreduction_MGy: Annotated[
        float,
        setting(
            "dose by which a share 1 - 1/e of FP has turned to LFP in the beam; 0: it does not",
            "MGy",
            "guess: no damage threshold was found",
            ge=0,
            le=1e9,
        ),
    ] = 0.0


@dataclass(frozen=True)
class Monochromator:
    """The energy that really arrives."""

    resolution_eV: Annotated[
        float,
        setting(
            "full width at half maximum of the energy band, Gaussian, beyond what the spectra were measured with",
            "eV",
            "Si(111) gives about 1 eV at Fe K, and is in measured spectra already",
            ge=0,
            le=5,
        ),
    ] = 0.0
    offset_eV: Annotated[float, setting("true less nominal energy, scan and standards alike", "eV", ge=-20, le=20)] = 0.0
    drift_eV: Annotated[
        float, setting("drift of the energy, a random walk, rms at the end of the scan", "eV", "guess", ge=0, le=20)
    ] = 0.0
    jitter_eV: Annotated[float, setting("rms error of each setting of an energy", "eV", "guess", ge=0, le=20)] = 0.0


@dataclass(frozen=True)
class Optics:
    """Image formation: a zone plate lit by a condenser, and what it does to the image's place and size."""

    outermost_zone_um: Annotated[
        float,
        setting(
            "width of the zone plate's outermost zone; Rayleigh limit 1.22 times that; 0: perfect optics",
            "um",
            "30 nm at FXI (control code)",
            ge=0,
            le=1,
        ),
    ] = 0.030
    condenser_ratio: Annotated[
        float,
        setting(
            "aperture of the condenser over that of the zone plate: 1 incoherent, without phase contrast; small: coherent",
            source="guess",
            ge=0.01,
            le=1,
        ),
    ] = 0.8
    phase_contrast: Annotated[bool, Meta(description="edge fringes of weak phase where the image is out of focus")] = True
    defocus_um: Annotated[
        float, setting("distance of the sample from the plane in focus, downstream", "um", "guess", ge=-1000, le=1000)
    ] = 0.0
    focus_jitter_um: Annotated[float, setting("rms error of each refocusing", "um", "guess", ge=0, le=100)] = 0.0
    depth_slabs: Annotated[
        Annotated[int, Meta(ge=1, le=64)] | Literal["auto"],
        Meta(
            description="slabs along the beam, each with a focus of its own; a number or 'auto', as many as depth of focus "
            "asks for; never fewer than stage.pitch_deg asks for"
        ),
    ] = "auto"
    blur_fwhm_um: Annotated[
        float,
        setting("full width at half maximum of a further Gaussian blur, as by vibration", "um", "guess", ge=0, le=10),
    ] = 0.0
    zone_plate_diameter_um: Annotated[
        float,
        setting(
            "diameter of the zone plate, which gives its focal length: drift and jitter of the energy defocus it; 0: they do not",
            "um",
            "244 at FXI (control code)",
            ge=0,
            le=5000,
        ),
    ] = 244.0
    magnification: Annotated[
        float, setting("X-ray magnification at the first energy", source="FXI: 325 in all, 10 of it visible", gt=1, le=1e4)
    ] = 32.5
    magnification_change: Annotated[
        float,
        setting(
            "share of the change of magnification with energy that is left: 1 the detector stands still, 0 it is moved along",
            source="FXI holds it to 1e-3 of the magnification",
            ge=0,
            le=1,
        ),
    ] = 0.0
    magnification_known: Annotated[
        bool, Meta(description="the files state the pixel at each energy, as motor positions give it; else the first one's")
    ] = True


@dataclass(frozen=True)
class Stage:
    """Errors of the sample's position."""

    runout_um: Annotated[
        float,
        setting(
            "rms displacement of the sample per frame, along row and along column",
            "um",
            "15-25 nm on the best stages (APS 32-ID docs)",
            ge=0,
            le=10,
        ),
    ] = 0.015
    wobble_um: Annotated[
        float,
        setting(
            "rms displacement that returns with the angle, along row and along column",
            "um",
            "about 1 um on older stages, uncorrected (APS 32-ID docs)",
            ge=0,
            le=20,
        ),
    ] = 0.0
    drift_um: Annotated[
        float,
        setting("drift, a random walk, rms at the end of the scan, along row and along column", "um", "guess", ge=0, le=20),
    ] = 0.0
    energy_shift_um: Annotated[
        float,
        setting("rms displacement of the image at each change of energy, along row and along column", "um", "guess", ge=0, le=20),
    ] = 0.0
    center_offset_px: Annotated[float, setting("offset of the rotation axis from the middle column", "pixel", ge=-64, le=64)] = (
        0.0
    )
    center_known: Annotated[bool, Meta(description="the scan states that offset; else the middle column")] = True
    roll_deg: Annotated[
        float,
        setting("tilt of the rotation axis in the detector's plane, its end at row 0 towards column 0", "degree", ge=-5, le=5),
    ] = 0.0
    pitch_deg: Annotated[
        float,
        setting(
            "tilt of the rotation axis along the beam, its end at row 0 downstream (towards +y at angle 0)", "degree", ge=-5, le=5
        ),
    ] = 0.0
    angle_error_deg: Annotated[
        float, setting("rms error of each angle, the same at all energies (encoder)", "degree", "guess", ge=0, le=5)
    ] = 0.0


@dataclass(frozen=True)
class Camera:
    """Scintillator and camera."""

    efficiency: Annotated[
        float,
        setting(
            "share of the photons behind the sample that is detected: optics and scintillator", source="guess", ge=1e-4, le=1
        ),
    ] = 0.1
    spread_px: Annotated[
        float,
        setting(
            "standard deviation of the scintillator's spread; it correlates the noise of neighbours", "pixel", "guess", ge=0, le=5
        ),
    ] = 0.0
    gain_adu: Annotated[
        Annotated[float, Meta(ge=1e-6, le=1e5)] | Literal["auto"],
        setting(
            "ADU per detected photon; 'auto': the open beam reads half of full scale, as an operator would set it", "ADU", "guess"
        ),
    ] = "auto"
    gain_pattern: Annotated[
        float, setting("rms difference of gain from pixel to pixel, the same in all frames", source="guess", ge=0, le=0.3)
    ] = 0.0
    ring_pattern: Annotated[
        float,
        setting("rms change of a pixel's gain between flats and projections of an energy: rings", source="guess", ge=0, le=0.1),
    ] = 0.0
    electrons_per_photon: Annotated[float, setting("photoelectrons per detected X-ray photon", source="guess", gt=0, le=1e5)] = (
        20.0
    )
    dark_current_e_s: Annotated[float, setting("dark current of a pixel", "e/s", "guess", ge=0, le=1e6)] = 0.0
    full_well_e: Annotated[float, setting("photoelectrons that a pixel holds; 0: no bound", "e", "guess", ge=0, le=1e12)] = 0.0
    hot_pixels: Annotated[float, setting("share of pixels with a strong dark current", source="guess", ge=0, le=0.1)] = 0.0
    hot_current_e_s: Annotated[
        float, setting("mean dark current of a hot pixel, exponentially distributed", "e/s", "guess", ge=0, le=1e9)
    ] = 1e4
    dead_pixels: Annotated[float, setting("share of pixels that see no light", source="guess", ge=0, le=0.1)] = 0.0
    zingers: Annotated[
        float, setting("pixels struck by a stray particle, per frame and megapixel", source="guess", ge=0, le=1e5)
    ] = 0.0
    zinger_adu: Annotated[
        float, setting("mean brightness of such a hit, exponentially distributed", "ADU", "guess", gt=0, le=65535)
    ] = 5000.0
    read_noise_adu: Annotated[float, setting("rms read noise", "ADU", "guess", ge=0, le=10000)] = 2.0
    offset_adu: Annotated[float, setting("reading without light", "ADU", "guess", ge=0, le=30000)] = 100.0
    dropped_frames: Annotated[
        float, setting("share of frames that are lost, so that the next ones move up", source="guess", ge=0, le=0.2)
    ] = 0.0
    repeated_frames: Annotated[
        float, setting("share of frames that hold their predecessor again", source="guess", ge=0, le=0.2)
    ] = 0.0


@dataclass(frozen=True)
class Instrument:
    """All that shapes one exposure."""

    beam: Beam = field(default_factory=Beam)
    monochromator: Monochromator = field(default_factory=Monochromator)
    housing: Housing = field(default_factory=Housing)
    optics: Optics = field(default_factory=Optics)
    stage: Stage = field(default_factory=Stage)
    camera: Camera = field(default_factory=Camera)

    @property
    def detected_photons(self) -> float:
        """Detected photons per pixel in the open beam, at its centre."""
        return self.beam.photons_per_pixel * self.camera.efficiency

    @property
    def brightest_photons(self) -> float:
        """Detected photons of the open beam where it is brightest: its bright spots, and noise rarer than one pixel in 1e4."""
        beam, camera = self.beam, self.camera
        spots = (1 + beam.halo) * (1 + 4 * beam.structure) * (1 + 4 * beam.flicker) * (1 + 4 * camera.gain_pattern)
        photons = self.detected_photons * spots
        return float(photons + 6 * np.sqrt(photons))

    @property
    def gain_adu(self) -> float:
        """ADU per detected photon."""
        offset = self.camera.offset_adu
        if self.camera.gain_adu == "auto":
            return min((FULL_SCALE_ADU / 2 - offset) / self.detected_photons, (FULL_SCALE_ADU - offset) / self.brightest_photons)
        return self.camera.gain_adu

    def check(self) -> None:
        """InputError where the open beam, with its noise, leaves the camera's range or is no light at all."""
        photons = self.detected_photons
        if photons < 1:
            raise InputError(
                f"beam.photons_per_pixel: {photons:.3g} detected photons in the open beam; allowed at least 1; raise it or "
                "camera.efficiency"
            )
        brightest = self.camera.offset_adu + self.gain_adu * self.brightest_photons
        if brightest > FULL_SCALE_ADU * (1 + 1e-9):
            raise InputError(
                f"camera.gain_adu: the open beam reads up to {brightest:.3g} ADU; allowed {FULL_SCALE_ADU}; "
                "lower it, or set it to 'auto'"
            )
        if 0 < self.optics.outermost_zone_um < SMALLEST_ZONE_UM:
            raise InputError(
                f"optics.outermost_zone_um: found {self.optics.outermost_zone_um:g}; allowed is {SMALLEST_ZONE_UM:g} or more, or "
                "0 for perfect optics"
            )
        if self.optics.outermost_zone_um == 0 and (self.optics.defocus_um or self.optics.focus_jitter_um):
            raise InputError(
                "optics.defocus_um, focus_jitter_um: perfect optics have no focus; allowed with outermost_zone_um > 0"
            )
