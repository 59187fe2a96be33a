"""Alignment: frames brought back, what that does to their noise, and what is found from the sample itself."""

from dataclasses import replace

import numpy as np
import pytest
from alignment import UNDISTURBED, aligned_and_scored
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter

from analysis.align.alignment import Align, _straight_line, align, check_sense
from analysis.align.axis import find_axis, from_centroids, from_opposite_views
from analysis.align.centroid import centroids, moved, turning
from analysis.align.energy_scale import foil_offset
from analysis.align.frames import Frames
from analysis.align.role import align_energies, align_views
from analysis.prepare.geometry import Geometry, straight
from analysis.prepare.interpolation import noise_after, still_shared
from instrument.measurement import InputError, Spectrum
from phantom import Ellipsoid, ellipsoid_paths
from validation.alignment_scores import remaining

BODY = (Ellipsoid((0.5, 2.0, -3.0), (12.0, 16.0, 14.0), 0.06, 2), Ellipsoid((0.0, -5.0, 4.0), (5.0, 6.0, 5.0), 0.03, 2))
SMALL = {
    "scan.rows": 72,
    "scan.columns": 80,
    "scan.pixel_um": 0.12,
    "scan.angles": 61,
    "scan.energies_eV": [7090.0, 7115.0, 7120.0, 7125.0, 7128.0, 7134.0, 7150.0, 7180.0],
    "stage.runout_um": 0.12,
    "stage.energy_shift_um": 0.6,
}
RIGHT_SCALE = {f"standards.{name}.energy_offset_eV": -0.5 for name in ("LFP", "FP")}  # the scan's own offset undone
FEW = {"scan.angles": 45, "scan.energies_eV": [7090.0, 7120.0, 7125.0, 7128.0, 7134.0, 7180.0]}


def views(angles, shifts, shape=(40, 56), center=0.0):
    """Projections (n, row, column) of two ellipsoids whose images have moved by `shifts` (n, 2)."""
    v, u = (np.arange(n) - (n - 1) / 2 for n in shape)
    return np.stack(
        [ellipsoid_paths(BODY, angles[k : k + 1], v - row, u - column - center)[0] for k, (row, column) in enumerate(shifts)]
    )


def outcome(changes):
    """Map scores and alignment scores of a small `misaligned`."""
    return aligned_and_scored(SMALL | changes)


@given(
    st.floats(-3, 3), st.floats(-3, 3), st.floats(0.985, 1.015), st.floats(-0.03, 0.03), st.integers(30, 41), st.integers(30, 41)
)
def test_a_frame_misplaced_and_straightened_is_itself(row, column, scale, roll, rows, columns):
    image = gaussian_filter(np.random.default_rng(0).normal(size=(1, rows, columns)), (0, 2, 2))
    geometry = Geometry(np.array([[[row, column]]]), np.array([scale]), roll, (columns - 1) / 2)
    seen = geometry.misplace(image, 0)
    again = geometry.straighten(seen, 0, 0, slice(0, rows), (rows, columns))
    assert np.abs(again - image)[0, 8:-8, 8:-8].max() < 0.02 * np.abs(image).max()


def test_a_block_of_rows_is_straightened_as_the_whole_frame():
    rng = np.random.default_rng(1)
    images = gaussian_filter(rng.normal(size=(3, 40, 36)), (0, 1.5, 1.5))
    geometry = Geometry(rng.normal(size=(1, 3, 2)) * 3, np.array([1.01]), 0.02, 17.5)
    whole = geometry.straighten(images, 0, 0, slice(0, 40), (40, 36))
    for rows in (slice(0, 8), slice(16, 24), slice(33, 40)):
        needed = geometry.rows_needed(0, rows, (40, 36))
        part = geometry.straighten(images[:, needed], 0, needed.start, rows, (40, 36))
        assert np.abs(part - whole[:, rows])[..., 8:-8].max() < 1e-3


