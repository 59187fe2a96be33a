"""A study: everything a run needs, as frozen dataclasses read from TOML."""

import dataclasses
import difflib
import hashlib
import json
import math
import tomllib
import typing
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import msgspec
from msgspec import Meta

import instrument
from analysis.choices import Analysis
from instrument.cycler import Cycler
from instrument.housing import Housing
from instrument.scan import Scan
from instrument.settings import Beam, Camera, Instrument, Monochromator, Optics, Stage
from instrument.standards import Standard
from phantom import FP, LFP, Cell, Electrode, Front, InputError, Particle, Species

from .charging import Charging

STUDIES = Path(__file__).parent / "studies"
PRESETS = Path(instrument.__file__ or "").parent / "presets"


@dataclass(frozen=True)
class SpeciesTable:
    """The two iron-bearing species."""

    LFP: Species = LFP
    FP: Species = FP


@dataclass(frozen=True)
class StandardsTable:
    """The standards of the two species."""

    LFP: Standard = field(default_factory=Standard)
    FP: Standard = field(default_factory=Standard)


@dataclass(frozen=True)
class Verdict:
    """Limits that the report's words go by."""

    survivable_MGy: Annotated[
        float,
        Meta(
            gt=0,
            description="a dose above this is called unrealistic for an operando particle",
            extra={"unit": "MGy", "source": "guess: no damage threshold of LFP in electrolyte was found"},
        ),
    ] = 100.0


@dataclass(frozen=True)
class Study:
    """All settings of a closed loop. Equal studies with equal seeds give equal data."""

    name: Annotated[str, Meta(description="name of the study")] = "unnamed"
    description: Annotated[str, Meta(description="one line")] = ""
    presets: Annotated[
        tuple[str, ...],
        Meta(description="whose settings lie beneath the study's own: x8c, fxi, 32-id, ideal; cell-2032, capillary, pillar"),
    ] = ()
    seed: Annotated[int, Meta(ge=0, le=2**32 - 1, description="seed of every random draw")] = 1
    particle: Particle = field(default_factory=Particle)
    front: Front = field(default_factory=Front)
    electrode: Electrode = field(default_factory=Electrode)
    cell: Cell = field(default_factory=Cell)
    charging: Charging = field(default_factory=Charging)
    cycler: Cycler = field(default_factory=Cycler)
    species: SpeciesTable = field(default_factory=SpeciesTable)
    scan: Scan = field(default_factory=Scan)
    beam: Beam = field(default_factory=Beam)
    monochromator: Monochromator = field(default_factory=Monochromator)
    housing: Housing = field(default_factory=Housing)
    optics: Optics = field(default_factory=Optics)
    stage: Stage = field(default_factory=Stage)
    camera: Camera = field(default_factory=Camera)
    standards: StandardsTable = field(default_factory=StandardsTable)
    analysis: Analysis = field(default_factory=Analysis)
    verdict: Verdict = field(default_factory=Verdict)

    @property
    def instrument(self) -> Instrument:
        """Beam, monochromator, housing, optics, stage and camera together."""
        return Instrument(self.beam, self.monochromator, self.housing, self.optics, self.stage, self.camera)


def built_in() -> list[str]:
    """Names of the built-in studies."""
    return sorted(path.stem for path in STUDIES.glob("*.toml"))


def presets() -> list[str]:
    """Names of the presets of instruments and cells."""
    return sorted(path.stem for path in PRESETS.glob("*.toml"))


def load_study(source: str | Path = "default", changes: dict[str, Any] | None = None) -> Study:
    """A built-in study by name or a TOML file, with `changes` {dotted key: value} on top.

    A file may start from another with `extends = "default"`. Relative paths in it are relative to it.
    Raises InputError that names the key, what was found and what is allowed.
    """
    values = _read(source, ())
    for key, value in (changes or {}).items():
        change = nested(key, value)
        _resolve_spectra(change, Path.cwd())
        merge(values, change)
    return study_from(_beneath(values))


def _beneath(values: dict[str, Any]) -> dict[str, Any]:
    """The values on top of those of their presets, the last preset uppermost."""
    named = values.get("presets", [])
    if isinstance(named, str):
        named = [named]
    if not isinstance(named, list) or not all(name in presets() for name in named):
        raise InputError(f"study: presets is {named!r}; allowed is a list of {', '.join(presets())}")
    merged: dict[str, Any] = {}
    for name in named:
        merge(merged, tomllib.loads((PRESETS / f"{name}.toml").read_text()))
    merge(merged, values | {"presets": named})
    return merged


def study_from(values: dict[str, Any]) -> Study:
    """The study of nested plain values; what is left out keeps its default."""
    _check_keys(values, Study, "")
    # Complete before conversion: msgspec leaves a dataclass's defaults on the class, out of to_builtins.
    complete = msgspec.to_builtins(Study())
    merge(complete, values)
    try:
        study = msgspec.convert(complete, Study)
    except msgspec.ValidationError as error:
        raise InputError(explain(str(error), values)) from None
    study.scan.check()
    study.front.check()
    study.charging.check()
    study.analysis.check(study.scan.kind == "series")
    return study


def parse_setting(text: str) -> tuple[str, Any]:
    """KEY=VALUE of the command line; the value as TOML writes it, or a bare word."""
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise InputError(f"--set {text}: found no KEY=VALUE; write it like --set front.fraction=0.3")
    try:
        return key.strip(), tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        return key.strip(), value.strip()


