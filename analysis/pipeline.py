"""The stack: counts -> optical depth -> attenuation at every energy -> amounts -> phase fraction."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Annotated, Literal

import numpy as np
from msgspec import Meta
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from instrument.measurement import InputError, Measurement, Spectrum

from .fbp import Filter, FilteredBackprojection
from .noise import NoiseModel, measure_noise
from .normalize import Rays, optical_depth
from .result import AmountMap, Flag, phase_fraction_sigma
from .spectra import Background, design_matrix, linear_combination, standards_matrix

Array = NDArray[np.float64]
Volume = NDArray[np.float32]
Progress = Callable[[str, int, int], None]
Transform = Callable[[Rays, NoiseModel], tuple[Volume, Volume]]

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
    ] = "shepp-logan"
    background: Annotated[
        Background, Meta(description="fitted beside the standards: 'none', 'constant', or 'linear' in energy")
    ] = "constant"


@dataclass(frozen=True)
class Conclusion:
    """A map, and what the experimenter needs to judge it: the spectra behind it and the noise found.

    `core_spectrum` and `shell_spectrum` hold mean attenuation (energy,), 1/um, of voxels found with
    x < 0.25 and x > 0.75, their sigma and the fit's; `standards` (species, energy).
    """

    map: AmountMap
    energies_eV: Array
    standards: Array
    spectra: dict[str, tuple[Array, Array]] = field(default_factory=dict)
    noise_slope_adu: float = 0.0
    repaired_rays: int = 0
    reduced_chi2: float = float("nan")


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
    matrix = standards_matrix(standards, scan.energies_eV)
    design = design_matrix(matrix, scan.energies_eV, settings.background)
    noises = [
        measure_noise(np.asarray(scan.flats[i]), np.asarray(scan.darks[i]), f"scan at {energy:g} eV")
        for i, energy in enumerate(scan.energies_eV)
    ]
    weights = _energy_weights(scan, noises)

    n = scan.columns
    shape = (scan.rows, n, n)
    amounts = np.zeros((len(names), *shape), np.float32)
    amounts_sigma = np.zeros_like(amounts)
    sigma = np.zeros(shape, np.float32)
    flags = np.zeros(shape, np.uint8)
    inside = _inscribed(n, scan.center_px)
    blocks = [slice(low, min(low + _ROWS_A_BLOCK, scan.rows)) for low in range(0, scan.rows, _ROWS_A_BLOCK)]
    tallies: dict[int, _Tally] = {}

    def run(block: slice) -> None:
        transform = _transform(settings, scan, block)
        count = block.stop - block.start
        mu = np.empty((len(scan.energies_eV), count, n, n), np.float32)
        variance = np.empty_like(mu)
        repaired = np.zeros(count, np.intp)
        for i, noise in enumerate(noises):
            rays = optical_depth(scan.projections[i, :, block], noise, block)
            mu[i], variance[i] = transform(rays, noise)
            repaired += rays.repaired
        found = linear_combination(
            mu.reshape(len(mu), -1), variance.reshape(len(mu), -1), design, weights, len(names)
        )
        values = found.amounts.reshape(len(names), count, n, n)
        covariance = found.covariance.reshape(len(names), len(names), count, n, n)
        amounts[:, block] = values
        amounts_sigma[:, block] = np.sqrt(np.einsum("ii...->i...", covariance))
        sigma[block] = phase_fraction_sigma(values, covariance, names)
        poor = (found.chi2 - found.dof > 5 * np.sqrt(2 * np.maximum(found.dof, 1))).reshape(count, n, n)
        flags[block] |= np.where(poor, Flag.POOR_FIT, 0).astype(np.uint8)
        flags[block] |= np.where(~inside, Flag.OUTSIDE, 0).astype(np.uint8)[None]
        flags[block] |= np.where(repaired > 0, Flag.REPAIRED, 0).astype(np.uint8)[:, None, None]
        tallies[block.start] = _tally(mu, values, names, found.chi2.reshape(count, n, n), found.dof, int(repaired.sum()))

    # One BLAS thread in each worker: the sums then do not depend on how many threads there are.
    with threadpool_limits(1), ThreadPoolExecutor(threads) as pool:
        for done, _ in enumerate(pool.map(run, blocks), 1):
            if progress:
                progress("analyze", done, len(blocks))

    result = AmountMap(
        names, amounts, scan.pixel_um, amounts_sigma=amounts_sigma, phase_fraction_sigma=sigma, flags=flags
    )
    flags |= np.where(np.isnan(result.phase_fraction), Flag.NO_IRON, 0).astype(np.uint8)
    return _conclude(result, scan, matrix, noises, [tallies[block.start] for block in blocks])


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


def _inscribed(columns: int, center_px: float) -> NDArray[np.bool_]:
    """Pixels of a slice that every view sees, for an axis at column `center_px`."""
    axis = np.arange(columns) - (columns - 1) / 2
    reach = min(center_px + 0.5, columns - 0.5 - center_px)
    return np.asarray(np.hypot(axis[:, None], axis[None, :]) <= reach)


def _transform(settings: Analysis, scan: Measurement, block: slice) -> Transform:
    rows = block.stop - block.start
    if settings.engine == "fbp":
        fbp = FilteredBackprojection(
            scan.angles_rad, scan.columns, rows, center_px=scan.center_px, pixel_um=scan.pixel_um, window=settings.window
        )

        def transform(rays: Rays, noise: NoiseModel) -> tuple[Volume, Volume]:
            variance = fbp.variance(rays.variance, rays.shared_variance, noise.correlation)
            return fbp.reconstruct(rays.optical_depth), variance

        return transform
    from .replicates import with_replicates
    from .tomopy_engine import gridrec

    return with_replicates(gridrec, scan.angles_rad, center_px=scan.center_px, pixel_um=scan.pixel_um, first_row=block.start)


@dataclass(frozen=True)
class _Tally:
    """Sums over a block that the report's spectra are made of."""

    counts: dict[str, int]
    spectra: dict[str, Array]
    chi2: float
    dof: float
    repaired: int


