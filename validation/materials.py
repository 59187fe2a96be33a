"""What a study's materials do to X-rays: edges of the sample and of its standards, coefficients of every component."""

import numpy as np
from numpy.typing import NDArray

from analysis.spectra.combination import design_matrix
from instrument.attenuation import absorbed_per_um, attenuation_per_um, formula_mass_g_mol, iron_per_formula, phase_rad_per_um
from instrument.components import Matter
from instrument.files.text import read_spectrum
from instrument.standards import Standard
from instrument.xanes import Edge, parametric, tabulated
from phantom import InputError, Species

from .study import Study, spectrum_path

Array = NDArray[np.float64]


def species_of(study: Study) -> dict[str, Species]:
    """The iron-bearing species by name, in the order of the amounts."""
    return {"LFP": study.species.LFP, "FP": study.species.FP}


def check_physics(study: Study) -> dict[str, Edge]:
    """The sample's edges; InputError, before any work, for what a study's parts cannot do together."""
    energies = np.array(study.scan.energies_eV)
    study.instrument.check()
    study.housing.check(study.scan.angles_rad)
    for name, species in species_of(study).items():
        mass = formula_mass_g_mol(species.formula)
        if abs(mass / species.formula_mass_g_mol - 1) > 0.005:
            raise InputError(
                f"study: species.{name}.formula_mass_g_mol is {species.formula_mass_g_mol:g}; allowed for {species.formula} "
                f"is {mass:.3f} to 0.5 %"
            )
    for name in ("binder", "electrolyte"):
        formula = getattr(study.electrode, name).formula
        if iron_per_formula(formula) > 0:
            raise InputError(
                f"study: electrode.{name}.formula is {formula}; allowed is a material without iron, a species has it"
            )
    for layer in study.housing.layers:
        if iron_per_formula(layer.formula) > 0:
            raise InputError(f"study: housing holds {layer.formula}; allowed are materials without iron, a species has it")
    edges = sample_edges(study)
    standards = {name: standard_edge(getattr(study.standards, name), name, edges[name]) for name in edges}
    for edge in (*edges.values(), *standards.values()):
        edge.check(energies)
    iron_mol_cm3 = study.species.LFP.iron_mol_cm3
    films = [
        attenuation_per_um(entry.formula, iron_mol_cm3, energies, standards[name](energies))
        for name, entry in species_of(study).items()
    ]
    design_matrix(np.array(films), energies, study.analysis.background)
    return edges


def matter_of(study: Study, fillers: tuple[str, ...] = (), edges: dict[str, Edge] | None = None) -> Matter:
    """What the species, in the order of the amounts, and the named fillers do to X-rays, per unit amount or share."""
    edges = edges or sample_edges(study)
    parts = [_species_part(study, name, edges[name]) for name in species_of(study)]
    for name in fillers:
        filler = getattr(study.electrode, name)
        parts.append((filler.formula, filler.density_g_cm3 / formula_mass_g_mol(filler.formula), None))
    return _matter(parts)


def film_matter(study: Study, name: str, edge: Edge, energy_offset_eV: float) -> Matter:
    """A standard's film of LFP's iron density, whose energies are off by so much."""
    formula, mol_cm3, _ = _species_part(study, name, edge)
    film = _matter([(formula, mol_cm3, edge)])
    return Matter(
        lambda energies: film.attenuation_per_um(energies + energy_offset_eV),
        lambda energies: film.phase_rad_per_um(energies + energy_offset_eV),
    )


def absorption(study: Study, edges: dict[str, Edge] | None = None) -> tuple[Array, Array]:
    """Energy-absorption coefficients (species, energy), 1/um, and densities (species,), g/cm3, per unit amount."""
    edges = edges or sample_edges(study)
    energies = np.array(study.scan.energies_eV)
    iron_mol_cm3 = study.species.LFP.iron_mol_cm3
    species = species_of(study)
    return (
        np.stack(
            [absorbed_per_um(entry.formula, iron_mol_cm3, energies, edges[name](energies)) for name, entry in species.items()]
        ),
        np.array([iron_mol_cm3 * entry.formula_mass_g_mol for entry in species.values()]),
    )


def _species_part(study: Study, name: str, edge: Edge) -> tuple[str, float, Edge | None]:
    return species_of(study)[name].formula, study.species.LFP.iron_mol_cm3, edge


def _matter(parts: list[tuple[str, float, Edge | None]]) -> Matter:
    """Each part is a formula, its moles per cm3, and the shape of its iron edge, if it has one."""

    def attenuation(energies: Array) -> Array:
        return np.stack(
            [
                attenuation_per_um(formula, mol_cm3, energies, None if edge is None else edge(energies))
                for formula, mol_cm3, edge in parts
            ]
        )

    def phase(energies: Array) -> Array:
        return np.stack([phase_rad_per_um(formula, mol_cm3, energies) for formula, mol_cm3, _ in parts])

    return Matter(attenuation, phase)


def sample_edges(study: Study) -> dict[str, Edge]:
    """The normalized edge of each of the sample's species."""
    return {
        name: _edge(name, entry.spectrum).altered(entry.edge_shift_eV, entry.white_line_change)
        for name, entry in species_of(study).items()
    }


def standard_edge(standard: Standard, name: str, sample: Edge) -> Edge:
    """The normalized edge of a standard: the sample's or its own, with its changes on top."""
    edge = sample if standard.spectrum == "sample" else _edge(name, standard.spectrum)
    return edge.altered(edge.shift_eV + standard.edge_shift_eV, edge.white_line_change + standard.white_line_change)


def _edge(name: str, spectrum: str) -> Edge:
    """The normalized edge that a spectrum setting names."""
    place = spectrum_path(spectrum)
    if place is None:
        return parametric(name)
    return tabulated(read_spectrum(place[0], name, place[1]))
