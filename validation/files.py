"""Truth and result files, and versions stamped on them."""

import json
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from analysis.result import AmountMap, phase_fraction
from instrument.files.hdf5 import FORMAT_VERSION, dataset, open_hdf5, whole_file
from phantom import InputError

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


def write_map(
    path: Path,
    values: AmountMap,
    fillers: dict[str, NDArray[np.float32]] | None = None,
    particles: dict[str, NDArray[np.float64]] | None = None,
) -> None:
    """truth.h5 or result.h5 (layout: README, Files). Empty space takes no room: only the box with iron is written."""
    full = values.amounts.shape
    iron = values.iron
    occupied = [np.flatnonzero(iron.any(axis=tuple(a for a in range(3) if a != axis))) for axis in range(3)]
    box = tuple(slice(int(i[0]), int(i[-1]) + 1) if i.size else slice(0, 0) for i in occupied)
    inner = np.nan_to_num(values.amounts[(slice(None), *box)])
    with whole_file(path) as temporary, h5py.File(temporary, "w") as file:

        def put(name: str, data: Any, shape: tuple[int, ...], fill: float) -> None:
            chunks = (1,) * (len(shape) - 2) + shape[-2:]
            target = file.create_dataset(
                name, shape, data.dtype, chunks=chunks, fillvalue=fill, compression="gzip", compression_opts=1, shuffle=True
            )
            if data.size:
                target[(..., *box)] = data

        put("amounts", inner, full, 0.0)
        put("iron", inner.sum(axis=0), full[1:], 0.0)
        put("phase_fraction", phase_fraction(inner, values.species), full[1:], np.nan)
        file["species"] = list(values.species)
        extra = (
            ("amounts_sigma", values.amounts_sigma),
            ("phase_fraction_sigma", values.phase_fraction_sigma),
            ("flags", values.flags),
        )
        for name, data in extra:
            if data is not None:
                file.create_dataset(name, data=data)
        if values.time_s is not None:
            file.attrs["time_s"] = values.time_s
        for name, share in (fillers or {}).items():
            file.create_dataset(f"fillers/{name}", data=share, chunks=True, compression="gzip", compression_opts=1, shuffle=True)
        for name, column in (particles or {}).items():
            file[f"particles/{name}"] = column
        file.attrs.update(
            {
                "format_version": FORMAT_VERSION,
                "voxel_um": values.voxel_um,
                "origin_um": [-(n - 1) / 2 * values.voxel_um for n in full[2 if values.is_series else 1 :]],
                "axes": values.axes,
                "resolution_um": values.resolution_um,
                "versions": json.dumps(versions()),
            }
        )


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
