"""A sample asked slab by slab: the same bits however it is cut, and bounded memory."""

import dataclasses
import functools
import itertools
import subprocess
import sys

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import map_coordinates
from scipy.spatial.transform import Rotation

import phantom.state
from analysis.result import AmountMap
from instrument.randomness import generator
from phantom import FP, LFP, Electrode, Front, InputError, Particle, make_sample
from phantom.grain import Grid
from phantom.raster import TIMES, Fields, rasterize, turned
from validation.files import read_map, write_map, write_truth

SHAPE, VOXEL = (72, 80, 84), 0.07
CHANGING = Front(
    speed=(1.0, 15.0, 1.0), later_from=(0.35,), later_speed=((1.0, 1.0, 8.0),), fade=0.04, face_start=(0, 0, 0.35, 0, 0, 0)
)
LUMP = Particle(semi_axes_um=(1.7, 1.4, 1.5), primaries=3, orientation_deg=(10.0, 20.0, 30.0))
KINDS = {
    "plain": (Particle(center_um=(0.1, -0.1, 0.2)), CHANGING, None),
    "porous": (Particle(porosity=0.05, cracks=2, orientation_deg=(10.0, 20.0, 30.0)), CHANGING, None),
    "touching": (LUMP, CHANGING, None),
    "shrinking": (LUMP, Front(volume="shrinking", width_um=0.3, end_members=(0.05, 0.9)), None),
    "solid solution": (Particle(), Front(kind="solid-solution"), None),
    "electrode": (Particle(), Front(), Electrode(particles=5, form="pillar", median_diameter_um=1.2)),
}


def build(kind, threads=1):
    particle, front, electrode = KINDS[kind]
    return make_sample(particle, front, LFP, FP, SHAPE, VOXEL, generator(3, "particle"), electrode=electrode, threads=threads)


@functools.cache
def kept(kind):
    return build(kind)


@functools.cache
def at(kind, fraction):
    return kept(kind).at(fraction)


@pytest.fixture
def nothing_kept(monkeypatch):
    monkeypatch.setattr(phantom.state, "_KEPT_BYTES", 0)


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
def test_cuts_change_no_bit(kind, data):
    sample, whole = kept(kind), at(kind, 0.4).amounts
    z, y, x = sample.box
    inner = st.integers(z.start - 2, z.stop + 2)
    cuts = sorted({z.start, z.stop, *data.draw(st.sets(inner, max_size=6))})
    state = sample.state(0.4)
    for start, stop in itertools.pairwise(cuts):
        slab = state.slab(slice(start, stop), threads=data.draw(st.sampled_from([1, 2])))
        assert slab.dtype == np.float32
        assert np.array_equal(slab, whole[:, start:stop, y, x])


@pytest.mark.parametrize("kind", KINDS)
def test_the_box_holds_all_iron_at_any_state(kind):
    sample = kept(kind)
    for fraction in (0.0, 0.4, 1.0):
        amounts = at(kind, fraction).amounts
        assert amounts[(slice(None), *sample.box)].sum(dtype=float) == amounts.sum(dtype=float) > 0
        rows = [sample.state(fraction).slab(rows) for rows in sample.slabs()]
        assert np.array_equal(np.concatenate(rows, axis=1), amounts[(slice(None), *sample.box)])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.usefixtures("nothing_kept")
def test_what_is_kept_is_what_is_computed_again(kind):
    again = build(kind, threads=2)
    assert kept(kind).box == again.box
    assert again.voxels is None or not again.voxels.fields
    for fraction in (0.0, 0.4, 1.0):
        one, other = at(kind, fraction), again.at(fraction, threads=2)
        assert np.array_equal(one.amounts, other.amounts)
    assert all(np.array_equal(one.fillers[name], other.fillers[name]) for name in one.fillers)


