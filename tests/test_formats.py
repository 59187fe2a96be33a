"""Scan files in every layout: what is written is read; what other people's files may say otherwise."""

import os
import time
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scan_files import READABLE, START_S, a_header, edited, order_of, put, same, write

from instrument.files.scans import FORMATS, frames_wanted, open_any
from phantom import InputError


@pytest.mark.parametrize("layout", READABLE)
@given(
    energies=st.lists(st.integers(28000, 29200).map(lambda n: n / 4), min_size=2, max_size=4, unique=True),
    sizes=st.tuples(*[st.integers(2, 9)] * 3),
    references=st.tuples(st.integers(1, 4), st.integers(1, 4)),
)
def test_round_trip(tmp_path_factory, layout, energies, sizes, references):
    header = a_header(tuple(energies), *sizes, *references)
    folder = tmp_path_factory.mktemp("scan") / "new"
    counts, order = write(folder, layout, header), order_of(layout, header)
    with open_any([folder]) as scan:
        assert same(scan, header, counts, order)
        assert scan.center_px == pytest.approx(header.center_px)
        assert scan.projections.dtype == np.uint16
        when = scan.start_s + scan.time_s - START_S
        if layout == "fxi":
            # The layout tells when a file begins, and no exposure.
            first = header.time_s[order][:, :1] - header.exposures_s[order][:, None] / 2
            assert when == pytest.approx(np.broadcast_to(first - first.min() + when.min(), when.shape), abs=1e-5)
            assert np.isnan(scan.exposures_s).all()
        else:
            assert when == pytest.approx(header.time_s[order], abs=1e-5)
            assert scan.exposures_s == pytest.approx(header.exposures_s[order])


@pytest.mark.parametrize("layout", ["native", "dxchange", "nxtomo"])
def test_a_series_stays_one(tmp_path, layout):
    header = a_header(series=True)
    counts = write(tmp_path, layout, header)
    with open_any([tmp_path]) as scan:
        assert scan.is_series
        assert same(scan, header, counts, order_of(layout, header))


def test_an_axis_beside_the_middle(tmp_path):
    header = replace(a_header(), center_px=3.25)
    for layout, found in (("native", 3.25), ("nxtomo", 3.25), ("fxi", 2.5), ("dxchange", 2.5)):
        write(tmp_path / layout, layout, header)
        with open_any([tmp_path / layout]) as scan:
            assert scan.center_px == found, layout


def test_the_same_scan_gives_the_same_bytes_whenever_it_is_written(tmp_path):
    for layout in FORMATS:
        write(tmp_path / "one" / layout, layout, a_header(series=True))
    time.sleep(1.01)  # HDF5 would keep times in whole seconds
    for layout in FORMATS:
        write(tmp_path / "two" / layout, layout, a_header(series=True))
    paths = [path for path in sorted((tmp_path / "one").rglob("*")) if path.is_file()]
    assert len(paths) > len(FORMATS)
    for path in paths:
        assert path.read_bytes() == (tmp_path / "two" / path.relative_to(tmp_path / "one")).read_bytes(), path.name


@pytest.mark.parametrize("layout", FORMATS)
def test_a_set_of_files_appears_whole_or_not_at_all(tmp_path, layout):
    header = a_header(series=True)

    def fail():
        with FORMATS[layout](tmp_path / "new", header) as scan:
            scan.projections[0, 0] = 1
            assert not [path for path in (tmp_path / "new").iterdir() if not path.name.startswith(".")]
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert list(tmp_path.iterdir()) == []
    write(tmp_path, layout, header)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(RuntimeError), FORMATS[layout](tmp_path, header):
        raise RuntimeError
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_set_that_cannot_be_placed_vanishes(tmp_path, monkeypatch):
    real = os.replace

    def replace_but_the_last(source, target):
        if "10003" in str(target):
            raise OSError("disk full")
        real(source, target)

    monkeypatch.setattr(os, "replace", replace_but_the_last)
    with pytest.raises(OSError, match="disk full"):
        write(tmp_path, "fxi", a_header())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("layout", ["fxi", "dxchange", "nxtomo", "32id", "mantis"])
def test_files_of_another_scan_are_not_left_beside_the_new_ones(tmp_path, layout):
    header = a_header(series=True)
    write(tmp_path, layout, header)
    n = frames_wanted(layout, header)
    fewer = replace(header, energies_eV=header.energies_eV[:2], time_s=header.time_s[:2, : n - 1], pixels_um=header.pixels_um[:2])
    fewer = replace(fewer, angles_rad=header.angles_rad[: n - 1])
    with pytest.raises(InputError, match="another scan"), FORMATS[layout](tmp_path, fewer):
        pass
    with pytest.raises(InputError, match="cannot be written"), FORMATS[layout](tmp_path / next(tmp_path.iterdir()).name, fewer):
        pass


