"""The maps of a result, filled block by block by one fit."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .result import AmountMap, Flag, phase_fraction, phase_fraction_sigma
from .spectra import linear_combination
from .tally import Tally, tally

Array = NDArray[np.float64]
Values = NDArray[np.float32]


class Mapping:
    """Amounts, sigma and flags of `shape`, (z, y, x) or (time, y, x), from `design` and `weights` common to all blocks.

    Blocks are ranges of the first axis; different ones may be filled at the same time.
    """

    def __init__(self, names: tuple[str, ...], shape: tuple[int, int, int], design: Array, weights: Array):
        self.names, self.design, self.weights = names, design, weights
        self.amounts = np.zeros((len(names), *shape), np.float32)
        self.amounts_sigma = np.zeros_like(self.amounts)
        self.sigma = np.zeros(shape, np.float32)
        self.flags = np.zeros(shape, np.uint8)

    def fill(self, block: slice, mu: Values, variance: Values, repaired: NDArray[np.intp]) -> Tally:
        """Fit `mu` (energy, ...) of a block; `repaired` counts rays and broadcasts to the block."""
        count, grid = len(self.names), mu.shape[1:]
        mu, variance = mu.reshape(len(mu), -1), variance.reshape(len(mu), -1)
        found = linear_combination(mu, variance, self.design, self.weights, count)
        covariance = found.covariance.reshape(count, count, *grid)
        self.amounts[:, block] = found.amounts.reshape(count, *grid)
        self.amounts_sigma[:, block] = np.sqrt(np.einsum("ii...->i...", covariance))
        self.sigma[block] = phase_fraction_sigma(self.amounts[:, block], covariance, self.names)
        poor = found.chi2 - found.dof > 5 * np.sqrt(2 * np.maximum(found.dof, 1))
        self.flags[block] |= np.where(poor.reshape(grid), Flag.POOR_FIT, 0).astype(np.uint8)
        self.flags[block] |= np.where(repaired > 0, Flag.REPAIRED, 0).astype(np.uint8)
        return tally(mu, found.amounts, self.names, found.chi2, found.dof, int(repaired.sum()))

    def result(self, voxel_um: float, **more: Any) -> AmountMap:
        """All blocks together; `more` are further fields of the map."""
        self.flags |= np.where(np.isnan(phase_fraction(self.amounts, self.names)), Flag.NO_IRON, 0).astype(np.uint8)
        return AmountMap(
            self.names,
            self.amounts,
            voxel_um,
            amounts_sigma=self.amounts_sigma,
            phase_fraction_sigma=self.sigma,
            flags=self.flags,
            **more,
        )
