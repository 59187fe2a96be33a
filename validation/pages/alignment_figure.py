"""The report's picture of what alignment found."""

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from analysis.align.alignment import Alignment

Array = NDArray[np.float64]

_ALONG, _ACROSS = "#3b528b", "#c98a00"
_POINTS = 9  # size of titles and axis labels


def alignment_figure(found: Alignment, energies_eV: Array, angles_rad: Array) -> Figure:
    """Shifts against energy (energy,) and angle (angle,), and the image's size against energy."""
    figure = Figure(figsize=(11, 3.2))
    left, middle, right = figure.subplots(
        1, 3, gridspec_kw={"left": 0.06, "right": 0.985, "top": 0.9, "bottom": 0.17, "wspace": 0.3}
    )
    geometry, order = found.geometry, np.argsort(energies_eV)
    means = geometry.shifts_px.mean(axis=1)
    beyond = geometry.shifts_px - means[:, None]
    degrees = np.broadcast_to(np.rad2deg(angles_rad), beyond.shape[:2])
    for axis, (name, colour) in enumerate((("along the axis", _ALONG), ("across it", _ACROSS))):
        left.plot(energies_eV[order], means[order, axis], "o-", ms=4, lw=0.8, color=colour, label=name)
        middle.plot(degrees.ravel(), beyond[..., axis].ravel(), ".", ms=2, color=colour)
    left.legend(fontsize=8)
    sigma = np.nan_to_num(found.scale_sigma)
    right.errorbar(energies_eV[order], geometry.scale[order], sigma[order], fmt="o-", ms=4, lw=0.8, capsize=2, color=_ALONG)
    right.ticklabel_format(useOffset=False)
    for axes, title, along, up in (
        (left, "Mean shift of an energy", "energy (eV)", "pixels"),
        (middle, "Shift of a frame beyond it", "angle (degrees)", "pixels"),
        (right, "Size of the image", "energy (eV)", "over the first energy's"),
    ):
        axes.set_title(title, fontsize=_POINTS)
        axes.set_xlabel(along, fontsize=_POINTS)
        axes.set_ylabel(up, fontsize=_POINTS)
        axes.tick_params(labelsize=8)
    return figure
