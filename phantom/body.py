"""One uncharged particle on a grid of its own, along its crystal axes."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from .shapes import Outline
from .voids import Voids

Array = NDArray[np.float64]
Volume = NDArray[np.float32]

_CELLS = 88  # along the particle's longest axis
_THINNED = 3  # one source in so many, for points at _FAR spacings and beyond: off by less than 0.05 spacings there
_FAR = 12
_BAND = 3  # cells outside the surface that still carry an arrival


@dataclass(frozen=True)
class Body:
    """Where one particle is, in its own frame (crystal a, b, c; um from the centre).

    `depth_um` (a, b, c) below the outline, negative outside, on cells of `step_um` with one at the centre;
    `surface`, `normals` (m, 3) sample the outline, normals outward; `voids` are its cracks and pores.
    """

    step_um: float
    depth_um: Volume
    surface: Array
    normals: Array
    voids: Voids

    @property
    def points(self) -> Array:
        """Coordinates of all cells, (n, 3), um."""
        return grid_points(self.depth_um.shape, self.step_um)

    @property
    def share(self) -> Array:
        """Share of each cell, flat, that is inside the outline."""
        return np.clip(0.5 + self.depth_um.ravel().astype(float) / self.step_um, 0, 1)

    @property
    def near(self) -> NDArray[np.bool_]:
        """Cells, flat, inside the outline or close to it."""
        return self.depth_um.ravel() > -_BAND * self.step_um


def grid_points(shape: tuple[int, ...], step_um: float) -> Array:
    """Coordinates (n, 3) of a grid of `shape` centred on zero."""
    axes = [(np.arange(n) - (n - 1) / 2) * step_um for n in shape]
    return np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)


class Wavefront:
    """A front that leaves `sources` (m, 3) at t = 0 with a speed of sqrt(sum v_i^2 n_i^2) along its normal n.

    Its arrival is the distance in space stretched by 1/v_i (the elliptical metric of the anisotropic eikonal
    equation, Sethian, Level Set Methods, 1999, ch. 8). The sources sample a surface, `normals` point away from
    where the front goes. At `speed` (1, 1, 1) times are distances in um.
    """

    def __init__(self, sources: Array, normals: Array, speed: Array):
        self._speed = speed
        self._sources = sources / speed
        normals = normals * speed
        self._normals = normals / np.linalg.norm(normals, axis=1, keepdims=True)
        self._tree = cKDTree(self._sources)
        few = self._sources[:: max(1, len(sources) // 500)]
        self._spacing = float(np.median(self._tree.query(few, k=min(6, len(sources)))[0][:, -1]))
        self._sparse = cKDTree(self._sources[::_THINNED])

    def time(self, points: Array, ahead: NDArray[np.bool_] | None = None, within: float = np.inf) -> Array:
        """When the front reaches `points` (n, 3); inf for those it does not reach within a time.

        Behind the surface the time is negative, unless `ahead` (n,) knows better.
        """
        query = points / self._speed
        # Far away every source is about as near as its neighbours, which makes the search slow: a few do as well.
        distance, nearest = self._tree.query(query, distance_upper_bound=min(within, _FAR * self._spacing), workers=-1)
        far = np.flatnonzero(np.isinf(distance))
        distance[far], thinned = self._sparse.query(query[far], distance_upper_bound=within, workers=-1)
        nearest[far] = thinned * _THINNED
        found = np.flatnonzero(np.isfinite(distance))
        distance, nearest = distance[found], nearest[found]
        height = np.einsum("ij,ij->i", self._sources[nearest] - query[found], self._normals[nearest])
        # Near the surface the nearest sample lies beside the foot of the perpendicular: there the height above its
        # tangent plane is the better distance, but only as far sideways as the samples lie apart.
        aside = np.sqrt(np.maximum(distance**2 - height**2, 0))
        close = np.hypot(height, np.maximum(aside - self._spacing, 0))
        sign = height if ahead is None else np.where(ahead[found], 1.0, height)
        time = np.full(len(points), np.inf)
        time[found] = np.copysign(np.where(distance < 4 * self._spacing, close, distance), sign)
        return time


def make_body(outline: Outline, voids: Voids, voxel_um: float) -> Body:
    """The particle on cells fine enough for its shape, but no finer than `voxel_um`."""
    reach = outline.reach_um
    step = max(2 * reach / _CELLS, voxel_um)
    # Two surface points for each cell the surface would cross on a sphere of that size.
    surface, normals = outline.surface(max(400, int(8 * np.pi * (reach / step) ** 2)))
    half = np.ceil(np.abs(surface).max(axis=0) / step).astype(int) + _BAND + 1
    shape = tuple(2 * half + 1)
    points = grid_points(shape, step)
    length = np.linalg.norm(points, axis=1)
    # A rough estimate is enough far from the surface, where depth only says inside or outside.
    depth = np.where(length < outline.inscribed_um, outline.inscribed_um, reach) - length
    unsure = (length > outline.inscribed_um - 5 * step) & (length < reach + 5 * step) & (length > 0)
    depth[unsure] = outline.radius_um(points[unsure]) - length[unsure]
    band = unsure & (np.abs(depth) < 4 * step)
    # Inside or outside is known exactly; beyond an edge the nearest sample's plane would tell it wrong.
    depth[band] = np.copysign(Wavefront(surface, normals, np.ones(3)).time(points[band]), depth[band])
    return Body(step, depth.reshape(shape).astype(np.float32), surface, normals, voids)
