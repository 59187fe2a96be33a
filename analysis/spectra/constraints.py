"""What bounds on the amounts do to a least-squares fit: every face of the allowed region, in closed form."""

import itertools
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Values = NDArray[np.float32]
Constraint = Literal["free", "nonnegative", "sum-one", "mixture"]


@dataclass(frozen=True)
class Face:
    """The least-squares fit with the amounts `held` (species,) at 0, and their sum at 1 where that is asked.

    Best unknowns c = `estimator` (unknown, energy) @ mu + `offset` (unknown,). From the best c0 of a face that this one lies in,
    c = `projection` (unknown, unknown) @ c0 + `offset`, and the weighted sum of squares is larger by
    |`cost` (held, unknown) @ c0 - `target` (held,)|^2. `parameters` is how many numbers the fit still chooses.
    """

    held: NDArray[np.bool_]
    estimator: Array
    offset: Array
    projection: Array
    cost: Array
    target: Array
    parameters: int


def faces(design: Array, weights: Array, species: int, constraint: Constraint) -> list[Face]:
    """The faces of the allowed region for `design` (energy, unknown) and `weights` (energy,), the widest first.

    "free": amounts of either sign, adding to whatever the iron is. "nonnegative": none below 0. "sum-one": of either sign, adding
    to 1, so that every voxel is full of iron (LFP's density). "mixture": both, hence each within 0..1. Unknowns beyond `species`
    are a background, never bound.

    Least squares under linear equations: Lawson and Hanson, Solving Least Squares Problems (1974), ch. 20. Of all faces whose
    best fit is allowed, the cheapest is the bounded optimum (ch. 23): 2^species closed forms replace an iteration.
    """
    root = np.sqrt(weights)[:, None]
    solver = np.linalg.pinv(design * root)
    free, inverse = solver * root.T, solver @ solver.T
    unknowns = design.shape[1]
    whole = constraint in ("sum-one", "mixture")
    bounded = constraint in ("nonnegative", "mixture")
    most = species - whole if bounded else 0  # a sum of 1 leaves at least one amount
    found = []
    for count in range(most + 1):
        for chosen in itertools.combinations(range(species), count):
            held = np.isin(np.arange(species), chosen)
            rows = np.eye(unknowns)[list(chosen)]
            values = np.zeros(count)
            if whole:
                rows = np.vstack([rows, np.arange(unknowns) < species])
                values = np.append(values, 1.0)
            gram = rows @ inverse @ rows.T
            lift = np.linalg.solve(gram, rows @ inverse).T
            projection = np.eye(unknowns) - lift @ rows
            whitened = np.linalg.cholesky(np.linalg.inv(gram)).T
            offset = lift @ values
            # Exactly: rounding must not leave a held amount at 1e-17.
            projection[:species][held], offset[:species][held] = 0.0, 0.0
            found.append(
                Face(held, projection @ free, offset, projection, whitened @ rows, whitened @ values, unknowns - len(values))
            )
    return found


def cheapest(unknowns: Values, candidates: list[Face]) -> NDArray[np.intp]:
    """For best `unknowns` (unknown, n) of the widest face: the number (n,) of the face that holds the bounded optimum."""
    best = np.zeros(unknowns.shape[1], np.intp)
    least = np.full(unknowns.shape[1], np.inf, np.float32)
    for number, face in enumerate(candidates):
        species = len(face.held)
        amounts = face.projection[:species].astype(np.float32) @ unknowns + face.offset[:species, None].astype(np.float32)
        excess = face.cost.astype(np.float32) @ unknowns - face.target[:, None].astype(np.float32)
        cost = (excess**2).sum(axis=0)
        better = (amounts >= 0).all(axis=0) & (cost < least)
        best[better], least[better] = number, cost[better]
    return best
