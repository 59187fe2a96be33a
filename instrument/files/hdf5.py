"""The rule that a file appears whole or not at all, and HDF5 files that may be anything."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from math import prod
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from phantom.errors import InputError

FORMAT_VERSION = 1
_MOST_VALUES = 10**7
_LARGEST_SIDE = 16384
_HEAP = b"GCOL\1\0\0\0"
_HEAPS_WITHIN = 2**26  # bytes: strings lie before or behind the frames
_LARGEST_RATIO = 2000  # declared bytes to bytes of the file: deflate reaches 1032 on zeros, other frames never 100


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A temporary neighbour of `path` that takes its place on success and vanishes on failure.

    Raises InputError where the folder cannot be written.
    """
    try:
        handle, name = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
        os.close(handle)
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror}); choose a folder you may write to with -o") from error
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o644)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """What a damaged file makes h5py raise becomes an InputError that names it.

    Whatever fails in the block is put down to the file: put nothing but reading there.
    """
    try:
        yield
    except InputError:
        raise
    except (OSError, RuntimeError, KeyError, ValueError, TypeError, AttributeError, OverflowError, MemoryError) as error:
        told = " ".join(str(error).split())[:200]
        cure = "save it with gzip or without compression" if "not registered" in told else "it is damaged, copy it again"
        raise InputError(f"{path}: its data cannot be read ({told}); {cure}") from error


@contextmanager
def opened(path: Path, what: str) -> Iterator[h5py.File]:
    """An HDF5 file; InputError where it is missing, empty, truncated or no HDF5 file."""
    if not path.is_file():
        raise InputError(f"{path}: no such {what} file")
    try:
        _check_heaps(path)
        file = h5py.File(path, "r")
    except (OSError, RuntimeError, KeyError, ValueError) as error:
        raise InputError(
            f"{path}: not a readable HDF5 file ({path.stat().st_size} bytes; empty, truncated or another format); "
            f"allowed is a {what} file; write it again"
        ) from error
    try:
        yield file
    finally:
        with suppress(OSError, RuntimeError):  # of a damaged file closing may fail too, after all was said
            file.close()


def _check_heaps(path: Path) -> None:
    """OSError where a heap of strings near the file's ends is damaged: the library would walk it without end.

    A heap is 16 bytes, signature, version and size, and objects: index (2 bytes; 0 is free space, which counts its own
    header), size (8 bytes, after 8) and content, in steps of 8 bytes.
    """
    if not path.stat().st_size:
        raise OSError("empty file")
    with path.open("rb") as file, mmap(file.fileno(), 0, access=ACCESS_READ) as content:
        length = len(content)
        for start, end in ((0, min(length, _HEAPS_WITHIN)), (max(_HEAPS_WITHIN, length - _HEAPS_WITHIN), length)):
            heap = content.find(_HEAP, start, end)
            while heap >= 0:
                at, stop = heap + 16, heap + int.from_bytes(content[heap + 8 : heap + 16], "little")
                while at + 16 <= stop <= length:
                    index, size = (int.from_bytes(content[at + a : at + b], "little") for a, b in ((0, 2), (8, 16)))
                    at += 16 + (size + 7) // 8 * 8 if index else size
                    if index == 0 and size < 16:
                        raise OSError("damaged heap")
                if stop > length or at > stop:
                    raise OSError("damaged heap")
                heap = content.find(_HEAP, heap + 16, end)


@contextmanager
def open_hdf5(path: Path, what: str) -> Iterator[h5py.File]:
    """An HDF5 file to be read in the block and no later; InputError also where reading it fails."""
    with opened(path, what) as file, reading(path):
        yield file


@dataclass(frozen=True)
class Stored:
    """A dataset of an open file, read when indexed, with an InputError that names the file where that fails."""

    data: h5py.Dataset
    path: Path
    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: Any) -> Any:
        if not self.data:
            raise ValueError(f"{self.path} is closed; read its frames before the block ends")
        with reading(self.path):
            found = self.data[key]
        if self.dtype.kind == "f" and not np.all(np.isfinite(found)):
            raise InputError(
                f"{self.path}: {self.data.name} holds counts that are not finite; allowed are finite numbers; mend them"
            )
        return found

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return np.asarray(self[...], dtype)


def _node(file: h5py.File, name: str) -> Any:
    """What a file holds under a name, None for nothing; fails where that is damaged, which file.get would call nothing."""
    if name not in file:
        return None
    return file[name]


