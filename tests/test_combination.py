"""Linear combination of standards, free and bounded: against iterations that take longer, and its sigma."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.optimize import lsq_linear, nnls
from two_standards import IRON_MOL_CM3, SCAN, standards

from analysis.own import fitted
from analysis.spectra.combination import design_matrix, fit, linear_combination
from instrument.attenuation import attenuation_per_um
from instrument.xanes import parametric


def random_problem(seed, species, energies=9, n=40):
    rng = np.random.default_rng(seed)
    design = rng.uniform(0.1, 1, (energies, species))
    mu = (design @ rng.uniform(-1, 1, (species, n)) + 0.2 * rng.normal(size=(energies, n))).astype(np.float32)
    return design, mu, rng.uniform(0.5, 2, mu.shape).astype(np.float32), rng.uniform(0.5, 3, energies)


def reference(design, y, weights, species, constraint):
    """The bounded fit of one spectrum by an active set; a sum of 1 by a heavy row, a free background by bounds at infinity."""
    a, b = design * np.sqrt(weights)[:, None], y * np.sqrt(weights)
    if constraint in ("sum-one", "mixture"):
        a, b = np.vstack([a, 1e4 * (np.arange(a.shape[1]) < species)]), np.append(b, 1e4)
    low = np.full(a.shape[1], -np.inf)
    if constraint in ("nonnegative", "mixture"):
        low[:species] = 0
    return lsq_linear(a, b, (low, np.inf), method="bvls", tol=1e-14).x[:species]


@given(seed=st.integers(0, 10**6), species=st.integers(2, 4))
def test_nonnegative_amounts_are_those_of_nnls(seed, species):
    design, mu, variance, weights = random_problem(seed, species)
    found = linear_combination(mu, variance, design, weights, species, "nonnegative")
    root = np.sqrt(weights)
    assume(np.linalg.cond(design * root[:, None]) < 100)
    expected = np.array([nnls(design * root[:, None], y * root)[0] for y in mu.T.astype(float)]).T
    assert found.amounts == pytest.approx(expected, abs=2e-5)
    assert (found.amounts >= 0).all()
    assert ((found.amounts == 0) == (expected == 0)).mean() > 0.99


@given(
    seed=st.integers(0, 10**6),
    species=st.integers(2, 4),
    constraint=st.sampled_from(["free", "nonnegative", "sum-one", "mixture"]),
)
def test_constrained_fits_with_a_free_background_are_those_of_an_iteration(seed, species, constraint):
    design, mu, variance, weights = random_problem(seed, species + 1, n=8)
    assume(np.linalg.cond(design) < 50)
    found = linear_combination(mu, variance, design, weights, species, constraint)
    expected = np.array([reference(design, y, weights, species, constraint) for y in mu.T.astype(float)]).T
    assert found.amounts == pytest.approx(expected, abs=5e-4)
    if constraint in ("sum-one", "mixture"):
        assert found.amounts.sum(axis=0) == pytest.approx(1, abs=1e-5)


@given(
    seed=st.integers(0, 10**6),
    constraint=st.sampled_from(["free", "nonnegative", "sum-one", "mixture"]),
    order=st.permutations(range(9)),
    gaps=st.integers(0, 4),
)
def test_the_order_of_energies_and_what_misses_elsewhere_change_nothing(seed, constraint, order, gaps):
    """A spectrum with missing energies is fitted as if they had not been scanned; its neighbours do not notice."""
    design, mu, variance, weights = random_problem(seed, 3)
    assume(np.linalg.cond(design) < 50)
    rng = np.random.default_rng(seed)
    kept = np.sort(rng.permutation(9)[gaps:])
    full = linear_combination(mu, variance, design, weights, 2, constraint)
    short = linear_combination(mu[kept], variance[kept], design[kept], weights[kept], 2, constraint)
    holes = np.isin(np.arange(9), kept, invert=True)
    mu[holes, ::2] = np.nan
    variance[holes, 1::4] = np.nan
    order = list(order)
    found = linear_combination(mu[order], variance[order], design[order], weights[order], 2, constraint)
    lacking = np.arange(mu.shape[1]) % 2 == 0
    lacking[1::4] = True
    for name in ("amounts", "covariance", "chi2", "dof"):
        expected = np.where(lacking, getattr(short, name), getattr(full, name))
        assert getattr(found, name) == pytest.approx(expected, abs=2e-3, rel=2e-3), name


@pytest.mark.parametrize("background", ["none", "constant", "linear"])
def test_chi2_of_a_fit_of_one_s_own_counts_as_ours(background):
    """Amounts as ours finds them leave as much, with as many degrees of freedom."""
    design = design_matrix(standards(), SCAN, background)
    rng = np.random.default_rng(3)
    truth = rng.uniform(0, 1, (design.shape[1], 50))
    mu = (design @ truth + 0.001 * rng.normal(size=(len(SCAN), 50))).astype(np.float32)
    variance, weights = np.full_like(mu, 1e-6), np.ones(len(SCAN))
    ours = linear_combination(mu, variance, design, weights, 2)

    def own(mu, sigma, energies_eV, standards):
        return ours.amounts, np.full_like(ours.amounts, 0.1)

    found = fitted(own, mu, variance, SCAN, design, weights, 2)
    np.testing.assert_allclose(found.chi2, ours.chi2, rtol=1e-3, atol=1e-3)
    np.testing.assert_array_equal(found.dof, ours.dof)


def test_too_few_energies_give_no_answer():
    design, mu, variance, weights = random_problem(0, 3)
    mu[2:, 5] = np.nan
    found = linear_combination(mu, variance, design, weights, 2, "nonnegative")
    assert np.isnan(found.amounts[:, 5]).all()
    assert np.isnan(found.covariance[..., 5]).all()
    assert found.dof[5] == 0
    assert np.isfinite(np.delete(found.amounts, 5, axis=1)).all()


@given(factor=st.floats(0.01, 100), constraint=st.sampled_from(["free", "nonnegative"]))
def test_amounts_scale_with_attenuation(factor, constraint):
    design, mu, variance, weights = random_problem(1, 3)
    one = linear_combination(mu, variance, design, weights, 2, constraint)
    scaled = (np.float32(factor) * mu, np.float32(factor**2) * variance)
    more = linear_combination(*scaled, design, weights, 2, constraint)
    assert more.amounts == pytest.approx(factor * one.amounts, rel=1e-4, abs=factor * 1e-5)
    assert more.covariance == pytest.approx(factor**2 * one.covariance, rel=1e-3)
    assert more.chi2 == pytest.approx(one.chi2, rel=1e-2)


def test_more_spectra_than_fit_at_once():
    design, mu, variance, weights = random_problem(2, 3, n=30_000)
    variance[3, 17_000] = np.nan
    found = linear_combination(mu, variance, design, weights, 2, "nonnegative")
    part = linear_combination(mu[:, 16_990:17_010], variance[:, 16_990:17_010], design, weights, 2, "nonnegative")
    assert found.amounts[:, 16_990:17_010] == pytest.approx(part.amounts, abs=1e-6)
    assert found.dof[16_999:17_002].tolist() == part.dof[9:12].tolist()


@pytest.mark.parametrize("constraint", ["free", "nonnegative", "sum-one", "mixture"])
@pytest.mark.parametrize("amounts", [(0.7, 0.3), (1.0, 0.0)], ids=["inside", "at the bound"])
def test_sigma_is_the_actual_scatter(constraint, amounts):
    """Unequal weights and noise. At a bound sigma is 0 in half of the voxels and right as a mean square over all."""
    rng = np.random.default_rng(5)
    n = 100_000
    truth = np.array(amounts)
    design = design_matrix(standards(), SCAN, "constant")
    variance = np.outer(np.linspace(0.5, 2, len(SCAN)), rng.uniform(0.5, 1.5, n)).astype(np.float32) * 4e-6
    mu = (truth @ standards())[:, None] + 0.002 + np.sqrt(variance) * rng.normal(size=variance.shape)
    found = linear_combination(mu.astype(np.float32), variance, design, np.ones(len(SCAN)), 2, constraint)
    error = found.amounts - truth[:, None]
    for i in range(2):
        for j in range(2):
            assert np.mean(error[i] * error[j]) == pytest.approx(found.covariance[i, j].mean(), rel=0.03)
    held = found.amounts[1] == 0
    assert (found.covariance[1, 1] == 0).tolist() == held.tolist()
    assert held.mean() == pytest.approx(0.5 if constraint in ("nonnegative", "mixture") and amounts[1] == 0 else 0, abs=0.01)
    fixed = 1 + (constraint in ("free", "nonnegative"))  # parameters but the background
    assert (found.dof + fixed - held == len(SCAN) - 1).all()
    if amounts[1] > 0:
        pulls = error / np.sqrt(np.einsum("iin->in", found.covariance))
        assert pulls.std(axis=1) == pytest.approx([1, 1], abs=0.02)


def test_a_third_standard():
    """Any number of standards; here a made-up third, the step 1 eV below LFP's."""
    third = np.append(
        standards(), [attenuation_per_um("FePO4", IRON_MOL_CM3, SCAN, parametric("LFP").altered(-2, -0.6)(SCAN))], 0
    )
    truth = np.array([0.5, 0.2, 0.3])
    for constraint in ("free", "nonnegative", "sum-one", "mixture"):
        mu = (truth @ third + 0.01)[:, None].astype(np.float32)
        found, sigma = fit(mu, np.full(mu.shape, 1e-3, np.float32), SCAN, third, "constant", constraint)
        assert found[:, 0] == pytest.approx(truth, abs=1e-3)
        assert (sigma > 0).all()
