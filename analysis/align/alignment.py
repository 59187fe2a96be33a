"""Alignment by the sample itself: reconstruct the species from all energies, look at them again, and move each frame there.

Joint reprojection (Guersoy et al., Sci. Rep. 7 (2017) 11818) with one model for all energies: the paths of the standards' species
through the sample say how it looks at any energy, so frames are compared with their own contrast.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal

import numpy as np
from msgspec import Meta
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from ..prepare.geometry import Geometry
from ..prepare.prepared import Prepared
from ..prepare.rings import rough
from ..reconstruct.fbp import FilteredBackprojection
from ..reconstruct.operators import Projector
from .centroid import centroids, moved
from .energy_scale import energy_offset
from .registration import Displacement, Registration

Array = NDArray[np.float64]
Floats = NDArray[np.floating[Any]]
Values = NDArray[np.float32]
Progress = Callable[[str, int, int], None]
DesignOf = Callable[[float], Array]
Magnification = Literal["stated", "linear", "free"]

_SMOOTHING_PX = (2.0, 1.0)  # of the first passes; then none


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
    passes: Annotated[int, Meta(ge=1, le=100, description="reconstructions and reprojections")] = 4

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
    place. `changes_px` (pass,) is the rms change of the shifts from pass to pass.
    """

    geometry: Geometry
    pattern: Array
    energy_offset_eV: float
    shifts_sigma_px: Array
    scale_sigma: Array
    roll_sigma_rad: float
    energy_offset_sigma_eV: float
    changes_px: Array


def align(
    prepared: Prepared, design_of: DesignOf, weights: Array, wanted: Align, *, threads: int = 1, progress: Progress | None = None
) -> Alignment:
    """Shifts, size, tilt and energy offset of a scan. `design_of` an energy offset (eV) is the fit's (energy, unknown) there.

    `weights` (energy,) are those of the fit.
    """
    energies, (rows, columns), angles = len(prepared.scan.energies_eV), prepared.shape, prepared.scan.angles_rad
    geometry = first_guess(prepared) if wanted.shifts else prepared.geometry
    offset, offset_sigma = 0.0, float("nan")
    views: Values | None = None
    changes = []
    for number in range(wanted.passes + 1):
        spectra = design_of(offset)
        estimator = np.linalg.solve(spectra.T @ (spectra * weights[:, None]), (spectra * weights[:, None]).T).astype(np.float32)
        if views is not None:
            smoothing = _SMOOTHING_PX[number - 1] if number <= len(_SMOOTHING_PX) else 0.0
            registration = Registration(views, spectra, weights, smoothing)
            pattern = prepared.pattern.copy() if wanted.rings else prepared.pattern
            for i in range(energies):
                raw = _on_detector(prepared, i)
                frames = _straight(raw, geometry, i, threads)
                registration.add(i, frames)
                if wanted.rings:
                    model = np.tensordot(spectra[i].astype(np.float32), views, axes=1)
                    pattern[i] += rough(_each_view(geometry.misplace, frames - model, i, threads).mean(axis=1))
                if progress:
                    progress("align", (2 * number - 1) * energies + i + 1, (2 * wanted.passes + 1) * energies)
            prepared = replace(prepared, pattern=pattern)
            step = registration.solve(scale=wanted.magnification != "stated", roll=wanted.roll)
            before = geometry.shifts_px
            geometry, scale_sigma = _corrected(geometry, step, prepared.scan.energies_eV, wanted)
            changes.append(float(np.sqrt(np.mean((geometry.shifts_px - before) ** 2))))
        if number == wanted.passes:
            break
        paths = np.zeros((spectra.shape[1], rows, len(angles), columns), np.float32)
        regression = _Regression(views)
        for i in range(energies):
            frames = _straight(_on_detector(prepared, i), geometry, i, threads)
            regression.add(frames)
            for path, share in zip(paths, estimator[:, i], strict=True):
                path += share * frames
            if progress:
                progress("align", 2 * number * energies + i + 1, (2 * wanted.passes + 1) * energies)
        if wanted.energy and views is not None:
            offset, offset_sigma = energy_offset(*regression.spectra(), weights, design_of)
        views = _look_again(paths, prepared, geometry, threads)
    sigmas = step.shifts_sigma_px, scale_sigma, step.roll_sigma_rad
    return Alignment(geometry, prepared.pattern, offset, *sigmas, offset_sigma, np.array(changes))


def first_guess(prepared: Prepared) -> Geometry:
    """Axis and shifts from the centres of mass, and from nothing where the sample reaches beyond the field."""
    scan, geometry = prepared.scan, prepared.geometry
    shifts = np.zeros(geometry.shifts_px.shape)
    axes, heights = np.zeros(len(shifts)), np.zeros(len(shifts))
    for i in range(len(shifts)):
        centres = centroids(prepared.on_detector(i, slice(0, scan.rows)).optical_depth)
        if np.isnan(centres).any():
            return geometry
        shifts[i], axes[i] = moved(centres, scan.angles_rad)[:2]
        heights[i] = centres[:, 0].mean()
    shifts[..., 0] += (heights - heights.mean())[:, None]
    shifts[..., 1] += (axes - axes.mean())[:, None]
    return replace(geometry, shifts_px=shifts, center_px=float(axes.mean()) + (scan.columns - 1) / 2)


