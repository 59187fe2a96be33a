"""A planned scan as a study: exposures for the photons that are wanted, within what shutter and camera can do."""

import math
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from instrument.optics import point_width_um
from phantom import InputError

from ..coarse import Coarse
from ..ledger import fluence_per_um2
from ..study import Study
from .solving import TooBright, TooDim

Array = NDArray[np.float64]

_WELL = 0.9  # of the full well, at most
_FEWEST_VIEWS = 31


def with_voxel(study: Study, voxel_um: float) -> Study:
    """The study with other pixels on the same field, lit alike: photons per area stay."""
    scan = study.scan
    ratio = scan.pixel_um / voxel_um
    rows, columns = (max(8, 2 * round(count * ratio / 2)) for count in (scan.rows, scan.columns))
    if max(rows, columns) > 4096:
        raise InputError(
            f"--voxel: found {voxel_um:g} um, {columns} columns and {rows} rows for this field; allowed are 4096, "
            f"{max(scan.rows, scan.columns) * scan.pixel_um / 4096:.2g} um or more; or narrow the field"
        )
    beam = replace(study.beam, photons_per_pixel=study.beam.photons_per_pixel / ratio**2)
    return replace(study, beam=beam, scan=replace(scan, pixel_um=voxel_um, rows=rows, columns=columns))


def voxels_um(study: Study, coarse: Coarse) -> tuple[float, float]:
    """The finest and the widest voxels: a third of what the optics resolve, an eighth of the sample's width."""
    return point_width_um(study.optics) / 3, diameter_um(coarse) / 8


def in_voxels(study: Study, coarse: Coarse, voxel_um: float) -> Study:
    """The study in other voxels, with the views that these need."""
    found = with_voxel(study, voxel_um)
    return replace(found, scan=replace(found.scan, angles=views_for(found, diameter_um(coarse))))


def views_for(study: Study, diameter_um: float) -> int:
    """Views over half a turn that show two voxels in a sample of that diameter, pi D / (2 voxel) (Crowther et al., 1970)."""
    scan = study.scan
    part = (scan.last_angle_deg - scan.first_angle_deg) / 180
    return max(_FEWEST_VIEWS, 1 + math.ceil(part * np.pi * diameter_um / (2 * scan.pixel_um)))


def scan_of(study: Study, energies_eV: Array, photons: Array, shortest_s: float, *, dim: bool = True) -> Study:
    """The study with `photons` (energy,), incident, per pixel and projection, at `energies_eV`.

    The beam gives what the study's gives in its exposure. Where an exposure would be shorter than `shortest_s` a filter dims the
    beam, or without `dim` it is as long as that, with more light than is wanted; where a pixel's well would overflow there are
    more views and flats of less light. The gain follows the light.
    """
    scan, camera = study.scan, study.camera
    rate = study.beam.photons_per_pixel / scan.exposure_s
    angles, flats = scan.angles, scan.flats
    if camera.full_well_e:
        bright = study.instrument.brightest_photons / study.instrument.detected_photons
        electrons = photons.max() * camera.efficiency * camera.electrons_per_photon * bright
        times = math.ceil(electrons / (_WELL * camera.full_well_e))
        angles, flats, photons = (angles - 1) * times + 1, flats * times, photons / times
    dimmed = max(1.0, shortest_s * rate / float(photons.min())) if dim else 1.0
    photons = np.maximum(photons, shortest_s * rate / dimmed)
    exposures = tuple(float(f"{second:.4g}") for second in photons / rate * dimmed)
    longest = max(exposures)
    if longest > 1e5 or angles > 10000 or flats > 1000:
        raise TooBright(
            f"plan: exposures of {longest:.3g} s in {angles} views and {flats} flats; allowed are 1e5 s, "
            "10000 and 1000; wish for a larger sigma, or for brighter light"
        )
    found = replace(
        study,
        beam=replace(study.beam, photons_per_pixel=rate / dimmed * longest),
        camera=replace(camera, gain_adu="auto"),
        scan=replace(
            scan,
            energies_eV=tuple(map(float, energies_eV)),
            exposures_s=exposures,
            exposure_s=longest,
            angles=angles,
            flats=flats,
        ),
        analysis=replace(study.analysis, background="linear"),
    )
    if found.instrument.detected_photons < 1:
        raise TooDim(
            f"plan: {found.instrument.detected_photons:.2g} detected photons per pixel and projection; allowed is 1 or more; "
            "wish for a smaller sigma, or larger voxels, which need fewer views"
        )
    return found


def dose_MGy(coarse: Coarse, study: Study) -> float:
    """Mean dose of the particles in a study's scan."""
    energies = np.array(study.scan.energies_eV)
    return float((coarse.doses_MGy(study, energies) * fluence_per_um2(study)).sum())


def hours(study: Study) -> float:
    """Duration of a study's scan."""
    return study.scan.time_s / 3600


def diameter_um(coarse: Coarse) -> float:
    """Width of the sample across the rotation axis, twice its largest distance from the middle."""
    iron = coarse.truth.iron.max(axis=0) >= 0.5
    y, x = np.nonzero(iron)
    middle = [(side.min() + side.max()) / 2 for side in (y, x)]
    return float(2 * np.hypot(y - middle[0], x - middle[1]).max() + 1) * coarse.sample_um
