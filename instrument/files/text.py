"""Spectra and charge curves as text."""

from pathlib import Path

import numpy as np

from phantom.errors import InputError

from ..measurement import CHARGE_COLUMNS, ChargeCurve, Spectrum
from .hdf5 import whole_file


def write_spectrum(path: Path, spectrum: Spectrum, density_g_cm3: float) -> None:
    """A standard: header, then energy_eV and mu_per_um at LFP's iron density."""
    unit = "normalized" if spectrum.normalized else "1/um at the iron density of LiFePO4"
    header = f"name: {spectrum.name}\nformula: {spectrum.formula}\nunit: {unit}\ndensity_g_cm3: {density_g_cm3:g}\n"
    columns = "energy_eV " + ("normalized_mu" if spectrum.normalized else "mu_per_um")
    with whole_file(path) as temporary:
        np.savetxt(
            temporary, np.column_stack([spectrum.energies_eV, spectrum.mu]), fmt=["%.4f", "%.10g"], header=header + columns
        )


def read_spectrum(path: Path, name: str, column: str | None = None) -> Spectrum:
    """A two-column file (eV, mu) or one column, by label or number from 1, of an Athena .nor file.

    Lines with # are header; 'normalized' or '.nor' there, or a last value near 1 after a first near 0,
    marks a normalized spectrum, 'mu_per_um' an absolute one. Raises InputError with file and line.
    """
    try:
        lines = path.read_text(errors="replace").splitlines()
    except OSError as error:
        raise InputError(f"{path}: spectrum of {name} cannot be read ({error.strerror})") from error
    header = [line.lstrip("#").strip() for line in lines if line.lstrip().startswith("#")]
    rows: list[list[float]] = []
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        try:
            rows.append([float(word) for word in line.replace(",", " ").split()])
        except ValueError:
            raise InputError(f"{path}, line {number}: found {line.strip()[:40]!r}; allowed are numbers (energy_eV mu)") from None
        if len(rows[-1]) < 2 or len(rows[-1]) != len(rows[0]):
            raise InputError(
                f"{path}, line {number}: found {len(rows[-1])} columns; allowed is the same number, 2 or more, in each line"
            )
    if not rows:
        raise InputError(f"{path}: holds no numbers; allowed is two columns, energy in eV and mu")
    table = np.array(rows)
    energies, mu = table[:, 0], table[:, _column(path, header, table.shape[1], column)]
    text = " ".join(header).lower()
    if "mu_per_um" in text:
        normalized = False
    else:
        looks = bool(np.isfinite(mu).all() and abs(mu[0]) < 0.2 and 0.6 < float(mu[-max(1, len(mu) // 10) :].mean()) < 1.4)
        normalized = "normalized" in text or path.suffix == ".nor" or looks
    formula, own = (_told(header, word) for word in ("formula", "name"))
    if own != name and {own, name} == {"LFP", "FP"}:
        raise InputError(f"{path}: its header says name: {own}; allowed for {name} is its own spectrum; are files mixed up?")
    return Spectrum(name, energies, mu, normalized, formula)


def _told(header: list[str], word: str) -> str:
    """What a header says after `word`: nothing, if it does not."""
    return next((line.split(":", 1)[1].strip() for line in header if line.lower().startswith(f"{word}:")), "")


def _column(path: Path, header: list[str], count: int, column: str | None) -> int:
    """Index of the wanted column in a table of `count` columns."""
    labels = header[-1].split() if header else []
    if column is None:
        if count == 2:
            return 1
        raise InputError(
            f"{path}: has {count} columns; say which with PATH:COLUMN, a label or a number from 1; labels: {' '.join(labels)}"
        )
    if column.isdigit() and 1 < int(column) <= count:
        return int(column) - 1
    if column in labels[1:count]:
        return labels.index(column)
    raise InputError(f"{path}: no column {column!r}; allowed is 2..{count} or one of {' '.join(labels[1:])}")


def write_charge(path: Path, curve: ChargeCurve) -> None:
    """A charge curve as comma-separated text: comments, a header, one line a sample."""
    header = f"# charge of a cell; current positive on charge, capacity per active mass\n{','.join(CHARGE_COLUMNS)}"
    table = np.column_stack([getattr(curve, name) for name in CHARGE_COLUMNS])
    with whole_file(path) as temporary:
        np.savetxt(temporary, table, fmt="%.12g", delimiter=",", header=header, comments="")


def read_charge(path: Path) -> ChargeCurve:
    """The columns `write_charge` writes; lines with # and empty ones are skipped. Raises InputError with file and line."""
    try:
        lines = path.read_text(errors="replace").splitlines()
    except OSError as error:
        raise InputError(f"{path}: charge curve cannot be read ({error.strerror}); is it a file you may read?") from error
    told = [(number, line) for number, line in enumerate(lines, 1) if line.strip() and not line.lstrip().startswith("#")]
    wanted = ",".join(CHARGE_COLUMNS)
    if not told or [name.strip() for name in told[0][1].split(",")] != list(CHARGE_COLUMNS):
        found = f", line {told[0][0]}: found {told[0][1].strip()[:60]!r}" if told else ": holds no header"
        raise InputError(f"{path}{found}; allowed is the header {wanted}; name the columns so")
    rows: list[list[float]] = []
    for number, line in told[1:]:
        try:
            row = [float(word) for word in line.split(",")]
        except ValueError:
            row = []
        if len(row) != len(CHARGE_COLUMNS) or not np.all(np.isfinite(row)):
            raise InputError(
                f"{path}, line {number}: found {line.strip()[:60]!r}; allowed are {len(CHARGE_COLUMNS)} numbers, {wanted}"
            )
        if rows and row[0] <= rows[-1][0]:
            raise InputError(
                f"{path}, line {number}: time_s is {row[0]:g} after {rows[-1][0]:g}; allowed is rising time; sort it"
            )
        rows.append(row)
    if len(rows) < 2:
        raise InputError(f"{path}: found {len(rows)} samples; allowed at least 2; record longer")
    return ChargeCurve(*np.array(rows).T)
