"""Thickness of what has turned to FP, by direction: of a shell, or of the layer between two stages; with its uncertainty."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.ndimage import map_coordinates
from scipy.spatial import cKDTree

from ..result import AmountMap, fp_index, phase_fraction
from .scatter import scatter
from .surfaces import Surface, both_phases, isosurface, smoothed, without_specks

Array = NDArray[np.float64]
Values = NDArray[np.float32]

_CONE = np.cos(np.deg2rad(25))
_STRIDE = 0.5  # voxels
_GRID_PX = 0.03  # rms error that the grid alone leaves, from analytic core-shells at many turns and sizes
_OWN = 0.25  # share of the variance by rounding that no other direction has
_MARGIN = 6  # voxels kept around the particle
_FEWEST = 50  # voxels of a phase
_ENOUGH = 2000  # places of a front, evenly taken, that a fit needs
_ROUNDS, _THINNEST = 4, 0.5  # of the search for a metric, and its least thickness, voxels


@dataclass(frozen=True)
class Layer:
    """Thickness (n,) of a layer along n directions, um, and its covariance (n, n).

    The covariance holds the map's noise (more of it is added, and the change looked at), how far the thickness moves when the map
    is smoothed twice as wide, and 0.03 voxels for the grid. An error of the two maps' places is not in it.
    """

    thickness_um: Array
    covariance: Array

    @property
    def sigma_um(self) -> Array:
        """Sigma (n,) of each thickness."""
        return np.asarray(np.sqrt(np.diagonal(self.covariance)))

    def ratio(self, over: int | Sequence[int], under: int | Sequence[int]) -> tuple[float, float]:
        """Mean thickness along some directions over that along others, and its sigma (first order); inf and NaN over nothing."""
        a, b = (self.thickness_um[np.atleast_1d(some)].mean() for some in (over, under))
        with np.errstate(divide="ignore", invalid="ignore"):
            return float(a / b), self._sigma(self._mean(over) / b - self._mean(under) * a / b**2)

    def exceeds(self, over: int | Sequence[int], under: int | Sequence[int], factor: float) -> float:
        """By how many sigma the mean along some directions is more than `factor` times that along others.

        Linear in the thicknesses, so right where the lower one is nothing, too, and their ratio is not (Fieller).
        """
        a, b = (float(self.thickness_um[np.atleast_1d(some)].mean()) for some in (over, under))
        return (a - factor * b) / self._sigma(self._mean(over) - factor * self._mean(under))

    def _mean(self, directions: int | Sequence[int]) -> Array:
        weights = np.zeros(len(self.thickness_um))
        weights[np.atleast_1d(directions)] = 1 / np.size(directions)
        return weights

    def _sigma(self, gradient: Array) -> float:
        """Sigma of a function with this gradient; a direction that is not asked for may be unknown."""
        some = np.flatnonzero(gradient)
        return float(np.sqrt(gradient[some] @ self.covariance[np.ix_(some, some)] @ gradient[some]))


def shell_thickness(found: AmountMap, axes: ArrayLike, smoothing_px: float = 1.0) -> Layer | None:
    """FP shell thickness (3,) along `axes` (3 vectors in lab x, y, z), either side alike, or None where there is no front.

    A front of speeds v_i along the axes reaches a place when it comes from the nearest place of the surface, with lengths counted
    in t_i, its thickness along axis i (elliptical metric). There the surface has a normal n, and lies d along it from the front:
    d^2 = sum t_i^2 n_i^2, which least squares solve for t_i^2; with these the nearest place is sought again, until they stay.
    """
    if not _has_front(smoothed(found, smoothing_px), found.species):
        return None
    return _layer(lambda px, one: _metric_shell(one, np.asarray(axes, float), px), smoothing_px, found)


def shell_by_direction(found: AmountMap, axes: ArrayLike, smoothing_px: float = 1.0) -> Layer | None:
    """FP shell thickness (6,) along -a, +a, -b, +b, -c, +c of `axes` (3 vectors in lab x, y, z); None where there is no front.

    From each place of the LFP core's boundary outward along its normal to the particle's surface; where the core
    itself is at the surface there is no shell, and 0. A direction takes the mean over places whose normal is near it, of a
    weight that falls to nothing at 25 degrees; NaN where there is none. The identity for `axes` is the lab frame.
    """

    if not _has_front(smoothed(found, smoothing_px), found.species):
        return None

    def measure(px: float, one: AmountMap) -> Array:
        amounts = smoothed(one, px)
        core = amounts.sum(axis=0) - amounts[fp_index(one.species)]
        return _advance(amounts.sum(axis=0), core, np.asarray(axes, float)) * one.voxel_um

    return _layer(measure, smoothing_px, found)


def exposed_share(found: AmountMap, smoothing_px: float = 1.0) -> float | None:
    """Share of the LFP core's boundary at the particle's surface instead of at FP; None where there is no core and no shell.

    A core in a shell has 0, one that reacts from one side up to a half; a plane front leaves about as much open as it covers.
    """
    amounts = smoothed(found, smoothing_px)
    particle = amounts.sum(axis=0) >= 0.5
    x = phase_fraction(amounts, found.species)  # a number wherever there is particle
    core = particle & (x < 0.5)
    if core.sum() < 50 or not both_phases(x[particle]):
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


def turned_layer(before: AmountMap, after: AmountMap, axes: ArrayLike, smoothing_px: float = 1.0) -> Layer:
    """`front_displacement` with its covariance."""
    return _layer(lambda px, a, b: front_displacement(a, b, axes, px), smoothing_px, before, after)


def front_displacement(before: AmountMap, after: AmountMap, axes: ArrayLike, smoothing_px: float = 1.0) -> Array:
    """How far the LFP core receded between two maps on the same grid along -a, +a, -b, +b, -c, +c of `axes`, um, (6,).

    `axes` (3 vectors in lab x, y, z) state the frame. From each place of the later core's boundary one goes outward
    along its normal to the boundary of the earlier core, be it front or still the particle's surface: every
    place of a later front stems from the earlier one, but not the other way round (Huygens). Directions as in
    `shell_by_direction`.
    """
    earlier, later = (smoothed(one, smoothing_px)[one.species.index("LFP")] for one in (before, after))
    return _advance(earlier, later, np.asarray(axes, float)) * before.voxel_um


def _layer(measure: Callable[..., Array], smoothing_px: float, *maps: AmountMap) -> Layer:
    """What `measure` (smoothing_px, maps) finds, and how far noise, smoothing and grid make it wrong."""
    box = _box(maps)
    cut = [_cut(one, box) for one in maps]
    found = measure(smoothing_px, *cut)
    # Smoothing cuts edges in proportion to its width, gentle curves to its square: what twice the width moves is one to
    # three times the error, in each direction another share of it. Where twice the width leaves nothing, all is in doubt.
    moved = measure(2 * smoothing_px, *cut) - found
    moved = np.where(np.isnan(moved), found, moved)
    rounding = (1 - _OWN) * np.outer(moved, moved) + _OWN * np.diag(moved**2)
    covariance = scatter(lambda *ones: measure(smoothing_px, *ones), found, *cut)
    grid = (_GRID_PX * maps[0].voxel_um) ** 2 * np.eye(len(found))
    return Layer(found, covariance + rounding + grid)


def _metric_shell(found: AmountMap, axes: Array, smoothing_px: float) -> Array:
    """Thickness (3,) by the elliptical metric; NaN where smoothing leaves no front."""
    amounts = smoothed(found, smoothing_px)
    iron = amounts.sum(axis=0)
    if not _has_front(amounts, found.species):
        return np.full(3, np.nan)
    particle = iron >= 0.5
    x = np.where(particle, np.nan_to_num(phase_fraction(amounts, found.species), nan=1.0), 1.0)
    outside, front = isosurface(iron), isosurface(without_specks(1 - x), particle)
    some, most = (
        slice(None, None, max(1, len(one.places) // count)) for one, count in ((front, _ENOUGH), (outside, 4 * _ENOUGH))
    )
    places, areas = front.places[some, ::-1] @ axes.T, front.areas[some]
    surface, normals = outside.places[most, ::-1] @ axes.T, outside.normals[most, ::-1] @ axes.T
    squares = np.ones(3)
    for _ in range(_ROUNDS):
        scale = np.sqrt(np.maximum(squares, _THINNEST**2))
        nearest = cKDTree(surface / scale).query(places / scale)[1]
        depth = np.einsum("ij,ij->i", surface[nearest] - places, normals[nearest])
        along = normals[nearest] ** 2
        weighed = along * (areas / (along @ scale**2))[:, None]  # an error of d is one of d^2 / 2d
        squares = np.linalg.solve(weighed.T @ along, weighed.T @ depth**2)
    return np.asarray(np.sqrt(np.maximum(squares, 0.0)) * found.voxel_um)


def _advance(earlier: Values, later: Values, axes: Array) -> Array:
    """From the surface of `later` outward along its normals to that of `earlier`, voxels, by direction (6,)."""
    surface = isosurface(without_specks(later))
    moved = _march(surface, without_specks(earlier))
    outward = surface.normals[:, ::-1] @ axes.T
    signed = np.stack([-outward, outward], axis=-1).reshape(-1, 6)
    weights = surface.areas[:, None] * np.maximum(signed - _CONE, 0) * np.isfinite(moved)[:, None]
    whole = weights.sum(axis=0)
    return np.asarray(np.where(whole > 0, weights.T @ np.nan_to_num(moved) / np.maximum(whole, 1e-12), np.nan))


def _march(start: Surface, field: Values) -> Array:
    """Way (n,) along the normals to where `field` falls to 0.5, voxels; 0 where it is there already, NaN where it never does."""
    moved = np.full(len(start.places), np.nan)
    going, previous = np.arange(len(start.places)), np.ones(len(start.places))
    for step in np.arange(0, max(field.shape), _STRIDE):
        value = map_coordinates(field, (start.places[going] + step * start.normals[going]).T, order=1)
        out = value <= 0.5
        part = (previous[out] - 0.5) / np.maximum(previous[out] - value[out], 1e-6)
        moved[going[out]] = max(step - _STRIDE, 0) + _STRIDE * part * (step > 0)
        going, previous = going[~out], value[~out]
        if not going.size:
            break
    return moved


def _has_front(amounts: Values, species: tuple[str, ...]) -> bool:
    """Whether there are two phases, each of as many voxels as a front needs."""
    particle = amounts.sum(axis=0) >= 0.5
    x = phase_fraction(amounts, species)[particle]
    return both_phases(x) and min(int((x < 0.5).sum()), int((x >= 0.5).sum())) >= _FEWEST


def _box(maps: Sequence[AmountMap]) -> tuple[slice, ...]:
    """The voxels around the iron of all maps: the rest says nothing of a front, and costs."""
    particle = np.logical_or.reduce([smoothed(one, 1.0).sum(axis=0) >= 0.5 for one in maps])
    sides = [np.flatnonzero(particle.any(axis=other)) for other in ((1, 2), (0, 2), (0, 1))]
    return tuple(slice(max(0, int(s[0]) - _MARGIN), int(s[-1]) + 1 + _MARGIN) if s.size else slice(None) for s in sides)


def _cut(found: AmountMap, box: tuple[slice, ...]) -> AmountMap:
    inside = (slice(None), *box)
    sigma = None if found.amounts_sigma is None else found.amounts_sigma[inside]
    flags = None if found.flags is None else found.flags[box]
    return replace(found, amounts=found.amounts[inside], amounts_sigma=sigma, phase_fraction_sigma=None, flags=flags)
