from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from quiet import NOISY, PIXEL, QUIET, UNIT, changed, empty_scan, film, frame

from instrument import counts, microscope, optics
from instrument.attenuation import absorbed_per_um, formula_mass_g_mol
from instrument.components import Matter, frozen
from instrument.dose import entrance_dose_MGy, mean_dose_MGy
from instrument.housing import Housing, Layer
from instrument.microscope import expose, record
from instrument.randomness import generator
from instrument.settings import FULL_SCALE_ADU, Beam, Camera, Instrument, Monochromator, Optics, Stage
from instrument.xanes import parametric
from phantom import InputError

NOTHING = np.zeros((12, 16))


@given(depth=st.floats(0, 4))
def test_beer_lambert(depth):
    """A uniform film of optical depth t transmits exp(-t), film over flat, to the rounding of the counts."""
    light = expose((6, 8), QUIET, frame(), film(np.full((12, 16), depth)), UNIT).astype(float)
    flat, dark = (expose((6, 8), QUIET, frame(kind)).astype(float) for kind in ("flat", "dark"))
    assert (light - dark) / (flat - dark) == pytest.approx(np.exp(-depth), abs=3e-5)


@given(
    falloff=st.floats(0, 0.9),
    zone=st.sampled_from([0.0, 0.03, 0.2]),
    spread=st.sampled_from([0.0, 0.5]),
    index=st.integers(0, 50),
)
def test_flat_over_flat_is_one_and_a_dark_is_dark(falloff, zone, spread, index):
    instrument = changed(QUIET, beam={"falloff": falloff}, optics={"outermost_zone_um": zone}, camera={"spread_px": spread})
    empty = expose((6, 8), instrument, frame(), film(NOTHING), UNIT)
    assert np.array_equal(empty, expose((6, 8), instrument, frame("flat", index)))
    assert (expose((6, 8), instrument, frame("dark")) == 100).all()


@pytest.mark.parametrize(
    ("tables", "words"),
    [
        ({"camera": {"gain_adu": 7.0}}, "gain_adu"),
        ({"camera": {"efficiency": 1e-4}}, "detected photons"),
        ({"beam": {"halo": 1.0}, "camera": {"gain_adu": 4.0}}, "gain_adu"),
        ({"optics": {"defocus_um": 3.0}}, "focus"),
    ],
)
def test_an_instrument_out_of_its_range_is_refused(tables, words):
    dim = changed(NOISY, beam={"photons_per_pixel": 9999.0})
    with pytest.raises(InputError, match=words):
        changed(dim, **tables).check()


# Everything on, and how each effect is set to zero.
FULL = Instrument(
    Beam(
        photons_per_pixel=1e4,
        falloff=0.3,
        decay_per_hour=0.5,
        topup_s=60,
        flicker=0.02,
        structure=0.05,
        structure_drift_px=2.0,
        vignetting=0.2,
        halo=0.05,
        stray_light=0.04,
        harmonics=0.01,
    ),
    Monochromator(resolution_eV=1.0, offset_eV=0.3, drift_eV=0.3, jitter_eV=0.2),
    Housing("round", kapton=Layer("C22H10N2O5", 1.42, 50.0)),
    Optics(
        outermost_zone_um=0.1,
        defocus_um=20.0,
        focus_jitter_um=5.0,
        blur_fwhm_um=0.1,
        magnification_change=1.0,
    ),
    Stage(
        runout_um=0.03,
        wobble_um=0.05,
        drift_um=0.05,
        energy_shift_um=0.04,
        center_offset_px=1.5,
        roll_deg=2.0,
        pitch_deg=2.0,
    ),
    Camera(
        efficiency=1.0,
        spread_px=0.6,
        gain_adu=3.0,
        gain_pattern=0.02,
        ring_pattern=0.01,
        dark_current_e_s=400.0,
        hot_pixels=0.02,
        hot_current_e_s=1e4,
        dead_pixels=0.02,
        full_well_e=1.9e5,
        zingers=2e4,
        read_noise_adu=3.0,
    ),
)
ZERO = {
    "energy_offset": {"monochromator": {"offset_eV": 0}},
    "energy_drift": {"monochromator": {"drift_eV": 0}},
    "energy_jitter": {"monochromator": {"jitter_eV": 0}},
    "decay": {"beam": {"decay_per_hour": 0}},
    "flicker": {"beam": {"flicker": 0}},
    "structure_drift": {"beam": {"structure_drift_px": 0}},
    "center_offset": {"stage": {"center_offset_px": 0}},
    "runout": {"stage": {"runout_um": 0}},
    "wobble": {"stage": {"wobble_um": 0}},
    "drift": {"stage": {"drift_um": 0}},
    "energy_shift": {"stage": {"energy_shift_um": 0}},
    "tilt": {"stage": {"roll_deg": 0, "pitch_deg": 0}},
    "magnification": {"optics": {"magnification_change": 0}},
    "focus": {"optics": {"defocus_um": 0, "focus_jitter_um": 0}},
    "chromatic_focus": {"optics": {"zone_plate_diameter_um": 0}},
    "vibration": {"optics": {"blur_fwhm_um": 0}},
    "zone_plate": {"optics": {"outermost_zone_um": 0}},
    "stray_light": {"beam": {"stray_light": 0}},
    "structure": {"beam": {"structure": 0}},
    "falloff": {"beam": {"falloff": 0}},
    "vignetting": {"beam": {"vignetting": 0}},
    "halo": {"beam": {"halo": 0}},
    "shot_noise": {"beam": {"shot_noise": False}},
    "scintillator_spread": {"camera": {"spread_px": 0}},
    "gain_pattern": {"camera": {"gain_pattern": 0}},
    "ring_pattern": {"camera": {"ring_pattern": 0}},
    "dark_current": {"camera": {"dark_current_e_s": 0}},
    "hot_pixels": {"camera": {"hot_pixels": 0}},
    "dead_pixels": {"camera": {"dead_pixels": 0}},
    "full_well": {"camera": {"full_well_e": 0}},
    "zingers": {"camera": {"zingers": 0}},
    "read_noise": {"camera": {"read_noise_adu": 0}},
}
LISTS = [(microscope, "EXPOSURE"), (microscope, "PHOTONS"), (microscope, "COUNTS"), (optics, "TRANSFER")]
ALWAYS = {"gain", "digitize", "flux", "displacement"}  # they carry what others decide


