"""The joint reconstruction: what it minimises, how its weight is found, its sigma, and what it must not invent."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from analysis import pipeline
from analysis.choices import Analysis
from analysis.phases import phase_histogram
from analysis.reconstruct.differences import divergence, gradient
from analysis.reconstruct.held_out import _least, choose_weight
from analysis.reconstruct.operators import Projector
from analysis.reconstruct.total_variation import TotalVariation, information_of
from instrument.measurement import InputError

COLUMNS, ROWS, PIXEL = 32, 6, 0.1
PLACE = {"center_px": 15.5, "pixel_um": PIXEL}
ANGLES = np.arange(48) * np.pi / 48
# Of the paths of two species: their sum is known ten times better than their difference.
COVARIANCE = 0.02**2 * np.array([[5.0, -4.0], [-4.0, 5.0]])


def ball_with_core(rows=ROWS):
    """Amounts (species, row, y, x): a core of the first species in a shell of the second."""
    axis = np.arange(COLUMNS) - (COLUMNS - 1) / 2
    radius = np.hypot(axis[:, None], axis[None])
    whole, core = (np.broadcast_to(np.clip(r - radius + 0.5, 0, 1), (rows, COLUMNS, COLUMNS)) for r in (11, 6))
    return np.stack([core, whole - core]).astype(np.float32)


def projected(projector, maps):
    """Paths (species, row, angle, column)."""
    parts = [[projector.forward(image[k : k + 8]) for k in range(0, len(image), 8)] for image in maps]
    return np.stack([np.concatenate(part) for part in parts])


def measured(maps, angles=ANGLES, seed=0, covariance=COVARIANCE):
    """Noisy paths (species, row, angle, column) and their covariance."""
    paths = projected(Projector(angles, COLUMNS, **PLACE), maps)
    noise = np.linalg.cholesky(covariance) @ np.random.default_rng(seed).normal(size=(2, paths[0].size))
    full = np.broadcast_to(covariance[:, :, None, None, None], (2, 2, *paths.shape[1:]))
    return (paths + noise.reshape(paths.shape)).astype(np.float32), full


def objective(maps, paths, covariance, weight, projector):
    """As the module states it, by other means."""
    rest = projected(projector, maps) - paths
    inverse = np.linalg.inv(covariance[:, :, 0, 0, 0])
    scale, vectors = np.linalg.eigh(inverse)
    white = np.tensordot(np.sqrt(scale)[:, None] * vectors.T, maps.astype(float), axes=1)
    steps = [np.diff(white, axis=axis, append=np.take(white, [-1], axis=axis)) for axis in (1, 2, 3)]
    variation = np.sqrt(sum(step**2 for step in steps).sum(axis=0)).sum()
    return 0.5 * (rest * np.tensordot(inverse, rest, axes=1)).sum() + weight * variation


def test_differences_are_neighbours_and_their_transpose_is_by_parts_as_by_the_whole():
    rng = np.random.default_rng(4)
    maps, field = rng.normal(size=(2, 7, 5, 6)).astype(np.float32), rng.normal(size=(3, 2, 7, 5, 6)).astype(np.float32)
    field[0, :, -1], field[1, :, :, -1], field[2, ..., -1] = 0, 0, 0  # as all differences are there
    parts = [slice(0, 3), slice(3, 6), slice(6, 7)]
    whole = gradient(maps, slice(0, 7))
    for axis in range(3):
        last = np.take(maps, [-1], axis=axis + 1)
        np.testing.assert_allclose(whole[axis], np.diff(maps, axis=axis + 1, append=last), atol=1e-6)
    np.testing.assert_array_equal(np.concatenate([gradient(maps, part) for part in parts], axis=2), whole)
    back = np.concatenate([divergence(field, part) for part in parts], axis=1)
    np.testing.assert_allclose(back, divergence(field, slice(0, 7)), atol=1e-6)
    assert np.vdot(whole, field) == pytest.approx(np.vdot(maps, back), rel=1e-4)


def test_the_least_loss_is_found_between_the_trials():
    weights = np.geomspace(0.1, 10, 9)
    assert _least(weights, 3 + np.log(weights / 0.7) ** 2) == pytest.approx(0.7)
    assert _least(weights, weights) == pytest.approx(0.1)
    assert _least(weights, -weights) == pytest.approx(10)


def test_the_solution_is_the_least():
    truth = ball_with_core()
    paths, covariance = measured(truth)
    projector = Projector(ANGLES, COLUMNS, **PLACE)
    problem = TotalVariation(information_of(covariance), projector)
    state = problem.solve(paths, 1.0)
    found = problem.maps(state)
    weight = problem.unit
    least = objective(np.maximum(found, 0), paths, covariance, weight, projector)
    again = problem.maps(problem.solve(paths, 1.0, state))
    assert least == pytest.approx(objective(np.maximum(again, 0), paths, covariance, weight, projector), rel=1e-2)
    rng = np.random.default_rng(1)
    others = [0.9 * found, 1.1 * found, truth, gaussian_filter(found, (0, 1, 1, 1))]
    others += [found + 0.02 * projector.mask * rng.normal(size=found.shape) for _ in range(3)]
    for other in others:
        assert objective(np.maximum(other, 0), paths, covariance, weight, projector) > least
    assert found.min() > -0.02


def test_where_it_starts_does_not_matter_nor_how_many_threads():
    paths, covariance = measured(ball_with_core(20))
    problem = TotalVariation(information_of(covariance), Projector(ANGLES, COLUMNS, **PLACE))
    cold = problem.maps(problem.solve(paths, 1.0))
    warm = problem.maps(problem.solve(paths, 1.0, problem.solve(paths, 8.0)))
    assert np.sqrt(np.mean((warm - cold) ** 2)) < 3e-3
    more = TotalVariation(information_of(covariance), Projector(ANGLES, COLUMNS, **PLACE), threads=2)
    assert np.array_equal(more.maps(more.solve(paths, 1.0)), cold)


@pytest.mark.parametrize("scale", [0.1, 4.0])
def test_the_unit_of_the_weight_follows_the_noise(scale):
    """Noise and data times `scale`: the maps of the same weight are the old ones times `scale`."""
    paths, covariance = measured(ball_with_core())
    projector = Projector(ANGLES, COLUMNS, **PLACE)
    found = []
    for size in (1.0, scale):
        problem = TotalVariation(information_of(size**2 * covariance), projector)
        found.append(problem.maps(problem.solve((size * paths).astype(np.float32), 1.5)) / size)
    assert np.sqrt(np.mean((found[1] - found[0]) ** 2)) < 1e-3


def test_missing_rays_say_nothing():
    truth = ball_with_core()
    paths, covariance = measured(truth)
    covariance = covariance.copy()
    covariance[:, :, :, 5, 10:14] = np.nan
    spoilt = paths.copy()
    spoilt[:, :, 5, 10:14] = 50.0
    problem = TotalVariation(information_of(covariance), Projector(ANGLES, COLUMNS, **PLACE))
    found = problem.maps(problem.solve(spoilt, 1.0))
    assert np.sqrt(np.mean((found - truth) ** 2)) < 0.06


@pytest.mark.parametrize("noise", [0.5, 3.0])
def test_the_weight_from_the_data_is_near_the_best(noise):
    truth = ball_with_core(16)
    paths, covariance = measured(truth, seed=3, covariance=noise**2 * COVARIANCE)
    information = information_of(covariance)
    choice = choose_weight(paths, information, ANGLES, **PLACE)
    problem = TotalVariation(information, Projector(ANGLES, COLUMNS, **PLACE))

    def error(weight):
        return np.sqrt(np.mean((problem.maps(problem.solve(paths, weight)) - truth) ** 2))

    assert error(choice.weight) < 1.15 * min(error(weight) for weight in choice.weights)


def test_joint_of_a_small_scan_is_better_and_as_honest(closed_loop):
    image, found = (closed_loop("tiny", analysis__method=method)[3] for method in ("image", "joint"))
    assert found["phase_rmse"] < 0.8 * image["phase_rmse"]
    assert abs(found["bulk_fraction_error"]) < 0.02
    assert found["scored_share"] > 0.99
    assert 0.4 < found["pull_std"] < 1.6


@pytest.mark.slow
def test_a_missing_wedge_costs_less_than_half(closed_loop):
    wedge = {"scan__first_angle_deg": -60.0, "scan__last_angle_deg": 60.0, "scan__angles": 41}
    image, found = (closed_loop("tiny", analysis__method=method, **wedge)[3]["phase_rmse"] for method in ("image", "joint"))
    assert found < 0.5 * image


def test_it_invents_no_phases(closed_loop):
    _, _, conclusion, scores = closed_loop("tiny", analysis__method="joint", front__kind="solid-solution", front__fraction=0.4)
    histogram = phase_histogram(conclusion.map)
    assert histogram is None or not histogram.two_phases
    assert abs(scores["phase_bias"]) < 0.02


def test_joint_has_its_own_engine():
    with pytest.raises(InputError, match=r"analysis\.engine: found tomopy with method joint"):
        Analysis(method="joint", engine="tomopy").check()
    with pytest.raises(InputError, match=r"analysis\.method: found joint for a series"):
        Analysis(method="joint").check(series=True)
    assert set(pipeline.METHODS) == {"image", "projection", "joint"}


@pytest.mark.slow
@pytest.mark.parametrize(("seed", "kind"), [(21, "core-shell"), (22, "domino"), (23, "mosaic")])
def test_low_dose(closed_loop, seed, kind):
    """Seeds and fronts that no setting was chosen on."""
    image, found = (
        closed_loop("low-dose", seed=seed, front__kind=kind, analysis__method=method)[3] for method in ("image", "joint")
    )
    assert image["phase_rmse"] <= 0.17
    assert found["phase_rmse"] <= 0.067
    assert abs(found["bulk_fraction_error"]) < 0.005
    # Neighbours share their errors: the spread of pulls is itself known to a third or so. Better said too large than too small.
    assert 0.4 < found["pull_std"] < 1.2
    assert found["coverage_95"] > 0.9


@pytest.mark.slow
def test_a_solid_solution_stays_one_phase_at_low_dose(closed_loop):
    options = {"seed": 24, "front__kind": "solid-solution", "front__fraction": 0.4, "analysis__method": "joint"}
    _, _, conclusion, scores = closed_loop("low-dose", **options)
    histogram = phase_histogram(conclusion.map)
    assert histogram is not None
    assert not histogram.two_phases
    assert abs(scores["phase_bias_interior"]) < 0.01
