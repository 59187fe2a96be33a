"""Resolution by Fourier shell correlation: against the truth, and of two halves of a scan against each other."""

import numpy as np
from numpy.typing import NDArray

from analysis.result import AmountMap, fp_index

from .compared import Compared
from .overlay import Values
from .score import score_of

Array = NDArray[np.float64]

_AGAINST_TRUTH = 0.5
# Of two halves a seventh says what a half says against the truth: sqrt(2 F / (1 + F)) = 1/2 at F = 1/7 (Rosenthal and
# Henderson, J. Mol. Biol. 333 (2003) 721).
_BETWEEN_HALVES = 1 / 7
_SOURCE = "van Heel and Schatz, J. Struct. Biol. 151 (2005) 250"


def shell_correlation(a: Values, b: Values) -> tuple[Array, Array]:
    """Frequencies (shell,), 1/voxel, to the Nyquist one, and the correlation of two volumes in each shell, 0 where empty."""
    fa, fb = np.fft.rfftn(a), np.fft.rfftn(b)
    axes = [*(np.fft.fftfreq(n) for n in a.shape[:-1]), np.fft.rfftfreq(a.shape[-1])]
    frequency = np.sqrt(sum(k**2 for k in np.meshgrid(*axes, indexing="ij", sparse=True)))
    width = 1 / max(a.shape)
    shell = np.rint(frequency / width).astype(int).ravel()
    last = int(0.5 / width)

    def sums(values: Array) -> Array:
        return np.asarray(np.bincount(shell, weights=values.ravel(), minlength=last + 1)[: last + 1], float)

    cross = sums((fa * fb.conj()).real)
    power = np.sqrt(sums(np.abs(fa) ** 2) * sums(np.abs(fb) ** 2))
    return np.arange(last + 1) * width, np.divide(cross, power, out=np.zeros_like(cross), where=power > 0)


def fourier_shell(a: Values, b: Values, voxel_um: float, threshold: float = _AGAINST_TRUTH) -> float | None:
    """Resolution, um, at which the correlation of two volumes first falls below `threshold`.

    The Nyquist period where it never falls; None where one of the two is empty.
    """
    if not a.any() or not b.any():
        return None
    frequency, correlation = shell_correlation(a, b)
    below = np.flatnonzero(correlation < threshold)
    below = below[below > 0]
    if not below.size:
        return 2 * voxel_um
    k = int(below[0])
    before, after = correlation[k - 1], correlation[k]
    part = (before - threshold) / (before - after) if before > after else 1.0
    place = frequency[k - 1] + part * (frequency[k] - frequency[k - 1])
    return float(voxel_um / max(place, frequency[1] / 2))


def contrast(m: AmountMap) -> Values:
    """Amount of FP less that of the rest, 0 where there is none: what tells the phases apart, weighted with iron."""
    return np.asarray(np.nan_to_num(2 * m.amounts[fp_index(m.species)] - m.iron))


@score_of(unit="um", source=_SOURCE)
def fsc_truth_iron_um(c: Compared) -> float | None:
    """resolution of iron, Fourier shell correlation 0.5 with the truth (µm)."""
    if c.truth.is_series:
        return None
    return fourier_shell(c.whole.truth.iron, np.nan_to_num(c.whole.result.iron), c.voxel_um)


@score_of(unit="um", source=_SOURCE)
def fsc_truth_phase_um(c: Compared) -> float | None:
    """resolution of the phase contrast, likewise (µm). A scored voxel without an answer has the opposite contrast."""
    if c.truth.is_series:
        return None
    true, found = contrast(c.whole.truth), contrast(c.whole.result)
    silent = c.particle & ~c.answered
    if silent.any():
        inside = tuple(slice(low, low + n) for low, n in zip(c.corner, silent.shape, strict=True))
        found[inside] = np.where(silent, -true[inside], found[inside])
    return fourier_shell(true, found, c.voxel_um)


def fsc_halves_um(odd: AmountMap, even: AmountMap) -> float | None:
    """Resolution of iron, um, from the maps of odd and of even views alone, as far as one can tell without a truth.

    None where one is empty. Both halves share flats, standards and geometry: their errors count as details.
    """
    return fourier_shell(np.nan_to_num(odd.iron), np.nan_to_num(even.iron), odd.voxel_um, _BETWEEN_HALVES)


SCORES = (fsc_truth_iron_um, fsc_truth_phase_um)
