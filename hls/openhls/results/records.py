"""Frozen dataclasses from what JSON or YAML holds, every key and every kind of value checked."""

from __future__ import annotations

import json
import math
import types
from collections.abc import Mapping
from dataclasses import MISSING, asdict, fields, is_dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from openhls.common.errors import HlsError

Record = TypeVar("Record")
_NAMES = {int: "an integer", float: "a number", str: "a text", bool: "true or false", type(None): "null"}


def record(kind: type[Record], value: object, source: str, key: str = "") -> Record:
    """A dataclass made of a mapping with its fields as keys; its fields may be dataclasses, tuples, lists and mappings.

    Args:
        source, key: where the value stands, for messages.
    Raises:
        HlsError: names source and key of what is missing, unknown or of another kind.
    """
    if not isinstance(value, Mapping):
        raise HlsError(f"{_place(source, key)}: {_shown(value)} where a mapping is meant")
    hints = _hints(kind)
    unknown = [k for k in value if k not in hints]
    if unknown:
        raise HlsError(f"{_place(source, _below(key, unknown[0]))}: unknown key", hint=f"keys: {', '.join(hints)}")
    found = {}
    for field in fields(kind):  # type: ignore[arg-type]  # a dataclass, as the docstring says
        if field.name in value:
            found[field.name] = _value(hints[field.name], value[field.name], source, _below(key, field.name))
        elif field.default is MISSING and field.default_factory is MISSING:
            raise HlsError(f"{_place(source, _below(key, field.name))}: missing")
    return kind(**found)


def parsed(text: str, source: str, version: int) -> dict[str, Any]:
    """The JSON of a file of ours without its key `version`. Raises HlsError where it is none, or of another version."""
    try:
        content = json.loads(text)
    except ValueError as error:
        raise HlsError(f"{source}: no JSON: {error}") from None
    return of_version(content, source, version)


def of_version(content: object, source: str, version: int) -> dict[str, Any]:
    """What a file of ours holds without its key `version`. Raises HlsError where that is another one."""
    if not isinstance(content, Mapping):
        raise HlsError(f"{source}: {_shown(content)} where a mapping is meant")
    if "version" not in content:
        raise HlsError(f"{source}: version: missing", hint=f"this openhls reads version {version}")
    if content["version"] != version or isinstance(content["version"], bool):
        raise HlsError(f"{source}: version: {_shown(content['version'])}; this openhls reads version {version}")
    return {k: v for k, v in content.items() if k != "version"}


def dumped(value: Any, version: int) -> str:
    """The text of a file that holds a dataclass: JSON, `version` first."""
    return json.dumps({"version": version, **asdict(value)}, indent=2) + "\n"


def read(path: Path) -> str:
    """A file's text. Raises HlsError with its name."""
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise HlsError(f"{path}: {error.strerror or error}") from error
    except UnicodeDecodeError:
        raise HlsError(f"{path}: no text in UTF-8") from None


@cache
def _hints(kind: type) -> dict[str, Any]:
    return get_type_hints(kind)


def _value(kind: Any, value: Any, source: str, key: str) -> Any:
    origin, parts = get_origin(kind), get_args(kind)
    if is_dataclass(kind):
        return record(kind, value, source, key)  # type: ignore[arg-type]  # a class, not an instance of one
    if origin in (Union, types.UnionType):
        return None if value is None else _value(next(p for p in parts if p is not type(None)), value, source, key)
    if origin is tuple and isinstance(value, list):
        kinds = [parts[0]] * len(value) if parts[1:] == (...,) else parts
        if len(kinds) == len(value):
            return tuple(_value(k, v, source, f"{key}[{n}]") for n, (k, v) in enumerate(zip(kinds, value, strict=True)))
        raise HlsError(f"{_place(source, key)}: {len(value)} values where {len(kinds)} are meant")
    if origin is list and isinstance(value, list):
        return [_value(parts[0], v, source, f"{key}[{n}]") for n, v in enumerate(value)]
    if origin is dict and isinstance(value, Mapping):
        return {_value(parts[0], k, source, key): _value(parts[1], v, source, _below(key, k)) for k, v in value.items()}
    if origin is Literal and value in parts:
        return value
    if kind is float and isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value):
        return float(value)
    if isinstance(kind, type) and type(value) is kind and kind is not float:
        return value
    raise HlsError(f"{_place(source, key)}: {_shown(value)} where {_meant(kind)} is meant")


def _meant(kind: Any) -> str:
    origin = get_origin(kind)
    if origin is Literal:
        return " or ".join(map(repr, get_args(kind)))
    return {tuple: "a list", list: "a list", dict: "a mapping"}.get(origin, "") or _NAMES.get(kind, str(kind))


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _below(key: str, name: object) -> str:
    return f"{key}.{name}" if key else str(name)


def _place(source: str, key: str) -> str:
    return f"{source}: {key}" if key else source
