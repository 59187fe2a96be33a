"""Our fit of standards with one thing wrong each: what is fitted, what becomes of gaps, and what is said of sigma."""

import functools

import numpy as np
from mutant import Mutant

from analysis.spectra.combination import design_matrix, fit


def of_answer(change):
    return lambda mu, sigma, energies, standards: change(*fit(mu, sigma, energies, standards))


def of_standards(change):
    return lambda mu, sigma, energies, standards: fit(mu, sigma, energies, change(standards, energies))


def of_spectra(change):
    return lambda mu, sigma, energies, standards: fit(change(mu), sigma, energies, standards)


def saying(state):
    """Another sigma (species, n): `state` of the design (energy, unknown), sigma (energy, n), the misfit chi2 (n,) and ours."""

    def broken(mu, sigma, energies, standards):
        amounts, honest = fit(mu, sigma, energies, standards)
        design = design_matrix(standards, energies, "constant")
        weights = 1 / np.nanmean(sigma, axis=1)
        full = np.where(np.isnan(mu), 0, mu) * weights[:, None]
        left = full - (design * weights[:, None]) @ np.linalg.lstsq(design * weights[:, None], full, rcond=None)[0]
        chi2 = ((left / weights[:, None] / sigma) ** 2).sum(axis=0)
        said = state(design, sigma, chi2, honest)
        return amounts, np.where(np.isfinite(amounts), said, np.nan).astype(np.float32)

    return broken


def spread(design, weights, species):
    """Roots of the diagonal of (D^T W D)^-1 (species, n), for weights (energy, n)."""
    normal = np.einsum("eu,en,ev->nuv", design, weights, design)
    return np.sqrt(np.einsum("nii->in", np.linalg.inv(normal))[:species])


def of_mean_square(freedom):
    """As if sigma were only known up to a factor: the misfit over `freedom` degrees scales it."""
    return saying(lambda design, sigma, chi2, honest: honest * np.sqrt(chi2 / max(len(design) - design.shape[1] - freedom, 1)))


def unweighted(design, sigma, chi2, honest):
    return spread(design, np.ones_like(sigma), len(honest)) * np.sqrt((sigma**2).mean(axis=0))


def alone(design, sigma, chi2, honest):
    """The other unknowns count as known."""
    return (1 / np.sqrt(np.einsum("eu,en->un", design**2, 1 / sigma**2)))[: len(honest)]


def shifted(by_eV):
    return of_standards(lambda s, e: np.array([np.interp(e + by_eV, np.sort(e), row[np.argsort(e)]) for row in s]))


def normalized(mu, sigma, energies, standards):
    """Every spectrum is divided by its step, as if each voxel were full."""
    step = np.nanmax(mu, axis=0) - np.nanmin(mu, axis=0)
    size = float(np.ptp(standards[0]))
    return fit(mu / step * size, sigma / step * size, energies, standards)


def without_worst(mu, sigma, energies, standards):
    """The energy that fits worst in a voxel is left out as an outlier; sigma is that of all."""
    honest = fit(mu, sigma, energies, standards)[1]
    design = design_matrix(standards, energies, "constant")
    weights = 1 / np.nanmean(sigma, axis=1)[:, None]
    full = np.where(np.isnan(mu), 0, mu) * weights
    left = full - design * weights @ np.linalg.lstsq(design * weights, full, rcond=None)[0]
    fewer = mu.copy()
    fewer[np.abs(left).argmax(axis=0), np.arange(mu.shape[1])] = np.nan
    return fit(fewer, sigma, energies, standards)[0], honest


def ridge(mu, sigma, energies, standards):
    """Amounts are drawn to zero by half a percent of the data's say."""
    amounts, honest = fit(mu, sigma, energies, standards)
    design = design_matrix(standards, energies, "constant")
    normal = design.T @ (design / np.nanmean(sigma**2, axis=1)[:, None])
    held = normal + 5e-3 * np.diag(np.r_[np.diag(normal)[: len(standards)], 0])
    return np.linalg.solve(held, normal)[: len(standards), : len(standards)] @ amounts, honest


def smeared(amounts, sigma):
    near = (np.roll(amounts, 1, axis=1) + np.roll(amounts, -1, axis=1)) / 2
    return 0.9 * amounts + 0.1 * near, sigma


def one_gap_for_all(mu, sigma, energies, standards):
    """An energy that one voxel misses is left out in all."""
    known = ~np.isnan(mu).any(axis=1)
    use = known if known.sum() > len(standards) else np.ones(len(mu), bool)
    return fit(mu[use], sigma[use], energies[use], standards[:, use])


def remembering():
    first = {}

    def broken(mu, sigma, energies, standards):
        known = first.setdefault(standards.shape, standards)
        return fit(mu, sigma, energies, known)

    return broken


def weighed_in_place(mu, sigma, energies, standards):
    mu /= sigma
    return fit(mu * sigma, sigma, energies, standards)


