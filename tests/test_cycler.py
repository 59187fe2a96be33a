from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from instrument.cycler import Cycler, record_charge
from instrument.files.text import read_charge, write_charge
from instrument.measurement import CHARGE_COLUMNS, ChargeCurve
from phantom.cell import Cell, charge
from phantom.errors import InputError

CELL = Cell(particles=40)
CHARGE = charge(CELL, np.random.default_rng(1), step=4e-3)
END = float(CHARGE.time_s[-1])
IDEAL = Cycler(voltage_noise_V=0.0, current_noise_mA=0.0)


def record(cycler=IDEAL, seed=1, **times):
    return record_charge(CHARGE, CELL, cycler, seed=seed, **times)


@given(interval=st.floats(1, 1e5), share=st.floats(0.01, 1))
def test_an_ideal_cycler_counts_the_fp_made(interval, share):
    curve = record(Cycler(interval, 0.0, 0.0), until_s=share * END)
    assert curve.time_s[0] == 0
    assert curve.time_s[-1] == share * END
    assert np.diff(curve.time_s).max() <= interval * (1 + 1e-6)
    wanted = np.interp(curve.time_s, CHARGE.time_s, CHARGE.capacity_mAh_per_g)
    assert curve.capacity_mAh_per_g == pytest.approx(wanted, rel=1e-9)
    assert np.array_equal(curve.voltage_V, np.interp(curve.time_s, CHARGE.time_s, CHARGE.voltage_V))
    assert np.all(curve.current_mA == CHARGE.current_mA)


def test_a_whole_charge_ends_at_the_cutoff():
    curve = record()
    assert curve.voltage_V[-1] == pytest.approx(4.2, abs=1e-12)
    assert curve.capacity_mAh_per_g[-1] == pytest.approx(CHARGE.capacity_mAh_per_g[-1], rel=1e-12)
    assert np.array_equal(record(until_s=END).time_s, curve.time_s)


def test_a_pause_shows_the_rested_cell_and_counts_nothing():
    curve = record(until_s=END / 2, pause_s=1000.0)
    charging = curve.time_s <= END / 2
    assert curve.time_s[-1] == END / 2 + 1000
    assert (~charging).sum() == 17
    assert np.all(curve.current_mA[~charging] == 0)
    assert np.all(curve.voltage_V[~charging] == 3.422)
    assert np.all(curve.capacity_mAh_per_g[~charging] == curve.capacity_mAh_per_g[charging][-1])
    assert np.array_equal(curve.voltage_V[charging], record(until_s=END / 2).voltage_V)


@given(offset=st.floats(-0.1, 0.1), pause=st.sampled_from([0.0, 3600.0]))
def test_an_offset_is_counted_as_capacity(offset, pause):
    curve, ideal = (record(replace(IDEAL, current_offset_mA=value), pause_s=pause) for value in (offset, 0.0))
    error = offset * curve.time_s / 3600 / (CELL.mass_mg / 1e3)
    assert curve.capacity_mAh_per_g - ideal.capacity_mAh_per_g == pytest.approx(error, abs=1e-9)
    assert np.array_equal(curve.voltage_V, ideal.voltage_V)


def test_noise_has_the_size_set_and_a_generator_of_its_own():
    both = record(Cycler(10.0, 2e-3, 3e-3))
    ideal = record(Cycler(10.0, 0.0, 0.0))
    count = len(both.time_s)
    for name, rms in (("voltage_V", 2e-3), ("current_mA", 3e-3)):
        noise = getattr(both, name) - getattr(ideal, name)
        assert noise.std() == pytest.approx(rms, rel=4 / np.sqrt(2 * count))
        assert abs(noise.mean()) < 4 * rms / np.sqrt(count)
    assert np.array_equal(record(Cycler(10.0, 2e-3, 0.0)).voltage_V, both.voltage_V)
    assert np.array_equal(record(Cycler(10.0, 0.0, 3e-3)).current_mA, both.current_mA)
    assert np.array_equal(record(Cycler(10.0, 2e-3, 3e-3)).voltage_V, both.voltage_V)
    assert not np.array_equal(record(Cycler(10.0, 2e-3, 3e-3), seed=2).voltage_V, both.voltage_V)


def test_the_default_cycler_counts_to_a_thousandth():
    curve = record(Cycler())
    assert curve.capacity_mAh_per_g[-1] == pytest.approx(CHARGE.capacity_mAh_per_g[-1], rel=1e-3)


