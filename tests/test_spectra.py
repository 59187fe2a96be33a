import re

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.ndimage import binary_erosion, gaussian_filter, shift
from scipy.optimize import lsq_linear, nnls
from scipy.stats import chi2

from analysis.spectra.combination import design_matrix, fit, linear_combination
from analysis.spectra.edge import as_measured, half_height, normalize, pre_and_post_edge, white_line
from analysis.spectra.explore import clusters, nonnegative_factors, principal_components
from analysis.spectra.unexplained import residuals, unexplained
from instrument.attenuation import attenuation_per_um
from instrument.measurement import InputError
from instrument.xanes import parametric
from phantom import FP, LFP

IRON_MOL_CM3 = LFP.iron_mol_cm3
FORMULAS = {"LFP": LFP.formula, "FP": FP.formula}
SCAN = np.array([7090.0, 7105, 7113, 7118, 7122, 7125, 7127, 7130, 7132, 7136, 7145, 7160, 7180])


def standards(energies=SCAN):
    """LFP and FP, (species, energy), 1/um."""
    return np.array(
        [attenuation_per_um(formula, IRON_MOL_CM3, energies, parametric(name)(energies)) for name, formula in FORMULAS.items()]
    )


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


FINE = np.arange(7090.0, 7199.8, 0.5)
EDGE_SCAN = np.array([7080.0, 7090, 7100, 7113, 7118, 7121, 7124, 7126, 7127, 7128, 7130, 7132, 7134, 7145, 7160, 7180])


def voxels(rng, spectrum, sigma, n=20_000):
    """n noisy copies of a spectrum and their variance, unequal over energies."""
    variance = (sigma * np.linspace(0.7, 1.3, len(spectrum)))[:, None] ** 2 * np.ones(n)
    return spectrum[:, None] + np.sqrt(variance) * rng.normal(size=variance.shape), variance


@pytest.mark.parametrize(("name", "half", "line", "height"), [("LFP", 7120.58, 7127.28, 1.677), ("FP", 7125.52, 7132.24, 1.540)])
def test_landmarks_of_the_measured_spectra(measured, name, half, line, height):
    energies, norm = np.loadtxt(measured / f"{name}_FeK_norm.txt").T
    how, no_noise = as_measured(energies), np.zeros_like(norm)
    assert half_height(norm, no_noise, how)[0] == pytest.approx(half, abs=0.05)
    peak = white_line(norm, no_noise, how)
    assert peak.position_eV == pytest.approx(line, abs=0.15)
    assert peak.height == pytest.approx(height, abs=0.002)


def test_white_line_position_measures_no_mixture_but_the_fit_does(measured):
    """It sits near LFP's up to x = 0.4 and jumps to FP's at 0.5; the amounts follow x to 1e-4."""
    energies, lfp = np.loadtxt(measured / "LFP_FeK_norm.txt").T
    pair = np.array([lfp, np.loadtxt(measured / "FP_FeK_norm.txt")[:, 1]])
    x = np.linspace(0, 1, 11)
    mixtures = np.outer(1 - x, pair[0]) + np.outer(x, pair[1])
    no_noise = np.zeros_like(mixtures.T)
    position = white_line(mixtures.T, no_noise, as_measured(energies)).position_eV
    assert (np.ptp(position[:5]), np.ptp(position[5:])) == pytest.approx((1.7, 0.6), abs=0.1)
    assert position[5] - position[4] == pytest.approx(2.7, abs=0.1)
    assert position[5] == pytest.approx(7131.75, abs=0.05)
    amounts, _ = fit(mixtures.T.astype(np.float32), no_noise.astype(np.float32) + 0.01, energies, pair)
    assert amounts[1] / amounts.sum(axis=0) == pytest.approx(x, abs=1e-4)


