"""One turn of the closed loop, step by step: a study recorded, its scan analyzed by a method, the map scored."""

import time
from pathlib import Path
from typing import Any

import numpy as np

from analysis.pipeline import Conclusion
from instrument.files.text import write_charge, write_spectrum
from instrument.measurement import InputError
from instrument.progress import Progress
from phantom import Sample

from .alignment_scores import alignment_scores
from .further_scores import charge_scores, shell_scores
from .methods import Method, MethodFailed
from .scores import Overlay, overlay, score_pair
from .study import Study, digest
from .trial import Simulation, simulate


def record_into(
    place: Path, study: Study, threads: int = 1, progress: Progress | None = None, *, sample: Sample | None = None
) -> Simulation:
    """A study simulated: what a beamline hands over, scan, standards and charge curve, in a folder. `sample` as in `simulate`."""
    (place / "standards").mkdir()
    simulation = simulate(study, sample=sample, scan_file=place / "scan.h5", threads=threads, progress=progress)
    for spectrum in simulation.standards:
        density = getattr(study.species, spectrum.name).density_g_cm3
        write_spectrum(place / "standards" / f"{spectrum.name}.txt", spectrum, density)
    if simulation.charge is not None:
        write_charge(place / "charge.csv", simulation.charge)
    return simulation


def known_scores(study: Study, simulation: Simulation) -> dict[str, Any]:
    """What is known of a run before its scan is analyzed; photons are the mean over the energies."""
    light = float(study.scan.clock.light.mean())
    return {
        "dose_MGy": simulation.dose_MGy,
        "dose_entrance_MGy": float(simulation.ledger.entrance_MGy.sum()),
        "dose_particle_max_MGy": float(simulation.ledger.particles_MGy.sum(axis=1).max()),
        "photons_on_sample_per_um2": float(simulation.ledger.photons_per_um2.sum()),
        "scan_time_s": study.scan.time_s,
        "charge_fraction": simulation.charge_fraction,
        "fraction_spread": float(simulation.particles["fraction"].std()),
        "bulk_fraction_change": simulation.fraction_change,
        "photons_incident": study.beam.photons_per_pixel * light,
        "photons_detected": study.instrument.detected_photons * light,
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
