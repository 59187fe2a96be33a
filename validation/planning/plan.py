"""The plan: energies, exposures, views and dose for a wanted precision, and how far it is from the best possible."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from analysis.reconstruct.coverage import unseen
from phantom import InputError

from ..coarse import Coarse, coarse_of
from ..materials import check_physics
from ..study import Study
from ..trial import resolution_um
from .after import Before
from .bulk import bulk_sigma
from .design import Design, Problem, optimal
from .foretell import Foretold, foretell
from .other_lists import ratios, robust_ratios
from .practical import Limits, Practical, condition_number, practical
from .problem import Scene, robust_cases, scene_of, third_phase
from .scaled import Scaled
from .scan import dose_MGy, hours, in_voxels, voxels_um
from .wish import UNKNOWNS, Budget, Wish

Array = NDArray[np.float64]

_TELLING_SHARE, _FINE_SHARE = 0.1, 0.05
_FEW_PHOTONS = 30
_BESIDE = 0.1
_LEAST_RANGE_DEG = 90.0


@dataclass(frozen=True)
class Plan:
    """A plan. `study` runs it; `foretold` is what noise does to its map, `bulk_sigma` to the bulk fraction.

    `scaled` is the chosen design, for other numbers of photons; `bound` the best design there is of its `problem`.
    `losses` say, by name, how much variance each practical limit costs alone; `ratios`, by name, the variance of other scans over
    the plan's. `factor` is that of photons over the study's own. `before` is the map that it goes on from.
    """

    study: Study
    wish: Wish
    scaled: Scaled
    problem: Problem
    bound: Design
    foretold: Foretold
    bulk_sigma: float
    dose_MGy: float
    hours: float
    losses: dict[str, float]
    ratios: dict[str, float | None]
    factor: float
    before: Before | None
    remarks: tuple[str, ...]

    @property
    def coarse(self) -> Coarse:
        """The sample."""
        return self.scaled.coarse

    @property
    def chosen(self) -> Practical:
        """The practical design."""
        return self.scaled.chosen

    @property
    def spared(self) -> Budget:
        """What the energies spare, chosen where two limits left it open."""
        return self.scaled.wish.spared

    @property
    def shares(self) -> Array:
        """Of the budget, at all energies to choose from, (energy,)."""
        return self.chosen.spread(len(self.scaled.scene.energies_eV))

    @property
    def loss(self) -> float:
        """Variance of the practical design over the least possible, less 1."""
        return self.chosen.cost / self.bound.least - 1

    @property
    def condition_number(self) -> float:
        """Of the weighted fit, columns of length 1."""
        return condition_number(self.problem, self.shares)

    @property
    def sigma(self) -> float:
        """Foretold rms error of x in a voxel of the interior, together with the map before."""
        own = self.foretold.rms
        return own if self.before is None else (own**-2 + self.before.sigma_in(self.study) ** -2) ** -0.5

    @property
    def total_dose_MGy(self) -> float:
        """With that of the map before, where it is known."""
        return self.dose_MGy + (0.0 if self.before is None else self.before.dose_MGy or 0.0)

    @property
    def filter_transmission(self) -> float:
        """By how much the study's beam must be dimmed, 1 where it need not."""
        planned, base = (one.beam.photons_per_pixel / one.scan.exposure_s for one in (self.study, self.scaled.base))
        return planned / base

    @property
    def front_sigma_um(self) -> float:
        """Sigma of the front's place in a column of voxels: that of x over the steepness of a Gaussian edge, 0.94 / width."""
        return self.foretold.sigma * resolution_um(self.study) / 0.94


def plan(study: Study, wish: Wish | None = None, before: Before | None = None) -> Plan:
    """Plan a scan of the study's sample with its microscope, or of the sample that a map found `before`, whose light counts.

    Raises InputError for a wish that cannot be fulfilled, in a line that says what could be.
    """
    wish = wish or Wish()
    wish.check()
    suited, remarks = _suited(study)
    check_physics(suited)
    coarse = coarse_of(suited) if before is None else before.coarse(suited)
    base = _in_voxels(suited, coarse, wish.voxel_um or study.scan.pixel_um, wish.flats)
    asked = wish if before is None else before.left(wish, base)
    scene = scene_of(coarse, base)
    scaled, problem, bound, factor = _best_settled(base, coarse, scene, asked)
    if wish.third is not None:  # what is known beforehand counts the less, the more photons there are
        scene = replace(scene, photons=scene.photons * factor)
        scaled, problem, bound, factor = _settled(base, coarse, scene, scaled.wish, scaled.chosen)
    planned = scaled.at(factor)
    planned = replace(planned, name=f"plan-{study.name}", description=f"a plan for {study.name}: {study.description}")
    foretold = foretell(coarse, planned)
    return Plan(
        planned,
        wish,
        scaled,
        problem,
        bound,
        foretold,
        bulk_sigma(coarse, planned, foretold),
        dose_MGy(coarse, planned),
        hours(planned),
        _losses(problem, bound, scaled),
        ratios(coarse, planned, foretold) | robust_ratios(problem, scaled),
        factor,
        before,
        (*remarks, *_doubts(scaled, factor, foretold, 0.0 if before is None else before.dose_MGy or 0.0)),
    )


