"""Maps of least squares in the rays and total variation in space, of one species or of several that help each other.

minimise  1/2 (A x - b)^T W (A x - b)  +  weight * sum over voxels |T grad x|,  x >= 0

with b the path lengths found for each ray, W their information, T^T T the mean of W: in T x the noise of all combinations of
species is alike, and |.| is over them and the three directions, so that an edge of one helps the other (Rudin, Osher and
Fatemi, Physica D 60 (1992) 259; vectorial as Bresson and Chan, Inverse Probl. Imaging 2 (2008) 455).

Solved by primal and dual steps (Condat, J. Optim. Theory Appl. 158 (2013) 460; Vu, Adv. Comput. Math. 38 (2013) 667) in the
metric of a periodic convolution that lies above A^T W A: each step is nearly Newton's, and some thirty settle.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.fft
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from .differences import divergence, gradient, laplacian
from .iterative import noise_variance
from .operators import Convolution, Projector, circulant, on_blocks

Array = NDArray[np.float64]
Floats = NDArray[np.floating[Any]]
Values = NDArray[np.float32]

_RELAXATION = 1.45  # convergence is certain below 3/2 where the metric lies above the normal operator
_DUAL_STEP, _SIGN_STEP = 6.0, 1.2  # found by trial; they change the speed, not the end
_FLOOR = 2.0  # of the mean power: frequencies that views hardly see would take huge steps
_SETTLED = 5e-4  # change of the maps in a step, of their size
_FEWEST, _MOST = 8, 150  # after a change of weight the first steps only turn the dual
_ROUNDING = 1e-10  # of the largest optical depth squared: no rays are known better


@dataclass(frozen=True)
class State:
    """Where a solution stands: whitened maps (species, row, y, x), duals of their gradient (3, species, ...) and of the sign."""

    maps: Values
    gradient: Values
    sign: Values


class TotalVariation:
    """The problem for one set of rays, whose path lengths may change.

    `unit` is the size of the weight: so large is, root mean square, the field whose divergence is the noise in A^T W b. At a
    weight well above it noise costs more than it fits. So weights in this unit mean the same at any dose, size and number of
    views.
    """

    def __init__(self, information: Values, projector: Projector, *, nonnegative: bool = True, threads: int = 1):
        self.projector, self.information, self.nonnegative, self.threads = projector, information, nonnegative, threads
        mean = information.mean(axis=(2, 4), dtype=float)
        self._eigenvalues, vectors = np.linalg.eigh(mean.mean(axis=2))
        self._unwhiten = (vectors / np.sqrt(self._eigenvalues)).astype(np.float32)
        by_angle = np.einsum("ap,aby,bp->y", self._unwhiten, mean, self._unwhiten) / len(mean)
        self._power = circulant(projector.kernel(by_angle))
        floored = np.maximum(self._power, _FLOOR * self._power.mean())
        self._metric = floored * 1.05 * self._above(floored, by_angle)
        self.unit = float(np.sqrt((self._power / laplacian(projector.columns)).mean()))

    def maps(self, state: State) -> Values:
        """Amounts (species, row, y, x)."""
        return _mix(self._unwhiten, self.whitened(state))

    def whitened(self, state: State) -> Values:
        """Combinations T x of the amounts (species, row, y, x), whose noise is alike."""
        return state.maps * self.projector.mask

    def solve(
        self, paths: Values, weight: float, start: State | None = None, *, watch: Callable[[int], None] | None = None
    ) -> State:
        """The solution for `paths` (species, row, angle, column), um, at `weight` in units of `unit`, from `start` on.

        It ends where the maps change by less than 5e-4 of their size in a step, or after 150; `watch` is told each step's number.
        """
        state = start or self._first(paths)
        y, p, r = state.maps.copy(), state.gradient.copy(), state.sign.copy()
        ahead = np.zeros_like(y)
        mask, rows, block_rows = self.projector.mask.astype(np.float32), y.shape[1], self.projector.rows
        radius = np.float32(weight * self.unit)
        size = float(np.vdot(y, y))
        # Where the dual may be as large as the weight, a step should move it there over a typical contrast.
        contrast = np.sqrt(float((_square(y) ** 2).sum(dtype=float)) / max(size, 1e-30))
        step = np.float32(_DUAL_STEP * radius / max(contrast, 1e-30))
        sign_step = np.float32(_SIGN_STEP * self._eigenvalues[0])
        inverse = self._inverse(float(step), float(sign_step))
        relaxation = np.float32(_RELAXATION)

        def primal(part: slice) -> float:
            slope = self._slope(y[:, part], paths[:, part], part)
            slope += divergence(p, part) * mask
            if self.nonnegative:
                slope += _mix(self._unwhiten.T, r[:, part]) * mask
            change = -_convolve(slope, inverse)
            ahead[:, part] = (y[:, part] + 2 * change) * mask
            change *= relaxation
            y[:, part] += change
            change *= mask
            return float(np.vdot(change, change))

        def dual(part: slice) -> None:
            moved = gradient(ahead, part)
            moved *= step
            moved += p[:, :, part]
            length = np.sqrt(np.einsum("dkryx,dkryx->ryx", moved, moved))
            moved *= np.minimum(1, radius / np.maximum(length, np.float32(1e-12)))
            moved -= p[:, :, part]
            moved *= relaxation
            p[:, :, part] += moved
            if self.nonnegative:
                sign = _mix(self._unwhiten, ahead[:, part])
                sign *= sign_step
                sign += r[:, part]
                r[:, part] += relaxation * (np.minimum(sign, 0) - r[:, part])

        with threadpool_limits(1), ThreadPoolExecutor(self.threads) as pool:
            for done in range(_MOST):
                change = sum(on_blocks(primal, rows, block_rows, pool))
                on_blocks(dual, rows, block_rows, pool)
                if watch:
                    watch(done)
                if done >= _FEWEST and change < _SETTLED**2 * size:
                    break
        return State(y, p, r)

    def _first(self, paths: Values) -> State:
        """Backprojection, sharpened where the views know enough."""
        rows, n = paths.shape[1], self.projector.columns
        y = np.zeros((len(paths), rows, n, n), np.float32)
        inverse = np.broadcast_to(
            (1 / np.maximum(self._power, _FLOOR * self._power.mean())).astype(np.float32), (len(y), n, n // 2 + 1)
        )

        def block(part: slice) -> None:
            y[:, part] = -_convolve(self._slope(y[:, part], paths[:, part], part), inverse) * self.projector.mask

        with threadpool_limits(1), ThreadPoolExecutor(self.threads) as pool:
            on_blocks(block, rows, self.projector.rows, pool)
        return State(y, np.zeros((3, *y.shape), np.float32), np.zeros_like(y))

    def _slope(self, maps: Values, paths: Values, part: slice) -> Values:
        """Gradient of the least squares in whitened maps."""
        rays = _mix(self._unwhiten, np.stack([self.projector.forward(image) for image in maps])) - paths
        weighted = _mix(self._unwhiten.T, _weigh(self.information[:, :, part], rays))
        return np.stack([self.projector.adjoint(rays) for rays in weighted])

    def _inverse(self, step: float, sign_step: float) -> Values:
        """Of the metric with both duals' share, for each whitened map."""
        n = self.projector.columns
        bend = 2 - 2 * np.cos(2 * np.pi * scipy.fft.fftfreq(n))[:, None] + 2 - 2 * np.cos(2 * np.pi * scipy.fft.rfftfreq(n))
        shares = self.nonnegative * sign_step / self._eigenvalues
        return np.stack([1 / (self._metric + step * (bend + 4) + share) for share in shares]).astype(np.float32)

    def _above(self, floored: Array, by_angle: Array) -> float:
        """By how much `floored` must grow to lie above A^T W A: its norm for weights by angle times the largest ray's excess."""
        n = self.projector.columns
        normal = Convolution(self.projector, by_angle[None, None])
        root = (1 / np.sqrt(floored))[None]
        image = np.random.default_rng(0).normal(size=(1, 1, n, n)).astype(np.float32)
        for _ in range(30):
            image = _convolve(normal(_convolve(image / np.linalg.norm(image), root)), root)
        share = np.divide(1, by_angle, out=np.zeros_like(by_angle), where=by_angle > 0)
        excess = 0.0
        for row in range(self.information.shape[2]):
            white = np.einsum("ap,abyx,bq->pqyx", self._unwhiten, self.information[:, :, row], self._unwhiten, optimize=True)
            excess = max(excess, float((np.abs(white).sum(axis=0).max(axis=(0, 2)) * share).max()))
        return float(np.linalg.norm(image)) * excess


