"""Addressed randomness: every draw has a generator of its own, made from stable names.

A draw depends on its address alone, never on order, chunks or threads, and taking one effect out
leaves every other draw as it was.
"""

from zlib import crc32

import numpy as np


def generator(seed: int, *address: str | int) -> np.random.Generator:
    """Generator for `address`, e.g. (seed, "shot noise", 7126000, 0, "flat", 3): names and whole numbers >= 0."""
    key = tuple(crc32(part.encode()) if isinstance(part, str) else part for part in address)
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed, spawn_key=key)))
