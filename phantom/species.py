"""Iron-bearing species and the amount of iron they hold."""

from dataclasses import dataclass
from typing import Annotated

from msgspec import Meta

from .errors import InputError


@dataclass(frozen=True)
class Species:
    """A compound in the particle. LFP and FP: Pnma cells of 291.06 and 271.70 A3, four formula units each."""

    formula: Annotated[str, Meta(description="chemical formula, one iron site per formula unit")]
    formula_mass_g_mol: Annotated[
        float,
        Meta(gt=0, description="mass of the formula unit", extra={"unit": "g/mol", "source": "xraylib"}),
    ]
    density_g_cm3: Annotated[
        float,
        Meta(
            gt=0,
            le=25,
            description="density of the pure phase at its own volume",
            extra={"unit": "g/cm3", "source": "4 formula units in the Pnma cell volume"},
        ),
    ]
    spectrum: Annotated[
        str,
        Meta(
            description="normalized Fe K-edge spectrum of the sample: 'parametric', or the path of a two-column or .nor file",
            extra={"source": "parametric: fitted to HXN standards, Pattammattel and Chu; RMS < 0.005"},
        ),
    ] = "parametric"
    edge_shift_eV: Annotated[
        float,
        Meta(ge=-5, le=5, description="the sample's edge lies higher than its spectrum says by this", extra={"unit": "eV"}),
    ] = 0.0
    white_line_change: Annotated[
        float,
        Meta(ge=-1, le=1, description="relative change of the sample's white line above the step"),
    ] = 0.0

    @property
    def iron_mol_cm3(self) -> float:
        """Iron per volume of the pure phase, mol/cm3."""
        return self.density_g_cm3 / self.formula_mass_g_mol


LFP = Species("LiFePO4", 157.77, 3.600)
FP = Species("FePO4", 150.83, 3.687)


def iron_relative(species: Species, reference: Species) -> float:
    """Iron density of `species` at its own volume over that of `reference` (1.071 for FP over LFP).

    Raises InputError outside 0.1..10, where a density must be wrong by an order of magnitude.
    """
    ratio = species.iron_mol_cm3 / reference.iron_mol_cm3
    if not 0.1 <= ratio <= 10:
        raise InputError(
            f"species: iron density of {species.formula} is {ratio:.3g} times that of {reference.formula}; "
            "allowed 0.1..10; check density_g_cm3"
        )
    return ratio
