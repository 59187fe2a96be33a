"""The sample projected: what every frame is a weighted sum of."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Image = NDArray[np.float32]


@dataclass(frozen=True)
class Components:
    """Projected amounts and volume shares, um, on the fine grid.

    `moving` (state, species, view, row, column) are the species that charge moves, at the times `times_s` (state,);
    between two states a frame interpolates. `still` (filler, view, row, column) do not change. With one view
    all frames look along the same line.
    """

    moving: Image
    times_s: Array
    still: Image

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of the fine grid."""
        rows, columns = self.moving.shape[-2:]
        return rows, columns

    def paths(self, frame: int, time_s: float) -> Image:
        """Projected amounts (species + fillers, row, column) in the view of `frame` at a time."""
        view = frame if self.moving.shape[2] > 1 else 0
        place = float(np.interp(time_s, self.times_s, np.arange(len(self.times_s))))
        before = min(int(place), len(self.times_s) - 1)
        after, part = min(before + 1, len(self.times_s) - 1), np.float32(place - before)
        amounts = self.moving[before, :, view]
        if part:
            amounts = (1 - part) * amounts + part * self.moving[after, :, view]
        return np.concatenate([amounts, self.still[:, view]])

    def optical_depth(self, frame: int, time_s: float, attenuation_per_um: Array) -> Image:
        """Optical depth (row, column) of a frame; `attenuation_per_um` (species + fillers,) per unit amount and share."""
        return np.tensordot(attenuation_per_um.astype(np.float32), self.paths(frame, time_s), axes=1)


def frozen(paths: Image, still: Image | None = None) -> Components:
    """Components of a sample that does not change: `paths` (species, view, row, column)."""
    nothing = np.zeros((0, *paths.shape[1:]), np.float32)
    return Components(paths[None], np.zeros(1), nothing if still is None else still)
