"""Laws of an alignment: align(stack (n, row, column), angles_rad or energies_eV) -> shifts (n, 2), pixels (row, column).

A shift says how far an image has moved. Which of the two a function takes, its second parameter's name says. Of views a constant
along rows, and constant, cosine and sine of the angle across them, are the sample's own place; of energies, the mean shift is.
"""

from dataclasses import dataclass, replace

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from .law import Broken, Function, Law, checked, close, law, sealed

Array = NDArray[np.float64]

_CLOUDS = 14  # so many that none stands for the sample
_VIEWS_PX = 6.0  # of each unit of noise, rms over all images: four times what it leaves
_SIGMAS = 6.0  # all of an error may lie in one combination of shifts
_SAME_PX = 0.05  # between two answers that should be alike
_FURTHER_PX = 0.2, 0.1  # of an image that has been moved on, and rms over all


@dataclass(frozen=True)
class Frames:
    """Images of a sample of a few Gaussian clouds, each moved by up to `reach_px` along rows and columns.

    `kind` "angles": of one energy at `images` angles over half a turn; "energies": of one view at `images` energies across the
    edges, closer together there, at which two species absorb differently. `noise` is over the largest depth.
    """

    kind: str
    images: int = 24
    rows: int = 40
    columns: int = 48
    reach_px: float = 2.0
    noise: float = 0.01
    seed: int = 0

    @property
    def values(self) -> Array:
        """Angles, rad, or energies, eV."""
        if self.kind == "angles":
            return np.pi * np.arange(self.images) / self.images
        share = np.linspace(-1, 1, self.images)
        return np.asarray(7124 + 6 * share + 24 * share**3)

    @property
    def shifts(self) -> Array:
        """(n, 2), what an alignment can know of them."""
        rng = np.random.default_rng([self.seed, 1])
        return self.known(self.reach_px * rng.uniform(-1, 1, (self.images, 2)))

    def known(self, shifts: Array) -> Array:
        """Shifts less what is the sample's own place."""
        columns = np.ones((self.images, 1))
        left = shifts - shifts.mean(axis=0)
        if self.kind == "angles":
            columns = np.stack([np.ones(self.images), np.cos(self.values), np.sin(self.values)], axis=1)
        left[:, 1] -= columns @ np.linalg.lstsq(columns, left[:, 1], rcond=None)[0]
        return np.asarray(left)

    @property
    def allowed_px(self) -> float:
        """How far shifts may be from the truth, rms.

        Of energies six times what noise leaves to whoever knows that there are two species, but neither their images nor their
        spectra (the bound of Cramer and Rao): where they would change places, a frame's contrast looks like its shift.
        """
        if self.kind == "angles":
            return _VIEWS_PX * self.noise
        still = replace(self, noise=0.0, reach_px=0.0).stack()
        spectra, sizes, images = np.linalg.svd(still.reshape(self.images, -1), full_matrices=False)
        slopes = np.stack(list(np.gradient(still, axis=(1, 2))), axis=1).reshape(2 * self.images, -1)
        changes = np.concatenate([slopes, np.tile(sizes[:2, None] * images[:2], (self.images, 1))])
        frame = np.tile(np.repeat(np.arange(self.images), 2), 2)
        apart = (np.eye(self.images) - spectra[:, :2] @ spectra[:, :2].T)[np.ix_(frame, frame)]
        covariance = np.linalg.pinv(changes @ changes.T * apart, rcond=1e-9, hermitian=True)[: len(slopes), : len(slopes)]
        known = np.eye(len(slopes)) - np.kron(np.ones((self.images, self.images)) / self.images, np.eye(2))
        variance = np.trace(known @ covariance @ known) / len(slopes)
        return float(_SIGMAS * self.noise * still.max() * np.sqrt(variance))

    def stack(self, shifts: Array | None = None) -> Array:
        """Optical depth (n, row, column) with noise."""
        rng = np.random.default_rng([self.seed, 2])
        moved = self.shifts if shifts is None else shifts
        size = min(self.rows, self.columns)
        middles = 0.13 * size * rng.normal(size=(_CLOUDS, 3)).clip(-1.2, 1.2)  # z, x, y
        widths = size * rng.uniform(0.05, 0.09, _CLOUDS)
        depths, kinds = rng.uniform(0.2, 0.5, _CLOUDS), np.arange(_CLOUDS) % 2
        if self.kind == "angles":
            u = middles[:, 1] * np.cos(self.values)[:, None] + middles[:, 2] * np.sin(self.values)[:, None]
            strength = np.ones((self.images, _CLOUDS))
        else:
            u = np.broadcast_to(middles[:, 1], (self.images, _CLOUDS))
            edges = np.stack([1 / (1 + np.exp(-(self.values - edge) / 1.5)) for edge in (7121.0, 7126.0)], axis=1)
            strength = 0.25 + edges[:, kinds]
        row, column = (np.arange(n) - (n - 1) / 2 for n in (self.rows, self.columns))
        down = row[None, None] - middles[None, :, :1] - moved[:, None, :1]
        across = column[None, None] - u[..., None] - moved[:, None, 1:]
        narrow = 2 * widths[None, :, None] ** 2
        frames = np.einsum("nc,ncr,ncu->nru", depths * strength, np.exp(-(down**2) / narrow), np.exp(-(across**2) / narrow))
        return np.asarray(frames + self.noise * frames.max() * rng.normal(size=frames.shape))


