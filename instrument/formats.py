"""Files: the native scan, spectra, charge curves, and the rule that a file appears whole or not at all."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from phantom.errors import InputError

from .measurement import CHARGE_COLUMNS, ChargeCurve, Measurement, Spectrum

Array = NDArray[np.float64]
FORMAT_VERSION = 1


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A temporary neighbour of `path` that takes its place on success and vanishes on failure.

    Raises InputError where the folder cannot be written.
    """
    try:
        handle, name = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
        os.close(handle)
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror}); choose a folder you may write to with -o") from error
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o644)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def open_hdf5(path: Path, what: str) -> Iterator[h5py.File]:
    """An HDF5 file for reading; InputError where it is missing, empty, truncated or no HDF5 file."""
    if not path.is_file():
        raise InputError(f"{path}: no such {what} file")
    try:
        file = h5py.File(path, "r")
    except OSError as error:
        raise InputError(
            f"{path}: not a readable HDF5 file ({path.stat().st_size} bytes; empty, truncated or another format); "
            f"allowed is a {what} file; write it again"
        ) from error
    with file:
        try:
            yield file
        except OSError as error:
            raise InputError(f"{path}: its data cannot be read ({error}); the file is damaged, write it again") from error


def dataset(file: h5py.File, name: str, dimensions: int) -> h5py.Dataset:
    """A numeric dataset with so many dimensions, or InputError."""
    found = file.get(name)
    if not isinstance(found, h5py.Dataset) or found.ndim != dimensions or found.dtype.kind not in "iuf":
        what = "missing" if found is None else f"not numbers with {dimensions} dimensions"
        raise InputError(f"{file.filename}: /{name} is {what}; is this a txm-twin file?")
    return found


@contextmanager
def new_scan(
    path: Path,
    energies_eV: Array,
    angles_rad: Array,
    time_s: Array,
    shape: tuple[int, int],
    flats: int,
    darks: int,
    pixel_um: float,
    center_px: float,
    exposure_s: float,
) -> Iterator[Measurement]:
    """A native scan file to be filled energy by energy; it appears at `path` when the block ends."""
    with whole_file(path) as temporary, h5py.File(temporary, "w") as file:
        n = len(energies_eV)
        file["energies_eV"], file["angles_rad"], file["time_s"] = energies_eV, angles_rad, time_s
        for name, frames in (("projections", len(angles_rad)), ("flats", flats), ("darks", darks)):
            file.create_dataset(name, (n, frames, *shape), np.uint16)
        file.attrs.update(
            {
                "format_version": FORMAT_VERSION,
                "pixel_um": pixel_um,
                "center_px": center_px,
                "exposure_s": exposure_s,
                "axes": "energy:angle:row:column",
            }
        )
        yield _measurement(file)


@contextmanager
def open_scan(path: Path) -> Iterator[Measurement]:
    """A native scan, its frames read when they are needed. Raises InputError for what is no such file."""
    with open_hdf5(path, "scan") as file:
        yield _measurement(file)


def _measurement(file: h5py.File) -> Measurement:
    frames = {name: dataset(file, name, 4) for name in ("projections", "flats", "darks")}
    values = {}
    for name in ("pixel_um", "center_px", "exposure_s"):
        if not isinstance(file.attrs.get(name), (int, float, np.number)):
            raise InputError(f"{file.filename}: attribute {name} is missing or no number; is this a txm-twin scan?")
        values[name] = float(file.attrs[name])
    return Measurement(
        energies_eV=np.asarray(dataset(file, "energies_eV", 1)[...], float),
        angles_rad=np.asarray(dataset(file, "angles_rad", 1)[...], float),
        time_s=np.asarray(dataset(file, "time_s", 2)[...], float),
        **frames,
        **values,
    )


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
    formula = next((line.split(":", 1)[1].strip() for line in header if line.lower().startswith("formula:")), "")
    return Spectrum(name, energies, mu, normalized, formula)


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
