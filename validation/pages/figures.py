"""The report's pictures. Phase fraction runs from purple (LFP) to yellow (FP) in viridis, safe for colour-blind eyes."""

import base64
import io
from typing import Literal

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from analysis.pipeline import Conclusion
from analysis.result import phase_fraction
from instrument.measurement import ChargeCurve
from phantom.cell import THEORETICAL_mAh_g

from ..scores import Overlay

Array = NDArray[np.float64]
Values = NDArray[np.float32]
Edges = tuple[float, float]
_CORE, _SHELL, _TRUTH = "#3b528b", "#c98a00", "#444444"
_PHASE, _ERROR = (0.0, 1.0), (-0.5, 0.5)
_POINTS = 9  # size of titles and axis labels
# Name of the cut, fixed axis, horizontal and vertical axis of the picture.
_CUTS = (("x-y", 0, 2, 1), ("x-z", 1, 2, 0), ("y-z", 2, 1, 0))
_LETTERS = "zyx"


def to_png(figure: Figure) -> str:
    """A figure as the content of an img src, so that a page needs no other file."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def slices(pair: Overlay) -> Figure:
    """Truth, result and error on three sections through the particle's centre of mass."""
    true_x, found_x = (phase_fraction(m.amounts, m.species) for m in (pair.truth, pair.result))
    particle = pair.truth.iron >= 0.5
    found_x = np.where(np.nan_to_num(pair.result.iron) >= 0.5, found_x, np.nan)
    true_x = np.where(particle, true_x, np.nan)
    centre = np.rint(np.argwhere(particle).mean(axis=0)).astype(int)
    voxel = pair.result.voxel_um
    low = np.maximum(np.argwhere(particle).min(axis=0) - 5, 0)
    high = np.minimum(np.argwhere(particle).max(axis=0) + 6, particle.shape)

    # Margins by hand: a layout engine would draw the figure three times.
    figure = Figure(figsize=(11, 10))
    axes = figure.subplots(
        3, 3, gridspec_kw={"left": 0.06, "right": 0.985, "top": 0.97, "bottom": 0.13, "hspace": 0.3, "wspace": 0.2}
    )
    for row, (name, fixed, across, up) in enumerate(_CUTS):
        cut: list[int | slice] = [slice(a, b) for a, b in zip(low, high, strict=True)]
        cut[fixed] = int(centre[fixed])
        place = (centre[fixed] - (particle.shape[fixed] - 1) / 2) * voxel
        extent = tuple(_edges(particle.shape[axis], low[axis], high[axis], voxel) for axis in (across, up))
        where = f"{name} at {_LETTERS[fixed]} = {place:+.2f} µm"
        _compare(list(axes[row]), true_x[tuple(cut)], found_x[tuple(cut)], where, extent, _LETTERS[across], _LETTERS[up])
    _bars(figure, list(axes[-1]))
    return figure


def moments(pair: Overlay) -> Figure:
    """Truth, result and error of up to four moments of a series."""
    true_x, found_x = (phase_fraction(m.amounts, m.species) for m in (pair.truth, pair.result))
    seen = pair.truth.iron >= 0.5
    chosen = np.unique(np.linspace(0, len(true_x) - 1, 4).round().astype(int))
    rows, columns = true_x.shape[1:]
    times = pair.result.time_s if pair.result.time_s is not None else np.zeros(len(true_x))
    tall = 1.2 + 3.7 * len(chosen) * min(1.2, max(0.45, rows / columns))
    figure = Figure(figsize=(11, tall))
    axes = figure.subplots(
        len(chosen),
        3,
        squeeze=False,
        gridspec_kw={
            "left": 0.06,
            "right": 0.985,
            "top": 1 - 0.35 / tall,
            "bottom": 1.15 / tall,
            "hspace": 0.5,
            "wspace": 0.2,
        },
    )
    extent = tuple(_edges(count, 0, count, pair.result.voxel_um) for count in (columns, rows))
    for row, k in enumerate(chosen):
        truth, found = (np.where(seen[k], x[k], np.nan) for x in (true_x, found_x))
        _compare(list(axes[row]), truth, found, f"{times[k] / 60:.1f} min after the start", extent, "x", "z")
    _bars(figure, list(axes[-1]))
    return figure


