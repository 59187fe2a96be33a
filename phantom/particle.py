"""A particle on a voxel grid: outline, orientation, core-shell front, iron conserved."""

from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from msgspec import Meta
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates
from scipy.spatial.transform import Rotation

from .errors import InputError
from .fronts import Front, surface_distance
from .shapes import Array, Outline
from .species import Species, iron_relative

# Misfit strain of FP against LFP along a, b, c (Pnma cells 10.3298, 6.0068, 4.6908 A
# and 9.8142, 5.7893, 4.7820 A).
MISFIT_STRAIN = np.array([-0.0499, -0.0362, 0.0194])
_BODY_CELLS = 88  # cells along the particle's longest axis on which arrival is computed

Volume = NDArray[np.float32]
_Angle = Annotated[float, Meta(ge=-360, le=360)]
_Length = Annotated[float, Meta(gt=0)]


@dataclass(frozen=True)
class Particle:
    """Outline, orientation and place of one particle."""

    semi_axes_um: Annotated[
        tuple[_Length, _Length, _Length],
        Meta(
            description="half sizes along the crystal axes a, b, c, of the uncharged particle",
            extra={
                "unit": "um",
                "source": "guess: the particles of Wang et al., Nat. Commun. 7:12372 (2016), are several um to 20 um",
            },
        ),
    ] = (2.3, 1.7, 2.0)
    exponent: Annotated[
        float,
        Meta(ge=1.5, le=8, description="superellipsoid exponent: 2 ellipsoid, larger is boxier", extra={"source": "guess"}),
    ] = 2.5
    roughness: Annotated[
        float,
        Meta(ge=0, le=0.15, description="relative rms height of the surface roughness", extra={"source": "guess"}),
    ] = 0.04
    roughness_waves: Annotated[
        float,
        Meta(gt=0, le=30, description="roughness periods around the particle, about", extra={"source": "guess"}),
    ] = 6.0
    orientation_deg: Annotated[
        tuple[_Angle, _Angle, _Angle] | Literal["random"],
        Meta(
            description="rotations about the lab's x, then y, then z; at 0 a, b, c lie along x, y, z; 'random': from the seed",
            extra={"unit": "degree"},
        ),
    ] = (0.0, 0.0, 0.0)
    center_um: Annotated[
        tuple[float, float, float],
        Meta(description="place of the particle's centre (z, y, x)", extra={"unit": "um"}),
    ] = (0.0, 0.0, 0.0)
    center_spread_um: Annotated[
        float,
        Meta(ge=0, description="the seed moves the centre by up to this along each of z, y, x", extra={"unit": "um"}),
    ] = 0.0


@dataclass(frozen=True)
class Phantom:
    """The truth on its own grid.

    `amounts` (species, z, y, x) float32, iron relative to pure LFP; voxel i of N at
    (i - (N-1)/2) * voxel_um. `rotation` (3, 3) takes crystal (a, b, c) to lab (x, y, z).
    """

    species: tuple[str, ...]
    amounts: Volume
    voxel_um: float
    rotation: Array

    @property
    def bulk_fraction(self) -> float:
        """FP iron over all iron."""
        return float(self.amounts[self.species.index("FP")].sum(dtype=float) / self.amounts.sum(dtype=float))


@dataclass(frozen=True)
class _Body:
    """Depth (um), arrival and arrival's slope on a grid along the crystal axes."""

    depth_um: Volume
    arrival: Volume
    slope: Volume
    step_um: float


def rotation_matrix(particle: Particle, rng: np.random.Generator) -> Array:
    """Crystal (a, b, c) to lab (x, y, z), shape (3, 3)."""
    if particle.orientation_deg == "random":
        return np.asarray(Rotation.from_quat(rng.normal(size=4)).as_matrix())
    return np.asarray(Rotation.from_euler("xyz", particle.orientation_deg, degrees=True).as_matrix())


def _shrinkage(fraction: float, volume_ratio: float) -> Array:
    """Scale of a, b, c when a bulk fraction has turned to FP and each phase takes its own volume.

    The outline follows the mean misfit strain (a guess: coherent, uniform deformation); a common
    factor then makes the volume exact, so that iron is conserved.
    """
    scale = 1 + fraction * MISFIT_STRAIN
    wanted = 1 - fraction + fraction * volume_ratio
    return np.asarray(scale * (wanted / scale.prod()) ** (1 / 3))


