"""What is repaired before all else: flats in time, brightness, zingers, rings, dead pixels; each with its bias left alone."""

import functools
import sys
from dataclasses import replace

import numpy as np
import pytest
from scan_files import a_header, counts_of, in_memory, write
from scipy.integrate import quad
from scipy.ndimage import gaussian_filter
from scipy.stats import norm

from analysis.align.alignment import Align
from analysis.choices import Analysis
from analysis.prepare.border import open_beam
from analysis.prepare.flats import FlatsInTime, flat_sets
from analysis.prepare.noise import measure_noise
from analysis.prepare.normalize import Rays, bridge
from analysis.prepare.prepared import Preparation, prepare
from analysis.prepare.rings import rough, sort, subtract_mean
from analysis.prepare.zingers import without_zingers, without_zingers_over_time
from analysis.result import Flag
from instrument.files.scans import open_any
from instrument.files.selection import select
from instrument.microscope import frames_at, happened
from phantom import InputError
from validation import analyze, load_study, score, simulate

BRIGHT = 5e5  # photons, so that what is to be repaired stands out of the noise
WALKING = {"beam.structure": 0.03, "beam.structure_px": 4.0, "beam.structure_drift_px": 5.0}
SLOW = {"scan.exposure_s": 1.0, "scan.energy_change_s": 2.0}  # flats before and after, and little time between
UNSTEADY = {"beam.flicker": 0.02, "beam.decay_per_hour": 5.0, "beam.topup_s": 30.0}


@functools.cache
def _simulated(changes):
    study = load_study("tiny", {"beam.photons_per_pixel": BRIGHT} | dict(changes))
    return study, simulate(study, threads=2)


def simulated(**changes):
    """(study, simulation) of a bright `tiny` with changed settings, made once."""
    return _simulated(tuple(sorted((key.replace("__", "."), value) for key, value in changes.items())))


def outcome(scan, simulation, **settings):
    """(scores, conclusion) of an analysis with some preparation, by the standards and against the truth of `simulation`."""
    conclusion = analyze(scan, simulation.standards, Analysis(prepare=Preparation(**settings)), threads=2)
    return score(simulation.truth, conclusion.map), conclusion


def test_when_flats_were_taken_goes_with_the_scan(tmp_path):
    header = a_header()
    header = replace(header, flats_s=header.time_s[:, :3] - 0.2)
    counts = counts_of(header)
    for layout, known in (("native", True), ("nxtomo", True), ("dxchange", False)):
        write(tmp_path / layout, layout, header, counts)
        with open_any([tmp_path / layout]) as scan:
            if not known:
                assert scan.flats_s is None
                continue
            by_energy = np.argsort(scan.energies_eV)
            expected = header.flats_s[np.argsort(header.energies_eV)] - (0 if layout == "native" else header.time_s.min())
            assert scan.flats_s[by_energy] == pytest.approx(expected, abs=1e-5)
            part = select(scan, energies=[(7105.0, 7120.0)], angles=[slice(None, None, 2)])
            assert np.array_equal(part.flats_s, scan.flats_s[scan.energies_eV == 7112.25])
    with pytest.raises(InputError, match="flats_s has shape"):
        replace(in_memory(header, counts), flats_s=np.zeros((3, 2)))