def bumps(energies):
    """Attenuation that depends on the energy, so that its errors show."""
    return 1 + 0.05 * (energies[None] - 7126.0) / (1 + np.abs(energies[None] - 7126.0) / 50)


MATTER = Matter(bumps, UNIT.phase_rad_per_um)


def a_sample():
    """A block in two slabs."""
    paths = np.zeros((1, 1, 2, 1, 48, 64), np.float32)
    paths[0, 0, 0, 0, 12:30, 16:40] = 0.4
    paths[0, 0, 1, 0, 16:34, 20:44] = 0.3
    return replace(frozen(paths[0, :, 0]), moving=paths, still=paths[0, :0], depths_um=np.array([-2.0, 2.0]))


def shot(instrument):
    return expose((24, 32), instrument, frame(time=70.0, angle=0.7, energy=7140.0), a_sample(), MATTER)


def test_every_effect_has_its_zero():
    listed = {effect.__name__ for place, name in LISTS for effect in getattr(place, name)}
    assert listed - ALWAYS == set(ZERO) - {"zone_plate"}


@pytest.mark.parametrize("name", ZERO)
def test_an_effect_at_size_zero_equals_the_effect_taken_out(name, monkeypatch):
    """Bit for bit, with every other effect on; and at full size it does change the frame."""
    # Without a zone plate there is no focus to miss; taken out, there is none either.
    full = changed(FULL, optics={"defocus_um": 0, "focus_jitter_um": 0}) if name == "zone_plate" else FULL
    at_zero = shot(changed(full, **ZERO[name]))
    assert not np.array_equal(at_zero, shot(full))
    for place, listed in LISTS:
        monkeypatch.setattr(place, listed, tuple(e for e in getattr(place, listed) if e.__name__ != name))
    if name == "zone_plate":
        monkeypatch.setattr(optics, "zone_plate", lambda *_: None)
    assert np.array_equal(at_zero, shot(full))


@pytest.mark.parametrize(
    ("zero", "one"),
    [
        ({"monochromator": {"resolution_eV": 0}}, {"monochromator": {"resolution_eV": 1e-9}}),
        ({"beam": {"harmonics": 0}}, {"beam": {"harmonics": 1e-12}}),
        ({"housing": {"kapton": Layer("C22H10N2O5", 1.42, 0.0)}}, {"housing": {"kapton": Layer("C22H10N2O5", 1.42, 1e-9)}}),
    ],
    ids=["resolution", "harmonics", "housing"],
)
def test_light_without_an_effect_is_the_limit_of_a_small_one(zero, one):
    """Photon noise off: a count may round the other way."""
    still = changed(FULL, beam={"shot_noise": False})
    none, small = (shot(changed(still, **tables)).astype(int) for tables in (zero, one))
    assert np.abs(none - small).max() <= 1


