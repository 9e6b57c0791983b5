"""The library of the compiled kernel, and the instruction set with which it is called; or why there is none."""

from __future__ import annotations

import ctypes
import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from pymodel.common import compiled
from pymodel.common.cache import cache_folder
from pymodel.common.compiled import Unavailable
from pymodel.common.errors import ConfigError

INSTRUCTION_SETS = ("plain", "avx2", "avx512")  # by their number in periodic.cpp, slowest first
SWITCH = "PSCONV_TRAINING"  # environment: an instruction set, or "off"; the best one otherwise
SOURCE = Path(__file__).with_name("periodic.cpp")
SOURCES = (SOURCE, SOURCE.with_name("periodic.hpp"))


@dataclass(frozen=True)
class Native:
    """The library and the instruction set, an index of INSTRUCTION_SETS, with which it is called."""

    library: ctypes.CDLL
    instruction_set: int

    @property
    def vector_bytes(self) -> int:
        """Bytes of a vector, whose lanes are neighbouring outputs."""
        return int(self.library.psconv_vector_bytes(self.instruction_set))


def chosen() -> Native | None:
    """What computes now; None: only PyTorch does. Raises ConfigError where SWITCH has no meaning."""
    return _chosen(os.environ.get(SWITCH, ""))


def describe() -> str:
    """One line for people: the instruction set, or why there is no kernel."""
    native = chosen()
    if native:
        return INSTRUCTION_SETS[native.instruction_set]
    try:
        load()
    except Unavailable as error:
        return f"none ({error})"
    return f"none ({SWITCH}=off)"


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
    if not requested:
        return Native(library, max(supported()))
    number = INSTRUCTION_SETS.index(requested)
    if not library.psconv_supports(number):
        raise ConfigError(f"environment: {SWITCH}: must be an instruction set of this processor, got {requested}")
    return Native(library, number)


def supported() -> list[int]:
    """The instruction sets that the library has and this processor too. Raises Unavailable."""
    return [number for number in range(len(INSTRUCTION_SETS)) if load().psconv_supports(number)]


@cache
def load() -> ctypes.CDLL:
    """The library. Raises Unavailable, naming what failed."""
    try:
        library = ctypes.CDLL(str(compiled.build(cache_folder(), SOURCES)))
    except OSError as error:
        raise Unavailable(str(error)) from error
    pointer, number, size = ctypes.c_void_p, ctypes.c_int32, ctypes.c_int64
    library.psconv_supports.argtypes = library.psconv_vector_bytes.argtypes = [number]
    library.psconv_vector_bytes.restype = size
    library.psconv_pack.argtypes = [number, pointer, number, pointer, pointer, size, size]
    library.psconv_pack.restype = None
    library.psconv_apply.argtypes = [number, pointer, number, pointer, pointer, pointer, pointer, size, size]
    library.psconv_gradient.argtypes = [number, pointer, number, *[pointer] * 3, *[size] * 4]
    return library
