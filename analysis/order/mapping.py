"""The maps of a result, filled block by block."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..own import Fit, fitted
from ..reconstruct.operators import seen_by_all
from ..result import AmountMap, Flag, phase_fraction, phase_fraction_sigma
from ..spectra.combination import linear_combination
from ..spectra.unexplained import residuals, unexplained
from .model import Model
from .tally import Tally, tally

Array = NDArray[np.float64]
Values = NDArray[np.float32]

_RARE = 0.05  # of explained voxels, the share that is flagged


class Mapping:
    """Amounts, sigma and flags of `shape`, (z, y, x) or (time, y, x).

    Blocks are ranges of the first axis; different ones may be filled at the same time.
    """

    def __init__(self, model: Model, shape: tuple[int, int, int], *, unexplained: bool = False, own: Fit | None = None):
        self.model, self._own = model, own
        self.amounts = np.zeros((len(model.names), *shape), np.float32)
        self.amounts_sigma = np.zeros_like(self.amounts)
        self.sigma = np.zeros(shape, np.float32)
        self.flags = np.zeros(shape, np.uint8)
        self._attenuation = np.zeros(shape, np.float32) if unexplained else None
        self._residuals: dict[int, NDArray[np.float16]] = {}  # of the particle's voxels, by the block's first row

    def outside(self, center_px: float) -> None:
        """Flag the voxels that some view does not see, for an axis at column `center_px`."""
        self.flags[:, ~seen_by_all(self.flags.shape[2], center_px)] |= np.uint8(Flag.OUTSIDE)

    def fit(self, block: slice, mu: Values, variance: Values, repaired: NDArray[np.intp]) -> Tally:
        """Fit `mu` (energy, ...) of a block; `repaired` counts rays and broadcasts to the block."""
        model, count, grid = self.model, len(self.model.names), mu.shape[1:]
        flat = mu.reshape(len(mu), -1)
        spread = variance.reshape(len(mu), -1)
        if self._own is not None:
            found = fitted(self._own, flat, spread, model.energies_eV, model.design, model.weights, count)
        else:
            found = linear_combination(flat, spread, model.design, model.weights, count, constraint=model.constraint)
        self.put(block, found.amounts.reshape(count, *grid), found.covariance.reshape(count, count, *grid), repaired)
        poor = found.chi2 - found.dof > 5 * np.sqrt(2 * np.maximum(found.dof, 1))
        self.flags[block] |= np.where(poor.reshape(grid), Flag.POOR_FIT, 0).astype(np.uint8)
        if self._attenuation is not None:
            left = residuals(mu, variance, model.design, model.weights)
            self._residuals[block.start] = left[:, self._particle(block)].astype(np.float16)
            self._attenuation[block] = mu.mean(axis=0)
        return tally(flat, found.amounts, model.names, found.chi2, found.dof, int(repaired.sum()))

    def _particle(self, block: slice) -> NDArray[np.bool_]:
        return np.asarray(self.amounts[:, block].sum(axis=0) >= 0.5)

    def put(self, block: slice, amounts: Values, covariance: Values, repaired: NDArray[np.intp]) -> None:
        """Amounts (species, ...) of a block and their covariance (species, species, ...)."""
        self.amounts[:, block] = amounts
        self.amounts_sigma[:, block] = np.sqrt(np.einsum("ii...->i...", covariance))
        self.sigma[block] = phase_fraction_sigma(amounts, covariance, self.model.names)
        self.flags[block] |= np.where(repaired > 0, Flag.REPAIRED, 0).astype(np.uint8)

    def result(self, voxel_um: float, **more: Any) -> AmountMap:
        """All blocks together; `more` are further fields of the map."""
        names = self.model.names
        if self._attenuation is not None:
            left = np.concatenate([self._residuals[row] for row in sorted(self._residuals)], axis=1)
            rarity = unexplained(left, self._attenuation, self._particle(slice(None)))
            self.flags |= np.where(rarity < _RARE, Flag.UNEXPLAINED, 0).astype(np.uint8)
        self.flags |= np.where(np.isnan(phase_fraction(self.amounts, names)), Flag.NO_IRON, 0).astype(np.uint8)
        return AmountMap(
            names,
            self.amounts,
            voxel_um,
            amounts_sigma=self.amounts_sigma,
            phase_fraction_sigma=self.sigma,
            flags=self.flags,
            **more,
        )
