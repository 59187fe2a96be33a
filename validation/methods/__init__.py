"""Methods that turn a scan into a map: ours, ours with a step of a user's, or a user's own from beginning to end.

A METHOD is written as

    image, projection or joint      an order of our steps; KEY=VALUE of the table `analysis`; several: projection,window=hann
    engine=path/file.py:name        our stack with a user's engine; fit=path/file.py:name with a user's fit
    path/file.py:name, module:name  a user's pipeline
    command=PROGRAM ...             any program, with {scan}, {lfp}, {fp}, {charge}, {result} for the files' names
"""

from ..failure import MethodFailed
from .method import Method, parse_method

__all__ = ["Method", "MethodFailed", "parse_method"]