def found(align: Function, case: Frames, stack: Array | None = None, values: Array | None = None) -> Array:
    """The shifts that an alignment finds, less the sample's own place."""
    answer = align(sealed(case.stack() if stack is None else stack), sealed(case.values if values is None else values))
    shifts = checked(answer, (case.images, 2))
    if not np.isfinite(shifts).all():
        raise Broken(f"{np.sum(~np.isfinite(shifts))} of {shifts.size} shifts are not finite")
    return case.known(shifts)


def _close(shifts: Array, wanted: Array, what: str, allowed: float = _SAME_PX) -> None:
    close(shifts, wanted, allowed, what, " pixels")


def laws_of(kind: str) -> tuple[Law, ...]:
    """The laws for an alignment of views (`kind` "angles") or of energies ("energies")."""
    images = st.integers(20, 30) if kind == "angles" else st.integers(14, 20)
    sizes = {"rows": st.integers(36, 43), "columns": st.integers(44, 51)}
    cases = st.builds(Frames, st.just(kind), images=images, seed=st.integers(0, 10**6), **sizes)
    still = st.builds(replace, cases, reach_px=st.just(0.0))

    @law(cases, examples=4)
    def answers(align: Function, case: Frames) -> None:
        """Finite numbers come back, a row and a column for each image."""
        found(align, case)

    @law(cases, examples=2)
    def says_the_same_again(align: Function, case: Frames) -> None:
        """The same images give the same shifts, whatever was aligned in between."""
        first = found(align, case)
        found(align, replace(case, seed=case.seed + 1))
        _close(found(align, case), first, "a second answer differs from the first", 1e-6)

    @law(cases, examples=6)
    def finds_the_shifts(align: Function, case: Frames) -> None:
        """Rows and columns by which images have moved, sign and order as the contract says; contrast that changes is no shift."""
        _close(found(align, case), case.shifts, "shifts away from the truth", case.allowed_px)

    @law(still, examples=3)
    def leaves_alone_what_stands_still(align: Function, case: Frames) -> None:
        """Images that have not moved are not moved."""
        _close(found(align, case), case.shifts, "shifts where nothing has moved", case.allowed_px)

    @law(st.tuples(cases, st.sampled_from([0.1, 3.0])), examples=3)
    def does_not_mind_how_dark(align: Function, case: tuple[Frames, float]) -> None:
        """As many times the optical depth, the same shifts."""
        one, factor = case
        _close(found(align, one, factor * one.stack()), found(align, one), f"at {factor:g} times the depth")

    @law(cases, examples=3)
    def does_not_mind_the_order(align: Function, case: Frames) -> None:
        """Images in another order give their shifts in that order."""
        order = np.random.default_rng(case.seed).permutation(case.images)
        other = np.empty((case.images, 2))
        other[order] = checked(align(case.stack()[order], case.values[order]), (case.images, 2))
        _close(case.known(other), found(align, case), "images in another order")

    @law(cases, examples=3)
    def turns_over_with_the_rows(align: Function, case: Frames) -> None:
        """Images upside down have moved the other way along rows."""
        _close(found(align, case, case.stack()[:, ::-1]), found(align, case) * [-1, 1], "images upside down")

    @law(cases, examples=3)
    def mirrors_with_the_columns(align: Function, case: Frames) -> None:
        """Images mirrored left to right have moved the other way across."""
        _close(found(align, case, case.stack()[:, :, ::-1]), found(align, case) * [1, -1], "images mirrored")

    @law(st.tuples(cases, st.integers(-3, 3), st.integers(-3, 3)), examples=4)
    def adds_a_further_shift(align: Function, case: tuple[Frames, int, int]) -> None:
        """One image moved on by whole pixels is found there."""
        one, rows, columns = case
        which = one.seed % one.images
        further = np.zeros((one.images, 2))
        further[which] = rows, columns
        stack = one.stack()
        stack[which] = np.roll(stack[which], (rows, columns), axis=(0, 1))
        off = found(align, one, stack) - found(align, one) - one.known(further)
        what = f"one image {rows} rows and {columns} columns further on"
        _close(off[which], np.zeros(2), f"{what}: its shift", _FURTHER_PX[0])
        _close(off, np.zeros_like(off), f"{what}: all shifts", _FURTHER_PX[1])

    @law(st.builds(replace, cases, noise=st.just(0.04)), examples=3)
    def errs_less_with_less_noise(align: Function, case: Frames) -> None:
        """A quarter of the noise is no worse, beyond what it leaves; all of it, 4 % of the largest depth, is no catastrophe."""
        quiet = replace(case, noise=case.noise / 4)
        many, few = (float(np.sqrt(np.mean((found(align, one) - one.shifts) ** 2))) for one in (case, quiet))
        # One combination of shifts may hold all of an error: with more noise it is then smaller now and then.
        most = max(many, quiet.allowed_px)
        if not (many <= case.allowed_px and few <= most):
            raise Broken(
                f"error at a quarter of the noise: {few:.3g} pixels, allowed {most:.3g}; with all of it {many:.3g}, "
                f"allowed {case.allowed_px:.3g}"
            )

    return (
        answers,
        says_the_same_again,
        finds_the_shifts,
        leaves_alone_what_stands_still,
        does_not_mind_how_dark,
        does_not_mind_the_order,
        turns_over_with_the_rows,
        mirrors_with_the_columns,
        adds_a_further_shift,
        errs_less_with_less_noise,
    )


ALIGN_VIEWS = laws_of("angles")
ALIGN_ENERGIES = laws_of("energies")
