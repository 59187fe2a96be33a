"""Frames made fit for reconstruction: what each energy's rays are, corrected and straightened."""

from dataclasses import dataclass, replace
from typing import Annotated

import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from instrument.measurement import InputError, Measurement

from .border import Border, no_border, open_beam
from .flats import FlatSet, FlatsInTime, check_times, flat_sets, in_time
from .geometry import Geometry, straight
from .interpolation import noise_after, still_shared
from .noise import NoiseModel, measure_noise
from .normalize import Rays, optical_depth
from .rings import RINGS, Rings
from .zingers import without_zingers, without_zingers_over_time

Array = NDArray[np.float64]

_ABOUT = 4  # rows around a block that zingers and rings look at


@dataclass(frozen=True)
class Preparation:
    """What is repaired before all else."""

    zinger_sigma: Annotated[
        float,
        Meta(
            ge=0,
            le=100,
            description="a pixel brighter than all its neighbours by so many sigma of its noise was struck by a stray particle, "
            "and takes their median; 0: none is sought",
        ),
    ] = 0.0
    rings: Annotated[
        Rings,
        Meta(
            description="errors of a pixel that all angles share: 'none' leaves them, 'mean' takes out what the mean of all "
            "angles has beyond its median over 5 x 5 pixels, and with it a little of a coarse sample's edges, 'sorting' is that "
            "of algotom, which must be installed; see also align.rings"
        ),
    ] = "none"
    border_px: Annotated[
        int,
        Meta(
            ge=0,
            le=1024,
            description="columns at either side in which no sample is: each frame is scaled so that they are open beam, for a "
            "beam that decays or flickers; 0: is not",
            extra={"unit": "pixel"},
        ),
    ] = 0
    flats_in_time: Annotated[
        bool,
        Meta(
            description="the flats' shape is interpolated in time between those before an energy's projections and those after "
            "(its own, else of the energy that comes next); the scan's files must say when flats were taken"
        ),
    ] = False