@pytest.mark.parametrize("spread", [0.0, 0.7], ids=["white", "correlated"])
def test_noise_after_interpolation_is_as_stated(spread):
    rng = np.random.default_rng(2)
    noise = gaussian_filter(rng.normal(size=(40, 96, 96)), (0, spread, spread)) if spread else rng.normal(size=(40, 96, 96))
    correlation = np.array([(noise[..., lag:] * noise[..., : 96 - lag]).mean() for lag in range(8)])
    geometry = Geometry(rng.normal(size=(1, 40, 2)), np.ones(1), 0.0, 47.5)
    after = geometry.straighten(noise, 0, 0, slice(0, 96), (96, 96))[:, 8:-8, 8:-8]
    factor, stated = noise_after(geometry, 0, (96, 96), correlation / correlation[0])
    assert after.var() / noise.var() == pytest.approx(factor, rel=0.02)
    found = np.array([(after[..., lag:] * after[..., : 80 - lag]).mean() for lag in range(8)])
    np.testing.assert_allclose(found / found[0], stated, atol=0.015)
    assert noise_after(straight(1, 40, 47.5), 0, (96, 96), correlation)[0] == 1


def test_an_error_that_views_share_is_shared_less_where_they_move_apart():
    rng = np.random.default_rng(3)
    pattern = rng.normal(size=(96, 96))
    for size in (0.2, 1.0):
        geometry = Geometry(rng.normal(size=(1, 48, 2)) * size, np.ones(1), 0.0, 47.5)
        seen = np.broadcast_to(pattern, (48, 96, 96)).copy()
        after = geometry.straighten(seen, 0, 0, slice(0, 96), (96, 96))[:, 10:-10, 10:-10]
        assert after.mean(axis=0).var() == pytest.approx(still_shared(geometry, 0), abs=0.06)


def test_centroids_know_where_a_turning_sample_should_be():
    angles = np.deg2rad(np.arange(0, 180, 6.0))
    shifts = np.random.default_rng(4).normal(size=(30, 2))
    columns = turning(angles)
    shifts[:, 0] -= shifts[:, 0].mean()
    shifts[:, 1] -= columns @ np.linalg.lstsq(columns, shifts[:, 1], rcond=None)[0]
    found, axis, _ = moved(centroids(views(angles, shifts, center=1.7).transpose(1, 0, 2)), angles)
    assert np.abs(found - shifts).max() < 0.02
    assert axis == pytest.approx(1.7, abs=0.02)
    cut = views(angles, shifts, shape=(40, 24)).transpose(1, 0, 2)
    assert np.isnan(centroids(cut)).any()
    # Matter all around, as deep as the sample, hides nothing of it.
    np.testing.assert_array_equal(np.isnan(centroids(cut + cut.max())), np.isnan(centroids(cut)))


def test_opposite_views_tell_the_axis_of_a_sample_beyond_the_field():
    angles = np.deg2rad(np.arange(-90, 90.1, 5))
    stack = views(angles, np.zeros((37, 2)), shape=(20, 30), center=2.3)
    frames = Frames(lambda _: stack.transpose(1, 0, 2).astype(np.float32), 1, angles, (20, 30), 1.0)
    stated = straight(1, 37, 14.5)
    assert from_centroids(frames, stated) is None
    assert find_axis(frames, stated).geometry.center_px == pytest.approx(16.8, abs=0.1)
    narrow = Frames(lambda _: stack[:-1].transpose(1, 0, 2).astype(np.float32), 1, angles[:-1], (20, 30), 1.0)
    assert from_opposite_views(narrow, straight(1, 36, 14.5)) is None
    with pytest.raises(InputError, match="--center"):
        align(narrow, straight(1, 36, 14.5), np.zeros(1), lambda _: np.ones((1, 1)), np.ones(1), Align(center=True))


def test_opposite_views_are_taken_at_the_scan_s_own_energies():
    angles = np.deg2rad([0.0, 90.0, 180.0])
    looked = []
    stack = views(angles, np.zeros((3, 2)), shape=(20, 30), center=2.0).transpose(1, 0, 2).astype(np.float32)
    frames = Frames(lambda energy: looked.append(energy) or stack, 11, angles, (20, 30), 1.0)
    assert from_opposite_views(frames, straight(11, 3, 14.5)).geometry.center_px == pytest.approx(16.5, abs=0.1)
    assert (min(looked), max(looked), len(looked)) == (0, 10, 8)


