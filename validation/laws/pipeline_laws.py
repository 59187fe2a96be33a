"""Laws of a pipeline: pipeline(scan_path, standards_paths, out_path) -> None, having written a result file.

Paths are strings, `standards_paths` a dictionary of them, {"LFP": path, "FP": path}. The scan is a native file, the standards are
text, as a run leaves them (README, Files of a run). The result's voxels are the detector's pixels, `rows` slices of `columns` x
`columns`.
"""

import functools
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import chi2, t

from analysis.result import IRON_FLOOR

from .engine_laws import largest, stands
from .law import Broken, Function, Law, close, law, within
from .pipeline_call import Place, called, concluded
from .scans import SPECIES, Clouds, Counts, Frames, clouds

Array = NDArray[np.float64]

_ROUNDING = 3e-3  # of the largest amount, between two maps of one pipeline that should be alike
_TRUE = 0.02  # of the largest amount, rms, from the truth: three times what a Hann window, the widest in use, takes away
_PHASE = 0.03  # x, rms, where iron is above _FULL: the same
_FULL = 0.5
_IRON = 0.3  # iron that is ten times its noise: a ratio to it is nearly normal
_MASS = 0.02
_APART_PX = 3  # voxels so far apart have noise of their own: no usual window is wider
_RARE = 1e-7  # probability that noise alone breaks a statistical law in a trial
_SHRINKS = 30  # a trial takes tenths of a second, or what the pipeline takes

_law = functools.partial(law, shrinks=_SHRINKS)


def alike(
    pipeline: Function, case: Clouds, change: Callable[[Frames], Frames], what: str, back: Callable[[Array], Array] | None = None
) -> None:
    """Broken where a scan and the same one after `change` do not lead to the same amounts, once turned `back`."""
    frames = case.frames()
    one, other = (concluded(pipeline, each).amounts for each in (frames, change(frames)))
    close(back(other) if back else other, one, _ROUNDING * largest(one), what)


def noises(**fixed: Any) -> st.SearchStrategy[Clouds]:
    """Scans without noise and with that of a good exposure, which makes none of them another scan.

    Not for other views, or the same ones elsewhere: total variation by one-sided differences, or a weight that is judged by
    some of the views, leaves other noise then, a third of it in ours, and that is no error.
    """
    return clouds(photons=st.sampled_from([0.0, 1e4]), **fixed)


@_law(noises(), examples=5)
def leaves_a_result(pipeline: Function, case: Clouds) -> None:
    """A result file is written: finite amounts of LFP and FP, voxel size, iron, and phase fractions where iron is enough."""
    concluded(pipeline, case.frames())


@_law(noises(), examples=3)
def says_the_same_again(pipeline: Function, case: Clouds) -> None:
    """The same scan gives the same map, whatever was analyzed in between, and whatever was there before."""
    one = concluded(pipeline, case.frames())
    with tempfile.TemporaryDirectory(prefix="txm-twin-law-", ignore_cleanup_errors=True) as folder:
        _, again = (called(pipeline, each.frames(), Path(folder)) for each in (replace(case, seed=case.seed + 1), case))
    close(again.amounts, one.amounts, 1e-6 * largest(one.amounts), "a second map differs from the first")


@_law(noises(), examples=2)
def works_anywhere(pipeline: Function, case: Clouds) -> None:
    """Files may lie in other folders, with spaces and any letters in their names."""
    frames = case.frames()
    one = concluded(pipeline, frames).amounts
    elsewhere = Place("beam time/scan 7, first.h5", "beam time/pure phases", "maps of \u00b5m/LFP & FP.h5")
    with tempfile.TemporaryDirectory(prefix="txm twin law ", ignore_cleanup_errors=True) as folder:
        other = called(pipeline, frames, Path(folder), elsewhere).amounts
    close(other, one, 1e-6 * largest(one), "a map of files that lie elsewhere differs")


