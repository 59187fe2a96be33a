"""Optimal designs: how to share a budget among energies so that what is wanted is known best, and how good that is at most.

The information on the unknowns is additive, M = prior + sum of share x row row^T (Fedorov, Theory of Optimal Experiments, 1972).
The variance of what is wanted, c^T M^-1 c, is convex in the shares, and the best ones solve a semidefinite program (Vandenberghe,
Boyd and Wu, SIAM J. Matrix Anal. Appl. 19 (1998) 499, sec. 2). Any vectors u give a bound that no shares can beat,
as c^T M^-1 c >= 2 c^T u - u^T M u: the general equivalence theorem (Kiefer and Wolfowitz, Can. J. Math. 12 (1960) 363) says
that the right ones close the gap.
"""

from dataclasses import dataclass, replace

import clarabel
import numpy as np
from numpy.typing import NDArray
from scipy import sparse

Array = NDArray[np.float64]

_NEWTON_STEPS = 300
_TIGHT = 2e-7  # gap at which the search ends
_FLOOR = 1e-9  # of the budget, over all energies: keeps the information invertible where fewer energies than unknowns are best
_SINGULAR = 1e14


@dataclass(frozen=True)
class Problem:
    """What may be measured, and what is wanted to be known, in several cases at once.

    `rows` (case, energy, unknown): an energy that gets all of the budget adds row row^T to the information. `wanted` (case, n,
    unknown) are combinations of the unknowns, whose summed variances over `scale` (case,) count; the worst case decides. `prior`
    (case, unknown, unknown) is what is known beforehand. With `determinant` it is not the sum of the variances that counts, but
    the error ellipsoid of the wanted unknowns, which must be the first ones, in the geometric mean over the cases.
    """

    rows: Array
    wanted: Array
    scale: Array
    prior: Array
    determinant: bool = False

    def information(self, shares: Array) -> Array:
        """(case, unknown, unknown), of shares (energy,) of the budget."""
        return np.asarray(self.prior + np.einsum("e,keu,kev->kuv", shares, self.rows, self.rows, optimize=True))

    def covariances(self, shares: Array) -> Array:
        """Of what is wanted, (case, n, n); inf in a case where it cannot be known."""
        information = self.information(shares)
        sizes = np.sqrt(np.maximum(np.einsum("kuu->ku", information), 1e-300))
        even = information / (sizes[:, :, None] * sizes[:, None, :])
        known = np.linalg.cond(even) < _SINGULAR
        wanted = (self.wanted / sizes[:, None, :])[known]
        found = np.full((len(self.rows), self.wanted.shape[1], self.wanted.shape[1]), np.inf)
        found[known] = wanted @ np.linalg.solve(even[known], wanted.transpose(0, 2, 1))
        return found

    def worst(self, covariances: Array) -> Array:
        """The cost of covariances (case, ..., n, n): the worst case's, or with `determinant` the geometric mean."""
        if not np.isfinite(covariances).all():
            return np.asarray(np.inf)
        if self.determinant:
            logarithm = np.linalg.slogdet(covariances)[1] / covariances.shape[-1]
            return np.asarray(np.exp(logarithm.mean(axis=0)))
        summed = np.einsum("...nn->...", covariances)
        return np.asarray((summed.T / self.scale).T.max(axis=0))

    def cost(self, shares: Array) -> float:
        """Of shares (energy,) of the budget."""
        return float(self.worst(self.covariances(shares)))

    def least(self, levers: Array, weights: Array) -> tuple[float, Array]:
        """A cost that no shares fall below, from any `levers` (case, n, unknown) and `weights` (case,), not negative.

        Also the sensitivity (energy,) of the bound to a share at each energy, over the largest.
        """
        weights = weights / weights.sum() / self.scale
        gain = np.einsum("k,knu,knu->", weights, self.wanted, levers)
        seen = np.einsum("k,ken->e", weights, np.einsum("keu,knu->ken", self.rows, levers) ** 2)
        known = np.einsum("k,knu,kuv,knv->", weights, levers, self.prior, levers)
        return (float(gain**2 / (seen.max() + known)) if gain > 0 else 0.0), seen / seen.max()


