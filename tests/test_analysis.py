import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import convolve1d

from analysis.phases import shell_thickness
from analysis.prepare.noise import measure_noise
from analysis.prepare.normalize import optical_depth
from analysis.reconstruct.coverage import largest_gap_rad, unseen
from analysis.reconstruct.fbp import FilteredBackprojection, angular_weights, fbp
from analysis.result import AmountMap, phase_fraction, phase_fraction_sigma
from analysis.spectra.combination import design_matrix, fit, linear_combination, standards_matrix
from instrument.measurement import InputError, Spectrum
from phantom import FP as FP_SPECIES
from phantom import LFP as LFP_SPECIES
from phantom import Ellipsoid, Front, Particle, ellipsoid_paths, make_sample

ENERGIES = np.array([7090.0, 7105, 7120, 7125, 7127, 7131, 7136, 7150, 7180])
LFP = np.array([0.017, 0.0169, 0.035, 0.075, 0.09, 0.074, 0.065, 0.056, 0.063])
FP = np.array([0.0168, 0.017, 0.021, 0.04, 0.046, 0.085, 0.083, 0.062, 0.06])
STANDARDS = np.array([LFP, FP])


@given(start=st.floats(-3, 3), count=st.integers(3, 200), extra=st.booleans())
def test_angular_weights_fill_the_half_circle(start, count, extra):
    angles = start + np.linspace(0, np.pi, count, endpoint=extra)
    weights = angular_weights(angles)
    assert weights.sum() == pytest.approx(np.pi)
    if extra:  # the first and last view are mirror images: half weight each
        assert weights[[0, -1]] == pytest.approx(np.pi / (count - 1) / 2)
        assert weights[1:-1] == pytest.approx(np.pi / (count - 1))


def test_a_missing_wedge_is_filled_by_nobody():
    weights = angular_weights(np.deg2rad(np.arange(-60, 60)))
    assert weights == pytest.approx(np.pi / 180)


@given(start=st.floats(-3, 3), turned=st.integers(0, 10**6), wedge=st.floats(20, 120))
def test_what_views_leave_unseen_is_said(start, turned, wedge):
    """Whichever half turn each view is taken from, and in any order."""
    rng = np.random.default_rng(turned)
    whole = rng.permutation(np.linspace(0, np.pi, 91)[:-1]) + np.pi * rng.integers(-1, 2, 90)
    assert unseen(start + whole, 128, 0.06) == ()
    part = start + np.deg2rad(np.linspace(0, 180 - wedge, 91))
    assert largest_gap_rad(part) == pytest.approx(np.deg2rad(wedge))
    (said,) = unseen(part, 128, 0.06)
    degrees, um = (float(re.search(rf"([\d.]+) {unit}", said)[1]) for unit in ("degrees", "um"))
    assert degrees == pytest.approx(wedge, rel=6e-3)
    assert um == pytest.approx(np.deg2rad(wedge) * 64 * 0.06, rel=6e-2)
    assert "of 90 degrees" in unseen(np.array([0.0, np.pi / 2]), 128, 0.06)[0]


@given(a=st.floats(-2, 2), b=st.floats(-2, 2), seed=st.integers(0, 1000))
def test_reconstruction_is_linear(a, b, seed):
    rng = np.random.default_rng(seed)
    one, two = rng.normal(size=(2, 3, 20, 24))
    angles = np.arange(20) * np.pi / 20
    options = {"center_px": 11.5, "pixel_um": 0.5}
    both = fbp(a * one + b * two, angles, **options)
    assert both == pytest.approx(a * fbp(one, angles, **options) + b * fbp(two, angles, **options), abs=2e-3)


