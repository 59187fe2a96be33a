"""Particle outlines: superellipsoids and crystals with facets, rough or smooth, as points with normals.

Body coordinates run along the crystal axes (a, b, c), in um, from the particle's centre.
"""

from collections.abc import Callable
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Radius = Callable[[Array], Array]
Shape = Literal["superellipsoid", "facetted"]

_WAVES = 24  # plane waves in the roughness: enough for an isotropic look
_LATTICE = np.array([10.3298, 6.0068, 4.6908])  # a, b, c of LiFePO4, Pnma, in angstrom
# Families of facets and their relative distance from the centre (Wulff): surface energies in J/m2 after
# Wang, Zhou, Meng and Ceder, Phys. Rev. B 76 (2007) 165435, from memory, so a guess.
_FACETS = {
    (1, 0, 0): 0.66,
    (0, 1, 0): 0.64,
    (0, 0, 1): 0.97,
    (0, 1, 1): 0.76,
    (1, 0, 1): 0.62,
    (1, 1, 0): 0.71,
    (2, 0, 1): 0.52,
    (2, 1, 0): 0.65,
}


def fibonacci_sphere(count: int) -> Array:
    """`count` nearly equidistant unit vectors, shape (count, 3)."""
    i = np.arange(count) + 0.5
    height = 1 - 2 * i / count
    longitude = np.pi * (1 + 5**0.5) * i
    ring = np.sqrt(1 - height**2)
    return np.stack([ring * np.cos(longitude), ring * np.sin(longitude), height], axis=-1)


def superellipsoid(semi_axes: Array, exponent: float) -> Radius:
    """Radius along unit vectors (n, 3) of |x/A|^e + |y/B|^e + |z/C|^e = 1."""
    return lambda unit: np.asarray(np.sum(np.abs(unit / semi_axes) ** exponent, axis=1) ** (-1 / exponent))


def facetted() -> Radius:
    """Radius along unit vectors (n, 3) of the Wulff polyhedron of LiFePO4's low-index facets, of size about 1."""
    normals, distances = [], []
    for hkl, distance in _FACETS.items():
        signs = np.array(np.meshgrid(*[(-1, 1) if index else (1,) for index in hkl])).reshape(3, -1).T
        normals.append(signs * hkl / _LATTICE)
        distances += [distance] * len(signs)
    faces = np.concatenate(normals)
    faces = faces / np.linalg.norm(faces, axis=1, keepdims=True) / np.array(distances)[:, None]
    return lambda unit: np.asarray(1 / (unit @ faces.T).max(axis=1))


class Outline:
    """Star-shaped surface r = R(n) whose extents along a, b, c are twice `semi_axes_um`.

    The roughness, a factor 1 + a sum of plane waves on the unit sphere, has relative rms amplitude `roughness`
    and about `roughness_waves` periods around the particle; extents are what they should be with it. A `volume_um3`
    scales all; `semi_axes_um` then only says proportions.
    """

    def __init__(
        self,
        semi_axes_um: Array,
        rng: np.random.Generator,
        *,
        shape: Shape = "superellipsoid",
        exponent: float = 2.0,
        roughness: float = 0.0,
        roughness_waves: float = 6.0,
        volume_um3: float | None = None,
    ):
        directions = rng.normal(size=(_WAVES, 3))
        directions /= np.linalg.norm(directions, axis=1, keepdims=True)
        self._waves = directions * roughness_waves * rng.uniform(0.5, 1.5, size=(_WAVES, 1))
        self._phases = rng.uniform(0, 2 * np.pi, _WAVES)
        self._amplitude = roughness * np.sqrt(2 / _WAVES)
        semi_axes = np.asarray(semi_axes_um, float)
        self._smooth = superellipsoid(semi_axes, exponent) if shape == "superellipsoid" else facetted()
        self._stretch = np.ones(3)
        self._stretch = 2 * semi_axes / np.ptp(self._extremes_um(), axis=0)
        if volume_um3 is not None:
            self._stretch = self._stretch * (volume_um3 / self._volume_um3()) ** (1 / 3)

    def radius_um(self, points: Array) -> Array:
        """Surface radius in the direction of each of `points` (n, 3); any length but zero."""
        unit = points / np.linalg.norm(points, axis=1, keepdims=True)
        unit = unit / self._stretch
        length = np.linalg.norm(unit, axis=1)
        unit = unit / length[:, None]
        radius = self._smooth(unit)
        if self._amplitude:
            radius = radius * (1 + self._amplitude * np.cos(unit @ self._waves.T + self._phases).sum(axis=1))
        return np.asarray(radius / length)

    @cached_property
    def volume_um3(self) -> float:
        """Volume inside the outline."""
        return self._volume_um3()

    def _volume_um3(self) -> float:
        """The mean of R^3 over directions, times 4 pi / 3."""
        return float(4 / 3 * np.pi * np.mean(self.radius_um(fibonacci_sphere(20000)) ** 3))

    @cached_property
    def points_um(self) -> Array:
        """A thousand points (n, 3) on the surface."""
        directions = fibonacci_sphere(1000)
        return np.asarray(directions * self.radius_um(directions)[:, None])

    @cached_property
    def reach_um(self) -> float:
        """Largest radius."""
        return float(np.linalg.norm(self.points_um, axis=1).max())

    @cached_property
    def inscribed_um(self) -> float:
        """Smallest radius."""
        return float(np.linalg.norm(self.points_um, axis=1).min())

    def _extremes_um(self) -> Array:
        """Lowest and highest coordinate along a, b, c, shape (2, 3): the best of many directions, then of ever nearer ones."""
        best = np.zeros((2, 3))
        cloud = fibonacci_sphere(4000)
        for axis in range(3):
            for k, sign in enumerate((-1, 1)):
                directions, width = cloud, 0.08
                for _ in range(4):
                    coordinate = sign * self.radius_um(directions) * directions[:, axis]
                    top = int(np.argmax(coordinate))
                    best[k, axis] = sign * coordinate[top]
                    directions = directions[top] + width * cloud[::10]
                    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
                    width /= 5
        return best

    def surface(self, count: int) -> tuple[Array, Array]:
        """Points (count, 3) on the surface and their outward unit normals.

        The normal is the gradient of |r| - R(r/|r|), by central differences.
        """
        directions = fibonacci_sphere(count)
        points = directions * self.radius_um(directions)[:, None]
        step = 1e-4 * float(np.linalg.norm(points, axis=1).min())
        normals = np.empty_like(points)
        for axis in range(3):
            shift = np.zeros(3)
            shift[axis] = step
            ahead, behind = points + shift, points - shift
            normals[:, axis] = (
                np.linalg.norm(ahead, axis=1) - self.radius_um(ahead) - np.linalg.norm(behind, axis=1) + self.radius_um(behind)
            )
        normals /= np.linalg.norm(normals, axis=1, keepdims=True)
        return points, normals