@given(scale=st.floats(0.1, 10), offset=st.floats(-1, 1), slope=st.floats(-1e-3, 1e-3), order=st.permutations(range(16)))
def test_normalization_takes_off_scale_and_line_in_any_order_of_energies(scale, offset, slope, order):
    order = list(order)
    lfp = standards(EDGE_SCAN)[0]
    variance = np.full(lfp.shape, 1e-8)
    first = normalize(lfp, variance, pre_and_post_edge(EDGE_SCAN))
    how = pre_and_post_edge(EDGE_SCAN[order], post_order=0)
    mu = (scale * lfp)[order]
    other = normalize(mu, variance, how)
    assert other.spectra == pytest.approx(first.spectra[order])
    assert other.step == pytest.approx(scale * first.step)
    assert half_height(mu, variance, how)[0] == pytest.approx(half_height(lfp, variance, pre_and_post_edge(EDGE_SCAN))[0])
    moved = mu + offset + slope * EDGE_SCAN[order]
    flat = pre_and_post_edge(EDGE_SCAN[order], post_order=1, flatten=True)
    assert normalize(moved, variance, flat).spectra == pytest.approx(normalize(mu, variance, flat).spectra, abs=1e-5)
    assert white_line(moved, variance, flat).height == pytest.approx(white_line(mu, variance, flat).height, abs=1e-5)


def test_the_edge_step_is_iron():
    """Half the iron, half the step; beyond the oscillations it is xraylib's step of LFP, 0.0451 1/um."""
    energies = np.arange(6950.0, 7700, 5)
    mu = np.outer(standards(energies)[0], [1.0, 0.5])
    how = pre_and_post_edge(energies, edge_eV=7112.0, post_eV=(7260, 7700))
    step = normalize(mu, 1e-10 * np.ones_like(mu), how).step
    assert step[0] == pytest.approx(0.0451, rel=0.005)
    assert step[1] == pytest.approx(step[0] / 2)


@pytest.mark.parametrize(("points", "flatten"), [(3, False), (5, True)])
def test_sigma_of_the_edge_is_the_actual_scatter(points, flatten):
    mu, variance = voxels(np.random.default_rng(6), standards(EDGE_SCAN)[0], 2e-4)
    how = pre_and_post_edge(EDGE_SCAN, flatten=flatten, post_order=int(flatten))
    found = normalize(mu, variance, how)
    peak = white_line(mu, variance, how, points)
    for values, sigma in (
        *zip(found.spectra, found.sigma, strict=True),
        (found.step, found.step_sigma),
        half_height(mu, variance, how),
        (peak.position_eV, peak.position_sigma),
        (peak.height, peak.height_sigma),
    ):
        assert values.std() == pytest.approx(np.sqrt(np.mean(sigma**2)), rel=0.05, abs=1e-8)


def test_where_there_is_no_edge_there_is_no_number():
    nothing, variance = voxels(np.random.default_rng(7), np.zeros(len(EDGE_SCAN)), 1e-3, 500)
    how = pre_and_post_edge(EDGE_SCAN)
    assert np.isnan(normalize(nothing, variance, how).spectra).any(axis=0).mean() > 0.99
    assert np.isnan(half_height(nothing, variance, how)[0]).mean() > 0.99
    falling = as_measured(EDGE_SCAN)
    assert np.isnan(white_line(np.linspace(2, 1, 16), np.ones(16), falling).position_eV)
    assert np.isnan(half_height(np.linspace(2, 1, 16), np.ones(16), falling)[0])


@pytest.mark.parametrize(
    ("energies", "options", "words"),
    [
        (FINE[FINE > 7110], {}, "no energy of 7110.5..7199.5 eV lies in the pre-edge range 6900..7108 eV"),
        (FINE[FINE < 7140], {}, "post-edge range 7150..7900 eV; allowed is at least one; measure there or change post_eV"),
        (EDGE_SCAN, {"post_order": 2}, "post-edge order is 2 with 2 energies in 7150..7900 eV; allowed 0..1"),
        (np.append(EDGE_SCAN, 7126.0), {}, "7126 eV is there twice"),
    ],
)
def test_an_edge_that_cannot_be_normalized_is_refused(energies, options, words):
    with pytest.raises(InputError, match=re.escape(words)):
        pre_and_post_edge(energies, **options)


