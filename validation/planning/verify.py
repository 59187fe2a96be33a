"""The plan run: Monte Carlo of its own study, with what it foretells alone, and with all effects."""

from dataclasses import dataclass
from typing import Any

from instrument.progress import Progress
from phantom import InputError

from ..methods import parse_method
from ..replicates.effects import EFFECTS, Effect, without
from ..replicates.replicate import Estimate, estimate, replicates
from ..study import Study
from .foretell import foretell
from .plan import Plan
from .scan import dose_MGy

# What a plan foretells; a voxel of the interior sees nothing of the zone plate's blur.
MODELLED = (
    "photon noise",
    "read noise",
    "dark current",
    "full well",
    "scintillator spread",
    "zone plate's blur",
    "uneven beam",
)
_SHOWN = ("phase_rmse_interior", "phase_sigma_interior", "bulk_fraction_error", "dose_MGy", "scan_time_s", "interior_voxels")


@dataclass(frozen=True)
class Verified:
    """Scores over seeds, by name: of what is foretold alone, and with all `others`, the names of the effects beside.

    `foretold` and `dose_MGy` are the plan's own figures for the scan without those.
    """

    seeds: int
    foretold: float
    dose_MGy: float
    alone: dict[str, Estimate]
    all: dict[str, Estimate]
    bulk_rms: float
    others: tuple[str, ...]

    @property
    def added(self) -> float:
        """Rms error of x in the interior that the other effects add, in quadrature."""
        both = [found["phase_rmse_interior"].mean for found in (self.all, self.alone)]
        return float(max(both[0] ** 2 - both[1] ** 2, 0.0) ** 0.5)


def others() -> tuple[Effect, ...]:
    """Effects whose errors a plan does not foretell, even where it knows the light that they leave."""
    return tuple(effect for effect in EFFECTS if effect.name not in MODELLED)


def quiet(study: Study) -> Study:
    """The study with those effects alone that a plan foretells."""
    return without(study, others())


def verify(plan: Plan, seeds: int, *, threads: int = 1, progress: Progress | None = None) -> Verified:
    """Run the plan's study from its seed on. Raises InputError where its particle has no interior to measure in."""
    numbers = range(plan.study.seed, plan.study.seed + seeds)
    calm = quiet(plan.study)
    beside = tuple(effect.name for effect in others() if without(plan.study, (effect,)) != plan.study)
    count = [0]

    def scores(study: Study, total: int) -> list[dict[str, Any]]:
        found = []
        for one in replicates(study, [parse_method("")], numbers, threads=threads):
            found.append(one.scores)
            count[0] += 1
            if progress:
                progress("replicate", count[0], total)
        if any(each["phase_rmse_interior"] is None for each in found):
            raise InputError(
                "--verify: the planned map has no voxel away from surface and front; allowed are smaller voxels or a larger "
                "particle"
            )
        return found

    total = seeds * (2 if beside else 1)
    alone = scores(calm, total)
    whole = scores(plan.study, total) if beside else alone

    def means(found: list[dict[str, Any]]) -> dict[str, Estimate]:
        return {name: estimate([each[name] for each in found if each[name] is not None]) for name in _SHOWN}

    bulk = sum(each["bulk_fraction_error"] ** 2 for each in alone) / seeds
    foretold = foretell(plan.coarse, calm).rms, dose_MGy(plan.coarse, calm)
    return Verified(seeds, *foretold, means(alone), means(whole), float(bulk**0.5), beside)
