"""What precision costs: the error of x against dose and hours, in several voxels."""

from dataclasses import dataclass

from phantom import InputError

from .foretell import foretell
from .plan import Plan
from .scan import dose_MGy, hours, voxels_um

VOXELS = (0.75, 1.0, 1.5, 2.0)  # of the plan's
FACTORS = (0.1, 0.32, 1.0, 3.2, 10.0)  # of the plan's photons per area


@dataclass(frozen=True)
class Curve:
    """Rms error of x by noise in a voxel against dose and duration, each (point,); `angles` are the fewest views of them."""

    voxel_um: float
    angles: int
    error: tuple[float, ...]
    dose_MGy: tuple[float, ...]
    hours: tuple[float, ...]


def curves(plan: Plan) -> tuple[Curve, ...]:
    """The plan's energies and shares with other photons and voxels, each with the views it needs; what cannot be is left out."""
    found = []
    for ratio in VOXELS:
        voxel_um = ratio * plan.study.scan.pixel_um
        if voxel_um < voxels_um(plan.study, plan.coarse)[0]:
            continue
        rows = []
        for factor in FACTORS:
            try:
                study = plan.scaled.with_voxel(voxel_um).at(factor * plan.factor)
            except InputError:  # more pixels, views or seconds than there are
                continue
            rows.append((foretell(plan.coarse, study).rms, dose_MGy(plan.coarse, study), hours(study), study.scan.angles))
        if rows:
            error, dose, time, angles = zip(*rows, strict=True)
            found.append(Curve(voxel_um, min(angles), error, dose, time))
    return tuple(found)
