"""What every accuracy score must do: be 0 or 1 at the truth, worsen with corruption, not reward silence, agree with others."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter
from scipy.spatial import cKDTree
from scipy.spatial.distance import dice

from analysis.result import AmountMap
from phantom import FP, LFP, Front, Particle, make_sample
from validation.scores import SCORES, Overlay, average_onto, compare, fourier_shell, overlay, score, score_pair

ACCURACY = {one.name: one for one in SCORES if one.best is not None}
VOXELS, VOXEL_UM = 48, 0.12


@pytest.fixture(scope="module")
def truth():
    particle = Particle(orientation_deg=(20.0, 30.0, 40.0))
    phantom = make_sample(particle, Front(), LFP, FP, (96, 96, 96), VOXEL_UM / 2, np.random.default_rng(1)).at(0.75)
    return AmountMap(phantom.species, phantom.amounts, VOXEL_UM / 2)


@pytest.fixture(scope="module")
def perfect(truth):
    return average_onto(truth, (VOXELS,) * 3, VOXEL_UM, np.zeros(3))


def with_x(m, x):
    """A map of the same iron with another phase fraction."""
    iron = m.iron
    return replace(m, amounts=np.stack([iron * (1 - x), iron * x]).astype(np.float32))


def noisy(perfect, size, seed=0):
    noise = np.random.default_rng(seed).normal(size=perfect.iron.shape)
    return with_x(perfect, np.nan_to_num(perfect.phase_fraction) + size * noise)


def with_offset(perfect, size):
    return with_x(perfect, np.nan_to_num(perfect.phase_fraction) + size)


def silent_in(perfect, where):
    amounts = perfect.amounts.copy()
    amounts[:, where] = 0
    return replace(perfect, amounts=amounts)


def with_holes(perfect, size):
    return silent_in(perfect, np.random.default_rng(0).random(perfect.iron.shape) < size)


def with_false_iron(perfect, size):
    amounts = perfect.amounts.copy()
    amounts[0, :2][np.random.default_rng(0).random((2, VOXELS, VOXELS)) < size] = 1
    return replace(perfect, amounts=amounts)


CORRUPTIONS = {
    "phase_rmse": noisy,
    "phase_rmse_interior": noisy,
    "phase_bias": with_offset,
    "phase_bias_interior": with_offset,
    "phase_bias_interior_LFP": with_offset,
    "phase_bias_interior_FP": with_offset,
    "scored_share": with_holes,
    "bulk_fraction_error": with_offset,
    "dice_LFP": noisy,
    "dice_FP": noisy,
    "front_distance_um": noisy,
    "false_particle_share": with_false_iron,
}


def wrong(scores):
    """How far each accuracy score is from its best value; a score that cannot be formed is infinitely far."""
    return {name: np.inf if (v := scores[name]) is None else abs(v - one.best) for name, one in ACCURACY.items()}


def test_every_accuracy_score_is_at_its_best_at_the_truth(truth, perfect):
    assert set(CORRUPTIONS) == set(ACCURACY)
    scores = score(truth, perfect)
    for name, one in ACCURACY.items():
        assert scores[name] == pytest.approx(one.best, abs=1e-6), name
        assert one.best in (0, 1)


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_every_accuracy_score_worsens_as_corruption_grows(name, truth, perfect):
    found = [wrong(score(truth, CORRUPTIONS[name](perfect, size)))[name] for size in (0.0, 0.03, 0.1, 0.3, 0.6)]
    assert found == sorted(found)
    assert found[1] > found[0] or name in ("dice_LFP", "dice_FP", "front_distance_um")  # 3 % turns no voxel over
    assert found[4] > found[3] > found[2]


def test_resolution_worsens_with_blur(truth, perfect):
    """Fourier shell correlation does not see what is filtered alike at all frequencies of a shell, but what noise then hides."""
    noise = 0.05 * np.random.default_rng(0).normal(size=perfect.amounts.shape)
    found = [
        score(truth, replace(perfect, amounts=(gaussian_filter(perfect.amounts, (0, s, s, s)) + noise).astype(np.float32)))
        for s in (0.3, 0.8, 1.3, 2.0)
    ]
    for name in ("fsc_truth_iron_um", "fsc_truth_phase_um"):
        values = [one[name] for one in found]
        assert values == sorted(values), name
        assert values[-1] > 1.5 * values[0]


@given(
    size=st.floats(0.05, 1.5),
    kind=st.sampled_from(["worst", "too high", "too low", "wrong phase"]),
    share=st.floats(0.01, 0.3),
    seed=st.integers(0, 100),
)
def test_leaving_hard_voxels_out_never_pays(perfect, size, kind, share, seed):
    """Whichever voxels one would rather not answer, no accuracy score comes nearer to its best."""
    result = noisy(perfect, size, seed)
    particle = perfect.iron >= 0.5
    error = np.where(particle, result.phase_fraction - perfect.phase_fraction, 0)
    worst = {
        "worst": np.abs(error) > np.quantile(np.abs(error[particle]), 1 - share),
        "too high": error > np.quantile(error[particle], 1 - share),
        "too low": error < np.quantile(error[particle], share),
        "wrong phase": (result.phase_fraction >= 0.5) != (perfect.phase_fraction >= 0.5),
    }[kind]
    # On one grid: holes in the iron move the shift that is found, and with it every score, by some 1e-6.
    before, after = (score_pair(Overlay(perfect, one, np.zeros(3))) for one in (result, silent_in(result, worst & particle)))
    gained, lost = wrong(before), wrong(after)
    for name in ACCURACY:
        # The sums of the bulk fraction cut nothing off: a voxel that errs by more than 1 is better left out.
        if name != "bulk_fraction_error" or np.abs(error).max() < 1:
            assert lost[name] >= gained[name] - 1e-6, name
    if size < 0.4:  # a correlation is no sum over voxels, so only within 2 %, and where noise is no worse than silence
        assert after["fsc_truth_phase_um"] >= 0.98 * before["fsc_truth_phase_um"]


@pytest.fixture(scope="module")
def pair(truth, perfect):
    return overlay(truth, noisy(perfect, 0.3))


def test_errors_agree_with_the_plain_formula(pair):
    true, found = pair.truth, pair.result
    scored = true.iron >= 0.5
    error = np.clip((found.phase_fraction - true.phase_fraction)[scored].astype(float), -1, 1)
    scores = {one.name: one(compare(pair)) for one in SCORES}
    assert scores["phase_rmse"] == pytest.approx(np.sqrt((error**2).mean()))
    assert scores["phase_bias"] == pytest.approx(error.mean())
    assert (np.abs(error) < 1).mean() > 0.999  # what is cut off at 1 is rare


def test_overlap_agrees_with_scipy(pair):
    true, found = pair.truth, pair.result
    scores = {one.name: one(compare(pair)) for one in SCORES}
    for name, phase in (("dice_LFP", lambda x: x < 0.5), ("dice_FP", lambda x: x >= 0.5)):
        a, b = ((m.iron >= 0.5) & phase(np.nan_to_num(m.phase_fraction, nan=np.nan)) for m in (true, found))
        assert scores[name] == pytest.approx(1 - dice(a.ravel(), b.ravel())), name


def test_front_distance_agrees_with_a_search_for_neighbours(pair):
    def places(m, particle):
        fp = particle & (m.phase_fraction >= 0.5)
        here = [
            p
            for p in np.argwhere(particle & ~fp)
            if any(fp[tuple(np.clip(p + step, 0, VOXELS - 1))] for step in (*np.eye(3, dtype=int), *-np.eye(3, dtype=int)))
        ]
        return np.array(here)

    particle = pair.truth.iron >= 0.5
    a, b = places(pair.truth, particle), places(pair.result, particle)
    both = cKDTree(a).query(b)[0].mean(), cKDTree(b).query(a)[0].mean()
    (front_distance,) = (one for one in SCORES if one.name == "front_distance_um")
    assert front_distance(compare(pair)) == pytest.approx(VOXEL_UM * np.mean(both))


def test_resolution_agrees_with_a_loop_over_shells(pair):
    a, b = pair.truth.iron.astype(float), gaussian_filter(pair.result.iron, 1.0)
    b = b + 0.1 * np.random.default_rng(0).normal(size=b.shape)
    fa, fb = np.fft.fftn(a), np.fft.fftn(b)
    k = np.sqrt(sum(f**2 for f in np.meshgrid(*[np.fft.fftfreq(VOXELS, 1 / VOXELS)] * 3, indexing="ij")))
    curve = []
    for radius in range(VOXELS // 2 + 1):
        shell = (k >= radius - 0.5) & (k < radius + 0.5)
        cross = (fa[shell] * fb[shell].conj()).sum().real
        curve.append(cross / np.sqrt((abs(fa[shell]) ** 2).sum() * (abs(fb[shell]) ** 2).sum()))
    first = next(n for n, value in enumerate(curve) if n and value < 0.5)
    radius = first - 1 + (curve[first - 1] - 0.5) / (curve[first - 1] - curve[first])
    assert fourier_shell(a, b, VOXEL_UM) == pytest.approx(VOXELS * VOXEL_UM / radius, rel=0.01)


def test_bulk_fraction_and_grids_agree_with_block_means(truth, perfect):
    blocks = truth.amounts.reshape(2, VOXELS, 2, VOXELS, 2, VOXELS, 2).mean(axis=(2, 4, 6))
    np.testing.assert_allclose(perfect.amounts, blocks, atol=1e-6)
    weighted = np.average(truth.amounts[1] / np.maximum(truth.iron, 1e-9), weights=truth.iron)
    assert score(truth, perfect)["bulk_fraction_truth"] == pytest.approx(weighted, abs=1e-5)


@pytest.mark.parametrize("size", [0.0, 1e4, 0.04])
@pytest.mark.parametrize("sigma", [None, 0.0, 1e30, 1e-30, np.nan])
def test_whatever_a_map_holds_its_scores_are_finite_or_null(truth, perfect, size, sigma):
    amounts = np.full_like(perfect.amounts, size)
    known = None if sigma is None else np.full(perfect.iron.shape, sigma, np.float32)
    scores = score(truth, replace(perfect, amounts=amounts, phase_fraction_sigma=known))
    assert all(value is None or np.isfinite(value) for value in scores.values())
    assert scores["phase_rmse"] > 0.2