def _compare(axes: list[Axes], truth: Values, found: Values, where: str, extent: tuple[Edges, ...], across: str, up: str) -> None:
    """Truth, result and error side by side."""
    phase, error = (colormaps[name].with_extremes(bad="#e8e8e8") for name in ("viridis", "RdBu_r"))
    pictures = (
        (truth, phase, _PHASE, "truth"),
        (found, phase, _PHASE, "recovered"),
        (found - truth, error, _ERROR, "recovered − truth"),
    )
    for axis, (values, colours, (least, most), title) in zip(axes, pictures, strict=True):
        axis.imshow(
            values, cmap=colours, vmin=least, vmax=most, extent=(*extent[0], *extent[1]), origin="lower", interpolation="nearest"
        )
        axis.set_title(f"{title}, {where}", fontsize=_POINTS)
        axis.set_xlabel(f"{across} (µm)", fontsize=_POINTS)
        axis.set_ylabel(f"{up} (µm)", fontsize=_POINTS)
        axis.tick_params(labelsize=8)


def _bars(figure: Figure, axes: list[Axes]) -> None:
    """Colour bars 0.55 inch above the figure's lower edge, below the last row."""
    tall = figure.get_figheight()
    for column, axis in enumerate(axes):
        label, (least, most) = ("error of phase fraction", _ERROR) if column == 2 else ("phase fraction x (0 LFP, 1 FP)", _PHASE)
        box = axis.get_position()
        bar = figure.add_axes((box.x0 + 0.1 * box.width, 0.55 / tall, 0.8 * box.width, 0.14 / tall))
        figure.colorbar(
            axis.images[0], cax=bar, orientation="horizontal", extend="both", ticks=np.linspace(least, most, 5)
        ).set_label(label, fontsize=_POINTS)
        bar.tick_params(labelsize=8)


def charge_curve(curve: ChargeCurve, pair: Overlay, scan_s: float, moving: bool) -> Figure:
    """Recorded voltage against capacity, and FP by charge and by image."""
    figure = Figure(figsize=(11, 3.6))
    left, right = figure.subplots(1, 2, gridspec_kw={"left": 0.07, "right": 0.985, "top": 0.93, "bottom": 0.16, "wspace": 0.2})
    left.plot(curve.capacity_mAh_per_g, curve.voltage_V, color=_CORE, lw=1.2)
    left.axvline(THEORETICAL_mAh_g, color=_TRUTH, ls=":", lw=1)
    left.text(THEORETICAL_mAh_g - 2, 4.2, "theory", rotation=90, ha="right", va="top", fontsize=8, color=_TRUTH)
    left.set_xlim(0, 175)
    left.set_ylim(3.0, 4.3)
    left.set_xlabel("capacity (mAh/g)", fontsize=_POINTS)
    left.set_ylabel("voltage against Li (V)", fontsize=_POINTS)
    start = curve.time_s[-1] - scan_s
    during = curve.time_s >= start
    left.plot(
        curve.capacity_mAh_per_g[during],
        curve.voltage_V[during],
        color=_SHELL,
        lw=3,
        label="during the scan",
        solid_capstyle="round",
    )
    left.legend(fontsize=8, loc="upper left")
    right.plot(
        curve.time_s / 3600, curve.capacity_mAh_per_g / THEORETICAL_mAh_g, color=_CORE, lw=1.2, label="cell, by charge counted"
    )
    fp = pair.truth.species.index("FP")
    times = pair.result.time_s if pair.result.is_series else None
    for m, name, marker, colour in ((pair.truth, "sample, truth", "o", _TRUTH), (pair.result, "sample, recovered", "x", _SHELL)):
        amounts = np.nan_to_num(m.amounts) * (pair.truth.iron >= 0.05)
        if times is None:
            values, when = np.array([amounts[fp].sum() / amounts.sum()]), np.array([start + scan_s / 2])
        else:
            values, when = amounts[fp].sum(axis=(1, 2)) / amounts.sum(axis=(0, 2, 3)), start + times
        right.plot(when / 3600, values, marker, ms=5, mfc="none", color=colour, label=name)
    right.set_xlabel("time (h)", fontsize=_POINTS)
    right.set_ylabel("share of iron that is Fe3+", fontsize=_POINTS)
    right.set_ylim(-0.03, 1.03)
    right.legend(fontsize=8)
    for axis in (left, right):
        axis.tick_params(labelsize=8)
    return figure


def _edges(count: int, low: int, high: int, voxel: float) -> Edges:
    return (low - count / 2) * voxel, (high - count / 2) * voxel


def judgement(pair: Overlay, inner: NDArray[np.bool_], conclusion: Conclusion, noisy: bool = True) -> Figure:
    """Spectra with their fit and residual, histogram of x, and pulls where there is noise to compare sigma with."""
    figure = Figure(figsize=(11, 4.4))
    grid = figure.add_gridspec(
        2, 3, height_ratios=(3, 1), left=0.075, right=0.985, top=0.93, bottom=0.12, hspace=0.08, wspace=0.25
    )
    spectra = figure.add_subplot(grid[0, 0])
    _spectra(spectra, figure.add_subplot(grid[1, 0], sharex=spectra), conclusion)
    _histogram(figure.add_subplot(grid[:, 1]), pair)
    pulls = figure.add_subplot(grid[:, 2])
    if noisy:
        _pulls(pulls, pair, inner)
    else:
        pulls.set_axis_off()
        pulls.text(0.5, 0.5, "a scan without noise:\nsigma has nothing to be compared with", ha="center", fontsize=_POINTS)
    return figure