@dataclass(frozen=True)
class Prepared:
    """A scan whose rays are read, repaired and straightened where they are wanted; nothing is kept.

    `noises` (energy,) are measured from flats and darks, `border` is the open beam in each frame, `pattern` (energy, row, column)
    an error of each pixel that all views share; `flats` (energy,) interpolate in time, if they do.
    """

    scan: Measurement
    settings: Preparation
    noises: list[NoiseModel]
    border: Border
    geometry: Geometry
    pattern: NDArray[np.float32]
    flats: tuple[FlatsInTime, ...] = ()

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of the detector."""
        return self.scan.rows, self.scan.columns

    def rays(self, energy: int, rows: slice, views: slice = slice(None)) -> Rays:
        """Rays of `rows` at an energy, of `views`."""
        needed = self.geometry.rows_needed(energy, rows, self.shape)
        found = self.on_detector(energy, needed, views)
        if self.geometry.is_straight:
            return found
        first = needed.start

        def straighten(part: Array) -> Array:
            images = self.geometry.straighten(part.transpose(1, 0, 2), energy, first, rows, self.shape, views)
            return np.asarray(images.transpose(1, 0, 2), float)

        depth, variance = straighten(found.optical_depth), straighten(found.variance)
        near = np.clip(np.arange(rows.start, rows.stop) - first, 0, len(found.made_up) - 1)
        factor, _ = noise_after(self.geometry, energy, self.shape, self.noises[energy].correlation)
        common = still_shared(self.geometry, energy)
        shared = factor * found.shared_variance[near]
        variance = factor * np.maximum(variance, found.variance.min()) + (1 - common) * shared[:, None]
        return Rays(depth, variance, common * shared, self._moved_rows(found.made_up, energy, rows, first, views))

    def _moved_rows(self, made_up: NDArray[np.intp], energy: int, rows: slice, first: int, views: slice) -> NDArray[np.intp]:
        """Counts (row, angle) of detector rows from `first` on in the slices `rows` in which they now lie, at the axis."""
        middle = (self.scan.rows - 1) / 2
        places = (np.arange(rows.start, rows.stop) - middle) * self.geometry.scale[energy] + middle - first
        nearest = np.rint(places[:, None] + self.geometry.shifts_px[energy, views, 0]).astype(int)
        return np.asarray(made_up[np.clip(nearest, 0, len(made_up) - 1), np.arange(made_up.shape[1])])

    @property
    def correlation(self) -> Array:
        """Correlation (lag,) of the noise along a row of the straightened frames, mean over the energies."""
        found = [noise_after(self.geometry, i, self.shape, noise.correlation)[1] for i, noise in enumerate(self.noises)]
        return np.asarray(np.mean(found, axis=0))

    def depth(self, energy: int) -> NDArray[np.float32]:
        """All frames (row, angle, column) of an energy, repaired, where the detector has them."""
        return self.on_detector(energy, slice(0, self.scan.rows)).optical_depth.astype(np.float32)

    def on_detector(self, energy: int, rows: slice, views: slice = slice(None)) -> Rays:
        """Rays of detector `rows`, repaired, but where the detector has them."""
        settings, noise = self.settings, self.noises[energy]
        about = _ABOUT if settings.zinger_sigma or settings.rings != "none" else 0
        wide = slice(max(rows.start - about, 0), min(rows.stop + about, self.scan.rows))
        counts = np.asarray(self.scan.projections[energy, views, wide])
        struck = None
        if settings.zinger_sigma:
            counts, struck = without_zingers(counts, noise, wide, settings.zinger_sigma)
        light = self.flats[energy].light(noise, wide, views) if self.flats else None
        found = optical_depth(counts, noise, wide, light)
        depth = found.optical_depth
        depth -= self.border.depth[energy, views][:, None] + self.pattern[energy, wide][:, None]
        depth = RINGS[settings.rings](depth)
        part = slice(rows.start - wide.start, rows.stop - wide.start)
        made_up = found.made_up if struck is None else found.made_up + struck
        variance = found.variance[part] + self.border.variance[energy, views][:, None]
        return Rays(depth[part], variance, found.shared_variance[part], made_up[part])


def prepare(scan: Measurement, settings: Preparation | None = None) -> Prepared:
    """The scan with its noise measured and its open beam found; nothing moved yet. Raises InputError for useless references."""
    settings = settings or Preparation()
    if 2 * settings.border_px >= scan.columns:
        raise InputError(
            f"analysis.prepare.border_px: found {settings.border_px}; allowed is less than half of {scan.columns} columns"
        )
    times = check_times(scan) if settings.flats_in_time else None
    noises: list[NoiseModel] = []
    sets: list[list[FlatSet]] = []
    for i, energy in enumerate(scan.energies_eV):
        flats, darks = np.asarray(scan.flats[i]), np.asarray(scan.darks[i])
        if settings.zinger_sigma:
            flats, darks = (without_zingers_over_time(frames, settings.zinger_sigma) for frames in (flats, darks))
        noises.append(measure_noise(flats, darks, f"scan at {energy:g} eV"))
        if times is not None:
            sets.append(flat_sets(flats, times[i], scan.time_s[i], noises[i]))
    energies, angles = len(scan.energies_eV), len(scan.angles_rad)
    scale, shape = scan.pixels_um[0] / scan.pixels_um, (scan.rows, scan.columns)
    prepared = Prepared(
        scan,
        settings,
        noises,
        no_border(energies, angles, scan.rows),
        straight(energies, angles, scan.center_px, scale),
        np.broadcast_to(np.float32(0), (energies, *shape)),
        () if times is None else tuple(in_time(scan, sets)),
    )
    if settings.border_px:
        everywhere = slice(0, scan.rows)
        found = [open_beam(prepared.on_detector(i, everywhere), noises[i], settings.border_px) for i in range(energies)]
        prepared = replace(prepared, border=Border(*(np.array(part) for part in zip(*found, strict=True))))
    return prepared
