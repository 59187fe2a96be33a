"""The command analyze: files of a beamline, or simulated ones, through the analysis to result.h5."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from analysis.charge.balance import Balance, charge_balance
from analysis.charge.curve import ChargeFindings, THEORETICAL_mAh_g, charge_findings
from analysis.choices import Analysis
from analysis.pipeline import Conclusion, analyze
from analysis.result import fp_index
from instrument.files.scans import open_any
from instrument.files.selection import select
from instrument.files.text import read_charge
from instrument.measurement import Measurement
from instrument.progress import Progress
from phantom import InputError

from .files import write_map
from .pages.findings import aligned, repairs
from .spectra import spectrum_at, standard_of
from .study import explain


@dataclass(frozen=True)
class Wishes:
    """What to take of a scan, as typed: `roi` "R0:R1,C0:C1", `energies` "LOW:HIGH" in eV, `angles` "[START:STOP:]STEP".

    Of the last two several, with commas between.
    """

    bin: int = 1
    roi: str | None = None
    center_px: float | None = None
    energies: str | None = None
    angles: str | None = None


def analyze_files(
    scans: list[Path],
    standards: list[str],
    folder: Path,
    wishes: Wishes,
    settings: Analysis,
    *,
    foil: str | None = None,
    charge: Path | None = None,
    threads: int = 1,
    progress: Progress | None = None,
) -> list[str]:
    """`folder`/result.h5 of a scan; lines that say what was found. Raises InputError for what cannot be analyzed."""
    spectra = [standard_of(text) for text in standards]
    iron = None if foil is None else spectrum_at("foil", foil)
    curve = None if charge is None else read_charge(charge)
    charged = None if curve is None else charge_findings(curve)
    with open_any(scans) as whole:
        scan = selected(whole, wishes)
        conclusion = analyze(scan, spectra, settings, foil=iron, threads=threads, progress=progress)
        told = _scan_in_words(scan)
        scan_s = float((scan.time_s + scan.exposures_s[:, None] / 2).max())
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{folder}: cannot be written ({error.strerror}); choose another folder with -o") from error
    write_map(folder / "result.h5", conclusion.map)
    lines = ["", told, *_findings(conclusion)]
    lines += [f"  {name:<23}{text}" for name, text in (*repairs(conclusion), *aligned(conclusion.alignment, settings.align))]
    if curve is not None and charged is not None:
        lines += _charge_in_words(charged, charge_balance(conclusion.map, curve, scan_s))
    return [*lines, f"  result: {folder / 'result.h5'}"]


def settings_of(options: dict[str, Any]) -> Analysis:
    """The analysis that options of the command line ask for, by the option's name. Raises InputError for what is not allowed."""
    names = ("method", "engine", "window", "background", "constraint", "weights")
    prepare = {"zinger_sigma": "zingers", "rings": "rings", "border_px": "border", "flats_in_time": "flats_in_time"}
    given = {
        **_given(options, {name: name for name in names}),
        "prepare": _given(options, prepare),
        "align": {} if options.get("align") is None else _align(options["align"]),
    }
    complete = msgspec.to_builtins(Analysis())
    for name, value in given.items():
        complete[name] = complete[name] | value if isinstance(value, dict) else value
    try:
        settings = msgspec.convert(complete, Analysis)
    except msgspec.ValidationError as error:
        raise InputError(f"{explain(str(error), complete, Analysis, 'analysis.')}; see txm-twin analyze --help") from None
    settings.check()
    return settings


def _given(options: dict[str, Any], names: dict[str, str]) -> dict[str, Any]:
    return {name: options[option] for name, option in names.items() if options.get(option) is not None}


def _align(text: str) -> dict[str, Any]:
    """Settings of `analysis.align` from "center,shifts,magnification=free": what is named is sought."""
    found: dict[str, Any] = {}
    for word in text.split(","):
        name, equals, value = (part.strip() for part in word.partition("="))
        if name == "magnification" and value in ("", "linear", "free") and bool(value) == bool(equals):
            found[name] = value or "linear"
        elif name in ("center", "shifts", "roll", "rings", "energy") and not equals:
            found[name] = True
        else:
            raise InputError(
                f"--align: found {word.strip()!r}; allowed are center, shifts, magnification, magnification=linear, "
                "magnification=free, roll, rings, energy, with commas between"
            )
    return found


