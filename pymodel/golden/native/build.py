"""The kernel of the golden model's convolution, in integers: sources, and types of its functions."""

from __future__ import annotations

import ctypes
from pathlib import Path

from pymodel.common.compiled import Kernel

SOURCE = Path(__file__).with_name("convolution.cpp")


def _declare(library: ctypes.CDLL) -> None:
    pointer, number, size = ctypes.c_void_p, ctypes.c_int32, ctypes.c_int64
    library.psconv_group.argtypes = [number]
    library.psconv_convolve.argtypes = [number, pointer, pointer, pointer, size, size, size, size, size]
    library.psconv_add.argtypes = [number, pointer, pointer, pointer, pointer, size, size]
    library.psconv_add.restype = None


KERNEL = Kernel(
    sources=(SOURCE, SOURCE.with_name("kernel.hpp")),
    instruction_sets=("plain", "avx2", "avx512vnni"),
    switch="PSCONV_NATIVE",
    without="numpy",
    declare=_declare,
)
