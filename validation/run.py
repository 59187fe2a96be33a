"""The command `run`: simulate, analyze from the files alone, score, report, all into one folder."""

import json
import math
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from analysis.charge.balance import charge_balance
from analysis.charge.curve import charge_findings
from analysis.phases import exposed_share, shell_thickness
from analysis.pipeline import Conclusion, analyze
from analysis.reconstruct.engines import check_tomopy
from analysis.result import AmountMap
from instrument.files.native import open_scan
from instrument.files.text import read_spectrum, write_charge, write_spectrum
from instrument.measurement import ChargeCurve, InputError
from instrument.progress import Progress

from .alignment_scores import alignment_scores
from .course import course_of
from .files import write_map
from .ledger import ledger_of
from .materials import check_physics
from .projection import build_sample, project_course
from .score_names import or_null
from .scores import overlay, score_pair
from .staging import staging
from .study import Study, digest
from .study_text import study_toml
from .trial import simulate
from .verdict import verdict


@dataclass(frozen=True)
class Outcome:
    """Scores (flat, as scores.json), the verdict's sentence and the folder."""

    scores: dict[str, Any]
    sentence: str
    folder: Path


def run(study: Study, folder: Path, *, threads: int = 1, progress: Progress | None = None) -> Outcome:
    """The closed loop of a study into `folder`. Raises InputError for what cannot be run."""
    from .report import render

    start = time.perf_counter()
    if study.analysis.engine == "tomopy":
        check_tomopy()
    with staging(folder) as place:
        (place / "standards").mkdir()
        simulation = simulate(study, scan_file=place / "scan.h5", threads=threads, progress=progress)
        for spectrum in simulation.standards:
            density = getattr(study.species, spectrum.name).density_g_cm3
            write_spectrum(place / "standards" / f"{spectrum.name}.txt", spectrum, density)
        if simulation.charge is not None:
            write_charge(place / "charge.csv", simulation.charge)
        write_map(place / "truth.h5", simulation.truth, simulation.fillers, simulation.particles)
        conclusion = analyze_folder(place, study, threads, progress)
        write_map(place / "result.h5", conclusion.map)
        pair = overlay(simulation.truth, conclusion.map)
        scores: dict[str, Any] = dict(score_pair(pair))
        scores |= _shells(conclusion, simulation.rotation)
        scores |= {
            "reduced_chi2": conclusion.reduced_chi2 if np.isfinite(conclusion.reduced_chi2) else None,
            "repaired_rays": conclusion.repaired_rays,
            "dose_MGy": simulation.dose_MGy,
            "dose_entrance_MGy": float(simulation.ledger.entrance_MGy.sum()),
            "dose_particle_max_MGy": float(simulation.ledger.particles_MGy.sum(axis=1).max()),
            "photons_on_sample_per_um2": float(simulation.ledger.photons_per_um2.sum()),
            "scan_time_s": study.scan.time_s,
            "charge_fraction": simulation.charge_fraction,
            "fraction_spread": float(simulation.particles["fraction"].std()),
            "bulk_fraction_change": simulation.fraction_change,
            **_charge_scores(simulation.charge, conclusion.map, study.scan.time_s),
            **alignment_scores(study, simulation.scan, conclusion.alignment),
            "photons_incident": study.beam.photons_per_pixel,
            "photons_detected": study.instrument.detected_photons,
            "seed": study.seed,
            "study_digest": digest(study),
        }
        if not study.beam.shot_noise:  # without noise the ratio of error to sigma means nothing
            scores |= {name: None for name in scores if name.startswith(("pull_", "coverage_"))}
        sentence = verdict(scores, study)
        if progress:
            progress("score", 1, 1)
        scores["elapsed_s"] = time.perf_counter() - start
        scores["peak_memory_GB"] = peak_memory_GB()
        (place / "report.html").write_text(
            render(study, scores, pair, conclusion, sentence, simulation.ledger, simulation.charge)
        )
        scores["elapsed_s"] = time.perf_counter() - start
        scores["peak_memory_GB"] = peak_memory_GB()
        (place / "scores.json").write_text(json.dumps(scores, indent=1, allow_nan=False) + "\n")
        (place / "study.toml").write_text(study_toml(study))
        if progress:
            progress("report", 1, 1)
    return Outcome(scores, sentence, folder)


def analyze_folder(place: Path, study: Study, threads: int = 1, progress: Progress | None = None) -> Conclusion:
    """What an outsider would do with the folder: scan and standards from their files, nothing else."""
    standards = [read_spectrum(place / "standards" / f"{name}.txt", name) for name in ("LFP", "FP")]
    with open_scan(place / "scan.h5") as scan:
        return analyze(scan, standards, study.analysis, threads=threads, progress=progress)