@pytest.mark.parametrize("window", ["ramp", "shepp-logan", "cosine", "hann"])
@pytest.mark.parametrize("kernel", [[1.0], [0.25, 0.5, 0.25]], ids=["white", "correlated"])
def test_variance_of_the_reconstruction(window, kernel):
    """Predicted against the spread of reconstructed noise: independent, correlated and shared errors, by radius."""
    rng = np.random.default_rng(7)
    columns, rows, angles = 48, 8, np.arange(72) * np.pi / 72
    kernel = np.array(kernel)
    lags = np.convolve(kernel, kernel)[len(kernel) - 1 :]
    correlation = np.zeros(8)
    correlation[: len(lags)] = lags / lags[0]
    own = 0.01 * (1 + 0.5 * np.sin(np.arange(columns) / 9)) * np.ones((rows, len(angles), 1))
    shared = np.full((rows, columns), 0.01 / 20)
    transform = FilteredBackprojection(angles, columns, center_px=23.5, pixel_um=0.1, window=window, correlation=correlation)
    plan = transform.plan(rows)
    predicted = transform.variance(own, shared, plan).mean(axis=0)

    def noise(variance):
        white = rng.normal(size=variance.shape)
        return convolve1d(white, kernel, axis=-1, mode="wrap") / np.sqrt(lags[0]) * np.sqrt(variance)

    found = np.zeros((columns, columns))
    repeats = 120
    for _ in range(repeats):
        image = transform.reconstruct(noise(own) + noise(shared)[:, None], plan)
        found += (image.astype(float) ** 2).mean(axis=0) / repeats
    axis = np.arange(columns) - 23.5
    radius = np.hypot(axis[:, None], axis[None])
    for low, high in ((1.5, 4), (4, 10), (10, 22)):
        ring = (radius >= low) & (radius < high)
        assert found[ring].mean() / predicted[ring].mean() == pytest.approx(1, abs=0.05)


def test_noise_is_measured_from_flats_and_darks():
    rng = np.random.default_rng(1)
    kernel = np.array([0.2, 0.6, 0.2])
    photons = rng.poisson(2000, (20, 64, 96)).astype(float)
    flats = convolve1d(photons, kernel, axis=2, mode="wrap") * 3 + 100 + rng.normal(0, 4, photons.shape)
    darks = 100 + rng.normal(0, 4, photons.shape)
    noise = measure_noise(np.rint(flats).astype(np.uint16), np.rint(darks).astype(np.uint16))
    assert noise.slope_adu == pytest.approx(3 * np.sum(kernel**2), rel=0.02)
    assert noise.dark_variance == pytest.approx(16 + 1 / 12, rel=0.02)
    light = 3**2 * 2000 * np.convolve(kernel, kernel)[2:]
    assert noise.correlation[1:3] == pytest.approx(light[1:3] / (light[0] + 16), abs=0.01)


def test_sigma_of_optical_depth():
    """The spread of -ln(T) over many frames is what its variance says, and scales as 1/sqrt(dose)."""
    rng = np.random.default_rng(2)
    sigmas = []
    for photons in (2000, 8000):
        flats = rng.poisson(photons, (20, 16, 32)).astype(np.uint16)
        darks = rng.poisson(0.5, (20, 16, 32)).astype(np.uint16)
        views = rng.poisson(photons * np.exp(-0.5), (200, 16, 32)).astype(np.uint16)
        rays = optical_depth(views, measure_noise(flats, darks), slice(0, 16))
        assert rays.optical_depth.mean() == pytest.approx(0.5, abs=0.005)
        spread = rays.optical_depth.std(axis=1, ddof=1).mean()
        assert spread == pytest.approx(np.sqrt(rays.variance.mean()), rel=0.03)
        sigmas.append(spread)
    assert sigmas[0] / sigmas[1] == pytest.approx(2, rel=0.02)


def test_blind_rays_are_repaired_and_counted():
    flats, darks = np.full((3, 4, 5), 1000, np.uint16), np.full((3, 4, 5), 100, np.uint16)
    views = np.full((6, 4, 5), 500, np.uint16)
    views[2, 1, 3] = 80
    rays = optical_depth(views, measure_noise(flats, darks), slice(0, 4))
    assert rays.repaired.tolist() == [0, 1, 0, 0]
    assert np.isfinite(rays.optical_depth).all()


@pytest.mark.parametrize(
    ("flats", "darks", "words"),
    [
        (np.full((1, 4, 5), 1000), np.full((3, 4, 5), 10), "at least 2"),
        (np.full((3, 4, 5), 10), np.full((3, 4, 5), 10), "flat <= dark in 20 of 20"),
    ],
)
def test_useless_references_are_refused(flats, darks, words):
    with pytest.raises(InputError, match=words):
        measure_noise(flats.astype(np.uint16), darks.astype(np.uint16))


