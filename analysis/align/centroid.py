"""Where the sample's mass lies in each frame: run-out and axis without any reconstruction, for a sample inside the field.

The mass of a frame does not change while the sample turns, and its centre goes as c + a cos(theta) + b sin(theta) across the
axis and stays along it (Helgason-Ludwig consistency of order 0 and 1; Natterer, The Mathematics of Computerized Tomography,
1986, ch. II.4). That holds for each energy, whatever its contrast.
"""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

_BORDER_PX = 3
_INSIDE = 0.1  # mean optical depth at the border over that of the sample, below which the sample is inside the field


def centroids(depth: Array) -> Array:
    """Centre of mass (angle, 2) of frames of optical depth (row, angle, column), pixels (row, column) from the middle.

    NaN where the sample reaches beyond the field, so that a frame shows but a part of its mass. What lies at the border of a
    frame is background, and taken off.
    """
    rows, _, columns = depth.shape
    edge = np.ones((rows, columns), bool)
    edge[_BORDER_PX:-_BORDER_PX, _BORDER_PX:-_BORDER_PX] = False
    frames = depth.transpose(1, 0, 2)
    sides = np.stack([part.mean(axis=(1, 2)) for part in _sides(frames)])
    background = np.median(frames[:, edge], axis=1)
    mass = (frames - background[:, None, None]).sum(axis=(1, 2))
    v, u = np.arange(rows) - (rows - 1) / 2, np.arange(columns) - (columns - 1) / 2
    along = (frames.sum(axis=2) - columns * background[:, None]) @ v
    across = (frames.sum(axis=1) - rows * background[:, None]) @ u
    found = np.stack([along, across], axis=1) / mass[:, None]
    # The sample's own depth: that of its brightest tenth of the frame, well above the noise of a mean over a border.
    typical = np.quantile(frames.mean(axis=0), 0.9) - np.median(background)
    inside = (np.abs(sides - background).max(axis=0) < _INSIDE * typical) & (mass > 0)
    found[~inside] = np.nan
    return np.asarray(found)


def _sides(frames: Array) -> list[Array]:
    n = _BORDER_PX
    return [frames[:, :n], frames[:, -n:], frames[:, :, :n], frames[:, :, -n:]]


def turning(angles_rad: Array) -> Array:
    """Columns 1, cos, sin (angle, 3): how the centre of a sample moves across the axis while it turns.

    Of a shift these three equal an axis elsewhere and a sample elsewhere.
    """
    return np.stack([np.ones(len(angles_rad)), np.cos(angles_rad), np.sin(angles_rad)], axis=1)


def moved(centres: Array, angles_rad: Array) -> tuple[Array, float, Array]:
    """How far each frame (angle, 2) is from where a turning sample is seen; the axis, pixels from the middle, and sigma (2,).

    `centres` (angle, 2). The shifts hold neither constants nor cosine and sine of the angle; sigma is that of one frame's shift.
    """
    columns = turning(angles_rad)
    wave = np.linalg.lstsq(columns, centres[:, 1], rcond=None)[0]
    shifts = centres - np.stack([np.full(len(centres), centres[:, 0].mean()), columns @ wave], axis=1)
    return shifts, float(wave[0]), np.asarray(shifts.std(axis=0, ddof=1))