def selected(scan: Measurement, wishes: Wishes) -> Measurement:
    """The part of a scan that the wishes name. Raises InputError for a wish that says nothing."""
    roi = None if wishes.roi is None else _numbers("--roi", wishes.roi.replace(",", ":"), (4,), "R0:R1,C0:C1", int)
    energies = angles = None
    if wishes.energies is not None:
        energies = [
            _numbers("--energies", part, (2,), "LOW:HIGH, several with commas", float) for part in wishes.energies.split(",")
        ]
    if wishes.angles is not None:
        form = "STEP or START:STOP:STEP, several with commas"
        parts = [_numbers("--angles", part, (1, 3), form, int) for part in wishes.angles.split(",")]
        angles = [slice(None, None, *part) if len(part) == 1 else slice(*part) for part in parts]
    return select(scan, bin=wishes.bin, roi=roi, energies=energies, angles=angles, center_px=wishes.center_px)  # type: ignore[arg-type]


def _numbers(option: str, text: str, counts: tuple[int, ...], form: str, kind: Callable[[str], float]) -> tuple[float, ...]:
    try:
        found = tuple(kind(part) for part in text.split(":"))
    except ValueError:
        found = ()
    if len(found) not in counts or not np.all(np.isfinite(found)):
        raise InputError(f"{option}: found {text!r}; allowed is {form}, in numbers")
    return found


def _scan_in_words(scan: Measurement) -> str:
    energies = scan.energies_eV
    first, last = np.rad2deg(scan.angles_rad[[0, -1]])
    views = f"{len(scan.angles_rad)} views from {first:.4g} to {last:.4g} degrees"
    return (
        f"{len(energies)} energies {energies.min():g}..{energies.max():g} eV, {views}, {scan.rows} x {scan.columns} pixels of "
        f"{scan.pixel_um * 1000:.4g} nm, axis at column {scan.center_px:.2f}"
    )


def _findings(conclusion: Conclusion) -> list[str]:
    found = conclusion.map
    amounts = np.nan_to_num(found.amounts).reshape(len(found.species), -1)
    particle = amounts.sum(axis=0) >= 0.5
    held = amounts[:, particle].sum(axis=1, dtype=float)
    share = held[fp_index(found.species)] / held.sum() if held.sum() > 0 else float("nan")
    unit = "pixels" if found.is_series else "voxels"
    sigma = found.phase_fraction_sigma
    typical = float("nan") if sigma is None or not particle.any() else float(np.nanmedian(sigma.reshape(-1)[particle]))
    return [
        f"  {unit} with iron >= 0.5 {int(particle.sum()):11d}",
        f"  FP, share of their iron{share:11.4g}",
        f"  sigma of x in one      {typical:11.4g} (median)",
        f"  chi2 per freedom       {conclusion.reduced_chi2:11.4g}",
    ]


def _charge_in_words(charge: ChargeFindings, balance: Balance) -> list[str]:
    counted = charge.capacity_mAh_per_g
    smoothed = charge.differential.resolution_V
    lines = [
        f"  counted charge         {counted:10.4g} mAh/g: {counted / THEORETICAL_mAh_g:.4g} of the iron Fe3+",
        f"  plateau                {charge.plateau_V:10.5g} V, sigma {charge.plateau_sigma_V:.1e}: median of the middle half, "
        f"in which it rises {charge.plateau_rise_V:.2g} V",
        f"  most charge at         {charge.differential.peak_V:10.5g} V: peak of dQ/dV, smoothed by {smoothed:.2g} V",
    ]
    if charge.overpotential_V is None or charge.equilibrium_V is None:
        lines.append("  overpotential             unknown: the record holds no rest of 4 samples on the plateau")
    else:
        lines.append(
            f"  overpotential          {charge.overpotential_V:10.4g} V, sigma {charge.overpotential_sigma_V:.1e}, "
            f"above the rest at {charge.equilibrium_V:.4f} V: resistance, kinetics, transport and nucleation together"
        )
    lines += [
        f"  imaged less counted    {imaged - counted:10.3g}, sigma {sigma:.2g}: {imaged:.4f} less {counted:.4f}, at {time:.6g} s"
        for time, imaged, counted, sigma in zip(balance.time_s, balance.imaged, balance.counted, balance.sigma, strict=True)
    ]
    told = (
        "the record is taken to end with the scan; not in that sigma: active mass, standards, and that what is imaged need not be"
    )
    return [*lines, f"    {told} as far as the electrode"]
