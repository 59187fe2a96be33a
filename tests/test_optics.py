"""Image formation against closed forms and an independent wave propagation."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from quiet import PIXEL, QUIET, UNIT, changed, film, frame

from instrument import optics
from instrument.attenuation import HC_EV_UM
from instrument.components import Matter
from instrument.exposure import pixel_ratio
from instrument.frame import Exposure
from instrument.microscope import expose
from instrument.projector import project, project_slabs, slab_weight
from instrument.settings import Optics

CENTER = np.array([63.5, 63.5])


def image_of(absorbed, phase=None, *, depths=(0.0,), instrument=QUIET, exposure=None, center=CENTER, **where):
    slabs = absorbed if absorbed.ndim == 3 else absorbed[None]
    phases = phase if phase is None or phase.ndim == 3 else phase[None]
    return optics.form_image(
        slabs.astype(np.float32),
        None if phases is None else phases.astype(np.float32),
        np.array(depths),
        center,
        False,
        instrument,
        frame(**where),
        exposure or Exposure(7126.0),
    )


def focused(zone=0.03, ratio=1.0, **more):
    return changed(QUIET, optics={"outermost_zone_um": zone, "condenser_ratio": ratio, **more})


def test_incoherent_transfer_is_that_of_a_full_aperture():
    """(2 / pi) (acos t - t sqrt(1 - t^2)) up to 1 / dr (Goodman, Introduction to Fourier Optics, 1968, ch. 6); no phase."""
    frequency, absorption, phase = optics._transfer_table(1.0, 0)
    t = frequency / 2
    assert absorption == pytest.approx(2 / np.pi * (np.arccos(t) - t * np.sqrt(1 - t**2)), abs=1e-4)
    assert not phase.any()


@given(ratio=st.floats(0.05, 1.0), steps=st.integers(-3000, 3000))
def test_transfer_keeps_the_light(ratio, steps):
    """1 for a uniform film, no fringe there, nothing beyond the aperture; far out of focus on either side absorption is alike."""
    _, absorption, phase = optics._transfer_table(ratio, steps)
    assert absorption[0] == pytest.approx(1, abs=1e-3)
    assert phase[0] == 0
    assert abs(absorption[-1]) < 1e-3
    assert np.abs(absorption).max() < 1.001
    mirrored = optics._transfer_table(ratio, -steps)
    assert mirrored[1] == pytest.approx(absorption, abs=1e-9)
    assert mirrored[2] == pytest.approx(-phase, abs=1e-9)


def test_nearly_coherent_transfer_is_fresnels():
    """cos and sin of pi lambda z f^2 inside the aperture."""
    steps = 2500
    frequency, absorption, phase = optics._transfer_table(0.02, steps)
    inside = frequency < 0.95
    error = steps * 1e-3 * frequency[inside] ** 2
    assert absorption[inside] == pytest.approx(np.cos(error), abs=0.005)
    assert phase[inside] == pytest.approx(-np.sin(error), abs=0.005)


def propagated(depth, phase, distance_um, sample_um):
    """Intensity of the wave behind a sample after `distance_um` in free space, exactly in the Fresnel approximation."""
    wave = np.exp(-depth / 2 + 1j * phase)
    f2 = np.fft.fftfreq(wave.shape[0], sample_um)[:, None] ** 2 + np.fft.fftfreq(wave.shape[1], sample_um) ** 2
    return np.abs(np.fft.ifft2(np.fft.fft2(wave) * np.exp(-1j * np.pi * HC_EV_UM / 7126.0 * distance_um * f2))) ** 2


@pytest.mark.parametrize("strength", [0.05, 1.0])
def test_fringes_are_those_of_the_wave(strength):
    """A smooth LFP lens a little out of focus, almost coherent: fringes as by wave propagation, weak and strong phase."""
    y, x = (np.mgrid[:128, :128] - 63.5) * PIXEL / 2
    thickness = strength * 4 * np.exp(-(((x / 1.2) ** 2 + (y / 0.8) ** 2) ** 2))
    depth, phase = 0.09 * thickness, -0.485 * thickness
    # An aperture far wider than the lens' detail, so that free space is all there is.
    instrument = changed(QUIET, optics={"outermost_zone_um": 0.01, "condenser_ratio": 0.02})
    for distance in (5.0, -5.0):
        found = image_of(1 - np.exp(-depth), phase, instrument=instrument, exposure=Exposure(7126.0, defocus_um=distance))
        # Downstream of the plane in focus: imaged is the wave as it was upstream.
        wanted = propagated(depth, phase, -distance, PIXEL / 2)
        fringes = wanted - np.exp(-depth)
        assert np.abs(found - wanted).max() < 0.05 * np.abs(fringes).max()


def test_which_side_of_focus():
    """A bump of matter spreads X-rays: its middle is dark in a plane downstream of it, bright in one upstream, that is where the
    sample lies downstream of the plane in focus. A slab downstream of the axis is like a sample downstream of focus."""
    phase = -0.05 * blob(64, 64, 8) / 0.5
    nothing = np.full(phase.shape, 1e-9)
    instrument = changed(QUIET, optics={"outermost_zone_um": 0.01, "condenser_ratio": 0.02})
    for away in (8.0, -8.0):
        whole = image_of(nothing, phase, instrument=instrument, exposure=Exposure(7126.0, defocus_um=away))
        slab = image_of(nothing, phase, depths=(away,), instrument=instrument)
        wanted = propagated(0 * phase, phase, -away, PIXEL / 2)
        assert whole[64, 64] - 1 == pytest.approx(wanted[64, 64] - 1, rel=0.05)
        assert (whole[64, 64] > 1) == (away > 0)
        assert np.array_equal(whole, slab)


def test_phase_is_seen_only_out_of_focus_and_goes_off_bit_for_bit():
    y, x = (np.mgrid[:64, :64] - 31.5) * PIXEL / 2
    disc = np.where(np.hypot(x, y) < 1, 0.5, 0.0)
    none = Matter(UNIT.attenuation_per_um, lambda e: np.zeros((1, len(e))))

    def shot(matter, **more):
        instrument = changed(QUIET, optics={"outermost_zone_um": 0.1, "condenser_ratio": 0.5, **more})
        return expose((32, 32), instrument, frame(), film(disc), matter)

    assert np.array_equal(shot(UNIT), shot(none))
    fringed = shot(UNIT, defocus_um=30.0)
    assert not np.array_equal(fringed, shot(none, defocus_um=30.0))
    assert np.array_equal(shot(UNIT, defocus_um=30.0, phase_contrast=False), shot(none, defocus_um=30.0))


@pytest.mark.parametrize(("zone", "ratio"), [(0.2, 1.0), (0.3, 1.0), (0.3, 0.5)])
def test_the_resolution_of_a_recorded_edge_is_that_of_the_set_transfer_function(zone, ratio):
    """Counts of an edge, differentiated: its spectrum is transfer function times pixel; its half height is met within 5 %."""
    shape = (16, 256)
    depth = np.zeros((32, 512))
    depth[:, 128:384] = 6.0
    instrument = changed(focused(zone, ratio), camera={"gain_adu": 6.0})
    line = expose(shape, instrument, frame(), film(depth), UNIT)[8].astype(float)
    spread = -np.diff(line)[:128]
    spectrum = np.abs(np.fft.rfft(spread, 4096))
    f = np.fft.rfftfreq(4096, PIXEL)
    found = f[np.argmax(spectrum < 0.5 * spectrum[0])]
    table = optics._transfer_table(ratio, 0)
    # A pixel averages over its width, the difference of neighbours over another, and over half of it the fine grid's own step.
    wanted = np.interp(2 * zone * f, table[0], table[1], right=0) * np.sinc(f * PIXEL) ** 2
    expected = f[np.argmax(wanted < 0.5)]
    assert found == pytest.approx(expected, rel=0.05)


def test_vibration_has_its_width():
    """The image of an edge, differentiated, is a Gaussian of the set width."""
    absorbed = np.zeros((8, 256))
    absorbed[:, 64:192] = 1.0
    transmission = image_of(absorbed, instrument=changed(QUIET, optics={"blur_fwhm_um": 0.5}))
    line = -np.diff(transmission[4].astype(float))[20:110]
    x = (np.arange(line.size) - (line * np.arange(line.size)).sum() / line.sum()) * PIXEL / 2
    width = np.sqrt((line * x**2).sum() / line.sum()) * optics.FWHM_PER_SIGMA
    assert width == pytest.approx(0.5, rel=0.02)


def blob(row, column, size=2.5, shape=(128, 128)):
    y, x = np.mgrid[: shape[0], : shape[1]]
    return 0.5 * np.exp(-((y - row) ** 2 + (x - column) ** 2) / (2 * size**2))


def centroid(transmission):
    absorbed = 1 - transmission.astype(float)
    y, x = np.mgrid[: absorbed.shape[0], : absorbed.shape[1]]
    return np.array([(absorbed * y).sum(), (absorbed * x).sum()]) / absorbed.sum()


@given(row=st.floats(-3, 3), column=st.floats(-3, 3))
def test_displacement_moves_the_image(row, column):
    """Rows and columns with the sign of the shift; the absorbed light is kept."""
    absorbed = blob(60, 66)
    moved = image_of(absorbed, exposure=Exposure(7126.0, shift_um=np.array([row, column]) * PIXEL / 2))
    assert (1 - moved).sum() == pytest.approx(absorbed.sum(), rel=1e-4)
    assert centroid(moved) == pytest.approx([60 + row, 66 + column], abs=0.01)


@given(scale=st.floats(0.97, 1.03), roll=st.floats(-3, 3))
def test_scale_and_roll_leave_the_centre(scale, roll):
    """A point at (row, column) from the centre goes to scale times that, the end at row 0 turned towards column 0."""
    place = np.array([-20.0, 14.0])
    turn = np.deg2rad(roll)
    exposure = Exposure(7126.0, scale=scale, roll_rad=turn)
    found = centroid(image_of(blob(*(CENTER + place)), exposure=exposure)) - CENTER
    row, column = place
    wanted = scale * np.array([row * np.cos(turn) - column * np.sin(turn), row * np.sin(turn) + column * np.cos(turn)])
    assert found == pytest.approx(wanted, abs=0.03)
    if roll > 0.1:
        upper = centroid(image_of(blob(CENTER[0] - 30, CENTER[1]), exposure=exposure))
        assert upper[1] < CENTER[1]


def test_pixel_grows_by_1_3_percent_from_7100_to_7192():
    fixed = changed(QUIET, optics={"magnification_change": 1.0})
    assert pixel_ratio(fixed, 7192.0, 7100.0) - 1 == pytest.approx(0.013, abs=0.0005)
    assert pixel_ratio(changed(QUIET, optics={"magnification_change": 0.5}), 7192.0, 7100.0) - 1 == pytest.approx(
        0.0067, abs=3e-4
    )
    assert pixel_ratio(QUIET, 7192.0, 7100.0) == 1


def test_a_recorded_bar_shrinks_by_1_3_percent():
    """Width of a bar in counts at 7192 eV, detector standing still, reference 7100 eV."""
    depth = np.zeros((32, 512))
    depth[:, 106:406] = 1.0
    width = {}
    for change in (0.0, 1.0):
        instrument = changed(QUIET, optics={"magnification_change": change})
        counts = expose((16, 256), instrument, frame(energy=7192.0), film(depth), UNIT).astype(float)
        width[change] = (counts[8, 0] - counts[8]).sum()
    assert width[0.0] / width[1.0] - 1 == pytest.approx(0.0134, abs=0.002)


@given(count=st.integers(2, 6), seed=st.integers(0, 2**31))
def test_slabs_sum_to_the_projection_and_lie_at_their_depth(count, seed):
    rng = np.random.default_rng(seed)
    z, y, x = (np.mgrid[:4, :48, :48] - np.array([1.5, 23.5, 23.5])[:, None, None, None]) * 0.1
    place = rng.uniform(-0.8, 0.8, 2)
    volume = np.exp(-((x - place[0]) ** 2 + (y - place[1]) ** 2) / 0.18 - 0 * z).astype(np.float32)
    angles = rng.uniform(-np.pi, np.pi, 3)
    depths = np.linspace(-2, 2, count)
    slabs = project_slabs(volume, angles, 0.1, depths)
    whole = project(volume, angles, 0.1)
    assert np.abs(slabs.sum(axis=0) - whole).max() < 2e-3 * whole.max()
    s = y[0] * np.cos(angles[:, None, None]) - x[0] * np.sin(angles[:, None, None])
    spacing = depths[1] - depths[0]
    for k, depth in enumerate(depths):
        share = (slab_weight(s - depth, spacing) * volume[0]).sum(axis=(1, 2)) * 0.01
        assert np.abs(slabs[k, :, 0].sum(axis=1) * 0.1 - share).max() < 0.01 * volume[0].sum() * 0.01


def test_slabs_alike_in_focus_are_one_slab():
    """With equal foci it makes no difference where along the beam the light is lost."""
    first, second = blob(60, 60, 6), blob(66, 70, 6)
    instrument = focused(0.2)
    taken = np.stack([first, (1 - first) * second])
    together = image_of(1 - (1 - first) * (1 - second), instrument=instrument)
    assert image_of(taken, depths=(0.0, 0.0), instrument=instrument) == pytest.approx(together, abs=1e-6)


def test_a_slab_out_of_focus_blurs_and_one_in_focus_does_not():
    depth_um = optics.depth_of_focus_um(Optics(), 7126.0)
    assert depth_um == pytest.approx(20.7, rel=0.01)
    instrument = focused(0.03, 1.0)
    points = np.stack([blob(64, 40, 1.0), blob(64, 88, 1.0)])
    small = {"pixel": 0.02}
    picture = image_of(points, depths=(0.0, 1.5 * depth_um), instrument=instrument, **small)
    assert 1 - picture[64, 40] > 2 * (1 - picture[64, 88])


def test_a_leaning_axis_moves_slabs_apart():
    """The end at row 0 downstream: what lies downstream appears at higher rows, by depth times the tangent."""
    exposure = Exposure(7126.0, pitch_rad=np.deg2rad(2.0))
    points = np.stack([blob(64, 40), blob(64, 88)])
    picture = image_of(points, depths=(-5.0, 5.0), exposure=exposure)
    moved = 5.0 * np.tan(np.deg2rad(2.0)) / (PIXEL / 2)
    halves = [
        centroid(np.where(np.arange(128)[None] < 64, picture, 1)),
        centroid(np.where(np.arange(128)[None] >= 64, picture, 1)),
    ]
    assert halves[0][0] == pytest.approx(64 - moved, abs=0.05)
    assert halves[1][0] == pytest.approx(64 + moved, abs=0.05)


def test_beyond_the_box_lies_open_beam():
    """A sample in a small box of a large field gives the same image as in the whole field."""
    depth = np.zeros((64, 96))
    depth[20:36, 30:50] = 1.0
    instrument = changed(QUIET, optics={"outermost_zone_um": 0.1}, stage={"center_offset_px": 1.25})
    whole = expose((32, 48), instrument, frame(), film(depth), UNIT)
    small = film(depth[16:40, 26:54])
    small = replace(small, corner=(16, 26), field=(64, 96), margin=40)
    assert np.abs(expose((32, 48), instrument, frame(), small, UNIT).astype(int) - whole.astype(int)).max() <= 0.004 * whole.max()


def test_the_field_cuts_off_what_lies_outside():
    depth = np.zeros((64, 96))
    depth[:, 4:20] = 1.0
    cut = expose((24, 40), QUIET, frame(), film(depth), UNIT)
    whole = expose((32, 48), QUIET, frame(), film(depth), UNIT)
    assert np.array_equal(cut, whole[4:-4, 4:-4])
