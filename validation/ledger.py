"""The dose ledger of a study's scan."""

import numpy as np
from numpy.typing import NDArray

from instrument.attenuation import absorbed_per_um
from instrument.components import Components, Fading
from instrument.dose import Ledger, entrance_dose_MGy, mean_dose_MGy
from instrument.exposure import stored_current
from instrument.housing import transmission
from instrument.xanes import Edge, parametric

from .materials import absorption, matter_of
from .study import Study

Array = NDArray[np.float64]
Image = NDArray[np.float32]
_DOSE_VIEWS = 16  # the mean over views converges long before


def fluence_per_um2(study: Study) -> Array:
    """Photons per um2 that reach the sample at each energy (energy,), all exposures together, at the beam's centre.

    Half of the housing lies before the sample; the stored current decays.
    """
    scan, beam = study.scan, study.beam
    given = beam.photons_per_pixel / scan.pixel_um**2
    clock, sums = scan.clock, []
    for energy, times, light in zip(scan.energies_eV, clock.projections_s, clock.light, strict=True):
        passed = [np.sqrt(transmission(study.housing, energy, float(angle))) for angle in scan.angles_rad]
        sums.append(light * float(np.dot(stored_current(beam, times), passed)))
    return given * np.array(sums)


def ledger_of(
    components: Components,
    sample_um: float,
    study: Study,
    edges: dict[str, Edge] | None = None,
    diameters_um: list[float] | None = None,
) -> Ledger:
    """The dose of the sample's particles in its state at mid-scan; what fills the space between them takes none of the light.

    Of several particles each is taken as a sphere of its volume (`diameters_um`) that nothing else shades.
    """
    energies = np.array(study.scan.energies_eV)
    absorbed, density = absorption(study, edges)
    attenuation = matter_of(study, (), edges).attenuation_per_um(energies)
    fluence = fluence_per_um2(study)
    state = components.moving[len(components.times_s) // 2]
    views = np.unique(np.linspace(0, state.shape[2] - 1, min(_DOSE_VIEWS, state.shape[2])).astype(int))
    paths = np.stack([state[:, :, view].sum(axis=1) for view in views], axis=1)
    sample_MGy = mean_dose_MGy(paths, attenuation, absorbed, energies, density, fluence, sample_um)
    share = paths[1].sum(dtype=float) / paths.sum(dtype=float)
    mixed = [(1 - share) * both[0] + share * both[1] for both in (attenuation, absorbed, density)]
    particles = sample_MGy[None]
    if diameters_um is not None and len(diameters_um) > 1:
        local = entrance_dose_MGy(energies, mixed[1], float(mixed[2]), fluence)
        particles = local * np.array([sphere_shade(mixed[0] * diameter) for diameter in diameters_um])
    # The beamline knows no sample: its figure is that of the tabulated material.
    lfp = study.species.LFP
    tabulated = absorbed_per_um(lfp.formula, lfp.iron_mol_cm3, energies, parametric("LFP")(energies))
    entrance = entrance_dose_MGy(energies, tabulated, lfp.density_g_cm3, fluence)
    return Ledger(energies, fluence, entrance, particles, sample_MGy)


def sphere_shade(depth: Array) -> Array:
    """Mean of (1 - exp(-t)) / t over a sphere's rays, weighted with t, where t is at most `depth`: what its own shade leaves."""
    x = np.maximum(np.asarray(depth, float), 1e-3)
    return np.asarray((1 - 2 * (1 - (1 + x) * np.exp(-x)) / x**2) * 3 / (2 * x))


def photoreduction(study: Study, dose_MGy: Array) -> Fading | None:
    """How much of FP the beam has turned to LFP when, from the dose of each energy (energy,); None: it turns none.

    First order in the dose that the sample has taken: 1 - exp(-D / D0), the reduced share with LFP's spectrum (a guess).
    """
    scale_MGy = study.beam.photoreduction_MGy
    if scale_MGy == 0:
        return None
    times = study.scan.frame_time_s
    each = np.repeat(dose_MGy / times.shape[1], times.shape[1])
    order = np.argsort(times, axis=None)
    taken = np.cumsum(each[order])
    return Fading(np.append(0.0, times.ravel()[order]), 1 - np.exp(-np.append(0.0, taken) / scale_MGy))
