"""Methods of a user's from beginning to end: a function or a program that gets a fresh folder, and writes a result."""

import hashlib
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from analysis.pipeline import Conclusion
from analysis.result import AmountMap
from instrument.files.native import open_scan
from phantom import InputError

from ..failure import MethodFailed
from ..files import STANDARDS
from ..guests.guest import Guest, GuestError, end_all
from ..results import Stated, read_result

_SHOWN = ("scan.h5", "standards/LFP.txt", "standards/FP.txt", "charge.csv")
_WORDS = 300  # of what a program said last


class Outside(Protocol):
    """A method that gets a folder of copies, and leaves its result there."""

    def check(self) -> None:
        """InputError for what cannot be started."""

    def __call__(self, folder: Path, limit_s: float) -> Conclusion:
        """What it concludes from the scan of a run's folder. Raises MethodFailed where it gives no map."""
        ...


@dataclass(frozen=True)
class Pipeline:
    """A function pipeline(scan_path, standards_paths, out_path); the second is {"LFP": path, "FP": path}."""

    text: str
    python: str

    def check(self) -> None:
        """InputError for a function that cannot be loaded, or takes something else."""
        with Guest(self.text, python=self.python) as guest:
            if guest.takes is not None and not guest.takes[0] <= 3 <= guest.takes[1]:
                raise InputError(
                    f"{self.text}: takes {', '.join(guest.parameters)}; allowed as a method is (scan_path, standards_paths, "
                    "out_path); an engine or a fit is given as engine=... or fit=..."
                )

    def __call__(self, folder: Path, limit_s: float) -> Conclusion:
        """Call it in its own process."""
        with fresh(folder, self.text) as place, Guest(self.text, limit_s, self.python) as guest:
            standards = {name: str(place / "standards" / f"{name}.txt") for name in STANDARDS}
            try:
                guest(str(place / "scan.h5"), standards, str(place / "result.h5"))
            except GuestError as error:
                raise MethodFailed(f"{self.text}: {error}") from error
            return _concluded(place, self.text)


@dataclass(frozen=True)
class Program:
    """A program, `text` "command=PROGRAM ...", started in the fresh folder, where it leaves result.h5.

    {scan}, {lfp}, {fp}, {charge} and {result} in its words stand for the files' names. No shell reads them.
    """

    text: str

    @property
    def words(self) -> list[str]:
        """What is started; names of files made absolute, as it starts in another folder."""
        try:
            words = shlex.split(self.text.removeprefix("command="))
        except ValueError as error:
            raise InputError(f"--method: found {self.text!r} ({error}); allowed is command=PROGRAM, quotes closed") from error
        return [str(Path(word).absolute()) if Path(word).is_file() else word for word in words]

    def check(self) -> None:
        """InputError where there is no such program."""
        if not self.words or shutil.which(self.words[0]) is None:
            raise InputError(f"--method: found {self.text!r}; allowed is command=PROGRAM with a program that can be found")

    def __call__(self, folder: Path, limit_s: float) -> Conclusion:
        """Run it, all it starts included."""
        with fresh(folder, self.text) as place:
            names = {"scan": "scan.h5", "lfp": "standards/LFP.txt", "fp": "standards/FP.txt"}
            names |= {"charge": "charge.csv", "result": "result.h5"}
            filled = self.words
            for name, path in names.items():
                filled = [word.replace(f"{{{name}}}", path) for word in filled]
            _ran(filled, place, limit_s, self.text)
            return _concluded(place, self.text)


def _ran(words: list[str], place: Path, limit_s: float, text: str) -> None:
    """Run a program in a folder. Raises MethodFailed where it fails or takes longer; all that it has started ends with it."""
    with tempfile.TemporaryFile() as said:
        try:
            process = subprocess.Popen(
                words, cwd=place, stdin=subprocess.DEVNULL, stdout=said, stderr=subprocess.STDOUT, start_new_session=True
            )
        except OSError as error:
            raise MethodFailed(f"{text}: cannot be started ({error.strerror})") from error
        try:
            status = process.wait(limit_s)
        except subprocess.TimeoutExpired:
            raise MethodFailed(f"{text}: gives no answer within {limit_s:g} s") from None
        finally:
            end_all(process)
        if status:
            said.seek(max(0, said.seek(0, 2) - 4 * _WORDS))
            last = " ".join(said.read().decode(errors="replace").split())[-_WORDS:]
            raise MethodFailed(f"{text}: ends with status {status}" + (f": {last}" if last else ""))


@contextmanager
def fresh(folder: Path, text: str) -> Iterator[Path]:
    """A new folder with copies of what a beamline hands over. Raises MethodFailed at the end where one was written to."""
    with tempfile.TemporaryDirectory(prefix="txm-scan-") as name:
        place = Path(name)
        (place / "standards").mkdir()
        shown = [one for one in _SHOWN if (folder / one).exists()]
        for one in shown:
            shutil.copyfile(folder / one, place / one)
            (place / one).chmod(0o444)
        yield place
        for one in shown:
            if not (place / one).is_file() or _digest(place / one) != _digest(folder / one):
                raise MethodFailed(f"{text}: writes to its input {one}; copy what is changed")


def _digest(path: Path) -> bytes:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()


def _concluded(place: Path, text: str) -> Conclusion:
    """The map that a method left in its folder, with nothing known of how it was made."""
    # Files and folders alone: from a pipe one might wait for ever.
    found_there = [path for path in place.glob("result*") if path.is_file() or path.is_dir()]
    written = sorted(found_there, key=lambda path: path.name != "result.h5")
    if not written:
        raise MethodFailed(f"{text}: wrote no result.h5")
    with open_scan(place / "scan.h5") as scan:
        energies, pixel_um = scan.energies_eV, scan.pixel_um
    # A file that does not say its voxel is taken to have the scan's.
    stated = Stated() if written[0].suffix == ".h5" else Stated(voxel_um=pixel_um)
    remarks = [f"made by {text}"]
    try:
        found = read_result(written[0], stated, tell=lambda line: remarks.append(line.replace(f"{place}/", "")))
        check_answer(found)
    except InputError as error:
        raise MethodFailed(f"{text}: its result cannot be read: {str(error).replace(f'{place}/', '')}") from error
    nothing = np.zeros((len(energies), 0))
    return Conclusion(found, energies, nothing, {}, float("nan"), 0, 0, float("nan"), None, tuple(remarks))


def check_answer(found: AmountMap) -> None:
    """InputError for a map without iron."""
    if not np.isfinite(found.phase_fraction).any():
        raise InputError("no voxel has iron of 0.05 or more; allowed is a map with iron")
