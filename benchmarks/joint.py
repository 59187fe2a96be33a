"""What the joint reconstruction gains, loses and states: against `image`, on fronts that it was not made for, in a missing wedge.

python benchmarks/joint.py [--full] [TABLE]...   tables: doses fronts thin wedge weight; --full: study low-dose at its full size

`small` is study low-dose with fewer voxels and a smaller particle; dose, energies, angles and voxels are the same.
"""

import argparse
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np

from analysis.order.joint import rays_of
from analysis.order.model import energy_weights, model_of
from analysis.phases import phase_histogram
from analysis.prepare.prepared import prepare
from analysis.reconstruct.held_out import choose_weight
from analysis.reconstruct.operators import Projector
from analysis.reconstruct.total_variation import TotalVariation, information_of
from analysis.result import AmountMap, phase_fraction
from validation import Simulation, Study, analyze, load_study, score, simulate
from validation.scores import overlay

SMALL = {"scan.rows": 72, "scan.columns": 96, "particle.semi_axes_um": [2.0, 1.6, 1.8]}
EVENLY = {"front.speed": [1.0, 1.0, 1.0]}
DOSES = {
    f"{photons:g} photons": {"beam.photons_per_pixel": photons, "camera.gain_adu": gain}
    for photons, gain in ((1e3, 1.0), (1e4, 1.0), (1e5, 0.5))  # so that 16 bits hold them
}
FRONTS = {
    "core-shell": {},
    "domino": {"front.kind": "domino"},
    "mosaic": {"front.kind": "mosaic"},
    "late": {"front.fraction": 0.85},
    **{f"graded over {width:g} um": {"front.width_um": width} for width in (0.3, 0.6, 1.0)},
    "solid solution": {"front.kind": "solid-solution", "front.fraction": 0.4},
}
# Shells of so many voxels of 60 nm all round the small particle: 1 - (1 - t / a)(1 - t / b)(1 - t / c).
THIN = {f"shell of {voxels} voxels": EVENLY | {"front.fraction": share} for voxels, share in ((1, 0.098), (2, 0.189), (3, 0.273))}
WEDGE = {
    "full half turn": {},
    "60 degrees missing": {"scan.first_angle_deg": -60.0, "scan.last_angle_deg": 60.0, "scan.angles": 121},
}

COLUMNS: dict[str, Callable[[dict, AmountMap, AmountMap], float | None]] = {
    "rmse": lambda scores, *_: scores["phase_rmse"],
    "rmse interior": lambda scores, *_: scores["phase_rmse_interior"],
    "bias LFP": lambda scores, *_: scores["phase_bias_interior_LFP"],
    "bias FP": lambda scores, *_: scores["phase_bias_interior_FP"],
    "bulk error": lambda scores, *_: scores["bulk_fraction_error"],
    "lost shell": lambda _, truth, found: lost_shell(truth, found),
    "two phases": lambda _scores, _truth, found: two_phases(found),
    "pull std": lambda scores, *_: scores["pull_std"],
    "within 68 %": lambda scores, *_: scores["coverage_68"],
    "within 95 %": lambda scores, *_: scores["coverage_95"],
}


def lost_shell(truth: AmountMap, found: AmountMap) -> float | None:
    """Share of the voxels that are mostly FP which are found to be mostly LFP."""
    pair = overlay(truth, found)
    shell = (pair.truth.iron >= 0.5) & (np.nan_to_num(phase_fraction(pair.truth.amounts, truth.species)) >= 0.5)
    kept = np.nan_to_num(phase_fraction(pair.result.amounts, truth.species)) >= 0.5
    return float((shell & ~kept).sum() / shell.sum()) if shell.any() else None


def two_phases(found: AmountMap) -> float | None:
    """1 where the histogram of x is said to be of two phases."""
    histogram = phase_histogram(found)
    return None if histogram is None else float(histogram.two_phases)


def compared(cases: dict[str, dict], seeds: tuple[int, ...], size: dict) -> Iterator[str]:
    """Rows of `image` and `joint` for each case and seed."""
    yield "| case | seed | method | " + " | ".join(COLUMNS) + " |\n|" + "---|" * (len(COLUMNS) + 3)
    for label, changes in cases.items():
        for seed in seeds:
            study, simulation = made(seed, changes, size)
            for method in ("image", "joint"):
                settings = replace(study.analysis, method=method)
                found = analyze(simulation.scan, simulation.standards, settings, threads=2).map
                scores = score(simulation.truth, found)
                values = [column(scores, simulation.truth, found) for column in COLUMNS.values()]
                cells = ["" if value is None else f"{value:.4g}" for value in values]
                yield f"| {label} | {seed} | {method} | " + " | ".join(cells) + " |"


def chosen(cases: dict[str, dict], seeds: tuple[int, ...], size: dict) -> Iterator[str]:
    """The weight chosen from the data, and the best by the truth among seven and it."""
    yield "| case | seed | weight chosen | rmse | best weight | rmse | ratio |\n|" + "---|" * 7
    for label, changes in cases.items():
        for seed in seeds:
            _, simulation = made(seed, changes, size)
            weight, errors = errors_by_weight(simulation)
            best = min(errors, key=errors.__getitem__)
            yield (
                f"| {label} | {seed} | {weight:.2f} | {errors[weight]:.4f} | {best:.2f} | {errors[best]:.4f} "
                f"| {errors[weight] / errors[best]:.3f} |"
            )


def errors_by_weight(simulation: Simulation) -> tuple[float, dict[float, float]]:
    """The chosen weight, and phase_rmse for it and others."""
    scan = simulation.scan
    prepared = prepare(scan)
    model = model_of(simulation.standards, scan, energy_weights(prepared), background="constant")
    rays, _ = rays_of(prepared, model, 2)
    information = information_of(rays.covariance)
    place = {"center_px": prepared.geometry.center_px, "pixel_um": scan.pixel_um}
    weight = choose_weight(rays.paths, information, scan.angles_rad, threads=2, **place).weight
    problem = TotalVariation(information, Projector(scan.angles_rad, scan.columns, **place), threads=2)
    errors = {}
    for trial in (weight, 5.6, 4.0, 2.8, 2.0, 1.4, 1.0, 0.7, 0.5):
        found = AmountMap(model.names, problem.maps(problem.solve(rays.paths, trial)), scan.pixel_um)
        errors[trial] = float(score(simulation.truth, found)["phase_rmse"] or np.nan)
    return weight, errors


def made(seed: int, changes: dict, size: dict) -> tuple[Study, Simulation]:
    study = load_study("low-dose", {"seed": seed, **size, **changes})
    return study, simulate(study, threads=2)


TABLES: dict[str, Callable[[dict], Iterator[str]]] = {
    "doses": lambda size: compared(DOSES, (11,), size),
    "fronts": lambda size: compared(FRONTS, (13,), size),
    "thin": lambda size: compared(THIN, (14,), size),
    "wedge": lambda size: compared(WEDGE, (15,), size),
    "weight": lambda size: chosen(
        DOSES | {"domino": FRONTS["domino"], "60 degrees missing": WEDGE["60 degrees missing"]}, (17,), size
    ),
}

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table", nargs="*", choices=[*TABLES, []], default=list(TABLES))
    parser.add_argument("--full", action="store_true")
    options = parser.parse_args()
    for name in options.table:
        print(f"\n{name}\n", flush=True)
        for line in TABLES[name]({} if options.full else SMALL):
            print(line, flush=True)
