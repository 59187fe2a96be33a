"""What a run will take: time, memory, disk and dose, beforehand."""

import math
from dataclasses import replace

import numpy as np

from .course import course_of
from .ledger import ledger_of
from .materials import check_physics
from .projection import build_sample, project_course
from .study import Study

_COARSE_COLUMNS = 48


def forecast(study: Study) -> dict[str, float]:
    """Time, memory, disk and dose of a run beforehand; the dose from the particle on a coarse grid.

    Time and memory are rough: counts of the work times rates of a 2-core machine.
    """
    check_physics(study)
    scan = study.scan
    pitch_um = scan.pixel_um * max(1.0, scan.columns / _COARSE_COLUMNS)
    # A wider field than the scan's: coarse voxels need more room around the same sample.
    columns, rows = (round(n * scan.pixel_um / pitch_um) + 12 for n in (scan.columns, scan.rows))
    views = 1 if scan.kind == "series" else min(scan.angles, 12)
    outside = math.ceil(scan.outside_px * scan.pixel_um / pitch_um)
    coarse = replace(scan, columns=columns, rows=rows, pixel_um=pitch_um, angles=views, outside_px=outside)
    small = replace(study, scan=coarse)
    sample = build_sample(small)
    course = course_of(study, sample)
    states = len(course.times_s)
    halfway = replace(course, times_s=np.zeros(1), fractions=course.at(scan.time_s / 2)[None])
    with project_course(sample, halfway, small) as components:
        dose = ledger_of(components, sample.grid.voxel_um, study).mean_MGy
        depths = components.depths_um
    energies, fine = len(scan.energies_eV), scan.oversampling
    series = scan.kind == "series"
    frames = energies * (scan.angles + scan.flats + scan.darks)
    pixels = scan.rows * scan.columns
    cut = (scan.rows + 2 * scan.outside_px) * (scan.columns + 2 * scan.outside_px)
    slabs = len(depths)
    depth = (
        sample.grid.shape[1] * sample.grid.voxel_um / scan.pixel_um
        if study.electrode.particles
        else scan.columns + 2 * scan.outside_px
    )
    fine_voxels = cut * depth * fine**3
    found = pixels * (scan.angles if series else scan.columns)
    volumes = 2 + len(sample.fillers)
    truth = volumes * fine_voxels * 4 / 1e9
    paths = (2 * states + len(sample.fillers)) * (1 if series else scan.angles) * cut * slabs * fine**2 * 4 / 1e9
    result = found * 29 / 1e9
    return {
        "time_s": 4
        + frames * pixels * 1.1e-7
        + energies * scan.angles * cut * (slabs - 1) * fine**2 * 2e-8
        + energies * found * 6e-8
        + fine_voxels * (1.7e-7 + 0.5e-7 * states)
        + 0.4 * (len(sample.grains) - 1),
        "memory_GB": 0.3 + max(1.6 * truth, truth + 1.2 * paths, truth + 3 * result),
        "disk_GB": frames * pixels * 2 / 1e9 + 1.1 * result,
        "dose_MGy": dose,
    }
