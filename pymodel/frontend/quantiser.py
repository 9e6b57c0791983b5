"""Quantisers: the numbers that a tensor of another program's quantised network can hold."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from pymodel.common.arrays import Floats
from pymodel.network.formats import Rounding

_SAME = 1e-6  # two scales that files give as float32 are one, or one a multiple of the other, to this fraction


@dataclass(frozen=True)
class Quantiser:
    """integer * scale, with integers of `bits` bits; narrow: without the least of a signed one, or greatest unsigned.

    rounding: to the nearest integer, halves to the even one or upwards.
    """

    bits: int
    signed: bool
    narrow: bool
    scale: float
    rounding: Rounding = "half_even"

    @property
    def low(self) -> int:
        """The least integer."""
        return -(1 << (self.bits - 1)) + self.narrow if self.signed else 0

    @property
    def high(self) -> int:
        """The greatest integer."""
        return (1 << (self.bits - 1)) - 1 if self.signed else (1 << self.bits) - 1 - self.narrow

    def holds(self, other: Quantiser, not_negative: bool) -> bool:
        """Whether every number of `other`, of those not negative where so told, is one of this."""
        ratio = other.scale / self.scale
        if ratio < 1 - _SAME or not same(ratio, round(ratio)):
            return False
        least = 0 if not_negative else other.low
        return self.low <= least * round(ratio) and other.high * round(ratio) <= self.high

    @property
    def format_bits(self) -> int:
        """Bits of the format whose integers these are: one more than unsigned ones have."""
        return self.bits if self.signed else self.bits + 1

    def one_format(self, other: Quantiser) -> bool:
        """Whether the integers of both are of one format."""
        return self.format_bits == other.format_bits and same(self.scale, other.scale)


def same(left: float, right: float) -> bool:
    """Whether two scales are one, float32 aside."""
    return math.isclose(left, right, rel_tol=_SAME)


def power_of_two(ratio: float) -> int | None:
    """k where ratio = 2**k; None where it is no power of two."""
    power = round(math.log2(ratio))
    return power if same(ratio, 2.0**power) else None


def rounded(array: Floats, rounding: Rounding) -> Floats:
    """To the nearest whole numbers."""
    whole = np.floor(array)
    found: Floats = np.rint(array) if rounding == "half_even" else whole + (array - whole >= 0.5)
    return found
