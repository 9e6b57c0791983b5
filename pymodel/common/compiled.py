"""Compiled kernels: a shared library of one C++ source, built on first use and kept by its content."""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from openhls.system import children, zig
from openhls.system.caches import Unwritable

OPTIONS = ("-std=c++17", "-O3", "-shared", "-fPIC")
PLAIN = ("g++",)
COMPILERS = (
    # Options that undo what it adds: checks, the builder's own processor, a C++ library. Its code is the faster one.
    (*zig.COMPILER, "-fno-sanitize=all", "-mcpu=baseline", "-nostdlib++"),
    PLAIN,
)


class Unavailable(Exception):
    """There is no compiled kernel; the text says why."""


def build(folder: Path, sources: Sequence[Path], compilers: tuple[tuple[str, ...], ...] = COMPILERS) -> Path:
    """The library of sources[0], compiled into `folder` by the first of `compilers` that can, unless it lies there.

    sources: the file that is compiled, then those that it includes. Several processes may build at once: each gives its
    result the name in one step. Raises Unavailable.
    """
    path = folder / f"{sources[0].stem}-{_key(sources)[:32]}.so"
    if path.is_file():
        return path
    folder.mkdir(parents=True, exist_ok=True)
    problems = []
    with tempfile.TemporaryDirectory(prefix=".native-", dir=folder) as name:
        scratch, made = Path(name), Path(name) / path.name
        for compiler in compilers:
            if not shutil.which(compiler[0]):
                problems.append(f"no {compiler[0]}")
                continue
            command = [*compiler, *OPTIONS, str(sources[0]), "-o", str(made)]
            try:
                done = children.run(command, env=zig.uncached(scratch) if compiler is not PLAIN else None)
            except Unwritable as error:
                problems.append(str(error))
                continue
            if done.returncode == 0:
                os.replace(made, path)
                return path
            problems.append(f"{' '.join(compiler)}: {(done.stderr.strip() or 'failed').splitlines()[-1]}")
    raise Unavailable("; ".join(problems))


def _key(sources: Sequence[Path]) -> str:
    """A digest of all that the library depends on: its sources, and which compilers are installed."""
    parts = [*OPTIONS, platform.platform()]
    for compiler in COMPILERS:
        program = shutil.which(compiler[0])
        stat = Path(program).stat() if program else None
        parts += [*compiler, f"{stat.st_size} {stat.st_mtime_ns}" if stat else "missing"]
    contents = (path.read_bytes() for path in sources)
    return hashlib.sha256(b"\0".join([*map(str.encode, parts), *contents])).hexdigest()
