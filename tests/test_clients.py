"""Real programs open our files and read what we wrote.

They live in an environment of their own, made by .ci/clients; TXM_TWIN_CLIENTS names its python.
"""

import dataclasses
import json
import os
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import h5py
import numpy as np
import pytest
from small_particle import VOXEL, normalized, particle, step_of_lfp

from instrument.files.scans import FORMATS, frames_wanted
from instrument.files.text import write_spectrum
from instrument.measurement import Header, Spectrum
from validation import load_study, score, simulate
from validation.results import Stated, read_result

SCRIPTS = Path(__file__).parent / "clients"
PYTHON = os.environ.get("TXM_TWIN_CLIENTS", "")
START_S = 1_764_000_000.0
OFFSET_PX = 1.7

pytestmark = [
    pytest.mark.clients,
    pytest.mark.skipif(not PYTHON, reason="clients absent: set TXM_TWIN_CLIENTS to the python of what .ci/clients makes"),
]


@pytest.fixture
def ask(tmp_path_factory):
    """What a client's script says of these files: one line of JSON."""
    home = tmp_path_factory.mktemp("client")
    # No PYTHONPATH: a client must not see our packages, nor our python's.
    environment = {
        "HOME": str(home),
        "PATH": os.environ["PATH"],
        "MPLBACKEND": "Agg",
        "NUMBA_CACHE_DIR": str(home),
        "NUMBA_NUM_THREADS": "2",
        "OMP_NUM_THREADS": "2",
    }

    def run(script, *arguments):
        command = [str(Path(PYTHON).absolute()), str(SCRIPTS / script), *map(str, arguments)]
        done = subprocess.run(command, cwd=home, env=environment, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr[-3000:]
        (line,) = done.stdout.splitlines()
        return json.loads(line)

    return run


def tiny_scan(angles_deg):
    """A header and counts that no transposition, swap or sign leaves the same."""
    rng = np.random.default_rng(7)
    energies = np.array([7131.0, 7090.25, 7160.75, 7112.5])  # as scanned
    rows, columns, flats, darks = 5, 8, 4, 3
    time_s = np.arange(len(energies) * len(angles_deg)).reshape(len(energies), -1) * 2.0 + 1.0
    header = Header(
        energies_eV=energies,
        angles_rad=np.deg2rad(angles_deg),
        time_s=time_s,
        pixels_um=np.array([0.0291, 0.0292, 0.0293, 0.0295]),
        center_px=(columns - 1) / 2 + 1.25,
        exposures_s=np.array([0.5, 0.25, 0.75, 0.5]),
        shape=(rows, columns),
        flats=flats,
        darks=darks,
        start_s=START_S,
    )
    projections = rng.integers(4000, 20000, (len(energies), len(angles_deg), rows, columns), dtype=np.uint16)
    projections[1, -1, 0, -1] = 65535  # a signed reader would show -1
    frames = {
        "projections": projections,
        "flats": rng.integers(20000, 30000, (len(energies), flats, rows, columns), dtype=np.uint16),
        "darks": rng.integers(95, 106, (len(energies), darks, rows, columns), dtype=np.uint16),
    }
    return header, frames


def written(layout, folder, header, frames):
    """The files of a layout, by name."""
    count = frames_wanted(layout, header)
    header = dataclasses.replace(header, angles_rad=header.angles_rad[:count], time_s=header.time_s[:, :count])
    with FORMATS[layout](folder, header) as scan:
        for i in range(len(header.energies_eV)):
            scan.projections[i] = frames["projections"][i, :count]
            scan.flats[i] = frames["flats"][i]
            scan.darks[i] = frames["darks"][i]
    return sorted(folder.iterdir())


def tomogram(header, frames, i):
    """All that any client may tell of one energy of a tomography scan."""
    projections, flats, darks = (frames[name][i] for name in ("projections", "flats", "darks"))
    flat, dark = np.median(flats, axis=0), np.median(darks, axis=0)
    return {
        "energy_eV": header.energies_eV[i],
        "angles_deg": np.rad2deg(header.angles_rad),
        "pixel_um": header.pixels_um[i],
        "pixels_um": header.pixels_um[[i, i]],
        "width_height": header.shape[::-1],
        "center_px": header.center_px,
        "scan_id": 10001 + i,
        "projections": projections,
        "flats": flats,
        "darks": darks,
        "median_flat": flat,
        "median_dark": dark,
        "transmission": (projections - dark) / (flat - dark),
        "all_frames": np.concatenate([darks, flats, projections]),
    }


# MANTiS widens the energies of its white spectrum by 1 meV before it interpolates them.
ABSOLUTE = {"angles_deg": 1e-6, "optical_depth_xye": 1e-5}


def compare(told, wanted):
    """Each thing told is what was written: counts and names exactly, the rest to what 32-bit floats keep."""
    for name, value in told.items():
        expected = np.asarray(wanted[name])
        assert np.shape(value) == expected.shape, name
        if expected.dtype.kind in "iuU":
            np.testing.assert_array_equal(value, expected, err_msg=name)
        else:
            np.testing.assert_allclose(value, expected, rtol=1e-6, atol=ABSOLUTE.get(name, 0), err_msg=name)


FRAMES = {"energy_eV", "angles_deg", "projections"}
TOMOGRAPHY = {
    # client: script, layout, what it must tell
    "nxtomo": ("read_nxtomo.py", "nxtomo", FRAMES | {"pixels_um", "flats", "darks"}),
    "tomoscan": ("read_tomoscan.py", "nxtomo", FRAMES | {"pixels_um", "flats", "darks", "width_height", "transmission"}),
    "nabu": ("read_nabu.py", "nxtomo", FRAMES | {"pixel_um", "median_flat", "median_dark", "width_height", "center_px"}),
    "silx": ("read_silx.py", "nxtomo", {"energy_eV", "angles_deg", "pixels_um", "all_frames"}),
    "algotom": ("read_algotom.py", "dxchange", FRAMES | {"pixel_um", "flats", "darks"}),
    "pyxas": ("read_pyxas.py", "fxi", FRAMES | {"pixel_um", "scan_id", "transmission"}),
    "txm-sandbox": ("read_txm_sandbox.py", "fxi", FRAMES | {"pixel_um", "flats", "darks"}),
}


@pytest.mark.parametrize("client", TOMOGRAPHY)
def test_client_reads_a_tomography_scan(ask, tmp_path, client):
    script, layout, must_tell = TOMOGRAPHY[client]
    header, frames = tiny_scan(np.linspace(-90, 90, 7))
    files = written(layout, tmp_path / "scan", header, frames)
    assert len(files) == len(header.energies_eV)
    arguments = {
        "pyxas": [tmp_path / "scan"],
        "txm-sandbox": [tmp_path / "scan" / "fly_scan_id_{}.h5", *(path.stem.split("_")[-1] for path in files)],
    }.get(client, files)
    answer = ask(script, *arguments)
    assert len(answer["scans"]) == len(header.energies_eV)
    for i, told in enumerate(answer["scans"]):
        assert set(told) == must_tell
        compare(told, tomogram(header, frames, i))
    if client == "pyxas":
        np.testing.assert_allclose(answer["listed_eV"], header.energies_eV, rtol=1e-9)
        assert answer["listed_ids"] == [10001 + i for i in range(len(header.energies_eV))]


STACKS = {
    # client: script, arguments before the file, layout, what it must tell
    "pyxas": ("read_pyxas.py", ["--2d"], "fxi", {"energies_eV", "transmission"}),
    "txm-sandbox": ("read_txm_sandbox.py", ["--2d"], "fxi", {"energies_eV", "transmission", "pixel_text"}),
    "mantis": (
        "read_mantis.py",
        [],
        "mantis",
        {"plugin", "columns_rows_energies", "energies_eV", "pixel_um", "counts_xye", "optical_depth_xye"},
    ),
    "xanespy": (
        "read_xanespy.py",
        [],
        "32id",
        {"energies_eV", "projections", "flats", "darks", "optical_depth", "start_end"},
    ),
}


@pytest.mark.parametrize("client", STACKS)
def test_client_reads_a_2d_energy_scan(ask, tmp_path, client):
    script, option, layout, must_tell = STACKS[client]
    header, frames = tiny_scan([30.0, 30.0])
    files = written(layout, tmp_path / "scan", header, frames)
    assert len(files) == 2
    rising = np.argsort(header.energies_eV)
    projections, flats, darks = (frames[name][rising] for name in ("projections", "flats", "darks"))
    flat, dark = flats.mean(axis=1), darks.mean(axis=1)
    white = (flat - dark).mean(axis=(1, 2))
    for k, path in enumerate(files):
        told = ask(script, *option, path)
        assert set(told) == must_tell
        transmission = (projections[:, k] - dark) / (flat - dark)
        seconds = header.start_s + header.time_s[[0, -1], k] + np.array([-0.5, 0.5]) * header.exposures_s[[0, -1]]
        wanted = {
            "energies_eV": header.energies_eV[rising],
            "pixel_um": header.pixels_um[0],
            "pixel_text": "29.1nm",
            "transmission": transmission,
            "plugin": "Exchange",
            "columns_rows_energies": np.array([*header.shape[::-1], len(rising)]),
            "counts_xye": (transmission * white[:, None, None]).T,
            "optical_depth_xye": -np.log(transmission).T,
            "projections": projections[:, k],
            "flats": flat,
            "darks": frames["darks"][0],
            "optical_depth": -np.log(projections[:, k] / flat),
            "start_end": np.array([datetime.fromtimestamp(int(s), UTC).strftime("%Y-%m-%d %H:%M:%S") for s in seconds]),
        }
        compare(told, wanted)


@pytest.fixture(scope="module")
def simulation():
    """A small closed particle whose rotation axis the beamline did not centre."""
    return simulate(load_study("tiny", {"stage.center_offset_px": OFFSET_PX, "scan.columns": 60}), threads=2)


def test_larch_reads_the_standards(ask, tmp_path, simulation):
    standards = simulation.standards
    paths = [tmp_path / f"{spectrum.name}.txt" for spectrum in standards]
    for path, spectrum in zip(paths, standards, strict=True):
        write_spectrum(path, spectrum, 3.6)
    answer = ask("read_larch.py", *paths)["spectra"]
    assert [told["name"] for told in answer] == ["LFP", "FP"]
    for told, spectrum in zip(answer, standards, strict=True):
        assert told["labels"] == ["energy_ev", "mu_per_um"]
        assert told["formula"] == spectrum.formula
        np.testing.assert_allclose(told["energies_eV"], spectrum.energies_eV, atol=1e-4)
        np.testing.assert_allclose(told["mu"], spectrum.mu, rtol=1e-9)
    # The chemistry came along: the edge of Fe3+ lies above that of Fe2+.
    lfp, fp = (told["edge_eV"] for told in answer)
    assert 7118 < lfp < fp < 7130


def dice(volume, particle):
    """Overlap of a particle and what a user would call one: all above half of what the brightest voxels are."""
    found = volume > 0.5 * np.percentile(volume, 99)
    return 2 * np.sum(found & particle) / (found.sum() + particle.sum())


def test_algotom_alone_finds_the_centre_and_the_particle(ask, tmp_path, simulation):
    scan = simulation.scan
    header = Header(
        **{name: getattr(scan, name) for name in ("energies_eV", "angles_rad", "time_s", "pixels_um", "exposures_s", "start_s")},
        center_px=(scan.columns - 1) / 2,  # what a beamline would believe: the file must not help
        shape=(scan.rows, scan.columns),
        flats=scan.flats.shape[1],
        darks=scan.darks.shape[1],
    )
    frames = {name: np.asarray(getattr(scan, name)) for name in ("projections", "flats", "darks")}
    above_edge = written("dxchange", tmp_path / "scan", header, frames)[-1]
    told = ask("reconstruct_algotom.py", above_edge, tmp_path / "volumes.npz")
    true_center = (scan.columns - 1) / 2 + OFFSET_PX
    assert abs(told["center_px"] - true_center) < 0.5
    assert np.all(np.abs(np.subtract(told["centers_px"], true_center)) < 1)
    iron = simulation.truth.iron
    fine = iron.shape[0] // scan.rows
    particle = iron.reshape(scan.rows, fine, scan.columns, fine, scan.columns, fine).mean(axis=(1, 3, 5)) > 0.5
    with np.load(tmp_path / "volumes.npz") as volumes:
        assert dice(volumes["found"], particle) > 0.97
        # The bound can fail: about the middle of the detector, or mirrored, the particle is not there.
        assert dice(volumes["middle"], particle) < 0.9
        assert dice(volumes["found"][:, ::-1], particle) < 0.9


# Results of other programs, written by themselves.

ENERGIES = np.linspace(7080, 7190, 111)


@pytest.fixture(scope="module")
def absorbed():
    """Attenuation per pixel of the small particle, (energy, z, y, x), on a background without which PyXAS cannot normalize."""
    sample = particle()
    shapes = np.array([normalized(name, ENERGIES) for name in sample.species])
    other = 0.01 * sample.iron + np.random.default_rng(0).uniform(0, 0.002, sample.shape)
    return (np.einsum("se,szyx->ezyx", shapes, sample.amounts) * step_of_lfp() * VOXEL + other).astype(np.float32)


def well_scored(path, stated, rmse=0.02):
    """The scores of what a program made of data without noise are those of the truth, as far as its normalization goes."""
    scores = score(particle(), read_result(path, stated))
    assert scores["dice_LFP"] == scores["dice_FP"] == scores["scored_share"] == 1
    assert scores["phase_rmse"] < rmse
    assert scores["registration_shift_um"] == pytest.approx(0, abs=0.002)
    assert scores["fsc_truth_iron_um"] == pytest.approx(2 * VOXEL)


def test_results_of_pyxas_are_scored(ask, tmp_path, absorbed):
    """From reconstructions as its own, which need tomopy, to its fit, in slices and whole."""
    for name in ("FP", "LFP"):
        np.savetxt(tmp_path / f"{name}.txt", np.column_stack([ENERGIES / 1000, normalized(name, ENERGIES)]))
    for number, (energy, volume) in enumerate(zip(ENERGIES, absorbed, strict=True), 1001):
        with h5py.File(tmp_path / f"recon_scan_{number}_bin1.h5", "w") as file:
            file["img"], file["X_eng"], file["scan_id"] = volume, energy / 1000, number
    ask("write_pyxas.py", tmp_path, tmp_path / "FP.txt", tmp_path / "LFP.txt", 7.08, 7.105, 7.15, 7.19)
    stated = Stated(voxel_um=VOXEL, species=("FP", "LFP"))
    fitted = tmp_path / "xanes_assemble" / "fitted_xanes"
    for path in (fitted, fitted / "fitted_3d_xanes.h5"):
        well_scored(path, stated)
    well_scored(tmp_path, with_standards())
    well_scored(tmp_path / "xanes_assemble", dataclasses.replace(with_standards(), energies_eV=ENERGIES))


def test_results_of_txm_sandbox_are_scored(ask, tmp_path, absorbed):
    references = {f"{name}_norm.txt": normalized(name, ENERGIES) for name in ("LFP", "FP")}
    np.savez(tmp_path / "made.npz", volumes=absorbed, energies=ENERGIES, **references)
    ask("write_txm_sandbox.py", tmp_path)
    # It smooths each spectrum over 21 energies first, of which the references know nothing: x is 0.15 off in both phases.
    well_scored(tmp_path / "registered.h5", Stated(voxel_um=VOXEL), rmse=0.16)
    well_scored(tmp_path / "registered.h5", with_standards())
    well_scored(tmp_path / "recon", dataclasses.replace(with_standards(), energies_eV=ENERGIES))


def with_standards():
    """Standards of the small particle, 1/um."""
    spectra = (
        Spectrum(name, ENERGIES, normalized(name, ENERGIES) * step_of_lfp() + 0.01 / VOXEL, formula=formula)
        for name, formula in (("LFP", "LiFePO4"), ("FP", "FePO4"))
    )
    return Stated(voxel_um=VOXEL, standards=tuple(spectra))
