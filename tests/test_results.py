"""Results of other programs, in files as they write them, score as the same map in our own HDF5."""

import json
from contextlib import suppress
from dataclasses import replace
from itertools import permutations, product

import h5py
import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from small_particle import SHAPE, VOXEL, normalized, particle, step_of_lfp

from analysis.spectra.combination import LFP_IRON_MOL_CM3, standards_matrix
from instrument.attenuation import attenuation_per_um
from instrument.files.text import write_spectrum
from instrument.measurement import Spectrum
from phantom import InputError
from validation.cli import main
from validation.files import write_map
from validation.results import Stated, read_result, stated_from
from validation.results.grid import placed, turned
from validation.results.handed import better_axes
from validation.scores import score

ENERGIES = np.array([7092.0, 7105.0, 7118.0, 7122.0, 7126.0, 7131.0, 7140.0, 7160.0, 7190.0])


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """truth.h5, a noisy result of it, result.h5, its scores, and the standards."""
    folder = tmp_path_factory.mktemp("made")
    truth = particle()
    noise = np.random.default_rng(3).normal(0, 0.1, truth.amounts.shape).astype(np.float32)
    result = replace(truth, amounts=np.where(truth.iron > 0, truth.amounts + noise, 0).astype(np.float32))
    write_map(folder / "truth.h5", truth)
    write_map(folder / "result.h5", result)
    energies = np.linspace(7085, 7195, 120)
    for name, formula in (("LFP", "LiFePO4"), ("FP", "FePO4")):
        mu = attenuation_per_um(formula, LFP_IRON_MOL_CM3, energies, normalized(name, energies))
        write_spectrum(folder / f"{name}.txt", Spectrum(name, energies, mu, formula=formula), 3.6)
    return folder, result, score(truth, result)


def x_of(result):
    """The phase fraction of a map, NaN without iron."""
    return result.phase_fraction


def attenuation(made, per_um=1.0):
    """The result's attenuation at ENERGIES, in 1/um times `per_um`, with a background everywhere, and how to fit it."""
    folder, result, _ = made
    options = stated_from({"standards": [f"{name}={folder / name}.txt" for name in ("LFP", "FP")]})
    spectra = standards_matrix(list(options.standards), ENERGIES)
    mu = np.einsum("szyx,se->ezyx", result.amounts, spectra) + 0.02
    return (mu * per_um).astype(np.float32), options


def same(made, found, **tolerance):
    """The map's scores are those of the HDF5."""
    wanted = made[2]
    scores = score(particle(), found)
    for name, value in wanted.items():
        if value is None:
            assert scores[name] is None, name
        elif not name.startswith(("pull", "coverage", "phase_sigma")):
            assert scores[name] == pytest.approx(value, **(tolerance or {"abs": 1e-5})), name


def npy(folder, result):
    np.save(folder / "r.npy", result.amounts)
    return folder / "r.npy"


def npz(folder, result):
    np.savez_compressed(folder / "r.npz", FP=result.amounts[1], LFP=result.amounts[0])
    return folder / "r.npz"


def npz_fraction(folder, result):
    np.savez(folder / "r.npz", phase_fraction=x_of(result), iron=result.iron, voxel_um=VOXEL)
    return folder / "r.npz"


def tiff_of_species(folder, result):
    tifffile.imwrite(folder / "r.tif", result.amounts)
    return folder / "r.tif"


def imagej(folder, result):
    tifffile.imwrite(folder / "phase_fraction.tif", np.nan_to_num(x_of(result)), imagej=True)
    tifffile.imwrite(folder / "iron.tif", result.iron, imagej=True)
    return folder


def stack_each(folder, result):
    """Big-endian, compressed, pages one by one."""
    for name, volume in zip(result.species, result.amounts, strict=True):
        with tifffile.TiffWriter(folder / f"map_{name}.tiff", byteorder=">") as file:
            for page in volume:
                file.write(page, compression="zlib")
    return folder


