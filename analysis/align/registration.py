"""Displacements of frames at all energies from what the species in them say they should look like, by least squares.

A frame y_E that lies a little off its model m_E = sum_k S_Ek L_k differs from it by -(shift . grad m), by -(q . grad m) for a
part of its size, and by a constant (Lucas and Kanade, Proc. IJCAI 1981, 674). The model carries the contrast, so an edge that
fades or turns at some energy does not draw the frame along. But the paths L come from the same frames, and give way: what a
displacement of one energy does to them is projected out (variable projection; Golub and Pereyra, Inverse Problems 19 (2003)
R1). What all energies of a view share is left to the other views, whose reconstruction the paths come from.

Standards that are a little off look like a change of size: the strength of each species at each energy is fitted beside it.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

Array = NDArray[np.float64]
Values = NDArray[np.float32]

_OWN = 3  # unknowns of a frame: two shifts and a constant
_SHARED = 0.02  # weight of the other views' say; a large one lets the paths follow their frames, and is slow


@dataclass(frozen=True)
class Displacement:
    """How far frames lie off, and how well that is known.

    `shifts_px` (energy, angle, 2) is (row, column), `scale` (energy,) relative size less 1, `roll_rad` a turn common to all.
    Sigma follows from what is left between frames and models; NaN for what was not sought.
    """

    shifts_px: Array
    scale: Array
    roll_rad: float
    shifts_sigma_px: Array
    scale_sigma: Array
    roll_sigma_rad: float


class Registration:
    """Sums over the frames of all energies, energy by energy, and the displacement they call for.

    `views` (species, row, angle, column) are the paths as reconstructed, `spectra` (energy, species) the standards, `weights`
    (energy,). Smoothing widens the reach to about twice itself.
    """

    def __init__(self, views: Values, spectra: Array, weights: Array, smoothing_px: float = 0.0):
        self._views = _smooth(views, smoothing_px)
        self._spectra, self._weights, self._smoothing = spectra, weights, smoothing_px
        species, _, angles, _ = views.shape
        count = 5 * species + 1
        self._gram = np.empty((angles, count, count))
        for k in range(angles):
            basis = self._basis(k)
            self._gram[k] = basis @ basis.T
        self._sides = np.zeros((len(spectra), angles, count))
        self._power = np.zeros(len(spectra))

    def _basis(self, view: int) -> Values:
        """What changes each species' image: along, across, size, turn, strength; and a constant; (5 species + 1, pixel)."""
        images = self._views[:, :, view]
        rows, columns = images.shape[1:]
        v = (np.arange(rows) - (rows - 1) / 2).astype(np.float32)[:, None]
        u = (np.arange(columns) - (columns - 1) / 2).astype(np.float32)
        along, across = np.gradient(images, axis=(1, 2))
        parts = np.stack([along, across, v * along + u * across, v * across - u * along, images])
        return np.concatenate([parts.reshape(5 * len(images), -1), np.ones((1, rows * columns), np.float32)])

    def add(self, energy: int, frames: Values) -> None:
        """Take in the straightened frames (row, angle, column) of an energy."""
        frames = _smooth(frames, self._smoothing)
        left = frames - np.tensordot(self._spectra[energy].astype(np.float32), self._views, axes=1)
        for k in range(frames.shape[1]):
            self._sides[energy, k] = self._basis(k) @ left[:, k].ravel()
        self._power[energy] = float(np.square(left, dtype=float).sum())

    def solve(self, *, scale: bool, roll: bool) -> Displacement:
        """The displacement of all frames that best explains what is left."""
        energies, species = self._spectra.shape
        angles = len(self._gram)
        s, w = self._spectra, self._weights
        weighted = s * w[:, None]
        kept = np.diag(w) - weighted @ np.linalg.solve(s.T @ weighted, weighted.T)
        lever = self._lever()
        apart = kept + _SHARED * np.diag(w)
        count, shared = energies * _OWN, energies * (1 + species) + 1
        own, mixed = np.empty((angles, count, count)), np.empty((angles, count, shared))
        common, right_common = np.zeros((shared, shared)), np.zeros(shared)
        right = np.empty((angles, count))
        told = np.zeros((angles, _OWN, _OWN))
        relative = np.empty((angles, count))
        # From the unknowns of all energies (energy, unknown) to those that frames share: the turn is common to all.
        gather = np.zeros((energies, 2 + species, shared))
        for e in range(energies):
            for place, part in enumerate([0, *range(2, 2 + species)]):
                gather[e, part, e * (1 + species) + place] = 1.0
        gather[:, 1, -1] = 1.0
        for k in range(angles):
            gram = np.einsum("ebp,bc,fcq->epfq", lever, self._gram[k], lever, optimize=True)
            normal = gram * apart[:, None, :, None]
            side = np.einsum("ebp,eb->ep", lever, apart @ self._sides[:, k])
            own[k] = normal[:, :_OWN, :, :_OWN].reshape(count, count)
            right[k] = side[:, :_OWN].ravel()
            mixed[k] = np.tensordot(normal[:, :_OWN, :, _OWN:], gather, axes=2).reshape(count, shared)
            common += np.einsum("epx,epfq,fqy->xy", gather, normal[:, _OWN:, :, _OWN:], gather, optimize=True)
            right_common += np.tensordot(side[:, _OWN:], gather, axes=2)
            told[k] = np.einsum("epeq,e->pq", gram[:, :_OWN, :, :_OWN], w)
            alone = (gram * kept[:, None, :, None])[:, :_OWN, :, :_OWN].reshape(count, count)
            relative[k] = np.diag(np.linalg.pinv(alone, rcond=1e-6, hermitian=True))
        inverse = np.linalg.pinv(own, hermitian=True)
        gain = inverse @ mixed
        reduced = common - np.einsum("kic,kid->cd", mixed, gain)
        sought = np.ones(shared, bool)
        sizes = np.arange(energies) * (1 + species)
        sought[sizes], sought[-1] = scale, roll
        reduced[~sought] = reduced[:, ~sought] = 0
        covariance = np.linalg.pinv(reduced, rcond=1e-9, hermitian=True)
        both = covariance @ (right_common - np.einsum("kic,ki->c", gain, right))
        found = np.einsum("kij,kj->ki", inverse, right - mixed @ both).reshape(angles, energies, _OWN)
        pixels = self._views[0].size
        variance = float(w @ self._power) / (energies * pixels)
        spread = relative.reshape(angles, energies, _OWN) + np.einsum("kii->ki", np.linalg.pinv(told, hermitian=True))[:, None]
        common_sigma = np.where(sought, np.sqrt(variance * np.maximum(np.diag(covariance), 0)), np.nan)
        return Displacement(
            found[..., :2].transpose(1, 0, 2),
            both[sizes],
            float(both[-1]),
            np.sqrt(variance * spread[..., :2]).transpose(1, 0, 2),
            common_sigma[sizes],
            float(common_sigma[-1]),
        )

    def _lever(self) -> Array:
        """The unknowns in terms of the basis, (energy, basis, unknown).

        Of each frame: along, across, constant; of each energy: size, turn, strength of each species.
        """
        s = self._spectra
        energies, species = s.shape
        lever = np.zeros((energies, self._gram.shape[1], _OWN + 2 + species))
        for column, part in ((0, 0), (1, 1), (3, 2), (4, 3)):
            lever[:, part * species : (part + 1) * species, column] = -s
        lever[:, -1, 2] = 1.0
        for k in range(species):
            lever[:, 4 * species + k, _OWN + 2 + k] = 1.0
        return lever


def _smooth(frames: Values, sigma_px: float) -> Values:
    """Images (..., row, angle, column) smoothed along rows and columns."""
    return gaussian_filter(frames, sigma_px, axes=(-3, -1)) if sigma_px else frames
