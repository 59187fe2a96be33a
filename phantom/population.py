"""Spherical LiFePO4 particles on a common voltage: nucleation, core-shell reaction, charge at constant current.

Each particle is a shrinking core of LFP in a shell of FP (Srinivasan and Newman, J. Electrochem. Soc. 151 (2004) A1517). With
the fraction x of FP the core's radius is r = R (1 - x)^(1/3). Both phases count as pure: charge is the FP made, exactly.
Potentials are in kT/e, compositions are shares of filled lithium sites, Omega is the regular solution's energy over kT.

- Equilibrium: mu(c) = ln(c / (1 - c)) + Omega (1 - 2 c) relative to the plateau; the shell's side of the front holds the
  binodal c_a, mu(c_a) = 0 (Ferguson and Bazant, J. Electrochem. Soc. 159 (2012) A1967).
- Shell: steady diffusion from the front to the surface, 4 pi R^2 j = 4 pi D (c_a - c) / (1/r - 1/R) times the sites per volume,
  so dx/dt = 3 j / R = (c_a - c) / (s (R/r - 1)) with s = R^2 / (3 D). It is largest at c = 0: the limiting current.
- Surface: Butler-Volmer with the exchange current k0 (1 - c) a^alpha, a = exp(mu(c)) (Smith and Bazant, J. Electrochem. Soc. 164
  (2017) E3291). The overpotential is u + mu(c), u the voltage above the plateau and the ohmic drop. With k = 3 k0 / (R sites e)
  dx/dt = k ((1 - c) a exp((1 - alpha) u) - (1 - c) exp(-alpha u)),  (1 - c) a = c exp(Omega (1 - 2 c)).
- Nucleation: a particle reacts once u has reached its barrier, and from then on (Dreyer et al., Nat. Mater. 9 (2010) 448). What
  its supersaturated skin, an interface width thick, takes up before is neglected: 3 x 1.4 nm / R, 0.2 % of a 4 um particle.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]
_CURRENT_TOLERANCE = 1e-9  # of the current; what is left is spread over the particles, so that the charge is exact
_VOLTAGE_TOLERANCE = 1e-12  # kT/e; where rounding hides the current of a fast reaction
_EVENT_TOLERANCE = 1e-4  # kT/e; how near to a barrier the voltage must come
_SHORTEST_STEP = 1e-6  # of a step; where the search for a barrier or the cutoff ends


def regular_solution(omega: float) -> tuple[float, float]:
    """Binodal composition on the poor side, and the spinodal's potential above the plateau in kT/e; `omega` > 2."""
    spinodal = (1 - np.sqrt(1 - 2 / omega)) / 2

    def potential(c: float) -> float:
        return float(np.log(c / (1 - c)) + omega * (1 - 2 * c))

    return float(brentq(potential, np.exp(-2 * omega), spinodal)), potential(spinodal)


@dataclass(frozen=True)
class Population:
    """Particles (particle,): k and s of the module's text, 1/s and s, barriers in kT/e; and what they share."""

    surface_1_s: Array
    shell_s: Array
    barrier: Array
    omega: float
    binodal: float
    transfer: float

    def shells(self, x: Array, active: Mask) -> tuple[Array, Array, Array]:
        """What the rates depend on besides u, (particle,) each: k of the active particles, y = r/R and k s (1 - y)."""
        surface = np.where(active, self.surface_1_s, 0.0)
        y = np.cbrt(1 - x)
        return surface, y, surface * self.shell_s * (1 - y)

    def rates(self, u: float, shells: tuple[Array, Array, Array]) -> tuple[Array, Array]:
        """dx/dt (1/s) and its derivative by u, (particle,) each, at u > 0.

        The surface composition c balances diffusion and reaction, y (c_a - c) = k s (1 - y) f(c) with f the bracket of
        Butler-Volmer. Below 1 / (2 Omega) f rises with c: there is one root, and Newton finds it.
        """
        surface, y, q = shells
        forth, back = np.exp((1 - self.transfer) * u), np.exp(-self.transfer * u)
        c = (y * self.binodal + q * back) / (y + q * (forth * np.exp(self.omega * (1 - self.binodal)) + back))
        for _ in range(50):
            activity = forth * np.exp(self.omega * (1 - 2 * c))
            f = c * activity - (1 - c) * back
            slope = (1 - 2 * self.omega * c) * activity + back
            stiff = y + q * slope
            change = (y * (self.binodal - c) - q * f) / stiff
            c = c + change
            if np.abs(change).max() < 1e-5 * self.binodal:  # the error goes with its square
                break
        f_u = (1 - self.transfer) * c * activity + self.transfer * (1 - c) * back
        return np.maximum(surface * (f + slope * change), 0.0), surface * f_u * y / stiff


