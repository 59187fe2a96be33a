"""A particle of some voxels, and spectra that programs would call normalized, for tests of results."""

import numpy as np

from analysis.result import AmountMap
from analysis.spectra.combination import LFP_IRON_MOL_CM3
from instrument.attenuation import attenuation_parts

VOXEL = 0.1
SHAPE = (12, 14, 16)
EDGES_EV = {"LFP": 7119.0, "FP": 7123.0}


def particle(shape=SHAPE, voxel=VOXEL):
    """An LFP core off the middle of an FP shell, in an ellipsoid that no axis order, flip or shift leaves as it is."""
    z, y, x = np.meshgrid(*[(np.arange(n) - (n - 1) / 2) * voxel for n in shape], indexing="ij")
    inside = ((z - 0.05) / 0.42) ** 2 + ((y + 0.06) / 0.5) ** 2 + ((x - 0.08) / 0.62) ** 2 < 1
    core = ((z + 0.03) / 0.2) ** 2 + ((y - 0.08) / 0.3) ** 2 + ((x - 0.2) / 0.3) ** 2 < 1
    return AmountMap(("LFP", "FP"), np.stack([inside & core, inside & ~core]).astype(np.float32), voxel)


def normalized(name, energies_eV):
    """A step with a white line: 0 below, 1 above."""
    beyond = energies_eV - EDGES_EV[name]
    return 1 / (1 + np.exp(-beyond / 1.5)) + 0.5 * np.exp(-(((beyond - 6) / 3) ** 2))


def step_of_lfp():
    """What iron adds to the attenuation of LFP at the edge, 1/um."""
    return attenuation_parts("LiFePO4", LFP_IRON_MOL_CM3, [7150.0], [1.0])[1][0]