def last_off(standards, energies):
    return standards[:, [*range(len(energies) - 1), -2]]


def by_weight(standards, energies):
    """FP is 4.6 % lighter for the iron it holds."""
    return standards * np.array([1, 1.046, 1])[: len(standards), None]


def again(design, sigma, chi2, honest):
    return honest * sigma.mean(axis=0)


def with_weights(power):
    """(D^T W D)^-1 with the weights 1 / sigma**power of each voxel."""
    return saying(lambda design, sigma, chi2, honest: spread(design, sigma ** -float(power), len(honest)))


def typical(amounts, sigma):
    return amounts, np.broadcast_to(np.nanmean(sigma, axis=1, keepdims=True), sigma.shape)


def broken(name, says, function, source=""):
    return Mutant(name, says, "fit", function, source)


FITS = [
    # amounts
    broken("swapped", "amounts of the one standard are given to the other", of_answer(lambda a, s: (a[::-1], s[::-1]))),
    broken("one energy off", "standards are one energy late", of_standards(lambda s, e: np.roll(s, 1, axis=1))),
    broken(
        "last energy off",
        "the last energy has the one before's",
        of_standards(last_off),
    ),
    broken("a quarter eV off", "standards are taken 0.25 eV too high", shifted(0.25)),
    broken(
        "energies unsorted",
        "standards are sorted, spectra are not",
        of_standards(lambda s, e: s[:, np.argsort(e)]),
    ),
    broken("standards of the first call", "a fit is set up once", remembering()),
    broken("no background", "matter without iron counts as iron", functools.partial(fit, background="none")),
    broken("full of iron", "amounts sum to one", functools.partial(fit, constraint="sum-one")),
    broken("normalized", "each voxel's spectrum is scaled to a full step", normalized),
    broken(
        "by weight",
        "FP's amount is by its own density of iron",
        of_standards(by_weight),
    ),
    broken("gain of 1 %", "amounts are 1 % large", of_answer(lambda a, s: (1.01 * a, 1.01 * s))),
    broken("negatives cut", "amounts below zero are set to it", of_answer(lambda a, s: (np.maximum(a, 0), s))),
    broken("at most full", "amounts above one are set to it", of_answer(lambda a, s: (np.minimum(a, 1), s))),
    broken("drawn to zero", "a small ridge", ridge),
    broken("smeared", "a voxel holds a tenth of its neighbours", of_answer(smeared)),
    broken("half precision", "spectra are kept in 16 bits", of_spectra(lambda mu: mu.astype(np.float16).astype(np.float32))),
    broken("fractions", "shares of the iron are given for amounts", of_answer(lambda a, s: (a / a.sum(axis=0), s))),
    broken("input spoilt", "spectra are weighed where they stand", weighed_in_place, "tomopy #183"),
    # gaps
    broken("nothing is zero", "a voxel without values has amounts zero", of_answer(lambda a, s: (np.nan_to_num(a), s))),
    broken("a gap is zero", "missing values count as zero", of_spectra(np.nan_to_num)),
    broken("one gap for all", "an energy that one voxel misses is left out everywhere", one_gap_for_all),
    # sigma
    broken("sigma a fifth small", "0.8 of it", of_answer(lambda a, s: (a, 0.8 * s))),
    broken("sigma a tenth small", "0.9 of it", of_answer(lambda a, s: (a, 0.9 * s))),
    broken("sigma a tenth large", "1.1 of it", of_answer(lambda a, s: (a, 1.1 * s))),
    broken("sigma of one", "no weights, no sigma", of_answer(lambda a, s: (a, np.ones_like(s)))),
    broken("sigma swapped", "that of the other standard", of_answer(lambda a, s: (a, s[::-1]))),
    broken("variance", "the root is forgotten", of_answer(lambda a, s: (a, s**2))),
    broken(
        "sigma counted again",
        "that of the data multiplies that of the fit",
        saying(again),
        "LsqFit.jl #103",
    ),
    broken(
        "weights twice",
        "they are in the design, and come again",
        with_weights(4),
        "LsqFit.jl #85",
    ),
    broken("1/sigma for a weight", "not its square", with_weights(1), "LsqFit.jl #69"),
    broken("weights forgotten", "the covariance is that of equal weights", saying(unweighted), "CurveFit.jl #96"),
    broken("scaled by the misfit", "sigma times the root of chi2 per degree", of_mean_square(0), "mantid #33340"),
    broken("misfit over too few", "chi2 over two degrees fewer", of_mean_square(2), "numpy #11196"),
    broken("the others known", "covariances are left out", saying(alone), "pymca #417"),
    broken(
        "the typical sigma",
        "every voxel has the mean one",
        of_answer(typical),
    ),
    broken("worst left out", "an outlier is always found", without_worst),
    broken(
        "own weights assumed",
        "sigma as if each voxel had been fitted with its own",
        with_weights(2),
    ),
]
