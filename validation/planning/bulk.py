"""What noise does to sums over the particle: the bulk fraction."""

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation

from instrument.projector import project_slabs

from ..coarse import Coarse
from ..study import Study
from .foretell import Foretold, standards_variance
from .rays import Rays, detector_light, noise_of

Array = NDArray[np.float64]

_GROWN = 2  # voxels, as in the scores


def bulk_sigma(coarse: Coarse, study: Study, foretold: Foretold) -> float:
    """Sigma of the bulk fraction by photon noise, that of the standards with it.

    The sum of filtered backprojection over a mask is that of the rays times the mask's projection, filtered. Noise of each ray
    adds with the square of that, and what all views share with the square of its mean over the views.
    """
    energies = np.array(study.scan.energies_eV)
    mask = _mask(coarse, study)
    views, rows, columns = mask.shape
    place = np.indices((rows, columns)).reshape(2, -1)
    row_um, column_um = ((place[k] * coarse.sample_um + coarse.corner_um[k])[:, None] * np.ones(views) for k in (0, 1))
    paths = coarse.paths.reshape(len(coarse.paths), views, -1).transpose(0, 2, 1).astype(float)
    noise = noise_of(Rays(paths, detector_light(study, row_um, column_um)), coarse.matter, study, coarse.angles_rad)
    padded = 2 * columns
    ramp = np.abs(np.fft.rfftfreq(padded, coarse.sample_um))
    filtered = np.fft.irfft(np.fft.rfft(mask, padded, axis=-1) * ramp, padded, axis=-1)[..., :columns]
    weight = filtered.reshape(views, -1).T
    # Rays of a pixel's width on the coarse grid: their variance is that of a density.
    area = (study.scan.pixel_um * coarse.sample_um) ** 2
    own = np.pi**2 / study.scan.angles * np.einsum("rv,erv->e", weight**2, noise.photon + noise.white) / views
    shared = np.pi**2 * np.einsum("r,er->e", weight.mean(axis=1) ** 2, noise.shared_photon + noise.shared_white)
    variance = (own + shared) * area
    iron = coarse.truth.amounts.sum(axis=(1, 2, 3), dtype=float) * coarse.sample_um**3
    bulk = iron[1] / iron.sum()
    lever = np.array([-bulk, 1 - bulk]) @ foretold.lever / iron.sum()
    films = (np.array([1 - bulk, bulk]) ** 2) @ standards_variance(study, coarse.matter.attenuation_per_um(energies)[:2])
    return float(np.sqrt(lever**2 @ variance + (lever * iron.sum()) ** 2 @ films))


def _mask(coarse: Coarse, study: Study) -> Array:
    """Projections (view, row, column), um, of what a bulk fraction is summed over: the particle grown by two voxels."""
    particle = coarse.truth.iron >= 0.5
    steps = round(_GROWN * study.scan.pixel_um / coarse.sample_um)
    grown = binary_dilation(particle, iterations=steps) if steps else particle
    whole = project_slabs(grown.astype(np.float32), coarse.angles_rad, coarse.sample_um, np.zeros(1))[0]
    count = whole.shape[1:]
    shape = coarse.paths.shape[2:]
    starts = [round(corner / coarse.sample_um + (total - 1) / 2) for corner, total in zip(coarse.corner_um, count, strict=True)]
    row, column = (slice(start, start + size) for start, size in zip(starts, shape, strict=True))
    return np.asarray(whole[:, row, column], float)
