"""Displacements of frames at all energies from what the species in them say they should look like, by least squares.

A frame y_E that lies a little off its model m_E = sum_k S_Ek L_k differs from it by -(shift . grad m), by -(q . grad m) for a
part of its size, and by a constant (Lucas and Kanade, Proc. IJCAI 1981, 674). The model carries the contrast, so an edge that
fades or turns at some energy does not draw the frame along. But the paths L come from the same frames, and give way: what a
displacement of one energy does to them is projected out (variable projection; Golub and Pereyra, Inverse Problems 19 (2003)
R1). What all energies of a view share is left to the other views, whose reconstruction the paths come from.

Standards that are a little off look like a change of size: the strength of each species at each energy is fitted beside it. An
axis that leans looks much like a sample whose slices are shifted against each other: that is fitted beside the tilt.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from .centroid import turning

Array = NDArray[np.float64]
Values = NDArray[np.float32]

_OWN = 3  # unknowns of a frame: two shifts and a constant
_TILTS = 5  # one is the axis', four the sample's
_SHARED = 0.02  # weight of the other views' say; a large one lets the paths follow their frames, and is slow
_HIDDEN = 1e-3  # share of what known paths would tell
_TRUST = 0.7  # of a step where pixels err: their share in the views' mean is known roughly, and full steps swing to and fro
_PATTERN = 0.99  # share of the mean over views that is taken for the pixels' own error, if it is not trusted


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
    (energy,), `angles_rad` (angle,). Smoothing widens the reach to about twice itself. `patterned`: pixels have errors of their
    own in all views of an energy, so what all views have in common says little.
    """

    def __init__(
        self,
        views: Values,
        spectra: Array,
        weights: Array,
        angles_rad: Array,
        *,
        smoothing_px: float = 0.0,
        patterned: bool = False,
    ):
        self._views = _smooth(views, smoothing_px)
        self._spectra, self._weights, self._angles, self._smoothing = spectra, weights, angles_rad, smoothing_px
        self._pattern = _PATTERN if patterned else 0.0
        species, rows, angles, columns = views.shape
        count = 6 * species + 1
        self._gram = np.empty((angles, count, count))
        mean = np.zeros((count, rows * columns), np.float32)
        for k in range(angles):
            basis = self._basis(k)
            self._gram[k] = basis @ basis.T
            mean += basis / np.float32(angles)
        self._gram_of_mean = (mean @ mean.T).astype(float)
        self._sides = np.zeros((len(spectra), angles, count))
        self._power = np.zeros(len(spectra))

    def _basis(self, view: int) -> Values:
        """What changes each species' image: along, across, size, turn, lean, strength; and a constant; (6 species + 1, pixel)."""
        images = self._views[:, :, view]
        rows, columns = images.shape[1:]
        v = (np.arange(rows) - (rows - 1) / 2).astype(np.float32)[:, None]
        u = (np.arange(columns) - (columns - 1) / 2).astype(np.float32)
        along, across = np.gradient(images, axis=(1, 2))
        parts = np.stack([along, across, v * along + u * across, v * across - u * along, v * across, images])
        return np.concatenate([parts.reshape(6 * len(images), -1), np.ones((1, rows * columns), np.float32)])

    def add(self, energy: int, frames: Values) -> None:
        """Take in the straightened frames (row, angle, column) of an energy."""
        frames = _smooth(frames, self._smoothing)
        left = frames - np.tensordot(self._spectra[energy].astype(np.float32), self._views, axes=1)
        left -= np.float32(self._pattern) * left.mean(axis=1, keepdims=True)
        for k in range(frames.shape[1]):
            self._sides[energy, k] = self._basis(k) @ left[:, k].ravel()
        # What a gradient of the sample sees is noise of long waves, which interpolation has left.
        self._power[energy] = 4 * np.pi * float(np.square(_smooth(left, 1.0), dtype=float).sum())

    def solve(self, *, scale: bool, roll: bool) -> Displacement:
        """The displacement of all frames that best explains what is left."""
        s, w = self._spectra, self._weights
        energies, species = s.shape
        weighted = s * w[:, None]
        kept = np.diag(w) - weighted @ np.linalg.solve(s.T @ weighted, weighted.T)
        apart = kept + _SHARED * np.diag(w)
        lever = self._lever()
        sought = np.append(np.tile([scale, *[True] * species], energies), [roll] * _TILTS)
        turned = turning(self._angles)[:, 1:]

        def blocks(gram: Array, between: Array, gather: Array) -> tuple[Array, Array, Array]:
            """Normal matrix of a frame's own unknowns at all energies, between them and the shared ones, and of these."""
            normal = np.einsum("ebp,bc,fcq,ef->epfq", lever, gram, lever, between, optimize=True)
            own = normal[:, :_OWN, :, :_OWN].reshape(energies * _OWN, -1)
            mixed = np.tensordot(normal[:, :_OWN, :, _OWN:], gather, axes=2).reshape(len(own), -1)
            return own, mixed, np.einsum("epx,epfq,fqy->xy", gather, normal[:, _OWN:, :, _OWN:], gather, optimize=True)

        gathers = [_gather(energies, species, part)[..., sought] for part in turned]
        parts = [blocks(gram, apart, gather) for gram, gather in zip(self._gram, gathers, strict=True)]
        own, mixed, common = (np.array(part) for part in zip(*parts, strict=True))
        sides = np.einsum("ebp,ekb->kep", lever, np.einsum("ef,fkb->ekb", apart, self._sides))
        right = sides[..., :_OWN].reshape(len(own), -1)
        right_common = np.einsum("kep,kepx->x", sides[..., _OWN:], np.array(gathers))
        # What leans to and fro with the angle leaves no mean over the views.
        middle, aside, whole = blocks(self._gram_of_mean, apart, _gather(energies, species, np.zeros(2))[..., sought])
        pattern = self._pattern * len(own) * np.block([[middle, aside], [aside.T, whole]])
        found, both, covariance = _solve(own, mixed, common.sum(axis=0), right, right_common, pattern)

        variance = float(w @ self._power) / (energies * self._views[0].size)
        alone, known = (np.array([blocks(gram, part, gathers[0])[0] for gram in self._gram]) for part in (kept, np.diag(w)))
        spread = _variances(alone, known).reshape(-1, energies, _OWN)
        shared, shared_sigma = np.zeros(len(sought)), np.full(len(sought), np.nan)
        shared[sought], shared_sigma[sought] = both, np.sqrt(variance * np.maximum(np.diag(covariance), 0))[len(middle) :]
        sizes = np.arange(energies) * (1 + species)
        trust = _TRUST if self._pattern else 1.0
        return Displacement(
            trust * found.reshape(-1, energies, _OWN)[..., :2].transpose(1, 0, 2),
            trust * shared[sizes],
            trust * float(shared[-_TILTS]),
            np.sqrt(variance * spread[..., :2]).transpose(1, 0, 2),
            shared_sigma[sizes],
            float(shared_sigma[-_TILTS]),
        )

    def _lever(self) -> Array:
        """The unknowns in terms of the basis, (energy, basis, unknown).

        Of each frame: along, across, constant; of each energy: size, turn, lean, strength of each species.
        """
        s = self._spectra
        energies, species = s.shape
        lever = np.zeros((energies, self._gram.shape[1], _OWN + 3 + species))
        for column, part in ((0, 0), (1, 1), (3, 2), (4, 3), (5, 4)):
            lever[:, part * species : (part + 1) * species, column] = -s
        lever[:, -1, 2] = 1.0
        for k in range(species):
            lever[:, 5 * species + k, _OWN + 3 + k] = 1.0
        return lever


