"""Blocks of detector rows, worked on by threads; results do not depend on how many there are."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from threadpoolctl import threadpool_limits

from ..progress import Progress

T = TypeVar("T")

_ROWS = 8  # fixed, so that a result never depends on threads


def over_rows(
    run: Callable[[slice], T], rows: int, threads: int, progress: Progress | None = None, stage: str = "analyze"
) -> list[T]:
    """`run` of each block of rows, in order."""
    blocks = [slice(low, min(low + _ROWS, rows)) for low in range(0, rows, _ROWS)]
    done: list[T] = []
    # One BLAS thread in each worker: the sums then do not depend on how many threads there are.
    with threadpool_limits(1), ThreadPoolExecutor(threads) as pool:
        for part in pool.map(run, blocks):
            done.append(part)
            if progress:
                progress(stage, len(done), len(blocks))
    return done


def part_of(progress: Progress | None, low: float, high: float) -> Progress:
    """What moves `progress` from the share `low` of a stage to `high`."""

    def moved(stage: str, done: int, total: int) -> None:
        if progress:
            progress(stage, round(1000 * (low + (high - low) * min(done / total, 1.0))), 1000)

    return moved
