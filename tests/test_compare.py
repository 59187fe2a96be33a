"""Replicates and comparisons: what is estimated from them, and what the command says."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import ttest_1samp

from validation.cli import main
from validation.replicates.replicate import estimate


@given(values=st.lists(st.floats(-10, 10), min_size=2, max_size=12), shift=st.floats(-5, 5))
def test_an_interval_excludes_zero_where_a_t_test_would(values, shift):
    found = estimate(np.array(values) + shift)
    if np.std(values) > 1e-6:
        p = ttest_1samp(np.array(values) + shift, 0).pvalue
        if abs(p - 0.05) > 1e-6:
            assert found.is_telling == (p < 0.05)


def test_one_replicate_has_no_error():
    assert not estimate([3.0]).is_telling
    assert np.isnan(estimate([3.0]).half_width)
    assert np.isnan(estimate([]).mean)


def test_methods_are_compared_on_the_same_scans(tmp_path, capsys):
    """The order of the steps makes no difference, noise between seeds does; a method without a map leaves the rest alone."""
    (tmp_path / "mine.py").write_text("def nothing(scan_path, standards_paths, out_path): pass\n")
    nothing = f"{tmp_path / 'mine.py'}:nothing"
    command = ["compare", "image", "projection", "window=hann", nothing, "--study", "tiny", "--seeds", "2", "--threads", "2"]
    assert main([*command, "--json", "--scores", "phase_rmse,dice_FP"]) == 1
    told = capsys.readouterr()
    assert told.err.count("wrote no result.h5") == 2
    found = json.loads(told.out[told.out.index("{") :])
    scores = {name: [one["phase_rmse"] for one in found["methods"][name]["scores"]] for name in found["methods"]}
    assert scores["projection"] == pytest.approx(scores["image"], rel=1e-5)
    assert scores["image"][0] != pytest.approx(scores["image"][1], rel=1e-3)
    assert abs(scores["window=hann"][0] - scores["image"][0]) > 1e-3
    assert scores[nothing] == [None, None]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["image", "image"], "allowed is each method once"),
        (["image", "--seeds", "0"], "--seeds: found 0"),
        (["image", "--scores", "phase_rms"], "did you mean phase_rmse?"),
        (["image", "--limit", "-1"], "--limit: found -1"),
        (["image", "--study", "tyny"], "did you mean tiny?"),
        ([], "METHOD"),
    ],
)
def test_wrong_words_end_with_one_line(capsys, options, words):
    assert main(["compare", *options]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert words in error
