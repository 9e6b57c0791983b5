"""The exceptions that users see, what is printed for each, and the base of every checked configuration.

A `ConfigError` names the file (or object), the key, the value found and what would be right. `told` makes one message
of every exception, so that nothing reaches a user as a traceback.
"""

from __future__ import annotations

import difflib
import os
import re
import traceback
import typing
from collections.abc import Iterator, Sequence, Sized
from concurrent.futures.process import BrokenProcessPool
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, TypeGuard, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

NEEDS_TORCH = "needs PyTorch: pip install 'psconv[train]'"
NEEDS_ONNX = "needs the package onnx: pip install 'psconv[onnx]'"
TRACEBACK = "PSCONV_TRACEBACK"  # environment: an internal error comes with its traceback
MEMORY_ENDED = (
    "memory ended. Fewer images (images.count), a smaller layer or one layer at a time (top: layers) need less; so do "
    "fewer processors (taskset -c 0), as each works on a layer of its own"
)


class ConfigError(ValueError):
    """Wrong input: configuration, file or array."""


class InternalError(RuntimeError):
    """What no input may lead to: an error of this program."""


class Strict(BaseModel):
    """Immutable pydantic model that refuses unknown keys, does not convert types ("3" is not 3), takes no NaN."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class Checked(Strict):
    """A `Strict` whose constructor raises `ConfigError` instead of pydantic's `ValidationError`."""

    def __init__(self, **data: Any) -> None:
        try:
            super().__init__(**data)
        except ValidationError as error:
            name = f" {data['name']}" if isinstance(data.get("name"), str) else ""
            raise ConfigError(f"{type(self).__name__}{name}: {describe(error, type(self))}") from error


_PYDANTIC = re.compile(r"^\w+ should (.*?)(?: after validation, not .*)?$")  # its messages, "Input should be ..."

Model = TypeVar("Model", bound=BaseModel)


def validated(model: type[Model], data: object, source: str) -> Model:
    """`model` made from `data` (a mapping read from `source`), or a ConfigError that names the source."""
    if not isinstance(data, dict):
        raise ConfigError(f"{source}: must be a mapping of keys, got {shortened(data)}")
    try:
        return model(**data)
    except ValidationError as error:
        raise ConfigError(f"{source}: {describe(error, model)}") from error
    except ConfigError as error:
        raise ConfigError(f"{source}: {error}") from error
    except TypeError as error:  # a key that is not a string
        raise ConfigError(f"{source}: keys: must be strings ({error})") from error


def describe(error: ValidationError, model: type[BaseModel]) -> str:
    """The first problem of a pydantic error of `model` in one line: key, what is wrong, what would be right."""
    # A wrong name is why a key is missing, too.
    first, *others = sorted(error.errors(include_url=False), key=lambda one: one["type"] == "missing")
    key = ".".join(str(part) for part in first["loc"])
    kind, found = first["type"], shortened(first["input"])
    if kind in ("extra_forbidden", "unexpected_keyword_argument"):
        text = f"unknown key, with the value {found}; {_nearest(str(first['loc'][-1]), _keys(model, first['loc']))}"
    elif kind == "missing":
        text = "this key is missing"
    elif kind in ("model_type", "dict_type", "dataclass_type", "model_attributes_type"):
        text = f"must be a mapping of keys, got {found}"
    elif kind.startswith("union_tag_"):
        key = ".".join(filter(None, (key, first["ctx"]["discriminator"].strip("'"))))
        choices = first["ctx"].get("expected_tags")
        text = f"must be one of {choices}, got {first['ctx']['tag']!r}" if choices else "this key is missing"
    elif kind == "value_error":  # our own validators have already put the value into their message
        text = first["msg"].removeprefix("Value error, ")
    else:
        text = _PYDANTIC.sub(r"must \1", first["msg"]) + f", got {found}"
    more = f" (and {len(others)} more)" if others else ""
    return f"{key}: {text}{more}" if key else f"{text}{more}"


