"""Reconstruction engines in one shape: from sinograms and their covariance to maps and theirs."""

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from instrument.measurement import InputError

from ..choices import Analysis
from ..prepare.prepared import Prepared
from .fbp import FilteredBackprojection

Array = NDArray[np.float64]
Floats = NDArray[np.floating[Any]]
Values = NDArray[np.float32]
# Sinograms (n, row, angle, column), covariance (n, n, row, angle, column) of each ray and (n, n, row, column) of what all views
# share; to maps (n, row, y, x) and their covariance (n, n, row, y, x).
Transform = Callable[[Floats, Floats, Floats], tuple[Values, Values]]


def engine_of(settings: Analysis, prepared: Prepared) -> Callable[[slice], Transform]:
    """For a block of rows: the transform of an engine. Raises InputError where it is not installed."""
    correlation = prepared.correlation
    scan = prepared.scan
    center_px = prepared.geometry.center_px
    if settings.engine == "tomopy":
        check_tomopy()
        from .replicates import with_replicates
        from .tomopy_engine import gridrec

        engine = functools.partial(gridrec, window=settings.window)
        return functools.partial(
            with_replicates, engine, scan.angles_rad, correlation, center_px=center_px, pixel_um=scan.pixel_um
        )
    fbp = FilteredBackprojection(
        scan.angles_rad,
        scan.columns,
        window=settings.window,
        correlation=correlation,
        center_px=center_px,
        pixel_um=scan.pixel_um,
    )

    def of_block(block: slice) -> Transform:
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

    return of_block


def check_tomopy() -> None:
    """InputError where tomopy is asked for and cannot be imported."""
    try:
        import tomopy  # noqa: F401
    except ImportError as error:
        raise InputError(
            f"analysis.engine: tomopy is not installed ({error}); allowed here is fbp; "
            "install tomopy with conda (environment.yml)"
        ) from error
