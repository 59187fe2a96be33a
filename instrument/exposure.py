"""What really happens to a frame: effects (exposure, instrument, frame) -> exposure, one function each.

Random ones draw from the frame's own generators, so that an effect of size zero leaves every other draw as it was. What
outlasts a frame is one draw for as long as it lasts: a drift is a random walk over the whole scan, one curve a scan.
"""

from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .attenuation import HC_EV_UM
from .frame import Exposure, Frame
from .randomness import generator
from .settings import Beam, Instrument, Stage

Array = NDArray[np.float64]

_WALK_TERMS = 64
_WOBBLE_ORDERS = np.arange(1, 7)


def random_walk(rng: np.random.Generator, part: float, curves: int = 1) -> Array:
    """Random walks (curve,) at a part 0..1 of their way, variance equal to that part.

    Karhunen-Loeve expansion of Brownian motion (Loeve, Probability Theory II, 1978, sec. 37.5) to 64 terms, which hold
    all but 0.4 % of the variance at the end.
    """
    order = np.arange(_WALK_TERMS) + 0.5
    weights = rng.normal(size=(curves, _WALK_TERMS))
    return np.asarray(weights @ (np.sqrt(2) * np.sin(np.pi * order * part) / (np.pi * order)))


def _part(frame: Frame) -> float:
    return frame.time_s / frame.scan_s if frame.scan_s > 0 else 0.0


def energy_offset(exposure: Exposure, instrument: Instrument, frame: Frame) -> Exposure:
    """The scale of energy is off by `monochromator.offset_eV`."""
    return replace(exposure, energy_eV=exposure.energy_eV + instrument.monochromator.offset_eV)


def energy_drift(exposure: Exposure, instrument: Instrument, frame: Frame) -> Exposure:
    """The energy walks away during the scan."""
    size = instrument.monochromator.drift_eV
    if size == 0:
        return exposure
    walk = random_walk(frame.rng_run("energy drift"), _part(frame))
    return replace(exposure, energy_eV=exposure.energy_eV + size * float(walk[0]))


def energy_jitter(exposure: Exposure, instrument: Instrument, frame: Frame) -> Exposure:
    """Each time an energy is set it is missed by a little."""
    size = instrument.monochromator.jitter_eV
    if size == 0:
        return exposure
    return replace(exposure, energy_eV=exposure.energy_eV + float(frame.rng_energy("energy jitter").normal(0, size)))


def decay(exposure: Exposure, instrument: Instrument, frame: Frame) -> Exposure:
    """The stored current falls, and jumps back at each injection."""
    return replace(exposure, flux=exposure.flux * float(stored_current(instrument.beam, frame.time_s)))


def stored_current(beam: Beam, time_s: ArrayLike) -> Array:
    """Intensity over that at the start of the scan, which follows an injection, at times of any shape."""
    time = np.asarray(time_s, float)
    since = time % beam.topup_s if beam.topup_s > 0 else time
    return np.asarray(np.exp(-beam.decay_per_hour * since / 3600))


def flicker(exposure: Exposure, instrument: Instrument, frame: Frame) -> Exposure:
    """The beam's intensity differs from frame to frame."""
    size = instrument.beam.flicker
    if size == 0:
        return exposure
    return replace(exposure, flux=exposure.flux * max(0.0, 1 + float(frame.rng("flicker").normal(0, size))))


def structure_drift(exposure: Exposure, instrument: Instrument, frame: Frame) -> Exposure:
    """The beam's fine structure walks across the field, between flats and projections, too."""
    size = instrument.beam.structure_drift_px
    if size == 0:
        return exposure
    return replace(
        exposure, structure_px=exposure.structure_px + size * random_walk(frame.rng_run("structure drift"), _part(frame), 2)
    )


def center_offset(exposure: Exposure, instrument: Instrument, frame: Frame) -> Exposure:
    """The rotation axis meets the detector beside its middle column."""
    return _moved(exposure, np.array([0.0, instrument.stage.center_offset_px * frame.pixel_um]))


def runout(exposure: Exposure, instrument: Instrument, frame: Frame) -> Exposure:
    """Random displacement of the sample in this frame, normal, independent along row and column."""
    if instrument.stage.runout_um == 0:
        return exposure
    return _moved(exposure, frame.rng("runout").normal(0, instrument.stage.runout_um, 2))


