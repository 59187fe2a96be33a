"""What a METHOD is, and the one that a text names."""

import re
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from analysis.own import Own
from analysis.pipeline import METHODS, Conclusion, analyze
from instrument.files.native import open_scan
from instrument.progress import Progress
from phantom import InputError

from ..failure import MethodFailed
from ..files import read_standards
from ..guests.guest import FORM, GuestError, parse
from ..study import Study, merge, nested, parse_setting, study_from
from .outside import Outside, Pipeline, Program, check_answer
from .steps import own_steps

_OWN = ("engine", "fit")


@dataclass(frozen=True)
class Method:
    """`text` as typed; `changes` of a study's table `analysis`, {dotted key: value}.

    `own` are the functions that stand in for a step, by role, run by the interpreter `python`; `outside` does it all, where it is
    not None.
    """

    text: str
    changes: dict[str, Any] = field(default_factory=dict)
    own: dict[str, str] = field(default_factory=dict)
    outside: Outside | None = None
    limit_s: float = 600.0
    python: str = sys.executable

    @property
    def is_ours(self) -> bool:
        """Whether nothing of a user's takes part."""
        return self.outside is None and not self.own

    def applied_to(self, study: Study) -> Study:
        """The study with this method's choices. Raises InputError for choices that do not go together."""
        if not self.changes:
            return study
        values = msgspec.to_builtins(study)
        for key, value in self.changes.items():
            merge(values, nested(f"analysis.{key}", value))
        return study_from(values)

    def check(self, study: Study) -> None:
        """InputError for a user's part that cannot be started, or has no place in a study, before anything else takes time."""
        if self.outside is not None:
            self.outside.check()
        steps = dict.fromkeys(self.own, _nothing)
        Own(**steps).check(self.applied_to(study).analysis, study.scan.kind == "series")
        with own_steps(self.own, self.limit_s, self.python):
            pass

    def analyze(self, folder: Path, study: Study, *, threads: int = 1, progress: Progress | None = None) -> Conclusion:
        """What the method concludes from the scan, standards and charge curve in a folder; it sees nothing else of it.

        `study` has this method's choices (`applied_to`) and is not shown to a user's part. Raises MethodFailed where that gives
        no map.
        """
        if self.outside is not None:
            return self.outside(folder, self.limit_s)
        standards = read_standards(folder)
        try:
            with own_steps(self.own, self.limit_s, self.python) as own, open_scan(folder / "scan.h5") as scan:
                found = analyze(scan, standards, study.analysis, own=own, threads=threads, progress=progress)
            if self.own:
                check_answer(found.map)
            return found
        except GuestError as error:
            raise MethodFailed(f"{self.text}: {error}") from error
        except InputError as error:
            if not self.own:
                raise
            raise MethodFailed(f"{self.text}: {error}") from error


def _nothing(*arguments: Any, **named: Any) -> Any:
    """Stands for a step that is not called."""


def parse_method(text: str, limit_s: float = 600.0, python: str = sys.executable) -> Method:
    """The method that a text names, "" the study's own; a user's part is not started yet. Raises InputError for another text."""
    if not text:
        return Method(text)
    if text.startswith("command="):
        return Method(text, outside=Program(text), limit_s=limit_s)
    if FORM.fullmatch(text) and "=" not in text.partition(".py")[0]:
        return Method(text, outside=Pipeline(text, python), limit_s=limit_s)
    changes: dict[str, Any] = {}
    own: dict[str, str] = {}
    for part in text.split(","):
        key, equals, value = part.partition("=")
        if not equals and part in METHODS:
            changes["method"] = part
        elif equals and key in _OWN and FORM.fullmatch(value):
            parse(value)
            own[key] = value
        elif equals and key != "fit" and re.fullmatch(r"[a-z_.]+", key):
            changes.update([parse_setting(part)])
        else:
            raise InputError(
                f"--method: found {part!r}; allowed are {', '.join(METHODS)}, KEY=VALUE of the table analysis, "
                "path/file.py:name, module:name, engine=..., fit=..., command=..."
            )
    return Method(text, changes, own, limit_s=limit_s, python=python)
