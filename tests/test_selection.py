"""Frames are read when they are needed and no more of them; parts of a scan, and coarser ones."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scan_files import READABLE, a_header, counts_of, in_memory, order_of, write

from analysis.prepare.noise import measure_noise
from instrument.files import hdf5
from instrument.files.layout import Stacked
from instrument.files.scans import open_any
from instrument.files.selection import select
from phantom import InputError


class Watched:
    """An array that counts the numbers read from it."""

    def __init__(self, array):
        self.array, self.shape, self.dtype, self.ndim, self.read = array, array.shape, array.dtype, array.ndim, 0

    def __getitem__(self, key):
        found = self.array[key]
        self.read += found.size
        return found


@st.composite
def keys(draw, shape, lists=False):
    def part(length):
        ends = st.integers(-length - 1, length + 1) | st.none()
        return st.integers(-length, length - 1) | st.builds(slice, ends, ends, st.integers(1, 3) | st.none())

    parts = [draw(part(length)) for length in shape[: draw(st.integers(0, len(shape)))]]
    at = draw(st.integers(0, len(parts)))
    if draw(st.booleans()):
        after = [draw(part(length)) for length in shape[len(shape) - (len(parts) - at) :]] if at < len(parts) else []
        return (*parts[:at], Ellipsis, *after)
    return tuple(parts) if len(parts) != 1 or draw(st.booleans()) else parts[0]


@settings(max_examples=60)
@given(st.data())
def test_stacked_is_indexed_like_an_array(data):
    array = np.random.default_rng(0).integers(0, 99, (3, 4, 5, 6))
    parts = [Watched(each) for each in array]
    stacked, key = Stacked(tuple(parts)), data.draw(keys(array.shape))
    assert np.array_equal(stacked[key], array[key])
    assert sum(part.read for part in parts) == array[key].size
    target = np.zeros_like(array)
    Stacked(tuple(target))[key] = array[key]
    expected = np.zeros_like(array)
    expected[key] = array[key]
    assert np.array_equal(target, expected)


@pytest.mark.parametrize("key", [3, (0, 0, 0, 0, 0), (..., ...), np.array([0, 1]), [0], slice(None, None, -1), None, True, 0.0])
def test_stacked_refuses_other_keys(key):
    with pytest.raises(IndexError):
        Stacked(tuple(np.zeros((3, 4, 5, 6))))[key]


@pytest.mark.parametrize("layout", READABLE)
def test_opening_and_selecting_read_no_projection(tmp_path, layout, monkeypatch):
    write(tmp_path, layout, a_header())
    read: list[tuple[int, ...]] = []
    real = hdf5.Stored.__getitem__

    def watch(self, key):
        found = real(self, key)
        read.append(np.shape(found))
        return found

    monkeypatch.setattr(hdf5.Stored, "__getitem__", watch)
    with open_any([tmp_path]) as scan:
        chosen = select(scan, bin=2, angles=[slice(None, None, 2)])
        assert set(read) == {(6,)}
        assert len(read) == 6  # a row of a flat and of a dark at each of 3 energies
        read.clear()
        assert chosen.projections[1, 2, 0].shape == (3,)
        assert sum(map(np.prod, read)) == 12  # two rows of one frame


def test_frames_cannot_be_read_after_the_block(tmp_path):
    write(tmp_path, "fxi", a_header())
    with open_any([tmp_path]) as scan:
        pass
    with pytest.raises(ValueError, match="closed"):
        scan.projections[0]


def binned(array, n):
    """Mean over n x n pixels in units of 1/65537, by the plainest loop."""
    rows, columns = array.shape[-2] // n, array.shape[-1] // n
    cells = [
        [array[..., n * r : n * r + n, n * c : n * c + n].sum(axis=(-2, -1), dtype=object) for c in range(columns)]
        for r in range(rows)
    ]
    return np.moveaxis(np.array(cells, dtype=object), (0, 1), (-2, -1)) * 65537 // n**2


@given(
    n=st.integers(1, 3),
    sides=st.tuples(st.integers(6, 11), st.integers(6, 11)),
    corner=st.tuples(st.integers(0, 2), st.integers(0, 2)),
    cut=st.tuples(st.integers(0, 1), st.integers(0, 1)),
    stride=st.integers(1, 3),
)
@pytest.mark.parametrize("layout", READABLE)
def test_reading_then_selecting_is_selecting_what_was_read(tmp_path_factory, layout, n, sides, corner, cut, stride):
    header = a_header(rows=sides[0], columns=sides[1])
    folder = tmp_path_factory.mktemp("scan")
    counts, order = write(folder, layout, header), order_of(layout, header)
    roi = (corner[0], sides[0] - cut[0], corner[1], sides[1] - cut[1])
    kept = order[(header.energies_eV[order] >= 7100) & (header.energies_eV[order] <= 7112.25)]
    with open_any([folder]) as scan:
        chosen = select(scan, bin=n, roi=roi, energies=[(7100, 7112.25)], angles=[slice(None, None, stride)])
        for name, step in (("projections", stride), ("flats", 1), ("darks", 1)):
            raw = counts[name][kept, ::step, roi[0] : roi[1], roi[2] : roi[3]]
            expected = raw if n == 1 else binned(raw, n)
            assert np.array_equal(getattr(chosen, name)[...], expected), name
            assert getattr(chosen, name).dtype == (np.uint16 if n == 1 else np.uint32)
        assert np.array_equal(chosen.energies_eV, header.energies_eV[kept])
        assert chosen.angles_rad == pytest.approx(header.angles_rad[::stride])
        assert chosen.time_s.shape == chosen.projections.shape[:2]
        assert chosen.pixels_um == pytest.approx(n * header.pixels_um[kept])


@settings(max_examples=60)
@given(st.data(), st.integers(1, 3))
def test_a_window_is_indexed_like_an_array(data, n):
    header = a_header(rows=7, columns=8)
    chosen = select(in_memory(header, counts_of(header)), bin=n, roi=(1, 7, 1, 8), angles=[slice(1, 5, 2)]).projections
    whole, key = chosen[...], data.draw(keys(chosen.shape))
    assert whole.shape == chosen.shape
    assert np.array_equal(chosen[key], whole[key])


@given(n=st.integers(1, 4), column0=st.integers(0, 4), rows=st.integers(4, 6))
def test_the_axis_stays_where_it_was_on_the_sample(n, column0, rows):
    """A vertical edge at the axis, seen in the recorded and in the selected frames."""
    header = replace(a_header(rows=rows, columns=24), center_px=11.5)
    chosen = select(in_memory(header, counts_of(header)), bin=n, roi=(0, rows, column0, 24))
    # Left edge of the detector, from the axis, um: the same before and after.
    before = (column0 - 0.5 - header.center_px) * header.pixels_um
    after = (-0.5 - chosen.center_px) * chosen.pixels_um
    assert after == pytest.approx(before)
    again = select(chosen, center_px=(12.5 - column0 + 0.5) / n - 0.5)
    assert (
        select(in_memory(header, counts_of(header)), bin=n, roi=(0, rows, column0, 24), center_px=12.5).center_px
        == again.center_px
    )


def test_binning_keeps_saturation_and_noise_in_sight():
    rng = np.random.default_rng(1)
    header = a_header(rows=64, columns=64, flats=20, darks=20, angles=2)
    counts = counts_of(header)
    counts["flats"] = (rng.poisson(2e4, header.frames_shape("flats")) + 100).astype(np.uint16)
    counts["darks"] = rng.normal(100, 3, header.frames_shape("darks")).round().astype(np.uint16)
    fine = in_memory(header, counts)
    coarse = select(fine, bin=2)
    noises = [measure_noise(np.asarray(scan.flats[0]), np.asarray(scan.darks[0])) for scan in (fine, coarse)]
    relative = [noise.variance(noise.flat).mean() / (noise.flat**2).mean() for noise in noises]
    assert relative[0] / relative[1] == pytest.approx(4, rel=0.05)
    counts["flats"][:, :, 10:20:2, 11:21:2] = 65535  # one pixel of a bin
    with pytest.raises(InputError, match="full scale"):
        measure_noise(np.asarray(coarse.flats[0]), np.asarray(coarse.darks[0]))
    counts["flats"][...] = 65534
    assert coarse.flats[...].max() < np.iinfo(np.uint32).max


def test_a_bad_energy_and_dumped_views_are_left_out():
    header = a_header(energies=(7100.0, 7110.0, 7120.0, 7130.0, 7140.0), angles=12)
    scan = in_memory(header, counts_of(header))
    bad = float(scan.energies_eV[2])
    chosen = select(scan, energies=[(0, bad - 1), (bad + 1, 1e5)], angles=[slice(0, 4), slice(7, 12, 2), slice(2, 5)])
    energies, views = [0, 1, 3, 4], [0, 1, 2, 3, 4, 7, 9, 11]
    assert np.array_equal(chosen.projections[...], np.asarray(scan.projections)[np.ix_(energies, views)])
    assert np.array_equal(chosen.projections[1:3, 2:7:2, 1], np.asarray(scan.projections)[np.ix_(energies, views)][1:3, 2:7:2, 1])
    assert np.array_equal(chosen.angles_rad, scan.angles_rad[views])
    assert np.array_equal(chosen.time_s, scan.time_s[np.ix_(energies, views)])


@pytest.mark.parametrize(
    ("wishes", "words"),
    [
        ({"bin": 0}, "bin"),
        ({"bin": 5}, "bin"),
        ({"roi": (0, 5, 0, 6)}, "roi"),
        ({"roi": (2, 2, 0, 6)}, "roi"),
        ({"roi": (-1, 4, 0, 6)}, "roi"),
        ({"energies": [(7100.0, 7200.0), (7101.0, 7102.0)]}, "energies"),
        ({"angles": [slice(None, None, 0)]}, "angles: stride 0"),
        ({"angles": [slice(0, 2), slice(5, 9)]}, "angles"),
        ({"angles": [slice(None, None, -1)]}, "angles"),
        ({"roi": (0, 4, 0, 2)}, "center"),
        ({"center_px": np.nan}, "center"),
    ],
)
def test_impossible_selections_are_refused(wishes, words):
    header = a_header()
    with pytest.raises(InputError, match=words) as caught:
        select(in_memory(header, counts_of(header)), **wishes)
    assert "\n" not in str(caught.value)
