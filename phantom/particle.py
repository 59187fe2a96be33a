"""One particle, or an agglomerate of touching primary particles: settings, outlines in their places, grains."""

from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from msgspec import Meta
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from .body import make_body
from .errors import InputError
from .fronts import Front
from .grain import Grain, make_grain
from .packing import Solid, cluster
from .shapes import Outline
from .voids import make_voids

Array = NDArray[np.float64]
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
    volume_um3: Annotated[
        Annotated[float, Meta(gt=0)] | Literal["auto"],
        Meta(
            description="volume inside the outline; semi_axes_um then only gives proportions; 'auto': from semi_axes_um",
            extra={"unit": "um3"},
        ),
    ] = "auto"
    shape: Annotated[
        Literal["superellipsoid", "facetted"],
        Meta(
            description="'facetted': the Wulff polyhedron of low-index facets, stretched to semi_axes_um",
            extra={"source": "guess"},
        ),
    ] = "superellipsoid"
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
    porosity: Annotated[
        float, Meta(ge=0, le=0.3, description="share of the outline's volume that is closed pores", extra={"source": "guess"})
    ] = 0.0
    pore_diameter_um: Annotated[
        _Length, Meta(description="diameter of the pores, about", extra={"unit": "um", "source": "guess"})
    ] = 0.4
    cracks: Annotated[int, Meta(ge=0, le=50, description="open cracks; the front starts from their faces, too")] = 0
    crack_width_um: Annotated[
        float, Meta(gt=0, le=5, description="width of a crack", extra={"unit": "um", "source": "guess"})
    ] = 0.1
    primaries: Annotated[
        int,
        Meta(
            ge=1,
            le=200,
            description="equal primary particles, touching, each in its own orientation, that share the volume of one",
        ),
    ] = 1
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


def rotation_matrix(orientation_deg: tuple[float, float, float] | str, rng: np.random.Generator) -> Array:
    """Crystal (a, b, c) to lab (x, y, z), shape (3, 3)."""
    if isinstance(orientation_deg, str):
        return np.asarray(Rotation.from_quat(rng.normal(size=4)).as_matrix())
    return np.asarray(Rotation.from_euler("xyz", orientation_deg, degrees=True).as_matrix())


def outline_of(particle: Particle, rng: np.random.Generator, volume_um3: float | None = None) -> Outline:
    """The outline of a particle, or of one like it with another volume."""
    asked = None if particle.volume_um3 == "auto" else particle.volume_um3
    return Outline(
        np.array(particle.semi_axes_um),
        rng,
        shape=particle.shape,
        exponent=particle.exponent,
        roughness=particle.roughness,
        roughness_waves=particle.roughness_waves,
        volume_um3=asked if volume_um3 is None else volume_um3,
    )


def place(particle: Particle, growth: float, rng: np.random.Generator) -> list[Solid]:
    """The particle's outline at its place, or those of its primaries. Outline, turn and place draw from streams of their own.

    Charging stretches a primary by up to the factor `growth`: there is room for that between them.
    """
    rng_outline, rng_turn, rng_place = rng.spawn(3)
    spread = particle.center_spread_um
    center = np.array(particle.center_um) + rng_place.uniform(-spread, spread, 3)
    whole = Solid(outline_of(particle, rng_outline), rotation_matrix(particle.orientation_deg, rng_turn), center)
    if particle.primaries == 1:
        return [whole]
    volume = whole.outline.volume_um3 / particle.primaries
    loose = [
        Solid(outline_of(particle, rng_outline, volume), rotation_matrix("random", rng_turn), center)
        for _ in range(particle.primaries)
    ]
    gap_um = 2 * (growth - 1) * max(solid.outline.reach_um for solid in loose)
    return cluster(loose, center, gap_um, rng_place)


def grow(particle: Particle, front: Front, solid: Solid, voxel_um: float, rng: np.random.Generator) -> Grain:
    """The grain of a placed outline: its voids, its body and its front.

    Raises InputError where it is less than two voxels in size, or a void cannot be.
    """
    size = solid.outline.reach_um
    if size < 2 * voxel_um:
        raise InputError(
            f"particle.semi_axes_um: the longest is {size:.3g} um; allowed is at least {2 * voxel_um:.3g} um, "
            "two voxels of the truth; make the particle larger or scan.pixel_um smaller"
        )
    rng_voids, rng_front = rng.spawn(2)
    voids = make_voids(
        solid.outline, particle.porosity, particle.pore_diameter_um, particle.cracks, particle.crack_width_um, rng_voids
    )
    return make_grain(make_body(solid.outline, voids, voxel_um), front, solid.rotation, solid.center_um, rng_front)
