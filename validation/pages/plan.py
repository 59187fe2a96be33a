"""plan.html: the plan in words, and its pictures; one file that opens offline."""

import html

import numpy as np
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator

from ..planning.operando import Motion
from ..planning.plan import Plan
from ..planning.tradeoffs import Curve
from . import figures
from .page import page

_POINTS = 10
_LFP, _FP, _CHOSEN, _BOUND, _LINE = "#3b528b", "#c98a00", "#21918c", "0.6", "0.3"


def design_figure(plan: Plan) -> Figure:
    """Spectra with the chosen energies, and where light tells most: the sensitivity of the best design."""
    scene, study = plan.scaled.scene, plan.study
    energies = scene.energies_eV
    # Margins by hand: a layout engine would draw the figure three times.
    figure = Figure(figsize=(10, 5.6))
    margins = {"left": 0.075, "right": 0.925, "top": 0.98, "bottom": 0.09, "hspace": 0.06}
    spectra, gain = figure.subplots(2, 1, sharex=True, height_ratios=(3, 2), gridspec_kw=margins)
    mu = plan.coarse.matter.attenuation_per_um(energies)[:2]
    for line, name, colour in zip(mu, ("LiFePO4", "FePO4"), (_LFP, _FP), strict=True):
        spectra.plot(energies, line, color=colour, lw=1.6, label=name)
    spectra.set_ylabel("attenuation at LFP's iron density (1/µm)", fontsize=_POINTS)
    spectra.set_ylim(0, 1.3 * float(mu.max()))
    spectra.legend(fontsize=8, loc="upper left")
    light = spectra.twinx()
    seconds = study.scan.frame_exposures_s
    light.vlines(study.scan.energies_eV, 0, seconds, color=_CHOSEN, lw=3)
    light.plot(study.scan.energies_eV, seconds, "o", color=_CHOSEN, ms=5)
    light.set_ylim(0, 1.3 * float(seconds.max()))
    light.set_ylabel("exposure of a projection (s)", fontsize=_POINTS, color=_CHOSEN)
    gain.plot(energies, plan.bound.sensitivity, color=_LINE, lw=1.3)
    gain.axhline(1, color=_BOUND, lw=0.8, ls="--")
    best = plan.bound.shares > 1e-3
    gain.plot(energies[best], plan.bound.sensitivity[best], "^", color=_LINE, ms=6, label="best energies of all")
    at = np.searchsorted(energies, study.scan.energies_eV)
    gain.plot(energies[at], plan.bound.sensitivity[at], "o", color=_CHOSEN, ms=5, label="chosen")
    gain.set_ylim(0, 1.12)
    gain.set_ylabel("gain of a share there,\nover the largest", fontsize=_POINTS)
    gain.set_xlabel("energy (eV)", fontsize=_POINTS)
    gain.legend(fontsize=8, loc="lower right")
    for axis in (spectra, light, gain):
        axis.tick_params(labelsize=8)
    return figure


def tradeoff_figure(plan: Plan, curves: tuple[Curve, ...]) -> Figure:
    """Error of x against dose and hours, in several voxels."""
    figure = Figure(figsize=(10, 4))
    margins = {"left": 0.07, "right": 0.99, "top": 0.98, "bottom": 0.13, "wspace": 0.04}
    by_dose, by_hours = figure.subplots(1, 2, sharey=True, gridspec_kw=margins)
    shades = ("#440154", "#21918c", "#5ec962", "#b5b000")
    for curve, colour in zip(curves, shades, strict=False):
        label = f"{1000 * curve.voxel_um:.0f} nm, {curve.angles} views or more"
        by_dose.loglog(curve.dose_MGy, curve.error, "-o", color=colour, ms=3, lw=1.4, label=label)
        by_hours.loglog(curve.hours, curve.error, "-o", color=colour, ms=3, lw=1.4, label=label)
    limit = plan.study.verdict.survivable_MGy
    by_dose.axvline(limit, color="#b3261e", lw=1, ls="--", label=f"{limit:g} MGy, survivable (guess)")
    for axis, x in ((by_dose, plan.dose_MGy), (by_hours, plan.hours)):
        axis.plot([x], [plan.foretold.rms], "*", color="k", ms=11, label="this scan")
        axis.tick_params(labelsize=8)
        axis.grid(alpha=0.3, lw=0.5)
    by_dose.set_xlabel("dose, mean over the particle (MGy)", fontsize=_POINTS)
    by_hours.set_xlabel("duration of the scan (h)", fontsize=_POINTS)
    by_dose.set_ylabel("rms error of x in a voxel, by noise", fontsize=_POINTS)
    for part in (by_dose.xaxis, by_hours.xaxis, by_dose.yaxis):
        _plain(part)
    by_hours.legend(*by_dose.get_legend_handles_labels(), fontsize=8, loc="upper right")
    return figure


def _plain(axis: Axis) -> None:
    """Ticks at 1, 2 and 5, as a person writes them."""
    axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.set_major_formatter(lambda value, _: f"{value:g}")
    axis.set_minor_locator(NullLocator())


def render(plan: Plan, motion: Motion, curves: tuple[Curve, ...], told: list[str]) -> str:
    """The page."""
    study, scan = plan.study, plan.study.scan
    facts = [
        ("rms error of x by noise" if plan.before is None else "with the map before", f"{plan.sigma:.3g}"),
        ("voxel", f"{1000 * scan.pixel_um:.0f} nm"),
        ("dose, mean over the particle", f"{plan.dose_MGy:.3g} MGy"),
        ("duration", f"{plan.hours:.2g} h" if plan.hours >= 1 else f"{60 * plan.hours:.2g} min"),
        ("charge that moves the front by a voxel", f"{motion.c_rate_per_h:.2g} C"),
    ]
    cards = "".join(f"<div><b>{html.escape(value)}</b><span>{html.escape(name)}</span></div>" for name, value in facts)
    rows = "".join(
        "<tr>"
        + "".join(f"<td class=n>{cell}</td>" for cell in (number, f"{energy:g}", f"{second:.4g}", f"{share:.1%}"))
        + "</tr>"
        for number, (energy, second, share) in enumerate(
            zip(scan.energies_eV, scan.frame_exposures_s, plan.chosen.shares, strict=True), 1
        )
    )
    spared = "dose" if plan.spared == "dose" else "photons"
    lines = "".join(f"<li>{html.escape(line)}</li>" for line in told[1:])
    return page(
        f"txm-twin: {study.name}",
        f"""<p class="sub">{html.escape(study.description)}</p>
<p class="verdict">{html.escape(told[0])}</p>
<div class="numbers">{cards}</div>
<ul>{lines}</ul>
<h2>Energies</h2>
<figure><img alt="Spectra with the chosen energies; sensitivity of the best design" src="{figures.to_png(design_figure(plan))}">
<figcaption>Above: the sample's spectra, and the exposures of the plan. Below: what a little more light at an energy would gain in
the best of all designs, over the largest gain. That it is 1 at that design's energies and nowhere above proves it best
(equivalence theorem).</figcaption></figure>
<div class="scroll"><table><tr><th>order</th><th>energy (eV)</th><th>exposure (s)</th><th>share of the {spared}</th></tr>
{rows}</table></div>
<h2>What precision costs</h2>
<figure><img alt="Error of x against dose and duration" src="{figures.to_png(tradeoff_figure(plan, curves))}">
<figcaption>The plan's energies with more or fewer photons, in voxels of several sizes, each with the views it needs. Where
duration stays and the error grows, exposures are as short as the shutter allows: a filter dims the beam.</figcaption></figure>
""",
    )
