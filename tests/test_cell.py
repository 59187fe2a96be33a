from dataclasses import replace
from functools import cache

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from instrument.randomness import generator
from phantom.cell import Cell, THEORETICAL_mAh_g, charge
from phantom.errors import InputError
from phantom.population import Population, constant_current, follow, regular_solution

RATES = (0.05, 0.1, 0.2, 0.5, 1.0, 2.0)
SMALL = Cell(particles=40)
ALIKE = Cell(particles=3, size_spread=0.0, barrier_spread_V=0.0)


def rng(seed=1):
    return generator(seed, "cell")


@cache
def default(c_rate=0.1, step=1e-3, seed=1, imaged=(2.0, 5.0, 12.0)):
    return charge(Cell(c_rate=c_rate), rng(seed), imaged, step=step)


def std_at(result, fraction):
    return result.population_fraction[np.searchsorted(result.mean_fraction, fraction)].std()


def test_the_regular_solution_of_lfp():
    omega = Cell().omega_eV / Cell().thermal_V
    binodal, barrier = regular_solution(omega)
    assert omega == pytest.approx(4.51, abs=0.005)
    assert binodal == pytest.approx(0.012, abs=5e-4)
    assert np.log(binodal / (1 - binodal)) + omega * (1 - 2 * binodal) == pytest.approx(0, abs=1e-9)
    assert barrier * Cell().thermal_V == pytest.approx(0.0369, abs=1e-4)


def test_the_default_charge_is_the_measured_one():
    """S8 of the experiment: a flat plateau near 3.5 V, 140 of 170 mAh/g."""
    result = default()
    assert pytest.approx(169.9, abs=0.05) == THEORETICAL_mAh_g
    assert result.capacity_mAh_per_g[-1] == pytest.approx(140, abs=1)
    assert result.plateau_V == pytest.approx(3.50, abs=0.02)
    assert result.voltage_V[-1] == pytest.approx(4.2, abs=1e-12)
    middle = (result.mean_fraction > 0.1) & (result.mean_fraction < 0.7)
    slope = np.polyfit(result.mean_fraction[middle], result.voltage_V[middle], 1)
    assert 0 < slope[0] * 0.6 < 0.012
    assert (result.voltage_V[middle] - np.polyval(slope, result.mean_fraction[middle])).std() < 1e-3
    assert std_at(result, 0.5) > 0.3
    assert len(result.time_s) < 1000


@pytest.mark.parametrize("seed", [2, 3, 4])
def test_the_seed_hardly_matters(seed):
    one, other = default(), default(seed=seed, imaged=())
    assert other.capacity_mAh_per_g[-1] == pytest.approx(one.capacity_mAh_per_g[-1], abs=0.5)
    assert other.plateau_V == pytest.approx(one.plateau_V, abs=5e-4)


@pytest.mark.parametrize("c_rate", RATES)
def test_charge_counted_is_fp_made(c_rate):
    result = default(c_rate)
    assert result.weights.sum() == pytest.approx(1)
    assert result.population_fraction @ result.weights == pytest.approx(result.mean_fraction, abs=1e-12)
    assert result.mean_fraction == pytest.approx(c_rate * result.time_s / 3600, abs=1e-15)
    assert result.capacity_mAh_per_g == pytest.approx(result.mean_fraction * THEORETICAL_mAh_g)
    assert result.current_mA == pytest.approx(c_rate * THEORETICAL_mAh_g * Cell().mass_mg / 1e3)


@pytest.mark.parametrize("c_rate", [0.05, 0.1, 0.5])
def test_half_the_step_changes_little(c_rate):
    whole, half = default(c_rate), default(c_rate, step=5e-4)
    assert half.capacity_mAh_per_g[-1] == pytest.approx(whole.capacity_mAh_per_g[-1], abs=0.02)
    assert half.plateau_V == pytest.approx(whole.plateau_V, abs=2e-4)
    moments = int(0.95 * whole.mean_fraction[-1] / 1e-3)
    for name in ("population_fraction", "imaged_fraction"):
        difference = getattr(half, name)[: 2 * moments : 2] - getattr(whole, name)[:moments]
        assert np.abs(difference).max() < 2.5e-3
        assert np.sqrt((difference**2).mean()) < 2e-4


