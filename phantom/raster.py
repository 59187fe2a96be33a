"""A grain on voxels, row by row: what is solid, when the front comes, what it has turned by a time."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates, maximum_filter, minimum_filter

from .grain import Box, Grain, Grid
from .voids import Voids

Array = NDArray[np.float64]
Volume = NDArray[np.float32]
Mask = NDArray[np.bool_]

_TILE = 8  # voxels along an edge of the squares that are searched for the surface
_SURE = 0.51  # voxels from the surface at which one is whole or empty, and a little for rounding
TIMES = 16385  # at which the way of a front is counted: far more than the voxels that it crosses
_NO_PORES, _NO_CRACKS = np.zeros((0, 4)), np.zeros((0, 8))


@dataclass(frozen=True)
class Fields:
    """Voxels of a grain in `box` (z, y, x) of the grid: share of each that is solid, when the front comes, how long it crosses.

    Where nothing is solid they are 0, 0 and 1.
    """

    box: Box
    solid: Volume
    arrival: Volume
    crossing: Volume

    @classmethod
    def empty(cls, box: Box) -> "Fields":
        """Room for the fields of a box."""
        solid, arrival, crossing = np.empty((3, *(side.stop - side.start for side in box)), np.float32)
        return cls(box, solid, arrival, crossing)

    def put(self, row: "Fields") -> None:
        """Set what is one row, or several, of these."""
        own = self.rows(row.box[0].start, row.box[0].stop)
        own.solid[...], own.arrival[...], own.crossing[...] = row.solid, row.arrival, row.crossing

    def rows(self, start: int, stop: int) -> "Fields":
        """Those of the rows `start` to `stop` of the grid that are in the box; a view."""
        z = slice(max(start, self.box[0].start), min(stop, self.box[0].stop))
        k = slice(z.start - self.box[0].start, z.stop - self.box[0].start)
        return Fields((z, *self.box[1:]), self.solid[k], self.arrival[k], self.crossing[k])


@dataclass(frozen=True)
class Raster:
    """A grain in `box` (z, y, x) of a grid, its body stretched; any row is computed when asked for.

    `to_cells` (3, 3) takes um (x, y, z) from the grain's centre to cells of its body; within the cells that a tile about a cell
    touches, depth is `shallowest` to `deepest`. `pores` (n, 4) are centre (z, y, x) in the lab and reach, um.
    """

    grain: Grain
    grid: Grid
    box: Box
    to_cells: Array
    shallowest: Volume
    deepest: Volume
    pores: Array

    @property
    def voxels(self) -> int:
        """Voxels in the box."""
        return int(np.prod([side.stop - side.start for side in self.box]))

    @property
    def span(self) -> tuple[float, float]:
        """Times before the front reaches the first voxel and after it has left the last."""
        crossing = float(self.grain.slope.max()) * self._width_um
        if self.grain.front.kind == "solid-solution":
            crossing = 1.0
        return float(self.grain.arrival.min()) - crossing, float(self.grain.arrival.max()) + crossing

    @property
    def _width_um(self) -> float:
        """Width of the front on voxels: a sharp one still crosses a voxel."""
        return float(np.hypot(self.grid.voxel_um, self.grain.front.width_um))

    def row(self, z: int) -> Fields:
        """Row `z` of the grid, one voxel high: the same bits whatever other rows are asked for."""
        z_um, y_um, x_um = self._place(z)
        index = self._cells(z_um, y_um, x_um)
        solid = self._solid(index, z_um, y_um, x_um)
        arrival, crossing = np.zeros_like(solid), np.ones_like(solid)
        if self.grain.front.kind != "solid-solution":
            filled = solid > 0
            index = index[:, filled]
            arrival[filled] = _interpolate(self.grain.arrival, index)
            crossing[filled] = _interpolate(self.grain.slope, index) * np.float64(self._width_um)
        return Fields((slice(z, z + 1), *self.box[1:]), solid[None], arrival[None], crossing[None])

    def _place(self, z: int) -> tuple[float, Array, Array]:
        """Places of a row along z, y, x, um from the grain's centre."""
        indices = (np.array([z]), *(np.arange(side.start, side.stop) for side in self.box[1:]))
        z_um, y_um, x_um = (
            (i - (count - 1) / 2) * self.grid.voxel_um - center
            for i, count, center in zip(indices, self.grid.shape, self.grain.center_um, strict=True)
        )
        return float(z_um[0]), y_um, x_um

    def _cells(self, z_um: float, y_um: Array, x_um: Array) -> Array:
        """Indices (3, y, x) among the cells of the body: sums in a fixed order, whatever the machine's BLAS."""
        middle = (np.array(self.grain.body.depth_um.shape) - 1) / 2
        along_y = self.to_cells[:, 1, None] * y_um + (self.to_cells[:, 2] * z_um + middle)[:, None]
        return np.asarray((self.to_cells[:, 0, None] * x_um)[:, None, :] + along_y[:, :, None])

    def _solid(self, index: Array, z_um: float, y_um: Array, x_um: Array) -> Volume:
        """Share (y, x) of each voxel that is solid; looked up only where the surface may be."""
        inside, outside = self._tiles(z_um, y_um, x_um)
        solid = inside.astype(np.float32)
        unsure = ~(inside | outside)
        depth = _interpolate(self.grain.body.depth_um, index[:, unsure])
        solid[unsure] = np.clip(0.5 + depth / self.grid.voxel_um, 0, 1)
        if self.grain.body.voids.any:
            solid *= 1 - self._empty(index, z_um, y_um, x_um)
        return solid

    def _tiles(self, z_um: float, y_um: Array, x_um: Array) -> tuple[Mask, Mask]:
        """Masks (y, x): certainly inside, and outside, by tiles of voxels."""
        half = (_TILE - 1) / 2 * self.grid.voxel_um
        centers = np.rint(self._cells(z_um, y_um[::_TILE] + half, x_um[::_TILE] + half)).astype(np.intp)
        cells = tuple(np.clip(c, 0, n - 1) for c, n in zip(centers, self.shallowest.shape, strict=True))
        sure = _SURE * self.grid.voxel_um
        inside, outside = (
            np.repeat(np.repeat(tiles, _TILE, axis=0), _TILE, axis=1)[: len(y_um), : len(x_um)]
            for tiles in (self.shallowest[cells] > sure, self.deepest[cells] < -sure)
        )
        return inside, outside

    def _empty(self, index: Array, z_um: float, y_um: Array, x_um: Array) -> Array:
        """Share (y, x) of each voxel that cracks and pores take; a pore is looked for only near its place."""
        body = self.grain.body
        middle = (np.array(body.depth_um.shape) - 1) / 2
        points = np.moveaxis(index - middle[:, None, None], 0, -1) * body.step_um

        def share(voids: Voids, own: Array) -> Array:
            return voids.share(own.reshape(-1, 3), self.grid.voxel_um).reshape(own.shape[:2])

        empty = np.zeros(index.shape[1:])
        if len(body.voids.cracks):
            empty = share(replace(body.voids, pores=_NO_PORES), points)
        for pore, (z, y, x, reach) in zip(body.voids.pores, self.pores, strict=True):
            if abs(z - z_um) < reach:
                rows, columns = (
                    slice(*np.searchsorted(axis, (center - reach, center + reach))) for axis, center in ((y_um, y), (x_um, x))
                )
                one = Voids(pore[None], _NO_CRACKS, body.voids.crack_width_um)
                empty[rows, columns] = np.maximum(empty[rows, columns], share(one, points[rows, columns]))
        return empty


