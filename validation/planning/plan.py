"""The plan: energies, exposures, views and dose for a wanted precision, and how far it is from the best possible."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from instrument.optics import point_width_um
from phantom import InputError

from ..coarse import Coarse, coarse_of
from ..materials import check_physics
from ..study import Study
from .bulk import bulk_sigma
from .design import Design, optimal
from .foretell import Foretold, foretell
from .practical import Limits, Practical, condition_number, practical
from .problem import Scene, robust_cases, scene_of, third_phase
from .scan import diameter_um, dose_MGy, hours, scan_of, views_for, with_voxel

Array = NDArray[np.float64]
Budget = Literal["dose", "photons", "time"]

UNIFORM_EV = np.arange(7100.0, 7160.5)
HAND_EV = np.array([7100, 7110, 7118, 7122, 7125, 7128, 7132, 7138, 7150, 7170, 7192], float)
_SIGMAS = (0.001, 0.3)
_UNKNOWNS = 4


@dataclass(frozen=True)
class Wish:
    """What is wanted of a scan.

    `sigma` is the rms error of x by noise in a voxel of the interior; without it the plan takes the dose or hours it may, or
    the study's own dose. `budget` is what the energies are chosen to spare. `equal` asks for one exposure at all energies,
    `third` for precision in spite of a third phase of the library ('hematite' or 'hematite=0.1'). `spacing_eV` and `least_share`
    are a monochromator's and a shutter's: guesses; `shortest_s` is FXI's 20 ms a projection (Coburn et al. 2019).
    """

    sigma: float | None = None
    voxel_um: float | None = None
    max_dose_MGy: float | None = None
    max_hours: float | None = None
    points: int | None = None
    equal: bool = False
    criterion: Literal["c", "A", "D"] = "c"
    budget: Budget | None = None
    third: str | None = None
    spacing_eV: float = 2.0
    least_share: float = 0.04
    condition: float = 300.0
    shortest_s: float = 0.02

    @property
    def spared(self) -> Budget:
        """What the energies are chosen to spare: time where only hours are limited, else dose."""
        return self.budget or ("time" if self.max_hours is not None and self.max_dose_MGy is None else "dose")

    @property
    def limits(self) -> Limits:
        """What the practical design keeps to; two energies more than unknowns, so that there is a chi2."""
        unknowns = _UNKNOWNS + (self.third is not None)
        return Limits(self.points or unknowns + 2, self.spacing_eV, self.least_share, self.condition, self.equal)

    def check(self) -> None:
        """InputError for a wish that no scan could fulfil."""
        unknowns = _UNKNOWNS + (self.third is not None)
        for option, value, low, high in (
            ("--sigma", self.sigma, *_SIGMAS),
            ("--voxel", self.voxel_um, 0.001, 10.0),
            ("--max-dose-MGy", self.max_dose_MGy, 1e-6, 1e9),
            ("--max-hours", self.max_hours, 1e-6, 1e5),
            ("--points", self.points, unknowns + 2, 30),
        ):
            if value is not None and not low <= value <= high:
                why = f", two more than the {unknowns} unknowns," if option == "--points" else ""
                raise InputError(f"{option}: found {value:g}; allowed is {low:g}{why} to {high:g}")


@dataclass(frozen=True)
class Plan:
    """A plan. `study` runs it; `foretold` is what noise does to its map, `bulk_sigma` to the bulk fraction.

    `scene` is what it chose from, `bound` the best design there is, `chosen` the practical one. `losses` say, by name, how much
    variance each practical limit costs alone; `ratios` the variance of other scans over the plan's, by name.
    """

    study: Study
    wish: Wish
    coarse: Coarse
    scene: Scene
    bound: Design
    chosen: Practical
    condition_number: float
    foretold: Foretold
    bulk_sigma: float
    dose_MGy: float
    hours: float
    losses: dict[str, float]
    ratios: dict[str, float | None]
    remarks: tuple[str, ...] = field(default=())

    @property
    def loss(self) -> float:
        """Variance of the practical design over the least possible, less 1."""
        return self.chosen.cost / self.bound.least - 1

    @property
    def front_sigma_um(self) -> float:
        """Sigma of the front's place in one column of voxels: that of x over the steepness of a blurred edge."""
        return self.foretold.sigma * self.coarse.truth.resolution_um / 0.94


