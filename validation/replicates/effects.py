"""The effects that spoil a scan, each with the settings that take it out: what an error budget counts."""

from dataclasses import dataclass, field
from typing import Any

import msgspec

from ..study import Study, merge, nested, study_from

Zeros = dict[str, Any]


@dataclass(frozen=True)
class Effect:
    """`zeros` {dotted key: value without the effect}; one of size zero is, bit for bit, none."""

    name: str
    zeros: Zeros = field(hash=False)


def _standards(setting: str, zero: Any) -> Zeros:
    return {f"standards.{name}.{setting}": zero for name in ("LFP", "FP")}


def _sample_edges(setting: str) -> Zeros:
    return {f"species.{name}.{setting}": 0.0 for name in ("LFP", "FP")} | _standards(setting, 0.0)


EFFECTS = (
    Effect("photon noise", {"beam.shot_noise": False}),
    Effect("read noise", {"camera.read_noise_adu": 0.0}),
    Effect("dark current", {"camera.dark_current_e_s": 0.0, "camera.hot_pixels": 0.0}),
    Effect("dead pixels", {"camera.dead_pixels": 0.0}),
    Effect("full well", {"camera.full_well_e": 0.0}),
    Effect("zingers", {"camera.zingers": 0.0}),
    Effect("gain pattern, rings", {"camera.gain_pattern": 0.0, "camera.ring_pattern": 0.0}),
    Effect("scintillator spread", {"camera.spread_px": 0.0}),
    Effect("lost frames", {"camera.dropped_frames": 0.0, "camera.repeated_frames": 0.0}),
    Effect("zone plate's blur", {"optics.outermost_zone_um": 0.0, "optics.defocus_um": 0.0, "optics.focus_jitter_um": 0.0}),
    Effect("vibration", {"optics.blur_fwhm_um": 0.0}),
    Effect("magnification", {"optics.magnification_change": 0.0}),
    Effect("run-out, wobble", {"stage.runout_um": 0.0, "stage.wobble_um": 0.0}),
    Effect("drift, jumps", {"stage.drift_um": 0.0, "stage.energy_shift_um": 0.0}),
    Effect("tilts", {"stage.roll_deg": 0.0, "stage.pitch_deg": 0.0}),
    Effect("angle errors", {"stage.angle_error_deg": 0.0}),
    Effect("axis", {"stage.center_offset_px": 0.0}),
    Effect("energy offset", {"monochromator.offset_eV": 0.0} | _standards("energy_offset_eV", 0.0)),
    Effect("energy drift, jitter", {"monochromator.drift_eV": 0.0, "monochromator.jitter_eV": 0.0}),
    Effect("energy band", {"monochromator.resolution_eV": 0.0}),
    Effect("decay, flicker", {"beam.decay_per_hour": 0.0, "beam.flicker": 0.0}),
    Effect("beam's structure", {"beam.structure": 0.0}),
    Effect("uneven beam", {"beam.falloff": 0.0, "beam.vignetting": 0.0}),
    Effect("halo, stray light", {"beam.halo": 0.0, "beam.stray_light": 0.0}),
    Effect("harmonics", {"beam.harmonics": 0.0}),
    Effect("photoreduction", {"beam.photoreduction_MGy": 0.0}),
    Effect("motion in the scan", {"charging.moving": False}),
    Effect(
        "standards' spectra",
        _sample_edges("edge_shift_eV") | _sample_edges("white_line_change") | _standards("spectrum", "sample"),
    ),
    Effect("standards' thickness", _standards("thickness_error", 0.0)),
)


def without(study: Study, effects: tuple[Effect, ...]) -> Study:
    """The study with effects taken out."""
    values = msgspec.to_builtins(study)
    for effect in effects:
        for key, zero in effect.zeros.items():
            merge(values, nested(key, zero))
    return study_from(values)


def effects_of(study: Study) -> tuple[Effect, ...]:
    """The effects that a study has."""
    return tuple(effect for effect in EFFECTS if without(study, (effect,)) != study)