def _best_settled(base: Study, coarse: Coarse, scene: Scene, wish: Wish) -> tuple[Scaled, Problem, Design, float]:
    """Where both dose and hours are limited, whatever serves x better: energies that spare the one or the other."""
    if wish.budget is not None or wish.max_hours is None or wish.max_dose_MGy is None or wish.sigma is not None:
        return _settled(base, coarse, scene, wish)
    found, refused = [], []
    budgets: tuple[Budget, ...] = ("dose", "time")
    for budget in budgets:
        try:
            found.append(_settled(base, coarse, scene, replace(wish, budget=budget)))
        except InputError as error:
            refused.append(error)
    if not found:
        raise refused[-1]
    return min(found, key=lambda one: one[0].error(one[3]))


def _settled(
    base: Study, coarse: Coarse, scene: Scene, wish: Wish, like: Practical | None = None
) -> tuple[Scaled, Problem, Design, float]:
    """The practical design, sought near one it should be `like`, its problem and bound, and the factor of photons wished for."""
    third = None if wish.third is None else third_phase(wish.third)
    cases = robust_cases(scene.path_um, wish.fractions)
    problem = scene.problem(cases, "dose" if wish.spared == "dose" else "photons", wish.criterion, third)
    bound = optimal(problem)
    limits = wish.limits
    also = None if like is None else like.numbers
    chosen = practical(problem, scene.energies_eV, scene.price_of(wish.spared), limits, bound.shares, also)
    if chosen is None:
        span = float(np.ptp(scene.energies_eV))
        if (limits.points - 1) * limits.spacing_eV > span:
            raise InputError(
                f"--spacing: {limits.points} energies {limits.spacing_eV:g} eV apart need "
                f"{(limits.points - 1) * limits.spacing_eV:g} eV; there are {span:g}; "
                f"allowed are up to {span / (limits.points - 1):.3g} eV"
            )
        cures = ["fewer --points"] if limits.points > wish.unknowns + 2 else []
        cures += ["a smaller --spacing"] if limits.spacing_eV > 1 else []
        raise InputError(
            f"plan: no {limits.points} energies {limits.spacing_eV:g} eV apart give a fit whose condition number is below "
            f"{limits.condition:g}; allowed are {' or '.join(cures) or 'more phase fractions'}"
        )
    scaled = Scaled(base, coarse, scene, chosen, wish)
    return scaled, problem, bound, scaled.wanted()


def _suited(study: Study) -> tuple[Study, tuple[str, ...]]:
    """The study, its analysis one that can be foretold, and what is to be said of that."""
    if study.scan.kind == "series":
        raise InputError("plan: scan.kind is 'series'; allowed is 'tomography'; a plan is of voxels")
    part = study.scan.last_angle_deg - study.scan.first_angle_deg
    if part < _LEAST_RANGE_DEG:
        raise InputError(
            f"plan: the views span {part:g} degrees; allowed are {_LEAST_RANGE_DEG:g} or more, as no error is foretold for less; "
            "widen scan.first_angle_deg and last_angle_deg"
        )
    remarks: tuple[str, ...] = ()
    settings = study.analysis
    if settings.method == "joint" or settings.engine != "fbp" or settings.constraint != "free":
        remarks = (
            f"the error is foretold for method image with engine fbp, not for {settings.method} with {settings.engine}, "
            f"{settings.constraint}, which may do better: run the plan with it",
        )
        settings = replace(settings, method="image", engine="fbp", constraint="free", weights="energy")
    if not study.beam.shot_noise:
        remarks = (*remarks, "the study has no photon noise, the plan has")
        study = replace(study, beam=replace(study.beam, shot_noise=True))
    background = () if settings.background == "linear" else ("the analysis fits a sloping background, as the plan assumes",)
    return replace(study, analysis=settings), (*remarks, *background)


