"""Each effect has the mean and the spread it states."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from quiet import NOISY, PIXEL, QUIET, UNIT, changed, empty_scan, film, frame

from instrument import exposure
from instrument.components import Fading, Matter, frozen
from instrument.frame import Exposure
from instrument.housing import Housing, Layer, transmission
from instrument.microscope import expose, happened, record
from instrument.scan import Scan
from instrument.sequence import frame_order
from instrument.settings import Camera, Stage
from phantom import InputError

MANY = 4000


def draws(field, count=MANY, *, per="index", **tables):
    """What really happened in many frames, each with a frame number, a seed or an energy of its own."""
    instrument = changed(QUIET, **tables)
    if per == "index":
        frames = (frame(index=k) for k in range(count))
    elif per == "seed":
        frames = (frame(seed=k, time=100.0) for k in range(count))
    else:
        frames = (frame(energy=7000 + 0.1 * k) for k in range(count))
    return np.array([getattr(happened(instrument, where), field) for where in frames])


@pytest.mark.parametrize(
    ("name", "per"), [("runout_um", "index"), ("wobble_um", "seed"), ("drift_um", "seed"), ("energy_shift_um", "energy")]
)
def test_displacements_have_their_rms_along_rows_and_columns(name, per):
    shifts = draws("shift_um", per=per, stage={name: 0.02})
    assert shifts.std(axis=0) == pytest.approx([0.02, 0.02], rel=0.05)
    assert shifts.mean(axis=0) == pytest.approx([0, 0], abs=0.002)
    assert abs(np.corrcoef(shifts.T)[0, 1]) < 0.06


@pytest.mark.parametrize(
    ("per", "tables", "field", "size"),
    [
        ("index", {"beam": {"flicker": 0.03}}, "flux", 0.03),
        ("seed", {"monochromator": {"drift_eV": 0.4}}, "energy_eV", 0.4),
        ("seed", {"beam": {"structure_drift_px": 3.0}}, "structure_px", 3.0),
    ],
)
def test_walks_and_flicker_have_their_rms(per, tables, field, size):
    found = draws(field, per=per, **tables)
    assert found.std(axis=0) == pytest.approx(np.full(found.shape[1:], size), rel=0.05)


def test_what_each_energy_misses_has_its_rms():
    energies = draws("energy_eV", per="energy", monochromator={"jitter_eV": 0.2}) - (7000 + 0.1 * np.arange(MANY))
    assert energies.std() == pytest.approx(0.2, rel=0.05)
    assert draws("defocus_um", per="energy", optics={"outermost_zone_um": 0.03, "focus_jitter_um": 2.0}).std() == pytest.approx(
        2, rel=0.05
    )


def test_an_energy_missed_by_1_eV_defocuses_by_5_9_um_and_an_offset_does_not():
    """f = D dr E / hc, 41.92 mm at 7100 eV."""
    jittery = changed(QUIET, optics={"outermost_zone_um": 0.03}, monochromator={"jitter_eV": 1.0})
    real = happened(jittery, frame())
    assert real.defocus_um / (real.energy_eV - 7126.0) == pytest.approx(41920 / 7100, rel=1e-3)
    shifted = happened(changed(QUIET, optics={"outermost_zone_um": 0.03}, monochromator={"offset_eV": 2.0}), frame())
    assert (shifted.energy_eV, shifted.defocus_um) == (7128.0, 0.0)


@given(part=st.floats(0, 1))
def test_a_random_walk_grows_with_its_way(part):
    walks = np.array([exposure.random_walk(np.random.default_rng(k), part)[0] for k in range(1500)])
    assert walks.var() == pytest.approx(part, rel=0.13, abs=0.01)


def test_a_drift_is_one_curve():
    """Frames of a scan lie on one continuous path, the same whatever is asked first; another seed draws another."""
    instrument = changed(QUIET, stage={"drift_um": 0.1})
    path = np.array([happened(instrument, frame(index=k, time=t)).shift_um for k, t in enumerate(np.linspace(0, 100, 400))])
    assert path[0] == pytest.approx([0, 0], abs=1e-12)
    assert np.abs(np.diff(path, axis=0)).max() < 0.1 * 6 / np.sqrt(400) + 0.01
    again = happened(instrument, frame("flat", 99, energy=7200.0, time=50.0)).shift_um
    assert again == pytest.approx(happened(instrument, frame(index=3, time=50.0)).shift_um)
    assert not np.allclose(happened(instrument, frame(seed=2, time=50.0)).shift_um, again)


def test_a_wobble_returns_with_the_angle_at_every_energy():
    instrument = changed(QUIET, stage={"wobble_um": 0.5})
    one, other = (happened(instrument, frame(index=k, energy=e, angle=0.7)).shift_um for k, e in ((3, 7100.0), (70, 7192.0)))
    assert np.array_equal(one, other)
    turned = happened(instrument, frame(index=3, angle=0.7 + 2 * np.pi)).shift_um
    assert turned == pytest.approx(one, abs=1e-9)
    assert not np.allclose(happened(instrument, frame(index=3, angle=0.9)).shift_um, one)


def test_angle_errors_have_their_rms_and_are_the_encoders():
    nominal = np.linspace(-1, 1, MANY)
    stage = Stage(angle_error_deg=0.1)
    found = exposure.true_angles_rad(stage, nominal, seed=3)
    assert np.rad2deg((found - nominal).std()) == pytest.approx(0.1, rel=0.05)
    assert np.array_equal(found, exposure.true_angles_rad(stage, nominal, seed=3))
    assert exposure.true_angles_rad(Stage(), nominal, seed=3) is nominal


def test_beam_decays_and_is_topped_up():
    beam = changed(QUIET, beam={"decay_per_hour": 0.36, "topup_s": 1000.0}).beam
    assert exposure.stored_current(beam, np.array([0.0, 500.0, 999.9, 1000.0, 1500.0])) == pytest.approx(
        np.exp([0, -0.05, -0.09999, 0, -0.05])
    )
    dimmed = changed(QUIET, beam={"decay_per_hour": 0.36})
    bright, dim = (expose((8, 8), dimmed, frame("flat", time=t)).astype(float).mean() - 100 for t in (0.0, 1000.0))
    assert dim / bright == pytest.approx(np.exp(-0.1), rel=1e-3)


def test_band_is_averaged_in_intensity():
    """A thick sample at a steep edge: the mean of the transmitted light, not of the optical depth."""
    steep = Matter(lambda e: 1 / (1 + np.exp(-(e[None] - 7126.0) / 0.6)) * 3, UNIT.phase_rad_per_um)
    instrument = changed(QUIET, monochromator={"resolution_eV": 1.5}, camera={"gain_adu": 6.0})
    shot, flat = (
        expose((4, 4), instrument, frame(kind), *sample).astype(float).mean() - 100
        for kind, sample in (("projection", (film(np.ones((8, 8))), steep)), ("flat", ()))
    )
    offsets = np.linspace(-4, 4, 4001)
    band = np.exp(-4 * np.log(2) * (offsets / 1.5) ** 2)
    wanted = np.average(np.exp(-steep.attenuation_per_um(7126.0 + offsets)[0]), weights=band)
    assert shot / flat == pytest.approx(wanted, abs=0.002)
    assert abs(wanted - np.exp(-1.5)) > 0.02


@pytest.mark.parametrize("share", [0.01, 0.05])
def test_stray_light_and_harmonics(share):
    """(T + s) / (1 + s); of the harmonic the sample takes what it takes at three times the energy."""

    def transmission_of(**tables):
        instrument = changed(QUIET, camera={"gain_adu": 6.0}, **tables)
        thin = Matter(lambda e: np.where(e[None] > 15000, 0.05, 1.0), UNIT.phase_rad_per_um)
        light = expose((4, 4), instrument, frame(), film(np.ones((8, 8))), thin).astype(float).mean() - 100
        return light / (expose((4, 4), instrument, frame("flat")).astype(float).mean() - 100)

    plain = np.exp(-1)
    assert transmission_of(beam={"stray_light": share}) == pytest.approx((plain + share) / (1 + share), rel=1e-4)
    assert transmission_of(beam={"harmonics": share}) == pytest.approx((plain + share * np.exp(-0.05)) / (1 + share), rel=1e-4)


def flats(shape=(60, 80), count=1, **tables):
    instrument = changed(QUIET, camera={"gain_adu": 5.0} | tables.pop("camera", {}), **tables)
    return np.stack([expose(shape, instrument, frame("flat", k, time=k)) for k in range(count)]).astype(float) - 100


def test_beam_structure_has_its_rms_and_moves():
    flat = flats((128, 128), beam={"structure": 0.05, "structure_px": 2.0})[0] / 5e4
    assert flat.std() == pytest.approx(0.05, rel=0.02)
    assert flat.mean() == pytest.approx(1, abs=1e-3)
    instrument = changed(QUIET, beam={"structure": 0.05, "structure_drift_px": 4.0})
    where = happened(instrument, frame("flat", time=60.0)).structure_px
    still, moved = (expose((128, 128), instrument, frame("flat", time=t)).astype(float) for t in (0.0, 60.0))
    correlation = np.fft.ifft2(np.fft.fft2(moved - moved.mean()) * np.fft.fft2(still - still.mean()).conj()).real
    peak = np.unravel_index(np.argmax(correlation), correlation.shape)
    assert (np.array(peak) + 64) % 128 - 64 == pytest.approx(where, abs=1.0)


@pytest.mark.parametrize(("name", "sign"), [("falloff", -1), ("vignetting", -1), ("halo", 1)])
def test_light_across_the_field(name, sign):
    """The stated change at the corner, none at the centre."""
    flat = flats((61, 81), beam={name: 0.2})[0] / 5e4
    assert flat[30, 40] == pytest.approx(1, abs=1e-3)
    assert flat[0, 0] == pytest.approx(1 + sign * 0.2, abs=1e-3)


def test_gain_pattern_divides_out_and_rings_do_not():
    pattern = flats(camera={"gain_pattern": 0.03})[0] / 5e4
    assert pattern.std() == pytest.approx(0.03, rel=0.05)

    def corrected(**camera):
        instrument = changed(QUIET, camera={"gain_adu": 5.0} | camera)
        shots = [
            expose((60, 80), instrument, frame(kind, k)).astype(float) - 100 for kind in ("projection", "flat") for k in (0, 1)
        ]
        assert np.array_equal(shots[0], shots[1])
        return shots[0] / shots[2]

    assert corrected(gain_pattern=0.03).std() < 5e-5
    assert corrected(ring_pattern=0.01).std() == pytest.approx(0.01, rel=0.05)


def test_dark_current_hot_and_dead_pixels():
    instrument = changed(QUIET, camera={"dark_current_e_s": 4000.0, "electrons_per_photon": 2.0})
    darks = np.stack([expose((60, 80), instrument, frame("dark", k)) for k in range(20)]).astype(float) - 100
    # 200 electrons a frame are 100 photons are 400 ADU; Poisson in electrons of 2 ADU.
    assert darks.mean() == pytest.approx(400, rel=0.005)
    assert darks.var(axis=0, ddof=1).mean() == pytest.approx(200 * 4, rel=0.03)
    hot = changed(QUIET, camera={"hot_pixels": 0.01, "hot_current_e_s": 2e4, "electrons_per_photon": 2.0})
    dark = expose((200, 200), hot, frame("dark")).astype(float) - 100
    assert (dark > 0).mean() == pytest.approx(0.01, rel=0.2)
    assert dark[dark > 0].mean() == pytest.approx(2000, rel=0.2)
    dead = flats((200, 200), 2, camera={"dead_pixels": 0.01})
    assert (dead[0] == 0).mean() == pytest.approx(0.01, rel=0.2)
    assert np.array_equal(dead[0], dead[1])


def test_full_well_and_zingers():
    clipped = flats(camera={"full_well_e": 1.2e5, "electrons_per_photon": 20.0})
    assert clipped.max() == 6000 * 5
    darks = changed(QUIET, camera={"zingers": 500.0, "zinger_adu": 3000.0})
    shots = np.stack([expose((200, 200), darks, frame("dark", k)) for k in range(40)]).astype(float) - 100
    hits = shots[shots > 0]
    assert len(hits) == pytest.approx(500 * 40 * 0.04, rel=0.15)
    assert hits.mean() == pytest.approx(3000, rel=0.15)


@given(dropped=st.floats(0, 0.2), repeated=st.floats(0, 0.2), count=st.integers(1, 400), seed=st.integers(0, 2**31))
def test_frames_keep_their_order(dropped, repeated, count, seed):
    """Later frames move up, none goes back, and none comes before its place's own but for a repeat."""
    order = frame_order(Camera(dropped_frames=dropped, repeated_frames=repeated), count, seed, "scan", 1, 0)
    assert len(order) == count
    assert (np.diff(order) >= 0).all()
    assert order.max() < count
    if repeated == 0:
        assert (order >= np.arange(count) - (np.arange(count) - order).max()).all()
    if dropped == 0:
        assert (order <= np.arange(count)).all()
    if dropped == repeated == 0:
        assert np.array_equal(order, np.arange(count))


