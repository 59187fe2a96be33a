"""The order `joint`: one statistical reconstruction of the species' maps from the rays of all energies at once.

A ray's 31 optical depths speak of the species only through its fitted path lengths and their covariance (sufficient
statistics): the least squares in the rays of all energies is, but for a constant, that in these paths, weighted with their
information. Total variation says what the rays leave open.
"""

import functools
import operator

import numpy as np
from numpy.typing import NDArray

from ..choices import Analysis
from ..own import Own
from ..prepare.noise import power_spectrum
from ..prepare.prepared import Prepared
from ..progress import Progress
from ..reconstruct.held_out import choose_weight
from ..reconstruct.operators import Projector
from ..reconstruct.replicates import averaged, coloured, root
from ..reconstruct.total_variation import State, TotalVariation, information_of
from ..result import AmountMap
from .blocks import over_rows, part_of
from .mapping import Mapping
from .model import Model
from .projection import paths
from .rayfit import RayFit
from .tally import Tally, tally_of_rays

Array = NDArray[np.float64]
Values = NDArray[np.float32]

_REPLICATES = 2
_STEPS = 40  # that a solution takes or so
_SMOOTHING_PX = (2.0, 2.0, 2.0)


def joint(
    prepared: Prepared, model: Model, settings: Analysis, own: Own, *, threads: int = 1, progress: Progress | None = None
) -> tuple[AmountMap, Tally]:
    """Amounts and sigma in every voxel of a scan, as `image_first`; chi2 is that of the rays.

    Sigma is the error of the same reconstruction of rays that the found maps would give, with fresh noise (parametric
    bootstrap; Efron and Tibshirani, 1993, ch. 6), over two replicates and some neighbours. It holds the noise and what total
    variation does to maps like the one found; structure that it has taken away altogether, as a layer thinner than a voxel, it
    cannot know. What all views of a pixel share counts in sigma, but is not weighted against.
    """
    scan, n = prepared.scan, prepared.scan.columns
    mapping = Mapping(model, (scan.rows, n, n))
    mapping.outside(prepared.geometry.center_px)
    rays, repaired = rays_of(prepared, model, threads, part_of(progress, 0, 0.2))
    information = information_of(rays.covariance)
    place = {"center_px": prepared.geometry.center_px, "pixel_um": scan.pixel_um}
    weight = choose_weight(rays.paths, information, scan.angles_rad, threads=threads, **place).weight
    problem = TotalVariation(information, Projector(scan.angles_rad, n, **place), threads=threads)
    told = part_of(progress, 0.4, 0.6)
    state = problem.solve(rays.paths, weight, watch=lambda done: told("analyze", done, _STEPS))
    amounts = np.maximum(problem.maps(state), 0)  # the steps end a little outside the bound
    colour = np.sqrt(power_spectrum(prepared.correlation, n))
    covariance = _spread(problem, state, rays, weight, colour, threads, part_of(progress, 0.6, 1))

    def put(block: slice) -> Tally:
        mapping.put(block, amounts[:, block], covariance[:, :, block], repaired[block, None, None])
        return tally_of_rays(amounts[:, block], len(model.design), 0.0, 0.0, int(repaired[block].sum()))

    total = functools.reduce(operator.add, over_rows(put, scan.rows, threads))
    return mapping.result(scan.pixel_um), total + tally_of_rays(amounts[:, :0], len(model.design), rays.chi2, rays.dof, 0)


def rays_of(
    prepared: Prepared, model: Model, threads: int = 1, progress: Progress | None = None
) -> tuple[RayFit, NDArray[np.intp]]:
    """Path lengths along all rays, with their own weights, and repaired rays (row,)."""
    blocks = over_rows(lambda block: paths(prepared, model, block, own_weights=True), prepared.scan.rows, threads, progress)
    fits = [fit for fit, _ in blocks]
    whole = RayFit(
        np.concatenate([fit.paths for fit in fits], axis=1),
        np.concatenate([fit.covariance for fit in fits], axis=2),
        np.concatenate([fit.shared for fit in fits], axis=2),
        sum(fit.chi2 for fit in fits),
        sum(fit.dof for fit in fits),
    )
    return whole, np.concatenate([repaired for _, repaired in blocks])


def _spread(
    problem: TotalVariation, state: State, rays: RayFit, weight: float, colour: Array, threads: int, progress: Progress
) -> Values:
    """Covariance (species, species, row, y, x) of the maps by replicates."""
    maps = problem.maps(state)
    out = np.zeros((len(maps), *maps.shape), np.float32)
    again = np.empty_like(rays.paths)
    for replicate in range(_REPLICATES):

        def measure(block: slice, replicate: int = replicate) -> None:
            rng = np.random.default_rng((replicate, block.start))  # fixed by the place in the scan, so that runs repeat
            own, shared = (root(part[:, :, block]) for part in (rays.covariance, rays.shared))
            noise = coloured(rng, own, colour) + coloured(rng, shared, colour)[:, :, None]
            again[:, block] = np.stack([problem.projector.forward(image[block]) for image in maps]) + noise

        over_rows(measure, maps.shape[1], threads)
        change = problem.maps(problem.solve(again, weight, state)) - maps
        progress("analyze", replicate + 1, _REPLICATES)
        for i, one in enumerate(change):
            out[i] += one * change / _REPLICATES
    return averaged(out, problem.whitened(state), _SMOOTHING_PX)
