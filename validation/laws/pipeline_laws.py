"""Laws of a pipeline: pipeline(scan_path, standards_paths, out_path) -> None, having written a result file.

Paths are strings, `standards_paths` a dictionary of them, {"LFP": path, "FP": path}. The scan is a native file, the standards are
text, as a run leaves them (README, Files of a run). The result's voxels are the detector's pixels, `rows` slices of `columns` x
`columns`.
"""

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from .engine_laws import largest
from .law import Broken, Function, Law, close
from .pipeline_call import Place, called, concluded, pipeline_law
from .pipeline_changes import (
    contains_a_dead_pixel,
    contains_a_struck_pixel,
    does_not_mind_how_standards_are_sampled,
    does_not_mind_the_brightness,
    does_not_mind_the_dark,
    does_not_mind_the_order_of_energies,
    does_not_mind_the_order_of_views,
    goes_by_the_names_of_standards,
    ignores_matter_without_iron,
    swaps_with_the_standards,
    turns_over_with_the_rows,
    turns_with_the_angles,
)
from .pipeline_truth import (
    comes_near_the_truth,
    errs_less_with_more_photons,
    finds_no_iron_in_air,
    has_no_bias_from_noise,
    keeps_the_iron,
    keeps_the_place,
    states_an_honest_sigma,
)
from .scans import Clouds, noises


@pipeline_law(noises(), examples=5)
def leaves_a_result(pipeline: Function, case: Clouds) -> None:
    """A result file is written: finite amounts of LFP and FP, voxel size, iron, and phase fractions where iron is enough."""
    concluded(pipeline, case.frames())


@pipeline_law(noises(), examples=3)
def says_the_same_again(pipeline: Function, case: Clouds) -> None:
    """The same scan gives the same map, whatever was analyzed in between, and whatever was there before."""
    one = concluded(pipeline, case.frames())
    with tempfile.TemporaryDirectory(prefix="txm-twin-law-", ignore_cleanup_errors=True) as folder:
        _, again = (called(pipeline, each.frames(), Path(folder)) for each in (replace(case, seed=case.seed + 1), case))
    close(again.amounts, one.amounts, 1e-6 * largest(one.amounts), "a second map differs from the first")


@pipeline_law(noises(), examples=2)
def works_anywhere(pipeline: Function, case: Clouds) -> None:
    """Files may lie in other folders, with spaces and any letters in their names."""
    frames = case.frames()
    one = concluded(pipeline, frames).amounts
    elsewhere = Place("beam time/scan 7, first.h5", "beam time/pure phases", "maps of \u00b5m/LFP & FP.h5")
    with tempfile.TemporaryDirectory(prefix="txm twin law ", ignore_cleanup_errors=True) as folder:
        other = called(pipeline, frames, Path(folder), elsewhere).amounts
    close(other, one, 1e-6 * largest(one), "a map of files that lie elsewhere differs")


@pipeline_law(noises(), examples=2)
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
