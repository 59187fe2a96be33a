"""Where the sample's image lay in each frame, and frames brought back to where it should have been."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import affine_transform

Array = NDArray[np.float64]
Floats = NDArray[np.floating[Any]]

_ORDER = 3
_SPLINE_REACH = 8  # pixels beyond which a sample no longer acts on a cubic spline: 0.27^8 is 3e-5


@dataclass(frozen=True)
class Geometry:
    """Place, size and turn of the sample's image on the detector.

    What should lie at q, pixels (row, column) from the middle of the detector, lies at scale R^T q + shift, where R turns by
    `roll_rad` from rows to columns. `shifts_px` (energy, angle, 2) are (row, column), `scale` (energy,) is relative to the first
    energy; `center_px` is the rotation axis' column where nothing is shifted.
    """

    shifts_px: Array
    scale: Array
    roll_rad: float
    center_px: float

    @property
    def is_straight(self) -> bool:
        """Whether every image lies where it should."""
        return not self.shifts_px.any() and bool((self.scale == 1).all()) and self.roll_rad == 0

    def matrix(self, energy: int) -> Array:
        """scale R^T of an energy, (2, 2)."""
        cos, sin = np.cos(self.roll_rad), np.sin(self.roll_rad)
        return np.asarray(self.scale[energy] * np.array([[cos, -sin], [sin, cos]]))

    def rows_needed(self, energy: int, rows: slice, shape: tuple[int, int]) -> slice:
        """Detector rows that `rows` of straightened frames are made of, of detectors of `shape`."""
        if self.is_straight:
            return rows
        middle = (np.array(shape) - 1) / 2
        corners = np.array([[r, c] for r in (rows.start, rows.stop - 1) for c in (0, shape[1] - 1)]) - middle
        places = corners @ self.matrix(energy)[0] + middle[0]
        moved = self.shifts_px[energy, :, 0]
        low = int(np.floor(places.min() + moved.min())) - _SPLINE_REACH
        high = int(np.ceil(places.max() + moved.max())) + 1 + _SPLINE_REACH
        low, high = min(max(low, 0), shape[0] - 1), max(min(high, shape[0]), 1)
        return slice(low, max(high, low + 1))

    def straighten(
        self, images: Floats, energy: int, first_row: int, rows: slice, shape: tuple[int, int], views: slice = slice(None)
    ) -> Floats:
        """Rows of frames as if nothing had moved, (angle, row, column), by cubic splines.

        `images` (angle of `views`, row, column) begin at detector row `first_row`; beyond the detector its edge goes on.
        """
        middle = (np.array(shape) - 1) / 2
        matrix = self.matrix(energy)
        out = np.empty((len(images), rows.stop - rows.start, shape[1]), images.dtype)
        for image, shift, target in zip(images, self.shifts_px[energy, views], out, strict=True):
            start = middle + shift + matrix @ (np.array([rows.start, 0]) - middle) - np.array([first_row, 0])
            affine_transform(image, matrix, start, target.shape, target, order=_ORDER, mode="nearest")
        return out

    def misplace(self, images: Floats, energy: int, views: slice = slice(None)) -> Floats:
        """Whole frames (angle of `views`, row, column) as the detector sees them: what `straighten` undoes."""
        middle = (np.array(images.shape[1:]) - 1) / 2
        back = np.linalg.inv(self.matrix(energy))
        out = np.empty_like(images)
        for image, shift, target in zip(images, self.shifts_px[energy, views], out, strict=True):
            affine_transform(image, back, middle - back @ (middle + shift), target.shape, target, order=_ORDER, mode="nearest")
        return out


def straight(energies: int, angles: int, center_px: float, scale: Array | None = None) -> Geometry:
    """A geometry without shifts and roll."""
    return Geometry(np.zeros((energies, angles, 2)), np.ones(energies) if scale is None else scale, 0.0, center_px)
