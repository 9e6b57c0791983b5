"""Number formats, requantisation and the accumulator proof: each defined here, once.

All numbers are signed two's complement integers with a power-of-two scale; weights may have an integer scale
per output channel on top of it:

    real weight of output channel o = integer * scale[o] * 2**-frac        scale[o] in 1..65535
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from pydantic import ConfigDict, StrictInt

from pymodel.common import bounds
from pymodel.common.arrays import Array, Floats, Int64, Integers, Reals
from pymodel.common.errors import ConfigError

MAX_FRAC = bounds.FRAC.largest
MAX_SHIFT = bounds.SHIFT.largest
MAX_ACC_BITS = bounds.ACCUMULATOR_BITS.largest
SCALE_BITS = bounds.SCALE_BITS.largest
Rounding = Literal["half_up", "half_even"]
"""Where a number halfway between two integers goes: up, or to the even one."""
BIAS_BITS = bounds.BIAS_BITS


@dataclass(frozen=True)
class Format:
    """Activation or weight format: `bits` (2..8) in all; the real value is integer * 2**-frac."""

    # For pydantic, where a Format is a field of a checked file: {bits: .., frac: ..} and nothing else.
    __pydantic_config__ = ConfigDict(extra="forbid", strict=False)

    bits: StrictInt
    frac: StrictInt

    def __post_init__(self) -> None:
        if type(self.bits) is not int or type(self.frac) is not int:
            raise ConfigError(f"bits, frac: must be plain integers, got {self.bits!r} and {self.frac!r}")
        bounds.TENSOR_BITS.check(self.bits, "bits")
        bounds.FRAC.check(self.frac, "frac")

    @property
    def min(self) -> int:
        return -(1 << (self.bits - 1))

    @property
    def max(self) -> int:
        return (1 << (self.bits - 1)) - 1

    @property
    def scale(self) -> float:
        """The real value of the integer 1."""
        return 2.0**-self.frac

    def limits(self, relu: bool, clip: float | None = None) -> tuple[int, int]:
        """The least and the greatest output: of a ReLU from 0, up to the real number `clip` where there is one."""
        return 0 if relu else self.min, self.max if clip is None else int(self.quantise(np.array(clip)))

    def contains(self, array: Array) -> bool:
        """Whether every element is an integer of this format (an empty array is)."""
        array = np.asarray(array)
        if array.dtype.kind not in "iu":
            return False
        return array.size == 0 or (int(array.min()) >= self.min and int(array.max()) <= self.max)

    def check(self, array: Array, what: str) -> None:
        """Raises ConfigError, naming `what`, unless `contains(array)`."""
        check_range(array, self.min, self.max, f"{what} ({self.bits} bits)")

    def quantise(self, real: Reals | Integers) -> Int64:
        """int64 array: real / scale, rounded half up (as requantisation rounds), saturated.

        Raises ConfigError for NaN.
        """
        with np.errstate(over="ignore"):  # infinity saturates as rightly as the number would
            scaled = np.ldexp(np.asarray(real, np.float64), self.frac)
        if np.isnan(scaled).any():
            raise ConfigError("real numbers must be numbers, got NaN, which has no fixed-point value")
        clipped: Floats = np.clip(scaled, self.min, self.max)  # first: infinity has a value then
        whole = np.floor(clipped)
        # Not floor(x + 0.5): that sum rounds the number just below one half up to 1.
        return (whole + (clipped - whole >= 0.5)).astype(np.int64)

    def real(self, integers: Integers) -> Floats:
        """float64 array: the real values of integers of this format."""
        return np.ldexp(np.asarray(integers, np.float64), -self.frac)


def check_range(array: Array, low: int, high: int, what: str) -> None:
    """Raises ConfigError unless `array` holds integers in [low, high]; the first offender is named."""
    array = np.asarray(array)
    if array.dtype.kind not in "iu":
        raise ConfigError(f"{what}: must be integers, got {array.dtype}")
    wrong = (array < low) | (array > high)
    if wrong.any():
        where = np.unravel_index(int(wrong.argmax()), array.shape)
        index = "[" + ", ".join(str(int(i)) for i in where) + "]" if where else ""
        raise ConfigError(f"{what}: must be {low} to {high}, got {int(array[where])} at {index}")


def requantise(
    acc: Integers,
    shift: int,
    out_bits: int,
    relu: bool,
    scales: Integers | None = None,
    high: int | None = None,
    rounding: Rounding = "half_up",
) -> Int64:
    """int64 array of `out_bits`-bit integers from accumulators (any integer array).

        p = acc * scale                             (p = acc where there are no scales)
        r = (p + (1 << (shift - 1))) >> shift       (arithmetic shift; r = p where shift is 0)
        y = min(max(r, 0 if relu else -2**(out_bits - 1)), high)

    Multiply, add half, shift right, saturate: rounding is to nearest, halves towards plus infinity; with `half_even`
    a half goes to the even one of its neighbours, as in ONNX: r is one less where it is odd and p is halfway. ReLU is
    saturation at zero, from above at `high`: 2**(out_bits - 1) - 1 where it is None. shift = input.frac + weight.frac
    - output.frac, 0..31.

    scales: integers 1..65535 that broadcast against acc, the scale of each element's output channel. A shift
    of its own for each channel is the special case scale = m << (shift - own shift), bit for bit.
    Raises ConfigError: no integers, a shift or scale out of range, scaled accumulators beyond MAX_ACC_BITS.
    """
    acc = np.asarray(acc)
    if acc.dtype.kind not in "iu":
        raise ConfigError(f"requantise: must be integers, got {acc.dtype}")
    check_shift(shift, "requantise")
    rounded = acc.astype(np.int64)
    if scales is not None:
        check_scales(scales, "requantise: scale")
        check_range(acc, -(1 << (MAX_ACC_BITS - 1)), (1 << (MAX_ACC_BITS - 1)) - 1, "requantise: scaled accumulator")
        rounded = rounded * np.asarray(scales).astype(np.int64)
    if shift:
        # The same number as in the formula, without a sum that could leave int64.
        halves = (rounded & ((1 << shift) - 1)) == 1 << (shift - 1)
        rounded = (rounded >> shift) + ((rounded >> (shift - 1)) & 1)
        if rounding == "half_even":
            rounded -= halves & rounded
    low = 0 if relu else -(1 << (out_bits - 1))
    return np.clip(rounded, low, (1 << (out_bits - 1)) - 1 if high is None else high)


def check_shift(shift: int, what: str) -> None:
    """Raises ConfigError unless `shift` is 0..31."""
    if not 0 <= shift <= MAX_SHIFT:
        raise ConfigError(
            f"{what}: shift (input frac + weight frac - output frac) must be 0 to {MAX_SHIFT}, got {shift}"
        )


def check_scales(scales: Integers, what: str) -> None:
    """Raises ConfigError, naming `what`, unless every element is an integer from 1 to 65535."""
    check_range(scales, 1, (1 << SCALE_BITS) - 1, what)


def accumulator_bound(weights: Integers, bias: Integers, in_bits: int) -> int:
    """The largest magnitude that any partial sum of any output channel can reach, whatever the input.

    max over o of  sum |weights[o]| * 2**(in_bits - 1) + |bias[o]|.  weights [cout, ...], bias [cout].
    """
    magnitudes = np.abs(np.asarray(weights).astype(np.int64)).reshape(len(weights), -1).sum(axis=1)
    offsets = np.abs(np.asarray(bias).astype(np.int64))
    return int(((magnitudes << (in_bits - 1)) + offsets).max(initial=0))


def accumulator_bits(weights: Integers, bias: Integers, in_bits: int) -> int:
    """Bits of the narrowest signed accumulator that provably never wraps (2 at least)."""
    return max(2, accumulator_bound(weights, bias, in_bits).bit_length() + 1)


def check_accumulator(weights: Integers, bias: Integers, in_bits: int, acc_bits: int, what: str) -> None:
    """Raises ConfigError where an accumulator of `acc_bits` could wrap."""
    needed = accumulator_bits(weights, bias, in_bits)
    if acc_bits < needed:
        raise ConfigError(
            f"{what}: accumulator_bits: must be at least {needed} for its weights, bias and {in_bits}-bit inputs, "
            f"got {acc_bits}"
        )


def mean(sums: Integers, count: int, rounding: Rounding = "half_up") -> Int64:
    """int64: sums of `count` elements over their number, to the nearest integer, halves as `requantise` rounds them."""
    doubled: Int64 = 2 * np.asarray(sums).astype(np.int64) + count
    rounded: Int64 = doubled // (2 * count)
    if rounding == "half_even":
        rounded -= (doubled % (2 * count) == 0) & rounded
    return rounded


class MeanScale(NamedTuple):
    """How hardware makes a `mean` without a division: (sum * scale + (1 << (shift - 1))) >> shift.

    doubled: 2 * sum + 1 takes the place of the sum.
    """

    scale: int
    shift: int
    doubled: bool


def mean_scale(count: int, bits: int) -> MeanScale:
    """The narrowest multiplier that gives `mean` exactly for every sum of `count` integers of `bits` bits.

    For a power of two the scale is 1 and the shift its logarithm. Otherwise let v / n be the mean: the sum over `count`
    where that is odd, so that no mean is a half; 2 * sum + 1 over 2 * count where it is even, which rounds as the mean
    does, and is never a half. It is 1 / (2 * n) from the nearest half at least, and 1 / n where n is even.
    v * scale / 2**shift differs from v / n by |v| * |scale * n - 2**shift| / (n * 2**shift): where that is less, both
    round alike.
    """
    if not count & (count - 1):
        return MeanScale(1, count.bit_length() - 1, False)
    doubled = count % 2 == 0
    n = 2 * count if doubled else count
    largest = (n << (bits - 1)) + doubled
    shift = 1
    while True:
        scale = ((1 << (shift + 1)) + n) // (2 * n)
        if largest * abs(scale * n - (1 << shift)) < 1 << (shift if doubled else shift - 1):
            return MeanScale(scale, shift, doubled)
        shift += 1
