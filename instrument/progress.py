"""How work that takes long tells how far it is."""

from collections.abc import Callable

Progress = Callable[[str, int, int], None]
"""Called with the stage's name, how many of its parts are done, and of how many."""