def test_dropped_and_repeated_frames_have_their_share():
    order = frame_order(Camera(dropped_frames=0.05), 20000, 1, "scan", 1, 0)
    assert (np.diff(order) > 1).sum() == pytest.approx(0.05 * 0.95 * 20000, rel=0.1)
    order = frame_order(Camera(repeated_frames=0.05), 20000, 1, "scan", 1, 0)
    assert (np.diff(order) == 0).mean() == pytest.approx(0.05, rel=0.1)


KAPTON = Layer("C22H10N2O5", 1.42, 100.0)


def test_kapton_transmits_what_xraylib_says():
    """2 x 50 um at 7192 eV: 0.886; 15 um of aluminium: 0.76."""
    assert transmission(Housing(kapton=KAPTON), 7192.0, 0.0) == pytest.approx(0.886, abs=0.002)
    assert transmission(Housing(aluminium=Layer("Al", 2.70, 15.0)), 7192.0, 0.0) == pytest.approx(0.76, abs=0.005)


@given(angle=st.floats(-1.2, 1.2))
def test_flat_cells_grow_with_the_angle_and_round_ones_do_not(angle):
    at_zero = np.log(transmission(Housing(kapton=KAPTON), 7192.0, 0.0))
    assert np.log(transmission(Housing("flat", kapton=KAPTON), 7192.0, angle)) == pytest.approx(at_zero / np.cos(angle))
    assert np.log(transmission(Housing("round", kapton=KAPTON), 7192.0, angle)) == pytest.approx(at_zero)