@given(
    x=st.lists(st.floats(0, 1), min_size=1, max_size=20),
    iron=st.floats(0.3, 1),
    offset=st.floats(-0.02, 0.05),
    background=st.sampled_from(["constant", "linear"]),
    order=st.permutations(range(9)),
)
def test_noise_free_mixtures_are_recovered_in_any_order_of_energies(x, iron, offset, background, order):
    x = np.array(x)
    mu = np.outer(LFP, iron * (1 - x)) + np.outer(FP, iron * x) + offset
    order = list(order)
    amounts, _ = fit(
        mu[order].astype(np.float32), np.full(mu.shape, 0.01, np.float32), ENERGIES[order], STANDARDS[:, order], background
    )
    assert amounts == pytest.approx(np.stack([iron * (1 - x), iron * x]), abs=2e-4)


@given(seed=st.integers(0, 1000))
def test_swapped_standards_swap_the_amounts(seed):
    rng = np.random.default_rng(seed)
    mu = rng.uniform(0.01, 0.1, (9, 30)).astype(np.float32)
    sigma = np.full(mu.shape, 0.01, np.float32)
    amounts, spread = fit(mu, sigma, ENERGIES, STANDARDS)
    swapped, swapped_spread = fit(mu, sigma, ENERGIES, STANDARDS[::-1])
    assert swapped[::-1] == pytest.approx(amounts, abs=1e-3)
    assert swapped_spread[::-1] == pytest.approx(spread, rel=1e-3)


@pytest.mark.parametrize("missing", [False, True])
def test_pulls_of_the_fit(missing):
    """Amounts, sigma and x's sigma against the actual spread, with unequal noise and missing values."""
    rng = np.random.default_rng(3)
    n = 20000
    truth = np.array([0.7, 0.3])
    sigma = np.outer(np.linspace(0.002, 0.008, 9), rng.uniform(0.5, 1.5, n)).astype(np.float32)
    mu = (truth @ STANDARDS)[:, None] + 0.01 + sigma * rng.normal(size=(9, n))
    if missing:
        mu[2, ::3] = np.nan
        mu[:8, 5] = np.nan
    amounts, spread = fit(mu.astype(np.float32), sigma, ENERGIES, STANDARDS)
    assert np.isnan(amounts[:, 5]).all() == missing
    pulls = (amounts - truth[:, None]) / spread
    assert np.nanstd(pulls, axis=1) == pytest.approx([1, 1], abs=0.03)
    assert np.nanmean(pulls, axis=1) == pytest.approx([0, 0], abs=0.03)
    weights = 1 / np.nanmean(sigma.astype(float) ** 2, axis=1)
    found = linear_combination(mu.astype(np.float32), sigma**2, design_matrix(STANDARDS, ENERGIES, "constant"), weights, 2)
    assert np.nansum(found.chi2) / found.dof.sum() == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize("noise", [0.002, 0.03, 0.1])
def test_sigma_of_the_phase_fraction_at_any_noise(noise):
    """Pulls of the ratio stay standard normal even where sigma of x is 0.3."""
    rng = np.random.default_rng(4)
    shape = (4, 60, 60)
    truth = np.array([0.8, 0.2])
    covariance = noise**2 * np.array([[8.0, -5.0], [-5.0, 7.0]])
    error = np.linalg.cholesky(covariance) @ rng.normal(size=(2, int(np.prod(shape))))
    amounts = (truth[:, None] + error).reshape(2, *shape).astype(np.float32)
    full = np.broadcast_to(covariance[:, :, None, None, None], (2, 2, *shape)).astype(np.float32)
    sigma = phase_fraction_sigma(amounts, full, ("LFP", "FP"))
    pulls = (phase_fraction(amounts, ("LFP", "FP")) - 0.2) / sigma
    assert np.nanstd(pulls) == pytest.approx(1, abs=0.03)
    assert np.nanmean(pulls) == pytest.approx(0, abs=0.03)