def _in_voxels(study: Study, coarse: Coarse, voxel_um: float, flats: int | None) -> Study:
    """The study in voxels that its optics and sample allow, with the views that these need."""
    finest, widest = voxels_um(study, coarse)
    if not finest <= voxel_um <= widest:
        raise InputError(
            f"--voxel: found {voxel_um:g} um; allowed is {finest:.2g} um, a third of what the optics resolve, to {widest:.2g} "
            "um, an eighth of the sample's width"
        )
    base = in_voxels(study, coarse, voxel_um)
    return replace(base, scan=replace(base.scan, flats=flats or base.scan.flats))


def _losses(problem: Problem, bound: Design, scaled: Scaled) -> dict[str, float]:
    """What each limit of the practical design costs; a search may end beside the best, but with fewer limits none is worse."""
    energies, price = scaled.scene.energies_eV, scaled.scene.price_of(scaled.wish.spared)
    found = {}
    for name, free in _freed(scaled.wish.limits):
        other = practical(problem, energies, price, free, bound.shares, scaled.chosen.numbers)
        found[name] = max(0.0, scaled.chosen.cost / other.cost - 1) if other else 0.0
    return found


def _freed(limits: Limits) -> list[tuple[str, Limits]]:
    """Each limit taken away alone."""
    free = []
    if limits.equal:
        free.append(("one exposure for all", replace(limits, equal=False)))
    else:
        free.append((f"at least {100 * limits.least_share:g} % for each", replace(limits, least_share=1e-6)))
    free.append((f"{limits.spacing_eV:g} eV apart", replace(limits, spacing_eV=0.5)))
    if limits.points > UNKNOWNS:
        free.append((f"{limits.points} energies, not {UNKNOWNS}", replace(limits, points=UNKNOWNS, condition=np.inf)))
    return free


def _doubts(scaled: Scaled, factor: float, foretold: Foretold, spent_MGy: float) -> tuple[str, ...]:
    """What a user should know of a plan that can be made."""
    coarse, planned = scaled.coarse, scaled.at(factor)
    scan = planned.scan
    found = []
    survivable = planned.verdict.survivable_MGy - spent_MGy
    if dose_MGy(coarse, planned) > survivable > 0:
        possible = scaled.within(survivable, foretold.rms, factor)
        left = f"the {survivable:.3g} MGy that are left" if spent_MGy else f"the {survivable:.3g} MGy"
        found.append(f"{left} of what is taken as survivable (guess) allow this scan {possible}")
    if scan.angles > scaled.base.scan.angles:
        found.append(
            f"{scan.angles} views and {scan.flats} flats instead of {scaled.base.scan.angles} and {scaled.base.scan.flats}, each "
            "of less light, so that no pixel's well overflows"
        )
    x = foretold.voxels.fraction
    served = scaled.wish.fractions
    if x.min() < min(served) - _BESIDE or x.max() > max(served) + _BESIDE:
        found.append(
            f"the energies are chosen for x from {min(served):g} to {max(served):g}, the sample has {x.min():.2f} to "
            f"{x.max():.2f}: for all of it they are not the best (--fractions)"
        )
    share = foretold.rings
    if share > _TELLING_SHARE:
        flats = int(np.ceil(planned.scan.flats * share / (1 - share) * (1 - _FINE_SHARE) / _FINE_SHARE))
        found.append(
            f"{100 * share:.0f} % of the error's square are rings of {planned.scan.flats} flats; "
            f"{flats} of them (--flats) would leave {100 * _FINE_SHARE:g} %, and cost no dose"
        )
    longest = float(coarse.paths[:2].sum(axis=0).max())
    mu = float(coarse.matter.attenuation_per_um(np.array(planned.scan.energies_eV))[:2].max())
    dimmest = planned.instrument.detected_photons * float(planned.scan.clock.light.min()) * np.exp(-longest * mu)
    if dimmest < _FEW_PHOTONS:
        found.append(
            f"the dimmest rays hold {dimmest:.2g} detected photons: logarithms of so few are biased, which is not foretold; "
            "larger voxels need fewer views"
        )
    found += [
        line.partition("; the streaks")[0] + "; its streaks are not foretold"
        for line in unseen(scan.angles_rad, scan.columns, scan.pixel_um)
    ]
    return tuple(found)