@pytest.mark.parametrize("out", [True, False])
def test_layers_that_stay_for_the_flats_divide_out(out):
    housing = Housing(kapton=Layer("C22H10N2O5", 1.42, 100.0, out_for_flats=out))
    instrument = changed(QUIET, camera={"gain_adu": 5.0}, housing={"kapton": housing.kapton})
    shots = [
        expose((8, 8), instrument, frame(kind), *sample).astype(float).mean() - 100
        for kind, sample in (("projection", (film(np.full((16, 16), 0.5)), UNIT)), ("flat", ()))
    ]
    wanted = np.exp(-0.5) * (transmission(housing, 7126.0, 0.0) if out else 1.0)
    assert shots[0] / shots[1] == pytest.approx(wanted, rel=2e-4)


def test_a_flat_cell_seen_along_is_refused():
    with pytest.raises(InputError, match="capillary"):
        Housing("flat", kapton=KAPTON).check(np.deg2rad(np.linspace(-90, 90, 5)))
    Housing("flat", kapton=KAPTON).check(np.deg2rad(np.linspace(-60, 60, 5)))


def test_the_beam_turns_fp_into_lfp_and_keeps_the_iron():
    paths = np.ones((2, 1, 4, 4), np.float32) * np.array([1.0, 3.0], np.float32)[:, None, None, None]
    fading = replace(frozen(paths), fading=Fading(np.array([0.0, 10.0]), np.array([0.0, 0.5])))
    before, after = (fading.paths(0, time)[:, 0, 0, 0] for time in (0.0, 10.0))
    assert before == pytest.approx([1.0, 3.0])
    assert after == pytest.approx([2.5, 1.5])


