from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from instrument import effects
from instrument.components import frozen
from instrument.dose import mean_dose_MGy
from instrument.frame import Frame
from instrument.measurement import Header
from instrument.microscope import expose, record
from instrument.randomness import generator
from instrument.settings import FULL_SCALE_ADU, Beam, Camera, Instrument, Optics, Stage
from phantom import InputError

QUIET = Instrument(
    Beam(photons_per_pixel=1e4, falloff=0.0, shot_noise=False),
    Optics(blur_fwhm_um=0.0),
    Stage(runout_um=0.0),
    Camera(efficiency=1.0, spread_px=0.0, gain_adu=4.0, read_noise_adu=0.0, offset_adu=100.0),
)
NOISY = replace(QUIET, beam=Beam(photons_per_pixel=1e4, falloff=0.0), camera=replace(QUIET.camera, read_noise_adu=3.0))
PIXEL = 0.1


def frame(kind="scan", index=0, shutter_open=True, seed=1, oversampling=2):
    return Frame(seed, 7126.0, 0, kind, index, shutter_open, PIXEL, oversampling)


def empty_scan(energies, angles=3, shape=(6, 8), flats=2, darks=2):
    n = len(energies)
    return Header(
        np.array(energies, float),
        np.linspace(0, 3, angles),
        np.zeros((n, angles)),
        np.full(n, PIXEL),
        (shape[1] - 1) / 2,
        0.05,
        shape,
        flats,
        darks,
    ).in_memory()


@given(depth=st.floats(0, 4))
def test_beer_lambert(depth):
    """A uniform film of optical depth t transmits exp(-t), flat over film, to the rounding of the counts."""
    film = np.full((12, 16), depth, np.float32)
    light, flat, dark = (
        expose(image, QUIET, frame(kind, shutter_open=kind != "dark")).astype(float)
        for image, kind in ((film, "scan"), (0 * film, "flat"), (0 * film, "dark"))
    )
    assert (light - dark) / (flat - dark) == pytest.approx(np.exp(-depth), abs=3e-5)


@given(falloff=st.floats(0, 0.9), blur=st.floats(0, 0.5), spread=st.sampled_from([0.0, 0.5]), index=st.integers(0, 50))
def test_flat_over_flat_is_one_and_a_dark_is_dark(falloff, blur, spread, index):
    nothing = np.zeros((12, 16), np.float32)
    instrument = replace(
        QUIET, beam=replace(QUIET.beam, falloff=falloff), optics=Optics(blur), camera=replace(QUIET.camera, spread_px=spread)
    )
    assert np.array_equal(expose(nothing, instrument, frame("scan")), expose(nothing, instrument, frame("flat", index)))
    assert (expose(nothing, instrument, frame("dark", shutter_open=False)) == 100).all()


@pytest.mark.parametrize(
    ("camera", "words"), [(Camera(gain_adu=7.0, efficiency=1.0), "gain_adu"), (Camera(efficiency=1e-4), "detected photons")]
)
def test_a_camera_out_of_its_range_is_refused(camera, words):
    with pytest.raises(InputError, match=words):
        replace(NOISY, camera=camera, beam=Beam(photons_per_pixel=9999.0)).check()


ZERO = {
    "runout_um": lambda i: replace(i, stage=Stage(runout_um=0.0)),
    "blur": lambda i: replace(i, optics=Optics(blur_fwhm_um=0.0)),
    "beam_profile": lambda i: replace(i, beam=replace(i.beam, falloff=0.0)),
    "scintillator_spread": lambda i: replace(i, camera=replace(i.camera, spread_px=0.0)),
    "read_noise": lambda i: replace(i, camera=replace(i.camera, read_noise_adu=0.0)),
}
FULL = Instrument(
    Beam(photons_per_pixel=1e4, falloff=0.3),
    Optics(blur_fwhm_um=0.15),
    Stage(runout_um=0.03),
    Camera(efficiency=1.0, spread_px=0.6, gain_adu=4.0, read_noise_adu=3.0),
)


@pytest.mark.parametrize("name", ZERO)
def test_an_effect_at_size_zero_equals_the_effect_taken_out(name, monkeypatch):
    """Bit for bit, with every other effect on; and at full size it does change the frame."""
    depth = np.zeros((24, 32), np.float32)
    depth[6:15, 8:20] = 0.7
    at_zero = expose(depth, ZERO[name](FULL), frame())
    assert not np.array_equal(at_zero, expose(depth, FULL, frame()))
    import instrument.microscope as microscope

    for place in ("EXPOSURE", "PHOTONS", "COUNTS"):
        kept = tuple(effect for effect in getattr(microscope, place) if effect.__name__ != name)
        monkeypatch.setattr(microscope, place, kept or (lambda instrument, frame: np.zeros(2),))
    assert np.array_equal(at_zero, expose(depth, FULL, frame()))


@pytest.mark.parametrize("spread", [0.0, 0.5, 1.0])
def test_photon_transfer(spread):
    """Slope of variance over mean: the gain times sum(PSF^2); 0.27 of the gain at half a pixel."""
    instrument = replace(NOISY, camera=replace(NOISY.camera, spread_px=spread))
    nothing = np.zeros((120, 160), np.float32)
    frames = np.stack([expose(nothing, instrument, frame("flat", k, oversampling=1)) for k in range(40)]).astype(float)
    frames = frames[:, 6:-6, 6:-6]  # light that would spread in from beyond the frame is not simulated
    slope = (frames.var(axis=0, ddof=1).mean() - 9 - 1 / 12) / (frames.mean() - 100)
    kernel = effects.spread_kernel(spread) if spread else np.ones(1)
    expected = 4.0 * np.sum(kernel**2) ** 2
    assert slope == pytest.approx(expected, rel=0.01)
    if spread == 0.5:
        assert slope / 4.0 == pytest.approx(0.27, abs=0.006)


