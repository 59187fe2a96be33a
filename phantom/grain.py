"""A particle at its place on the voxel grid, at any bulk fraction."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates
from scipy.optimize import brentq

from .body import Body
from .errors import InputError
from .fronts import ARRIVALS, Front

Array = NDArray[np.float64]
Volume = NDArray[np.float32]
Box = tuple[slice, slice, slice]

# Misfit strain of FP against LFP along a, b, c (Pnma cells 10.3298, 6.0068, 4.6908 A
# and 9.8142, 5.7893, 4.7820 A).
MISFIT_STRAIN = np.array([-0.0499, -0.0362, 0.0194])


@dataclass(frozen=True)
class Grid:
    """A grid of `shape` (z, y, x) voxels; voxel i of N at (i - (N-1)/2) * voxel_um."""

    shape: tuple[int, int, int]
    voxel_um: float


@dataclass(frozen=True)
class Fields:
    """A grain's box of voxels: share of each that is solid, when the front comes, and for how long it crosses one."""

    box: Box
    solid: Volume
    arrival: Volume
    crossing: Volume


@dataclass(frozen=True)
class Grain:
    """A body with its arrival and the arrival's slope (1/um), its rotation (crystal to lab x, y, z) and centre (z, y, x)."""

    body: Body
    front: Front
    arrival: Volume
    slope: Volume
    rotation: Array
    center_um: Array

    def fields(self, grid: Grid, scale: Array) -> Fields:
        """The grain on `grid`, its body stretched by `scale` along a, b, c; slab by slab to bound memory."""
        corner = self._box(grid, scale)
        z, y, x = (
            (np.arange(low, high) - (count - 1) / 2) * grid.voxel_um - center
            for (low, high), count, center in zip(corner, grid.shape, self.center_um, strict=True)
        )
        middle = (np.array(self.body.depth_um.shape) - 1) / 2
        to_cells = self.rotation.T / (scale[:, None] * self.body.step_um)
        out = [np.empty((len(z), len(y), len(x)), np.float32) for _ in range(3)]
        for k, height in enumerate(z):
            lab = np.stack([*np.broadcast_arrays(x[None, :], y[:, None]), np.full((len(y), len(x)), height)])
            index = np.tensordot(to_cells, lab, axes=1) + middle[:, None, None]
            for values, field in zip(out, (self.body.depth_um, self.arrival, self.slope), strict=True):
                values[k] = map_coordinates(field, index, order=1, mode="nearest", prefilter=False)
            out[0][k] = np.clip(0.5 + out[0][k] / grid.voxel_um, 0, 1)
            if self.body.voids.any:
                points = ((index - middle[:, None, None]) * self.body.step_um).reshape(3, -1).T
                out[0][k] *= 1 - self.body.voids.share(points, grid.voxel_um).reshape(len(y), len(x))
        solid, arrival, crossing = out
        crossing *= np.hypot(grid.voxel_um, self.front.width_um)
        if self.front.kind == "solid-solution":
            crossing[:] = 1.0
        return Fields(tuple(slice(low, high) for low, high in corner), solid, arrival, crossing)  # type: ignore[arg-type]

    @property
    def diameter_um(self) -> float:
        """Diameter of the sphere of the uncharged body's volume."""
        return float((6 / np.pi * self.body.share.sum() * self.body.step_um**3) ** (1 / 3))

    def surface_um(self, scale: Array) -> Array:
        """Points (n, 3) on the grain's surface in the lab, (z, y, x)."""
        return np.asarray(((self.body.surface * scale) @ self.rotation.T)[:, ::-1] + self.center_um)

    def _box(self, grid: Grid, scale: Array) -> list[tuple[int, int]]:
        """First and last index + 1 along z, y, x of the voxels that the grain touches."""
        surface = self.surface_um(scale)
        box = []
        for axis, count in enumerate(grid.shape):
            low = surface[:, axis].min() / grid.voxel_um + (count - 1) / 2 - 3
            high = surface[:, axis].max() / grid.voxel_um + (count - 1) / 2 + 4
            box.append((max(0, int(np.floor(low))), min(count, int(np.ceil(high)))))
        return box


def make_grain(body: Body, front: Front, rotation: Array, center_um: Array, rng: np.random.Generator) -> Grain:
    """A body with its front, placed. Raises InputError for a front that cannot be."""
    front.check()
    arrival = ARRIVALS[front.kind](body, front, rng)
    slope = np.sqrt(sum(g.astype(np.float32) ** 2 for g in np.gradient(arrival, body.step_um)))
    fastest = max(max(speed) for speed in (front.speed, *front.later_speed))
    return Grain(body, front, arrival, np.maximum(slope, np.float32(0.1 / fastest)), rotation, center_um)


def shrinkage(front: Front, fraction: float, fp_iron: float) -> Array:
    """Scale of a, b, c when a bulk fraction has turned to FP and each phase takes its own volume.

    The outline follows the mean misfit strain (a guess: coherent, uniform deformation); a common
    factor then makes the volume exact, so that iron is conserved.
    """
    if front.volume == "constant":
        return np.ones(3)
    scale = 1 + fraction * MISFIT_STRAIN
    wanted = 1 - fraction + fraction / fp_iron
    return np.asarray(scale * (wanted / scale.prod()) ** (1 / 3))


def charged(fields: Fields, front: Front, fraction: float, fp_iron: float) -> tuple[Volume, Volume]:
    """Amounts of LFP and FP in the grain's box when `fraction` of its iron is FP, met to 1e-3.

    Each voxel holds shares of an LFP-rich and an FP-rich phase, of the end members' compositions; below the
    first or above the second there is one phase. Raises InputError where the fraction cannot be met.
    """
    poor, rich = min(front.end_members[0], fraction), max(front.end_members[1], fraction)
    fp_iron = fp_iron if front.volume == "shrinking" else 1.0
    # Iron per volume of a phase whose share x of the iron is FP; volumes add.
    poor_iron, rich_iron = (np.float32(1 / (1 - x + x / fp_iron)) for x in (poor, rich))
    filled = fields.solid > 0
    solid, arrival, crossing = fields.solid[filled], fields.arrival[filled], fields.crossing[filled]
    whole, made = solid.sum(dtype=float), 0.0

    def excess(time: float) -> float:
        nonlocal made
        turned = float((np.clip(0.5 + (time - arrival) / crossing, 0, 1) * solid).sum(dtype=float))
        iron = poor_iron * (whole - turned) + rich_iron * turned
        made = (poor * poor_iron * (whole - turned) + rich * rich_iron * turned) / iron
        return float(made - fraction)

    low, high = float((arrival - crossing).min()), float((arrival + crossing).max())
    if fraction <= poor:
        time = low
    elif fraction >= rich:
        time = high
    else:
        time = float(brentq(excess, low, high, xtol=1e-7 * (high - low)))
    if abs(excess(time)) > 1e-3:
        raise InputError(
            f"front.fraction: {fraction:g} cannot be met to 1e-3 (got {made:.4f}); make the particle larger "
            "or scan.pixel_um smaller"
        )
    share = np.clip(0.5 + (time - fields.arrival) / fields.crossing, 0, 1)
    lean, full = fields.solid * (1 - share) * poor_iron, fields.solid * share * rich_iron
    return (1 - np.float32(poor)) * lean + (1 - np.float32(rich)) * full, np.float32(poor) * lean + np.float32(rich) * full
