"""The order `image`: reconstruct every energy, then fit every voxel."""

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
from .tally import Tally


def image_first(
    prepared: Prepared, model: Model, settings: Analysis, own: Own, *, threads: int = 1, progress: Progress | None = None
) -> tuple[AmountMap, Tally]:
    """Amounts and sigma in every voxel of a scan, row block by row block.

    Memory does not grow with the number of energies, but for what the standards leave in the particle's voxels.
    """
    scan, n = prepared.scan, prepared.scan.columns
    engine = engine_of(settings, prepared, own.engine)
    mapping = Mapping(model, (scan.rows, n, n), unexplained=settings.unexplained, own=own.fit)
    mapping.outside(prepared.geometry.center_px)

    def run(block: slice) -> Tally:
        transform = engine(block)
        grid = (block.stop - block.start, n, n)
        mu = np.empty((len(prepared.noises), *grid), np.float32)
        variance = np.empty_like(mu)
        repaired: NDArray[np.intp] = np.zeros(grid[0], np.intp)
        for i in range(len(mu)):
            rays = prepared.rays(i, block)
            own, shared = rays.variance[None, None], rays.shared_variance[None, None]
            found, spread = transform(rays.optical_depth[None], own, shared)
            mu[i], variance[i] = found[0], spread[0, 0]
            repaired += rays.repaired
        return mapping.fit(block, mu, variance, repaired[:, None, None])

    tallies = over_rows(run, scan.rows, threads, progress)
    return mapping.result(scan.pixel_um), functools.reduce(operator.add, tallies)
