"""Edge-step normalization, height by height: what a spectrum says without standards.

Pre-edge line, post-edge polynomial and edge step as in ATHENA (Ravel and Newville, J. Synchrotron Rad. 12 (2005) 537); the
post-edge order by the range, as Larch chooses it. All that is fitted is linear in mu, so sigma goes through it exactly, and to
first order through the division by the step.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from instrument.measurement import InputError

Array = NDArray[np.float64]

_LEAST_SIGMAS = 3.0  # an edge step below this many of its sigma is no edge


@dataclass(frozen=True)
class Normalization:
    """normalized = (`numerator` (energy, energy) @ mu) / (`step` (energy,) @ mu + `known_step`), at `energies_eV` (energy,)."""

    energies_eV: Array
    numerator: Array
    step: Array
    known_step: float = 0.0


@dataclass(frozen=True)
class Normalized:
    """Normalized spectra and their sigma, (energy, ...), and the edge step and its sigma, (...), in the unit of mu."""

    spectra: Array
    sigma: Array
    step: Array
    step_sigma: Array


@dataclass(frozen=True)
class Peak:
    """Position, eV, and height (normalized) of the white line, each with its sigma, (...)."""

    position_eV: Array
    position_sigma: Array
    height: Array
    height_sigma: Array


def as_measured(energies_eV: Array) -> Normalization:
    """For spectra that are normalized already. Raises InputError for an energy that is there twice."""
    _check_distinct(energies_eV)
    return Normalization(energies_eV, np.eye(len(energies_eV)), np.zeros(len(energies_eV)), 1.0)


def pre_and_post_edge(
    energies_eV: Array,
    *,
    edge_eV: float = 7120.0,
    pre_eV: tuple[float, float] = (6900.0, 7108.0),
    post_eV: tuple[float, float] = (7150.0, 7900.0),
    pre_order: int | None = None,
    post_order: int | None = None,
    flatten: bool = False,
) -> Normalization:
    """Line through the points in `pre_eV`, polynomial through those in `post_eV`, step between them at `edge_eV`.

    Orders left out: pre-edge a line, a constant through one point; post-edge a constant if the points span less than 50 eV, a
    line below 350 eV, else a parabola; a line wants two points, a parabola four. `flatten` also takes slope and curvature off
    above the edge. Raises InputError for a range without points, too high an order, or an energy that is there twice.
    """
    _check_distinct(energies_eV)
    before = _polynomial("pre-edge", "pre_eV", energies_eV, edge_eV, pre_eV, pre_order, (0.0, np.inf))
    after = _polynomial("post-edge", "post_eV", energies_eV, edge_eV, post_eV, post_order, (50.0, 350.0))
    step = after[-1] - before[-1]
    numerator = np.eye(len(energies_eV)) - before[:-1]
    if flatten:
        above = energies_eV > edge_eV
        numerator[above] = (np.eye(len(energies_eV)) - after[:-1] + step)[above]
    return Normalization(energies_eV, numerator, step)


def normalize(mu: Array, variance: Array, how: Normalization) -> Normalized:
    """Normalized spectra of `mu` (energy, ...) with `variance`; NaN where the step is below 3 of its sigma."""
    step, step_variance = _step(mu, variance, how)
    spectra = _apply(how.numerator, mu) / step
    products = [_apply(m, variance) for m in (how.numerator**2, how.numerator * how.step)]
    spread = products[0] - 2 * spectra * products[1] + spectra**2 * step_variance
    return Normalized(spectra, np.sqrt(np.maximum(spread, 0)) / np.abs(step), step, np.sqrt(step_variance))


def half_height(mu: Array, variance: Array, how: Normalization, level: float = 0.5) -> tuple[Array, Array]:
    """Energy, eV, at which the edge of `mu` (energy, ...) last rises through `level` before its maximum, and its sigma, (...).

    Interpolated by a straight line: right to about a tenth of the spacing there. NaN where no edge rises through it.
    """
    rising = np.argsort(how.energies_eV)
    energies, rows = how.energies_eV[rising], how.numerator[rising]
    step, _ = _step(mu, variance, how)
    values = _apply(rows, mu) / step
    index = np.arange(len(energies)).reshape(-1, *[1] * step.ndim)
    below = (values < level) & (index < _highest(values))
    low = np.where(below.any(axis=0), len(energies) - 1 - np.argmax(below[::-1], axis=0), 0)
    first, second = (np.take_along_axis(values, i[None], axis=0)[0] for i in (low, low + 1))
    found = below.any(axis=0) & (second >= level)
    rise = np.where(found, second - first, np.nan)
    share = (level - first) / rise
    spacing = energies[low + 1] - energies[low]
    gradient = (1 - share) * _columns(rows, low) + share * _columns(rows, low + 1) - level * _columns(how.step[None], 0 * low)
    return energies[low] + share * spacing, spacing / rise * _sigma(gradient, variance) / np.abs(step)


def white_line(mu: Array, variance: Array, how: Normalization, points: int = 3) -> Peak:
    """The parabola through the `points` (odd) around the highest value of `mu` (energy, ...): its vertex.

    More points than 3 are fitted by least squares: less noise, more bias. NaN where the highest value is the first or last, or
    the vertex outside the points. The white line says where the edge of one species is; it measures no mixture.
    """
    if points % 2 == 0 or not 3 <= points <= len(how.energies_eV):
        raise InputError(f"white line: points is {points}; allowed are odd numbers 3..{len(how.energies_eV)}; take 3")
    rising = np.argsort(how.energies_eV)
    energies, rows = how.energies_eV[rising], how.numerator[rising]
    step, _ = _step(mu, variance, how)
    values = _apply(rows, mu) / step
    top, half = _highest(values), points // 2
    center = np.clip(top, half, len(energies) - 1 - half)
    around = np.arange(-half, half + 1)
    solvers = np.zeros((len(energies), 3, points))
    for k in range(half, len(energies) - half):
        solvers[k] = np.linalg.pinv(np.vander(energies[k + around] - energies[k], 3))
    solver = np.moveaxis(solvers[center], (-2, -1), (0, 1))
    near = [np.take_along_axis(values, (center + i)[None], axis=0)[0] for i in around]
    a, b, c = np.einsum("kp...,p...->k...", solver, np.stack(near))
    a = np.where((a < 0) & (top > 0) & (top < len(energies) - 1), a, np.nan)
    vertex = -b / (2 * a)
    inside = (vertex >= energies[center - half] - energies[center]) & (vertex <= energies[center + half] - energies[center])
    vertex = np.where(inside, vertex, np.nan)
    height = c + vertex * b / 2
    # By the value at each point: the height moves as the parabola does at the vertex, the vertex with slope and curvature.
    lift = vertex**2 * solver[0] + vertex * solver[1] + solver[2]
    push = -(2 * vertex * solver[0] + solver[1]) / (2 * a)
    sigmas = []
    for weights in (push, lift):
        gradient = sum(weight * _columns(rows, center + i) for weight, i in zip(weights, around, strict=True))
        gradient = gradient - sum(weights * np.stack(near)) * _columns(how.step[None], 0 * center)
        sigmas.append(_sigma(gradient, variance) / np.abs(step))
    return Peak(energies[center] + vertex, sigmas[0], height, sigmas[1])


def _check_distinct(energies_eV: Array) -> None:
    again = np.diff(np.sort(energies_eV)) <= 0
    if again.any():
        twice = np.sort(energies_eV)[1:][again][0]
        raise InputError(f"edge: {twice:g} eV is there twice; allowed is each energy once; average or drop one")


def _polynomial(
    name: str,
    setting: str,
    energies_eV: Array,
    edge_eV: float,
    limits_eV: tuple[float, float],
    order: int | None,
    spans_eV: tuple[float, float],
) -> Array:
    """The operator (energy + 1, energy) from mu to the polynomial at all energies and, last, at the edge."""
    low, high = limits_eV
    chosen = np.flatnonzero((energies_eV >= low) & (energies_eV <= high))
    if not chosen.size:
        raise InputError(
            f"edge: no energy of {energies_eV.min():g}..{energies_eV.max():g} eV lies in the {name} range {low:g}..{high:g} eV; "
            f"allowed is at least one; measure there or change {setting}"
        )
    if order is None:
        span = float(np.ptp(energies_eV[chosen]))
        order = min(sum(span >= limit for limit in spans_eV), max(len(chosen) - 2, len(chosen) > 1))
    if not 0 <= order < len(chosen):
        raise InputError(
            f"edge: {name} order is {order} with {len(chosen)} energies in {low:g}..{high:g} eV; allowed 0..{len(chosen) - 1}; "
            "lower it or measure more"
        )
    places = (np.append(energies_eV, edge_eV) - edge_eV) / 100
    powers = np.vander(places, order + 1)
    operator = np.zeros((len(places), len(energies_eV)))
    operator[:, chosen] = powers @ np.linalg.pinv(powers[chosen])
    return operator


def _apply(matrix: Array, values: Array) -> Array:
    return np.tensordot(matrix, values, 1)


def _step(mu: Array, variance: Array, how: Normalization) -> tuple[Array, Array]:
    """Edge step, NaN where it is none, and its variance, (...)."""
    step, variance = _apply(how.step, mu) + how.known_step, _apply(how.step**2, variance)
    return np.where((step > 0) & (step >= _LEAST_SIGMAS * np.sqrt(variance)), step, np.nan), variance


def _highest(values: Array) -> NDArray[np.intp]:
    return np.asarray(np.argmax(np.nan_to_num(values, nan=-np.inf), axis=0))


def _columns(rows: Array, index: NDArray[np.intp]) -> Array:
    """Rows `index` (...) of a matrix, (energy, ...)."""
    return np.moveaxis(rows[index], -1, 0)


def _sigma(gradient: Array, variance: Array) -> Array:
    return np.asarray(np.sqrt((gradient**2 * variance).sum(axis=0)))
