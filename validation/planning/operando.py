"""Scan and charge: how far the front moves while the views are taken."""

from dataclasses import dataclass

import numpy as np

from instrument.randomness import generator
from phantom import InputError
from phantom.cell import charge

from .plan import Plan

_BLURRED, _NO_TOMOGRAPHY = 1.0, 3.0  # voxels that the front passes: guesses


@dataclass(frozen=True)
class Motion:
    """`c_rate_per_h` (1/h) is the fastest mean charge at which the front moves by no more than a voxel within the scan.

    `front_um` is how far it moves in this study, 0 where the charge pauses.
    """

    c_rate_per_h: float
    front_um: float
    voxel_um: float

    @property
    def sentence(self) -> str:
        """In words."""
        rest = f"it moves by a voxel at a charge of {self.c_rate_per_h:.2g} C"
        if self.front_um == 0:
            return f"The charge pauses during the scan; with the current on the front would not stand still: {rest}."
        voxels = self.front_um / self.voxel_um
        moved = f"The front moves by {self.front_um:.2g} um, {voxels:.2g} voxels, while the scan lasts"
        if voxels > _NO_TOMOGRAPHY:
            return f"{moved}: this is no tomography; {rest}. Pause the charge, take larger voxels, or less time (--max-hours)."
        if voxels > _BLURRED:
            return f"{moved}: it is blurred; {rest}."
        return f"{moved}: it stands still enough; {rest}."


def motion(plan: Plan) -> Motion:
    """The front's way is the volume it passes over its area, a sixth of a sphere's diameter for all of its iron."""
    study, coarse = plan.study, plan.coarse
    largest = max(coarse.diameters_um)
    voxel_um = study.scan.pixel_um
    limit = 6 * voxel_um / largest / plan.hours
    if not study.charging.moving:
        return Motion(limit, 0.0, voxel_um)
    own = study.charging.imaged == "own"
    history = charge(study.cell, generator(study.seed, "cell"), list(coarse.diameters_um) if own else ())
    middle = history.time_at(study.charging.mean_fraction)
    half = study.scan.time_s / 2
    if middle < half:
        raise InputError(
            f"charging.mean_fraction: the cell is there after {middle:.0f} s, before half of the planned {2 * half:.0f} s are "
            "over; allowed is a scan that starts after the charge; lower cell.c_rate or wish for fewer --max-hours"
        )
    (first, firsts), (last, lasts) = history.at(middle - half), history.at(middle + half)
    ways = (lasts - firsts) * np.array(coarse.diameters_um) if own else np.array([(last - first) * largest])
    return Motion(limit, float(ways.max()) / 6, voxel_um)