def _gather(energies: int, species: int, turned: Array) -> Array:
    """From size, turn, lean and strengths of each energy, (energy, unknown), to those that frames share.

    Of each energy size and strengths; of all the turn, and the lean and the turn that go with `turned`, cosine and sine of the
    angle: a sample that is sheared.
    """
    out = np.zeros((energies, 3 + species, energies * (1 + species) + _TILTS))
    for e in range(energies):
        for place, part in enumerate([0, *range(3, 3 + species)]):
            out[e, part, e * (1 + species) + place] = 1.0
    out[:, 1, -_TILTS] = 1.0
    out[:, 2, -4:-2] = out[:, 1, -2:] = turned
    return out


def _solve(
    own: Array, mixed: Array, common: Array, right: Array, right_common: Array, pattern: Array
) -> tuple[Array, Array, Array]:
    """Unknowns of each frame, those they share, and the inverse of the matrix for (mean over frames of the first, the second).

    The matrix is an arrow of `own` (frame, n, n), `mixed` (frame, n, m) and `common` (m, m), less `pattern` (n + m, n + m) for
    that mean and the shared ones (Woodbury's identity).
    """
    frames, n, m = mixed.shape
    inverse = np.linalg.pinv(own, hermitian=True)
    gain = inverse @ mixed
    reduced = np.linalg.pinv(common - np.einsum("kic,kid->cd", mixed, gain), rcond=1e-9, hermitian=True)

    def arrow(sides: Array, sides_common: Array) -> tuple[Array, Array]:
        both = reduced @ (sides_common - np.einsum("kic,kir->cr", gain, sides))
        return inverse @ sides - gain @ both, both

    first, first_common = arrow(right[..., None], right_common[:, None])
    one = np.concatenate([np.eye(n), np.zeros((n, m))], axis=1) / frames
    across, across_common = arrow(np.broadcast_to(one, (frames, n, n + m)), np.eye(n + m)[n:])
    inner = np.concatenate([across.mean(axis=0), across_common])
    open_loop = np.eye(n + m) - inner @ pattern
    lift = pattern @ np.linalg.solve(open_loop, np.concatenate([first.mean(axis=0), first_common]))
    covariance = np.linalg.solve(open_loop, inner)
    return (first + across @ lift)[..., 0], (first_common + across_common @ lift)[:, 0], covariance


def _variances(alone: Array, known: Array) -> Array:
    """Variances (frame, n) of a frame's unknowns, from normal matrices (frame, n, n) with paths that give way, or are known.

    What paths that give way would hide altogether is as well known as against paths that the other views fix.
    """
    root = np.linalg.inv(np.linalg.cholesky(known))
    values, vectors = np.linalg.eigh(root @ alone @ root.transpose(0, 2, 1))
    spread = np.where(values < _HIDDEN, 1.0, 1 / np.maximum(values, _HIDDEN))
    back = root.transpose(0, 2, 1) @ vectors
    return np.asarray(np.einsum("kij,kj,kij->ki", back, spread, back))


def _smooth(frames: Values, sigma_px: float) -> Values:
    """Images (..., row, angle, column) smoothed along rows and columns."""
    return gaussian_filter(frames, sigma_px, axes=(-3, -1)) if sigma_px else frames
