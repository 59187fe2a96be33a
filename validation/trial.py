"""One closed loop: simulate a study, analyze its files, score the result against the truth."""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from analysis.result import AmountMap
from analysis.spectra import design_matrix
from instrument.attenuation import absorbed_per_um, attenuation_per_um, formula_mass_g_mol
from instrument.dose import mean_dose_MGy
from instrument.effects import FWHM_PER_SIGMA
from instrument.formats import new_scan, read_spectrum
from instrument.measurement import Measurement, Spectrum
from instrument.microscope import record
from instrument.projector import project
from instrument.randomness import generator
from instrument.standards import Standard, measure_standard, standard_energies
from instrument.xanes import Edge, parametric, tabulated
from phantom import InputError, Phantom, Sample, Species, make_sample

from .study import Study, spectrum_path

Array = NDArray[np.float64]
Progress = Callable[[str, int, int], None]
_DOSE_VIEWS = 16  # the mean over views converges long before


@dataclass(frozen=True)
class Simulation:
    """What a study yields: the truth, its rotation (crystal a, b, c to lab x, y, z), scan, standards, dose and duration."""

    truth: AmountMap
    rotation: Array
    scan: Measurement
    standards: list[Spectrum]
    dose_MGy: float
    scan_time_s: float


def simulate(study: Study, *, scan_file: Path | None = None, threads: int = 1, progress: Progress | None = None) -> Simulation:
    """Particle, scan, standards and dose of a study.

    The scan is kept in memory, or written to `scan_file` and then not held (its arrays are closed).
    Raises InputError for a study that cannot be simulated.
    """
    edges = check_physics(study)
    phantom = build_phantom(study)
    if progress:
        progress("particle", 1, 1)
    paths = project_components(phantom, study, threads)
    if progress:
        progress("project", 1, 1)
    return record_components(paths, phantom, study, edges, scan_file=scan_file, threads=threads, progress=progress)


def check_physics(study: Study) -> dict[str, Edge]:
    """The sample's edges; InputError, before any work, for what a study's parts cannot do together."""
    energies = np.array(study.scan.energies_eV)
    study.instrument.check()
    edges = sample_edges(study)
    standards = {name: standard_edge(getattr(study.standards, name), name, edges[name]) for name in edges}
    for edge in (*edges.values(), *standards.values()):
        edge.check(energies)
    iron_mol_cm3 = study.species.LFP.iron_mol_cm3
    films = [
        attenuation_per_um(entry.formula, iron_mol_cm3, energies, standards[name](energies))
        for name, entry in _species(study).items()
    ]
    design_matrix(np.array(films), energies, study.analysis.background)
    return edges


def build_sample(study: Study) -> Sample:
    """The particle or electrode on the truth's grid, `scan.oversampling` times finer than the pixel."""
    scan = study.scan
    n = scan.oversampling
    sway = 4 * study.stage.runout_um  # a frame in 10,000 goes further
    for name, species in _species(study).items():
        mass = formula_mass_g_mol(species.formula)
        if abs(mass / species.formula_mass_g_mol - 1) > 0.005:
            raise InputError(
                f"study: species.{name}.formula_mass_g_mol is {species.formula_mass_g_mol:g}; allowed for {species.formula} "
                f"is {mass:.3f} to 0.5 %"
            )
    return make_sample(
        study.particle,
        study.front,
        study.species.LFP,
        study.species.FP,
        (scan.rows * n, scan.columns * n, scan.columns * n),
        scan.pixel_um / n,
        generator(study.seed, "particle"),
        electrode=study.electrode if study.electrode.particles else None,
        clearance_um=(sway, sway + abs(study.stage.center_offset_px) * scan.pixel_um),
    )


def build_phantom(study: Study) -> Phantom:
    """The sample at the study's bulk fraction."""
    return build_sample(study).at(study.front.fraction)


def project_components(phantom: Phantom, study: Study, threads: int = 1) -> NDArray[np.float32]:
    """Projected amounts, um, (species, angle, row, column) on the truth's grid."""
    return np.stack([project(volume, study.scan.angles_rad, phantom.voxel_um, threads) for volume in phantom.amounts])


