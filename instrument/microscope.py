"""The microscope: one exposure, and the energy scan made of exposures.

The lists of effects stand in the order of the light. A flat is the same exposure without the sample, a dark the same with the
shutter closed.
"""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from . import counts, exposure, photons
from .components import Components, Matter
from .frame import Exposure, Frame, Kind
from .housing import transmission
from .measurement import Measurement
from .optics import FWHM_PER_SIGMA, form_image
from .progress import Progress
from .scan import Clock
from .sequence import frame_order
from .settings import Instrument

Array = NDArray[np.float64]
Image = NDArray[np.float32]
Counts = NDArray[np.uint16]

# What really happened. The sample's true angles, which do not depend on the energy, are `exposure.true_angles_rad`.
EXPOSURE = (
    exposure.energy_drift,
    exposure.energy_jitter,
    exposure.chromatic_focus,
    exposure.energy_offset,
    exposure.decay,
    exposure.flicker,
    exposure.structure_drift,
    exposure.center_offset,
    exposure.runout,
    exposure.wobble,
    exposure.drift,
    exposure.energy_shift,
    exposure.tilt,
    exposure.magnification,
    exposure.focus,
)
# Between them the light passes housing and sample (`_light`, `_absorbed`) and forms an image (`optics.TRANSFER`, `zone_plate`).
PHOTONS = (photons.stray_light, photons.structure, photons.falloff, photons.vignetting, photons.halo, photons.flux)
COUNTS = (
    counts.shot_noise,
    counts.scintillator_spread,
    counts.gain_pattern,
    counts.ring_pattern,
    counts.dead_pixels,
    counts.dark_current,
    counts.hot_pixels,
    counts.full_well,
    counts.gain,
    counts.zingers,
    counts.read_noise,
    counts.digitize,
)
# Which frame ends up where: `sequence.frame_order`.

_BAND_NODES = (5, 11)  # up to 3 eV, and beyond
_BLOCK = 16  # frames in memory at a time, a worker


def happened(instrument: Instrument, frame: Frame) -> Exposure:
    """What really happened during a frame."""
    real = Exposure(frame.energy_eV)
    for effect in EXPOSURE:
        real = effect(real, instrument, frame)
    return real


def expose(
    shape: tuple[int, int],
    instrument: Instrument,
    frame: Frame,
    sample: Components | None = None,
    matter: Matter | None = None,
) -> Counts:
    """One frame, counts (row, column) of `shape`, with a `sample` in the beam or without."""
    real = happened(instrument, frame)
    image = np.ones(shape)
    energies, weights = _light(instrument, frame, real, flat=sample is None)
    if sample is not None and matter is not None:
        _cast(image, sample, matter, energies, weights / weights.sum(), instrument, frame, real)
    for photon_effect in PHOTONS:
        image = photon_effect(image, instrument, frame, real)
    image = image * (instrument.detected_photons * frame.light * weights.sum() if frame.kind != "dark" else 0.0)
    for count_effect in COUNTS:
        image = count_effect(image, instrument, frame, real)
    return image.astype(np.uint16)


def _light(instrument: Instrument, frame: Frame, real: Exposure, flat: bool) -> tuple[Array, Array]:
    """Energies (n,) that arrive, and how much of each the housing lets through (n,): the band, and the harmonic."""
    energies, weights = np.array([real.energy_eV]), np.ones(1)
    if instrument.monochromator.resolution_eV:
        nodes, heights = np.polynomial.hermite.hermgauss(_BAND_NODES[instrument.monochromator.resolution_eV > 3])
        sigma = instrument.monochromator.resolution_eV / FWHM_PER_SIGMA
        energies, weights = real.energy_eV + np.sqrt(2) * sigma * nodes, heights / np.sqrt(np.pi)
    if instrument.beam.harmonics:
        share = instrument.beam.harmonics
        energies, weights = np.append(energies, 3 * real.energy_eV), np.append(weights, share) / (1 + share)
    if instrument.housing.layers:
        passed = [transmission(instrument.housing, float(energy), frame.angle_rad, flat) for energy in energies]
        weights = weights * np.array(passed)
    return energies, weights


