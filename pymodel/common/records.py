"""Files of data, read and written in one way each: YAML, JSON and npz.

Whatever is wrong with a file becomes a ConfigError that names it. What is read is bounded: no file is taken to be
longer, or by aliases or compression larger, than MAX_BYTES; no tag of YAML makes an object.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
import re
import warnings
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import yaml

from pymodel.common.arrays import Array
from pymodel.common.errors import ConfigError, InternalError, shortened
from pymodel.common.files import write_atomically, write_text
from pymodel.common.memory import require

MAX_BYTES = 1 << 30
MAX_ALIASED = 100_000  # values in a YAML file with aliases, those behind each alias counted again

# YAML 1.1, which PyYAML reads, wants a dot and a sign in 1.0e-3; YAML 1.2 and people write 1e-3.
_EXPONENT = re.compile(r"^[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)[eE][-+]?[0-9]+$")


def read_bytes(path: Path) -> bytes:
    """The content of a file. Raises ConfigError: none that can be read, or more than MAX_BYTES."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        what = error.strerror if isinstance(error, OSError) else str(error)
        raise ConfigError(f"{_named(path)}: cannot be read: {what}") from error
    if len(data) > MAX_BYTES:
        raise ConfigError(
            f"{path}: must have at most {MAX_BYTES:,} bytes, got more; no file of this program is so long"
        )
    return data


def read_text(path: Path) -> str:
    """The content of a text file. Raises ConfigError, for bytes that are no UTF-8 too."""
    data = read_bytes(path)
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ConfigError(
            f"{path}: must be text in UTF-8, got byte {data[error.start]:#04x} at {error.start}"
        ) from error


def read_yaml(path: Path) -> dict[str, Any]:
    """The mapping in a YAML file. Raises ConfigError: no such file, not YAML, a key twice, a tag, not a mapping."""
    data = parse_yaml(read_text(path), str(path))
    if not isinstance(data, dict):
        raise ConfigError(f"{path}: must be a mapping of keys, got {shortened(data)}")
    return data


def parse_yaml(text: str, source: str) -> Any:
    """What a YAML text means. Raises ConfigError that names `source`."""
    try:
        return yaml.load(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f" line {mark.line + 1}, column {mark.column + 1}:" if mark else ""
        said = ", ".join(filter(None, (error.problem, error.context)))
        raise ConfigError(f"{source}:{place} not valid YAML: {said}") from error
    except yaml.reader.ReaderError as error:
        raise ConfigError(
            f"{source}: not valid YAML: character {error.character:#x} at {error.position}: {error.reason}"
        ) from error
    except RecursionError as error:
        raise ConfigError(f"{source}: not valid YAML: lists or mappings are too deep in one another") from error
    except (ValueError, OverflowError) as error:  # from a date that is none, a number that Python does not read
        raise ConfigError(f"{source}: not valid YAML: {error}") from error


def yaml_text(data: dict[str, Any], width: int) -> str:
    """A mapping as YAML that `parse_yaml` reads as the same."""
    return yaml.dump(data, Dumper=_Dumper, sort_keys=False, width=width, default_flow_style=None)


def read_json(path: Path) -> Any:
    """What a JSON file means. Raises ConfigError: no such file, not JSON, NaN or Infinity in it."""
    text = read_text(path)

    def no_number(name: str) -> NoReturn:
        raise ValueError(f"{name} is no number of JSON")

    try:
        return json.loads(text, parse_constant=no_number)
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path}: not valid JSON: {error}") from error


def json_text(data: Any, indent: int | None = 2, name: str = "result") -> str:
    """JSON of what this program made. Raises InternalError, with the place, for NaN and Infinity: none may be there."""
    try:
        return json.dumps(data, indent=indent, allow_nan=False)
    except ValueError as error:
        raise InternalError(f"{_not_finite(data, name) or name} would be written to JSON") from error


def write_json(path: Path, data: Any) -> None:
    """Writes `json_text`, whole or not at all."""
    write_text(path, json_text(data, name=path.name) + "\n")


def _not_finite(data: Any, name: str) -> str | None:
    """The place and value of the first number that JSON has not."""
    if isinstance(data, float):
        return None if math.isfinite(data) else f"{name} = {data}"
    parts = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list | tuple) else ()
    return next(filter(None, (_not_finite(value, f"{name}.{key}") for key, value in parts)), None)


