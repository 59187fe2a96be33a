"""The noise of the camera, measured from the scan's own flats and darks."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from instrument.measurement import InputError

Array = NDArray[np.float64]
_LAGS = 8
_SATURATED_SHARE = 1e-3
_BLIND_SHARE = 0.01
_BLIND_LIGHT = 0.02  # of the median flat
_ROUNDING_VARIANCE = 1 / 12  # of a whole ADU: no camera file is quieter


@dataclass(frozen=True)
class NoiseModel:
    """Variance of a pixel = slope * (counts above dark) + dark_variance, in ADU^2.

    `slope` (ADU) is the photon-transfer slope; with scintillator spread it is below the gain, as the
    noise of neighbours is correlated: `correlation` (lag,) along a detector row, 1 at lag 0.
    `flat` and `dark` (row, column) are means, of `flats` and `darks` frames; `blind` (row, column) are pixels that see no
    light, whose flat is made up.
    """

    flat: Array
    dark: Array
    flats: int
    darks: int
    slope_adu: float
    dark_variance: float
    correlation: Array
    blind: NDArray[np.bool_]

    def variance(self, counts: Array) -> Array:
        """Variance of dark-subtracted counts, ADU^2."""
        return self.slope_adu * np.maximum(counts, 0) + self.dark_variance


def measure_noise(flats: NDArray[np.uint16], darks: NDArray[np.uint16], where: str = "scan") -> NoiseModel:
    """Photon transfer (Janesick, Photon Transfer, 2007, ch. 5) from flats and darks (n, row, column).

    Each flat is first scaled to the mean brightness, so that a beam that flickers as a whole does not count
    as pixel noise. Raises InputError for fewer than two flats or darks, or a flat not above the dark in more than
    1 % of the pixels.
    """
    if len(flats) < 2 or len(darks) < 2:
        raise InputError(
            f"{where}: found {len(flats)} flats and {len(darks)} darks; allowed at least 2 of each, "
            "as the noise is measured from them"
        )
    dark = darks.mean(axis=0, dtype=float)
    light = flats - dark
    flat = light.mean(axis=0)
    # A dead pixel reads noise about its dark: now and then a little light.
    blind = flat <= _BLIND_LIGHT * max(float(np.median(flat)), 0.0)
    if blind.mean() > _BLIND_SHARE:
        raise InputError(
            f"{where}: flat <= dark in {blind.sum()} of {flat.size} pixels, or near it; allowed is {100 * _BLIND_SHARE:g} %, for "
            "which neighbours stand in; crop them away or raise the exposure"
        )
    flat[blind] = light[:, blind] = float(np.median(flat))
    full = int(np.iinfo(flats.dtype).max) if flats.dtype.kind in "iu" else np.inf
    if (saturated := (flats >= full).mean()) > _SATURATED_SHARE:
        raise InputError(
            f"{where}: {100 * saturated:.2g} % of the flats' pixels read full scale ({full}); "
            f"allowed {100 * _SATURATED_SHARE:g} %; lower the gain or the exposure"
        )
    brightness = light.mean(axis=(1, 2)) / flat.mean()
    residual = light / brightness[:, None, None] - flat
    dark_variance = max(float(np.var(darks, axis=0, ddof=1).mean()), _ROUNDING_VARIANCE)
    flat_variance = float((residual**2).sum() / (len(flats) - 1) / flat.size)
    slope = max(flat_variance - dark_variance, 0.0) / float(flat.mean())
    correlation = np.zeros(_LAGS)
    correlation[0] = 1.0
    power = float((residual**2).mean())
    if power > _ROUNDING_VARIANCE:
        for lag in range(1, min(_LAGS, flat.shape[1])):
            correlation[lag] = float((residual[..., lag:] * residual[..., :-lag]).mean()) / power
    return NoiseModel(flat, dark, len(flats), len(darks), slope, dark_variance, correlation, blind)


def power_spectrum(correlation: Array, size: int) -> Array:
    """Noise power at the frequencies of an FFT of `size`, 1 for white noise, from `correlation` (lag,)."""
    lags = np.zeros(size)
    lags[: len(correlation)] = correlation
    lags[size - len(correlation) + 1 :] = correlation[:0:-1]
    return np.maximum(np.fft.fft(lags).real, 0)
