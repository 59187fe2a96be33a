"""The commands as a user types them: files, exit status, one line for bad input, nothing half written."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest

from validation.cli import main
from validation.pages.findings import doubts, repairs
from validation.score_names import MEANING
from validation.study import load_study

ROOT = Path(__file__).resolve().parents[1]
FILES = {"study.toml", "scan.h5", "truth.h5", "result.h5", "scores.json", "report.html", "standards/LFP.txt", "standards/FP.txt"}


def files(folder):
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def tiny_run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cli") / "run"
    assert main(["run", "tiny", "-o", str(folder), "--threads", "1"]) == 0
    return folder


def test_a_run_leaves_the_promised_files(tiny_run):
    assert files(tiny_run) == FILES
    assert not list(tiny_run.parent.glob(".*"))
    page = (tiny_run / "report.html").read_text()
    assert len(page) < 15e6
    assert "http://" not in page
    assert "https://" not in page
    assert page.count("data:image/png;base64,") == 2


def test_scores_are_flat_and_complete(tiny_run):
    scores = json.loads((tiny_run / "scores.json").read_text())
    promised = {
        "phase_rmse",
        "phase_bias",
        "phase_rmse_interior",
        "phase_bias_interior",
        "scored_share",
        "false_particle_share",
        "registration_shift_um",
        "bulk_fraction_truth",
        "bulk_fraction_found",
        "bulk_fraction_error",
        "dice_LFP",
        "dice_FP",
        "front_distance_um",
        "pull_mean",
        "pull_std",
        "coverage_68",
        "coverage_95",
        "pull_std_LFP",
        "pull_std_FP",
        "fsc_truth_iron_um",
        "fsc_truth_phase_um",
        "fsc_halves_um",
        "capacity_mAh_per_g",
        "charge_fraction",
        "dose_MGy",
        "scan_time_s",
        "elapsed_s",
        "peak_memory_GB",
        "seed",
        "study_digest",
    }
    assert promised <= set(scores)
    assert set(scores) == set(MEANING)
    assert all(value is None or isinstance(value, (int, float, str)) for value in scores.values())
    assert scores["capacity_mAh_per_g"] is None


def test_the_resolved_study_runs_again(tiny_run, tmp_path):
    """Same data, on two threads, from the run's own study.toml."""
    again = tmp_path / "again"
    assert main(["run", str(tiny_run / "study.toml"), "-o", str(again), "--threads", "2"]) == 0
    for name in ("scan.h5", "result.h5", "truth.h5"):
        with h5py.File(tiny_run / name) as one, h5py.File(again / name) as two:
            assert set(one) == set(two)
            keys = [key for key in one if isinstance(one[key], h5py.Dataset)]
            for key in (*keys, *(f"particles/{column}" for column in one.get("particles", ()))):
                values = [file[key].asstr()[...] if key == "species" else file[key][...] for file in (one, two)]
                assert np.array_equal(*values, equal_nan=key.startswith("phase")), f"{name}:{key}"
    for name in FILES - {"scan.h5", "result.h5", "truth.h5", "scores.json", "report.html"}:
        assert (tiny_run / name).read_bytes() == (again / name).read_bytes()


def test_another_seed_is_another_particle(tiny_run, tmp_path):
    assert main(["run", "tiny", "--seed", "2", "-o", str(tmp_path / "two")]) == 0
    with h5py.File(tiny_run / "truth.h5") as one, h5py.File(tmp_path / "two" / "truth.h5") as two:
        assert not np.array_equal(one["iron"][...], two["iron"][...])


def test_the_score_command_agrees_with_the_run(tiny_run, capsys):
    assert main(["score", str(tiny_run / "truth.h5"), str(tiny_run / "result.h5"), "--json"]) == 0
    printed, stored = json.loads(capsys.readouterr().out), json.loads((tiny_run / "scores.json").read_text())
    for name, value in printed.items():
        assert stored[name] == (None if value is None else pytest.approx(value, rel=1e-6)), name


def test_studies(capsys):
    assert main(["studies"]) == 0
    assert "low-dose" in capsys.readouterr().out
    assert main(["studies", "--show", "tiny"]) == 0
    assert "allowed" in capsys.readouterr().out


def test_doctor(capsys):
    assert main(["doctor"]) == 0
    out = capsys.readouterr().out
    assert "passed" in out
    assert "finufft" in out


def test_dry_run_writes_nothing(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["run", "default", "--dry-run"]) == 0
    out = capsys.readouterr().out
    assert "MGy" in out
    assert "GB" in out
    assert not list(tmp_path.iterdir())


