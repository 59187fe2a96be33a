"""Laws of a fit: fit(mu (energy, n), sigma (energy, n), energies_eV, standards (species, energy)) -> amounts, sigma.

Both answers are (species, n).
"""

from dataclasses import dataclass, replace

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import chi2, norm

from instrument.attenuation import attenuation_per_um
from instrument.xanes import parametric
from phantom import FP, LFP

from .law import Broken, Function, Law, checked, close, law, sealed, within

Array = NDArray[np.float64]

_ROUNDING = 5e-4  # amounts; 1 is a voxel full of LFP
_ENOUGH = 1000  # independent voxels, to judge a sigma by
_MANY = 12_000
_RARE = 1e-7  # probability that noise alone breaks a statistical law in a trial


@dataclass(frozen=True)
class Mixtures:
    """`voxels` spectra at `energies` energies of LFP and FP in shares from pure to pure, with iron 0.5 to 1.

    `noise` is their sigma over LFP's edge step, on average: it differs by up to three times between energies, two between voxels
    and two from value to value. `seed` draws shares, iron and noise.
    """

    energies: int = 13
    voxels: int = 60
    noise: float = 0.05
    seed: int = 0

    @property
    def energies_eV(self) -> Array:
        """Closer together at the edge."""
        share = np.linspace(-1, 1, self.energies)
        return np.asarray(7127 + 12 * share + 25 * share**3)

    @property
    def standards(self) -> Array:
        """Parametric LFP and FP, (species, energy), 1/um."""
        e = self.energies_eV
        formulas = {"LFP": LFP.formula, "FP": FP.formula}
        return np.array([attenuation_per_um(f, LFP.iron_mol_cm3, e, parametric(name)(e)) for name, f in formulas.items()])

    @property
    def amounts(self) -> Array:
        """(species, n)."""
        rng = np.random.default_rng([self.seed, 1])
        x = np.clip(rng.uniform(-0.3, 1.3, self.voxels), 0, 1)
        return np.asarray(rng.uniform(0.5, 1, self.voxels) * np.array([1 - x, x]))

    @property
    def sigma(self) -> Array:
        """(energy, n)."""
        rng = np.random.default_rng([self.seed, 2])
        step = float(np.ptp(self.standards[0]))
        energy, voxel = rng.uniform(0.5, 1.5, (self.energies, 1)), rng.uniform(0.7, 1.4, self.voxels)
        return np.asarray(self.noise * step * energy * voxel * rng.uniform(0.7, 1.4, (self.energies, self.voxels)))

    @property
    def clean(self) -> Array:
        """(energy, n) without noise."""
        return np.asarray(self.standards.T @ self.amounts)

    @property
    def mu(self) -> Array:
        """(energy, n)."""
        rng = np.random.default_rng([self.seed, 3])
        return np.asarray(self.clean + self.sigma * rng.normal(size=self.clean.shape))


def mixtures(voxels: tuple[int, int] = (1, 80)) -> st.SearchStrategy[Mixtures]:
    """Of 6 to 31 energies."""
    return st.builds(
        Mixtures,
        energies=st.integers(6, 31),
        voxels=st.integers(*voxels),
        noise=st.sampled_from([0.01, 0.05, 0.2]),
        seed=st.integers(0, 10**6),
    )


def many(*noise: float) -> st.SearchStrategy[Mixtures]:
    """So many voxels that a sigma a tenth off shows."""
    return st.builds(replace, mixtures(), voxels=st.just(_MANY), noise=st.sampled_from(noise))


def fitted(fit: Function, case: Mixtures, **changes: Array) -> tuple[Array, Array]:
    """Amounts and sigma of a fit of a case, with some of its inputs replaced."""
    given = {"mu": case.mu, "sigma": case.sigma, "energies_eV": case.energies_eV, "standards": case.standards} | changes
    types = {"mu": np.float32, "sigma": np.float32}
    answer = fit(*(sealed(given[name], types.get(name, float)) for name in ("mu", "sigma", "energies_eV", "standards")))
    if not isinstance(answer, (tuple, list)) or len(answer) != 2:
        raise Broken(f"answers with {type(answer).__name__}; allowed is a pair: amounts, sigma")
    shape = (len(given["standards"]), given["mu"].shape[1])
    return checked(answer[0], shape, "amounts"), checked(answer[1], shape, "sigma")


@law(mixtures())
def answers(fit: Function, case: Mixtures) -> None:
    """Finite amounts come back, (species, n), and sigmas, 0 only where a bound holds the amount; the spectra stay as they are."""
    amounts, sigma = fitted(fit, case)
    bad = ~np.isfinite(amounts) | ~np.isfinite(sigma) | (sigma < 0) | ((sigma == 0) & (amounts != 0) & (amounts != 1))
    if bad.any():
        raise Broken(
            f"{bad.sum()} of {bad.size} amounts or sigmas are not finite, or sigma is not above 0, though nothing is missing"
        )


