"""A part of a scan, or a coarser one, without loading it: fewer energies, angles, rows and columns, binned pixels."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from phantom.errors import InputError

from ..measurement import Measurement
from .layout import expanded, extent

_PIXELS_AT_ONCE = 2**24
_WIDER: dict[np.dtype[Any], np.dtype[Any]] = {np.dtype(np.uint8): np.dtype(np.uint16), np.dtype(np.uint16): np.dtype(np.uint32)}


@dataclass(frozen=True)
class Window:
    """Frames of an array-like (energy, frame, row, column): some energies and frames, cropped, binned when indexed.

    `energies` and `frames` are the numbers taken, `corner` (row, column) is where the window begins, `shape` its
    (energies, frames, rows, columns) after binning.

    A binned pixel is the mean of bin x bin pixels, which has their sum's relative noise. Of 16 bits it is a 32-bit number in
    units of 1/65537 ADU (of 8 bits 16 bits, 1/257 ADU): so nothing is rounded away, and full scale is full scale again. A
    bin with a saturated pixel reads full scale, as that pixel did. Frames of other types, which no camera writes at full
    scale, are averaged to float64.
    """

    data: Any
    energies: NDArray[np.intp]
    frames: range
    corner: tuple[int, int]
    shape: tuple[int, int, int, int]
    bin: int = 1

    @property
    def ndim(self) -> int:
        """4."""
        return 4

    @property
    def dtype(self) -> np.dtype[Any]:
        """That of the frames, unless they are binned."""
        found: np.dtype[Any] = self.data.dtype
        return found if self.bin == 1 else _WIDER.get(found, np.dtype(float))

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: Any) -> Any:
        """What an index of ints, slices and Ellipsis asks for, read in blocks of frames."""
        parts = expanded(key, self.shape)
        energy, frame, row, column = (part if isinstance(part, slice) else slice(part, part + 1, 1) for part in parts)
        frames, rows, columns = self.frames[frame], self._fine(row, 0), self._fine(column, 1)
        found = np.empty(extent((energy, frame, row, column)), self.dtype)
        if found.size:
            step = max(1, _PIXELS_AT_ONCE // ((rows.stop - rows.start) * (columns.stop - columns.start)))
            for i, number in enumerate(self.energies[energy]):
                for k in range(0, len(frames), step):
                    some = frames[k : k + step]
                    block = self.data[int(number), some.start : some.stop : some.step, rows, columns]
                    found[i, k : k + step] = self._binned(np.asarray(block))[:, :: row.step, :: column.step]
        return found[tuple(slice(None) if isinstance(part, slice) else 0 for part in parts)]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return np.asarray(self[...], dtype)

    def _fine(self, part: slice, axis: int) -> slice:
        """The run of pixels of the data that holds all from the first to the last bin of `part`."""
        return slice(self.corner[axis] + part.start * self.bin, self.corner[axis] + part.stop * self.bin)

    def _binned(self, block: NDArray[Any]) -> NDArray[Any]:
        """Means over bin x bin pixels of a block (frame, row, column), in the units of `dtype`."""
        n = self.bin
        if n == 1:
            return block
        cells = block.reshape(len(block), block.shape[1] // n, n, block.shape[2] // n, n)
        if block.dtype not in _WIDER:
            return np.asarray(cells.mean(axis=(2, 4), dtype=float))
        full = np.iinfo(block.dtype).max
        means = cells.sum(axis=(2, 4), dtype=np.uint64) * np.uint64(full + 2) // np.uint64(n * n)
        return np.where(cells.max(axis=(2, 4)) == full, np.iinfo(self.dtype).max, means)


def select(
    scan: Measurement,
    *,
    bin: int = 1,
    roi: tuple[int, int, int, int] | None = None,
    energies: tuple[float, float] | None = None,
    angles: int | slice | None = None,
    center_px: float | None = None,
) -> Measurement:
    """The wanted part of a scan; frames are read when they are needed, and no more of them.

    `roi` is (row0, row1, column0, column1) on the detector, ends excluded; `bin` averages bin x bin pixels of it, dropping rows
    and columns at the end that fill no bin (see `Window` for the counts); `energies` is a range in eV, ends included;
    `angles` is a stride or a slice of the projections; `center_px` replaces the axis' column, on the detector as recorded.
    The pixel and the axis' column are those of the result. Raises InputError for what leaves nothing, or an axis outside.
    """
    row0, row1, column0, column1 = roi or (0, scan.rows, 0, scan.columns)
    if not (0 <= row0 < row1 <= scan.rows and 0 <= column0 < column1 <= scan.columns):
        raise InputError(
            f"roi: found rows {row0}..{row1}, columns {column0}..{column1}; allowed are rising pairs in rows 0..{scan.rows}, "
            f"columns 0..{scan.columns}"
        )
    if not 1 <= bin <= min(row1 - row0, column1 - column0):
        raise InputError(
            f"bin: found {bin}; allowed is 1..{min(row1 - row0, column1 - column0)}, the smaller side of {row1 - row0} rows and "
            f"{column1 - column0} columns"
        )
    low, high = energies or (-np.inf, np.inf)
    numbers = np.flatnonzero((scan.energies_eV >= low) & (scan.energies_eV <= high))
    if not len(numbers):
        raise InputError(
            f"energies: none in {low:g}..{high:g} eV; allowed is a range that holds some of "
            f"{scan.energies_eV.min():g}..{scan.energies_eV.max():g} eV"
        )
    if isinstance(angles, int) and angles < 1:
        raise InputError(f"angles: found stride {angles}; allowed is 1 or more")
    views = range(len(scan.angles_rad))[slice(None, None, angles) if angles is None or isinstance(angles, int) else angles]
    if not len(views) or views.step < 1:
        raise InputError(
            f"angles: {_told(angles)} takes none of {len(scan.angles_rad)}, or backwards; allowed is a rising range of them"
        )
    rows, columns = (row1 - row0) // bin, (column1 - column0) // bin
    center = ((scan.center_px if center_px is None else center_px) - column0 + 0.5) / bin - 0.5
    if not -0.5 <= center <= columns - 0.5:
        raise InputError(
            f"center: the axis is at column {center * bin + column0 + (bin - 1) / 2:g} of the detector; allowed is inside the "
            f"selected columns {column0}..{column0 + columns * bin - 1}; widen --roi or set --center"
        )

    def window(data: Any, frames: range) -> Window:
        return Window(data, numbers, frames, (row0, column0), (len(numbers), len(frames), rows, columns), bin)

    return replace(
        scan,
        energies_eV=scan.energies_eV[numbers],
        angles_rad=scan.angles_rad[views.start : views.stop : views.step],
        time_s=scan.time_s[numbers, views.start : views.stop : views.step],
        projections=window(scan.projections, views),
        flats=window(scan.flats, range(scan.flats.shape[1])),
        darks=window(scan.darks, range(scan.darks.shape[1])),
        pixels_um=scan.pixels_um[numbers] * bin,
        center_px=center,
        flats_s=None if scan.flats_s is None else scan.flats_s[numbers],
    )


def _told(angles: int | slice | None) -> str:
    """As a person types it."""
    return f"{angles.start}:{angles.stop}:{angles.step}" if isinstance(angles, slice) else str(angles)