def test_light_between_flats_is_theirs_by_time():
    """Two shapes at two brightnesses, Poisson noise: nothing is left but noise, and that is as stated."""
    rng = np.random.default_rng(0)
    shapes = (
        1 + 0.1 * np.sin(np.arange(64) / 5)[None] * np.ones((64, 1)),
        1 + 0.1 * np.cos(np.arange(64) / 7)[:, None] * np.ones(64),
    )
    shapes = [shape / shape.mean() for shape in shapes]
    darks = np.full((8, 64, 64), 100, np.uint16)
    frames = [
        (100 + rng.poisson(size * shape, (8, 64, 64))).astype(np.uint16) for size, shape in ((4000, shapes[0]), (3000, shapes[1]))
    ]
    noises = [measure_noise(each, darks) for each in frames]
    views_s = np.linspace(10.0, 20.0, 11)
    sets = [flat_sets(each, np.full(8, t), views_s, noise)[0] for each, noise, t in zip(frames, noises, (9.0, 25.0), strict=True)]
    tau = (views_s - 9) / 16
    light = FlatsInTime(tuple(sets), np.stack([1 - tau, tau], axis=1)).light(noises[0], slice(0, 64), slice(None))
    true = (1 - tau)[:, None, None] * shapes[0] + tau[:, None, None] * shapes[1]
    error = np.log(light.ratio * noises[0].flat / noises[0].flat.mean()) - np.log(true)
    assert np.abs(error.mean(axis=(1, 2))).max() < 5e-4
    assert (error**2).mean() == pytest.approx(light.variance.mean(), rel=0.03)
    part = FlatsInTime(tuple(sets), np.stack([1 - tau, tau], axis=1)).light(noises[0], slice(8, 16), slice(3, 5))
    assert np.array_equal(part.ratio, light.ratio[3:5, 8:16])


def test_flats_before_and_after_an_energy_are_its_own_and_others_stand_in():
    """Own ones where there are both; else of the energy that comes next in time, or before."""
    header = a_header(energies=(7100.0, 7110.0, 7120.0), rows=8, columns=8, flats=4)
    counts = counts_of(header)
    times = np.arange(10.0, 15.0) + np.array([[0.0], [20], [40]])
    flats_s = np.array([[8.0, 9, 15, 16], [28, 28, 29, 29], [48, 49, 48, 49]])
    scan = replace(in_memory(header, counts), time_s=times, flats_s=flats_s)
    found = prepare(scan, Preparation(flats_in_time=True)).flats
    assert [[each.time_s for each in part.sets] for part in found] == [[8.5, 15.5], [28.5, 48.5], [48.5]]
    assert found[0].weights[:, 1] == pytest.approx((times[0] - 8.5) / 7)
    assert (found[2].weights == 1).all()


@pytest.mark.parametrize(("flats_s", "words"), [(None, "do not say when"), (np.zeros((3, 3)), "on one side")])
def test_flats_without_time_are_refused(flats_s, words):
    header = a_header(rows=8, columns=8)
    with pytest.raises(InputError, match=words) as caught:
        prepare(replace(in_memory(header, counts_of(header)), flats_s=flats_s), Preparation(flats_in_time=True))
    assert "analysis.prepare.flats_in_time" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_walking_beam_spoils_the_map_less():
    """What walks at random between flats is left: a third of its square; in the last energy, which has none after, all of it."""
    _, simulation = simulated(**SLOW, **WALKING, seed=3)
    (before, spoilt), (after, mended) = (outcome(simulation.scan, simulation, flats_in_time=on) for on in (False, True))
    assert after["phase_rmse_interior"] < 0.7 * before["phase_rmse_interior"]
    assert mended.reduced_chi2 - 1 < 0.5 * (spoilt.reduced_chi2 - 1)


def test_a_still_beam_is_left_as_it_is():
    _, simulation = simulated(**SLOW)
    (_, plain), (scores, timed) = (outcome(simulation.scan, simulation, flats_in_time=on) for on in (False, True))
    change = np.abs(timed.map.amounts - plain.map.amounts) / plain.map.amounts_sigma
    assert np.median(change) < 0.3
    assert scores["pull_std"] == pytest.approx(1, abs=0.1)
    assert timed.reduced_chi2 == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize("spread_px", [0.0, 0.5], ids=["white", "correlated"])
