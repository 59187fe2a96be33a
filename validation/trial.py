"""One closed loop: simulate a study, analyze its files, score the result against the truth."""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from analysis.result import AmountMap
from instrument.attenuation import attenuation_per_um
from instrument.components import Components
from instrument.dose import mean_dose_MGy
from instrument.effects import FWHM_PER_SIGMA
from instrument.files.native import new_scan
from instrument.measurement import ChargeCurve, Header, Measurement, Spectrum
from instrument.microscope import record
from instrument.projector import project
from instrument.randomness import generator
from instrument.standards import measure_standard, standard_energies
from instrument.xanes import Edge
from phantom import InputError, Phantom, Sample, make_sample

from .course import Course, charge_curve, course_of
from .materials import check_physics, coefficients, sample_edges, species_of, standard_edge
from .study import Study

Array = NDArray[np.float64]
Image = NDArray[np.float32]
Progress = Callable[[str, int, int], None]
_DOSE_VIEWS = 16  # the mean over views converges long before


@dataclass(frozen=True)
class Simulation:
    """What a study yields: the truth, its rotation (crystal a, b, c to lab x, y, z), scan, standards, charge curve, dose.

    The truth of a sample that moves is its state at the middle of the scan, that of a series its projected amounts, um, at the
    middle of each energy scan. `charge_fraction` is the whole cell's at the middle of the scan, `fraction_change` the sample's
    own while it lasts. `fillers` are the shares (z, y, x), or thicknesses, um, (y, x), of materials without iron;
    `particles` their diameters (particle,), um, centres (particle, 3), (z, y, x) in um, and bulk fractions at mid-scan.
    """

    truth: AmountMap
    rotation: Array
    scan: Measurement
    standards: list[Spectrum]
    charge: ChargeCurve | None
    charge_fraction: float | None
    dose_MGy: float
    fraction_change: float = 0.0
    fillers: dict[str, Image] = field(default_factory=dict)
    particles: dict[str, Array] = field(default_factory=dict)


def simulate(study: Study, *, scan_file: Path | None = None, threads: int = 1, progress: Progress | None = None) -> Simulation:
    """Sample, scan, standards, charge and dose of a study.

    The scan is kept in memory, or written to `scan_file` and then not held (its arrays are closed).
    Raises InputError for a study that cannot be simulated.
    """
    edges = check_physics(study)
    sample = build_sample(study, threads)
    course = course_of(study, sample)
    if progress:
        progress("sample", 1, 1)
    phantom, components = project_course(sample, course, study, threads, progress)
    simulation = record_components(components, phantom, study, edges, scan_file=scan_file, threads=threads, progress=progress)
    counted = None
    if course.charge is not None:
        middle = course.start_s + (study.scan.time_s / 2 if study.charging.moving else 0.0)
        counted = course.charge.at(middle)[0]
    particles = {
        "diameter_um": sample.diameters_um,
        "center_um": np.array([grain.center_um for grain in sample.grains]),
        "fraction": course.at(study.scan.time_s / 2),
    }
    return replace(
        simulation,
        particles=particles,
        charge=charge_curve(study, course),
        charge_fraction=counted,
        fraction_change=_change(components.moving),
    )


def build_sample(study: Study, threads: int = 1) -> Sample:
    """The particle or electrode on the truth's grid, `scan.oversampling` times finer than the pixel."""
    scan = study.scan
    n = scan.oversampling
    sway = 4 * study.stage.runout_um  # a frame in 10,000 goes further
    electrode = study.electrode if study.electrode.particles else None
    if electrode and electrode.form == "layer" and (scan.kind != "series" or scan.first_angle_deg != 0):
        raise InputError(
            f"electrode.form: a layer lies across the beam of angle 0, found a {scan.kind} from {scan.first_angle_deg:g} "
            "degrees; allowed is scan.kind = 'series' with first_angle_deg = 0; or take form = 'pillar'"
        )
    return make_sample(
        study.particle,
        study.front,
        study.species.LFP,
        study.species.FP,
        (scan.rows * n, scan.columns * n, scan.columns * n),
        scan.pixel_um / n,
        generator(study.seed, "particle"),
        electrode=electrode,
        clearance_um=(sway, sway + abs(study.stage.center_offset_px) * scan.pixel_um),
        threads=threads,
    )


def project_course(
    sample: Sample, course: Course, study: Study, threads: int = 1, progress: Progress | None = None
) -> tuple[Phantom, Components]:
    """The sample at the middle of the scan, and its projections in every state of its course."""
    moving = np.zeros(0, np.float32)
    for k, fractions in enumerate(course.fractions):
        phantom = sample.at(fractions)
        state = project_amounts(phantom.amounts, study, phantom.voxel_um, threads)
        if k == 0:  # all states at once would stand in memory twice
            moving = np.empty((len(course.fractions), *state.shape), np.float32)
        moving[k] = state
        if progress:
            progress("project", k + 1, len(course.fractions))
    if len(moving) > 1:
        phantom = sample.at(course.at(study.scan.time_s / 2))
    still = np.zeros((0, *moving.shape[2:]), np.float32)
    if phantom.fillers:
        still = project_amounts(np.stack(list(phantom.fillers.values())), study, phantom.voxel_um, threads)
    return phantom, Components(moving, course.times_s, still)


