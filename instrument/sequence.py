"""Which frame ends up in which place of the file."""

import numpy as np
from numpy.typing import NDArray

from .randomness import generator
from .settings import Camera


def frame_order(camera: Camera, count: int, seed: int, *address: str | int) -> NDArray[np.intp]:
    """The frame (place,) that each of `count` places of the file holds.

    A dropped frame is missing: the later ones move up, and the last stands in for what is missing at the end. A repeated
    frame stands in for the next one.
    """
    order = np.arange(count)
    if camera.dropped_frames:
        kept = np.flatnonzero(generator(seed, "dropped frames", *address).random(count) >= camera.dropped_frames)
        kept = kept if kept.size else order[:1]
        order = np.concatenate([kept, np.full(count - len(kept), kept[-1])])
    if camera.repeated_frames:
        again = generator(seed, "repeated frames", *address).random(count) < camera.repeated_frames
        for place in np.flatnonzero(again[1:]) + 1:
            order[place] = order[place - 1]
    return order
