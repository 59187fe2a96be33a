"""Our whole analysis with one thing wrong each: in the scan it is given, in the map, in the file it writes, and beside it."""

import functools
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
from mutant import Mutant
from scipy.ndimage import gaussian_filter

from analysis.choices import Analysis
from analysis.pipeline import analyze
from instrument.files.native import open_scan
from instrument.files.text import read_spectrum
from validation.files import read_map, write_map
from validation.laws.scans import Clouds
from validation.role import pipeline


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


@functools.cache
def own_folder():
    return tempfile.TemporaryDirectory(prefix="txm-twin-own-")


def by_row(scan_path, standards_paths, out_path):
    """The first rows of a standard's file, taken for the scan's energies."""
    with h5py.File(scan_path) as file:
        energies = np.sort(file["energies_eV"][:])
    folder, taken = Path(own_folder().name), {}
    for name, path in standards_paths.items():
        header = [line for line in Path(path).read_text().splitlines() if line.startswith("#")]
        rows = zip(energies, np.loadtxt(path)[: len(energies), 1], strict=True)
        taken[name] = str(folder / f"{name}-by-row.txt")
        Path(taken[name]).write_text("\n".join([*header, *(f"{e} {mu}" for e, mu in rows)]))
    pipeline(scan_path, taken, out_path)


@functools.cache
def own_standards():
    """Of another scan, in a folder that lasts as long as the program."""
    folder = Path(own_folder().name)
    return Clouds(energies=7).frames().write(folder / "scan.h5", folder)


def pipeline_with(name, says, function, source=""):
    return Mutant(name, says, "pipeline", function, source)