def slices_each(folder, result):
    for name, volume in zip(result.species, result.amounts, strict=True):
        (folder / name).mkdir()
        for k, page in enumerate(volume):
            tifffile.imwrite(folder / name / f"slice_{k + 7}.tif", page)  # without zeros before: 10 comes after 9
    return folder


def slices_together(folder, result):
    for name, volume in zip(result.species, result.amounts, strict=True):
        for k, page in enumerate(volume):
            tifffile.imwrite(folder / f"amount-{name}_{k:04d}.tif", page)
    return folder


def run_folder(folder, result):
    write_map(folder / "result.h5", result)
    return folder


LAYOUTS = [npy, npz, npz_fraction, tiff_of_species, imagej, stack_each, slices_each, slices_together, run_folder]


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.__name__)
def test_each_layout_scores_as_the_hdf5(made, tmp_path, layout):
    told = []
    same(made, read_result(layout(tmp_path, made[1]), Stated(voxel_um=VOXEL), tell=told.append))
    assert not told


def test_a_phase_fraction_alone_has_iron_1_where_it_is_finite(made, tmp_path):
    result, told = made[1], []
    np.save(tmp_path / "x.npy", x_of(result))
    found = read_result(tmp_path / "x.npy", Stated(voxel_um=VOXEL), tell=told.append)
    assert found.iron == pytest.approx(np.isfinite(x_of(result)).astype(float), abs=1e-6)
    assert found.phase_fraction == pytest.approx(x_of(result), abs=1e-6, nan_ok=True)
    assert len(told) == 1
    assert "iron" in told[0]
    for k, page in enumerate(x_of(result)):
        tifffile.imwrite(tmp_path / f"{k:03d}.tif", page)
    (tmp_path / "x.npy").unlink()
    assert np.array_equal(read_result(tmp_path, Stated(voxel_um=VOXEL)).amounts, found.amounts)


@pytest.mark.parametrize("mask", [None, 7.6], ids=["everywhere", "in a cylinder"])
def test_a_phase_fraction_that_outlines_nothing_has_the_truths_iron(tmp_path, mask):
    """Finite iron in all the field would be moved onto the particle, and every voxel scored in a wrong place."""
    x = np.nan_to_num(x_of(particle())) + np.random.default_rng(0).normal(0, 0.1, SHAPE)
    if mask is not None:
        row, column = (np.arange(n) - (n - 1) / 2 for n in SHAPE[1:])
        x[:, np.hypot(row[:, None], column) > mask] = np.nan
    np.save(tmp_path / "x.npy", x)
    told = []
    scores = score(particle(), read_result(tmp_path / "x.npy", Stated(voxel_um=VOXEL), truth=particle(), tell=told.append))
    assert scores["phase_rmse"] == pytest.approx(0.1, abs=0.02)
    assert scores["registration_shift_um"] == 0
    assert "the truth's iron" in told[0]


def test_a_sigma_of_the_phase_fraction_is_scored(made, tmp_path):
    result = made[1]
    sigma = np.full(SHAPE, 0.1, np.float32)
    np.savez(tmp_path / "r.npz", phase_fraction=x_of(result), iron=result.iron, phase_fraction_sigma=sigma)
    found = read_result(tmp_path / "r.npz", Stated(voxel_um=VOXEL))
    assert score(particle(), found)["pull_std"] == score(particle(), replace(result, phase_fraction_sigma=sigma))["pull_std"]


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_integers_are_shares_of_the_scale(made, tmp_path, dtype):
    top = np.iinfo(dtype).max - 5
    stored = np.rint(np.clip(made[1].amounts, 0, 1) * top).astype(dtype)
    tifffile.imwrite(tmp_path / "r.tif", stored, photometric="minisblack")
    found = read_result(tmp_path / "r.tif", Stated(voxel_um=VOXEL, scale=top))
    assert found.amounts == pytest.approx(np.clip(made[1].amounts, 0, 1), abs=0.51 / top)
    with pytest.raises(InputError, match="--scale"):
        read_result(tmp_path / "r.tif", Stated(voxel_um=VOXEL))


