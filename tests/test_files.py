from pathlib import Path

import h5py
import numpy as np
import pytest

from analysis.result import AmountMap
from instrument.files.hdf5 import whole_file
from instrument.files.native import new_scan, open_scan
from instrument.files.text import read_spectrum, write_spectrum
from instrument.measurement import Header, Spectrum
from phantom import InputError
from validation.files import read_map, write_map


def a_map():
    rng = np.random.default_rng(0)
    amounts = np.zeros((2, 6, 7, 8), np.float32)
    amounts[:, 1:5, 2:6, 3:7] = rng.uniform(0, 1, (2, 4, 4, 4))
    return AmountMap(("LFP", "FP"), amounts, 0.1, 0.07, amounts / 3, amounts[0] / 2, np.ones((6, 7, 8), np.uint8))


def test_maps_round_trip(tmp_path):
    written = a_map()
    write_map(tmp_path / "m.h5", written)
    read = read_map(tmp_path / "m.h5")
    for name in ("amounts", "amounts_sigma", "phase_fraction_sigma", "flags", "iron"):
        assert np.array_equal(getattr(read, name), getattr(written, name)), name
    assert (read.species, read.voxel_um, read.resolution_um) == (written.species, written.voxel_um, written.resolution_um)


def test_what_the_files_promise(tmp_path):
    written = a_map()
    write_map(tmp_path / "m.h5", written)
    with h5py.File(tmp_path / "m.h5") as file:
        assert file["amounts"].dtype == np.float32
        assert np.isfinite(file["amounts"][...]).all()
        assert np.array_equal(file["phase_fraction"][...], written.phase_fraction, equal_nan=True)
        assert np.isnan(file["phase_fraction"][...][file["iron"][...] < 0.05]).all()
        assert file["flags"].dtype == np.uint8
        assert list(file["species"].asstr()[...]) == ["LFP", "FP"]
        assert set(file.attrs) >= {"format_version", "voxel_um", "origin_um", "versions", "axes"}
        assert file.attrs["axes"] == "z:y:x"
        assert file.attrs["origin_um"] == pytest.approx([-0.25, -0.3, -0.35])


def test_other_axes_and_voxels(tmp_path):
    write_map(tmp_path / "m.h5", a_map())
    turned = read_map(tmp_path / "m.h5", voxel_um=0.2, axes="XYZ")
    assert turned.voxel_um == 0.2
    assert np.array_equal(turned.amounts, a_map().amounts.transpose(0, 3, 2, 1))
    with pytest.raises(InputError, match="--axes"):
        read_map(tmp_path / "m.h5", axes="xxz")


def make_scan(path: Path):
    energies, angles, times = np.array([7100.0, 7126.0]), np.array([0.0, 1.0, 2.0]), np.arange(6.0).reshape(2, 3)
    header = Header(energies, angles, times, np.full(2, 0.06), 4.5, np.array([0.05, 0.02]), (8, 10), 2, 2, 1e9)
    with new_scan(path, header) as scan:
        scan.projections[...] = 7
        scan.flats[...] = 9


def test_scans_round_trip_and_hold_no_truth(tmp_path):
    make_scan(tmp_path / "scan.h5")
    with open_scan(tmp_path / "scan.h5") as scan:
        assert scan.projections.shape == (2, 3, 8, 10)
        assert (scan.projections[...] == 7).all()
        assert (scan.pixel_um, scan.center_px) == (0.06, 4.5)
        assert scan.exposures_s == pytest.approx([0.05, 0.02])
    with h5py.File(tmp_path / "scan.h5") as file:
        assert set(file) == {"energies_eV", "angles_rad", "time_s", "pixels_um", "exposures_s", "projections", "flats", "darks"}
        assert set(file.attrs) == {"format_version", "pixel_um", "center_px", "start_s", "axes"}


@pytest.mark.parametrize("reader", ["scan", "map"])
@pytest.mark.parametrize("damage", ["absent", "empty", "truncated", "text", "foreign"])
def test_damaged_files_are_refused(tmp_path, reader, damage):
    path = tmp_path / "file.h5"
    make_scan(path) if reader == "scan" else write_map(path, a_map())
    if damage == "absent":
        path.unlink()
    elif damage == "empty":
        path.write_bytes(b"")
    elif damage == "truncated":
        path.write_bytes(path.read_bytes()[:700])
    elif damage == "text":
        path.write_text("hello")
    else:
        with h5py.File(path, "w") as file:
            file["something"] = 1
    with pytest.raises(InputError, match=r"file\.h5") as caught:
        open_scan(path).__enter__() if reader == "scan" else read_map(path)
    assert "\n" not in str(caught.value)


def test_a_file_appears_whole_or_not_at_all(tmp_path):
    def fail():
        with whole_file(tmp_path / "x.txt") as temporary:
            temporary.write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert list(tmp_path.iterdir()) == []
    with whole_file(tmp_path / "x.txt") as temporary:
        temporary.write_text("whole")
        assert not (tmp_path / "x.txt").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["x.txt"]


def test_spectra_round_trip(tmp_path):
    spectrum = Spectrum("FP", np.array([7100.0, 7120.5, 7130.25, 7150.0]), np.array([0.01, 0.02, 0.09, 0.06]), formula="FePO4")
    write_spectrum(tmp_path / "FP.txt", spectrum, 3.687)
    text = (tmp_path / "FP.txt").read_text()
    assert "energy_eV mu_per_um" in text
    for word in ("name: FP", "formula: FePO4", "unit: 1/um", "density_g_cm3: 3.687"):
        assert word in text
    read = read_spectrum(tmp_path / "FP.txt", "FP")
    assert read.energies_eV == pytest.approx(spectrum.energies_eV)
    assert read.mu == pytest.approx(spectrum.mu)
    assert (read.formula, read.normalized) == ("FePO4", False)
    with pytest.raises(InputError, match="its header says name: FP; allowed for LFP"):
        read_spectrum(tmp_path / "FP.txt", "LFP")


def test_athena_columns(tmp_path):
    path = tmp_path / "lib.nor"
    path.write_text("# Athena\n# energy LFP FP\n7100 0 0\n7120 0.4 0.1\n7130 1.2 1.5\n7150 1 1\n")
    assert read_spectrum(path, "FP", "FP").mu == pytest.approx([0, 0.1, 1.5, 1])
    assert read_spectrum(path, "FP", "2").mu == pytest.approx([0, 0.4, 1.2, 1])
    assert read_spectrum(path, "FP", "FP").normalized
    with pytest.raises(InputError, match="say which"):
        read_spectrum(path, "FP")
    with pytest.raises(InputError, match="no column"):
        read_spectrum(path, "FP", "NMC")


def test_measured_files_are_read(measured):
    spectrum = read_spectrum(measured / "LFP_FeK_norm.txt", "LFP")
    assert spectrum.normalized
    assert (len(spectrum.mu), spectrum.energies_eV[0], spectrum.energies_eV[-1]) == (
        196,
        7090.0,
        pytest.approx(7199.72, abs=0.01),
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [("", "no numbers"), ("7100 0\n7101 one\n", "line 2"), ("7100 0\n7101 0 3\n", "line 2"), ("7100\n", "line 1")],
)
def test_bad_spectra_files_are_refused(tmp_path, text, words):
    (tmp_path / "s.txt").write_text(text)
    with pytest.raises(InputError, match=words):
        read_spectrum(tmp_path / "s.txt", "LFP")
