"""The cycler: what it records of a charge."""

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from phantom.cell import Cell, Charge
from phantom.errors import InputError

from .measurement import ChargeCurve
from .randomness import generator

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Cycler:
    """How the cycler samples time, voltage and current."""

    sample_interval_s: Annotated[
        float, Meta(ge=1, le=1e5, description="time between samples", extra={"unit": "s", "source": "guess"})
    ] = 60.0
    voltage_noise_V: Annotated[
        float, Meta(ge=0, le=0.1, description="rms noise of the voltage", extra={"unit": "V", "source": "guess"})
    ] = 5e-4
    current_noise_mA: Annotated[
        float,
        Meta(ge=0, le=100, description="rms noise of the current's reading", extra={"unit": "mA", "source": "guess"}),
    ] = 1e-4
    current_offset_mA: Annotated[
        float,
        Meta(
            ge=-100,
            le=100,
            description="the current reads higher than it is by this; the capacity counts it",
            extra={"unit": "mA", "source": "guess: calibrated"},
        ),
    ] = 0.0


def _moments(start: float, end: float, interval: float) -> Array:
    """From `start` in steps of `interval`, the last one exactly at `end`."""
    steps = np.arange(start, end, interval)
    return np.append(steps[end - steps > 1e-6 * interval], end)


def _noise(seed: int, what: str, rms: float, count: int) -> Array:
    return rms * generator(seed, "cycler", what).standard_normal(count) if rms else np.zeros(count)


def record_charge(
    charge: Charge, cell: Cell, cycler: Cycler, *, seed: int, until_s: float | None = None, pause_s: float = 0.0
) -> ChargeCurve:
    """Record `charge` of `cell` up to `until_s`, by default its end, then a pause without current.

    The cell is taken to rest at its open-circuit potential from the first sample of the pause. Each current read stands for
    the interval before its sample; the capacity is their sum over the active mass. Raises InputError for a time outside the
    charge and a negative pause.
    """
    last = float(charge.time_s[-1])
    end = last if until_s is None else float(until_s)
    if not 0 < end <= last:
        raise InputError(
            f"cycler: asked to stop at {end:g} s; allowed more than 0, up to {last:.6g} s, where the charge ends; stop earlier"
        )
    if not 0 <= pause_s < np.inf:
        raise InputError(f"cycler: found a pause of {pause_s:g} s; allowed 0 or more; leave it out for none")
    time = _moments(0.0, end, cycler.sample_interval_s)
    voltage = np.interp(time, charge.time_s, charge.voltage_V)
    current = np.full(len(time), charge.current_mA)
    if pause_s > 0:
        pause = _moments(end, end + pause_s, cycler.sample_interval_s)[1:]
        time = np.append(time, pause)
        voltage = np.append(voltage, np.full(len(pause), cell.rested_V(charge.at(end)[0])))
        current = np.append(current, np.zeros(len(pause)))
    read = current + cycler.current_offset_mA + _noise(seed, "current", cycler.current_noise_mA, len(time))
    counted = np.cumsum(np.append(0.0, read[1:] * np.diff(time)))  # mA s
    return ChargeCurve(
        time_s=time,
        current_mA=read,
        voltage_V=voltage + _noise(seed, "voltage", cycler.voltage_noise_V, len(time)),
        capacity_mAh_per_g=counted / 3.6 / cell.mass_mg,
    )