def record_components(
    paths: NDArray[np.float32],
    phantom: Phantom,
    study: Study,
    edges: dict[str, Edge] | None = None,
    *,
    scan_file: Path | None = None,
    threads: int = 1,
    progress: Progress | None = None,
) -> Simulation:
    """The scan of projected components, however they were projected, with its standards and dose."""
    scan, species = study.scan, _species(study)
    edges = edges or sample_edges(study)
    energies = np.array(scan.energies_eV)
    iron_mol_cm3 = species["LFP"].iron_mol_cm3
    attenuation = np.stack(
        [attenuation_per_um(entry.formula, iron_mol_cm3, energies, edges[name](energies)) for name, entry in species.items()]
    )
    dose = scan_dose_MGy(paths, phantom.voxel_um, study, edges)
    shape = (scan.rows, scan.columns)
    center_px = (scan.columns - 1) / 2 + study.stage.center_offset_px
    with ExitStack() as stack:
        if scan_file is None:
            target = Measurement(
                energies,
                scan.angles_rad,
                projections=np.empty((len(energies), scan.angles, *shape), np.uint16),
                flats=np.empty((len(energies), scan.flats, *shape), np.uint16),
                darks=np.empty((len(energies), scan.darks, *shape), np.uint16),
                pixel_um=scan.pixel_um,
                center_px=center_px,
                exposure_s=scan.exposure_s,
            )
        else:
            target = stack.enter_context(
                new_scan(
                    scan_file, energies, scan.angles_rad, shape, scan.flats, scan.darks, scan.pixel_um, center_px, scan.exposure_s
                )
            )
        record(
            paths,
            attenuation,
            study.instrument,
            target,
            seed=study.seed,
            oversampling=scan.oversampling,
            threads=threads,
            progress=progress,
        )
    standards = [
        _measure(name, entry, getattr(study.standards, name), edges[name], study, threads) for name, entry in species.items()
    ]
    if progress:
        progress("standards", 1, 1)
    truth = AmountMap(phantom.species, phantom.amounts, phantom.voxel_um, resolution_um=resolution_um(study))
    return Simulation(truth, phantom.rotation, target, standards, dose, scan.time_s)


def scan_dose_MGy(paths: NDArray[np.float32], sample_um: float, study: Study, edges: dict[str, Edge] | None = None) -> float:
    """Mean dose of the particle over all views and energies of a study, from its projected amounts."""
    species = _species(study)
    edges = edges or sample_edges(study)
    energies = np.array(study.scan.energies_eV)
    iron_mol_cm3 = species["LFP"].iron_mol_cm3
    coefficients = [(entry.formula, iron_mol_cm3, energies, edges[name](energies)) for name, entry in species.items()]
    views = np.linspace(0, paths.shape[1] - 1, min(_DOSE_VIEWS, paths.shape[1])).astype(int)
    return mean_dose_MGy(
        paths[:, views],
        np.stack([attenuation_per_um(*c) for c in coefficients]),
        np.stack([absorbed_per_um(*c) for c in coefficients]),
        energies,
        np.array([iron_mol_cm3 * entry.formula_mass_g_mol for entry in species.values()]),
        np.full(len(energies), study.beam.photons_per_pixel / study.scan.pixel_um**2),
        study.scan.angles,
        sample_um,
    )


def resolution_um(study: Study) -> float:
    """Width of the recorded image of a point: optics, scintillator spread and pixel, FWHM in quadrature."""
    spread = FWHM_PER_SIGMA * study.camera.spread_px
    return float(np.sqrt(study.optics.blur_fwhm_um**2 + (1 + spread**2) * study.scan.pixel_um**2))


def _species(study: Study) -> dict[str, Species]:
    return {"LFP": study.species.LFP, "FP": study.species.FP}


def _edge(name: str, spectrum: str) -> Edge:
    """The normalized edge that a spectrum setting names."""
    place = spectrum_path(spectrum)
    if place is None:
        return parametric(name)
    return tabulated(read_spectrum(place[0], name, place[1]))


def sample_edges(study: Study) -> dict[str, Edge]:
    """The normalized edge of each of the sample's species."""
    return {
        name: _edge(name, entry.spectrum).altered(entry.edge_shift_eV, entry.white_line_change)
        for name, entry in _species(study).items()
    }


def standard_edge(standard: Standard, name: str, sample: Edge) -> Edge:
    """The normalized edge of a standard: the sample's or its own, with its changes on top."""
    edge = sample if standard.spectrum == "sample" else _edge(name, standard.spectrum)
    return edge.altered(edge.shift_eV + standard.edge_shift_eV, edge.white_line_change + standard.white_line_change)


def _measure(name: str, species: Species, standard: Standard, sample: Edge, study: Study, threads: int) -> Spectrum:
    """A standard as the instrument sees it: at energies off by the scale's error."""
    edge = standard_edge(standard, name, sample)
    energies = standard_energies(study.scan.energies_eV)
    true_energies = energies + standard.energy_offset_eV
    film = attenuation_per_um(species.formula, study.species.LFP.iron_mol_cm3, true_energies, edge(true_energies))
    return measure_standard(
        name, species.formula, standard, energies, film, study.instrument, study.scan.pixel_um, seed=study.seed, threads=threads
    )
