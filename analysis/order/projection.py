"""The order `projection`: fit the species' path lengths to every ray, then reconstruct their maps.

Fit and reconstruction are linear and commute, so the maps are those of `image` for weights that all rays share, at the
cost of as many reconstructions as there are species. With each ray's own weights, dim rays count as little as they know.
"""

import functools
import operator

import numpy as np
from numpy.typing import NDArray

from ..choices import Analysis
from ..own import Own
from ..prepare.prepared import Prepared
from ..progress import Progress
from ..reconstruct.engines import engine_of
from ..result import AmountMap
from .blocks import over_rows
from .mapping import Mapping
from .model import Model
from .rayfit import RayFit, fit_rays
from .tally import Tally, tally_of_rays

Values = NDArray[np.float32]


def projection_first(
    prepared: Prepared, model: Model, settings: Analysis, own: Own, *, threads: int = 1, progress: Progress | None = None
) -> tuple[AmountMap, Tally]:
    """Amounts and sigma in every voxel of a scan, as `image_first`; chi2 is that of the rays."""
    scan, n = prepared.scan, prepared.scan.columns
    engine = engine_of(settings, prepared, own.engine)
    mapping = Mapping(model, (scan.rows, n, n))
    mapping.outside(prepared.geometry.center_px)

    def run(block: slice) -> Tally:
        found, repaired = paths(prepared, model, block, own_weights=settings.weights == "ray")
        amounts, covariance = engine(block)(found.paths, found.covariance, found.shared)
        mapping.put(block, amounts, covariance, repaired[:, None, None])
        return tally_of_rays(amounts, len(model.design), found.chi2, found.dof, int(repaired.sum()))

    tallies = over_rows(run, scan.rows, threads, progress)
    return mapping.result(scan.pixel_um), functools.reduce(operator.add, tallies)


def paths(prepared: Prepared, model: Model, block: slice, *, own_weights: bool) -> tuple[RayFit, NDArray[np.intp]]:
    """Path lengths of a block of rows, from all energies, and repaired rays (row,)."""
    scan = prepared.scan
    shape = (len(model.design), block.stop - block.start, len(scan.angles_rad), scan.columns)
    depth, variance = np.empty(shape, np.float32), np.empty(shape, np.float32)
    shared = np.empty((shape[0], shape[1], shape[3]), np.float32)
    repaired: NDArray[np.intp] = np.zeros(shape[1], np.intp)
    for i in range(len(depth)):
        rays = prepared.rays(i, block)
        depth[i], variance[i], shared[i] = rays.optical_depth, rays.variance, rays.shared_variance
        repaired += rays.repaired
    return fit_rays(depth, variance, shared, model, own_weights=own_weights), repaired
