"""What a user's method did instead of giving a map."""


class MethodFailed(Exception):
    """A user's method gave no map: what it did instead, in words."""
