"""Effects in whole scans: what they do to a map, and that the sample may be larger than the field."""

from dataclasses import replace

import numpy as np
import pytest

from instrument.components import frozen
from validation import analyze, load_study, score, simulate

SMALL = {"scan.energies_eV": [7090.0, 7110.0, 7120.0, 7126.0, 7132.0, 7140.0, 7192.0], "scan.angles": 45}
QUIET = SMALL | {
    "presets": "ideal",
    "scan.pixel_um": 0.2,
    "scan.rows": 24,
    "scan.columns": 36,
    "standards.LFP.thickness_um": 10,
}


def outcome(**changes):
    study = load_study("tiny", QUIET | {name.replace("__", "."): value for name, value in changes.items()})
    simulation = simulate(study, threads=2)
    conclusion = analyze(simulation.scan, simulation.standards, study.analysis, threads=2)
    return simulation, conclusion, score(simulation.truth, conclusion.map)


@pytest.fixture(scope="module")
def quiet():
    return outcome()


@pytest.mark.slow
def test_magnification_corrupts_the_edge_and_corrected_it_recovers():
    """Refocused zone plate, detector standing still: at 1.3 % of 2 um a quarter of a pixel at the surface."""
    large = {"scan__pixel_um": 0.1, "scan__rows": 48, "scan__columns": 72}
    good, stated = (outcome(**large, optics__magnification_change=change) for change in (0.0, 1.0))
    bad, half = (
        outcome(**large, optics__magnification_known=False, optics__magnification_change=change) for change in (1.0, 0.5)
    )
    assert stated[0].scan.pixels_um[-1] / stated[0].scan.pixels_um[0] == pytest.approx(1.0148, abs=5e-4)  # from 7090 eV
    assert np.ptp(good[0].scan.pixels_um) == np.ptp(bad[0].scan.pixels_um) == 0
    assert good[2]["phase_rmse"] < half[2]["phase_rmse"] < bad[2]["phase_rmse"]
    assert bad[2]["phase_rmse"] > 1.05 * good[2]["phase_rmse"]
    lost, left = (found[2]["phase_rmse"] - good[2]["phase_rmse"] for found in (bad, stated))
    assert left < 0.25 * lost


def test_the_field_cuts_off_the_rest_of_the_sample(quiet):
    """A particle twice as wide as the field: the same light as in the middle of a field that holds all of it."""
    cut = outcome(scan__columns=16, scan__rows=12, scan__outside_px=12)
    whole = outcome(scan__columns=40, scan__rows=36)
    assert np.array_equal(cut[0].scan.projections[...], whole[0].scan.projections[:, :, 12:-12, 12:-12])
    assert cut[0].truth.shape == (24, 32, 32)
    assert np.array_equal(cut[0].truth.amounts, whole[0].truth.amounts[:, 24:-24, 24:-24, 24:-24])
    assert cut[1].map.shape == (12, 16, 16)
    assert cut[2]["phase_rmse"] > quiet[2]["phase_rmse"]


def test_the_beam_reduces_fp(quiet):
    """A first-order loss of FP with dose: at mid-scan a share 1 - exp(-D / 2 D0) is gone, and the map says so."""
    simulation, _, scores = outcome(beam__photoreduction_MGy=quiet[0].dose_MGy)
    assert simulation.dose_MGy == pytest.approx(quiet[0].dose_MGy)
    assert np.array_equal(simulation.truth.amounts, quiet[0].truth.amounts)
    left = scores["bulk_fraction_found"] / quiet[2]["bulk_fraction_found"]
    assert np.exp(-1) < left < 0.9
    assert left == pytest.approx(np.exp(-0.5), abs=0.12)


@pytest.mark.parametrize("kind", ["series", "tomography"])
def test_a_wedge_and_a_cell_in_the_beam_leave_the_iron_alone(kind, quiet):
    """The coin cell from -60 to +60 degrees: its layers go into the fitted background, and thin the light."""
    limits = {"scan__first_angle_deg": -60.0, "scan__last_angle_deg": 60.0}
    if kind == "series":
        limits = {"scan__kind": "series", "scan__first_angle_deg": 0.0, "scan__angles": 2}
    free, cell = (
        outcome(**limits, presets=names, analysis__background="linear") for names in (["ideal"], ["ideal", "cell-2032"])
    )
    assert cell[0].scan.projections[0].mean() < 0.7 * free[0].scan.projections[0].mean()
    assert cell[2]["bulk_fraction_error"] == pytest.approx(free[2]["bulk_fraction_error"], abs=0.02)
    assert cell[0].dose_MGy < 0.9 * free[0].dose_MGy


def test_slabs_make_no_difference_where_all_is_in_focus(quiet):
    """Perfect optics: cut into slabs or not, the same light to the precision of the projector."""
    slabs, _, _ = outcome(optics__depth_slabs=3)
    difference = slabs.scan.projections[...].astype(float) - quiet[0].scan.projections[...]
    assert np.abs(difference).max() < 2e-3 * quiet[0].scan.projections[...].max()


