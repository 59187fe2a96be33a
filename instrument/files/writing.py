"""New scan files: several appear together or not at all, and their bytes depend on nothing but the scan."""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import h5py

from phantom.errors import InputError

from ..measurement import Header, Measurement
from .layout import Stacked


def new_hdf5(path: Path) -> h5py.File:
    """A new HDF5 file, to be closed by the caller.

    Its metadata carry checksums, so that the library itself notices a damaged header, and no time of this machine.
    """
    access = h5py.h5p.create(h5py.h5p.FILE_ACCESS)
    access.set_fclose_degree(h5py.h5f.CLOSE_STRONG)
    access.set_libver_bounds(h5py.h5f.LIBVER_V18, h5py.h5f.LIBVER_LATEST)
    creation = h5py.h5p.create(h5py.h5p.FILE_CREATE)
    creation.set_obj_track_times(False)
    return h5py.File(h5py.h5f.create(os.fsencode(path), h5py.h5f.ACC_TRUNC, fapl=access, fcpl=creation))


def add_groups(parent: h5py.Group, *names: str) -> None:
    """New groups in a file of `new_hdf5`, parents before what is in them; h5py's own would carry the time of this machine."""
    creation = h5py.h5p.create(h5py.h5p.GROUP_CREATE)
    creation.set_obj_track_times(False)
    for name in names:
        h5py.h5g.create(parent.id, name.encode(), gcpl=creation)


@contextmanager
def whole_files(folder: Path, names: Sequence[str], kin: str) -> Iterator[list[Path]]:
    """Temporary paths for `names`, which appear in `folder` together on success and vanish on failure.

    Raises InputError where the folder cannot be written, or holds files of the pattern `kin` that would stay beside the
    new ones: a reader would take them for the same scan.
    """
    try:
        made = not folder.exists()
        folder.mkdir(parents=True, exist_ok=True)
        strangers = sorted({path.name for path in folder.glob(kin)} - set(names))
        folders = [name for name in names if (folder / name).is_dir()]
        temporary = Path(tempfile.mkdtemp(prefix=".scan-", dir=folder)) if not strangers and not folders else folder
    except OSError as error:
        raise InputError(f"{folder}: cannot be written ({error.strerror}); choose a folder you may write to with -o") from error
    if strangers or folders:
        found = f"{strangers[0]} of another scan" if strangers else f"a folder {folders[0]}"
        raise InputError(f"{folder}: found {found}; allowed is a folder without; choose an empty one with -o")
    placed: list[Path] = []
    try:
        yield [temporary / name for name in names]
        for name in names:
            os.replace(temporary / name, folder / name)
            placed.append(folder / name)
    except BaseException:
        for path in placed:
            path.unlink(missing_ok=True)
        raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        if made:
            with suppress(OSError):  # it is not empty, as it should be
                folder.rmdir()


@contextmanager
def new_files(
    folder: Path,
    header: Header,
    names: Sequence[str],
    kin: str,
    build: Callable[[h5py.File, Header, int], tuple[Any, Any, Any]],
    finish: Callable[[h5py.File], None] | None = None,
) -> Iterator[Measurement]:
    """One new file per energy, `names` of the pattern `kin`, to be filled frame by frame; they appear when the block ends.

    `build` (file, header, number of the energy) writes all but the frames and returns what will hold projections, flats
    and darks, (frame, row, column) each; `finish` may add what follows from the frames. Raises InputError where the
    folder cannot take the files.
    """
    with whole_files(folder, names, kin) as paths, ExitStack() as stack:
        files = [stack.enter_context(new_hdf5(path)) for path in paths]
        parts = [build(file, header, i) for i, file in enumerate(files)]
        yield header.measurement(*(Stacked(tuple(kind)) for kind in zip(*parts, strict=True)))
        for file in files:
            if finish:
                finish(file)


def numbered(count: int, name: str, *values: Sequence[Any]) -> list[str]:
    """`name` formatted with 0, 1, ... of equal width, which sort in that order, and the values of each."""
    width = max(3, len(str(count - 1)))
    return [name.format(f"{n:0{width}d}", *(each[n] for each in values)) for n in range(count)]
