"""Many particles in a field of view, with binder and electrolyte between them."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Annotated, Literal

import numpy as np
from msgspec import Meta
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, zoom

from .errors import InputError
from .grain import Grid
from .packing import Solid, scatter
from .particle import Particle, outline_of, rotation_matrix
from .raster import Fields

Array = NDArray[np.float64]
Volume = NDArray[np.float32]
_COARSE = 4  # voxels across a cell on which the binder is drawn
_DENSEST = 0.6  # of the space; random packings end below it
_MARGIN = 3  # voxels between the electrode and the edge of its grid
_LARGEST, _VOXEL_BYTES = 2e9, 20  # voxels of a grid whose fillers are made whole, and the memory that takes: 40 GB


@dataclass(frozen=True)
class Filler:
    """A material without iron that takes part of the space."""

    formula: Annotated[str, Meta(description="chemical formula; numbers may be fractions")]
    density_g_cm3: Annotated[float, Meta(gt=0, le=25, description="density", extra={"unit": "g/cm3", "source": "guess"})]


@dataclass(frozen=True)
class Electrode:
    """Particles like the study's one, of many sizes, packed without overlap."""

    particles: Annotated[
        int, Meta(ge=0, le=5000, description="particles in the field of view; 0: no electrode but the one particle")
    ] = 0
    form: Annotated[
        Literal["layer", "pillar"],
        Meta(
            description="'layer': a sheet across the field, the beam of angle 0 through it, for 2D; 'pillar': a cylinder that "
            "every view sees"
        ),
    ] = "layer"
    median_diameter_um: Annotated[
        float,
        Meta(
            gt=0,
            le=50,
            description="median, by number, of the diameter of the sphere of a particle's volume",
            extra={"unit": "um", "source": "guess: by number what the cell's population is by volume, 4.0 um"},
        ),
    ] = 2.77
    size_spread: Annotated[
        float, Meta(ge=0, le=1, description="standard deviation of ln(diameter), log-normal", extra={"source": "guess"})
    ] = 0.35
    thickness_um: Annotated[
        Annotated[float, Meta(gt=0)] | Literal["auto"],
        Meta(description="of a layer; 'auto': the largest particle just fits", extra={"unit": "um"}),
    ] = "auto"
    binder_share: Annotated[
        float,
        Meta(ge=0, le=1, description="share of the space between particles that is carbon and binder", extra={"source": "guess"}),
    ] = 0.25
    binder_size_um: Annotated[
        float, Meta(gt=0, le=20, description="size of the binder's lumps", extra={"unit": "um", "source": "guess"})
    ] = 0.5
    wet: Annotated[bool, Meta(description="electrolyte fills the rest, pores and cracks included")] = True
    # Carbon black and PVDF 1:1 by mass, porous; 1 M LiPF6 in EC:DMC 1:1 by mass.
    binder: Filler = field(default_factory=lambda: Filler("C7.3H2F2", 1.1))
    electrolyte: Filler = field(default_factory=lambda: Filler("C38.7H64.3O38.7LiPF6", 1.3))


