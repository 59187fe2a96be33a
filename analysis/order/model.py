"""What a fit assumes: the standards at the scan's energies, and the weights of the energies."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from instrument.measurement import Measurement, Spectrum

from ..align.energy_scale import on_scan_scale
from ..prepare.normalize import optical_depth
from ..prepare.prepared import Prepared
from ..result import fp_index
from ..spectra.combination import Background, design_matrix, standards_matrix
from ..spectra.constraints import Constraint

Array = NDArray[np.float64]

_SAMPLED_VIEWS = 16


@dataclass(frozen=True)
class Model:
    """`design` (energy, unknown) of the species `names` first, then of the background; `weights` (energy,) of `energies_eV`."""

    names: tuple[str, ...]
    energies_eV: Array
    design: Array
    weights: Array
    constraint: Constraint = "free"

    @property
    def estimator(self) -> Array:
        """From spectra to amounts, (species, energy): weighted least squares, free."""
        weighted = self.design * self.weights[:, None]
        return np.asarray(np.linalg.solve(self.design.T @ weighted, weighted.T)[: len(self.names)])


def model_of(
    standards: list[Spectrum],
    scan: Measurement,
    weights: Array,
    *,
    background: Background,
    constraint: Constraint = "free",
    offset_eV: float = 0.0,
) -> Model:
    """The model where the scan's true energies are higher than it says by `offset_eV`. Raises InputError where there is none."""
    names = tuple(standard.name for standard in standards)
    fp_index(names)
    matrix = standards_matrix(on_scan_scale(standards, offset_eV), scan.energies_eV)
    return Model(names, scan.energies_eV, design_matrix(matrix, scan.energies_eV, background), weights, constraint)


def energy_weights(prepared: Prepared) -> Array:
    """1 / mean variance of the rays at each energy, from up to 16 views spread over the scan."""
    scan = prepared.scan
    views = np.unique(np.linspace(0, len(scan.angles_rad) - 1, _SAMPLED_VIEWS).astype(int))
    everything = slice(0, scan.rows)
    return np.array(
        [
            1 / optical_depth(np.stack([scan.projections[i, k] for k in views]), noise, everything).variance.mean()
            for i, noise in enumerate(prepared.noises)
        ]
    )
