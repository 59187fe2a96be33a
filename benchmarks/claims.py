"""The experiment's claims 1, 2, 4, 5, 6, 8 and 9 and their controls, measured on reconstructed data.

python benchmarks/claims.py [--small]
"""

import argparse
import functools
import itertools
from dataclasses import dataclass, replace

import numpy as np
from scipy.ndimage import binary_erosion, binary_opening, distance_transform_edt, gaussian_filter, label
from scipy.spatial import cKDTree

from analysis.charge.balance import imaged_fraction
from analysis.phases import Phase, exposed_share, front_surface, phase_histogram, segment, shell_by_direction, turned_layer
from analysis.reconstruct.fbp import fbp
from analysis.result import AmountMap
from instrument.components import frozen
from instrument.projector import project
from phantom import FP, LFP, Ellipsoid, Phantom, voxelize
from phantom.species import iron_relative
from validation import analyze, load_study, score, simulate
from validation.course import course_of
from validation.projection import build_sample, project_course
from validation.scores import overlay
from validation.trial import record_components

FULL: dict[str, object] = {}
SMALL = {"scan.columns": 56, "scan.rows": 44, "scan.pixel_um": 0.12, "scan.angles": 81}
CLEAN = {
    "beam.shot_noise": False,
    "beam.falloff": 0,
    "optics.outermost_zone_um": 0,
    "stage.runout_um": 0,
    "camera.read_noise_adu": 0,
}
LAYER = {"electrode.particles": 7, "scan.rows": 72, "scan.columns": 104, "scan.pixel_um": 0.18}
EQUAL = {
    "electrode.size_spread": 0,
    "electrode.median_diameter_um": 2.77,
    "cell.size_spread": 0,
    "cell.barrier_spread_V": 0,
    "cell.median_diameter_um": 2.77,
}
LAB = np.eye(3)


@dataclass(frozen=True)
class Finding:
    """A number that a claim stands on, between `low` and `high`."""

    claim: int
    what: str
    value: float
    low: float = -np.inf
    high: float = np.inf
    control: bool = False

    @property
    def holds(self):
        return self.low <= self.value <= self.high

    @property
    def bound(self):
        if np.isfinite([self.low, self.high]).all():
            return f"{self.low:g} to {self.high:g}"
        return f"at least {self.low:g}" if np.isfinite(self.low) else f"at most {self.high:g}"


def loop(name, changes):
    """Simulation and recovered map of a study."""
    study = load_study(name, changes)
    simulation = simulate(study, threads=2)
    return simulation, analyze(simulation.scan, simulation.standards, study.analysis, threads=2).map


def recorded(study, amounts):
    """A scan of amounts (species, z, y, x) given on the study's fine grid."""
    voxel_um = study.scan.pixel_um / study.scan.oversampling
    angles = study.scan.angles_rad[: 1 if study.scan.kind == "series" else None]
    paths = [project(volume, angles, voxel_um, 2) for volume in amounts]
    return record_components(frozen(np.stack(paths)), Phantom(("LFP", "FP"), amounts, voxel_um, np.eye(3)), study, threads=2)


def fine_grid(study):
    scan, n = study.scan, study.scan.oversampling
    return (scan.rows * n, scan.columns * n, scan.columns * n), scan.pixel_um / n


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


