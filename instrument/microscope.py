"""The microscope: one exposure, and the energy scan made of exposures."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from . import effects
from .components import Components
from .frame import Frame
from .measurement import Measurement
from .settings import Instrument

Array = NDArray[np.float64]
Image = NDArray[np.float32]
Progress = Callable[[str, int, int], None]


# The list of effects in the order of the light. Exposure effects say what really happened (the
# measurement keeps the nominal values); photon effects act on intensity on the fine grid; count
# effects on the detector's pixels.
EXPOSURE = (effects.runout_um,)
PHOTONS = (effects.blur, effects.beam_profile)
COUNTS = (
    effects.shot_noise,
    effects.scintillator_spread,
    effects.gain,
    effects.read_noise,
    effects.digitize,
)


def expose(optical_depth: Image, instrument: Instrument, frame: Frame) -> NDArray[np.uint16]:
    """One frame, counts (row, column).

    `optical_depth` is on the fine grid. A flat is the same exposure without the sample (zeros), a
    dark the same with the shutter closed.
    """
    transmission = np.exp(-optical_depth)
    displacement = np.sum([effect(instrument, frame) for effect in EXPOSURE], axis=0)
    displacement[1] += instrument.stage.center_offset_px * frame.pixel_um
    image = effects.displace(transmission, displacement / frame.pixel_um * frame.oversampling)
    for photon_effect in PHOTONS:
        image = photon_effect(image, instrument, frame)
    n = frame.oversampling
    rows, columns = image.shape[0] // n, image.shape[1] // n
    pixels: Array = image.reshape(rows, n, columns, n).mean(axis=(1, 3), dtype=np.float64)
    pixels *= instrument.detected_photons if frame.shutter_open else 0.0
    for count_effect in COUNTS:
        pixels = count_effect(pixels, instrument, frame)
    return pixels.astype(np.uint16)


def record(
    sample: Components,
    attenuation_per_um: Array,
    instrument: Instrument,
    scan: Measurement,
    *,
    seed: int,
    name: str = "scan",
    oversampling: int = 2,
    threads: int = 1,
    progress: Progress | None = None,
) -> None:
    """Record an energy scan into the arrays of `scan`, energy by energy.

    `sample` is on a grid `oversampling` times finer than the pixel; `attenuation_per_um` (species + fillers, energy)
    is per unit amount and share. `scan` says energies, angles and the time of every frame, and owns the arrays
    (numpy or HDF5) that are filled.
    """
    empty = np.zeros(sample.shape, np.float32)
    counts: dict[float, int] = {}
    with ThreadPoolExecutor(threads) as pool:
        for i, energy in enumerate(scan.energies_eV):
            visit = counts.get(energy, 0)
            counts[energy] = visit + 1
            weights, times = attenuation_per_um[:, i], scan.time_s[i]

            def frame_of(kind: str, k: int, energy: float = float(energy), visit: int = visit) -> Frame:
                shutter_open = not kind.endswith("dark")
                return Frame(seed, energy, visit, kind, k, shutter_open, scan.pixel_um, oversampling)

            def projection(k: int, weights: Array = weights, times: Array = times) -> NDArray[np.uint16]:
                return expose(sample.optical_depth(k, times[k], weights), instrument, frame_of(name, k))

            def reference(kind: str, k: int) -> NDArray[np.uint16]:
                return expose(empty, instrument, frame_of(f"{name} {kind}", k))

            scan.projections[i] = np.stack(list(pool.map(projection, range(len(scan.angles_rad)))))
            for kind, target in (("flat", scan.flats), ("dark", scan.darks)):
                frames: Sequence[NDArray[np.uint16]] = list(
                    pool.map(lambda k, kind=kind: reference(kind, k), range(target.shape[1]))
                )
                target[i] = np.stack(frames)
            if progress:
                progress("record", i + 1, len(scan.energies_eV))
