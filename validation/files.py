"""Truth and result files, and versions stamped on them."""

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from analysis.result import AmountMap, phase_fraction
from instrument.files.hdf5 import FORMAT_VERSION, dataset, open_hdf5, whole_file
from instrument.files.text import read_spectrum
from instrument.measurement import Spectrum
from phantom import InputError

Volume = NDArray[np.float32]
Column = NDArray[np.float64]
Box = tuple[slice, slice, slice]
STANDARDS = ("LFP", "FP")
_LARGEST_AMOUNT = 1e4  # 1 is a voxel full of LFP
_PACKAGES = ("txm-twin", "numpy", "scipy", "finufft", "h5py", "xraylib")


def versions() -> dict[str, str]:
    """Versions of what a result depends on."""
    found = {}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found


def read_standards(folder: Path) -> list[Spectrum]:
    """The standards beside a run's scan. Raises InputError for one that is missing or damaged."""
    return [read_spectrum(folder / "standards" / f"{name}.txt", name) for name in STANDARDS]


def write_map(
    path: Path,
    values: AmountMap,
    fillers: dict[str, Volume] | None = None,
    particles: dict[str, Column] | None = None,
) -> None:
    """truth.h5 or result.h5 (layout: README, Files). Empty space takes no room: only the box with iron is written."""
    iron = values.iron
    occupied = [np.flatnonzero(iron.any(axis=tuple(a for a in range(3) if a != axis))) for axis in range(3)]
    z, y, x = (slice(int(i[0]), int(i[-1]) + 1) if i.size else slice(0, 0) for i in occupied)
    with _new_map(path, values.species, values.shape, values.voxel_um, values.resolution_um, values.axes, values.time_s) as file:
        _put_rows(file, values.species, (z, y, x), values.amounts[:, z, y, x])
        for name in ("amounts_sigma", "phase_fraction_sigma", "flags"):
            data = getattr(values, name)
            if data is not None:
                file.create_dataset(name, data=data)
        _put_rest(file, fillers, particles)


def write_truth(
    path: Path,
    species: tuple[str, ...],
    shape: tuple[int, int, int],
    voxel_um: float,
    box: Box,
    slabs: Iterable[tuple[slice, Volume]],
    *,
    resolution_um: float = 0.0,
    time_s: Column | None = None,
    fillers: dict[str, Volume] | None = None,
    particles: dict[str, Column] | None = None,
) -> None:
    """truth.h5 of a sample that need not stand in memory: what `write_map` would write, slab by slab.

    The grid has `shape` (z, y, x); `box` (z, y, x) of it holds all iron. `slabs` are rows of the grid, each once, and the
    amounts (species, z, y, x) in them within the box's y and x. Rows of no slab are empty.
    """
    with _new_map(path, species, shape, voxel_um, resolution_um, "z:y:x", time_s) as file:
        for rows, amounts in slabs:
            _put_rows(file, species, (rows, *box[1:]), amounts)
        _put_rest(file, fillers, particles)


@contextmanager
def _new_map(
    path: Path,
    species: tuple[str, ...],
    shape: tuple[int, int, int],
    voxel_um: float,
    resolution_um: float,
    axes: str,
    time_s: Column | None,
) -> Iterator[h5py.File]:
    """A truth or result file without iron, open for what it holds."""
    with whole_file(path) as temporary, h5py.File(temporary, "w") as file:
        fills = {"amounts": 0.0, "iron": 0.0, "phase_fraction": np.nan}
        for name, fill in fills.items():
            full = (len(species), *shape) if name == "amounts" else shape
            chunks = (1,) * (len(full) - 2) + full[-2:]
            file.create_dataset(
                name, full, np.float32, chunks=chunks, fillvalue=fill, compression="gzip", compression_opts=1, shuffle=True
            )
        file["species"] = list(species)
        if time_s is not None:
            file.attrs["time_s"] = time_s
        file.attrs.update(
            {
                "format_version": FORMAT_VERSION,
                "voxel_um": voxel_um,
                "origin_um": [-(n - 1) / 2 * voxel_um for n in shape[1 if axes == "time:y:x" else 0 :]],
                "axes": axes,
                "resolution_um": resolution_um,
                "versions": json.dumps(versions()),
            }
        )
        yield file


