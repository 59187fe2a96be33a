"""Claims 1, 2, 8 and 9: what one energy, one view and many energies tell of a sample."""

from dataclasses import replace

import numpy as np
from claim_tools import Finding, dice, fine_grid, found_in, loop, optical_depth, recorded, single_energy, standard
from scipy.ndimage import binary_erosion, binary_opening, distance_transform_edt, gaussian_filter, label

from analysis.charge.balance import imaged_fraction
from analysis.result import AmountMap
from phantom import FP, LFP, Ellipsoid, voxelize
from phantom.species import iron_relative
from validation import load_study
from validation.scores import overlay

CLEAN = {
    "beam.shot_noise": False,
    "beam.falloff": 0,
    "optics.outermost_zone_um": 0,
    "stage.runout_um": 0,
    "camera.read_noise_adu": 0,
}
EQUAL = {
    "electrode.size_spread": 0,
    "electrode.median_diameter_um": 2.77,
    "cell.size_spread": 0,
    "cell.barrier_spread_V": 0,
    "cell.median_diameter_um": 2.77,
}
ROOM = 2 / 3  # of equal particles fewer find room


def claim_1(size):
    """181 projections at 7192 eV: the shape, and two particles that are one in the view at 0 degrees. 7100 eV is not used."""
    study = load_study("default", size | {"scan.energies_eV": [7100.0, 7192.0], "scan.angles": 181})
    shape, voxel_um = fine_grid(study)
    pair = []
    for y in (1.5, -1.5):  # a lump before the body, or behind it, along the beam of angle 0
        whole = voxelize(
            [Ellipsoid((0.1, 0.0, -0.2), (1.7, 1.3, 1.4)), Ellipsoid((0.3, y, 0.4), (0.8, 0.8, 0.8))], shape, voxel_um
        )
        pair.append(np.stack([np.minimum(whole, 1), np.zeros_like(whole)]))
    # A once more: as far as two scans of one sample are apart by noise and run-out, so far A and B may be in the view at 0.
    simulations = [recorded(replace(study, seed=seed), amounts) for seed, amounts in enumerate([*pair, pair[0]], 1)]
    solid = standard(simulations[0], "LFP", 7192.0) / 2
    found = [single_energy(simulation.scan, 1) >= solid for simulation in simulations[:2]]
    maps = [AmountMap(("LFP", "FP"), np.stack([mask, 0 * mask]).astype(np.float32), study.scan.pixel_um) for mask in found]
    true = [overlay(s.truth, m).truth.iron >= 0.5 for s, m in zip(simulations, maps, strict=False)]
    views = np.array([optical_depth(simulation.scan, 1)[[90, 135]] for simulation in simulations])
    other, same = (gaussian_filter(views[0] - views[k], (0, 2, 2)).std(axis=(1, 2)) for k in (1, 2))
    return [
        *(Finding(1, f"Dice of the shape, {name}", dice(a, b), low=0.97) for name, a, b in zip("AB", found, true, strict=True)),
        Finding(1, "views of A and B at 0 degrees: rms apart, over that of two scans of A", other[0] / same[0], high=1.5),
        Finding(1, "the same at 45 degrees", other[1] / same[1], low=3),
        Finding(1, "Dice of the shape found of A with the true B", dice(found[0], true[1]), high=0.9),
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
        found = found_in(simulation, study)
        x = found.amounts[1][inner].sum(dtype=float) / found.iron[inner].sum(dtype=float)
        out.append(Finding(2, f"x of the same from {len(energies)} energies", x, -0.02, 0.02, control=True))
    return out


def claim_8(size):
    """How many pixels, or voxels off the front, of a pure-phase core-shell look mixed, 0.2 < x < 0.8."""
    out = []
    shape, voxel_um = fine_grid(load_study("isotropic", size))
    axes = np.array([2.3, 1.9, 2.1])
    whole, core = (voxelize([Ellipsoid((0.1, 0.0, -0.1), tuple(axes - t))], shape, voxel_um) for t in (0, 0.45))
    flat = {"scan.kind": "series", "scan.first_angle_deg": 0, "scan.angles": 1}
    for words, noise in (("without noise", CLEAN), ("with noise", {})):
        for name, kind, bound in (("2D pixels", flat, {"low": 0.3}), ("3D voxels off the front", {}, {"high": 0.1})):
            study = load_study("isotropic", size | noise | kind)
            simulation = recorded(study, np.stack([core, whole - core]))
            found = found_in(simulation, study)
            x = found.phase_fraction[_counted(overlay(simulation.truth, found).truth)]
            out.append(Finding(8, f"share of {name} that look mixed, {words}", ((x > 0.2) & (x < 0.8)).mean(), **bound))
    return out


def _counted(truth):
    """Pixels of a series' particle, or voxels of a volume's that lie 2 voxels and 1.5 resolution widths off the front."""
    particle = truth.iron >= 0.5
    if truth.is_series:
        return particle
    fp = particle & (truth.phase_fraction >= 0.5)
    away = np.where(fp, distance_transform_edt(~(particle & ~fp)), distance_transform_edt(~fp)) - 0.5
    return particle & (away >= max(2.0, 1.5 * truth.resolution_um / truth.voxel_um))


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
    fewer = round(ROOM * load_study("electrode-2d", size).electrode.particles)
    for name, changes in (("electrode", {}), ("electrode of equal particles", EQUAL | {"electrode.particles": fewer})):
        x, sigma = particle_states(loop("electrode-2d", size | changes)[1])
        mean = np.average(x, weights=sigma**-2)
        spread = np.sqrt(((x - mean) ** 2 / sigma**2).sum() / (len(x) - 1))
        bound = {"high": 3, "control": True} if changes else {"low": 3}
        out.append(Finding(9, f"{name}: spread of x over {len(x)} pieces ({x.std():.3f}), in sigma", spread, **bound))
    return out
