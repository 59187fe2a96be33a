"""2D stacks: one view at all energies, small enough to be held in memory until the scan is over."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from phantom.errors import InputError

from ..measurement import Header, Measurement
from .writing import new_hdf5, whole_files

Array = NDArray[np.float64]


@contextmanager
def new_stacks(
    folder: Path, header: Header, names: Sequence[str], kin: str, write: Callable[[h5py.File, Measurement, int], None]
) -> Iterator[Measurement]:
    """One new file for each projection of one view, `names` of the pattern `kin`; they appear when the block ends.

    `write` (file, scan, number of the projection) writes one. Raises InputError where the views are several, or the
    folder cannot take the files.
    """
    if np.ptp(header.angles_rad) > 0:
        raise InputError(
            f"{folder}: found {len(header.angles_rad)} different angles; allowed in a 2D stack is one view; "
            "scan with scan.kind = 'series', or write the first angle alone"
        )
    with whole_files(folder, names, kin) as paths:
        scan = header.in_memory()
        yield scan
        for k, path in enumerate(paths):
            with new_hdf5(path) as file:
                write(file, scan, k)


def rising(scan: Measurement) -> NDArray[np.intp]:
    """Numbers of the energies in rising order: a stack is read as spectra, however it was scanned."""
    return np.argsort(scan.energies_eV, kind="stable")


def references(scan: Measurement) -> tuple[Array, Array]:
    """Mean flat and mean dark at each energy, counts (energy, row, column), in the order of the scan."""
    return scan.flats.mean(axis=1, dtype=float), scan.darks.mean(axis=1, dtype=float)


def transmission(scan: Measurement, k: int) -> Array:
    """Projection `k` over the open beam, both above the dark, (energy, row, column), in the order of the scan.

    0 where the open beam is not above the dark: no light, no answer, and clients know no NaN.
    """
    flat, dark = references(scan)
    light = flat - dark
    return np.asarray(np.divide(scan.projections[:, k] - dark, light, out=np.zeros_like(light), where=light > 0))
