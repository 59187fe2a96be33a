"""Charges at several rates; the plateau of a slow one, taken apart, beside what others use for LiFePO4.

    python benchmarks/plateau.py [--c-rate 0.05]

Afshar et al., arXiv:1709.03970, give an open-circuit potential; PyBaMM's cell Prada2013 takes it over and is charged here where
PyBaMM can be imported. Its positive electrode is read against lithium, halfway through the charge. Nothing here decides a test.
"""

import argparse
from dataclasses import replace

import numpy as np

from phantom.cell import Cell, charge


def afshar_V(lithium: float) -> float:
    """Open-circuit potential of LiFePO4 against lithium, `lithium` the share of sites filled."""
    return float(3.4077 - 0.020269 * lithium + 0.5 * np.exp(-150 * lithium) - 0.9 * np.exp(-30 * (1 - lithium)))


def ours(c_rate: float) -> None:
    cell = replace(Cell(), c_rate=c_rate)
    plateau = charge(cell, np.random.default_rng(1)).plateau_V
    slow = charge(replace(cell, c_rate=0.01, resistance_ohm_g=0.0, particles=1000), np.random.default_rng(1)).plateau_V
    parts = {"equilibrium": cell.plateau_V, "mean barrier": cell.barrier_V, "ohmic drop": cell.ohmic_drop_V}
    parts["reaction, diffusion, spread of barriers"] = plateau - sum(parts.values())
    print(f"txm-twin   charge at {c_rate:g}/h: {plateau:.4f} V")
    for name, part in parts.items():
        print(f"           {part:+.4f} V {name}")
    print(f"           {cell.plateau_V + cell.barrier_V:.4f} V equilibrium and barrier: the limit of zero current")
    print(f"           {slow:.4f} V at 0.01/h without resistance, 1000 particles")


def pybamm_cell(c_rate: float) -> None:
    try:
        import pybamm
    except ImportError:
        print("PyBaMM     not importable: pip install pybamm, in an environment of its own")
        return
    protocol = pybamm.Experiment([f"Charge at {c_rate:g}C until 4.2 V"])
    values = pybamm.ParameterValues("Prada2013")
    for model in (pybamm.lithium_ion.SPM(), pybamm.lithium_ion.DFN()):
        solution = pybamm.Simulation(model, parameter_values=values, experiment=protocol).solve(initial_soc=0.0)
        time = solution["Time [h]"].entries
        names = ("open-circuit potential", "surface potential difference")
        rest, loaded = (
            np.interp(time[-1] / 2, time, solution[f"X-averaged positive electrode {name} [V]"].entries) for name in names
        )
        lithium = np.interp(time[-1] / 2, time, solution["Positive electrode stoichiometry"].entries)
        print(f"PyBaMM     {model.name}: electrode {loaded:.4f} V, its open circuit {rest:.4f} V at lithium {lithium:.3f}")


def rates() -> None:
    print("| rate (1/h) | capacity (mAh/g) | plateau (V) | spread of x at half of it | capacity at half the step, less |")
    print("|---|---|---|---|---|")
    for c_rate in (0.05, 0.1, 0.2, 0.5, 1, 2):
        cell = replace(Cell(), c_rate=c_rate)
        one, fine = (charge(cell, np.random.default_rng(1), step=step) for step in (1e-3, 5e-4))
        half = one.population_fraction[np.argmin(np.abs(one.mean_fraction - one.mean_fraction[-1] / 2))]
        last = one.capacity_mAh_per_g[-1]
        print(f"| {c_rate:g} | {last:.1f} | {one.plateau_V:.3f} | {half.std():.2f} | {fine.capacity_mAh_per_g[-1] - last:+.4f} |")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--c-rate", type=float, default=0.05)
    c_rate = parser.parse_args().c_rate
    rates()
    ours(c_rate)
    print("Afshar     open circuit: " + ", ".join(f"{afshar_V(s):.4f} V at lithium {s:g}" for s in (0.5, 0.352)))
    pybamm_cell(c_rate)
