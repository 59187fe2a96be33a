"""A folder whose files all appear, or none."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from phantom import InputError

# Names of what a run or a simulation leaves: those of an earlier one must not stay beside those of the next.
_NAMES = (
    "study.toml",
    "scan.h5",
    "charge.csv",
    "truth.h5",
    "result.h5",
    "scores.json",
    "budget.json",
    "report.html",
    "standards/LFP.txt",
    "standards/FP.txt",
    "fly_scan_id_*.h5",
    "xanes_scan2_id_*.h5",
    "dxchange_*.h5",
    "xanes_*.h5",
    "nxtomo_*.nx",
    "stack_*.hdf5",
)


@contextmanager
def staging(folder: Path) -> Iterator[Path]:
    """A temporary folder beside `folder`; its files move there when all are made, else none do.

    Raises InputError where the place cannot be written.
    """
    missing = [parent for parent in folder.parents if not parent.exists()]
    try:
        for path in (folder, folder / "standards"):
            if path.exists() and not path.is_dir():
                raise NotADirectoryError(20, f"{path.name} is a file")
        for path in _ours(folder):
            if path.is_dir():
                raise IsADirectoryError(21, f"{path.name} in it is a folder")
        folder.parent.mkdir(parents=True, exist_ok=True)
        if folder.exists() and not os.access(folder, os.W_OK):
            raise PermissionError(13, "no permission to write")
        place = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    except OSError as error:
        raise InputError(f"{folder}: cannot be written ({error.strerror}); choose another folder with -o") from error
    try:
        yield place
        for path in _ours(folder):  # of an earlier run, that this one does not have
            if not (place / path.relative_to(folder)).exists():
                path.unlink()
        for path in sorted(place.rglob("*")):
            if path.is_file():
                target = folder / path.relative_to(place)
                target.parent.mkdir(parents=True, exist_ok=True)
                os.replace(path, target)
    except InputError as error:  # what a file of this folder is called when all is done
        raise InputError(str(error).replace(str(place), str(folder))) from error
    finally:
        shutil.rmtree(place, ignore_errors=True)
        for parent in missing:
            with suppress(OSError):  # not empty: something was written, and it stays
                parent.rmdir()


def whole_text(path: Path, text: str) -> None:
    """A text file that appears whole or not at all, in a folder that is made. Raises InputError where it cannot be written."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=path.parent, prefix=f".{path.name}-", delete=False) as file:
            file.write(text)
        os.replace(file.name, path)
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror}); choose another folder with -o") from error


def _ours(folder: Path) -> list[Path]:
    """What an earlier run left in a folder."""
    return [path for name in _NAMES for path in folder.glob(name)]