def test_names_follow_the_scan_in_time_and_repeats_are_two_files(tmp_path):
    header = a_header((7126.5, 7100.0, 7126.5))
    for layout in ("fxi", "dxchange", "nxtomo"):
        write(tmp_path / layout, layout, header)
        paths = sorted((tmp_path / layout).iterdir())
        assert len(paths) == 3
        with pytest.raises(InputError, match="an energy once"), open_any(paths):
            pass
        with open_any(paths[:2]) as scan:
            assert list(scan.energies_eV) == [7100.0, 7126.5]
    assert [path.name for path in sorted((tmp_path / "fxi").iterdir())] == [f"fly_scan_id_{10001 + i}.h5" for i in range(3)]
    assert [path.name for path in sorted((tmp_path / "dxchange").iterdir())][1] == "dxchange_001_07100.00eV.h5"


def test_how_many_angles_a_format_takes():
    tomography, series = a_header(), a_header(series=True)
    assert {name: frames_wanted(name, tomography) for name in FORMATS} == dict.fromkeys(FORMATS, 5) | {"32id": 1, "mantis": 1}
    assert {frames_wanted(name, series) for name in FORMATS} == {5}
    for name in ("32id", "mantis"):
        with pytest.raises(InputError, match="one view"), FORMATS[name](Path(), tomography):
            pass


# What the layouts promise


def described(path):
    """Every dataset of a file: name -> (shape, dtype)."""
    found = {}
    with h5py.File(path) as file:
        file.visititems(lambda name, node: found.update({name: (node.shape, node.dtype)} if hasattr(node, "shape") else {}))
    return found


def test_fxi_datasets(tmp_path):
    header = a_header()
    counts = write(tmp_path, "fxi", header)
    found = described(tmp_path / "fly_scan_id_10002.h5")
    assert found["img_tomo"] == ((5, 4, 6), np.uint16)
    assert (found["img_bkg"], found["img_dark"]) == (((3, 4, 6), np.uint16), ((2, 4, 6), np.uint16))
    assert found["img_bkg_avg"] == found["img_dark_avg"] == ((1, 4, 6), np.float32)
    for name in (
        "X_eng",
        "scan_id",
        "scan_time",
        "uid",
        "note",
        "x_ini",
        "y_ini",
        "z_ini",
        "r_ini",
        "Magnification",
        "Pixel Size",
    ):
        assert found[name][0] == (), name
    with h5py.File(tmp_path / "fly_scan_id_10002.h5") as file:
        assert file["X_eng"][()] == pytest.approx(7.1)
        assert file["angle"][...] == pytest.approx([-90, -45, 0, 45, 90])
        assert file["scan_time"][()] == pytest.approx(START_S + 107 - 0.03, abs=1e-5)
        assert 6500 / file["Magnification"][()] == pytest.approx(file["Pixel Size"][()])
        assert file["Pixel Size"][()] == pytest.approx(1000 * header.pixels_um[1])
        assert np.array_equal(file["img_bkg_avg"][0], np.median(counts["flats"][1], axis=0))


def test_nxtomo_frames_keys_and_links(tmp_path):
    header = a_header()
    counts = write(tmp_path, "nxtomo", header)
    with h5py.File(tmp_path / "nxtomo_001_07100.00eV.nx") as file:
        entry = file["entry"]
        assert list(entry["instrument/detector/image_key"][...]) == [2] * 2 + [1] * 3 + [0] * 5
        assert list(entry["sample/rotation_angle"][...][5:]) == pytest.approx([-90, -45, 0, 45, 90])
        assert entry["data/data"] == entry["instrument/detector/data"]
        assert np.array_equal(entry["data/data"][5:], counts["projections"][1])
        for group in ("sample", "instrument/detector"):
            assert entry[f"{group}/x_pixel_size"][()] == pytest.approx(header.pixels_um[1] * 1e-6)
            assert entry[f"{group}/x_pixel_size"].attrs["units"] == "m"
        assert entry["beam/incident_energy"][()] == pytest.approx(7.1)
        classes = {name: node.attrs["NX_class"] for name, node in entry.items() if "NX_class" in node.attrs}
        assert classes == {"instrument": "NXinstrument", "sample": "NXsample", "beam": "NXbeam", "data": "NXdata"}
        assert (entry.attrs["NX_class"], entry["definition"].asstr()[()]) == ("NXentry", "NXtomo")