def _body_fields(outline: Outline, scale: Array, speed: Array, longest: float, voxel_um: float) -> _Body:
    step = max(longest * 2 / _BODY_CELLS, voxel_um)
    # Two surface points for each cell the surface would cross on a sphere of that size.
    surface, normals = outline.surface(int(8 * np.pi * (longest / step) ** 2))
    surface = surface * scale
    normals = normals / scale
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    reach = np.abs(surface).max(axis=0)
    half = np.ceil(reach / step).astype(int) + 3
    axes = [np.arange(-n, n + 1) * step for n in half]
    points = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    shape = tuple(2 * half + 1)

    radial = points / np.maximum(np.linalg.norm(points, axis=1, keepdims=True), 1e-9)
    radial[np.all(points == 0, axis=1)] = (1, 0, 0)
    # A radial estimate is enough far from the surface, where depth only says inside or outside.
    depth = outline.radius_um(radial / scale) * np.linalg.norm(radial / scale, axis=1) ** -1 - np.linalg.norm(points, axis=1)
    band = np.abs(depth) < 4 * step
    depth[band] = surface_distance(points[band], surface, normals, np.ones(3))
    inside = depth > -3 * step
    arrival = depth / speed.min()
    arrival[inside] = surface_distance(points[inside], surface, normals, speed)
    field = arrival.reshape(shape)
    slope = np.sqrt(sum(g**2 for g in np.gradient(field, step)))
    return _Body(
        depth.reshape(shape).astype(np.float32),
        field.astype(np.float32),
        np.maximum(slope, 0.1 / speed.max()).astype(np.float32),
        step,
    )


def _threshold(arrival: Volume, width: Volume, iron_as_fp: Volume, iron_as_lfp: Volume, fraction: float) -> float:
    """Arrival time at which `fraction` of the iron is FP, by bisection on the voxels themselves."""
    low, high = float((arrival - width).min()), float((arrival + width).max())
    for _ in range(40):
        time = (low + high) / 2
        share = np.clip(0.5 + (time - arrival) / width, 0, 1)
        made, left = float((share * iron_as_fp).sum(dtype=float)), float(((1 - share) * iron_as_lfp).sum(dtype=float))
        low, high = (time, high) if made < fraction * (made + left) else (low, time)
    return (low + high) / 2


def make_phantom(
    particle: Particle,
    front: Front,
    lfp: Species,
    fp: Species,
    shape: tuple[int, int, int],
    voxel_um: float,
    rng: np.random.Generator,
    clearance_um: tuple[float, float] = (0.0, 0.0),
) -> Phantom:
    """The particle with its front on a grid of `shape` (z, y, x) voxels.

    Partial voxels at surface and front hold their share (anti-aliased); iron is conserved in both
    volume models; the bulk fraction is met to 1e-3. `clearance_um` (along the axis, across it) is kept free
    for what moves the particle's image. Raises InputError where the particle leaves the
    cylinder that every projection sees, or is too small for the grid.
    """
    outline, rotation, center = _place(particle, rng)
    shrinking = front.volume == "shrinking"
    fp_iron = iron_relative(fp, lfp) if shrinking else 1.0
    scale = _shrinkage(front.fraction, 1 / fp_iron) if shrinking else np.ones(3)
    longest = _longest_um(outline, scale, voxel_um)
    surface = (outline.surface(2000)[0] * scale) @ rotation.T
    corner = _bounding_box(surface[:, ::-1] + center, shape, voxel_um, clearance_um)
    body = _body_fields(outline, scale, np.array(front.speed), longest, voxel_um)

    amounts = np.zeros((2, *shape), np.float32)
    depth, arrival, slope = _sample(body, rotation, center, corner, shape, voxel_um)
    full = np.clip(0.5 + depth / voxel_um, 0, 1)
    width = voxel_um * slope
    time = _threshold(arrival, width, full * np.float32(fp_iron), full, front.fraction)
    share = np.clip(0.5 + (time - arrival) / width, 0, 1)
    if front.fraction in (0.0, 1.0):
        share = np.full_like(share, front.fraction)
    z, y, x = (slice(low, high) for low, high in corner)
    amounts[0, z, y, x] = full * (1 - share)
    amounts[1, z, y, x] = full * share * np.float32(fp_iron)
    phantom = Phantom(("LFP", "FP"), amounts, voxel_um, rotation)
    if abs(phantom.bulk_fraction - front.fraction) > 1e-3:
        raise InputError(
            f"front.fraction: {front.fraction} cannot be met to 1e-3 (got {phantom.bulk_fraction:.4f}) on "
            f"voxels of {voxel_um} um; make the particle larger or scan.pixel_um smaller"
        )
    return phantom


