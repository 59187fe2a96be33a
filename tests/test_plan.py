"""The plan: what it foretells is what is found, its limits hold, its files are complete, its refusals say what is possible."""

import csv
import json
import tomllib
from dataclasses import replace

import numpy as np
import pytest
from plans import PATHS_UM, ray, rmse

from analysis.choices import Analysis
from phantom import InputError
from validation import Wish, analyze, load_study, plan, score, simulate
from validation.arguments import THIRD
from validation.cli import main
from validation.coarse import coarse_of
from validation.planning import before, curves, motion, nuisances, sentences
from validation.planning.bulk import bulk_sigma
from validation.planning.foretell import foretell
from validation.planning.nuisances import sigma_with_third
from validation.planning.other_lists import HAND_EV, UNIFORM_EV, equal_exposures_s, even_scan
from validation.planning.scan import dose_MGy
from validation.planning.solving import OutOfReach, TooBright, TooDim, solved
from validation.planning.third_phase import LIBRARY
from validation.planning.verify import quiet, verify
from validation.study import STUDIES

SMALL = {"scan.columns": 64, "scan.rows": 48, "scan.angles": 65, "scan.pixel_um": 0.12}
SCALES, ERRORS = (0.2, 1.0, 3.0), (0.03, 0.06, 0.12)
FEW = [(1.0, 0.12)]


def sized(scale, **changes):
    """A study of noise alone whose particle, pixels and paths are larger by a factor."""
    axes = [scale * axis for axis in load_study("default").particle.semi_axes_um]
    size = {"particle.semi_axes_um": axes, "scan.pixel_um": 0.12 * scale, "particle.center_spread_um": 0.15 * scale}
    return quiet(load_study("default", SMALL | size | {"optics.outermost_zone_um": 0.03 * scale} | changes))


def lit(study, coarse, error):
    """The study with as many photons as leave an error."""

    def at(photons):
        return replace(study, beam=replace(study.beam, photons_per_pixel=photons))

    return at(solved(lambda photons: foretell(coarse, at(photons)).rms ** -2, error**-2, 1e5))


def compared(scale, error):
    """Foretold and found rms errors for the methods image and projection, over two seeds, and the voxels they are over."""
    base = sized(scale)
    bright = lit(base, coarse_of(base), error)
    foretold, squares, voxels = [], {"image": [], "projection": []}, 0
    for seed in (1, 2):
        study = replace(bright, seed=seed)
        foretold.append(foretell(coarse_of(study), study).rms ** 2)
        simulation = simulate(study, threads=2)
        for method, found in squares.items():
            made = analyze(simulation.scan, simulation.standards, Analysis(method=method), threads=2)
            scores = score(simulation.truth, made.map)
            found.append(scores["phase_rmse_interior"] ** 2)
        voxels += scores["interior_voxels"]
    return np.sqrt(np.mean(foretold)), {method: np.sqrt(np.mean(found)) for method, found in squares.items()}, voxels


@pytest.mark.parametrize(
    ("scale", "error"),
    [pytest.param(s, e, marks=[] if (s, e) in FEW else [pytest.mark.slow]) for s in SCALES for e in ERRORS],
)
def test_the_error_of_a_voxel_is_foretold(scale, error):
    """Within 5 %, in rays of 0.7, 3 and 10 um and at three doses; neighbours are alike, so a voxel in nine counts."""
    foretold, found, voxels = compared(scale, error)
    assert voxels / 9 > 1000
    for method, value in found.items():
        assert foretold == pytest.approx(value, rel=0.05), method


def test_spread_light_dark_current_and_own_weights_are_foretold():
    """A scintillator that spreads, read noise that counts, and each ray's own weights."""
    camera = {"camera.spread_px": 0.6, "camera.read_noise_adu": 200.0, "camera.dark_current_e_s": 2000.0, "beam.falloff": 0.4}
    study = sized(1.0, **camera, **{"analysis.background": "linear"})
    coarse = coarse_of(study)
    simulation = simulate(study, threads=2)
    for settings in (study.analysis, replace(study.analysis, method="projection", weights="ray")):
        asked = replace(study, analysis=settings)
        found = score(simulation.truth, analyze(simulation.scan, simulation.standards, settings, threads=2).map)
        assert foretell(coarse, asked).rms == pytest.approx(found["phase_rmse_interior"], rel=0.05)
    without = replace(study, camera=replace(study.camera, read_noise_adu=0.0, dark_current_e_s=0.0))
    assert foretell(coarse, without).rms < 0.9 * foretell(coarse, study).rms