def test_dxchange_paths(tmp_path):
    header = a_header()
    write(tmp_path, "dxchange", header)
    with h5py.File(tmp_path / "dxchange_001_07100.00eV.h5") as file:
        assert file["implements"].asstr()[()] == "exchange:measurement:process"
        assert file["exchange/data"].attrs["axes"] == "theta:y:x"
        assert file["measurement/instrument/monochromator/energy"][0] == pytest.approx(7.1)
        detector = file["measurement/instrument/detector"]
        pixel = file["measurement/instrument/detection_system/objective/resolution"]
        assert pixel[0] == detector["pixel_size_x"][0] == detector["actual_pixel_size_y"][0] == header.pixels_um[1]
        assert file["process/acquisition/start_date"][0] == b"2026-01-15T08:01:46+0000"
        rotation = file["process/acquisition/rotation"]
        assert [rotation[name][0] for name in ("rotation_start", "rotation_step", "num_angles")] == [-90, 45, 5]


def transmission(counts, k):
    flat, dark = counts["flats"].mean(axis=1), counts["darks"].mean(axis=1)
    return (counts["projections"][:, k] - dark) / (flat - dark)


def test_stacks_hold_one_view_at_rising_energies(tmp_path):
    header = a_header(series=True)
    order = [1, 2, 0]
    for layout in ("fxi", "32id", "mantis"):
        counts = write(tmp_path / layout, layout, header)
        assert len(list((tmp_path / layout).iterdir())) == 5
    with h5py.File(tmp_path / "fxi" / "xanes_scan2_id_10004.h5") as file:
        assert file["X_eng"][...] == pytest.approx([7.1, 7.11225, 7.1265])
        assert file["img_xanes"][...] == pytest.approx(transmission(counts, 3)[order], rel=1e-6)
        assert file["Pixel Size"].asstr()[()] == "60nm"
    with h5py.File(tmp_path / "32id" / "xanes_003.h5") as file:
        assert file["exchange/energy"][...] == pytest.approx([7.1, 7.11225, 7.1265])
        assert np.array_equal(file["exchange/data"][...], counts["projections"][order, 3])
        assert file["exchange/data_white"].shape == (3, 4, 6)
        assert len(file["process/acquisition/end_date"][0]) == 24
    with h5py.File(tmp_path / "mantis" / "stack_003.hdf5") as file:
        white = file["spectromicroscopy/normalization/white_spectrum"][...]
        shown = file["exchange/data"][...] / white
        assert shown == pytest.approx(transmission(counts, 3)[order].transpose(2, 1, 0), rel=1e-6)
        assert file["exchange/energy"][...] == pytest.approx([7100, 7112.25, 7126.5])
        assert file["exchange/energy"].attrs["units"] == "eV"
        assert "theta" not in file["exchange"]


# Files that other people bring


def test_a_pixel_with_its_unit_in_the_string(tmp_path):
    header = a_header()
    counts = write(tmp_path, "fxi", header)
    edited(tmp_path, lambda file: put(file, "Pixel Size", f"{file['Pixel Size'][()]:.13f}nm"))
    with open_any([tmp_path]) as scan:
        assert same(scan, header, counts, order_of("fxi", header))


def test_units_are_believed(tmp_path):
    header = a_header()
    counts = write(tmp_path, "dxchange", header)
    energy, pixel = "measurement/instrument/monochromator/energy", "measurement/instrument/detection_system/objective/resolution"

    def edit(file):
        put(file, energy, 1000 * file[energy][0], units="eV")
        put(file, "exchange/theta", np.deg2rad(file["exchange/theta"][...]), units="radians")
        put(file, pixel, 1000 * file[pixel][0], units="nm")

    edited(tmp_path, edit)
    with open_any([tmp_path]) as scan:
        assert same(scan, header, counts, order_of("dxchange", header))