def test_brightness_is_found_to_its_noise(spread_px):
    """Flicker, decay and top-up of every frame against what happened, in units of the stated sigma."""
    study, simulation = simulated(**UNSTEADY, camera__spread_px=spread_px)
    scan, clock = simulation.scan, study.scan.clock

    def flux(i, kind, count):
        return [happened(study.instrument, each).flux for each in frames_at(scan, clock, i, kind, range(count), seed=study.seed)]

    true = np.array([-np.log(flux(i, "projection", 61) / np.mean(flux(i, "flat", 8))) for i in range(9)])
    assert true.std() > 0.02
    border = prepare(scan, Preparation(border_px=4)).border
    pulls = (border.depth - true) / np.sqrt(border.variance)
    assert pulls.std() == pytest.approx(1, abs=0.1)
    # Flats' noise, a ninth of the variance, is one draw for all views of each of 9 energies.
    assert abs(pulls.mean()) < 3 * np.sqrt(1 / 9 / 9)
    assert len(border.remarks) == 1


def test_an_unsteady_beam_is_mended_and_a_steady_one_left():
    _, steady = simulated()
    _, simulation = simulated(**UNSTEADY)
    plain, _ = outcome(steady.scan, steady)
    for scan in (steady.scan, simulation.scan):
        scores, conclusion = outcome(scan, steady, border_px=4)
        assert scores["phase_rmse_interior"] == pytest.approx(plain["phase_rmse_interior"], rel=0.1)
        assert abs(scores["bulk_fraction_error"]) < 0.003
        assert conclusion.reduced_chi2 == pytest.approx(1, abs=0.08)
    spoilt, conclusion = outcome(simulation.scan, steady)
    assert conclusion.reduced_chi2 > 1.12
    assert abs(spoilt["bulk_fraction_error"]) > 0.01


def test_a_series_lives_by_its_border():
    """Without a turn nothing tells brightness from background: a flicker of 2 % is found and its sigma honest."""
    series = {"scan__kind": "series", "scan__angles": 4, "scan__first_angle_deg": 0.0}
    _, steady = simulated(**series)
    _, simulation = simulated(**series, beam__flicker=0.02)
    plain, spoilt, mended = (
        outcome(scan, steady, border_px=px)[0] for scan, px in ((steady.scan, 0), (simulation.scan, 0), (simulation.scan, 4))
    )
    assert spoilt["pull_std"] > 3
    assert mended["pull_std"] == pytest.approx(plain["pull_std"], abs=0.05)
    assert mended["phase_rmse_interior"] == pytest.approx(plain["phase_rmse_interior"], rel=0.05)
    assert abs(mended["bulk_fraction_error"]) < 0.005


def test_a_border_as_wide_as_the_frame_is_refused():
    with pytest.raises(InputError, match=r"border_px: found 24; allowed is less than half of 48"):
        prepare(simulated()[1].scan, Preparation(border_px=24))


def test_a_sample_in_the_border_is_told():
    """A cut whose border holds sample in some rows."""
    scan = select(simulated()[1].scan, roi=(0, 32, 12, 36))
    told = prepare(scan, Preparation(border_px=3)).border.remarks
    assert len(told) == 2
    assert "narrow analysis.prepare.border_px" in told[1]


def test_air_in_the_border_is_no_sample():
    """Of 1000 rows of noise, correlated along rows and columns, none is darker by five sigma."""
    depth = gaussian_filter(np.random.default_rng(5).normal(size=(1000, 20, 6)), (0.7, 0, 0.7))
    depth *= 0.01 / depth.std()
    lags = np.array([np.mean(depth[..., lag:] * depth[..., : 6 - lag]) for lag in range(4)])
    noise = replace(prepare(simulated()[1].scan).noises[0], correlation=lags / lags[0])
    rays = Rays(depth, np.full(depth.shape, 1e-4), np.zeros((1000, 6)), np.zeros((1000, 20), int))
    assert not open_beam(rays, noise, 2)[2].any()


