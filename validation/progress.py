"""Progress: one bar on a terminal, plain lines elsewhere."""

import sys
import time
from types import TracebackType

from tqdm import tqdm

from analysis.choices import Analysis

# Stages and their share of the bar, from the default study's times; of "align", which that does not, from misaligned's.
_SHARE = {
    "sample": 20,
    "project": 5,
    "record": 35,
    "standards": 8,
    "files": 8,
    "align": 100,
    "analyze": 15,
    "replicate": 100,
    "budget": 1000,
    "score": 12,
    "report": 5,
}
RUN = ("sample", "project", "record", "standards", "analyze", "score", "report")
SIMULATE = ("sample", "project", "record", "files")


def stages(names: tuple[str, ...], settings: Analysis, *, budget: bool = False) -> tuple[str, ...]:
    """The stages `names`, that of alignment where there is one, and that of the budget after the analysis."""
    at = names.index("analyze")
    align, costs = ("align",) if settings.align.is_iterated else (), ("budget",) if budget else ()
    return (*names[:at], *align, names[at], *costs, *names[at + 1 :])


class Reporter:
    """Called as (stage, done, total), for the `stages` in their order."""

    def __init__(self, stages: tuple[str, ...]) -> None:
        self._share = {name: _SHARE[name] for name in stages}
        self._terminal = sys.stderr.isatty()
        self._bar = tqdm(
            total=sum(self._share.values()),
            disable=not self._terminal,
            bar_format="{desc:<10} {bar} {percentage:3.0f}% {elapsed}",
            leave=False,
        )
        self._before = time.perf_counter()
        self._done = 0.0
        self._open = ""

    def __call__(self, stage: str, done: int, total: int) -> None:
        """Move the bar to `done` of `total` of a stage; off a terminal, print the stage's seconds at its end.

        A stage that is over before its total, as it may settle, ends where the next begins.
        """
        if self._open not in ("", stage):
            self._end(self._open)
        self._bar.set_description_str(stage, refresh=False)
        names = list(self._share)
        passed = sum(self._share[name] for name in names[: names.index(stage)]) + self._share[stage] * done / total
        self._bar.update(passed - self._done)
        self._done = passed
        self._open = stage
        if done == total:
            self._end(stage)

    def _end(self, stage: str) -> None:
        now = time.perf_counter()
        if not self._terminal:
            print(f"{stage:<10} {now - self._before:6.1f} s", flush=True)
        self._before, self._open = now, ""

    def __enter__(self) -> "Reporter":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._bar.close()