def test_the_clock_counts_all_overheads():
    scan = Scan(
        energies_eV=(7100.0, 7126.0),
        angles=5,
        flats=3,
        darks=2,
        exposure_s=1.0,
        readout_s=0.5,
        energy_change_s=10,
        refocus_s=5,
        flat_move_s=4,
    )
    clock = scan.clock
    assert clock.flats_s[0] == pytest.approx([19.5, 21.0, 22.5])
    assert clock.darks_s[0] == pytest.approx([24.0, 25.5])
    assert clock.projections_s[0, 0] == pytest.approx(15 + 8 + 7.5 + 0.5)
    block = 15 + 8 + 10 * 1.5
    assert np.diff(clock.projections_s, axis=0) == pytest.approx(np.full((1, 5), block))
    assert clock.end_s == pytest.approx(2 * block - 0.5)


def test_noise_free_means_do_not_change_with_noise():
    """Shot noise, read noise, flicker: the mean of many frames is the frame without them."""
    noisy = changed(NOISY, beam={"flicker": 0.01}, camera={"dark_current_e_s": 0.0})
    shots = np.mean([expose((16, 16), noisy, frame("flat", k)).astype(float) for k in range(400)], axis=0)
    assert shots.mean() == pytest.approx(expose((16, 16), QUIET, frame("flat")).mean(), rel=2e-3)


