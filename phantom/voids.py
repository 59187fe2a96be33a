"""Pores and cracks inside a particle."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .errors import InputError
from .shapes import Outline

Array = NDArray[np.float64]
_TRIES = 20000


@dataclass(frozen=True)
class Voids:
    """Spherical pores and flat cracks, in the particle's frame, um.

    `pores` (n, 4): centre along a, b, c and radius. `cracks` (m, 8): unit normal, offset along it, unit direction
    in its plane, and the coordinate along that from which on it is open. A crack is `crack_width_um` wide.
    """

    pores: Array
    cracks: Array
    crack_width_um: float

    @property
    def any(self) -> bool:
        """Whether there is any pore or crack."""
        return bool(len(self.pores) or len(self.cracks))

    def share(self, points: Array, voxel_um: float) -> Array:
        """Share (n,) of a voxel at each of `points` (n, 3) that is empty."""
        empty = np.zeros(len(points))
        for *center, radius in self.pores:
            # A linear ramp one voxel wide about r encloses r^3 + r voxel^2 / 4: keep the volume.
            radius -= voxel_um**2 / (12 * radius)
            box = np.flatnonzero(np.abs(points - center).max(axis=1) < radius + voxel_um)
            inside = radius - np.linalg.norm(points[box] - center, axis=1)
            empty[box] = np.maximum(empty[box], np.clip(0.5 + inside / voxel_um, 0, 1))
        half = self.crack_width_um / 2
        for crack in self.cracks:
            across = points @ crack[:3] - crack[3]
            near = np.flatnonzero(np.abs(across) < half + voxel_um)
            # The overlap of voxel and gap along the normal: right for gaps thinner than a voxel, too.
            gap = np.minimum(across[near] + voxel_um / 2, half) - np.maximum(across[near] - voxel_um / 2, -half)
            opened = np.clip(0.5 + (points[near] @ crack[4:7] - crack[7]) / voxel_um, 0, 1)
            empty[near] = np.maximum(empty[near], np.clip(gap / voxel_um, 0, 1) * opened)
        return empty

    def faces(self, reach_um: float, step_um: float) -> tuple[Array, Array]:
        """Points (n, 3) on both faces of every crack, about `step_um` apart, and normals (n, 3) into the gap."""
        line = np.arange(-reach_um, reach_um + step_um, step_um)
        points, normals = [np.zeros((0, 3))], [np.zeros((0, 3))]
        for crack in self.cracks:
            normal, along = crack[:3], crack[4:7]
            s, t = (grid.ravel() for grid in np.meshgrid(line[line > crack[7]], line, indexing="ij"))
            sheet = crack[3] * normal + s[:, None] * along + t[:, None] * np.cross(normal, along)
            for side in (1, -1):
                points.append(sheet + side * self.crack_width_um / 2 * normal)
                normals.append(np.broadcast_to(-side * normal, sheet.shape))
        return np.concatenate(points), np.concatenate(normals)


def make_voids(
    outline: Outline, porosity: float, pore_diameter_um: float, cracks: int, crack_width_um: float, rng: np.random.Generator
) -> Voids:
    """Pores that fill `porosity` of the outline's volume, apart from each other and from the surface, and `cracks` from outside.

    Raises InputError where so many pores of that size find no room.
    """
    rng_pores, rng_cracks = rng.spawn(2)
    return Voids(_pores(outline, porosity, pore_diameter_um / 2, rng_pores), _cracks(outline, cracks, rng_cracks), crack_width_um)


def _pores(outline: Outline, porosity: float, radius: float, rng: np.random.Generator) -> Array:
    if porosity == 0:
        return np.zeros((0, 4))
    wanted = porosity * outline.volume_um3
    count = max(1, round(wanted / (4 / 3 * np.pi * radius**3)))
    # Equal pores of about the diameter asked for, exactly the volume asked for.
    asked, radius = radius, float((wanted / count / (4 / 3 * np.pi)) ** (1 / 3))
    if not 0.8 < radius / asked < 1.25:
        raise InputError(
            f"particle.pore_diameter_um: is {2 * asked:.3g} um; allowed for a porosity of {porosity:g} is up to "
            f"{2.2 * radius:.3g} um; lower it or raise porosity"
        )
    reach = outline.reach_um
    centers = np.zeros((0, 3))
    candidates = rng.uniform(-reach, reach, (_TRIES, 3))
    room = outline.radius_um(candidates) - np.linalg.norm(candidates, axis=1)
    for candidate in candidates[room > 1.2 * radius]:
        if len(centers) == count:
            break
        if not len(centers) or np.linalg.norm(centers - candidate, axis=1).min() > 2.05 * radius:
            centers = np.vstack([centers, candidate])
    if len(centers) < count:
        raise InputError(
            f"particle.porosity: {count} pores of {2 * radius:.3g} um diameter were asked for, {len(centers)} found room; "
            "lower porosity or change pore_diameter_um"
        )
    return np.column_stack([centers, np.full(count, radius)])


def _cracks(outline: Outline, count: int, rng: np.random.Generator) -> Array:
    reach = outline.reach_um
    cracks = np.zeros((count, 8))
    for crack in cracks:
        normal = rng.normal(size=3)
        normal /= np.linalg.norm(normal)
        along = np.cross(normal, rng.normal(size=3))
        crack[:3], crack[3] = normal, rng.uniform(-0.4, 0.4) * reach
        crack[4:7], crack[7] = along / np.linalg.norm(along), rng.uniform(-0.3, 0.3) * reach
    return cracks