def test_a_thick_sample_asks_for_slabs_and_a_thin_one_does_not():
    from validation.projection import depths_um

    study = load_study("tiny")
    assert len(depths_um(study, 6.0)) == 1
    thick = depths_um(study, 40.0)
    assert len(thick) == 9
    assert np.ptp(thick) == pytest.approx(40.0)
    assert len(depths_um(load_study("tiny", {"stage.pitch_deg": 3.0}), 6.0)) > 3
    assert len(depths_um(load_study("tiny", {"optics.outermost_zone_um": 0.0}), 40.0)) == 1


def test_frozen_components_fill_their_field():
    paths = np.ones((2, 3, 8, 10), np.float32)
    assert frozen(paths).field == (8, 10)
    assert frozen(paths).paths(1, 0.0).shape == (2, 1, 8, 10)


def test_dead_pixels_are_bridged():
    """A few dead pixels, noisy: the loop closes, sigma stays honest."""
    noisy = SMALL | {"camera.dead_pixels": 0.004, "beam.photons_per_pixel": 2e5}
    study = load_study("tiny", noisy)
    simulation = simulate(study, threads=2)
    flat = np.median(simulation.scan.flats[0].astype(float) - simulation.scan.darks[0].mean(axis=0), axis=0)
    assert 1 <= (flat < 0.02 * np.median(flat)).sum() < 15
    scores = score(simulation.truth, analyze(simulation.scan, simulation.standards, study.analysis, threads=2).map)
    whole = load_study("tiny", noisy | {"camera.dead_pixels": 0.0})
    other = simulate(whole, threads=2)
    without = score(other.truth, analyze(other.scan, other.standards, whole.analysis, threads=2).map)
    assert scores["phase_rmse"] < 1.15 * without["phase_rmse"]
    assert scores["pull_std"] == pytest.approx(without["pull_std"], abs=0.15)


def test_an_electrode_goes_on_beyond_the_field():
    """Turned, scaled and shifted, its image has matter to its very corner."""
    moved = {"presets": "ideal", "stage.roll_deg": 3.0, "optics.magnification_change": 1.0, "stage.center_offset_px": 2.0}
    layer = {"electrode.particles": 3, "scan.rows": 96, "scan.columns": 128, "scan.energies_eV": [7090.0, 7126.0, 7132.0, 7192.0]}
    study = load_study("electrode-2d", layer | moved)
    scan = simulate(study, threads=2).scan
    light = (scan.projections[-1, 0].astype(float) - 100) / (scan.flats[-1, 0].astype(float) - 100)
    corners = light[[0, 0, -1, -1], [0, -1, 0, -1]]
    assert corners == pytest.approx(np.median(light[:2]), abs=0.01)
    assert corners.max() < 0.998  # of open beam: 1


def test_a_set_number_of_slabs_never_switches_the_pitch_off():
    from validation.projection import depths_um

    leaning = {"stage.pitch_deg": 4.0}
    wanted = len(depths_um(load_study("tiny", leaning), 6.0))
    assert [len(depths_um(load_study("tiny", leaning | {"optics.depth_slabs": n}), 6.0)) for n in (1, 3, 40)] == [
        wanted,
        wanted,
        40,
    ]


def test_what_the_beamline_notes_knows_no_sample():
    """The entrance dose in a scan file is that of the tabulated LFP, whatever the sample's edge."""
    from validation.ledger import ledger_of
    from validation.trial import header_of

    notes = []
    for shift in (0.0, 0.7):
        study = load_study("tiny", QUIET | {"species.LFP.edge_shift_eV": shift})
        ledger = ledger_of(frozen(np.ones((2, 1, 4, 4), np.float32)), 0.1, study)
        notes.append(header_of(study, ledger).notes)
    assert set(notes[0]) == {"entrance_dose_MGy", "photons_on_sample_per_um2", "photons_detected_per_pixel", "scan_time_s"}
    for name, value in notes[0].items():
        assert np.array_equal(value, notes[1][name])


@pytest.mark.parametrize("shape", ["round", "flat"])
def test_the_cell_before_the_sample_shades_it(shape):
    """Fluence and dose are those of a bare sample behind half of the layers, at each energy and angle."""
    from instrument.housing import transmission
    from validation.ledger import ledger_of

    paths = frozen(np.ones((2, 3, 4, 4), np.float32))
    layers = {"kapton": 100.0, "aluminium": 30.0}
    cell = {f"housing.{name}.thickness_um": thickness for name, thickness in layers.items()} | {"housing.shape": shape}
    views = {"scan.first_angle_deg": -60, "scan.last_angle_deg": 60}
    bare, housed = (load_study("tiny", QUIET | views | changes) for changes in ({}, cell))
    without, behind = (ledger_of(paths, 0.1, study) for study in (bare, housed))
    whole = housed.housing
    before = replace(whole, **{name: replace(getattr(whole, name), thickness_um=um / 2) for name, um in layers.items()})
    angles = bare.scan.angles_rad
    passed = np.array([np.mean([transmission(before, e, a) for a in angles]) for e in bare.scan.energies_eV])
    assert passed.max() < 0.75
    assert behind.photons_per_um2 == pytest.approx(without.photons_per_um2 * passed, rel=1e-6)
    for name in ("entrance_MGy", "sample_MGy"):
        assert getattr(behind, name) == pytest.approx(getattr(without, name) * passed, rel=1e-6)
