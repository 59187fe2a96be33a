"""How FP grows: monotone, to the fraction asked for, in the directions stated."""

import dataclasses
import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.phases import front_displacement
from analysis.result import AmountMap
from instrument.randomness import generator
from phantom import FP, LFP, Front, InputError, Particle, make_sample

SHAPE, VOXEL = (72, 72, 72), 0.08
ROUGH = Particle(semi_axes_um=(2.2, 1.8, 2.0), exponent=3, roughness=0.02, orientation_deg=(20.0, 35.0, 50.0))
CHANGING = Front(
    speed=(1.0, 15.0, 1.0),
    later_from=(0.35, 0.6),
    later_speed=((1.0, 1.0, 8.0), (1.0, 1.0, 1.0)),
    fade=0.04,
    face_start=(0.0, 0.0, 0.35, 0.0, 0.0, 0.0),
)
FRONTS = {
    "changing": CHANGING,
    "graded": dataclasses.replace(CHANGING, width_um=0.4),
    "end members": Front(end_members=(0.05, 0.89)),
    "domino": Front(kind="domino"),
    "domino b": Front(kind="domino", axis="b"),
    "mosaic": Front(kind="mosaic", nuclei=4),
    "solid solution": Front(kind="solid-solution"),
}


def sample(front, particle=ROUGH, seed=3, shape=SHAPE, voxel=VOXEL):
    return make_sample(particle, front, LFP, FP, shape, voxel, generator(seed, "particle"))


def fraction_of(phantom):
    iron = phantom.amounts.sum(axis=0)
    return np.divide(phantom.amounts[1], iron, out=np.zeros_like(iron), where=iron > 0.05)


@pytest.mark.parametrize("name", FRONTS)
def test_no_voxel_goes_back_over_twenty_states(name):
    one = sample(FRONTS[name])
    before = np.zeros(SHAPE, np.float32)
    for fraction in np.linspace(0, 1, 20):
        phantom = one.at(fraction)
        assert phantom.bulk_fraction == pytest.approx(fraction, abs=1e-3)
        assert (phantom.amounts[1] >= before - 1e-6).all()
        before = phantom.amounts[1]


@given(
    fraction=st.floats(0.02, 0.98),
    speeds=st.lists(st.tuples(*[st.floats(0.2, 10)] * 3), min_size=1, max_size=3),
    fade=st.floats(0, 0.3),
    late=st.tuples(*[st.sampled_from([0.0, 0.3, 1.0])] * 5),
    kind=st.sampled_from(["core-shell", "domino", "mosaic", "solid-solution"]),
    width=st.floats(0, 1),
    volume=st.sampled_from(["constant", "shrinking"]),
    seed=st.integers(0, 2**31),
)
def test_any_front_meets_its_fraction_and_keeps_the_iron(fraction, speeds, fade, late, kind, width, volume, seed):
    later = tuple(np.linspace(0, 1, len(speeds) + 1)[1:-1])
    front = Front(
        kind=kind,
        speed=speeds[0],
        later_from=later,
        later_speed=tuple(speeds[1:]),
        fade=fade,
        face_start=(0.0, *late),
        width_um=width,
        volume=volume,
    )
    one = sample(front, seed=seed, shape=(46, 46, 46), voxel=0.13)
    phantom = one.at(fraction)
    assert phantom.bulk_fraction == pytest.approx(fraction, abs=1e-3)
    assert phantom.amounts.sum(dtype=float) == pytest.approx(one.at(0.0).amounts.sum(dtype=float), rel=2e-3)
    assert phantom.amounts.min() >= 0


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("turn", [(0.0, 0.0, 0.0), (30.0, 40.0, 50.0)])
def test_the_front_is_anisotropic_then_isotropic(seed, turn):
    """Displacement between the four stages along -a, +a, -b, +b, -c, +c, from the truth."""
    one = sample(CHANGING, dataclasses.replace(ROUGH, orientation_deg=turn), seed)
    maps = [AmountMap(("LFP", "FP"), one.at(x).amounts, VOXEL) for x in (0.0, 0.10, 0.35, 0.60, 0.82)]
    axes = one.grains[0].rotation.T
    moved = [front_displacement(a, b, axes) for a, b in itertools.pairwise(maps)]
    for early in moved[:2]:
        a, c = early[:2].mean(), early[4:].mean()
        assert early[3] > 2 * max(a, c)
        assert early[2:4].mean() > 2 * a
        assert early[2] < 0.1 * early[3]
    a, b, c = moved[2].reshape(3, 2).mean(axis=1)
    assert c > 1.5 * a
    assert c > 1.5 * b
    assert np.abs(moved[3] / moved[3].mean() - 1).max() < 0.10


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_an_isotropic_front_moves_alike(seed):
    one = sample(Front(speed=(1.0, 1.0, 1.0)), seed=seed)
    maps = [AmountMap(("LFP", "FP"), one.at(x).amounts, VOXEL) for x in (0.2, 0.5, 0.8)]
    for before, after in itertools.pairwise(maps):
        moved = front_displacement(before, after, one.grains[0].rotation.T)
        assert np.abs(moved / moved.mean() - 1).max() < 0.05