def noisy(shape, seed=0, light=10000):
    """Frames of `light` photons at 1 ADU a photon, as flats, darks and (view, row, column) counts."""
    rng = np.random.default_rng(seed)
    flats = (100 + rng.poisson(light, (20, *shape[1:]))).astype(np.uint16)
    darks = (100 + rng.normal(0, 2, flats.shape)).round().astype(np.uint16)
    return measure_noise(flats, darks), (100 + rng.poisson(light, shape)).astype(np.uint16), rng


@pytest.mark.parametrize("sigma", [0.5, 1.0, 3.0])
def test_false_alarms_are_as_rare_as_sigma_says(sigma):
    """A pixel beats the highest of eight normal neighbours by sigma; always rarer than a normal beats its mean by it."""
    noise, counts, _ = noisy((64, 64, 64))
    _, struck = without_zingers(counts, noise, slice(0, 64), sigma)
    expected = quad(lambda x: norm.pdf(x) * norm.cdf(x - sigma) ** 8, -10, 10)[0]
    assert expected < norm.sf(sigma)
    assert abs(struck.sum() - expected * counts.size) < 0.1 * expected * counts.size + 4 * np.sqrt(expected * counts.size)


def test_struck_pixels_are_found_and_bridged():
    """Every hit of 12 sigma above its surroundings, in the middle, at edges and in corners, and nothing else."""
    noise, counts, rng = noisy((40, 32, 32))
    places = [(view, *rng.integers(0, 32, 2)) for view in range(36)] + [(36, 0, 0), (37, 31, 31), (38, 0, 17), (39, 12, 31)]
    hit = counts.copy()
    for place in places:
        hit[place] = min(hit[place] + 12 * 100 + int(rng.exponential(5000)), 65535)
    mended, struck = without_zingers(hit, noise, slice(0, 32), 6.0)
    touched = np.argwhere(mended != hit)
    assert {tuple(place) for place in touched} == {tuple(int(n) for n in place) for place in places}
    assert struck.sum() == len(places)
    assert np.array_equal(struck.sum(axis=1), np.bincount([place[1] for place in places], minlength=32))
    assert all(abs(mended[place] - 10100) < 400 for place in places)


def test_a_struck_pixel_beside_another_is_bridged_by_those_that_are_not():
    noise, counts, _ = noisy((1, 9, 9))
    hit = counts.copy()
    hit[0, 4, 4], hit[0, 4, 5] = 60000, 30000
    mended, _ = without_zingers(hit, noise, slice(0, 9), 6.0)
    assert abs(mended[0, 4, 4] - 10100) < 400


def test_the_edge_of_a_sample_is_left():
    """A dark disc, its edge a pixel wide, a needle one pixel wide that absorbs, and corners: bright on one side only."""
    noise, _, _ = noisy((1, 64, 64))
    v, u = np.mgrid[:64, :64] - 31.5
    depth = 2.0 * (np.hypot(v, u) < 20) + 1.5 * (np.abs(u - 26) < 1) + 1.0 * ((v < -20) & (u < -20))
    counts = np.rint(100 + noise.flat * np.exp(-depth))[None].astype(np.uint16)
    assert without_zingers(counts, noise, slice(0, 64), 3.0)[1].sum() == 0


def test_flats_and_darks_are_cleaned_over_time():
    _, counts, _ = noisy((20, 32, 32))
    hit = counts.copy()
    hit[3, 5, 6] += 3000
    hit[9, 0, 0] = 65535
    cleaned = without_zingers_over_time(hit, 6.0)
    assert [tuple(place) for place in np.argwhere(cleaned != hit)] == [(3, 5, 6), (9, 0, 0)]
    assert np.abs(cleaned - counts)[cleaned != hit].max() < 500
    assert np.array_equal(without_zingers_over_time(hit[:2], 6.0), hit[:2])
    assert without_zingers_over_time(hit[1:4], 6.0)[2, 5, 6] < hit[3, 5, 6] - 2000