def test_fp_edge_and_white_line_errors():
    """Biases of a wrong standard: -0.050 at x = 1 and -0.019 at 0.5 for an edge 0.3 eV off (61 uniform points,
    constant and slope), +0.023 at x = 1 for a white line 10 % low (31 points, no background)."""
    from instrument.attenuation import attenuation_per_um
    from instrument.xanes import parametric

    def mu(name, energies, shift=0.0, change=0.0):
        formula = {"LFP": "LiFePO4", "FP": "FePO4"}[name]
        norm = parametric(name).altered(shift, change)(energies)
        return attenuation_per_um(formula, LFP_SPECIES.iron_mol_cm3, energies, norm)

    def found(sample, standards, energies, background):
        amounts, _ = fit(
            sample[:, None].astype(np.float32), np.ones((len(energies), 1), np.float32), energies, standards, background
        )
        return float(amounts[1, 0] / amounts.sum())

    energies = np.arange(7100.0, 7161.0)
    standards = np.array([mu("LFP", energies), mu("FP", energies)])
    low = mu("FP", energies, shift=-0.3)
    assert found(low, standards, energies, "linear") - 1 == pytest.approx(-0.050, abs=0.001)
    assert found((low + standards[0]) / 2, standards, energies, "linear") - 0.5 == pytest.approx(-0.019, abs=0.001)
    energies = np.arange(7095.0, 7186.0, 3.0)
    weak = np.array([mu("LFP", energies), mu("FP", energies, change=-0.1)])
    assert found(mu("FP", energies), weak, energies, "none") - 1 == pytest.approx(0.023, abs=0.001)


def test_a_normalized_standard_is_scaled_by_the_iron_step():
    from instrument.xanes import parametric

    fine = np.arange(7090.0, 7190.0, 0.5)
    norm = Spectrum("LFP", fine, parametric("LFP")(fine), normalized=True)
    row = standards_matrix([norm], np.array([7100.0, 7140.0]))[0]
    assert row == pytest.approx([0.0168, 0.0632], rel=0.01)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: standards_matrix([Spectrum("FP", ENERGIES, FP)], np.array([7200.0])), "outside"),
        (lambda: standards_matrix([Spectrum("glue", ENERGIES, FP, formula="C5H8O2")], ENERGIES), "C5H8O2 holds no iron"),
        (lambda: design_matrix(STANDARDS[:, :2], ENERGIES[:2], "constant"), "2 energies for 3 unknowns"),
        (lambda: design_matrix(np.array([LFP, LFP]), ENERGIES, "constant"), "told apart"),
        (lambda: phase_fraction(np.ones((2, 1)), ("LFP", "NMC")), "FP"),
    ],
)
def test_impossible_fits_are_refused(call, words):
    with pytest.raises(InputError, match=words):
        call()


@pytest.mark.parametrize(
    ("speed", "ratios", "tolerance"), [((1.0, 1.0, 1.0), (1.0, 1.0), 0.002), ((1.0, 2.0, 1.5), (2.0, 1.5), 0.08)]
)
def test_shell_thickness_of_a_sphere(speed, ratios, tolerance):
    """The front's own speeds come back as ratios of thickness, exactly where it is isotropic."""
    sphere = Particle(semi_axes_um=(2.6, 2.6, 2.6), exponent=2, roughness=0)
    phantom = make_sample(sphere, Front(speed=speed), LFP_SPECIES, FP_SPECIES, (64, 64, 64), 0.1, np.random.default_rng(0)).at(
        0.4
    )
    found = shell_thickness(AmountMap(phantom.species, phantom.amounts, 0.1), np.eye(3))
    assert found.ratio(1, 0)[0] == pytest.approx(ratios[0], rel=tolerance)
    assert found.ratio(2, 0)[0] == pytest.approx(ratios[1], rel=tolerance)
    along_a = phantom.amounts[1, 32, 32].sum() * 0.05
    assert found.thickness_um[0] == pytest.approx(along_a, rel=tolerance + 0.005)


@given(shift=st.tuples(*[st.integers(-2, 2)] * 2))
def test_reconstruction_moves_with_the_object(shift):
    angles, columns = np.arange(90) * np.pi / 90, 48
    axis = np.arange(columns) - 23.5
    images = []
    for y, x in ((0.0, 0.0), shift):
        paths = ellipsoid_paths([Ellipsoid((0.0, 1.0 + y, -2.0 + x), (7.0, 8.0, 9.0), power=4)], angles, np.zeros(2), axis)
        images.append(fbp(paths.transpose(1, 0, 2), angles, center_px=23.5, pixel_um=1.0))
    moved = np.roll(images[0], shift, axis=(1, 2))
    inner = np.hypot(axis[:, None], axis[None]) < 20
    assert images[1][0][inner] == pytest.approx(moved[0][inner], abs=2e-3)
