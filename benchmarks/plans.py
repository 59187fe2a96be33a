"""What a plan gains: in theory, for a ray of one thickness, and in the full loop, by phase_rmse_interior.

The ray: x = 0.5, free amounts, constant and slope, Poisson noise, 1, 5 and 15 um (parametric spectra). The loop: scans of the
plan's energies, of 61 even points from 7100 to 7160 eV, and of a usual list of 11, with as many photons or as much dose.
"""

import argparse
from dataclasses import replace

import numpy as np

from instrument.attenuation import absorbed_per_um
from instrument.xanes import parametric
from validation.methods import parse_method
from validation.planning import Wish, plan
from validation.planning.design import optimal
from validation.planning.other_lists import HAND_EV, UNIFORM_EV, equal_exposures_s, even_scan
from validation.planning.practical import Limits, practical
from validation.planning.problem import STEP_EV, Case, Scene
from validation.planning.verify import quiet
from validation.replicates.replicate import replicates
from validation.study import Study, load_study

PATHS_UM = (1.0, 5.0, 15.0)
LISTS = {"uniform": UNIFORM_EV, "hand": HAND_EV}


def ray(path_um: float, lowest_eV: float, budget: str) -> dict[str, float]:
    """Variance of other lists over that of the best and of the practical energies, for one ray, and the gap of the bound."""
    study = load_study("default")
    energies = np.arange(lowest_eV, 7200.1, STEP_EV)
    lfp = study.species.LFP
    absorbed = np.mean(
        [
            absorbed_per_um(entry.formula, lfp.iron_mol_cm3, energies, parametric(name)(energies))
            for name, entry in (("LFP", lfp), ("FP", study.species.FP))
        ],
        axis=0,
    )
    scene = Scene(study, energies, np.ones(len(energies)), path_um, 1e5, 1.0)
    mu = scene.columns(energies, None)[:2].mean(axis=0)
    price = energies * -np.expm1(-path_um * mu) * absorbed / mu
    scene = replace(scene, price=price / price.mean())
    problem = scene.problem((Case(0.5, path_um),), budget, "c")
    best = optimal(problem)
    found = practical(problem, energies, scene.price_of(budget), Limits(6), best.shares)
    assert found is not None
    out = {"gap": best.gap}
    for name, others in LISTS.items():
        weights = np.isin(energies, others) * scene.price_of(budget)
        cost = problem.cost(weights / weights.sum())
        out |= {f"bound, {name}": cost / best.cost, f"practical, {name}": cost / found.cost}
    return out


def rmse(study: Study, seeds: int, threads: int) -> float:
    """phase_rmse_interior over seeds, of noise alone."""
    found = [
        one.scores["phase_rmse_interior"]
        for one in replicates(quiet(study), [parse_method("")], range(1, 1 + seeds), threads=threads)
    ]
    return float(np.sqrt(np.mean(np.square(found))))


def loop(name: str, changes: dict[str, object], wish: Wish, seeds: int, threads: int) -> None:
    """A line of the table for each budget."""
    found = plan(load_study(name, changes), wish)
    own = rmse(found.study, seeds, threads)
    print(f"\n{name} {changes or ''}, {wish.spared} spared, x of {', '.join(map(str, wish.fractions))}")
    print("| other energies | equal | mean square error over the plan's, foretold | found |")
    print(f"plan: foretold {found.foretold.rms:.4f}, found {own:.4f}; loss {100 * found.loss:.1f} %, gap {found.bound.gap:.0e}")
    for label, energies in LISTS.items():
        exposures = equal_exposures_s(found.coarse, found.study, energies)
        for budget in ("photons", "dose"):
            other = even_scan(found.study, energies, exposures[budget])
            ratio = (rmse(other, seeds, threads) / own) ** 2
            foretold = found.ratios[f"{label}_equal_{budget}"]
            print(f"| {label} | {budget} | {foretold:.2f} | {ratio:.2f} |", flush=True)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--seeds", type=int, default=2)
    options.add_argument("--threads", type=int, default=2)
    options.add_argument("--theory", action="store_true", help="no loops")
    chosen = options.parse_args()
    names = [f"{kind}, {name}" for kind in ("bound", "practical") for name in LISTS]
    print(f"| equal | from (eV) | ray (um) | {' | '.join(names)} | gap |")
    for budget in ("photons", "dose"):
        for lowest in (7100.0, 7090.0):
            for path_um in PATHS_UM:
                found = ray(path_um, lowest, budget)
                cells = " | ".join(f"{found[name]:.2f}" for name in names)
                print(f"| {budget} | {lowest:g} | {path_um:g} | {cells} | {found['gap']:.0e} |", flush=True)
    if chosen.theory:
        return
    half = {"front.fraction": 0.5, "scan.columns": 64, "scan.rows": 64, "scan.pixel_um": 0.12}
    for budget in ("dose", "photons"):
        wish = Wish(sigma=0.03, fractions=(0.5,), budget=budget)  # type: ignore[arg-type]
        loop("solid-solution", half, wish, chosen.seeds, chosen.threads)
        small = {"scan.columns": 64, "scan.rows": 64, "scan.pixel_um": 0.12}
        loop("default", small, Wish(sigma=0.03, budget=budget), chosen.seeds, chosen.threads)  # type: ignore[arg-type]


if __name__ == "__main__":
    main()
