"""A particle at its place, its size while it is charged, and the phases it then holds."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .body import Body
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
class Grain:
    """A body with its arrival and the arrival's slope (1/um), its rotation (crystal to lab x, y, z) and centre (z, y, x)."""

    body: Body
    front: Front
    arrival: Volume
    slope: Volume
    rotation: Array
    center_um: Array

    @property
    def diameter_um(self) -> float:
        """Diameter of the sphere of the uncharged body's volume."""
        return float((6 / np.pi * self.body.share.sum() * self.body.step_um**3) ** (1 / 3))

    def surface_um(self, scale: Array) -> Array:
        """Points (n, 3) on the grain's surface in the lab, (z, y, x), its body stretched by `scale` along a, b, c."""
        return np.asarray(((self.body.surface * scale) @ self.rotation.T)[:, ::-1] + self.center_um)

    def box(self, grid: Grid, scales: Iterable[Array]) -> Box:
        """The voxels (z, y, x) of `grid` that the grain touches at any of the `scales`."""
        surface = np.concatenate([self.surface_um(scale) for scale in scales])
        box = []
        for axis, count in enumerate(grid.shape):
            low = surface[:, axis].min() / grid.voxel_um + (count - 1) / 2 - 3
            high = surface[:, axis].max() / grid.voxel_um + (count - 1) / 2 + 4
            box.append(slice(max(0, int(np.floor(low))), min(count, int(np.ceil(high)))))
        return box[0], box[1], box[2]


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


@dataclass(frozen=True)
class Phases:
    """Fe3+ share and iron per volume of the LFP-rich and of the FP-rich phase in a grain of some bulk fraction.

    They are the end members; below the first or above the second there is one phase.
    """

    shares: tuple[float, float]
    iron: tuple[float, float]
    fraction: float

    def turned(self, whole: float) -> float:
        """Volume of the FP-rich phase in a grain of volume `whole`; without a front all is in the one phase there is."""
        (poor, rich), (poor_iron, rich_iron) = self.shares, self.iron
        if not poor < self.fraction < rich:
            return whole if self.fraction >= rich else 0.0
        gained, missing = poor_iron * (self.fraction - poor), rich_iron * (rich - self.fraction)
        return whole * gained / (gained + missing)

    def amounts(self, solid: Volume, share: Volume) -> tuple[Volume, Volume]:
        """Amounts of LFP and FP in voxels whose part `solid` holds the FP-rich phase to a `share`."""
        (poor, rich), (poor_iron, rich_iron) = (np.array(pair, np.float32) for pair in (self.shares, self.iron))
        lean, full = solid * (1 - share) * poor_iron, solid * share * rich_iron
        return (1 - poor) * lean + (1 - rich) * full, poor * lean + rich * full


def phases_at(front: Front, fraction: float, fp_iron: float) -> Phases:
    """The phases of a grain of which `fraction` of the iron is FP."""
    poor, rich = min(front.end_members[0], fraction), max(front.end_members[1], fraction)
    ratio = fp_iron if front.volume == "shrinking" else 1.0
    # Iron per volume of a phase whose share x of the iron is FP; volumes add.
    return Phases((poor, rich), (1 / (1 - poor + poor / ratio), 1 / (1 - rich + rich / ratio)), fraction)
