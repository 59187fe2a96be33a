"""Claims 3 to 6: two phases, where the front goes from stage to stage, and which phase is the core."""

import itertools

import numpy as np
from claim_tools import Finding, loop, stages, states
from scipy.ndimage import distance_transform_edt
from scipy.spatial import cKDTree

from analysis.charge.balance import imaged_fraction
from analysis.phases import Phase, exposed_share, front_surface, phase_histogram, segment, shell_by_direction, turned_layer

LAB = np.eye(3)
X, Y, Z = (0, 1), (2, 3), (4, 5)


def claim_3(size):
    """No voxel turns back: share that seems to, by more than 3 sigma, where 0.135 % do by chance."""
    out = []
    for name, ((one, _), (other, _)) in zip(("partial", "middle", "end"), itertools.pairwise(stages(size)), strict=True):
        fall = one.phase_fraction - other.phase_fraction
        seen = (one.iron >= 0.5) & (other.iron >= 0.5)
        sure = fall[seen] > 3 * np.hypot(one.phase_fraction_sigma, other.phase_fraction_sigma)[seen]
        out.append(Finding(3, f"to {name}: share of voxels that go back by more than 3 sigma", sure.mean(), high=0.00135))
    return out


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
        words = f"{name}: share of {len(place)} surely mixed voxels within a resolution width of the front"
        out.append(Finding(4, words, (away <= 1).mean(), low=0.95))
    histogram = phase_histogram(loop("solid-solution", size)[1])
    out.append(Finding(4, "solid solution: called two phases", float(histogram.two_phases), high=0, control=True))
    out.append(Finding(4, "solid solution: evidence for two phases against one", histogram.evidence, high=10, control=True))
    return out


def claim_5(size):
    """Anisotropic to isotropic: how far the front moved between stages, signed directions of the lab."""
    maps = [found for found, _ in stages(size)]
    first = shell_by_direction(maps[0], LAB)
    partial, middle, last = (turned_layer(a, b, LAB) for a, b in itertools.pairwise(maps))
    out = []
    for name, layer in (("to initial", first), ("to partial", partial)):
        out += [
            Finding(5, f"{name}: +y over x", layer.ratio(3, X)[0], low=2),
            Finding(5, f"{name}: sigmas by which +y is more than 2 x", layer.exceeds(3, X, 2), low=3),
            Finding(5, f"{name}: -y over +y", layer.ratio(2, 3)[0], high=0.1),
        ]
    for name, under in (("x", X), ("y", Y)):
        out += [
            Finding(5, f"to middle: z over {name}", middle.ratio(Z, under)[0], low=1.5),
            Finding(5, f"to middle: sigmas by which z is more than 1.5 {name}", middle.exceeds(Z, under, 1.5), low=3),
        ]
    moved = last.thickness_um
    spread = np.abs(moved / moved.mean() - 1).max()
    out.append(Finding(5, "to end: largest deviation of six directions from their mean", spread, high=0.1))
    alike = states(tuple(size.items()), tuple(("isotropic", (("front.fraction", fraction),)) for fraction in (0.4, 0.7)))
    layer = turned_layer(alike[0][0], alike[1][0], LAB)
    for over, under, name in ((Y, X, "y over x"), (Z, X, "z over x"), (Z, Y, "z over y")):
        ratio, sigma = layer.ratio(over, under)
        out.append(Finding(5, f"isotropic: {name} less 1, in sigma ({ratio:.3f})", (ratio - 1) / sigma, -2, 2, control=True))
    words = "share of the core's boundary that is open; a core-shell has at most 0.3"
    out += [
        Finding(5, f"domino: {words}", exposed_share(loop("domino", size)[1]), low=0.3, control=True),
        Finding(5, f"isotropic: {words}", exposed_share(alike[0][0]), high=0.3),
    ]
    return out


def claim_6(size):
    """Core LFP, shell FP, by depth below the recovered surface."""
    found = stages(size)[1][0]
    particle = found.iron >= 0.5
    depth = distance_transform_edt(particle) * found.voxel_um
    x = np.where(particle, found.phase_fraction, np.nan)
    v = (np.arange(found.shape[1]) - (found.shape[1] - 1) / 2)[:, None] * found.voxel_um
    inner = depth > 0.6 * depth.max()
    outer = (depth > 0.1) & (depth < 0.25) & (v > 1.2)  # where the shell has come so far: towards +y
    none = loop("pure-lfp", size)[1]
    bulk, sigma = imaged_fraction(none)
    sure = (none.phase_fraction / none.phase_fraction_sigma)[none.iron > 0.5]
    return [
        Finding(6, "x of the deepest voxels", float(np.nanmean(x[inner])), -0.05, 0.05),
        Finding(6, "x below the surface at +y", float(np.nanmean(x[outer])), 0.95, 1.05),
        Finding(6, "pure LFP: bulk FP in sigma", float(bulk[0] / sigma[0]), high=3, control=True),
        Finding(6, "pure LFP: share of voxels above 3 sigma", float((sure > 3).mean()), high=0.003, control=True),
        Finding(6, "pure LFP: called two phases", float(phase_histogram(none).two_phases), high=0, control=True),
    ]
