"""The laws: ours hold them, and a case is a small one. What they catch: test_mutants.py."""

import numpy as np
import pytest

from analysis.align.role import align_energies, align_views
from analysis.reconstruct.fbp import fbp
from analysis.reconstruct.iterative import cgls
from analysis.spectra.combination import fit
from validation.laws import ALIGN_ENERGIES, ALIGN_VIEWS, ENGINE, FIT, Broken, examine, hold
from validation.laws.scenes import Scene

FEW = {"examples": 2}
TELLING = {"finds the shifts": 2, "adds a further shift": 1, "errs less with less noise": 3}  # with so many examples
NAMED = {law.name: law for law in (*ENGINE, *FIT)}


@pytest.mark.parametrize("law", ENGINE, ids=str)
def test_fbp_holds_every_law_of_an_engine(law):
    hold(fbp, law, seed_=1)


@pytest.mark.parametrize("law", [law for law in ENGINE if law.needs != "linear"], ids=str)
def test_cgls_holds_all_but_those_of_linear_ones(law):
    hold(cgls, law, examples=3)


@pytest.mark.parametrize("law", FIT, ids=str)
def test_linear_combination_holds_every_law_of_a_fit(law):
    hold(fit, law, seed_=2)


@pytest.mark.parametrize("law", ALIGN_VIEWS, ids=str)
def test_alignment_of_views_holds_every_law(law):
    hold(align_views, law, **FEW)


@pytest.mark.parametrize(
    "law",
    [pytest.param(law, marks=[] if law.name in TELLING else [pytest.mark.slow]) for law in ALIGN_ENERGIES],
    ids=str,
)
def test_alignment_of_energies_holds_every_law(law):
    hold(align_energies, law, examples=TELLING.get(law.name, 2))


def test_every_law_is_a_sentence_of_its_own():
    for laws in (ENGINE, FIT, ALIGN_VIEWS, ALIGN_ENERGIES):
        assert len({law.name for law in laws}) == len(laws)
        for law in laws:
            assert law.claim.endswith(".")
            assert len(law.claim) < 160
            assert law.false_alarms < 1e-6 * law.examples


def test_a_scene_is_its_own_projection():
    """The mass of a view is that of the object, and its middle turns as the contract says."""
    scene = Scene(rows=2, columns=48, views=30, offset_px=1.3, first_deg=20.0, seed=3)
    volume, rays = scene.volume(), scene.rays()
    np.testing.assert_allclose(rays.sum(axis=2), (volume.sum(axis=(1, 2)) * scene.pixel_um)[:, None] * np.ones(30), rtol=2e-3)
    axis = np.arange(48) - 23.5
    mass = volume.sum(axis=(1, 2))
    x, y = volume.sum(axis=1) @ axis / mass, volume.sum(axis=2) @ axis / mass
    middle = rays @ (np.arange(48) - scene.center_px) / rays.sum(axis=2)
    wanted = x[:, None] * np.cos(scene.angles_rad) + y[:, None] * np.sin(scene.angles_rad)
    np.testing.assert_allclose(middle, wanted, atol=0.02)


def test_a_case_is_made_small_and_repeats():
    """An engine that fails with more than 40 columns is shown 41."""

    def narrow(rays, angles, **place):
        return fbp(rays, angles, **place) * (1.0 if rays.shape[2] <= 40 else 2.0)

    law = NAMED["comes near the truth"]
    one, other = (examine(narrow, law, examples=40) for _ in range(2))
    assert one.case.columns == 41
    assert one.case.rows == 1
    assert (one.case, one.message) == (other.case, other.message)
    with pytest.raises(Broken, match=r"comes near the truth: away from the truth: .* rms; allowed"):
        hold(narrow, law, examples=40)


def test_an_error_of_the_function_is_its_verdict_and_one_of_ours_is_not():
    def fails(rays, angles, **place):
        raise ZeroDivisionError("no views")

    assert examine(fails, ENGINE[0]).message == "raises ZeroDivisionError: no views"
    from dataclasses import replace

    with pytest.raises(KeyError):
        examine(fbp, replace(ENGINE[0], trial=lambda engine, case: {}["ours"]))