class _Regression:
    """Sums from which the spectrum of each path's share in the frames follows."""

    def __init__(self, views: Values | None):
        self.views = None if views is None else views.reshape(len(views), -1)
        self.sides: list[Array] = []

    def add(self, frames: Values) -> None:
        if self.views is not None:
            self.sides.append(np.append(self.views @ frames.ravel(), frames.sum(dtype=float)))

    def spectra(self) -> tuple[Array, Array]:
        """Spectra (energy, unknown) and the paths' sums of squares about their means."""
        assert self.views is not None
        mean = self.views.mean(axis=1, dtype=float)
        squares = self.views @ self.views.T - self.views.shape[1] * np.outer(mean, mean)
        sides = np.array(self.sides)
        return np.linalg.solve(squares, (sides[:, :-1] - sides[:, -1:] * mean).T).T, squares


def _on_detector(prepared: Prepared, energy: int) -> Values:
    """All frames (row, angle, column) of an energy as the detector has them."""
    return prepared.on_detector(energy, slice(0, prepared.scan.rows)).optical_depth.astype(np.float32)


def _straight(raw: Values, geometry: Geometry, energy: int, threads: int) -> Values:
    """The same as if nothing had moved."""
    if geometry.is_straight:
        return raw
    shape = raw.shape[0], raw.shape[2]

    def straighten(images: Values, i: int, views: slice) -> Floats:
        return geometry.straighten(images, i, 0, slice(0, shape[0]), shape, views)

    return _each_view(straighten, raw, energy, threads)


def _each_view(change: Callable[[Values, int, slice], Floats], frames: Values, energy: int, threads: int) -> Values:
    """`change` of images (angle, row, column) on some views of `frames` (row, angle, column) after others, in threads."""
    images = frames.transpose(1, 0, 2)
    parts = [slice(low, low + 16) for low in range(0, len(images), 16)]
    with ThreadPoolExecutor(threads) as pool:
        changed = list(pool.map(lambda part: change(images[part], energy, part), parts))
    return np.ascontiguousarray(np.concatenate(changed).transpose(1, 0, 2))


def _corrected(geometry: Geometry, step: Displacement, energies_eV: Array, wanted: Align) -> tuple[Geometry, Array]:
    """The geometry with a displacement put in, which is measured where nothing has moved; and sigma of the scale (energy,).

    The constants of the shifts go to the axis and to the sample's height; the first energy's size is 1.
    """
    shifts = geometry.shifts_px
    if wanted.shifts:
        shifts = shifts + np.stack([part @ geometry.matrix(i).T for i, part in enumerate(step.shifts_px)])
    constant = shifts.mean(axis=(0, 1))
    scale, sigma = geometry.scale * (1 + step.scale), step.scale_sigma
    if wanted.magnification == "linear":
        scale, sigma = _straight_line(scale, sigma, energies_eV)
    elif wanted.magnification == "free":
        sigma = np.hypot(sigma, sigma[0])
    roll = geometry.roll_rad + step.roll_rad
    return Geometry(shifts - constant, scale / scale[0], roll, geometry.center_px + float(constant[1])), sigma


def _straight_line(scale: Array, sigma: Array, energies_eV: Array) -> tuple[Array, Array]:
    """Scale whose inverse, the pixel, is a straight line in energy through that of the first; sigma from the scatter about it."""
    away = energies_eV / energies_eV[0] - 1
    columns = np.stack([np.ones(len(scale)), away], axis=1) / sigma[:, None]
    (pixel, slope), squares, *_ = np.linalg.lstsq(columns, 1 / scale / sigma, rcond=None)
    misfit = float(squares[0]) / (len(scale) - 2) if len(squares) and len(scale) > 2 else 1.0
    spread = np.sqrt(max(misfit, 1.0) * np.linalg.inv(columns.T @ columns)[1, 1])
    return 1 / (1 + slope / pixel * away), np.abs(away) * spread / pixel


def _look_again(paths: Values, prepared: Prepared, geometry: Geometry, threads: int) -> Values:
    """Paths (unknown, row, angle, column) as a reconstruction of all of them shows them."""
    scan = prepared.scan
    center_px = geometry.center_px
    fbp = FilteredBackprojection(scan.angles_rad, scan.columns, center_px=center_px, pixel_um=scan.pixel_um, window="cosine")
    projector = Projector(scan.angles_rad, scan.columns, center_px=center_px, pixel_um=scan.pixel_um)
    out = np.empty_like(paths)

    def run(low: int) -> None:
        block = slice(low, min(low + projector.rows, scan.rows))
        plan = fbp.plan(block.stop - block.start)
        maps = np.stack([fbp.reconstruct(part[block], plan) for part in paths])
        for k in range(len(maps)):
            out[k, block] = projector.forward(maps[k])

    with threadpool_limits(1), ThreadPoolExecutor(threads) as pool:
        list(pool.map(run, range(0, scan.rows, projector.rows)))
    return out
