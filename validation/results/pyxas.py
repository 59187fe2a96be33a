"""What PyXAS writes (github.com/gmysage/pyxas): reconstructions and fits, slice by slice or whole.

`recon_scan_*.h5` (`tomo_recon.recon`) and `ali_recon_*.h5` (`misc.fit_xanes2D_align_tomo_proj`): `img` (z, y, x), tomopy's
attenuation per voxel, binned or not, and `X_eng` or `XEng`, keV, a file an energy. `xanes_assemble/xanes_2D_slice_*.tiff`
(`xanes_fit.assemble_xanes_slice_from_tomo`): the same by slice, (energy, y, x), without its energies.

A fit with n references writes in `fitted_xanes/` (`xanes_fit.save_xanes_fitting_image`) `fitting_result/fit_*.tiff` and
`fitting_result_norm/fit_norm_*.tiff` (n, y, x), coefficients and their shares; `fitting_thickness/` (y, x), the edge step per
pixel or, without normalization, the sum of coefficients; `fitting_mask/mask/`. `fitted_3d_xanes.h5`
(`xanes_fit.fit_2D_xanes_file` of 1.0) holds the same as volumes, and `fit_coef_*ref_N.tiff`
(`xanes_fit.combine_xanes_fit_results`) the coefficients alone.
"""

import re
from pathlib import Path

import h5py
import numpy as np

from analysis.result import AmountMap
from instrument.files.hdf5 import open_hdf5, scalar
from phantom import InputError

from .amounts import from_amounts, iron_of_step, read_numbers
from .fitted import Spectra, energies_for, fit_spectra, spectra_of
from .stated import Stated, in_eV
from .volumes import TIFF, Values, Volume, check_complete, hdf5_volume, natural, numbers, slices, tiff

_ENERGY = ("X_eng", "XEng")
_COEFFICIENTS = re.compile(r"fit_coef_(?:(?P<name>.+)_)?ref_(?P<number>\d+)(?P<masked>_masked)?")


def is_fit(file: h5py.File) -> bool:
    """Whether an HDF5 file is a fitted_3d_xanes.h5."""
    return "xanes_fit_comp0_norm" in file and "xanes_fit_thickness" in file


def is_reconstruction(file: h5py.File) -> bool:
    """Whether an HDF5 file is a reconstruction at one energy."""
    return "img" in file and any(name in file for name in _ENERGY)


def read_fit_file(path: Path, stated: Stated) -> AmountMap:
    """A fitted_3d_xanes.h5: ratios of the references, the iron from the edge step."""
    with open_hdf5(path, "result") as file:
        count = sum(f"xanes_fit_comp{k}_norm" in file for k in range(len(file)))
    ratios = np.stack([read_numbers(hdf5_volume(path, f"xanes_fit_comp{k}_norm"), stated) for k in range(count)])
    step = read_numbers(hdf5_volume(path, "xanes_fit_thickness"), stated)
    return _from_ratios(path, ratios, step, stated)


def fit_folder(folder: Path) -> Path | None:
    """Where in a folder the fit of single slices is."""
    for place in (folder, folder / "fitted_xanes"):
        if (place / "fitting_result_norm").is_dir():
            return place
    return None


def read_fit_folder(folder: Path, stated: Stated) -> AmountMap:
    """Ratios of the references of every slice, the iron from the edge step. Raises InputError where slices are missing."""
    ratio, step = (_slices_in(folder / name) for name in ("fitting_result_norm", "fitting_thickness"))
    if len(ratio) != len(step):
        raise InputError(
            f"{folder}: {len(ratio)} slices in fitting_result_norm, {len(step)} in fitting_thickness; allowed are as many; "
            "fit the missing ones"
        )
    ratios = read_numbers(slices(ratio), stated, (4,)).swapaxes(0, 1)
    thickness = read_numbers(slices(step), stated, (3, 4))
    return _from_ratios(folder, ratios, thickness.reshape(len(step), *thickness.shape[-2:]), stated)


