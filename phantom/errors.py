"""The one exception for bad input."""


class InputError(ValueError):
    """Input that cannot be used: one line that says where, what was found, what is allowed."""
