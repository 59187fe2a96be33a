"""Spectra looked at without standards: components, clusters, non-negative parts."""

import numpy as np
import pytest
from two_standards import SCAN, standards

from analysis.spectra.explore import clusters, nonnegative_factors, principal_components
from instrument.measurement import InputError


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