def test_read_noise():
    nothing = np.zeros((120, 160), np.float32)
    darks = np.stack([expose(nothing, NOISY, frame("dark", k, False, oversampling=1)) for k in range(20)]).astype(float)
    assert darks.std() == pytest.approx(np.sqrt(9 + 1 / 12), rel=0.02)
    assert darks.mean() == pytest.approx(100, abs=0.05)


def test_blur_has_its_width():
    """The image of an edge, differentiated, is a Gaussian of the set width."""
    depth = np.zeros((8, 256), np.float32)
    depth[:, 64:192] = 10.0  # two edges: the field is periodic
    instrument = replace(QUIET, optics=Optics(blur_fwhm_um=0.5))
    transmission = effects.blur(np.exp(-depth), instrument, frame())
    line = -np.diff(transmission[4].astype(float))[20:110]
    x = (np.arange(line.size) - (line * np.arange(line.size)).sum() / line.sum()) * PIXEL / 2
    width = np.sqrt((line * x**2).sum() / line.sum()) * effects.FWHM_PER_SIGMA
    assert width == pytest.approx(0.5, rel=0.02)


@given(row=st.floats(-3, 3), column=st.floats(-3, 3))
def test_displacement_moves_the_image(row, column):
    """Rows and columns with the sign of the shift; the absorbed light is kept."""
    y, x = np.mgrid[:40, :48]
    absorbed = 0.5 * np.exp(-((y - 20) ** 2 + (x - 22) ** 2) / 18)
    moved = 1 - effects.displace((1 - absorbed).astype(np.float32), np.array([row, column]))
    assert moved.sum() == pytest.approx(absorbed.sum(), rel=1e-4)
    assert (moved * y).sum() / moved.sum() - 20 == pytest.approx(row, abs=0.01)
    assert (moved * x).sum() / moved.sum() - 22 == pytest.approx(column, abs=0.01)


def test_runout_has_its_rms_and_moves_rows_and_columns():
    stage = replace(NOISY, stage=Stage(runout_um=0.02))
    draws = np.array([effects.runout_um(stage, frame(index=k)) for k in range(4000)])
    assert draws.std(axis=0) == pytest.approx([0.02, 0.02], rel=0.05)
    assert abs(np.corrcoef(draws.T)[0, 1]) < 0.06


def test_exposure_control():
    auto = replace(NOISY, camera=replace(NOISY.camera, gain_adu="auto"))
    assert expose(np.zeros((80, 80), np.float32), auto, frame("flat")).mean() == pytest.approx(FULL_SCALE_ADU / 2, rel=1e-3)


@given(order=st.permutations(range(4)), seed=st.integers(0, 2**32 - 1))
def test_energies_may_be_measured_in_any_order(order, seed):
    energies = np.array([7100.0, 7120.0, 7126.0, 7140.0])
    mu = np.array([[0.02, 0.05, 0.09, 0.06]])
    paths = np.abs(generator(seed, "paths").normal(3, 1, (1, 3, 12, 16))).astype(np.float32)
    plain, shuffled = empty_scan(energies), empty_scan(energies[list(order)])
    record(frozen(paths), mu, FULL, plain, seed=seed)
    record(frozen(paths), mu[:, list(order)], FULL, shuffled, seed=seed)
    for name in ("projections", "flats", "darks"):
        assert np.array_equal(getattr(plain, name)[list(order)], getattr(shuffled, name))


def test_a_second_visit_of_an_energy_has_noise_of_its_own():
    scan = empty_scan([7126.0, 7126.0])
    record(frozen(np.ones((1, 3, 12, 16), np.float32)), np.full((1, 2), 0.05), NOISY, scan, seed=1)
    assert not np.array_equal(scan.projections[0], scan.projections[1])


def test_threads_do_not_change_a_bit():
    one, two = empty_scan([7100.0, 7126.0]), empty_scan([7100.0, 7126.0])
    paths = np.ones((1, 3, 12, 16), np.float32)
    for scan, threads in ((one, 1), (two, 2)):
        record(frozen(paths), np.full((1, 2), 0.05), FULL, scan, seed=5, threads=threads)
    assert np.array_equal(one.projections, two.projections)
    assert np.array_equal(one.flats, two.flats)


@given(seed=st.integers(0, 2**31), other=st.integers(0, 2**31))
def test_addressed_generators(seed, other):
    """An address repeats; another seed, name or place differs."""
    draw = generator(seed, "shot noise", 7126000, 0, "flat", 3).integers(0, 2**62)
    assert draw == generator(seed, "shot noise", 7126000, 0, "flat", 3).integers(0, 2**62)
    assert draw != generator(seed, "read noise", 7126000, 0, "flat", 3).integers(0, 2**62)
    assert draw != generator(seed, "shot noise", 7126000, 0, "flat", 4).integers(0, 2**62)
    if other != seed:
        assert draw != generator(other, "shot noise", 7126000, 0, "flat", 3).integers(0, 2**62)


def test_dose_of_a_slab_by_hand():
    """A uniform slab: fluence * energy * absorbed share of what is stopped, over its mass per area."""
    paths = np.full((1, 2, 10, 10), 8.0, np.float32)
    found = mean_dose_MGy(
        paths, np.array([[0.06]]), np.array([[0.045]]), np.array([7192.0]), np.array([3.6]), np.array([1e8]), 181, 0.05
    )
    stopped = (1 - np.exp(-0.48)) * 0.045 / 0.06
    by_hand = 1e8 * 181 * 7192 * 1.602176634e-19 * stopped / (8e-4 * 3.6 * 1e-3 * 1e-8) * 1e-6
    assert found == pytest.approx(by_hand, rel=1e-5)
