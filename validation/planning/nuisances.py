"""What else moves x, beside noise: an energy scale that is off, a phase that is not in the fit, light that changes."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from analysis.reconstruct.fbp import fbp

from .foretell import foretell
from .plan import Plan
from .problem import third_mu
from .rays import light_at
from .third_phase import LIBRARY

Array = NDArray[np.float64]

OFFSET_EV = 0.2  # of a scan's energy scale, 1 sigma: a guess
DECAY_PER_HOUR = 0.01  # of the light, not seen by the flats: a guess
_STEP_EV = 0.05
_FRACTIONS = np.array([0.0, 0.5, 1.0])
_COLUMNS = 128


@dataclass(frozen=True)
class Nuisance:
    """What it is, and by how much x is wrong for it, at most, of x = 0, 0.5 and 1."""

    name: str
    error: float


def nuisances(plan: Plan) -> tuple[Nuisance, ...]:
    """Errors of x that all voxels share, through the plan's own fit."""
    lever = plan.foretold.lever
    offset = _offset(plan)
    phases = [
        Nuisance(f"{100 * phase.share:g} % of the iron is {name}, not in the fit (parametric guess)", _third(plan, name))
        for name, phase in LIBRARY.items()
        if plan.wish.third is None or plan.wish.third.partition("=")[0] == name
    ]
    beam = plan.study.beam
    own = beam.topup_s == 0 and beam.decay_per_hour > DECAY_PER_HOUR
    decay = beam.decay_per_hour if own else DECAY_PER_HOUR
    drift = float(np.abs(_gradients() @ lever @ _decay(plan, decay)).max())
    return (
        Nuisance(f"energy scale off by {OFFSET_EV:g} eV, not looked for (guess)", offset * OFFSET_EV),
        Nuisance("energy scale found from the scan, its photon noise", offset * _offset_sigma_eV(plan)),
        *phases,
        Nuisance(f"light that decays by {100 * decay:g} % an hour after the flats{'' if own else ' (guess)'}", drift),
    )


def sigma_with_third(plan: Plan, name: str) -> float:
    """Linear sigma of x where a third phase of the library is fitted, too."""
    energies = np.array(plan.study.scan.energies_eV)
    return foretell(plan.coarse, plan.study, third_mu(plan.study, LIBRARY[name], energies)).sigma


def _gradients() -> Array:
    """Of x by the amounts (fraction, species), at iron 1."""
    return np.stack([-_FRACTIONS, 1 - _FRACTIONS], axis=1)


def _slopes(plan: Plan) -> Array:
    """Change of the species' attenuation (species, energy), 1/um, for each eV that the true energies are higher than stated."""
    energies, mu = np.array(plan.study.scan.energies_eV), plan.coarse.matter.attenuation_per_um
    return np.asarray((mu(energies + _STEP_EV) - mu(energies - _STEP_EV))[:2] / (2 * _STEP_EV))


def _offset(plan: Plan) -> float:
    """Change of x for each eV, the largest of the fractions."""
    slope = np.stack([1 - _FRACTIONS, _FRACTIONS], axis=1) @ _slopes(plan)
    return float(np.abs(np.einsum("fs,se,fe->f", _gradients(), plan.foretold.lever, slope)).max())


def _offset_sigma_eV(plan: Plan) -> float:
    """Sigma of an offset that all rays share, amounts and background of each ray being free, with its prior.

    The information of a ray is what of its shift the other unknowns cannot take on (Schur complement).
    """
    study, coarse = plan.study, plan.coarse
    energies = np.array(study.scan.energies_eV)
    path = coarse.paths[:2].sum(axis=0)
    share = float(coarse.paths[1].sum() / path.sum())
    typical = float((path**2).sum() / path.sum())
    path_um = typical * np.array([1 - share, share])
    mu = coarse.matter.attenuation_per_um(energies)[:2]
    slope = path_um @ _slopes(plan)
    weights = light_at(study, coarse.angles_rad)[0].mean(axis=1) * np.exp(-path_um @ mu)
    design = np.stack([*mu, np.ones_like(energies), (energies - energies.mean()) / np.ptp(energies)], axis=1)
    scaled = design * np.sqrt(weights)[:, None]
    known = slope * np.sqrt(weights)
    left = known - scaled @ np.linalg.lstsq(scaled, known, rcond=None)[0]
    area_um2 = float((path > 0.1 * path.max()).mean(axis=0).sum()) * coarse.sample_um**2
    rays = area_um2 / study.scan.pixel_um**2 * study.scan.angles
    return float((1 / OFFSET_EV**2 + rays * left @ left) ** -0.5)


def _third(plan: Plan, name: str) -> float:
    """Change of x by the third phase that the fit does not know."""
    phase = LIBRARY[name]
    energies = np.array(plan.study.scan.energies_eV)
    taken = plan.foretold.lever @ third_mu(plan.study, phase, energies)
    amounts = (1 - phase.share) * np.stack([1 - _FRACTIONS, _FRACTIONS]) + phase.share * taken[:, None]
    return float(np.abs(amounts[1] / amounts.sum(axis=0) - _FRACTIONS).max())


def _decay(plan: Plan, per_hour: float) -> Array:
    """What the decay adds to a voxel at the axis (energy,), 1/um: optical depth that all rays of an energy have in common."""
    scan = plan.study.scan
    clock = scan.clock
    lag_h = (clock.projections_s.mean(axis=1) - clock.flats_s.mean(axis=1)) / 3600
    columns = min(scan.columns, _COLUMNS)
    flat = np.ones((1, scan.angles, columns))
    middle = (columns - 1) / 2
    image = fbp(flat, scan.angles_rad, center_px=middle, pixel_um=scan.pixel_um, window=plan.study.analysis.window)
    return np.asarray(per_hour * lag_h * float(image[0, columns // 2, columns // 2]) * columns / scan.columns)
