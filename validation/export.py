"""The command simulate: scan files in a beamline's layout, standards and charge curve; the truth beside them or apart."""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from instrument.dose import Ledger
from instrument.files.scans import FORMATS, frames_wanted
from instrument.files.text import write_charge, write_spectrum
from instrument.progress import Progress
from phantom import InputError, Sample

from .course import Course, charge_curve, course_of
from .files import write_map, write_truth
from .ledger import ledger_of
from .materials import check_physics, species_of
from .projection import build_sample, project_course
from .staging import staging
from .study import Study
from .study_text import study_toml
from .trial import field_of, header_of, measure_standards, particle_table, record_scan, resolution_um, series_truth

Array = NDArray[np.float64]
Volume = NDArray[np.float32]


@dataclass(frozen=True)
class Export:
    """What was written: names of the scan's files, and the dose."""

    scan_files: tuple[str, ...]
    ledger: Ledger


def export(
    study: Study,
    folder: Path,
    *,
    layout: str = "native",
    blind: Path | None = None,
    threads: int = 1,
    progress: Progress | None = None,
) -> Export:
    """Simulate a study into `folder`: its scan in a layout of `FORMATS`, standards, charge curve.

    Truth and study, which tells it, lie beside them, or in the folder `blind` alone. The sample is made and projected in slabs,
    the scan written block by block, so that memory does not grow with the volume. Raises InputError for what cannot be
    simulated or written.
    """
    if layout not in FORMATS:
        raise InputError(f"--format: found {layout!r}; allowed is {', '.join(FORMATS)}")
    if blind is not None and blind.resolve().is_relative_to(folder.resolve()):
        raise InputError(f"--blind: found {blind}, in the folder of the scan; allowed is another one; the truth is to lie apart")
    energies = np.array(study.scan.energies_eV)
    if layout != "native" and len(np.unique(np.round(energies, 2))) < len(energies):
        raise InputError(
            f"scan.energies_eV: an energy stands there twice, to 0.01 eV; allowed with --format {layout} is once, as its "
            "readers go by the energy; leave one out or take --format native"
        )
    edges = check_physics(study)
    sample = build_sample(study, threads)
    course = course_of(study, sample)
    if progress:
        progress("sample", 1, 1)
    with ExitStack() as stack:
        place = stack.enter_context(staging(folder))
        apart = place if blind is None else stack.enter_context(staging(blind))
        components = stack.enter_context(project_course(sample, course, study, threads, progress, place))
        ledger = ledger_of(components, sample.grid.voxel_um, study, edges, list(sample.diameters_um))
        header = header_of(study, ledger)
        count = frames_wanted(layout, header)
        header = replace(header, angles_rad=header.angles_rad[:count], time_s=header.time_s[:, :count])
        with FORMATS[layout](place, header) as target:
            record_scan(components, tuple(sample.fillers), study, edges, ledger, target, threads, progress)
        names = tuple(sorted(path.name for path in place.iterdir() if path.is_file()))
        (place / "standards").mkdir()
        for spectrum in measure_standards(study, edges, threads):
            density = species_of(study)[spectrum.name].density_g_cm3
            write_spectrum(place / "standards" / f"{spectrum.name}.txt", spectrum, density)
        curve = charge_curve(study, course)
        if curve is not None:
            write_charge(place / "charge.csv", curve)
        particles = particle_table(sample, course, study, ledger)
        if study.scan.kind == "series":
            truth, fillers = series_truth(components, tuple(sample.fillers), study)
            write_map(apart / "truth.h5", truth, fillers, particles)
        else:
            _write_volume(apart / "truth.h5", sample, course, study, particles, threads)
        (apart / "study.toml").write_text(study_toml(study))
    if progress:
        progress("files", 1, 1)
    return Export(names, ledger)


def _write_volume(path: Path, sample: Sample, course: Course, study: Study, particles: dict[str, Array], threads: int) -> None:
    """The sample at mid-scan, slab by slab."""
    middle = study.scan.time_s / 2
    state = sample.state(course.at(middle), threads)
    scan = study.scan
    rows, columns = scan.rows * scan.oversampling, scan.columns * scan.oversampling
    seen = [field_of(study, count) for count in sample.grid.shape]
    z, y, x = (
        slice(max(side.start, field.start) - field.start, max(min(side.stop, field.stop), field.start) - field.start)
        for side, field in zip(sample.box, seen, strict=True)
    )
    first = seen[0].start

    def slabs() -> Iterator[tuple[slice, Volume]]:
        inside = tuple(
            slice(part.start + field.start - side.start, part.stop + field.start - side.start)
            for part, field, side in zip((y, x), seen[1:], sample.box[1:], strict=True)
        )
        for rows in sample.slabs():
            low, high = max(rows.start, first), min(rows.stop, seen[0].stop)
            if low < high:
                yield slice(low - first, high - first), state.slab(slice(low, high), threads)[:, :, *inside]

    write_truth(
        path,
        tuple(species_of(study)),
        (rows, columns, columns),
        sample.grid.voxel_um,
        (z, y, x),
        slabs(),
        resolution_um=resolution_um(study),
        time_s=np.array([middle]) if len(course.times_s) > 1 else None,
        particles=particles,
        fillers={name: share[tuple(seen)] for name, share in sample.fillers.items()},
    )
