"""A coin cell, LiFePO4 against lithium, charged at constant current."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from msgspec import Meta
from scipy.special import ndtri

from .errors import InputError
from .population import Array, Population, constant_current, follow, regular_solution, starting_voltage
from .species import LFP

CHARGE_C = 1.602176634e-19
BOLTZMANN_V_K = 1.380649e-23 / CHARGE_C
SITES_M3 = 1.3793e28  # lithium sites per volume, LiFePO4 of MPET
THEORETICAL_mAh_g = 96485.33 / 3.6 / LFP.formula_mass_g_mol  # one electron per iron
_MPET = "LiFePO4 of MPET: Smith and Bazant, J. Electrochem. Soc. 164 (2017) E3291"


@dataclass(frozen=True)
class Cell:
    """The charge of a half cell. Kinetics hold at `temperature_K`: of the temperature only kT is followed."""

    c_rate: Annotated[
        float,
        Meta(
            ge=0.01,
            le=100,
            description="current over the theoretical capacity, 169.9 mAh/g; below 0.01 few particles react at once",
            extra={"unit": "1/h", "source": "guess: the experiment's rate was not found"},
        ),
    ] = 0.1
    cutoff_V: Annotated[float, Meta(ge=3, le=5, description="voltage that ends the charge", extra={"unit": "V"})] = 4.2
    temperature_K: Annotated[float, Meta(ge=250, le=350, description="temperature", extra={"unit": "K"})] = 298.15
    plateau_V: Annotated[
        float,
        Meta(ge=3, le=4, description="equilibrium of the two phases against lithium", extra={"unit": "V", "source": _MPET}),
    ] = 3.422
    omega_eV: Annotated[
        float,
        Meta(
            gt=0, le=0.3, description="regular-solution energy: miscibility gap, barrier", extra={"unit": "eV", "source": _MPET}
        ),
    ] = 0.1158
    k0_A_m2: Annotated[
        float, Meta(gt=0, le=1e3, description="rate constant of the surface reaction", extra={"unit": "A/m2", "source": _MPET})
    ] = 0.16
    transfer_coefficient: Annotated[
        float, Meta(ge=0.1, le=0.9, description="transfer coefficient of the surface reaction", extra={"source": _MPET})
    ] = 0.5
    diffusivity_m2_s: Annotated[
        float,
        Meta(
            ge=1e-20,
            le=1e-8,
            description="diffusivity of lithium in the FePO4 shell, isotropic",
            extra={"unit": "m2/s", "source": "guess: chosen so that a charge at C/10 ends at 140 mAh/g"},
        ),
    ] = 2.8e-15
    resistance_ohm_g: Annotated[
        float,
        Meta(
            ge=0,
            le=100,
            description="ohmic resistance of the cell times its active mass",
            extra={"unit": "ohm g", "source": "guess: 170 ohm in a cell of 10 mg, windows in its cans"},
        ),
    ] = 1.7
    median_diameter_um: Annotated[
        float,
        Meta(
            ge=0.05,
            le=100,
            description="median diameter of the particles by volume, lognormal",
            extra={"unit": "um", "source": "guess: particles of several um"},
        ),
    ] = 4.0
    size_spread: Annotated[
        float,
        Meta(ge=0, le=1, description="standard deviation of ln(diameter), by volume", extra={"source": "guess"}),
    ] = 0.35
    particles: Annotated[int, Meta(ge=1, le=1000, description="particles of the population, equal shares of its volume")] = 400
    barrier_spread_V: Annotated[
        float,
        Meta(
            ge=0,
            le=0.2,
            description="standard deviation of the nucleation barrier between particles; its mean follows from omega_eV",
            extra={"unit": "V", "source": "guess"},
        ),
    ] = 0.005
    mass_mg: Annotated[
        float, Meta(gt=0, le=1e6, description="active mass, carbon and binder apart", extra={"unit": "mg", "source": "guess"})
    ] = 10.0
    dose_slowing_per_MGy: Annotated[
        float,
        Meta(
            ge=0,
            le=100,
            description="reaction and diffusion of imaged particles slow by exp(-this x dose); 0: the beam does nothing",
            extra={"unit": "1/MGy", "source": "guess"},
        ),
    ] = 0.0
    dose_rate_MGy_per_h: Annotated[
        float,
        Meta(
            ge=0,
            le=1e6,
            description="mean dose rate of imaged particles from the start of the charge; the others get none",
            extra={"unit": "MGy/h"},
        ),
    ] = 0.0

    @property
    def thermal_V(self) -> float:
        """kT/e, V."""
        return BOLTZMANN_V_K * self.temperature_K

    @property
    def current_mA(self) -> float:
        """Current of the cell."""
        return self.c_rate * THEORETICAL_mAh_g * self.mass_mg * 1e-3

    @property
    def ohmic_drop_V(self) -> float:
        """Current times resistance."""
        return self.c_rate * THEORETICAL_mAh_g * 1e-3 * self.resistance_ohm_g

    @property
    def barrier_V(self) -> float:
        """Mean nucleation barrier: the spinodal above the plateau, 36.9 mV at 298 K."""
        return regular_solution(self.omega_eV / self.thermal_V)[1] * self.thermal_V

    def rested_V(self, mean_fraction: float) -> float:
        """Open-circuit potential at the mean FP fraction: the plateau where both phases are there, else the regular solution.

        The latter diverges at the pure compounds; it is cut at 0.1 % of the other species.
        """
        omega = self.omega_eV / self.thermal_V
        lithium = min(max(1 - mean_fraction, 1e-3), 1 - 1e-3)
        if regular_solution(omega)[0] <= min(lithium, 1 - lithium):
            return self.plateau_V
        return self.plateau_V - self.thermal_V * float(np.log(lithium / (1 - lithium)) + omega * (1 - 2 * lithium))

    def check(self) -> None:
        """InputError for a current that is none and an energy without two phases; bounds are the study's to check."""
        if not self.c_rate > 0:
            raise InputError(f"cell.c_rate: found {self.c_rate:g} 1/h; allowed more than 0; a charge takes lithium out")
        lowest = 2.5 * self.thermal_V
        if not self.omega_eV > lowest:
            raise InputError(
                f"cell.omega_eV: found {self.omega_eV:g} eV; allowed more than {lowest:.4f}, 2.5 kT: at 2 kT the two phases "
                "become one, and near it FePO4 holds much lithium; raise it or lower cell.temperature_K"
            )


