"""Phases of a map against analytic core-shells: segmentation, fronts, thickness, displacement, and the uncertainty of each."""

import dataclasses
import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter
from scipy.spatial.transform import Rotation

from analysis.phases import (
    Phase,
    exposed_share,
    front_displacement,
    front_surface,
    front_width_um,
    phase_histogram,
    segment,
    shell_by_direction,
    shell_thickness,
    shells,
    turned_layer,
)
from analysis.phases.scatter import map_noise
from analysis.result import AmountMap, phase_fraction_sigma
from phantom import Ellipsoid, voxelize

VOXEL = 0.1
SHAPE = (47, 56, 53)
LAB = np.eye(3)
TURNED = Rotation.from_euler("zyx", (30, 45, 10), degrees=True).as_matrix()
MIXING = np.array([[1.0, -0.5], [-0.5, 1.0]])  # of the noise of two species
X, Y, Z = (0, 1), (2, 3), (4, 5)


def solid(semi_axes, turn=LAB, center=(0.0, 0.0, 0.0), shape=SHAPE):
    return voxelize([Ellipsoid(center, tuple(np.broadcast_to(semi_axes, 3).astype(float)), rotation=turn)], shape, VOXEL)


def mapped(lfp, fp, noise=0.0, seed=0, stated=1.0):
    """A map of amounts (z, y, x) with noise that neighbours in the slice share, and `stated` times its sigma."""
    amounts = np.stack([lfp, fp]).astype(float)
    rng = np.random.default_rng(seed)
    white = gaussian_filter(rng.standard_normal(amounts.shape), (0, 0, 0.6, 0.6))
    amounts += noise * np.einsum("st,tzyx->szyx", np.linalg.cholesky(MIXING), white / white.std())
    covariance = (stated * noise) ** 2 * np.broadcast_to(MIXING[:, :, None, None, None], (2, *amounts.shape))
    return AmountMap(
        ("LFP", "FP"),
        amounts.astype(np.float32),
        VOXEL,
        amounts_sigma=np.full(amounts.shape, stated * noise, np.float32) if noise else None,
        phase_fraction_sigma=phase_fraction_sigma(amounts.astype(np.float32), covariance.astype(np.float32), ("LFP", "FP")),
    )


@pytest.mark.parametrize("axes", ["z:y:x", "time:y:x"])
def test_a_surface_is_left_out_of_the_histogram(axes):
    """Blurred and noisy, it looks mixed: in every slice of a volume, and at every moment of a series."""
    x = np.zeros((6, 14, 14))
    x[..., 7:] = 1
    rim = np.ones(x.shape, bool)
    rim[(slice(None) if axes == "time:y:x" else slice(1, -1)), 1:-1, 1:-1] = False
    x[rim] = np.random.default_rng(0).uniform(0.2, 0.8, rim.sum())
    found = phase_histogram(dataclasses.replace(mapped(np.pad(1 - x, 2), np.pad(x, 2), 0.02), axes=axes))
    assert found.places == pytest.approx((0, 1), abs=0.01)
    assert found.shares[2] < 0.02


def core_shell(outer, inner, turn=LAB, off=(0.0, 0.0, 0.0), **noise):
    """Semi-axes of particle and core, um; the core's centre may be off the particle's."""
    whole, core = solid(outer, turn), solid(inner, turn, off)
    return mapped(core, whole - core, **noise)


# A front of these speeds turns an ellipsoid of semi-axes in their ratio into one similar to it: thickness in closed form.
SIMILAR = np.array([1.3, 2.3, 1.8])


@pytest.mark.parametrize("turn", [LAB, TURNED], ids=["lab", "turned"])
@pytest.mark.parametrize("share", [0.25, 0.4])
def test_thickness_along_the_crystals_axes(turn, share):
    found = shell_thickness(core_shell(SIMILAR, (1 - share) * SIMILAR, turn), turn.T)
    assert found.thickness_um == pytest.approx(share * SIMILAR, abs=0.1 * VOXEL)
    assert (np.abs(found.thickness_um - share * SIMILAR) < 2 * found.sigma_um).all()
    for over, under in ((1, 0), (2, 0)):
        assert found.ratio(over, under)[0] == pytest.approx(SIMILAR[over] / SIMILAR[under], rel=0.02)


