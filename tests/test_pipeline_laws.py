"""The laws of a pipeline: ours holds them, broken ones are caught by the law that should, also in a process of their own."""

import functools
import shutil
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from analysis.choices import Analysis
from analysis.pipeline import analyze
from analysis.reconstruct.replicates import averaged
from instrument.files.native import open_scan
from instrument.files.text import read_spectrum
from validation.cli import main
from validation.files import read_map, write_map
from validation.guests.guest import Guest
from validation.laws import PIPELINE, Broken, examine, hold
from validation.laws.scans import Clouds
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


def of_scan(change):
    """Ours, of a scan that is changed first."""

    def changed(scan_path, standards_paths, out_path):
        standards = [read_spectrum(Path(path), name) for name, path in standards_paths.items()]
        with open_scan(Path(scan_path)) as scan:
            counts = {name: getattr(scan, name)[...].astype(float) for name in ("projections", "flats", "darks")}
            write_map(Path(out_path), analyze(replace(scan, **(counts | change(scan, **counts))), standards).map)

    return changed


def of_map(change):
    """Ours, its map changed afterwards."""

    def changed(scan_path, standards_paths, out_path):
        pipeline(scan_path, standards_paths, out_path)
        found = read_map(Path(out_path))
        write_map(Path(out_path), replace(found, **change(found)))

    return changed


def of_file(change):
    """Ours, its file changed afterwards."""

    def changed(scan_path, standards_paths, out_path):
        pipeline(scan_path, standards_paths, out_path)
        with h5py.File(out_path, "r+") as file:
            change(file)

    return changed


def of_standards(change):
    return lambda scan_path, standards_paths, out_path: pipeline(scan_path, change(standards_paths), out_path)


def levels(flats, darks):
    dark = darks.mean(axis=1, keepdims=True)
    return dark, flats.mean(axis=1, keepdims=True) - dark


def without_log(scan, projections, flats, darks):
    dark, light = levels(flats, darks)
    return {"projections": dark + light * np.exp((projections - dark) / light - 1)}


def no_brighter_than_air(scan, projections, flats, darks):
    return {"projections": np.minimum(projections, np.add(*levels(flats, darks)))}


def flat_of_first(scan, projections, flats, darks):
    return {"flats": np.broadcast_to(flats[:1], flats.shape)}


def dead_columns(scan, projections, flats, darks):
    """A column with a dead pixel is left out, in all rows."""
    dead = (levels(flats, darks)[1] < 100).any(axis=(0, 1, 2))
    column = np.where(dead, np.roll(np.arange(scan.columns), 1), np.arange(scan.columns))
    return {"projections": projections[..., column], "flats": flats[..., column], "darks": darks[..., column]}


def amounts(change):
    return of_map(lambda found: {"amounts": change(found.amounts)})


def sigmas(found):
    return {"amounts_sigma": 0.8 * found.amounts_sigma, "phase_fraction_sigma": 0.8 * found.phase_fraction_sigma}


def phase_sigma(found):
    return {"amounts_sigma": None, "phase_fraction_sigma": 0.8 * found.phase_fraction_sigma}


def second_time_only(scan_path, standards_paths, out_path):
    if not Path(out_path).exists():
        pipeline(scan_path, standards_paths, out_path)


def beside(scan_path, standards_paths, out_path):
    pipeline(scan_path, standards_paths, out_path)
    shutil.copy(out_path, Path(out_path).with_name("latest.h5"))


def to_its_input(scan_path, standards_paths, out_path):
    pipeline(scan_path, standards_paths, out_path)
    with h5py.File(scan_path, "r+") as file:
        file["projections"][0] = 0


def by_its_folder(scan_path, standards_paths, out_path):
    pipeline(scan_path, {name: str(Path(scan_path).parent / "standards" / f"{name}.txt") for name in standards_paths}, out_path)


def fails(scan_path, standards_paths, out_path):
    raise ZeroDivisionError("no views")


def by_row(standards_paths):
    """The first rows of a standard's file, taken for the scan's energies: shown by those that have no other rows."""
    for path in map(Path, standards_paths.values()):
        header, rows = (
            [line for line in path.read_text().splitlines() if line.startswith("#") == wanted] for wanted in (True, False)
        )
        energies, mu = np.loadtxt(rows).T
        mu = np.interp(energies, np.linspace(energies[0], energies[-1], 9), np.resize(mu, 9))
        path.write_text("\n".join([*header, *(f"{e} {value}" for e, value in zip(energies, mu, strict=True))]))
    return standards_paths


