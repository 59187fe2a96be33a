"""Particle outlines: a superellipsoid with seeded surface roughness, as points with normals.

Body coordinates run along the crystal axes (a, b, c), in um, from the particle's centre.
"""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
_WAVES = 24  # plane waves in the roughness: enough for an isotropic look


def fibonacci_sphere(count: int) -> Array:
    """`count` nearly equidistant unit vectors, shape (count, 3)."""
    i = np.arange(count) + 0.5
    height = 1 - 2 * i / count
    longitude = np.pi * (1 + 5**0.5) * i
    ring = np.sqrt(1 - height**2)
    return np.stack([ring * np.cos(longitude), ring * np.sin(longitude), height], axis=-1)


class Outline:
    """Star-shaped surface r = R(n): superellipsoid times 1 + roughness.

    |x/A|^e + |y/B|^e + |z/C|^e = 1 for exponent e. The roughness is a sum of plane waves
    evaluated on the unit sphere, with relative rms amplitude `roughness` and about
    `roughness_waves` periods around the particle.
    """

    def __init__(
        self,
        semi_axes_um: Array,
        exponent: float,
        roughness: float,
        roughness_waves: float,
        rng: np.random.Generator,
    ):
        self.semi_axes_um = np.asarray(semi_axes_um, float)
        self.exponent = exponent
        directions = rng.normal(size=(_WAVES, 3))
        directions /= np.linalg.norm(directions, axis=1, keepdims=True)
        self._waves = directions * roughness_waves * rng.uniform(0.5, 1.5, size=(_WAVES, 1))
        self._phases = rng.uniform(0, 2 * np.pi, _WAVES)
        self._amplitude = roughness * np.sqrt(2 / _WAVES)

    def radius_um(self, points: Array) -> Array:
        """Surface radius in the direction of each of `points` (n, 3); any length but zero."""
        unit = points / np.linalg.norm(points, axis=1, keepdims=True)
        smooth = np.sum(np.abs(unit / self.semi_axes_um) ** self.exponent, axis=1) ** (-1 / self.exponent)
        if self._amplitude == 0:
            return np.asarray(smooth)
        rough = np.cos(unit @ self._waves.T + self._phases).sum(axis=1)
        return np.asarray(smooth * (1 + self._amplitude * rough))

    def surface(self, count: int) -> tuple[Array, Array]:
        """Points (count, 3) on the surface and their outward unit normals.

        The normal is the gradient of |r| - R(r/|r|), by central differences.
        """
        directions = fibonacci_sphere(count)
        points = directions * self.radius_um(directions)[:, None]
        step = 1e-4 * float(self.semi_axes_um.min())
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
