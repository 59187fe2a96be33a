"""Scans in any layout: which can be written, and what a file that somebody brings holds."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path

import h5py
import numpy as np

from phantom.errors import InputError

from ..measurement import Header, Measurement
from . import dxchange, fxi, mantis, native, nxtomo
from .hdf5 import opened, reading
from .tomogram import Tomogram, joined

Writer = Callable[[Path, Header], AbstractContextManager[Measurement]]
Reader = Callable[[h5py.File], list[Tomogram]]

# Each writes the scan of a header into a folder: its measurement is filled frame by frame, the files appear at the end.
FORMATS: dict[str, Writer] = {
    "native": native.new_scan_in,
    "fxi": fxi.new_scan,
    "dxchange": dxchange.new_scan,
    "32id": dxchange.new_32id,
    "nxtomo": nxtomo.new_scan,
    "mantis": mantis.new_scan,
}
_READERS: dict[str, Reader] = {"fxi": fxi.read, "dxchange": dxchange.read, "nxtomo": nxtomo.read}
_READABLE = ", ".join(["native", *_READERS])
_STACK, _MAP = "2D stack", "map"
_SUFFIXES = (".h5", ".hdf5", ".hdf", ".nx", ".nxs")
# Any of these names makes a file one of the layout: one that lost a dataset is refused, not passed over.
_SIGNS = {
    _STACK: ("img_xanes", "exchange/energy", "spectromicroscopy"),
    "fxi": ("img_tomo", "img_bkg", "img_dark", "X_eng"),
    "dxchange": ("exchange", "implements"),
    "native": ("projections", "flats", "darks", "angles_rad"),
    _MAP: ("amounts",),
}


def frames_wanted(name: str, header: Header) -> int:
    """How many angles, from the first, format `name` takes of a scan: give its writer a header of no more.

    All of them, but of a tomography scan 1 for the 2D stacks of `32id` and `mantis`.
    """
    one_view = np.ptp(header.angles_rad) == 0
    return 1 if name in ("32id", "mantis") and not one_view else len(header.angles_rad)


def layout_of(file: h5py.File) -> str:
    """The layout of an open file by what it holds: "native", "fxi", "dxchange", "nxtomo", "2D stack", "map", or ""."""
    for layout, signs in _SIGNS.items():
        if any(sign in file for sign in signs):
            return layout
    return "nxtomo" if nxtomo.entries(file) else ""


@contextmanager
def open_any(paths: Sequence[Path]) -> Iterator[Measurement]:
    """The scan that files hold, recognised by content, by rising energy; frames are read when they are needed.

    A folder stands for the HDF5 files in it (not in folders below), but for the maps of a run; another file without a scan is
    refused, as it may be a damaged one. A native file holds all energies, in the order of the scan; of the other layouts
    several files make several energies. Raises InputError, also when damage shows later, for what cannot be read, is no
    tomography scan, or does not fit together.
    """
    with ExitStack() as stack:
        files: list[tuple[Path, str, h5py.File]] = []
        for path, from_folder in _listed(paths):
            file = stack.enter_context(opened(path, "scan"))
            with reading(path):
                layout = layout_of(file)
            if layout == _STACK:
                raise InputError(
                    f"{path}: is a 2D stack (one view at all energies); allowed are tomograms in the layouts {_READABLE}; "
                    "give the scan it was made from"
                )
            if layout == _MAP and from_folder:
                continue
            if layout in ("", _MAP):
                raise InputError(
                    f"{path}: holds no scan; allowed are the layouts {_READABLE}; give the scan's files alone, or move it away"
                )
            files.append((path, layout, file))
        if not files:
            raise InputError(f"{', '.join(map(str, paths)) or 'scan'}: holds no scan; allowed are the layouts {_READABLE}")
        first, layout, file = files[0]
        for path, other, _ in files:
            if other != layout:
                raise InputError(f"{path}: is {other}, {first.name} is {layout}; allowed is one layout; leave the others out")
        if layout == "native":
            if len(files) > 1:
                raise InputError(f"{files[1][0]}: found {len(files)} native scans; allowed is one, it holds all energies")
            yield native.read(file)
            return
        tomograms: list[Tomogram] = []
        for path, _, file in files:
            with reading(path):
                tomograms += _READERS[layout](file)
        yield joined(tomograms)


def _listed(paths: Sequence[Path]) -> Iterator[tuple[Path, bool]]:
    """Files of the paths, and whether a folder stood for them."""
    for path in paths:
        if path.is_dir():
            for inside in sorted(path.iterdir()):
                if inside.suffix.lower() in _SUFFIXES and not inside.name.startswith(".") and inside.is_file():
                    yield inside, True
        else:
            yield path, False
