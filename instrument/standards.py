"""Standards are measured by the same instrument: a uniform film, its own noise, thickness and energy errors."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated

import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from phantom.errors import InputError

from .components import Matter, frozen
from .housing import Housing
from .measurement import Header, Spectrum
from .microscope import record
from .scan import Clock
from .settings import Instrument, Stage

Array = NDArray[np.float64]
FILM_PX = 64


@dataclass(frozen=True)
class Standard:
    """How the standard of one species differs from the sample, and how it is measured."""

    thickness_um: Annotated[
        float,
        Meta(ge=0.1, le=100, description="thickness of the film", extra={"unit": "um", "source": "guess"}),
    ] = 15.0
    thickness_error: Annotated[
        float,
        Meta(ge=-0.5, le=1, description="relative error of the thickness the experimenter believes", extra={"source": "guess"}),
    ] = 0.0
    frames: Annotated[int, Meta(ge=1, le=1000, description="frames with and without the film, each energy")] = 4
    energy_offset_eV: Annotated[
        float,
        Meta(ge=-5, le=5, description="error of the energy scale while the standard was measured", extra={"unit": "eV"}),
    ] = 0.0
    spectrum: Annotated[
        str,
        Meta(description="normalized spectrum of the standard: 'sample' (same as the sample's), 'parametric', or a file"),
    ] = "sample"
    edge_shift_eV: Annotated[
        float,
        Meta(ge=-5, le=5, description="the standard's edge lies higher than the sample's by this", extra={"unit": "eV"}),
    ] = 0.0
    white_line_change: Annotated[
        float,
        Meta(ge=-1, le=1, description="relative change of the standard's white line above the step"),
    ] = 0.0


def standard_energies(scan_energies_eV: Sequence[float]) -> Array:
    """Energies at which standards are measured: the scan's; over its range 1 eV steps across the edge, else 5 eV."""
    scan = np.asarray(scan_energies_eV, float)
    steps = np.union1d(np.arange(7110.0, 7150.5), np.arange(6900.0, 7601.0, 5.0))
    return np.union1d(scan, steps[(steps > scan.min()) & (steps < scan.max())])


def measure_standard(
    name: str,
    formula: str,
    standard: Standard,
    energies_eV: Array,
    film: Matter,
    instrument: Instrument,
    pixel_um: float,
    *,
    seed: int,
    threads: int = 1,
) -> Spectrum:
    """The spectrum an experimenter gets from a uniform film, 1/um at LFP's iron density.

    `film` is what the film's one component does to X-rays. Optical depth is -ln of the summed film frames over the summed flats,
    dark-subtracted, over the believed thickness.
    """
    shape = (FILM_PX, FILM_PX)
    n = standard.frames
    at_once = np.zeros((len(energies_eV), n))
    taken = Header(
        energies_eV,
        np.zeros(n),
        at_once,
        np.full(len(energies_eV), pixel_um),
        (FILM_PX - 1) / 2,
        np.ones(len(energies_eV)),
        shape,
        n,
        n,
    ).in_memory()
    # A uniform film needs no finer grid than the pixel.
    paths = np.full((1, n, *shape), standard.thickness_um, np.float32)
    record(
        frozen(paths),
        film,
        # The film is no cell, and reaches beyond the field: wherever its image moves there is film.
        replace(
            instrument,
            housing=Housing(),
            stage=Stage(runout_um=0),
            optics=replace(instrument.optics, magnification_change=0),
        ),
        taken,
        Clock(at_once, at_once, at_once, 0.0, np.ones(len(energies_eV))),
        seed=seed,
        run=f"standard {name}",
        oversampling=1,
        threads=threads,
    )
    light, open_beam, dark = (
        np.asarray(frames, float).mean(axis=(1, 2, 3)) for frames in (taken.projections, taken.flats, taken.darks)
    )
    if not np.all(light > dark):
        worst = int(np.argmin(light - dark))
        raise InputError(
            f"standards.{name}: at {energies_eV[worst]:g} eV its film reads {light[worst]:.4g} ADU, the dark {dark[worst]:.4g}; "
            "allowed is light above dark; raise beam.photons_per_pixel or camera.gain_adu, or lower the dark currents"
        )
    believed_um = standard.thickness_um * (1 + standard.thickness_error)
    return Spectrum(name, energies_eV, -np.log((light - dark) / (open_beam - dark)) / believed_um, formula=formula)
