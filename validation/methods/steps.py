"""A user's engine or fit as a step of our stack: in its own process, its answers checked."""

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analysis.own import Own

from ..guests.guest import Guest, GuestError

Values = NDArray[np.float32]


@contextmanager
def own_steps(texts: dict[str, str], limit_s: float, python: str) -> Iterator[Own]:
    """The functions that `texts` {role: path/file.py:name} name, ready to be called. Raises InputError for one that cannot be."""
    with ExitStack() as stack:
        guests = {role: stack.enter_context(Guest(text, limit_s, python)) for role, text in texts.items()}
        lock = threading.Lock()  # a guest answers one call at a time; ours come from several threads
        failed: list[GuestError] = []

        def asked(role: str, *arguments: Any, **named: Any) -> Any:
            with lock:
                if failed:  # what has failed once is not waited for again
                    raise failed[0]
                try:
                    return guests[role](*arguments, **named)
                except GuestError as error:
                    failed.append(error)
                    raise

        def engine(rays: Values, angles_rad: NDArray[Any], *, center_px: float, pixel_um: float) -> Values:
            answer = asked("engine", rays, angles_rad, center_px=center_px, pixel_um=pixel_um)
            rows, _, columns = rays.shape
            return finite(checked("engine", answer, (rows, columns, columns)), "engine")

        def fit(mu: Values, sigma: Values, energies_eV: NDArray[Any], standards: NDArray[Any]) -> tuple[Values, Values]:
            answer = asked("fit", mu, sigma, energies_eV, standards)
            if not isinstance(answer, (tuple, list)) or len(answer) != 2:
                raise GuestError(f"fit: answers with {type(answer).__name__}; allowed is a pair: amounts, sigma")
            shape = (len(standards), mu.shape[1])
            amounts, spread = checked("fit", answer[0], shape), checked("fit", answer[1], shape)
            if (spread < 0).any():
                raise GuestError(f"fit: {int((spread < 0).sum())} of {spread.size} sigmas are below 0; allowed is 0 or more")
            return amounts, spread

        yield Own(engine if "engine" in guests else None, fit if "fit" in guests else None)


def checked(role: str, answer: Any, shape: tuple[int, ...]) -> Values:
    """An answer as numbers of the shape that the role promises. Raises GuestError for another."""
    values = np.asarray(answer)
    if values.shape != shape or values.dtype.kind not in "fiu":
        raise GuestError(f"{role}: answers with shape {values.shape}, {values.dtype}; allowed is {shape}, real numbers")
    return values.astype(np.float32)


def finite(values: Values, role: str) -> Values:
    """The same, where all of it is finite. Raises GuestError where it is not."""
    bad = int(np.sum(~np.isfinite(values)))
    if bad:
        raise GuestError(f"{role}: {bad} of {values.size} values are NaN or infinite; allowed are finite ones")
    return values
