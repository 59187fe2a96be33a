"""Where a frame stands in a scan, and what really happened while it was taken."""

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from .randomness import generator

Array = NDArray[np.float64]
Kind = Literal["projection", "flat", "dark"]


@dataclass(frozen=True)
class Frame:
    """Where a frame stands: its nominal values, and the address of its random draws.

    `run` is the name of the scan, `time_s` the middle of the exposure in a scan of `scan_s`; `pixel_um` is the pixel on
    the sample at `reference_eV`, the image's grid `oversampling` times finer. `light` is the exposure over the one for which the
    beam's photons are stated.
    """

    seed: int
    run: str
    energy_eV: float
    visit: int
    kind: Kind
    index: int
    angle_rad: float
    time_s: float
    scan_s: float
    exposure_s: float
    reference_eV: float
    pixel_um: float
    oversampling: int
    light: float = 1.0

    def rng(self, effect: str) -> np.random.Generator:
        """The generator of what lasts for this frame alone."""
        return generator(self.seed, effect, round(self.energy_eV * 1000), self.visit, f"{self.run} {self.kind}", self.index)

    def rng_energy(self, effect: str) -> np.random.Generator:
        """The generator of what lasts as long as the energy is not changed."""
        return generator(self.seed, effect, round(self.energy_eV * 1000), self.visit, self.run)

    def rng_run(self, effect: str) -> np.random.Generator:
        """The generator of what lasts for the scan: a drift curve, a wobble."""
        return generator(self.seed, effect, self.run)

    def rng_instrument(self, effect: str) -> np.random.Generator:
        """The generator of what belongs to the instrument, whatever it measures: its pixels."""
        return generator(self.seed, effect)


@dataclass(frozen=True)
class Exposure:
    """What really happened during one frame; a measurement keeps the nominal values.

    `shift_um` (row, column) is how far the sample's image moved; `scale` the image's size over the nominal one; `roll_rad`
    its turn, `pitch_rad` the lean of the rotation axis along the beam; `flux` the intensity over the nominal one;
    `structure_px` (row, column) how far the beam's fine structure moved.
    """

    energy_eV: float
    shift_um: Array = field(default_factory=lambda: np.zeros(2))
    scale: float = 1.0
    roll_rad: float = 0.0
    pitch_rad: float = 0.0
    defocus_um: float = 0.0
    flux: float = 1.0
    structure_px: Array = field(default_factory=lambda: np.zeros(2))