class Step(NamedTuple):
    """A step of the charge: its duration, u at its start, middle and end, and the highest u before it."""

    duration_s: float
    start: float
    middle: float
    end: float
    reached: float


def _middle(x: Array, rate: Array, duration_s: float | Array) -> Array:
    """x after half the duration, by (1 - x)^(2/3): in a shrinking core it goes to zero linearly, x itself does not."""
    left = 1 - x
    share = duration_s * rate / (3 * np.maximum(left, 1e-300))
    return np.asarray(1 - left * np.maximum(1 - share, 0) ** 1.5)


class _Circuit:
    """Equal shares of a population that together carry a current; `level` counts the barriers reached."""

    def __init__(self, population: Population, rate_1_s: float, highest: float) -> None:
        self.population, self.rate_1_s, self.highest = population, rate_1_s, highest
        self.levels = np.unique(population.barrier)
        self.level = 0
        self.weights = np.full(len(population.barrier), 1 / len(population.barrier))
        self.guess = min(1.0, highest)

    @property
    def next_level(self) -> float:
        """The lowest barrier not yet reached; inf if there is none below `highest`."""
        above = self.levels[self.level + 1 : self.level + 2]
        return float(above[0]) if len(above) and above[0] < self.highest else np.inf

    def solve(self, x: Array, limit: Array | float = np.inf) -> tuple[float, Array]:
        """u and rates, at most `limit`, whose mean is the current; u is inf where `highest` does not suffice.

        The mean rate rises with u: Newton for its logarithm, held in a bracket that shrinks.
        """
        shells = self.population.shells(x, self.population.barrier <= self.levels[self.level])
        low, high, u = 0.0, np.inf, self.guess
        for _ in range(200):
            rate, slope = self.population.rates(u, shells)
            free = rate < limit
            rate = np.where(free, rate, limit)
            mean, rise = float(rate @ self.weights), float(np.where(free, slope, 0.0) @ self.weights)
            close = abs(mean - self.rate_1_s) < _CURRENT_TOLERANCE * self.rate_1_s
            if close or (high - low < _VOLTAGE_TOLERANCE and mean > 0):
                self.guess = u
                return u, rate * (self.rate_1_s / mean)
            if mean < self.rate_1_s and u == self.highest:
                return np.inf, rate
            low, high = (u, high) if mean < self.rate_1_s else (low, u)
            wanted = u + np.log(self.rate_1_s / mean) * mean / rise if mean > 0 and rise > 0 else np.inf
            if not low < wanted < high:
                wanted = (low + high) / 2
            u = min(wanted, self.highest)
        raise RuntimeError("no voltage was found for the current; please report the study")

    def reaches_barrier(self, u: float) -> bool:
        """Whether the next particle becomes active at u."""
        return self.next_level < np.inf and u >= self.next_level - _EVENT_TOLERANCE

    def settle(self, x: Array) -> tuple[float, Array]:
        """As `solve`, with every particle active whose barrier the voltage exceeds."""
        u, rate = self.solve(x)
        while self.reaches_barrier(u):
            self.level += 1
            u, rate = self.solve(x)
        return u, rate

    def advance(self, x: Array, rate: Array, duration_s: float) -> tuple[float, float, Array, Array]:
        """A midpoint step: u in its middle and at its end, x and rates at its end; u is inf where `highest` is exceeded."""
        middle, mean_rate = self.solve(_middle(x, rate, duration_s), (1 - x) / duration_s)
        if middle == np.inf:
            return middle, middle, x, rate
        after = np.minimum(x + duration_s * mean_rate, 1.0)
        return middle, *self.solve(after), after


