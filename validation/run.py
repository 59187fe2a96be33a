"""The command `run`: simulate, analyze from the files alone, score, report, all into one folder."""

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from analysis.pipeline import Conclusion
from analysis.reconstruct.engines import check_tomopy
from instrument.files.text import write_charge, write_spectrum
from instrument.measurement import InputError
from instrument.progress import Progress

from .alignment_scores import alignment_scores
from .files import write_map
from .further_scores import charge_scores, halves_um, shell_scores
from .methods import Method, MethodFailed
from .score_names import MEANING
from .scores import Overlay, overlay, score_pair
from .staging import staging
from .study import Study, digest
from .study_text import study_toml
from .trial import Simulation, simulate
from .verdict import verdict


@dataclass(frozen=True)
class Outcome:
    """Scores (flat, as scores.json), the verdict's sentence and the folder; `failed` where a user's method gave no map."""

    scores: dict[str, Any]
    sentence: str
    folder: Path
    failed: bool = False


def run(
    study: Study, folder: Path, *, method: Method | None = None, threads: int = 1, progress: Progress | None = None
) -> Outcome:
    """The closed loop of a study into `folder`, by a method, the study's own by default.

    A user's method that gives no map leaves scan, truth and null scores. Raises InputError for what cannot be run.
    """
    from .report import render, render_failure

    start = time.perf_counter()
    method = method or Method("")
    method.check()
    study = method.applied_to(study)
    if study.analysis.engine == "tomopy":
        check_tomopy()
    with staging(folder) as place:
        simulation = simulate_into(place, study, threads, progress)
        scores: dict[str, Any] = dict.fromkeys(MEANING) | known_scores(study, simulation) | {"method": method.text or None}
        failed = False
        try:
            conclusion = method.analyze(place, study, threads=threads, progress=progress)
            pair = laid_over(simulation, conclusion, method)
        except MethodFailed as failure:
            sentence, failed = f"No map: {failure}", True
        else:
            write_map(place / "result.h5", conclusion.map)
            scores |= map_scores(study, simulation, conclusion, pair)
            if method.is_ours:
                scores["fsc_halves_um"] = halves_um(place, study, conclusion.alignment, threads)
            sentence = verdict(scores, study)
        if progress:
            progress("score", 1, 1)

        def so_far() -> dict[str, float]:
            return {"elapsed_s": time.perf_counter() - start, "peak_memory_GB": peak_memory_GB()}

        scores |= so_far()
        page = (
            render_failure(study, scores, sentence)
            if failed
            else render(study, scores, pair, conclusion, sentence, simulation.ledger, simulation.charge)
        )
        (place / "report.html").write_text(page)
        scores |= so_far()
        (place / "scores.json").write_text(json.dumps(scores, indent=1, allow_nan=False) + "\n")
        (place / "study.toml").write_text(study_toml(study))
        if progress:
            progress("report", 1, 1)
    return Outcome(scores, sentence, folder, failed)


def simulate_into(place: Path, study: Study, threads: int = 1, progress: Progress | None = None) -> Simulation:
    """A study simulated: scan, standards, charge curve and truth in a folder."""
    (place / "standards").mkdir()
    simulation = simulate(study, scan_file=place / "scan.h5", threads=threads, progress=progress)
    for spectrum in simulation.standards:
        density = getattr(study.species, spectrum.name).density_g_cm3
        write_spectrum(place / "standards" / f"{spectrum.name}.txt", spectrum, density)
    if simulation.charge is not None:
        write_charge(place / "charge.csv", simulation.charge)
    write_map(place / "truth.h5", simulation.truth, simulation.fillers, simulation.particles)
    return simulation


def known_scores(study: Study, simulation: Simulation) -> dict[str, Any]:
    """What is known of a run before its scan is analyzed."""
    return {
        "dose_MGy": simulation.dose_MGy,
        "dose_entrance_MGy": float(simulation.ledger.entrance_MGy.sum()),
        "dose_particle_max_MGy": float(simulation.ledger.particles_MGy.sum(axis=1).max()),
        "photons_on_sample_per_um2": float(simulation.ledger.photons_per_um2.sum()),
        "scan_time_s": study.scan.time_s,
        "charge_fraction": simulation.charge_fraction,
        "fraction_spread": float(simulation.particles["fraction"].std()),
        "bulk_fraction_change": simulation.fraction_change,
        "photons_incident": study.beam.photons_per_pixel,
        "photons_detected": study.instrument.detected_photons,
        "seed": study.seed,
        "study_digest": digest(study),
    }


def map_scores(study: Study, simulation: Simulation, conclusion: Conclusion, pair: Overlay) -> dict[str, Any]:
    """What the map is worth."""
    scores: dict[str, Any] = dict(score_pair(pair))
    scores |= shell_scores(conclusion.map, simulation.rotation)
    scores |= {
        "reduced_chi2": conclusion.reduced_chi2 if np.isfinite(conclusion.reduced_chi2) else None,
        "repaired_rays": conclusion.repaired_rays if conclusion.rays else None,
        **charge_scores(simulation.charge, conclusion.map, study.scan.time_s),
        **alignment_scores(study, simulation.scan, conclusion.alignment),
    }
    if not study.beam.shot_noise:  # without noise the ratio of error to sigma means nothing
        scores |= {name: None for name in scores if name.startswith(("pull_", "coverage_"))}
    return scores


def laid_over(simulation: Simulation, conclusion: Conclusion, method: Method) -> Overlay:
    """Truth over map; a user's map that does not belong to the truth is the method's failure, not the study's."""
    try:
        return overlay(simulation.truth, conclusion.map)
    except InputError as error:
        if method.outside is None:
            raise
        raise MethodFailed(f"{method.text}: {error}") from error


def timed(method: Method, place: Path, study: Study, threads: int) -> tuple[Conclusion, float]:
    """A method's conclusion, and the seconds that it took."""
    start = time.perf_counter()
    conclusion = method.analyze(place, study, threads=threads)
    return conclusion, time.perf_counter() - start


def peak_memory_GB() -> float:
    """Largest resident memory of this process so far."""
    import psutil

    try:
        import resource
    except ImportError:  # Windows has no resource module, but psutil knows the peak there
        return float(psutil.Process().memory_info().peak_wset) / 1e9
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return float(peak) * (1 if psutil.MACOS else 1024) / 1e9
