"""Methods of users: what they get, what becomes of their answers, and what of their failures."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from phantom import InputError
from validation.cli import main
from validation.files import read_map
from validation.loop import record_into
from validation.methods import MethodFailed, parse_method
from validation.study import load_study

MINE = """
import os, time
import numpy as np

def engine(optical_depth, angles_rad, *, center_px, pixel_um):
    from analysis.reconstruct.fbp import fbp
    return fbp(optical_depth, angles_rad, center_px=center_px, pixel_um=pixel_um, window="cosine")

def holes(optical_depth, angles_rad, *, center_px, pixel_um):
    columns = optical_depth.shape[2]
    return np.full((len(optical_depth), columns, columns), np.nan)

def flat(optical_depth, angles_rad, *, center_px, pixel_um): return optical_depth[0]
def fit(mu, sigma, energies_eV, standards):
    from analysis.spectra.combination import fit
    return fit(mu, sigma, energies_eV, standards)

def alone(mu, sigma, energies_eV, standards): return mu[:2]

def pipeline(scan_path, standards_paths, out_path):
    from pathlib import Path
    from analysis.pipeline import analyze
    from instrument.files.native import open_scan
    from instrument.files.text import read_spectrum
    from validation.files import write_map
    standards = [read_spectrum(Path(path), name) for name, path in standards_paths.items()]
    with open_scan(Path(scan_path)) as scan:
        write_map(Path(out_path), analyze(scan, standards).map)

def listing(scan_path, standards_paths, out_path):
    found = sorted(str(path) for path in __import__("pathlib").Path(scan_path).parent.rglob("*"))
    raise ValueError(" ".join(os.path.basename(name) for name in found))

def spoils(scan_path, standards_paths, out_path):
    os.chmod(standards_paths["LFP"], 0o644)
    open(standards_paths["LFP"], "a").write("7300 0.1")
    pipeline(scan_path, standards_paths, out_path)

def silent(scan_path, standards_paths, out_path): pass
def garbage(scan_path, standards_paths, out_path): open(out_path, "w").write("hello")
def hangs(scan_path, standards_paths, out_path): time.sleep(60)
def ends(scan_path, standards_paths, out_path): os._exit(5)
"""
SMALL = {"scan.angles": 20, "scan.columns": 32, "scan.rows": 24, "scan.pixel_um": 0.22}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A run's folder before its scan is analyzed, and beside it the user's file."""
    folder = tmp_path_factory.mktemp("methods")
    (folder / "mine.py").write_text(MINE)
    record_into(folder, load_study("tiny", SMALL))
    return folder


def found(place, text, limit_s=60.0):
    """The map of a method, of the tiny study."""
    study = load_study("tiny", SMALL)
    method = parse_method(text.replace("mine.py", str(place / "mine.py")), limit_s)
    study = method.applied_to(study)
    method.check()
    return method.analyze(place, study).map


@pytest.fixture(scope="module")
def ours(place):
    return found(place, "image")


@pytest.mark.parametrize("text", ["engine=mine.py:engine", "mine.py:pipeline", "projection"])
def test_the_same_steps_elsewhere_give_the_same_map(place, ours, text):
    np.testing.assert_allclose(found(place, text).amounts, ours.amounts, atol=2e-4)


@pytest.mark.parametrize("text", ["fit=mine.py:fit", "engine=mine.py:engine,fit=mine.py:fit"])
def test_a_fit_that_weighs_energies_by_its_own_voxels_gives_nearly_the_same(place, ours, text):
    left = (found(place, text).amounts - ours.amounts)[:, ours.iron > 0.5]
    assert np.sqrt(np.mean(left**2)) < 0.05 * float(np.median(ours.amounts_sigma[:, ours.iron > 0.5]))


