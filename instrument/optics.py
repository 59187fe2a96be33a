"""Image formation: what the zone plate makes of the light behind the sample.

Partially coherent imaging of a weak object (Streibl, J. Opt. Soc. Am. A 2 (1985) 121): absorption and phase each pass a
transfer function. Absorption acts here in intensity, exp(-optical depth), so that a thick sample keeps Beer-Lambert; phase
by div(T grad phi), the transport of intensity (Teague, J. Opt. Soc. Am. 73 (1983) 1434), which at small
defocus holds for strong phases, too. Light is taken from the image slab by slab, each slab with the focus of its depth.
"""

from functools import lru_cache

import numpy as np
import scipy.fft
from numpy.typing import NDArray
from scipy.ndimage import affine_transform

from .attenuation import HC_EV_UM
from .frame import Exposure, Frame
from .settings import Instrument, Optics

Array = NDArray[np.float64]
Image = NDArray[np.float32]
Factors = tuple[Array, Array]

FWHM_PER_SIGMA = 2 * np.sqrt(2 * np.log(2))
_AIRY_FWHM = 1.03  # of the outermost zone
_FOCUS_STEP = 1e-3  # of the phase error at the aperture's edge, radian: finer steps are not told apart


def displacement(shape: tuple[int, int], instrument: Instrument, frame: Frame, exposure: Exposure) -> Factors | None:
    """Row and column factors that move the image by `exposure.shift_um` (Fourier shift theorem)."""
    return _shift_factors(shape, exposure.shift_um, frame)


def _shift_factors(shape: tuple[int, int], shift_um: Array, frame: Frame) -> Factors | None:
    if not np.any(shift_um):
        return None
    row, column = shift_um / frame.pixel_um * frame.oversampling
    return (
        np.exp(-2j * np.pi * scipy.fft.fftfreq(shape[0]) * row),
        np.exp(-2j * np.pi * scipy.fft.rfftfreq(shape[1]) * column),
    )


def vibration(shape: tuple[int, int], instrument: Instrument, frame: Frame, exposure: Exposure) -> Factors | None:
    """Row and column factors of a Gaussian blur of `optics.blur_fwhm_um`."""
    fwhm = instrument.optics.blur_fwhm_um
    if fwhm == 0:
        return None
    sigma = fwhm / FWHM_PER_SIGMA / frame.pixel_um * frame.oversampling
    return (
        np.exp(-2 * (np.pi * sigma * scipy.fft.fftfreq(shape[0])) ** 2),
        np.exp(-2 * (np.pi * sigma * scipy.fft.rfftfreq(shape[1])) ** 2),
    )


TRANSFER = (displacement, vibration)


def edge_phase_rad(optics: Optics, defocus_um: float, energy_eV: float) -> float:
    """Phase error at the edge of the zone plate's aperture: pi lambda z / (4 dr^2); pi / 2 at half the depth of focus."""
    return float(np.pi * HC_EV_UM / energy_eV * defocus_um / (4 * optics.outermost_zone_um**2))


@lru_cache(maxsize=256)
def _transfer_table(ratio: float, steps: int) -> tuple[Array, Array, Array]:
    """Frequencies over the aperture's radius, and the complex transfer there: real part absorption, imaginary part phase.

    Condenser and aperture overlap in a lens. The phase error changes along the frequency only, so one integral along it is left.
    """
    frequency = np.linspace(0, 1 + ratio, 400)
    # Midpoints of equal angles: dense where the lens closes like a root.
    angle = (np.arange(1500) + 0.5) * np.pi / 1500
    low = np.maximum(-ratio, -1 - frequency)[:, None]
    high = np.minimum(ratio, 1 - frequency)[:, None]
    x = (low + high) / 2 - (high - low) / 2 * np.cos(angle)
    width = (high - low) / 2 * np.sin(angle) * np.pi / 1500
    height = np.sqrt(np.maximum(np.minimum(ratio**2 - x**2, 1 - (x + frequency[:, None]) ** 2), 0))
    w = steps * _FOCUS_STEP
    error = w * (frequency[:, None] ** 2 + 2 * frequency[:, None] * x)
    lens = 2 * height * width / (np.pi * ratio**2)
    return frequency, (lens * np.cos(error)).sum(axis=1), -(lens * np.sin(error)).sum(axis=1)


@lru_cache(maxsize=48)
def _transfer_image(
    shape: tuple[int, int], sample_um: float, zone_um: float, ratio: float, steps: int
) -> tuple[Image, Image | None]:
    frequency, absorption, phase = _transfer_table(ratio, steps)
    radius = np.hypot(scipy.fft.fftfreq(shape[0], sample_um)[:, None], scipy.fft.rfftfreq(shape[1], sample_um)) * 2 * zone_um
    on_grid = [np.interp(radius, frequency, part, right=0.0).astype(np.float32) for part in (absorption, phase)]
    return on_grid[0], on_grid[1] if steps else None