def _nearest(key: str, known: Sequence[str]) -> str:
    close = difflib.get_close_matches(key, known, 1)
    return f"did you mean {close[0]!r}?" if close else f"must be one of {', '.join(known)}"


def _keys(model: type[Any], loc: Sequence[str | int]) -> list[str]:
    """The keys that are known where `loc` leads to in a model; list positions and names of mappings lead nowhere."""
    level = [model]
    for part in loc[:-1]:
        inner = [one for owner in level for one in models_in(_annotations(owner).get(str(part)))]
        named = [owner for owner in level if _tag(owner) == part]
        level = inner or named or level
    return sorted({key for owner in level for key in _annotations(owner)})


def _annotations(model: type[Any]) -> dict[str, Any]:
    if is_dataclass(model):
        return {field.name: None for field in fields(model)}
    return {name: field.annotation for name, field in model.model_fields.items()}


def _tag(model: type[Any]) -> str | None:
    """What chooses a model from a union: the default of its key `op`."""
    field = getattr(model, "model_fields", {}).get("op")
    return field and field.default


def models_in(annotation: Any) -> Iterator[type[Any]]:
    """The models in an annotation such as dict[str, Model] | None."""
    if isinstance(annotation, type) and (is_dataclass(annotation) or issubclass(annotation, BaseModel)):
        yield annotation
    for part in typing.get_args(annotation):
        yield from models_in(part)


def shortened(value: object, limit: int = 80) -> str:
    """`repr` of a value, of `limit` characters at most; a huge one is not written out to be cut."""
    if isinstance(value, int) and value.bit_length() > 4 * limit:
        return f"an integer of {value.bit_length():,} bits"
    if isinstance(value, str | bytes):
        value = value[:limit]
    text = f"{type(value).__name__} of {len(value):,}" if _huge(value) else repr(value)
    return text if len(text) <= limit else text[: limit - 3] + "..."


def _huge(value: object) -> TypeGuard[Sized]:
    """Whether a list or mapping has so many parts (an alias in YAML may repeat them) that nobody would read them."""
    todo, count = [value], 0
    while todo:
        one = todo.pop()
        count += 1
        if count > 1000:
            return True
        if isinstance(one, dict):
            todo += [*one.keys(), *one.values()][:1001]
        elif isinstance(one, list | tuple | set):
            todo += list(one)[:1001]
    return False


def told(error: BaseException) -> tuple[int, str]:
    """(exit code, message) of an exception: 2 for what a user can mend, 70 for an error of this program."""
    if isinstance(error, ConfigError):
        return 2, f"error: {error}"
    if isinstance(error, MemoryError) or _of_torch(error):
        return 2, f"error: {MEMORY_ENDED}{f' ({error})' if str(error) else ''}"
    if isinstance(error, BrokenProcessPool):
        return 2, f"error: a worker process was ended from outside, as the system does where {MEMORY_ENDED}"
    if isinstance(error, OSError) and error.errno is not None:
        where = f"{error.filename}: " if error.filename is not None else ""
        return 2, f"error: {where}{error.strerror or os.strerror(error.errno)}"
    if os.environ.get(TRACEBACK):
        return 70, "".join(traceback.format_exception(error))
    frame = traceback.extract_tb(error.__traceback__)[-1:]
    place = f" ({Path(frame[0].filename).name}:{frame[0].lineno})" if frame else ""
    kind = "" if isinstance(error, InternalError) else f"{type(error).__name__}: "
    return 70, (
        f"internal error: {kind}{error}{place}. This is a fault of psconv, not of its input: please report it "
        f"with the output of the same command under {TRACEBACK}=1"
    )


def _of_torch(error: BaseException) -> bool:
    """Whether PyTorch found no memory: on a GPU, or (a bare RuntimeError) in the machine."""
    return type(error).__name__ == "OutOfMemoryError" or (
        isinstance(error, RuntimeError) and "DefaultCPUAllocator: can't allocate memory" in str(error)
    )
