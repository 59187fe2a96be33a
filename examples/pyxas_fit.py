"""PyXAS' fit as a fit: txm-twin run --method fit=examples/pyxas_fit.py:fit"""

import numpy as np
from pyxas.xanes_util import fit_2D_xanes_non_iter


def fit(mu, sigma, energies_eV, standards):
    """(energy, n) to amounts and their sigma (species, n); PyXAS weighs all energies alike and states no sigma."""
    order = np.argsort(energies_eV)  # it interpolates the references along rising energies
    references = {f"ref{i}": np.column_stack([energies_eV, row])[order] for i, row in enumerate(standards)}
    amounts = fit_2D_xanes_non_iter(mu[order, None], energies_eV[order], references)[0][:, 0]
    # So sigma is what noise of `sigma` does to equally weighted least squares with a constant.
    design = np.column_stack([*standards, np.ones(len(energies_eV))])
    estimator = np.linalg.pinv(design)[: len(standards)]
    return amounts, np.sqrt(estimator**2 @ sigma**2)
