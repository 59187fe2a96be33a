"""The sample over time: the cell's charge, samples that move while they are scanned, 2D series."""

import json

import h5py
import numpy as np
import pytest
from claims_of_scans import CLEAN
from hypothesis import given
from hypothesis import strategies as st

from instrument.components import Components, frozen
from instrument.files.text import read_charge
from instrument.scan import Scan
from phantom import InputError
from phantom.cell import THEORETICAL_mAh_g
from validation import analyze, load_study, score, simulate
from validation.course import charge_curve, course_of
from validation.files import read_map
from validation.projection import build_sample
from validation.run import run

CELL = {"charging.source": "cell", "charging.mean_fraction": 0.35}
LAYER = {
    "scan.kind": "series",
    "scan.first_angle_deg": 0,
    "scan.angles": 2,
    "scan.rows": 64,
    "scan.columns": 72,
    "scan.pixel_um": 0.15,
    "electrode.particles": 6,
    "particle.center_spread_um": 0,
    "charging.source": "cell",
    "charging.imaged": "own",
    "charging.mean_fraction": 0.4,
    "analysis.background": "linear",
}


def loop(changes, name="tiny"):
    study = load_study(name, changes)
    simulation = simulate(study, threads=2)
    conclusion = analyze(simulation.scan, simulation.standards, study.analysis, threads=2)
    return simulation, conclusion, score(simulation.truth, conclusion.map)


@given(
    kind=st.sampled_from(["tomography", "series"]),
    energies=st.integers(2, 6),
    angles=st.integers(2, 8),
    exposure=st.floats(0.01, 10),
    change=st.floats(0, 10),
    interval=st.floats(0, 1000),
)
def test_frames_follow_each_other(kind, energies, angles, exposure, change, interval):
    """In the order of the scan no two exposures overlap, and the scan ends with the last one."""
    scan = Scan(
        energies_eV=tuple(7100.0 + np.arange(energies)),
        kind=kind,
        angles=angles,
        exposure_s=exposure,
        energy_change_s=change,
        interval_s=interval,
    )
    times = scan.frame_time_s if kind == "tomography" else scan.frame_time_s.T
    assert np.diff(times.ravel()).min() >= exposure * (1 - 1e-6)
    assert scan.time_s == pytest.approx(times.max() + exposure / 2)
    if kind == "tomography":
        frames = angles + scan.flats + scan.darks
        assert scan.time_s == pytest.approx(energies * (frames * exposure + change))


def test_components_interpolate_between_states():
    rng = np.random.default_rng(0)
    moving = rng.uniform(size=(3, 2, 2, 4, 5, 6)).astype(np.float32)
    still = rng.uniform(size=(1, 2, 4, 5, 6)).astype(np.float32)
    components = Components(moving, np.array([0.0, 10.0, 30.0]), still, (0, 0), (5, 6), np.array([-1.0, 1.0]))
    for k, time in enumerate((0.0, 10.0, 30.0)):
        assert np.array_equal(components.paths(1, time), np.concatenate([moving[k, :, :, 1], still[:, :, 1]]))
    assert components.paths(2, 15.0)[:2] == pytest.approx(0.75 * moving[1, :, :, 2] + 0.25 * moving[2, :, :, 2], rel=1e-5)
    assert np.array_equal(components.paths(0, -5.0), components.paths(0, 0.0))
    assert np.array_equal(components.paths(0, 99.0), components.paths(0, 30.0))
    one_view = frozen(moving[0, :, 0, :1])
    assert np.array_equal(one_view.paths(7, 3.0)[:, 0], moving[0, :, 0, 0])


@pytest.mark.parametrize("fraction", [0.10, 0.60])
def test_a_frozen_sample_is_where_the_cell_stopped(fraction):
    study = load_study("tiny", CELL | {"charging.mean_fraction": fraction})
    course = course_of(study, build_sample(study))
    assert course.fractions == pytest.approx(np.full((1, 1), fraction))
    curve = charge_curve(study, course)
    assert curve.capacity_mAh_per_g[-1] / THEORETICAL_mAh_g == pytest.approx(fraction, abs=1e-3)
    paused = curve.time_s > course.start_s
    assert curve.current_mA[paused] == pytest.approx(0, abs=1e-3)
    assert curve.voltage_V[paused] == pytest.approx(3.422, abs=3e-3)
    assert curve.time_s[-1] == pytest.approx(course.start_s + study.scan.time_s)


