import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from instrument.attenuation import formula_mass_g_mol
from instrument.randomness import generator
from phantom import FP, LFP, Ellipsoid, Front, InputError, Particle, ellipsoid_paths, make_sample, voxelize
from phantom.body import Wavefront
from phantom.particle import rotation_matrix
from phantom.shapes import fibonacci_sphere
from phantom.species import Species

SHAPE, VOXEL = (64, 64, 64), 0.09
RAGGED = Particle(roughness=0.05, orientation_deg=(20.0, 35.0, 50.0))


def make(particle=RAGGED, front=None, seed=3):
    front = front or Front(0.5)
    return sample_of(particle, front, seed).at(front.fraction)


def sample_of(particle, front, seed=3):
    return make_sample(particle, front, LFP, FP, SHAPE, VOXEL, generator(seed, "particle"))


@given(
    fraction=st.floats(0.0, 1.0),
    volume=st.sampled_from(["constant", "shrinking"]),
    angles=st.tuples(*[st.floats(-180, 180)] * 3),
    speed=st.tuples(*[st.floats(0.3, 3.0)] * 3),
    seed=st.integers(0, 2**31),
)
def test_bulk_fraction_is_met_and_iron_conserved(fraction, volume, angles, speed, seed):
    particle = Particle(roughness=0.05, orientation_deg=angles)
    sample = sample_of(particle, Front(fraction, speed=speed, volume=volume), seed)
    phantom, uncharged = sample.at(fraction), sample.at(0.0)
    assert phantom.bulk_fraction == pytest.approx(fraction, abs=1e-3)
    assert phantom.amounts.sum(dtype=float) == pytest.approx(uncharged.amounts.sum(dtype=float), rel=2e-3)
    largest = phantom.amounts.sum(axis=0).max()
    assert largest <= (1.0 if volume == "constant" else 1.0714) + 1e-5


@pytest.fixture(scope="module")
def ragged():
    return sample_of(RAGGED, Front(0.5))


@given(low=st.floats(0.02, 0.9), more=st.floats(0.01, 0.08))
def test_fp_grows_in_every_voxel(ragged, low, more):
    before, after = ragged.at(low), ragged.at(min(low + more, 1.0))
    assert (after.amounts[1] >= before.amounts[1] - 1e-6).all()


def test_shrinking_particle_shrinks_by_the_misfit_volume():
    full = make(front=Front(1.0, volume="shrinking"))
    whole = make(front=Front(0.0))
    ratio = (full.amounts[1] / full.amounts[1].max()).sum(dtype=float) / whole.amounts[0].sum(dtype=float)
    assert ratio == pytest.approx(271.70 / 291.06, rel=2e-3)


def test_volume_of_a_smooth_particle_is_the_ellipsoids():
    particle = Particle(semi_axes_um=(2.3, 1.7, 2.0), exponent=2, roughness=0, orientation_deg=(10.0, 20.0, 30.0))
    volume = make(particle).amounts.sum(dtype=float) * VOXEL**3
    assert volume == pytest.approx(4 / 3 * np.pi * 2.3 * 1.7 * 2.0, rel=2e-3)


def test_shell_thickness_goes_with_the_speed():
    """On a sphere the shell's thickness along an axis is t * v of that axis."""
    particle = Particle(semi_axes_um=(2.4, 2.4, 2.4), exponent=2, roughness=0)
    phantom = make(particle, Front(0.4, speed=(1.0, 2.0, 1.5)))
    middle = SHAPE[0] // 2
    fp = phantom.amounts[1]
    lines = {"a": fp[middle, middle, :], "b": fp[middle, :, middle], "c": fp[:, middle, middle]}
    a, b, c = (line.sum() * VOXEL / 2 for line in lines.values())
    assert b / a == pytest.approx(2.0, rel=0.04)
    assert c / a == pytest.approx(1.5, rel=0.04)