@pytest.mark.slow
def test_the_bulk_fraction_is_foretold():
    """Twelve scans of one particle: their spread, known to 21 %, is what is foretold."""
    study = load_study("tiny", {"stage.runout_um": 0.0, "particle.orientation_deg": [0, 0, 0]})
    study = replace(quiet(study), particle=replace(study.particle, center_spread_um=0.0, roughness=0.0))
    coarse = coarse_of(study)
    expected = bulk_sigma(coarse, study, foretell(coarse, study))
    found = []
    for seed in range(12):
        made = simulate(replace(study, seed=seed), threads=2)
        scores = score(made.truth, analyze(made.scan, made.standards, study.analysis, threads=2).map)
        found.append(scores["bulk_fraction_error"])
    assert np.std(found, ddof=1) == pytest.approx(expected, rel=0.45)
    assert abs(np.mean(found)) < 4 * expected / np.sqrt(12) + 0.002  # and what is left of the edges


@pytest.fixture(scope="module")
def usual():
    return plan(load_study("tiny"), Wish(sigma=0.05))


def test_a_plan_run_gives_what_it_says(usual):
    """Error, dose and hours within 10 %, with the effects that it foretells."""
    found = verify(usual, 2, threads=2)
    assert found.alone["phase_rmse_interior"].mean == pytest.approx(usual.foretold.rms, rel=0.1)
    assert found.alone["dose_MGy"].mean == pytest.approx(usual.dose_MGy, rel=0.1)
    assert found.alone["scan_time_s"].mean / 3600 == pytest.approx(usual.hours, rel=1e-6)
    assert found.others == ("run-out, wobble",)
    assert (found.foretold, found.dose_MGy) == pytest.approx((usual.foretold.rms, usual.dose_MGy))


def test_a_plan_keeps_its_word(usual):
    assert usual.sigma == pytest.approx(0.05, rel=2e-3)
    assert usual.bound.gap < 1e-4
    assert 0 <= usual.loss < 0.05
    assert usual.condition_number < 300
    assert len(usual.study.scan.energies_eV) == 6
    assert min(usual.study.scan.exposures_s) >= usual.wish.shortest_s * 0.999
    assert usual.ratios["uniform_equal_dose"] > 1.9
    assert usual.ratios["robust_uniform"] > 2.2
    assert usual.study.analysis.background == "linear"


@pytest.mark.parametrize("seed", [2])
def test_the_plan_does_not_know_the_seed(seed, usual):
    """Another seed moves particle and noise, not what is planned by more than the particle differs."""
    other = plan(load_study("tiny", {"seed": seed}), Wish(sigma=0.05))
    assert other.dose_MGy == pytest.approx(usual.dose_MGy, rel=0.2)
    assert other.study.seed == seed


@pytest.mark.parametrize(
    "wish",
    [{"max_dose_MGy": 10.0}, {"max_hours": 0.1}, {"max_dose_MGy": 10.0, "max_hours": 0.1}],
    ids=["dose", "hours", "both"],
)
def test_limits_are_kept(wish):
    found = plan(load_study("tiny"), Wish(**wish))
    parts = [value / wish[name] for name, value in (("max_dose_MGy", found.dose_MGy), ("max_hours", found.hours)) if name in wish]
    assert 0.99 <= max(parts) <= 1
    if len(wish) == 1:
        assert found.wish.spared == ("time" if "max_dose_MGy" not in wish else "dose")


@pytest.mark.parametrize("limit_h", [0.0125, 0.015, 0.05, 0.5])
def test_little_time_is_used(limit_h):
    """Energies that need little light get more, rather than a filter the beam dims; no other list of six does better by much."""
    found, alike = (plan(load_study("tiny"), Wish(max_hours=limit_h, equal=equal)) for equal in (False, True))
    for one in (found, alike):
        assert one.hours <= limit_h
        assert one.hours >= 0.97 * limit_h
        assert one.filter_transmission == pytest.approx(1, rel=1e-3)
    assert found.foretold.rms < 1.02 * alike.foretold.rms