def total_variation(
    optical_depth: Values,
    angles_rad: Array,
    *,
    center_px: float,
    pixel_um: float,
    variance: Values | None = None,
    weight: float = 1.0,
) -> Values:
    """The engine role: least squares with total variation, non-negative, (z, y, x) in 1/um.

    `variance` (row, angle, column) of the rays; axes along which it does not change may be 1 long, a ray that is NaN has no
    weight, and without it all weigh alike and the noise is measured from them. Of `weight`, in `TotalVariation.unit`, 0.5 to 3
    are nearly as good, whatever the noise.
    """
    known = np.isfinite(optical_depth)
    if variance is None:
        largest = np.abs(optical_depth[known]).max(initial=0.0) or 1.0  # rays of nothing have no scale
        variance = np.maximum(noise_variance(optical_depth), _ROUNDING * largest**2)[:, None, None]
    information = np.where(known, information_of(variance[None, None]), 0).astype(np.float32)
    problem = TotalVariation(information, Projector(angles_rad, optical_depth.shape[2], center_px=center_px, pixel_um=pixel_um))
    return np.asarray(problem.maps(problem.solve(np.where(known, optical_depth, 0)[None], weight))[0])


def information_of(covariance: Floats) -> Values:
    """Inverse of each ray's covariance (species, species, row, angle, column), um^2; 0 of a ray that is NaN.

    An error that all views of a pixel share cannot be told ray by ray and is no part of it.
    """
    known = np.asarray(np.isfinite(covariance).all(axis=(0, 1)))
    whole = np.where(known, covariance, np.eye(len(covariance))[..., None, None, None])
    inverse = np.linalg.inv(np.moveaxis(whole, (0, 1), (-2, -1)).astype(float))
    return np.ascontiguousarray(np.moveaxis(np.where(known[..., None, None], inverse, 0), (-2, -1), (0, 1)), np.float32)


def _weigh(information: Values, rays: Values) -> Values:
    """Matrices (species, species, ...) times vectors (species, ...), term by term: einsum is slower for so few."""
    out = np.asarray(information[:, 0] * rays[0])
    for other in range(1, len(rays)):
        out += information[:, other] * rays[other]
    return out


def _mix(matrix: Values, maps: Values) -> Values:
    """Combinations of maps (species, ...)."""
    return np.asarray(np.tensordot(matrix, maps, axes=1), np.float32)


def _square(maps: Values) -> Values:
    return np.asarray(np.einsum("k...,k...->...", maps, maps))


def _convolve(maps: Values, transfers: Values | Array) -> Values:
    """Each map (species, row, y, x) with its periodic kernel, slice by slice: one slice stays in the cache."""
    out, size = np.empty_like(maps), maps.shape[2:]
    for target, images, transfer in zip(out, maps, transfers, strict=True):
        for row, image in enumerate(images):
            target[row] = scipy.fft.irfft2(scipy.fft.rfft2(image) * transfer, size)
    return out