def test_forecast_of_the_dose_holds(tiny_run):
    from validation.forecast import forecast

    scores = json.loads((tiny_run / "scores.json").read_text())
    assert forecast(load_study("tiny"))["dose_MGy"] == pytest.approx(scores["dose_MGy"], rel=0.05)


@pytest.mark.parametrize(
    ("expression", "status"), [("phase_rmse < 0.5", 0), ("phase_rmse < 0.0001", 1), ("charge_fraction > 0", 1)]
)
def test_requirements_set_the_exit_status(tmp_path, expression, status):
    assert main(["run", "tiny", "-o", str(tmp_path / "r"), "--require", expression]) == status


def analysis_of(run, *options):
    standards = [f"{name}={run / 'standards' / name}.txt" for name in ("LFP", "FP")]
    return ["analyze", str(run / "scan.h5"), "--standards", *standards, *options]


def test_analyze_says_what_it_found_and_repaired(tiny_run, tmp_path, capsys):
    wanted = [
        "--align",
        "center,shifts,magnification=free,roll,rings,energy",
        "--zingers",
        "6",
        "--border",
        "3",
        "--flats-in-time",
    ]
    assert main(analysis_of(tiny_run, *wanted, "-o", str(tmp_path / "aligned"))) == 0
    told = capsys.readouterr().out
    names = ("rotation axis", "shifts of frames", "magnification", "tilt of the axis", "rings", "energy offset", "repaired rays")
    for words in (*names, "passes, the last by", "the open beam differs"):
        assert words in told
    assert "nan" not in told
    assert told.count("sigma") >= 6


@pytest.mark.parametrize("method", ["projection", "joint"])
def test_each_method_has_its_report_and_its_analysis(method, tmp_path, capsys):
    small = ["--set", "scan.rows=24", "--set", "scan.columns=32", "--set", "scan.pixel_um=0.2", "--set", "scan.angles=31"]
    assert main(["run", "tiny", *small, "--method", method, "-o", str(tmp_path / "run")]) == 0
    assert (tmp_path / "run" / "report.html").read_text().count("data:image/png;base64,") == 2
    assert main(analysis_of(tmp_path / "run", "--method", method, "-o", str(tmp_path / "out"))) == 0
    with h5py.File(tmp_path / "run" / "result.h5") as one, h5py.File(tmp_path / "out" / "result.h5") as two:
        assert np.array_equal(one["amounts"][...], two["amounts"][...])
    assert "rotation axis" not in capsys.readouterr().out


def test_a_report_shows_what_alignment_found(tmp_path):
    """A stage's line for it, and a picture; scan.h5 is closed by then."""
    changes = ["analysis.align.shifts=true", "analysis.align.magnification=linear", "analysis.align.passes=2"]
    options = [part for change in changes for part in ("--set", change)]
    assert main(["run", "tiny", *options, "-o", str(tmp_path / "run")]) == 0
    page = (tmp_path / "run" / "report.html").read_text()
    assert "What the analysis found beside the map" in page
    assert page.count("data:image/png;base64,") == 3
    assert json.loads((tmp_path / "run" / "scores.json").read_text())["shifts_error_px"] > 0


def test_what_makes_a_map_doubtful_is_said(closed_loop):
    """By what the data say: chi2, a mean that is no fraction, noise above all, nothing left to check, voxels unexplained."""
    good = closed_loop("tiny")[2]
    assert doubts(good) == []
    mapped = good.map
    for name, spoilt, words in (
        ("chi2", {"reduced_chi2": 7.1}, "chi2 is 7.1 times what noise explains"),
        ("freedom", {"reduced_chi2": float("nan")}, "nothing checks the fit"),
        ("mean", {"map": replace(mapped, amounts=mapped.amounts + np.float32([[[[-0.8]]], [[[0.8]]]]))}, "which is none"),
        ("noise", {"map": replace(mapped, phase_fraction_sigma=20 * mapped.phase_fraction_sigma)}, "single voxels tell nothing"),
    ):
        (said,) = doubts(replace(good, **spoilt))
        assert words in said, name
    flagged = dict(repairs(good))["unexplained"]
    assert "no mixture of the standards (flag 16" in flagged


