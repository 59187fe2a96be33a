"""The laws of a pipeline: ours holds them, broken ones are caught by the law that should, also in a process of their own."""

import functools
from dataclasses import replace

import h5py
import numpy as np
import pytest
from broken_pipelines import PIPELINES

from analysis.choices import Analysis
from analysis.reconstruct.replicates import averaged
from validation.cli import main
from validation.guests.guest import Guest
from validation.laws import PIPELINE, Broken, examine, hold
from validation.role import pipeline

NAMED = {law.name: law for law in PIPELINE}
JOINT = [law for law in PIPELINE if law.needs not in ("linear", "slicewise", "sigma")]


def by(method):
    return functools.partial(pipeline, settings=Analysis(method=method))


@pytest.mark.parametrize("law", PIPELINE, ids=str)
def test_ours_holds_every_law(law):
    hold(pipeline, law, seed_=1, examples=2)


@pytest.mark.slow
@pytest.mark.parametrize("method", ["image", "projection"])
@pytest.mark.parametrize("law", PIPELINE, ids=str)
def test_ours_holds_every_law_in_many_cases(method, law):
    hold(by(method), law, seed_=2, examples=20)


@pytest.mark.slow
@pytest.mark.parametrize("law", JOINT, ids=str)
def test_joint_holds_all_but_those_of_linear_or_slicewise_ones_and_of_sigma(law):
    hold(by("joint"), law, examples=2)


def test_air_of_which_every_replicate_is_nothing_has_a_sigma_of_nothing():
    """As method joint finds in "finds no iron in air"."""
    nothing = averaged(np.zeros((2, 2, 3, 8, 8), np.float32), np.zeros((2, 3, 8, 8), np.float32), (2.0, 2.0, 2.0))
    np.testing.assert_array_equal(nothing, 0)


def test_every_law_is_a_sentence_of_its_own():
    assert len(NAMED) == len(PIPELINE)
    for law in PIPELINE:
        assert law.claim.endswith(".")
        assert len(law.claim) < 160
        assert law.false_alarms < 1e-6


CAUGHT = {
    "upside down": "comes near the truth",
    "mirrored": "comes near the truth",
    "transposed": "comes near the truth",
    "swapped species": "comes near the truth",
    "dark not subtracted": "comes near the truth",
    "log missing": "comes near the truth",
    "one energy off": "comes near the truth",
    "half an eV off": "keeps the iron",
    "one flat for all": "does not mind the brightness",
    "half a pixel off": "keeps the place",
    "axis ignored": "keeps the place",
    "angles sorted": "does not mind the order of views",
    "energies sorted": "does not mind the order of energies",
    "gain": "keeps the iron",
    "a background": "finds no iron in air",
    "transmission above 1 cut": "has no bias from noise",
    "amounts below 0 cut": "has no bias from noise",
    "no background fitted": "ignores matter without iron",
    "sigma a fifth small": "states an honest sigma",
    "sigma of x a fifth small": "states an honest sigma",
    "no sigma": "states an honest sigma",
    "dark as always": "does not mind the dark",
    "first angle for zero": "turns with the angles",
    "rows dimmer downwards": "turns over with the rows",
    "dead columns": "contains a dead pixel",
    "smoothed over rows": "contains a struck pixel",
    "worse where it is surer": "errs less with more photons",
    "rows scaled together": "contains a struck pixel",
    "nothing written": "leaves a result",
    "garbage written": "leaves a result",
    "garbage, silently": "leaves a result",
    "raises": "leaves a result",
    "an answer": "leaves a result",
    "voxels twice as large": "leaves a result",
    "one row less": "leaves a result",
    "no phase fraction": "leaves a result",
    "one sigma for all": "leaves a result",
    "x of air": "leaves a result",
    "other iron": "leaves a result",
    "the earlier result": "says the same again",
    "its own copy": "leaves all else alone",
    "to its input": "leaves all else alone",
    "standards by folder": "works anywhere",
    "standards by place": "goes by the names of standards",
    "standards by row": "does not mind how standards are sampled",
    "standards of its own": "swaps with the standards",
}


@pytest.mark.parametrize("name", CAUGHT)
def test_a_broken_pipeline_is_caught(name):
    (mutant,) = (one for one in PIPELINES if one.name == name)
    found = examine(mutant.function, replace(NAMED[CAUGHT[name]], shrinks=0))
    assert not found.holds
    assert found.case is not None
    assert found.message.startswith("raises ") == (name in ("raises", "standards by folder"))


def test_a_case_is_made_small_in_few_trials():
    calls = []

    def narrow(scan_path, standards_paths, out_path):
        calls.append(out_path)
        with h5py.File(scan_path) as file:
            if file["projections"].shape[3] > 34:
                raise ValueError("too wide")
        pipeline(scan_path, standards_paths, out_path)

    law = replace(NAMED["comes near the truth"], shrinks=12)
    one, other = (examine(narrow, law, examples=20, seed_=1) for _ in range(2))
    assert len(calls) <= 2 * (20 + 12)
    assert one.case == other.case
    assert one.case.columns == 35
    with pytest.raises(Broken, match="comes near the truth: raises ValueError: too wide"):
        hold(narrow, law, examples=20, seed_=1)


def test_dictionaries_of_paths_reach_a_guest(tmp_path):
    (tmp_path / "mine.py").write_text("def told(scan, standards, out): return [scan, *standards.items(), out]\n")
    paths = {"LFP": "pure/L F P.txt", "array": "fp.txt"}
    with Guest(f"{tmp_path / 'mine.py'}:told") as guest:
        assert guest("scan.h5", paths, "out.h5") == ("scan.h5", ("LFP", "pure/L F P.txt"), ("array", "fp.txt"), "out.h5")


def test_check_says_each_law_of_a_pipeline(tmp_path, capsys):
    (tmp_path / "mine.py").write_text("from validation.role import pipeline\n")
    command = ["check", f"{tmp_path / 'mine.py'}:pipeline", "--as", "pipeline", "--examples", "1", "--except"]
    assert main([*command, f"linear, sigma, {', '.join(list(NAMED)[5:20])}"]) == 0
    told = capsys.readouterr().out
    assert "holds   leaves a result" in told
    assert "6 of 6 laws hold" in told


def test_check_ends_a_pipeline_that_hangs_and_says_what_others_do(tmp_path, capsys):
    (tmp_path / "mine.py").write_text("import time\ndef hangs(a, b, c): time.sleep(60)\ndef nothing(a, b, c): return None\n")
    assert main(["check", f"{tmp_path / 'mine.py'}:hangs", "--as", "pipeline", "--limit", "0.3"]) == 1
    told = capsys.readouterr().out
    assert told.count("gives no answer within 0.3 s") == 3
    one = ["--examples", "1", "--except", ", ".join(list(NAMED)[1:])]
    assert main(["check", f"{tmp_path / 'mine.py'}:nothing", "--as", "pipeline", *one]) == 1
    told = capsys.readouterr().out
    assert "BROKEN  leaves a result: leaves no result: result.h5: no such truth or result file" in told
    assert "the case: Clouds(rows=4, columns=32" in told