def pack(
    electrode: Electrode,
    particle: Particle,
    grid: Grid,
    growth: float,
    clearance_um: tuple[float, float],
    rng: np.random.Generator,
) -> tuple[list[Solid], Grid]:
    """The electrode's outlines, each of its own size, shape, orientation and place, and the grid that holds them.

    A layer's grid is as deep (y) as the layer is thick, whatever depth `grid` has. Charging stretches a particle by up to the
    factor `growth`: there is room for that. Raises InputError where the particles find no room without overlap.
    """
    rng_size, rng_outline, rng_turn, rng_place = rng.spawn(4)
    diameters = electrode.median_diameter_um * np.exp(electrode.size_spread * rng_size.normal(size=electrode.particles))
    margin = _MARGIN * grid.voxel_um
    high, wide = (grid.shape[axis] / 2 * grid.voxel_um - free - margin for axis, free in zip((0, 2), clearance_um, strict=True))
    thick = electrode.thickness_um if isinstance(electrode.thickness_um, float) else 1.5 * float(diameters.max())
    room = 2 * high * (2 * wide * thick if electrode.form == "layer" else np.pi * wide**2)
    share = float((np.pi / 6 * diameters**3).sum()) / max(room, 1e-9)
    if share > _DENSEST:
        raise InputError(
            f"electrode: packing too dense: {electrode.particles} particles would fill {100 * share:.0f} % of the space; allowed "
            f"is {100 * _DENSEST:.0f} %; lower electrode.particles or median_diameter_um, or widen the field"
        )
    solids = [
        Solid(outline_of(particle, rng_outline, np.pi / 6 * d**3), rotation_matrix("random", rng_turn), np.zeros(3))
        for d in diameters
    ]
    largest = max(solid.outline.reach_um for solid in solids)
    deep = wide
    if electrode.form == "layer":
        deep = largest if electrode.thickness_um == "auto" else electrode.thickness_um / 2
        half = int(np.ceil(deep / grid.voxel_um)) + _MARGIN
        grid = Grid((grid.shape[0], 2 * half, grid.shape[2]), grid.voxel_um)
    voxels = float(np.prod(grid.shape))
    if voxels > _LARGEST:
        raise InputError(
            f"electrode: its grid has {' x '.join(map(str, grid.shape))} voxels; what fills the space between particles would "
            f"need {voxels * _VOXEL_BYTES / 1e9:.0f} GB of memory; allowed is {_LARGEST / 1e9:g}e9 voxels, "
            f"{_LARGEST * _VOXEL_BYTES / 1e9:.0f} GB; lower scan.rows, scan.columns, scan.oversampling or electrode.thickness_um"
        )
    if largest > min(high, wide, deep):
        raise InputError(
            f"electrode: the largest particle reaches {largest:.2f} um from its centre; the field and thickness_um allow "
            f"{min(high, wide, deep):.2f} um; lower median_diameter_um or size_spread, or widen the field"
        )

    gap_um = grid.voxel_um + 2 * (growth - 1) * largest

    def in_layer(rng: np.random.Generator, count: int, reach: float) -> Array:
        half = np.array([high, deep, wide]) - reach
        return np.asarray(rng.uniform(-half, half, (count, 3)))

    def in_pillar(rng: np.random.Generator, count: int, reach: float) -> Array:
        radius, azimuth = (wide - reach) * np.sqrt(rng.uniform(size=count)), rng.uniform(0, 2 * np.pi, count)
        height = rng.uniform(reach - high, high - reach, count)
        return np.stack([height, radius * np.sin(azimuth), radius * np.cos(azimuth)], axis=1)

    return scatter(solids, in_layer if electrode.form == "layer" else in_pillar, gap_um, rng_place), grid


def fill(electrode: Electrode, fields: Iterable[Fields], grid: Grid, rng: np.random.Generator) -> dict[str, Volume]:
    """Shares (z, y, x) of binder and electrolyte in each voxel between the grains, {name: volume}."""
    free = np.ones(grid.shape, np.float32)
    for part in fields:
        free[part.box] -= part.solid
    free *= _region(electrode, grid)
    np.clip(free, 0, 1, out=free)
    fillers = {}
    if electrode.binder_share > 0:
        binder = free * _lumps(free, electrode.binder_share, electrode.binder_size_um / grid.voxel_um, rng)
        free -= binder
        fillers["binder"] = binder
    if electrode.wet:
        fillers["electrolyte"] = free
    return fillers


def _region(electrode: Electrode, grid: Grid) -> Volume:
    """The space that the electrode takes: a sheet, or a cylinder, short of the field by a margin."""
    depth, width = ((np.arange(n) - (n - 1) / 2) * grid.voxel_um for n in grid.shape[1:])
    if electrode.form == "pillar":
        return np.asarray((np.hypot(depth[:, None], width) < width[-1] - _MARGIN * grid.voxel_um)[None], np.float32)
    return np.asarray((np.abs(depth) <= depth[-_MARGIN - 1])[None, :, None], np.float32)


def _lumps(free: Volume, share: float, size: float, rng: np.random.Generator) -> Volume:
    """Random lumps of about `size` voxels that take `share` of the free space: a smoothed random field above a level."""
    coarse_free = free[_COARSE // 2 :: _COARSE, _COARSE // 2 :: _COARSE, _COARSE // 2 :: _COARSE]
    field = gaussian_filter(rng.normal(size=coarse_free.shape).astype(np.float32), size / _COARSE, mode="wrap")
    steepness = float(np.sqrt(sum(np.mean(g**2) for g in np.gradient(field)))) / _COARSE
    order = np.argsort(-field, axis=None)
    taken = np.cumsum(coarse_free.ravel()[order], dtype=float)
    level = field.ravel()[order[min(np.searchsorted(taken, share * taken[-1]), field.size - 1)]]
    fine = zoom(field, [n / m for n, m in zip(free.shape, field.shape, strict=True)], order=1, mode="nearest", grid_mode=True)
    return np.asarray(np.clip(0.5 + (fine - level) / steepness, 0, 1))
