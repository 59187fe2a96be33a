"""Analytic ellipsoids with exact line integrals: the reference that projectors are held against."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import beta

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Ellipsoid:
    """value * (1 - rho^2)^power inside rho < 1; power 0 is a sharp, uniform ellipsoid.

    `center_um` is (z, y, x), `semi_axes_um` along the ellipsoid's own axes, `rotation` (3, 3) takes
    those to lab (x, y, z). Values of overlapping ellipsoids add.
    """

    center_um: tuple[float, float, float]
    semi_axes_um: tuple[float, float, float]
    value: float = 1.0
    power: float = 0.0
    rotation: Array | None = None

    def metric(self) -> Array:
        """M with rho^2 = r^T M r, r = (x, y, z) from the centre; 1/um^2."""
        turn = np.eye(3) if self.rotation is None else self.rotation
        return np.asarray(turn @ np.diag(1 / np.square(self.semi_axes_um)) @ turn.T)


def ellipsoid_paths(ellipsoids: Sequence[Ellipsoid], angles_rad: Array, v_um: Array, u_um: Array) -> Array:
    """Exact line integrals, shape (angle, row, column), of the sum of `ellipsoids`; value * um.

    Along a ray x = u cos - s sin, y = u sin + s cos, z = v, so that
    rho^2 = q^2 + A s'^2, so the integral is (1 - q^2)^(power + 1/2) B(1/2, power + 1) / sqrt(A)
    (Kak and Slaney, Principles of Computerized Tomographic Imaging, 1988, ch. 3, for power 0).
    """
    total = np.zeros((len(angles_rad), len(v_um), len(u_um)))
    for body in ellipsoids:
        metric = body.metric()
        cz, cy, cx = body.center_um
        for k, angle in enumerate(angles_rad):
            cos, sin = np.cos(angle), np.sin(angle)
            u = u_um - (cx * cos + cy * sin)
            v = v_um - cz
            ray = np.array([-sin, cos, 0.0])
            across, up = np.array([cos, sin, 0.0]), np.array([0.0, 0.0, 1.0])
            a = ray @ metric @ ray
            b = (ray @ metric @ across) * u[None, :] + (ray @ metric @ up) * v[:, None]
            c = (
                (across @ metric @ across) * u[None, :] ** 2
                + 2 * (across @ metric @ up) * u[None, :] * v[:, None]
                + (up @ metric @ up) * v[:, None] ** 2
            )
            inside = np.maximum(1 - (c - b**2 / a), 0)
            total[k] += body.value * inside ** (body.power + 0.5) * beta(0.5, body.power + 1) / np.sqrt(a)
    return total


def voxelize(
    ellipsoids: Sequence[Ellipsoid], shape: tuple[int, int, int], voxel_um: float, oversample: int = 4
) -> NDArray[np.float32]:
    """Voxel averages (z, y, x) of the sum of `ellipsoids`, each voxel sampled `oversample`^3 times."""
    offsets = ((np.arange(oversample) + 0.5) / oversample - 0.5) * voxel_um
    z, y, x = ((np.arange(n) - (n - 1) / 2) * voxel_um for n in shape)
    fine_y, fine_x = ((axis[:, None] + offsets).ravel() for axis in (y, x))
    out = np.zeros(shape, np.float32)
    for body in ellipsoids:
        metric = body.metric()
        cz, cy, cx = body.center_um
        dx, dy = np.meshgrid(fine_x - cx, fine_y - cy)
        reach = float(np.sqrt(np.linalg.inv(metric)[2, 2])) + voxel_um
        for k in np.flatnonzero(np.abs(z - cz) < reach):
            layer = np.zeros((shape[1], shape[2]))
            for offset in offsets:
                dz = z[k] + offset - cz
                rho2 = (
                    metric[0, 0] * dx**2
                    + metric[1, 1] * dy**2
                    + metric[2, 2] * dz**2
                    + 2 * (metric[0, 1] * dx * dy + metric[0, 2] * dx * dz + metric[1, 2] * dy * dz)
                )
                fine = np.where(rho2 < 1, np.maximum(1 - rho2, 0) ** body.power, 0.0)
                layer += fine.reshape(shape[1], oversample, shape[2], oversample).mean(axis=(1, 3))
            out[k] += body.value * layer / oversample
    return out