def _charge_scores(curve: ChargeCurve | None, found: AmountMap, scan_s: float) -> dict[str, float | None]:
    """What the record of a charge says, and the imaged fraction against it; null without one, or where it is too short."""
    names = ("plateau_V", "plateau_sigma_V", "plateau_rise_V", "overpotential_V", "overpotential_sigma_V")
    balances = ("imaged_less_counted", "imaged_less_counted_sigma")
    if curve is None:
        return dict.fromkeys(("capacity_mAh_per_g", *names, *balances))
    out: dict[str, float | None] = {"capacity_mAh_per_g": float(curve.capacity_mAh_per_g[-1])}
    try:
        findings, balance = charge_findings(curve), charge_balance(found, curve, scan_s)
    except InputError:  # a charge of a few samples is no error of the study
        return out | dict.fromkeys((*names, *balances))
    out |= {name: getattr(findings, name) for name in names}
    values = balance.difference.mean(), np.sqrt((balance.sigma**2).sum()) / len(balance.sigma)
    return out | {name: or_null(value) for name, value in zip(balances, values, strict=True)}


def _shells(conclusion: Conclusion, rotation: Any) -> dict[str, float | None]:
    """Recovered shell thickness along the true crystal axes; null where no shell encloses a core."""
    names = ["shell_thickness_a_um", "shell_thickness_b_um", "shell_thickness_c_um"]
    ratios = {"shell_ratio_b_a": (1, 0), "shell_ratio_c_a": (2, 0)}
    exposed = None if conclusion.map.is_series else exposed_share(conclusion.map)
    found = None if exposed is None or exposed > _OPEN_CORE else shell_thickness(conclusion.map, rotation.T)
    if found is None or not (found.thickness_um > 0).all():
        return {"core_exposed_share": exposed} | dict.fromkeys([*names, *ratios, *(f"{name}_sigma" for name in ratios)])
    out: dict[str, float | None] = {"core_exposed_share": exposed}
    out |= {name: float(value) for name, value in zip(names, found.thickness_um, strict=True)}
    for name, (over, under) in ratios.items():
        out[name], sigma = found.ratio(over, under)
        out[f"{name}_sigma"] = or_null(sigma)  # too few flat voxels may not tell the map's noise
    return out


def peak_memory_GB() -> float:
    """Largest resident memory of this process so far."""
    import psutil

    try:
        import resource
    except ImportError:  # Windows has no resource module, but psutil knows the peak there
        return float(psutil.Process().memory_info().peak_wset) / 1e9
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return float(peak) * (1 if psutil.MACOS else 1024) / 1e9


_COARSE_COLUMNS = 48
_OPEN_CORE = 0.3  # a core with more of its boundary at the particle's surface is in no shell


def forecast(study: Study) -> dict[str, float]:
    """Time, memory, disk and dose of a run beforehand; the dose from the particle on a coarse grid.

    Time and memory are rough: counts of the work times rates of a 2-core machine.
    """
    check_physics(study)
    scan = study.scan
    pitch_um = scan.pixel_um * max(1.0, scan.columns / _COARSE_COLUMNS)
    # A wider field than the scan's: coarse voxels need more room around the same sample.
    columns, rows = (round(n * scan.pixel_um / pitch_um) + 12 for n in (scan.columns, scan.rows))
    views = 1 if scan.kind == "series" else min(scan.angles, 12)
    outside = math.ceil(scan.outside_px * scan.pixel_um / pitch_um)
    coarse = replace(scan, columns=columns, rows=rows, pixel_um=pitch_um, angles=views, outside_px=outside)
    small = replace(study, scan=coarse)
    sample = build_sample(small)
    course = course_of(study, sample)
    states = len(course.times_s)
    halfway = replace(course, times_s=np.zeros(1), fractions=course.at(scan.time_s / 2)[None])
    with project_course(sample, halfway, small) as components:
        dose = ledger_of(components, sample.grid.voxel_um, study).mean_MGy
        depths = components.depths_um
    energies, fine = len(scan.energies_eV), scan.oversampling
    series = scan.kind == "series"
    frames = energies * (scan.angles + scan.flats + scan.darks)
    pixels = scan.rows * scan.columns
    cut = (scan.rows + 2 * scan.outside_px) * (scan.columns + 2 * scan.outside_px)
    slabs = len(depths)
    depth = (
        sample.grid.shape[1] * sample.grid.voxel_um / scan.pixel_um
        if study.electrode.particles
        else scan.columns + 2 * scan.outside_px
    )
    fine_voxels = cut * depth * fine**3
    found = pixels * (scan.angles if series else scan.columns)
    volumes = 2 + len(sample.fillers)
    truth = volumes * fine_voxels * 4 / 1e9
    paths = (2 * states + len(sample.fillers)) * (1 if series else scan.angles) * cut * slabs * fine**2 * 4 / 1e9
    result = found * 29 / 1e9
    return {
        "time_s": 4
        + frames * pixels * 1.1e-7
        + energies * scan.angles * cut * (slabs - 1) * fine**2 * 2e-8
        + energies * found * 6e-8
        + fine_voxels * (1.7e-7 + 0.5e-7 * states)
        + 0.4 * (len(sample.grains) - 1),
        "memory_GB": 0.3 + max(1.6 * truth, truth + 1.2 * paths, truth + 3 * result),
        "disk_GB": frames * pixels * 2 / 1e9 + 1.1 * result,
        "dose_MGy": dose,
    }
