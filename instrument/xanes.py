"""Normalized Fe K-edge spectra: the parametric model, a user's table, and the join to the bare atomic step.

The parametric figures were fitted to standards measured at HXN, NSLS-II (LiFePO4, and bought FePO4
that is not proven to be heterosite); they are a model, not data. About 1 eV of monochromator
broadening is in them.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.interpolate import CubicSpline

from phantom.errors import InputError

from .measurement import Spectrum

Array = NDArray[np.float64]

JOIN_BELOW_eV = 10.0
JOIN_ABOVE_eV = 50.0
FEATURES_FROM_eV = 7105.0  # nothing but a smooth slope below

# E0_eV, Gamma_eV, offset, then per peak: amplitude, center_eV, fwhm_eV, eta (Lorentzian share).
_MODELS: dict[str, tuple[float, float, float, tuple[tuple[float, float, float, float], ...]]] = {
    "LFP": (
        7123.793,
        2.928,
        -0.00237,
        (
            (0.02628, 7112.695, 1.912, 0.3419),
            (0.01318, 7114.581, 2.906, 0.9263),
            (0.72614, 7127.221, 5.366, 0.0),
            (0.61267, 7122.558, 4.585, 0.0749),
            (0.15945, 7132.34, 4.269, 1.0),
            (0.24714, 7138.683, 22.0, 0.0),
            (-0.54107, 7157.4, 39.646, 0.6),
            (0.49877, 7166.015, 33.95, 0.5503),
            (-0.05228, 7197.828, 11.517, 0.0417),
        ),
    ),
    "FP": (
        7127.784,
        2.784,
        -0.00496,
        (
            (0.01725, 7114.013, 1.684, 0.0011),
            (0.02339, 7115.348, 1.911, 0.0022),
            (0.33704, 7131.255, 5.05, 0.028),
            (0.30891, 7126.102, 4.265, 0.2066),
            (0.41882, 7136.538, 12.233, 0.0),
            (0.26438, 7146.268, 21.983, 0.0),
            (-0.25483, 7166.231, 37.751, 0.6),
            (0.24307, 7178.616, 19.092, 0.0365),
            (0.13599, 7196.603, 20.367, 0.0),
        ),
    ),
}
MODEL_RANGE_eV = (7100.0, 7199.7)


@dataclass(frozen=True)
class Edge:
    """A normalized edge: `shape` maps eV to normalized mu and is trusted inside `range_eV`.

    `shift_eV` moves the spectrum to higher energy; `white_line_change` scales what rises above the
    step, e.g. -0.1 lowers the white line by 10 %.
    """

    name: str
    shape: Callable[[Array], Array]
    range_eV: tuple[float, float]
    shift_eV: float = 0.0
    white_line_change: float = 0.0
    measured: bool = False

    def check(self, energies_eV: Array) -> None:
        """InputError for an energy where a measured spectrum would have to be made up: beyond its end, before bare xraylib."""
        low, high = self.range_eV
        low, high = low + self.shift_eV, high + self.shift_eV
        below = (energies_eV < low) & (energies_eV > max(low - JOIN_BELOW_eV, FEATURES_FROM_eV))
        made_up = below | ((energies_eV > high) & (energies_eV < high + JOIN_ABOVE_eV))
        if self.measured and made_up.any():
            raise InputError(
                f"scan.energies_eV: {energies_eV[made_up][0]:g} eV lies outside the spectrum of {self.name}, {low:g}..{high:g} "
                "eV; measure more of it or leave the energy out"
            )

    def altered(self, shift_eV: float, white_line_change: float) -> "Edge":
        """The same edge moved and with another white line."""
        return replace(self, shift_eV=shift_eV, white_line_change=white_line_change)

    def __call__(self, energies_eV: ArrayLike) -> Array:
        """Normalized mu at `energies_eV`, any shape.

        Below the trusted range the value at its end falls to 0 over 10 eV, above it goes to 1 over
        50 eV (smoothstep); beyond, the edge is the bare atomic step, so that mu equals xraylib.
        """
        energies = np.asarray(energies_eV, float) - self.shift_eV
        low, high = self.range_eV
        value = self.shape(np.clip(energies, low, high))
        value = value + self.white_line_change * np.maximum(value - 1, 0)
        value = value * (1 - _smoothstep((low - energies) / JOIN_BELOW_eV))
        above = _smoothstep((energies - high) / JOIN_ABOVE_eV)
        return np.asarray(value * (1 - above) + above)


def _smoothstep(t: Array) -> Array:
    t = np.clip(t, 0, 1)
    return t * t * (3 - 2 * t)


def parametric(name: str) -> Edge:
    """The parametric edge of 'LFP' or 'FP': offset + arctangent step + pseudo-Voigt peaks.

    mu_norm(E) = offset + 1/2 + atan(2 (E - E0) / Gamma) / pi + sum amplitude [eta / (1 + x^2) +
    (1 - eta) exp(-ln 2 x^2)], x = 2 (E - center) / fwhm. RMS against the measured standards 0.003
    and 0.004, valid 7100-7199.7 eV.
    """
    if name not in _MODELS:
        raise InputError(f"species.{name}.spectrum: no parametric spectrum of {name!r}; there are {', '.join(_MODELS)}")
    e0, gamma, offset, peaks = _MODELS[name]

    def shape(energies_eV: Array) -> Array:
        value = offset + 0.5 + np.arctan(2 * (energies_eV - e0) / gamma) / np.pi
        for amplitude, center, fwhm, eta in peaks:
            x = 2 * (energies_eV - center) / fwhm
            value = value + amplitude * (eta / (1 + x**2) + (1 - eta) * np.exp(-np.log(2) * x**2))
        return np.asarray(value)

    return Edge(name, shape, MODEL_RANGE_eV)


def tabulated(spectrum: Spectrum) -> Edge:
    """The edge of a user's normalized table, by cubic spline. Raises InputError where it cannot be one."""
    energies = spectrum.energies_eV
    where = f"spectrum {spectrum.name}"
    if not spectrum.normalized:
        raise InputError(f"{where}: is not normalized (0 below, 1 above the edge); normalize it, or say so in its header")
    low, high = float(energies[0]), float(energies[-1])
    if low > 7110 or high < 7150:
        raise InputError(f"{where}: covers {low:g}..{high:g} eV; allowed is 7110 or lower to 7150 or higher; measure more of it")
    spline = CubicSpline(energies, spectrum.mu)
    return Edge(spectrum.name, lambda x: np.asarray(spline(x)), (low, high), measured=True)
