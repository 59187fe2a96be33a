"""Studies as text: TOML that runs again, and TOML with comments for a person."""

import dataclasses
import typing
from typing import Any

import msgspec
import tomli_w

from .study import Study


def study_toml(study: Study) -> str:
    """The resolved study; it runs again as it is."""
    return tomli_w.dumps(msgspec.to_builtins(study))


def commented_toml(study: Study) -> str:
    """The study with unit, default, bounds, and source or the word guess, key by key."""
    lines = [f"# txm-twin study {study.name}", f"# {study.description}" if study.description else "#"]
    lines += _table(study, Study(), "")
    return "\n".join(lines) + "\n"


def _table(value: Any, default: Any, path: str) -> list[str]:
    hints = typing.get_type_hints(type(value), include_extras=True)
    lines: list[str] = [""] if not path else ["", f"[{path}]"]
    tables = []
    for entry in dataclasses.fields(value):
        item = getattr(value, entry.name)
        if dataclasses.is_dataclass(item):
            tables.append((entry.name, item))
            continue
        comment = _comment(hints[entry.name], getattr(default, entry.name))
        lines.append(f"# {comment}")
        lines.append(f"{entry.name} = {_literal(msgspec.to_builtins(item))}")
    if len(lines) == (1 if not path else 2):
        lines = []
    for name, item in tables:
        lines += _table(item, getattr(default, name), f"{path}.{name}" if path else name)
    return lines


def _literal(value: Any) -> str:
    """A value as TOML writes it, lists on one line."""
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(_literal(item) for item in value)}]"
    return tomli_w.dumps({"v": value}).removeprefix("v = ").strip()


def _comment(hint: Any, default: Any) -> str:
    """Description; unit; allowed values; default; source."""
    parts, limits = [], []
    for meta in _metas(hint):
        if meta.description:
            parts.append(meta.description)
        if meta.extra and "unit" in meta.extra:
            parts.append(f"unit {meta.extra['unit']}")
        limits += [
            f"{sign} {bound:g}"
            for sign, bound in ((">", meta.gt), (">=", meta.ge), ("<", meta.lt), ("<=", meta.le))
            if bound is not None
        ]
    words = [repr(word) for part in _parts(hint) if typing.get_origin(part) is typing.Literal for word in typing.get_args(part)]
    if words:
        limits.append(" or ".join(words))
    if limits:
        parts.append("allowed " + ", ".join(limit.replace("  ", " ") for limit in limits))
    shown = msgspec.to_builtins(default)
    parts.append(f"default {shown if not isinstance(shown, tuple | list) or len(shown) < 6 else str(len(shown)) + ' values'}")
    sources = [meta.extra["source"] for meta in _metas(hint) if meta.extra and "source" in meta.extra]
    return "; ".join(parts + sources)


def _parts(hint: Any) -> list[Any]:
    """A type hint and everything inside it, alternatives and elements, each once."""
    inner = typing.get_args(hint)
    if typing.get_origin(hint) is typing.Annotated:
        return [hint, *_parts(inner[0])]
    if typing.get_origin(hint) is typing.Literal:
        return [hint]
    seen: list[Any] = [hint]
    for part in inner:
        seen += [p for p in _parts(part) if p not in seen]
    return seen


def _metas(hint: Any) -> list[msgspec.Meta]:
    return [
        meta
        for part in _parts(hint)
        if typing.get_origin(part) is typing.Annotated
        for meta in part.__metadata__
        if isinstance(meta, msgspec.Meta)
    ]