def rasterize(grain: Grain, grid: Grid, box: Box, scale: Array) -> Raster:
    """A grain in `box` of a grid, its body stretched by `scale` along a, b, c."""
    body = grain.body
    to_cells = grain.rotation.T / (scale[:, None] * body.step_um)
    half = np.abs(to_cells[:, :2]).sum(axis=1) * (_TILE - 1) / 2 * grid.voxel_um
    # The cells around any point of a tile are fewer than this from the one nearest to the tile's centre.
    size = tuple(int(2 * np.ceil(h + 1.5) - 1) for h in half)
    shallowest, deepest = (function(body.depth_um, size=size, mode="nearest") for function in (minimum_filter, maximum_filter))
    pores = body.voids.pores
    centers = ((pores[:, :3] * scale) @ grain.rotation.T)[:, ::-1]
    reach = (pores[:, 3:] + grid.voxel_um) * scale.max()
    return Raster(grain, grid, box, to_cells, shallowest, deepest, np.hstack([centers, reach]))


def turned(part: Fields, low: float, high: float) -> Array:
    """Solid voxels of `part` that the front has turned at each of `TIMES` moments from `low` to `high`, exactly.

    What is turned of one voxel is a ramp in time. Two bends, split between their neighbouring moments so that sum and centre
    stay, are the ramp at every moment, so one pass over the voxels counts all moments.
    """
    filled = part.solid > 0
    solid, arrival, crossing = (a[filled].astype(float) for a in (part.solid, part.arrival, part.crossing))
    bends = np.zeros(TIMES + 1)
    step = (high - low) / (TIMES - 1)
    slope = solid / crossing
    for side, change in ((-0.5, slope), (0.5, -slope)):
        place = np.clip((arrival + side * crossing - low) / step, 0, TIMES - 1)
        first = place.astype(np.intp)
        later = change * (place - first)
        bends += np.bincount(first, change - later, TIMES + 1)
        bends[1:] += np.bincount(first, later, TIMES)
    before = float((np.clip(0.5 + (low - arrival) / crossing, 0, 1) * solid).sum())
    grown = step * np.cumsum(np.cumsum(bends[:-1]))
    return np.concatenate([[before], before + grown[:-1]])


def _interpolate(field: Volume, index: Array) -> Volume:
    """Linear between cells; beyond the last, its value."""
    return np.asarray(map_coordinates(field, index, order=1, mode="nearest", prefilter=False))