@pytest.mark.parametrize(
    "name", ["initial", pytest.param("partial", marks=pytest.mark.slow), pytest.param("middle", marks=pytest.mark.slow), "end"]
)
def test_the_stages_lie_on_one_charge(name):
    """Bulk fractions 0.10, 0.35, 0.60, 0.82 at four times of the same particle and cell."""
    study = load_study(name)
    wanted = {"initial": 0.10, "partial": 0.35, "middle": 0.60, "end": 0.82}[name]
    coarse = load_study(name, {"scan.columns": 64, "scan.rows": 64, "scan.pixel_um": 0.12})
    sample = build_sample(coarse)
    course = course_of(coarse, sample)
    assert sample.at(course.fractions[0]).bulk_fraction == pytest.approx(wanted, abs=1e-3)
    assert course.charge.mean_fraction[-1] * THEORETICAL_mAh_g == pytest.approx(140, abs=5)
    assert course.charge.plateau_V == pytest.approx(3.5, abs=0.05)
    assert (study.particle, study.front) == (load_study("initial").particle, load_study("initial").front)


def test_truth_of_a_moving_sample_is_its_state_at_mid_scan():
    changes = CELL | CLEAN | {"charging.moving": True, "scan.exposure_s": 3.0, "cell.c_rate": 0.5, "cell.diffusivity_m2_s": 1e-14}
    simulation, _, _ = loop(changes)
    assert simulation.truth.amounts[1].sum() / simulation.truth.amounts.sum() == pytest.approx(0.35, abs=2e-3)
    assert simulation.charge_fraction == pytest.approx(0.35, abs=1e-3)
    assert simulation.truth.time_s == pytest.approx([load_study("tiny", changes).scan.time_s / 2])
    assert simulation.fraction_change == pytest.approx(0.5 * load_study("tiny", changes).scan.time_s / 3600, rel=0.02)
    assert simulation.charge.current_mA[-1] > 0.5


@pytest.mark.slow
@pytest.mark.parametrize(
    ("size", "cost"),
    [
        ({"scan.columns": 76, "scan.rows": 72, "scan.pixel_um": 0.09, "scan.angles": 91}, 1.5),
        ({}, 2.0),
    ],
)
def test_a_slow_scan_blurs_and_a_frozen_sample_does_not(size, cost):
    """At C/2, noise-free, the same particle: moving during 43 min, moving during 1 min, frozen."""
    slow = loop(size, "slow-scan")[2]
    fast = loop(size | {"scan.exposure_s": 0.01, "scan.energy_change_s": 1.0}, "slow-scan")[2]
    still = loop(size | {"charging.moving": False}, "slow-scan")[2]
    assert slow["phase_rmse"] > cost * still["phase_rmse"]
    assert slow["front_width_um"] ** 2 - still["front_width_um"] ** 2 > 0.1**2  # widths add in quadrature
    assert fast["phase_rmse"] == pytest.approx(still["phase_rmse"], rel=0.05)
    assert fast["front_width_um"] == pytest.approx(still["front_width_um"], rel=0.03)


@pytest.mark.slow
def test_enough_states_are_taken_by_default():
    """As many again change nothing; two would."""
    size = {"scan.columns": 76, "scan.rows": 72, "scan.pixel_um": 0.09, "scan.angles": 91}
    by_default = load_study("slow-scan", size)
    count = len(course_of(by_default, build_sample(by_default)).times_s)
    chosen, more, few = (loop(size | {"charging.states": n}, "slow-scan")[2]["phase_rmse"] for n in (count, 2 * count, 3))
    assert chosen == pytest.approx(more, rel=0.02)
    assert few > 1.1 * more


def test_a_clean_series_maps_the_layer():
    simulation, conclusion, scores = loop(LAYER | CLEAN)
    assert conclusion.map.axes == "time:y:x"
    assert conclusion.map.shape == (2, 64, 72)
    assert np.array_equal(conclusion.map.time_s, simulation.truth.time_s)
    assert scores["phase_rmse_interior"] < 0.02
    assert abs(scores["bulk_fraction_error"]) < 0.005
    assert set(simulation.fillers) == {"binder", "electrolyte"}
    assert scores["front_distance_um"] is None


def test_a_noisy_series_states_an_honest_sigma():
    scores = loop(LAYER | {"beam.photons_per_pixel": 2e5, "scan.angles": 4})[2]
    for name in ("pull_std", "pull_std_LFP", "pull_std_FP"):
        assert 0.9 < scores[name] < 1.1, (name, scores[name])
    assert abs(scores["pull_mean"]) < 0.1


def test_particles_of_an_electrode_differ_only_where_they_are_unequal():
    """x of each particle: spread over sizes and barriers; none in an electrode of equal ones."""
    spread = course_of(study := load_study("tiny", LAYER), build_sample(study)).fractions[0]
    assert spread.std() > 0.1
    equal = {"electrode.size_spread": 0, "cell.size_spread": 0, "cell.barrier_spread_V": 0, "electrode.median_diameter_um": 2.0}
    alike = course_of(
        study := load_study("tiny", LAYER | equal | {"cell.median_diameter_um": 2.0}), build_sample(study)
    ).fractions[0]
    assert np.ptp(alike) < 0.02
    assert alike.mean() == pytest.approx(0.4, abs=0.02)


