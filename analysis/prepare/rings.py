"""Errors that a pixel makes in all views alike, which draw rings: found in the mean of all angles, and taken out."""

from collections.abc import Callable
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import median_filter

from instrument.measurement import InputError

Array = NDArray[np.float64]
Rings = Literal["none", "mean", "sorting"]


def leave(depth: Array) -> Array:
    """Optical depth (row, angle, column) as it is."""
    return depth


def subtract_mean(depth: Array) -> Array:
    """Without what the mean of all angles has beyond its own median over 5 x 5 pixels.

    A turning sample's mean over angles is smooth, a pixel's own error is not; rows and columns tell them apart together.
    """
    return np.asarray(depth - rough(depth.mean(axis=1))[:, None])


def rough(image: Array) -> Array:
    """What an image (row, column) has beyond its median over 5 x 5 pixels."""
    return np.asarray(image - median_filter(image, 5, mode="nearest"))


def sort(depth: Array) -> Array:
    """Median over neighbouring columns of each one's values sorted by size (Vo et al., Opt. Express 26 (2018) 28396).

    Raises InputError where algotom is not installed.
    """
    try:
        from algotom.prep.removal import remove_stripe_based_sorting
    except ImportError as error:
        raise InputError(
            f"analysis.prepare.rings: algotom is not installed ({error}); allowed here is mean; pip install 'txm-twin[rings]'"
        ) from error
    return np.stack([remove_stripe_based_sorting(sinogram, 5) for sinogram in depth])


RINGS: dict[Rings, Callable[[Array], Array]] = {"none": leave, "mean": subtract_mean, "sorting": sort}