def test_a_magnification_s_sigma_is_that_of_its_scatter():
    """About a straight line in energy, where that is wider than stated, by its degrees of freedom; else as stated."""
    energies = np.linspace(7100, 7180, 12)
    away = energies / energies[0] - 1
    sigma = np.full(12, 1e-4)
    rng = np.random.default_rng(3)
    found = []
    for _ in range(400):
        scale, stated = _straight_line(1 / (1 + 0.5 * away) + 3e-4 * rng.normal(size=12), sigma, energies)
        found.append((scale[-1] - 1 / (1 + 0.5 * away[-1]), stated[-1]))
    errors, stated = np.array(found).T
    assert np.sqrt(np.mean(stated**2)) == pytest.approx(errors.std(), rel=0.1)
    exact, least = _straight_line(1 / (1 + 0.5 * away), sigma, energies)
    np.testing.assert_allclose(exact, 1 / (1 + 0.5 * away), rtol=1e-9)
    assert stated.min() >= 0.999 * least[-1]


def test_the_role_aligns_views_of_one_energy():
    rng = np.random.default_rng(5)
    angles = np.deg2rad(np.linspace(-90, 90, 60, endpoint=False))
    shifts = rng.normal(size=(60, 2))
    stack = views(angles, shifts, center=3.0)
    found = align_views(stack + 0.01 * rng.normal(size=stack.shape), angles)
    truth = Geometry(shifts[None], np.ones(1), 0.0, 27.5)
    left, _ = remaining(Geometry(found[None], np.ones(1), 0.0, 27.5), truth, angles)
    assert np.sqrt(np.mean(left**2)) < 0.03


def test_the_role_aligns_energies_and_is_not_fooled_by_contrast():
    rng = np.random.default_rng(6)
    energies = np.linspace(7100, 7160, 13)
    lfp = 0.3 + 1 / (1 + np.exp(-(energies - 7121)))
    fp = 0.3 + 1 / (1 + np.exp(-(energies - 7126))) + 0.5 * np.exp(-(((energies - 7132) / 3) ** 2))
    shifts = 4 * rng.normal(size=(13, 2))

    def image(k):
        v, u = (np.arange(n) - (n - 1) / 2 - shift for n, shift in zip((40, 56), shifts[k], strict=True))
        whole, core = (
            ellipsoid_paths([Ellipsoid(center, axes, 0.06, 2)], np.zeros(1), v, u)[0]
            for center, axes in (((0.5, 2.0, -3.0), (9.0, 12.0, 10.0)), ((0.5, -1.0, -2.0), (5.0, 4.0, 5.0)))
        )
        return lfp[k] * core + fp[k] * (whole - core)

    stack = np.stack([image(k) for k in range(13)])
    left = align_energies(stack + 0.01 * rng.normal(size=stack.shape), energies) - shifts
    assert (left - left.mean(axis=0)).std() < 0.1
    with pytest.raises(InputError, match="at least 4"):
        align_energies(stack[:3], energies[:3])
    with pytest.raises(InputError, match="finite"):
        align_energies(stack, energies[:5])
    with pytest.raises(InputError, match="1 of 13 images are blank, the first is number 4"):
        align_energies(np.where(np.arange(13)[:, None, None] == 4, 0, stack), energies)
    with pytest.raises(InputError, match="rows and columns"):
        align_energies(stack[:, :1], energies)


@pytest.mark.slow
def test_all_at_once_on_a_small_scan():
    found = outcome({})
    assert found["shifts_error_px"] < 0.05
    assert found["magnification_error"] < 1e-3
    assert abs(found["energy_offset_error_eV"]) < 0.05
    assert abs(found["center_error_px"]) < 0.1
    assert 0.9 < found["pull_std"] < 1.15
    assert 0.3 < found["shifts_sigma_px"] / found["shifts_error_px"] < 5
    assert 0.3 < found["magnification_sigma"] / max(found["magnification_error"], 1e-4) < 5


@pytest.mark.parametrize(
    ("wish", "disturbed", "error", "bound"),
    [
        ("center", {"stage.center_offset_px": 7.0}, "center_error_px", 0.1),
        ("shifts", {"stage.runout_um": 0.12}, "shifts_error_px", 0.05),
        ("magnification", {"optics.magnification_change": 1.0}, "magnification_error", 1e-3),
        ("roll", {"stage.roll_deg": 0.8}, "roll_error_deg", 0.15),
        ("energy", {"monochromator.offset_eV": 0.5} | RIGHT_SCALE, "energy_offset_error_eV", 0.05),
    ],
)
def test_each_alone(wish, disturbed, error, bound):
    wishes = {f"analysis.align.{wish}": "free" if wish == "magnification" else True}
    found = outcome(FEW | UNDISTURBED | disturbed | wishes)
    assert abs(found[error]) < bound
    assert 0 < abs(found[error]) < 3.5 * found[error.replace("error", "sigma")]
    others = {"center_error_px", "shifts_error_px", "magnification_error", "roll_error_deg", "energy_offset_error_eV"} - {error}
    assert {name for name in others if found[name] is not None} <= {"center_error_px"}