def zone_plate(
    shape: tuple[int, int], propagated_um: float, instrument: Instrument, frame: Frame, exposure: Exposure
) -> tuple[Image, Image | None] | None:
    """Transfer of absorption and phase of a wave imaged after so much way, at an rfft2's frequencies; None: perfect optics."""
    optics = instrument.optics
    if optics.outermost_zone_um == 0:
        return None
    steps = round(edge_phase_rad(optics, propagated_um, exposure.energy_eV) / _FOCUS_STEP)
    sample_um = frame.pixel_um / frame.oversampling
    return _transfer_image(shape, sample_um, optics.outermost_zone_um, optics.condenser_ratio, steps)


def form_image(
    absorbed: Image,
    phase_rad: Image | None,
    depths_um: Array,
    center: Array,
    filled: bool,
    instrument: Instrument,
    frame: Frame,
    exposure: Exposure,
) -> Image:
    """Transmission (row, column) as the detector sees it, on the fine grid.

    `absorbed` (slab, row, column) is the share of the open beam that each slab takes, slab after slab, `phase_rad` the phase that
    each adds; `depths_um` (slab,) their places downstream. `center` (row, column) of the field, in samples of the image, is what
    scale and roll leave in place. Beyond the image lies open beam, or, where the field is `filled`, what lies at its edge.
    """
    if not absorbed.any():
        return np.ones(absorbed.shape[1:], np.float32)
    if exposure.scale != 1 or exposure.roll_rad:
        absorbed = np.stack([_turned(part, center, filled, exposure) for part in absorbed])
        phase_rad = None if phase_rad is None else np.stack([_turned(part, center, filled, exposure) for part in phase_rad])
    shape = (absorbed.shape[1], absorbed.shape[2])
    leaning = np.tan(exposure.pitch_rad) * depths_um
    common = [factors for effect in TRANSFER if (factors := effect(shape, instrument, frame, exposure)) is not None]
    # What lies downstream of the plane in focus is imaged as its wave was upstream, propagated back.
    transfers = [zone_plate(shape, -(exposure.defocus_um + float(z)), instrument, frame, exposure) for z in depths_um]
    transmitted = np.asarray(1 - absorbed.sum(axis=0))
    if not common and not leaning.any() and transfers[0] is None:
        return transmitted
    spectrum = np.zeros((shape[0], shape[1] // 2 + 1), np.complex64)
    for k, transfer in enumerate(transfers):
        part = scipy.fft.rfft2(absorbed[k])
        if transfer is not None:
            part *= transfer[0]
            if phase_rad is not None and transfer[1] is not None:
                part += 2 * transfer[1] * _weak_phase(transmitted, phase_rad[k])
        if (apart := _shift_factors(shape, np.array([leaning[k], 0.0]), frame)) is not None:
            part *= apart[0][:, None].astype(np.complex64)
        spectrum += part
    for row, column in common:
        spectrum *= row[:, None].astype(np.complex64)
        spectrum *= column.astype(np.complex64)
    return np.asarray(1 - scipy.fft.irfft2(spectrum, s=shape))


def _weak_phase(transmitted: Image, phase_rad: Image) -> NDArray[np.complex64]:
    """Spectrum of the phase that would make div(grad phi) what div(T grad phi) is."""
    flow = np.zeros_like(transmitted)
    for axis in (0, 1):
        step = np.roll(phase_rad, -1, axis) - phase_rad
        step *= (np.roll(transmitted, -1, axis) + transmitted) / 2
        flow += step - np.roll(step, 1, axis)
    rows, columns = flow.shape
    laplacian = -4 * np.sin(np.pi * scipy.fft.fftfreq(rows))[:, None] ** 2 - 4 * np.sin(np.pi * scipy.fft.rfftfreq(columns)) ** 2
    laplacian[0, 0] = 1.0
    spectrum = scipy.fft.rfft2(flow)
    spectrum[0, 0] = 0
    return np.asarray(spectrum / laplacian.astype(np.float32))


def _turned(image: Image, center: Array, filled: bool, exposure: Exposure) -> Image:
    """The image scaled and turned about `center`, by cubic splines."""
    cos, sin = np.cos(exposure.roll_rad), np.sin(exposure.roll_rad)
    back = np.array([[cos, sin], [-sin, cos]]) / exposure.scale
    beyond = "nearest" if filled else "constant"
    return np.asarray(affine_transform(image, back, center - back @ center, order=3, mode=beyond), np.float32)


def point_width_um(optics: Optics) -> float:
    """Full width at half maximum of the image of a point in focus: an Airy pattern and the Gaussian blur, in quadrature."""
    return float(np.hypot(optics.blur_fwhm_um, _AIRY_FWHM * optics.outermost_zone_um))


def depth_of_focus_um(optics: Optics, energy_eV: float) -> float:
    """Depth of focus 4 dr^2 / lambda, um (Attwood, 1999, ch. 9); infinite for perfect optics."""
    if optics.outermost_zone_um == 0:
        return float("inf")
    return 4 * optics.outermost_zone_um**2 * energy_eV / HC_EV_UM