@contextmanager
def reading(path: Path, remedy: str = "remove it, and the same command makes it again") -> Iterator[None]:
    """Around code that takes parts out of what this program wrote to `path`: a part that is not there is damage."""
    try:
        yield
    except ConfigError:
        raise
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        said = f"no {error}" if isinstance(error, KeyError) else str(error)
        raise ConfigError(f"{path}: damaged, or of another version of psconv: {said}; {remedy}") from error


def read_npz(path: Path, sha256: str | None = None) -> dict[str, Array]:
    """The arrays of an .npz file. Raises ConfigError: none, damaged, not the one whose SHA-256 is given."""
    data = read_bytes(path)
    if sha256 is not None and hashlib.sha256(data).hexdigest() != sha256:
        raise ConfigError(f"{path}: damaged, or of another bundle: its sha256 is not arrays.sha256")
    if not data:
        raise ConfigError(_no_npz(path, "the file is empty"))
    if data[:6] == b"\x93NUMPY":
        raise ConfigError(_no_npz(path, "it is an .npy file, one array without a name; numpy.savez writes .npz"))
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            size = sum(member.file_size for member in archive.infolist())
    except Exception as error:  # whatever zipfile meets in bytes that are not a zip file
        raise ConfigError(_no_npz(path, error)) from error
    require(size, f"{path}: its arrays")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # numpy warns of headers before it refuses them
            with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
                return {name: _array(arrays[name]) for name in arrays.files}
    except Exception as error:  # as above, and numpy in members that are not arrays; their size is bounded
        raise ConfigError(_no_npz(path, error)) from error


def _no_npz(path: Path, why: object) -> str:
    return f"{path}: not a readable npz file (cannot be read as .npz: {why})"


def _array(member: Any) -> Array:
    """numpy gives the bytes of a member that is no array."""
    if not isinstance(member, np.ndarray):
        raise ValueError("a member is no array")
    return member


def write_npz(path: Path, **arrays: Array) -> None:
    """Writes arrays by name, whole or not at all."""
    write_atomically(path, lambda target: np.savez_compressed(target, allow_pickle=False, **arrays))


def _named(path: Path) -> str:
    return str(path).replace("\0", "\\0")


class _Loader(yaml.SafeLoader):
    """YAML of plain values: tags are refused, equal keys too (YAML's own loader keeps the last without a word)."""

    aliases = 0

    def get_single_node(self) -> yaml.Node | None:
        node = super().get_single_node()
        if node is not None and self.aliases:
            self._check_size(node)
        return node

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        event = self.peek_event()  # type: ignore[no-untyped-call]  # PyYAML's stubs have no types for its parser
        self.aliases += isinstance(event, yaml.AliasEvent)
        if getattr(event, "tag", None) is not None:
            raise yaml.composer.ComposerError(
                None, None, f"the tag {event.tag!r}: files of psconv have plain values, without tags", event.start_mark
            )
        return super().compose_node(parent, index)

    def _check_size(self, root: yaml.Node) -> None:
        """Few lines with aliases of aliases stand for more values than any memory has."""
        sizes: dict[int, int] = {}
        inside: set[int] = set()

        def size(node: yaml.Node) -> int:
            if id(node) in inside:
                raise yaml.composer.ComposerError(None, None, "an alias that leads to itself", node.start_mark)
            if id(node) not in sizes:
                inside.add(id(node))
                pairs = node.value if isinstance(node, yaml.CollectionNode) else ()
                parts = [part for pair in pairs for part in (pair if isinstance(pair, tuple) else (pair,))]
                sizes[id(node)] = 1 + sum(map(size, parts))
                inside.remove(id(node))
            return sizes[id(node)]

        if (count := size(root)) > MAX_ALIASED:
            raise yaml.composer.ComposerError(
                None, None, f"aliases must stand for at most {MAX_ALIASED:,} values, got {count:,}", root.start_mark
            )

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            if key_node.tag == "tag:yaml.org,2002:merge":  # <<: keys of another mapping, which this one may change
                continue
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, str):
                raise yaml.constructor.ConstructorError(
                    None, None, f"key {shortened(key)} is not a string", key_node.start_mark
                )
            if key in seen:
                raise yaml.constructor.ConstructorError(None, None, f"key {key!r} stands twice", key_node.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep)


class _Dumper(yaml.SafeDumper):
    """Puts quotes around each text that `_Loader` would take for something else."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


for _kind in (_Loader, _Dumper):
    _kind.add_implicit_resolver("tag:yaml.org,2002:float", _EXPONENT, list("-+.0123456789"))
