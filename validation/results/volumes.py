"""Volumes in foreign files: TIFF, NumPy, HDF5; looked at first, read part by part."""

import logging
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from instrument.files.hdf5 import dataset, open_hdf5
from phantom import InputError

Values = NDArray[np.float32]

TIFF = (".tif", ".tiff")
_LARGEST_RATIO = 2000  # numbers declared to bytes there: a damaged header may ask for all memory
_NUMBERED = re.compile(r"(.*?)[\s_.-]*(\d+)")


@dataclass(frozen=True)
class Volume:
    """An array at `where`; `part` reads indices low..high of its first axis, those beyond its end left out."""

    where: Path
    shape: tuple[int, ...]
    part: Callable[[int, int], NDArray[Any]]

    def whole(self) -> NDArray[Any]:
        """All of it, in its own type."""
        return self.part(0, self.shape[0])


def numbers(values: NDArray[Any], where: Path, scale: float | None) -> Values:
    """float32, what is not finite NaN. Integers are divided by `scale`, what stands for 1 in them.

    Raises InputError for what are no real numbers, and for integers beyond 0 and 1 without a scale.
    """
    if values.dtype.kind not in "biuf":
        raise InputError(f"{where}: holds {values.dtype}; allowed are real numbers; save them as float32")
    if values.dtype.kind == "f":
        found = values.astype(np.float32)
        found[~np.isfinite(found)] = np.nan
        return found
    if scale is None and values.size and (values.min() < 0 or values.max() > 1):
        raise InputError(
            f"{where}: holds integers {values.min()}..{values.max()}; allowed are 0 and 1, or others "
            "with what stands for 1; state it with --scale"
        )
    return np.asarray(values / np.float32(scale or 1), np.float32)


def numpy_file(path: Path) -> Volume:
    """An array in a .npy file. Raises InputError for a damaged one and for Python objects, which are never loaded."""
    with foreign(path):
        shape = np.load(path, mmap_mode="r").shape

    def part(low: int, high: int) -> NDArray[Any]:
        with foreign(path):
            return np.array(np.load(path, mmap_mode="r")[low:high])

    return Volume(path, shape, part)


def hdf5_volume(path: Path, name: str, dimensions: int = 3) -> Volume:
    """A dataset of an HDF5 file. Raises InputError where it is missing or no numbers with so many dimensions."""
    with open_hdf5(path, "result") as file:
        shape = dataset(file, name, dimensions).shape

    def part(low: int, high: int) -> NDArray[Any]:
        with open_hdf5(path, "result") as file:
            return np.asarray(file[name][low:high])

    return Volume(path, shape, part)


def tiff(path: Path) -> Volume:
    """A TIFF file, one page (row, column) or several (..., row, column). Raises InputError for a damaged one, and colours."""
    with _opened(path) as file:
        series = file.series
        one = series[0]
        # Pages written one by one are a series each.
        shape = tuple(one.shape) if len(series) == 1 else (len(series), *one.shape)
        if len({s.shape for s in series}) > 1 or len(shape) < 2:
            raise InputError(f"{path}: holds pages of {sorted({s.shape for s in series})}; allowed are pages of one size")
        if "S" in one.axes:
            raise InputError(f"{path}: is a picture in colours; allowed are numbers, one for each voxel; save it as float32")
        if prod(shape) * one.dtype.itemsize > _LARGEST_RATIO * path.stat().st_size:
            raise InputError(f"{path}: declares {shape} voxels in {path.stat().st_size} bytes; it is damaged, copy it again")

    def part(low: int, high: int) -> NDArray[Any]:
        with _opened(path) as file:
            series = file.series
            if len(series) > 1:
                return np.stack([page.asarray() for page in series[low:high]])
            if len(shape) == 3 and len(series[0].pages) == shape[0]:
                return np.stack([page.asarray() for page in series[0].pages[low:high]])
            return np.asarray(series[0].asarray()[low:high])  # a large file of ImageJ's has one page for all slices

    return Volume(path, shape, part)


def slices(paths: list[Path]) -> Volume:
    """TIFF files of one slice each, as (slice, row, column). Raises InputError, when read, for one of another size."""
    row_column = tiff(paths[0]).shape

    def part(low: int, high: int) -> NDArray[Any]:
        return np.stack([_slice(path, row_column, paths[0]) for path in paths[low:high]])

    return Volume(paths[0].parent, (len(paths), *row_column), part)


def _slice(path: Path, shape: tuple[int, ...], like: Path) -> NDArray[Any]:
    one = tiff(path)
    if one.shape != shape:
        raise InputError(f"{path}: has shape {one.shape}; allowed is {shape}, that of {like.name}")
    return one.whole()


def volumes_in(folder: Path) -> dict[str, Volume]:
    """The volumes of a folder by name, in natural order: TIFF stacks, .npy files, numbered slices, and folders of one volume.

    Slices NAME_0001.tif ... are the volume NAME; those in a folder of their own, and those without a name, have the folder's.
    Raises InputError for a slice left out.
    """
    found = _files_in(folder)
    for inner in sorted(folder.iterdir(), key=natural):
        if inner.is_dir() and not inner.name.startswith("."):
            held = _files_in(inner)
            found |= {inner.name if len(held) == 1 else f"{inner.name}/{name}": volume for name, volume in held.items()}
    return dict(sorted(found.items(), key=lambda item: natural(Path(item[0]))))


def _files_in(folder: Path) -> dict[str, Volume]:
    files = sorted((path for path in folder.iterdir() if path.is_file() and not path.name.startswith(".")), key=natural)
    found = {path.stem: numpy_file(path) for path in files if path.suffix.lower() == ".npy"}
    series: dict[str, list[Path]] = {}
    for path in files:
        if path.suffix.lower() in TIFF:
            numbered = _NUMBERED.fullmatch(path.stem)
            series.setdefault(numbered[1] if numbered else path.stem, []).append(path)
    for name, paths in series.items():
        if len(tiff(paths[0]).shape) > 2:
            found |= {path.stem: tiff(path) for path in paths}
        elif len(paths) > 1:  # a page alone is a picture of the result, not a volume
            check_complete(paths)
            found[name or folder.name] = slices(paths)
    return found


def check_complete(paths: list[Path]) -> None:
    """InputError where a number between the first slice's and the last one's has no slice, or two."""
    at = [int(match[2]) for path in paths if (match := _NUMBERED.fullmatch(path.stem))]
    for before, after, path in zip(at, at[1:], paths[1:], strict=False):
        if after != before + 1:
            raise InputError(f"{path}: slice {after} follows {before}; allowed are all slices once, numbered without a gap")


def natural(path: Path) -> list[str | int]:
    """A key that sorts names with numbers in them as a person would: slice_2 before slice_10."""
    return [int(part) if part.isdecimal() else part.lower() for part in re.split(r"(\d+)", str(path))]


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """A TIFF file, open for tifffile in the block. Raises InputError for what it cannot read."""
    import tifffile

    # What it has to say of a damaged file is said here, in one line.
    logging.getLogger("tifffile").addHandler(logging.NullHandler())
    with foreign(path), tifffile.TiffFile(path) as file:
        yield file


@contextmanager
def foreign(path: Path) -> Iterator[None]:
    """Whatever reading a damaged file raises becomes an InputError that names it."""
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        told = " ".join(str(error).split())[:200] or type(error).__name__
        raise InputError(f"{path}: cannot be read ({told}); it is damaged or of another kind, write it again") from error
