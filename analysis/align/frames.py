"""Frames for alignment, an energy at a time, as the detector has them and as if nothing had moved."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..prepare.geometry import Geometry

Array = NDArray[np.float64]
Floats = NDArray[np.floating[Any]]
Values = NDArray[np.float32]

_VIEWS = 16  # at once in a thread


@dataclass(frozen=True)
class Frames:
    """`on_detector` of an energy's number gives optical depth (row, angle, column); it is asked again in each pass."""

    on_detector: Callable[[int], Values]
    energies: int
    angles_rad: Array
    shape: tuple[int, int]
    pixel_um: float
    threads: int = 1

    def straight(self, energy: int, geometry: Geometry, pattern: Values) -> Values:
        """Frames (row, angle, column) without `pattern` (row, column), as if nothing had moved."""
        raw = self.on_detector(energy) - pattern[:, None]
        if geometry.is_straight:
            return raw

        def straighten(images: Values, views: slice) -> Floats:
            return geometry.straighten(images, energy, 0, slice(0, self.shape[0]), self.shape, views)

        return self._each(straighten, raw)

    def misplaced(self, frames: Values, energy: int, geometry: Geometry) -> Values:
        """Frames (row, angle, column) of a sample that stands still as the detector sees them."""
        return self._each(lambda images, views: geometry.misplace(images, energy, views), frames)

    def _each(self, change: Callable[[Values, slice], Floats], frames: Values) -> Values:
        """`change` of images (angle, row, column) on some views after others, in threads."""
        images = frames.transpose(1, 0, 2)
        parts = [slice(low, low + _VIEWS) for low in range(0, len(images), _VIEWS)]
        with ThreadPoolExecutor(self.threads) as pool:
            changed = list(pool.map(lambda part: change(images[part], part), parts))
        return np.ascontiguousarray(np.concatenate(changed).transpose(1, 0, 2))
