"""Frame rates and cycles per image: exact, so that a rate that was printed can be asked for.

Cycles are integers and clock periods are the decimals that the user wrote, so a rate is a rational number. It is
printed rounded down, with as many digits as lead back to the same cycles.
"""

from __future__ import annotations

import math
from decimal import Decimal
from fractions import Fraction

_DECIMALS = 3  # at least


def cycles_at(fps: float | Decimal, clock_ns: float) -> int:
    """The most cycles per image with which a rate is reached; 0: none is fast enough."""
    return math.floor(1 / (_exact(fps) * _seconds(clock_ns)))


def rate(cycles: int, clock_ns: float) -> Decimal:
    """Frames/s at so many cycles per image, rounded down to a number for which `cycles_at` gives these cycles."""
    exact, digits = 1 / (cycles * _seconds(clock_ns)), _DECIMALS
    while True:
        units = math.floor(exact * 10**digits)
        shown = Decimal(units).scaleb(-digits)
        if units and cycles_at(shown, clock_ns) == cycles:
            return shown
        digits += 1


def _seconds(clock_ns: float) -> Fraction:
    return _exact(clock_ns) / 10**9


def _exact(number: float | Decimal) -> Fraction:
    """The decimal that is written, not the binary number next to it."""
    return Fraction(str(number))