def test_an_even_window_is_refused():
    with pytest.raises(InputError, match=re.escape("points is 4; allowed are odd numbers 3..16")):
        white_line(EDGE_SCAN, EDGE_SCAN, as_measured(EDGE_SCAN), 4)


def particle(x, sigma, seed=8):
    """Spectra of voxels with FP share `x`, iron 0.5..1 and noise `sigma`, unequal over energies; and their variance."""
    rng = np.random.default_rng(seed)
    mu = standards().T @ (rng.uniform(0.5, 1, len(x)) * np.array([1 - x, x]))
    variance = np.full(mu.shape, sigma**2) * np.linspace(0.5, 1.5, len(SCAN))[:, None]
    return mu + np.sqrt(variance) * rng.normal(size=mu.shape), variance


def spread_of_x(n=5000, seed=9):
    """FP shares with many pure voxels of either phase."""
    return np.clip(np.random.default_rng(seed).normal(0.5, 0.6, n), 0, 1)


@pytest.mark.parametrize("sigma", [0.0002, 0.002])
def test_components_count_the_species_and_span_them(sigma):
    mu, variance = particle(spread_of_x(), sigma)
    found = principal_components(mu, variance)
    assert len(found.spectra) == 2
    weights = 1 / np.sqrt(variance.mean(axis=1))
    span = (found.spectra * weights).T
    for standard in standards() * weights:
        outside = standard - span @ np.linalg.lstsq(span, standard, rcond=None)[0]
        assert np.linalg.norm(outside) < 0.02 * np.linalg.norm(standard)
    assert found.eigenvalues[2:] == pytest.approx(1, abs=0.15)
    assert found.share.sum() == pytest.approx(1)
    assert found.spectra.T @ found.scores == pytest.approx(mu, abs=5 * sigma)


def test_pure_noise_rarely_has_a_second_component():
    """1 % of cases; the eigenvalues of a particle of one species but the first are noise."""
    counts = [len(principal_components(*particle(np.zeros(400), 0.002, seed)).spectra) for seed in range(300)]
    assert np.mean(np.array(counts) > 1) < 0.03


def test_correlated_noise_asks_for_more():
    """Each voxel thrice is no more knowledge; said so, no component is made of it."""
    mu, variance = (np.repeat(values, 3, axis=1) for values in particle(np.zeros(300), 0.002))
    assert len(principal_components(mu, variance).spectra) > 1
    assert len(principal_components(mu, variance, correlated=3.0).spectra) == 1


def test_clusters_are_the_phases_whatever_the_iron():
    x = (np.arange(3000) % 3 == 0).astype(float)
    mu, variance = particle(x, 0.003)
    labels, spectra = clusters(mu, variance, 2, np.random.default_rng(0))
    assert (labels == x).mean() > 0.999
    assert spectra / spectra.mean(axis=1, keepdims=True) == pytest.approx(
        standards() / standards().mean(axis=1, keepdims=True), rel=0.01
    )
    again, _ = clusters(mu, variance, 2, np.random.default_rng(1))
    assert (again == labels).all()


