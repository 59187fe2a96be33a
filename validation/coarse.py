"""A study's sample on a coarse grid, seen from a few views: enough to say beforehand what rays meet and what dose they leave."""

import math
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from analysis.result import AmountMap
from instrument.components import Components, Matter
from instrument.dose import mean_dose_MGy

from .course import course_of
from .ledger import ledger_of
from .materials import absorption, matter_of
from .projection import build_sample, project_course
from .scores.compared import depth_in_phase
from .scores.grids import bounding_box
from .study import Study
from .trial import resolution_um

Array = NDArray[np.float64]
Image = NDArray[np.float32]

_COLUMNS = 48
_VIEWS = 12
_DOSE_VIEWS = 4


@dataclass(frozen=True)
class Coarse:
    """The sample of `study`, halfway through its scan.

    `paths` (component, view, row, column), um, are projected amounts of the species, then shares of the `fillers`, over a box of
    the fine grid of `sample_um` whose first sample lies at `corner_um` (row, column) from the axis and the middle row;
    `angles_rad` (view,). `truth` is its map, `diameters_um` (particle,) those of its particles; `states` count those of a moving
    sample, `slabs` those along the beam.
    """

    study: Study
    paths: Image
    angles_rad: Array
    sample_um: float
    corner_um: tuple[float, float]
    truth: AmountMap
    fillers: tuple[str, ...]
    dose_MGy: float
    states: int
    slabs: int
    diameters_um: tuple[float, ...]
    depth_um: float

    @cached_property
    def depth_in_phase(self) -> tuple[tuple[slice, ...], Array]:
        """A box of the truth around the particle, and in it the distance of each voxel, um, to the next phase or the surface."""
        box = bounding_box(self.truth.iron >= 0.5, 2)
        iron, fp = self.truth.iron[box], self.truth.amounts[1][box]
        particle = iron >= 0.5
        return box, depth_in_phase(particle, particle & (fp < 0.5 * iron)) * self.sample_um

    @property
    def matter(self) -> Matter:
        """What the components do to X-rays."""
        return matter_of(self.study, self.fillers)

    def doses_MGy(self, study: Study, energies_eV: Array) -> Array:
        """Dose (energy,) of the particles for a photon per um2 at each energy."""
        wanted = replace(study, scan=replace(study.scan, energies_eV=tuple(energies_eV), exposures_s=()))
        absorbed, density = absorption(wanted)
        views = np.unique(np.linspace(0, self.paths.shape[1] - 1, _DOSE_VIEWS).astype(int))
        attenuation = matter_of(wanted).attenuation_per_um(energies_eV)
        one = np.ones(len(energies_eV))
        return mean_dose_MGy(self.paths[:2, views], attenuation, absorbed, energies_eV, density, one, self.sample_um)


def coarse_of(study: Study) -> Coarse:
    """The sample of a study whose physics have been checked. Raises InputError for one that cannot be made."""
    scan = study.scan
    pitch_um = scan.pixel_um * max(1.0, scan.columns / _COLUMNS)
    # A wider field than the scan's: coarse voxels need more room around the same sample.
    columns, rows = (round(n * scan.pixel_um / pitch_um) + 12 for n in (scan.columns, scan.rows))
    views = 1 if scan.kind == "series" else min(scan.angles, _VIEWS)
    outside = math.ceil(scan.outside_px * scan.pixel_um / pitch_um)
    wide = replace(scan, columns=columns, rows=rows, pixel_um=pitch_um, angles=views, outside_px=outside)
    small = replace(study, scan=wide)
    sample = build_sample(small)
    course = course_of(study, sample)
    fractions = course.at(scan.time_s / 2)
    halfway = replace(course, times_s=np.zeros(1), fractions=fractions[None])
    with project_course(sample, halfway, small) as components:
        dose = ledger_of(components, sample.grid.voxel_um, study).mean_MGy
        paths = _all(components)
    fine = sample.grid.voxel_um
    corner = tuple((start - (count - 1) / 2) * fine for start, count in zip(components.corner, components.field, strict=True))
    phantom = sample.at(fractions)
    truth = AmountMap(phantom.species, phantom.amounts, fine, resolution_um(study))
    reach_um = sample.grid.shape[1] * fine if study.electrode.particles else (scan.columns + 2 * scan.outside_px) * scan.pixel_um
    return Coarse(
        study,
        paths,
        wide.angles_rad[:views],
        fine,
        (corner[0], corner[1]),
        truth,
        tuple(phantom.fillers),
        dose,
        len(course.times_s),
        len(components.depths_um),
        tuple(float(size) for size in sample.diameters_um),
        reach_um,
    )


def _all(components: Components) -> Image:
    """Species and fillers (component, view, row, column), the slabs together."""
    moving, still = np.asarray(components.moving[0]).sum(axis=1), np.asarray(components.still).sum(axis=1)
    return np.concatenate([moving, still])
