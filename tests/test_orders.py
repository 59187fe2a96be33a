"""Laws of the whole stack, whichever comes first: what must not change the maps, and what must change them in one way only."""

import functools
from dataclasses import replace

import numpy as np
import pytest

from analysis.choices import Analysis
from analysis.order.blocks import part_of
from analysis.order.mapping import Mapping
from analysis.order.model import Model
from analysis.result import Flag
from phantom import InputError
from validation import analyze, load_study, score, simulate

ORDERS = [Analysis(), Analysis(method="projection"), Analysis(method="projection", weights="ray"), Analysis(method="joint")]
NAMES = ["image", "projection", "projection by ray", "joint"]
SMALL = {
    "scan.rows": 24,
    "scan.columns": 32,
    "scan.angles": 31,
    "scan.pixel_um": 0.28,
    "stage.runout_um": 0,
    "scan.energies_eV": [7090.0, 7115.0, 7122.0, 7126.0, 7132.0, 7150.0, 7180.0],
}
PULLS = {"scan.rows": 64, "scan.columns": 72, "scan.pixel_um": 0.12, "scan.angles": 91, "stage.runout_um": 0}

orders = pytest.mark.parametrize("settings", ORDERS, ids=NAMES)


@pytest.fixture(scope="module")
def simulated():
    return simulate(load_study("default", SMALL), threads=2)


@pytest.fixture(scope="module")
def unchanged(simulated):
    """The map of the scan as it is, of each order, made once."""
    return functools.cache(lambda settings: maps(simulated, settings))


def maps(simulated, settings, **changes):
    return analyze(replace(simulated.scan, **changes), simulated.standards, settings, threads=2).map


def near(found, wanted, rounding=2e-4):
    """Whether amounts agree: to rounding, or an iterative solution to a small part of its noise."""
    left = np.nan_to_num(found.amounts) - np.nan_to_num(wanted.amounts)
    return bool(np.sqrt(np.mean(left**2)) < rounding)


def allowed(found, settings):
    """Rounding, and where total variation knows directions of the grid or its ends, a part of sigma."""
    return 0.5 * typical_sigma(found) if settings.method == "joint" else 2e-4


def typical_sigma(found):
    return float(np.median(found.amounts_sigma[:, found.iron > 0.5]))


@pytest.mark.parametrize(
    ("series", "settings"),
    [(False, settings) for settings in ORDERS] + [(kind, Analysis(constraint="mixture")) for kind in (False, True)],
)
def test_choices_that_go_together_are_taken(series, settings):
    settings.check(series)


@pytest.mark.parametrize(
    ("series", "settings", "words"),
    [
        (False, Analysis(method="projection", constraint="mixture"), "analysis.constraint"),
        (False, Analysis(weights="ray"), "analysis.weights"),
        (False, Analysis(algorithm="sirt"), "analysis.algorithm"),
        (False, Analysis(method="joint", engine="cgls"), "analysis.engine"),
        (True, Analysis(method="projection"), "analysis.method"),
    ],
)
def test_choices_that_exclude_each_other_are_refused(series, settings, words):
    with pytest.raises(InputError, match=words):
        settings.check(series)


@orders
def test_the_fit_leaves_no_more_than_noise(simulated, settings):
    """By chi2 over its degrees of freedom, in the rays of a scan as in its voxels."""
    conclusion = analyze(simulated.scan, simulated.standards, settings, threads=2)
    assert conclusion.reduced_chi2 == pytest.approx(1, abs=0.15)


def test_mean_spectra_of_core_and_shell_are_those_of_the_standards(simulated):
    found = analyze(simulated.scan, simulated.standards, Analysis(), threads=2)
    for name, (low, high) in {"core": (-0.25, 0.25), "shell": (0.75, 1.25)}.items():
        lfp, fp = np.linalg.lstsq(found.design, found.spectra[name], rcond=None)[0][:2]
        assert low < fp / (lfp + fp) < high


def test_voxels_half_full_are_looked_at_for_further_phases(simulated):
    """One in twenty is rarer than the others by chance, wherever iron is at least half of a full voxel's."""
    found = maps(simulated, Analysis())
    half = (found.iron > 0.5) & (found.iron < 0.9)
    assert 0.01 < ((found.flags[half] & Flag.UNEXPLAINED) > 0).mean() < 0.2
    assert not (found.flags[found.iron < 0.5] & Flag.UNEXPLAINED).any()


@orders
def test_brighter_beam_and_camera_change_nothing(simulated, unchanged, settings):
    scan = simulated.scan
    brighter = {name: getattr(scan, name).astype(np.uint32) * 3 for name in ("projections", "flats", "darks")}
    here = unchanged(settings)
    assert near(maps(simulated, settings, **brighter), here, allowed(here, settings))


@orders
def test_the_order_of_the_energies_does_not_matter(simulated, unchanged, settings):
    scan = simulated.scan
    order = np.random.default_rng(0).permutation(len(scan.energies_eV))
    names = ("energies_eV", "time_s", "projections", "flats", "darks", "pixels_um")
    shuffled = {name: getattr(scan, name)[order] for name in names}
    here = unchanged(settings)
    assert near(maps(simulated, settings, **shuffled), here, allowed(here, settings))


@orders
def test_a_quarter_turn_turns_the_map(simulated, unchanged, settings):
    turned = maps(simulated, settings, angles_rad=simulated.scan.angles_rad + np.pi / 2)
    still = unchanged(settings)
    # x goes to y, y to -x.
    back = replace(turned, amounts=np.rot90(turned.amounts, k=1, axes=(2, 3)))
    assert near(back, still, allowed(still, settings))
    assert not near(turned, still, allowed(still, settings))


