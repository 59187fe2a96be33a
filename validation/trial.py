"""A study simulated: sample, scan, standards, charge curve, dose, and the truth."""

from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from analysis.result import AmountMap
from instrument.components import Components
from instrument.dose import Ledger
from instrument.exposure import pixel_ratio
from instrument.files.native import new_scan
from instrument.measurement import ChargeCurve, Header, Measurement, Spectrum
from instrument.microscope import record
from instrument.optics import FWHM_PER_SIGMA, point_width_um
from instrument.progress import Progress
from instrument.standards import measure_standard, standard_energies
from instrument.xanes import Edge
from phantom import Phantom, Sample

from .course import Course, charge_curve, course_of
from .ledger import ledger_of, photoreduction
from .materials import check_physics, film_matter, matter_of, sample_edges, species_of, standard_edge
from .projection import build_sample, project_course
from .study import Study

Array = NDArray[np.float64]
Image = NDArray[np.float32]


@dataclass(frozen=True)
class Simulation:
    """What a study yields: the truth, its rotation (crystal a, b, c to lab x, y, z), scan, standards, charge curve, dose.

    The truth of a sample that moves is its state at the middle of the scan, that of a series its projected amounts, um, at the
    middle of each energy scan; what the beam itself changes (photoreduction) is no part of it. `charge_fraction` is the whole
    cell's at the middle of the scan, `fraction_change` the sample's own while it lasts. `fillers` are the shares (z, y, x), or
    thicknesses, um, (y, x), of materials without iron; `particles` their diameters (particle,), um, centres
    (particle, 3), (z, y, x) in um, bulk fractions at mid-scan and doses (particle, energy), MGy.
    """

    truth: AmountMap
    rotation: Array
    scan: Measurement
    standards: list[Spectrum]
    charge: ChargeCurve | None
    charge_fraction: float | None
    ledger: Ledger
    fraction_change: float = 0.0
    fillers: dict[str, Image] = field(default_factory=dict)
    particles: dict[str, Array] = field(default_factory=dict)

    @property
    def dose_MGy(self) -> float:
        """Mean dose of all particles."""
        return self.ledger.mean_MGy


def simulate(
    study: Study,
    *,
    sample: Sample | None = None,
    scan_file: Path | None = None,
    threads: int = 1,
    progress: Progress | None = None,
) -> Simulation:
    """Sample, scan, standards, charge and dose of a study.

    The scan is kept in memory, or written to `scan_file` and then not held (its arrays are closed). A `sample` that was built of
    the same study, whatever the effects of its scan, is not built again.
    Raises InputError for a study that cannot be simulated.
    """
    edges = check_physics(study)
    sample = sample or build_sample(study, threads)
    course = course_of(study, sample)
    if progress:
        progress("sample", 1, 1)
    folder = None if scan_file is None else scan_file.parent
    with project_course(sample, course, study, threads, progress, folder) as components:
        phantom = sample.at(course.at(study.scan.time_s / 2), threads)
        diameters = list(sample.diameters_um)
        simulation = record_components(
            components, phantom, study, edges, diameters=diameters, scan_file=scan_file, threads=threads, progress=progress
        )
        change = _change(components)
    counted = None
    if course.charge is not None:
        middle = course.start_s + (study.scan.time_s / 2 if study.charging.moving else 0.0)
        counted = course.charge.at(middle)[0]
    return replace(
        simulation,
        particles=particle_table(sample, course, study, simulation.ledger),
        charge=charge_curve(study, course),
        charge_fraction=counted,
        fraction_change=change,
    )


def particle_table(sample: Sample, course: Course, study: Study, ledger: Ledger) -> dict[str, Array]:
    """Size, place, state at mid-scan and dose of each particle, by name."""
    return {
        "diameter_um": sample.diameters_um,
        "center_um": np.array([grain.center_um for grain in sample.grains]),
        "fraction": course.at(study.scan.time_s / 2),
        "dose_MGy": ledger.particles_MGy,
    }


def header_of(study: Study, ledger: Ledger) -> Header:
    """What the beamline states of a study's scan before it begins: nominal values, nothing of the sample."""
    scan, instrument = study.scan, study.instrument
    energies = np.array(scan.energies_eV)
    known = study.optics.magnification_known
    ratios = [pixel_ratio(instrument, float(energy), float(energies[0])) if known else 1.0 for energy in energies]
    return Header(
        energies,
        scan.angles_rad,
        scan.frame_time_s,
        scan.pixel_um * np.array(ratios),
        (scan.columns - 1) / 2 + (study.stage.center_offset_px if study.stage.center_known else 0.0),
        scan.frame_exposures_s,
        (scan.rows, scan.columns),
        scan.flats,
        scan.darks,
        scan.start_s,
        {
            "entrance_dose_MGy": ledger.entrance_MGy,
            "photons_on_sample_per_um2": ledger.photons_per_um2,
            "photons_detected_per_pixel": instrument.detected_photons * scan.clock.light,
            "scan_time_s": scan.time_s,
        },
        scan.clock.flats_s,
    )