def test_entries_of_one_file_and_frames_in_any_order(tmp_path):
    header = a_header()
    counts = write(tmp_path / "new", "nxtomo", header)
    keys = np.array([0, 1, 3, 2, 0, 0, 1, 1, 2, 0, 0])
    with h5py.File(tmp_path / "all.nx", "w") as target:
        for i, path in enumerate(sorted((tmp_path / "new").iterdir())):
            with h5py.File(path) as file:
                file.copy("entry", target, f"entry{i}")
            entry, frames = target[f"entry{i}"], np.zeros((len(keys), 4, 6), np.uint16)
            for key, name in enumerate(("projections", "flats", "darks")):
                frames[keys == key] = counts[name][i]
            degrees = np.full(len(keys), 33.0)
            degrees[keys == 0] = np.rad2deg(header.angles_rad)
            for name, value in (("data", frames), ("image_key", keys)):
                put(entry, f"instrument/detector/{name}", value)
            put(entry, "sample/rotation_angle", degrees, units="degree")
            del entry["instrument/detector/start_time"]
        target["moved"] = h5py.SoftLink("/nowhere")
    with open_any([tmp_path / "all.nx"]) as scan:
        assert same(scan, header, counts, order_of("nxtomo", header))
        assert np.array_equal(
            scan.projections[1:, 1:3, 1, ::2], counts["projections"][order_of("nxtomo", header)][1:, 1:3, 1, ::2]
        )
        assert np.diff(scan.time_s[0]) == pytest.approx([0.06] * 4, abs=1e-5)


def test_a_folder_stands_for_the_scan_in_it(tmp_path):
    header = a_header()
    counts = write(tmp_path, "fxi", header)
    with h5py.File(tmp_path / "truth.h5", "w") as file:
        file["amounts"] = np.ones((2, 3, 3, 3))
    (tmp_path / "notes.txt").write_text("hello")
    (tmp_path / "standards").mkdir()
    with open_any([tmp_path]) as scan:
        assert same(scan, header, counts, order_of("fxi", header))
    with pytest.raises(InputError, match="holds no scan"), open_any([tmp_path / "truth.h5"]):
        pass
    with pytest.raises(InputError, match="holds no scan"), open_any([tmp_path / "standards"]):
        pass
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["x"] = 1
    with pytest.raises(InputError, match=r"other\.h5: holds no scan"), open_any([tmp_path]):
        pass
    (tmp_path / "other.h5").unlink()
    write(tmp_path, "dxchange", header)
    with pytest.raises(InputError, match="one layout"), open_any([tmp_path]):
        pass


@pytest.mark.parametrize("layout", ["32id", "mantis", "fxi"])
def test_stacks_are_no_tomograms(tmp_path, layout):
    write(tmp_path, layout, a_header(series=True))
    with pytest.raises(InputError, match="2D stack"), open_any(sorted(tmp_path.iterdir())):
        pass


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"rows": 5}, "one shape"),
        ({"flats": 4}, "one shape"),
        ({"angles": 6}, "one shape"),
        ({"energies": (7126.5, 7110.0)}, "an energy once"),
    ],
)
def test_files_of_two_scans_are_refused(tmp_path, change, words):
    for layout in ("fxi", "dxchange", "nxtomo"):
        write(tmp_path / layout / "a", layout, a_header())
        write(tmp_path / layout / "b", layout, a_header(**{"energies": (7090.0, 7080.0)} | change))
        with pytest.raises(InputError, match=words), open_any([tmp_path / layout / "a", tmp_path / layout / "b"]):
            pass


def test_angles_and_pixels_agree_between_files(tmp_path):
    jitter, header = np.deg2rad([0.0, 4.0, 0.0, -4.0, 0.0]), a_header()
    for layout in ("fxi", "dxchange", "nxtomo"):
        folder = tmp_path / layout
        counts = write(folder / "a", layout, header)
        other = replace(a_header((7090.0,)), angles_rad=header.angles_rad + jitter)
        write(folder / "near", layout, replace(other, pixels_um=np.array([0.064])))
        write(folder / "far", layout, replace(other, angles_rad=header.angles_rad + 1.2 * jitter))
        write(folder / "coarse", layout, replace(other, pixels_um=np.array([0.12])))
        with open_any([folder / "a", folder / "near"]) as scan:
            assert scan.pixels_um[0] == pytest.approx(0.064)
            assert np.array_equal(scan.projections[1], counts["projections"][1])
        with pytest.raises(InputError, match="angles differ"), open_any([folder / "a", folder / "far"]):
            pass
        with pytest.raises(InputError, match="the pixel is"), open_any([folder / "a", folder / "coarse"]):
            pass


def test_no_path_and_two_native_scans(tmp_path):
    for name in "ab":
        write(tmp_path / name, "native", a_header())
    with pytest.raises(InputError, match="holds all energies"), open_any([tmp_path / "a", tmp_path / "b"]):
        pass
    with pytest.raises(InputError, match="holds no scan"), open_any([]):
        pass
    with pytest.raises(InputError, match="no such scan file"), open_any([tmp_path / "c"]):
        pass
