"""The charge curve, and the charge counted against the iron imaged."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.charge.balance import charge_balance, imaged_fraction
from analysis.charge.curve import THEORETICAL_mAh_g, charge_findings, charge_fraction, differential_capacity
from analysis.result import AmountMap
from instrument.cycler import Cycler, record_charge
from instrument.measurement import ChargeCurve, InputError
from phantom.cell import Cell, charge
from phantom.cell import THEORETICAL_mAh_g as PHANTOM_mAh_g

CELL = Cell()
CHARGED = charge(CELL, np.random.default_rng(0))


def straight(n=400, low=3.4, high=3.5, capacity=140.0, noise=0.0, seed=0):
    """A charge whose voltage rises evenly: plateau, dQ/dV and capacity in closed form."""
    time = np.arange(n + 1) * 60.0
    counted = np.linspace(0, capacity, n + 1)
    voltage = np.linspace(low, high, n + 1) + noise * np.random.default_rng(seed).standard_normal(n + 1)
    return ChargeCurve(time, np.full(n + 1, 0.17), voltage, counted)


def with_rest(curve, voltage, samples=30, relaxing=0.0, noise=0.0, at=0.5):
    """The curve stopped at a share of its samples, resting there with a voltage that relaxes, then going on."""
    cut = int(at * len(curve.time_s))
    t = np.arange(1, samples + 1) * 60.0
    rest = voltage + relaxing * np.exp(-t / 600) + noise * np.random.default_rng(9).standard_normal(samples)
    held = curve.capacity_mAh_per_g[cut - 1]

    def joined(values, inserted, shift=0.0):
        return np.concatenate([values[:cut], inserted, values[cut:] + shift])

    return ChargeCurve(
        joined(curve.time_s, curve.time_s[cut - 1] + t, t[-1]),
        joined(curve.current_mA, np.zeros(samples)),
        joined(curve.voltage_V, rest),
        joined(curve.capacity_mAh_per_g, np.full(samples, held)),
    )


def test_the_theoretical_capacity_is_that_of_the_cell():
    assert pytest.approx(169.9, abs=0.05) == THEORETICAL_mAh_g
    assert pytest.approx(PHANTOM_mAh_g, rel=2e-4) == THEORETICAL_mAh_g


def test_a_cell_at_c10_reads_as_the_experiment():
    """S8: plateau about 3.5 V, 140 of 170 mAh/g, 0.82 of the iron."""
    curve = record_charge(CHARGED, CELL, Cycler(), seed=1)
    found = charge_findings(curve)
    assert found.capacity_mAh_per_g == pytest.approx(140, abs=5)
    assert found.plateau_V == pytest.approx(3.5, abs=0.05)
    assert found.plateau_V == pytest.approx(CHARGED.plateau_V, abs=5 * found.plateau_sigma_V)
    assert found.plateau_rise_V < 0.05
    assert found.voltage_noise_V == pytest.approx(Cycler().voltage_noise_V, rel=0.2)
    assert abs(found.differential.peak_V - found.plateau_V) < 0.03
    assert charge_fraction(curve, curve.time_s[-1])[0] == pytest.approx(0.82, abs=0.03)
    assert found.overpotential_V is None


def test_a_straight_curve_in_closed_form():
    found = charge_findings(straight())
    assert found.plateau_V == pytest.approx(3.45, abs=1e-4)
    assert found.plateau_rise_V == pytest.approx(0.9 * 0.05, rel=0.01)
    density = found.differential
    inside = (density.voltage_V > 3.41) & (density.voltage_V < 3.49)
    assert density.mAh_per_g_V[inside] == pytest.approx(140 / 0.1, rel=1e-3)
    step = density.voltage_V[1] - density.voltage_V[0]
    assert density.mAh_per_g_V.sum() * step == pytest.approx(140, rel=1e-9)


@given(noise=st.floats(1e-5, 5e-3), smoothing=st.floats(1e-3, 2e-2), rise=st.floats(0.001, 0.3))
def test_dqdv_holds_all_the_charge(noise, smoothing, rise):
    curve = straight(noise=noise, high=3.4 + rise)
    density = differential_capacity(curve, smoothing_V=smoothing)
    assert density.mAh_per_g_V.sum() * np.diff(density.voltage_V)[0] == pytest.approx(140, rel=1e-6)
    assert density.mAh_per_g_V.min() >= 0
    assert density.resolution_V >= smoothing


def test_noise_of_the_voltage_gives_the_stated_sigmas():
    """Plateau, noise and dQ/dV of 200 records of the same charge."""
    found = [charge_findings(straight(noise=1e-3, seed=k)) for k in range(200)]
    assert np.std([(one.plateau_V - 3.45) / one.plateau_sigma_V for one in found]) == pytest.approx(1, abs=0.15)
    flat = [charge_findings(straight(noise=1e-3, low=3.45, high=3.4501, seed=k)) for k in range(200)]
    assert np.std([(one.plateau_V - 3.45005) / one.plateau_sigma_V for one in flat]) == pytest.approx(1, abs=0.15)
    assert np.mean([one.voltage_noise_V for one in found]) == pytest.approx(1e-3, rel=0.05)
    grid = np.linspace(3.42, 3.48, 13)
    density = [differential_capacity(straight(noise=1e-3, seed=k), smoothing_V=3e-3, noise_V=1e-3) for k in range(200)]
    values = np.array([np.interp(grid, one.voltage_V, one.mAh_per_g_V) for one in density])
    sigma = np.array([np.interp(grid, one.voltage_V, one.sigma) for one in density])
    assert np.median(values.std(axis=0) / sigma.mean(axis=0)) == pytest.approx(1, abs=0.15)
    assert values.mean(axis=0) == pytest.approx(1400, rel=0.02)


def test_overpotential_from_a_rest_or_from_the_user():
    curve = straight(noise=2e-4)
    given_one = charge_findings(curve, equilibrium_V=3.422)
    assert given_one.overpotential_V == pytest.approx(0.028, abs=1e-3)
    assert given_one.overpotential_sigma_V == given_one.plateau_sigma_V
    settled = charge_findings(with_rest(curve, 3.422, noise=2e-4))
    assert settled.equilibrium_V == pytest.approx(3.422, abs=5 * settled.equilibrium_sigma_V)
    assert settled.overpotential_V == pytest.approx(0.028, abs=1e-3)
    assert settled.equilibrium_sigma_V < 2e-4
    relaxing = charge_findings(with_rest(curve, 3.422, relaxing=0.02, noise=2e-4))
    assert relaxing.equilibrium_sigma_V > 5 * settled.equilibrium_sigma_V
    assert abs(relaxing.equilibrium_V - 3.422) < 3 * relaxing.equilibrium_sigma_V


def test_a_rest_off_the_plateau_or_too_short_says_nothing():
    curve = straight()
    assert charge_findings(with_rest(curve, 3.2, at=0.02)).overpotential_V is None
    assert charge_findings(with_rest(curve, 3.422, samples=3)).overpotential_V is None


def test_the_cell_rests_where_its_thermodynamics_say():
    curve = record_charge(CHARGED, CELL, Cycler(), seed=1, until_s=0.5 * CHARGED.time_s[-1], pause_s=1800)
    found = charge_findings(curve)
    assert found.equilibrium_V == pytest.approx(CELL.plateau_V, abs=5 * found.equilibrium_sigma_V)
    assert found.overpotential_V > CELL.ohmic_drop_V
    assert found.capacity_mAh_per_g == pytest.approx(
        np.interp(0.5 * CHARGED.time_s[-1], CHARGED.time_s, CHARGED.capacity_mAh_per_g), rel=1e-3
    )


def test_an_offset_of_the_current_shows_at_rest():
    """A cycler that reads 2 % too much counts too much; a rest shows by how much."""
    cycler = Cycler(current_offset_mA=0.02 * CELL.current_mA)
    curve = record_charge(CHARGED, CELL, cycler, seed=1, until_s=0.5 * CHARGED.time_s[-1], pause_s=1800)
    counted, sigma = charge_fraction(curve, float(curve.time_s[-1]))
    true = float(CHARGED.at(0.5 * CHARGED.time_s[-1])[0])
    assert counted > 1.015 * true
    assert abs(counted - true) < 1.2 * sigma
    honest = charge_fraction(record_charge(CHARGED, CELL, Cycler(), seed=1), float(CHARGED.time_s[-1]))
    assert honest[1] < 1e-3 * honest[0]


def ball(x=0.4, moments=None, noise=0.0, seed=0):
    """A particle, or a series of images of it, at bulk fraction x."""
    n = 24
    axis = np.arange(n) - (n - 1) / 2
    solid = (axis[:, None, None] ** 2 + axis[:, None] ** 2 + axis**2 < 8**2).astype(np.float32)
    fractions = np.atleast_1d(x)
    if moments is not None:
        solid = np.broadcast_to(solid.sum(axis=0) * 0.3, (moments, n, n))
        fractions = fractions[:, None, None]
    amounts = np.stack([(1 - fractions) * solid, fractions * solid]).astype(np.float32)
    amounts += noise * np.random.default_rng(seed).standard_normal(amounts.shape).astype(np.float32)
    iron = amounts.sum(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        x_sigma = np.where(iron > 0.05, noise * np.sqrt(0.4**2 + 0.6**2) / iron, np.nan).astype(np.float32)
    return AmountMap(
        ("LFP", "FP"),
        amounts,
        0.1,
        phase_fraction_sigma=x_sigma,
        axes="z:y:x" if moments is None else "time:y:x",
        time_s=None if moments is None else np.arange(moments) * 1200.0 + 600,
    )


def test_imaged_fraction_and_its_sigma():
    assert imaged_fraction(ball())[0] == pytest.approx([0.4])
    found = [imaged_fraction(ball(noise=0.2, seed=k)) for k in range(60)]
    pulls = [(value[0] - 0.4) / sigma[0] for value, sigma in found]
    assert np.std(pulls) == pytest.approx(1.0, abs=0.25)
    assert abs(np.mean(pulls)) < 0.4
    bare = dataclasses.replace(ball(), phase_fraction_sigma=None)
    assert np.isnan(imaged_fraction(bare)[1]).all()


def test_imaged_against_counted():
    """A frozen sample, and a series that follows the charge; charge counted = FP made."""
    curve = straight(capacity=0.4 * THEORETICAL_mAh_g)
    paused = with_rest(curve, 3.42, at=1.0)
    frozen = charge_balance(ball(noise=0.05), paused, scan_s=1500.0)
    assert frozen.counted == pytest.approx([0.4])
    assert np.abs(frozen.difference) < 4 * frozen.sigma
    times = np.arange(3) * 1200.0 + 600
    moments = 0.4 * (curve.time_s[-1] - 3600 + times) / curve.time_s[-1]
    series = charge_balance(ball(moments, moments=3), curve, scan_s=3600.0)
    assert series.counted == pytest.approx(moments, rel=1e-6)
    assert series.difference == pytest.approx(np.zeros(3), abs=1e-6)
    ahead = charge_balance(ball(0.5, noise=0.05), paused, scan_s=1500.0)
    assert ahead.difference[0] > 5 * ahead.sigma[0]
    with pytest.raises(InputError, match="is time_s in seconds"):
        charge_balance(ball(0.5), dataclasses.replace(paused, time_s=paused.time_s / 3600), scan_s=1500.0)


def turned(curve):
    return ChargeCurve(curve.time_s, -curve.current_mA, curve.voltage_V[::-1], curve.capacity_mAh_per_g[::-1])


def cycle():
    """A charge and the discharge after it."""
    first, second = straight(), turned(straight())
    second = dataclasses.replace(second, time_s=second.time_s + first.time_s[-1] + 60)
    return ChargeCurve(*(np.append(a, b) for a, b in zip(dataclasses.astuple(first), dataclasses.astuple(second), strict=True)))


@pytest.mark.parametrize(
    ("curve", "words"),
    [
        (ChargeCurve(np.arange(5.0), np.zeros(5), np.full(5, 3.4), np.zeros(5)), "no charge passes in 5 samples"),
        (turned(straight()), "flows back"),
        (straight(n=8), "9 samples under current; allowed at least 10"),
        (cycle(), "50 % of the charge flows back"),
        (straight(capacity=1400.0), "capacity_mAh_per_g reaches 1400"),
        (dataclasses.replace(straight(), voltage_V=1000 * straight().voltage_V), "median of voltage_V is 3450"),
        (dataclasses.replace(straight(), voltage_V=0 * straight().voltage_V), "median of voltage_V is 0"),
    ],
)
def test_what_is_no_charge_is_refused_in_one_line(curve, words):
    with pytest.raises(InputError, match=words) as caught:
        charge_findings(curve)
    assert "\n" not in str(caught.value)


def test_scores_are_null_where_nothing_can_be_said():
    """Without a record all of them, of one of a few samples all but the capacity: no error of the study."""
    from validation.further_scores import charge_scores

    none, few = (charge_scores(curve, ball(noise=0.1), 60.0) for curve in (None, straight(n=5)))
    assert set(none.values()) == {None}
    assert few.pop("capacity_mAh_per_g") == pytest.approx(140)
    assert set(few.values()) == {None}
    assert set(charge_scores(straight(), ball(noise=0.1), 60.0)) == set(none)
    empty = charge_scores(straight(), dataclasses.replace(ball(), amounts=0 * ball().amounts), 60.0)
    assert empty["plateau_V"] == pytest.approx(3.45)
    assert empty["imaged_less_counted"] is None


def test_a_record_too_short_for_a_plateau_says_so():
    from validation.further_scores import charge_scores
    from validation.pages.report import _charge_words

    assert _charge_words(charge_scores(straight(n=5), ball(noise=0.1), 60.0)) == "The record is too short for a plateau."
    unknown = _charge_words(charge_scores(straight(), dataclasses.replace(ball(), phase_fraction_sigma=None), 60.0))
    assert "plateau 3.4500 ±" in unknown
    assert "overpotential" not in unknown


def test_impossible_smoothing_is_refused():
    with pytest.raises(InputError, match="smoothing_V is 0 V"):
        differential_capacity(straight(), smoothing_V=0.0)


def test_the_command_prints_it_and_the_run_scores_it(tmp_path, capsys):
    """A record with a rest beside a scan: plateau, overpotential, imaged less counted."""
    from instrument.files.text import write_charge
    from validation import load_study
    from validation.cli import main
    from validation.run import run

    changes = {"charging.source": "cell", "charging.mean_fraction": 0.35, "cycler.sample_interval_s": 10.0}
    folder = tmp_path / "run"
    scores = run(load_study("tiny", changes), folder, threads=2).scores
    assert scores["plateau_V"] == pytest.approx(3.49, abs=0.01)
    assert 0 < scores["plateau_sigma_V"] < 1e-3
    assert scores["overpotential_V"] == pytest.approx(scores["plateau_V"] - 3.422, abs=2e-3)
    assert abs(scores["imaged_less_counted"]) < 5 * scores["imaged_less_counted_sigma"]
    assert scores["imaged_less_counted"] == pytest.approx(scores["bulk_fraction_found"] - scores["charge_fraction"], abs=0.02)
    page = (folder / "report.html").read_text()
    assert f"plateau {scores['plateau_V']:.4f} ±" in page
    assert f"overpotential {scores['overpotential_V']:.4f} ±" in page
    assert f"imaged less counted {scores['imaged_less_counted']:.4f} ±" in page
    for name in ("plateau_sigma_V", "plateau_rise_V", "overpotential_sigma_V", "imaged_less_counted_sigma"):
        assert f"<code>{name}</code>" in page
    standards = [f"{name}={folder / 'standards' / name}.txt" for name in ("LFP", "FP")]
    call = ["analyze", str(folder / "scan.h5"), "--standards", *standards, "-o", str(tmp_path / "out"), "--charge"]
    assert main([*call, str(folder / "charge.csv")]) == 0
    told = capsys.readouterr().out
    for words in ("plateau", "overpotential", "imaged less counted", "active mass"):
        assert words in told
    write_charge(tmp_path / "discharge.csv", turned(straight()))
    assert main([*call[:-3], "-o", str(tmp_path / "none"), "--charge", str(tmp_path / "discharge.csv")]) == 2
    assert "flows back" in capsys.readouterr().err
    assert not (tmp_path / "none").exists()
