"""A library of third phases that a plan may reckon with. All are parametric guesses, none a measured spectrum."""

from dataclasses import dataclass

from instrument.xanes import Edge, parametric


@dataclass(frozen=True)
class ThirdPhase:
    """A phase whose edge is that of `base`, moved and with another white line; `share` of a voxel's iron, 1 sigma, beforehand."""

    name: str
    formula: str
    base: str
    shift_eV: float
    white_line_change: float
    share: float = 0.05

    @property
    def edge(self) -> Edge:
        """Its normalized edge."""
        return parametric(self.base).altered(self.shift_eV, self.white_line_change)


LIBRARY = {
    phase.name: phase
    for phase in (
        # Fe3+ in an oxide: a lower and less sharp white line, slightly below that of the phosphate.
        ThirdPhase("hematite", "Fe2O3", "FP", -0.8, -0.35),
        # Fe3+ without order, as after overcharge.
        ThirdPhase("amorphous", "FePO4", "FP", 0.5, -0.2),
        # Fe2+ pyrophosphate, the impurity of a synthesis that was too lean.
        ThirdPhase("pyrophosphate", "Fe2P2O7", "LFP", 0.6, 0.05),
        # Metallic, as after carbothermal reduction: an early edge, hardly a white line.
        ThirdPhase("phosphide", "Fe2P", "LFP", -6.0, -0.8),
    )
}
