"""Least squares in the rays by conjugate gradients, and SIRT, stopped where the residual has come down to the noise.

Both start from nothing and fit the coarse before the fine; what stops them is what smooths. That needs no full half turn:
a missing wedge is left as the data leave it.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.fft
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from .operators import Convolution, Projector, circulant, on_blocks

Array = NDArray[np.float64]
Floats = NDArray[np.floating[Any]]
Values = NDArray[np.float32]

# Of the mean power of A^T A: below it the preconditioner stops to strengthen, or noise would come as early as what it hides.
_FLOOR = 16.0


@dataclass(frozen=True)
class _System:
    """Of a block of rows: A^T W A, A^T W b, b^T W b (row,) and the value (row,) of the residual that noise alone leaves."""

    normal: Callable[[Values], Values]
    right: Values
    square: Array
    noise: Array


def noise_variance(optical_depth: Floats) -> Array:
    """Variance of white noise (row,) in rays (row, angle, column), from their second differences along a detector row.

    The median ignores edges (Donoho and Johnstone, Biometrika 81 (1994) 425, with differences for wavelets); noise that
    neighbours share is seen only in part.
    """
    bend = np.diff(optical_depth, 2, axis=2).reshape(len(optical_depth), -1)
    return np.asarray(np.nanmedian(np.abs(bend), axis=1) ** 2 / (6 * 0.6745**2), float)


def _system(depth: Values, variance: Values | None, projector: Projector, convolution: Convolution | None) -> _System:
    """Weights are 1 / variance, or 1; a ray that is NaN has none."""
    found = np.isfinite(depth)
    data = np.where(found, depth, 0).astype(np.float32)
    if variance is None:
        weights = found.astype(np.float32)
        noise = noise_variance(depth) * found.sum(axis=(1, 2))
    else:
        good = found & np.isfinite(variance) & (variance > 0)
        weights = np.divide(1, variance, out=np.zeros(depth.shape, np.float32), where=good)
        noise = good.sum(axis=(1, 2)).astype(float)
    square = np.einsum("ryx,ryx,ryx->r", weights, data, data, dtype=float)
    if convolution is not None and found.all():
        return _System(lambda x: convolution(x[None])[0], projector.adjoint(weights * data), square, noise)
    return _System(lambda x: projector.adjoint(weights * projector.forward(x)), projector.adjoint(weights * data), square, noise)


def _conjugate_gradients(system: _System, precondition: Callable[[Values], Values], iterations: int) -> Values:
    """Each slice by itself; it stays as it is from where its residual has reached the noise."""
    image = np.zeros_like(system.right)
    rest = system.right.copy()
    fresh = precondition(rest)
    direction, power = fresh.copy(), _dot(rest, fresh)
    residual = system.square.copy()
    for _ in range(iterations):
        going = (residual > system.noise) & (power > 0)
        if not going.any():
            break
        ahead = system.normal(direction)
        length = np.where(going, power / np.maximum(_dot(direction, ahead), 1e-30), 0)
        image += _of_row(length) * direction
        rest -= _of_row(length) * ahead
        residual -= length * power
        fresh = precondition(rest)
        before, power = power, _dot(rest, fresh)
        direction = fresh + _of_row(power / np.maximum(before, 1e-30)) * direction
    return image


def _sirt(system: _System, mask: NDArray[np.bool_], iterations: int, nonnegative: bool) -> Values:
    """Landweber's steps, each pixel's by its share of all rays, with Nesterov's momentum."""
    ones = np.broadcast_to(mask.astype(np.float32), system.right.shape)
    share = system.normal(np.ascontiguousarray(ones))
    step = np.where(share > 1e-3 * share.max(), 1 / np.maximum(share, 1e-30), 0).astype(np.float32)
    image = np.zeros_like(system.right)
    ahead, slope, momentum = image, -system.right, 1.0
    going = system.square > system.noise
    for _ in range(iterations):
        new = ahead - step * slope
        if nonnegative:
            np.maximum(new, 0, out=new)
        new = np.where(_of_row(going), new, image)
        after = (1 + np.sqrt(1 + 4 * momentum**2)) / 2
        ahead = new + np.float32((momentum - 1) / after) * (new - image)
        image, momentum = new, after
        normal = system.normal(ahead)
        slope = normal - system.right
        going &= system.square + _dot(ahead, normal) - 2 * _dot(ahead, system.right) > system.noise
        if not going.any():
            break
    return image


