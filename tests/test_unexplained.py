"""What no mixture of the standards explains."""

import numpy as np
import pytest
from scipy.ndimage import binary_erosion, gaussian_filter, shift
from scipy.stats import chi2
from two_standards import IRON_MOL_CM3, SCAN, standards

from analysis.spectra.combination import design_matrix, linear_combination
from analysis.spectra.unexplained import residuals, unexplained
from instrument.attenuation import attenuation_per_um
from instrument.xanes import parametric


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


@pytest.mark.parametrize(("voxels", "most"), [(50, 0.13), (200, 0.1), (5000, 0.045)])
def test_false_alarms_in_few_voxels_and_many(voxels, most):
    grid, shares = (2, 5, voxels // 10), []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        p = unexplained(rng.standard_normal((10, voxels)).astype(np.float32), rng.random(grid), np.ones(grid, bool))
        shares.append((p < 0.05).mean())
    assert np.mean(shares) < most


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
