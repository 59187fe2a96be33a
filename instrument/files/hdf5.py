"""The rule that a file appears whole or not at all, and HDF5 files that may be anything."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py

from phantom.errors import InputError

FORMAT_VERSION = 1


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
def open_hdf5(path: Path, what: str) -> Iterator[h5py.File]:
    """An HDF5 file for reading; InputError where it is missing, empty, truncated or no HDF5 file."""
    if not path.is_file():
        raise InputError(f"{path}: no such {what} file")
    try:
        file = h5py.File(path, "r")
    except OSError as error:
        raise InputError(
            f"{path}: not a readable HDF5 file ({path.stat().st_size} bytes; empty, truncated or another format); "
            f"allowed is a {what} file; write it again"
        ) from error
    with file:
        try:
            yield file
        except OSError as error:
            raise InputError(f"{path}: its data cannot be read ({error}); the file is damaged, write it again") from error


def dataset(file: h5py.File, name: str, dimensions: int) -> h5py.Dataset:
    """A numeric dataset with so many dimensions, or InputError."""
    found = file.get(name)
    if not isinstance(found, h5py.Dataset) or found.ndim != dimensions or found.dtype.kind not in "iuf":
        what = "missing" if found is None else f"not numbers with {dimensions} dimensions"
        raise InputError(f"{file.filename}: /{name} is {what}; is this a txm-twin file?")
    return found