def test_the_frame_is_the_one_asked_for():
    """In the lab frame a turned shell has other thicknesses; with axes permuted, permuted ones."""
    one = core_shell(SIMILAR, 0.7 * SIMILAR, TURNED)
    crystal, again = (shell_thickness(one, TURNED.T[order]).thickness_um for order in ([0, 1, 2], [2, 0, 1]))
    assert again == pytest.approx(crystal[[2, 0, 1]], abs=1e-3)
    along_z = shell_by_direction(one, LAB).thickness_um[[4, 5]].mean()
    assert 0.3 * SIMILAR.min() < along_z < 0.3 * SIMILAR.max()
    assert np.ptp(shell_by_direction(one, TURNED.T).thickness_um) > np.ptp(shell_by_direction(one, LAB).thickness_um)


def test_a_one_sided_shell_by_signed_directions():
    """A core 0.4 um off the middle towards -y: shells of 0.3 and 1.1 um; along z and x what the circle leaves."""
    found = shell_by_direction(core_shell(2.2, 1.5, off=(0.0, -0.4, 0.0)), LAB)
    aside = np.sqrt(2.2**2 - 0.4**2) - 1.5
    assert found.thickness_um == pytest.approx([aside, aside, 0.3, 1.1, aside, aside], abs=0.2 * VOXEL)
    assert found.ratio(3, 2)[0] == pytest.approx(1.1 / 0.3, rel=0.05)
    assert found.exceeds(3, 2, 2.0) > 3
    assert found.exceeds(3, 2, 5.0) < -3


def cone_mean(inner, outer):
    """Way from one ellipsoid's surface along its normals to a larger one's, mean near -x, +x, -y ..., by 200,000 rays."""
    rng = np.random.default_rng(0)
    ball = rng.standard_normal((200_000, 3))
    ball /= np.linalg.norm(ball, axis=1, keepdims=True)
    place, normal = ball * inner, ball / inner
    area = np.linalg.norm(normal, axis=1)  # times a constant
    normal /= area[:, None]
    a, b, c = (((u * v) / np.square(outer)).sum(axis=1) for u, v in ((normal, normal), (place, normal), (place, place)))
    way = (-b + np.sqrt(b**2 - a * (c - 1))) / a
    signed = np.stack([-normal, normal], axis=-1).reshape(-1, 6)
    weights = area[:, None] * np.maximum(signed - np.cos(np.deg2rad(25)), 0)
    return (weights * way[:, None]).sum(axis=0) / weights.sum(axis=0)


def test_displacement_between_two_stages():
    """What turned between two maps, with the particle's surface or the earlier front to start from, against rays."""
    whole, early, late = (2.2, 2.0, 2.1), (2.1, 1.5, 2.0), (1.7, 1.4, 1.6)
    maps = [mapped(solid(whole), 0 * solid(1.0)), core_shell(whole, early), core_shell(whole, late)]
    first, second = (turned_layer(a, b, LAB) for a, b in itertools.pairwise(maps))
    for layer, true in ((first, cone_mean(early, whole)), (second, cone_mean(late, early))):
        assert layer.thickness_um == pytest.approx(true, abs=0.15 * VOXEL)
        assert (np.abs(layer.thickness_um - true) < 3 * layer.sigma_um).all()
    assert second.thickness_um == pytest.approx(front_displacement(*maps[1:], LAB), abs=1e-3)
    assert first.exceeds(Y, X, 2.0) > 3
    assert second.exceeds(X, Y, 2.0) > 3
    assert abs(second.exceeds(X, Z, 1.0)) < 2


def pulls(layers, over, under, true):
    return [(ratio - true) / sigma for ratio, sigma in (layer.ratio(over, under) for layer in layers)]


@pytest.mark.parametrize("noise", [pytest.param(0.1, marks=pytest.mark.slow), 0.3])
def test_equal_speeds_measure_one_within_two_sigma(noise):
    """Ratios of a shell alike in all directions over seeds, along turned crystal axes and between two stages."""
    shells, moved = [], []
    for seed in range(4):
        early, late = (
            core_shell((2.1, 1.9, 2.0), np.subtract((2.1, 1.9, 2.0), t), TURNED, noise=noise, seed=10 * seed + k)
            for k, t in enumerate((0.4, 0.8))
        )
        shells.append(shell_thickness(early, TURNED.T))
        moved.append(turned_layer(early, late, TURNED.T))
    found = [*pulls(shells, 1, 0, 1), *pulls(shells, 2, 0, 1), *pulls(moved, Y, X, 1), *pulls(moved, Z, X, 1)]
    assert (np.abs(found) < 2).mean() > 0.9
    assert np.sqrt(np.mean(np.square(found))) > 0.3
    assert max(layer.ratio(1, 0)[1] for layer in shells) < 0.2 * noise + 0.02