@orders
def test_a_field_that_moves_with_the_axis_and_rows_that_move(simulated, unchanged, settings):
    scan = simulated.scan
    moved = {name: np.roll(getattr(scan, name), (8, 1), axis=(2, 3)) for name in ("projections", "flats", "darks")}
    there, here = maps(simulated, settings, **moved, center_px=scan.center_px + 1), unchanged(settings)
    inner = np.s_[:, 8:-8, 8:-8, 8:-8]  # a column has gone from one side to the other, and total variation ends with the rows
    back = np.roll(there.amounts, -8, axis=1)[inner]
    left = float(np.sqrt(np.mean((back - here.amounts[inner]) ** 2)))
    assert left < 0.5 * typical_sigma(here)
    assert np.sqrt(np.mean((there.amounts - here.amounts)[inner] ** 2)) > 5 * left


@orders
def test_swapped_standards_swap_the_maps(simulated, unchanged, settings):
    names = {"LFP": "FP", "FP": "LFP"}
    swapped = [replace(standard, name=names[standard.name]) for standard in simulated.standards]
    there = analyze(simulated.scan, swapped, settings, threads=2).map
    here = unchanged(settings)
    again = replace(there, amounts=there.amounts[[there.species.index(names[name]) for name in here.species]])
    assert near(again, here, allowed(here, settings))


@orders
def test_threads_change_nothing(simulated, unchanged, settings):
    one, two = analyze(simulated.scan, simulated.standards, settings, threads=1).map, unchanged(settings)
    np.testing.assert_array_equal(one.amounts, two.amounts)
    np.testing.assert_array_equal(one.phase_fraction_sigma, two.phase_fraction_sigma)


@pytest.mark.parametrize("settings", ORDERS[:3], ids=NAMES[:3])
def test_sigma_falls_with_the_root_of_the_dose(settings):
    typical = []
    for photons in (2e4, 8e4):
        dosed = simulate(
            load_study("default", SMALL | {"beam.photons_per_pixel": photons, "camera.read_noise_adu": 0}), threads=2
        )
        found = maps(dosed, settings)
        typical.append(typical_sigma(found))
    assert typical[0] / typical[1] == pytest.approx(2, rel=0.03)


def test_orders_with_the_same_weights_give_the_same_map(unchanged):
    first, second, third = map(unchanged, ORDERS[:3])
    np.testing.assert_allclose(second.amounts, first.amounts, atol=2e-4)
    np.testing.assert_allclose(second.amounts_sigma, first.amounts_sigma, rtol=2e-3)
    assert np.median(third.amounts_sigma / first.amounts_sigma) < 1.02  # each ray's own weights lose nothing


@pytest.mark.parametrize("settings", ORDERS[:2], ids=NAMES[:2])
def test_rays_that_were_made_up_are_counted_and_their_slice_is_flagged(simulated, settings):
    projections = np.array(simulated.scan.projections)
    projections[2, 5, 7, 3:6] = 0
    conclusion = analyze(replace(simulated.scan, projections=projections), simulated.standards, settings, threads=2)
    assert conclusion.repaired_rays == 3
    flagged = (conclusion.map.flags & Flag.REPAIRED != 0).any(axis=(1, 2))
    assert np.flatnonzero(flagged).tolist() == [7]


def test_a_poor_fit_is_five_sigma_of_chi2_too_far():
    rng = np.random.default_rng(0)
    design = rng.uniform(0.5, 1.5, (8, 3))
    beyond = np.linalg.qr(design, mode="complete")[0][:, 3]
    mapping = Mapping(Model(("LFP", "FP"), np.arange(8.0), design, np.ones(8)), (1, 1, 3))
    chi2 = 5 + np.sqrt(2 * 5) * np.array([0.0, 4.9, 5.1])
    mu = (design @ [0.5, 0.5, 0.1])[:, None] + beyond[:, None] * np.sqrt(chi2)
    values = mu.astype(np.float32).reshape(8, 1, 1, 3)
    mapping.fit(slice(0, 1), values, np.ones_like(values), np.zeros((1, 1, 1), int))
    assert (mapping.flags & Flag.POOR_FIT != 0).ravel().tolist() == [False, False, True]


def test_progress_of_a_part_stays_in_it():
    told = []
    moved = part_of(lambda *one: told.append(one), 0.2, 0.6)
    for done in range(4):
        moved("analyze", done, 2)
    assert told == [("analyze", share, 1000) for share in (200, 400, 600, 600)]
    part_of(None, 0.2, 0.6)("analyze", 1, 2)


@pytest.mark.parametrize("photons", [5e3, 2e4, 1e5])
def test_sigma_is_honest_at_any_dose(photons):
    dosed = simulate(load_study("default", PULLS | {"beam.photons_per_pixel": photons}), threads=2)
    for settings in ORDERS[:2]:
        scores = score(dosed.truth, maps(dosed, settings))
        assert 0.9 < scores["pull_std"] < 1.1
        assert scores["interior_voxels"] > 1000


@pytest.mark.parametrize("settings", ORDERS[:2], ids=NAMES[:2])
def test_a_voxel_without_iron_has_no_phase(unchanged, settings):
    found = unchanged(settings)
    assert np.isnan(found.phase_fraction[found.iron < 0.05]).all()
    assert np.isfinite(found.amounts).all()


@pytest.mark.slow
@pytest.mark.parametrize("photons", [1e3, 1e4, 1e5])
@pytest.mark.parametrize("method", ["image", "projection"])
def test_sigma_is_honest_at_full_size(photons, method):
    study = load_study("low-dose", {"beam.photons_per_pixel": photons, "camera.gain_adu": "auto"})
    made = simulate(study, threads=2)
    scores = score(made.truth, analyze(made.scan, made.standards, replace(study.analysis, method=method), threads=2).map)
    assert 0.9 < scores["pull_std"] < 1.1
