"""What other lists of energies would do in the plan's place: even points, and a usual list."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from phantom import InputError

from ..coarse import Coarse
from ..materials import check_physics
from ..study import Study
from .design import Problem
from .foretell import Foretold, foretell
from .scaled import Scaled
from .scan import dose_MGy, hours

Array = NDArray[np.float64]

UNIFORM_EV = np.arange(7100.0, 7160.5)
HAND_EV = np.array([7100, 7110, 7118, 7122, 7125, 7128, 7132, 7138, 7150, 7170, 7192], float)


def robust_ratios(problem: Problem, scaled: Scaled) -> dict[str, float | None]:
    """Cost of other energies over the plan's for its worst case, in the design's own model and budget."""
    found: dict[str, float | None] = {}
    energies, price = scaled.scene.energies_eV, scaled.scene.price_of(scaled.wish.spared)
    for name, others in (("uniform", UNIFORM_EV), ("hand", HAND_EV)):
        weights = np.isin(energies, others) * price
        known = np.isin(others, energies).all()
        found[f"robust_{name}"] = problem.cost(weights / weights.sum()) / scaled.chosen.cost if known else None
    return found


def even_scan(planned: Study, energies_eV: Array, exposure_s: float) -> Study:
    """The plan's scan at other energies, one exposure for all, in the plan's beam."""
    rate = planned.beam.photons_per_pixel / planned.scan.exposure_s
    scan = replace(planned.scan, energies_eV=tuple(map(float, energies_eV)), exposures_s=(), exposure_s=exposure_s)
    return replace(planned, scan=scan, beam=replace(planned.beam, photons_per_pixel=rate * exposure_s))


def equal_exposures_s(coarse: Coarse, planned: Study, energies_eV: Array) -> dict[str, float]:
    """Exposure at each of other energies with which they take as many photons, dose or time as the plan; 0 where none is left."""
    total_s = float(planned.scan.frame_exposures_s.sum())
    second = even_scan(planned, energies_eV, 1.0)
    idle = hours(even_scan(planned, energies_eV, 1e-9))
    return {
        "photons": total_s / len(energies_eV),
        "dose": dose_MGy(coarse, planned) / dose_MGy(coarse, second),
        "time": max(0.0, (hours(planned) - idle) / (hours(second) - idle)),
    }


def ratios(coarse: Coarse, planned: Study, foretold: Foretold) -> dict[str, float | None]:
    """Mean square error of other energies' scans over the plan's, at equal photons, dose and time; None where they cannot be."""
    found: dict[str, float | None] = {}
    for name, energies in (("uniform", UNIFORM_EV), ("hand", HAND_EV)):
        try:
            check_physics(even_scan(planned, energies, planned.scan.exposure_s))
        except InputError:  # a spectrum that does not reach so far
            found |= {f"{name}_equal_{budget}": None for budget in ("photons", "dose", "time")}
            continue
        for budget, exposure_s in equal_exposures_s(coarse, planned, energies).items():
            ratio = None
            if exposure_s * planned.instrument.detected_photons / planned.scan.exposure_s >= 1:
                ratio = (foretell(coarse, even_scan(planned, energies, exposure_s)).rms / foretold.rms) ** 2
            found[f"{name}_equal_{budget}"] = ratio
    return found