PIPELINES = [
    pipeline_with("upside down", "rows are read from below", amounts(lambda a: a[:, ::-1])),
    pipeline_with("mirrored", "left is right", amounts(lambda a: a[..., ::-1])),
    pipeline_with("transposed", "x is y", amounts(lambda a: a.transpose(0, 1, 3, 2))),
    pipeline_with("swapped species", "LFP is FP", amounts(lambda a: a[::-1])),
    pipeline_with(
        "dark not subtracted", "counts are taken for light", of_scan(lambda scan, **counts: {"darks": 0 * counts["darks"]})
    ),
    pipeline_with("log missing", "what is missing of the light counts as depth", of_scan(without_log), "tomopy #79"),
    pipeline_with(
        "one energy off",
        "frames belong to the energy before",
        of_scan(lambda scan, **_: {"energies_eV": np.roll(scan.energies_eV, 1)}),
    ),
    pipeline_with(
        "half an eV off",
        "energies are 0.5 eV low",
        of_scan(lambda scan, **_: {"energies_eV": np.maximum(scan.energies_eV - 0.5, scan.energies_eV.min())}),
    ),
    pipeline_with("one flat for all", "the first energy's flat serves all", of_scan(flat_of_first)),
    pipeline_with(
        "half a pixel off",
        "the axis half a pixel off",
        of_scan(lambda scan, **_: {"center_px": scan.center_px + 0.5}),
        "tomopy #409",
    ),
    pipeline_with(
        "axis ignored",
        "the axis in the middle, whatever is said",
        of_scan(lambda scan, **_: {"center_px": (scan.columns - 1) / 2}),
    ),
    pipeline_with(
        "angles sorted",
        "angles are put in order, views are not",
        of_scan(lambda scan, **_: {"angles_rad": np.sort(scan.angles_rad)}),
        "TIGRE #25",
    ),
    pipeline_with(
        "energies sorted",
        "energies are put in order, frames are not",
        of_scan(lambda scan, **_: {"energies_eV": np.sort(scan.energies_eV)}),
    ),
    pipeline_with("gain", "5 % more iron", amounts(lambda a: 1.05 * a)),
    pipeline_with("a background", "0.05 everywhere", amounts(lambda a: a + 0.05)),
    pipeline_with("transmission above 1 cut", "nothing is brighter than the flat", of_scan(no_brighter_than_air)),
    pipeline_with("amounts below 0 cut", "amounts below zero are set to it", amounts(lambda a: np.maximum(a, 0))),
    pipeline_with(
        "no background fitted",
        "matter without iron counts as iron",
        functools.partial(pipeline, settings=Analysis(background="none")),
    ),
    pipeline_with("sigma a fifth small", "0.8 of it", of_map(sigmas)),
    pipeline_with("sigma of x a fifth small", "0.8 of it, the amounts' is not said", of_map(phase_sigma)),
    pipeline_with("no sigma", "none is said", of_map(lambda _: {"amounts_sigma": None, "phase_fraction_sigma": None})),
    pipeline_with(
        "dark as always",
        "the dark level is a constant of the camera",
        of_scan(lambda scan, **counts: {"darks": 0 * counts["darks"] + 2000}),
    ),
    pipeline_with(
        "first angle for zero",
        "angles count from the first",
        of_scan(lambda scan, **_: {"angles_rad": scan.angles_rad - scan.angles_rad[0]}),
    ),
    pipeline_with(
        "rows dimmer downwards",
        "a tenth from top to bottom",
        amounts(lambda a: a * np.linspace(1, 0.9, a.shape[1])[:, None, None]),
    ),
    pipeline_with("dead columns", "a dead pixel takes its column along", of_scan(dead_columns)),
    pipeline_with(
        "smoothed over rows", "slices hold a part of their neighbours", amounts(lambda a: gaussian_filter(a, (0, 0.5, 0, 0)))
    ),
    pipeline_with(
        "worse where it is surer",
        "an error that grows with the light",
        of_map(lambda found: {"amounts": found.amounts + 0.01 / np.median(found.amounts_sigma)}),
    ),
    pipeline_with("rows scaled together", "the map is scaled to its largest value", amounts(lambda a: a / a.max())),
    pipeline_with("nothing written", "no file", lambda *paths: None),
    pipeline_with("garbage written", "text for a file", lambda scan, standards, out: Path(out).write_text("here")),
    pipeline_with("garbage, silently", "zeros for a file", lambda *paths: Path(paths[2]).write_bytes(bytes(99)) and None),
    pipeline_with("raises", "an error", fails),
    pipeline_with("an answer", "something is returned", lambda *paths: pipeline(*paths) or 1),
    pipeline_with("voxels twice as large", "another voxel size is said", of_map(lambda found: {"voxel_um": 2 * found.voxel_um})),
    pipeline_with(
        "one row less",
        "a slice is missing",
        of_file(lambda file: file.move("amounts", "all") or file.create_dataset("amounts", data=file["all"][:, 1:])),
    ),
    pipeline_with("no phase fraction", "a dataset is missing", of_file(lambda file: file.pop("phase_fraction") and None)),
    pipeline_with("one sigma for all", "sigma of one species", of_map(lambda found: {"amounts_sigma": found.amounts_sigma[:1]})),
    pipeline_with(
        "x of air",
        "a phase fraction where there is no iron",
        of_file(lambda file: file["phase_fraction"].write_direct(np.zeros(file["iron"].shape, np.float32))),
    ),
    pipeline_with(
        "other iron",
        "iron is not the sum",
        of_file(lambda file: file["iron"].write_direct(np.ones(file["iron"].shape, np.float32))),
    ),
    pipeline_with("the earlier result", "a result that is there is kept", second_time_only),
    pipeline_with("its own copy", "a second file is left", beside),
    pipeline_with("to its input", "the scan is written to", to_its_input),
    pipeline_with("standards by folder", "standards are sought beside the scan", by_its_folder),
    pipeline_with("standards by place", "species are named by their place", of_map(lambda _: {"species": ("LFP", "FP")})),
    pipeline_with("standards by row", "standards' rows are taken for the scan's energies", by_row),
    pipeline_with("standards of its own", "standards are not those given", of_standards(lambda paths: own_standards())),
]