def plan(study: Study, wish: Wish | None = None) -> Plan:
    """Plan a scan of the study's sample with its microscope. Raises InputError for a wish that cannot be fulfilled."""
    wish = wish or Wish()
    wish.check()
    base, remarks = _suited(study, wish)
    check_physics(base)
    coarse = coarse_of(base)
    base = replace(base, scan=replace(base.scan, angles=views_for(base, diameter_um(coarse))))
    own_dose = coarse.dose_MGy
    scene = scene_of(coarse, base)
    bound, chosen, condition, losses = _designed(scene, wish)
    scan = _Scaled(base, coarse, scene, chosen, wish)
    planned = scan.at(scan.wanted(own_dose))
    foretold = foretell(coarse, planned)
    return Plan(
        planned,
        wish,
        coarse,
        scene,
        bound,
        chosen,
        condition,
        foretold,
        bulk_sigma(coarse, planned, foretold),
        dose_MGy(coarse, planned),
        hours(planned),
        losses,
        _ratios(coarse, planned, foretold),
        (*remarks, *_doubts(planned, coarse)),
    )


def _suited(study: Study, wish: Wish) -> tuple[Study, tuple[str, ...]]:
    """The study with the wanted voxel, its analysis one that can be foretold, and what is to be said of that."""
    if study.scan.kind == "series":
        raise InputError("plan: scan.kind is 'series'; allowed is 'tomography'; a plan is of voxels")
    sharp = point_width_um(study.optics)
    voxel_um = wish.voxel_um or study.scan.pixel_um
    if voxel_um < sharp / 3:
        raise InputError(
            f"--voxel: found {voxel_um:g} um, where the optics resolve {sharp:.2g} um; allowed is {sharp / 3:.2g} um or more, a "
            "third of that"
        )
    remarks: tuple[str, ...] = ()
    settings = study.analysis
    if settings.method == "joint" or settings.engine != "fbp" or settings.constraint != "free":
        remarks = (
            f"the error is foretold for method image with engine fbp, not for {settings.method} with {settings.engine}, "
            f"{settings.constraint}, which may do better: run the plan with it",
        )
        settings = replace(settings, method="image", engine="fbp", constraint="free", weights="energy")
    background = () if settings.background == "linear" else ("the analysis fits a sloping background, as the plan assumes",)
    return with_voxel(replace(study, analysis=settings), voxel_um), (*remarks, *background)


def _designed(scene: Scene, wish: Wish) -> tuple[Design, Practical, float, dict[str, float]]:
    """The bound, the practical design, its condition number, and what each limit costs."""
    third = None if wish.third is None else third_phase(wish.third)
    budget = "dose" if wish.spared == "dose" else "photons"
    price = scene.price if budget == "dose" else np.ones_like(scene.price)
    problem = scene.problem(robust_cases(scene.path_um), budget, wish.criterion, third)
    bound = optimal(problem)

    def search(limits: Limits, also: NDArray[np.intp] | None = None) -> Practical | None:
        return practical(problem, scene.energies_eV, price, limits, bound.shares, also)

    limits = wish.limits
    found = search(limits)
    if found is None:
        raise InputError(
            f"plan: no {limits.points} energies {limits.spacing_eV:g} eV apart give a fit whose condition number is below "
            f"{limits.condition:g}; allowed are fewer --points"
        )
    # A search may end beside the best: with fewer limits it is at least as good as with all.
    losses = {}
    for name, free in _freed(limits):
        other = search(free, found.numbers)
        losses[name] = max(0.0, found.cost / other.cost - 1) if other else 0.0
    return bound, found, condition_number(problem, found.spread(len(price))), losses


def _freed(limits: Limits) -> list[tuple[str, Limits]]:
    """Each limit taken away alone."""
    free = []
    if limits.equal:
        free.append(("one exposure for all", replace(limits, equal=False)))
    else:
        free.append((f"at least {100 * limits.least_share:g} % for each", replace(limits, least_share=1e-6)))
    free.append((f"{limits.spacing_eV:g} eV apart", replace(limits, spacing_eV=0.5)))
    if limits.points > _UNKNOWNS:
        free.append((f"{limits.points} energies, not {_UNKNOWNS}", replace(limits, points=_UNKNOWNS, condition=np.inf)))
    return free