@dataclass(frozen=True)
class Charge:
    """A charge from t = 0 to the cutoff: moments (t,), particles of the population, imaged particles.

    `mean_fraction` is the charge counted over the theoretical capacity, which is the Fe3+ made; `population_fraction`
    (t, particle) with `weights` (particle,), shares of the volume, averages to it. `imaged_fraction` is (t, imaged).
    """

    time_s: Array
    voltage_V: Array
    mean_fraction: Array
    capacity_mAh_per_g: Array
    current_mA: float
    population_fraction: Array
    weights: Array
    diameters_um: Array
    imaged_fraction: Array

    @property
    def plateau_V(self) -> float:
        """Median voltage over the middle half of the charge."""
        middle = np.linspace(0.25, 0.75, 501) * self.time_s[-1]
        return float(np.median(np.interp(middle, self.time_s, self.voltage_V)))

    def at(self, time_s: float) -> tuple[float, Array]:
        """Mean fraction and fractions (imaged,) at a time, linear between moments, held before and after the charge."""
        imaged = [float(np.interp(time_s, self.time_s, fraction)) for fraction in self.imaged_fraction.T]
        return float(np.interp(time_s, self.time_s, self.mean_fraction)), np.array(imaged)

    def time_at(self, mean_fraction: float) -> float:
        """When the mean FP fraction is reached, s. Raises InputError where the charge ends before."""
        if not 0 <= mean_fraction <= self.mean_fraction[-1]:
            raise InputError(
                f"charge: mean fraction {mean_fraction:g} is not reached; allowed 0..{self.mean_fraction[-1]:.4f}, where the "
                f"charge ends with {self.capacity_mAh_per_g[-1]:.1f} mAh/g; lower cell.c_rate or raise cell.cutoff_V"
            )
        return float(np.interp(mean_fraction, self.mean_fraction, self.time_s))


