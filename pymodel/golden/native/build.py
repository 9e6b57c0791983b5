"""The compiled kernel's library: built on first use, kept by its content, loaded; or the reason why there is none."""

from __future__ import annotations

import ctypes
import hashlib
import os
import platform
import shutil
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from openhls.system import children, zig
from openhls.system.caches import Unwritable

from pymodel.common.cache import cache_folder
from pymodel.common.errors import ConfigError

INSTRUCTION_SETS = ("plain", "avx2", "avx512vnni")  # by their number in convolution.cpp, slowest first
SWITCH = "PSCONV_NATIVE"  # environment: an instruction set, or "off"; the best one otherwise

SOURCE = Path(__file__).with_name("convolution.cpp")
SOURCES = (SOURCE, SOURCE.with_name("kernel.hpp"))
_OPTIONS = ("-std=c++17", "-O3", "-shared", "-fPIC")
_PLAIN = ("g++",)
COMPILERS = (
    # Options that undo what it adds: checks, the builder's own processor, a C++ library. Its code is the faster one.
    (*zig.COMPILER, "-fno-sanitize=all", "-mcpu=baseline", "-nostdlib++"),
    _PLAIN,
)


@dataclass(frozen=True)
class Native:
    """The library and the instruction set, an index of INSTRUCTION_SETS, with which it is called."""

    library: ctypes.CDLL
    instruction_set: int

    @property
    def group(self) -> int:
        """Input channels that the kernel multiplies at a time: what plans are made for."""
        return int(self.library.psconv_group(self.instruction_set))


class Unavailable(Exception):
    """There is no compiled kernel; the text says why."""


def chosen() -> Native | None:
    """What computes now: the kernel, or None for numpy. Raises ConfigError where SWITCH has no meaning."""
    return _chosen(os.environ.get(SWITCH, ""))


def describe() -> str:
    """One line for people: the instruction set, or why numpy computes."""
    native = chosen()
    if native:
        return INSTRUCTION_SETS[native.instruction_set]
    try:
        load()
    except Unavailable as error:
        return f"numpy ({error})"
    return f"numpy ({SWITCH}=off)"


@cache
def _chosen(requested: str) -> Native | None:
    if requested not in ("", "off", *INSTRUCTION_SETS):
        raise ConfigError(
            f"environment: {SWITCH}: must be off or one of {', '.join(INSTRUCTION_SETS)}, got {requested!r}"
        )
    if requested == "off":
        return None
    try:
        library = load()
    except Unavailable:
        return None
    if requested:
        number = INSTRUCTION_SETS.index(requested)
        if not library.psconv_supports(number):
            raise ConfigError(f"environment: {SWITCH}: must be an instruction set of this processor, got {requested}")
        return Native(library, number)
    return Native(library, max(supported()))


def supported() -> list[int]:
    """The instruction sets that the library has and this processor too. Raises Unavailable."""
    return [number for number in range(len(INSTRUCTION_SETS)) if load().psconv_supports(number)]


@cache
def load() -> ctypes.CDLL:
    """The library. Raises Unavailable, naming what failed."""
    try:
        library = ctypes.CDLL(str(build(cache_folder())))
    except OSError as error:
        raise Unavailable(str(error)) from error
    pointer, number, size = ctypes.c_void_p, ctypes.c_int32, ctypes.c_int64
    library.psconv_supports.argtypes = library.psconv_group.argtypes = [number]
    library.psconv_convolve.argtypes = [number, pointer, pointer, pointer, size, size, size, size, size]
    library.psconv_add.argtypes = [number, pointer, pointer, pointer, pointer, size, size]
    library.psconv_add.restype = None
    return library


def build(folder: Path, compilers: tuple[tuple[str, ...], ...] = COMPILERS) -> Path:
    """The library in `folder`, compiled by the first of `compilers` that can unless it lies there already.

    Several processes may build at once: each gives its result the name in one step. Raises Unavailable.
    """
    path = folder / f"convolution-{_key()[:32]}.so"
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
            command = [*compiler, *_OPTIONS, str(SOURCE), "-o", str(made)]
            try:
                done = children.run(command, env=zig.uncached(scratch) if compiler is not _PLAIN else None)
            except Unwritable as error:
                problems.append(str(error))
                continue
            if done.returncode == 0:
                os.replace(made, path)
                return path
            problems.append(f"{' '.join(compiler)}: {(done.stderr.strip() or 'failed').splitlines()[-1]}")
    raise Unavailable("; ".join(problems))


def _key() -> str:
    """A digest of all that the library depends on: its sources, and which compilers are installed."""
    parts = [*_OPTIONS, platform.platform()]
    for compiler in COMPILERS:
        program = shutil.which(compiler[0])
        stat = Path(program).stat() if program else None
        parts += [*compiler, f"{stat.st_size} {stat.st_mtime_ns}" if stat else "missing"]
    contents = (path.read_bytes() for path in SOURCES)
    return hashlib.sha256(b"\0".join([*map(str.encode, parts), *contents])).hexdigest()