def test_a_foil_says_where_the_scale_of_energy_lies(tiny_run, tmp_path, capsys):
    energies = np.arange(7100.0, 7125.0, 0.25)
    mu = 0.5 + np.arctan((energies - 7112.5) / 1.0) / np.pi
    (tmp_path / "foil.txt").write_text("\n".join(f"{e:g} {m:.6f}" for e, m in zip(energies, mu, strict=True)))
    assert main(analysis_of(tiny_run, "--foil", str(tmp_path / "foil.txt"), "-o", str(tmp_path / "out"))) == 0
    assert "the foil's edge says that true energies are -0.500 eV from the scan's" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--method", "both"], "analysis.method is 'both'; allowed is 'image', 'projection', 'joint'"),
        (["--engine", "astra"], "analysis.engine is 'astra'"),
        (["--method", "joint", "--engine", "tv"], "analysis.engine"),
        (["--method", "joint", "--constraint", "mixture"], "analysis.constraint"),
        (["--weights", "ray"], "analysis.weights"),
        (["--align", "centre"], "--align: found 'centre'; allowed are center, shifts"),
        (["--align", "magnification=quadratic"], "--align"),
        (["--align", "magnification="], "--align"),
        (["--align", "shifts=true"], "--align"),
        (["--align", ""], "--align"),
        (["--align", "energy", "--foil", "standards/LFP.txt"], "beside a foil"),
        (["--foil", "standards/LFP.txt"], "foil"),
        (["--foil", "nowhere.txt"], "nowhere.txt"),
        (["--zingers", "many"], "--zingers"),
        (["--zingers", "-1"], "analysis.prepare.zinger_sigma is -1.0; allowed is"),
        (["--rings", "wavelet"], "analysis.prepare.rings is 'wavelet'; allowed is 'none', 'mean', 'sorting'"),
        (["--border", "24"], "less than half of 48 columns"),
        (["--border", "2.5"], "--border"),
    ],
)
def test_wishes_that_cannot_be_end_with_one_line(tiny_run, options, words, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tiny_run)
    assert main(analysis_of(tiny_run, *options, "-o", str(tmp_path / "out"))) == 2
    told = capsys.readouterr().err
    assert words in told
    assert told.startswith("txm-twin: ")
    assert told.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_nested_tables_of_the_analysis_are_described(capsys):
    assert main(["studies", "--show", "default"]) == 0
    told = capsys.readouterr().out
    for words in (
        "[analysis.prepare]",
        "zinger_sigma = 0.0",
        "allowed >= 0, <= 100; default 0.0",
        "[analysis.align]",
        "passes = 8",
    ):
        assert words in told


def bad(arguments, tmp_path, cwd=None):
    """Run as a user would; status 2, one line on standard error, no traceback, nothing written."""
    before = sorted(tmp_path.rglob("*"))
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "validation.cli", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, cwd=cwd or tmp_path, env=environment)
    lines = done.stderr.strip().splitlines()
    assert done.returncode == 2, done.stderr
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("txm-twin: ")
    assert sorted(tmp_path.rglob("*")) == before
    return lines[0]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["run", "nowhere"], "no such file or built-in study"),
        (["run", "tiny", "--set", "scan.colums=3"], "did you mean columns"),
        (["run", "tiny", "--set", "species.FP.density_g_cm3=-1"], "density_g_cm3 is -1"),
        (["run", "tiny", "--set", "front.fraction=1.5"], "front.fraction is 1.5"),
        (["run", "tiny", "--set", "scan.energies_eV=[7100, 9000]"], "9000"),
        (["run", "tiny", "--set", "particle.semi_axes_um=[9, 9, 9]"], "field of view"),
        (["run", "tiny", "--set", "scan.energies_eV=[7120, 7130]"], "2 energies for 3 unknowns"),
        (["run", "tiny", "--engine", "astra"], "analysis.engine"),
        (["run", "tiny", "--method", "both"], "found 'both'; allowed are image, projection, joint"),
        (["run", "tiny", "--method", "joint", "--engine", "tv"], "analysis.engine"),
        (["run", "tiny", "--threads", "0"], "--threads"),
        (["run", "tiny", "--require", "phase_rmse ~ 1"], "--require"),
        (["run", "tiny", "--require", "phase_rsme < 1"], "phase_rsme"),
        (["run", "tiny", "-o", "/proc/nowhere/run"], "cannot be written"),
        (["score", "absent.h5", "absent.h5"], "no such"),
        (["run", "x" * 300], "too long"),
        (["run", "tiny", "--set", "stage.center_offset_px=24"], "center_offset_px"),
        (["run", "tiny", "--set", "camera.gain_adu=50"], "camera.gain_adu"),
        (["run", "tiny", "--set", "beam.photons_per_pixel=1e21"], "photons_per_pixel"),
        (["run", "tiny", "--set", "front.speed=[1e-300, 1, 1]"], "front.speed"),
        (["run", "tiny", "--require", "study_digest < 3"], "--require"),
        (["run", "tiny", "--require", "phase_rmse < nan"], "--require"),
        (["run", "tiny", "-o", "new/deep/run", "--set", "particle.semi_axes_um=[9, 9, 9]"], "field of view"),
        (["studies", "--show", ""], "no such"),
        (["fly"], "invalid choice"),
        ([], "required"),
    ],
)
def test_bad_input_ends_with_one_line(arguments, words, tmp_path):
    assert words in bad(arguments, tmp_path)