def test_a_stated_speed_is_the_displacement():
    """On flat faces: the front moves by speed times time along each axis, before and after a change of speed."""
    ball = Particle(semi_axes_um=(1.6, 1.6, 1.6), exponent=8, roughness=0)
    front = Front(speed=(1.0, 3.0, 1.0), later_from=(0.4,), later_speed=((2.0, 1.0, 1.0),))
    maps = [AmountMap(("LFP", "FP"), sample(front, ball).at(x).amounts, VOXEL) for x in (0.1, 0.4, 0.55)]
    first, second = (front_displacement(a, b, np.eye(3)).reshape(3, 2).mean(axis=1) for a, b in itertools.pairwise(maps))
    assert first[1] / first[0] == pytest.approx(3, rel=0.08)
    assert first[2] / first[0] == pytest.approx(1, rel=0.05)
    assert second[0] / second[2] == pytest.approx(2, rel=0.08)


def test_a_graded_front_is_as_wide_as_stated():
    front = Front(speed=(1.0, 1.0, 1.0), width_um=0.8)
    ball = Particle(semi_axes_um=(2.4, 2.4, 2.4), exponent=2, roughness=0)
    x = fraction_of(sample(front, ball).at(0.5))
    line = x[36, 36, 36:66]
    slope = np.abs(np.diff(line)).max() / VOXEL
    assert slope == pytest.approx(1 / np.hypot(0.8, VOXEL), rel=0.1)


def test_end_members_and_one_phase_beyond_them():
    one = sample(Front(end_members=(0.05, 0.89)))
    inside = sample(Front()).at(0.0).amounts[0] > 0.999
    x = fraction_of(one.at(0.5))[inside]
    assert x.min() == pytest.approx(0.05, abs=1e-4)
    assert x.max() == pytest.approx(0.89, abs=1e-4)
    for fraction in (0.03, 0.95):
        x = fraction_of(one.at(fraction))[inside]
        assert np.ptp(x) < 1e-4
        assert x.mean() == pytest.approx(fraction, abs=1e-3)


def test_two_phases_or_one():
    """The histogram of x: core-shell, domino and mosaic have no mixed voxels to speak of; a solid solution only those."""
    mixed = {}
    for name in ("changing", "domino", "mosaic", "solid solution"):
        phantom = sample(FRONTS[name]).at(0.5)
        x = fraction_of(phantom)[phantom.amounts.sum(axis=0) > 0.5]
        mixed[name] = ((x > 0.2) & (x < 0.8)).mean()
    assert mixed.pop("solid solution") > 0.99
    assert max(mixed.values()) < 0.15


@pytest.mark.parametrize("axis", ["a", "b"])
def test_a_domino_front_is_a_plane_across_its_axis(axis):
    particle = dataclasses.replace(ROUGH, orientation_deg=(0.0, 0.0, 0.0))
    x = fraction_of(sample(Front(kind="domino", axis=axis), particle).at(0.5))
    if axis == "b":
        x = x.swapaxes(1, 2)
    inside = sample(Front(), particle).at(0.0).amounts[0] > 0.999
    inside = inside.swapaxes(1, 2) if axis == "b" else inside
    last = [
        np.flatnonzero(line[solid] < 0.5)[0] + np.flatnonzero(solid)[0]
        for line, solid in zip(x[36], inside[36], strict=True)
        if (line[solid] < 0.5).any() and (line[solid] > 0.5).any()
    ]
    assert len(last) > 10
    assert np.ptp(last) <= 1


def test_ninety_degrees_turn_the_volume_exactly():
    """Orientation by 90 degrees about z is the rotated array; about x, too."""
    for turn, plane in (((0.0, 0.0, 90.0), (1, 2)), ((90.0, 0.0, 0.0), (0, 1))):
        straight = sample(CHANGING, dataclasses.replace(ROUGH, orientation_deg=(0.0, 0.0, 0.0))).at(0.4).amounts
        turned = sample(CHANGING, dataclasses.replace(ROUGH, orientation_deg=turn)).at(0.4).amounts
        best = min(np.abs(np.rot90(straight, k, axes=(plane[0] + 1, plane[1] + 1)) - turned).max() for k in (1, 3))
        assert best < 2e-3


@pytest.mark.parametrize(
    ("front", "words"),
    [
        (Front(speed=(0.0, 0.0, 0.0)), r"front.speed: is \[0.0, 0.0, 0.0\]; allowed is 0.01 to 100"),
        (Front(later_from=(0.5,)), "1 fractions for 0 later_speed"),
        (Front(later_from=(0.5, 0.3), later_speed=((1.0, 1.0, 1.0),) * 2), "rising"),
        (Front(later_from=(0.5,), later_speed=((1.0, 0.0, 1.0),)), "front.later_speed"),
        (Front(face_start=(0.2,) * 6), "no face reacts at the start"),
        (Front(end_members=(0.9, 0.1)), "LFP-rich phase first"),
    ],
)
def test_impossible_fronts_are_refused_in_one_line(front, words):
    with pytest.raises(InputError, match=words) as caught:
        sample(front)
    assert "\n" not in str(caught.value)