@pytest.mark.parametrize("noise", [pytest.param(0.1, marks=pytest.mark.slow), 0.3])
def test_sigma_of_an_anisotropy_covers_its_error(noise):
    """Thicknesses in the ratio of SIMILAR under noise, over seeds."""
    found = [shell_thickness(core_shell(SIMILAR, 0.6 * SIMILAR, TURNED, noise=noise, seed=k), TURNED.T) for k in range(5)]
    ratios = pulls(found, 1, 0, SIMILAR[1] / SIMILAR[0]) + pulls(found, 2, 0, SIMILAR[2] / SIMILAR[0])
    assert (np.abs(ratios) < 2).mean() > 0.9
    assert 0.2 < np.sqrt(np.mean(np.square(ratios))) < 1.2
    assert min(layer.exceeds(1, 0, 1.0) for layer in found) > 2


def test_sigma_follows_the_maps_own_noise_not_what_it_states():
    """A map that states half of its noise, or none, has a shell as uncertain."""
    one = core_shell(2.1, 1.5, noise=0.3)
    other = core_shell(2.1, 1.5, noise=0.3, stated=0.5)
    bare = dataclasses.replace(one, amounts_sigma=None, phase_fraction_sigma=None)
    sigmas = [shell_thickness(m, LAB).sigma_um for m in (one, other, bare)]
    assert sigmas[1] == pytest.approx(sigmas[0], rel=1e-3)
    assert sigmas[2] == pytest.approx(sigmas[0], rel=0.1)
    noise = map_noise(one).draw(np.random.default_rng(0))
    assert noise.std(axis=(1, 2, 3)) == pytest.approx([0.3, 0.3], rel=0.1)
    assert np.corrcoef(noise.reshape(2, -1))[0, 1] == pytest.approx(-0.5, abs=0.05)
    assert map_noise(mapped(np.ones((8, 8, 8)), np.zeros((8, 8, 8)), noise=0.1)) is None


@pytest.mark.parametrize("noise", [0.0, 0.2, 0.6])
@pytest.mark.parametrize("x", [0.0, 0.4, 1.0], ids=["pure LFP", "solid solution", "pure FP"])
def test_no_front_no_thickness_and_no_two_phases(x, noise):
    whole = solid(2.2)
    one = mapped((1 - x) * whole, x * whole, noise=noise)
    assert shell_thickness(one, LAB) is None
    assert shell_by_direction(one, LAB) is None
    assert exposed_share(one) is None
    assert front_width_um(one) is None
    assert not phase_histogram(one).two_phases


@pytest.mark.parametrize("noise", [0.0, 0.05, 0.2])
@pytest.mark.parametrize("stated", [1.0, 0.85])
def test_two_phases_and_what_is_none(noise, stated):
    """A core-shell has two modes; one phase, and x that rises evenly from the middle out, have not, if sigma is low by 15 %."""
    radius = np.linalg.norm((np.indices(SHAPE).T - (np.array(SHAPE) - 1) / 2), axis=-1).T * VOXEL
    whole = solid(2.2)
    shell = phase_histogram(core_shell(2.2, 1.7, noise=noise, stated=stated))
    assert shell.two_phases
    assert shell.places == pytest.approx((0.0, 1.0), abs=0.08)
    assert shell.shares[0] == pytest.approx((1.7 / 2.2) ** 3, abs=0.15)
    for x in (0.4, 0.8, radius / 2.2):
        assert not phase_histogram(mapped((1 - x) * whole, x * whole, noise=noise, stated=stated)).two_phases


@given(x=st.floats(0, 1), noise=st.floats(0.01, 1.0), seed=st.integers(0, 1000))
def test_a_solid_solution_is_never_called_two_phases(x, noise, seed):
    whole = solid(1.5, shape=(36, 36, 36))
    found = phase_histogram(mapped((1 - x) * whole, x * whole, noise=noise, seed=seed))
    assert found is None or not found.two_phases


def test_segmentation_measures_volumes_where_noise_is_low():
    whole, core = (4 / 3 * np.pi * radius**3 for radius in (2.2, 1.7))
    found = segment(core_shell(2.2, 1.7, noise=0.03))
    mixed = found.volume_um3(Phase.MIXED, VOXEL)
    # Mixed are the voxels that the front cuts: a layer of about a voxel, half of it on either side.
    assert mixed == pytest.approx(4 * np.pi * 1.7**2 * VOXEL, rel=0.4)
    assert found.volume_um3(Phase.LFP, VOXEL) + mixed / 2 == pytest.approx(core, rel=0.03)
    assert sum(found.volume_um3(phase, VOXEL) for phase in Phase if phase) == pytest.approx(whole, rel=0.01)


