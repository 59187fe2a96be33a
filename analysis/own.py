"""A user's own engine or fit in the place of ours."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from instrument.measurement import InputError

from .choices import Analysis
from .spectra.combination import LinearFit

Array = NDArray[np.float64]
Values = NDArray[np.float32]
Engine = Callable[..., NDArray[Any]]  # (row, angle, column), (angle,), center_px=, pixel_um= -> (z, y, x) in 1/um
# (energy, n), (energy, n), (energy,), (species, energy) -> (species, n) twice: amounts, sigma
Fit = Callable[[Values, Values, Array, Array], tuple[NDArray[Any], NDArray[Any]]]


@dataclass(frozen=True)
class Own:
    """What stands in for a step of the stack; None where ours does it. Rows come in blocks of 8, voxels in those of a block.

    Sigma of an engine's maps is the spread of its images of noisy replicates, that of a fit's is what it states, the
    species' errors taken as independent.
    """

    engine: Engine | None = None
    fit: Fit | None = None

    def check(self, settings: Analysis, series: bool = False) -> None:
        """InputError where the order of the steps has no place for it."""
        if self.engine is not None and (series or settings.method == "joint"):
            found = "a series" if series else "method joint"
            raise InputError(f"engine: found one of your own with {found}, which has none; allowed is method image or projection")
        if self.fit is not None and (settings.method != "image" or settings.constraint != "free"):
            raise InputError(
                f"fit: found one of your own with method {settings.method}, constraint {settings.constraint}; allowed is method "
                "image, constraint free"
            )


def fitted(fit: Fit, mu: Values, variance: Values, energies_eV: Array, design: Array, weights: Array, species: int) -> LinearFit:
    """A user's fit of `mu` (energy, n), as ours gives it; chi2 is of what its amounts and a background of `design` leave.

    `design` (energy, unknown) holds the `species` standards first, `weights` (energy,) are those of the energies.
    """
    amounts, sigma = (np.asarray(part, np.float32) for part in fit(mu, np.sqrt(variance), energies_eV, design[:, :species].T))
    covariance = np.zeros((species, species, mu.shape[1]), np.float32)
    for i in range(species):
        covariance[i, i] = sigma[i] ** 2
    left = mu - (design[:, :species] @ amounts).astype(np.float32)
    background = design[:, species:]
    if background.shape[1]:
        weighted = background.T * weights
        left -= (background @ np.linalg.solve(weighted @ background, weighted @ left)).astype(np.float32)
    chi2 = (left**2 / variance).sum(axis=0)
    return LinearFit(amounts, covariance, chi2, np.full(mu.shape[1], len(mu) - design.shape[1]))