def test_arrival_on_a_sphere_is_its_depth():
    directions = fibonacci_sphere(20000)
    points = fibonacci_sphere(500) * np.linspace(0.05, 1.3, 500)[:, None]
    depth = Wavefront(directions, directions, np.ones(3)).time(points)
    assert depth == pytest.approx(1 - np.linalg.norm(points, axis=1), abs=2e-3)


def test_crystal_axes_turn_with_the_particle():
    """b, the thin axis, points where the rotation puts it."""
    particle = Particle(semi_axes_um=(2.3, 1.2, 2.3), exponent=2, roughness=0, orientation_deg=(30.0, 40.0, 50.0))
    phantom = make(particle)
    turn = rotation_matrix(particle.orientation_deg, np.random.default_rng(0))
    iron = phantom.amounts.sum(axis=0)
    zyx = (np.argwhere(iron > 0.5) - (np.array(SHAPE) - 1) / 2) * VOXEL
    values, vectors = np.linalg.eigh(np.cov(zyx[:, ::-1].T))
    assert abs(vectors[:, 0] @ turn[:, 1]) == pytest.approx(1, abs=1e-3)
    assert values[0] == pytest.approx(1.2**2 / 5, rel=0.03)


def test_seeds_differ_and_repeat():
    one, again, other = make(seed=1), make(seed=1), make(seed=2)
    assert np.array_equal(one.amounts, again.amounts)
    assert not np.array_equal(one.amounts, other.amounts)


def test_formula_masses_are_xraylibs():
    for species in (LFP, FP):
        assert species.formula_mass_g_mol == pytest.approx(formula_mass_g_mol(species.formula), rel=1e-9)


@pytest.mark.parametrize(
    ("particle", "words"),
    [
        (Particle(semi_axes_um=(4.0, 4.0, 4.0)), "field of view"),
        (Particle(center_um=(0.0, 2.0, 0.0)), "field of view"),
        (Particle(semi_axes_um=(0.005, 0.005, 0.005), roughness=0), "two voxels"),
    ],
)
def test_impossible_particles_are_refused(particle, words):
    with pytest.raises(InputError, match=words):
        make(particle)


def test_absurd_density_is_refused():
    with pytest.raises(InputError, match="density"):
        make_sample(
            RAGGED, Front(0.5, volume="shrinking"), LFP, Species("FePO4", 150.83, 0.01), SHAPE, VOXEL, generator(1, "particle")
        )


@pytest.mark.parametrize("power", [0.0, 1.0, 2.0])
def test_line_integrals_agree_with_quadrature(power):
    body = Ellipsoid(
        (0.2, -0.3, 0.4), (2.0, 1.2, 1.6), 1.7, power, rotation_matrix(RAGGED.orientation_deg, np.random.default_rng(0))
    )
    angle, u, v = 0.7, np.array([0.3, -0.5]), np.array([0.1])
    exact = ellipsoid_paths([body], np.array([angle]), v, u)[0, 0]
    s = np.linspace(-4, 4, 80001)
    for k, place in enumerate(u):
        offset = np.stack([place * np.cos(angle) - s * np.sin(angle), place * np.sin(angle) + s * np.cos(angle), v[0] + 0 * s])
        offset -= np.array(body.center_um[::-1])[:, None]
        rho2 = np.einsum("is,ij,js->s", offset, body.metric(), offset)
        density = 1.7 * np.where(rho2 < 1, np.maximum(1 - rho2, 0) ** power, 0)
        assert exact[k] == pytest.approx(np.trapezoid(density, s), rel=3e-4)


def test_voxelized_ellipsoid_has_its_volume():
    body = Ellipsoid((0.1, 0.2, -0.3), (2.0, 1.2, 1.6))
    assert voxelize([body], SHAPE, VOXEL).sum(dtype=float) * VOXEL**3 == pytest.approx(4 / 3 * np.pi * 2 * 1.2 * 1.6, rel=1e-3)
