"""An instrument with every effect off, and frames to try one effect on."""

from dataclasses import replace

import numpy as np

from instrument.components import Matter, frozen
from instrument.exposure import pixel_ratio
from instrument.frame import Frame
from instrument.measurement import Header
from instrument.scan import Clock
from instrument.settings import Beam, Camera, Instrument, Optics, Stage

PIXEL = 0.1
QUIET = Instrument(
    beam=Beam(photons_per_pixel=1e4, falloff=0.0, shot_noise=False),
    optics=Optics(outermost_zone_um=0.0),
    stage=Stage(runout_um=0.0),
    camera=Camera(efficiency=1.0, gain_adu=4.0, read_noise_adu=0.0, offset_adu=100.0),
)
NOISY = replace(QUIET, beam=replace(QUIET.beam, shot_noise=True), camera=replace(QUIET.camera, read_noise_adu=3.0))
# Attenuation of one in any energy, and the phase of LFP.
UNIT = Matter(lambda energies: np.ones((1, len(energies))), lambda energies: np.full((1, len(energies)), -0.485))


def changed(instrument, **tables):
    """The instrument with changed settings: changed(QUIET, stage={"runout_um": 0.1})."""
    return replace(instrument, **{name: replace(getattr(instrument, name), **values) for name, values in tables.items()})


def frame(
    kind="projection", index=0, *, seed=1, energy=7126.0, visit=0, time=0.0, scan=100.0, angle=0.0, oversampling=2, pixel=PIXEL
):
    return Frame(seed, "scan", energy, visit, kind, index, angle, time, scan, 0.05, 7100.0, pixel, oversampling)


def film(depth):
    """Components of one view whose optical depth in `UNIT` matter is the image `depth`, on the fine grid."""
    return frozen(np.asarray(depth, np.float32)[None, None])


def empty_scan(energies, angles=3, shape=(6, 8), flats=2, darks=2, instrument=QUIET):
    """A scan to be filled, and its clock: a frame a second."""
    n = len(energies)
    energies = np.array(energies, float)
    times = np.arange(n * (angles + flats + darks), dtype=float).reshape(n, -1)
    clock = Clock(times[:, :angles], times[:, angles : angles + flats], times[:, angles + flats :], float(times.size), np.ones(n))
    pixels = PIXEL * np.array([pixel_ratio(instrument, e, energies[0]) for e in energies])
    header = Header(
        energies,
        np.linspace(0, 3, angles),
        clock.projections_s,
        pixels,
        (shape[1] - 1) / 2,
        np.full(n, 0.05),
        shape,
        flats,
        darks,
    )
    return header.in_memory(), clock