@pytest.mark.parametrize("kind", ["plain", "porous"])
@given(
    voxel=st.floats(0.03, 0.3),
    turn=st.tuples(*[st.floats(-180, 180)] * 3),
    scale=st.tuples(*[st.floats(0.9, 1.1)] * 3),
    height=st.floats(-1, 1),
)
def test_no_voxel_of_the_surface_or_of_a_void_is_passed_over(kind, voxel, turn, scale, height):
    """A row by tiles, and pores only near their places, is that of every voxel looked up for itself."""
    grain = kept(kind).grains[0]
    grain = dataclasses.replace(grain, rotation=Rotation.from_euler("xyz", turn, degrees=True).as_matrix())
    count = int(6 / voxel)
    grid = Grid((count,) * 3, voxel)
    raster = rasterize(grain, grid, grain.box(grid, [np.array(scale)]), np.array(scale))
    z = int((height * 1.8 + grain.center_um[0]) / voxel + (count - 1) / 2)
    found = raster.row(z).solid[0]
    zyx = np.stack(np.meshgrid([z], *(np.arange(side.start, side.stop) for side in raster.box[1:]), indexing="ij"), axis=-1)
    own = (((zyx[0] - (count - 1) / 2) * voxel - grain.center_um)[..., ::-1] @ grain.rotation) / np.array(scale)
    middle = (np.array(grain.body.depth_um.shape) - 1) / 2
    depth = map_coordinates(grain.body.depth_um, np.moveaxis(own / grain.body.step_um + middle, -1, 0), order=1, mode="nearest")
    empty = grain.body.voids.share(own.reshape(-1, 3), voxel).reshape(found.shape)
    assert found == pytest.approx(np.clip(0.5 + depth / voxel, 0, 1) * (1 - empty), abs=1e-5)


def test_rows_must_follow_each_other():
    with pytest.raises(ValueError, match="step of 2"):
        kept("plain").state(0.5).slab(slice(20, 30, 2))


@given(
    seed=st.integers(0, 2**31),
    low=st.floats(-3, 3),
    length=st.floats(1e-3, 10),
    crossing=st.floats(1e-3, 3),
)
def test_counted_moments_are_exact(seed, low, length, crossing):
    """The sum of ramps, by another way, at moments before, among and after the bends."""
    rng = np.random.default_rng(seed)
    shape = (2, 5, 6)
    solid, arrival = rng.uniform(0, 1, shape).astype(np.float32), rng.uniform(-2, 2, shape).astype(np.float32)
    solid[rng.uniform(size=shape) < 0.3] = 0
    part = Fields((slice(0, 2), slice(0, 5), slice(0, 6)), solid, arrival, (crossing * (1 + solid)).astype(np.float32))
    found = turned(part, low, low + length)
    some = rng.integers(0, TIMES, 20)
    times = np.linspace(low, low + length, TIMES)[some]
    shares = np.clip(0.5 + (times[:, None, None, None] - part.arrival) / part.crossing.astype(float), 0, 1)
    assert found[some] == pytest.approx((shares * solid).sum(axis=(1, 2, 3)), abs=1e-6)


@pytest.mark.parametrize("volume", ["constant", "shrinking"])
def test_speeds_of_all_magnitudes_in_one_charge(volume):
    """The fast part is over in a few of the counted moments; they are counted again more finely."""
    front = Front(speed=(100.0,) * 3, later_from=(0.4,), later_speed=((0.01,) * 3,), volume=volume)
    sample = make_sample(Particle(), front, LFP, FP, (56, 56, 56), 0.1, generator(3, "particle"))
    for fraction in (0.02, 0.2, 0.4, 0.41, 0.98):
        assert sample.at(fraction).bulk_fraction == pytest.approx(fraction, abs=1e-3)


def test_what_turns_in_one_moment_cannot_be_met():
    voxels = kept("plain").voxels
    fields = voxels.fields[0]
    sudden = dataclasses.replace(fields, arrival=np.ones_like(fields.solid), crossing=np.full_like(fields.solid, 1e-9))
    voxels = dataclasses.replace(voxels, fields=(sudden,))
    voxels = dataclasses.replace(voxels, advances=(voxels.count({0: (0.0, 2.0)}, 1)[0],))
    sample = dataclasses.replace(kept("plain"), voxels=voxels)
    assert sample.at(1.0).bulk_fraction == 1
    with pytest.raises(InputError, match=r"front.fraction: 0.5 cannot be met to 1e-3: 0?[.1-9]+ of the particle") as caught:
        sample.state(0.5)
    assert "\n" not in str(caught.value)


def test_an_electrode_too_large_for_memory_is_refused():
    electrode = Electrode(particles=3, median_diameter_um=3.0)
    with pytest.raises(InputError, match=r"4096 x \d+ x 4096 voxels; .* need \d+ GB of memory; allowed is 2e9 voxels") as caught:
        make_sample(Particle(), Front(), LFP, FP, (4096, 1, 4096), 0.02, generator(1, "particle"), electrode=electrode)
    assert "\n" not in str(caught.value)