def _place(particle: Particle, rng: np.random.Generator) -> tuple[Outline, Array, Array]:
    """Outline, rotation and centre (z, y, x) of a particle: each draws from a stream of its own."""
    rng_outline, rng_turn, rng_place = rng.spawn(3)
    outline = Outline(
        np.array(particle.semi_axes_um), particle.exponent, particle.roughness, particle.roughness_waves, rng_outline
    )
    spread = particle.center_spread_um
    center = np.array(particle.center_um) + rng_place.uniform(-spread, spread, 3)
    return outline, rotation_matrix(particle, rng_turn), center


def _longest_um(outline: Outline, scale: Array, voxel_um: float) -> float:
    """The particle's largest reach along a crystal axis; InputError where it is less than two voxels."""
    longest = float(np.abs(outline.surface(1000)[0] * scale).max())
    if longest < 2 * voxel_um:
        raise InputError(
            f"particle.semi_axes_um: the longest is {longest:.3g} um; allowed is at least {2 * voxel_um:.3g} um, "
            "two voxels of the truth; make the particle larger or scan.pixel_um smaller"
        )
    return longest


def _bounding_box(
    zyx: Array, shape: tuple[int, int, int], voxel_um: float, clearance_um: tuple[float, float]
) -> list[tuple[int, int]]:
    """First and last index + 1 along z, y, x of the voxels touched by a surface of points `zyx` (n, 3)."""
    reach = float(np.hypot(zyx[:, 1], zyx[:, 2]).max())
    height = float(np.abs(zyx[:, 0]).max())
    margin = 2 * voxel_um
    half_height, half_width = (n / 2 * voxel_um - free for n, free in zip(shape[:2], clearance_um, strict=True))
    if reach + margin > half_width or height + margin > half_height:
        raise InputError(
            f"particle: reaches {reach:.2f} um from the rotation axis and {height:.2f} um up or down; the field of view "
            f"allows {half_width - margin:.2f} and {half_height - margin:.2f} um; reduce semi_axes_um, "
            "center_um or stage.center_offset_px, or enlarge scan.columns, scan.rows or scan.pixel_um"
        )
    box = []
    for axis, count in enumerate(shape):
        low = (zyx[:, axis].min() - margin) / voxel_um + (count - 1) / 2
        high = (zyx[:, axis].max() + margin) / voxel_um + (count - 1) / 2
        box.append((max(0, int(np.floor(low)) - 1), min(count, int(np.ceil(high)) + 2)))
    return box


def _sample(
    body: _Body,
    rotation: Array,
    center: Array,
    box: list[tuple[int, int]],
    shape: tuple[int, int, int],
    voxel_um: float,
) -> tuple[Volume, Volume, Volume]:
    """Body fields at the voxels of `box`, slab by slab to bound memory."""
    z, y, x = (
        (np.arange(low, high) - (count - 1) / 2) * voxel_um - c for (low, high), count, c in zip(box, shape, center, strict=True)
    )
    fields = (body.depth_um, body.arrival, body.slope)
    out = tuple(np.empty((len(z), len(y), len(x)), np.float32) for _ in fields)
    middle = (np.array(body.depth_um.shape) - 1) / 2
    for k, height in enumerate(z):
        lab = np.stack([*np.broadcast_arrays(x[None, :], y[:, None]), np.full((len(y), len(x)), height)])
        index = np.tensordot(rotation.T, lab, axes=1) / body.step_um + middle[:, None, None]
        for values, field in zip(out, fields, strict=True):
            values[k] = map_coordinates(field, index, order=1, mode="nearest", prefilter=False)
    return out[0], out[1], out[2]
