"""How wrong the map of a scan will be by its noise: photons to rays, rays to voxels, voxels to phase fraction."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from analysis.order.model import Model
from analysis.reconstruct.fbp import Filter, FilteredBackprojection, angular_weights
from analysis.result import IRON_FLOOR
from analysis.spectra.combination import design_matrix
from instrument.standards import FILM_PX

from ..coarse import Coarse
from ..materials import species_of
from ..study import Study
from ..trial import resolution_um
from .rays import Noise, Voxels, correlation, field, interior, noise_of

Array = NDArray[np.float64]

_LAGS = 8
_NODES = 12
_GAIN_COLUMNS = 128  # a voxel's noise comes from rays nearby
_GAIN_VIEWS = 256  # more of them divide their own noise, and rings no more


@dataclass(frozen=True)
class Foretold:
    """What noise alone does to a voxel of the interior: `rms` error of x, in core and shell, and `sigma` of x, linear.

    `rings` is the share of its square that all views have in common, by flats and darks. `covariance` (voxel, species, species)
    is that of the amounts, `lever` (species, energy) the fit's estimator.
    """

    rms: float
    rms_lfp: float
    rms_fp: float
    sigma: float
    rings: float
    covariance: Array
    lever: Array
    voxels: Voxels


def foretell(coarse: Coarse, study: Study, third_per_um: Array | None = None) -> Foretold:
    """The error of the methods `image` and `projection` with the engine `fbp`, which are linear.

    The variance of a voxel is the mean of that of its rays times the gain of filtered backprojection, and what all views share
    adds as rings; a fit with weights common to all voxels leads it on as P V P^T. The standards' own noise moves all voxels. The
    ratio of amounts is not linear: its error is integrated over their joint normal distribution, an error counting at most 1.
    With `third_per_um` (energy,) the fit has a third species.
    """
    angles, own_rays = coarse.angles_rad, study.analysis.weights == "ray"
    matter = coarse.matter
    voxels = interior(coarse, study.scan.pixel_um, resolution_um(study))
    energies = np.array(study.scan.energies_eV)
    standards = matter.attenuation_per_um(energies)[:2]
    if third_per_um is not None:
        standards = np.vstack([standards, third_per_um])
    design = design_matrix(standards, energies, study.analysis.background)
    whole = noise_of(field(coarse, study), matter, study, angles)
    weights = 1 / (whole.photon + whole.white).mean(axis=(1, 2))
    lever = Model(tuple(species_of(study)), energies, design, weights).estimator
    noise = noise_of(voxels.rays, matter, study, angles)
    own, together = _covariances(coarse, study, design, lever, noise, voxels.radius_um, own_rays)
    films = standards_variance(study, standards[:2])
    covariance = own + together + np.einsum("se,te,kn,ke->nst", lever, lever, voxels.amounts**2, films, optimize=True)
    errors = ratio_error2(voxels.amounts, covariance)
    core = voxels.fraction < 0.5
    iron = voxels.amounts.sum(axis=0)
    gradient = np.stack([-voxels.fraction, 1 - voxels.fraction]) / iron
    linear, rings = (np.einsum("sn,nst,tn->n", gradient, part, gradient).mean() for part in (covariance, together))
    return Foretold(
        float(np.sqrt(errors.mean())),
        _rms(errors[core]),
        _rms(errors[~core]),
        float(np.sqrt(linear)),
        float(rings / linear),
        covariance,
        lever,
        voxels,
    )


def standards_variance(study: Study, standards: Array) -> Array:
    """Variance (species, energy) of the measured standards, (1/um)^2: photon noise of film and flats, over all pixels."""
    found = []
    for mu, name in zip(standards, species_of(study), strict=True):
        film = getattr(study.standards, name)
        photons = study.instrument.detected_photons * film.frames * FILM_PX**2
        found.append((1 + np.exp(mu * film.thickness_um)) / photons / film.thickness_um**2)
    return np.array(found)


def _rms(squares: Array) -> float:
    return float(np.sqrt(squares.mean())) if squares.size else float("nan")


def _covariances(
    coarse: Coarse, study: Study, design: Array, lever: Array, noise: Noise, radius_um: Array, own_rays: bool
) -> tuple[Array, Array]:
    """Covariances (voxel, species, species) of the amounts: by the rays' own noise, and by what all views share."""
    photon, white = (gains(study, kind) for kind in ("photon", "white"))
    views = angular_weights(coarse.angles_rad) ** 2
    views /= views.sum()
    ring = [np.interp(radius_um, radii, shared) for _, radii, shared in (photon, white)]
    common = noise.shared_photon * ring[0] + noise.shared_white * ring[1]
    together = np.einsum("se,te,en->nst", lever, lever, common, optimize=True)
    own = photon[0] * noise.photon + white[0] * noise.white
    if not own_rays:
        return np.einsum("se,te,enk,k->nst", lever, lever, own, views, optimize=True), together
    # Each ray by its own weights.
    inside = 1 / (noise.photon + noise.white)
    information = np.einsum("eu,enk,ew->nkuw", design, inside, design, optimize=True)
    levers = np.einsum("nkuw,ew,enk->nkue", np.linalg.inv(information)[..., :2, :], design, inside, optimize=True)
    return np.einsum("nkse,nkte,enk,k->nst", levers, levers, own, views, optimize=True), together


def gains(study: Study, kind: str) -> tuple[float, Array, Array]:
    """The gains of `FilteredBackprojection` for 'photon' noise, which the scintillator correlates, or 'white' noise."""
    scan = study.scan
    spread = study.camera.spread_px if kind == "photon" else 0.0
    views = min(scan.angles, _GAIN_VIEWS)
    ends = scan.first_angle_deg, scan.last_angle_deg, views
    own, radii, rings = _gains(ends, min(scan.columns, _GAIN_COLUMNS), scan.pixel_um, study.analysis.window, spread)
    return own * views / scan.angles, radii, rings


@lru_cache(maxsize=64)
def _gains(
    views: tuple[float, float, int], columns: int, pixel_um: float, window: Filter, spread_px: float
) -> tuple[float, Array, Array]:
    angles = np.deg2rad(np.linspace(*views))
    likeness = correlation(spread_px, _LAGS)
    center_px = (columns - 1) / 2
    return FilteredBackprojection(
        angles, columns, center_px=center_px, pixel_um=pixel_um, window=window, correlation=likeness
    ).gains()


def ratio_error2(amounts: Array, covariance: Array) -> Array:
    """Mean square error (n,) of x from amounts (species, n) with covariance (n, species, species), normal; at most 1 in a voxel.

    Gauss-Hermite, 12 nodes along each axis of the ellipsoid. A voxel without iron has no answer, which counts 1.
    """
    nodes, heights = np.polynomial.hermite_e.hermegauss(_NODES)
    heights = heights / heights.sum()
    u, v = (part.ravel() for part in np.meshgrid(nodes, nodes))
    weight = np.outer(heights, heights).ravel()
    spread = np.linalg.cholesky(covariance + 1e-30 * np.eye(2))
    found = amounts.T[:, :, None] + np.einsum("nst,tm->nsm", spread, np.stack([u, v]))
    iron = found.sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        error = found[:, 1] / iron - (amounts[1] / amounts.sum(axis=0))[:, None]
    return np.asarray(np.where(iron >= IRON_FLOOR, np.minimum(error**2, 1), 1) @ weight)
