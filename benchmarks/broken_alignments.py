"""Our alignments with one thing wrong each."""

import numpy as np
from mutant import Mutant

from analysis.align.role import _from_first, align_energies, align_views


def of_shifts(change, align=align_views):
    """`change` of the shifts (n, 2) found."""
    if align is align_views:
        return lambda stack, angles_rad: change(align_views(stack, angles_rad))
    return lambda stack, energies_eV: change(align_energies(stack, energies_eV))


def of_views(change):
    return lambda stack, angles_rad: align_views(change(stack), angles_rad)


def of_angles(change):
    return lambda stack, angles_rad: align_views(stack, change(angles_rad))


def without_last(shifts):
    return np.vstack([shifts[:-1], [[0, 0]]])


def locked(shifts):
    """Drawn to whole pixels, as a peak found by three points of too coarse a correlation."""
    return shifts - 0.1 * np.sin(2 * np.pi * shifts)


def modulo(stack, angles_rad):
    """A shift below zero is given as its rest over the size."""
    return np.mod(align_views(stack, angles_rad), stack.shape[1:])


def rolling_at_odd(stack, angles_rad):
    """At odd sizes a quarter of a pixel too much from image to image."""
    drift = 0.25 * np.arange(len(stack))[:, None] * (np.array(stack.shape[1:]) % 2)
    return align_views(stack, angles_rad) + drift


def in_order(stack, angles_rad):
    order = np.argsort(angles_rad)
    return align_views(stack[order], angles_rad[order])


def carried():
    before = {}

    def with_memory(stack, angles_rad):
        new = align_views(stack, angles_rad)
        old = before.get(new.shape, new)
        before[new.shape] = new
        return (new + old) / 2

    return with_memory


def correlated(stack, energies_eV):
    """The peak of the plain correlation with the middle image."""
    shape = stack.shape[1:]
    spectra = np.fft.rfft2(stack.astype(float))
    powers = np.fft.irfft2(spectra * spectra[len(stack) // 2].conj(), shape).reshape(len(stack), -1)
    lags = np.stack(np.unravel_index(powers.argmax(axis=1), shape), axis=1)
    return np.where(lags > np.array(shape) // 2, lags - shape, lags).astype(float)


def by_edges(stack, energies_eV):
    return _from_first(stack)


def views(name, says, function, source=""):
    return Mutant(name, says, "align views", function, source)


def energies(name, says, function, source=""):
    return Mutant(name, says, "align energies", function, source)


ALIGNMENTS = [
    views("the other way", "shifts that would undo", of_shifts(np.negative), "starfish #2005"),
    views("columns first", "rows and columns swapped", of_shifts(lambda s: s[:, ::-1]), "NANSEN pull 141"),
    views("whole pixels", "no part of a pixel", of_shifts(np.round)),
    views("drawn to whole pixels", "up to a tenth of a pixel", of_shifts(locked)),
    views("a tenth short", "stopped before the end", of_shifts(lambda s: 0.9 * s)),
    views("modulo the size", "a negative shift is a large one", modulo, "scikit-image #6604"),
    views(
        "from image to image",
        "against the one before, not summed",
        of_shifts(lambda s: np.diff(s, axis=0, prepend=s[:1])),
    ),
    views("added up", "what each pass finds is added to all of before", of_shifts(lambda s: 1.5 * s), "suite2p #792"),
    views("drift at odd sizes", "the middle of odd sizes is half a pixel off", rolling_at_odd, "Suite2P #38"),
    views("last forgotten", "the last image has no shift", of_shifts(without_last)),
    views("one image off", "shifts belong to the image before", of_shifts(lambda s: np.roll(s, 1, axis=0))),
    views("one too few", "one image has no answer", of_shifts(lambda s: s[:-1])),
    views("columns only", "rows are not looked at", of_shifts(lambda s: s * [0, 1])),
    views("transmission", "light is aligned, not depth", of_views(lambda stack: np.exp(-stack)), "mantidimaging pull 1476"),
    views("degrees", "radians are given where degrees are wanted", of_angles(np.rad2deg)),
    views("in order of angle", "shifts come in another order than images", in_order),
    views("a memory", "half of the answer before", carried()),
    energies("the other way", "shifts that would undo", of_shifts(np.negative, align_energies), "starfish #2005"),
    energies("columns first", "rows and columns swapped", of_shifts(lambda s: s[:, ::-1], align_energies), "NANSEN pull 141"),
    energies("plain correlation", "contrast that changes draws images along", correlated, "scikit-image #5459"),
    energies("edges in whole pixels", "no part of a pixel", by_edges),
    energies("last forgotten", "the last image has no shift", of_shifts(without_last, align_energies)),
]