@_law(noises(), examples=2)
def leaves_all_else_alone(pipeline: Function, case: Clouds) -> None:
    """Scan and standards stay as they are, and nothing appears beside them but the result."""
    with tempfile.TemporaryDirectory(prefix="txm-twin-law-", ignore_cleanup_errors=True) as name:
        folder, before = Path(name), {}

        def watched(scan: str, standards: dict[str, str], out: str) -> Any:
            before.update(_contents(folder))
            return pipeline(scan, standards, out)

        called(watched, case.frames(), folder)
        after = _contents(folder)
    after.pop(Path(Place().result), None)
    changed = sorted(str(path) for path in before if after.get(path) != before[path])
    added = sorted(str(path) for path in after if path not in before)
    if changed or added:
        told = [f"changes {', '.join(changed)}"] * bool(changed) + [f"leaves {', '.join(added)}"] * bool(added)
        raise Broken(f"{' and '.join(told)}; allowed is to write out_path alone")


def _contents(folder: Path) -> dict[Path, bytes]:
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@_law(clouds(), examples=5)
def comes_near_the_truth(pipeline: Function, case: Clouds) -> None:
    """A smooth sample seen from many sides without noise comes out as it is, in amounts and in phase fraction."""
    truth, found = case.amounts(), concluded(pipeline, case.frames())
    for name, wanted, amounts in zip(SPECIES, truth, found.amounts, strict=True):
        close(amounts, wanted, _TRUE * largest(truth), f"amounts of {name} away from the truth")
    full = truth.sum(axis=0) > _FULL
    if full.any():
        close(found.phase[full], truth[1][full] / truth.sum(axis=0)[full], _PHASE, "phase fraction away from the truth")


@_law(clouds(), examples=4)
def keeps_the_iron(pipeline: Function, case: Clouds) -> None:
    """Each slice holds as much LFP and FP as its row's rays have met: iron is neither made nor lost, nor of another kind."""
    truth, found = (amounts.sum(axis=(2, 3)) for amounts in (case.amounts(), concluded(pipeline, case.frames()).amounts))
    for name, shares in zip(SPECIES, found / truth, strict=True):
        for share in shares:
            within(float(share), 1 - _MASS, 1 + _MASS, f"{name} in a slice over that in the sample")


@_law(clouds(), examples=4)
def keeps_the_place(pipeline: Function, case: Clouds) -> None:
    """Each species lies where and as it should: x to the right at 0 degrees, turning as the contract says, z by rows."""
    for name, truth, amounts in zip(SPECIES, case.amounts(), concluded(pipeline, case.frames()).amounts, strict=True):
        stands(amounts, truth, f"{name} in a slice")


@_law(noises(), examples=3)
def does_not_mind_the_order_of_energies(pipeline: Function, case: Clouds) -> None:
    """Energies taken in another order, with all that belongs to them, are the same scan."""
    order = np.random.default_rng(case.seed).permutation(case.energies)
    alike(pipeline, case, lambda frames: frames.energies_in_order(order), "energies in another order")


@_law(clouds(), examples=3)
def does_not_mind_the_order_of_views(pipeline: Function, case: Clouds) -> None:
    """Views taken in another order, with their angles, are the same scan."""
    order = np.random.default_rng(case.seed).permutation(case.views)
    alike(pipeline, case, lambda frames: frames.views_in_order(order), "views in another order")


@_law(st.tuples(noises(), st.lists(st.sampled_from([2, 1, 3]), min_size=7, max_size=7)), examples=3)
def does_not_mind_the_brightness(pipeline: Function, case: tuple[Clouds, list[int]]) -> None:
    """As many times the light at an energy, with and without the sample, is the same transmission."""
    one, factors = case
    times = np.array(factors[: one.energies])[:, None, None, None]

    def brighter(frames: Frames) -> Frames:
        # About a level that all frames share: noise of darks grows as that of the light does, and digits stay whole.
        level = round(float(frames.darks.mean()))
        return frames.of_counts(lambda counts: _digits(level + times * (counts - float(level))))

    alike(pipeline, one, brighter, f"at {', '.join(map(str, factors[: one.energies]))} times the light")


