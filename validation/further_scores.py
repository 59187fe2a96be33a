"""Scores beyond truth against map: of the recorded charge, the shell, and halves of the scan."""

from pathlib import Path
from typing import Any

import numpy as np

from analysis.align.alignment import Alignment
from analysis.charge.balance import charge_balance
from analysis.charge.curve import charge_findings
from analysis.phases import exposed_share, shell_thickness
from analysis.pipeline import analyze
from analysis.result import AmountMap
from instrument.files.native import open_scan
from instrument.files.selection import select
from instrument.measurement import ChargeCurve, InputError

from .files import read_standards
from .score_names import or_null
from .scores import fsc_halves_um
from .study import Study

_OPEN_CORE = 0.3  # a core with more of its boundary at the particle's surface is in no shell


def halves_um(folder: Path, study: Study, alignment: Alignment | None, threads: int = 1) -> float | None:
    """Resolution of iron from odd against even views of a run's scan, as they were aligned together.

    None for a series, which has one view, and where a prior (method joint, engine tv) makes both halves alike.
    """
    choices = study.analysis
    if study.scan.kind == "series" or choices.method == "joint" or choices.engine == "tv":
        return None
    standards, maps = read_standards(folder), []
    with open_scan(folder / "scan.h5") as scan:
        for first in (0, 1):
            views = slice(first, None, 2)
            found = None if alignment is None else alignment.of_views(views)
            half = select(scan, angles=[views])
            maps.append(analyze(half, standards, choices, alignment=found, threads=threads).map)
    return fsc_halves_um(*maps)


def charge_scores(curve: ChargeCurve | None, found: AmountMap, scan_s: float) -> dict[str, float | None]:
    """What the record of a charge says, and the imaged fraction against it; null without one, or where it is too short."""
    names = ("plateau_V", "plateau_sigma_V", "plateau_rise_V", "overpotential_V", "overpotential_sigma_V")
    balances = ("imaged_less_counted", "imaged_less_counted_sigma")
    if curve is None:
        return dict.fromkeys(("capacity_mAh_per_g", *names, *balances))
    out: dict[str, float | None] = {"capacity_mAh_per_g": float(curve.capacity_mAh_per_g[-1])}
    try:
        findings, balance = charge_findings(curve), charge_balance(found, curve, scan_s)
    except InputError:  # a charge of a few samples is no error of the study
        return out | dict.fromkeys((*names, *balances))
    out |= {name: getattr(findings, name) for name in names}
    values = balance.difference.mean(), np.sqrt((balance.sigma**2).sum()) / len(balance.sigma)
    return out | {name: or_null(value) for name, value in zip(balances, values, strict=True)}


def shell_scores(found_map: AmountMap, rotation: Any) -> dict[str, float | None]:
    """Recovered shell thickness along the true crystal axes; null where no shell encloses a core."""
    names = ["shell_thickness_a_um", "shell_thickness_b_um", "shell_thickness_c_um"]
    ratios = {"shell_ratio_b_a": (1, 0), "shell_ratio_c_a": (2, 0)}
    exposed = None if found_map.is_series else exposed_share(found_map)
    found = None if exposed is None or exposed > _OPEN_CORE else shell_thickness(found_map, rotation.T)
    if found is None or not (found.thickness_um > 0).all():
        return {"core_exposed_share": exposed} | dict.fromkeys([*names, *ratios, *(f"{name}_sigma" for name in ratios)])
    out: dict[str, float | None] = {"core_exposed_share": exposed}
    out |= {name: float(value) for name, value in zip(names, found.thickness_um, strict=True)}
    for name, (over, under) in ratios.items():
        out[name], sigma = found.ratio(over, under)
        out[f"{name}_sigma"] = or_null(sigma)  # too few flat voxels may not tell the map's noise
    return out