def test_labels_need_no_scale(tmp_path):
    labels = particle()
    tifffile.imwrite(tmp_path / "r.tif", labels.amounts.astype(np.uint8), photometric="minisblack")
    assert np.array_equal(read_result(tmp_path / "r.tif", Stated(voxel_um=VOXEL)).amounts, labels.amounts)


SIGNS = list(product(("", "-"), repeat=3))
SIGNED = ["".join(s + a for s, a in zip(signs, order, strict=True)) for order in permutations("zyx") for signs in SIGNS]
AXES = st.permutations("zyx").flatmap(lambda p: st.tuples(*[st.sampled_from([letter, f"-{letter}"]) for letter in p]))


@settings(max_examples=30, deadline=None)
@given(axes=AXES)
def test_axes_in_any_order_and_direction(axes):
    """What is stored with some axes reads as it was, sigma and flags too."""
    whole = replace(particle(), phase_fraction_sigma=particle().amounts[0] / 3, flags=particle().amounts[1].astype(np.uint8))

    def stored(values):
        lead = values.ndim - 3
        turned = values.transpose(*range(lead), *(lead + "zyx".index(axis[-1]) for axis in axes))
        return turned[(..., *[slice(None, None, -1 if "-" in axis else None) for axis in axes])]

    as_stored = replace(
        whole,
        amounts=stored(whole.amounts),
        phase_fraction_sigma=stored(whole.phase_fraction_sigma),
        flags=stored(whole.flags),
    )
    found = placed(as_stored, Stated(axes="".join(axes).upper()))
    for name in ("amounts", "phase_fraction_sigma", "flags"):
        assert np.array_equal(getattr(found, name), getattr(whole, name)), name


@pytest.mark.parametrize(("stored", "stated"), [("z-yx", "zyx"), ("-xzy", "xzy"), ("yx-z", "zxy")])
def test_other_axes_that_fit_better_are_named(made, stored, stated):
    """What is stored as `stored` and read as `stated` is told so; read as it should be, it is not."""
    result = made[1]
    inverse = next(axes for axes in SIGNED if np.array_equal(turned(turned(result.iron, axes), stored), result.iron))
    kept = replace(result, amounts=turned(result.amounts, inverse))
    line = better_axes(particle(), placed(kept, Stated(axes=stated)), Stated(axes=stated))
    assert f"--axes={stored} " in line
    assert better_axes(particle(), placed(kept, Stated(axes=stored)), Stated(axes=stored)) is None


def test_axes_of_our_own_files(made, tmp_path):
    turned = replace(made[1], amounts=made[1].amounts.transpose(0, 3, 1, 2)[:, :, ::-1])
    write_map(tmp_path / "r.h5", turned)
    assert np.array_equal(read_result(tmp_path / "r.h5", Stated(axes="x-zy")).amounts, made[1].amounts)


def test_other_voxels_are_compared_on_the_results_grid(tmp_path):
    """Twice as coarse, the truth averaged is the truth on that grid."""
    fine = particle((24, 28, 32), VOXEL / 2)
    coarse = fine.amounts.reshape(2, 12, 2, 14, 2, 16, 2).mean(axis=(2, 4, 6))
    np.save(tmp_path / "r.npy", coarse)
    scores = score(fine, read_result(tmp_path / "r.npy", Stated(voxel_um=VOXEL)))
    assert scores["phase_rmse"] == pytest.approx(0, abs=1e-6)
    assert scores["registration_shift_um"] == pytest.approx(0, abs=1e-3)


def test_a_cut_is_put_at_its_center(made, tmp_path):
    """Rows 2..11 and columns 4..15 of the field: its axis is at row 3.5, column 3.5 of what is left."""
    np.save(tmp_path / "r.npy", made[1].amounts[:, 2:, :, 4:])
    stated = stated_from({"voxel": VOXEL, "center": "3.5,6.5,3.5"})
    found = read_result(tmp_path / "r.npy", stated, truth=particle())
    assert found.shape == SHAPE
    assert np.array_equal(found.amounts[:, 2:, :, 4:], made[1].amounts[:, 2:, :, 4:])