def digest(study: Study) -> str:
    """Hash over the content of everything read: the settings, and the content, not the path, of spectra files."""
    values = msgspec.to_builtins(study)
    del values["name"], values["description"], values["seed"]
    for table in ("species", "standards"):
        for entry in values[table].values():
            path = spectrum_path(entry["spectrum"])
            if path:
                entry["spectrum"] = [hashlib.sha256(path[0].read_bytes()).hexdigest(), path[1]]
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:16]


def spectrum_path(value: str) -> tuple[Path, str | None] | None:
    """Path and column of a spectrum setting 'PATH' or 'PATH:COLUMN'; None for a word."""
    if value in ("parametric", "sample"):
        return None
    path, colon, column = value.rpartition(":")
    if colon and not Path(value).is_file() and Path(path).is_file():
        return Path(path), column
    if not Path(value).is_file():
        raise InputError(f"spectrum: no file {value!r}; allowed is 'parametric', 'sample' (standards), PATH or PATH:COLUMN")
    return Path(value), None


def _read(source: str | Path, seen: tuple[str, ...]) -> dict[str, Any]:
    path = STUDIES / f"{source}.toml" if str(source) in built_in() else Path(source)
    if not path.is_file():
        close = difflib.get_close_matches(str(source), built_in(), 1)
        hint = f"; did you mean {close[0]}?" if close else ""
        raise InputError(f"study {source}: no such file or built-in study; built in are {', '.join(built_in())}{hint}")
    if str(path) in seen:
        raise InputError(f"study {path}: extends itself by way of {' -> '.join(seen)}")
    try:
        values = tomllib.loads(path.read_text())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise InputError(f"study {path}: is not TOML: {error}") from None
    _resolve_spectra(values, path.parent)
    base = values.pop("extends", None)
    if base is not None and not isinstance(base, str):
        raise InputError(f"study {path}: extends is {base!r}; allowed is the name of a study or a file")
    values.setdefault("name", path.stem)
    if base is None:
        return values
    nearby = path.parent / base
    merged = _read(nearby if nearby.is_file() else base, (*seen, str(path)))
    merge(merged, values)
    return merged


def _resolve_spectra(values: dict[str, Any], folder: Path) -> None:
    """Make the paths of spectra, with or without :COLUMN, absolute, so that a resolved study runs from anywhere."""
    for table in ("species", "standards"):
        entries = values.get(table, {})
        for entry in entries.values() if isinstance(entries, dict) else ():
            spectrum = entry.get("spectrum") if isinstance(entry, dict) else None
            if isinstance(spectrum, str) and spectrum not in ("parametric", "sample"):
                entry["spectrum"] = str((folder / spectrum).resolve())


def merge(into: dict[str, Any], values: dict[str, Any]) -> None:
    """Lay `values` over `into`, table by table."""
    for key, value in values.items():
        if isinstance(value, dict) and isinstance(into.get(key), dict):
            merge(into[key], value)
        else:  # TOML knows dates, settings are their text
            into[key] = value.isoformat().replace("+00:00", "Z") if isinstance(value, datetime) else value


def nested(key: str, value: Any) -> dict[str, Any]:
    """Tables around a value, from a dotted key."""
    head, dot, tail = key.partition(".")
    return {head: nested(tail, value)} if dot else {head: value}


def _check_keys(values: Any, kind: type, where: str) -> None:
    """InputError for a key that `kind` does not have, or a number that is not finite."""
    if not isinstance(values, dict):
        raise InputError(f"study: {where or 'top level'} is {values!r}; allowed is a table of {', '.join(_fields(kind))}")
    for key, value in values.items():
        dotted = f"{where}.{key}" if where else key
        fields = _fields(kind)
        if key not in fields:
            close = difflib.get_close_matches(key, fields, 1)
            hint = f"did you mean {close[0]}?" if close else f"allowed are {', '.join(fields)}"
            raise InputError(f"study: unknown key {dotted}; {hint}")
        if dataclasses.is_dataclass(fields[key]):
            _check_keys(value, fields[key], dotted)
        elif any(isinstance(v, float) and not math.isfinite(v) for v in (value if isinstance(value, list) else [value])):
            raise InputError(f"study: {dotted} is {value}; allowed are finite numbers")


def _fields(kind: type) -> dict[str, Any]:
    hints = typing.get_type_hints(kind)
    return {entry.name: hints[entry.name] for entry in dataclasses.fields(kind)}


def explain(message: str, values: Any, kind: Any = Study, where: str = "study: ") -> str:
    """msgspec's words with the dotted key, after `where`, and what was found there in `values` of a `kind`."""
    wanted, _, place = message.partition(" - at ")
    path = place.strip("`").removeprefix("$.")
    found: Any = values
    for part in path.replace("[", ".[").split("."):
        try:
            found = found[int(part[1:-1])] if part.startswith("[") else found[part]
            kind = _fields(kind)[part] if isinstance(kind, type) and dataclasses.is_dataclass(kind) else kind
        except (KeyError, IndexError, TypeError, ValueError):
            break
    allowed = wanted.replace("`", "").removeprefix("Expected ").split(", got")[0]
    parts = [kind, *typing.get_args(kind)]
    parts += [inner for part in parts for inner in typing.get_args(part) if typing.get_origin(part) is Annotated]
    words = [word for part in parts if typing.get_origin(part) is typing.Literal for word in typing.get_args(part)]
    if words:
        if "Invalid" in allowed:  # msgspec has a number in mind, or only words
            allowed = "a number" if {int, float} & {part for part in parts if isinstance(part, type)} else ""
        allowed = " or ".join(filter(None, [allowed, ", ".join(map(repr, dict.fromkeys(words)))]))
    return f"{where}{path} is {found!r}; allowed is {allowed}"
