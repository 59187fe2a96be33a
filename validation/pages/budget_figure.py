"""The error budget as bars."""

import numpy as np
from matplotlib.figure import Figure

from ..replicates.budget import Budget
from ..replicates.replicate import Estimate

_POINTS = 10
_ADDED, _TAKEN, _BASE = "#b5de2b", "#21918c", "0.55"


def budget_figure(found: Budget) -> Figure:
    """Share of the mean squared error (%) of what is left without effects, and of each effect added alone and taken out."""
    names = ["without any effect", *(part.effect.name for part in found.parts)]
    places = np.arange(len(names))
    figure = Figure(figsize=(9, 1.2 + 0.42 * len(names)), layout="constrained")
    axis = figure.add_subplot()
    share = 100 / found.total.mean

    def bars(values: list[Estimate], at: np.ndarray, height: float, colour: str, label: str) -> None:
        errors = [0.0 if one.count < 2 else share * one.error for one in values]
        axis.barh(
            at, [share * one.mean for one in values], height, xerr=errors, color=colour, label=label, ecolor="0.2", capsize=2
        )

    bars([found.base], places[:1], 0.5, _BASE, "left: voxels, views, filter, method")
    bars([part.added for part in found.parts], places[1:] - 0.19, 0.36, _ADDED, "added alone")
    bars([part.taken_out for part in found.parts], places[1:] + 0.19, 0.36, _TAKEN, "taken out of the whole")
    axis.set_yticks(places, names, fontsize=_POINTS)
    axis.invert_yaxis()
    axis.axvline(0, color="0.3", lw=0.8)
    axis.set_xlabel(f"share of the mean squared error of x, {found.total.mean:.3g} (%)", fontsize=_POINTS)
    axis.tick_params(axis="x", labelsize=8)
    axis.legend(fontsize=8, loc="lower right")
    axis.margins(x=0.02)
    return figure
