"""A phase that is no standard, in 5 % of the particle's iron: how many of its voxels a complete scan flags, and how many others.

Spectra of no real compound, parametric: FP's 2 eV higher, a broad one like an oxide of Fe3+, one like Fe2+. 1e6 incident
photons per pixel, projection and energy. A voxel counts as foreign if most of its iron is, as explained if less than 2 % is; the
few in between count for neither. Grains of 0.12 um are two voxels of 60 nm in radius, no bound is set on them.

python benchmarks/third_phase.py [--small]
"""

import argparse
from dataclasses import dataclass

import numpy as np
from claim_tools import FULL, SMALL, Finding, fine_grid, paths_of, print_table
from scipy.ndimage import distance_transform_edt

from analysis.result import AmountMap, Flag
from instrument.attenuation import attenuation_per_um, phase_rad_per_um
from instrument.components import Matter, frozen
from instrument.microscope import record
from instrument.xanes import parametric
from validation import analyze, load_study
from validation.ledger import ledger_of
from validation.materials import matter_of, sample_edges
from validation.projection import build_sample
from validation.scores import average_onto
from validation.trial import header_of, measure_standards

PHOTONS = 1e6
SHARE = 0.05
GRAINS_um = (0.5, 0.25, 0.12)  # radius
RESOLVED_um = 0.2
SHALLOW_um = 0.2


def edge(center, width, peak, peak_eV):
    """Normalized: an arctangent step of `width` and a white line of height `peak`, both in eV where they are energies."""
    return lambda e: 0.5 + np.arctan(2 * (e - center) / width) / np.pi + peak * np.exp(-np.log(2) * ((e - peak_eV) / 5) ** 2)


SPECTRA = {
    "FP 2 eV higher": parametric("FP").altered(2.0, 0.0),
    "like Fe3+": edge(7126.5, 4.0, 0.45, 7133.0),
    "like Fe2+": edge(7121.5, 5.0, 0.6, 7127.0),
}


@dataclass(frozen=True)
class Flagged:
    """`flags` of what is `foreign` and what is `explained`, masks (z, y, x), and the `depth_um` below the true surface."""

    flags: np.ndarray
    foreign: np.ndarray
    explained: np.ndarray
    depth_um: np.ndarray

    def recall(self, where=True):
        return float(self.flags[self.foreign & where].mean())

    def alarms(self, where=True):
        return float(self.flags[self.explained & where].mean())


def grains(rng, particle, radius_px, share):
    """Voxels (z, y, x) of spheres in the particle that fill `share` of it."""
    places, found = np.argwhere(particle), np.zeros_like(particle)
    reach = int(np.ceil(radius_px))
    ball = np.argwhere(np.linalg.norm(np.indices((2 * reach + 1,) * 3) - reach, axis=0) <= radius_px) - reach
    while found.sum() < share * particle.sum():
        inside = places[rng.integers(len(places))] + ball
        inside = inside[((inside >= 0) & (inside < particle.shape)).all(axis=1)]
        found[tuple(inside.T)] = True
        found &= particle
    return found


def scan_of(study, amounts, spectrum):
    """The scan of amounts (LFP, FP and third; z, y, x) on the study's fine grid; no dose is given, as none is asked."""
    two = matter_of(study)
    iron = study.species.LFP.iron_mol_cm3

    def attenuation(at):
        return np.vstack([two.attenuation_per_um(at), attenuation_per_um("FePO4", iron, at, SPECTRA[spectrum](at))])

    def phase(at):
        return np.vstack([two.phase_rad_per_um(at), phase_rad_per_um("FePO4", iron, at)])

    paths = paths_of(study, amounts)
    target = header_of(study, ledger_of(frozen(paths[:2]), fine_grid(study)[1], study)).in_memory()
    record(
        frozen(paths),
        Matter(attenuation, phase),
        study.instrument,
        target,
        study.scan.clock,
        seed=study.seed,
        oversampling=study.scan.oversampling,
        threads=2,
    )
    return target


def flagged(spectrum, radius_um, size, seed=1, share=SHARE):
    """A scan of the study `default` with grains of `radius_um` in it, analyzed with the two standards."""
    study = load_study("default", size | {"beam.photons_per_pixel": PHOTONS, "seed": seed})
    voxel_um = fine_grid(study)[1]
    amounts = build_sample(study, 2).at(0.5).amounts
    foreign = grains(np.random.default_rng(seed), amounts.sum(axis=0) > 0.5, radius_um / voxel_um, share)
    three = np.stack([amounts[0] * ~foreign, amounts[1] * ~foreign, amounts.sum(axis=0) * foreign])
    scan = scan_of(study, three, spectrum)
    found = analyze(scan, measure_standards(study, sample_edges(study), 2), study.analysis, threads=2).map
    true = average_onto(AmountMap(("LFP", "FP", "third"), three, voxel_um), found.shape, found.voxel_um, np.zeros(3))
    particle, third = true.iron >= 0.5, true.amounts[2] / np.maximum(true.iron, 1e-6)
    return Flagged(
        (found.flags & Flag.UNEXPLAINED) > 0,
        particle & (third > 0.5),
        particle & (third < 0.02),
        (distance_transform_edt(particle) - 0.5) * found.voxel_um,
    )


def findings(size, radii_um=GRAINS_um, spectra=tuple(SPECTRA)):
    """Recall and false alarms of each spectrum and size of grain, bound where the grains are resolved."""
    for spectrum in spectra:
        for radius_um in radii_um:
            one = flagged(spectrum, radius_um, size)
            words = f"{spectrum}, grains of {radius_um:g} um"
            recall, alarms = ({"low": 0.9}, {"high": 0.05}) if radius_um >= RESOLVED_um else ({}, {})
            outer = one.depth_um < SHALLOW_um
            yield Finding("third phase", f"{words}: recall over {one.foreign.sum()} voxels", one.recall(), **recall)
            yield Finding("third phase", f"{words}: recall less than {SHALLOW_um} um below the surface", one.recall(outer))
            yield Finding("third phase", f"{words}: recall deeper", one.recall(~outer))
            yield Finding("third phase", f"{words}: false alarms over {one.explained.sum()} voxels", one.alarms(), **alarms)
            yield Finding("third phase", f"{words}: false alarms less than {SHALLOW_um} um below the surface", one.alarms(outer))
    none = flagged(spectra[0], radii_um[0], size, share=0.0)
    yield Finding(
        "third phase", f"no third phase: flagged of {none.explained.sum()} voxels", none.alarms(), high=0.05, control=True
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--small", action="store_true", help="the field that the tests use")
    print_table(findings(SMALL if parser.parse_args().small else FULL))