@dataclass(frozen=True)
class Design:
    """Shares (energy,) of the budget, their `cost`, and the `least` that any shares could have.

    `sensitivity` (energy,) is 1 where a share is spent best and nowhere above: the equivalence theorem's picture of an optimum.
    """

    shares: Array
    cost: float
    least: float
    sensitivity: Array

    @property
    def gap(self) -> float:
        """By how much the cost is above what is possible, relative, at most."""
        return self.cost / self.least - 1


def optimal(problem: Problem, tolerance: float = 1e-10) -> Design:
    """The shares of least cost: c-optimal where one thing is wanted, A-optimal where several are, D-optimal by `determinant`.

    `tolerance` is that of the solver; what is reached is known by the design's gap.

    Raises ValueError where what is wanted cannot be known from all of the energies together.
    """
    equal = np.full(problem.rows.shape[1], 1 / problem.rows.shape[1])
    even, turn = _even(problem)
    if problem.determinant:
        return _smallest_ellipsoid(problem)
    usual = even.cost(equal)
    shares, levers, weights = _solve(replace(even, scale=even.scale * usual), tolerance)
    shares = np.maximum(shares, 0)
    shares = (1 - _FLOOR) * shares / shares.sum() + _FLOOR * equal
    return Design(shares, problem.cost(shares), *problem.least(levers @ turn.T, weights))


def _even(problem: Problem) -> tuple[Problem, Array]:
    """The problem in unknowns of which equal shares know all alike, in the mean of the cases, and what turns them back."""
    equal = np.full(problem.rows.shape[1], 1 / problem.rows.shape[1])
    units = np.sqrt(np.maximum((problem.rows**2).mean(axis=(0, 1)), 1e-300))
    mean = problem.information(equal).mean(axis=0) / np.outer(units, units)
    if not np.linalg.cond(mean) < _SINGULAR:
        raise ValueError("what is wanted cannot be known from these energies")
    turn = np.linalg.inv(np.linalg.cholesky(mean).T) / units[:, None]
    rows, wanted = problem.rows @ turn, problem.wanted @ turn
    return replace(problem, rows=rows, wanted=wanted, prior=turn.T @ problem.prior @ turn), turn


def _solve(problem: Problem, tolerance: float) -> tuple[Array, Array, Array]:
    """Shares (energy,), levers (case, n, unknown) and weights (case,) of the cases, from the program and its dual.

    Minimize t where sum of v_n <= t scale in each case, [[M, c_n], [c_n^T, v_n]] being positive semidefinite, which says that v_n
    is at least the variance c_n^T M^-1 c_n, of an M that may be singular.
    """
    cases, energies, unknowns = problem.rows.shape
    wanted = problem.wanted.shape[1]
    blocks, size = cases * wanted, unknowns + 1
    upper = [(i, j) for j in range(size) for i in range(j + 1)]  # a triangle's columns, as the solver wants it
    stretch = np.array([1.0 if i == j else np.sqrt(2) for i, j in upper])
    inside = np.array([n for n, (_, j) in enumerate(upper) if j < unknowns])
    first, second = (np.array([pair[side] for pair in upper])[inside] for side in (0, 1))
    # Variables: t, shares, variances.
    count = 1 + energies + blocks
    matrix = np.zeros((1 + cases + energies + blocks * len(upper), count))
    bound = np.zeros(len(matrix))
    matrix[0, 1 : 1 + energies], bound[0] = 1, 1
    matrix[1 : 1 + cases, 0] = -problem.scale
    matrix[1 + cases : 1 + cases + energies, 1 : 1 + energies] = -np.eye(energies)
    start = 1 + cases + energies
    for b in range(blocks):
        k, n = divmod(b, wanted)
        matrix[1 + k, 1 + energies + b] = 1
        here = start + b * len(upper)
        rows = problem.rows[k]
        matrix[here + inside, 1 : 1 + energies] = -(rows[:, first] * rows[:, second] * stretch[inside]).T
        matrix[here + len(upper) - 1, 1 + energies + b] = -1
        bound[here + inside] = problem.prior[k, first, second] * stretch[inside]
        last = [here + m for m, (i, j) in enumerate(upper) if j == unknowns and i < unknowns]
        bound[last] = problem.wanted[k, n] * np.sqrt(2)
    kinds = [clarabel.ZeroConeT(1), clarabel.NonnegativeConeT(cases + energies), *[clarabel.PSDTriangleConeT(size)] * blocks]
    cost = np.zeros(count)
    cost[0] = 1
    settings = clarabel.DefaultSettings()
    settings.verbose = False
    settings.max_threads = 1
    settings.tol_gap_abs = settings.tol_gap_rel = settings.tol_feas = tolerance
    nothing, limits = sparse.csc_matrix((count, count)), sparse.csc_matrix(matrix)
    found = clarabel.DefaultSolver(nothing, cost, limits, bound, kinds, settings).solve()
    dual = np.array(found.z)
    weights = np.maximum(dual[1 : 1 + cases], 0)
    # A block's dual is [[. , -lever], [-lever^T, 1]] times its case's weight.
    triangles = dual[start:].reshape(cases, wanted, len(upper))
    pulls = -triangles[..., [m for m, (i, j) in enumerate(upper) if j == unknowns and i < unknowns]] / np.sqrt(2)
    levers = pulls / np.maximum(weights, 1e-300)[:, None, None]
    levers[weights < 1e-10 * weights.max()] = 0
    return np.array(found.x)[1 : 1 + energies], levers, weights * problem.scale


