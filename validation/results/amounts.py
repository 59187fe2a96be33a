"""Amounts from what programs call a result: amounts of the species, or a phase fraction with or without the iron."""

from pathlib import Path

import numpy as np

from analysis.result import IRON_FLOOR, AmountMap
from analysis.spectra.combination import LFP_IRON_MOL_CM3
from instrument.attenuation import attenuation_parts
from phantom import InputError

from .stated import Stated
from .volumes import Values, Volume, numbers

_AFTER_EDGE_eV = 7150.0  # the step falls by 1 % in 25 eV: where programs take the mean after the edge
_ASK = "is it this quantity, or attenuation, which needs --standards?"
_LARGEST = 5.0  # iron and phase fractions lie about 1


def read_numbers(volume: Volume, stated: Stated, dimensions: tuple[int, ...] = (3,)) -> Values:
    """All of a volume as float32, NaN where it is not finite. Raises InputError for other dimensions, and nothing finite."""
    if len(volume.shape) not in dimensions or not min(volume.shape):
        raise InputError(
            f"{volume.where}: has shape {volume.shape}; allowed are {' or '.join(map(str, dimensions))} axes, "
            "one voxel or more each"
        )
    found = numbers(volume.whole(), volume.where, stated.scale)
    if not np.isfinite(found).any():
        raise InputError(f"{volume.where}: holds NaN alone; allowed is a result with finite voxels; was it written whole?")
    return found


def from_amounts(where: Path, amounts: Values, stated: Stated, own_um: float | None = None, cure: str = _ASK) -> AmountMap:
    """A map of amounts (species, ...) in the order of `stated.species`; NaN is a voxel without an answer.

    Raises InputError for another number of species, and for values that are no amounts.
    """
    if len(amounts) != len(stated.species):
        raise InputError(
            f"{where}: holds {len(amounts)} components; allowed are {len(stated.species)}, {', '.join(stated.species)}; "
            "name them in their order with --species"
        )
    if not np.isfinite(amounts).any():
        raise InputError(f"{where}: holds no finite voxel; allowed is a result with an answer somewhere; was it written whole?")
    # Of the iron a particle may hold few voxels; a phase fraction is wild in all that hold none.
    _check_size(where, amounts.sum(axis=0), 0.99, "amounts, 1 for a voxel full of LFP", cure)
    return AmountMap(stated.species, np.nan_to_num(amounts), stated.voxel_at(where, own_um))


def from_fraction(
    where: Path,
    x: Values,
    stated: Stated,
    iron: Values | None = None,
    sigma: Values | None = None,
    own_um: float | None = None,
) -> AmountMap:
    """A map of two species from the phase fraction, share of FP; without iron it is 1 where x is finite.

    Raises InputError for values that are no fractions, and volumes of different shapes.
    """
    for name, other in (("iron", iron), ("phase_fraction_sigma", sigma)):
        if other is not None and other.shape != x.shape:
            raise InputError(f"{where}: {name} has shape {other.shape}; allowed is {x.shape}, that of the phase fraction")
    _check_size(where, x, 0.5, "phase fractions, 0 for LFP to 1 for FP", _ASK)
    answered = np.isfinite(x)
    whole = answered.astype(np.float32) if iron is None else np.nan_to_num(iron)
    whole = np.where(answered | (whole < IRON_FLOOR), whole, 0)  # so little iron has no fraction, but is found all the same
    share = np.where(answered, x, 0.5)
    amounts = np.stack([whole * (1 - share), whole * share])
    return AmountMap(("LFP", "FP"), amounts, stated.voxel_at(where, own_um), phase_fraction_sigma=sigma)


def iron_of_step(step: Values, pixel_um: float, stated: Stated) -> Values:
    """Iron from the rise of attenuation at the edge, in `stated.unit`, of voxels in pixels of `pixel_um`.

    One is the K step of LFP, xraylib's at 7150 eV: the white line and the slope of the rest make some per cent of it.
    """
    shell = attenuation_parts("LiFePO4", LFP_IRON_MOL_CM3, [_AFTER_EDGE_eV], [1.0])[1]
    return np.asarray(step * np.float32(per_um(pixel_um, stated) / shell[0]))


def per_um(pixel_um: float, stated: Stated) -> float:
    """What turns attenuation in `stated.unit` into 1/um."""
    return {"pixel": 1 / pixel_um, "um": 1.0, "cm": 1e-4}[stated.unit]


def _check_size(where: Path, values: Values, share: float, kind: str, cure: str) -> None:
    """InputError where more than `1 - share` of the values that are not 0 are too large for what they should be."""
    held = np.abs(values[np.isfinite(values) & (values != 0)])
    if held.size and (found := float(np.quantile(held, share))) > _LARGEST:
        raise InputError(f"{where}: {1 - share:.0%} of its values are beyond {found:.4g}; allowed are {kind}; {cure}")
