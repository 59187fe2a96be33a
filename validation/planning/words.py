"""A plan in words, as JSON and as a table for the beamline."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from ..files import versions
from ..study import digest
from ..verdict import dose_in_words, megagray
from .nuisances import Nuisance, sigma_with_third
from .operando import Motion
from .plan import Plan
from .tradeoffs import Curve

if TYPE_CHECKING:
    from .verify import Verified  # brings scipy.stats

_HOPELESS = 0.3
_TELLING = 0.001


def plan_csv(plan: Plan) -> str:
    """A line for each energy, in the order of the scan."""
    scan = plan.study.scan
    lines = ["energy_eV,energy_keV,exposure_s,flats,order"]
    for number, (energy, exposure) in enumerate(zip(scan.energies_eV, scan.frame_exposures_s, strict=True), 1):
        lines.append(f"{energy:.2f},{energy / 1000:.5f},{exposure:.6g},{scan.flats},{number}")
    return "\n".join(lines) + "\n"


def plan_json(
    plan: Plan, motion: Motion, others: tuple[Nuisance, ...], curves: tuple[Curve, ...], verified: "Verified | None"
) -> dict[str, Any]:
    """All figures, plain values."""
    scan, ratios = plan.study.scan, plan.ratios
    foretold = plan.foretold
    found: dict[str, Any] = {
        "sigma": plan.sigma,
        "voxel_um": scan.pixel_um,
        "dose_MGy": plan.dose_MGy,
        "hours": plan.hours,
        "angles": scan.angles,
        "optimality_gap": plan.bound.gap,
        "filter_transmission": plan.filter_transmission,
        "total_dose_MGy": plan.total_dose_MGy,
        "rings_share": foretold.rings,
        "sigma_with_third": _with_third(plan),
        "loss": plan.loss,
        "losses": plan.losses,
        "variance_ratio_equal_photons": ratios["uniform_equal_photons"],
        "variance_ratio_equal_dose": ratios["uniform_equal_dose"],
        "variance_ratio_equal_time": ratios["uniform_equal_time"],
        "variance_ratio_hand_equal_photons": ratios["hand_equal_photons"],
        "variance_ratio_hand_equal_dose": ratios["hand_equal_dose"],
        "variance_ratio_hand_equal_time": ratios["hand_equal_time"],
        "robust_ratio_uniform": ratios["robust_uniform"],
        "robust_ratio_hand": ratios["robust_hand"],
        "condition_number": plan.condition_number,
        "energies_eV": list(scan.energies_eV),
        "exposures_s": [float(value) for value in scan.frame_exposures_s],
        "flats": scan.flats,
        "photons_incident": plan.study.beam.photons_per_pixel,
        "photons_incident_at_s": scan.exposure_s,
        "sigma_this_scan": foretold.rms,
        "sigma_linear": foretold.sigma,
        "sigma_LFP": _finite(foretold.rms_lfp),
        "sigma_FP": _finite(foretold.rms_fp),
        "bulk_fraction_sigma": plan.bulk_sigma,
        "front_sigma_um": plan.front_sigma_um,
        "front_motion_um": motion.front_um,
        "c_rate_limit_per_h": motion.c_rate_per_h,
        "nuisances": {one.name: one.error for one in others},
        "curves": [asdict(curve) for curve in curves],
        "bound": {
            "energies_eV": [float(e) for e, w in zip(plan.scaled.scene.energies_eV, plan.bound.shares, strict=True) if w > 1e-3],
            "shares": [float(w) for w in plan.bound.shares if w > 1e-3],
        },
        "wish": asdict(plan.wish),
        "remarks": list(plan.remarks),
        "seed": plan.study.seed,
        "study_digest": digest(plan.study),
        "versions": versions(),
    }
    if verified is not None:
        found["verified"] = {
            "seeds": verified.seeds,
            "foretold": verified.foretold,
            "foretold_dose_MGy": verified.dose_MGy,
            "foretold_effects_alone": {name: one.mean for name, one in verified.alone.items()},
            "all_effects": {name: one.mean for name, one in verified.all.items()},
            "bulk_fraction_rms": verified.bulk_rms,
            "other_effects": list(verified.others),
            "added_by_others": verified.added,
        }
    return found


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None


def sentences(plan: Plan, motion: Motion, others: tuple[Nuisance, ...], verified: "Verified | None") -> list[str]:
    """What a person is told."""
    scan, foretold = plan.study.scan, plan.foretold
    list_ = ", ".join(
        f"{energy:g} eV {exposure:.3g} s" for energy, exposure in zip(scan.energies_eV, scan.frame_exposures_s, strict=True)
    )
    minutes = 60 * plan.hours
    duration = f"{plan.hours:.2g} h" if plan.hours >= 1 else f"{minutes:.2g} min"
    nm = f"{1000 * scan.pixel_um:.0f} nm"
    told = [
        f"Take {len(scan.energies_eV)} energies ({list_}), {scan.angles} views from {scan.first_angle_deg:g} to "
        f"{scan.last_angle_deg:g} degrees and {scan.flats} flats at each, with {plan.study.beam.photons_per_pixel:.3g} incident "
        f"photons per pixel and projection in {scan.exposure_s:.3g} s{_dimmed(plan)}.",
        f"Noise then leaves an rms error of x of {foretold.rms:.3g} in a voxel of {nm} of the interior{_parts(plan)}, "
        f"{plan.bulk_sigma:.2g} in the bulk fraction, and {_length(plan.front_sigma_um)} in the front's place in one column of "
        "voxels.",
        f"It takes {duration} and {_dose(plan)}.",
        *(f"{remark[0].upper()}{remark[1:]}." for remark in plan.remarks),
    ]
    third = _with_third(plan)
    if third is not None and plan.wish.third is not None:
        name = plan.wish.third.partition("=")[0]
        hopeless = ": they cannot be told apart in a voxel" if third > _HOPELESS else ""
        told.append(f"With {name} as a third standard in the fit, sigma of x is {third:.2g}{hopeless}.")
    if plan.before is not None:
        told.insert(
            2,
            f"Averaged by their variances with the map before, which has {plan.before.sigma_in(plan.study):.3g} in such voxels, "
            f"it leaves {plan.sigma:.3g} in x.",
        )
    told.append(
        f"In the worst of the {len(plan.problem.rows)} cases that the energies are chosen for ({_cases(plan)}), the best "
        f"energies of all have {100 * (1 - 1 / (1 + plan.loss)):.2g} % less variance by photon noise of rays and flats, and none "
        f"have less (gap of that bound {plan.bound.gap:.0e}). {_losses(plan)}"
    )
    told.append(_compared(plan))
    told.insert(3, motion.sentence)
    told.append("Not in that error: " + "; ".join(f"{one.name}: {_up_to(one.error)}" for one in others) + ".")
    if verified is not None:
        told.append(_verified(plan, verified))
    return told


def _length(um: float) -> str:
    return f"{um:.2g} um" if um >= 1 else f"{1000 * um:.0f} nm"


def _up_to(error: float) -> str:
    return f"up to {error:.1g}" if error >= _TELLING else f"below {_TELLING:g}"


def _dimmed(plan: Plan) -> str:
    share = plan.filter_transmission
    return "" if share > 0.999 else f", the beam dimmed to {100 * share:.2g} % by a filter"


def _dose(plan: Plan) -> str:
    if plan.total_dose_MGy == plan.dose_MGy:
        return dose_in_words(plan.dose_MGy, plan.study)
    return f"{megagray(plan.dose_MGy)}, with the map before {dose_in_words(plan.total_dose_MGy, plan.study)}"


def _with_third(plan: Plan) -> float | None:
    return None if plan.wish.third is None else sigma_with_third(plan, plan.wish.third.partition("=")[0])


def _cases(plan: Plan) -> str:
    x = plan.scaled.wish.fractions
    which = f"x = {x[0]:g}" if len(x) == 1 else f"x from {x[0]:g} to {x[-1]:g}"
    return f"{which}, thinner and thicker, energy scale off"


def _parts(plan: Plan) -> str:
    core, shell = plan.foretold.rms_lfp, plan.foretold.rms_fp
    if plan.before is not None or not np.isfinite(core + shell):
        return ""
    return f" (core {core:.3g}, shell {shell:.3g})"


def _losses(plan: Plan) -> str:
    costs = "; ".join(f"{name}: {100 * loss:.1f} %" for name, loss in plan.losses.items())
    return f"What each limit costs alone, of the variance: {costs}. Condition number of the fit: {plan.condition_number:.0f}."


def _compared(plan: Plan) -> str:
    ratios = plan.ratios
    parts = []
    for name, words in (("uniform", "61 even points from 7100 to 7160 eV"), ("hand", "a usual list of 11 energies")):
        photons, dose, time = (ratios[f"{name}_equal_{budget}"] for budget in ("photons", "dose", "time"))
        worst = ratios[f"robust_{name}"]
        if photons is not None and dose is not None:
            slow = "cannot be taken in equal time" if time is None else f"{time:.2f} in equal time"
            robust = "" if worst is None else f", {worst:.2f} in the worst case of the design at equal {plan.spared}"
            parts.append(f"{words}: {dose:.2f} times at equal dose, {photons:.2f} at equal photons, {slow}{robust}")
    if not parts:
        return "The lists that plans are compared with cannot be taken: the spectra do not reach so far, or light is too little."
    return f"Mean square error of x against the plan's, {'; '.join(parts)}."


def _verified(plan: Plan, verified: "Verified") -> str:
    alone, everything = verified.alone, verified.all
    text = (
        f"Run with {verified.seeds} seeds, with the effects that are foretold alone: rms error of x "
        f"{alone['phase_rmse_interior'].mean:.3g} (foretold {verified.foretold:.3g}), {alone['dose_MGy'].mean:.3g} MGy (foretold "
        f"{verified.dose_MGy:.3g}), "
        f"{alone['scan_time_s'].mean / 3600:.3g} h, bulk fraction off by {verified.bulk_rms:.2g} rms, blur included "
        f"(noise: {plan.bulk_sigma:.2g})."
    )
    if not verified.others:
        return f"{text} The study has no other effects."
    return (
        f"{text} With all effects {everything['phase_rmse_interior'].mean:.3g}: {', '.join(verified.others)} add "
        f"{verified.added:.2g} in quadrature; run plan.toml with --budget to see which."
    )