def test_faster_charges_end_earlier_and_higher():
    results = [default(c_rate) for c_rate in RATES]
    capacities = [result.capacity_mAh_per_g[-1] for result in results]
    assert np.all(np.diff(capacities) < -10)
    assert np.all(np.diff([result.plateau_V for result in results]) > 0.01)
    assert results[RATES.index(0.5)].mean_fraction[-1] > 0.3
    spreads = [std_at(result, 0.35) for result in results[:4]]
    assert np.all(np.diff(spreads) < 0)  # particle by particle when slow, all at once when fast


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("median_diameter_um", (2.0, 4.0, 6.0)),
        ("diffusivity_m2_s", (1e-14, 3e-15, 1e-15)),
        ("k0_A_m2", (1.0, 0.1, 0.01)),
        ("resistance_ohm_g", (0.0, 2.0, 20.0)),
        ("cutoff_V", (4.5, 4.0, 3.6)),
    ],
)
def test_what_lowers_the_capacity(name, values):
    ends = [charge(replace(SMALL, **{name: value}), rng(), step=4e-3).capacity_mAh_per_g[-1] for value in values]
    assert np.all(np.diff(ends) < 0)


@given(ohms=st.floats(0, 5))
def test_resistance_adds_exactly_its_drop(ohms):
    without, with_it = (charge(replace(SMALL, resistance_ohm_g=value), rng(), step=1e-2) for value in (0.0, ohms))
    shared = min(len(without.time_s), len(with_it.time_s)) - 30
    assert shared > 30
    drop = 0.1 * THEORETICAL_mAh_g / 1e3 * ohms
    assert with_it.voltage_V[:shared] - without.voltage_V[:shared] == pytest.approx(drop, abs=1e-9)


@given(c_rate=st.floats(0.01, 5), diameter=st.floats(0.5, 5), k0=st.floats(0.05, 5), alpha=st.floats(0.3, 0.7))
def test_without_diffusion_limit_the_voltage_is_butler_volmers(c_rate, diameter, k0, alpha):
    cell = replace(ALIKE, c_rate=c_rate, median_diameter_um=diameter, k0_A_m2=k0, transfer_coefficient=alpha)
    cell = replace(cell, diffusivity_m2_s=1e-8, resistance_ohm_g=0.0)
    result = charge(cell, rng(), step=2e-2)
    binodal, _ = regular_solution(cell.omega_eV / cell.thermal_V)
    current_A_m2 = c_rate / 3600 * 1.3793e28 * 1.602177e-19 * diameter * 0.5e-6 / 3
    u = (result.voltage_V[5] - 3.422) / cell.thermal_V
    assert k0 * (1 - binodal) * (np.exp((1 - alpha) * u) - np.exp(-alpha * u)) == pytest.approx(current_A_m2, rel=1e-3)
    assert result.mean_fraction[-1] == pytest.approx(1, abs=2e-3)


@given(c_rate=st.floats(0.05, 2), diameter=st.floats(1, 10))
def test_the_charge_ends_at_the_limiting_current(c_rate, diameter):
    cell = replace(ALIKE, c_rate=c_rate, median_diameter_um=diameter, cutoff_V=5.0, resistance_ohm_g=0.0)
    binodal, _ = regular_solution(cell.omega_eV / cell.thermal_V)
    core = 1 / (1 + 3 * cell.diffusivity_m2_s * binodal / (diameter * 0.5e-6) ** 2 * 3600 / c_rate)
    assert charge(cell, rng(), step=1e-3).mean_fraction[-1] == pytest.approx(1 - core**3, abs=2e-4)


@given(
    c_rate=st.floats(0.02, 2),
    spread=st.floats(0, 0.8),
    barrier=st.floats(0, 0.03),
    temperature=st.floats(260, 340),
    seed=st.integers(0, 2**31),
)
def test_fractions_rise_and_stay_fractions(c_rate, spread, barrier, temperature, seed):
    cell = Cell(c_rate=c_rate, size_spread=spread, barrier_spread_V=barrier, temperature_K=temperature, particles=20)
    result = charge(cell, rng(seed), (0.5, 3.0, 20.0), step=5e-3)
    assert np.all(np.diff(result.time_s) > 0)
    for fraction in (result.population_fraction, result.imaged_fraction):
        assert np.all(np.diff(fraction, axis=0) >= 0)
        assert fraction.min() == 0
        assert fraction.max() <= 1
    assert result.population_fraction.mean(axis=1) == pytest.approx(result.mean_fraction, abs=1e-12)
    assert result.voltage_V.max() == result.voltage_V[-1]


def test_equal_particles_stay_equal():
    """No spread of size and barrier: no spread between particles; the control of what a population shows."""
    result = charge(replace(ALIKE, particles=25), rng(), (4.0, 4.0))
    assert np.ptp(result.population_fraction, axis=1).max() == 0
    assert result.imaged_fraction == pytest.approx(np.repeat(result.mean_fraction[:, None], 2, axis=1), abs=1e-6)


def test_imaged_particles_leave_the_charge_as_it_is():
    without = default(imaged=())
    for name in ("time_s", "voltage_V", "population_fraction", "weights", "diameters_um"):
        assert np.array_equal(getattr(without, name), getattr(default(), name)), name
    assert without.imaged_fraction.shape == (len(without.time_s), 0)
    assert default().imaged_fraction[-1, 0] > default().imaged_fraction[-1, 2]


