"""A pipeline called: a scan's files written into a temporary folder, and its result file read and understood."""

import functools
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from analysis.result import IRON_FLOOR, AmountMap
from instrument.files.hdf5 import dataset, reading
from phantom import InputError

from ..files import read_map
from .law import Broken, Function, close, law
from .scans import SPECIES, Frames

Array = NDArray[np.float64]

ROUNDING = 3e-3  # of the largest amount, between two maps of one pipeline that should be alike
_SHRINKS = 30  # a trial takes tenths of a second, or what the pipeline takes

pipeline_law = functools.partial(law, shrinks=_SHRINKS)


@dataclass(frozen=True)
class Place:
    """Where files lie, within a temporary folder: the scan, the standards' folder, the result."""

    scan: str = "scan.h5"
    standards: str = "standards"
    result: str = "result.h5"


@dataclass(frozen=True)
class Found:
    """Amounts (LFP and FP, z, y, x) and what is said of their noise, None where nothing is."""

    amounts: Array
    amounts_sigma: Array | None
    phase_sigma: Array | None

    @property
    def phase(self) -> Array:
        """FP over iron."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(self.amounts[1] / self.amounts.sum(axis=0))


def called(pipeline: Function, frames: Frames, folder: Path, place: Place | None = None) -> Found:
    """The map of a scan written into `folder`. Broken where none is left, or it is none of this scan."""
    place = place or Place()
    scan, standards, result = (folder / name for name in (place.scan, place.standards, place.result))
    for parent in (scan.parent, standards, result.parent):
        parent.mkdir(parents=True, exist_ok=True)
    paths = frames.write(scan, standards)
    try:
        answer = pipeline(str(scan), paths, str(result))
    except Broken as error:
        raise Broken(_without(folder, error)) from error
    if answer is not None:
        raise Broken(f"answers with {type(answer).__name__}; allowed is None, the map in the file out_path")
    try:
        return _understood(read_map(result), result, frames)
    except InputError as error:
        raise Broken(f"leaves no result: {_without(folder, error)}") from error


def _without(folder: Path, error: Exception) -> str:
    """What an error says, without the temporary folder's name, which is another one each time."""
    return str(error).replace(f"{folder}{os.sep}", "")


def concluded(pipeline: Function, frames: Frames) -> Found:
    """The map of a scan, made in a new folder."""
    with tempfile.TemporaryDirectory(prefix="txm-twin-law-", ignore_cleanup_errors=True) as folder:
        return called(pipeline, frames, Path(folder))


def _understood(found: AmountMap, path: Path, frames: Frames) -> Found:
    missing = [name for name in SPECIES if name not in found.species]
    if missing or found.is_series:
        raise Broken(f"a map of {', '.join(found.species)}, axes {found.axes}; allowed are LFP and FP, axes z:y:x")
    rows, columns = frames.projections.shape[2:]
    if found.shape != (rows, columns, columns) or not np.isclose(found.voxel_um, frames.pixel_um, rtol=1e-5):
        raise Broken(
            f"a map of {found.shape} voxels of {found.voxel_um:.6g} um; allowed are the detector's pixels, "
            f"{(rows, columns, columns)} of {frames.pixel_um:g} um"
        )
    if found.amounts_sigma is not None and found.amounts_sigma.shape != found.amounts.shape:
        raise Broken(f"amounts_sigma {found.amounts_sigma.shape}; allowed is the amounts' {found.amounts.shape}, or none")
    order = [found.species.index(name) for name in SPECIES]
    amounts, sigma = np.asarray(found.amounts, float)[order], found.amounts_sigma
    with h5py.File(path, "r") as file, reading(path):
        _agree(amounts, *(np.asarray(dataset(file, name, 3)[...], float) for name in ("iron", "phase_fraction")))
    phase = found.phase_fraction_sigma
    return Found(
        amounts,
        None if sigma is None else np.asarray(sigma, float)[order],
        None if phase is None else np.asarray(phase, float),
    )


def _agree(amounts: Array, iron: Array, phase: Array) -> None:
    """Broken where the stored iron and phase fraction are not those of the stored amounts."""
    if not iron.shape == phase.shape == amounts.shape[1:]:
        raise Broken(f"iron {iron.shape}, phase_fraction {phase.shape}; allowed is the amounts' {amounts.shape[1:]}")
    digits = 1e-5 * max(1.0, float(np.abs(amounts).max()))  # of float32, with room
    close(iron, amounts.sum(axis=0), digits, "/iron and the sum of the amounts differ")
    clear = np.abs(iron - IRON_FLOOR) > digits
    wrong = (np.isnan(phase) != (iron < IRON_FLOOR)) & clear
    if wrong.any():
        raise Broken(f"phase_fraction of {wrong.sum()} voxels is a number below iron {IRON_FLOOR:g}, or none above it")
    told = clear & (iron > IRON_FLOOR)
    if told.any():
        close(
            phase[told] * iron[told],
            amounts[1][told],
            digits * max(1.0, float(np.abs(phase[told]).max())),
            "FP and x times iron differ",
        )
