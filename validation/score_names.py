"""Every name in scores.json and what it says. Units are in the names, and in brackets here."""

import difflib
import math

from phantom import InputError

from .scores import SCORES

MEANING = {one.name: one.meaning for one in SCORES} | {
    "registration_shift_um": "common shift removed before scoring (µm)",
    "core_exposed_share": "share of the recovered core's boundary at the particle's surface; above 0.3 it is in no shell",
    "shell_thickness_a_um": "recovered FP shell along a (µm)",
    "shell_thickness_b_um": "recovered FP shell along b (µm)",
    "shell_thickness_c_um": "recovered FP shell along c (µm)",
    "shell_ratio_b_a": "recovered shell along b over along a",
    "shell_ratio_b_a_sigma": "its sigma, from the map's own scatter: no motion, no bias",
    "shell_ratio_c_a": "recovered shell along c over along a",
    "shell_ratio_c_a_sigma": "likewise",
    "reduced_chi2": "chi² per degree of freedom of the fit; 1 when noise and model are right",
    "dose_MGy": "dose, mean over the particle (MGy)",
    "dose_entrance_MGy": "dose of pure LFP, parametric edge, where the beam enters, unshaded (MGy)",
    "dose_particle_max_MGy": "dose of the particle that gets most (MGy); of several, each as a sphere that no other shades",
    "photons_on_sample_per_um2": "photons that met the sample, all exposures at all energies, per µm² at the beam's centre",
    "scan_time_s": "duration of the scan (s)",
    "elapsed_s": "this run took (s)",
    "peak_memory_GB": "peak memory of this run (GB)",
    "repaired_rays": "rays with a made-up value: at or below the dark level, struck, or of a dead pixel",
    "photons_incident": "per pixel, per projection, per energy, at the beam's centre",
    "photons_detected": "the same, behind optics and scintillator, open beam",
    "fsc_halves_um": "resolution of iron, odd against even views, at 1/7 (µm); null where a prior makes both alike",
    "fraction_spread": "standard deviation of the bulk fraction between particles, truth; 0 for one",
    "bulk_fraction_change": "change of the sample's bulk fraction from the first to the last moment of the scan, truth",
    "capacity_mAh_per_g": "capacity the cycler counted until the scan was over (mAh/g)",
    "charge_fraction": "share of FP in the whole cell at the middle of the scan, by charge",
    "plateau_V": "median voltage of the middle half of the recorded charge (V)",
    "plateau_sigma_V": "its sigma, from the noise of the voltage (V)",
    "plateau_rise_V": "how far the voltage rises over that half (V)",
    "overpotential_V": "plateau less the voltage to which the cell rests; null where the record holds no rest on the plateau (V)",
    "overpotential_sigma_V": "its sigma (V)",
    "imaged_less_counted": "imaged bulk fraction less charge counted over the theoretical capacity; a series: their mean",
    "imaged_less_counted_sigma": "its sigma, of voxel noise and counting alone: no active mass, standards, or choice of particle",
    "shifts_error_px": "rms error of the frames' shifts (pixel), what moving the sample would do removed; null where not sought",
    "shifts_sigma_px": "rms of their sigma",
    "center_error_px": "error of the rotation axis' column (pixel)",
    "center_sigma_px": "its sigma (pixel)",
    "magnification_error": "largest error of the image's size at an energy against that at the first",
    "magnification_sigma": "largest sigma of it",
    "roll_error_deg": "error of the axis' tilt in the detector's plane (degree)",
    "roll_sigma_deg": "its sigma (degree)",
    "energy_offset_error_eV": "error of the offset between the scan's energies and the standards' (eV)",
    "energy_offset_sigma_eV": "its sigma (eV)",
    "method": "how the map was made, where not as the study says",
    "seed": "seed of every random draw",
    "study_digest": "hash over the content of everything the study reads",
}


_WORDS = ("method", "study_digest")


def known_score(where: str, name: str) -> str:
    """The name of a score that is a number. Raises InputError, which says `where`, for another."""
    if name in MEANING and name not in _WORDS:
        return name
    close = difflib.get_close_matches(name, [one for one in MEANING if one not in _WORDS], 1)
    hint = f"did you mean {close[0]}?" if close else "allowed are the names in scores.json"
    raise InputError(f"{where}: no score {name!r}; {hint}")


def or_null(value: float) -> float | None:
    """A number for scores.json, null where it is not finite."""
    return float(value) if math.isfinite(value) else None