def claim_1(size):
    """181 projections at 7192 eV: the shape, and two particles that are one in the view at 0 degrees."""
    study = load_study("default", size | {"scan.energies_eV": [7100.0, 7192.0], "scan.angles": 181})
    shape, voxel_um = fine_grid(study)
    pair = []
    for y in (1.5, -1.5):  # a lump before the body, or behind it, along the beam of angle 0
        whole = voxelize(
            [Ellipsoid((0.1, 0.0, -0.2), (1.7, 1.3, 1.4)), Ellipsoid((0.3, y, 0.4), (0.8, 0.8, 0.8))], shape, voxel_um
        )
        pair.append(np.stack([np.minimum(whole, 1), np.zeros_like(whole)]))
    simulations = [recorded(replace(study, seed=seed), amounts) for seed, amounts in enumerate(pair, 1)]
    solid = standard(simulations[0], "LFP", 7192.0) / 2
    found = [single_energy(simulation.scan, 1) >= solid for simulation in simulations]
    maps = [AmountMap(("LFP", "FP"), np.stack([mask, 0 * mask]).astype(np.float32), study.scan.pixel_um) for mask in found]
    true = [overlay(s.truth, m).truth.iron >= 0.5 for s, m in zip(simulations, maps, strict=True)]
    views = np.array([optical_depth(simulation.scan, 1)[[90, 135]] for simulation in simulations])
    apart = gaussian_filter(views[0] - views[1], (0, 2, 2)).std(axis=(1, 2))
    return [
        *(Finding(1, f"Dice of the shape, {name}", dice(a, b), low=0.97) for name, a, b in zip("AB", found, true, strict=True)),
        Finding(1, "view of A less that of B at 0 degrees, smoothed, rms of optical depth", apart[0], high=0.005),
        Finding(1, "the same at 45 degrees", apart[1], low=0.02),
        Finding(1, "Dice of the shape of A with B", dice(found[0], true[1]), high=0.9),
    ]


def claim_2(size):
    """One energy cannot tell phase from density: contrast of FP and LFP, and porosity that looks like FP."""
    energies = [7090.0, 7120.0, 7126.0, 7132.0, 7140.0, 7192.0]
    study = load_study("default", size | {"scan.energies_eV": energies})
    shape, voxel_um = fine_grid(study)
    whole, core = (voxelize([Ellipsoid((0.1, 0.2, -0.1), axes)], shape, voxel_um) for axes in ((2.2, 2.0, 1.9), (1.1, 0.9, 0.9)))
    out = []
    for volume, density, near in (
        ("constant volume", 1.0, (0.08, -0.52)),
        ("own density", iron_relative(FP, LFP), (0.16, -0.49)),
    ):
        simulation = recorded(study, np.stack([core, density * (whole - core)]))
        n = study.scan.oversampling
        masks = [binary_erosion(mask >= 0.999, iterations=4 * n)[::n, ::n, ::n] for mask in (core, whole - core)]
        for energy, expected in zip((7192.0, 7126.0), near, strict=True):
            mu = single_energy(simulation.scan, energies.index(energy))
            lfp, fp = (mu[mask].mean(dtype=float) for mask in masks)
            words = f"FP over LFP at {energy:g} eV less 1, {volume}"
            out.append(Finding(2, words, fp / lfp - 1, expected - 0.02, expected + 0.02))
            if volume == "constant volume":
                cnr = abs(fp - lfp) / np.mean([mu[mask].std(dtype=float) for mask in masks])
                low, high = (-np.inf, 1.0) if energy > 7190 else (2.0, np.inf)
                out.append(Finding(2, f"the same difference over the noise of a voxel, {energy:g} eV", cnr, low, high))
    for porosity, mimics in ((0.1, 0.19), (0.2, 0.38)):
        simulation = recorded(study, np.stack([(1 - porosity) * whole, 0 * whole]))
        inner = binary_erosion(whole >= 0.999, iterations=8)[::2, ::2, ::2]
        mu = single_energy(simulation.scan, energies.index(7126.0))[inner].mean(dtype=float)
        lfp, fp = (standard(simulation, name, 7126.0) for name in ("LFP", "FP"))
        words = f"x that {100 * porosity:.0f} % pores in LFP look like at 7126 eV"
        out.append(Finding(2, words, (lfp - mu) / (lfp - fp), mimics - 0.02, mimics + 0.02))
        found = analyze(simulation.scan, simulation.standards, study.analysis, threads=2).map
        x = found.amounts[1][inner].sum(dtype=float) / found.iron[inner].sum(dtype=float)
        out.append(Finding(2, f"x of the same from {len(energies)} energies", x, -0.02, 0.02, control=True))
    return out


@functools.cache
def _states(items, names):
    """Recovered map, and truth on its grid, of several studies of one and the same particle, made once."""
    out, sample = [], None
    for name, changes in names:
        study = load_study(name, dict(items) | dict(changes))
        sample = sample or build_sample(study, 2)
        course = course_of(study, sample)
        with project_course(sample, course, study, 2) as components:
            simulation = record_components(components, sample.at(course.fractions[0], 2), study, threads=2)
        found = analyze(simulation.scan, simulation.standards, study.analysis, threads=2).map
        out.append((found, overlay(simulation.truth, found).truth))
    return out