@pytest.mark.parametrize(("sigma", "most"), [(0.0001, 0.16), (0.002, 0.21)])
def test_nonnegative_parts_reach_the_pure_species_and_somewhat_beyond(sigma, most):
    x = spread_of_x()
    mu, variance = particle(x, sigma)
    spectra, amounts = nonnegative_factors(mu, variance, 2, np.random.default_rng(0))
    assert min(spectra.min(), amounts.min()) >= 0
    assert spectra.mean(axis=1) == pytest.approx(1)
    assert ((mu - spectra.T @ amounts) ** 2 / variance).sum() / ((len(SCAN) - 2) * len(x)) == pytest.approx(1, abs=0.02)
    in_standards = np.linalg.lstsq(standards().T, spectra.T, rcond=None)[0]
    own = (in_standards / in_standards.sum(axis=0)).max(axis=0)
    assert (own > 1).all()
    assert (own < 1 + most).all()
    assert abs(np.corrcoef(amounts[0] / amounts.sum(axis=0), x)[0, 1]) > (0.98 if sigma > 0.001 else 0.999)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda mu, variance: principal_components(mu[:, :5], variance[:, :5]), "5 of 5 are complete over 13 energies"),
        (lambda mu, variance: principal_components(mu, np.zeros_like(mu)), "with variance above 0"),
        (lambda mu, variance: principal_components(np.where(mu == mu.max(), np.nan, mu), variance), "199 of 200 are complete"),
        (lambda mu, variance: clusters(mu, variance, 201, np.random.default_rng(0)), "count is 201, found fewer among 200"),
    ],
)
def test_what_cannot_be_explored_is_refused(call, words):
    with pytest.raises(InputError, match=words):
        call(*particle(spread_of_x(200), 0.002))


def made_up(name):
    """Normalized spectra of no real compound: FP's edge 2 eV higher; a broad one like an oxide of Fe3+; one like Fe2+."""

    def edge(center, width, peak, peak_eV):
        return lambda e: 0.5 + np.arctan(2 * (e - center) / width) / np.pi + peak * np.exp(-np.log(2) * ((e - peak_eV) / 5) ** 2)

    return {
        "shifted": parametric("FP").altered(2.0, 0.0),
        "like Fe3+": edge(7126.5, 4.0, 0.45, 7133.0),
        "like Fe2+": edge(7121.5, 5.0, 0.6, 7127.0),
    }[name]


def grains(rng, particle, share, radius_px):
    """Voxels in spheres that fill `share` of the particle."""
    places, found = np.argwhere(particle), np.zeros_like(particle)
    while found.sum() < share * particle.sum():
        away = np.indices(particle.shape) - places[rng.integers(len(places))][:, None, None, None]
        found |= particle & ((away**2).sum(axis=0) < radius_px**2)
    return found


def foreign_scan(energies, third, seed=10, sigma=0.0013, jitter_px=0.0):
    """mu and variance (energy, z, y, x) of a core-shell particle with a third phase in grains, and where those are.

    Blurred by 0.7 voxels; noise correlated between neighbours in the slice; each energy out of place by `jitter_px`.
    """
    rng = np.random.default_rng(seed)
    radius = np.linalg.norm(np.indices((40, 40, 40)) - 19.5, axis=0)
    particle = radius < 17
    foreign = grains(rng, particle, 0.05, 4) if third else np.zeros_like(particle)
    amounts = np.stack([radius < 12, particle & (radius >= 12), particle]) * [~foreign, ~foreign, foreign]
    amounts = gaussian_filter(amounts.astype(float), (0, 0.7, 0.7, 0.7))
    kinds = list(standards(energies))
    kinds.append(attenuation_per_um("FePO4", IRON_MOL_CM3, energies, made_up(third or "shifted")(energies)))
    mu = np.tensordot(np.array(kinds).T, amounts, 1)
    mu = np.stack([shift(image, rng.normal(0, jitter_px, 3), order=1) for image in mu]) if jitter_px else mu
    noise = gaussian_filter(rng.normal(size=mu.shape), (0, 0, 0.5, 0.5))
    mu += sigma * noise / noise.std()
    known = particle & (gaussian_filter(particle.astype(float), 0.7) > 0.5)
    pure = amounts[2] > 0.5 * amounts.sum(axis=0)
    return mu.astype(np.float32), np.full(mu.shape, sigma**2, np.float32), known, known & pure, known & (amounts[2] < 0.02)


def rarity(mu, variance, particle, energies):
    design = design_matrix(standards(energies), energies, "constant")
    left = residuals(mu, variance, design, np.ones(len(energies)))
    return unexplained(left[:, particle], mu.mean(axis=0), particle)


