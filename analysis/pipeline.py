"""The stack: counts -> repaired and straightened rays -> maps of the species and their sigma, in the order that is chosen."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from instrument.measurement import Measurement, Spectrum

from .align.alignment import Alignment, align
from .choices import Analysis, Method
from .order.blocks import Progress
from .order.image import image_first
from .order.model import Model, energy_weights, model_of
from .order.projection import projection_first
from .order.series import fit_series
from .order.tally import Tally
from .prepare.prepared import Prepared, prepare
from .result import AmountMap

Array = NDArray[np.float64]

METHODS: dict[Method, Callable[..., tuple[AmountMap, Tally]]] = {"image": image_first, "projection": projection_first}


@dataclass(frozen=True)
class Conclusion:
    """A map, and what a person needs to judge it.

    `design` (energy, unknown) is the fit's, species first; `spectra` the mean attenuation (energy,),
    1/um, of voxels found with x < 0.25 ('core') and x > 0.75 ('shell'), in a series the optical depth of such pixels; empty where
    voxels have no spectra (method projection). `alignment` is None where nothing was to be aligned.
    """

    map: AmountMap
    energies_eV: Array
    design: Array
    spectra: dict[str, Array]
    noise_slope_adu: float
    repaired_rays: int
    reduced_chi2: float
    alignment: Alignment | None


def analyze(
    scan: Measurement,
    standards: list[Spectrum],
    settings: Analysis | None = None,
    *,
    threads: int = 1,
    progress: Progress | None = None,
) -> Conclusion:
    """Amounts, phase fraction and their sigma in every voxel of a scan.

    Reads the scan row block by row block, so memory does not grow with the number of energies. Alignment reads the frames of one
    energy at a time. Raises InputError for what cannot be analyzed.
    """
    settings = settings or Analysis()
    settings.check(scan.is_series)
    prepared = prepare(scan, settings.prepare)
    weights = energy_weights(prepared)
    model = model_of(standards, scan, weights, background=settings.background, constraint=settings.constraint)
    found = None
    if settings.align.is_wanted:
        prepared, model, found = _aligned(prepared, model, standards, settings, threads, progress)
    if scan.is_series:
        result, total = fit_series(prepared, model, progress)
    else:
        result, total = METHODS[settings.method](prepared, model, settings, threads=threads, progress=progress)
    slope = float(np.mean([noise.slope_adu for noise in prepared.noises]))
    spectra = total.spectra()
    return Conclusion(result, scan.energies_eV, model.design, spectra, slope, total.repaired, total.reduced_chi2, found)


def _aligned(
    prepared: Prepared, model: Model, standards: list[Spectrum], settings: Analysis, threads: int, progress: Progress | None
) -> tuple[Prepared, Model, Alignment]:
    """The same scan and model, as the alignment finds them."""

    def species(offset_eV: float) -> Array:
        """The standards alone: matter without iron would let a frame's error hide in it."""
        return model_of(standards, prepared.scan, model.weights, background="none", offset_eV=offset_eV).design

    found = align(prepared, species, model.weights, settings.align, threads=threads, progress=progress)
    aligned = replace(prepared, geometry=found.geometry, pattern=found.pattern)
    moved = model_of(
        standards,
        prepared.scan,
        model.weights,
        background=settings.background,
        constraint=settings.constraint,
        offset_eV=found.energy_offset_eV,
    )
    return aligned, moved, found
