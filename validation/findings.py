"""What the analysis found and repaired before the fit, in words: on the command line and in the report."""

import html

import numpy as np

from analysis.align.alignment import STILL_PX, Align, Alignment
from analysis.pipeline import Conclusion

from . import figures
from .alignment_figure import alignment_figure
from .study import Study


def repairs(conclusion: Conclusion) -> list[tuple[str, str]]:
    """Name and text: rays with a made-up value, and what else was found."""
    share = 100 * conclusion.repaired_rays / conclusion.rays
    rays = f"{conclusion.repaired_rays:,} of {conclusion.rays:,}" + (f" ({share:.2g} %)" if share else "")
    return [("repaired rays", rays), *(("", remark) for remark in conclusion.remarks)]


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
    if found is None and not conclusion.repaired_rays and not conclusion.remarks:
        return ""
    lines = [*repairs(conclusion), *aligned(found, wanted)]
    rows = "".join(f"<tr><td>{html.escape(name)}</td><td>{html.escape(text)}</td></tr>" for name, text in lines)
    picture = ""
    if found is not None and (wanted.shifts or wanted.magnification != "stated"):
        source = figures.to_png(alignment_figure(found, conclusion.energies_eV, study.scan.angles_rad))
        picture = f"""<figure><img alt="Found shifts against energy and angle, size of the image against energy" src="{source}">
<figcaption>What was found from the frames alone. Left: mean over the views of each energy. Middle: what a frame has beyond that,
every energy. Right: size of the image over the first energy's, with sigma.</figcaption></figure>
"""
    return f"""<h2>Repaired and aligned</h2>
<div class="scroll"><table>{rows}</table></div>
{picture}"""