@pytest.mark.parametrize("third", ["shifted", "like Fe3+", "like Fe2+"])
@pytest.mark.parametrize("energies", [SCAN, np.linspace(7095, 7185, 31)], ids=["13 energies", "31 energies"])
def test_a_third_phase_is_flagged(energies, third):
    """5 % of the particle at the noise of 1e6 photons: 90 % recall at 5 % false alarms. Voxels partly foreign are neither."""
    mu, variance, particle, foreign, explained = foreign_scan(energies, third)
    p = rarity(mu, variance, particle, energies)
    assert 0.03 < foreign.sum() / particle.sum() < 0.06
    assert (p[foreign] < 0.05).mean() > 0.9
    assert (p[explained] < 0.05).mean() < 0.05
    assert np.isnan(p[~particle]).all()


def test_without_a_third_phase_alarms_are_rarer_than_they_say():
    mu, variance, particle, _, _ = foreign_scan(SCAN, None)
    p = rarity(mu, variance, particle, SCAN)[particle]
    assert 0.01 < (p < 0.05).mean() < 0.05
    assert (p < 0.01).mean() < 0.01
    assert (p < 0.2).mean() < 0.2


def test_a_wrong_sigma_flags_the_same_voxels():
    mu, variance, particle, _, _ = foreign_scan(SCAN, "shifted")
    one, other = (rarity(mu, factor * variance, particle, SCAN)[particle] for factor in (1.0, np.float32(4.0)))
    assert other == pytest.approx(one, abs=1e-4)


def test_surfaces_out_of_place_are_compared_with_surfaces():
    """Energies 0.1 voxel out of place raise chi2 at the surface: a chi-square flags most of it, a p-value no more than inside."""
    mu, variance, particle, foreign, explained = foreign_scan(SCAN, "like Fe3+", jitter_px=0.1)
    surface = explained & ~binary_erosion(particle, iterations=2)
    design = design_matrix(standards(), SCAN, "constant")
    flat = (values.reshape(len(SCAN), -1) for values in (mu, variance))
    found = linear_combination(*flat, design, np.ones(len(SCAN)), 2)
    theory = (chi2.sf(found.chi2, found.dof) < 0.05).reshape(particle.shape)
    assert theory[surface].mean() > 0.3
    p = rarity(mu, variance, particle, SCAN)
    assert (p[surface] < 0.05).mean() < 0.07
    assert (p[explained] < 0.05).mean() < 0.05
    assert (p[foreign] < 0.05).mean() > 0.9


def test_another_further_phase_beside_the_most_frequent():
    """Most is learned of the phase in most voxels; one in a fifth as many is found by the size of what is left."""
    mu, variance, particle, foreign, _ = foreign_scan(SCAN, "like Fe2+")
    second = particle & ~foreign & grains(np.random.default_rng(3), binary_erosion(particle, iterations=4), 0.02, 4)
    alone = binary_erosion(second)
    shifted = attenuation_per_um("FePO4", IRON_MOL_CM3, SCAN, made_up("shifted")(SCAN))
    mu = np.where(second, mu + 0.9 * (shifted - standards()[1])[:, None, None, None], mu).astype(np.float32)
    p = rarity(mu, variance, particle, SCAN)
    assert alone.sum() > 50
    assert (p[alone] < 0.05).mean() > 0.9
    assert (p[foreign] < 0.05).mean() > 0.9


def test_a_handful_of_voxels_and_none():
    rng = np.random.default_rng(11)
    residual = rng.standard_normal((10, 50)).astype(np.float32)
    residual[0, 0] = np.nan
    grid, everywhere = np.ones((2, 5, 5), np.float32), np.ones((2, 5, 5), bool)
    p = unexplained(residual, grid, everywhere)
    assert np.isnan(p[0, 0, 0])
    assert np.isfinite(p).sum() == 49
    assert np.isnan(unexplained(residual[:, :0], grid, ~everywhere)).all()
    assert np.isnan(unexplained(np.full_like(residual, np.nan), grid, everywhere)).all()
