"""What TXM-Sandbox writes (github.com/xianghuix/TXM_Sandbox): reconstructions, registered volumes, fits.

`recon_NAME/recon_NAME_SLICE.tiff` (`utils.tomo_recon_tools`, `utils.io.tif_seq_writer`): a folder a scan beside its raw file
NAME.h5, float32 (y, x), tomopy's attenuation per pixel; the energy stands in the raw file alone.

`/registration_results/reg_results/registered_xanes3D` (energy, z, y, x) with `eng_list`
(`utils.xanes_regtools.regtools.apply_xanes3D_chunk_shift`): the same, moved onto each other and cropped.

`/processed_XANES/proc_spectrum/lcf_fit` (z, y, x, reference) (`napari_gui/scripts/xanes3D_fit_cmd.py`): weights of normalized
references whose sum is held to 1, in voxels `bin_fact` wide; references in the order of the names `LCF/ref_alias/refNN`.
"""

import re
from pathlib import Path

import h5py
import numpy as np

from analysis.result import AmountMap
from instrument.files.hdf5 import dataset, open_hdf5, scalar, text, values
from phantom import InputError

from .amounts import from_amounts, iron_of_step, read_numbers
from .fitted import Spectra, energies_for, fit_spectra
from .stated import Array, Stated, in_eV
from .volumes import Values, Volume, hdf5_volume, numbers

_REGISTERED = "registration_results/reg_results/registered_xanes3D"
_ENERGIES = "registration_results/reg_results/eng_list"
_FIT = "processed_XANES/proc_spectrum/lcf_fit"
_PARAMETERS = "processed_XANES/proc_parameters"
_RAW_ENERGIES = ("X_eng", "Experiment/X_eng (keV)", "measurement/instrument/monochromator/energy")
_FORMULAS = {"LIFEPO4": "LFP", "FEPO4": "FP"}


def is_fit(file: h5py.File) -> bool:
    """Whether an HDF5 file holds a linear combination fit."""
    return _FIT in file


def is_registered(file: h5py.File) -> bool:
    """Whether an HDF5 file holds registered volumes at many energies."""
    return _REGISTERED in file


def read_fit(path: Path, stated: Stated) -> tuple[AmountMap, bool]:
    """Weights of the references, times the iron by the edge step of the registered volumes; whether these were there.

    Raises InputError where the references are not named, or are no species.
    """
    with open_hdf5(path, "result") as file:
        names = _species(path, file, dataset(file, _FIT, 4).shape[-1], stated)
        bin_fact = round(scalar(file, f"{_PARAMETERS}/bin_fact")) if f"{_PARAMETERS}/bin_fact" in file else 1
        registered = _REGISTERED in file
        edge_eV, before_eV, after_eV = (
            [scalar(file, f"{_PARAMETERS}/{name}") for name in ("edge_eng", "pre_edge_e", "post_edge_s")]
            if registered
            else (0.0, 0.0, 0.0)
        )
    weights = np.moveaxis(read_numbers(hdf5_volume(path, _FIT, 4), stated, (4,)), -1, 0)
    if names is not None:
        weights = weights[[names.index(name) for name in stated.species]]
    if registered:
        pixel_um = stated.voxel_at(path) / bin_fact
        step = _step(path, edge_eV + before_eV, edge_eV + after_eV, bin_fact, weights.shape[1:], stated)
        weights = weights * iron_of_step(step, pixel_um, stated)
    return from_amounts(path, np.asarray(weights, np.float32), stated), registered


def _species(path: Path, file: h5py.File, count: int, stated: Stated) -> list[str] | None:
    """The species in the order of the `count` references, where their names say them; None where no name says any."""
    place = file.get(f"{_PARAMETERS}/LCF/ref_alias")
    told = [text(place[key][()]) for key in sorted(place)] if isinstance(place, h5py.Group) else []
    words = [{_FORMULAS.get(word, word) for word in re.split(r"[^A-Z0-9]+", name.upper())} & set(stated.species) for name in told]
    if not any(words):
        return None
    found = [name for word in words for name in word]
    if len(words) != count or sorted(found) != sorted(stated.species) or any(len(word) != 1 for word in words):
        raise InputError(
            f"{path}: its {count} references are {', '.join(told)}; allowed are names that each say one of "
            f"{', '.join(stated.species)}, or none that does, in the order of --species; name the species or rename them"
        )
    return found


def _step(path: Path, before_eV: float, after_eV: float, bin_fact: int, shape: tuple[int, ...], stated: Stated) -> Values:
    """Mean attenuation after the edge less that before, (z, y, x), in bins as the fit's, whose rest is left out."""
    spectra = registered(path, stated)
    energies = spectra.energies_eV
    # As TXM-Sandbox does, the nearest there is: its presets reach 50 eV below and 100 above.
    before, after = energies <= max(before_eV, energies.min()), energies >= min(after_eV, energies.max())
    if any(n * bin_fact > m for n, m in zip(shape, spectra.shape, strict=True)):
        raise InputError(
            f"{path}: lcf_fit {shape} in bins of {bin_fact} exceeds the volumes {spectra.shape}; is it another's fit?"
        )
    found = np.empty(shape, np.float32)
    rows, columns = (n * bin_fact for n in shape[1:])
    for k in range(shape[0]):
        slab = spectra.slab(k * bin_fact, (k + 1) * bin_fact)[..., :rows, :columns]
        step = (slab[after].mean(axis=0) - slab[before].mean(axis=0)).mean(axis=0)
        found[k] = step.reshape(shape[1], bin_fact, shape[2], bin_fact).mean(axis=(1, 3))
    return found


def registered(path: Path, stated: Stated) -> Spectra:
    """The registered volumes at their energies. Raises InputError where the two do not fit together."""
    with open_hdf5(path, "result") as file:
        shape = dataset(file, _REGISTERED, 4).shape
        own = in_eV(values(file, _ENERGIES), f"{path}: eng_list") if _ENERGIES in file else None
    energies = energies_for(path, shape[0], "registered volumes", own, stated)

    def slab(low: int, high: int) -> Values:
        with open_hdf5(path, "result") as file:
            return numbers(file[_REGISTERED][:, low:high], path, stated.scale)

    return Spectra(path, energies, shape[1:], slab)


def fit_registered(path: Path, stated: Stated) -> AmountMap:
    """The registered volumes fitted with the standards stated."""
    return fit_spectra(registered(path, stated), stated)


def reconstructions(volumes: dict[str, Volume]) -> dict[str, Volume]:
    """The volumes named recon_..., where there are such: beside them lie trials of the centre."""
    return {name: volume for name, volume in volumes.items() if name.startswith("recon_")} or volumes


def energies_beside(volumes: dict[str, Volume]) -> Array | None:
    """Energies of volumes `recon_NAME` from the raw files NAME.h5 beside their folders; None where one has none."""
    found = []
    for volume in volumes.values():
        raw = volume.where.with_name(f"{volume.where.name.removeprefix('recon_')}.h5")
        if not volume.where.is_dir() or not raw.is_file():
            return None
        with open_hdf5(raw, "scan") as file:
            name = next((name for name in _RAW_ENERGIES if name in file), None)
            if name is None:
                return None
            found.append(scalar(file, name))
    return in_eV(np.array(found), "raw files")