def record_components(
    components: Components,
    phantom: Phantom,
    study: Study,
    edges: dict[str, Edge] | None = None,
    *,
    diameters: list[float] | None = None,
    scan_file: Path | None = None,
    threads: int = 1,
    progress: Progress | None = None,
) -> Simulation:
    """The scan of a projected sample, however it was projected, with its standards and dose."""
    edges = edges or sample_edges(study)
    ledger = ledger_of(components, phantom.voxel_um, study, edges, diameters)
    with ExitStack() as stack:
        header = header_of(study, ledger)
        target = header.in_memory() if scan_file is None else stack.enter_context(new_scan(scan_file, header))
        record_scan(components, tuple(phantom.fillers), study, edges, ledger, target, threads, progress)
    standards = measure_standards(study, edges, threads)
    if progress:
        progress("standards", 1, 1)
    truth, fillers = _truth(components, phantom, study)
    return Simulation(truth, phantom.rotation, target, standards, None, None, ledger, fillers=fillers)


def record_scan(
    components: Components,
    fillers: tuple[str, ...],
    study: Study,
    edges: dict[str, Edge],
    ledger: Ledger,
    target: Measurement,
    threads: int = 1,
    progress: Progress | None = None,
) -> None:
    """Fill the arrays of `target` with the scan of a projected sample."""
    record(
        replace(components, fading=photoreduction(study, ledger.sample_MGy)),
        matter_of(study, fillers, edges),
        study.instrument,
        target,
        study.scan.clock,
        seed=study.seed,
        oversampling=study.scan.oversampling,
        threads=threads,
        progress=progress,
    )


def measure_standards(study: Study, edges: dict[str, Edge], threads: int = 1) -> list[Spectrum]:
    """The standards as the instrument sees them, at energies off by each one's error of the scale."""
    found = []
    for name, species in species_of(study).items():
        standard = getattr(study.standards, name)
        film = film_matter(study, name, standard_edge(standard, name, edges[name]), standard.energy_offset_eV)
        found.append(
            measure_standard(
                name,
                species.formula,
                standard,
                standard_energies(study.scan.energies_eV),
                film,
                study.instrument,
                study.scan.pixel_um,
                seed=study.seed,
                threads=threads,
            )
        )
    return found


def _change(components: Components) -> float:
    """Bulk fraction of the last state less that of the first."""
    first, last = (components.moving[k, :, :, 0] for k in (0, -1))
    return float(np.subtract(*(state[-1].sum(dtype=float) / state.sum(dtype=float) for state in (last, first))))


def _truth(components: Components, phantom: Phantom, study: Study) -> tuple[AmountMap, dict[str, Image]]:
    """The truth on the fine grid, and its fillers."""
    if study.scan.kind == "series":
        return series_truth(components, tuple(phantom.fillers), study)
    time = np.array([study.scan.time_s / 2]) if len(components.times_s) > 1 else None
    seen = (slice(None), *(field_of(study, count) for count in phantom.amounts.shape[1:]))
    truth = AmountMap(phantom.species, phantom.amounts[seen], phantom.voxel_um, resolution_um(study), time_s=time)
    return truth, {name: share[seen[1:]] for name, share in phantom.fillers.items()}


def field_of(study: Study, count: int) -> slice:
    """Of so many voxels along an axis of the truth's grid those in the detector's field."""
    outside = study.scan.outside_px * study.scan.oversampling
    return slice(outside, count - outside)


def series_truth(components: Components, fillers: tuple[str, ...], study: Study) -> tuple[AmountMap, dict[str, Image]]:
    """Projected amounts at the middle of each scan of a series, and thicknesses of the named fillers."""
    species = tuple(species_of(study))
    times = study.scan.frame_time_s.mean(axis=0)
    moments = np.stack([_whole(components, study, k, float(time)) for k, time in enumerate(times)], axis=1)[: len(species)]
    voxel_um = study.scan.pixel_um / study.scan.oversampling
    truth = AmountMap(species, moments, voxel_um, resolution_um(study), axes="time:y:x", time_s=times)
    seen = tuple(field_of(study, count) for count in components.field)
    return truth, {name: image.sum(axis=0)[0][seen] for name, image in zip(fillers, components.still, strict=True)}


def _whole(components: Components, study: Study, view: int, time_s: float) -> Image:
    """Projected amounts (component, row, column), all slabs together, in the detector's field."""
    paths = components.paths(view, time_s).sum(axis=1)
    (top, left), (rows, columns) = components.corner, paths.shape[1:]
    out = np.zeros((len(paths), *components.field), np.float32)
    out[:, top : top + rows, left : left + columns] = paths
    return out[:, field_of(study, out.shape[1]), field_of(study, out.shape[2])]


def resolution_um(study: Study) -> float:
    """Width of the recorded image of a point: optics, scintillator spread and pixel, FWHM in quadrature."""
    spread = FWHM_PER_SIGMA * study.camera.spread_px
    return float(np.sqrt(point_width_um(study.optics) ** 2 + (1 + spread**2) * study.scan.pixel_um**2))
