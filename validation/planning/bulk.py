"""What noise does to sums over the particle: the bulk fraction."""

import numpy as np
from numpy.typing import NDArray

from ..coarse import Coarse
from ..study import Study
from .foretell import Foretold
from .rays import Rays, detector_light, noise_of

Array = NDArray[np.float64]


def bulk_sigma(coarse: Coarse, study: Study, foretold: Foretold) -> float:
    """Sigma of the bulk fraction by photon noise.

    The sum of filtered backprojection over a mask is that of the rays times the mask's projection, filtered. Noise of each ray
    adds with the square of that, and what all views share with the square of its mean over the views.
    """
    total = coarse.paths[:2].sum(axis=0)
    views, rows, columns = total.shape
    place = np.indices((rows, columns)).reshape(2, -1)
    row_um, column_um = ((place[k] * coarse.sample_um + coarse.corner_um[k])[:, None] * np.ones(views) for k in (0, 1))
    paths = coarse.paths.reshape(len(coarse.paths), views, -1).transpose(0, 2, 1).astype(float)
    noise = noise_of(Rays(paths, detector_light(study, row_um, column_um)), coarse.matter, study, coarse.angles_rad)
    # The particle as its own mask: full of iron.
    padded = 2 * columns
    ramp = np.abs(np.fft.rfftfreq(padded, coarse.sample_um))
    filtered = np.fft.irfft(np.fft.rfft(total, padded, axis=-1) * ramp, padded, axis=-1)[..., :columns]
    weight = filtered.reshape(views, -1).T
    # Rays of a pixel's width on the coarse grid: their variance is that of a density.
    area = (study.scan.pixel_um * coarse.sample_um) ** 2
    own = np.pi**2 / study.scan.angles * np.einsum("rv,erv->e", weight**2, noise.photon + noise.white) / views
    shared = np.pi**2 * np.einsum("r,er->e", weight.mean(axis=1) ** 2, noise.shared_photon + noise.shared_white)
    variance = (own + shared) * area
    iron = coarse.truth.amounts.sum(axis=(1, 2, 3), dtype=float) * coarse.sample_um**3
    bulk = iron[1] / iron.sum()
    lever = np.array([-bulk, 1 - bulk]) @ foretold.lever / iron.sum()
    return float(np.sqrt(lever**2 @ variance))
