"""What a step's result depends on besides its inputs: the program's own modules, those that it imports included."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from psconv.common.places import package

FOLDERS = {name: package(name).parent for name in ("psconv", "pymodel", "rtl_tb", "openhls")}
_IMPORT = re.compile(
    r"^[ \t]*(?:from +(?P<dots>\.*)(?P<base>[\w.]*) +import +(?P<some>\([^)]*\)|[^\n(]+)|import +(?P<whole>[^\n]+))$",
    re.MULTILINE,
)


@cache
def code(*modules: str) -> str:
    """A digest of the sources of modules, and of all modules of this project that they import, directly or not."""
    digest = hashlib.sha256()
    for name, file in sorted(closure(*modules).items()):
        content = file.read_bytes()
        digest.update(f"{name} {len(content)}\n".encode() + content)
    return digest.hexdigest()


def closure(*modules: str) -> dict[str, Path]:
    """The files of modules and of all that they import of this project, by module name."""
    found: dict[str, Path] = {}
    todo = list(modules)
    while todo:
        name = todo.pop()
        file = file_of(name)
        if name in found or file is None:
            continue
        found[name] = file
        todo += _imported(name, file)
        todo += [name.rpartition(".")[0]]
    return found


def _imported(name: str, file: Path) -> Iterator[str]:
    """Names that may be modules: `from package import name` does not say whether it is one."""
    package = name.split(".") if file.name == "__init__.py" else name.split(".")[:-1]
    for statement in _IMPORT.finditer(file.read_text(encoding="utf-8")):
        names = re.findall(r"(\w[\w.]*)(?: as \w+)?", statement["some"] or statement["whole"])
        if statement["whole"]:
            yield from names
            continue
        dots = len(statement["dots"])
        above = package[: len(package) - dots + 1] if dots else []
        base = ".".join([*above, *([statement["base"]] if statement["base"] else [])])
        yield base
        yield from (f"{base}.{each}" for each in names)


@cache
def file_of(name: str) -> Path | None:
    """The source of a module of this project; None: it is none."""
    parts = name.split(".")
    if parts[0] not in FOLDERS:  # installed, the packages of others lie in the same folder
        return None
    path = FOLDERS[parts[0]].joinpath(*parts)
    return next((file for file in (path.with_suffix(".py"), path / "__init__.py") if file.is_file()), None)
