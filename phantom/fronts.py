"""How FePO4 grows into LiFePO4: the time at which the front reaches each point."""

from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from msgspec import Meta
from numpy.typing import NDArray
from scipy.spatial import cKDTree

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Front:
    """A core-shell front: FP grows inward from the whole surface at a direction-dependent speed."""

    fraction: Annotated[
        float,
        Meta(ge=0, le=1, description="bulk fraction: share of the particle's iron that is Fe3+"),
    ] = 0.5
    speed: Annotated[
        tuple[
            Annotated[float, Meta(ge=0.01, le=100)],
            Annotated[float, Meta(ge=0.01, le=100)],
            Annotated[float, Meta(ge=0.01, le=100)],
        ],
        Meta(
            description="front speed along a, b, c, relative; shell thickness goes with it",
            extra={"source": "guess: no measured kinetic anisotropy was found"},
        ),
    ] = (1.0, 2.0, 1.0)
    volume: Annotated[
        Literal["constant", "shrinking"],
        Meta(
            description="'constant': FP keeps LFP's volume (3.44 g/cm3); 'shrinking': FP has its own density and "
            "the particle shrinks by the misfit strain",
            extra={"source": "iron is conserved in both; which of the two an operando particle follows is not settled"},
        ),
    ] = "constant"


def surface_distance(points: Array, surface: Array, normals: Array, speed: Array) -> Array:
    """Time for a front that starts on the whole surface at t = 0 to reach `points` (n, 3).

    With a speed of sqrt(sum v_i^2 n_i^2) along its normal n, the front's arrival is the distance
    in space stretched by 1/v_i (the elliptical metric of the anisotropic eikonal equation,
    Sethian, Level Set Methods, 1999, ch. 8). `surface`, `normals` (m, 3) sample the outline in um;
    negative outside. At `speed` (1, 1, 1) this is the signed depth in um.
    """
    stretched = surface / speed
    normals = normals * speed
    normals = normals / np.linalg.norm(normals, axis=1, keepdims=True)
    query = points / speed
    distance, nearest = cKDTree(stretched).query(query, workers=-1)
    height = np.einsum("ij,ij->i", stretched[nearest] - query, normals[nearest])
    # Near the surface the nearest sample lies beside the foot of the perpendicular: there the height
    # above its tangent plane is the better distance.
    spacing = np.sqrt(4 * np.pi * np.mean(np.sum(stretched**2, axis=1)) / len(surface))
    return np.asarray(np.where(distance < 4 * spacing, height, np.copysign(distance, height)))
