"""Looking at spectra without standards: how many there are, which voxels are alike, and parts that nothing makes negative.

Each energy is divided by its noise first, so that no energy counts for more than it knows (Keenan and Kotula, Surf. Interface
Anal. 36 (2004) 203). Iron and thickness scale a spectrum and do not change its kind: nothing here subtracts a mean (Lerotic et
al., Ultramicroscopy 100 (2004) 35). Give it the voxels of the particle, not the empty ones.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.cluster.vq import ClusterError, kmeans2, vq

from instrument.measurement import InputError

Array = NDArray[np.float64]

_TRACY_WIDOM_99 = 2.02  # 99 % of the largest eigenvalues of pure noise lie below this, in Tracy and Widom's unit
_STARTS = 10
_SAMPLE = 20_000  # spectra among which centres and parts are sought; all are then sorted by them
_ROUNDS, _SWEEPS = 300, 10


@dataclass(frozen=True)
class Components:
    """mu = `spectra` (component, energy).T @ `scores` (component, n) and noise; the noise of each score is 1.

    `eigenvalues` (energy,) fall; noise alone has 1. `share` (energy,) of the signal and noise is what each explains.
    `spectra` and `scores` are of the components that stand out of the noise, as many as there are spectra in the mixture.
    """

    spectra: Array
    scores: Array
    eigenvalues: Array
    share: Array


def principal_components(mu: Array, variance: Array, correlated: float = 1.0) -> Components:
    """Of mu (energy, n) with `variance`; `correlated` voxels share each other's noise (1: none does).

    A component counts if pure noise has so large an eigenvalue in less than 1 % of cases (Johnstone, Ann. Stat. 29 (2001) 295).
    Raises InputError for missing values or fewer voxels than energies.
    """
    whitened, noise = _whitened(mu, variance)
    energies, voxels = whitened.shape
    values, vectors = np.linalg.eigh(whitened @ whitened.T / voxels)
    values, vectors = values[::-1], vectors[:, ::-1]
    n, p = np.sqrt(max(voxels / correlated, 2)), np.sqrt(energies)
    largest = ((n + p) ** 2 + _TRACY_WIDOM_99 * (n + p) * (1 / n + 1 / p) ** (1 / 3)) / n**2
    kept = vectors[:, : max(int((values > largest).sum()), 1)]
    return Components((kept * noise).T, kept.T @ whitened, values, values / values.sum())


def clusters(mu: Array, variance: Array, count: int, rng: np.random.Generator) -> tuple[NDArray[np.intp], Array]:
    """Label (n,) of each spectrum of mu (energy, n), and the mean spectrum (cluster, energy) of each label, most voxels first.

    k-means of the directions of the scores: alike is what is proportional. The best of 10 starts drawn from `rng`. Raises
    InputError as `principal_components`, or where there are not so many clusters.
    """
    scores = principal_components(mu, variance).scores.T
    directions = scores / np.linalg.norm(scores, axis=1, keepdims=True)
    sample = directions[rng.permutation(len(directions))[:_SAMPLE]]
    best, centres = np.inf, None
    for _ in range(_STARTS):
        try:
            start = sample[rng.choice(len(sample), count, replace=False)]
            found, _ = kmeans2(sample, start, iter=50, minit="matrix", missing="raise")
        except (ClusterError, ValueError):
            continue
        distance = float((vq(sample, found)[1] ** 2).sum())
        if distance < best:
            best, centres = distance, found
    if centres is None:
        raise InputError(
            f"clusters: count is {count}, found fewer among {len(directions)} spectra; allowed is what they hold; lower it"
        )
    labels = vq(directions, centres)[0]
    order = np.argsort(-np.bincount(labels, minlength=count), kind="stable")
    labels = np.argsort(order)[labels]
    return labels, np.array([mu[:, labels == k].mean(axis=1) for k in range(count)])


def nonnegative_factors(mu: Array, variance: Array, count: int, rng: np.random.Generator) -> tuple[Array, Array]:
    """Spectra (count, energy) of mean 1 and amounts (count, n), none negative, whose products come nearest to mu (energy, n).

    Nonnegative matrix factorization (Lee and Seung, Nature 401 (1999) 788), one part at a time (Cichocki and Phan, IEICE Trans.
    E92-A (2009) 708). Many pairs are as near: at the Fe K edge all species absorb at all energies. So it starts from the means of
    `clusters`, inside what was measured, and the parts grow outward until they reach the purest voxels and, the more the
    noise, beyond: a part may hold -0.1 of another. Raises InputError as `clusters`.
    """
    whitened, noise = _whitened(mu, variance)
    spectra = np.maximum(clusters(mu, variance, count, rng)[1].T / noise, 0)
    sample = whitened[:, rng.permutation(whitened.shape[1])[:_SAMPLE]]
    amounts = np.full((count, sample.shape[1]), 1 / count)
    for _ in range(_ROUNDS):
        _improve(amounts, spectra.T @ spectra, spectra.T @ sample, _SWEEPS)
        before = spectra.copy()
        _improve(spectra.T, amounts @ amounts.T, amounts @ sample.T, 1)
        if np.abs(spectra - before).max() < 1e-5 * spectra.max():
            break
    amounts = np.full((count, whitened.shape[1]), 1 / count)
    _improve(amounts, spectra.T @ spectra, spectra.T @ whitened, 10 * _SWEEPS)
    spectra = spectra * noise
    scale = spectra.mean(axis=0)
    return (spectra / scale).T, amounts * scale[:, None]


def _improve(factors: Array, gram: Array, projected: Array, sweeps: int) -> None:
    """Each row of `factors` (k, n) in turn to its best with the others held, never below 0."""
    for _ in range(sweeps):
        for k in range(len(factors)):
            step = (projected[k] - gram[k] @ factors) / max(gram[k, k], 1e-30)
            np.maximum(factors[k] + step, 0, out=factors[k])


def _whitened(mu: Array, variance: Array) -> tuple[Array, Array]:
    """mu over its noise, (energy, n), and the noise (energy, 1)."""
    if mu.shape[1] < mu.shape[0] or not np.all(np.isfinite(mu) & (variance > 0)):
        known = int(np.isfinite(mu).all(axis=0).sum())
        raise InputError(
            f"spectra: {known} of {mu.shape[1]} are complete over {mu.shape[0]} energies; allowed are complete ones, not fewer "
            "than energies, with variance above 0; leave the others out"
        )
    noise = np.sqrt(variance.mean(axis=1, keepdims=True, dtype=float))
    return mu / noise, noise
