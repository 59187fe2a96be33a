"""The stack: counts -> optical depth -> attenuation at every energy -> amounts -> phase fraction; 2D series without the third."""

import functools
import operator
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from msgspec import Meta
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from instrument.measurement import InputError, Measurement, Spectrum

from .fbp import Filter, FilteredBackprojection
from .mapping import Mapping
from .noise import NoiseModel, measure_noise
from .normalize import Rays, optical_depth
from .result import AmountMap, Flag, fp_index
from .series import fit_series
from .spectra import Background, design_matrix, standards_matrix
from .tally import Tally

Array = NDArray[np.float64]
Volume = NDArray[np.float32]
Progress = Callable[[str, int, int], None]
Transform = Callable[[Rays], tuple[Volume, Volume]]

_ROWS_A_BLOCK = 8  # fixed, so that a result never depends on threads


@dataclass(frozen=True)
class Analysis:
    """Choices of the analysis."""

    method: Annotated[
        Literal["image"], Meta(description="order of the steps: 'image' reconstructs every energy, then fits every voxel")
    ] = "image"
    engine: Annotated[
        Literal["fbp", "tomopy"],
        Meta(description="'fbp' on finufft, or gridrec of 'tomopy', which must be installed (environment.yml)"),
    ] = "fbp"
    window: Annotated[
        Filter, Meta(description="window on the ramp filter: 'ramp' keeps all frequencies, the others trade resolution for noise")
    ] = "cosine"
    background: Annotated[
        Background, Meta(description="fitted beside the standards: 'none', 'constant', or 'linear' in energy")
    ] = "constant"


@dataclass(frozen=True)
class Conclusion:
    """A map, and what a person needs to judge it.

    `design` (energy, unknown) is the fit's, species first; `spectra` the mean attenuation (energy,),
    1/um, of voxels found with x < 0.25 ('core') and x > 0.75 ('shell'), in a series the optical depth of such pixels.
    """

    map: AmountMap
    energies_eV: Array
    design: Array
    spectra: dict[str, Array]
    noise_slope_adu: float
    repaired_rays: int
    reduced_chi2: float


def analyze(
    scan: Measurement,
    standards: list[Spectrum],
    settings: Analysis | None = None,
    *,
    threads: int = 1,
    progress: Progress | None = None,
) -> Conclusion:
    """Amounts, phase fraction and their sigma in every voxel of a scan.

    Reads the scan row block by row block, so memory does not grow with the number of energies.
    Raises InputError for what cannot be analyzed.
    """
    settings = settings or Analysis()
    names = tuple(standard.name for standard in standards)
    fp_index(names)
    design = design_matrix(standards_matrix(standards, scan.energies_eV), scan.energies_eV, settings.background)
    noises = [
        measure_noise(np.asarray(scan.flats[i]), np.asarray(scan.darks[i]), f"scan at {energy:g} eV")
        for i, energy in enumerate(scan.energies_eV)
    ]
    weights = _energy_weights(scan, noises)
    if scan.is_series:
        result, total = fit_series(scan, noises, design, weights, names, progress)
    else:
        result, total = _tomography(scan, noises, design, weights, names, settings, threads, progress)
    slope = float(np.mean([noise.slope_adu for noise in noises]))
    return Conclusion(result, scan.energies_eV, design, total.spectra(), slope, total.repaired, total.reduced_chi2)


def _tomography(
    scan: Measurement,
    noises: list[NoiseModel],
    design: Array,
    weights: Array,
    names: tuple[str, ...],
    settings: Analysis,
    threads: int,
    progress: Progress | None,
) -> tuple[AmountMap, Tally]:
    """Reconstruct every energy, then fit every voxel."""
    transform_of = _engine(settings, scan, np.mean([noise.correlation for noise in noises], axis=0))
    n = scan.columns
    mapping = Mapping(names, (scan.rows, n, n), design, weights)
    outside = np.where(_outside(n, scan.center_px), Flag.OUTSIDE, 0).astype(np.uint8)

    def run(block: slice) -> Tally:
        transform = transform_of(block)
        grid = (block.stop - block.start, n, n)
        mu = np.empty((len(noises), *grid), np.float32)
        variance = np.empty_like(mu)
        repaired = np.zeros(grid[0], np.intp)
        for i, noise in enumerate(noises):
            rays = optical_depth(scan.projections[i, :, block], noise, block)
            mu[i], variance[i] = transform(rays)
            repaired += rays.repaired
        mapping.flags[block] |= outside
        return mapping.fill(block, mu, variance, repaired[:, None, None])

    blocks = [slice(low, min(low + _ROWS_A_BLOCK, scan.rows)) for low in range(0, scan.rows, _ROWS_A_BLOCK)]
    tallies = []
    # One BLAS thread in each worker: the sums then do not depend on how many threads there are.
    with threadpool_limits(1), ThreadPoolExecutor(threads) as pool:
        for part in pool.map(run, blocks):
            tallies.append(part)
            if progress:
                progress("analyze", len(tallies), len(blocks))

    return mapping.result(scan.pixel_um), functools.reduce(operator.add, tallies)


def _energy_weights(scan: Measurement, noises: list[NoiseModel]) -> Array:
    """1 / mean variance of the rays at each energy, from up to 16 views spread over the scan."""
    views = np.unique(np.linspace(0, len(scan.angles_rad) - 1, 16).astype(int))
    everything = slice(0, scan.rows)
    return np.array(
        [
            1 / optical_depth(np.stack([scan.projections[i, k] for k in views]), noise, everything).variance.mean()
            for i, noise in enumerate(noises)
        ]
    )


def _outside(columns: int, center_px: float) -> NDArray[np.bool_]:
    """Pixels of a slice that some view does not see, for an axis at column `center_px`."""
    axis = np.arange(columns) - (columns - 1) / 2
    reach = min(center_px + 0.5, columns - 0.5 - center_px)
    return np.asarray(np.hypot(axis[:, None], axis[None, :]) > reach)


def _engine(settings: Analysis, scan: Measurement, correlation: Array) -> Callable[[slice], Transform]:
    """For a block of rows: the function from rays to attenuation and its variance."""
    if settings.engine == "tomopy":
        check_tomopy()
        from .replicates import with_replicates
        from .tomopy_engine import gridrec

        return functools.partial(
            with_replicates,
            functools.partial(gridrec, window=settings.window),
            scan.angles_rad,
            correlation,
            center_px=scan.center_px,
            pixel_um=scan.pixel_um,
        )
    fbp = FilteredBackprojection(
        scan.angles_rad,
        scan.columns,
        center_px=scan.center_px,
        pixel_um=scan.pixel_um,
        window=settings.window,
        correlation=correlation,
    )

    def block_transform(block: slice) -> Transform:
        plan = fbp.plan(block.stop - block.start)
        return lambda rays: (
            fbp.reconstruct(rays.optical_depth, plan),
            fbp.variance(rays.variance, rays.shared_variance, plan),
        )

    return block_transform


def check_tomopy() -> None:
    """InputError where tomopy is asked for and cannot be imported."""
    try:
        import tomopy  # noqa: F401
    except ImportError as error:
        raise InputError(
            f"analysis.engine: tomopy is not installed ({error}); allowed here is fbp; "
            "install tomopy with conda (environment.yml)"
        ) from error
