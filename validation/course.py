"""How far the sample is charged while the scan lasts: frozen, or following the cell."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from instrument.cycler import record_charge
from instrument.measurement import ChargeCurve
from instrument.randomness import generator
from phantom import InputError, Sample
from phantom.cell import Charge, charge

from .study import Study

Array = NDArray[np.float64]
_STATES = (2, 100)  # steps between states, fewest and most


@dataclass(frozen=True)
class Course:
    """Bulk fractions (state, grain) at `times_s` (state,) from the start of the scan, straight in between.

    With a cell also its `charge` and `start_s`, the cell's clock when the scan begins; a frozen sample has one state.
    """

    times_s: Array
    fractions: Array
    charge: Charge | None = None
    start_s: float = 0.0

    def at(self, time_s: float) -> Array:
        """Bulk fraction (grain,) at a time of the scan."""
        return np.array([np.interp(time_s, self.times_s, fraction) for fraction in self.fractions.T])


def course_of(study: Study, sample: Sample) -> Course:
    """The course of a study. Raises InputError where the cell does not reach it."""
    settings, count = study.charging, len(sample.grains)
    if settings.source == "front":
        return Course(np.zeros(1), np.full((1, count), study.front.fraction))
    own = settings.imaged == "own"
    history = charge(study.cell, generator(study.seed, "cell"), list(sample.diameters_um) if own else ())
    middle = history.time_at(settings.mean_fraction)
    if not settings.moving:
        mean, imaged = history.at(middle)
        return Course(np.zeros(1), (imaged if own else np.full(count, mean))[None], history, middle)
    start = middle - study.scan.time_s / 2
    if start < 0:
        raise InputError(
            f"charging.mean_fraction: the cell is there after {middle:.0f} s, before half of a scan of {study.scan.time_s:.0f} s "
            "is over; allowed is a scan that starts after the charge; shorten it or lower cell.c_rate"
        )

    def fractions(times: Array) -> Array:
        states = [history.at(start + float(time)) for time in times]
        return np.array([imaged if own else np.full(count, mean) for mean, imaged in states])

    number = settings.states
    if number == "auto":
        first, last = fractions(np.array([0.0, study.scan.time_s]))
        # The front's way is the volume it passes over its area, a sixth of the diameter for a sphere's surface.
        way_px = float(((last - first) * sample.diameters_um).max()) / 6 / study.scan.pixel_um
        number = int(np.clip(np.ceil(4 * way_px), *_STATES)) + 1
    times = np.linspace(0, study.scan.time_s, number)
    return Course(times, fractions(times), history, start)


def charge_curve(study: Study, course: Course) -> ChargeCurve | None:
    """What the cycler recorded until the scan was over; None without a cell."""
    if course.charge is None:
        return None
    over = course.start_s + study.scan.time_s
    stop = min(over, float(course.charge.time_s[-1])) if study.charging.moving else course.start_s
    return record_charge(course.charge, study.cell, study.cycler, seed=study.seed, until_s=stop, pause_s=over - stop)