def test_center_offset_is_in_pixels():
    assert happened(changed(QUIET, stage={"center_offset_px": 2.5}), frame()).shift_um == pytest.approx([0, 2.5 * PIXEL])
    assert isinstance(happened(QUIET, frame()), Exposure)


def test_each_energy_has_its_own_exposure():
    """Frames follow one another, and each gets light in proportion to its exposure."""
    for kind in ("tomography", "series"):
        sizes = {"flats": 2, "darks": 2, "energy_change_s": 3.0, "exposure_s": 2.0, "kind": kind}
        scan = Scan(energies_eV=(7100.0, 7126.0, 7140.0), angles=4, exposures_s=(1.0, 2.0, 0.5), **sizes)
        scan.check()
        clock, exposures = scan.clock, scan.frame_exposures_s
        assert clock.light == pytest.approx([0.5, 1.0, 0.25])
        middles = np.concatenate([clock.projections_s, clock.flats_s, clock.darks_s], axis=1)
        halves = np.broadcast_to(exposures[:, None] / 2, middles.shape)
        order = np.argsort(middles, axis=None)
        starts, ends = ((middles + sign * halves).ravel()[order] for sign in (-1, 1))
        assert (starts[1:] >= ends[:-1] - 1e-9).all()
        assert clock.end_s == pytest.approx(ends[-1])
        frames = 4 + 4 if kind == "tomography" else 4
        changes = 3 if kind == "tomography" else 3 + 4 * 3
        assert clock.end_s == pytest.approx(
            frames * exposures.sum() + 3.0 * changes + (4 * exposures.sum() if kind == "series" else 0)
        )


def test_exposures_that_make_no_scan():
    for exposures, words in (((1.0,), "holds 1 exposures"), ((1.0, 0.06), "goes up to 1")):
        with pytest.raises(InputError, match=words):
            Scan(energies_eV=(7100.0, 7126.0), exposures_s=exposures).check()


def test_a_shorter_exposure_gives_less_light():
    """Counts above the dark follow the exposure."""
    scan, clock = empty_scan([7100.0, 7126.0])
    record(frozen(np.zeros((1, 3, 12, 16), np.float32)), UNIT, QUIET, scan, replace(clock, light=np.array([1.0, 0.25])), seed=1)
    dark = scan.darks.mean()
    assert (scan.flats[1].mean() - dark) / (scan.flats[0].mean() - dark) == pytest.approx(0.25, rel=1e-3)
    assert np.array_equal(scan.flats[1].mean(axis=0), scan.projections[1].mean(axis=0))
