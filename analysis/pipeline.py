"""The stack: counts -> repaired and straightened rays -> maps of the species and their sigma, in the order that is chosen."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from instrument.measurement import InputError, Measurement, Spectrum

from .align.alignment import Alignment, align
from .align.energy_scale import foil_offset
from .align.frames import Frames
from .choices import Analysis, Method
from .order.image import image_first
from .order.joint import joint
from .order.model import Model, energy_weights, model_of
from .order.projection import projection_first
from .order.series import fit_series
from .order.tally import Tally
from .own import Own
from .prepare.prepared import prepare
from .progress import Progress
from .reconstruct.coverage import unseen
from .result import AmountMap
from .spectra.combination import Background

Array = NDArray[np.float64]

METHODS: dict[Method, Callable[..., tuple[AmountMap, Tally]]] = {
    "image": image_first,
    "projection": projection_first,
    "joint": joint,
}


@dataclass(frozen=True)
class Conclusion:
    """A map, and what a person needs to judge it.

    `design` (energy, unknown) is the fit's, species first; `spectra` the mean attenuation (energy,),
    1/um, of voxels found with x < 0.25 ('core') and x > 0.75 ('shell'), in a series the optical depth of such pixels; empty where
    voxels have no spectra (methods projection, joint). `alignment` is None where nothing was to be aligned. `repaired_rays` of
    the `rays` have a made-up value; `remarks` are sentences on what else was found before the fit.
    """

    map: AmountMap
    energies_eV: Array
    design: Array
    spectra: dict[str, Array]
    noise_slope_adu: float
    repaired_rays: int
    rays: int
    reduced_chi2: float
    alignment: Alignment | None
    remarks: tuple[str, ...] = ()


def analyze(
    scan: Measurement,
    standards: list[Spectrum],
    settings: Analysis | None = None,
    *,
    foil: Spectrum | None = None,
    alignment: Alignment | None = None,
    own: Own | None = None,
    threads: int = 1,
    progress: Progress | None = None,
) -> Conclusion:
    """Amounts, phase fraction and their sigma in every voxel of a scan.

    Reads the scan row block by row block, so memory does not grow with the number of energies. Alignment reads the frames of one
    energy at a time. `foil` is a spectrum of iron taken on the scan's scale of energy, which is corrected by its edge. With an
    `alignment` that was found before, in these frames or in more of them, none is sought. `own` steps stand in for ours.
    Raises InputError for what cannot be analyzed.
    """
    settings = settings or Analysis()
    own = own or Own()
    settings.check(scan.is_series)
    own.check(settings, scan.is_series)
    if foil is not None and settings.align.energy:
        raise InputError("analysis.align.energy: found true beside a foil; allowed is one of them; leave one out")
    prepared = prepare(scan, settings.prepare)
    weights = energy_weights(prepared)

    def model_at(offset_eV: float, background: Background) -> Model:
        constraint = settings.constraint
        return model_of(standards, scan, weights, background=background, constraint=constraint, offset_eV=offset_eV)

    offset, remarks = 0.0, prepared.border.remarks
    if not scan.is_series:
        remarks += unseen(scan.angles_rad, scan.columns, scan.pixel_um)
    if foil is not None:
        offset, sigma = foil_offset(foil)
        remarks += (f"the foil's edge says that true energies are {offset:+.3f} eV from the scan's, sigma {sigma:.2g} eV",)
    found = alignment
    if found is None and settings.align.is_wanted:
        # The standards alone: matter without iron would let a frame's error hide in it.
        found = align(
            Frames(prepared.depth, len(weights), scan.angles_rad, prepared.shape, scan.pixel_um, threads),
            prepared.geometry,
            scan.energies_eV,
            lambda further_eV: model_at(offset + further_eV, "none").design,
            weights,
            settings.align,
            progress,
        )
    if found is not None:
        prepared = replace(prepared, geometry=found.geometry, pattern=found.pattern)
        offset += found.energy_offset_eV
    model = model_at(offset, settings.background)
    if scan.is_series:
        result, total = fit_series(prepared, model, own, progress)
    else:
        result, total = METHODS[settings.method](prepared, model, settings, own, threads=threads, progress=progress)
    slope = float(np.mean([noise.slope_adu for noise in prepared.noises]))
    judged = total.spectra(), slope, total.repaired, int(np.prod(scan.projections.shape)), total.reduced_chi2
    return Conclusion(result, scan.energies_eV, model.design, *judged, found, remarks)