def wobble(exposure: Exposure, instrument: Instrument, frame: Frame) -> Exposure:
    """Displacement of the sample that returns with the angle: harmonics of the turn, the higher the weaker."""
    size = instrument.stage.wobble_um
    if size == 0:
        return exposure
    weights = frame.rng_run("wobble").normal(size=(2, 2, len(_WOBBLE_ORDERS))) / _WOBBLE_ORDERS
    weights /= np.sqrt((1 / _WOBBLE_ORDERS**2).sum())
    turns = _WOBBLE_ORDERS * frame.angle_rad
    return _moved(exposure, size * (weights[0] @ np.cos(turns) + weights[1] @ np.sin(turns)))


def drift(exposure: Exposure, instrument: Instrument, frame: Frame) -> Exposure:
    """The sample walks away during the scan."""
    size = instrument.stage.drift_um
    if size == 0:
        return exposure
    return _moved(exposure, size * random_walk(frame.rng_run("drift"), _part(frame), 2))


def energy_shift(exposure: Exposure, instrument: Instrument, frame: Frame) -> Exposure:
    """The image jumps when energy and zone plate move."""
    if instrument.stage.energy_shift_um == 0:
        return exposure
    return _moved(exposure, frame.rng_energy("energy shift").normal(0, instrument.stage.energy_shift_um, 2))


def tilt(exposure: Exposure, instrument: Instrument, frame: Frame) -> Exposure:
    """The rotation axis leans: in the detector's plane, and along the beam."""
    return replace(
        exposure,
        roll_rad=exposure.roll_rad + np.deg2rad(instrument.stage.roll_deg),
        pitch_rad=exposure.pitch_rad + np.deg2rad(instrument.stage.pitch_deg),
    )


def magnification(exposure: Exposure, instrument: Instrument, frame: Frame) -> Exposure:
    """The image's size when the zone plate is refocused at another energy, as far as the detector is not moved to hold it.

    Its motors go by the nominal energy.
    """
    ratio = pixel_ratio(instrument, frame.energy_eV, frame.reference_eV)
    return exposure if ratio == 1 else replace(exposure, scale=exposure.scale / ratio)


def pixel_ratio(instrument: Instrument, energy_eV: float, reference_eV: float) -> float:
    """Pixel on the sample at an energy over that at the reference: M = q / f - 1 with the focal length f = D dr E / hc.

    q is the fixed distance of the detector. Source: Attwood, Soft X-Rays and Extreme Ultraviolet Radiation, 1999, ch. 9.
    """
    optics = instrument.optics
    if optics.magnification_change == 0:
        return 1.0
    held = optics.magnification
    free = (held + 1) * reference_eV / energy_eV - 1
    return 1 + optics.magnification_change * (held / free - 1)


def focus(exposure: Exposure, instrument: Instrument, frame: Frame) -> Exposure:
    """The sample lies out of focus, by a set distance and by what each refocusing misses."""
    optics = instrument.optics
    missed = float(frame.rng_energy("focus").normal(0, optics.focus_jitter_um)) if optics.focus_jitter_um else 0.0
    return replace(exposure, defocus_um=exposure.defocus_um + optics.defocus_um + missed)


def chromatic_focus(exposure: Exposure, instrument: Instrument, frame: Frame) -> Exposure:
    """The focal length D dr E / hc grows with the energy: drift and jitter leave the sample downstream of focus, or before it.

    A constant offset comes after: the microscope is focused in the light it has.
    """
    optics = instrument.optics
    off = exposure.energy_eV - frame.energy_eV
    longer = optics.zone_plate_diameter_um * optics.outermost_zone_um * off / HC_EV_UM
    return exposure if longer == 0 else replace(exposure, defocus_um=exposure.defocus_um + longer)


def _moved(exposure: Exposure, shift_um: Array) -> Exposure:
    return replace(exposure, shift_um=exposure.shift_um + shift_um)


def true_angles_rad(stage: Stage, nominal_rad: Array, seed: int, run: str = "scan") -> Array:
    """Where the sample really stands in each view, radian, (angle,).

    An encoder's error is the same whenever an angle returns, at every energy: the sample is projected at these angles.
    """
    if stage.angle_error_deg == 0:
        return nominal_rad
    errors = np.array([generator(seed, "angle error", run, k).normal() for k in range(len(nominal_rad))])
    return np.asarray(nominal_rad + np.deg2rad(stage.angle_error_deg) * errors)
