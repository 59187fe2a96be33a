"""Budget, calibration, go or no go, and baseline: what is promised of each, on small studies."""

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from instrument.settings import Camera, Monochromator, Optics, Stage
from phantom import InputError
from validation.cli import main
from validation.methods import parse_method
from validation.replicates.baseline import change, load
from validation.replicates.budget import budget
from validation.replicates.calibration import BINS, Calibration, calibrate, coverages, rank_histogram
from validation.replicates.effects import EFFECTS, effects_of, without
from validation.replicates.go import decide
from validation.replicates.replicate import estimate
from validation.study import load_study

SMALL = {"scan.angles": 24, "scan.columns": 36, "scan.rows": 26, "scan.pixel_um": 0.2, "scan.flats": 6, "scan.darks": 6}


def test_every_effect_is_known_and_can_be_taken_out():
    """Each key exists; all taken out of a study with all of them leaves none."""
    full = load_study("default", {"presets": ["fxi"], "beam.photoreduction_MGy": 1e5, "stage.center_offset_px": 1.0})
    assert len(effects_of(full)) > 20
    assert effects_of(without(full, EFFECTS)) == ()
    for effect in EFFECTS:
        assert without(load_study("clean"), (effect,)) == load_study("clean")


@pytest.mark.parametrize("table", [Camera, Stage, Monochromator, Optics])
def test_no_effect_of_the_instrument_is_forgotten(table):
    """Every setting whose name says error, noise, drift or the like is some effect's."""
    signs = (
        "noise",
        "drift",
        "jitter",
        "runout",
        "wobble",
        "zinger",
        "dead",
        "hot_pixels",
        "pattern",
        "error",
        "shift",
        "offset",
    )
    counted = {key.split(".")[1] for effect in EFFECTS for key in effect.zeros}
    fields = {name for name in table.__dataclass_fields__ if any(sign in name for sign in signs)}
    sizes = {"zinger_adu", "offset_adu", "hot_current_e_s"}  # of effects that have their own switch, or none
    assert fields - sizes <= counted | {"center_known"}


def test_a_budget_adds_up():
    """With two effects, pairs are all there is, so parts explain the whole to rounding; noise is most of it."""
    study = load_study("tiny", SMALL | {"beam.falloff": 0, "camera.read_noise_adu": 0, "optics.outermost_zone_um": 0})
    found = budget(study, seeds=2, threads=2)
    assert [part.effect.name for part in found.parts] == ["photon noise", "run-out, wobble"]
    assert found.explained_share == pytest.approx(1, abs=1e-9)
    assert found.parts[0].cost.mean > 0.5 * found.total.mean
    (pair,) = found.pairs
    for part in found.parts:
        assert part.together.mean == pytest.approx(pair.cost.mean, rel=1e-6)
    plain = found.as_dict()
    added = sum(effect["added"]["mean"] for effect in plain["effects"])
    assert plain["base"]["mean"] + added + pair.cost.mean == pytest.approx(plain["total"]["mean"], rel=1e-9)


def test_a_study_without_effects_has_no_budget():
    with pytest.raises(InputError, match="has no effects to count"):
        budget(load_study("clean"))


@pytest.mark.slow
def test_the_budget_of_default_explains_its_error():
    """Base, costs alone and pairs of the costliest: to 20 %, as is promised; in the second order to 2 %."""
    found = budget(load_study("default"), seeds=1, threads=2)
    assert found.explained_share == pytest.approx(1, abs=0.02)
    alone = found.base.mean + sum(part.added.mean for part in found.parts) + sum(pair.cost.mean for pair in found.pairs)
    assert alone / found.total.mean == pytest.approx(1, abs=0.2)


def test_a_run_with_a_budget_shows_it(tmp_path):
    options = [f"--set={key}={value}" for key, value in (SMALL | {"beam.falloff": 0, "camera.read_noise_adu": 0}).items()]
    assert main(["run", "tiny", "-o", str(tmp_path / "run"), "--budget", "--replicates", "1", *options]) == 0
    found = json.loads((tmp_path / "run" / "budget.json").read_text())
    assert {effect["name"] for effect in found["effects"]} == {"photon noise", "zone plate's blur", "run-out, wobble"}
    page = (tmp_path / "run" / "report.html").read_text()
    assert "Error budget" in page
    assert "By the error budget: photon noise" in page


@given(scale=st.floats(0.5, 2.0), seed=st.integers(0, 1000))
def test_ranks_and_coverage_tell_the_size_of_sigma(scale, seed):
    """Normal pulls of a width: a U where it is above 1, a hill below; coverage follows."""
    rng = np.random.default_rng(seed)
    pulls = [rng.normal(0, scale, 4000) for _ in range(4)]
    ranks, covered = rank_histogram(pulls), coverages(pulls)
    assert np.mean([one.mean for one in ranks]) == pytest.approx(1)
    ends = (ranks[0].mean + ranks[-1].mean) / 2
    middle = (ranks[BINS // 2 - 1].mean + ranks[BINS // 2].mean) / 2
    if abs(scale - 1) > 0.15:
        assert (ends > middle) == (scale > 1)
        assert (covered[1].mean < 0.683) == (scale > 1)
    assert [one.mean for one in covered] == sorted(one.mean for one in covered)


def a_calibration(*, width=1.0, bias=0.0, error=0.1, sigma=0.1, dose=10.0, **changes):
    values = {"phase_rmse": error, "phase_rmse_interior": error, "phase_sigma_interior": sigma, "phase_bias_interior": 0.0}
    scores = {name: estimate([value, value, value]) for name, value in (values | {"pull_mean": bias, "pull_std": width}).items()}
    honest = tuple(estimate([level] * 3) for level in (0.5, 0.683, 0.9, 0.95, 0.99))
    rows = ({"dose_MGy": dose, "scan_time_s": 3600.0},) * 3
    study = load_study("tiny", changes)
    return Calibration(study, parse_method(""), (1, 2, 3), tuple(estimate([1.0] * 3) for _ in range(BINS)), honest, scores, rows)


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (a_calibration(), "Sigma is honest"),
        (a_calibration(width=1.3), "Sigma is too small"),
        (a_calibration(width=0.6), "cautious"),
        (a_calibration(bias=0.4), r"biased by \+0.40 sigma"),
        (replace(a_calibration(), coverage=tuple(estimate([v] * 3) for v in (0.5, 0.68, 0.88, 0.92, 0.96))), "tails are heavy"),
    ],
)
def test_a_calibration_says_what_is_wrong(found, words):
    import re

    assert re.search(words, found.sentence)