@_law(st.tuples(noises(), st.sampled_from([500, -1500, 10_000])), examples=3)
def does_not_mind_the_dark(pipeline: Function, case: tuple[Clouds, int]) -> None:
    """As much more in all frames, those without light included, is the same transmission."""
    one, offset = case

    def darker(frames: Frames) -> Frames:
        return frames.of_counts(lambda counts: _digits(counts + float(offset)))

    alike(pipeline, one, darker, f"{offset:+d} in all frames")


def _digits(counts: Any) -> Counts:
    return np.asarray(np.rint(counts), np.uint16)


@_law(clouds(), examples=3)
def turns_with_the_angles(pipeline: Function, case: Clouds) -> None:
    """Angles a quarter turn higher turn the map by a quarter: x becomes y."""

    def turned(frames: Frames) -> Frames:
        return replace(frames, angles_rad=frames.angles_rad + np.pi / 2)

    alike(pipeline, case, turned, "angles a quarter turn higher", lambda amounts: np.rot90(amounts, axes=(2, 3)))


@_law(clouds(), examples=3)
def turns_over_with_the_rows(pipeline: Function, case: Clouds) -> None:
    """Frames upside down give the map upside down."""

    def over(frames: Frames) -> Frames:
        return frames.of_counts(lambda counts: counts[:, :, ::-1])

    alike(pipeline, case, over, "frames upside down", lambda amounts: amounts[:, ::-1])


@_law(noises(), examples=3)
def swaps_with_the_standards(pipeline: Function, case: Clouds) -> None:
    """What is called LFP is what the standard of that name says: standards exchanged exchange the amounts."""

    def exchanged(frames: Frames) -> Frames:
        lfp, fp = (frames.standards[name] for name in SPECIES)
        return replace(frames, standards={"LFP": replace(lfp, mu=fp.mu), "FP": replace(fp, mu=lfp.mu)})

    alike(pipeline, case, exchanged, "standards exchanged", lambda amounts: amounts[::-1])


@_law(noises(), examples=3)
def does_not_mind_how_standards_are_sampled(pipeline: Function, case: Clouds) -> None:
    """Standards at more energies than the scan's, or at no others, say the same."""

    def few(frames: Frames) -> Frames:
        return replace(frames, standards={name: case.spectrum(name, case.energies_eV) for name in SPECIES})

    alike(pipeline, case, few, "standards at the scan's energies alone")


@_law(noises(), examples=3)
def goes_by_the_names_of_standards(pipeline: Function, case: Clouds) -> None:
    """Standards given in another order, FP first, are the same standards."""

    def reversed_(frames: Frames) -> Frames:
        return replace(frames, standards=dict(reversed(frames.standards.items())))

    alike(pipeline, case, reversed_, "FP before LFP")


@_law(clouds(), examples=3, needs="background")
def ignores_matter_without_iron(pipeline: Function, case: Clouds) -> None:
    """Matter that absorbs as much at all energies changes no amount."""
    other = 0.3 * replace(case, seed=case.seed + 1).scene(0).rays().transpose(1, 0, 2)
    one = concluded(pipeline, case.frames()).amounts
    two = concluded(pipeline, case.frames(case.depth() + other)).amounts
    close(two, one, _ROUNDING * largest(one), "with matter that has no edge")


@_law(clouds(), examples=3)
def finds_no_iron_in_air(pipeline: Function, case: Clouds) -> None:
    """Without a sample and without noise no voxel has iron, nor a phase fraction."""
    iron = concluded(pipeline, case.frames(np.zeros_like(case.depth()))).amounts.sum(axis=0)
    if not (iron < IRON_FLOOR).all():
        raise Broken(
            f"{np.sum(iron >= IRON_FLOOR)} voxels of air hold iron, up to {iron.max():.3g}; allowed below {IRON_FLOOR:g}"
        )


