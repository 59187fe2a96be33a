"""Flats interpolated in time, where the beam's fine structure walks between those before the projections and those after."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from instrument.measurement import InputError, Measurement

from .noise import NoiseModel

Array = NDArray[np.float64]
Values = NDArray[np.float32]

_DARKEST = 0.01  # of the mean flat: a darker pixel does not tell how the light there changes


@dataclass(frozen=True)
class FlatSet:
    """Flats of one energy without a projection of it between them: `count` of them, about `time_s`.

    `shape` (row, column) is their mean over its own mean, so that a beam that only fades has not changed. NaN where they tell
    nothing. `noise` is that of their energy.
    """

    time_s: float
    count: int
    shape: Values
    noise: NoiseModel

    def variance(self, rows: slice) -> Array:
        """Of the shape over itself squared, (row, column) of `rows`."""
        flat = self.noise.flat[rows]
        return self.noise.variance(flat) / flat**2 / self.count


@dataclass(frozen=True)
class Light:
    """The open beam behind each ray of some rows: `ratio` (angle, row, column) to the energy's own mean flat.

    `variance` (row, column) of the open beam over itself squared is what views share. Each view has its own mixture of two flats,
    whose noise is shared between views by less than their mean says. But a voxel's ring comes from the few views in which it
    moves along the beam, which share one mixture: so the mean over views of each mixture's variance counts, and nothing is a
    ray's own. Closer than 1.5 pixels to the axis, where all views make the ring, that is too much.
    """

    ratio: Values
    variance: Array


@dataclass(frozen=True)
class FlatsInTime:
    """Between which sets the light of an energy's projections is interpolated: `weights` (angle, set) of `sets`, sum 1."""

    sets: tuple[FlatSet, ...]
    weights: Array

    def light(self, noise: NoiseModel, rows: slice, views: slice) -> Light:
        """The open beam of `views` in `rows`, of an energy whose flats' mean and noise are `noise`."""
        own = noise.flat[rows] / noise.flat.mean()
        ratios = np.stack([each.shape[rows] / own for each in self.sets])
        ratios[:, np.isnan(ratios).any(axis=0)] = 1.0
        weights = self.weights[views]
        spread = np.stack([each.variance(rows) for each in self.sets])
        ratio = np.tensordot(weights, ratios, axes=1).astype(np.float32)
        return Light(ratio, np.tensordot((self.weights**2).mean(axis=0), spread, axes=1))


def flat_sets(flats: NDArray[np.generic], flats_s: Array, time_s: Array, noise: NoiseModel) -> list[FlatSet]:
    """The sets that flats (n, row, column) of one energy, taken at `flats_s` (n,), make between projections at `time_s`."""
    numbers = np.searchsorted(np.sort(time_s), flats_s)
    found = []
    for number in np.unique(numbers):
        chosen = numbers == number
        light = np.asarray(flats)[chosen].mean(axis=0, dtype=float) - noise.dark
        light[noise.blind] = float(np.median(light))
        shape = light / light.mean()
        shape[noise.blind | (shape < _DARKEST)] = np.nan
        found.append(FlatSet(float(flats_s[chosen].mean()), int(chosen.sum()), shape.astype(np.float32), noise))
    return found


def check_times(scan: Measurement) -> Array:
    """When flats were taken, (energy, n); InputError where the files do not say."""
    if scan.flats_s is None:
        raise InputError(
            "analysis.prepare.flats_in_time: the scan's files do not say when flats were taken; allowed is a layout that does "
            "(native, nxtomo); leave it out"
        )
    return scan.flats_s


def in_time(scan: Measurement, sets: list[list[FlatSet]]) -> list[FlatsInTime]:
    """For each energy the sets (energy's list) before and after its projections: its own, else the nearest of another energy.

    Beyond the first and the last one the light is held. Raises InputError where no energy has sets on both sides.
    """
    found = []
    for i, own in enumerate(sets):
        first, last = float(scan.time_s[i].min()), float(scan.time_s[i].max())
        others = [each for j, part in enumerate(sets) if j != i for each in part]
        before = [each for each in others if each.time_s < first]
        after = [each for each in others if each.time_s > last]
        chosen = sorted(own, key=lambda each: each.time_s)
        if chosen[0].time_s > first and before:
            chosen.insert(0, max(before, key=lambda each: each.time_s))
        if chosen[-1].time_s < last and after:
            chosen.append(min(after, key=lambda each: each.time_s))
        times = np.array([each.time_s for each in chosen])
        weights = [np.interp(scan.time_s[i], times, row) for row in np.eye(len(chosen))]
        found.append(FlatsInTime(tuple(chosen), np.stack(weights, axis=1)))
    if all(len(each.sets) == 1 for each in found):
        raise InputError(
            "analysis.prepare.flats_in_time: all flats were taken on one side of all projections; allowed is flats before and "
            "after some; leave it out"
        )
    return found
