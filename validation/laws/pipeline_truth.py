"""Laws of a pipeline that know what its map should hold, and what its noise may do to it."""

from dataclasses import replace

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import chi2, t

from analysis.result import IRON_FLOOR

from .engine_laws import largest, stands
from .law import Broken, Function, close, within
from .pipeline_call import concluded, pipeline_law
from .scans import SPECIES, Clouds, clouds

Array = NDArray[np.float64]

_TRUE = 0.02  # of the largest amount, rms, from the truth: three times what a Hann window, the widest in use, takes away
_PHASE = 0.03  # x, rms, where iron is above _FULL: the same
_FULL = 0.5
_IRON = 0.3  # iron that is ten times its noise: a ratio to it is nearly normal
_MASS = 0.02
_APART_PX = 3  # voxels so far apart have noise of their own: no usual window is wider
_RARE = 1e-7  # probability that noise alone breaks a statistical law in a trial


@pipeline_law(clouds(), examples=5)
def comes_near_the_truth(pipeline: Function, case: Clouds) -> None:
    """A smooth sample seen from many sides without noise comes out as it is, in amounts and in phase fraction."""
    truth, found = case.amounts(), concluded(pipeline, case.frames())
    for name, wanted, amounts in zip(SPECIES, truth, found.amounts, strict=True):
        close(amounts, wanted, _TRUE * largest(truth), f"amounts of {name} away from the truth")
    full = truth.sum(axis=0) > _FULL
    if full.any():
        close(found.phase[full], truth[1][full] / truth.sum(axis=0)[full], _PHASE, "phase fraction away from the truth")


@pipeline_law(clouds(), examples=4)
def keeps_the_iron(pipeline: Function, case: Clouds) -> None:
    """Each slice holds as much LFP and FP as its row's rays have met: iron is neither made nor lost, nor of another kind."""
    truth, found = (amounts.sum(axis=(2, 3)) for amounts in (case.amounts(), concluded(pipeline, case.frames()).amounts))
    for name, shares in zip(SPECIES, found / truth, strict=True):
        for share in shares:
            within(float(share), 1 - _MASS, 1 + _MASS, f"{name} in a slice over that in the sample")


@pipeline_law(clouds(), examples=4)
def keeps_the_place(pipeline: Function, case: Clouds) -> None:
    """Each species lies where and as it should: x to the right at 0 degrees, turning as the contract says, z by rows."""
    for name, truth, amounts in zip(SPECIES, case.amounts(), concluded(pipeline, case.frames()).amounts, strict=True):
        stands(amounts, truth, f"{name} in a slice")


@pipeline_law(clouds(), examples=3)
def finds_no_iron_in_air(pipeline: Function, case: Clouds) -> None:
    """Without a sample and without noise no voxel has iron, nor a phase fraction."""
    iron = concluded(pipeline, case.frames(np.zeros_like(case.depth()))).amounts.sum(axis=0)
    if not (iron < IRON_FLOOR).all():
        raise Broken(
            f"{np.sum(iron >= IRON_FLOOR)} voxels of air hold iron, up to {iron.max():.3g}; allowed below {IRON_FLOOR:g}"
        )


@pipeline_law(clouds(rows=st.just(80), photons=st.just(1e4)), examples=4, needs="linear", false_alarms=8 * _RARE)
def has_no_bias_from_noise(pipeline: Function, case: Clouds) -> None:
    """Noise in air is as often negative as positive: neither a transmission above 1 nor an amount below 0 is cut off."""
    quarter = case.columns // 4
    amounts = concluded(pipeline, case.frames(np.zeros_like(case.depth()))).amounts
    for name, means in zip(SPECIES, amounts[:, :, quarter:-quarter, quarter:-quarter].mean(axis=(2, 3)), strict=True):
        allowed = float(t.ppf(1 - _RARE / 2, case.rows - 1)) * float(means.std(ddof=1)) / np.sqrt(case.rows)
        within(float(means.mean()), -allowed, allowed, f"mean amount of {name} in {case.rows} slices of air")


@pipeline_law(clouds(photons=st.floats(1e3, 1e4).map(round)), examples=4, false_alarms=1e-9)
def errs_less_with_more_photons(pipeline: Function, case: Clouds) -> None:
    """Sixteen times the photons, a quarter of the noise, are never worse."""
    truth = case.amounts()
    few, many = (
        float(np.sqrt(np.mean((concluded(pipeline, one.frames()).amounts - truth) ** 2)))
        for one in (case, replace(case, photons=16 * case.photons))
    )
    within(many, 0.0, few, "error with 16 times the photons")


@pipeline_law(clouds(rows=st.just(40), photons=st.just(4e4)), examples=3, needs="sigma", false_alarms=9 * _RARE)
def states_an_honest_sigma(pipeline: Function, case: Clouds) -> None:
    """Two scans that differ by their noise alone give maps that differ by as much as their sigma says."""
    # The difference, as what a map errs by without any noise is the same in both.
    one, two = (concluded(pipeline, replace(case, repeat=number).frames()) for number in (1, 2))
    apart = np.zeros((case.columns, case.columns), bool)
    apart[1::_APART_PX, 1::_APART_PX] = True
    seen = apart & (_radius(case.columns) < case.columns / 2 - abs(case.offset_px) - 1)
    told = [
        (f"amounts of {name}", np.broadcast_to(seen, two.amounts[k].shape), one.amounts[k] - two.amounts[k], *sigmas)
        for k, name in enumerate(SPECIES)
        for sigmas in _both(one.amounts_sigma, two.amounts_sigma, k)
    ]
    enough = seen & (case.amounts().sum(axis=0) > _IRON)
    told += [("phase fraction", enough, one.phase - two.phase, *sigmas) for sigmas in _both(one.phase_sigma, two.phase_sigma)]
    if not told:
        raise Broken("states neither amounts_sigma nor phase_fraction_sigma; allowed is one of them, or --except sigma")
    for what, where, difference, first, second in told:
        expected = np.hypot(first[where], second[where])
        if not (expected > 0).all():
            raise Broken(f"sigma of {what} is not above 0 in {np.sum(~(expected > 0))} of {expected.size} voxels")
        pulls, n = difference[where] / expected, int(where.sum())
        low, high = np.sqrt(chi2.ppf([_RARE / 2, 1 - _RARE / 2], n) / n)
        within(float(np.sqrt(np.mean(pulls**2))), 0.97 * low, 1.03 * high, f"rms difference over sigma, {what}, {n} voxels")


def _radius(columns: int) -> Array:
    axis = np.arange(columns) - (columns - 1) / 2
    return np.asarray(np.hypot(axis[:, None], axis))


def _both(one: Array | None, two: Array | None, *part: int) -> list[tuple[Array, Array]]:
    return [] if one is None or two is None else [(one[part], two[part])]
