"""The compiled kernel's library: built on first use, kept by its content, loaded; or the reason why there is none."""

from __future__ import annotations

import ctypes
import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from pymodel.common import compiled
from pymodel.common.cache import cache_folder
from pymodel.common.compiled import COMPILERS, Unavailable
from pymodel.common.errors import ConfigError

INSTRUCTION_SETS = ("plain", "avx2", "avx512vnni")  # by their number in convolution.cpp, slowest first
SWITCH = "PSCONV_NATIVE"  # environment: an instruction set, or "off"; the best one otherwise

SOURCE = Path(__file__).with_name("convolution.cpp")
SOURCES = (SOURCE, SOURCE.with_name("kernel.hpp"))


@dataclass(frozen=True)
class Native:
    """The library and the instruction set, an index of INSTRUCTION_SETS, with which it is called."""

    library: ctypes.CDLL
    instruction_set: int

    @property
    def group(self) -> int:
        """Input channels that the kernel multiplies at a time: what plans are made for."""
        return int(self.library.psconv_group(self.instruction_set))


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
    """The library in `folder`, as pymodel.common.compiled.build makes it. Raises Unavailable."""
    return compiled.build(folder, SOURCES, compilers)
