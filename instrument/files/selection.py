"""A part of a scan, or a coarser one, without loading it: fewer energies, angles, rows and columns, binned pixels."""

from collections.abc import Iterator, Sequence
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
    frames: NDArray[np.intp]
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
                for place, some in _slices(frames, step):
                    block = self.data[int(number), some, rows, columns]
                    found[i, place] = self._binned(np.asarray(block))[:, :: row.step, :: column.step]
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


def _slices(numbers: NDArray[np.intp], most: int) -> Iterator[tuple[slice, slice]]:
    """Rising numbers as slices of even steps, none of more than `most`: where they stand, and which they are."""
    k = 0
    while k < len(numbers):
        rest = numbers[k : k + most]
        step = int(rest[1] - rest[0]) if len(rest) > 1 else 1
        even = rest == rest[0] + step * np.arange(len(rest))
        count = len(rest) if even.all() else int(np.argmin(even))
        yield slice(k, k + count), slice(int(rest[0]), int(rest[count - 1]) + 1, step)
        k += count


def select(
    scan: Measurement,
    *,
    bin: int = 1,
    roi: tuple[int, int, int, int] | None = None,
    energies: Sequence[tuple[float, float]] | None = None,
    angles: Sequence[slice] | None = None,
    center_px: float | None = None,
) -> Measurement:
    """The wanted part of a scan; frames are read when they are needed, and no more of them.

    `roi` is (row0, row1, column0, column1) on the detector, ends excluded; `bin` averages bin x bin pixels of it, dropping rows
    and columns at the end that fill no bin (see `Window` for the counts); `energies` are ranges in eV, ends included; `angles`
    are slices of the projections; `center_px` replaces the axis' column, on the detector as recorded.
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
    numbers, views = _energies(scan.energies_eV, energies), _views(len(scan.angles_rad), angles)
    rows, columns = (row1 - row0) // bin, (column1 - column0) // bin
    center = ((scan.center_px if center_px is None else center_px) - column0 + 0.5) / bin - 0.5
    if not -0.5 <= center <= columns - 0.5:
        raise InputError(
            f"center: the axis is at column {center * bin + column0 + (bin - 1) / 2:g} of the detector; allowed is inside the "
            f"selected columns {column0}..{column0 + columns * bin - 1}; widen --roi or set --center"
        )

    def window(data: Any, frames: NDArray[np.intp]) -> Window:
        return Window(data, numbers, frames, (row0, column0), (len(numbers), len(frames), rows, columns), bin)

    return replace(
        scan,
        energies_eV=scan.energies_eV[numbers],
        angles_rad=scan.angles_rad[views],
        time_s=scan.time_s[np.ix_(numbers, views)],
        projections=window(scan.projections, views),
        flats=window(scan.flats, np.arange(scan.flats.shape[1])),
        darks=window(scan.darks, np.arange(scan.darks.shape[1])),
        pixels_um=scan.pixels_um[numbers] * bin,
        exposures_s=scan.exposures_s[numbers],
        center_px=center,
        flats_s=None if scan.flats_s is None else scan.flats_s[numbers],
    )


def _energies(energies_eV: NDArray[np.float64], ranges: Sequence[tuple[float, float]] | None) -> NDArray[np.intp]:
    """Numbers of the energies in any of the ranges."""
    chosen = np.zeros(len(energies_eV), bool)
    for low, high in ranges or [(-np.inf, np.inf)]:
        inside = (energies_eV >= low) & (energies_eV <= high)
        if not inside.any():
            raise InputError(
                f"energies: none in {low:g}..{high:g} eV; allowed is a range that holds some of "
                f"{energies_eV.min():g}..{energies_eV.max():g} eV"
            )
        chosen |= inside
    return np.flatnonzero(chosen)


def _views(count: int, parts: Sequence[slice] | None) -> NDArray[np.intp]:
    """Numbers of the projections in any of the slices."""
    chosen = np.zeros(count, bool)
    for part in parts or [slice(None)]:
        if (part.step is not None and part.step < 1) or not len(range(count)[part]):
            raise InputError(f"angles: {_told(part)} takes none of {count}, or backwards; allowed is a rising range of them")
        chosen[part] = True
    return np.flatnonzero(chosen)


def _told(part: slice) -> str:
    """As a person types it."""
    return f"stride {part.step}" if part.start is None and part.stop is None else f"{part.start}:{part.stop}:{part.step}"
