"""The command `run`: simulate, analyze from the files alone, score, report, all into one folder."""

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from analysis.reconstruct.engines import check_tomopy
from instrument.progress import Progress

from .files import write_map
from .further_scores import halves_um
from .loop import known_scores, laid_over, map_scores, record_into
from .methods import Method, MethodFailed
from .replicates.budget import budget, counted_effects
from .score_names import MEANING
from .staging import staging
from .study import Study
from .study_text import study_toml
from .verdict import verdict


@dataclass(frozen=True)
class Outcome:
    """Scores (flat, as scores.json), the verdict's sentence and the folder; `failed` where a user's method gave none."""

    scores: dict[str, Any]
    sentence: str
    folder: Path
    failed: bool = False


def run(
    study: Study,
    folder: Path,
    *,
    method: Method | None = None,
    budget_seeds: int = 0,
    threads: int = 1,
    progress: Progress | None = None,
) -> Outcome:
    """The closed loop of a study into `folder`, by a method, the study's own by default; with an error budget of so many seeds.

    A user's method that gives no map leaves scan, truth and null scores. Raises InputError for what cannot be run.
    """
    from .pages.report import render, render_failure

    start = time.perf_counter()
    method = method or Method("")
    method.check()
    study = method.applied_to(study)
    if study.analysis.engine == "tomopy":
        check_tomopy()
    if budget_seeds:
        counted_effects(study)
    with staging(folder) as place:
        simulation = record_into(place, study, threads, progress)
        write_map(place / "truth.h5", simulation.truth, simulation.fillers, simulation.particles)
        scores: dict[str, Any] = dict.fromkeys(MEANING) | known_scores(study, simulation) | {"method": method.text or None}
        failed, costs, missing = False, None, ""
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
            if budget_seeds:
                try:
                    costs = budget(study, method=method, seeds=budget_seeds, threads=threads, progress=progress)
                except MethodFailed as failure:
                    missing = f"No budget: {failure}"
                else:
                    (place / "budget.json").write_text(json.dumps(costs.as_dict(), indent=1, allow_nan=False) + "\n")
            sentence = " ".join(
                filter(None, [verdict(scores, study, ours=method.is_ours), costs.sentence if costs else "", missing])
            )
        if progress:
            progress("score", 1, 1)

        def so_far() -> dict[str, float]:
            return {"elapsed_s": time.perf_counter() - start, "peak_memory_GB": peak_memory_GB()}

        scores |= so_far()
        page = (
            render_failure(study, scores, sentence)
            if failed
            else render(study, scores, pair, conclusion, sentence, simulation.ledger, simulation.charge, costs)
        )
        (place / "report.html").write_text(page)
        scores |= so_far()
        (place / "scores.json").write_text(json.dumps(scores, indent=1, allow_nan=False) + "\n")
        (place / "study.toml").write_text(study_toml(study))
        if progress:
            progress("report", 1, 1)
    return Outcome(scores, sentence, folder, failed or bool(missing))


def peak_memory_GB() -> float:
    """Largest resident memory of this process so far."""
    import psutil

    try:
        import resource
    except ImportError:  # Windows has no resource module, but psutil knows the peak there
        return float(psutil.Process().memory_info().peak_wset) / 1e9
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return float(peak) * (1 if psutil.MACOS else 1024) / 1e9