BROKEN = {
    "upside down": (amounts(lambda a: a[:, ::-1]), "comes near the truth"),
    "mirrored": (amounts(lambda a: a[..., ::-1]), "comes near the truth"),
    "transposed": (amounts(lambda a: a.transpose(0, 1, 3, 2)), "comes near the truth"),
    "swapped species": (amounts(lambda a: a[::-1]), "comes near the truth"),
    "dark not subtracted": (of_scan(lambda scan, **counts: {"darks": 0 * counts["darks"]}), "comes near the truth"),
    "log missing": (of_scan(without_log), "comes near the truth"),
    "one energy off": (of_scan(lambda scan, **_: {"energies_eV": np.roll(scan.energies_eV, 1)}), "comes near the truth"),
    "half an eV off": (
        of_scan(lambda scan, **_: {"energies_eV": np.maximum(scan.energies_eV - 0.5, scan.energies_eV.min())}),
        "keeps the iron",
    ),
    "one flat for all": (of_scan(flat_of_first), "does not mind the brightness"),
    "half a pixel off": (of_scan(lambda scan, **_: {"center_px": scan.center_px + 0.5}), "keeps the place"),
    "axis ignored": (of_scan(lambda scan, **_: {"center_px": (scan.columns - 1) / 2}), "keeps the place"),
    "angles sorted": (of_scan(lambda scan, **_: {"angles_rad": np.sort(scan.angles_rad)}), "does not mind the order of views"),
    "energies sorted": (
        of_scan(lambda scan, **_: {"energies_eV": np.sort(scan.energies_eV)}),
        "does not mind the order of energies",
    ),
    "gain": (amounts(lambda a: 1.05 * a), "keeps the iron"),
    "a background": (amounts(lambda a: a + 0.05), "finds no iron in air"),
    "transmission above 1 cut": (of_scan(no_brighter_than_air), "has no bias from noise"),
    "amounts below 0 cut": (amounts(lambda a: np.maximum(a, 0)), "has no bias from noise"),
    "no background fitted": (functools.partial(pipeline, settings=Analysis(background="none")), "ignores matter without iron"),
    "sigma a fifth small": (of_map(sigmas), "states an honest sigma"),
    "sigma of x a fifth small": (of_map(phase_sigma), "states an honest sigma"),
    "no sigma": (of_map(lambda _: {"amounts_sigma": None, "phase_fraction_sigma": None}), "states an honest sigma"),
    "dark as always": (of_scan(lambda scan, **counts: {"darks": 0 * counts["darks"] + 2000}), "does not mind the dark"),
    "first angle for zero": (
        of_scan(lambda scan, **_: {"angles_rad": scan.angles_rad - scan.angles_rad[0]}),
        "turns with the angles",
    ),
    "rows dimmer downwards": (amounts(lambda a: a * np.linspace(1, 0.9, a.shape[1])[:, None, None]), "turns over with the rows"),
    "dead columns": (of_scan(dead_columns), "contains a dead pixel"),
    "smoothed over rows": (amounts(lambda a: gaussian_filter(a, (0, 0.5, 0, 0))), "contains a struck pixel"),
    "worse where it is surer": (
        of_map(lambda found: {"amounts": found.amounts + 0.01 / np.median(found.amounts_sigma)}),
        "errs less with more photons",
    ),
    "rows scaled together": (amounts(lambda a: a / a.max()), "contains a struck pixel"),
    "nothing written": (lambda *paths: None, "leaves a result"),
    "garbage written": (lambda scan, standards, out: Path(out).write_text("here"), "leaves a result"),
    "garbage, silently": (lambda *paths: Path(paths[2]).write_bytes(bytes(99)) and None, "leaves a result"),
    "raises": (fails, "leaves a result"),
    "an answer": (lambda *paths: pipeline(*paths) or 1, "leaves a result"),
    "voxels twice as large": (of_map(lambda found: {"voxel_um": 2 * found.voxel_um}), "leaves a result"),
    "one row less": (
        of_file(lambda file: file.move("amounts", "all") or file.create_dataset("amounts", data=file["all"][:, 1:])),
        "leaves a result",
    ),
    "no phase fraction": (of_file(lambda file: file.pop("phase_fraction") and None), "leaves a result"),
    "one sigma for all": (of_map(lambda found: {"amounts_sigma": found.amounts_sigma[:1]}), "leaves a result"),
    "x of air": (
        of_file(lambda file: file["phase_fraction"].write_direct(np.zeros(file["iron"].shape, np.float32))),
        "leaves a result",
    ),
    "other iron": (of_file(lambda file: file["iron"].write_direct(np.ones(file["iron"].shape, np.float32))), "leaves a result"),
    "the earlier result": (second_time_only, "says the same again"),
    "its own copy": (beside, "leaves all else alone"),
    "to its input": (to_its_input, "leaves all else alone"),
    "standards by folder": (by_its_folder, "works anywhere"),
    "standards by place": (of_map(lambda _: {"species": ("LFP", "FP")}), "goes by the names of standards"),
    "standards by row": (of_standards(by_row), "does not mind how standards are sampled"),
    "standards of its own": (lambda *paths: pipeline(paths[0], OWN, paths[2]), "swaps with the standards"),
}


@pytest.fixture(scope="module", autouse=True)
def _own_standards(tmp_path_factory):
    folder = tmp_path_factory.mktemp("own")
    OWN.update(Clouds(energies=7).frames().write(folder / "scan.h5", folder))


OWN = {}


@pytest.mark.parametrize(("broken", "name"), BROKEN.values(), ids=BROKEN)
def test_a_broken_pipeline_is_caught(broken, name):
    found = examine(broken, replace(NAMED[name], shrinks=0))
    assert not found.holds
    assert found.case is not None
    assert found.message.startswith("raises ") == (broken in (fails, by_its_folder))


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