def stages(size):
    """(found, truth) of the stages initial, partial, middle and end."""
    return _states(tuple(size.items()), tuple((name, ()) for name in ("initial", "partial", "middle", "end")))


def claim_4(size):
    """Two phases: modes of x, and where mixed voxels lie."""
    out = []
    # The shell of `initial` is thinner than a voxel but for one side.
    for name, (found, truth) in zip(("partial", "middle", "end"), stages(size)[1:], strict=True):
        histogram = phase_histogram(found)
        out += [
            Finding(4, f"{name}: evidence for two phases against one, nats", histogram.evidence * histogram.two_phases, low=10),
            Finding(4, f"{name}: place of the lower mode, noise taken out", histogram.places[0], -0.05, 0.05),
            Finding(4, f"{name}: place of the upper mode", histogram.places[1], 0.95, 1.05),
        ]
        parts = segment(found)
        mixed = (parts.labels == Phase.MIXED) & (parts.confidence >= 90)
        place = (np.argwhere(mixed) - (np.array(found.shape) - 1) / 2) * found.voxel_um
        away = cKDTree(front_surface(truth, 0.5).places).query(place)[0] / truth.resolution_um
        out.append(
            Finding(4, f"{name}: share of mixed voxels within a resolution width of the front", (away <= 1).mean(), low=0.95)
        )
    histogram = phase_histogram(loop("solid-solution", size)[1])
    evidence = max(histogram.evidence, 1e3 * histogram.two_phases)
    out.append(Finding(4, "solid solution: evidence for two phases against one", evidence, high=10, control=True))
    return out


def claim_5(size):
    """Anisotropic to isotropic: how far the front moved between stages, signed directions of the lab."""
    maps = [found for found, _ in stages(size)]
    first = shell_by_direction(maps[0], LAB)
    partial, middle, last = (turned_layer(a, b, LAB) for a, b in itertools.pairwise(maps))
    x, y, z = (0, 1), (2, 3), (4, 5)
    out = []
    for name, layer in (("to initial", first), ("to partial", partial)):
        out += [
            Finding(5, f"{name}: +y over x", layer.ratio(3, x)[0], low=2),
            Finding(5, f"{name}: sigmas by which +y is more than 2 x", layer.exceeds(3, x, 2), low=3),
            Finding(5, f"{name}: -y over +y", layer.ratio(2, 3)[0], high=0.1),
        ]
    for name, under in (("x", x), ("y", y)):
        out += [
            Finding(5, f"to middle: z over {name}", middle.ratio(z, under)[0], low=1.5),
            Finding(5, f"to middle: sigmas by which z is more than 1.5 {name}", middle.exceeds(z, under, 1.5), low=3),
        ]
    moved = last.thickness_um
    out.append(
        Finding(
            5, "to end: largest deviation of six directions from their mean", np.abs(moved / moved.mean() - 1).max(), high=0.1
        )
    )
    alike = _states(tuple(size.items()), tuple(("isotropic", (("front.fraction", fraction),)) for fraction in (0.4, 0.7)))
    layer = turned_layer(alike[0][0], alike[1][0], LAB)
    for over, under, name in ((y, x, "y over x"), (z, x, "z over x"), (z, y, "z over y")):
        ratio, sigma = layer.ratio(over, under)
        out.append(Finding(5, f"isotropic: {name} less 1, in sigma ({ratio:.3f})", (ratio - 1) / sigma, -2, 2, control=True))
    domino = exposed_share(loop("domino", size)[1])
    out.append(
        Finding(
            5, "domino: share of the core's boundary that is open; a core-shell has at most 0.3", domino, low=0.3, control=True
        )
    )
    return out


