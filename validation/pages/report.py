"""report.html: one file that opens offline."""

import html
from typing import Any

from analysis.pipeline import Conclusion
from analysis.result import phase_fraction
from instrument.dose import Ledger
from instrument.measurement import ChargeCurve
from phantom.cell import THEORETICAL_mAh_g

from ..replicates.budget import Budget
from ..replicates.replicate import Estimate
from ..score_names import MEANING
from ..scores import Overlay, interior
from ..study import Study
from ..study_text import study_toml
from ..verdict import dose_in_words, megagray, windowed
from . import figures
from .budget_figure import budget_figure
from .findings import section
from .page import page


def render(
    study: Study,
    scores: dict[str, Any],
    pair: Overlay,
    conclusion: Conclusion,
    sentence: str,
    ledger: Ledger,
    charge: ChargeCurve | None = None,
    costs: Budget | None = None,
) -> str:
    """The page of one run."""
    series = pair.truth.is_series
    particle = pair.truth.iron >= 0.5
    lfp = particle & (phase_fraction(pair.truth.amounts, pair.truth.species) < 0.5)
    inner = interior(pair.truth, particle, lfp)
    maps = figures.to_png(figures.moments(pair) if series else figures.slices(pair))
    judged = figures.to_png(figures.judgement(pair, inner, conclusion, study.beam.shot_noise))
    fp = pair.truth.species.index("FP")
    detected, incident = scores["photons_detected"], scores["photons_incident"]
    cards = [
        (_number(scores["phase_rmse"]), f"rms error of phase fraction, per {'pixel' if series else 'voxel'}"),
        (
            f"{_number(scores['bulk_fraction_found'])} / {_number(scores['bulk_fraction_truth'])}",
            "bulk fraction, recovered / truth",
        ),
        (_number(scores["pull_std"]), "pull width, 1 when sigma is honest"),
        (megagray(scores["dose_MGy"]), "dose, mean over the particle"),
        (f"{scores['scan_time_s'] / 60:.1f} min", "scan time"),
    ]
    rows = "".join(
        f"<tr><td><code>{name}</code></td><td class=n>{_number(scores[name])}</td><td>{html.escape(text)}</td></tr>"
        for name, text in MEANING.items()
        if scores.get(name) is not None
    )
    scan = study.scan
    dose = html.escape(dose_in_words(scores["dose_MGy"], study))
    unit = pair.result.voxel_um ** (2 if series else 3)
    held = [float((volume[-1] if series else volume).sum()) * unit for volume in (pair.truth.amounts[fp], pair.truth.iron)]
    views = f"{scan.angles} repeats at {scan.first_angle_deg:g}°" if series else f"{scan.angles} views"
    body = f"""<p class="sub">{html.escape(study.description)}</p>
<p class="verdict">{html.escape(sentence)}</p>
<div class="numbers">{"".join(f"<div><b>{html.escape(v)}</b><span>{html.escape(t)}</span></div>" for v, t in cards)}</div>
<h2>Phase fraction: truth, recovered, error</h2>
<figure><img alt="Sections of true, recovered and wrong phase fraction" src="{maps}">
<figcaption>{"Projections at up to four moments" if series else "Sections through the particle's centre of mass"}.
Grey: {
        "less than 0.5 µm of iron, as LFP" if series else "iron below half of LFP's"
    }. The error's scale ends at ±0.5. Recovered maps
show single {"pixels" if series else "voxels"} of {scan.pixel_um * 1000:.0f} nm, unsmoothed{
        f" beyond the filter window '{study.analysis.window}'" if windowed(study) else ""
    }.</figcaption></figure>
{_charge_section(study, scores, pair, charge)}<h2>Spectra, histogram, honesty of sigma</h2>
<figure><img alt="Spectra with fit, histogram of phase fraction, pulls" src="{judged}">
<figcaption>Left: mean {
        "optical depth of pixels" if series else "reconstructed attenuation of voxels"
    } found with x &lt; 0.25 (core) and x &gt; 0.75 (shell), the linear
combination of the measured standards with background '{study.analysis.background}', and what it leaves. Right: errors over
their own sigma, at least two {"pixels" if series else "voxels"} and 1.5 resolution widths from
{"the particles' edges" if series else "surface and front"}. Sample spectra: LFP
{html.escape(study.species.LFP.spectrum)}, FP {html.escape(study.species.FP.spectrum)}.</figcaption></figure>
{section(conclusion, study)}{budget_section(costs)}<h2>Scan and dose</h2>
<p>{len(scan.energies_eV)} energies {min(scan.energies_eV):g}–{max(scan.energies_eV):g} eV, {views},
{scan.rows} × {scan.columns} pixels of {scan.pixel_um * 1000:.0f} nm;
{incident:,.0f} incident and {detected:,.0f} detected photons per pixel, per projection,
per energy, open beam. Dose: <b>{dose}</b>. FP holds {held[0]:.2f} of
{held[1]:.2f} µm³ (as LFP volume){" in the last map" if series else ""}. Volume model: {study.front.volume}.</p>
{_ledger_section(ledger)}<h2>Scores</h2><div class="scroll"><table><tr><th>score</th><th>value</th><th>meaning</th></tr>{
        rows
    }</table></div>
<h2>The study, resolved</h2><details><summary>study.toml (runs again as it is)</summary>
<pre>{html.escape(study_toml(study))}</pre></details>
"""
    return page(_title(study), body)


def _title(study: Study) -> str:
    return f"txm-twin: {study.name}, seed {study.seed}"