def test_one_struck_pixel_flags_its_slice():
    _, simulation = simulated()
    counts = np.array(simulation.scan.projections[...])
    counts[3, 10, 20, 30] += 20000
    hit = replace(simulation.scan, projections=counts)
    maps = [outcome(scan, simulation, zinger_sigma=6.0)[1] for scan in (simulation.scan, hit)]
    spoilt = outcome(hit, simulation)[1]
    flagged = [np.flatnonzero((each.map.flags & Flag.REPAIRED).any(axis=(1, 2))) for each in maps]
    assert [list(rows) for rows in flagged] == [[], [20]]
    assert [each.repaired_rays for each in maps] == [0, 1]
    sigma = maps[0].map.amounts_sigma[:, 20]
    change = [np.abs(each.map.amounts - maps[0].map.amounts)[:, 20].max() / np.median(sigma) for each in (maps[1], spoilt)]
    assert change[0] < 0.5
    assert change[1] > 3


def test_a_struck_pixel_flags_the_slice_it_lies_in_once_its_frame_is_moved():
    _, simulation = simulated()
    counts = np.array(simulation.scan.projections[...])
    counts[3, 10, 20, 30] += 20000
    prepared = prepare(replace(simulation.scan, projections=counts), Preparation(zinger_sigma=6.0))
    shifts = np.zeros((9, 61, 2))
    shifts[3, 10] = 5.2, 1.0
    moved = replace(prepared, geometry=replace(prepared.geometry, shifts_px=shifts))
    assert [list(np.flatnonzero(each.rays(3, slice(8, 24)).repaired) + 8) for each in (prepared, moved)] == [[20], [15]]
    assert moved.rays(3, slice(8, 24), slice(0, 10)).repaired.sum() == 0


@pytest.mark.parametrize("rows", [-12, 12])
def test_frames_that_all_lie_far_off_are_brought_back(rows):
    _, simulation = simulated()
    prepared = prepare(simulation.scan)
    shifts = np.zeros((9, 61, 2))
    shifts[..., 0] = rows
    moved = replace(prepared, geometry=replace(prepared.geometry, shifts_px=shifts))
    there = range(max(rows, 0), 32 + min(rows, 0))
    brought = moved.rays(3, slice(there[0] - rows, there[-1] + 1 - rows)).optical_depth
    wanted = prepared.rays(3, slice(there[0], there[-1] + 1)).optical_depth
    assert np.abs(brought - wanted)[2:-2, :, 2:-2].max() < 0.02 * wanted.max()


def test_zingers_spoil_the_map_and_its_sigma_unless_sought():
    _, plain = simulated()
    _, simulation = simulated(camera__zingers=300.0, camera__zinger_adu=20000.0)
    wanted, _ = outcome(plain.scan, plain)
    mended, _ = outcome(simulation.scan, simulation, zinger_sigma=6.0)
    spoilt, _ = outcome(simulation.scan, simulation)
    assert mended["phase_rmse_interior"] == pytest.approx(wanted["phase_rmse_interior"], rel=0.1)
    assert mended["pull_std"] == pytest.approx(1, abs=0.1)
    assert spoilt["phase_rmse_interior"] > 1.5 * wanted["phase_rmse_interior"]
    assert spoilt["pull_std"] < 0.8  # flats that were struck measure too much noise


def test_a_pixel_s_own_error_is_left_by_a_quarter():
    """The median of 25 white errors has pi / 2 / 25 of their variance."""
    pattern = np.random.default_rng(0).normal(size=(64, 64))
    smooth = np.add.outer(np.linspace(0, 30, 64), np.linspace(0, 50, 64))
    depth = np.repeat((smooth + pattern)[:, None], 3, axis=1)
    left = (subtract_mean(depth)[:, 0] - smooth)[3:-3, 3:-3]
    assert left.std() == pytest.approx(np.sqrt(np.pi / 2 / 25), rel=0.3)
    assert np.abs(rough(smooth)[3:-3, 3:-3]).max() < 1e-9