def dataset(file: h5py.File, name: str, dimensions: int) -> h5py.Dataset:
    """A numeric dataset with so many dimensions, or InputError."""
    found = _node(file, name)
    if not isinstance(found, h5py.Dataset) or found.ndim != dimensions or found.dtype.kind not in "iuf":
        what = "missing" if found is None else f"not numbers with {dimensions} dimensions"
        raise InputError(f"{file.filename}: /{name.strip('/')} is {what}; allowed are numbers; is this the right file?")
    _check_storage(file, found)
    return found


def _check_storage(file: h5py.File, data: h5py.Dataset) -> None:
    """InputError where a dataset declares other numbers or more of them than the file can hold.

    A damaged header may declare numbers of a strange layout, which the library would convert, and a shape that asks for
    all memory. A virtual dataset lies in other files, which must be there, or its frames would read zero.
    """
    where = f"{file.filename}: {data.name}"
    if not data.id.get_type().equal(h5py.h5t.py_create(data.dtype)):
        raise InputError(f"{where} holds numbers of an unknown layout; allowed are plain integers and floats; is it damaged?")
    if data.is_virtual:
        for source in data.virtual_sources():
            if source.file_name != "." and not (Path(file.filename).parent / source.file_name).is_file():
                raise InputError(f"{where} lies in {source.file_name}, which is missing; copy it beside this file")
        return
    stored, declared = data.id.get_storage_size(), prod(data.shape) * data.dtype.itemsize
    whole = data.chunks is not None or data.external is not None or stored in (0, declared)
    if not whole or declared > _LARGEST_RATIO * Path(file.filename).stat().st_size:
        raise InputError(
            f"{where} declares {declared} bytes, but the file holds {stored} of them; the file is damaged, copy it again"
        )


def frames(file: h5py.File, name: str, dimensions: int = 3) -> Stored:
    """Frames (..., row, column) that are read when indexed. Raises InputError where they are no frames."""
    data = dataset(file, name, dimensions)
    if min(data.shape) < 1 or max(data.shape[-2:]) > _LARGEST_SIDE:
        raise InputError(
            f"{file.filename}: {data.name} has shape {data.shape}; allowed are 1..{_LARGEST_SIDE} rows and columns, "
            "and at least one frame"
        )
    return Stored(data, Path(file.filename), tuple(data.shape), data.dtype)


def values(file: h5py.File, name: str, dimensions: int = 1) -> NDArray[np.float64]:
    """A small numeric dataset as floats. Raises InputError where it is missing, of other dimensions or not finite."""
    data = dataset(file, name, dimensions)
    if data.size > _MOST_VALUES:
        raise InputError(f"{file.filename}: {data.name} has shape {data.shape}; allowed are {_MOST_VALUES} values")
    found = np.asarray(data[...], float)
    if not np.all(np.isfinite(found)):
        raise InputError(f"{file.filename}: {data.name} holds values that are not finite; allowed are finite numbers")
    return found


def scalar(file: h5py.File, name: str) -> float:
    """One number, stored as a scalar or as an array of one. Raises InputError where there is none."""
    found = _node(file, name)
    if not isinstance(found, h5py.Dataset) or found.size != 1 or found.dtype.kind not in "iuf":
        what = "missing" if found is None else "not one number"
        raise InputError(f"{file.filename}: /{name.strip('/')} is {what}; allowed is one number; is this the right file?")
    return float(values(file, name, found.ndim).ravel()[0])


def attribute(node: h5py.Group | h5py.Dataset, name: str) -> Any:
    """An attribute of one value, None where it is absent. Raises InputError for several: damage may declare millions."""
    if name not in node.attrs:
        return None
    count = prod(node.attrs.get_id(name).shape)
    if count != 1:
        raise InputError(f"{node.file.filename}: attribute {name} of {node.name} has {count} values; allowed is one")
    return node.attrs[name]


def told(node: h5py.Group | h5py.Dataset | None) -> str:
    """The one string of a dataset, however HDF5 stored it; empty where there is no dataset of one element."""
    return text(node[()]) if isinstance(node, h5py.Dataset) and node.size == 1 else ""


def text(value: Any) -> str:
    """A string however HDF5 stored it: as bytes, text, or an array of one of them; of anything else what Python prints."""
    if isinstance(value, np.ndarray) and value.size == 1:
        value = value.ravel()[0]
    return value.decode(errors="replace").strip() if isinstance(value, bytes) else str(value).strip()
