"""The kernel of periodic convolution and its gradients, in floating point: sources, and types of its functions."""

from __future__ import annotations

import ctypes
from pathlib import Path

from pymodel.common.compiled import Kernel

SOURCE = Path(__file__).with_name("periodic.cpp")


def _declare(library: ctypes.CDLL) -> None:
    pointer, number, size = ctypes.c_void_p, ctypes.c_int32, ctypes.c_int64
    library.psconv_vector_bytes.argtypes = [number]
    library.psconv_vector_bytes.restype = size
    library.psconv_pack.argtypes = [number, pointer, number, pointer, pointer, size, size]
    library.psconv_pack.restype = None
    library.psconv_apply.argtypes = [number, pointer, number, pointer, pointer, pointer, pointer, size, size]
    library.psconv_gradient.argtypes = [number, pointer, number, *[pointer] * 3, *[size] * 4]


KERNEL = Kernel(
    sources=(SOURCE, SOURCE.with_name("periodic.hpp")),
    instruction_sets=("plain", "avx2", "avx512"),
    switch="PSCONV_TRAINING",
    without="none",
    declare=_declare,
)
