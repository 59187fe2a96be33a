"""Edge of a spectrum: normalization, half height, white line, and their sigma."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from two_standards import standards

from analysis.spectra.combination import fit
from analysis.spectra.edge import as_measured, half_height, normalize, pre_and_post_edge, white_line
from instrument.measurement import InputError

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
