"""Alignment by the sample itself: reconstruct the species from all energies, look at them again, and move each frame there.

Joint reprojection (Guersoy et al., Sci. Rep. 7 (2017) 11818) with one model for all energies: the paths of the standards' species
through the sample say how it looks at any energy, so frames are compared with their own contrast.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Annotated, Literal

import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from instrument.measurement import InputError

from ..prepare.geometry import Geometry
from ..prepare.rings import rough
from ..progress import Progress
from ..reconstruct.coverage import hidden_wave_px, largest_gap_rad
from .axis import Start, find_axis, from_centroids
from .centroid import turning
from .energy_scale import EDGES_EV_PER_UM, energy_offset
from .frames import Frames
from .registration import Displacement, Registration
from .reprojection import reprojected

Array = NDArray[np.float64]
Values = NDArray[np.float32]
DesignOf = Callable[[float], Array]
Magnification = Literal["stated", "linear", "free"]

_SMOOTHING_PX = (2.0, 1.0)  # of the first pass, of all others: what is finer no other view knows
_REACH_PX = 4.0  # further than that no gradient tells
_SIZES = (0.8, 1.25)  # of the image at any energy, over the first's: no microscope changes more
_RINGS_PX = 4.5  # the shortest wave that views must tell; by trial: with fewer the sample follows what is taken for rings
STILL_PX = 0.005  # rms change in a pass, below which none follows


@dataclass(frozen=True)
class Align:
    """What is found from the data themselves before reconstruction; what is left out is taken as the files state it."""

    center: Annotated[bool, Meta(description="the rotation axis' column; with shifts it is found anyway")] = False
    shifts: Annotated[bool, Meta(description="shift of every frame, along row and column, and with them the axis")] = False
    magnification: Annotated[
        Magnification,
        Meta(
            description="size of the image at each energy against the first: as 'stated' in the files, or found; 'linear': the "
            "pixel goes straight with the energy, as behind a zone plate that is refocused; 'free': each energy for itself"
        ),
    ] = "stated"
    roll: Annotated[bool, Meta(description="tilt of the rotation axis in the detector's plane")] = False
    rings: Annotated[
        bool, Meta(description="errors of a pixel that all views of an energy share, beyond the sample as it is found")
    ] = False
    energy: Annotated[bool, Meta(description="one offset of the scan's energies from those of the standards")] = False
    passes: Annotated[int, Meta(ge=1, le=100, description="reconstructions and reprojections at most")] = 8

    @property
    def is_wanted(self) -> bool:
        """Whether anything is to be found."""
        return self.center or self.is_iterated

    @property
    def is_iterated(self) -> bool:
        """Whether reconstructions are needed for that."""
        return self.shifts or self.magnification != "stated" or self.roll or self.rings or self.energy


@dataclass(frozen=True)
class Alignment:
    """What was found, and how well it is known; NaN sigma where nothing was sought.

    Of `geometry.shifts_px` a common cosine and sine of the angle across the axis, and a constant along it, are the sample's own
    place. `pattern` (energy, row, column) is the pixels' own error. `changes_px` (pass,) is the rms over frames by which the
    image of a point half way to the corner moved in a pass.
    """

    geometry: Geometry
    pattern: Values
    energy_offset_eV: float
    center_sigma_px: float
    shifts_sigma_px: Array
    scale_sigma: Array
    roll_sigma_rad: float
    energy_offset_sigma_eV: float
    changes_px: Array

    def of_views(self, views: slice) -> "Alignment":
        """The same of some of the views alone."""
        geometry = replace(self.geometry, shifts_px=self.geometry.shifts_px[:, views])
        return replace(self, geometry=geometry, shifts_sigma_px=self.shifts_sigma_px[:, views])


def align(
    frames: Frames,
    geometry: Geometry,
    energies_eV: Array,
    design_of: DesignOf,
    weights: Array,
    wanted: Align,
    progress: Progress | None = None,
) -> Alignment:
    """Axis, shifts, size, tilt, rings and energy offset of a scan that is stated to have `geometry`.

    `design_of` an energy offset (eV) is the fit's (energy, unknown) there, `weights` (energy,) are those of the fit. Raises
    InputError where the axis cannot be found, or frames do not tell where they lie. Sigma of an alignment that is not at rest
    after the last pass holds what that pass moved.
    """
    if wanted.rings and hidden_wave_px(frames.angles_rad, frames.shape[1]) > _RINGS_PX:
        gap, most = np.rad2deg([largest_gap_rad(frames.angles_rad), 2 * _RINGS_PX / frames.shape[1]])
        raise InputError(
            f"analysis.align.rings: the views leave a gap of {gap:.3g} degrees, which tells rings from no sample; allowed is at "
            f"most {most:.2g} degrees with {frames.shape[1]} columns; take more views, or analysis.prepare.rings"
        )
    start = _start(frames, geometry, wanted)
    geometry, center_sigma, count = start.geometry, start.center_sigma_px, frames.energies
    nothing = np.broadcast_to(np.float32(0), (count, *frames.shape))
    pattern = nothing.copy() if wanted.rings else nothing
    offset, offset_sigma = 0.0, float("nan")
    step = _not_sought(geometry)
    scale_sigma, changes, centers = step.scale_sigma, [], [geometry.center_px]
    for number in range(wanted.passes if wanted.is_iterated else 0):
        spectra = design_of(offset)
        views = reprojected(frames, geometry, pattern, spectra, weights)
        coarse = number < len(_SMOOTHING_PX) - 1
        smoothing = _SMOOTHING_PX[min(number, len(_SMOOTHING_PX) - 1)]
        # While frames are far off, what all views share is worth more than pixels' errors spoil.
        registration = Registration(
            views, spectra, weights, frames.angles_rad, smoothing_px=smoothing, patterned=wanted.rings and not coarse
        )
        sides = np.empty((count, len(views) + 1))
        for i in range(count):
            straight = frames.straight(i, geometry, pattern[i])
            registration.add(i, straight)
            sides[i] = _products(views, straight)
            if wanted.rings:
                left = straight - np.tensordot(spectra[i].astype(np.float32), views, axes=1)
                pattern[i] += rough(frames.misplaced(left, i, geometry).mean(axis=1))
            if progress:
                progress("align", number * count + i + 1, wanted.passes * count)
        step = solved(registration, frames, wanted)
        before, (geometry, scale_sigma) = geometry, _corrected(geometry, step, energies_eV, frames.angles_rad, wanted)
        check_sense(geometry, frames)
        changes.append(_change_px(before, geometry, frames.shape))
        centers.append(geometry.center_px)
        if wanted.shifts:
            center_sigma = _center_sigma(step, centers)
        settled = changes[-1] < STILL_PX
        if wanted.energy:
            last, (offset, offset_sigma) = offset, energy_offset(*_spectra_of(views, sides), weights, design_of)
            settled &= abs(offset - last) < offset_sigma
        if settled and not coarse:
            break
    if changes and not settled:  # what the last pass still moved is not known better than that
        step = replace(step, shifts_sigma_px=np.hypot(step.shifts_sigma_px, changes[-1]))
        scale_sigma = np.hypot(scale_sigma, np.abs(geometry.scale - before.scale))
    sigmas = center_sigma, step.shifts_sigma_px, scale_sigma, step.roll_sigma_rad
    offset_sigma = float(np.hypot(offset_sigma, EDGES_EV_PER_UM * frames.pixel_um))
    return Alignment(geometry, pattern, offset, *sigmas, offset_sigma, np.array(changes))


def solved(registration: Registration, frames: Frames, wanted: Align) -> Displacement:
    """What the registration finds. Raises InputError where it finds nothing that makes sense."""
    try:
        step = registration.solve(scale=wanted.magnification != "stated", roll=wanted.roll)
        found = bool(np.isfinite(step.shifts_px).all() and np.isfinite(step.scale).all())
    except np.linalg.LinAlgError:
        found = False
    if not found or (wanted.magnification != "stated" and not (step.scale_sigma > 0).all()):
        raise _told_nothing(frames)
    return step


def check_sense(geometry: Geometry, frames: Frames) -> None:
    """InputError for an image that has changed size or moved as none does."""
    low, high = _SIZES
    if (
        not (low < geometry.scale.min() and geometry.scale.max() < high)
        or np.abs(geometry.shifts_px).max() > min(frames.shape) / 2
    ):
        raise _told_nothing(frames)


def _told_nothing(frames: Frames) -> InputError:
    views, turned = len(frames.angles_rad), np.rad2deg(np.ptp(frames.angles_rad))
    return InputError(
        f"analysis.align: {views} views over {turned:.4g} degrees at {frames.energies} energies do not tell where frames "
        "lie; allowed are views of half a turn in which the sample stays inside the field; align less, or say more (--center)"
    )


def _start(frames: Frames, geometry: Geometry, wanted: Align) -> Start:
    """Axis, and shifts if these are wanted, before any reconstruction."""
    if wanted.shifts and (found := from_centroids(frames, geometry)):
        return found
    if wanted.center:
        found = find_axis(frames, geometry)
        return replace(found, geometry=replace(geometry, center_px=found.geometry.center_px))
    return Start(geometry, float("nan"))


def _not_sought(geometry: Geometry) -> Displacement:
    shifts, scale = np.zeros_like(geometry.shifts_px), np.zeros(len(geometry.scale))
    return Displacement(shifts, scale, 0.0, np.full_like(shifts, np.nan), np.full_like(scale, np.nan), float("nan"))


def _center_sigma(step: Displacement, centers: list[float]) -> float:
    """Of the axis, pixels. It settles last: what two passes move it by is about what is left."""
    by_chance = float(np.sqrt(np.mean(step.shifts_sigma_px[..., 1] ** 2) / step.shifts_px[..., 1].size))
    return float(np.hypot(by_chance, centers[-1] - centers[max(len(centers) - 3, 0)]))


def _products(views: Values, frames: Values) -> Array:
    """Of frames (row, angle, column) with each path (unknown, row, angle, column), and their own sum, (unknown + 1,)."""
    return np.append(np.einsum("krac,rac->kr", views, frames).sum(axis=1, dtype=float), frames.sum(dtype=float))


def _spectra_of(views: Values, sides: Array) -> tuple[Array, Array]:
    """Spectra (energy, unknown) of the paths' shares in frames, and the paths' sums of squares about their means.

    `sides` (energy, unknown + 1) are the frames' `_products`.
    """
    flat = views.reshape(len(views), -1)
    mean = flat.mean(axis=1, dtype=float)
    squares = flat @ flat.T - flat.shape[1] * np.outer(mean, mean)
    return np.linalg.solve(squares, (sides[:, :-1] - sides[:, -1:] * mean).T).T, squares


def _corrected(
    geometry: Geometry, step: Displacement, energies_eV: Array, angles_rad: Array, wanted: Align
) -> tuple[Geometry, Array]:
    """The geometry with a displacement put in, which is measured where nothing has moved; and sigma of the scale (energy,).

    What all energies' shifts have in common as an axis elsewhere goes there, as a sample elsewhere is dropped: over half a turn
    the two are much alike, and told apart together. The first energy's size is 1.
    """
    shifts, center = geometry.shifts_px.copy(), geometry.center_px
    if wanted.shifts:
        steps = np.clip(step.shifts_px, -_REACH_PX, _REACH_PX)
        shifts += np.stack([part @ geometry.matrix(i).T for i, part in enumerate(steps)])
        shifts[..., 0] -= shifts[..., 0].mean()
        columns = turning(angles_rad)
        wave = np.linalg.lstsq(columns, shifts[..., 1].mean(axis=0), rcond=None)[0]
        shifts[..., 1] -= columns @ wave
        center += float(wave[0])
    scale, sigma = geometry.scale * (1 + step.scale), step.scale_sigma
    if wanted.magnification == "linear":
        scale, sigma = _straight_line(scale, sigma, energies_eV)
    elif wanted.magnification == "free":
        sigma = np.hypot(sigma, sigma[0])
    roll = geometry.roll_rad + step.roll_rad
    return Geometry(shifts, scale / scale[0], roll, center), sigma


def _change_px(before: Geometry, after: Geometry, shape: tuple[int, int]) -> float:
    """By how much, rms over frames, a point half way to the detector's corner lies elsewhere."""
    point = np.array(shape) / 4
    places = [
        one.shifts_px + np.stack([one.matrix(i) @ point for i in range(len(one.scale))])[:, None] for one in (before, after)
    ]
    return float(np.sqrt(np.mean((places[1] - places[0]) ** 2)))


def _straight_line(scale: Array, sigma: Array, energies_eV: Array) -> tuple[Array, Array]:
    """Scale whose inverse, the pixel, is a straight line in energy through that of the first; sigma from the scatter about it."""
    away = energies_eV / energies_eV[0] - 1
    columns = np.stack([np.ones(len(scale)), away], axis=1) / sigma[:, None]
    (pixel, slope), squares, *_ = np.linalg.lstsq(columns, 1 / scale / sigma, rcond=None)
    misfit = float(squares[0]) / (len(scale) - 2) if len(squares) and len(scale) > 2 else 1.0
    spread = np.sqrt(max(misfit, 1.0) * np.linalg.inv(columns.T @ columns)[1, 1])
    return 1 / (1 + slope / pixel * away), np.abs(away) * spread / pixel
