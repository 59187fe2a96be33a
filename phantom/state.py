"""The grains of a sample on its grid, and their amounts at one state of charge, row by row in bounded memory."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from .errors import InputError
from .grain import Box, Grain, Grid, Phases
from .raster import TIMES, Fields, Raster, rasterize, turned

Array = NDArray[np.float64]
Volume = NDArray[np.float32]

# Fields up to this are kept for the next state: a particle 340 voxels across. A run of any size is to stay below 3 GB, most of
# which its projections take.
_KEPT_BYTES = 500_000_000
_FIELD_BYTES = 12  # a voxel
_ROWS_A_CALL = 8  # of kept fields: fewer make many small calls, more leave the cache
_MET = 5e-4  # of a grain may turn between two counted times: the bulk fraction is met to better than 1e-3


@dataclass(frozen=True)
class Advance:
    """Volume of a grain, in voxels, that its front has turned at `TIMES` evenly spaced times from `low` to `high`."""

    low: float
    high: float
    turned: Array


@dataclass(frozen=True)
class Voxels:
    """Grains on a grid: `fields` of each where they are small enough to be kept, else rows are computed when asked for.

    Where grains touch, a ramp one voxel wide about each surface can count a little space twice: with `sharing` none is.
    """

    rasters: tuple[Raster, ...]
    sharing: bool
    fields: tuple[Fields, ...] = ()
    advances: tuple[Advance, ...] = ()

    def parts(self, start: int, stop: int) -> Iterator[tuple[int, Fields]]:
        """The grains in rows `start` to `stop` of the grid, in order, with their numbers: all rows of one, or row by row."""
        if self.fields:
            for k in self._present(start, stop):
                yield k, self.fields[k].rows(start, stop)
            return
        for z in range(start, stop):
            parts = [(k, self.rasters[k].row(z)) for k in self._present(z, z + 1)]
            if self.sharing and len(parts) > 1:
                _share_voxels([part for _, part in parts])
            yield from parts

    def _present(self, start: int, stop: int) -> list[int]:
        return [k for k, raster in enumerate(self.rasters) if raster.box[0].start < stop and raster.box[0].stop > start]

    def count(self, spans: dict[int, tuple[float, float]], threads: int, keep: Sequence[Fields] = ()) -> dict[int, Advance]:
        """The advance of some grains over a span of time each. Rows are summed in their order; all are put into `keep`."""

        def count_row(z: int) -> list[tuple[int, Array]]:
            counts = []
            for k, part in self.parts(z, z + 1):
                if keep:
                    keep[k].put(part)
                if k in spans:
                    counts.append((k, turned(part, *spans[k])))
            return counts

        sums = {k: np.zeros(TIMES) for k in spans}
        box = enclosing([self.rasters[k].box for k in spans])
        with ThreadPoolExecutor(threads) as pool:
            for counts in pool.map(count_row, range(box[0].start, box[0].stop)):
                for k, count in counts:
                    sums[k] += count
        return {k: Advance(*span, sums[k]) for k, span in spans.items()}

    def time(self, number: int, phases: Phases, threads: int) -> float:
        """When the front of a grain has turned as much as `phases` say. Raises InputError where that cannot be met to 1e-3."""
        advance = self.advances[number]
        whole = float(advance.turned[-1])
        wanted = phases.turned(whole)
        if not 0 < wanted < whole:
            return advance.low if wanted <= 0 else advance.high
        while True:
            times = np.linspace(advance.low, advance.high, TIMES)
            last = int(np.clip(np.searchsorted(advance.turned, wanted), 1, TIMES - 1))
            (low, high), (less, more) = times[last - 1 : last + 1].tolist(), advance.turned[last - 1 : last + 1].tolist()
            if more - less <= _MET * whole:
                return float(np.interp(wanted, (less, more), (low, high)))
            if high - low < np.spacing(np.float32(max(abs(low), abs(high)))):
                raise InputError(
                    f"front.fraction: {phases.fraction:g} cannot be met to 1e-3: {(more - less) / whole:.2g} of the particle "
                    "turn in the same moment; make the particle larger or scan.pixel_um smaller"
                )
            advance = self.count({number: (low, high)}, threads)[number]


@dataclass(frozen=True)
class State:
    """The sample at one state of charge: its amounts in any rows of the grid, the same bits however rows are cut.

    `box` (z, y, x) holds all grains at any state; `phases` and `times` are each grain's, the time that of its front.
    """

    grid: Grid
    box: Box
    voxels: Voxels
    phases: tuple[Phases, ...]
    times: tuple[float, ...]

    def slab(self, rows: slice, threads: int = 1) -> Volume:
        """Amounts (species, z, y, x) float32, LFP and FP, of `rows` of the grid, y and x within `box`."""
        start, stop, step = rows.indices(self.grid.shape[0])
        if step != 1:
            raise ValueError(f"rows must follow each other, found a step of {step}")
        _, ys, xs = self.box
        out = np.zeros((2, max(0, stop - start), ys.stop - ys.start, xs.stop - xs.start), np.float32)
        self.add_to(out, (start, ys.start, xs.start), threads)
        return out

    def add_to(self, out: Volume, corner: tuple[int, int, int], threads: int = 1) -> None:
        """Add the amounts to `out` (species, z, y, x), whose first voxel is the one at `corner` of the grid."""

        stop = corner[0] + out.shape[1]
        step = _ROWS_A_CALL if self.voxels.fields else 1

        def add_rows(start: int) -> None:
            for k, part in self.voxels.parts(start, min(start + step, stop)):
                place = tuple(slice(side.start - at, side.stop - at) for side, at in zip(part.box, corner, strict=True))
                share = np.clip(0.5 + (self.times[k] - part.arrival) / part.crossing, 0, 1)
                for volume, more in zip(out, self.phases[k].amounts(part.solid, share), strict=True):
                    volume[place] += more

        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(add_rows, range(corner[0], stop, step)))


def voxels_of(
    grains: Sequence[Grain], boxes: Sequence[Box], grid: Grid, scales: Sequence[Array], sharing: bool, threads: int
) -> Voxels:
    """Grains in their boxes of a grid, each stretched by its scale, with the advance of each front."""
    rasters = tuple(rasterize(g, grid, box, scale) for g, box, scale in zip(grains, boxes, scales, strict=True))
    keep: tuple[Fields, ...] = ()
    if sum(raster.voxels for raster in rasters) * _FIELD_BYTES <= _KEPT_BYTES:
        keep = tuple(Fields.empty(raster.box) for raster in rasters)
    voxels = Voxels(rasters, sharing)
    advances = voxels.count({k: raster.span for k, raster in enumerate(rasters)}, threads, keep)
    return replace(voxels, fields=keep, advances=tuple(advances.values()))


def enclosing(boxes: Sequence[Box]) -> Box:
    """The smallest box that holds all."""
    z, y, x = (slice(min(side.start for side in sides), max(side.stop for side in sides)) for sides in zip(*boxes, strict=True))
    return z, y, x


def _share_voxels(parts: Sequence[Fields]) -> None:
    """Where the shares of several grains in a voxel are more than all of it, lower them to that."""
    box = enclosing([part.box for part in parts])
    places = [tuple(slice(s.start - b.start, s.stop - b.start) for s, b in zip(part.box, box, strict=True)) for part in parts]
    taken = np.zeros([side.stop - side.start for side in box], np.float32)
    for part, place in zip(parts, places, strict=True):
        taken[place] += part.solid
    np.maximum(taken, 1, out=taken)
    for part, place in zip(parts, places, strict=True):
        part.solid[...] /= taken[place]