def test_components_in_another_order(made, tmp_path):
    np.save(tmp_path / "r.npy", made[1].amounts[::-1])
    same(made, read_result(tmp_path / "r.npy", stated_from({"voxel": VOXEL, "species": "FP,LFP"})))


# What TXM-Sandbox and PyXAS write; tests/test_clients.py has PyXAS itself write some of it.


def sandbox_folders(folder, volumes):
    for scan, volume in enumerate(volumes, 9):
        name = f"fly_scan_id_{scan}"
        (folder / f"recon_{name}").mkdir(parents=True)
        for k, page in enumerate(volume):
            tifffile.imwrite(folder / f"recon_{name}" / f"recon_{name}_{k + 3:05d}.tiff", page)
    return folder


def registered(folder, volumes):
    with h5py.File(folder / "3D_trial_reg.h5", "w") as file:
        group = file.create_group("registration_results/reg_results")
        group["registered_xanes3D"], group["eng_list"] = volumes, (ENERGIES / 1000).astype(np.float32)
    return folder / "3D_trial_reg.h5"


def pyxas_files(folder, volumes):
    for k, (energy, volume) in enumerate(zip(ENERGIES, volumes, strict=True)):
        key = ("X_eng", "XEng")[k % 2]  # as recon, and as the alignment writes it
        with h5py.File(folder / f"recon_scan_{1000 + k}_bin1.h5", "w") as file:
            file["img"], file[key], file["scan_id"] = volume, energy / 1000, 1000 + k
    return folder


def assembled(folder, volumes):
    (folder / "xanes_assemble").mkdir()
    for k in range(volumes.shape[1]):
        tifffile.imwrite(folder / "xanes_assemble" / f"xanes_2D_slice_{k:04d}.tiff", volumes[:, k])
    return folder


def stacks(folder, volumes):
    for k, volume in enumerate(volumes):
        tifffile.imwrite(folder / f"rec_{k}.tif", volume)
    return folder


@pytest.mark.parametrize("layout", [sandbox_folders, registered, pyxas_files, assembled, stacks])
def test_reconstructions_are_fitted_with_standards(made, tmp_path, layout):
    volumes, options = attenuation(made, VOXEL)
    told = []
    stated = replace(options, voxel_um=VOXEL, energies_eV=None if layout in (registered, pyxas_files) else ENERGIES)
    same(made, read_result(layout(tmp_path, volumes), stated, tell=told.append), abs=2e-3)
    assert "per pixel" in told[0]


def test_energies_of_sandbox_folders_stand_in_the_raw_files(made, tmp_path):
    volumes, options = attenuation(made, VOXEL)
    folder = sandbox_folders(tmp_path, volumes)
    for scan, energy in enumerate(ENERGIES, 9):
        with h5py.File(folder / f"fly_scan_id_{scan}.h5", "w") as file:
            file["X_eng"] = energy / 1000
    same(made, read_result(folder, replace(options, voxel_um=VOXEL)), abs=2e-3)


@pytest.mark.parametrize(("unit", "per_um"), [("um", 1.0), ("cm", 1e4)])
def test_attenuation_in_other_units(made, tmp_path, unit, per_um):
    volumes, options = attenuation(made, per_um)
    stated = replace(options, voxel_um=VOXEL, energies_eV=ENERGIES, unit=unit)
    same(made, read_result(stacks(tmp_path, volumes), stated), abs=2e-3)


def test_standards_name_their_amounts(made, tmp_path):
    """In whatever order they are given."""
    volumes, options = attenuation(made, VOXEL)
    stated = replace(options, voxel_um=VOXEL, energies_eV=ENERGIES, standards=options.standards[::-1])
    same(made, read_result(stacks(tmp_path, volumes), stated), abs=2e-3)


