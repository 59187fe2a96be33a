"""What a user states of a result, where its files do not say it."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from analysis.spectra.combination import Background
from instrument.measurement import Spectrum
from phantom import InputError

from ..spectra import standard_of

Array = NDArray[np.float64]
Unit = Literal["pixel", "um", "cm"]

_LOWEST_eV = 1000.0  # iron's K edge is at 7112: numbers below are in keV
_AXIS = re.compile(r"(-?)([xyz])")


@dataclass(frozen=True)
class Stated:
    """A result's grid, its species, and what turns attenuation into amounts.

    `axes` are the letters of z, y, x in the order stored, with a minus before an axis that runs backwards. `center` is the
    voxel (z, y, x) of the result on the rotation axis, in the middle row: that of its middle where it is left out. `species`
    are the components in the order stored. `unit` is of attenuation: per pixel, as tomopy leaves it, um or cm. `scale` is
    what stands for 1 in integers.
    """

    voxel_um: float | None = None
    axes: str = "zyx"
    center: tuple[float, float, float] | None = None
    species: tuple[str, ...] = ("LFP", "FP")
    scale: float | None = None
    standards: tuple[Spectrum, ...] = ()
    energies_eV: Array | None = None
    unit: Unit = "pixel"
    background: Background = "constant"

    def __post_init__(self) -> None:
        axes_of(self.axes)
        for name, value in (("--voxel", self.voxel_um), ("--scale", self.scale)):
            if value is not None and not 0 < value < np.inf:
                raise InputError(f"{name}: found {value}; allowed is a finite number above 0")
        if "FP" not in self.species or len(set(self.species)) < max(2, len(self.species)):
            raise InputError(
                f"--species or --standards: found {','.join(self.species)}; allowed are two or more, FP among them, each once"
            )
        if self.unit not in get_args(Unit):
            raise InputError(f"--unit: found {self.unit!r}; allowed are {', '.join(get_args(Unit))}")

    def voxel_at(self, path: Path, own_um: float | None = None) -> float:
        """The voxel size stated, or else `own_um`, what the file at `path` says. Raises InputError for neither."""
        if self.voxel_um is not None:
            return self.voxel_um
        if own_um is None or not 0 < own_um < np.inf:
            raise InputError(f"{path}: says no voxel size; allowed is a number of um above 0; state it with --voxel")
        return own_um


def axes_of(text: str) -> list[tuple[str, bool]]:
    """Letter, and whether it runs backwards, of each axis in "ZYX" or "z-yx". Raises InputError for anything else."""
    found = _AXIS.findall(text.lower())
    if "".join(map("".join, found)) != text.lower() or sorted(letter for _, letter in found) != ["x", "y", "z"]:
        raise InputError(
            f"--axes: found {text!r}; allowed is an order of the letters Z, Y, X, such as ZYX, with a minus before an axis that "
            "runs backwards, such as z-yx"
        )
    return [(letter, minus == "-") for minus, letter in found]


def stated_from(options: dict[str, Any]) -> Stated:
    """From options of the command line, by their names. Raises InputError for what is not allowed."""
    given: dict[str, Any] = {
        name: options[option]
        for option, name in {
            "voxel": "voxel_um",
            "scale": "scale",
            "axes": "axes",
            "unit": "unit",
            "background": "background",
        }.items()
        if options.get(option) is not None
    }
    if options.get("species") is not None:
        given["species"] = tuple(name.strip() for name in options["species"].split(","))
    if options.get("center") is not None:
        place = _numbers("--center", options["center"])
        if len(place) != 3:
            raise InputError(f"--center: found {options['center']!r}; allowed are three numbers, Z,Y,X, in voxels from 0")
        given["center"] = tuple(place)
    if options.get("energies") is not None:
        given["energies_eV"] = energies_of(options["energies"])
    if options.get("standards"):
        given["standards"] = tuple(standard_of(text) for text in options["standards"])
        given.setdefault("species", tuple(standard.name for standard in given["standards"]))
    return Stated(**given)


def energies_of(text: str) -> Array:
    """Energies in eV from numbers with commas between, or a file that holds them; numbers below 1000 are keV.

    Raises InputError for what are no energies.
    """
    path = Path(text)
    given = _is_file(path)
    listed = _numbers(str(path) if given else "--energies, which is no file", " ".join(_lines(path)) if given else text)
    return in_eV(np.array(listed), "--energies")


def in_eV(energies: Array, where: str) -> Array:
    """Energies that are eV, or keV. Raises InputError for those of no X-rays at iron's edge, naming `where` they are."""
    found = energies * np.where(energies < _LOWEST_eV, 1000.0, 1.0)
    if not np.all((found > _LOWEST_eV) & (found < 1e5)):
        raise InputError(f"{where}: found {energies.min():g}..{energies.max():g}; allowed are energies in eV, or in keV")
    return np.asarray(found, float)


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a long list of numbers is no name of a file
        return False


def _lines(path: Path) -> list[str]:
    try:
        return [line.partition("#")[0] for line in path.read_text(errors="replace").splitlines()]
    except OSError as error:
        raise InputError(f"{path}: energies cannot be read ({error.strerror}); is it a file you may read?") from error


def _numbers(option: str, text: str) -> list[float]:
    try:
        found = [float(word) for word in text.replace(",", " ").split()]
    except ValueError:
        found = []
    if not found or not np.all(np.isfinite(found)):
        raise InputError(f"{option}: found {text[:60]!r}; allowed are numbers, with commas between")
    return found