def test_an_imaged_particle_follows_its_twin_of_the_population():
    cell = Cell(particles=60)
    omega = cell.omega_eV / cell.thermal_V
    binodal, barrier = regular_solution(omega)
    draw = np.random.default_rng(0)
    population = Population(
        draw.uniform(5e-5, 2e-4, 60), draw.uniform(1e2, 1e3, 60), barrier + draw.normal(0, 0.2, 60), omega, binodal, 0.5
    )
    steps, kept, _, fractions = constant_current(population, 0.1 / 3600, 20.0, 1e-3)
    assert follow(steps, population, 0.0)[kept] == pytest.approx(fractions, abs=1e-7)


def test_dose_slows_imaged_particles_only():
    imaged = (3.0, 4.0, 8.0)
    off = charge(SMALL, rng(), imaged)
    on = charge(replace(SMALL, dose_slowing_per_MGy=0.01, dose_rate_MGy_per_h=20.0), rng(), imaged)
    assert np.array_equal(on.population_fraction, off.population_fraction)
    assert np.array_equal(on.voltage_V, off.voltage_V)
    assert np.all(on.imaged_fraction <= off.imaged_fraction)
    assert np.all(on.imaged_fraction[-1] < off.imaged_fraction[-1] - 0.05)
    for beam in ({"dose_slowing_per_MGy": 0.01}, {"dose_rate_MGy_per_h": 20.0}):
        assert np.array_equal(charge(replace(SMALL, **beam), rng(), imaged).imaged_fraction, off.imaged_fraction)
    dead = charge(replace(SMALL, dose_slowing_per_MGy=100.0, dose_rate_MGy_per_h=1e6), rng(), imaged)
    assert dead.imaged_fraction.max() < 1e-3


@given(fraction=st.floats(0, 0.82))
def test_a_fraction_is_found_at_its_time(fraction):
    result = default()
    time = result.time_at(fraction)
    mean, imaged = result.at(time)
    assert mean == pytest.approx(fraction, abs=1e-12)
    assert imaged.shape == (3,)


def test_moments_outside_the_charge_are_held():
    result = default()
    assert result.at(-5)[0] == 0
    mean, imaged = result.at(1e9)
    assert mean == result.mean_fraction[-1]
    assert np.array_equal(imaged, result.imaged_fraction[-1])


def test_the_rested_cell():
    assert Cell().rested_V(0.5) == Cell().rested_V(0.82) == 3.422
    assert Cell().rested_V(0.995) > 3.423
    assert Cell().rested_V(0.005) < 3.421
    assert np.isfinite([Cell().rested_V(0.0), Cell().rested_V(1.0)]).all()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"c_rate": 0.0}, r"cell\.c_rate: found 0 1/h; allowed more than 0"),
        ({"c_rate": -1.0}, r"cell\.c_rate: found -1"),
        ({"c_rate": float("nan")}, r"cell\.c_rate: found nan"),
        ({"cutoff_V": 3.43}, r"cell\.cutoff_V: found 3\.43 V; allowed more than 3\.4\d+.*raise it, or lower cell\.c_rate"),
        ({"c_rate": 5.0}, r"cell\.cutoff_V: found 4\.2 V; allowed more than \d\.\d+"),
        ({"omega_eV": 0.05}, r"cell\.omega_eV: found 0\.05 eV; allowed more than 0\.0642"),
    ],
)
def test_cells_that_cannot_be_charged(changes, words):
    with pytest.raises(InputError, match=words) as caught:
        charge(replace(SMALL, **changes), rng())
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("cell", [ALIKE, SMALL, replace(SMALL, c_rate=3.0)])
def test_the_cutoff_that_is_asked_for_is_enough(cell):
    with pytest.raises(InputError) as caught:
        charge(replace(cell, cutoff_V=3.3), rng())
    start = float(str(caught.value).split("more than ")[1].split(",")[0])
    with pytest.raises(InputError):
        charge(replace(cell, cutoff_V=start - 0.001), rng())
    assert charge(replace(cell, cutoff_V=start + 0.001), rng()).capacity_mAh_per_g[-1] > 0


def test_other_bad_input_is_refused():
    with pytest.raises(InputError, match=r"imaged diameters .* allowed more than 0"):
        charge(SMALL, rng(), (3.0, 0.0))
    with pytest.raises(InputError, match=r"mean fraction 0\.9 .* ends with 1\d\d\.\d mAh/g; lower cell\.c_rate or raise"):
        default().time_at(0.9)
    with pytest.raises(InputError, match="mean fraction nan"):
        default().time_at(float("nan"))
    for name in ("c_rate", "k0_A_m2", "diffusivity_m2_s", "median_diameter_um", "mass_mg"):
        with pytest.raises(msgspec.ValidationError, match=name):
            msgspec.convert({name: 0.0}, Cell)