def _particles(cell: Cell, diameters_um: Array, deviates: Array) -> Population:
    radii = diameters_um * 0.5e-6
    omega = cell.omega_eV / cell.thermal_V
    binodal, barrier = regular_solution(omega)
    return Population(
        surface_1_s=3 * cell.k0_A_m2 / (radii * SITES_M3 * CHARGE_C),
        shell_s=radii**2 / (3 * cell.diffusivity_m2_s),
        barrier=np.maximum(barrier + deviates * cell.barrier_spread_V / cell.thermal_V, 0.0),
        omega=omega,
        binodal=binodal,
        transfer=cell.transfer_coefficient,
    )


def charge(cell: Cell, rng: np.random.Generator, imaged_diameters_um: Sequence[float] = (), *, step: float = 1e-3) -> Charge:
    """Charge the cell from all LFP to the cutoff in steps of `step`, a share of the theoretical capacity.

    Sizes and barriers of the population are even quantiles of their distributions; `rng` pairs them, then draws the barriers
    of the imaged particles. These have the diameters given and no weight: they feel the voltage and leave it as it is.
    Raises InputError where nothing can be charged.
    """
    cell.check()
    imaged = np.asarray(imaged_diameters_um, float)
    if not np.all((imaged > 0) & np.isfinite(imaged)):
        raise InputError(f"charge: imaged diameters are {imaged.tolist()} um; allowed more than 0; give particles a size")
    quantiles = ndtri((np.arange(cell.particles) + 0.5) / cell.particles)
    diameters = cell.median_diameter_um * np.exp(cell.size_spread * quantiles)
    turns = (np.arange(cell.particles) * (np.sqrt(5) - 1) / 2 + rng.random()) % 1
    population = _particles(cell, diameters, quantiles[np.argsort(turns)])
    tracers = _particles(cell, imaged, rng.standard_normal(len(imaged)))

    rate = cell.c_rate / 3600
    foot = cell.plateau_V + cell.ohmic_drop_V
    highest = (cell.cutoff_V - foot) / cell.thermal_V
    lowest = starting_voltage(population, rate)
    if not highest > lowest:
        raise InputError(
            f"cell.cutoff_V: found {cell.cutoff_V:g} V; allowed more than {foot + lowest * cell.thermal_V:.3f}, where this "
            "charge starts; raise it, or lower cell.c_rate or cell.resistance_ohm_g"
        )
    steps, kept, u, fractions = constant_current(population, rate, highest, step)
    if len(kept) < 2:
        raise InputError(
            f"cell.cutoff_V: found {cell.cutoff_V:g} V, reached at once; allowed is a charge that lasts; raise it, or lower "
            "cell.c_rate or cell.resistance_ohm_g"
        )
    slowing = cell.dose_slowing_per_MGy * cell.dose_rate_MGy_per_h / 3600
    time = np.cumsum([0.0] + [part.duration_s for part in steps])[kept]
    return Charge(
        time_s=time,
        voltage_V=foot + cell.thermal_V * u,
        mean_fraction=rate * time,
        capacity_mAh_per_g=rate * time * THEORETICAL_mAh_g,
        current_mA=cell.current_mA,
        population_fraction=fractions,
        weights=np.full(cell.particles, 1 / cell.particles),
        diameters_um=diameters,
        imaged_fraction=follow(steps, tracers, slowing)[kept] if len(imaged) else np.empty((len(kept), 0)),
    )