def _smallest_ellipsoid(problem: Problem) -> Design:
    """D-optimal shares: the other unknowns are nuisances (D_s-optimality, Silvey, Optimal Design, 1980, sec. 2.3).

    The cost is the geometric mean of the variances along the ellipsoid's axes and over the cases, and the bound on it is that of
    the equivalence theorem: log(cost / least) <= (largest - mean sensitivity) / n. Newton's method with a logarithmic barrier, as
    the cost's logarithm is convex.
    """
    count = problem.wanted.shape[1]
    units = np.sqrt(np.maximum((problem.rows**2).mean(axis=(0, 1)), 1e-300))  # the ellipsoid's shape would be lost in others
    even = replace(problem, rows=problem.rows / units, prior=problem.prior / np.outer(units, units))
    energies = problem.rows.shape[1]
    shares, barrier, bordered = np.full(energies, 1 / energies), 0.1, np.ones((energies + 1, energies + 1))
    bordered[-1, -1] = 0
    excess, sensitivity = np.inf, shares
    for number in range(_NEWTON_STEPS):
        whole, rest = _inner(even.information(shares), even.rows, count)
        sensitivity = np.einsum("kee->ke", whole - rest).mean(axis=0)
        excess = float(sensitivity.max() - sensitivity @ shares)
        if excess < count * _TIGHT or number == _NEWTON_STEPS - 1:
            break
        bordered[:-1, :-1] = (whole**2 - rest**2).mean(axis=0) + np.diag(barrier / shares**2)
        step = np.linalg.solve(bordered, np.append(sensitivity + barrier / shares, 0.0))[:-1]
        longest = float(np.max(-step / shares))
        shares = shares + min(1.0, 0.9 / longest if longest > 0 else 1.0) * step
        barrier = max(barrier * 0.6, 1e-14)
    cost = problem.cost(shares)
    return Design(shares, cost, cost * float(np.exp(-max(excess, 0.0) / count)), sensitivity / sensitivity.max())


def _inner(information: Array, rows: Array, count: int) -> tuple[Array, Array]:
    """Products (case, energy, energy) of the rows in the inverse information, of all unknowns and of the nuisances alone."""
    whole = np.einsum("keu,kuv,kfv->kef", rows, np.linalg.inv(information), rows, optimize=True)
    rest = rows[..., count:]
    return whole, np.einsum("keu,kuv,kfv->kef", rest, np.linalg.inv(information[:, count:, count:]), rest, optimize=True)
