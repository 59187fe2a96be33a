"""The cell in the beam: Kapton, electrolyte, lithium and aluminium that the light crosses beside the sample."""

from dataclasses import dataclass, field
from functools import lru_cache
from typing import Annotated, Literal

import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from phantom.errors import InputError

from .attenuation import attenuation_per_um, formula_mass_g_mol

Array = NDArray[np.float64]
_STEEPEST_DEG = 75.0


@dataclass(frozen=True)
class Layer:
    """A material of the cell, both sides together."""

    formula: Annotated[str, Meta(description="chemical formula; numbers may be fractions")]
    density_g_cm3: Annotated[
        float, Meta(gt=0, le=25, description="density", extra={"unit": "g/cm3", "source": "nominal; of the electrolyte a guess"})
    ]
    thickness_um: Annotated[
        float, Meta(ge=0, le=1e4, description="thickness along the beam at angle 0", extra={"unit": "um", "source": "guess"})
    ] = 0.0
    out_for_flats: Annotated[bool, Meta(description="leaves the beam with the sample when flats are taken")] = True


@dataclass(frozen=True)
class Housing:
    """Layers that the beam crosses, half of each before the sample.

    None by default; the presets `cell-2032`, `capillary` and `pillar` fill them.
    """

    shape: Annotated[
        Literal["flat", "round"],
        Meta(
            description="'flat': a coin cell, its layers grow with 1 / cos of the angle; 'round': a capillary, alike all around"
        ),
    ] = "round"
    kapton: Layer = field(default_factory=lambda: Layer("C22H10N2O5", 1.42))
    # 1 M LiPF6 in EC:DMC 1:1 by mass.
    electrolyte: Layer = field(default_factory=lambda: Layer("C38.7H64.3O38.7LiPF6", 1.3))
    lithium: Layer = field(default_factory=lambda: Layer("Li", 0.534))
    aluminium: Layer = field(default_factory=lambda: Layer("Al", 2.70))

    @property
    def layers(self) -> tuple[Layer, ...]:
        """All layers that are there."""
        return tuple(part for part in (self.kapton, self.electrolyte, self.lithium, self.aluminium) if part.thickness_um > 0)

    def check(self, angles_rad: Array) -> None:
        """InputError for a flat cell that a view looks along."""
        if self.shape == "round" or not self.layers:
            return
        steepest = float(np.abs(np.rad2deg(np.arccos(np.abs(np.cos(angles_rad))))).max())
        if steepest > _STEEPEST_DEG:
            raise InputError(
                f"housing.shape: a view looks through the flat cell at {steepest:.0f} degrees; allowed {_STEEPEST_DEG:g}; "
                "narrow scan.first_angle_deg and last_angle_deg, or take the preset capillary or pillar"
            )


def transmission(housing: Housing, energy_eV: float, angle_rad: float, flat: bool = False) -> float:
    """Share of the light that the housing lets through at an angle; of a flat only what stays in the beam counts."""
    stretch = 1 / abs(float(np.cos(angle_rad))) if housing.shape == "flat" and not flat else 1.0
    depth = 0.0
    for layer in housing.layers:
        if not (flat and layer.out_for_flats):
            depth += _per_um(layer.formula, layer.density_g_cm3, energy_eV) * layer.thickness_um * stretch
    return float(np.exp(-depth))


@lru_cache(maxsize=4096)
def _per_um(formula: str, density_g_cm3: float, energy_eV: float) -> float:
    return float(attenuation_per_um(formula, density_g_cm3 / formula_mass_g_mol(formula), energy_eV)[0])