def test_slabs_fit_as_the_whole(made, tmp_path, monkeypatch):
    volumes, options = attenuation(made, VOXEL)
    stated = replace(options, voxel_um=VOXEL, energies_eV=ENERGIES)
    whole = read_result(stacks(tmp_path, volumes), stated)
    monkeypatch.setattr("validation.results.fitted._AT_ONCE", 5000)
    assert read_result(tmp_path, stated).amounts == pytest.approx(whole.amounts, abs=1e-6)


def test_a_fit_of_pyxas(made, tmp_path):
    """Ratios of FP and LFP, in that order, and the edge step per pixel, slice by slice and whole."""
    result, told = made[1], []
    ratios = np.nan_to_num(np.stack([x_of(result), 1 - x_of(result)]))
    step = result.iron * step_of_lfp() * VOXEL
    for kind, values in (("result_norm/fit_norm", ratios), ("thickness/fitting_thickness", step[None])):
        (tmp_path / f"fitting_{kind}").parent.mkdir()
        for k in range(SHAPE[0]):
            page = values[:, k] if len(values) > 1 else values[0, k]
            tifffile.imwrite(tmp_path / f"fitting_{kind}_xanes_2D_slice_{k:04d}.tiff", page)
    with h5py.File(tmp_path / "fitted_3d_xanes.h5", "w") as file:
        file["type"], file["xanes_fit_thickness"] = "fit_3D_xanes", step
        for k, ratio in enumerate(ratios):
            file[f"xanes_fit_comp{k}_norm"] = file[f"xanes_fit_comp{k}"] = ratio
    stated = Stated(voxel_um=VOXEL, species=("FP", "LFP"))
    for path in (tmp_path, tmp_path / "fitted_3d_xanes.h5"):
        same(made, read_result(path, stated, tell=told.append))
    assert all("edge" in line for line in told)


def test_coefficients_of_pyxas(made, tmp_path):
    for k, amounts in enumerate(made[1].amounts):
        tifffile.imwrite(tmp_path / f"fit_coef_ref_{k}.tiff", amounts)
        tifffile.imwrite(tmp_path / f"fit_coef_ref_{k}_masked.tiff", amounts * 0)
    same(made, read_result(tmp_path, Stated(voxel_um=VOXEL)))


@pytest.mark.parametrize("bin_fact", [1, 2])
def test_a_fit_of_txm_sandbox(made, tmp_path, bin_fact):
    """Weights of sum 1, references in alphabetic order; the iron is in the registered volumes."""
    result = made[1]
    fine = np.repeat(np.repeat(np.repeat(result.iron, bin_fact, 0), bin_fact, 1), bin_fact, 2)
    shell = np.where(ENERGIES > 7112, step_of_lfp(), 0) * VOXEL / bin_fact
    path = registered(tmp_path, (0.01 + shell[:, None, None, None] * fine).astype(np.float32))
    with h5py.File(path, "r+") as file:
        group = file.create_group("processed_XANES/proc_parameters")
        group["bin_fact"], group["edge_eng"], group["pre_edge_e"], group["post_edge_s"] = bin_fact, 7124.0, -50.0, 100.0
        group["LCF/ref_alias/ref01"], group["LCF/ref_alias/ref02"] = "FP_norm.txt", "LiFePO4.txt"
        x = np.nan_to_num(x_of(result))
        file["processed_XANES/proc_spectrum/lcf_fit"] = np.stack([x, 1 - x], axis=-1)
    told = []
    same(made, read_result(path, Stated(voxel_um=VOXEL), tell=told.append), abs=1e-4)
    assert "edge" in told[0]
    with h5py.File(path, "r+") as file:
        del file["processed_XANES/proc_parameters/LCF/ref_alias/ref02"]
        file["processed_XANES/proc_parameters/LCF/ref_alias/ref02"] = "foil.txt"
    with pytest.raises(InputError, match=r"foil\.txt"):
        read_result(path, Stated(voxel_um=VOXEL))


