"""Many datasets as one: a beamline writes a file per energy, the analysis asks for (energy, frame, row, column)."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Key = tuple[int | slice, ...]


def expanded(key: Any, shape: tuple[int, ...]) -> Key:
    """`key` as one int or slice for each axis of `shape`, none of them negative.

    Raises IndexError for what is out of range or no int, slice or Ellipsis.
    """
    given = key if isinstance(key, tuple) else (key,)
    dots = [n for n, part in enumerate(given) if part is Ellipsis]
    if len(dots) > 1 or len(given) - len(dots) > len(shape):
        raise IndexError(f"index {key!r} does not fit {len(shape)} axes")
    at = dots[0] if dots else len(given)
    missing = len(shape) - (len(given) - len(dots))
    full: Key = ()
    for part, length in zip((*given[:at], *(slice(None),) * missing, *given[at + 1 :]), shape, strict=True):
        if isinstance(part, slice):
            start, stop, step = part.indices(length)
            if step < 1:
                raise IndexError(f"index {key!r} goes backwards; frames are read forwards")
            full += (slice(start, max(start, stop), step),)
        elif isinstance(part, (int, np.integer)) and not isinstance(part, bool):
            if not -length <= part < length:
                raise IndexError(f"index {part} is outside 0..{length - 1}")
            full += (int(part) % length,)
        else:
            raise IndexError(f"index {part!r} is no int, slice or Ellipsis")
    return full


def extent(key: Key) -> tuple[int, ...]:
    """Shape of what an expanded key selects."""
    return tuple(len(range(part.start, part.stop, part.step)) for part in key if isinstance(part, slice))


@dataclass(frozen=True)
class Chosen:
    """Some frames of a dataset (frame, row, column), in the order of `numbers` (n,), as if they were all of it."""

    data: Any
    numbers: NDArray[np.intp]

    @property
    def shape(self) -> tuple[int, ...]:
        """(n, rows, columns)."""
        return (len(self.numbers), *self.data.shape[1:])

    @property
    def ndim(self) -> int:
        """3."""
        return len(self.shape)

    @property
    def dtype(self) -> np.dtype[Any]:
        """That of the dataset."""
        found: np.dtype[Any] = self.data.dtype
        return found

    def __getitem__(self, key: Any) -> Any:
        frame, *rest = expanded(key, self.shape)
        if isinstance(frame, int):
            return self.data[(int(self.numbers[frame]), *rest)]
        numbers = self.numbers[frame]
        if len(numbers) and np.array_equal(numbers, np.arange(numbers[0], numbers[0] + len(numbers))):
            return self.data[(slice(int(numbers[0]), int(numbers[-1]) + 1), *rest)]
        found = np.empty((len(numbers), *extent(tuple(rest))), self.dtype)
        for n, number in enumerate(numbers):
            found[n] = self.data[(int(number), *rest)]
        return found

    def __setitem__(self, key: Any, value: Any) -> None:
        frame, *rest = expanded(key, self.shape)
        if isinstance(frame, int):
            self.data[(int(self.numbers[frame]), *rest)] = value
            return
        numbers = self.numbers[frame]
        blocks = np.broadcast_to(value, (len(numbers), *extent(tuple(rest))))
        for number, block in zip(numbers, blocks, strict=True):
            self.data[(int(number), *rest)] = block


@dataclass(frozen=True)
class Stacked:
    """One array-like (energy, frame, row, column) made of one (frame, row, column) per energy.

    Reads and writes what an index of ints, slices and Ellipsis asks for, and no more. The parts have one shape and
    dtype; ValueError otherwise.
    """

    parts: tuple[Any, ...]

    def __post_init__(self) -> None:
        kinds = {(tuple(part.shape), np.dtype(part.dtype)) for part in self.parts}
        if len(kinds) != 1 or len(self.parts[0].shape) != 3:
            raise ValueError(f"parts of {sorted(str(kind) for kind in kinds)} make no stack; allowed is one shape and dtype")

    @property
    def shape(self) -> tuple[int, ...]:
        """(energies, frames, rows, columns)."""
        return (len(self.parts), *self.parts[0].shape)

    @property
    def ndim(self) -> int:
        """4."""
        return 4

    @property
    def dtype(self) -> np.dtype[Any]:
        """That of the parts."""
        found: np.dtype[Any] = self.parts[0].dtype
        return found

    def __len__(self) -> int:
        return len(self.parts)

    def __getitem__(self, key: Any) -> Any:
        energy, *rest = expanded(key, self.shape)
        if isinstance(energy, int):
            return self.parts[energy][tuple(rest)]
        chosen = self.parts[energy]
        found = np.empty((len(chosen), *extent(tuple(rest))), self.dtype)
        for n, part in enumerate(chosen):
            found[n] = part[tuple(rest)]
        return found

    def __setitem__(self, key: Any, value: Any) -> None:
        energy, *rest = expanded(key, self.shape)
        if isinstance(energy, int):
            self.parts[energy][tuple(rest)] = value
            return
        chosen = self.parts[energy]
        for part, block in zip(chosen, np.broadcast_to(value, (len(chosen), *extent(tuple(rest)))), strict=True):
            part[tuple(rest)] = block

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return np.asarray(self[...], dtype)