def test_a_limit_that_does_not_bind_changes_little():
    free, bound = (plan(load_study("tiny"), Wish(max_hours=0.05, max_dose_MGy=dose)) for dose in (None, 1e4))
    assert bound.foretold.rms == pytest.approx(free.foretold.rms, rel=1e-3)
    assert bound.spared == free.spared == "time"
    assert "at equal time" in " ".join(sentences(bound, motion(bound), nuisances(bound), None))


@pytest.mark.parametrize("dose_MGy", [1.0, 3.0, 30.0])
@pytest.mark.parametrize("limit_h", [0.013, 0.03])
def test_two_limits_are_kept_or_refused(dose_MGy, limit_h):
    try:
        found = plan(load_study("tiny"), Wish(max_hours=limit_h, max_dose_MGy=dose_MGy))
    except InputError as error:
        assert "--equal" in str(error)  # noqa: PT017
    else:
        assert found.hours <= limit_h
        assert found.dose_MGy <= dose_MGy


def test_wishes_of_python():
    for wrong in ({"criterion": "E"}, {"budget": "money"}, {"third": ("hematite", 0.05)}):
        with pytest.raises(InputError, match="found"):
            plan(load_study("tiny"), Wish(**wrong))


def test_what_a_scan_may_be(usual):
    alike = plan(load_study("tiny"), Wish(sigma=0.05, equal=True, flats=40))
    assert len(set(alike.study.scan.exposures_s)) == 1
    assert alike.study.scan.flats == 40
    assert alike.loss > usual.loss
    nine = plan(load_study("tiny"), Wish(sigma=0.05, points=9, spacing_eV=3.0))
    assert len(nine.study.scan.energies_eV) == 9
    assert np.diff(nine.study.scan.energies_eV).min() >= 3


def test_without_a_wish_the_dose_is_the_study_s_own():
    study = load_study("tiny")
    assert plan(study).dose_MGy == pytest.approx(coarse_of(study).dose_MGy, rel=1e-2)


def test_larger_voxels_need_less_dose(usual):
    wide = plan(load_study("tiny"), Wish(sigma=0.05, voxel_um=0.2))
    assert wide.study.scan.pixel_um == 0.2
    assert wide.study.scan.columns * 0.2 == pytest.approx(48 * 0.15, rel=0.05)
    assert wide.study.scan.angles < usual.study.scan.angles
    assert wide.dose_MGy < 0.5 * usual.dose_MGy


@pytest.mark.parametrize("criterion", ["A", pytest.param("D", marks=pytest.mark.slow)])
def test_other_criteria(criterion):
    found = plan(load_study("tiny"), Wish(sigma=0.05, criterion=criterion))
    assert found.bound.gap < 1e-4
    assert found.sigma == pytest.approx(0.05, rel=2e-3)


def test_a_third_phase_asks_for_energies_that_tell_it(usual):
    found = plan(load_study("tiny"), Wish(sigma=0.05, third="hematite=0.3"))
    assert len(found.study.scan.energies_eV) == 7
    assert "as a third standard" in " ".join(sentences(found, motion(found), nuisances(found), None))
    assert sigma_with_third(found, "hematite") < 0.5 * sigma_with_third(usual, "hematite")
    assert sum("parametric guess" in one.name for one in nuisances(found)) == 1


def test_the_help_names_the_library():
    assert all(name in THIRD for name in LIBRARY)


def test_solving_from_below():
    """A crossing, from below the first one, whatever comes after; and where nothing can be taken."""

    def value(factor):
        if factor > 100:
            raise TooBright("bright")
        if factor < 0.01:
            raise TooDim("dim")
        return factor if factor < 5 else 0.5 * factor

    for start in (0.02, 1.0, 30.0, 1000.0):
        assert value(solved(value, 3.0, start)) == pytest.approx(3, rel=1e-3)
        assert value(solved(value, 20.0, start)) == pytest.approx(20, rel=1e-3)
        with pytest.raises(OutOfReach) as end:
            solved(value, 80.0, start)
        assert end.value.bright
        assert end.value.factor == pytest.approx(100, rel=1e-3)
        with pytest.raises(OutOfReach) as end:
            solved(value, 0.001, start)
        assert not end.value.bright
    assert solved(value, 3.0, 1.0) == pytest.approx(3, rel=1e-3)


