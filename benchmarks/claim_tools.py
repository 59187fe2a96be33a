"""What the measurements of the experiment's claims share: scans of studies and of amounts made by hand, and what is found."""

import functools
from dataclasses import dataclass

import numpy as np

from analysis.reconstruct.fbp import fbp
from instrument.components import frozen
from instrument.projector import project
from phantom import Phantom
from validation import analyze, load_study, simulate
from validation.course import course_of
from validation.projection import build_sample, project_course
from validation.scores import overlay
from validation.trial import record_components

FULL: dict[str, object] = {}
SMALL: dict[str, object] = {"scan.columns": 56, "scan.rows": 44, "scan.pixel_um": 0.12, "scan.angles": 81}


@dataclass(frozen=True)
class Finding:
    """A number that a claim, or something else promised, stands on, between `low` and `high`."""

    claim: int | str
    what: str
    value: float
    low: float = -np.inf
    high: float = np.inf
    control: bool = False

    @property
    def holds(self):
        return bool(self.low <= self.value <= self.high)

    @property
    def bound(self):
        if np.isfinite([self.low, self.high]).all():
            return f"{self.low:g} to {self.high:g}"
        if np.isfinite(self.low):
            return f"at least {self.low:g}"
        return f"at most {self.high:g}" if np.isfinite(self.high) else ""


def print_table(findings):
    """A line for each finding as it comes."""
    print("| claim | what | number | bound | |\n|---|---|---|---|---|")
    for one in findings:
        kind = ("control" if one.control else "") + ("" if one.holds else " DOES NOT HOLD")
        print(f"| {one.claim} | {one.what} | {one.value:.3g} | {one.bound} | {kind} |", flush=True)


def loop(name, changes):
    """Simulation and recovered map of a study."""
    study = load_study(name, changes)
    simulation = simulate(study, threads=2)
    return simulation, found_in(simulation, study)


def found_in(simulation, study):
    """The map recovered from a simulated scan."""
    return analyze(simulation.scan, simulation.standards, study.analysis, threads=2).map


@functools.cache
def states(items, names):
    """Recovered map, and truth on its grid, of several studies of one and the same particle, made once."""
    out, sample = [], None
    for name, changes in names:
        study = load_study(name, dict(items) | dict(changes))
        sample = sample or build_sample(study, 2)
        course = course_of(study, sample)
        with project_course(sample, course, study, 2) as components:
            simulation = record_components(components, sample.at(course.fractions[0], 2), study, threads=2)
        found = found_in(simulation, study)
        out.append((found, overlay(simulation.truth, found).truth))
    return out


def stages(size):
    """(found, truth) of the stages initial, partial, middle and end."""
    return states(tuple(size.items()), tuple((name, ()) for name in ("initial", "partial", "middle", "end")))


def fine_grid(study):
    """Shape and voxel of the grid that a study's sample is made on."""
    scan, n = study.scan, study.scan.oversampling
    return (scan.rows * n, scan.columns * n, scan.columns * n), scan.pixel_um / n


def recorded(study, amounts):
    """The scan of amounts (species, z, y, x) given on the study's fine grid."""
    voxel_um = fine_grid(study)[1]
    return record_components(
        frozen(paths_of(study, amounts)), Phantom(("LFP", "FP"), amounts, voxel_um, np.eye(3)), study, threads=2
    )


def paths_of(study, amounts):
    """Projected amounts (species, view, row, column) on the study's fine grid."""
    angles = study.scan.angles_rad[: 1 if study.scan.kind == "series" else None]
    return np.stack([project(volume, angles, fine_grid(study)[1], 2) for volume in amounts])


def optical_depth(scan, k):
    """-ln of the transmission (angle, row, column) at energy k, from the counts."""
    dark, flat = scan.darks[k].mean(axis=0), scan.flats[k].mean(axis=0)
    return -np.log(np.maximum(scan.projections[k] - dark, 1) / (flat - dark))


def single_energy(scan, k):
    """Attenuation (z, y, x), 1/um, of the energy k alone."""
    depth = optical_depth(scan, k).transpose(1, 0, 2)
    return fbp(depth, scan.angles_rad, center_px=scan.center_px, pixel_um=scan.pixel_um, window="cosine")


def standard(simulation, name, energy):
    """Attenuation of a measured standard, 1/um."""
    one = next(s for s in simulation.standards if s.name == name)
    return float(np.interp(energy, one.energies_eV, one.mu))


def dice(a, b):
    return 2 * (a & b).sum() / (a.sum() + b.sum())
