"""How wrong a recovered map is: studies, the closed loop, scores and the report.

A notebook needs `load_study`, `simulate(study)`, `analyze(scan, standards)`, `score(truth, result)` and `plan(study)`.
"""

from pathlib import Path

import analysis
import instrument
import phantom

for _stage in (phantom, instrument, analysis):
    if Path(_stage.__file__ or "?").parents[1:2] != Path(__file__).parents[1:2]:
        raise ImportError(
            f"txm-twin: the package {_stage.__name__!r} comes from {_stage.__file__ or _stage.__path__}, not from txm-twin "
            f"({Path(__file__).parents[1]}); start from another folder or rename that package"
        )

from analysis.pipeline import analyze  # noqa: E402

from .planning import Plan, Wish, plan  # noqa: E402
from .scores import score  # noqa: E402
from .study import Study, load_study, study_from  # noqa: E402
from .trial import Simulation, simulate  # noqa: E402

__all__ = ["Plan", "Simulation", "Study", "Wish", "analyze", "load_study", "plan", "score", "simulate", "study_from"]