def render_failure(study: Study, scores: dict[str, Any], sentence: str) -> str:
    """The page of a run whose method gave no map."""
    body = f"""<p class="sub">{html.escape(study.description)}</p>
<p class="verdict">{html.escape(sentence)}</p>
<p>Scan, standards and truth are in this folder. {html.escape(dose_in_words(scores["dose_MGy"], study))}.</p>
<h2>The study, resolved</h2><details><summary>study.toml (runs again as it is)</summary>
<pre>{html.escape(study_toml(study))}</pre></details>
"""
    return page(_title(study), body)


def budget_section(costs: Budget | None) -> str:
    """What each effect costs, as bars and in numbers; nothing without a budget."""
    if costs is None:
        return ""
    picture = figures.to_png(budget_figure(costs))
    seeds = f"{len(costs.seeds)} seeds" if len(costs.seeds) > 1 else "1 seed, so without uncertainty"

    def cell(one: Estimate) -> str:
        share = 100 / costs.total.mean
        return f"{share * one.mean:.3g}" + (f" ± {share * one.error:.1g}" if one.count > 1 else "")

    lines = [(html.escape(part.effect.name), part.added, part.taken_out, part.cost, part.together) for part in costs.parts]
    rows = "".join(f"<tr><td>{name}</td>{''.join(f'<td class=n>{cell(one)}</td>' for one in each)}</tr>" for name, *each in lines)
    pairs = "; ".join(f"{html.escape(' with '.join(pair.names))} {cell(pair.cost)} %" for pair in costs.pairs)
    return f"""<h2>Error budget</h2>
<figure><img alt="Bars: what each effect costs" src="{picture}">
<figcaption>Mean squared error of x that an effect adds when it is the only one, and that goes when it alone is taken out; bars
with the standard error over {seeds}. Where the two differ, the effect meets others.</figcaption></figure>
<div class="scroll"><table><tr><th>effect</th><th>added (%)</th><th>taken out (%)</th><th>cost, their mean (%)</th>
<th>together with others (%)</th></tr>
<tr><td>without any effect</td><td class=n>{cell(costs.base)}</td><td></td><td class=n>{cell(costs.base)}</td><td></td></tr>
{rows}</table></div>
<p>All of this explains {100 * costs.explained_share:.1f} % of the error; the rest is effects that meet in threes.
{f"Of pairs: {pairs}." if pairs else ""}</p>
"""


def _ledger_section(ledger: Ledger) -> str:
    """What the sample took at each energy, and, of several, the particles that took least and most."""
    heads = ["energy (eV)", "photons per µm²", "pure LFP at the entrance (MGy)", "mean over the sample (MGy)"]
    columns = [ledger.energies_eV, ledger.photons_per_um2, ledger.entrance_MGy, ledger.sample_MGy]
    if len(ledger.particles_MGy) > 1:
        heads += ["particle with least (MGy)", "with most (MGy)"]
        columns += [ledger.particles_MGy.min(axis=0), ledger.particles_MGy.max(axis=0)]
    head = "".join(f"<th>{name}</th>" for name in heads)
    rows = "".join(
        f"<tr><td class=n>{line[0]:g}</td>{''.join(f'<td class=n>{value:.3g}</td>' for value in line[1:])}</tr>"
        for line in zip(*columns, strict=True)
    )
    return f"""<details><summary>Dose ledger: each energy, all exposures with the sample in the beam</summary>
<div class="scroll"><table><tr>{head}</tr>{rows}</table></div></details>
"""


def _charge_section(study: Study, scores: dict[str, Any], pair: Overlay, charge: ChargeCurve | None) -> str:
    """The recorded charge, and what the map says of it; nothing without a cell."""
    if charge is None:
        return ""
    picture = figures.to_png(figures.charge_curve(charge, pair, study.scan.time_s, study.charging.moving))
    return f"""<h2>Charge</h2>
<figure><img alt="Voltage and bulk fraction against capacity" src="{picture}">
<figcaption>As the cycler recorded it at {study.cell.c_rate:g} C until the scan was over: {scores["capacity_mAh_per_g"]:.1f} of
{THEORETICAL_mAh_g:.1f} mAh/g. Charge counted says {
        scores["charge_fraction"]:.3f} of the cell's iron is Fe3+ at the middle of the scan; the imaged
sample, {"each particle at its own state" if study.charging.imaged == "own" else "taken to be as far as the cell's mean"},
{"kept changing" if study.charging.moving else "was frozen: the current paused"} during the scan{
        "; the cell reached its cutoff before the scan was over"
        if study.charging.moving and charge.current_mA[-1] < 0.5 * charge.current_mA[1]
        else ""
    }. Population, diffusivity and
resistance of the cell are guesses.</figcaption></figure>
<p>{_charge_words(scores)}</p>
"""


def _charge_words(scores: dict[str, Any]) -> str:
    """What the record says, and the image against it, each with its sigma, as far as it is known."""
    values = (
        ("plateau", "plateau_V", "plateau_sigma_V", " V"),
        ("overpotential", "overpotential_V", "overpotential_sigma_V", " V"),
        ("imaged less counted", "imaged_less_counted", "imaged_less_counted_sigma", " of the iron"),
    )
    parts = [
        f"{words} {scores[name]:.4f} ± {scores[sigma]:.1g}{unit}"
        for words, name, sigma, unit in values
        if scores[name] is not None and scores[sigma] is not None
    ]
    return html.escape(f"Of the record: {'; '.join(parts)}.") if parts else "The record is too short for a plateau."


def _number(value: Any) -> str:
    return "–" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)
