"""What each repair of the frames is worth: a bright `tiny` spoilt by one error, with and without its repair, and unspoilt.

python benchmarks/prepare.py [SEED ...]

Standards are those of the unspoilt scan; phase_rmse_interior is the rms over the seeds, pull_std their mean.
"""

import sys

import numpy as np

from analysis.choices import Analysis
from analysis.prepare.prepared import Preparation
from validation import analyze, load_study, score, simulate

BRIGHT = {"beam.photons_per_pixel": 5e5, "scan.exposure_s": 1.0, "scan.energy_change_s": 2.0}
CASES = {
    "structure walks": (
        {"beam.structure": 0.03, "beam.structure_px": 4.0, "beam.structure_drift_px": 5.0},
        {"flats_in_time": True},
    ),
    "flicker, decay and top-up": (
        {"beam.flicker": 0.02, "beam.decay_per_hour": 1.0, "beam.topup_s": 300.0},
        {"border_px": 4},
    ),
    "zingers": ({"camera.zingers": 300.0, "camera.zinger_adu": 20000.0}, {"zinger_sigma": 6.0}),
    "rings": ({"camera.ring_pattern": 0.01}, {"rings": "mean"}),
    "dead pixels": ({"camera.dead_pixels": 0.003}, {}),
}


def scores_of(simulation, standards, repair):
    found = analyze(simulation.scan, standards, Analysis(prepare=Preparation(**repair)), threads=2)
    scores = score(simulation.truth, found.map)
    return scores["phase_rmse_interior"], scores["bulk_fraction_error"], scores["pull_std"]


def main() -> None:
    seeds = [int(word) for word in sys.argv[1:]] or [1, 2, 3]
    steady = {seed: simulate(load_study("tiny", BRIGHT | {"seed": seed}), threads=2) for seed in seeds}
    print("| error, repair | phase_rmse_interior | largest bulk_fraction_error | pull_std |\n|---|---|---|---|")

    def line(name, simulations, repair):
        found = [scores_of(simulations[seed], steady[seed].standards, repair) for seed in seeds]
        rmse, bulk, pulls = np.array(found, float).T
        print(f"| {name} | {np.sqrt((rmse**2).mean()):.4f} | {np.abs(bulk).max():.4f} | {pulls.mean():.3f} |", flush=True)

    line("none", steady, {})
    for name, (spoilt, repair) in CASES.items():
        simulations = {seed: simulate(load_study("tiny", BRIGHT | spoilt | {"seed": seed}), threads=2) for seed in seeds}
        told = ", ".join(f"{key} = {value}" for key, value in repair.items())
        if repair:
            line(f"none, {told}", steady, repair)
            line(name, simulations, {})
        line(f"{name}, {told or 'bridged'}", simulations, repair)


if __name__ == "__main__":
    main()
