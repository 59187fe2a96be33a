"""Designs a beamline can take: a number of energies, apart from each other, each with its share, and a fit that is well posed."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from .design import Problem, optimal

Array = NDArray[np.float64]
Numbers = NDArray[np.intp]

_ROUNDS = 12
_STARTS = 10
_FEW_STARTS = 4
_FOLLOWED = 3
_ROUGH = 1e-7


@dataclass(frozen=True)
class Limits:
    """What a scan may be: `points` energies at least `spacing_eV` apart, each with at least `least_share` of the budget.

    `condition` is the most that the condition number of the weighted fit, columns of length 1, may be. `equal` asks for one
    exposure at all energies.
    """

    points: int
    spacing_eV: float = 2.0
    least_share: float = 0.04
    condition: float = 300.0
    equal: bool = False


@dataclass(frozen=True)
class Practical:
    """Numbers (point,) of the chosen energies, rising, their shares (point,) of the budget, and the cost."""

    numbers: Numbers
    shares: Array
    cost: float

    def spread(self, count: int) -> Array:
        """The shares among all `count` energies."""
        found = np.zeros(count)
        found[self.numbers] = self.shares
        return found


def practical(
    problem: Problem, energies_eV: Array, price: Array, limits: Limits, begin: Array, also: Numbers | None = None
) -> Practical | None:
    """The best that exchanging one energy after the other finds (Fedorov 1972, ch. 3), or None where the limits leave nothing.

    `price` (energy,) is what a photon costs of the budget, `begin` (energy,) the shares of a design without limits, near whose
    energies the searches begin, as it is no convex problem any more; or there are few, one of them at the energies `also`.
    Shares are best for the energies found, and the energies for the shares, in turn.
    """
    rng = np.random.default_rng(0)
    starts = list(_starts(energies_eV, begin, limits, rng))
    if also is not None and limits.points <= len(also):
        starts = [also[: limits.points], *starts[:_FEW_STARTS]]
    first = [_improved(problem, _begun(problem, start, price, limits), energies_eV, price, limits) for start in starts]
    found = []
    for one in sorted(first, key=lambda one: one.cost)[:_FOLLOWED]:
        for _ in range(_ROUNDS):
            better = _improved(problem, one, energies_eV, price, limits)
            if not better.cost < one.cost * (1 - 1e-6):
                break
            one = better
        order = np.argsort(energies_eV[one.numbers])
        found.append(Practical(one.numbers[order], one.shares[order], one.cost))
    well = [one for one in found if condition_number(problem, one.spread(len(energies_eV))) <= limits.condition]
    return min(well, key=lambda one: one.cost, default=None)


def _begun(problem: Problem, numbers: Numbers, price: Array, limits: Limits) -> Practical:
    """The energies `numbers` with their best shares."""
    shares = _shared(problem, numbers, price, limits)
    return Practical(numbers, shares, problem.cost(Practical(numbers, shares, 0.0).spread(problem.rows.shape[1])))


def _improved(problem: Problem, now: Practical, energies_eV: Array, price: Array, limits: Limits) -> Practical:
    """The energies exchanged for the shares, then the shares for the energies."""
    return _begun(problem, _exchanged(problem, now.numbers, now.shares, energies_eV, price, limits), price, limits)


def condition_number(problem: Problem, shares: Array) -> float:
    """Of the weighted fit in the middle case, its columns scaled to length 1."""
    rows = problem.rows[len(problem.rows) // 2] * np.sqrt(shares)[:, None]
    rows = rows[shares > 0]
    return float(np.linalg.cond(rows / np.maximum(np.linalg.norm(rows, axis=0), 1e-300)))


def _starts(energies_eV: Array, begin: Array, limits: Limits, rng: np.random.Generator) -> Iterator[Numbers]:
    """Energies that keep apart, near where the shares are: the heaviest first, then drawn by the shares; none without room."""
    far = np.abs(energies_eV - 7128)
    broad = np.exp(-far / 15)
    broad /= broad.sum()
    near = np.exp(-(((energies_eV[:, None] - energies_eV) / limits.spacing_eV) ** 2)) @ begin
    even = np.linspace(energies_eV[0], energies_eV[-1], limits.points)
    spread = np.searchsorted(energies_eV, even - 1e-9)
    if np.diff(energies_eV[spread]).min(initial=np.inf) >= limits.spacing_eV - 1e-9:
        yield spread
    for draw in range(_STARTS):
        mix = 0.9 * near / near.sum() + 0.1 * broad
        keys = mix if draw == 0 else rng.exponential(size=len(mix)) / -mix  # the race of exponentials draws by weight
        chosen: list[int] = []
        for number in np.argsort(-keys):
            if len(chosen) < limits.points and all(
                abs(energies_eV[number] - energies_eV[other]) >= limits.spacing_eV - 1e-9 for other in chosen
            ):
                chosen.append(int(number))
        if len(chosen) == limits.points:
            yield np.array(chosen)


def _shared(problem: Problem, numbers: Numbers, price: Array, limits: Limits) -> Array:
    """The best shares of the chosen energies, none below the least; or those of one exposure for all."""
    count = len(numbers)
    if limits.equal:
        return np.asarray(price[numbers] / price[numbers].sum())
    least = min(limits.least_share, 1 / count)
    rows = problem.rows[:, numbers]
    kept = problem.prior + least * np.einsum("keu,kev->kuv", rows, rows)
    rest = 1 - least * count
    if rest < 1e-6:
        return np.full(count, 1 / count)
    return np.asarray(least + rest * optimal(replace(problem, rows=rows * np.sqrt(rest), prior=kept), _ROUGH).shares)


def _exchanged(problem: Problem, numbers: Numbers, shares: Array, energies_eV: Array, price: Array, limits: Limits) -> Numbers:
    """Each energy in turn moved to where the cost is least, until none moves."""
    numbers = numbers.copy()
    rows = problem.rows * np.sqrt(price)[:, None] if limits.equal else problem.rows
    for _ in range(_ROUNDS):
        moved = False
        for place in range(len(numbers)):
            others = np.delete(numbers, place)
            share, rest = (1.0, np.ones(len(others))) if limits.equal else (shares[place], np.delete(shares, place))
            information = problem.prior + np.einsum("e,keu,kev->kuv", rest, rows[:, others], rows[:, others])
            costs = _with_one_more(problem, information, rows, share)
            if limits.equal:
                costs = costs * (price[others].sum() + price)
            near = (np.abs(energies_eV[:, None] - energies_eV[others]) < limits.spacing_eV - 1e-9).any(axis=1)
            costs[near] = np.inf
            number = _well_posed(problem, costs, others, rest, share, price, limits)
            if number is not None and costs[number] < costs[numbers[place]] * (1 - 1e-9):
                numbers[place], moved = number, True
        if not moved:
            break
    return numbers


def _with_one_more(problem: Problem, information: Array, rows: Array, share: float) -> Array:
    """Cost (energy,) with each energy added with a share (Sherman and Morrison)."""
    inverse = np.linalg.inv(information + 1e-14 * np.einsum("kuu->k", information)[:, None, None] * np.eye(rows.shape[2]))
    turned = np.einsum("kuv,kev->keu", inverse, rows)
    before = np.einsum("knu,kuv,kmv->knm", problem.wanted, inverse, problem.wanted)
    seen = np.einsum("knu,keu->ken", problem.wanted, turned)
    gain = share / (1 + share * np.einsum("keu,keu->ke", rows, turned))
    return problem.worst(before[:, None] - gain[..., None, None] * seen[..., :, None] * seen[..., None, :])


def _well_posed(
    problem: Problem, costs: Array, others: Numbers, rest: Array, share: float, price: Array, limits: Limits
) -> int | None:
    """The cheapest energy with which the fit is well posed; None where it is with none of the twenty cheapest."""
    for number in np.argsort(costs)[:20]:
        if not np.isfinite(costs[number]):
            break
        weights = np.zeros(len(costs))
        weights[others], weights[number] = rest, share
        if limits.equal:
            weights *= price
        if condition_number(problem, weights) <= limits.condition:
            return int(number)
    return None
