"""A user's function: found, run apart, within a time, with inputs it cannot spoil; and the command check."""

import numpy as np
import pytest

from phantom import InputError
from validation.cli import main
from validation.guests.guest import Guest, GuestError, Hung

CODE = """
import os, time
import numpy as np
from neighbour import FACTOR
def good(a, b=1): print("loud"); return FACTOR * a * b, {"sum": a.sum(), "name": "x", "none": None}
def writes(a): a[0] = 1; return a
def forces(a): a.flags.writeable = True
def hangs(a): time.sleep(60)
def raises(a): return a.nothing
def ends(a): os._exit(3)
def objects(a): return [object()]
number = 5
"""


@pytest.fixture
def code(tmp_path):
    """A user's file beside one it imports, and beside packages that have our names."""
    (tmp_path / "mine.py").write_text(CODE)
    (tmp_path / "neighbour.py").write_text("import analysis\nFACTOR = analysis.OWN\n")
    for name in ("analysis", "validation"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("OWN = 3\n")
    return tmp_path / "mine.py"


def test_a_function_answers_with_what_it_is_given(code, capfd):
    values = np.arange(6.0, dtype=np.float32).reshape(2, 3)[:, ::-1]
    with Guest(f"{code}:good") as guest:
        assert guest.parameters == ("a", "b")
        for factor in (1, 2):
            found, told = guest(values, b=factor)
            np.testing.assert_array_equal(found, 3 * factor * values)
            assert found.dtype == np.float32
            assert told == {"sum": 15.0, "name": "x", "none": None}
    assert "loud" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("writes", r"writes to its input, or asks to \(mine.py, line 6\)"),
        ("forces", "writes to its input"),
        ("raises", r"raises AttributeError: .* 'nothing' \(mine.py, line 9\)"),
        ("ends", "its process ends with status 3"),
        ("objects", "allowed are arrays of numbers"),
    ],
)
def test_what_is_no_answer_is_said_and_the_next_call_is_answered(code, name, words):
    with Guest(f"{code}:{name}") as guest:
        for _ in range(2):
            with pytest.raises(GuestError, match=words):
                guest(np.zeros(3))


def test_a_function_that_hangs_is_ended(code):
    with Guest(f"{code}:hangs", limit_s=0.5) as guest, pytest.raises(Hung, match=r"no answer within 0\.5 s"):
        guest(np.zeros(3))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{code}:missing", "cannot be loaded: raises AttributeError"),
        ("{code}:number", "number is no function"),
        ("{code}x.py:good", "no such file"),
        ("{code}", "allowed is path/file.py:name or module:name"),
        ("nowhere_to_be_found:good", "ModuleNotFoundError"),
    ],
)
def test_what_cannot_be_found_is_refused(code, text, words):
    with pytest.raises(InputError, match=words) as caught:
        Guest(text.format(code=code))
    assert "\n" not in str(caught.value)


ENGINES = """
import numpy as np
def nearly(optical_depth, angles_rad, *, center_px, pixel_um):
    rows, views, columns = optical_depth.shape
    return np.zeros((rows, columns, columns))
def slow(optical_depth, angles_rad, *, center_px, pixel_um):
    import time; time.sleep(30)
def view_less(stack, theta): return stack
"""


def test_check_says_each_law_and_exits_with_1(tmp_path, capsys):
    (tmp_path / "mine.py").write_text(ENGINES)
    assert main(["check", f"{tmp_path / 'mine.py'}:nearly", "--as", "engine", "--examples", "1"]) == 1
    told = capsys.readouterr().out
    assert "holds   answers" in told
    assert "BROKEN  comes near the truth: away from the truth" in told
    assert "the law: A smooth object seen from many sides" in told
    assert "the case: Scene(rows=1, columns=40" in told
    assert "laws hold for" in told


def test_check_waits_for_no_more_than_three_that_hang(tmp_path, capsys):
    (tmp_path / "mine.py").write_text(ENGINES)
    assert main(["check", f"{tmp_path / 'mine.py'}:slow", "--as", "engine", "--limit", "0.3"]) == 1
    told = capsys.readouterr().out
    assert told.count("gives no answer within 0.3 s") == 3
    assert "not tried: 3 laws have found no answer in 0.3 s" in told


def test_a_function_that_holds_its_laws_exits_with_0(tmp_path, capsys):
    (tmp_path / "mine.py").write_text("from analysis.spectra.combination import fit\n")
    assert main(["check", f"{tmp_path / 'mine.py'}:fit", "--as", "fit", "--except", "background, has no bias"]) == 0
    told = capsys.readouterr().out
    assert "BROKEN" not in told
    assert "ignores what is the same" not in told


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--as", "engine", "--except", "gravity"], "--except: found 'gravity'; allowed are adds"),
        (["--as", "align"], "the second parameter is theta; allowed is angles_rad"),
        (["--as", "engine", "--examples", "0"], "--examples: found 0"),
        (["--as", "engine", "--limit", "0"], "--limit: found 0"),
        (["--as", "oracle"], "invalid choice: 'oracle'"),
        ([], "--as"),
    ],
)
def test_wrong_words_end_with_one_line(tmp_path, capsys, options, words):
    (tmp_path / "mine.py").write_text(ENGINES)
    assert main(["check", f"{tmp_path / 'mine.py'}:view_less", *options]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert words in error