def test_a_beam_that_decays_ends_what_can_be():
    """Full wells split views and flats until the ring is empty: more light is then less."""
    study = load_study("default", {"presets": ["x8c"]})
    assert plan(study, Wish(sigma=0.11, flats=200)).sigma == pytest.approx(0.11, rel=2e-3)
    with pytest.raises(InputError, match=r"ends at a sigma of 0\.10"):
        plan(study, Wish(sigma=0.1, flats=200))


def test_a_dim_beam_is_filtered_and_a_full_well_splits_views(usual):
    bright = {"beam.photons_per_pixel": 1e8}
    found = plan(load_study("tiny", bright), Wish(sigma=0.1))
    assert min(found.study.scan.exposures_s) == pytest.approx(0.02, rel=1e-3)
    assert found.filter_transmission < 0.1
    assert "by a filter" in sentences(found, motion(found), nuisances(found), None)[0]
    assert found.sigma == pytest.approx(0.1, rel=2e-3)
    shallow = load_study("tiny", {"camera.full_well_e": 2e4, "camera.electrons_per_photon": 10.0})
    split = plan(shallow, Wish(sigma=0.05))
    assert split.study.scan.angles > 2 * found.study.scan.angles
    electrons = split.study.instrument.detected_photons * 10
    assert electrons <= 2e4
    assert split.sigma == pytest.approx(0.05, rel=2e-3)
    assert usual.filter_transmission == pytest.approx(1, rel=1e-3)


def test_after_a_first_map(tmp_path):
    """A map of the sample stands in for the sample, and its light counts."""
    assert main(["run", "tiny", "-o", str(tmp_path / "first")]) == 0
    first = before(tmp_path / "first")
    scores = json.loads((tmp_path / "first" / "scores.json").read_text())
    assert first.sigma == pytest.approx(scores["phase_sigma_interior"], rel=0.1)
    assert first.dose_MGy == scores["dose_MGy"]
    fresh, more = (plan(load_study("tiny"), Wish(sigma=0.05), one) for one in (None, first))
    assert more.sigma == pytest.approx(0.05, rel=5e-3)
    # Two independent maps, averaged by their variances.
    expected = fresh.dose_MGy * (1 - (0.05 / first.sigma) ** 2)
    assert more.dose_MGy == pytest.approx(expected, rel=0.1)
    told = sentences(more, motion(more), nuisances(more), None)
    assert f"with the map before {more.dose_MGy + first.dose_MGy:.3g} MGy" in " ".join(told)
    (tmp_path / "alone").mkdir()
    (tmp_path / "first" / "result.h5").rename(tmp_path / "alone" / "result.h5")
    alone = before(tmp_path / "alone" / "result.h5")
    assert alone.dose_MGy is None
    assert plan(load_study("tiny"), Wish(), alone).dose_MGy == pytest.approx(scores["dose_MGy"], rel=0.1)
    with pytest.raises(InputError, match="nothing is left"):
        plan(load_study("tiny"), Wish(sigma=0.2), first)
    with pytest.raises(InputError, match="the map before took"):
        plan(load_study("tiny"), Wish(max_dose_MGy=10.0), first)
    with pytest.raises(InputError, match="states no phase_fraction_sigma"):
        before(tmp_path / "first" / "truth.h5")


def test_curves_fall_and_larger_voxels_are_better(usual):
    found = curves(usual)
    assert len(found) >= 3
    for curve in found:
        assert np.all(np.diff(curve.error) < 0)
        assert np.all(np.diff(curve.dose_MGy) > 0)
    middle = [curve.error[2] for curve in found]
    assert middle == sorted(middle, reverse=True)