def test_projection_mixes_what_the_volume_keeps_apart():
    """Pure-phase core-shells, noise-free: in 2D more than 30 % of pixels look mixed, in 3D less than 10 % of voxels."""
    shape = {"front.speed": [1, 1, 1], "front.fraction": 0.5, "scan.columns": 64, "scan.rows": 64, "scan.pixel_um": 0.12}
    flat = loop(CLEAN | shape | {"scan.kind": "series", "scan.first_angle_deg": 0, "scan.angles": 1}, "default")[2]
    volume = loop(CLEAN | shape | {"scan.angles": 91}, "default")[2]
    assert flat["mixed_share_found"] > 0.3
    assert volume["mixed_share_found"] < 0.1


def test_dose_slows_the_imaged_particle_and_no_other():
    coarse = {"scan.columns": 64, "scan.rows": 64, "scan.pixel_um": 0.12}
    control, exposed = (load_study(name, coarse) for name in ("unexposed", "beam-slowed"))
    one, other = (course_of(study, build_sample(study)) for study in (control, exposed))
    assert other.fractions[0, 0] < one.fractions[0, 0] - 0.02
    assert np.array_equal(one.charge.voltage_V, other.charge.voltage_V)


def test_the_charge_is_in_the_run_folder_only_where_there_is_one(tmp_path):
    folder = tmp_path / "run"
    scores = run(load_study("tiny", LAYER), folder, threads=2).scores
    curve = read_charge(folder / "charge.csv")
    assert scores["capacity_mAh_per_g"] == pytest.approx(curve.capacity_mAh_per_g[-1], rel=1e-9)
    assert scores["charge_fraction"] == pytest.approx(0.4, abs=1e-3)
    assert read_map(folder / "truth.h5").axes == read_map(folder / "result.h5").axes == "time:y:x"
    with h5py.File(folder / "truth.h5") as file:
        assert {name: file["particles"][name].shape for name in file["particles"]} == {
            "diameter_um": (6,),
            "center_um": (6, 3),
            "fraction": (6,),
            "dose_MGy": (6, 9),
        }
        assert scores["fraction_spread"] == pytest.approx(file["particles/fraction"][...].std())
    assert json.loads((folder / "scores.json").read_text())["bulk_fraction_change"] == 0
    page = (folder / "report.html").read_text()
    assert "Projections at up to four moments" in page
    assert "guesses" in page
    run(load_study("tiny"), folder, threads=2)
    assert not (folder / "charge.csv").exists()


def test_results_of_moving_samples_and_series_depend_on_no_thread():
    for changes in (CELL | {"charging.moving": True, "scan.exposure_s": 2.0}, LAYER):
        study = load_study("tiny", changes)
        one, two = (simulate(study, threads=n) for n in (1, 2))
        assert np.array_equal(one.scan.projections, two.scan.projections)
        assert np.array_equal(one.truth.amounts, two.truth.amounts)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (CELL | {"cell.c_rate": -0.1}, "cell.c_rate is -0.1"),
        (CELL | {"cell.cutoff_V": 3.3}, "cell.cutoff_V"),
        (CELL | {"charging.mean_fraction": 0.99}, "the charge ends with"),
        (CELL | {"charging.moving": True, "charging.mean_fraction": 0.001, "scan.exposure_s": 5.0}, "before half of a scan"),
        (LAYER | {"scan.kind": "tomography"}, "a layer lies across the beam"),
        (LAYER | {"scan.first_angle_deg": 10}, "a layer lies across the beam"),
        ({"scan.angles": 1}, "scan.angles is 1"),
        ({"scan.interval_s": 100.0}, "scan.interval_s is 100"),
        ({"charging.moving": True}, "charging.moving: is true, but charging.source is 'front'"),
        ({"charging.imaged": "own"}, "charging.imaged: is 'own', but"),
        (LAYER | {"electrode.binder.formula": "Fe2O3"}, "allowed is a material without iron"),
        ({"front.speed": [0, 0, 0]}, r"front.speed\[0\] is 0"),
        ({"electrode.particles": 60, "scan.kind": "series", "scan.first_angle_deg": 0, "electrode.size_spread": 0}, "too dense"),
    ],
)
def test_what_cannot_happen_is_refused_in_one_line(changes, words):
    with pytest.raises(InputError, match=words) as caught:
        simulate(load_study("tiny", changes))
    assert "\n" not in str(caught.value)
