"""How FePO4 grows into LiFePO4: the time at which the front reaches each point of a particle."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from .body import Body, Wavefront
from .errors import InputError

Array = NDArray[np.float64]
Volume = NDArray[np.float32]

_Speed = Annotated[float, Meta(ge=0.01, le=100)]
_Share = Annotated[float, Meta(ge=0, le=1)]
_FADE_STEPS = 5  # constant speeds that stand for one smooth change
_SHARP = 1e-6  # a change of speed over less of the charge is a step
_NO_KINETICS = "guess: no measured kinetic anisotropy was found"


@dataclass(frozen=True)
class Front:
    """How FP grows. All fractions are of the particle's iron."""

    fraction: Annotated[
        float,
        Meta(ge=0, le=1, description="bulk fraction: share of the particle's iron that is Fe3+"),
    ] = 0.5
    kind: Annotated[
        Literal["core-shell", "domino", "mosaic", "solid-solution"],
        Meta(
            description="'core-shell': inward from the surface; 'domino': a plane that sweeps along front.axis; 'mosaic': "
            "from several nuclei; 'solid-solution': every voxel alike",
            extra={"source": "all four are proposed for LiFePO4, and disputed"},
        ),
    ] = "core-shell"
    speed: Annotated[
        tuple[_Speed, _Speed, _Speed],
        Meta(
            description="front speed along a, b, c at the start, relative; shell thickness goes with it",
            extra={"source": _NO_KINETICS},
        ),
    ] = (1.0, 2.0, 1.0)
    later_from: Annotated[
        tuple[_Share, ...], Meta(description="bulk fractions, rising, at which each of later_speed takes over")
    ] = ()
    later_speed: Annotated[
        tuple[tuple[_Speed, _Speed, _Speed], ...],
        Meta(description="speeds along a, b, c that follow the first, relative", extra={"source": _NO_KINETICS}),
    ] = ()
    fade: Annotated[
        float, Meta(ge=0, le=1, description="change of bulk fraction over which one set of speeds passes into the next")
    ] = 0.0
    face_start: Annotated[
        tuple[_Share, _Share, _Share, _Share, _Share, _Share],
        Meta(
            description="bulk fraction at which the faces -a, +a, -b, +b, -c, +c begin to react; 0 at once, 1 never",
            extra={"source": "guess"},
        ),
    ] = (0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
    axis: Annotated[Literal["a", "b"], Meta(description="direction in which a domino front sweeps")] = "a"
    nuclei: Annotated[int, Meta(ge=1, le=1000, description="nuclei of a mosaic", extra={"source": "guess"})] = 6
    width_um: Annotated[
        float,
        Meta(
            ge=0,
            le=10,
            description="width over which the front passes linearly from LFP to FP; 0 sharp",
            extra={"unit": "um", "source": "guess"},
        ),
    ] = 0.0
    end_members: Annotated[
        tuple[_Share, _Share],
        Meta(
            description="Fe3+ share of the LFP-rich and of the FP-rich phase; outside them the particle is one phase",
            extra={"source": "0 and 1 are ideal; a regular solution of 0.1158 eV has 0.012 and 0.988"},
        ),
    ] = (0.0, 1.0)
    volume: Annotated[
        Literal["constant", "shrinking"],
        Meta(
            description="'constant': FP keeps LFP's volume (3.44 g/cm3); 'shrinking': FP has its own density and "
            "the particle shrinks by the misfit strain",
            extra={"source": "iron is conserved in both; which of the two an operando particle follows is not settled"},
        ),
    ] = "constant"

    def check(self) -> None:
        """InputError for settings that contradict each other."""
        if len(self.later_from) != len(self.later_speed):
            raise InputError(
                f"front.later_from: holds {len(self.later_from)} fractions for {len(self.later_speed)} later_speed; "
                "allowed is one for each"
            )
        if any(b <= a for a, b in zip((0.0, *self.later_from), self.later_from, strict=False)):
            raise InputError(f"front.later_from: is {list(self.later_from)}; allowed are rising fractions above 0")
        for name, speed in (("speed", self.speed), *(("later_speed", later) for later in self.later_speed)):
            if min(speed) < 0.01:
                raise InputError(f"front.{name}: is {list(speed)}; allowed is 0.01 to 100 along each of a, b, c")
        if min(self.face_start) > 0:
            raise InputError(
                f"front.face_start: no face reacts at the start, the first at {min(self.face_start):g}; "
                "allowed is 0 for at least one; set one face to 0"
            )
        if self.end_members[0] >= self.end_members[1]:
            raise InputError(f"front.end_members: is {list(self.end_members)}; allowed is the LFP-rich phase first, and less")

    def speed_at(self, fraction: float) -> Array:
        """Speeds along a, b, c when `fraction` of the iron is Fe3+; changes are smooth in their logarithm."""
        logs = np.log([self.speed, *self.later_speed])
        value = logs[0]
        for k, start in enumerate(self.later_from):
            share = (fraction - start) / self.fade + 0.5 if self.fade > _SHARP else float(fraction >= start)
            value = value + np.clip(share, 0, 1) * (logs[k + 1] - logs[k])
        return np.asarray(np.exp(value))

    def regimes(self) -> list[float]:
        """Bulk fractions at which speeds or active faces change, from 0."""
        knots = {0.0, *self.face_start}
        for start in self.later_from:
            knots |= {float(k) for k in start + self.fade * np.linspace(-0.5, 0.5, _FADE_STEPS if self.fade > _SHARP else 1)}
        return sorted(k for k in knots if 0 <= k < 1)


Arrival = Callable[[Body, Front, np.random.Generator], Volume]


def core_shell(body: Body, front: Front, rng: np.random.Generator) -> Volume:
    """From the surface, and from the faces of cracks, inward.

    While speeds are constant the arrival is a distance in stretched space; where they change, the front as it
    then stands is the source of what follows (Huygens), together with the faces that react by then.
    """
    knots = front.regimes()
    near = body.near
    points, share = body.points[near], body.share[near]
    whole = float(share.sum())
    crack_points, crack_normals = body.voids.faces(float(np.abs(body.surface).max()) * 1.5, body.step_um)
    inside = _depth(body, crack_points) > 0
    crack_points, crack_normals = crack_points[inside], crack_normals[inside]
    begin = np.concatenate([_face_start(body.normals, front), np.zeros(len(crack_points))])
    sources, normals = np.concatenate([body.surface, crack_points]), np.concatenate([body.normals, crack_normals])

    time, arrival = 0.0, np.full(len(points), np.inf)
    place, away = np.zeros((0, 3)), np.zeros((0, 3))
    for low, high in zip(knots, [*knots[1:], 2.0], strict=True):
        active, waiting = begin <= low, np.isinf(arrival)
        speed = front.speed_at((low + min(high, 1.0)) / 2)
        wave = Wavefront(np.concatenate([sources[active], place]), np.concatenate([normals[active], away]), speed)
        if high > 1:
            arrival[waiting] = time + wave.time(points[waiting], ahead=share[waiting] >= 0.5)
            break
        # How long it takes to the next change is not known beforehand: look ahead further and further.
        reached, look = arrival.copy(), 8 * body.step_um / float(speed.max())
        beyond = 2 * body.step_um / float(speed.min())  # so that cells next to the front have a time, too
        while True:
            open_ = np.isinf(reached)
            reached[open_] = time + wave.time(points[open_], ahead=share[open_] >= 0.5, within=look + beyond)
            if float(share[reached <= time + look].sum()) >= high * whole:
                break
            look *= 2
        order = np.argsort(reached, kind="stable")
        time = float(np.interp(high * whole, np.cumsum(share[order]), reached[order]))
        arrival[waiting & (reached <= time)] = reached[waiting & (reached <= time)]
        place, away = _isosurface(body, _scatter(body, reached), time)
    return _scatter(body, arrival)


def domino(body: Body, front: Front, rng: np.random.Generator) -> Volume:
    """A plane that sweeps through the particle along `front.axis` (Delmas et al., Nat. Mater. 7 (2008) 665)."""
    axis = "abc".index(front.axis)
    return (body.points[:, axis] / front.speed[axis]).reshape(body.depth_um.shape).astype(np.float32)


def mosaic(body: Body, front: Front, rng: np.random.Generator) -> Volume:
    """From `front.nuclei` random places at once (Andersson and Thomas, J. Power Sources 97-98 (2001) 498)."""
    points = body.points
    inside = points[body.depth_um.ravel() > 0]
    nuclei = inside[rng.choice(len(inside), min(front.nuclei, len(inside)), replace=False)]
    arrival = np.full(len(points), np.inf)
    for nucleus in nuclei:
        arrival = np.minimum(arrival, np.linalg.norm((points - nucleus) / front.speed, axis=1))
    return arrival.reshape(body.depth_um.shape).astype(np.float32)


def solid_solution(body: Body, front: Front, rng: np.random.Generator) -> Volume:
    """No front: all at the same time."""
    return np.zeros_like(body.depth_um)


ARRIVALS: dict[str, Arrival] = {
    "core-shell": core_shell,
    "domino": domino,
    "mosaic": mosaic,
    "solid-solution": solid_solution,
}


def _face_start(normals: Array, front: Front) -> Array:
    """When each surface point begins to react: by the axis its normal is nearest to."""
    signed = np.stack([-normals, normals], axis=-1).reshape(len(normals), 6)
    return np.asarray(np.array(front.face_start)[np.argmax(signed, axis=1)])


def _depth(body: Body, points: Array) -> Array:
    """Depth of the nearest cell, -inf beyond the grid."""
    index = np.rint(points / body.step_um + (np.array(body.depth_um.shape) - 1) / 2).astype(int)
    within = ((index >= 0) & (index < body.depth_um.shape)).all(axis=1)
    depth = np.full(len(points), -np.inf)
    depth[within] = body.depth_um[tuple(index[within].T)]
    return depth


def _scatter(body: Body, values: Array) -> Volume:
    """Values of the cells near the particle on the whole grid, the last of them beyond."""
    grid = np.full(body.depth_um.size, float(values[np.isfinite(values)].max()), np.float32)
    grid[body.near] = np.where(np.isfinite(values), values, grid[0])
    return grid.reshape(body.depth_um.shape)


def _isosurface(body: Body, field: Volume, level: float) -> tuple[Array, Array]:
    """Points (n, 3), um, where `field` crosses `level` between cells near the particle, and unit normals to lower values."""
    gradient = np.stack(list(np.gradient(field)), axis=-1)
    near = body.near.reshape(field.shape)
    places, normals = [], []
    below = field <= level
    for axis in range(3):
        crossing = np.argwhere(np.diff(below, axis=axis))
        beyond = crossing + np.eye(3, dtype=int)[axis]
        known = near[tuple(crossing.T)] & near[tuple(beyond.T)]
        crossing, beyond = crossing[known], beyond[known]
        here, there = field[tuple(crossing.T)], field[tuple(beyond.T)]
        part = ((level - here) / (there - here))[:, None]
        places.append(crossing + part * (beyond - crossing))
        normals.append((1 - part) * gradient[tuple(crossing.T)] + part * gradient[tuple(beyond.T)])
    normal = np.concatenate(normals)
    length = np.linalg.norm(normal, axis=1)
    clear = length > 0
    place = (np.concatenate(places) - (np.array(field.shape) - 1) / 2) * body.step_um
    return place[clear], -normal[clear] / length[clear, None]