def test_a_program_gives_the_map_that_it_writes(place, ours, tmp_path):
    script = tmp_path / "tool.py"
    root = Path(__file__).resolve().parents[1]
    script.write_text(
        f"import sys; sys.path[:0] = [{str(place)!r}, {str(root)!r}]; from mine import pipeline\n"
        "scan, lfp, fp, result = sys.argv[1:]; pipeline(scan, {'LFP': lfp, 'FP': fp}, result)\n"
    )
    made = found(place, f"command={sys.executable} {script} {{scan}} {{lfp}} {{fp}} {{result}}")
    np.testing.assert_array_equal(made.amounts, ours.amounts)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("mine.py:listing", "raises ValueError: scan.h5 standards FP.txt LFP.txt"),
        ("mine.py:spoils", "writes to its input standards/LFP.txt"),
        ("mine.py:silent", "wrote no result.h5"),
        ("mine.py:garbage", "its result cannot be read: result.h5: not a readable HDF5 file"),
        ("mine.py:hangs", "gives no answer within 3 s"),
        ("mine.py:ends", "its process ends with status 5"),
        ("engine=mine.py:holes", "values are NaN or infinite"),
        ("engine=mine.py:flat", r"answers with shape \(20, 32\)"),
        ("fit=mine.py:alone", "allowed is a pair"),
        ("fit=mine.py:engine", "raises TypeError"),
        ("command=false", "ends with status 1"),
        ("command=true", "wrote no result.h5"),
        ("command=sleep 60", "gives no answer within 3 s"),
    ],
)
def test_what_a_method_did_instead_is_said(place, text, words):
    with pytest.raises(MethodFailed, match=words):
        found(place, text, 3.0 if "within 3 s" in words else 120.0)  # a slow machine must not be what is told


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("nothing", "found 'nothing'; allowed are image, projection, joint"),
        ("fit=linear", "found 'fit=linear'"),
        ("window=ham", "analysis.window is 'ham'; allowed is"),
        ("scan.rows=3", "analysis.scan"),
        ("engine=gone.py:engine", "no such file"),
        ("gone.py:engine", "no such file"),
        ("mine.py:gone", "cannot be loaded"),
        ("mine.py:engine", "takes optical_depth, angles_rad"),
        ("joint,engine=mine.py:engine", "allowed is method image or projection"),
        ("projection,fit=mine.py:fit", "allowed is method image, constraint free"),
        ("command=", "allowed is command=PROGRAM"),
        ("command=no-such-program", "with a program that can be found"),
    ],
)
def test_no_method_is_one_line(place, text, words):
    with pytest.raises(InputError, match=words):
        found(place, text)


def test_a_run_goes_on_without_a_map(tmp_path, capsys):
    (tmp_path / "mine.py").write_text(MINE)
    assert main(["run", "tiny", "-o", str(tmp_path / "run"), "--method", f"{tmp_path / 'mine.py'}:silent"]) == 1
    assert "No map: " in capsys.readouterr().out
    scores = json.loads((tmp_path / "run" / "scores.json").read_text())
    assert scores["phase_rmse"] is None
    assert scores["dose_MGy"] > 0
    assert "wrote no result.h5" in (tmp_path / "run" / "report.html").read_text()
    assert read_map(tmp_path / "run" / "truth.h5").iron.any()
    assert not (tmp_path / "run" / "result.h5").exists()


def test_a_users_own_package_analysis_does_no_harm(place, tmp_path):
    """Started where the user keeps a package `analysis`, as the console script is: not with that folder in front."""
    (tmp_path / "analysis").mkdir()
    (tmp_path / "analysis" / "__init__.py").write_text("")
    (tmp_path / "mine.py").write_text("def fit(mu, sigma, energies_eV, standards): return 0, 0\n")
    root = Path(__file__).resolve().parents[1]
    script = f"import sys; sys.path.insert(0, {str(root)!r}); from validation.cli import main; sys.exit(main(sys.argv[1:]))"
    command = [sys.executable, "-P", "-c", script, "check", "mine.py:fit", "--as", "fit", "--examples", "1"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 1, done.stderr
    assert "BROKEN  answers" in done.stdout
    shadowed = subprocess.run(
        [*command[:1], "-c", "import validation"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        env={"PYTHONPATH": f"{tmp_path}:{root}"},
    )
    assert "start from another folder or rename that package" in shadowed.stderr.splitlines()[-1]