def test_rings_fall_and_the_bulk_stays():
    """To 0.01: what a sample of 26 pixels across has of its own edges in the mean of all views goes with the rings."""
    _, simulation = simulated(camera__ring_pattern=0.01)
    (spoilt, _), (mended, _) = (outcome(simulation.scan, simulation, rings=name) for name in ("none", "mean"))
    assert mended["phase_rmse_interior"] < spoilt["phase_rmse_interior"] / 2.5
    assert mended["bulk_fraction_error"] == pytest.approx(spoilt["bulk_fraction_error"], abs=0.01)


def test_the_absence_of_algotom_is_said_in_one_line(monkeypatch):
    monkeypatch.setitem(sys.modules, "algotom.prep.removal", None)
    with pytest.raises(InputError, match=r"algotom is not installed.*txm-twin\[rings\]") as caught:
        sort(np.zeros((2, 5, 8)))
    assert "\n" not in str(caught.value)


@pytest.mark.filterwarnings("ignore")
def test_sorting_takes_rings_out():
    pytest.importorskip("algotom", reason="algotom is not importable: pip install 'txm-twin[rings]'")
    _, simulation = simulated(camera__ring_pattern=0.01)
    (spoilt, _), (mended, _) = (outcome(simulation.scan, simulation, rings=name) for name in ("none", "sorting"))
    assert mended["phase_rmse_interior"] < spoilt["phase_rmse_interior"] / 1.6
    assert mended["bulk_fraction_error"] == pytest.approx(spoilt["bulk_fraction_error"], abs=0.003)


def test_a_bridge_is_straight():
    """Between the nearest pixels that see, and level beyond the last of them; a row that sees nothing stays."""
    slope = np.array([np.arange(9.0), 30 - 2 * np.arange(9.0)])
    spoilt = slope.copy()
    dead = np.array([1, 0, 0, 1, 1, 0, 1, 0, 1], bool)
    spoilt[:, dead] = np.nan
    bridge(dead, spoilt)
    np.testing.assert_allclose(spoilt[:, 1:8], slope[:, 1:8])
    np.testing.assert_array_equal(spoilt[:, [0, 8]], slope[:, [1, 7]])
    bridge(np.ones(9, bool), spoilt)
    np.testing.assert_allclose(spoilt[:, 1:8], slope[:, 1:8])


def test_dead_pixels_are_bridged_and_flagged():
    _, plain = simulated()
    _, simulation = simulated(camera__dead_pixels=0.003)
    wanted, _ = outcome(plain.scan, plain)
    scores, conclusion = outcome(simulation.scan, simulation)
    dead = prepare(simulation.scan).noises[0].blind
    assert 0 < dead.any(axis=1).sum() < 32
    assert np.array_equal((conclusion.map.flags & Flag.REPAIRED).any(axis=(1, 2)), dead.any(axis=1))
    assert conclusion.repaired_rays == dead.sum() * 9 * 61
    assert scores["phase_rmse_interior"] == pytest.approx(wanted["phase_rmse_interior"], rel=0.1)


@pytest.mark.parametrize("wish", [{"align": Align(shifts=True)}, {"prepare": Preparation(rings="mean")}], ids=["align", "rings"])
def test_a_series_turns_no_sample(wish):
    with pytest.raises(InputError, match="need a sample that turns"):
        Analysis(**wish).check(series=True)
    Analysis(**wish).check()


def test_a_series_tells_how_far_it_is():
    told = []
    _, simulation = simulated(scan__kind="series", scan__angles=4, scan__first_angle_deg=0.0)
    conclusion = analyze(simulation.scan, simulation.standards, Analysis(), progress=lambda *one: told.append(one))
    assert conclusion.repaired_rays == 0
    assert not (conclusion.map.flags & Flag.REPAIRED).any()
    assert told == [("analyze", k, 4) for k in (1, 2, 3, 4)]
