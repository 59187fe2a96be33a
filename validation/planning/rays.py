"""The rays that meet in voxels of the interior, and those of the whole field, with their noise at each energy."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from instrument.components import Matter
from instrument.counts import spread_kernel
from instrument.exposure import stored_current
from instrument.housing import transmission
from instrument.photons import profile
from instrument.settings import Instrument

from ..coarse import Coarse
from ..study import Study

Array = NDArray[np.float64]

_VOXELS = 600  # of the interior, evenly picked
_FIELD_PX = 48  # pixels across, for the mean over the field
_ROUNDING = 1 / 12  # variance of a whole ADU


@dataclass(frozen=True)
class Rays:
    """Path lengths, um, and where on the detector: `paths` (component, ray, view), `light` (ray, view) over the beam's centre."""

    paths: Array
    light: Array


@dataclass(frozen=True)
class Voxels:
    """Voxels of the interior: `amounts` (species, voxel) of the truth, `radius_um` (voxel,) from the axis, and their rays."""

    amounts: Array
    radius_um: Array
    rays: Rays

    @property
    def fraction(self) -> Array:
        """True phase fraction, (voxel,)."""
        return np.asarray(self.amounts[1] / self.amounts.sum(axis=0))


@dataclass(frozen=True)
class Noise:
    """Variances of optical depth in each ray (energy, ray, view), and those that all views share (energy, ray).

    Photon noise is correlated between neighbours as the scintillator's spread makes it, `white` noise is not.
    """

    photon: Array
    white: Array
    shared_photon: Array
    shared_white: Array


def interior(coarse: Coarse, voxel_um: float, resolution_um: float) -> Voxels:
    """Up to 600 voxels of the interior, or where there is none the deepest ones, with their rays."""
    box, distance = coarse.depth_in_phase
    particle = coarse.truth.iron[box] >= 0.5
    amounts = coarse.truth.amounts
    wanted = max(2 * voxel_um, 1.5 * resolution_um) - 0.5 * (voxel_um - coarse.sample_um)
    deep = particle & (distance >= wanted)
    if not deep.any():
        deep = particle & (distance >= 0.9 * distance[particle].max())
    z, y, x = np.nonzero(deep)
    some = np.unique(np.linspace(0, len(z) - 1, _VOXELS).astype(int))
    index = np.stack([part[some] for part in (z, y, x)])
    shares = amounts[(slice(None), *box)][:, index[0], index[1], index[2]].astype(float)
    corners = np.array([[part.start] for part in box])
    middles = (np.array([[count] for count in coarse.truth.iron.shape]) - 1) / 2
    place = (index + corners - middles) * coarse.sample_um
    return Voxels(shares, np.hypot(place[1], place[2]), _through(coarse, place))


def _through(coarse: Coarse, place_um: Array) -> Rays:
    """Rays (component, voxel, view) through points (z, y, x)."""
    z, y, x = place_um
    column = x[:, None] * np.cos(coarse.angles_rad) + y[:, None] * np.sin(coarse.angles_rad)
    row = np.broadcast_to(z[:, None], column.shape)
    return Rays(_read(coarse, row, column), detector_light(coarse.study, row, column))


def field(coarse: Coarse, study: Study) -> Rays:
    """Rays (component, pixel, view) over the whole field of the study's detector."""
    scan = study.scan
    step = max(1.0, max(scan.rows, scan.columns) / _FIELD_PX)
    row, column = (
        (np.arange(round(count / step)) - (round(count / step) - 1) / 2) * count / round(count / step) * scan.pixel_um
        for count in (scan.rows, scan.columns)
    )
    rows, columns = (part.ravel()[:, None] for part in np.meshgrid(row, column, indexing="ij"))
    wide = np.ones(len(coarse.angles_rad))
    return Rays(_read(coarse, rows * wide, columns * wide), detector_light(study, rows * wide, columns * wide))


