"""The commands simulate and analyze: files out, files in."""

import json

import h5py
import numpy as np
import pytest

from instrument.files.scans import FORMATS
from validation.cli import main
from validation.files import read_map
from validation.scores import score
from validation.study import PRESETS, load_study, presets

SMALL = ["--set", "scan.energies_eV=[7090, 7126, 7132, 7180]", "--set", "scan.angles=31", "--set", "scan.pixel_um=0.2"]
SMALL += ["--set", "scan.rows=24", "--set", "scan.columns=36"]
READABLE = ["native", "fxi", "dxchange", "nxtomo"]


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """Folder of tiny's scan in each layout, truth and study apart."""
    place = tmp_path_factory.mktemp("export")
    for layout in FORMATS:
        arguments = ["simulate", "tiny", *SMALL, "-o", str(place / layout), "--format", layout, "--blind", str(place / "truth")]
        assert main(arguments) == 0
    return place


def everything(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_the_truth_lies_apart(exported):
    assert everything(exported / "truth") == ["study.toml", "truth.h5"]
    for layout in FORMATS:
        names = everything(exported / layout)
        assert {"standards/FP.txt", "standards/LFP.txt"} < set(names)
        assert not {"study.toml", "truth.h5"} & set(names)
    assert everything(exported / "fxi")[:4] == [f"fly_scan_id_1000{k}.h5" for k in (1, 2, 3, 4)]


def test_scan_files_hold_no_truth(exported):
    """No amounts, no seed, no fraction, no digest in any name or attribute."""
    words = ("amount", "seed", "fraction", "digest", "truth", "phantom", "species")
    for path in [p for layout in FORMATS for p in (exported / layout).iterdir() if p.is_file()]:
        with h5py.File(path) as file:
            found = list(file.attrs)
            file.visititems(lambda name, item, found=found: found.extend([name, *item.attrs]))
        assert not [name for name in found if any(word in name.lower() for word in words)], path


@pytest.mark.parametrize("layout", READABLE)
def test_analyze_reads_every_layout_to_the_same_map(exported, tmp_path, layout, capsys):
    scan, standards = exported / layout, exported / layout / "standards"
    named = [f"{name}={standards / name}.txt" for name in ("LFP", "FP")]
    assert main(["analyze", str(scan), "--standards", *named, "-o", str(tmp_path / "out")]) == 0
    found = read_map(tmp_path / "out" / "result.h5")
    reference = tmp_path / "reference"
    native = exported / "native" / "scan.h5"
    assert main(["analyze", str(native), "--standards", *named, "-o", str(reference)]) == 0
    assert found.amounts == pytest.approx(read_map(reference / "result.h5").amounts, abs=1e-4)
    assert score(read_map(exported / "truth" / "truth.h5"), found)["bulk_fraction_error"] == pytest.approx(0, abs=0.05)
    assert "4 energies 7090..7180 eV, 31 views" in capsys.readouterr().out


def test_analyze_bins_crops_and_selects(exported, tmp_path, capsys):
    standards = exported / "fxi" / "standards"
    named = [f"{name}={standards / name}.txt" for name in ("LFP", "FP")]
    wishes = ["--bin", "2", "--roi", "2:22,2:34", "--energies", "7100:7190", "--angles", "0:31:2"]
    assert main(["analyze", str(exported / "fxi"), "--standards", *named, *wishes, "-o", str(tmp_path)]) == 0
    found = read_map(tmp_path / "result.h5")
    assert found.shape == (10, 16, 16)
    assert found.voxel_um == pytest.approx(0.4)
    out = capsys.readouterr().out
    assert "3 energies 7126..7180 eV, 16 views" in out
    assert "axis at column 7.50" in out


@pytest.mark.parametrize(
    ("extra", "words"),
    [
        (["--roi", "2:22"], "--roi"),
        (["--energies", "a:b"], "--energies"),
        (["--angles", "0"], "stride"),
        (["--bin", "0"], "bin"),
        (["--center", "1e9"], "axis"),
        (["--window", "square"], "square"),
    ],
)
def test_bad_wishes_are_told_in_a_line(exported, tmp_path, extra, words, capsys):
    standards = exported / "native" / "standards"
    named = [f"{name}={standards / name}.txt" for name in ("LFP", "FP")]
    assert main(["analyze", str(exported / "native"), "--standards", *named, *extra, "-o", str(tmp_path / "out")]) == 2
    told = capsys.readouterr().err
    assert words in told
    assert told.count("\n") == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["analyze", "nowhere.h5", "--standards", "LFP=a", "FP=b"], "a"),
        (["analyze", "nowhere.h5", "--standards", "LFP"], "NAME=FILE"),
        (["simulate", "tiny", "-o", "x", "--format", "tiff"], "--format"),
        (["simulate", "tiny", "-o", "x", "--blind", "x"], "--blind"),
        (["simulate", "tiny", "-o", "x", "--blind", "x/y"], "--blind"),
        (["simulate", "tiny", "-o", "x", "--format", "fxi", "--set", "scan.energies_eV=[7100, 7120, 7100]"], "native"),
        (["simulate", "tiny", "-o", "x", "--set", "optics.outermost_zone_um=1e-9"], "outermost_zone_um"),
        (["simulate", "tiny", "-o", "x", "--set", "housing.kapton.formula=Fe", "--set", "housing.kapton.thickness_um=1"], "iron"),
        (["simulate", "tiny", "-o", "x", "--set", "presets=fxj"], "fxi"),
        (["simulate", "tiny", "-o", "x", "--set", "presets=cell-2032"], "capillary"),
    ],
)
def test_what_cannot_be_is_told_in_a_line(tmp_path, monkeypatch, arguments, words, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    told = capsys.readouterr().err
    assert words in told
    assert told.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_simulate_and_run_make_the_same_scan_and_truth(exported, tmp_path):
    """One through slabs and streams, the other in memory."""
    assert main(["run", "tiny", *SMALL, "-o", str(tmp_path / "run")]) == 0
    with h5py.File(tmp_path / "run" / "scan.h5") as one, h5py.File(exported / "native" / "scan.h5") as other:
        assert set(one) == set(other)
        for name in one:
            assert np.array_equal(one[name][...], other[name][...]), name
    one, other = (read_map(path / "truth.h5") for path in (tmp_path / "run", exported / "truth"))
    assert np.array_equal(one.amounts, other.amounts)
    scores = json.loads((tmp_path / "run" / "scores.json").read_text())
    assert scores["dose_entrance_MGy"] > scores["dose_MGy"] > 0


def test_another_format_in_the_same_folder_leaves_no_mixture(tmp_path):
    small = ["simulate", "tiny", *SMALL, "--set", "scan.rows=24", "-o", str(tmp_path / "scan")]
    assert main([*small, "--format", "fxi"]) == 0
    assert main([*small, "--format", "dxchange"]) == 0
    assert not [name for name in everything(tmp_path / "scan") if name.startswith("fly_scan")]
    assert "truth.h5" in everything(tmp_path / "scan")


@pytest.mark.parametrize("name", presets())
def test_each_value_of_a_preset_has_a_source_or_the_word_guess(name):
    lines = [line for line in (PRESETS / f"{name}.toml").read_text().splitlines() if line and not line.startswith(("#", "["))]
    assert lines
    for line in lines:
        _, mark, told = line.partition("  # ")
        assert mark, line
        assert len(told) >= 5, line
    study = load_study("tiny", {"presets": name, "scan.last_angle_deg": 50.0, "scan.first_angle_deg": -50.0})
    assert study.presets == (name,)


def test_a_studys_own_words_lie_above_its_presets():
    """Whatever the order they are said in; of two presets the last counts."""
    study = load_study("tiny", {"stage.runout_um": 0.5, "presets": ["fxi", "x8c", "capillary"]})
    assert study.stage.runout_um == 0.5
    assert study.stage.wobble_um == load_study("tiny", {"presets": "x8c"}).stage.wobble_um == 0.2
    assert study.housing.kapton.thickness_um == 100
    assert study.scan.flats == 8  # tiny's own