@law(mixtures(), examples=5)
def says_the_same_again(fit: Function, case: Mixtures) -> None:
    """The same spectra give the same amounts, whatever was fitted in between."""
    first = fitted(fit, case)
    fitted(fit, case, mu=case.mu[:, ::-1])
    for one, other in zip(first, fitted(fit, case), strict=True):
        close(other, one, 1e-7, "a second fit differs from the first")


@law(mixtures())
def finds_what_was_mixed(fit: Function, case: Mixtures) -> None:
    """Without noise the amounts are those of the mixture, pure voxels and little iron included."""
    close(fitted(fit, case, mu=case.clean)[0], case.amounts, _ROUNDING, "amounts without noise, away from the truth")


@law(mixtures())
def does_not_mind_the_order_of_energies(fit: Function, case: Mixtures) -> None:
    """Energies in another order, with all that belongs to them, change nothing."""
    order = np.random.default_rng(case.seed).permutation(case.energies)
    other = fitted(
        fit,
        case,
        mu=case.mu[order],
        sigma=case.sigma[order],
        energies_eV=case.energies_eV[order],
        standards=case.standards[:, order],
    )
    for one, two in zip(fitted(fit, case), other, strict=True):
        close(two, one, _ROUNDING, "energies in another order")


@law(mixtures(voxels=(4, 80)))
def fits_each_voxel_alone(fit: Function, case: Mixtures) -> None:
    """Voxels in another order give their amounts in that order."""
    order = np.random.default_rng(case.seed).permutation(case.voxels)
    for one, two in zip(fitted(fit, case), fitted(fit, case, mu=case.mu[:, order], sigma=case.sigma[:, order]), strict=True):
        close(two, one[:, order], _ROUNDING, "voxels in another order")


@law(mixtures())
def swaps_with_the_standards(fit: Function, case: Mixtures) -> None:
    """Standards in another order give their amounts, and sigmas, in that order."""
    for one, two in zip(fitted(fit, case), fitted(fit, case, standards=case.standards[::-1]), strict=True):
        close(two, one[::-1], _ROUNDING, "standards in another order")


@law(st.tuples(mixtures(), st.sampled_from([0.03, 0.5, 2.0])), needs="free sum")
def scales_with_the_attenuation(fit: Function, case: tuple[Mixtures, float]) -> None:
    """As many times the attenuation and its sigma, as much iron: porous voxels keep their phase fraction."""
    one, factor = case
    for first, other in zip(fitted(fit, one), fitted(fit, one, mu=factor * one.mu, sigma=factor * one.sigma), strict=True):
        close(other / factor, first, _ROUNDING, f"at {factor:g} times the attenuation")


@law(st.tuples(mixtures(), st.sampled_from([0.1, 10.0])))
def measures_in_its_standards(fit: Function, case: tuple[Mixtures, float]) -> None:
    """Attenuation and standards in another unit give the same amounts."""
    one, factor = case
    other = fitted(fit, one, mu=factor * one.mu, sigma=factor * one.sigma, standards=factor * one.standards)
    for first, second in zip(fitted(fit, one), other, strict=True):
        close(second, first, _ROUNDING, f"everything in a unit {factor:g} times smaller")


@law(st.tuples(mixtures(), st.floats(-0.05, 0.05)), needs="background")
def ignores_what_is_the_same_at_all_energies(fit: Function, case: tuple[Mixtures, float]) -> None:
    """Matter without iron, a constant attenuation, changes no amount."""
    one, offset = case
    close(fitted(fit, one, mu=one.mu + offset)[0], fitted(fit, one)[0], _ROUNDING, f"{offset:.3g}/um more at all energies")


@law(mixtures())
def states_sigma_in_proportion(fit: Function, case: Mixtures) -> None:
    """Twice the sigma of the spectra gives the same amounts, and twice their sigma."""
    first, second = fitted(fit, case), fitted(fit, case, sigma=2 * case.sigma)
    close(second[0], first[0], _ROUNDING, "amounts at twice the sigma")
    close(second[1] / 2, first[1], 0.005 * float(first[1].mean()), "half the sigma at twice the sigma")


@law(many(0.005, 0.01), examples=4, false_alarms=32 * _RARE)
def states_an_honest_sigma(fit: Function, case: Mixtures) -> None:
    """Errors over their sigma have the variance 1, in good spectra as in bad ones, far from where a bound is felt."""
    amounts, sigma = fitted(fit, case)
    # Of the truth, which noise does not sort: a voxel far from its bounds is so whatever its noise.
    far = (case.amounts > 8 * np.median(sigma)).all(axis=0)
    n = int(far.sum())
    if n < 3 * _ENOUGH:
        raise Broken(
            f"sigma is so large, {np.median(sigma):.3g}, that {n} of {far.size} voxels are far from empty; allowed {3 * _ENOUGH}"
        )
    if not (sigma[:, far] > 0).all():
        raise Broken("sigma is 0 in voxels that no bound holds")
    order = np.argsort(case.sigma[:, far].mean(axis=0))
    pull = ((amounts - case.amounts) / sigma)[:, far]
    for part, chosen in zip(("all", "best", "middling", "worst"), (order, *np.array_split(order, 3)), strict=True):
        low, high = np.sqrt(chi2.ppf([_RARE / 2, 1 - _RARE / 2], len(chosen)) / len(chosen))
        for species, spread in enumerate(np.sqrt((pull[:, chosen] ** 2).mean(axis=1))):
            within(float(spread), 0.98 * low, 1.02 * high, f"rms of error over sigma, standard {species + 1}, {part} spectra")