def starting_voltage(population: Population, rate_1_s: float) -> float:
    """The u that must be exceeded for the current to start: the first barriers, and the reaction behind them."""
    circuit = _Circuit(population, rate_1_s, 400.0)
    u, _ = circuit.settle(np.zeros_like(population.barrier))
    return max(u, float(circuit.levels[circuit.level]))


def constant_current(
    population: Population, rate_1_s: float, highest: float, step: float
) -> tuple[list[Step], list[int], Array, Array]:
    """Charge from x = 0 at the mean dx/dt `rate_1_s` until u reaches `highest`, which must exceed `starting_voltage`.

    Midpoint steps of `step` in mean x, cut where the next barrier is reached and halved towards the end: the mean of x is the
    charge to rounding. Returns the steps, and at each moment kept the number of steps before, u, and x (moment, particle).
    """
    circuit = _Circuit(population, rate_1_s, highest)
    x = np.zeros_like(population.barrier)
    u, rate = circuit.settle(x)
    reached = u
    steps: list[Step] = []
    kept, voltages, fractions = [0], [u], [x]
    full = left = longest = step / rate_1_s
    shortest, whole = _SHORTEST_STEP * full, 1
    while u < np.inf:
        duration = min(left, longest)
        middle, end, end_rate, after = circuit.advance(x, rate, duration)
        while circuit.next_level + _EVENT_TOLERANCE < end < np.inf and duration > shortest:
            duration *= max((circuit.next_level - u) / (end - u), 0.1)  # u may leap where a particle is full
            middle, end, end_rate, after = circuit.advance(x, rate, duration)
        if end == np.inf and duration > shortest:
            longest = duration / 2
            continue
        if end < np.inf:
            reached = max(reached, float(circuit.levels[circuit.level]))
            steps.append(Step(duration, u, middle, min(end, circuit.next_level), reached))
            reached, x, u, rate = max(reached, end), after, end, end_rate
            left -= duration
            kept.append(len(steps))
            voltages.append(u)
            fractions.append(x)
        if circuit.reaches_barrier(end):
            circuit.level += 1
            u, rate = circuit.settle(x)
            voltages[-1], longest = u, full
        elif end == np.inf:
            break
        if left < 1e-9 * full:  # of what lies between whole steps only the last, broken one stays
            kept[whole:-1], voltages[whole:-1], fractions[whole:-1] = [], [], []
            whole, left = whole + 1, full
    voltages[-1] = highest
    return steps, kept, np.array(voltages), np.array(fractions)


def follow(steps: list[Step], population: Population, slowing_1_s: float) -> Array:
    """x (step + 1, particle) of particles without weight that feel the voltage of `steps`.

    `slowing_1_s` lowers k0 and D by exp(-slowing t): k s and with it the surface composition stay, dx/dt falls by that factor.
    """
    x = np.zeros_like(population.barrier)
    fractions, elapsed = [x], 0.0
    for step in steps:
        late = np.clip((population.barrier - step.start) / max(step.end - step.start, 1e-12), 0, 1)
        late = np.where(population.barrier <= step.reached, 0.0, late)
        active, duration = late < 1, step.duration_s * (1 - late)
        slower = np.exp(-slowing_1_s * (elapsed + step.duration_s / 2))
        rate = slower * population.rates(step.start, population.shells(x, active))[0]
        rate = slower * population.rates(step.middle, population.shells(_middle(x, rate, duration), active))[0]
        x = np.minimum(x + duration * rate, 1.0)
        elapsed += step.duration_s
        fractions.append(x)
    return np.array(fractions)
