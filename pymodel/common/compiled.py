"""Compiled kernels: a shared library of one C++ source, built on first use and kept by its content, or why none is."""

from __future__ import annotations

import ctypes
import hashlib
import os
import platform
import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from openhls.system import children, zig
from openhls.system.caches import Unwritable

from pymodel.common.cache import cache_folder
from pymodel.common.errors import ConfigError

OPTIONS = ("-std=c++17", "-O3", "-shared", "-fPIC")
PLAIN = ("g++",)
COMPILERS = (
    # Options that undo what it adds: checks, the builder's own processor, a C++ library. Its code is the faster one.
    (*zig.PROGRAM, "-nostdlib++"),
    PLAIN,
)


class Unavailable(Exception):
    """There is no compiled kernel; the text says why."""


@dataclass(frozen=True)
class Native:
    """A library and the instruction set, an index of its kernel's `instruction_sets`, with which it is called."""

    library: ctypes.CDLL
    instruction_set: int


@dataclass(frozen=True)
class Kernel:
    """What is compiled, and which instruction set computes.

    sources: the file that is compiled, then those that it includes. instruction_sets: names by their number in it,
    slowest first. switch: the environment variable that takes one of them, or "off"; the best one otherwise. without:
    what computes where there is no kernel. declare: tells a library the types of its functions.
    """

    sources: tuple[Path, ...]
    instruction_sets: tuple[str, ...]
    switch: str
    without: str
    declare: Callable[[ctypes.CDLL], None]

    def chosen(self) -> Native | None:
        """What computes now, or None where no kernel does. Raises ConfigError where the switch has no meaning."""
        return _chosen(self, os.environ.get(self.switch, ""))

    def describe(self) -> str:
        """One line for people: the instruction set, or why there is no kernel."""
        native = self.chosen()
        if native:
            return self.instruction_sets[native.instruction_set]
        try:
            self.load()
        except Unavailable as error:
            return f"{self.without} ({error})"
        return f"{self.without} ({self.switch}=off)"

    def supported(self) -> list[int]:
        """The instruction sets that the library has and this processor too. Raises Unavailable."""
        library = self.load()
        return [number for number in range(len(self.instruction_sets)) if library.psconv_supports(number)]

    def load(self) -> ctypes.CDLL:
        """The library. Raises Unavailable, naming what failed."""
        return _load(self)


@cache
def _chosen(kernel: Kernel, requested: str) -> Native | None:
    names, switch = kernel.instruction_sets, kernel.switch
    if requested not in ("", "off", *names):
        raise ConfigError(f"environment: {switch}: must be off or one of {', '.join(names)}, got {requested!r}")
    if requested == "off":
        return None
    try:
        library = kernel.load()
    except Unavailable:
        return None
    if not requested:
        return Native(library, max(kernel.supported()))
    number = names.index(requested)
    if not library.psconv_supports(number):
        raise ConfigError(f"environment: {switch}: must be an instruction set of this processor, got {requested}")
    return Native(library, number)


@cache
def _load(kernel: Kernel) -> ctypes.CDLL:
    try:
        library = ctypes.CDLL(str(build(cache_folder(), kernel.sources)))
    except OSError as error:
        raise Unavailable(str(error)) from error
    library.psconv_supports.argtypes = [ctypes.c_int32]
    kernel.declare(library)
    return library


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
