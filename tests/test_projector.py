import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from analysis.reconstruct.fbp import fbp
from instrument.projector import project
from phantom import Ellipsoid, ellipsoid_paths, voxelize

TURN = Rotation.from_euler("xyz", (20, 40, 60), degrees=True).as_matrix()


def axis_um(count, pitch):
    return (np.arange(count) - (count - 1) / 2) * pitch


def pixel_averages(bodies, angles, rows, columns, samples=8):
    """Exact line integrals averaged over pixels of 1 um."""
    offsets = (np.arange(samples) + 0.5) / samples - 0.5
    total = sum(
        ellipsoid_paths(bodies, angles, axis_um(rows, 1.0) + dv, axis_um(columns, 1.0) + du) for dv in offsets for du in offsets
    )
    return total / samples**2


@pytest.mark.parametrize(("power", "bound"), [(0.0, 2e-3), (2.0, 5e-4)], ids=["sharp", "smooth"])
def test_analytic_ellipsoids_at_256_pixels(power, bound):
    bodies = [
        Ellipsoid((3.0, 10.0, -20.0), (80.0, 50.0, 60.0), 1.0, power, TURN),
        Ellipsoid((0.0, -30.0, 20.0), (30.0, 20.0, 24.0), -0.4, power),
    ]
    angles = np.arange(181) * np.pi / 181
    rows = 6
    found = project(voxelize(bodies, (rows, 256, 256), 1.0), angles, 1.0, threads=2)
    exact = pixel_averages(bodies, angles, rows, 256)
    assert np.linalg.norm(found - exact) / np.linalg.norm(exact) < bound


@given(
    center=st.tuples(*[st.floats(-4, 4)] * 2),
    axes=st.tuples(*[st.floats(2, 7)] * 3),
    angles=st.lists(st.floats(-3.2, 3.2), min_size=1, max_size=5),
    size=st.integers(31, 40),
)
def test_mass_is_the_same_at_every_angle(center, axes, angles, size):
    volume = voxelize([Ellipsoid((0.0, *center), axes)], (5, size, size), 1.0)
    found = project(volume, np.array(angles), 1.0)
    assert found.sum(axis=2) == pytest.approx(np.broadcast_to(volume.sum(axis=(1, 2)), (len(angles), 5)), rel=1e-3, abs=1e-2)


@given(a=st.floats(-3, 3), b=st.floats(-3, 3))
def test_projection_is_linear(a, b):
    one, two = (voxelize([Ellipsoid((0.0, y, 3.0), (5.0, 4.0, 3.0))], (3, 24, 24), 1.0) for y in (2.0, -4.0))
    angles = np.array([0.1, 1.0])
    both = project((a * one + b * two).astype(np.float32), angles, 1.0)
    assert both == pytest.approx(a * project(one, angles, 1.0) + b * project(two, angles, 1.0), abs=5e-3)


def l_shape(size):
    """An L in x-y with a step in z: asymmetric in every plane."""
    volume = np.zeros((8, size, size), np.float32)
    volume[1:7, 8:12, 8:24] = 1.0
    volume[1:7, 12:20, 8:12] = 1.0
    volume[5:7, 8:12, 20:24] = 2.0
    return volume


@pytest.mark.parametrize("size", [32, 33])
def test_geometry_of_an_l(size):
    """At 0 degrees columns run along x (rays along y), at 90 degrees along y; row k sees slice k."""
    volume = l_shape(size)
    at_0, at_90 = project(volume, np.array([0.0, np.pi / 2]), 1.0)
    assert at_0 == pytest.approx(volume.sum(axis=1), abs=0.05)
    assert at_90 == pytest.approx(volume.sum(axis=2), abs=0.05)


@pytest.mark.parametrize("size", [32, 33])
@pytest.mark.parametrize("center", [0.0, 2.3])
def test_reconstruction_stands_where_the_object_stood(size, center):
    """No flip, no half-pixel shift, whatever the axis: the centre of mass returns, row by row."""
    body = Ellipsoid((0.5, 3.0, -4.0), (5.0, 4.0, 6.0), power=2)
    angles = np.arange(90) * np.pi / 90
    axis = axis_um(size, 1.0)
    depth = ellipsoid_paths([body], angles, axis_um(8, 1.0), axis - center).transpose(1, 0, 2)
    found = fbp(depth, angles, center_px=(size - 1) / 2 + center, pixel_um=1.0)
    truth = voxelize([body], (8, size, size), 1.0)
    assert np.sqrt(np.mean((found - truth) ** 2)) < 3e-3
    weights = found.sum(axis=0)
    assert (weights.sum(axis=1) @ axis) / weights.sum() == pytest.approx(3.0, abs=0.03)
    assert (weights.sum(axis=0) @ axis) / weights.sum() == pytest.approx(-4.0, abs=0.03)


def test_threads_do_not_change_a_bit():
    volume = l_shape(32)
    angles = np.linspace(0, 3, 20)
    assert np.array_equal(project(volume, angles, 0.5, threads=1), project(volume, angles, 0.5, threads=2))