def test_the_command(made, tmp_path, capsys):
    folder, _, wanted = made
    volumes, _ = attenuation(made, VOXEL)
    (tmp_path / "energies.txt").write_text("# keV\n" + "\n".join(f"{energy / 1000:.4f}" for energy in ENERGIES))
    turned = stacks(tmp_path, volumes.transpose(0, 3, 1, 2)[:, :, :, ::-1])
    options = ["--axes", "xz-y", "--voxel", str(VOXEL), "--energies", str(tmp_path / "energies.txt"), "--json"]
    standards = ["--standards", *(f"{name}={folder / name}.txt" for name in ("LFP", "FP"))]
    assert main(["score", str(folder / "truth.h5"), str(turned), *options, *standards]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["phase_rmse"] == pytest.approx(wanted["phase_rmse"], abs=1e-3)
    assert len(err.splitlines()) == 1
    assert "fitted voxel by voxel" in err


def save(name, values):
    return lambda folder: np.save(folder / name, values) or folder / name


def write(name, content):
    return lambda folder: (folder / name).write_bytes(content) and folder / name


def tiffs(**pages):
    def make(folder):
        for name, page in pages.items():
            tifffile.imwrite(folder / f"{name}.tif", page)
        return folder

    return make


def truncated(folder):
    tifffile.imwrite(folder / "r.tif", particle().amounts)
    (folder / "r.tif").write_bytes((folder / "r.tif").read_bytes()[:9000])
    return folder / "r.tif"


def wrong_h5(**datasets):
    def make(folder):
        with h5py.File(folder / "r.h5", "w") as file:
            for name, values in datasets.items():
                file[name] = values
        return folder / "r.h5"

    return make


CUBE = np.ones((8, 8, 8), np.float32)
BAD = {
    "missing": (lambda folder: folder / "absent.tif", {}, "no such"),
    "empty folder": (lambda folder: folder, {}, "no volume"),
    "empty file": (write("r.tif", b"\n"), {}, "no known kind"),
    "text": (write("r.txt", b"hello there"), {}, "no known kind"),
    "truncated tiff": (truncated, {}, "damaged"),
    "truncated npy": (write("r.npy", b"\x93NUMPY\x01\x00"), {}, "damaged"),
    "truncated npz": (write("r.npz", b"PK\x03\x04 no more"), {}, "damaged"),
    "objects": (save("r.npy", np.array([{}, None], dtype=object)), {}, "objects"),
    "complex": (save("r.npy", CUBE * 1j), {}, "real numbers"),
    "two axes": (save("r.npy", CUBE[0]), {}, "3 or 4 axes"),
    "no voxels": (save("r.npy", CUBE[:0]), {}, "one voxel"),
    "all NaN": (save("r.npy", CUBE * np.nan), {}, "NaN alone"),
    "no voxel size": (save("r.npy", CUBE), {"voxel": None}, "--voxel"),
    "bad voxel size": (save("r.npy", CUBE), {"voxel": -1.0}, "--voxel"),
    "bad axes": (save("r.npy", CUBE), {"axes": "zyy"}, "--axes"),
    "bad axes' signs": (save("r.npy", CUBE), {"axes": "z--yx"}, "--axes"),
    "bad center": (save("r.npy", CUBE), {"center": "1,2"}, "--center"),
    "center far off": (save("r.npy", CUBE), {"center": "1,2,300"}, "--center"),
    "no FP": (save("r.npy", CUBE), {"species": "LFP,NMC"}, "--species"),
    "three components": (save("r.npy", np.ones((3, 8, 8, 8))), {}, "--species"),
    "integers": (save("r.npy", (CUBE * 7).astype(np.int16)), {}, "--scale"),
    "another quantity": (save("r.npy", CUBE * 7126.3), {}, "7126"),
    "mixed slices": (tiffs(a_1=CUBE[0], a_2=CUBE[0, 1:]), {}, "a_2.tif"),
    "a slice left out": (tiffs(a_1=CUBE[0], a_3=CUBE[0]), {}, "without a gap"),
    "mixed species": (tiffs(LFP=CUBE, FP=CUBE[1:]), {}, "shapes"),
    "unknown names": (tiffs(this=CUBE, that=CUBE), {}, "phase_fraction"),
    "iron of another shape": (tiffs(phase_fraction=CUBE, iron=CUBE[1:]), {}, "iron has shape"),
    "colours": (tiffs(r=np.zeros((8, 8, 3), np.uint8)), {}, "colours"),
    "foreign hdf5": (wrong_h5(data=CUBE), {}, "holds data"),
    "one energy": (wrong_h5(img=CUBE, X_eng=7.12), {}, "folder"),
    "no standards": (wrong_h5(**{"registration_results/reg_results/registered_xanes3D": CUBE[None]}), {}, "energies"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_told_in_one_line(made, tmp_path, capsys, case):
    make, changes, words = BAD[case]
    path = make(tmp_path)
    options = {"voxel": VOXEL} | changes
    words_typed = [f"--{name}={value}" for name, value in options.items() if value is not None]
    assert main(["score", str(made[0] / "truth.h5"), str(path), *words_typed]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert len(err.splitlines()) == 1
    assert words in err


@pytest.fixture(scope="module")
def intact(tmp_path_factory):
    """A small file of each kind, by suffix."""
    folder, found = tmp_path_factory.mktemp("intact"), {}
    for suffix, make in ((".npy", npy), (".npz", npz), (".tif", tiff_of_species), (".h5", lambda f, r: registered(f, r.amounts))):
        found[suffix] = make(folder, particle((8, 8, 8)))
    return found


@settings(max_examples=60, deadline=None)
@given(
    kind=st.sampled_from([".npy", ".npz", ".tif", ".h5"]),
    changes=st.lists(st.tuples(st.integers(0, 700), st.integers(0, 255)), min_size=1, max_size=6),
    kept=st.floats(0.2, 1),
)
def test_damaged_files_are_read_or_refused(intact, kind, changes, kept):
    """Whatever bytes are lost or wrong: never another error."""
    damaged = bytearray(intact[kind].read_bytes())
    for at, value in changes:
        damaged[at % len(damaged)] = value
    path = intact[kind].with_name(f"damaged{kind}")
    path.write_bytes(damaged[: int(kept * len(damaged))])
    with suppress(InputError):
        read_result(path, Stated(voxel_um=VOXEL))


BAD_FITS = {
    "no energies": (stacks, {"energies_eV": None}, "--energies"),
    "too few energies": (stacks, {"energies_eV": ENERGIES[1:]}, "9 volumes and 8"),
    "too few images": (assembled, {"energies_eV": ENERGIES[1:]}, "9 images of a slice and 8"),
    "no standards": (stacks, {"standards": ()}, "--standards"),
    "no standards, PyXAS": (pyxas_files, {"standards": ()}, "--standards"),
    "outside the standards": (stacks, {"energies_eV": ENERGIES + 50}, "lies outside"),
    "another unit": (stacks, {"voxel_um": VOXEL / 20}, "--unit"),
}


@pytest.mark.parametrize("case", BAD_FITS)
def test_what_cannot_be_fitted_is_told(made, tmp_path, case):
    layout, changes, words = BAD_FITS[case]
    volumes, options = attenuation(made, VOXEL)
    stated = replace(options, **({"voxel_um": VOXEL, "energies_eV": ENERGIES} | changes))
    with pytest.raises(InputError, match=words) as caught:
        read_result(layout(tmp_path, volumes), stated)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"energies": "7100,x"}, "--energies"),
        ({"energies": "0.5,7.1"}, "in eV, or in keV"),
        ({"energies": "absent.txt"}, "which is no file"),
        ({"standards": ["LFP"]}, "--standards"),
        ({"scale": 0.0}, "--scale"),
    ],
)
def test_what_cannot_be_stated_is_told(options, words):
    with pytest.raises(InputError, match=words):
        stated_from(options)
