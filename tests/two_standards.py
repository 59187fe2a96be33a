"""LFP and FP at the energies of a scan, for tests of what is done with spectra."""

import numpy as np

from instrument.attenuation import attenuation_per_um
from instrument.xanes import parametric
from phantom import FP, LFP

IRON_MOL_CM3 = LFP.iron_mol_cm3
FORMULAS = {"LFP": LFP.formula, "FP": FP.formula}
SCAN = np.array([7090.0, 7105, 7113, 7118, 7122, 7125, 7127, 7130, 7132, 7136, 7145, 7160, 7180])


def standards(energies=SCAN):
    """LFP and FP, (species, energy), 1/um."""
    return np.array(
        [attenuation_per_um(formula, IRON_MOL_CM3, energies, parametric(name)(energies)) for name, formula in FORMULAS.items()]
    )
