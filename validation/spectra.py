"""Spectra as they are typed on the command line."""

from pathlib import Path

from instrument.files.text import read_spectrum
from instrument.measurement import Spectrum
from phantom import InputError

from .study import spectrum_path


def standard_of(text: str) -> Spectrum:
    """The standard that NAME=FILE or NAME=FILE:COLUMN names. Raises InputError for another form, or what holds no spectrum."""
    name, equals, place = text.partition("=")
    if not equals or not name or not place:
        raise InputError(f"--standards: found {text!r}; allowed is NAME=FILE, such as LFP=standards/LFP.txt")
    return spectrum_at(name, place)


def spectrum_at(name: str, place: str) -> Spectrum:
    """The spectrum of a file, PATH or PATH:COLUMN. Raises InputError for one that cannot be read."""
    path, column = spectrum_path(place) or (Path(place), None)
    return read_spectrum(path, name, column)
