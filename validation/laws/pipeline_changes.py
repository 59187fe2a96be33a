"""Laws of a pipeline that compare the map of a scan with that of the same scan after a change."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from .engine_laws import largest
from .law import Function, close
from .pipeline_call import ROUNDING, concluded, pipeline_law
from .scans import SPECIES, Clouds, Counts, Frames, clouds, noises

Array = NDArray[np.float64]


def alike(
    pipeline: Function, case: Clouds, change: Callable[[Frames], Frames], what: str, back: Callable[[Array], Array] | None = None
) -> None:
    """Broken where a scan and the same one after `change` do not lead to the same amounts, once turned `back`."""
    frames = case.frames()
    one, other = (concluded(pipeline, each).amounts for each in (frames, change(frames)))
    close(back(other) if back else other, one, ROUNDING * largest(one), what)


@pipeline_law(noises(), examples=3)
def does_not_mind_the_order_of_energies(pipeline: Function, case: Clouds) -> None:
    """Energies taken in another order, with all that belongs to them, are the same scan."""
    order = np.random.default_rng(case.seed).permutation(case.energies)
    alike(pipeline, case, lambda frames: frames.energies_in_order(order), "energies in another order")


@pipeline_law(clouds(), examples=3)
def does_not_mind_the_order_of_views(pipeline: Function, case: Clouds) -> None:
    """Views taken in another order, with their angles, are the same scan."""
    order = np.random.default_rng(case.seed).permutation(case.views)
    alike(pipeline, case, lambda frames: frames.views_in_order(order), "views in another order")


@pipeline_law(st.tuples(noises(), st.lists(st.sampled_from([2, 1, 3]), min_size=7, max_size=7)), examples=3)
def does_not_mind_the_brightness(pipeline: Function, case: tuple[Clouds, list[int]]) -> None:
    """As many times the light at an energy, with and without the sample, is the same transmission."""
    one, factors = case
    times = np.array(factors[: one.energies])[:, None, None, None]

    def brighter(frames: Frames) -> Frames:
        # About a level that all frames share: noise of darks grows as that of the light does, and digits stay whole.
        level = round(float(frames.darks.mean()))
        return frames.of_counts(lambda counts: _digits(level + times * (counts - float(level))))

    alike(pipeline, one, brighter, f"at {', '.join(map(str, factors[: one.energies]))} times the light")


@pipeline_law(st.tuples(noises(), st.sampled_from([500, -1500, 10_000])), examples=3)
def does_not_mind_the_dark(pipeline: Function, case: tuple[Clouds, int]) -> None:
    """As much more in all frames, those without light included, is the same transmission."""
    one, offset = case

    def darker(frames: Frames) -> Frames:
        return frames.of_counts(lambda counts: _digits(counts + float(offset)))

    alike(pipeline, one, darker, f"{offset:+d} in all frames")


def _digits(counts: Any) -> Counts:
    return np.asarray(np.rint(counts), np.uint16)


@pipeline_law(clouds(), examples=3)
def turns_with_the_angles(pipeline: Function, case: Clouds) -> None:
    """Angles a quarter turn higher turn the map by a quarter: x becomes y."""

    def turned(frames: Frames) -> Frames:
        return replace(frames, angles_rad=frames.angles_rad + np.pi / 2)

    alike(pipeline, case, turned, "angles a quarter turn higher", lambda amounts: np.rot90(amounts, axes=(2, 3)))


@pipeline_law(clouds(), examples=3)
def turns_over_with_the_rows(pipeline: Function, case: Clouds) -> None:
    """Frames upside down give the map upside down."""

    def over(frames: Frames) -> Frames:
        return frames.of_counts(lambda counts: counts[:, :, ::-1])

    alike(pipeline, case, over, "frames upside down", lambda amounts: amounts[:, ::-1])


@pipeline_law(noises(), examples=3)
def swaps_with_the_standards(pipeline: Function, case: Clouds) -> None:
    """What is called LFP is what the standard of that name says: standards exchanged exchange the amounts."""

    def exchanged(frames: Frames) -> Frames:
        lfp, fp = (frames.standards[name] for name in SPECIES)
        return replace(frames, standards={"LFP": replace(lfp, mu=fp.mu), "FP": replace(fp, mu=lfp.mu)})

    alike(pipeline, case, exchanged, "standards exchanged", lambda amounts: amounts[::-1])


@pipeline_law(noises(), examples=3)
def does_not_mind_how_standards_are_sampled(pipeline: Function, case: Clouds) -> None:
    """Standards at more energies than the scan's, or at no others, say the same."""

    def few(frames: Frames) -> Frames:
        return replace(frames, standards={name: case.spectrum(name, case.energies_eV) for name in SPECIES})

    alike(pipeline, case, few, "standards at the scan's energies alone")


@pipeline_law(noises(), examples=3)
def goes_by_the_names_of_standards(pipeline: Function, case: Clouds) -> None:
    """Standards given in another order, FP first, are the same standards."""

    def reversed_(frames: Frames) -> Frames:
        return replace(frames, standards=dict(reversed(frames.standards.items())))

    alike(pipeline, case, reversed_, "FP before LFP")


@pipeline_law(clouds(), examples=3, needs="background")
def ignores_matter_without_iron(pipeline: Function, case: Clouds) -> None:
    """Matter that absorbs as much at all energies changes no amount."""
    other = 0.3 * replace(case, seed=case.seed + 1).scene(0).rays().transpose(1, 0, 2)
    one = concluded(pipeline, case.frames()).amounts
    two = concluded(pipeline, case.frames(case.depth() + other)).amounts
    close(two, one, ROUNDING * largest(one), "with matter that has no edge")


@pipeline_law(noises(), examples=3, needs="slicewise")
def contains_a_dead_pixel(pipeline: Function, case: Clouds) -> None:
    """A pixel that sees no light in any frame changes no other slice."""
    frames, pixel = case.frames(), (slice(None), slice(None), 1, case.columns // 2 - case.seed % 3)

    def dead(counts: Counts) -> Counts:
        changed = counts.copy()
        changed[pixel] = frames.darks[pixel][:, :1]
        return changed

    others = np.arange(case.rows) != 1
    one, other = (concluded(pipeline, each).amounts for each in (frames, frames.of_counts(dead)))
    close(other[:, others], one[:, others], ROUNDING * largest(one), "slices beside one with a dead pixel")


@pipeline_law(noises(), examples=3, needs="slicewise")
def contains_a_struck_pixel(pipeline: Function, case: Clouds) -> None:
    """A pixel that reads full scale in one frame, as a stray particle leaves it, changes no other slice."""
    frames = case.frames()
    struck = frames.projections.copy()
    struck[case.seed % case.energies, case.seed % case.views, 1, case.columns // 2] = np.iinfo(np.uint16).max
    others = np.arange(case.rows) != 1
    one, other = (concluded(pipeline, each).amounts for each in (frames, replace(frames, projections=struck)))
    close(other[:, others], one[:, others], ROUNDING * largest(one), "slices beside one with a struck pixel")
