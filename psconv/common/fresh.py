"""How work is left out when nothing that it depends on has changed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import update_wrapper
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Generic, ParamSpec

import numpy as np

from pymodel.common.files import write_text

Subject = ParamSpec("Subject")  # what a step works on


def content_key(*parts: Any) -> str:
    """A hash of everything a step depends on: files by name and content, arrays by bytes, other values by their JSON.

    Of a folder all files count, each by its path in it. Raises OSError where there is no such file.
    """
    digest = hashlib.sha256()
    for part in parts:
        for kind, content in _contents(part):
            digest.update(f"{kind} {len(content)}\n".encode() + content)
        digest.update(b"\xff")
    return digest.hexdigest()


def _contents(part: Any) -> Iterator[tuple[str, bytes]]:
    """What there is in a part of a key, each with its kind."""
    if isinstance(part, Path):
        files = sorted(f for f in part.rglob("*") if f.is_file()) if part.is_dir() else [part]
        for file in files:
            if "__pycache__" not in file.parts:
                yield json.dumps(file.relative_to(part.parent).as_posix()), file.read_bytes()
    elif isinstance(part, np.ndarray):
        yield str((part.dtype, part.shape)), np.ascontiguousarray(part).tobytes()
    else:
        yield "json", json.dumps(part, sort_keys=True, default=str).encode()


def versions(*packages: str) -> list[str]:
    """Installed packages with their versions, as a part of a key."""
    return [f"{package} {_version(package)}" for package in packages]


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:  # what it holds is taken from PATH
        return "missing"


@dataclass(frozen=True)
class Work:
    """What a step has to do: `make` writes `result`, which depends on what `key` is a hash of.

    more: files and folders that `make` writes as well. outdated: results of other steps that are of no use when this
    one's is made under another key than before.
    """

    result: Path
    key: str
    make: Callable[[], None]
    more: tuple[Path, ...] = ()
    outdated: tuple[Path, ...] = ()

    @property
    def done(self) -> bool:
        """Whether the results were made under the same key, and are as they were made."""
        try:
            return self._stamp.read_text(encoding="utf-8") == self._text()
        except (OSError, UnicodeDecodeError):
            return False

    def do(self) -> bool:
        """Calls `make` unless the work is done. True if it was called."""
        if self.done:
            return False
        if not self._known():
            for path in self.outdated:
                path.unlink(missing_ok=True)
        self._stamp.unlink(missing_ok=True)
        self.make()
        write_text(self._stamp, self._text())
        return True

    @property
    def _stamp(self) -> Path:
        """Where it is kept under which key the results were made, and what they were."""
        return self.result.with_name(f".{self.result.name}.key")

    def _text(self) -> str:
        return f"{self.key} {content_key(self.result, *self.more)}\n"

    def _known(self) -> bool:
        """Whether the results were last made under the same key, whatever has become of them."""
        try:
            return self._stamp.read_text(encoding="utf-8").startswith(f"{self.key} ")
        except (OSError, UnicodeDecodeError):
            return False


class Step(Generic[Subject]):
    """A step of the flow: does the work that its plan describes unless it is done.

    The result depends on how the step is written, too: its file is a part of every key.
    """

    def __init__(self, plan: Callable[Subject, Work]) -> None:
        self._plan = plan
        update_wrapper(self, plan)

    def __reduce__(self) -> str:
        """Its name: a worker process imports it as it would a function."""
        return self._plan.__qualname__

    def __call__(self, *subject: Subject.args, **named: Subject.kwargs) -> None:
        self.plan(*subject, **named).do()

    def plan(self, *subject: Subject.args, **named: Subject.kwargs) -> Work:
        """The work."""
        work = self._plan(*subject, **named)
        return replace(work, key=content_key(work.key, Path(self._plan.__code__.co_filename)))


def step(plan: Callable[Subject, Work]) -> Step[Subject]:
    """The step whose work `plan` describes: a decorator."""
    return Step(plan)


def unless_fresh(result: Path, key: str, make: Callable[[], None], *more: Path) -> bool:
    """Does a `Work`. True if it was not done already."""
    return Work(result, key, make, more).do()
