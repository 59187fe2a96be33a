"""Engines that solve: their operators, what they converge to, their noise, and what they do without all views."""

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.choices import Analysis
from analysis.reconstruct import engines
from analysis.reconstruct.fbp import fbp
from analysis.reconstruct.iterative import cgls, noise_variance, sirt
from analysis.reconstruct.operators import Convolution, Projector
from analysis.reconstruct.total_variation import total_variation
from instrument.measurement import InputError
from phantom import Ellipsoid, ellipsoid_paths, voxelize

COLUMNS, PIXEL = 40, 0.1
ANGLES = np.deg2rad(np.arange(60) * 3.0)
BODIES = [Ellipsoid((0.0, 3.0, -4.0), (9.0, 11.0, 8.0), 0.05, 2), Ellipsoid((0.0, -2.0, 2.0), (5.0, 4.0, 5.0), 0.04, 2)]
ENGINES = {"cgls": cgls, "sirt": sirt, "tv": total_variation}


def rays_of(angles, offset=0.0, rows=3):
    """Exact optical depth (row, angle, column) of two ellipsoids, and their attenuation, 1/um."""
    axis = np.arange(COLUMNS) - (COLUMNS - 1) / 2
    paths = ellipsoid_paths(BODIES, angles, np.arange(rows) - (rows - 1) / 2, axis - offset).transpose(1, 0, 2)
    return (PIXEL * paths).astype(np.float32), voxelize(BODIES, (rows, COLUMNS, COLUMNS), 1.0)


def error(found, truth):
    return float(np.sqrt(np.mean((found - truth) ** 2)) / truth.max())


@given(
    columns=st.integers(9, 40),
    views=st.integers(2, 30),
    rows=st.integers(1, 8),
    offset=st.floats(-2, 2),
    seed=st.integers(0, 1000),
)
def test_the_adjoint_is_the_transpose(columns, views, rows, offset, seed):
    rng = np.random.default_rng(seed)
    angles = np.sort(rng.uniform(-np.pi, np.pi, views))
    projector = Projector(angles, columns, center_px=(columns - 1) / 2 + offset, pixel_um=0.06)
    image = rng.normal(size=(rows, columns, columns)).astype(np.float32)
    rays = rng.normal(size=(rows, views, columns)).astype(np.float32)
    there, back = projector.forward(image), projector.adjoint(rays)
    size = np.linalg.norm(there.astype(float)) * np.linalg.norm(rays.astype(float))
    assert np.vdot(there.astype(float), rays) == pytest.approx(np.vdot(image.astype(float), back), abs=3e-4 * size)


@given(columns=st.integers(9, 40), views=st.integers(2, 30), offset=st.floats(-2, 2), seed=st.integers(0, 1000))
def test_the_normal_operator_is_a_convolution(columns, views, offset, seed):
    """A^T W A for weights by angle, of two species that share them: to 3e-4 of its size."""
    rng = np.random.default_rng(seed)
    projector = Projector(np.sort(rng.uniform(0, np.pi, views)), columns, center_px=(columns - 1) / 2 + offset, pixel_um=0.06)
    root = rng.normal(size=(2, 2, views))
    weights = np.einsum("iky,jky->ijy", root, root)
    maps = rng.normal(size=(2, 3, columns, columns)).astype(np.float32)
    rays = np.stack([projector.forward(image) for image in maps])
    weighed = np.einsum("ijy,jryu->iryu", weights, rays).astype(np.float32)
    wanted = np.stack([projector.adjoint(part) for part in weighed])
    found = Convolution(projector, weights)(maps)
    assert np.linalg.norm(found - wanted) < 3e-4 * np.linalg.norm(wanted)


@pytest.mark.parametrize("offset", [0.0, 1.7])
@pytest.mark.parametrize("name", ENGINES)
def test_engines_reproduce_analytic_particles(name, offset):
    depth, truth = rays_of(ANGLES, offset)
    more = {} if name == "tv" else {"iterations": 200}
    found = ENGINES[name](depth, ANGLES, center_px=19.5 + offset, pixel_um=PIXEL, **more)
    assert error(found, truth) < 0.03
    assert found.sum() / truth.sum() == pytest.approx(1, abs=0.01)