def project_amounts(volumes: Image, study: Study, voxel_um: float, threads: int = 1) -> Image:
    """Line integrals of volumes (n, z, y, x), um, (n, view, row, column) on the truth's grid; a series has one view.

    Along y, which a beam of angle 0 follows, the sum is exact, whatever the depth of the volume.
    """
    scan = study.scan
    if scan.kind == "series" and scan.first_angle_deg == 0:
        return np.asarray(volumes.sum(axis=2)[:, None] * np.float32(voxel_um))
    angles = scan.angles_rad[:1] if scan.kind == "series" else scan.angles_rad
    return np.stack([project(volume, angles, voxel_um, threads) for volume in volumes])


def record_components(
    components: Components,
    phantom: Phantom,
    study: Study,
    edges: dict[str, Edge] | None = None,
    *,
    scan_file: Path | None = None,
    threads: int = 1,
    progress: Progress | None = None,
) -> Simulation:
    """The scan of a projected sample, however it was projected, with its standards and dose."""
    scan = study.scan
    edges = edges or sample_edges(study)
    energies = np.array(scan.energies_eV)
    materials = coefficients(study, tuple(phantom.fillers), edges)
    header = Header(
        energies,
        scan.angles_rad,
        scan.frame_time_s,
        np.full(len(energies), scan.pixel_um),
        (scan.columns - 1) / 2 + study.stage.center_offset_px,
        scan.exposure_s,
        (scan.rows, scan.columns),
        scan.flats,
        scan.darks,
        scan.start_s,
    )
    with ExitStack() as stack:
        target = header.in_memory() if scan_file is None else stack.enter_context(new_scan(scan_file, header))
        record(
            components,
            materials.attenuation_per_um,
            study.instrument,
            target,
            seed=study.seed,
            oversampling=scan.oversampling,
            threads=threads,
            progress=progress,
        )
    standards = [_measure(name, study, edges[name], threads) for name in species_of(study)]
    if progress:
        progress("standards", 1, 1)
    truth, fillers = _truth(components, phantom, study)
    dose = scan_dose_MGy(components, phantom.voxel_um, study, edges)
    return Simulation(truth, phantom.rotation, target, standards, None, None, dose, fillers=fillers)


def _change(moving: Image) -> float:
    """Bulk fraction of the last state less that of the first; `moving` (state, species, view, row, column), FP last."""
    first, last = (state[-1].sum(dtype=float) / state.sum(dtype=float) for state in (moving[0, :, 0], moving[-1, :, 0]))
    return float(last - first)


def _truth(components: Components, phantom: Phantom, study: Study) -> tuple[AmountMap, dict[str, Image]]:
    """The truth on the fine grid: amounts in voxels, or projected amounts at the middle of each scan of a series."""
    width = resolution_um(study)
    if study.scan.kind == "tomography":
        time = study.scan.time_s / 2 if len(components.times_s) > 1 else None
        truth = AmountMap(
            phantom.species, phantom.amounts, phantom.voxel_um, width, time_s=None if time is None else np.array([time])
        )
        return truth, phantom.fillers
    times = study.scan.frame_time_s.mean(axis=0)
    count = len(phantom.species)
    amounts = np.stack([components.paths(k, float(time))[:count] for k, time in enumerate(times)], axis=1)
    fillers = {name: image[0] for name, image in zip(phantom.fillers, components.still, strict=True)}
    return AmountMap(phantom.species, amounts, phantom.voxel_um, width, axes="time:y:x", time_s=times), fillers


def scan_dose_MGy(components: Components, sample_um: float, study: Study, edges: dict[str, Edge] | None = None) -> float:
    """Mean dose of the sample's particles over all views and energies of a study; what fills the space between takes none."""
    materials = coefficients(study, (), edges)
    energies = np.array(study.scan.energies_eV)
    paths = components.moving[len(components.times_s) // 2]
    views = np.linspace(0, paths.shape[1] - 1, min(_DOSE_VIEWS, paths.shape[1])).astype(int)
    return mean_dose_MGy(
        paths[:, views],
        materials.attenuation_per_um,
        materials.absorbed_per_um,
        energies,
        materials.density_g_cm3,
        np.full(len(energies), study.beam.photons_per_pixel / study.scan.pixel_um**2),
        study.scan.angles,
        sample_um,
    )


def resolution_um(study: Study) -> float:
    """Width of the recorded image of a point: optics, scintillator spread and pixel, FWHM in quadrature."""
    spread = FWHM_PER_SIGMA * study.camera.spread_px
    return float(np.sqrt(study.optics.blur_fwhm_um**2 + (1 + spread**2) * study.scan.pixel_um**2))


def _measure(name: str, study: Study, sample: Edge, threads: int) -> Spectrum:
    """A standard as the instrument sees it: at energies off by the scale's error."""
    species, standard = species_of(study)[name], getattr(study.standards, name)
    edge = standard_edge(standard, name, sample)
    energies = standard_energies(study.scan.energies_eV)
    true_energies = energies + standard.energy_offset_eV
    film = attenuation_per_um(species.formula, study.species.LFP.iron_mol_cm3, true_energies, edge(true_energies))
    return measure_standard(
        name, species.formula, standard, energies, film, study.instrument, study.scan.pixel_um, seed=study.seed, threads=threads
    )
