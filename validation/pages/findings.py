"""What the analysis found and repaired before the fit, in words: on the command line and in the report."""

import html

import numpy as np

from analysis.align.alignment import STILL_PX, Align, Alignment
from analysis.pipeline import Conclusion
from analysis.result import Flag

from ..study import Study
from . import figures
from .alignment_figure import alignment_figure

_TELLING_CHI2 = 1.5


def repairs(conclusion: Conclusion) -> list[tuple[str, str]]:
    """Name and text: rays with a made-up value, voxels that the standards do not explain, and what else was found."""
    lines = [("", remark) for remark in conclusion.remarks]
    if conclusion.rays:
        share = 100 * conclusion.repaired_rays / conclusion.rays
        rays = f"{conclusion.repaired_rays:,} of {conclusion.rays:,}" + (f" ({share:.2g} %)" if share else "")
        lines.insert(0, ("repaired rays", rays))
    found = conclusion.map
    particle = np.nan_to_num(found.iron) >= 0.5
    if found.flags is not None and particle.any() and (found.flags & Flag.UNEXPLAINED).any():
        strange = 100 * float(((found.flags[particle] & Flag.UNEXPLAINED) > 0).mean())
        text = f"{strange:.2g} % of the voxels with iron: no mixture of the standards"
        lines.append(("unexplained", f"{text} (flag {Flag.UNEXPLAINED.value}; by chance up to 5 %)"))
    return [*lines, *(("", doubt) for doubt in doubts(conclusion))]


def doubts(conclusion: Conclusion) -> list[str]:
    """Sentences on what makes a map doubtful as a whole, from the data alone."""
    found, chi2 = conclusion.map, conclusion.reduced_chi2
    out = []
    if not conclusion.rays:
        pass  # made elsewhere: nothing is known of its fit
    elif not np.isfinite(chi2):
        out.append("as many unknowns as energies: nothing checks the fit; take more energies or a simpler background")
    elif chi2 > _TELLING_CHI2:
        out.append(
            f"chi2 is {chi2:.3g} times what noise explains: a bad energy or view, a sample that moved, or other spectra than the "
            f"standards; sigma knows none of that and is too small"
        )
    particle = np.nan_to_num(found.iron) >= 0.5
    x = found.phase_fraction[particle]
    if x.size and found.phase_fraction_sigma is not None:
        share, sigma = float(np.nanmean(x)), float(np.nanmedian(found.phase_fraction_sigma[particle]))
        if not -0.1 < share < 1.1:
            out.append(
                f"the mean phase fraction is {share:.3g}, which is none: the standards, the scale of energy or a frame is wrong"
            )
        if sigma > 1:
            out.append(f"sigma of a voxel's phase fraction is {sigma:.3g}: single voxels tell nothing; take larger ones (--bin)")
    return out


def aligned(found: Alignment | None, wanted: Align) -> list[tuple[str, str]]:
    """Name and text of each thing that was sought: its value, and sigma."""
    if found is None:
        return []
    geometry = found.geometry
    lines = []
    if wanted.center or wanted.shifts:
        lines.append(("rotation axis", f"column {geometry.center_px:.3f}, {_sigma(found.center_sigma_px)}"))
    if wanted.shifts:
        along, across = np.sqrt((geometry.shifts_px**2).mean(axis=(0, 1)))
        one = _sigma(float(np.sqrt(np.mean(found.shifts_sigma_px**2))))
        lines.append(("shifts of frames", f"rms {along:.3f} px along the axis, {across:.3f} px across; of one {one}"))
    if wanted.magnification != "stated":
        low, high = geometry.scale.min(), geometry.scale.max()
        text = f"{low:.5f} to {high:.5f} of the first energy's, {_sigma(float(found.scale_sigma.max()))} at most"
        lines.append(("magnification", text))
    if wanted.roll:
        roll, sigma = np.rad2deg([geometry.roll_rad, found.roll_sigma_rad])
        lines.append(("tilt of the axis", f"{roll:+.3f} degrees in the detector's plane, {_sigma(float(sigma))}"))
    if wanted.rings:
        lines.append(("rings", f"errors of pixels, rms {float(np.std(found.pattern)):.2g} of optical depth"))
    if wanted.energy:
        text = f"true energies are {found.energy_offset_eV:+.3f} eV from the scan's, {_sigma(found.energy_offset_sigma_eV)}"
        lines.append(("energy offset", text))
    if len(found.changes_px):
        rest = "" if found.changes_px[-1] < STILL_PX else "; it was not at rest"
        lines.append(("alignment", f"{len(found.changes_px)} passes, the last by {found.changes_px[-1]:.4f} px{rest}"))
    return lines


def _sigma(value: float) -> str:
    return f"sigma {value:.2g}" if np.isfinite(value) else "sigma unknown"


def section(conclusion: Conclusion, study: Study) -> str:
    """That as a part of the report; nothing where nothing was sought or repaired."""
    found, wanted = conclusion.alignment, study.analysis.align
    lines = [*repairs(conclusion), *aligned(found, wanted)]
    if len(lines) == 1 and conclusion.rays and not conclusion.repaired_rays:
        return ""
    rows = "".join(f"<tr><td>{html.escape(name)}</td><td>{html.escape(text)}</td></tr>" for name, text in lines)
    picture = ""
    if found is not None and (wanted.shifts or wanted.magnification != "stated"):
        source = figures.to_png(alignment_figure(found, conclusion.energies_eV, study.scan.angles_rad))
        picture = f"""<figure><img alt="Found shifts against energy and angle, size of the image against energy" src="{source}">
<figcaption>What was found from the frames alone. Left: mean over the views of each energy. Middle: what a frame has beyond that,
every energy. Right: size of the image over the first energy's, with sigma.</figcaption></figure>
"""
    return f"""<h2>What the analysis found beside the map</h2>
<div class="scroll"><table>{rows}</table></div>
{picture}"""
