"""Truth and result on one grid, and the masks that scores are taken over."""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from scipy.ndimage import distance_transform_edt, generate_binary_structure

from analysis.result import AmountMap, phase_fraction

from .grids import Array, Mask, bounding_box
from .overlay import Overlay, Values

PARTICLE = 0.5  # truth iron of a scored voxel
_MARGIN = 4  # voxels kept around the particle


@dataclass(frozen=True)
class Compared:
    """A truth and a result laid over each other, cut to the particle; `whole` is the overlay before the cut at `corner`.

    All arrays are (z, y, x), or (time, y, x) of a series.
    """

    whole: Overlay
    corner: tuple[int, int, int]
    truth: AmountMap
    result: AmountMap

    @property
    def voxel_um(self) -> float:
        """Voxels of both."""
        return self.result.voxel_um

    @cached_property
    def true_x(self) -> Values:
        """Phase fraction of the truth, iron-weighted within the result's voxels."""
        return phase_fraction(self.truth.amounts, self.truth.species)

    @cached_property
    def found_x(self) -> Values:
        """Phase fraction of the result; NaN where it has no answer."""
        return phase_fraction(self.result.amounts, self.result.species)

    @cached_property
    def found_iron(self) -> Values:
        """Iron of the result, 0 where it has none."""
        return np.asarray(np.nan_to_num(self.result.iron))

    @cached_property
    def particle(self) -> Mask:
        """The scored voxels: at least half full of iron."""
        return np.asarray(self.truth.iron >= PARTICLE)

    @cached_property
    def lfp(self) -> Mask:
        """Scored voxels that are mostly LFP."""
        return np.asarray(self.particle & (self.true_x < 0.5))

    @cached_property
    def interior(self) -> Mask:
        """Scored voxels away from surface and front."""
        return interior(self.truth, self.particle, self.lfp)

    @cached_property
    def answered(self) -> Mask:
        """Where the result has a phase fraction."""
        return np.isfinite(self.found_x)

    @cached_property
    def error(self) -> Values:
        """Found less true x; -1 to 1, as nothing counts more than no answer, which is NaN here."""
        return np.asarray(np.clip(self.found_x - self.true_x, -1, 1))

    @cached_property
    def called_fp(self) -> Mask:
        """Voxels with an x of at least 0.5; a scored one without an answer is called what it is not."""
        named = np.nan_to_num(self.found_x, nan=-1.0) >= 0.5
        return np.where(self.particle & ~self.answered, self.lfp, named)

    @cached_property
    def called_lfp(self) -> Mask:
        """Voxels with an x below 0.5; a scored one without an answer is called what it is not."""
        named = np.nan_to_num(self.found_x, nan=2.0) < 0.5
        return np.where(self.particle & ~self.answered, self.particle & ~self.lfp, named)

    @cached_property
    def neighbours(self) -> Mask:
        """Which voxels share a face, in space."""
        structure = generate_binary_structure(3, 1)
        if self.truth.is_series:
            structure[[0, 2]] = False
        return np.asarray(structure)


def compare(pair: Overlay) -> Compared:
    """An overlay cut to its particle. Raises InputError where there is none."""
    box = bounding_box(pair.truth.iron >= PARTICLE, _MARGIN)
    if pair.truth.is_series:
        box = (slice(None), *box[1:])

    def cut(m: AmountMap) -> AmountMap:
        sigma = None if m.phase_fraction_sigma is None else m.phase_fraction_sigma[box]
        return replace(m, amounts=m.amounts[(slice(None), *box)], amounts_sigma=None, phase_fraction_sigma=sigma, flags=None)

    z, y, x = (part.start or 0 for part in box)
    return Compared(pair, (z, y, x), cut(pair.truth), cut(pair.result))


def interior(truth: AmountMap, particle: Mask, lfp: Mask) -> Mask:
    """Voxels at least max(2 voxels, 1.5 resolution widths) from surface and front."""
    if truth.is_series:  # in projection there is no front, and moments are no neighbours
        depth = np.stack([distance_transform_edt(image) - 0.5 for image in particle])
    else:
        depth = depth_in_phase(particle, lfp)
    return np.asarray(depth >= max(2.0, 1.5 * truth.resolution_um / truth.voxel_um))


def depth_in_phase(particle: Mask, lfp: Mask) -> Array:
    """Distance of each voxel (z, y, x) to the face of the next phase or the surface, voxels: half less than to its centre."""
    return np.asarray(np.maximum(distance_transform_edt(lfp), distance_transform_edt(particle & ~lfp)) - 0.5)