def test_frames_that_miss_a_part_of_the_sample_are_put_where_the_others_say():
    rng = np.random.default_rng(7)
    angles = np.deg2rad(np.arange(0, 180, 6.0))
    shifts = rng.normal(size=(30, 2)) + np.array([4.0, 0.0])
    shifts[[3, 17]] += [14.0, 0.0]  # beyond the last row
    stack = views(angles, shifts, center=2.0)
    frames = Frames(lambda _: stack.transpose(1, 0, 2).astype(np.float32), 1, angles, stack.shape[1:], 1.0)
    start = from_centroids(frames, straight(1, 30, 27.5))
    others = np.delete(np.arange(30), [3, 17])
    left, _ = remaining(
        Geometry(start.geometry.shifts_px[:, others], np.ones(1), 0.0, start.geometry.center_px),
        Geometry(shifts[None, others] + [0.0, 2.0], np.ones(1), 0.0, 27.5),
        angles[others],
    )
    assert np.abs(left).max() < 0.05
    assert not start.geometry.shifts_px[0, [3, 17]].any()
    assert start.geometry.center_px == pytest.approx(29.5, abs=0.6)


def test_views_that_tell_nothing_are_refused(closed_loop):
    with pytest.raises(InputError, match="do not tell where frames lie"):
        closed_loop("tiny", scan__first_angle_deg=0.0, scan__last_angle_deg=20.0, analysis__align__shifts=True)


def test_rings_are_not_sought_with_few_views(closed_loop):
    with pytest.raises(InputError, match="gap of 20 degrees, which tells rings from no sample; allowed is at"):
        closed_loop("tiny", scan__angles=9, scan__last_angle_deg=70.0, analysis__align__rings=True)


@given(st.sampled_from(["size", "place"]), st.floats(0.3, 5))
def test_a_sample_that_changes_as_none_does_is_refused(what, by):
    frames = Frames(lambda _: np.zeros((40, 3, 50), np.float32), 2, np.arange(3.0), (40, 50), 1.0)
    straight_ = straight(2, 3, 24.5)
    check_sense(straight_, frames)
    if what == "size":
        wrong = replace(straight_, scale=np.array([1.0, 1.0 + by]))
    else:
        wrong = replace(straight_, shifts_px=straight_.shifts_px + 20 * (1 + by))
    with pytest.raises(InputError, match="do not tell where frames lie"):
        check_sense(wrong, frames)


def test_a_foil_sets_the_scale_of_energy():
    energies = np.arange(7100, 7140, 0.4)
    for offset in (-1.3, 0.0, 0.7):  # true energies are higher by that
        true = energies + offset - 7112.0
        mu = 0.1 + 0.35 / (1 + np.exp(-true / 0.6)) + 0.55 / (1 + np.exp(-(true - 7) / 1.2))
        found, sigma = foil_offset(Spectrum("Fe", energies, mu))
        assert found == pytest.approx(offset, abs=0.05)
        assert 0 < sigma < 0.1
    with pytest.raises(InputError, match="1 eV"):
        foil_offset(Spectrum("Fe", energies[::5], mu[::5]))
    with pytest.raises(InputError, match="rises nowhere"):
        foil_offset(Spectrum("Fe", energies, 0.1 + 0 * energies))


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
def test_the_whole_study(seed):
    found, best = aligned_and_scored({"seed": seed}), aligned_and_scored({"seed": seed} | UNDISTURBED)
    assert found["shifts_error_px"] < 0.2
    assert found["magnification_error"] < 2e-4
    assert abs(found["energy_offset_error_eV"]) < 0.05
    assert found["phase_rmse"] < 1.15 * best["phase_rmse"]
    assert 0.9 < found["pull_std"] < 1.1