@pytest.mark.parametrize("spread", [0.0, 0.5, 1.0])
def test_photon_transfer_and_correlation(spread):
    """Slope of variance over mean is the gain times sum(PSF^2), 0.27 of it at half a pixel; noise correlates as the PSF."""
    instrument = changed(NOISY, camera={"spread_px": spread})
    frames = np.stack([expose((160, 200), instrument, frame("flat", k)) for k in range(60)]).astype(float)
    frames = frames[:, 6:-6, 6:-6]  # light that would spread in from beyond the frame is not simulated
    slope = (frames.var(axis=0, ddof=1).mean() - 9 - 1 / 12) / (frames.mean() - 100)
    kernel = counts.spread_kernel(spread) if spread else np.ones(1)
    auto = np.append(np.correlate(kernel, kernel, "full")[len(kernel) - 1 :], np.zeros(4))
    assert slope == pytest.approx(4.0 * auto[0] ** 2, rel=0.01)
    if spread == 0.5:
        assert slope / 4.0 == pytest.approx(0.27, abs=0.006)
    noise = frames - frames.mean(axis=0)
    for row, column in ((0, 1), (1, 0), (1, 1), (0, 2)):
        pair = noise[:, row:, column:] * noise[:, : noise.shape[1] - row, : noise.shape[2] - column]
        share = slope * (frames.mean() - 100) / auto[0] ** 2
        assert pair.mean() * 60 / 59 / share == pytest.approx(auto[row] * auto[column], abs=0.004)


def test_read_noise():
    darks = np.stack([expose((60, 80), NOISY, frame("dark", k)) for k in range(40)]).astype(float)
    assert darks.std() == pytest.approx(np.sqrt(9 + 1 / 12), rel=0.02)
    assert darks.mean() == pytest.approx(100, abs=0.05)


def test_exposure_control():
    auto = changed(NOISY, camera={"gain_adu": "auto"})
    assert expose((40, 40), auto, frame("flat")).mean() == pytest.approx(FULL_SCALE_ADU / 2, rel=1e-3)


@given(order=st.permutations(range(4)), seed=st.integers(0, 2**32 - 1))
def test_energies_may_be_measured_in_any_order(order, seed):
    """What depends on time or on a first energy apart."""
    steady = changed(
        FULL,
        beam={"decay_per_hour": 0, "structure_drift_px": 0},
        monochromator={"drift_eV": 0},
        stage={"drift_um": 0},
        optics={"magnification_change": 0},
    )
    energies = np.array([7100.0, 7120.0, 7126.0, 7140.0])
    paths = np.abs(generator(seed, "paths").normal(3, 1, (1, 3, 12, 16))).astype(np.float32) * 0.1
    (plain, clock), (shuffled, _) = empty_scan(energies), empty_scan(energies[list(order)])
    record(frozen(paths), MATTER, steady, plain, clock, seed=seed)
    record(frozen(paths), MATTER, steady, shuffled, clock, seed=seed)
    for name in ("projections", "flats", "darks"):
        assert np.array_equal(getattr(plain, name)[list(order)], getattr(shuffled, name))


def test_a_second_visit_of_an_energy_has_noise_of_its_own():
    scan, clock = empty_scan([7126.0, 7126.0])
    record(frozen(np.ones((1, 3, 12, 16), np.float32)), UNIT, NOISY, scan, clock, seed=1)
    assert not np.array_equal(scan.projections[0], scan.projections[1])


def test_energies_in_the_same_meV_have_noise_of_their_own():
    scan, clock = empty_scan([7126.0, 7126.0003])
    record(frozen(np.ones((1, 3, 12, 16), np.float32)), UNIT, NOISY, scan, clock, seed=1)
    assert not np.array_equal(scan.flats[0], scan.flats[1])


def test_threads_do_not_change_a_bit():
    (one, clock), (two, _) = empty_scan([7100.0, 7126.0], angles=20), empty_scan([7100.0, 7126.0], angles=20)
    paths = np.ones((1, 20, 12, 16), np.float32)
    for scan, threads in ((one, 1), (two, 2)):
        record(frozen(paths), MATTER, FULL, scan, clock, seed=5, threads=threads)
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
        paths, np.array([[0.06]]), np.array([[0.045]]), np.array([7192.0]), np.array([3.6]), np.array([1e8 * 181]), 0.05
    )
    stopped = (1 - np.exp(-0.48)) * 0.045 / 0.06
    by_hand = 1e8 * 181 * 7192 * 1.602176634e-19 * stopped / (8e-4 * 3.6 * 1e-3 * 1e-8) * 1e-6
    assert found == pytest.approx([by_hand], rel=1e-5)


def test_dose_where_the_beam_enters():
    """1.46e-2 Gy per photon per um2 in LFP at 7192 eV; a thin slab's mean is that."""
    energy = np.array([7192.0])
    absorbed = absorbed_per_um("LiFePO4", 3.6 / formula_mass_g_mol("LiFePO4"), energy, parametric("LFP")(energy))
    entrance = entrance_dose_MGy(energy, absorbed, 3.6, np.array([1e8]))
    assert entrance * 1e6 / 1e8 == pytest.approx([1.46e-2], rel=0.01)
    thin = np.full((1, 1, 4, 4), 1e-3, np.float32)
    mean = mean_dose_MGy(thin, np.array([[0.0594]]), absorbed[None], energy, np.array([3.6]), np.array([1e8]), PIXEL)
    assert mean == pytest.approx(entrance, rel=1e-3)
