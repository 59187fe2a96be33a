"""What alignment found against what happened to the scan, frame by frame."""

import numpy as np
from numpy.typing import NDArray

from analysis.align.alignment import Alignment
from analysis.align.centroid import turning
from analysis.prepare.geometry import Geometry
from instrument.measurement import Measurement
from instrument.microscope import frames_at, happened

from .score_names import or_null
from .study import Study

Array = NDArray[np.float64]

NAMES = (
    "shifts_error_px",
    "shifts_sigma_px",
    "center_error_px",
    "center_sigma_px",
    "magnification_error",
    "magnification_sigma",
    "roll_error_deg",
    "roll_sigma_deg",
    "energy_offset_error_eV",
    "energy_offset_sigma_eV",
)


def alignment_scores(study: Study, scan: Measurement, found: Alignment | None) -> dict[str, float | None]:
    """Errors of shifts, axis, magnification, tilt and energy offset, and their sigmas; null for what was not sought.

    Before the shifts are compared, what equals moving the sample is removed: one cosine and sine of the angle across the axis
    and one constant along it, common to all energies. What is constant across it is the axis'.
    """
    out: dict[str, float | None] = dict.fromkeys(NAMES)
    if found is None:
        return out
    wanted = study.analysis.align
    true, energy_eV = what_happened(study, scan)
    left, center = remaining(found.geometry, true, scan.angles_rad)
    if wanted.shifts:
        sigma = float(np.sqrt(np.mean(found.shifts_sigma_px**2)))
        out |= {"shifts_error_px": float(np.sqrt(np.mean(left**2))), "shifts_sigma_px": sigma}
    if wanted.shifts or wanted.center:
        out |= {"center_error_px": center, "center_sigma_px": or_null(found.center_sigma_px)}
    if wanted.magnification != "stated":
        error = np.abs(found.geometry.scale - true.scale)
        out |= {"magnification_error": float(error.max()), "magnification_sigma": float(found.scale_sigma.max())}
    if wanted.roll:
        error_deg = np.rad2deg(found.geometry.roll_rad - true.roll_rad)
        out |= {"roll_error_deg": float(error_deg), "roll_sigma_deg": float(np.rad2deg(found.roll_sigma_rad))}
    if wanted.energy:
        standards = [study.monochromator.offset_eV + study.standards.LFP.energy_offset_eV]
        standards.append(study.monochromator.offset_eV + study.standards.FP.energy_offset_eV)
        true_offset = float((energy_eV - scan.energies_eV[:, None]).mean() - np.mean(standards))
        out |= {
            "energy_offset_error_eV": found.energy_offset_eV - true_offset,
            "energy_offset_sigma_eV": found.energy_offset_sigma_eV,
        }
    return out


def what_happened(study: Study, scan: Measurement) -> tuple[Geometry, Array]:
    """Where the image of each projection really lay, and at which energy (energy, view), eV, it was taken.

    The arrays of `scan` may be closed.
    """
    shape = (len(scan.energies_eV), len(scan.angles_rad))
    shifts, energies, scale = np.zeros((*shape, 2)), np.zeros(shape), np.ones(shape[0])
    clock, oversampling = study.scan.clock, study.scan.oversampling
    roll = 0.0
    for i in range(shape[0]):
        views = range(shape[1])
        for k, frame in enumerate(frames_at(scan, clock, i, "projection", views, seed=study.seed, oversampling=oversampling)):
            real = happened(study.instrument, frame)
            shifts[i, k], energies[i, k] = real.shift_um / scan.pixel_um, real.energy_eV
            scale[i], roll = real.scale, real.roll_rad
    return Geometry(shifts, scale / scale[0], roll, (study.scan.columns - 1) / 2), energies


def remaining(found: Geometry, true: Geometry, angles_rad: Array) -> tuple[Array, float]:
    """Shifts (energy, angle, 2), pixels, less the true ones and what moving the sample would do; and the axis' error.

    The true shifts hold the axis' offset, the found ones not.
    """
    left = found.shifts_px - true.shifts_px
    left[..., 1] += (found.center_px - true.center_px) * found.scale[:, None]
    left[..., 0] -= left[..., 0].mean()
    columns = turning(angles_rad)
    wave = np.linalg.lstsq(columns, left[..., 1].mean(axis=0), rcond=None)[0]
    left[..., 1] -= columns @ wave
    return left, float(wave[0])