def _cast(
    image: Array,
    sample: Components,
    matter: Matter,
    energies: Array,
    weights: Array,
    instrument: Instrument,
    frame: Frame,
    real: Exposure,
) -> None:
    """Put the sample's image, averaged over pixels, into the open beam `image`."""
    n = frame.oversampling
    paths = sample.paths(frame.index, frame.time_s)
    absorbed = _absorbed(paths, matter.attenuation_per_um(energies), weights)
    phase = None
    if _shows_phase(instrument, sample.depths_um + real.defocus_um):
        per_um = matter.phase_rad_per_um(np.array([real.energy_eV]))[:, 0]
        phase = np.tensordot(per_um.astype(np.float32), paths, axes=1)
    margin = sample.margin
    absorbed, phase = _padded(absorbed, sample), None if phase is None else _padded(phase, sample)
    corner = np.array(sample.corner) - margin
    fine = form_image(
        absorbed, phase, sample.depths_um, (np.array(sample.field) - 1) / 2 - corner, sample.filled, instrument, frame, real
    )
    target, source = [], []
    for start, size, field, pixels in zip(corner, fine.shape, sample.field, image.shape, strict=True):
        outside = (field - n * pixels) // 2
        low = (start - outside) // n
        high = min(low + size // n, pixels)
        target.append(slice(max(low, 0), max(high, 0)))
        source.append(slice((max(low, 0) - low) * n, (max(high, 0) - low) * n))
    part = fine[source[0], source[1]]
    rows, columns = part.shape[0] // n, part.shape[1] // n
    image[target[0], target[1]] = part.reshape(rows, n, columns, n).mean(axis=(1, 3), dtype=np.float64)


def _shows_phase(instrument: Instrument, defocus_um: Array) -> bool:
    """Whether phase makes any contrast: not in focus, nor where optics are perfect."""
    return instrument.optics.phase_contrast and instrument.optics.outermost_zone_um > 0 and bool(defocus_um.any())


def _padded(image: Image, sample: Components) -> Image:
    """The image (slab, row, column) and what lies around it, to a size that transforms fast; without a margin as it is."""
    margin = sample.margin
    if margin == 0:
        return image
    sizes = [scipy.fft.next_fast_len(count + 2 * margin, real=True) for count in image.shape[1:]]
    return np.pad(
        image,
        ((0, 0), *((margin, size - count - margin) for size, count in zip(sizes, image.shape[1:], strict=True))),
        mode="edge" if sample.filled else "constant",
    )


def _absorbed(paths: Image, attenuation_per_um: Array, weights: Array) -> Image:
    """Share of the open beam that each slab takes, (slab, row, column), from `paths` (component, slab, row, column)."""
    out = np.zeros(paths.shape[1:], np.float32)
    for per_um, weight in zip(attenuation_per_um.T.astype(np.float32), weights, strict=True):
        arriving: Image | np.float32 = np.float32(weight)
        for k in range(paths.shape[1]):
            taken = -np.expm1(-np.tensordot(per_um, paths[:, k], axes=1))
            taken *= arriving
            out[k] += taken
            if k + 1 < paths.shape[1]:
                arriving = arriving - taken
    return out


def record(
    sample: Components,
    matter: Matter,
    instrument: Instrument,
    scan: Measurement,
    clock: Clock,
    *,
    seed: int,
    run: str = "scan",
    oversampling: int = 2,
    threads: int = 1,
    progress: Progress | None = None,
) -> None:
    """Record an energy scan into the arrays of `scan`, energy by energy and block by block of whole frames.

    `sample` is on a grid `oversampling` times finer than the pixel. `scan` says energies and angles and owns the arrays (numpy or
    HDF5) that are filled, `clock` when each frame is taken.
    """
    with ThreadPoolExecutor(threads) as pool:
        for i, energy in enumerate(scan.energies_eV):
            order = frame_order(
                instrument.camera, len(scan.angles_rad), seed, run, _address(energy), visit_of(scan.energies_eV, i)
            )
            series: tuple[tuple[Kind, Any, Any], ...] = (
                ("projection", scan.projections, order),
                ("flat", scan.flats, range(scan.flats.shape[1])),
                ("dark", scan.darks, range(scan.darks.shape[1])),
            )
            for kind, target, indices in series:
                frames = frames_at(scan, clock, i, kind, indices, seed=seed, run=run, oversampling=oversampling)
                lit = (sample, matter) if kind == "projection" else (None, None)
                take = partial(_take, (scan.rows, scan.columns), instrument, lit)
                for low in range(0, len(frames), _BLOCK):
                    block = np.stack(list(pool.map(take, frames[low : low + _BLOCK])))
                    target[i, low : low + len(block)] = block
            if progress:
                progress("record", i + 1, len(scan.energies_eV))


def frames_at(
    scan: Measurement,
    clock: Clock,
    energy: int,
    kind: Kind,
    indices: Iterable[int],
    *,
    seed: int,
    run: str = "scan",
    oversampling: int = 2,
) -> list[Frame]:
    """Where the frames `indices` of a kind at the scan's energy number `energy` stand."""
    times = {"projection": clock.projections_s, "flat": clock.flats_s, "dark": clock.darks_s}[kind][energy]
    visit = visit_of(scan.energies_eV, energy)
    return [
        Frame(
            seed,
            run,
            float(scan.energies_eV[energy]),
            visit,
            kind,
            int(k),
            float(scan.angles_rad[k]) if kind == "projection" else 0.0,
            float(times[k]),
            clock.end_s,
            float(scan.exposures_s[energy]),
            float(scan.energies_eV[0]),
            scan.pixel_um,
            oversampling,
            float(clock.light[energy]),
        )
        for k in indices
    ]


def visit_of(energies_eV: Array, energy: int) -> int:
    """How often the scan has been at energy number `energy` before."""
    return sum(_address(other) == _address(energies_eV[energy]) for other in energies_eV[:energy])


def _address(energy_eV: float) -> int:
    """As the address of a draw tells energies apart."""
    return round(energy_eV * 1000)


def _take(shape: tuple[int, int], instrument: Instrument, lit: tuple[Components | None, Matter | None], frame: Frame) -> Counts:
    return expose(shape, instrument, frame, *lit)
