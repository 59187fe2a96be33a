"""Size, volume, facets, pores, cracks, agglomerates; electrodes without overlap."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from instrument.randomness import generator
from phantom import FP, LFP, Electrode, Front, InputError, Particle, make_sample
from phantom.packing import Solid, scatter
from phantom.particle import place
from phantom.shapes import Outline, fibonacci_sphere

SHAPE, VOXEL = (80, 80, 80), 0.07


def solid(particle, seed=1, shape=SHAPE, voxel=VOXEL, electrode=None):
    sample = make_sample(particle, Front(), LFP, FP, shape, voxel, generator(seed, "particle"), electrode=electrode)
    return sample, sample.at(0.0).amounts[0]


@given(
    shape=st.sampled_from(["superellipsoid", "facetted"]),
    semi_axes=st.tuples(*[st.floats(0.5, 5)] * 3),
    exponent=st.floats(2, 6),
    roughness=st.floats(0, 0.08),
    waves=st.floats(2, 12),
    seed=st.integers(0, 2**31),
)
def test_an_outline_has_the_extents_asked_for(shape, semi_axes, exponent, roughness, waves, seed):
    outline = Outline(
        np.array(semi_axes),
        np.random.default_rng(seed),
        shape=shape,
        exponent=exponent,
        roughness=roughness,
        roughness_waves=waves,
    )
    directions = fibonacci_sphere(60000) * semi_axes  # close where a long particle ends
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    extent = np.ptp(directions * outline.radius_um(directions)[:, None], axis=0) / 2
    assert extent == pytest.approx(semi_axes, rel=0.01)


@given(
    shape=st.sampled_from(["superellipsoid", "facetted"]),
    volume=st.floats(15, 40),
    roughness=st.floats(0, 0.08),
    seed=st.integers(0, 2**31),
)
def test_a_particle_has_the_volume_asked_for(shape, volume, roughness, seed):
    _, lfp = solid(
        Particle(volume_um3=volume, shape=shape, roughness=roughness, orientation_deg="random"), seed, (66, 66, 66), 0.1
    )
    assert lfp.sum(dtype=float) * 0.1**3 == pytest.approx(volume, rel=0.01)


def test_facets_are_flat():
    """Normals of a facetted outline are few; between edges they do not change."""
    normals = Outline(np.array([2.0, 2.0, 2.0]), np.random.default_rng(0), shape="facetted").surface(3000)[1]
    distinct = np.unique(normals.round(3), axis=0, return_counts=True)[1]
    assert np.sort(distinct)[::-1][:30].sum() > 0.9 * len(normals)


@pytest.mark.parametrize("porosity", [0.02, 0.1])
def test_pores_take_the_share_asked_for(porosity):
    whole = solid(Particle())[1].sum(dtype=float)
    porous = solid(Particle(porosity=porosity, pore_diameter_um=0.5))[1].sum(dtype=float)
    assert (1 - porous / whole) == pytest.approx(porosity, rel=0.01)


def test_cracks_are_as_wide_as_asked_even_below_a_voxel():
    """The volume that one crack takes is its width times its area, for widths on both sides of a voxel."""
    whole = solid(Particle(roughness=0))[1].sum(dtype=float)
    lost = [whole - solid(Particle(roughness=0, cracks=1, crack_width_um=w))[1].sum(dtype=float) for w in (0.02, 0.04, 0.2)]
    assert lost[0] > 0
    assert lost[1] / lost[0] == pytest.approx(2, rel=0.03)
    assert lost[2] / lost[0] == pytest.approx(10, rel=0.03)


def test_the_front_starts_from_cracks_too():
    cracked = make_sample(Particle(cracks=2), Front(), LFP, FP, SHAPE, VOXEL, generator(1, "particle"))
    body = cracked.grains[0].body
    faces = body.voids.faces(3.0, body.step_um)[0]
    index = np.rint(faces / body.step_um + (np.array(body.depth_um.shape) - 1) / 2).astype(int)
    index = index[((index >= 0) & (index < body.depth_um.shape)).all(axis=1)]
    deep = index[body.depth_um[tuple(index.T)] > 0.5]
    assert len(deep) > 100
    assert cracked.grains[0].arrival[tuple(deep.T)].max() < 2 * body.step_um


def overlap(solids, gap=0.0):
    return [(i, j) for (i, a), (j, b) in itertools.combinations(enumerate(solids), 2) if a.touches(b, gap)]


@pytest.mark.parametrize(("shape", "growth"), [("superellipsoid", 1.0), ("facetted", 1.0), ("facetted", 1.02)])
def test_primaries_meet_and_never_overlap(shape, growth):
    """By 20,000 points of each surface, edges and corners among them, grown as far as charging may stretch them."""
    particle = Particle(semi_axes_um=(1.7, 1.4, 1.5), primaries=6, shape=shape, roughness=0.05)
    solids = place(particle, growth, generator(2, "particle"))
    fine = fibonacci_sphere(20000)
    deepest = np.full((6, 6), -np.inf)
    for (i, a), (j, b) in itertools.permutations(enumerate(solids), 2):
        surface = growth * (fine * a.outline.radius_um(fine)[:, None]) @ a.rotation.T
        deepest[i, j] = b.depth_um(surface[:, ::-1] + a.center_um).max()
    assert deepest.max() <= 0
    assert (deepest.max(axis=1) > -0.03 - 2 * (growth - 1) * 1.2).all()


@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_an_agglomerate_keeps_the_volume_and_touches(seed):
    sample, lfp = solid(Particle(semi_axes_um=(1.7, 1.4, 1.5), primaries=6), seed)
    single = solid(Particle(semi_axes_um=(1.7, 1.4, 1.5)), seed)[1]
    assert len(sample.grains) == 6
    assert lfp.sum(dtype=float) == pytest.approx(single.sum(dtype=float), rel=0.01)
    assert lfp.max() <= 1 + 1e-5
    points = [grain.surface_um(np.ones(3)) for grain in sample.grains]
    for i, own in enumerate(points):
        others = np.concatenate([p for j, p in enumerate(points) if j != i])
        nearest = min(np.linalg.norm(others - point, axis=1).min() for point in own[::5])
        assert nearest < 0.12


@given(seed=st.integers(0, 2**31), count=st.integers(2, 12), spread=st.floats(0, 0.4))
def test_scattered_outlines_never_overlap(seed, count, spread):
    rng = np.random.default_rng(seed)
    sizes = np.exp(spread * rng.normal(size=count))
    loose = [
        Solid(Outline(size * np.array([1.0, 0.7, 0.8]), rng, exponent=3, roughness=0.05), np.eye(3), np.zeros(3))
        for size in sizes
    ]
    placed = scatter(loose, lambda r, n, reach: r.uniform(-6, 6, (n, 3)), 0.1, rng)
    assert not overlap(placed)
    fine = fibonacci_sphere(4000)
    for a, b in itertools.permutations(placed, 2):
        surface = (fine * a.outline.radius_um(fine)[:, None]) @ a.rotation.T
        assert b.depth_um(surface[:, ::-1] + a.center_um).max() <= 0


@pytest.mark.parametrize("form", ["layer", "pillar"])
def test_an_electrode_fills_its_space_once(form):
    electrode = Electrode(particles=12, form=form, median_diameter_um=1.2, binder_share=0.3)
    shape = (64, 64, 64) if form == "pillar" else (100, 1, 100)
    particle = Particle(semi_axes_um=(1.1, 0.9, 1.0))
    sample = make_sample(particle, Front(), LFP, FP, shape, VOXEL, generator(4, "particle"), electrode=electrode)
    phantom = sample.at(np.linspace(0, 1, 12))
    iron = phantom.amounts.sum(axis=0)
    assert iron.max() <= 1 + 1e-5
    total = iron + sum(phantom.fillers.values())
    assert total.max() <= 1 + 1e-5
    assert set(phantom.fillers) == {"binder", "electrolyte"}
    pore = phantom.fillers["binder"].sum(dtype=float) + phantom.fillers["electrolyte"].sum(dtype=float)
    assert phantom.fillers["binder"].sum(dtype=float) / pore == pytest.approx(0.3, abs=0.03)
    for grain, fields, fraction in zip(sample.grains, sample.voxels.fields, np.linspace(0, 1, 12), strict=True):
        assert phantom.amounts[1][fields.box].sum(dtype=float) >= 0
        volume = fields.solid.sum(dtype=float) * VOXEL**3
        assert volume == pytest.approx(np.pi / 6 * grain.diameter_um**3, rel=0.03)
        assert sample.at(fraction).bulk_fraction == pytest.approx(fraction, abs=1e-3)


def test_sizes_follow_the_distribution_asked_for():
    electrode = Electrode(particles=60, form="layer", median_diameter_um=0.8, size_spread=0.25, binder_share=0, wet=False)
    sample = make_sample(Particle(), Front(), LFP, FP, (180, 1, 180), VOXEL, generator(2, "particle"), electrode=electrode)
    logs = np.log(sample.diameters_um)
    assert np.exp(logs.mean()) == pytest.approx(0.8, rel=0.25 * 3 / np.sqrt(60))
    assert logs.std(ddof=1) == pytest.approx(0.25, rel=3 / np.sqrt(2 * 59))


@pytest.mark.parametrize(
    ("particle", "electrode", "words"),
    [
        (
            Particle(),
            Electrode(particles=200, median_diameter_um=0.9, size_spread=0),
            "packing too dense: 200 particles would fill",
        ),
        (Particle(), Electrode(particles=54, median_diameter_um=0.9, size_spread=0), "packing too dense: .* of 54"),
        (Particle(), Electrode(particles=1, median_diameter_um=4.6, thickness_um=4.0), "the largest particle reaches"),
        (Particle(porosity=0.3, pore_diameter_um=0.3), None, "found room"),
        (Particle(porosity=0.01, pore_diameter_um=3.0), None, "allowed for a porosity of 0.01"),
        (Particle(volume_um3=900.0), None, "field of view"),
    ],
)
def test_what_cannot_be_built_is_refused_in_one_line(particle, electrode, words):
    with pytest.raises(InputError, match=words) as caught:
        solid(particle, electrode=electrode)
    assert "\n" not in str(caught.value)