@dataclass(frozen=True)
class _Scaled:
    """The chosen design with more or fewer photons."""

    base: Study
    coarse: Coarse
    scene: Scene
    chosen: Practical
    wish: Wish

    def at(self, factor: float) -> Study:
        """The study with so many times the study's own photons, all energies together."""
        price = self.scene.price[self.chosen.numbers] if self.wish.spared == "dose" else np.ones(len(self.chosen.numbers))
        split = self.chosen.shares / price
        total = self.base.beam.photons_per_pixel * float(self.base.scan.clock.light.sum())
        photons = factor * total * split / split.sum()
        return scan_of(self.base, self.scene.energies_eV[self.chosen.numbers], photons, self.wish.shortest_s)

    def error(self, factor: float) -> float:
        """Foretold rms error of x."""
        return foretell(self.coarse, self.at(factor)).rms

    def dose(self, factor: float) -> float:
        """MGy."""
        return dose_MGy(self.coarse, self.at(factor))

    def wanted(self, own_dose_MGy: float) -> float:
        """The factor that the wish asks for. Raises InputError where its limits forbid it."""
        wish = self.wish
        limits: list[tuple[str, float, float]] = []
        if wish.max_dose_MGy is not None:
            limits.append(("--max-dose-MGy", wish.max_dose_MGy, solved(self.dose, wish.max_dose_MGy, 1.0)))
        if wish.max_hours is not None:
            idle = self.at(1.0)
            idle = replace(idle, scan=replace(idle.scan, exposures_s=(), exposure_s=wish.shortest_s))
            if wish.max_hours <= hours(idle):
                raise InputError(
                    f"--max-hours: found {wish.max_hours:g}; {idle.scan.angles} views at {len(self.chosen.numbers)} energies take "
                    f"{hours(idle):.2g} h at {1000 * wish.shortest_s:g} ms each; allowed is more, or larger voxels with --voxel"
                )
            limits.append(("--max-hours", wish.max_hours, solved(lambda k: hours(self.at(k)), wish.max_hours, 1.0)))
        if wish.sigma is None:
            return min((factor for *_, factor in limits), default=solved(self.dose, own_dose_MGy, 1.0))
        needed = solved(lambda k: self.error(k) ** -2, wish.sigma**-2, 1.0)
        for option, value, factor in limits:
            if needed > factor * 1.001:
                raise InputError(self._refusal(option, value, factor, needed))
        return needed

    def _refusal(self, option: str, value: float, factor: float, needed: float) -> str:
        """What would be possible."""
        wish, voxel = self.wish, self.base.scan.pixel_um
        takes = f"{self.dose(needed):.3g} MGy" if "dose" in option else f"{hours(self.at(needed)):.3g} h"
        reached = self.error(factor)
        # Noise goes with the voxel's size to the power -2 at equal photons per area.
        wide = voxel * np.sqrt(reached / wish.sigma) if wish.sigma else voxel
        return (
            f"--sigma: {wish.sigma:g} in voxels of {1000 * voxel:.0f} nm takes {takes}, found {option} {value:g}; that allows "
            f"a sigma of {reached:.2g}, or {wish.sigma:g} in voxels of about {1000 * wide:.0f} nm"
        )


def solved(value: Callable[[float], float], wanted: float, start: float) -> float:
    """Where a rising function of a factor has the wanted value: fixed-point steps, then bisection of its logarithm."""
    low, high, factor = 0.0, np.inf, start
    for step in range(40):
        here = value(factor)
        if abs(here / wanted - 1) < 3e-4:
            break
        low, high = (max(low, factor), high) if here < wanted else (low, min(high, factor))
        guess = factor * wanted / here
        inside = low < guess < high and step < 8
        factor = guess if inside or not np.isfinite(high) or low == 0 else float(np.sqrt(low * high))
    return factor


def _ratios(coarse: Coarse, planned: Study, foretold: Foretold) -> dict[str, float | None]:
    """Variance of other energies' scans over the plan's, at equal photons and at equal dose."""
    found: dict[str, float | None] = {}
    photons = planned.beam.photons_per_pixel * float(planned.scan.clock.light.sum())
    dose = dose_MGy(coarse, planned)
    for name, energies in (("uniform", UNIFORM_EV), ("hand", HAND_EV)):
        scan = replace(planned.scan, energies_eV=tuple(map(float, energies)), exposures_s=())
        other = replace(planned, scan=scan, beam=replace(planned.beam, photons_per_pixel=photons / len(energies)))
        try:
            check_physics(other)
        except InputError:  # a spectrum that does not reach so far
            found |= {f"{name}_equal_photons": None, f"{name}_equal_dose": None}
            continue
        found[f"{name}_equal_photons"] = (foretell(coarse, other).sigma / foretold.sigma) ** 2
        scaled = replace(other.beam, photons_per_pixel=other.beam.photons_per_pixel * dose / dose_MGy(coarse, other))
        found[f"{name}_equal_dose"] = (foretell(coarse, replace(other, beam=scaled)).sigma / foretold.sigma) ** 2
    return found


def _doubts(planned: Study, coarse: Coarse) -> tuple[str, ...]:
    """What a user should know of a plan that can be made."""
    found = []
    longest = float(coarse.paths[:2].sum(axis=0).max())
    mu = float(coarse.matter.attenuation_per_um(np.array(planned.scan.energies_eV))[:2].max())
    dimmest = planned.instrument.detected_photons * float(planned.scan.clock.light.min()) * np.exp(-longest * mu)
    if dimmest < 30:
        found.append(
            f"the dimmest rays hold {dimmest:.2g} detected photons: logarithms of so few are biased, which is not foretold; "
            "larger voxels need fewer views"
        )
    return tuple(found)