def test_scan_and_charge(usual):
    """The limit: the front passes a voxel while x changes by 6 voxel / diameter."""
    still = motion(usual)
    assert still.front_um == 0
    assert still.c_rate_per_h * usual.hours * max(usual.coarse.diameters_um) / 6 == pytest.approx(0.15)
    moving = {"charging.source": "cell", "charging.moving": True, "cell.c_rate": 0.5, "charging.mean_fraction": 0.2}
    fast = plan(load_study("tiny", moving), Wish(sigma=0.03))
    swept = motion(fast)
    assert swept.front_um == pytest.approx(0.5 * fast.hours * max(fast.coarse.diameters_um) / 6, rel=0.05)
    assert "stands still" in swept.sentence
    assert "blurred" in replace(swept, front_um=0.2).sentence
    assert "no tomography" in replace(swept, front_um=1.0).sentence


def test_what_else_moves_x(usual):
    """An offset of the scale found by moving the spectra of a map of no noise."""
    by_name = {one.name.split(",")[0].split(" (")[0]: one.error for one in nuisances(usual)}
    energies = np.array(usual.study.scan.energies_eV)
    mu = usual.coarse.matter.attenuation_per_um
    worst = 0.0
    for x in (0.0, 0.5, 1.0):
        amounts = usual.foretold.lever @ (np.array([1 - x, x]) @ mu(energies + 0.2)[:2])
        worst = max(worst, abs(amounts[1] / amounts.sum() - x))
    assert by_name["energy scale off by 0.2 eV"] == pytest.approx(worst, rel=0.1)
    assert by_name["energy scale found from the scan"] < 0.5 * by_name["energy scale off by 0.2 eV"]


def test_methods_that_cannot_be_foretold_are_told():
    found = plan(load_study("tiny", {"analysis.method": "joint"}), Wish(sigma=0.05))
    assert found.study.analysis.method == "image"
    assert "not for joint" in " ".join(sentences(found, motion(found), nuisances(found), None))


def test_files(tmp_path, capsys):
    assert main(["plan", "tiny", "--sigma", "0.05", "-o", str(tmp_path)]) == 0
    words = capsys.readouterr().out
    found = json.loads((tmp_path / "plan.json").read_text())
    for name in (
        *("sigma", "voxel_um", "dose_MGy", "hours", "angles", "optimality_gap", "variance_ratio_equal_photons"),
        *("variance_ratio_equal_dose", "condition_number"),
    ):
        assert isinstance(found[name], (int, float)), name
    rows = list(csv.DictReader((tmp_path / "plan.csv").read_text().splitlines()))
    assert list(rows[0]) == ["energy_eV", "energy_keV", "exposure_s", "flats", "order"]
    assert [float(row["energy_eV"]) for row in rows] == found["energies_eV"]
    assert [float(row["exposure_s"]) for row in rows] == pytest.approx(found["exposures_s"], rel=1e-5)
    assert [float(row["energy_keV"]) * 1000 for row in rows] == pytest.approx(found["energies_eV"])
    study = load_study(tmp_path / "plan.toml")
    assert study.scan.energies_eV == tuple(found["energies_eV"])
    assert dose_MGy(coarse_of(study), study) == pytest.approx(found["dose_MGy"], rel=0.01)
    page = (tmp_path / "plan.html").read_text()
    assert page.count("data:image/png") == 2
    assert "http" not in page.replace("http-equiv", "")
    assert "0.05" in words
    assert tomllib.loads((tmp_path / "plan.toml").read_text())["name"] == "plan-tiny"