@given(factor=st.floats(0.1, 10), seed=st.integers(0, 100))
def test_cgls_scales_with_the_data(factor, seed):
    """Its noise is measured from the data, so it stops at the same step."""
    depth = rays_of(ANGLES)[0] + 0.01 * np.random.default_rng(seed).normal(size=(3, 60, COLUMNS)).astype(np.float32)
    one = cgls(depth, ANGLES, center_px=19.5, pixel_um=PIXEL)
    other = cgls((factor * depth).astype(np.float32), ANGLES, center_px=19.5, pixel_um=PIXEL)
    assert other == pytest.approx(factor * one, abs=2e-3 * factor * float(one.max()))


def test_cgls_is_linear_where_it_has_converged():
    """Least squares is linear in the data; a step short of it conjugate gradients are not."""
    angles = np.arange(90) * np.pi / 90
    rng = np.random.default_rng(0)
    options = {"center_px": 19.5, "pixel_um": PIXEL, "variance": np.full((1, 1, 1), 1e-12, np.float32), "iterations": 150}
    one = rays_of(angles)[0]
    two = Projector(angles, COLUMNS, center_px=19.5, pixel_um=PIXEL).forward(
        rng.normal(size=(3, COLUMNS, COLUMNS)).astype(np.float32)
    )
    both = cgls(2 * one - 0.05 * two, angles, **options)
    apart = 2 * cgls(one, angles, **options) - 0.05 * cgls(two, angles, **options)
    assert error(both, apart) < 0.03


@pytest.mark.parametrize("name", ENGINES)
def test_rays_are_weighed_by_their_noise(name):
    """Ten views ten times noisier: told so, every engine does better than if they weigh alike."""
    rng = np.random.default_rng(1)
    depth, truth = rays_of(ANGLES, rows=6)
    sigma = np.full((1, 60, 1), 0.01)
    sigma[:, ::6] = 0.1
    noisy = (depth + sigma * rng.normal(size=depth.shape)).astype(np.float32)
    place = {"center_px": 19.5, "pixel_um": PIXEL}
    known = (sigma**2).astype(np.float32)
    alike = np.full_like(known, known.mean())
    by_ray = np.broadcast_to(known, depth.shape)
    told, untold, whole = (ENGINES[name](noisy, ANGLES, variance=v, **place) for v in (known, alike, by_ray))
    assert error(told, truth) < 0.8 * error(untold, truth)
    assert error(whole, told) < 0.02  # by convolution or ray by ray, the same


@pytest.mark.parametrize("name", ["sirt", "tv"])
def test_nothing_is_negative(name):
    rng = np.random.default_rng(2)
    depth = rays_of(ANGLES)[0]
    noisy = (depth + 0.02 * rng.normal(size=depth.shape)).astype(np.float32)
    found = ENGINES[name](noisy, ANGLES, center_px=19.5, pixel_um=PIXEL, variance=np.full((1, 1, 1), 4e-4, np.float32))
    # The dual of the sign is nearly, not wholly, settled.
    assert found.min() >= (0 if name == "sirt" else -0.02 * found.max())


@pytest.mark.parametrize("name", ENGINES)
def test_a_missing_wedge_costs_less_than_filtered_backprojection(name):
    rng = np.random.default_rng(3)
    angles = np.deg2rad(np.arange(-60, 60, 3.0))
    depth, truth = rays_of(angles, rows=6)
    noisy = (depth + 0.005 * rng.normal(size=depth.shape)).astype(np.float32)
    place = {"center_px": 19.5, "pixel_um": PIXEL}
    direct = error(fbp(noisy, angles, window="cosine", **place), truth)
    found = error(ENGINES[name](noisy, angles, variance=np.full((1, 1, 1), 2.5e-5, np.float32), **place), truth)
    assert found < {"cgls": 1.0, "sirt": 0.8, "tv": 0.5}[name] * direct


