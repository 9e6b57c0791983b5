"""Names of numpy arrays by the type of their elements, for annotations; docstrings give the shapes."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Int8: TypeAlias = NDArray[np.int8]
Int16: TypeAlias = NDArray[np.int16]
Int32: TypeAlias = NDArray[np.int32]
Int64: TypeAlias = NDArray[np.int64]
UInt8: TypeAlias = NDArray[np.uint8]
UInt16: TypeAlias = NDArray[np.uint16]
UInt32: TypeAlias = NDArray[np.uint32]
UInt64: TypeAlias = NDArray[np.uint64]
Bool: TypeAlias = NDArray[np.bool_]
Floats: TypeAlias = NDArray[np.float64]
Integers: TypeAlias = NDArray[np.integer[Any]]  # of any width, signed or not
Reals: TypeAlias = NDArray[np.floating[Any]]  # of any precision
Array: TypeAlias = NDArray[Any]  # of elements that are still to be checked, or of a record type


def all_but_smallest(scores: Floats, gone: int) -> Bool:
    """bool [n]: all but the `gone` smallest of scores [n]; of equal ones the first go first. No score may be NaN."""
    if not gone:
        return np.ones(len(scores), bool)
    least = np.partition(scores, gone - 1)[gone - 1]  # the largest that goes
    stays: Bool = scores > least
    ties = np.flatnonzero(scores == least)
    stays[ties[gone - np.count_nonzero(scores < least) :]] = True
    return stays
