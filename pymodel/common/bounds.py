"""The bounds of every number that a user gives: by a file's key or by an option of a command line, one definition each.

A `Bounds` makes pydantic types (`Annotated[int, CLOCK_NS.field()]`) and checks single numbers; it takes neither NaN nor
infinity, nor True for 1.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field

from pymodel.common.errors import ConfigError, shortened


@dataclass(frozen=True)
class Bounds:
    """Numbers from `low` to `high`, both included unless `above`: then `low` itself is left out."""

    low: float
    high: float
    unit: str = ""
    above: bool = False

    def __str__(self) -> str:
        low, high = (f"{end:,}" if isinstance(end, int) else f"{end:g}" for end in (self.low, self.high))
        unit = f" {self.unit}" if self.unit else ""
        return f"{'more than ' if self.above else ''}{low} to {high}{unit}"

    @property
    def largest(self) -> int:
        """The last integer inside."""
        return math.floor(self.high)

    @property
    def least(self) -> int:
        """The first integer inside."""
        return math.floor(self.low) + 1 if self.above else math.ceil(self.low)

    def field(self, default: Any = ..., **more: Any) -> Any:
        """A pydantic field of these bounds."""
        if self.above:
            return Field(default, gt=self.low, le=self.high, **more)
        return Field(default, ge=self.low, le=self.high, **more)

    def check(self, value: float, name: str) -> None:
        """Raises ConfigError, naming the option or key, for a number that lies outside."""
        inside = value > self.low if self.above else value >= self.low
        if isinstance(value, bool) or not math.isfinite(value) or not inside or value > self.high:
            raise ConfigError(f"{name}: must be {self}, got {shortened(value)}")

    def option(self, name: str) -> Callable[[Any], Any]:
        """What a command line calls with the option's value, None where it was left out."""

        def given(value: Any) -> Any:
            if value is not None:
                self.check(value, name)
            return value

        return given


def plain_integer(value: Any) -> Any:
    """For a version of a file format: pydantic's Literal[1] takes True and 1.0 for 1."""
    if type(value) is not int:
        raise ValueError(f"must be 1, the only version, got {shortened(value)}")
    return value


def odd(value: int) -> int:
    """For the size of a kernel, which has a middle."""
    if value % 2 == 0:
        raise ValueError(f"must be odd (1, 3, 5, ...), got {value}")
    return value


def file_name(value: str) -> str:
    """For a name of a file: the operating system knows none with a NUL in it."""
    if "\0" in value or not value:
        raise ValueError(f"must be the name of a file, got {value!r}")
    return value


CLOCK_NS = Bounds(0.5, 1000, "ns", above=True)
FRAMES_PER_SECOND = Bounds(1e-6, 1e12)
BUDGET = Bounds(0, 10**9)
TENSOR_BITS = Bounds(2, 8)  # of a weight or an activation
CLIP = Bounds(0, 1e30, above=True)  # of a ReLU's real output
FINER_BITS = Bounds(0, TENSOR_BITS.high - TENSOR_BITS.low)
FRAC = Bounds(-64, 64)  # of a format; far beyond use, and 2.0**-frac stays a normal number
BIAS_BITS = 32
SCALE_BITS = Bounds(0, 16)  # of an output channel's scale: unsigned, it fits the 18-bit port of a DSP block; 0: none
BAUD = Bounds(9600, 12_000_000, "bit/s")  # of a board's serial line
BOARD_MHZ = Bounds(1, 400, "MHz")  # of a board's oscillator
MHZ = Bounds(1, 400, "MHz")  # of a design on a board
MULTIPLIER_BITS = Bounds(TENSOR_BITS.high, 1 << 10)  # of an operand of a device's multipliers: it takes any tensor's
COUNTED_BITS = Bounds(1, 64)  # of a weight whose storage is only counted
SIZE = Bounds(1, 1 << 16)  # rows, columns or channels that an engine takes, and its strides
NETWORK_SIZE = Bounds(1, 1 << 20)  # the same of a network
PADDING = Bounds(0, 1 << 20)
KERNEL = Bounds(1, 255)  # each tap is an object of its own
# Of the one layer of a run with generated weights: what `psconv hunt` tries of it.
LAYER_KERNEL = Bounds(1, 15)
LAYER_STRIDE = Bounds(1, 2)
LAYER_PADDING = Bounds(0, LAYER_KERNEL.high - 1)
PARALLEL = Bounds(1, 1 << 16)  # To, R, Tx, Tb, fold, packing
IMAGES = Bounds(1, 100_000)
STALLED_IMAGES = Bounds(0, 100_000)
SEED = Bounds(0, (1 << 32) - 1)
SHIFT = Bounds(0, 31)
ACCUMULATOR_BITS = Bounds(2, 48)  # with SCALE_BITS: a sum times a scale is an int64
PROBABILITY_OF_STALL = Bounds(0, 0.95)
MULTIPLIERS = Bounds(1, 1 << 24)
KIB = Bounds(0, 1 << 40)
POINTS = Bounds(1, 32)  # of a frontier
CASES = Bounds(1, 10**9)  # of a hunt
MINUTES = Bounds(0, 10**6)
PICOJOULE = Bounds(0, 1e12, "pJ")
POSITIVE_PICOJOULE = Bounds(0, 1e12, "pJ", above=True)

EPOCHS = Bounds(1, 1_000_000)
BATCH = Bounds(1, 1 << 20)
STEPS = Bounds(0, 1 << 40)
WIDTH = Bounds(1, 1 << 12)  # channels of a network's first stage
THREADS = Bounds(1, 1 << 12)
CROP = Bounds(0, 1 << 10)
LEARNING_RATE = Bounds(0, 1e38, above=True)
FRACTION = Bounds(0, 1, above=True)
BELOW_ONE = Bounds(0, 0.9999)
SHARE = Bounds(0, 1)
TEMPERATURE = Bounds(0, 1e3, above=True)
MIXUP = Bounds(0, 1e3)
IMAGES_HELD_BACK = Bounds(0, 10**9)
WARM_UP = Bounds(0, 1_000_000)
WEIGHT_DECAY = Bounds(0, 1e6)
MIXTURE_COMPONENTS = Bounds(1, 64)  # Gaussians that a batch is normalised by
EM_STEPS = Bounds(1, 100)  # of expectation maximisation, for each batch
ATTACK_STEPS = Bounds(1, 1000)  # gradients that an adversarial image is made with

Version1 = BeforeValidator(plain_integer)
Odd = AfterValidator(odd)
FileName = Annotated[str, AfterValidator(file_name)]