def test_missing_rays_are_left_out():
    depth, truth = rays_of(ANGLES)
    depth[:, 7, 15:22] = np.nan
    for engine in ENGINES.values():
        variance = np.full((1, 1, 1), 1e-6, np.float32)
        assert error(engine(depth, ANGLES, center_px=19.5, pixel_um=PIXEL, variance=variance), truth) < 0.06


def test_noise_is_measured_past_edges():
    rng = np.random.default_rng(4)
    depth = rays_of(ANGLES, rows=12)[0]
    for sigma in (0.01, 0.05):
        noisy = (depth + sigma * rng.normal(size=depth.shape)).astype(np.float32)
        assert np.sqrt(noise_variance(noisy).mean()) == pytest.approx(sigma, rel=0.1)


@pytest.mark.parametrize(("engine", "weights"), [("cgls", "energy"), ("cgls", "ray"), ("sirt", "energy"), ("tv", "ray")])
def test_the_loop_with_each_engine(closed_loop, engine, weights):
    """About as good as filtered backprojection at least, the same iron, and a sigma that is neither half nor double."""
    direct = closed_loop("tiny", analysis__method="projection")[3]
    options = {"analysis__method": "projection", "analysis__weights": weights, "analysis__engine": engine}
    scores = closed_loop("tiny", **options)[3]
    assert scores["phase_rmse"] < 1.2 * direct["phase_rmse"]
    assert abs(scores["bulk_fraction_error"]) < 0.03
    assert 0.5 < scores["pull_std"] < 1.5


@pytest.mark.parametrize("engine", [fbp, cgls, sirt, total_variation])
def test_rays_of_nothing_and_missing_ones(engine):
    """Nothing comes of nothing; a ray that is missing spoils no other slice, and its own not much."""
    depth, truth = rays_of(ANGLES)
    place = {"center_px": 19.5, "pixel_um": PIXEL}
    assert np.abs(engine(0 * depth, ANGLES, **place)).max() < 1e-6
    spoilt = depth.copy()
    spoilt[1, 30, 20] = np.nan
    found = engine(spoilt, ANGLES, **place)
    assert error(found[[0, 2]], truth[[0, 2]]) < 0.05
    assert error(found[1], truth[1]) < 0.05
    blind = depth.copy()
    blind[1, 30] = np.nan
    assert np.isfinite(engine(blind, ANGLES, **place)).all()


def test_an_algorithm_without_its_engine_is_refused():
    with pytest.raises(InputError, match=r"analysis\.algorithm: found sirt with engine fbp"):
        Analysis(algorithm="sirt").check()


@pytest.mark.parametrize(("weights", "shape"), [("energy", (1, len(ANGLES), 1)), ("ray", (3, len(ANGLES), COLUMNS))])
def test_rays_have_a_weight_each_where_that_is_asked_for(monkeypatch, weights, shape):
    seen = []

    def noted(rays, angles_rad, *, variance, **place):
        seen.append(variance.shape)
        return fbp(rays, angles_rad, **place)

    monkeypatch.setitem(engines._ITERATIVE, "cgls", noted)
    prepared = SimpleNamespace(
        scan=SimpleNamespace(angles_rad=ANGLES, columns=COLUMNS, pixel_um=PIXEL),
        geometry=SimpleNamespace(center_px=(COLUMNS - 1) / 2),
        correlation=np.ones(1),
    )
    settings = Analysis(method="projection", engine="cgls", weights=weights)
    rays = rays_of(ANGLES)[0][None]
    variance = np.full((1, *rays.shape), 1e-4, np.float32)
    engines.engine_of(settings, prepared)(slice(0, 3))(rays, variance, np.full((1, 1, 3, COLUMNS), 1e-6, np.float32))
    assert set(seen) == {shape}
