"""How far the front moves between the four stages, in the truth and as recovered, and what a slow scan costs.

python benchmarks/stages.py
"""

import itertools

import numpy as np

from analysis.phases import front_displacement
from analysis.result import AmountMap
from validation import analyze, load_study, score, simulate
from validation.projection import build_sample

STAGES = ("initial", "partial", "middle", "end")


def loop(study):
    simulation = simulate(study, threads=2)
    return simulation, analyze(simulation.scan, simulation.standards, study.analysis, threads=2).map


def displacements() -> None:
    study = load_study("initial")
    nothing = build_sample(study, 2).at(0.0)
    maps = {"truth": [AmountMap(nothing.species, nothing.amounts, nothing.voxel_um)], "recovered": []}
    for name in STAGES:
        simulation, found = loop(load_study(name))
        maps["truth"].append(simulation.truth)
        maps["recovered"].append(found)
    print("| stage | map | -x | +x | -y | +y | -z | +z |\n|---|---|---|---|---|---|---|---|")
    for kind, series in maps.items():
        for after, (one, other) in zip(STAGES[-len(series) + 1 :], itertools.pairwise(series), strict=True):
            moved = front_displacement(one, other, np.eye(3))
            print(f"| to `{after}` | {kind} | " + " | ".join(f"{value:.3f}" for value in moved) + " |")


def slow_scan() -> None:
    print("\n| slow-scan | phase_rmse | front_width_um |\n|---|---|---|")
    for words, changes in (("moving", {}), ("frozen", {"charging.moving": False})):
        simulation, found = loop(load_study("slow-scan", changes))
        scores = score(simulation.truth, found)
        print(f"| {words} | {scores['phase_rmse']:.4f} | {scores['front_width_um']:.3f} |")


if __name__ == "__main__":
    displacements()
    slow_scan()
