"""What a plan may choose from: energies, what each tells of a voxel of the sample, and what it costs."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from instrument.attenuation import attenuation_per_um, iron_per_formula
from phantom import InputError

from ..coarse import Coarse
from ..materials import matter_of, sample_edges
from ..study import Study
from ..trial import resolution_um
from .design import Problem, optimal
from .foretell import gains
from .rays import camera_noise, interior
from .third_phase import LIBRARY, ThirdPhase

Array = NDArray[np.float64]

STEP_EV = 0.5
RANGE_EV = (7090.0, 7200.0)
FRACTIONS = (0.0, 0.25, 0.5, 0.75, 1.0)
THICKNESSES = (0.5, 1.0, 1.5)  # of the sample's mean ray
SHIFTS_EV = (-0.2, 0.2)  # error of the energy scale, a guess
_SLOPE_EV = 50.0


@dataclass(frozen=True)
class Case:
    """What a design must serve: phase fraction, path through LFP of the same iron, and the error of the energy scale."""

    fraction: float
    path_um: float
    shift_eV: float = 0.0


@dataclass(frozen=True)
class Scene:
    """A study's sample as a design sees it.

    `price` (energy,) is the dose of a photon over the mean of all energies, `photons` those detected in the open beam, per pixel
    and projection, all energies together; `gain` (1/um^2) is the variance of a voxel for rays of variance 1, `flats` what the
    flats add to it, of what an open ray's own noise gives.
    """

    study: Study
    energies_eV: Array
    price: Array
    path_um: float
    photons: float
    gain: float
    flats: float = 0.0

    def price_of(self, budget: str) -> Array:
        """What a photon costs (energy,) where 'dose' is spared, or 'photons' or 'time'."""
        return self.price if budget == "dose" else np.ones_like(self.price)

    def problem(self, cases: tuple[Case, ...], budget: str, criterion: str, third: ThirdPhase | None = None) -> Problem:
        """The design problem at equal 'photons' or 'dose', whose cases are held to their own least cost.

        Unknowns of a voxel: amounts of LFP and FP, a constant and a slope; a third phase with its prior share. Criterion 'c'
        wants the phase fraction, 'A' and 'D' the two amounts.
        """
        price = self.price_of(budget)
        rows, wanted = [], []
        for case in cases:
            columns = self.columns(self.energies_eV + case.shift_eV, third)
            depth = case.path_um * ((1 - case.fraction) * columns[0] + case.fraction * columns[1])
            known = self.photons / self.gain / price / (np.exp(depth) + self.flats)
            rows.append(columns.T * np.sqrt(known)[:, None])
            one = np.zeros((1 if criterion == "c" else 2, len(columns)))
            one[:, :2] = [[-case.fraction, 1 - case.fraction]] if criterion == "c" else np.eye(2)
            wanted.append(one)
        prior = np.zeros((len(cases), rows[0].shape[1], rows[0].shape[1]))
        if third is not None:
            prior[:, -1, -1] = 1 / third.share**2
        whole = Problem(np.array(rows), np.array(wanted), np.ones(len(cases)), prior, determinant=criterion == "D")
        if criterion == "D":  # a geometric mean knows no scale
            return whole
        try:
            least = [optimal(one_case(whole, k)).cost for k in range(len(cases))]
        except ValueError as error:
            raise InputError(f"plan: {error}; allowed are spectra of LFP and FP that differ") from error
        return replace(whole, scale=np.array(least))

    def columns(self, energies_eV: Array, third: ThirdPhase | None) -> Array:
        """Attenuation of the unknowns (unknown, energy), 1/um."""
        mu = matter_of(self.study).attenuation_per_um(energies_eV)
        scale = float(mu.max())
        columns = [*mu, np.full_like(energies_eV, scale), scale * (energies_eV - self.energies_eV.mean()) / _SLOPE_EV]
        if third is not None:
            columns.append(third_mu(self.study, third, energies_eV))
        return np.array(columns)


def one_case(problem: Problem, case: int) -> Problem:
    """A single case of a problem."""
    part = slice(case, case + 1)
    return replace(
        problem, rows=problem.rows[part], wanted=problem.wanted[part], scale=problem.scale[part], prior=problem.prior[part]
    )


def third_mu(study: Study, third: ThirdPhase, energies_eV: Array) -> Array:
    """Attenuation (energy,) of a third phase, 1/um, at LFP's iron density."""
    mol_cm3 = study.species.LFP.iron_mol_cm3 / iron_per_formula(third.formula)
    return attenuation_per_um(third.formula, mol_cm3, energies_eV, third.edge(energies_eV))


def scene_of(coarse: Coarse, study: Study) -> Scene:
    """What a study's sample and microscope mean for a design. Raises InputError where its spectra leave no energies to choose."""
    energies = allowed_energies(study)
    doses = coarse.doses_MGy(study, energies)
    voxels = interior(coarse, study.scan.pixel_um, resolution_um(study))
    spread, _ = camera_noise(study.instrument, np.ones(1))
    photons = float((study.instrument.detected_photons * study.scan.clock.light).sum())
    path_um = float(voxels.rays.paths[:2].sum(axis=0).mean())
    own, radii, rings = gains(study, "photon")
    flats = float(np.interp(voxels.radius_um, radii, rings).mean()) / own / study.scan.flats
    return Scene(study, energies, doses / doses.mean(), path_um, photons, own * spread, flats)


def allowed_energies(study: Study) -> Array:
    """Energies, 0.5 eV apart, at which the sample's spectra are known."""
    energies = np.arange(RANGE_EV[0], RANGE_EV[1] + STEP_EV / 2, STEP_EV)
    margin = max(abs(shift) for shift in SHIFTS_EV)
    known = np.ones(len(energies), bool)
    for edge in sample_edges(study).values():
        for k, energy in enumerate(energies):
            try:
                edge.check(np.array([energy - margin, energy + margin]))
            except InputError:
                known[k] = False
    if known.sum() < 20:
        raise InputError(
            f"plan: the sample's spectra are known at {known.sum()} of {len(known)} energies from {RANGE_EV[0]:g} to "
            f"{RANGE_EV[1]:g} eV; allowed is 20 or more; measure more of them"
        )
    return energies[known]


def robust_cases(path_um: float, fractions: tuple[float, ...] = FRACTIONS) -> tuple[Case, ...]:
    """All phase fractions at all thicknesses, and at the mean one with an energy scale that is off; (0.5, mean) in the middle."""
    thick = [Case(x, path_um * factor) for x in fractions for factor in THICKNESSES]
    off = [Case(x, path_um, shift) for shift in SHIFTS_EV for x in fractions]
    half = len(off) // 2
    return (*off[:half], *thick, *off[half:])


def third_phase(text: str) -> ThirdPhase:
    """NAME or NAME=SHARE of the library. Raises InputError for what it does not hold."""
    name, equals, share = text.partition("=")
    if name not in LIBRARY:
        raise InputError(f"--third: found {name!r}; allowed are {', '.join(LIBRARY)}")
    try:
        value = float(share) if equals else LIBRARY[name].share
    except ValueError:
        value = -1.0
    if not 0 < value <= 1:
        raise InputError(f"--third: found a share of {share!r}; allowed is above 0 and up to 1, as {name}=0.1")
    return replace(LIBRARY[name], share=value)