@_law(noises(), examples=3, needs="slicewise")
def contains_a_dead_pixel(pipeline: Function, case: Clouds) -> None:
    """A pixel that sees no light in any frame changes no other slice."""
    frames, pixel = case.frames(), (slice(None), slice(None), 1, case.columns // 2 - case.seed % 3)

    def dead(counts: Counts) -> Counts:
        changed = counts.copy()
        changed[pixel] = frames.darks[pixel][:, :1]
        return changed

    others = np.arange(case.rows) != 1
    one, other = (concluded(pipeline, each).amounts for each in (frames, frames.of_counts(dead)))
    close(other[:, others], one[:, others], _ROUNDING * largest(one), "slices beside one with a dead pixel")


@_law(noises(), examples=3, needs="slicewise")
def contains_a_struck_pixel(pipeline: Function, case: Clouds) -> None:
    """A pixel that reads full scale in one frame, as a stray particle leaves it, changes no other slice."""
    frames = case.frames()
    struck = frames.projections.copy()
    struck[case.seed % case.energies, case.seed % case.views, 1, case.columns // 2] = np.iinfo(np.uint16).max
    others = np.arange(case.rows) != 1
    one, other = (concluded(pipeline, each).amounts for each in (frames, replace(frames, projections=struck)))
    close(other[:, others], one[:, others], _ROUNDING * largest(one), "slices beside one with a struck pixel")


@_law(clouds(rows=st.just(80), photons=st.just(1e4)), examples=4, needs="linear", false_alarms=8 * _RARE)
def has_no_bias_from_noise(pipeline: Function, case: Clouds) -> None:
    """Noise in air is as often negative as positive: neither a transmission above 1 nor an amount below 0 is cut off."""
    quarter = case.columns // 4
    amounts = concluded(pipeline, case.frames(np.zeros_like(case.depth()))).amounts
    for name, means in zip(SPECIES, amounts[:, :, quarter:-quarter, quarter:-quarter].mean(axis=(2, 3)), strict=True):
        allowed = float(t.ppf(1 - _RARE / 2, case.rows - 1)) * float(means.std(ddof=1)) / np.sqrt(case.rows)
        within(float(means.mean()), -allowed, allowed, f"mean amount of {name} in {case.rows} slices of air")


@_law(clouds(photons=st.floats(1e3, 1e4).map(round)), examples=4, false_alarms=1e-9)
def errs_less_with_more_photons(pipeline: Function, case: Clouds) -> None:
    """Sixteen times the photons, a quarter of the noise, are never worse."""
    truth = case.amounts()
    few, many = (
        float(np.sqrt(np.mean((concluded(pipeline, one.frames()).amounts - truth) ** 2)))
        for one in (case, replace(case, photons=16 * case.photons))
    )
    within(many, 0.0, few, "error with 16 times the photons")


@_law(clouds(rows=st.just(40), photons=st.just(4e4)), examples=3, needs="sigma", false_alarms=9 * _RARE)
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


PIPELINE: tuple[Law, ...] = (
    leaves_a_result,
    says_the_same_again,
    works_anywhere,
    leaves_all_else_alone,
    comes_near_the_truth,
    keeps_the_iron,
    keeps_the_place,
    does_not_mind_the_order_of_energies,
    does_not_mind_the_order_of_views,
    does_not_mind_the_brightness,
    does_not_mind_the_dark,
    turns_with_the_angles,
    turns_over_with_the_rows,
    swaps_with_the_standards,
    does_not_mind_how_standards_are_sampled,
    goes_by_the_names_of_standards,
    ignores_matter_without_iron,
    finds_no_iron_in_air,
    contains_a_dead_pixel,
    contains_a_struck_pixel,
    has_no_bias_from_noise,
    errs_less_with_more_photons,
    states_an_honest_sigma,
)