def _put_rows(file: h5py.File, species: tuple[str, ...], place: Box, amounts: Volume) -> None:
    """Set amounts (species, z, y, x), and what follows from them, at a place of a new file; rows without iron stay unwritten."""
    for k in range(amounts.shape[1]):  # a chunk is a row: each is compressed once
        inner = np.nan_to_num(amounts[:, k])
        iron = inner.sum(axis=0)
        if iron.any():
            row = (place[0].start + k, *place[1:])
            file["amounts"][(slice(None), *row)] = inner
            file["iron"][row], file["phase_fraction"][row] = iron, phase_fraction(inner, species)


def _put_rest(file: h5py.File, fillers: dict[str, Volume] | None, particles: dict[str, Column] | None) -> None:
    for name, share in (fillers or {}).items():
        file.create_dataset(f"fillers/{name}", data=share, chunks=True, compression="gzip", compression_opts=1, shuffle=True)
    for name, column in (particles or {}).items():
        file[f"particles/{name}"] = column


def read_map(path: Path, voxel_um: float | None = None, axes: str = "zyx") -> AmountMap:
    """A truth or result file; its volumes are `axes`, and `voxel_um` overrides what it says.

    Raises InputError for a missing, truncated or foreign file.
    """
    if sorted(axes.lower()) != ["x", "y", "z"]:
        raise InputError(f"--axes: found {axes!r}; allowed is an order of the letters Z, Y, X, such as ZYX")
    order = [axes.lower().index(letter) for letter in "zyx"]
    with open_hdf5(path, "truth or result") as file:
        stored = dataset(file, "amounts", 4)
        names = file.get("species")
        if not isinstance(names, h5py.Dataset) or names.shape != stored.shape[:1] or h5py.check_string_dtype(names.dtype) is None:
            raise InputError(f"{path}: /species is missing or does not name the {stored.shape[0]} amounts")
        resolution = file.attrs.get("resolution_um", 0.0)
        if not isinstance(resolution, (int, float, np.number)) or not 0 <= resolution < 1e3:
            raise InputError(f"{path}: attribute resolution_um is {resolution!r}; allowed is a number from 0")
        series = file.attrs.get("axes") == "time:y:x"
        place = (0, 1, 2) if series else order
        voxel = voxel_um if voxel_um is not None else file.attrs.get("voxel_um")
        if not isinstance(voxel, (int, float, np.number)) or not np.isfinite(voxel) or voxel <= 0:
            raise InputError(f"{path}: voxel_um is {voxel}; allowed more than 0; state it with --voxel")

        def volume(name: str, dimensions: int) -> Any:
            if name not in file:
                return None
            data = dataset(file, name, dimensions)[...]
            if data.shape[-3:] != stored.shape[-3:]:
                raise InputError(f"{path}: /{name} has shape {data.shape}; allowed ends in {stored.shape[-3:]}")
            if name == "amounts" and not (np.isfinite(data).all() and np.abs(data).max(initial=0) < _LARGEST_AMOUNT):
                raise InputError(
                    f"{path}: /amounts hold NaN, infinity or more than {_LARGEST_AMOUNT:g}; allowed are finite amounts"
                )
            lead = dimensions - 3
            return np.ascontiguousarray(data.transpose(*range(lead), *(lead + k for k in place)))

        return AmountMap(
            tuple(names.asstr()[...]),
            np.asarray(volume("amounts", 4), np.float32),
            float(voxel),
            resolution_um=float(resolution),
            amounts_sigma=volume("amounts_sigma", 4),
            phase_fraction_sigma=volume("phase_fraction_sigma", 3),
            flags=volume("flags", 3),
            axes="time:y:x" if series else "z:y:x",
            time_s=np.asarray(file.attrs["time_s"], float) if "time_s" in file.attrs else None,
        )
