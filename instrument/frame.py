"""Where a frame stands in a scan."""

from dataclasses import dataclass

import numpy as np

from .randomness import generator


@dataclass(frozen=True)
class Frame:
    """Where a frame stands in the scan: the address of its random draws."""

    seed: int
    energy_eV: float
    visit: int
    kind: str
    index: int
    shutter_open: bool
    pixel_um: float
    oversampling: int

    def rng(self, effect: str) -> np.random.Generator:
        """The generator of one effect in this frame."""
        return generator(self.seed, effect, round(self.energy_eV * 1000), self.visit, self.kind, self.index)
