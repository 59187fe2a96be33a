"""Outlines side by side: touching in a cluster, or apart in a field of view."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from .errors import InputError
from .shapes import Outline, fibonacci_sphere

Array = NDArray[np.float64]
_NEAREST, _ROUNDS = 6, 3  # points of a surface that are looked at more closely, and how often
_CLOUD = np.concatenate([np.zeros((1, 3)), fibonacci_sphere(40), 0.5 * fibonacci_sphere(20)])
_TRIES = 4000  # places tried for one particle
_SIDES = 12  # from which a primary tries to come near
_CONTACT = 1e-3  # of its size: how near a primary comes to those it touches


@dataclass(frozen=True)
class Solid:
    """An outline at a place: `rotation` takes crystal to lab (x, y, z), `center_um` is (z, y, x)."""

    outline: Outline
    rotation: Array
    center_um: Array

    def surface_um(self) -> Array:
        """Points (n, 3) on the surface in the lab, (z, y, x)."""
        return np.asarray((self.outline.points_um @ self.rotation.T)[:, ::-1] + self.center_um)

    def depth_um(self, zyx: Array) -> Array:
        """How far inside, along its radius, each of the points (n, 3) is; negative outside."""
        own = (zyx - self.center_um)[:, ::-1] @ self.rotation
        length = np.maximum(np.linalg.norm(own, axis=1), 1e-9)
        return np.asarray(self.outline.radius_um(own + 1e-12) - length)

    def deepest_um(self, other: "Solid", gap_um: float) -> float:
        """Depth of the deepest point of another's surface; edges and corners are searched between the sampled points."""
        depth = self.depth_um(other.surface_um())
        width = 2 * np.sqrt(4 * np.pi / len(depth))
        if depth.max() > -gap_um or depth.max() < -gap_um - width * other.outline.reach_um:
            return float(depth.max())
        nearest = other.outline.points_um[np.argsort(depth)[-_NEAREST:]]
        directions = nearest / np.linalg.norm(nearest, axis=1, keepdims=True)
        for _ in range(_ROUNDS):
            cloud = (directions[:, None] + width * _CLOUD).reshape(-1, 3)
            points = cloud / np.linalg.norm(cloud, axis=1, keepdims=True)
            zyx = (points * other.outline.radius_um(points)[:, None]) @ other.rotation.T
            depth = self.depth_um(zyx[:, ::-1] + other.center_um)
            directions = points[np.argsort(depth)[-_NEAREST:]]
            width /= 3
        return float(depth.max())

    def touches(self, other: "Solid", gap_um: float = 0.0) -> bool:
        """Whether two outlines overlap, or come nearer than `gap_um` along a radius."""
        apart = float(np.linalg.norm(self.center_um - other.center_um))
        if apart > self.outline.reach_um + other.outline.reach_um + gap_um:
            return False
        if apart < self.outline.inscribed_um + other.outline.inscribed_um:
            return True
        return self.deepest_um(other, gap_um) > -gap_um or other.deepest_um(self, gap_um) > -gap_um


def cluster(solids: Sequence[Solid], center_um: Array, gap_um: float, rng: np.random.Generator) -> list[Solid]:
    """The solids moved together about `center_um`: each comes within `gap_um` of one before it, from the best of some sides."""
    placed: list[Solid] = []
    for solid in solids:
        if not placed:
            placed.append(solid)
            continue
        middle = np.mean([other.center_um for other in placed], axis=0)
        directions = rng.normal(size=(_SIDES, 3))
        directions /= np.linalg.norm(directions, axis=1, keepdims=True)
        distances = [_approach(solid, placed, middle, direction, gap_um) for direction in directions]
        best = int(np.argmin(distances))
        placed.append(replace(solid, center_um=middle + distances[best] * directions[best]))
    shift = center_um - np.mean([solid.center_um for solid in placed], axis=0)
    return [replace(solid, center_um=solid.center_um + shift) for solid in placed]


def _approach(solid: Solid, placed: Sequence[Solid], middle: Array, direction: Array, gap_um: float) -> float:
    """Distance from `middle` along `direction` at which the solid, coming from afar, meets one of those placed."""

    def blocked(distance: float) -> bool:
        here = replace(solid, center_um=middle + distance * direction)
        return any(here.touches(other, gap_um) for other in placed)

    step = 0.1 * solid.outline.reach_um
    free = (
        max(float(np.linalg.norm(o.center_um - middle)) + o.outline.reach_um for o in placed)
        + solid.outline.reach_um
        + gap_um
        + step
    )
    while free > step and not blocked(free - step):
        free -= step
    while step > _CONTACT * solid.outline.reach_um:
        step /= 2
        if not blocked(free - step):
            free -= step
    return free


def scatter(
    solids: Sequence[Solid],
    propose: Callable[[np.random.Generator, int, float], Array],
    gap_um: float,
    rng: np.random.Generator,
) -> list[Solid]:
    """The solids at random places, at least `gap_um` apart; the largest first.

    `propose` (rng, count, reach) draws centres (count, 3). Random sequential addition (Widom, J. Chem. Phys. 44 (1966)
    3888). Raises InputError where one finds no room.
    """
    placed: list[Solid] = []
    for number, solid in enumerate(sorted(solids, key=lambda s: -s.outline.reach_um)):
        centers = propose(rng, _TRIES, solid.outline.reach_um)
        if placed:  # those inside another's inscribed sphere need no closer look
            apart = np.linalg.norm(centers[:, None] - [other.center_um for other in placed], axis=2)
            inscribed = solid.outline.inscribed_um + np.array([other.outline.inscribed_um for other in placed])
            centers = centers[(apart > inscribed + gap_um).all(axis=1)]
        for center in centers:
            here = replace(solid, center_um=center)
            if not any(here.touches(other, gap_um) for other in placed):
                placed.append(here)
                break
        else:
            raise InputError(
                f"electrode: packing too dense: {number} of {len(solids)} particles found room, the next none in {_TRIES} tries; "
                "allowed is fewer or smaller particles; lower electrode.particles or median_diameter_um, or widen the field"
            )
    return placed
