"""Path lengths of the species along every ray, by linear combination of the standards."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..spectra.combination import linear_combination
from .model import Model

Array = NDArray[np.float64]
Floats = NDArray[np.floating[Any]]
Values = NDArray[np.float32]

_AT_ONCE = 1 << 16  # rays, so that their sums stay in the cache


@dataclass(frozen=True)
class RayFit:
    """Paths (species, row, angle, column) in um of LFP that hold the same iron, and how well they are known.

    `covariance` (species, species, row, angle, column) is each ray's own, `shared` (species, species, row, column) comes from
    what all views share; `chi2` and `dof` are sums over the rays.
    """

    paths: Values
    covariance: Values
    shared: Values
    chi2: float
    dof: float


def fit_rays(depth: Values, variance: Values, shared: Values, model: Model, *, own_weights: bool = False) -> RayFit:
    """Fit optical depth (energy, row, angle, column) with its `variance`; `shared` (energy, row, column) is that of all views.

    One weight for each energy (`model.weights`), or each ray's own, 1 / variance. What views share is led through the weights
    common to all.
    """
    species, rays = len(model.names), depth.shape[1:]
    flat = depth.reshape(len(depth), -1), variance.reshape(len(depth), -1)
    if own_weights:
        paths, covariance, chi2 = _own_weights(*flat, model.design, species)
        dof = float(depth[0].size * (len(depth) - model.design.shape[1]))
    else:
        found = linear_combination(*flat, model.design, model.weights, species)
        paths, covariance = found.amounts, found.covariance
        chi2, dof = float(found.chi2.sum(dtype=float)), float(found.dof.sum())
    lever = model.estimator
    common = np.einsum("ae,be,erc->abrc", lever, lever, shared, optimize=True).astype(np.float32)
    return RayFit(paths.reshape(species, *rays), covariance.reshape(species, species, *rays), common, chi2, dof)


def _own_weights(depth: Values, variance: Values, design: Array, species: int) -> tuple[Values, Values, float]:
    """Weighted least squares of depth (energy, n) with weights 1 / variance: paths, covariance, and the sum of chi2.

    In a basis of the design that is orthonormal at mean weights the normal equations are near the identity, and float32 suffices;
    they are solved by Cholesky's decomposition, all rays at once.
    """
    mean = 1 / variance.mean(axis=1, dtype=float)
    q, r = np.linalg.qr(design * np.sqrt(mean)[:, None])
    basis = q / np.sqrt(mean)[:, None]
    count, back = basis.shape[1], np.linalg.inv(r)[:species].astype(np.float32)
    pairs = [(i, j) for i in range(count) for j in range(i + 1)]
    products = np.array([basis[:, i] * basis[:, j] for i, j in pairs], np.float32)
    basis = basis.astype(np.float32)
    n = depth.shape[1]
    paths, covariance, chi2 = np.empty((species, n), np.float32), np.empty((species, species, n), np.float32), 0.0
    for low in range(0, n, _AT_ONCE):
        part = slice(low, low + _AT_ONCE)
        weights = 1 / variance[:, part]
        normal = dict(zip(pairs, products @ weights, strict=True))
        side = basis.T @ (weights * depth[:, part])
        inverse = _inverse(normal, count)
        solution = np.einsum("ijn,jn->in", inverse, side)
        paths[:, part] = back @ solution
        covariance[:, :, part] = np.einsum("ai,ijn,bj->abn", back, inverse, back, optimize=True)
        left = depth[:, part] - basis @ solution
        chi2 += float((left * left * weights).sum(dtype=float))
    return paths, covariance, chi2


def _inverse(normal: dict[tuple[int, int], Floats], count: int) -> Values:
    """Inverse (count, count, n) of symmetric positive matrices given by their lower triangles."""
    lower: dict[tuple[int, int], Floats] = {}
    for j in range(count):
        for i in range(j, count):
            value = normal[i, j].copy()
            for k in range(j):
                value -= lower[i, k] * lower[j, k]
            lower[i, j] = np.sqrt(value) if i == j else value / lower[j, j]
    turned: dict[tuple[int, int], Floats] = {}
    for j in range(count):
        turned[j, j] = 1 / lower[j, j]
        for i in range(j + 1, count):
            turned[i, j] = -sum(lower[i, k] * turned[k, j] for k in range(j, i)) / lower[i, i]
    out = np.empty((count, count, len(normal[0, 0])), np.float32)
    for i in range(count):
        for j in range(i + 1):
            out[i, j] = out[j, i] = sum(turned[k, i] * turned[k, j] for k in range(i, count))
    return out
