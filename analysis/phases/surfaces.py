"""Surfaces in a map as points with normals and areas."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_erosion, gaussian_filter, label, map_coordinates

from ..result import AmountMap, phase_fraction

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]
Values = NDArray[np.float32]

_SPECK = 27  # voxels: a region smaller than a cube of 3 is taken for noise


@dataclass(frozen=True)
class Surface:
    """Points of a surface: `places` (n, 3), (z, y, x); unit `normals` (n, 3); `areas` (n,) that each point stands for."""

    places: Array
    normals: Array
    areas: Array

    @property
    def area(self) -> float:
        """Area of all."""
        return float(self.areas.sum())


def isosurface(field: Values, within: Mask | None = None) -> Surface:
    """Where `field` crosses 0.5 between neighbours, in voxels; normals point to lower values.

    A face of normal n is crossed |nx| + |ny| + |nz| times per unit of area by the lines of the grid, so that each crossing
    stands for the inverse of that (1 % small on spheres, as normals are differences). With `within`, only crossings between two
    voxels of that mask.
    """
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
    normal = -np.stack([map_coordinates(part, place.T, order=1) for part in gradient], axis=1)
    normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-12)
    return Surface(place, normal, 1 / np.maximum(np.abs(normal).sum(axis=1), 1e-12))


def front_surface(found: AmountMap, smoothing_px: float = 1.0) -> Surface:
    """The front x = 0.5 inside the particle, um from the middle of the grid; normals point from LFP to FP.

    Amounts are smoothed first by a Gaussian of `smoothing_px`.
    """
    amounts = smoothed(found, smoothing_px)
    particle = amounts.sum(axis=0) >= 0.5
    x = np.where(particle, np.nan_to_num(phase_fraction(amounts, found.species), nan=1.0), 1.0)
    surface = isosurface(without_specks(1 - x), particle)
    places = (surface.places - (np.array(found.shape) - 1) / 2) * found.voxel_um
    return Surface(places, surface.normals, surface.areas * found.voxel_um**2)


def front_width_um(found: AmountMap, smoothing_px: float = 1.0) -> float | None:
    """Median over the front x = 0.5 inside the particle of 1 / |gradient of x|; None where there are not two phases.

    A linear change of x over a width w has w. Amounts are smoothed first, which alone makes a sharp front about 2.5 voxels wide.
    """
    amounts = smoothed(found, smoothing_px)
    particle = binary_erosion(amounts.sum(axis=0) >= 0.5, iterations=3)
    x = np.where(particle, np.nan_to_num(phase_fraction(amounts, found.species)), 0.0)
    steepness = np.sqrt(sum(g**2 for g in np.gradient(x)))
    here = binary_erosion(particle) & (np.abs(x - 0.5) < 0.2)
    return float(found.voxel_um / np.median(steepness[here])) if both_phases(x[particle]) and here.sum() >= 20 else None


def both_phases(x: Values) -> bool:
    """Whether both phases take at least 1 % of the voxels, and together more than lie half way.

    So one phase, or one x half way, is not two until noise alone gives the smoothed x a sigma of 0.3.
    """
    low, high = float((x < 0.25).mean()) if x.size else 0.0, float((x > 0.75).mean()) if x.size else 0.0
    return min(low, high) > 0.01 and low + high > 0.5


def smoothed(found: AmountMap, smoothing_px: float) -> Values:
    """Amounts (species, z, y, x), missing ones 0, smoothed by a Gaussian of `smoothing_px`."""
    return np.asarray(gaussian_filter(np.nan_to_num(found.amounts), (0, *[smoothing_px] * 3)))


def without_specks(field: Values) -> Values:
    """The field without regions of fewer than 27 voxels above 0.5, or below it, which noise makes."""
    out = field.copy()
    for above, value in ((True, 0.0), (False, 1.0)):
        regions, _ = label((out >= 0.5) == above)
        small = np.bincount(regions.ravel()) < _SPECK
        small[0] = False
        out[small[regions]] = value
    return out
