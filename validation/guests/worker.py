"""The process in which a user's function runs. It imports nothing of txm-twin, so a user's own packages keep their names.

Run as a script: worker.py FILE-or-MODULE NAME. Messages are a length, JSON and arrays in NumPy's format, both ways.
"""

import importlib
import importlib.util
import inspect
import io
import json
import os
import struct
import sys
import traceback
from pathlib import Path
from typing import IO, Any

import numpy as np


def send(stream: IO[bytes], message: Any) -> None:
    """A message of JSON's kinds, tuples and arrays, whole."""
    arrays: list[Any] = []
    body = json.dumps(_taken_apart(message, arrays)).encode()
    blobs = []
    for array in arrays:
        buffer = io.BytesIO()
        np.save(buffer, array)
        blobs.append(buffer.getvalue())
    for part in (body, *blobs):
        stream.write(struct.pack("<Q", len(part)))
        stream.write(part)
    stream.flush()


def receive(stream: IO[bytes]) -> Any:
    """The next message; its arrays cannot be written to. EOFError where the other end is gone."""
    message = json.loads(_part(stream))
    arrays = []
    for _ in range(message["arrays"]):
        arrays.append(_read_only(_part(stream)))
    return _put_together(message["body"], arrays)


def _part(stream: IO[bytes]) -> bytes:
    size = stream.read(8)
    if len(size) < 8:
        raise EOFError
    return stream.read(struct.unpack("<Q", size)[0])


def _read_only(data: bytes) -> Any:
    buffer = io.BytesIO(data)
    version = np.lib.format.read_magic(buffer)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, fortran, dtype = read(buffer)
    if dtype.hasobject:
        raise ValueError("arrays of objects are not sent")
    flat = np.frombuffer(data, dtype, offset=buffer.tell())  # bytes never become writable
    return flat.reshape(shape, order="F" if fortran else "C")


def _taken_apart(value: Any, arrays: list[Any]) -> dict[str, Any]:
    body = _marked(value, arrays)
    return {"body": body, "arrays": len(arrays)}


def _marked(value: Any, arrays: list[Any]) -> Any:
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, dict):
        return {"dict": {str(key): _marked(part, arrays) for key, part in value.items()}}
    if isinstance(value, (tuple, list)):
        return {"list": [_marked(part, arrays) for part in value]}
    array = np.asarray(value)
    if array.dtype.hasobject:
        raise TypeError(f"answers with {type(value).__name__}; allowed are arrays of numbers")
    arrays.append(array)
    return {"array": len(arrays) - 1}


def _put_together(body: Any, arrays: list[Any]) -> Any:
    if not isinstance(body, dict):
        return body
    if "array" in body:
        return arrays[body["array"]]
    if "list" in body:
        return tuple(_put_together(part, arrays) for part in body["list"])
    return {key: _put_together(part, arrays) for key, part in body["dict"].items()}


def found(place: str, name: str) -> Any:
    """The function `name` of a file, loaded by its path under a private name, or of a module."""
    if place.endswith(".py"):
        path = Path(place).resolve()
        sys.path.insert(0, str(path.parent))  # as if the file were run: its neighbours can be imported
        spec = importlib.util.spec_from_file_location("_guest_of_txm_twin", path)
        if spec is None or spec.loader is None:
            raise ImportError(f"{place} is no Python file")
        module = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module
        spec.loader.exec_module(module)
    else:
        sys.path.insert(0, sys.argv[3])  # where the user stands
        module = importlib.import_module(place)
    function = getattr(module, name)
    if not callable(function):
        raise TypeError(f"{name} is no function")
    return function


def _where(error: BaseException) -> str:
    """The user's line that failed."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename != __file__]
    own = [frame for frame in frames if "site-packages" not in frame.filename and "/lib/python" not in frame.filename]
    found = own or frames
    return f"{Path(found[-1].filename).name}, line {found[-1].lineno}" if found else ""


def _parameters(function: Any) -> list[str]:
    try:
        return list(inspect.signature(function).parameters)
    except (TypeError, ValueError):  # of a compiled function
        return []


def _takes(function: Any) -> list[int] | None:
    """How many arguments without a name a function takes, at least and at most."""
    try:
        known = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return None
    plain = [one for one in known if one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD)]
    any_more = any(one.kind is one.VAR_POSITIONAL for one in known)
    return [sum(one.default is one.empty for one in plain), 1000 if any_more else len(plain)]


def main() -> None:
    """Answer calls until the other end is gone."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what the function prints must not get between the answers
    try:
        function = found(sys.argv[1], sys.argv[2])
    except BaseException as error:  # whatever its module does when it is loaded
        send(answers, {"failed": [type(error).__name__, str(error), _where(error)]})
        return
    send(answers, {"parameters": _parameters(function), "takes": _takes(function)})
    while True:
        try:
            call = receive(sys.stdin.buffer)
        except EOFError:
            return
        try:
            answer = {"answer": function(*call["arguments"], **call["named"])}
        except BaseException as error:
            answer = {"failed": [type(error).__name__, str(error), _where(error)]}
        try:
            send(answers, answer)
        except (TypeError, ValueError) as error:
            send(answers, {"failed": [type(error).__name__, str(error), ""]})


if __name__ == "__main__":
    main()