def cgls(
    optical_depth: Values,
    angles_rad: Array,
    *,
    center_px: float,
    pixel_um: float,
    variance: Values | None = None,
    iterations: int = 30,
    threads: int = 1,
) -> Values:
    """The engine role: noise-weighted least squares by preconditioned conjugate gradients, (z, y, x) in 1/um.

    `variance` (row, angle, column), axes along which it does not change may be 1 long; without it all rays weigh alike and the
    noise is measured from them. Each slice stops at most after `iterations`, and before where its residual is what noise alone
    would leave (Morozov; Hansen, Rank-Deficient and Discrete Ill-Posed Problems, 1998, ch. 6). The sign is free: what is not
    there comes out as noise about zero, and a mean over it as zero.
    """

    def solve(system: _System, projector: Projector, power: Array) -> Values:
        inverse = (1 / np.maximum(power, _FLOOR * power.mean())).astype(np.float32)
        size = (projector.columns, projector.columns)

        def precondition(slices: Values) -> Values:
            return np.stack([scipy.fft.irfft2(scipy.fft.rfft2(image) * inverse, size) for image in slices]) * projector.mask

        return _conjugate_gradients(system, precondition, iterations)

    return _engine(solve, optical_depth, angles_rad, center_px, pixel_um, variance, threads)


def sirt(
    optical_depth: Values,
    angles_rad: Array,
    *,
    center_px: float,
    pixel_um: float,
    variance: Values | None = None,
    iterations: int = 80,
    nonnegative: bool = True,
    threads: int = 1,
) -> Values:
    """The engine role: simultaneous iterative reconstruction, non-negative if asked, (z, y, x) in 1/um.

    Steps of Gregor and Benson, IEEE Trans. Med. Imaging 27 (2008) 918, for rays weighted by their noise, with the momentum of
    Beck and Teboulle, SIAM J. Imaging Sci. 2 (2009) 183: the same images in a third of the steps. `variance` and where it
    stops as `cgls`.
    """

    def solve(system: _System, projector: Projector, power: Array) -> Values:
        return _sirt(system, projector.mask, iterations, nonnegative)

    return _engine(solve, optical_depth, angles_rad, center_px, pixel_um, variance, threads)


def _engine(
    solve: Callable[[_System, Projector, Array], Values],
    depth: Values,
    angles_rad: Array,
    center_px: float,
    pixel_um: float,
    variance: Values | None,
    threads: int,
) -> Values:
    """Row blocks of a fixed size; the normal operator is a convolution where weights depend on the angle alone."""
    rows, _, columns = depth.shape
    projector = Projector(angles_rad, columns, center_px=center_px, pixel_um=pixel_um)
    by_angle = variance is None or variance.shape[0] == variance.shape[2] == 1
    shown = np.ones(len(angles_rad)) if variance is None else np.nanmean(1 / variance, axis=(0, 2), dtype=float)
    convolution = Convolution(projector, shown[None, None]) if by_angle else None
    power = circulant(projector.kernel(shown))

    def block(part: slice) -> Values:
        own = variance if variance is None or len(variance) == 1 else variance[part]
        return solve(_system(depth[part], own, projector, convolution), projector, power)

    with threadpool_limits(1), ThreadPoolExecutor(threads) as pool:
        return np.concatenate(on_blocks(block, rows, projector.rows, pool))


def _dot(a: Values, b: Values) -> Array:
    """Inner product of each row of two volumes."""
    return np.asarray(np.einsum("ryx,ryx->r", a, b, dtype=float))


def _of_row(value: Array | NDArray[np.bool_]) -> NDArray[np.float32]:
    return value.astype(np.float32)[:, None, None]