@pytest.mark.parametrize("noise", [0.1, 0.25])
def test_confidence_is_the_share_that_is_right(noise):
    """Labels against the truth of all voxels inside the particle, by how sure the segmentation was."""
    whole, core = solid(2.2), solid(1.7)
    true = np.select([core > 0.99, core < 0.01], [Phase.LFP, Phase.FP], Phase.MIXED)
    found = segment(core_shell(2.2, 1.7, noise=noise))
    for low, high in ((40, 70), (70, 90), (90, 101)):
        some = (whole > 0.99) & (found.confidence >= low) & (found.confidence < high)
        assert some.sum() > 100
        assert (found.labels == true)[some].mean() == pytest.approx(found.confidence[some].mean() / 100, abs=0.1)


def test_what_is_missing_is_not_sure():
    one = core_shell(2.2, 1.7, noise=0.05)
    amounts = one.amounts.copy()
    amounts[:, 20] = np.nan
    found = segment(dataclasses.replace(one, amounts=amounts))
    assert (found.confidence[20] == 0).all()
    assert (found.labels[20] == Phase.OUTSIDE).all()
    assert found.confidence[22].min() > 0


def test_front_surface_of_a_sphere():
    """Area, radius, and normals that point from core to shell; off the middle, so that the grid is no symmetry."""
    off = np.array([0.03, 0.012, -0.041])
    front = front_surface(core_shell(2.2, 1.6, off=tuple(off)), 0.5)
    front = dataclasses.replace(front, places=front.places - off)
    radius = np.linalg.norm(front.places, axis=1)
    assert front.area == pytest.approx(4 * np.pi * 1.6**2, rel=0.015)
    assert radius == pytest.approx(1.6, abs=0.25 * VOXEL)
    assert ((front.places * front.normals).sum(axis=1) / radius).min() > 0.95


@pytest.mark.parametrize("width", [0.8, 1.2])
def test_width_of_a_gradual_front(width):
    radius = np.linalg.norm((np.indices(SHAPE).T - (np.array(SHAPE) - 1) / 2), axis=-1).T * VOXEL
    x, whole = np.clip((radius - 1.3) / width + 0.5, 0, 1), solid(2.2)
    assert front_width_um(mapped((1 - x) * whole, x * whole)) == pytest.approx(width, rel=0.1)


def test_a_plane_front_is_in_no_shell():
    """A domino front leaves the core open; a core in its shell is not."""
    whole = solid(2.2)
    left = np.broadcast_to(np.arange(SHAPE[2]) < SHAPE[2] / 2, SHAPE)
    assert exposed_share(mapped(whole * left, whole * ~left)) > 0.5
    assert exposed_share(core_shell(2.2, 1.7)) == 0


def test_a_series_is_segmented_moment_by_moment():
    """Two images of odd size: x per pixel, nothing taken from the other moment."""
    iron = np.broadcast_to(solid(2.2).sum(axis=0) * VOXEL, (2, *SHAPE[1:]))
    x = np.stack([np.zeros(SHAPE[1:]), np.ones(SHAPE[1:])])
    one = dataclasses.replace(mapped((1 - x) * iron, x * iron, noise=0.05), axes="time:y:x", time_s=np.arange(2.0))
    found = segment(one)
    core = iron[0] > 1.0
    assert found.histogram.two_phases
    assert (found.labels[0][core] == Phase.LFP).mean() > 0.99
    assert (found.labels[1][core] == Phase.FP).mean() > 0.99
    assert (found.labels[:, 0, 0] == Phase.OUTSIDE).all()


def test_a_handful_of_voxels_has_no_histogram():
    small = voxelize([Ellipsoid((0, 0, 0), (0.25, 0.25, 0.25))], (9, 10, 11), VOXEL)
    one = mapped(small, 0 * small)
    assert phase_histogram(one) is None
    assert segment(one).labels.max() == Phase.LFP


def test_what_smoothing_moves_is_in_sigma_in_full_and_shared_in_part(monkeypatch):
    """As far as it moves each direction, and partly all directions together."""
    monkeypatch.setattr(shells, "scatter", lambda measure, found, *maps: np.zeros((3, 3)))
    drift = np.array([0.1, 0.2, -0.1])
    layer = shells._layer(lambda smoothing, *maps: 1 + smoothing * drift, 1.0, core_shell(1.8, 1.2))
    rounding = layer.covariance - np.eye(3) * (shells._GRID_PX * VOXEL) ** 2
    np.testing.assert_allclose(np.diag(rounding), drift**2)
    shared = rounding[~np.eye(3, dtype=bool)] / np.outer(drift, drift)[~np.eye(3, dtype=bool)]
    np.testing.assert_allclose(shared, 1 - shells._OWN)
    assert 0 < shells._OWN < 1