def test_a_truth_written_slab_by_slab_is_the_whole_one(tmp_path):
    sample, whole = kept("electrode"), at("electrode", 0.4)
    truth = AmountMap(whole.species, whole.amounts, VOXEL, 0.1, time_s=np.array([3.0]))
    extra = {"particles/diameter_um", "fillers/binder", "fillers/electrolyte"}
    particles = {"diameter_um": sample.diameters_um}
    write_map(tmp_path / "whole.h5", truth, sample.fillers, particles)
    state = sample.state(0.4)
    slabs = ((rows, state.slab(rows)) for rows in (slice(0, 30), slice(30, 31), slice(31, 72)))
    write_truth(
        tmp_path / "slabs.h5",
        whole.species,
        SHAPE,
        VOXEL,
        sample.box,
        slabs,
        resolution_um=0.1,
        time_s=truth.time_s,
        fillers=sample.fillers,
        particles=particles,
    )
    with h5py.File(tmp_path / "whole.h5") as one, h5py.File(tmp_path / "slabs.h5") as other:
        names = []
        one.visititems(lambda name, item: names.append(name) if isinstance(item, h5py.Dataset) else None)
        assert set(names) == {"amounts", "iron", "phase_fraction", "species", *extra}
        for name in names:
            assert (one[name].dtype, one[name].chunks) == (other[name].dtype, other[name].chunks)
            values, others = one[name][...], other[name][...]
            assert np.array_equal(values, others, equal_nan=values.dtype.kind == "f"), name
        assert list(one.attrs) == list(other.attrs)
        assert all(np.array_equal(one.attrs[name], other.attrs[name]) for name in one.attrs)
        assert other["amounts"].id.get_storage_size() == pytest.approx(one["amounts"].id.get_storage_size(), rel=0.02)
    assert np.array_equal(read_map(tmp_path / "slabs.h5").amounts, whole.amounts)


def test_a_truth_that_fails_midway_leaves_no_file(tmp_path):
    def broken():
        yield slice(10, 12), kept("plain").state(0.5).slab(slice(10, 12))
        raise RuntimeError("no more")

    with pytest.raises(RuntimeError, match="no more"):
        write_truth(tmp_path / "truth.h5", ("LFP", "FP"), SHAPE, VOXEL, kept("plain").box, broken())
    assert not list(tmp_path.iterdir())


LARGE = """
import resource, sys
from pathlib import Path

import numpy as np
from phantom import FP, LFP, Front, Particle, make_sample
from validation.files import write_truth

before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
n, voxel_um = int(sys.argv[1]), 0.02
radius = 0.5 * int(sys.argv[2]) * voxel_um
particle = Particle(semi_axes_um=(radius, 0.9 * radius, 0.9 * radius), roughness=0.02)
sample = make_sample(particle, Front(), LFP, FP, (n,) * 3, voxel_um, np.random.default_rng(1), threads=2)
state = sample.state(0.5, threads=2)
sums = np.zeros(2)


def slabs():
    for rows in sample.slabs():
        amounts = state.slab(rows, threads=2)
        sums[:] += amounts.sum(axis=(1, 2, 3), dtype=float)
        yield rows, amounts


write_truth(Path(sys.argv[3]), ("LFP", "FP"), (n,) * 3, voxel_um, sample.box, slabs())
unit = 1 if sys.platform == "darwin" else 1024
more = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * unit
print(np.prod([side.stop - side.start for side in sample.box]), bool(sample.voxels.fields), sums[1] / sums.sum(), more)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="resource is not there")
def test_a_large_grid_takes_little_memory(tmp_path):
    """A particle 700 voxels across on 1024^3 voxels, sample to file: 2.6 GB of amounts in its box, 8.6 GB on the grid."""
    arguments = [sys.executable, "-c", LARGE, "1024", "700", str(tmp_path / "truth.h5")]
    done = subprocess.run(arguments, capture_output=True, text=True, check=True)
    voxels, fields, fraction, more = done.stdout.split()
    assert int(voxels) > 2.5e8
    assert fields == "False"
    assert float(fraction) == pytest.approx(0.5, abs=1e-3)
    assert int(more) < 0.5e9