@law(many(0.01, 0.05, 0.2), examples=4, needs="free", false_alarms=16 * _RARE)
def has_no_bias(fit: Function, case: Mixtures) -> None:
    """Errors are zero on average, also in pure voxels: amounts below zero are not cut off."""
    error = fitted(fit, case)[0] - case.amounts
    for species, truth in enumerate(case.amounts):
        for what, chosen in (("pure", truth == 0), ("mixed", truth > 0)):
            part = error[species, chosen]
            allowed = float(norm.ppf(1 - _RARE / 2)) * float(part.std()) / np.sqrt(len(part))
            within(float(part.mean()), -allowed, allowed, f"mean error, standard {species + 1}, {what} voxels")


@law(mixtures(voxels=(3, 80)))
def leaves_neighbours_of_a_gap_alone(fit: Function, case: Mixtures) -> None:
    """A value that is missing (NaN) in one voxel changes no other one."""
    mu = case.mu
    mu[case.seed % case.energies, 1] = np.nan
    others = np.arange(case.voxels) != 1
    for one, two in zip(fitted(fit, case), fitted(fit, case, mu=mu), strict=True):
        close(two[:, others], one[:, others], _ROUNDING, "voxels beside one with a missing value")


@law(mixtures(voxels=(3, 80)))
def answers_a_gap_well_or_not_at_all(fit: Function, case: Mixtures) -> None:
    """A voxel with a missing value (NaN) is fitted from its other energies, or has no answer (NaN)."""
    mu = case.clean
    mu[case.seed % case.energies, 1] = np.nan
    amounts = fitted(fit, case, mu=mu)[0][:, 1]
    if np.isfinite(amounts).any():
        close(amounts, case.amounts[:, 1], 10 * _ROUNDING, "amounts of a voxel with a missing value")


@law(mixtures(voxels=(3, 80)))
def has_no_answer_to_nothing(fit: Function, case: Mixtures) -> None:
    """A voxel without any value has no amounts (NaN); it is not zero, which would be an answer."""
    mu = case.mu
    mu[:, 1] = np.nan
    amounts, _ = fitted(fit, case, mu=mu)
    if np.isfinite(amounts[:, 1]).any():
        raise Broken(f"a voxel without any value has amounts {amounts[:, 1]}; allowed is NaN")


@law(st.tuples(mixtures(), st.integers(0, 10**6)))
def gives_a_third_standard_nothing(fit: Function, case: tuple[Mixtures, int]) -> None:
    """Without noise a further standard that is not in the sample gets no iron."""
    one, seed = case
    step = 1 / (1 + np.exp(-(one.energies_eV - np.random.default_rng(seed).uniform(7121, 7123))))
    third = 0.02 + float(np.ptp(one.standards[0])) * step
    standards = np.vstack([one.standards, third])
    wanted = np.vstack([one.amounts, np.zeros(one.voxels)])
    if np.linalg.cond(np.vstack([standards, np.ones(one.energies)])) < 200:
        close(fitted(fit, one, mu=one.clean, standards=standards)[0], wanted, 5 * _ROUNDING, "amounts of three standards")


@law(mixtures(voxels=(200, 200)), false_alarms=1e-9)
def errs_less_with_less_noise(fit: Function, case: Mixtures) -> None:
    """A quarter of the noise is never worse."""
    errors = []
    for part in (0.25, 1.0):
        quieter = replace(case, noise=part * case.noise)
        errors.append(float(np.sqrt(np.mean((fitted(fit, quieter)[0] - case.amounts) ** 2))))
    within(errors[0], 0.0, errors[1], "error at a quarter of the noise")


FIT: tuple[Law, ...] = (
    answers,
    says_the_same_again,
    finds_what_was_mixed,
    does_not_mind_the_order_of_energies,
    fits_each_voxel_alone,
    swaps_with_the_standards,
    scales_with_the_attenuation,
    measures_in_its_standards,
    ignores_what_is_the_same_at_all_energies,
    states_sigma_in_proportion,
    states_an_honest_sigma,
    has_no_bias,
    leaves_neighbours_of_a_gap_alone,
    answers_a_gap_well_or_not_at_all,
    has_no_answer_to_nothing,
    gives_a_third_standard_nothing,
    errs_less_with_less_noise,
)