_CLASSES = {"core": (-0.25, 0.25), "shell": (0.75, 1.25)}


def _tally(
    mu: Volume, amounts: Volume, names: tuple[str, ...], chi2: Volume, dof: NDArray[np.intp], repaired: int
) -> _Tally:
    iron = amounts.sum(axis=0)
    particle = iron > 0.5
    x = amounts[names.index("FP")] / np.where(particle, iron, 1)
    masks = {name: particle & (x > low) & (x < high) for name, (low, high) in _CLASSES.items()}
    return _Tally(
        {name: int(mask.sum()) for name, mask in masks.items()},
        {name: mu[:, mask].sum(axis=1, dtype=float) for name, mask in masks.items()},
        float(chi2[particle].sum(dtype=float)),
        float(dof.reshape(particle.shape)[particle].sum()),
        repaired,
    )


def _conclude(
    result: AmountMap, scan: Measurement, matrix: Array, noises: list[NoiseModel], tallies: list[_Tally]
) -> Conclusion:
    spectra = {}
    for name in _CLASSES:
        count = sum(tally.counts[name] for tally in tallies)
        if count:
            mean = np.sum([tally.spectra[name] for tally in tallies], axis=0) / count
            spectra[name] = (mean, np.full(len(mean), count, float))
    dof = sum(tally.dof for tally in tallies)
    return Conclusion(
        result,
        scan.energies_eV,
        matrix,
        spectra,
        float(np.mean([noise.slope_adu for noise in noises])),
        sum(tally.repaired for tally in tallies),
        sum(tally.chi2 for tally in tallies) / dof if dof else float("nan"),
    )


def check_engine(name: str) -> None:
    """InputError where an engine is asked for that cannot be imported."""
    if name == "tomopy":
        try:
            import tomopy  # noqa: F401
        except ImportError as error:
            raise InputError(
                f"analysis.engine: tomopy is not installed ({error}); allowed here is fbp; "
                "install tomopy with conda (environment.yml)"
            ) from error
