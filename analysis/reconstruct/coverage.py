"""What the views leave unseen, however many photons there are."""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

_COARSE_PX = 6.0  # a guess at what a person would not expect to be missing


def largest_gap_rad(angles_rad: Array) -> float:
    """The largest angle between neighbouring directions of view, half a turn apart being the same one."""
    directions = np.unique(np.mod(angles_rad, np.pi))
    return float(np.diff(directions, append=directions[0] + np.pi).max())


def hidden_wave_px(angles_rad: Array, columns: int) -> float:
    """The shortest wave, pixels, that the views tell across their largest gap, half way to the edge of the field."""
    return largest_gap_rad(angles_rad) * columns / 2


def unseen(angles_rad: Array, columns: int, pixel_um: float) -> tuple[str, ...]:
    """A sentence where a gap between views hides waves longer than six pixels half way to the edge of the field.

    Views a gap g apart see the waves of a body of diameter d down to the length g d (Crowther, DeRosier and Klug, Proc. R. Soc. A
    317 (1970) 319). Streaks of what they miss are no noise, and in no sigma.
    """
    gap = largest_gap_rad(angles_rad)
    hidden_px = hidden_wave_px(angles_rad, columns)
    if hidden_px <= _COARSE_PX:
        return ()
    return (
        f"the views leave a gap of {np.rad2deg(gap):.3g} degrees: across it no wave shorter than {hidden_px * pixel_um:.2g} um "
        "is seen half way to the field's edge; the streaks this leaves are not in sigma, which knows of noise alone",
    )
