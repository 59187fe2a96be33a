"""Results of any program as maps of amounts: our HDF5, TIFF, NumPy, TXM-Sandbox and PyXAS, told apart by what they hold."""

from collections.abc import Callable
from pathlib import Path

import h5py

from analysis.result import AmountMap
from instrument.files.hdf5 import open_hdf5
from phantom import InputError

from ..files import read_map
from . import arrays, pyxas, sandbox
from .fitted import fit_spectra, spectra_of
from .grid import outlined, placed
from .stated import Stated, stated_from
from .volumes import foreign, numpy_file, tiff, volumes_in

__all__ = ["Stated", "read_result", "stated_from"]

_ALLOWED = "allowed are our result.h5, TIFF stacks or slices, .npy, .npz, and results or reconstructions of TXM-Sandbox and PyXAS"
_IRON_ONE = "holds no iron, which is taken as 1 where the phase fraction is finite"
_IRON_TRUE = "holds no iron and is finite far beyond the particle: the truth's iron is taken, so place and outline are not judged"
_IRON_BY_STEP = (
    "iron is the rise of attenuation at the edge, per {unit}, over that of LiFePO4, and references are taken as normalized"
)
_AS_STORED = "coefficients are taken as amounts; without the edge step of each voxel they know no iron if spectra were normalized"
_OWN_FIT = (
    "attenuation per {unit} was fitted voxel by voxel with {names} and background {background}; its noise, so sigma, is unknown"
)


def read_result(
    path: Path,
    stated: Stated | None = None,
    *,
    truth: AmountMap | None = None,
    tell: Callable[[str], None] = lambda line: None,
) -> AmountMap:
    """The result at `path`, a file or folder of any program, as amounts (species, z, y, x) in the axes and place `stated`.

    `tell` hears a line about what was assumed. To the field of `truth`, where given, a result with a `center` is grown, and
    the truth's iron is taken where a phase fraction alone is finite far beyond the particle. Where a file holds both
    attenuation at many energies and a program's own fit, standards ask for the first.

    Raises InputError for what is missing, damaged, of an unknown layout, or lacks what must be stated.
    """
    stated = stated or Stated()
    if not path.exists():
        raise InputError(f"{path}: no such result file or folder")
    stored, assumed = _from_folder(path, stated) if path.is_dir() else _from_file(path, stated)
    found = placed(stored, stated, truth)
    if assumed == _IRON_ONE and truth is not None:
        own, found = found, outlined(found, truth)
        assumed = _IRON_ONE if found is own else _IRON_TRUE
    if assumed:
        names = " and ".join(standard.name for standard in stated.standards)
        tell(f"{path}: " + assumed.format(unit=stated.unit, names=names, background=stated.background))
    return found


def _from_file(path: Path, stated: Stated) -> tuple[AmountMap, str]:
    """A map in the axes of a file, and what was assumed; the file's first bytes say what it is."""
    with foreign(path), path.open("rb") as file:
        start = file.read(8)
    if start[:6] == b"\x93NUMPY" or start[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
        volume = numpy_file(path) if start[0] == 0x93 else tiff(path)
        found, known = arrays.read_array(volume, stated)
        return found, "" if known else _IRON_ONE
    if start[:2] == b"PK":
        found, known = arrays.read_npz(path, stated)
        return found, "" if known else _IRON_ONE
    if not h5py.is_hdf5(path) and path.suffix.lower() not in (".h5", ".hdf5", ".hdf", ".nx", ""):
        raise InputError(f"{path}: is of no known kind; {_ALLOWED}; convert it")
    return _from_hdf5(path, stated)


def _from_hdf5(path: Path, stated: Stated) -> tuple[AmountMap, str]:
    with open_hdf5(path, "result") as file:
        names = ", ".join(list(file)[:8])
        ours, pyxas_fit, reconstruction = "amounts" in file, pyxas.is_fit(file), pyxas.is_reconstruction(file)
        sandbox_fit, registered = sandbox.is_fit(file), sandbox.is_registered(file)
    if ours:
        return read_map(path, stated.voxel_um), ""
    if pyxas_fit:
        return pyxas.read_fit_file(path, stated), _IRON_BY_STEP
    if sandbox_fit and not (registered and stated.standards):
        found, known = sandbox.read_fit(path, stated)
        return found, _IRON_BY_STEP if known else _IRON_ONE
    if registered:
        return sandbox.fit_registered(path, stated), _OWN_FIT
    if reconstruction:
        raise InputError(f"{path}: is a reconstruction at one energy; allowed is the folder of all energies; name {path.parent}")
    raise InputError(f"{path}: holds {names or 'nothing'}; {_ALLOWED}; is this the right file?")


def _from_folder(folder: Path, stated: Stated) -> tuple[AmountMap, str]:
    """A map in the axes of a folder's files, and what was assumed."""
    if (folder / "result.h5").is_file():
        return read_map(folder / "result.h5", stated.voxel_um), ""
    if not stated.standards:
        if place := pyxas.fit_folder(folder):
            return pyxas.read_fit_folder(place, stated), _IRON_BY_STEP
        if coefficients := pyxas.coefficients_in(folder):
            return pyxas.read_coefficients(folder, coefficients, stated), _AS_STORED
    if files := pyxas.reconstructions_in(folder):
        return pyxas.fit_reconstructions(folder, files, stated), _OWN_FIT
    if files := pyxas.assembled_in(folder):
        return pyxas.fit_assembled(folder, files, stated), _OWN_FIT
    volumes = volumes_in(folder)
    if not volumes:
        raise InputError(f"{folder}: holds no volume; {_ALLOWED}; name the folder that holds them")
    if stated.standards:
        volumes = sandbox.reconstructions(volumes)
        return fit_spectra(spectra_of(folder, volumes, sandbox.energies_beside(volumes), stated), stated), _OWN_FIT
    if len(volumes) == 1:
        found, known = arrays.read_array(next(iter(volumes.values())), stated)
    else:
        found, known = arrays.read_named(folder, volumes, stated)
    return found, "" if known else _IRON_ONE