def _from_ratios(where: Path, ratios: Values, step: Values, stated: Stated) -> AmountMap:
    """Amounts from (reference, z, y, x) of sum 1 and the edge step (z, y, x); 0 where PyXAS found no step."""
    if step.shape != ratios.shape[1:]:
        raise InputError(f"{where}: ratios have shape {ratios.shape}, thickness {step.shape}; allowed are equal volumes")
    amounts = ratios * iron_of_step(step, stated.voxel_at(where), stated)
    return from_amounts(where, amounts, stated, cure=f"is its thickness per {stated.unit}? state --unit and --voxel")


def coefficients_in(folder: Path) -> dict[int, Volume]:
    """Volumes fit_coef_*ref_N.tiff by N, unmasked where both are there. Raises InputError for two fits in a folder."""
    found: dict[int, Volume] = {}
    fits = set()
    for path in sorted(folder.iterdir(), key=lambda path: ("_masked" not in path.stem, natural(path))):
        named = _COEFFICIENTS.fullmatch(path.stem)
        if named and path.suffix.lower() in TIFF:
            found[int(named["number"])] = tiff(path)
            fits.add(named["name"])
    if len(fits) > 1:
        raise InputError(f"{folder}: holds coefficients of {len(fits)} fits; allowed is one; keep each in a folder of its own")
    return dict(sorted(found.items()))


def read_coefficients(folder: Path, coefficients: dict[int, Volume], stated: Stated) -> AmountMap:
    """Coefficients of the references as they are: of normalized spectra their sum is 1, with iron or without."""
    return from_amounts(folder, np.stack([read_numbers(volume, stated) for volume in coefficients.values()]), stated)


def reconstructions_in(folder: Path) -> list[Path]:
    """The HDF5 files of a folder that are reconstructions at one energy each."""
    return [path for path in sorted(folder.glob("*.h5"), key=natural) if h5py.is_hdf5(path) and _holds_volume(path)]


def _holds_volume(path: Path) -> bool:
    with open_hdf5(path, "result") as file:
        return is_reconstruction(file)


def fit_reconstructions(folder: Path, files: list[Path], stated: Stated) -> AmountMap:
    """The reconstructions of a folder fitted with the standards stated, at their own energies."""
    own = in_eV(np.array([_energy(path) for path in files]), str(folder))
    volumes = {path.name: hdf5_volume(path, "img") for path in files}
    return fit_spectra(spectra_of(folder, volumes, own, stated), stated)


def _energy(path: Path) -> float:
    with open_hdf5(path, "result") as file:
        return scalar(file, next(name for name in _ENERGY if name in file))


def assembled_in(folder: Path) -> list[Path]:
    """The files xanes_2D_slice_*.tiff of a folder, or of its xanes_assemble."""
    for place in (folder, folder / "xanes_assemble"):
        found = sorted(place.glob("xanes_2D_slice_*.tif*"), key=natural)
        if found:
            check_complete(found)
            return found
    return []


def fit_assembled(folder: Path, files: list[Path], stated: Stated) -> AmountMap:
    """Slices of (energy, y, x) fitted with the standards and the energies stated."""
    volume = slices(files)
    if len(volume.shape) != 4:
        raise InputError(f"{files[0]}: has shape {volume.shape[1:]}; allowed are energies of a slice, (energy, row, column)")
    energies = energies_for(folder, volume.shape[1], "images of a slice", None, stated)

    def slab(low: int, high: int) -> Values:
        return numbers(volume.part(low, high), folder, stated.scale).swapaxes(0, 1)

    return fit_spectra(Spectra(folder, energies, (len(files), *volume.shape[2:]), slab), stated)


def _slices_in(folder: Path) -> list[Path]:
    found = sorted((path for path in folder.glob("*.tif*")), key=natural) if folder.is_dir() else []
    if not found:
        raise InputError(
            f"{folder}: holds no TIFF files; allowed is one for each slice; fit them with PyXAS, or name another folder"
        )
    check_complete(found)
    return found