@given(
    rows=st.lists(st.tuples(*[st.floats(-1e9, 1e9, allow_subnormal=False)] * 3), min_size=2, max_size=8),
    start=st.floats(-1e3, 1e3),
    interval=st.floats(1e-2, 1e5),
)
def test_files_round_trip(tmp_path_factory, rows, start, interval):
    path = tmp_path_factory.mktemp("charge") / "charge.csv"
    curve = ChargeCurve(start + interval * np.arange(len(rows)), *np.array(rows).T)
    write_charge(path, curve)
    read = read_charge(path)
    for name in CHARGE_COLUMNS:
        assert getattr(read, name) == pytest.approx(getattr(curve, name), rel=1e-9, abs=1e-300), name


def test_what_the_file_promises(tmp_path):
    write_charge(tmp_path / "charge.csv", record(Cycler()))
    lines = (tmp_path / "charge.csv").read_text().splitlines()
    head = [line for line in lines if not line.startswith("#")]
    assert lines[0].startswith("#")
    assert head[0] == "time_s,current_mA,voltage_V,capacity_mAh_per_g"
    assert len(head) == len(record().time_s) + 1


def test_comments_and_empty_lines_are_skipped(tmp_path):
    (tmp_path / "c.csv").write_text(f"# a cell\n\n{','.join(CHARGE_COLUMNS)}\n0,1, 3.4,0\n# later\n\n60,1,3.5,1e-1\n")
    read = read_charge(tmp_path / "c.csv")
    assert read.time_s.tolist() == [0, 60]
    assert read.capacity_mAh_per_g.tolist() == [0, 0.1]


HEAD = ",".join(CHARGE_COLUMNS) + "\n"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "holds no header"),
        ("# only this\n", "holds no header"),
        ("0,1,3.4,0\n60,1,3.5,1\n", "line 1: found '0,1,3.4,0'; allowed is the header time_s"),
        ("\ntime_s,voltage_V\n0,1\n", "line 2: found 'time_s,voltage_V'"),
        (HEAD + "0,1,3.4,0\n", "found 1 samples; allowed at least 2"),
        (HEAD + "0,1,3.4,0\n60,1,3.5\n", "line 3: found '60,1,3.5'; allowed are 4 numbers"),
        (HEAD + "0,1,3.4,0\n60,1,high,1\n", "line 3: found '60,1,high,1'"),
        (HEAD + "0,1,3.4,0\n60,1,nan,1\n", "line 3: found '60,1,nan,1'"),
        (HEAD + "0,1,3.4,0\n#\n0,1,3.4,0\n", "line 4: time_s is 0 after 0; allowed is rising"),
    ],
)
def test_bad_files_are_refused(tmp_path, text, words):
    path = tmp_path / "charge.csv"
    path.write_text(text)
    with pytest.raises(InputError) as caught:
        read_charge(path)
    assert str(path) in str(caught.value)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_absent_files_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"none\.csv: charge curve cannot be read"):
        read_charge(tmp_path / "none.csv")
    with pytest.raises(InputError, match="cannot be written"):
        write_charge(tmp_path / "absent" / "charge.csv", record())


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        (([0, 1], [1, 1], [3, 3], [0]), "one length"),
        (([0], [1], [3], [0]), "at least 2"),
        (([0, 1], [1, np.inf], [3, 3], [0, 1]), "current_mA is inf in sample 2"),
        (([0, 1, 1], [1, 1, 1], [3, 3, 3], [0, 1, 2]), "time_s is 1 in sample 3, after 1"),
    ],
)
def test_bad_curves_are_refused(columns, words):
    with pytest.raises(InputError, match=words) as caught:
        ChargeCurve(*[np.array(column, float) for column in columns])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("times", "words"),
    [
        ({"until_s": 0.0}, "asked to stop at 0 s; allowed more than 0, up to"),
        ({"until_s": 2 * END}, "where the charge ends"),
        ({"until_s": float("nan")}, "asked to stop at nan"),
        ({"pause_s": -1.0}, "pause of -1 s; allowed 0 or more"),
        ({"pause_s": float("inf")}, "pause of inf s"),
    ],
)
def test_bad_times_are_refused(times, words):
    with pytest.raises(InputError, match=words) as caught:
        record(**times)
    assert "\n" not in str(caught.value)
