"""Shell thickness, and how far the front moved, by direction; from maps alone."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_erosion, gaussian_filter, map_coordinates
from scipy.spatial import cKDTree

from .result import AmountMap, phase_fraction

Array = NDArray[np.float64]
Values = NDArray[np.float32]

_PATCHES = 60
_BOOTSTRAPS = 200
_STRIDE = 0.5  # voxels


@dataclass(frozen=True)
class ShellThickness:
    """Thickness (axis,) of the FP shell along given axes, um, and its covariance (axis, axis)."""

    thickness_um: Array
    covariance: Array

    def ratio(self, over: int, under: int) -> tuple[float, float]:
        """Thickness along one axis over that along another, and its sigma (first order)."""
        a, b = self.thickness_um[over], self.thickness_um[under]
        gradient = np.zeros(len(self.thickness_um))
        gradient[over], gradient[under] = 1 / b, -a / b**2
        return float(a / b), float(np.sqrt(gradient @ self.covariance @ gradient))


def shell_thickness(found: AmountMap, axes: Array, smoothing_px: float = 1.0) -> ShellThickness | None:
    """FP shell thickness along `axes` (3 vectors in lab x, y, z), or None where there is no front.

    Each place of the front x = 0.5 has a depth d below the particle's surface and a normal n. A front
    of speeds v_i along the axes has d^2 = sum t_i^2 n_i^2 with t_i its thickness along axis i (elliptical
    front metric); t_i^2 is found by least squares. Sigma is a bootstrap over patches of directions.
    """
    amounts = gaussian_filter(np.nan_to_num(found.amounts), (0, *[smoothing_px] * 3))
    iron = amounts.sum(axis=0)
    particle = iron >= 0.5
    x = np.where(particle, np.nan_to_num(phase_fraction(amounts, found.species), nan=1.0), 1.0)
    core = particle & (x < 0.5)
    if core.sum() < 50 or (particle & ~core).sum() < 50:
        return None
    surface, outward = _isosurface(iron)
    place, normal = _isosurface(x, particle)
    nearest = cKDTree(surface).query(place)[1]
    d2 = np.einsum("ij,ij->i", place - surface[nearest], outward[nearest]) ** 2
    along = (normal[:, ::-1] @ np.asarray(axes).T) ** 2
    direction = place - np.argwhere(core).mean(axis=0)
    patch = _patches(direction / np.linalg.norm(direction, axis=1, keepdims=True))
    moments = np.stack([along[patch == p].T @ along[patch == p] for p in range(_PATCHES)])
    sides = np.stack([along[patch == p].T @ d2[patch == p] for p in range(_PATCHES)])

    def solve(weights: Array) -> Array:
        squares = np.linalg.lstsq(np.tensordot(weights, moments, 1), weights @ sides, rcond=None)[0]
        return np.asarray(np.sqrt(np.maximum(squares, 0.0)))

    rng = np.random.default_rng(0)  # the bootstrap's own: a map gives one answer
    draws = np.array(
        [solve(rng.multinomial(_PATCHES, np.full(_PATCHES, 1 / _PATCHES)).astype(float)) for _ in range(_BOOTSTRAPS)]
    )
    return ShellThickness(solve(np.ones(_PATCHES)) * found.voxel_um, np.cov(draws.T) * found.voxel_um**2)


def front_width_um(found: AmountMap, smoothing_px: float = 1.0) -> float | None:
    """Median over the front x = 0.5 inside the particle of 1 / |gradient of x|; None where there are not two phases.

    A linear change of x over a width w has w. Amounts are smoothed first, which alone makes a sharp front about 2.5 voxels wide.
    """
    amounts = gaussian_filter(np.nan_to_num(found.amounts), (0, *[smoothing_px] * 3))
    particle = binary_erosion(amounts.sum(axis=0) >= 0.5, iterations=3)
    x = np.where(particle, np.nan_to_num(phase_fraction(amounts, found.species)), 0.0)
    steepness = np.sqrt(sum(g**2 for g in np.gradient(x)))
    here = binary_erosion(particle) & (np.abs(x - 0.5) < 0.2)
    return float(found.voxel_um / np.median(steepness[here])) if _two_phases(x[particle]) and here.sum() >= 20 else None


def _two_phases(x: Values) -> bool:
    """Whether both phases take at least 1 % of the voxels; the noise of one phase half way does not reach so far."""
    return bool(x.size) and min(float((x < 0.25).mean()), float((x > 0.75).mean())) > 0.01


def exposed_share(found: AmountMap, smoothing_px: float = 1.0) -> float | None:
    """Share of the LFP core's boundary at the particle's surface instead of at FP; None where there is no core and no shell.

    A core in a shell has 0, one that reacts from one side up to a half; a plane front leaves about as much open as it covers.
    """
    amounts = gaussian_filter(np.nan_to_num(found.amounts), (0, *[smoothing_px] * 3))
    particle = amounts.sum(axis=0) >= 0.5
    x = phase_fraction(amounts, found.species)  # a number wherever there is particle
    core = particle & (x < 0.5)
    if core.sum() < 50 or not _two_phases(x[particle]):
        return None
    open_faces = faces = 0
    for axis in range(3):
        for step in (1, -1):
            next_core, next_particle = (np.roll(mask, step, axis) for mask in (core, particle))
            # A voxel of partial iron between core and outside is no shell: look one further.
            beyond = np.roll(next_particle, step, axis)
            border = core & ~next_core
            faces += int(border.sum())
            open_faces += int((border & ~(next_particle & beyond)).sum())
    return open_faces / faces if faces else None


def front_displacement(before: AmountMap, after: AmountMap, axes: Array, smoothing_px: float = 1.0) -> Array:
    """How far the LFP core receded between two maps on the same grid along -x, +x, -y, +y, -z, +z of `axes`, um, (6,).

    `axes` (3 vectors in lab x, y, z) state the frame. From each place of the later core's boundary one goes outward
    along its normal to the boundary of the earlier core, be it front or still the particle's surface: every
    place of a later front stems from the earlier one, but not the other way round (Huygens). A direction takes the
    median of the places whose normal is within 25 degrees of it, NaN where there is none.
    """
    earlier, later = (gaussian_filter(np.nan_to_num(m.amounts[m.species.index("LFP")]), smoothing_px) for m in (before, after))
    place, normal = _isosurface(later)
    normal *= -1  # the gradient points into the core
    moved = np.full(len(place), np.nan)
    going, previous = np.arange(len(place)), np.ones(len(place))
    for step in np.arange(0, max(earlier.shape), _STRIDE):
        value = map_coordinates(earlier, (place[going] + step * normal[going]).T, order=1)
        out = value <= 0.5
        part = (previous[out] - 0.5) / np.maximum(previous[out] - value[out], 1e-6)
        moved[going[out]] = max(step - _STRIDE, 0) + _STRIDE * part * (step > 0)
        going, previous = going[~out], value[~out]
        if not going.size:
            break
    outward = normal[:, ::-1] @ np.asarray(axes).T
    signed = np.stack([-outward, outward], axis=-1).reshape(-1, 6)
    near = [moved[signed[:, k] > np.cos(np.deg2rad(25))] for k in range(6)]
    return np.array([np.nanmedian(part) if np.isfinite(part).any() else np.nan for part in near]) * before.voxel_um


def _isosurface(field: Values, within: NDArray[np.bool_] | None = None) -> tuple[Array, Array]:
    """Points (n, 3) where `field` crosses 0.5 between neighbours, in voxels (z, y, x), and unit normals."""
    gradient = np.stack(np.gradient(gaussian_filter(field, 1.0)))
    above = field >= 0.5
    places = []
    for axis in range(3):
        step = np.eye(3, dtype=int)[axis]
        crossing = np.argwhere(np.diff(above, axis=axis))
        if within is not None:
            crossing = crossing[within[tuple(crossing.T)] & within[tuple((crossing + step).T)]]
        here, there = field[tuple(crossing.T)], field[tuple((crossing + step).T)]
        places.append(crossing + step * ((0.5 - here) / (there - here))[:, None])
    place = np.concatenate(places)
    normal = np.stack([map_coordinates(g, place.T, order=1) for g in gradient], axis=1)
    return place, normal / np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-12)


def _patches(directions: Array) -> NDArray[np.intp]:
    """Number of the nearest of evenly spread directions."""
    i = np.arange(_PATCHES) + 0.5
    height, longitude = 1 - 2 * i / _PATCHES, np.pi * (1 + 5**0.5) * i
    ring = np.sqrt(1 - height**2)
    centres = np.stack([ring * np.cos(longitude), ring * np.sin(longitude), height], axis=1)
    return np.asarray(np.argmax(directions @ centres.T, axis=1))
