"""The sample projected: in slabs of rows, inside its bounding box, in memory or on disk."""

import math
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from instrument.components import Components
from instrument.exposure import pixel_ratio, true_angles_rad
from instrument.optics import depth_of_focus_um, edge_phase_rad
from instrument.progress import Progress
from instrument.projector import project_slabs, slab_weight
from instrument.randomness import generator
from instrument.settings import Instrument
from phantom import InputError, Sample, make_sample

from .course import Course
from .study import Study

Array = NDArray[np.float64]
Image = NDArray[np.float32]

_IN_MEMORY = 8e8  # bytes of projections; more go to a temporary file
_SLAB_VOXELS = 4e7  # of the sample in memory at a time
_SHARPEST = 16  # samples: what optics spread over, at least


@dataclass(frozen=True)
class Extent:
    """Where projections lie on the fine field: `rows`, and `columns` about the rotation axis."""

    rows: slice
    columns: slice
    field: tuple[int, int]


def sway_um(instrument: Instrument, half_field_um: float, energies_eV: Array) -> float:
    """How far the image of a point moves from its place, um: twice the rms of what is random; the axis' offset apart."""
    stage = instrument.stage
    random = math.hypot(stage.runout_um, stage.wobble_um, stage.drift_um, stage.energy_shift_um)
    ratios = [pixel_ratio(instrument, float(energy), float(energies_eV[0])) for energy in energies_eV]
    steady = max(abs(1 / ratio - 1) for ratio in ratios) + math.radians(abs(stage.roll_deg))
    return 2 * random + half_field_um * (steady + math.tan(math.radians(abs(stage.pitch_deg))))


def build_sample(study: Study, threads: int = 1) -> Sample:
    """The particle or electrode on the truth's grid, `scan.oversampling` times finer than the pixel."""
    scan = study.scan
    n = scan.oversampling
    half = max(scan.rows, scan.columns) * scan.pixel_um / 2
    sway = 0.0 if scan.outside_px else sway_um(study.instrument, half, np.array(scan.energies_eV))
    electrode = study.electrode if study.electrode.particles else None
    if electrode and electrode.form == "layer" and not scan.is_straight:
        raise InputError(
            f"electrode.form: a layer lies across the beam of angle 0, found a {scan.kind} from {scan.first_angle_deg:g} "
            "degrees; allowed is scan.kind = 'series' with first_angle_deg = 0; or take form = 'pillar'"
        )
    rows, columns = scan.rows + 2 * scan.outside_px, scan.columns + 2 * scan.outside_px
    return make_sample(
        study.particle,
        study.front,
        study.species.LFP,
        study.species.FP,
        (rows * n, columns * n, columns * n),
        scan.pixel_um / n,
        generator(study.seed, "particle"),
        electrode=electrode,
        clearance_um=(sway, sway + (0.0 if scan.outside_px else abs(study.stage.center_offset_px) * scan.pixel_um)),
        threads=threads,
    )


def depths_um(study: Study, depth_um: float) -> Array:
    """Middles of the slabs (slab,) of a sample so deep, um downstream of the axis; one where one will do.

    A slab is a quarter of the depth of focus deep, so that its ends are off by pi / 8 at the aperture's edge; a leaning axis may
    move its ends apart by half a pixel.
    """
    wanted = study.optics.depth_slabs
    lean = depth_um * abs(math.tan(math.radians(study.stage.pitch_deg))) / (study.scan.pixel_um / 2)
    count = 1 if lean <= 0.5 else math.ceil(lean) + 1
    if wanted == "auto":
        focus = depth_um / (depth_of_focus_um(study.optics, min(study.scan.energies_eV)) / 4)
        count = max(count, 1 if focus <= 2 else math.ceil(focus) + 1)
    else:
        count = max(count, wanted)
    return np.zeros(1) if count == 1 else np.linspace(-depth_um / 2, depth_um / 2, count)


def fringe_um(study: Study, depth_um: float) -> float:
    """How far light of a point out of focus spreads, um: its distance from focus times the aperture."""
    zone, energy = study.optics.outermost_zone_um, min(study.scan.energies_eV)
    if zone == 0:
        return 0.0
    away = abs(study.optics.defocus_um) + 4 * study.optics.focus_jitter_um + depth_um / 2
    return 4 * zone / np.pi * abs(edge_phase_rad(study.optics, away, energy))