def _read(coarse: Coarse, row_um: Array, column_um: Array) -> Array:
    """Paths (component, ray, view) at places (ray, view), um from the detector's middle and the axis; 0 beside the box."""
    places = [
        np.rint((value - start) / coarse.sample_um).astype(int)
        for value, start in zip((row_um, column_um), coarse.corner_um, strict=True)
    ]
    rows, columns = coarse.paths.shape[2:]
    inside = (places[0] >= 0) & (places[0] < rows) & (places[1] >= 0) & (places[1] < columns)
    row, column = (np.clip(place, 0, count - 1) for place, count in zip(places, (rows, columns), strict=True))
    view = np.broadcast_to(np.arange(coarse.paths.shape[1]), row.shape)
    return np.where(inside, coarse.paths[:, view, row, column], 0.0).astype(float)


def detector_light(study: Study, row_um: Array, column_um: Array) -> Array:
    """Intensity of the open beam at places on the detector, over that at its centre."""
    scan = study.scan
    image = profile((scan.rows, scan.columns), study.instrument)
    places = (
        np.clip(np.rint(value / scan.pixel_um + (count - 1) / 2).astype(int), 0, count - 1)
        for value, count in ((row_um, scan.rows), (column_um, scan.columns))
    )
    return np.asarray(image[tuple(places)])


def light_at(study: Study, angles_rad: Array) -> tuple[Array, Array]:
    """Detected photons at the beam's centre of a frame without sample: projections (energy, view), flats (energy,)."""
    scan, beam, clock = study.scan, study.beam, study.scan.clock
    given = study.instrument.detected_photons * clock.light
    projections, flats = (stored_current(beam, times).mean(axis=1) for times in (clock.projections_s, clock.flats_s))
    passed = np.array(
        [[transmission(study.housing, e, float(a)) for a in angles_rad] for e in scan.energies_eV],
    )
    beside = np.array([transmission(study.housing, e, 0.0, flat=True) for e in scan.energies_eV])
    return (given * projections)[:, None] * passed, given * flats * beside


def noise_of(rays: Rays, matter: Matter, study: Study, angles_rad: Array) -> Noise:
    """The noise of optical depth, as `analysis.prepare.normalize` estimates it, in the mean."""
    scan, stray = study.scan, study.beam.stray_light
    depth = np.einsum("ce,crv->erv", matter.attenuation_per_um(np.array(scan.energies_eV)), rays.paths, optimize=True)
    shine, flat = light_at(study, angles_rad)
    counts = shine[:, None] * rays.light * (np.exp(-depth) + stray) / (1 + stray)
    spread, white = camera_noise(study.instrument, scan.frame_exposures_s)
    open_beam = flat[:, None] * rays.light.mean(axis=1)
    unlike = (1 / counts).mean(axis=2) - 1 / open_beam
    return Noise(
        spread / counts,
        white[:, None, None] / counts**2,
        spread / open_beam / scan.flats,
        white[:, None] * (1 / open_beam**2 / scan.flats + unlike**2 / scan.darks),
    )


def camera_noise(instrument: Instrument, exposures_s: Array) -> tuple[float, Array]:
    """Variance over mean of the detected photons, below 1 where light spreads, and that of a dark frame (energy,), photons^2."""
    camera = instrument.camera
    spread = 1.0 if camera.spread_px == 0 else float((spread_kernel(camera.spread_px) ** 2).sum() ** 2)
    dark = (camera.read_noise_adu**2 + _ROUNDING) / instrument.gain_adu**2
    return spread, dark + camera.dark_current_e_s * exposures_s / camera.electrons_per_photon**2


def correlation(spread_px: float, lags: int) -> Array:
    """Correlation (lag,) along a detector row of photon noise that the scintillator spreads."""
    found = np.zeros(lags)
    found[0] = 1
    if spread_px:
        kernel = spread_kernel(spread_px)
        both = np.correlate(kernel, kernel, "full")[len(kernel) - 1 :][:lags]
        found[: len(both)] = both / both[0]
    return found
