"""A user's function, `path/file.py:name` or `module:name`, called in a process of its own and within a time."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psutil

from phantom.errors import InputError

from . import worker

FORM = re.compile(r"(?P<place>.+\.py|[A-Za-z_][\w.]*):(?P<name>[A-Za-z_]\w*)")
_START_S = 60.0  # to import what a user's file imports
_ENDING_S = 0.2  # between closing its pipe and being gone
_READ_ONLY = ("read-only", "readonly", "WRITEABLE")


class GuestError(Exception):
    """What a user's function did instead of answering, in words."""


class Hung(GuestError):
    """It gave no answer in time."""


def parse(text: str) -> tuple[str, str]:
    """File or module, and name. Raises InputError for another form or a file that is not there."""
    match = FORM.fullmatch(text)
    if match is None:
        raise InputError(f"{text}: allowed is path/file.py:name or module:name")
    if match["place"].endswith(".py") and not Path(match["place"]).is_file():
        raise InputError(f"{match['place']}: no such file; allowed is path/file.py:name or module:name")
    return match["place"], match["name"]


class Guest:
    """Calls a user's function; its inputs are copies that cannot be written to. A call that takes longer than `limit_s` ends.

    The function runs in the interpreter `python`, which needs numpy and what the user's file imports, and nothing of ours.
    `parameters` are the function's, where Python knows them, `takes` how many arguments it takes without a name, at
    least and at most. Raises InputError for a function that cannot be found or loaded,
    `GuestError` for a call without an answer: the next call is answered by a new process.
    """

    def __init__(self, text: str, limit_s: float = 10.0, python: str = sys.executable):
        self.text, self.limit_s, self._python = text, limit_s, python
        self._place, self._name = parse(text)
        self._process: _Process | None = None
        self.parameters: tuple[str, ...] = ()
        self.takes: tuple[int, int] | None = None
        self._started()

    def _started(self) -> "_Process":
        """The process that answers."""
        if self._process is None:
            self._process = _Process(self._python, self._place, self._name)
            try:
                hello = self._answer(self._process, _START_S)
            except GuestError as error:
                raise InputError(f"{self.text}: {error} while it is loaded") from error
            if "failed" in hello:
                self.close()
                raise InputError(f"{self.text}: cannot be loaded: {_in_words(hello['failed'])}")
            self.parameters = tuple(hello["parameters"])
            self.takes = hello["takes"]
        return self._process

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        """What the function answers: arrays, numbers, text, and tuples and dictionaries of these."""
        process = self._started()
        try:
            worker.send(process.calls, {"arguments": list(arguments), "named": named})
        except BrokenPipeError:
            self.close()
            raise GuestError("its process has ended") from None
        reply = self._answer(process, self.limit_s)
        if "failed" in reply:
            raise GuestError(_in_words(reply["failed"]))
        return reply["answer"]

    def _answer(self, process: "_Process", limit_s: float) -> Any:
        """The next message; the process is ended where none comes in time."""
        found = process.answer(limit_s)
        if found is not None:
            return found
        status = process.status()
        self.close()
        if status is None:
            raise Hung(f"gives no answer within {limit_s:g} s")
        raise GuestError(f"its process ends with status {status}")

    def close(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.end()
            self._process = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


class _Process:
    """A worker with a function loaded, and the two pipes to it."""

    def __init__(self, python: str, place: str, name: str):
        # -P: what lies in the folder it is started from does not stand in for what the worker itself imports.
        # It starts in an empty folder: what lies where the user stands is not for it, but for the module it may be.
        self._home = tempfile.TemporaryDirectory(prefix="txm-guest-", ignore_cleanup_errors=True)
        file = str(Path(place).absolute()) if place.endswith(".py") else place
        command = [python, "-P", str(Path(worker.__file__)), file, name, str(Path.cwd())]
        self._popen = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=self._home.name, start_new_session=True
        )
        self._reader: threading.Thread | None = None
        assert self._popen.stdin is not None
        assert self._popen.stdout is not None
        self.calls, self._answers = self._popen.stdin, self._popen.stdout

    def answer(self, limit_s: float) -> Any:
        """The next message, None where none has come in time, or the process has ended."""
        found = []

        def wait() -> None:
            with contextlib.suppress(EOFError, ValueError, OSError):
                found.append(worker.receive(self._answers))

        self._reader = threading.Thread(target=wait, daemon=True)
        self._reader.start()
        self._reader.join(limit_s)
        return found[0] if found else None

    def status(self) -> int | None:
        """Exit status; None while it runs."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._popen.wait(_ENDING_S)
        return self._popen.poll()

    def end(self) -> None:
        """Whatever it does, and whatever it has started."""
        end_all(self._popen)
        with contextlib.suppress(BrokenPipeError):
            self.calls.close()
        if self._reader is not None:
            self._reader.join(_ENDING_S)
        if self._reader is None or not self._reader.is_alive():  # a child that got away may hold the pipe, and so its reader
            self._answers.close()
        self._home.cleanup()


def end_all(process: "subprocess.Popen[bytes]") -> None:
    """End a process that leads a session of its own, and all that it has started there or elsewhere."""
    with contextlib.suppress(psutil.NoSuchProcess):
        for child in psutil.Process(process.pid).children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):
                child.kill()
    with contextlib.suppress(AttributeError, ProcessLookupError, PermissionError):  # Windows has no sessions
        os.killpg(process.pid, signal.SIGKILL)
    process.kill()
    process.wait()


def _in_words(failed: list[str]) -> str:
    kind, text, where = failed
    text = " ".join(str(text).split()) or "no reason given"
    place = f" ({where})" if where else ""
    if any(word in text for word in _READ_ONLY):
        return f"writes to its input, or asks to{place}: {text}; copy what is changed"
    return f"raises {kind}: {text}{place}"