def extent_of(sample: Sample, study: Study) -> Extent:
    """The smallest extent that holds every view of the sample, its edges on the detector's pixels."""
    n = study.scan.oversampling
    field = (sample.grid.shape[0], sample.grid.shape[2])
    z, y, x = sample.box
    if sample.fillers:
        return Extent(slice(0, field[0]), slice(0, field[1]), field)
    rows = slice(z.start // n * n, -(-z.stop // n) * n)
    middles = [(count - 1) / 2 for count in sample.grid.shape[1:]]
    if study.scan.is_straight:
        return Extent(rows, slice(x.start // n * n, -(-x.stop // n) * n), field)
    reach = math.hypot(
        *(max(abs(side.start - middle), abs(side.stop - 1 - middle)) for side, middle in zip((y, x), middles, strict=True))
    )
    free = max(0, int(field[1] / 2 - reach - 4) // n * n)
    return Extent(rows, slice(free, field[1] - free), field)


@contextmanager
def project_course(
    sample: Sample, course: Course, study: Study, threads: int = 1, progress: Progress | None = None, folder: Path | None = None
) -> Iterator[Components]:
    """The sample's projections in every state of its course.

    Large ones lie in a temporary file in `folder` while the block lasts.
    """
    extent = extent_of(sample, study)
    voxel_um = sample.grid.voxel_um
    n = study.scan.oversampling
    views = 1 if study.scan.kind == "series" else study.scan.angles
    size = extent.columns.stop - extent.columns.start
    straight = study.scan.is_straight
    deep = _deep(sample, extent, straight)
    depth = (deep.stop - deep.start) * voxel_um
    depths = depths_um(study, depth)
    shape = (len(depths), views, extent.rows.stop - extent.rows.start, size)
    states = len(course.times_s)
    with ExitStack() as stack:
        moving = _store(stack, (states, 2, *shape), folder)
        still = _store(stack, (len(sample.fillers), *shape), folder)
        step = max(2 * n, int(_SLAB_VOXELS / sample.grid.shape[1] / sample.grid.shape[2]) // (2 * n) * 2 * n)
        blocks = [slice(low, min(low + step, extent.rows.stop)) for low in range(extent.rows.start, extent.rows.stop, step)]
        for k, fractions in enumerate(course.fractions):
            state = sample.state(fractions, threads)
            for block in blocks:
                inside = slice(block.start - extent.rows.start, block.stop - extent.rows.start)
                for species, volume in enumerate(_laid(state.slab(block, threads), sample, extent, deep)):
                    moving[k, species, :, :, inside] = _project(volume, study, voxel_um, depths, threads)
            if progress:
                progress("project", k + 1, states)
        for k, volume in enumerate(sample.fillers.values()):
            for block in blocks:
                still[k, :, :, block] = _project(volume[block], study, voxel_um, depths, threads)
        yield Components(
            moving,
            course.times_s,
            still,
            (extent.rows.start, extent.columns.start),
            extent.field,
            depths,
            margin=_margin(study, depth, voxel_um),
            filled=bool(sample.fillers),
        )


def _deep(sample: Sample, extent: Extent, straight: bool) -> slice:
    """The rows of voxels along y that are projected, as many before as behind the axis."""
    count = sample.grid.shape[1]
    if not straight:
        return extent.columns
    if sample.fillers:
        return slice(0, count)
    free = min(sample.box[1].start, count - sample.box[1].stop)
    return slice(free, count - free)


def _margin(study: Study, depth_um: float, voxel_um: float) -> int:
    """Samples around the box that its image may reach into, a whole number of pixels."""
    half = max(study.scan.rows, study.scan.columns) * study.scan.pixel_um / 2
    reach = sway_um(study.instrument, half, np.array(study.scan.energies_eV))
    reach += abs(study.stage.center_offset_px) * study.scan.pixel_um + fringe_um(study, depth_um)
    reach += 2 * study.optics.blur_fwhm_um
    n = study.scan.oversampling
    return math.ceil((_SHARPEST + reach / voxel_um) / n) * n


def _laid(slab: Image, sample: Sample, extent: Extent, deep: slice) -> Image:
    """Amounts (species, z, y, x) of the sample's box, laid into the part of the grid that is projected."""
    _, y, x = sample.box
    left = extent.columns.start
    out = np.zeros((*slab.shape[:2], deep.stop - deep.start, extent.columns.stop - left), np.float32)
    out[:, :, y.start - deep.start : y.stop - deep.start, x.start - left : x.stop - left] = slab
    return out


def _project(volume: Image, study: Study, voxel_um: float, depths: Array, threads: int) -> Image:
    """Line integrals of a volume (z, y, x), um, (slab, view, row, column); a series has one view."""
    scan = study.scan
    if scan.is_straight:
        return _sum_straight(volume, voxel_um, depths)
    angles = true_angles_rad(study.stage, scan.angles_rad, study.seed)
    return project_slabs(volume, angles[:1] if scan.kind == "series" else angles, voxel_um, depths, threads)


def _sum_straight(volume: Image, voxel_um: float, depths: Array) -> Image:
    """Along y, which a beam of angle 0 follows, the sum is exact, whatever the depth of the volume."""
    if len(depths) == 1:
        return np.asarray(volume.sum(axis=1)[None, None] * np.float32(voxel_um))
    y = (np.arange(volume.shape[1]) - (volume.shape[1] - 1) / 2) * voxel_um
    weights = slab_weight(y[None] - depths[:, None], float(depths[1] - depths[0])).astype(np.float32)
    return np.asarray(np.einsum("sy,zyx->szx", weights, volume)[:, None] * np.float32(voxel_um))


def _store(stack: ExitStack, shape: tuple[int, ...], folder: Path | None) -> Any:
    """Room for projections: an array, or, where it would be large, a dataset in a temporary file."""
    if folder is None or math.prod(shape) * 4 <= _IN_MEMORY:
        return np.zeros(shape, np.float32)
    place = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix=".projections-", dir=folder)))
    file = stack.enter_context(h5py.File(place / "projections.h5", "w"))
    return file.create_dataset("p", shape, np.float32, chunks=(*(1,) * (len(shape) - 2), min(shape[-2], 64), shape[-1]))