def _spectra(axis: Axes, below: Axes, conclusion: Conclusion) -> None:
    energies, places = conclusion.energies_eV, "pixels" if conclusion.map.is_series else "voxels"
    if not conclusion.spectra:
        axis.text(0.5, 0.5, f"no spectra: none were made of {places},\nor none were core or shell", ha="center", fontsize=_POINTS)
        axis.set_axis_off()
        below.set_axis_off()
        return
    order = np.argsort(energies)
    for name, colour in (("core", _CORE), ("shell", _SHELL)):
        if name not in conclusion.spectra:
            continue
        mean = conclusion.spectra[name]
        fit = conclusion.design @ np.linalg.lstsq(conclusion.design, mean, rcond=None)[0]
        axis.plot(energies[order], mean[order], "o", ms=4, color=colour, label=f"{name}, mean of {places}")
        axis.plot(energies[order], fit[order], "-", lw=1, color=colour, label=f"{name}, fit")
        below.plot(energies[order], 1e3 * (mean - fit)[order], "o-", ms=3, lw=0.7, color=colour)
    axis.set_ylabel("optical depth" if conclusion.map.is_series else "attenuation (1/µm)", fontsize=_POINTS)
    axis.set_title("Spectra and linear combination", fontsize=_POINTS)
    axis.legend(fontsize=7)
    axis.tick_params(labelbottom=False, labelsize=8)
    below.axhline(0, color="0.6", lw=0.7)
    below.set_ylabel("resid.\n(x 1000)" if conclusion.map.is_series else "resid.\n(1/mm)", fontsize=8)
    below.set_xlabel("energy (eV)", fontsize=_POINTS)
    below.tick_params(labelsize=8)


def _histogram(axis: Axes, pair: Overlay) -> None:
    particle = pair.truth.iron >= 0.5
    bins = np.linspace(-0.75, 1.75, 101)
    for m, name, colour, filled in ((pair.truth, "truth", _TRUTH, False), (pair.result, "recovered", "#21918c", True)):
        x = phase_fraction(m.amounts, m.species)[particle]
        weights = np.full(np.isfinite(x).sum(), 100 / x.size)
        kind: Literal["stepfilled", "step"] = "stepfilled" if filled else "step"
        axis.hist(x[np.isfinite(x)], bins.tolist(), weights=weights, histtype=kind, color=colour, alpha=0.75, label=name)
    axis.set_yscale("log")
    axis.set_ylim(1e-2, 100)
    axis.set_xlabel("phase fraction x", fontsize=_POINTS)
    places = "particles' pixels" if pair.truth.is_series else "particle's voxels"
    axis.set_ylabel(f"share of the {places} (%)", fontsize=_POINTS)
    axis.set_title("Histogram of phase fraction", fontsize=_POINTS)
    axis.legend(fontsize=8)
    axis.tick_params(labelsize=8)


def _pulls(axis: Axes, pair: Overlay, inner: NDArray[np.bool_]) -> None:
    axis.set_title("Pulls in the interior", fontsize=_POINTS)
    axis.set_xlabel("(recovered − truth) / sigma", fontsize=_POINTS)
    axis.set_ylabel("density", fontsize=_POINTS)
    axis.tick_params(labelsize=8)
    bins = np.linspace(-5, 5, 61)
    centre = (bins[1:] + bins[:-1]) / 2
    axis.plot(centre, np.exp(-(centre**2) / 2) / np.sqrt(2 * np.pi), "k--", lw=1, label="standard normal")
    sigma = pair.result.phase_fraction_sigma
    if sigma is None:
        return
    true_x, found_x = (phase_fraction(m.amounts, m.species) for m in (pair.truth, pair.result))
    for name, mask, colour in (("core", true_x < 0.5, _CORE), ("shell", true_x >= 0.5, _SHELL)):
        chosen = inner & mask & np.isfinite(found_x)
        if chosen.sum() >= 10:
            pulls = np.clip((found_x - true_x)[chosen] / sigma[chosen], bins[0], bins[-1])
            label = f"{name}, std {pulls.std():.2f}"
            axis.hist(pulls, bins.tolist(), density=True, histtype="step", color=colour, label=label)
    axis.set_xlim(-5, 5)
    axis.legend(fontsize=8)
