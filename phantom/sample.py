"""The sample on its voxel grid, asked for its state at any state of charge."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .electrode import Electrode, fill, pack
from .errors import InputError
from .fronts import Front
from .grain import Box, Grain, Grid, phases_at, shrinkage
from .packing import Solid
from .particle import Particle, grow, place
from .species import Species, iron_relative
from .state import State, Voxels, enclosing, voxels_of

Array = NDArray[np.float64]
Volume = NDArray[np.float32]
_SLAB_BYTES = 64_000_000  # of amounts: little beside what projecting them takes


@dataclass(frozen=True)
class Phantom:
    """The truth at one moment.

    `amounts` (species, z, y, x) float32, iron relative to pure LFP; voxel i of N at (i - (N-1)/2) * voxel_um.
    `rotation` (3, 3) takes crystal (a, b, c) to lab (x, y, z), of the first grain. `fillers` {name: (z, y, x)} are the
    shares of each voxel taken by materials without iron.
    """

    species: tuple[str, ...]
    amounts: Volume
    voxel_um: float
    rotation: Array
    fillers: dict[str, Volume] = field(default_factory=dict)

    @property
    def bulk_fraction(self) -> float:
        """FP iron over all iron."""
        return float(self.amounts[self.species.index("FP")].sum(dtype=float) / self.amounts.sum(dtype=float))


@dataclass(frozen=True)
class Sample:
    """Grains and fillers on a grid. `voxels` is what does not change with charge, None where the grains shrink.

    `boxes` are the voxels of the grid that each grain touches at any state of charge.
    """

    grid: Grid
    grains: tuple[Grain, ...]
    boxes: tuple[Box, ...]
    voxels: Voxels | None
    fillers: dict[str, Volume]
    fp_iron: float

    @property
    def diameters_um(self) -> Array:
        """Diameter (grain,) of the sphere of each grain's volume."""
        return np.array([grain.diameter_um for grain in self.grains])

    @property
    def box(self) -> Box:
        """The voxels (z, y, x) of the grid that hold all grains at any state of charge."""
        return enclosing(self.boxes)

    def slabs(self) -> list[slice]:
        """Rows of the grid that together are the box, in slabs whose amounts are small."""
        z, y, x = self.box
        depth = max(1, _SLAB_BYTES // (8 * (y.stop - y.start) * (x.stop - x.start)))
        return [slice(start, min(start + depth, z.stop)) for start in range(z.start, z.stop, depth)]

    def state(self, fractions: ArrayLike, threads: int = 1) -> State:
        """The sample when each grain, in order, has its bulk fraction; one number stands for all.

        Raises InputError where a fraction cannot be met to 1e-3.
        """
        each = [float(fraction) for fraction in np.broadcast_to(np.asarray(fractions, float), (len(self.grains),))]
        voxels = self.voxels
        if voxels is None:
            scales = [shrinkage(grain.front, x, self.fp_iron) for grain, x in zip(self.grains, each, strict=True)]
            voxels = voxels_of(self.grains, self.boxes, self.grid, scales, False, threads)
        phases = tuple(phases_at(grain.front, x, self.fp_iron) for grain, x in zip(self.grains, each, strict=True))
        times = tuple(voxels.time(k, own, threads) for k, own in enumerate(phases))
        return State(self.grid, self.box, voxels, phases, times)

    def at(self, fractions: ArrayLike, threads: int = 1) -> Phantom:
        """`state` on the whole grid at once, for a sample of modest size."""
        amounts = np.zeros((2, *self.grid.shape), np.float32)
        self.state(fractions, threads).add_to(amounts, (0, 0, 0), threads)
        return Phantom(("LFP", "FP"), amounts, self.grid.voxel_um, self.grains[0].rotation, self.fillers)


def make_sample(
    particle: Particle,
    front: Front,
    lfp: Species,
    fp: Species,
    shape: tuple[int, int, int],
    voxel_um: float,
    rng: np.random.Generator,
    *,
    electrode: Electrode | None = None,
    clearance_um: tuple[float, float] = (0.0, 0.0),
    threads: int = 1,
) -> Sample:
    """The particle, or an electrode of such particles, on a grid of `shape` (z, y, x) voxels.

    Partial voxels at surface and front hold their share (anti-aliased); iron is conserved in both volume
    models. `clearance_um` (along the axis, across it) is kept free for what moves the sample's image. Raises InputError
    where the sample leaves the cylinder that every projection sees, is too small for the grid, or cannot be packed.
    """
    grid = Grid(shape, voxel_um)
    fp_iron = iron_relative(fp, lfp)
    front.check()
    rng_place, rng_grow, rng_fill = rng.spawn(3)
    growth = max(1.0, float(shrinkage(front, 1.0, fp_iron).max()))
    if electrode is None:
        solids = place(particle, growth, rng_place)
    else:
        solids, grid = pack(electrode, particle, grid, growth, clearance_um, rng_place)
    if electrode is None or electrode.form == "pillar":
        _check_field(solids, grid, growth, clearance_um)
    with ThreadPoolExecutor(threads) as pool:
        parts = rng_grow.spawn(len(solids))
        grains = tuple(pool.map(lambda solid, part: grow(particle, front, solid, voxel_um, part), solids, parts))
    whole = np.ones(3)
    constant = front.volume == "constant"
    boxes = tuple(grain.box(grid, [whole, shrinkage(front, 1.0, fp_iron)]) for grain in grains)
    voxels = None
    if constant or electrode is not None:
        voxels = voxels_of(grains, boxes, grid, [whole] * len(grains), constant, threads)
    fillers = {}
    if electrode is not None and voxels is not None:
        fillers = fill(electrode, (part for _, part in voxels.parts(0, grid.shape[0])), grid, rng_fill)
    return Sample(grid, grains, boxes, voxels if constant else None, fillers, fp_iron)


def _check_field(solids: Sequence[Solid], grid: Grid, growth: float, clearance_um: tuple[float, float]) -> None:
    """InputError where an outline, uncharged or grown by a factor when charged, leaves the cylinder that every view sees."""
    zyx = np.concatenate([growth * (solid.surface_um() - solid.center_um) + solid.center_um for solid in solids])
    reach = float(np.hypot(zyx[:, 1], zyx[:, 2]).max())
    height = float(np.abs(zyx[:, 0]).max())
    margin = 2 * grid.voxel_um
    half_height, half_width = (n / 2 * grid.voxel_um - free for n, free in zip(grid.shape[:2], clearance_um, strict=True))
    if reach + margin > half_width or height + margin > half_height:
        raise InputError(
            f"particle: reaches {reach:.2f} um from the rotation axis and {height:.2f} um up or down; the field of view, "
            f"less what moves the image, allows {half_width - margin:.2f} and {half_height - margin:.2f} um; reduce "
            "semi_axes_um, center_um, stage.center_offset_px or other motion, or enlarge scan.columns, scan.rows or scan.pixel_um"
        )
