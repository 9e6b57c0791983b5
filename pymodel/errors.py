"""The one exception that users see, and the base of every checked configuration.

A `ConfigError` names the file (or object), the key, the value found and what would be right. The command
line prints its message and exits with 2; nothing else of the program may reach a user as a traceback.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

NEEDS_TORCH = "needs PyTorch: pip install -c requirements.lock -e '.[train]'"


class ConfigError(ValueError):
    """Wrong input: configuration, file or array."""


class Strict(BaseModel):
    """Immutable pydantic model that refuses unknown keys and does not convert types ("3" is not 3)."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Checked(Strict):
    """A `Strict` whose constructor raises `ConfigError` instead of pydantic's `ValidationError`."""

    def __init__(self, **data: Any) -> None:
        try:
            super().__init__(**data)
        except ValidationError as error:
            name = f" {data['name']}" if isinstance(data.get("name"), str) else ""
            raise ConfigError(f"{type(self).__name__}{name}: {describe(error)}") from error


Model = TypeVar("Model", bound=BaseModel)


def validated(model: type[Model], data: object, source: str) -> Model:
    """`model` made from `data` (a mapping read from `source`), or a ConfigError that names the source."""
    if not isinstance(data, dict):
        raise ConfigError(f"{source}: a mapping of keys was expected, got {_shorten(data)}")
    try:
        return model(**data)
    except ValidationError as error:
        raise ConfigError(f"{source}: {describe(error)}") from error
    except ConfigError as error:
        raise ConfigError(f"{source}: {error}") from error
    except TypeError as error:  # a key that is not a string
        raise ConfigError(f"{source}: every key must be a string ({error})") from error


def describe(error: ValidationError) -> str:
    """The first problem of a pydantic error in one line: key, what is wrong, the value found."""
    first, *others = error.errors(include_url=False)
    key = ".".join(str(part) for part in first["loc"])
    if first["type"] in ("extra_forbidden", "unexpected_keyword_argument"):
        text = "unknown key"
    else:
        text = first["msg"].removeprefix("Value error, ")
        # Our own validators have already put the value into their message.
        if first["type"] not in ("value_error", "missing"):
            text += f", got {_shorten(first['input'])}"
    more = f" (and {len(others)} more)" if others else ""
    return f"{key}: {text}{more}" if key else f"{text}{more}"


def read_yaml(path: Path) -> dict[str, Any]:
    """The mapping in a YAML file. Raises ConfigError: no such file, not YAML, a key twice, not a mapping."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}") from error
    try:
        data = yaml.load(text, Loader=_UniqueKeyLoader)
    except (yaml.YAMLError, RecursionError) as error:
        raise ConfigError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from error
    if not isinstance(data, dict):
        raise ConfigError(f"{path}: a mapping of keys was expected, got {_shorten(data)}")
    return data


class _UniqueKeyLoader(yaml.SafeLoader):
    """YAML's own loader keeps the last of two equal keys without a word; this one refuses them."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, str):
                raise yaml.constructor.ConstructorError(
                    None, None, f"key {key!r} is not a string", key_node.start_mark
                )
            if key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"key {key!r} stands twice", key_node.start_mark
                )
            seen.add(key)
        return super().construct_mapping(node, deep)


def _shorten(value: object, limit: int = 80) -> str:
    text = repr(value)
    return text if len(text) <= limit else text[: limit - 3] + "..."