def bad(arguments, capsys):
    assert main(["plan", *arguments]) == 2
    line = capsys.readouterr().err.strip()
    assert "\n" not in line
    return line


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["tiny", "--sigma", "0.05", "--max-dose-MGy", "1"], "found --max-dose-MGy 1; that allows a sigma of"),
        (["tiny", "--sigma", "0.02", "--max-hours", "0.05"], "found --max-hours 0.05; that allows a sigma of"),
        (["tiny", "--sigma", "0.05", "--max-hours", "0.0001"], "ms each; allowed is more than that"),
        (["tiny", "--sigma", "0"], "allowed is 0.001 to 0.3"),
        (["tiny", "--sigma", "nan"], "allowed is 0.001"),
        (["tiny", "--voxel", "0.005"], "a third of what the optics resolve"),
        (["tiny", "--voxel", "3"], "an eighth of the sample's width"),
        (["tiny", "--points", "4"], "allowed is 6, two more than the 4 unknowns,"),
        (["tiny", "--points", "30", "--spacing", "10"], "allowed are up to 3.79 eV"),
        (["tiny", "--points", "7", "--spacing", "20"], "allowed are up to 18.3 eV"),
        (["tiny", "--third", "hematite", "--points", "7", "--spacing", "18"], "allowed are a smaller --spacing"),
        (["tiny", "--sigma", "0.001"], "ends at a sigma of"),
        (["tiny", "--max-dose-MGy", "1e-5"], "a detected photon per pixel and projection takes"),
        (["tiny", "--set", "scan.last_angle_deg=-10"], "allowed are 90 or more"),
        (["tiny", "--third", "rust"], "allowed are hematite"),
        (["tiny", "--third", "hematite=2"], "allowed is above 0"),
        (["tiny", "--fractions", "0,2"], "allowed are phase fractions"),
        (["tiny", "--fractions", "half"], "allowed are phase fractions"),
        (["tiny", "--max-dose-MGy", "-1"], "--max-dose-MGy"),
        (["tiny", "--spacing", "0"], "--spacing"),
        (["operando-2d"], "allowed is 'tomography'"),
        (["tiny", "--after", "nowhere"], "nowhere"),
        (["tiny", "--seeds", "0", "--verify"], "--seeds"),
        (["nowhere"], "no such file"),
    ],
)
def test_impossible_wishes_end_with_one_line(arguments, words, capsys):
    assert words in bad(arguments, capsys)


def test_what_a_refusal_says_is_possible(capsys):
    """The voxel it names can be had for the dose it had."""
    line = bad(["tiny", "--sigma", "0.05", "--max-dose-MGy", "20"], capsys)
    voxel_um = float(line.rpartition("in voxels of ")[2].split(" nm")[0]) / 1000
    found = plan(load_study("tiny"), Wish(sigma=0.05, max_dose_MGy=20.0, voxel_um=voxel_um * 1.01))
    assert found.dose_MGy <= 20.1


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(path.stem for path in STUDIES.glob("*.toml")))
def test_every_study_can_be_planned_or_says_why_not(name):
    try:
        found = plan(load_study(name), Wish(sigma=0.1))
    except InputError as error:
        assert "series" in str(error)  # noqa: PT017
    else:
        assert found.sigma == pytest.approx(0.1, rel=2e-3)


@pytest.mark.slow
def test_the_plan_for_fxi():
    found = plan(load_study("default", {"presets": ["fxi"]}), Wish(sigma=0.1))
    checked = verify(found, 2, threads=2)
    assert checked.alone["phase_rmse_interior"].mean == pytest.approx(found.foretold.rms, rel=0.1)
    assert checked.alone["dose_MGy"].mean == pytest.approx(found.dose_MGy, rel=0.1)
    assert checked.alone["scan_time_s"].mean / 3600 == pytest.approx(found.hours, rel=0.1)
    assert checked.added > 0
    assert "add" in " ".join(sentences(found, motion(found), nuisances(found), checked))


@pytest.mark.parametrize("path_um", PATHS_UM)
def test_what_good_energies_gain(path_um):
    """Against 61 even points and a usual list, for one ray at x = 0.5."""
    photons, dose = (ray(path_um, 7100.0, budget) for budget in ("photons", "dose"))
    assert photons["bound, uniform"] >= 3.3
    assert dose["bound, uniform"] >= 2.9
    assert dose["practical, uniform"] >= 2.2
    assert dose["practical, hand"] >= 1.7
    assert max(photons["gap"], dose["gap"]) < 1e-4


@pytest.mark.slow
def test_what_good_energies_gain_in_the_loop():
    study = load_study("solid-solution", SMALL | {"front.fraction": 0.5})
    found = plan(study, Wish(sigma=0.03, fractions=(0.5,)))
    own = rmse(found.study, 2, 2)
    for energies, least in ((UNIFORM_EV, 2.2), (HAND_EV, 1.7)):
        other = even_scan(found.study, energies, equal_exposures_s(found.coarse, found.study, energies)["dose"])
        assert (rmse(other, 2, 2) / own) ** 2 >= least
