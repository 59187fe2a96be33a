"""Reconstruction engines in one shape: from sinograms and their covariance to maps and theirs."""

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from instrument.measurement import InputError

from ..choices import Analysis
from ..own import Engine
from ..prepare.prepared import Prepared
from .fbp import FilteredBackprojection
from .iterative import cgls, sirt
from .operators import Projector
from .replicates import with_replicates
from .total_variation import total_variation

Array = NDArray[np.float64]
Floats = NDArray[np.floating[Any]]
Values = NDArray[np.float32]
# Sinograms (n, row, angle, column), covariance (n, n, row, angle, column) of each ray and (n, n, row, column) of what all views
# share; to maps (n, row, y, x) and their covariance (n, n, row, y, x).
Transform = Callable[[Floats, Floats, Floats], tuple[Values, Values]]

_ITERATIVE: dict[str, Callable[..., Values]] = {"cgls": cgls, "sirt": sirt, "tv": total_variation}


def engine_of(settings: Analysis, prepared: Prepared, own: Engine | None = None) -> Callable[[slice], Transform]:
    """For a block of rows: the transform of an engine, `own` instead of ours. Raises InputError where it is not installed."""
    angles_rad, columns = prepared.scan.angles_rad, prepared.scan.columns
    center_px, pixel_um = prepared.geometry.center_px, prepared.scan.pixel_um
    correlation = prepared.correlation
    projector = Projector(angles_rad, columns, center_px=center_px, pixel_um=pixel_um)
    if own is not None:
        engine = own

        def given(rays: Floats, variance: Floats) -> Values:
            shown = np.asarray(rays, np.float32)
            return np.asarray(engine(shown, angles_rad, center_px=center_px, pixel_um=pixel_um), np.float32)

        return functools.partial(with_replicates, given, correlation, projector=projector)
    if settings.engine == "fbp":
        fbp = FilteredBackprojection(
            angles_rad, columns, window=settings.window, correlation=correlation, center_px=center_px, pixel_um=pixel_um
        )
        return functools.partial(_filtered, fbp)
    if settings.engine == "tomopy":
        check_tomopy()
        from .tomopy_engine import gridrec, iterative

        if settings.algorithm == "gridrec":

            def filtered(rays: Floats, variance: Floats) -> Values:
                return gridrec(rays, angles_rad, center_px=center_px, pixel_um=pixel_um, window=settings.window)

            return functools.partial(with_replicates, filtered, correlation)

        def stepwise(rays: Floats, variance: Floats) -> Values:
            return iterative(rays, angles_rad, center_px=center_px, pixel_um=pixel_um, algorithm=settings.algorithm)

        return functools.partial(with_replicates, stepwise, correlation, projector=projector)
    method, each = _ITERATIVE[settings.engine], settings.weights == "ray"

    def weighted(rays: Floats, variance: Floats) -> Values:
        # One weight for each view, or each ray its own.
        shown = np.asarray(variance if each else variance.mean(axis=(0, 2), keepdims=True), np.float32)
        return method(np.asarray(rays, np.float32), angles_rad, center_px=center_px, pixel_um=pixel_um, variance=shown)

    return functools.partial(with_replicates, weighted, correlation, projector=projector)


def _filtered(fbp: FilteredBackprojection, block: slice) -> Transform:
    plan = fbp.plan(block.stop - block.start)

    def transform(sinograms: Floats, covariance: Floats, shared: Floats) -> tuple[Values, Values]:
        maps = np.stack([fbp.reconstruct(part, plan) for part in sinograms])
        spread = np.empty((len(maps), *maps.shape), np.float32)
        for i in range(len(maps)):
            for j in range(i, len(maps)):
                spread[i, j] = spread[j, i] = fbp.variance(covariance[i, j], shared[i, j], plan)
            np.maximum(spread[i, i], np.float32(1e-30), out=spread[i, i])
        return maps, spread

    return transform


def check_tomopy() -> None:
    """InputError where tomopy is asked for and cannot be imported."""
    try:
        import tomopy  # noqa: F401
    except ImportError as error:
        raise InputError(
            f"analysis.engine: tomopy is not installed ({error}); allowed here are fbp, cgls, sirt and tv; "
            "install tomopy with conda (environment.yml)"
        ) from error
