"""The laws: ours hold them, broken ones are caught by the law that should, and a case is a small one."""

import functools

import numpy as np
import pytest

from analysis.align.role import align_energies, align_views
from analysis.reconstruct.fbp import fbp
from analysis.reconstruct.iterative import cgls
from analysis.spectra.combination import fit
from validation.laws import ALIGN_ENERGIES, ALIGN_VIEWS, ENGINE, FIT, Broken, examine, hold
from validation.laws.scenes import Scene

FEW = {"examples": 2}
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


@pytest.mark.parametrize("law", ALIGN_ENERGIES[2:], ids=str)
def test_alignment_of_energies_holds_every_law(law):
    hold(align_energies, law, examples=1)


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


def of_rays(change):
    return lambda rays, angles, **place: fbp(change(rays), angles, **place)


def of_image(change):
    return lambda rays, angles, **place: change(fbp(rays, angles, **place))


def of_place(**changes):
    return lambda rays, angles, **place: fbp(rays, angles, **(place | {k: f(place[k]) for k, f in changes.items()}))


def carried(engine):
    """Keeps half of the image before."""
    before = {}

    def with_memory(rays, angles, **place):
        new = engine(rays, angles, **place)
        old = before.get(new.shape, new)
        before[new.shape] = new
        return 0.5 * (new + old)

    return with_memory


BROKEN_ENGINES = {
    "upside down": (of_image(lambda v: v[::-1]), "makes each slice of its row"),
    "mirrored": (of_image(lambda v: v[:, :, ::-1]), "keeps the place"),
    "transposed": (of_image(lambda v: v.transpose(0, 2, 1)), "keeps the place"),
    "half a pixel": (of_place(center_px=lambda c: c + 0.5), "keeps the place"),
    "axis ignored": (of_place(center_px=lambda _: 19.5), "follows the axis"),
    "pixel ignored": (of_place(pixel_um=lambda _: 0.1), "scales with the pixel"),
    "gain of the ramp": (of_image(lambda v: 1.05 * v), "keeps the mass"),
    "negatives cut": (of_image(lambda v: np.maximum(v, 0)), "has no bias from noise"),
    "a memory": (carried(fbp), "says the same again"),
    "a constant": (of_image(lambda v: v + 1e-3), "makes nothing of nothing"),
    "angles the other way": (lambda rays, angles, **place: fbp(rays, -angles, **place), "keeps the place"),
    "degrees": (lambda rays, angles, **place: fbp(rays, np.rad2deg(angles), **place), "comes near the truth"),
    "flattened": (of_image(lambda v: v[0]), "answers"),
    "complex": (of_image(lambda v: v + 0j), "answers"),
}


@pytest.mark.parametrize(("engine", "name"), BROKEN_ENGINES.values(), ids=BROKEN_ENGINES)
def test_a_broken_engine_is_caught(engine, name):
    found = examine(engine, NAMED[name] if name != "answers" else ENGINE[0])
    assert not found.holds
    assert found.case is not None


def of_answer(change):
    return lambda mu, sigma, energies, standards: change(*fit(mu, sigma, energies, standards))


BROKEN_FITS = {
    "swapped": (of_answer(lambda a, s: (a[::-1], s[::-1])), "finds what was mixed"),
    "sigma a fifth small": (of_answer(lambda a, s: (a, 0.8 * s)), "states an honest sigma"),
    "sigma of one": (of_answer(lambda a, s: (a, np.ones_like(s))), "states sigma in proportion"),
    "negatives cut": (of_answer(lambda a, s: (np.maximum(a, 0), s)), "has no bias"),
    "no background": (functools.partial(fit, background="none"), "ignores what is the same at all energies"),
    "nothing is zero": (of_answer(lambda a, s: (np.nan_to_num(a), s)), "has no answer to nothing"),
    "sorted energies": (lambda mu, sigma, e, st: fit(mu, sigma, e, st[:, np.argsort(e)]), "does not mind the order of energies"),
    "full of iron": (functools.partial(fit, constraint="sum-one"), "finds what was mixed"),
    "one energy off": (lambda mu, sigma, e, st: fit(mu, sigma, e, np.roll(st, 1, axis=1)), "finds what was mixed"),
}


@pytest.mark.parametrize(("broken", "name"), BROKEN_FITS.values(), ids=BROKEN_FITS)
def test_a_broken_fit_is_caught(broken, name):
    assert not examine(broken, NAMED[name]).holds


@pytest.mark.parametrize(
    ("change", "name"),
    [
        (lambda shifts: -shifts, "finds the shifts"),
        (lambda shifts: shifts[:, ::-1], "finds the shifts"),
        (lambda shifts: np.round(shifts), "finds the shifts"),
        (lambda shifts: shifts[:-1], "answers"),
    ],
)
def test_a_broken_alignment_is_caught(change, name):
    (law,) = (law for law in ALIGN_VIEWS if law.name == name)
    assert not examine(lambda stack, angles_rad: change(align_views(stack, angles_rad)), law, **FEW).holds


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
