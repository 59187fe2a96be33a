"""calibration.html: whether sigma can be trusted, and go or no go for a wanted one; one file that opens offline."""

import html

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..replicates.calibration import BINS, LEVELS, Calibration
from ..replicates.go import Decision
from ..replicates.replicate import Estimate
from . import figures
from .page import page

_POINTS = 10
_BAR, _BAND, _LINE = "#21918c", "#b8dcd9", "0.25"


def calibration_figure(found: Calibration) -> Figure:
    """Rank histogram and coverage, each with its 95 % interval between scans, against honesty."""
    figure = Figure(figsize=(10, 3.9), layout="constrained")
    ranks, covered = figure.subplots(1, 2)
    places = (np.arange(BINS) + 0.5) / BINS
    _bars(ranks, places, found.ranks, 0.9 / BINS)
    ranks.axhline(1, color=_LINE, lw=1, ls="--", label="honest")
    ranks.set_xlim(0, 1)
    ranks.set_ylim(0, None)
    ranks.set_xlabel("rank of the truth's error in its stated distribution", fontsize=_POINTS)
    ranks.set_ylabel("voxels over what is expected", fontsize=_POINTS)
    ranks.set_title("Ranks: U too small a sigma, hill too large, slope biased", fontsize=_POINTS)
    nominal = 100 * np.array(LEVELS)
    share = 100 * np.array([one.mean for one in found.coverage])
    half = 100 * np.array([one.half_width for one in found.coverage])
    covered.axhline(0, color=_LINE, lw=1, ls="--", label="honest")
    covered.errorbar(np.arange(len(LEVELS)), share - nominal, half, fmt="o", color=_BAR, capsize=3, label="found, 95 % interval")
    covered.set_xticks(np.arange(len(LEVELS)), [f"{level:g}" for level in nominal])
    covered.set_xlabel("stated interval (%)", fontsize=_POINTS)
    covered.set_ylabel("truth within it, less stated (percentage points)", fontsize=_POINTS)
    covered.set_title("Coverage: above 0 cautious, below bold", fontsize=_POINTS)
    reach = max(2.0, 1.2 * float(np.max(np.abs(share - nominal) + half)))
    covered.set_ylim(-reach, reach)
    for axis in (ranks, covered):
        axis.tick_params(labelsize=8)
        axis.legend(fontsize=8)
    return figure


def _bars(axis: Axes, places: np.ndarray, values: tuple[Estimate, ...], width: float) -> None:
    heights, half = np.array([one.mean for one in values]), np.array([one.half_width for one in values])
    axis.bar(places, heights, width, color=_BAND, edgecolor=_BAR, yerr=half, ecolor=_BAR, capsize=2, label="found, 95 % interval")


def render(found: Calibration, decision: Decision | None) -> str:
    """The page."""
    study = found.study
    title = f"txm-twin: calibration of {study.name}, {len(found.seeds)} scans"
    picture = figures.to_png(calibration_figure(found))
    names = list(found.rows[0])
    rows = "".join("<tr>" + "".join(f"<td class=n>{row[name]:.4g}</td>" for name in names) + "</tr>" for row in found.rows)
    head = "".join(f"<th>{name}</th>" for name in names)
    method = f"Method {html.escape(found.method.text)}. " if found.method.text else ""
    return page(
        title,
        f"""<p class="sub">{html.escape(study.description)}</p>
<p class="verdict">{html.escape(found.sentence)}</p>
{_decided(decision)}<h2>Errors over their sigma</h2>
<figure><img alt="Rank histogram and coverage" src="{picture}">
<figcaption>{method}Interior voxels of all scans, seeds {found.seeds[0]} to {found.seeds[-1]}; voxels of one map are correlated,
so intervals come from the spread between maps.</figcaption></figure>
<h2>Scans</h2><div class="scroll"><table><tr>{head}</tr>{rows}</table></div>
""",
    )


def _decided(decision: Decision | None) -> str:
    if decision is None:
        return ""
    word, colour = ("GO", "#21918c") if decision.is_go else ("NO GO", "#b3261e")
    facts = [
        ("wanted rms error of x", f"{decision.wanted:g}"),
        ("reached, upper end of 95 %", f"{decision.reached:.3g}"),
        ("dose, mean over the particle", f"{decision.dose_MGy:.3g} MGy"),
        ("scan", f"{decision.hours:.2g} h"),
        ("dominant error", decision.dominant),
    ]
    cards = "".join(f"<div><b>{html.escape(value)}</b><span>{html.escape(name)}</span></div>" for name, value in facts)
    reasons = "".join(f"<li>{html.escape(reason)}</li>" for reason in (*decision.reasons, *decision.remarks))
    return f"""<h2 style="color:{colour}">{word}</h2>
<div class="numbers">{cards}</div>
{f"<ul>{reasons}</ul>" if reasons else ""}{f"<p>{html.escape(decision.cure)}</p>" if decision.cure else ""}
"""