@pytest.mark.parametrize("content", [b"", b"\x89HDF\r\n\x1a\n" + b"\0" * 64, b"text"])
def test_broken_results_end_with_one_line(content, tmp_path, tiny_run):
    (tmp_path / "broken.h5").write_bytes(content)
    assert "broken.h5" in bad(["score", str(tiny_run / "truth.h5"), "broken.h5"], tmp_path)


def test_nan_in_a_spectrum_ends_with_one_line(tmp_path):
    (tmp_path / "fp.txt").write_text("# normalized\n7090 0\n7120 nan\n7130 1.5\n7150 1\n7190 1\n")
    line = bad(["run", "tiny", "--set", "species.FP.spectrum=fp.txt"], tmp_path)
    assert "not finite" in line
    assert "row 2" in line


@pytest.mark.parametrize("table", ["species", "standards"])
def test_an_energy_outside_a_measured_spectrum_ends_with_one_line(table, tmp_path):
    (tmp_path / "short.txt").write_text("# normalized\n7090 0\n7110 0\n7120 0.5\n7130 1.5\n7152 1\n")
    assert "outside the spectrum" in bad(["run", "tiny", "--set", f"{table}.FP.spectrum=short.txt"], tmp_path)


def test_damaged_data_and_swapped_files_end_with_one_line(tmp_path, tiny_run):
    data = bytearray((tiny_run / "truth.h5").read_bytes())
    middle = len(data) // 2
    data[middle : middle + 3000] = b"\xaa" * 3000
    (tmp_path / "damaged.h5").write_bytes(data)
    bad(["score", "damaged.h5", str(tiny_run / "result.h5")], tmp_path)
    assert "TRUTH first" in bad(["score", str(tiny_run / "result.h5"), str(tiny_run / "truth.h5")], tmp_path)


def test_amounts_that_are_not_finite_end_with_one_line(tmp_path, tiny_run):
    shutil.copy(tiny_run / "result.h5", tmp_path / "r.h5")
    with h5py.File(tmp_path / "r.h5", "r+") as file:
        file["amounts"][0, 3, 3, 3] = np.inf
    assert "finite" in bad(["score", str(tiny_run / "truth.h5"), "r.h5"], tmp_path)


@pytest.mark.parametrize("name", ["tiny", "low-dose", "wrong-standard"])
def test_every_study_has_a_forecast(name, capsys):
    assert main(["run", name, "--dry-run"]) == 0
    assert "MGy" in capsys.readouterr().out


@pytest.mark.parametrize("taken", ["scan.h5/x", "standards"])
def test_a_folder_that_cannot_take_the_files(tmp_path, taken):
    folder = tmp_path / "run"
    (folder / taken).parent.mkdir(parents=True)
    (folder / taken).write_text("mine")
    assert "cannot be written" in bad(["run", "tiny", "-o", "run"], tmp_path)


def test_a_study_beside_its_spectra_runs_from_anywhere(tmp_path, monkeypatch):
    (tmp_path / "lab").mkdir()
    rows = "\n".join(f"{e:g} {0 if e < 7115 else 1} {min(max((e - 7115) / 20, 0), 1)}" for e in range(7080, 7200, 5))
    (tmp_path / "lab" / "lib.nor").write_text(f"# energy one two\n{rows}\n")
    (tmp_path / "lab" / "base.toml").write_text('extends = "tiny"\n')
    (tmp_path / "lab" / "mine.toml").write_text('extends = "base.toml"\n[species.FP]\nspectrum = "lib.nor:two"\n')
    monkeypatch.chdir(tmp_path)
    assert main(["run", "lab/mine.toml", "-o", "out"]) == 0
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert main(["run", "../out/study.toml", "-o", "out"]) == 0


def test_a_file_where_the_folder_should_be(tmp_path):
    (tmp_path / "taken").write_text("mine")
    assert "cannot be written" in bad(["run", "tiny", "-o", "taken"], tmp_path)
    assert (tmp_path / "taken").read_text() == "mine"
