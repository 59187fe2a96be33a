"""The sample projected: what every frame is a weighted sum of."""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Image = NDArray[np.float32]


@dataclass(frozen=True)
class Matter:
    """What the components do to X-rays: functions of energies (n,), eV, that give (component, n) per unit amount or share.

    Components are the species, then the fillers; the phase is that which the wave gains against vacuum, negative for matter.
    """

    attenuation_per_um: Callable[[Array], Array]
    phase_rad_per_um: Callable[[Array], Array]


@dataclass(frozen=True)
class Fading:
    """What the beam does to the sample: the `share` (knot,) of FP turned to LFP at `times_s` (knot,), straight in between."""

    times_s: Array
    share: Array


@dataclass(frozen=True)
class Components:
    """Projected amounts and volume shares, um, in a box of the fine grid; elsewhere there is nothing.

    `moving` (state, species, slab, view, row, column) are the species that charge moves, at the times `times_s` (state,);
    between two states a frame interpolates. `still` (filler, slab, view, row, column) do not change. With one view
    all frames look along the same line. Slabs follow the beam, their middles at `depths_um` (slab,) downstream of the rotation
    axis. The box's first sample is `corner` (row, column) of the `field` (rows, columns); its image may reach `margin` samples
    beyond it. Of a `filled` field the sample goes on there as it ends at its edge. Arrays may be HDF5 datasets.
    """

    moving: Any
    times_s: Array
    still: Any
    corner: tuple[int, int]
    field: tuple[int, int]
    depths_um: Array = dataclasses.field(default_factory=lambda: np.zeros(1))
    margin: int = 0
    filled: bool = False
    fading: Fading | None = None

    def paths(self, frame: int, time_s: float) -> Image:
        """Projected amounts (species + fillers, slab, row, column) in the view of `frame` at a time."""
        view = frame if self.moving.shape[3] > 1 else 0
        place = float(np.interp(time_s, self.times_s, np.arange(len(self.times_s))))
        before = min(int(place), len(self.times_s) - 1)
        after, part = min(before + 1, len(self.times_s) - 1), np.float32(place - before)
        amounts = self.moving[before, :, :, view]
        if part:
            amounts = (1 - part) * amounts + part * self.moving[after, :, :, view]
        if self.fading is not None:
            lost = np.float32(np.interp(time_s, self.fading.times_s, self.fading.share))
            amounts = np.stack([amounts[0] + lost * amounts[1], (1 - lost) * amounts[1]])
        return np.concatenate([amounts, self.still[:, :, view]])


def frozen(paths: Image) -> Components:
    """Components of a sample that fills the field and does not change: `paths` (species, view, row, column)."""
    moving = paths[None, :, None]
    still = np.zeros((0, 1, *paths.shape[1:]), np.float32)
    return Components(moving, np.zeros(1), still, (0, 0), (paths.shape[-2], paths.shape[-1]))