@pytest.mark.parametrize(
    ("found", "wanted", "go", "words"),
    [
        (a_calibration(), 0.12, True, ""),
        (a_calibration(), 0.05, False, "About 4 times the photons would do, 40 MGy"),
        (a_calibration(sigma=0.02), 0.05, False, "No dose helps: 0.098 of it is not noise"),
        (a_calibration(dose=1e4), 0.12, False, "unrealistic for an operando particle"),
        (a_calibration(width=1.5), 0.12, False, "sigma is too small"),
        (a_calibration(width=0.5), 0.12, True, "not to be taken as it is"),
    ],
)
def test_go_or_no_go(found, wanted, go, words):
    decision = decide(found, wanted)
    assert decision.is_go is go
    assert words in " ".join(decision.lines)


def test_calibrate_writes_a_page(tmp_path, capsys):
    options = ["--set", "scan.pixel_um=0.12", "--set", "scan.columns=60", "--set", "scan.rows=48", "--set", "scan.angles=40"]
    place = tmp_path / "page"
    assert main(["calibrate", "tiny", *options, "--seeds", "3", "--sigma", "0.5", "-o", str(place)]) == 0
    assert "GO: rms error of x up to" in capsys.readouterr().out
    found = json.loads((place / "calibration.json").read_text())
    assert found["is_honest"]
    assert found["coverage"]["0.683"]["mean"] == pytest.approx(0.683, abs=0.03)
    assert "Sigma is honest" in (place / "calibration.html").read_text()


@pytest.mark.parametrize(
    ("study", "changes", "seeds", "words"),
    [
        ("tiny", {}, 2, "--seeds: found 2"),
        ("clean", {}, 3, "has no photon noise"),
        ("tiny", {"particle.semi_axes_um": [0.5, 0.5, 0.5]}, 3, "no voxel away from surface and front"),
    ],
)
def test_what_cannot_be_calibrated_is_one_line(study, changes, seeds, words):
    with pytest.raises(InputError, match=words):
        calibrate(load_study(study, changes), parse_method(""), seeds)


def test_a_baseline_holds_until_something_changes(tmp_path, capsys):
    """The same seeds give the same scores; a spoilt one is worse, a null is told."""
    path = tmp_path / "b.json"
    options = [f"--set={key}={value}" for key, value in SMALL.items()]
    assert main(["baseline", str(path), "--study", "tiny", *options, "--seeds", "2"]) == 0
    assert main(["baseline", str(path)]) == 0
    plain = json.loads(path.read_text())
    for row in plain["scores"]:
        row["phase_rmse"] *= 0.5
        row["dice_FP"] -= 0.1
    path.write_text(json.dumps(plain))
    capsys.readouterr()
    assert main(["baseline", str(path)]) == 1
    told = capsys.readouterr().out
    assert "worse    phase_rmse" in told
    assert "better   dice_FP" in told
    assert main(["baseline", str(path), "--study", "default"]) == 2
    assert "made of another study, seed or method" in capsys.readouterr().err
    assert load(path).seeds == (1, 2)


def rows(*values):
    return tuple({"phase_rmse": value, "pull_std": value} for value in values)


@pytest.mark.parametrize(
    ("before", "now", "word"),
    [
        ((0.10, 0.12, 0.11), (0.10, 0.12, 0.11), ""),
        ((0.10, 0.12, 0.11), (0.1000001, 0.1200001, 0.1100001), ""),  # sure, but of no size
        ((0.10, 0.12, 0.11), (0.12, 0.10, 0.11), ""),  # of size, but not sure
        ((0.10, 0.12, 0.11), (0.11, 0.13, 0.12), "worse"),
        ((0.10, 0.12, 0.11), (0.09, 0.11, 0.10), "better"),
        ((0.10, 0.12, 0.11), (0.10, None, 0.11), "null now"),
        ((0.10, None, 0.11), (0.10, 0.12, 0.11), "appeared"),
        ((None, None, None), (None, None, None), ""),
    ],
)
def test_a_change_is_told_from_noise(before, now, word):
    assert change("phase_rmse", rows(*before), rows(*now)).word == word
    neutral = change("pull_std", rows(*before), rows(*now)).word
    assert neutral == ("changed" if word in ("better", "worse") else word)


@pytest.mark.parametrize("text", ["", "{}", "[1]", '{"format": 99}', '{"format": 1, "study": "x = 1"}'])
def test_no_baseline_is_one_line(tmp_path, text, capsys):
    (tmp_path / "b.json").write_text(text)
    assert main(["baseline", str(tmp_path / "b.json")]) == 2
    assert capsys.readouterr().err.count("\n") == 1