def claim_6(size):
    """Core LFP, shell FP, by depth below the recovered surface."""
    found = stages(size)[1][0]
    particle = found.iron >= 0.5
    depth = distance_transform_edt(particle) * found.voxel_um
    x = np.where(particle, found.phase_fraction, np.nan)
    v = (np.arange(found.shape[1]) - (found.shape[1] - 1) / 2) * found.voxel_um
    turned = np.broadcast_to(v[:, None] > 0, found.shape[1:])  # where the shell has come so far: towards +y
    inner, outer = depth > 0.6 * np.nanmax(depth), particle & turned & (depth > 0.1) & (depth < 0.25) & (np.abs(v)[:, None] > 1.2)
    none = loop("pure-lfp", size)
    bulk, sigma = imaged_fraction(none[1])
    sure = (none[1].phase_fraction / none[1].phase_fraction_sigma)[none[1].iron > 0.5]
    return [
        Finding(6, "x of the deepest voxels", float(np.nanmean(x[inner])), -0.05, 0.05),
        Finding(6, "x below the surface at +y", float(np.nanmean(x[outer])), 0.95, 1.05),
        Finding(6, "pure LFP: bulk FP in sigma", float(bulk[0] / sigma[0]), high=3, control=True),
        Finding(6, "pure LFP: share of voxels above 3 sigma", float((sure > 3).mean()), high=0.003, control=True),
    ]


def claim_8(size):
    """How many pixels or interior voxels of a pure-phase core-shell look mixed, 0.2 < x < 0.8."""
    out = []
    flat = {"scan.kind": "series", "scan.first_angle_deg": 0, "scan.angles": 1}
    for words, noise in (("without noise", CLEAN), ("with noise", {})):
        for name, kind, bound in (("2D pixels", flat, {"low": 0.3}), ("3D voxels", {}, {"high": 0.1})):
            study = load_study("isotropic", size | noise | kind)
            shape, voxel_um = fine_grid(study)
            axes = np.array([2.3, 1.9, 2.1])
            whole, core = (voxelize([Ellipsoid((0.1, 0.0, -0.1), tuple(axes - t))], shape, voxel_um) for t in (0, 0.45))
            simulation = recorded(study, np.stack([core, whole - core]))
            found = analyze(simulation.scan, simulation.standards, study.analysis, threads=2).map
            share = score(simulation.truth, found)["mixed_share_found"]
            out.append(Finding(8, f"share of {name} that look mixed, {words}", share, **bound))
    return out


def particle_states(found):
    """x and its sigma (piece,) of each piece of iron in a recovered 2D map that no other touches."""
    pieces, count = label(binary_opening(np.nan_to_num(found.iron[0]) >= 0.5))
    states = []
    for k in range(1, count + 1):
        if (pieces == k).sum() >= 20:
            alone = np.where((pieces == k) | (pieces == 0), 1, 0)
            near = distance_transform_edt(pieces != k) <= 2
            one = replace(found, amounts=found.amounts * (alone * near)[None, None])
            states.append([value[0] for value in imaged_fraction(one)])
    return np.array(states).T


def claim_9(size):
    """Spread of x between the particles of an electrode at partial charge, from the recovered 2D map alone."""
    out = []
    for name, changes in (("electrode", {}), ("electrode of equal particles", EQUAL)):
        x, sigma = particle_states(loop("electrode-2d", size | changes)[1])
        mean = np.average(x, weights=sigma**-2)
        spread = np.sqrt(((x - mean) ** 2 / sigma**2).sum() / (len(x) - 1))
        bound = {"high": 3, "control": True} if changes else {"low": 3}
        out.append(Finding(9, f"{name}: spread of x over {len(x)} pieces ({x.std():.3f}), in sigma", spread, **bound))
    return out


CLAIMS = {1: claim_1, 2: claim_2, 4: claim_4, 5: claim_5, 6: claim_6, 8: claim_8, 9: claim_9}
SIZES = {True: SMALL, False: FULL}


def findings(claim, small):
    """All findings of a claim; the electrode has a field of its own."""
    return CLAIMS[claim](SIZES[small] if claim != 9 else (LAYER if small else {}))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--small", action="store_true", help="the fields that the tests use")
    small = parser.parse_args().small
    print("| claim | what | number | bound | |\n|---|---|---|---|---|")
    for claim in CLAIMS:
        for one in findings(claim, small):
            kind = ("control" if one.control else "") + ("" if one.holds else " DOES NOT HOLD")
            print(f"| {one.claim} | {one.what} | {one.value:.3g} | {one.bound} | {kind} |", flush=True)
