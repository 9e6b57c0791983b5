"""Clocks that an FPGA's PLL makes of a board's.

The feedback comes from the output, so that output = input * feedback / reference, and the oscillator runs at output *
divider. The limits of a family stand with it (`psconv.boards.families`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

Range = tuple[float, float]


@dataclass(frozen=True)
class Limits:
    """What a family's PLL can do. reference, feedback, output: what its dividers divide by. Frequencies in MHz.

    phase_mhz: of the phase detector, which sees the input behind the reference divider.
    """

    reference: Sequence[int]
    feedback: Sequence[int]
    output: Sequence[int]
    input_mhz: Range
    phase_mhz: Range
    oscillator_mhz: Range
    output_mhz: Range


@dataclass(frozen=True)
class Pll:
    """Dividers of a PLL. mhz: of its output."""

    input_mhz: float
    reference: int
    feedback: int
    output: int

    @property
    def mhz(self) -> float:
        return self.input_mhz * self.feedback / self.reference

    @property
    def oscillator_mhz(self) -> float:
        return self.mhz * self.output


def plls(limits: Limits, input_mhz: float) -> Iterator[Pll]:
    """One for each frequency that can be made of the input's, the highest first."""
    found: dict[float, Pll] = {}
    if not _within(input_mhz, limits.input_mhz):
        return
    middle = sum(limits.oscillator_mhz) / 2
    for reference in limits.reference:
        if not _within(input_mhz / reference, limits.phase_mhz):
            continue
        for feedback in limits.feedback:
            mhz = input_mhz * feedback / reference
            if round(mhz, 9) in found or not _within(mhz, limits.output_mhz):
                continue
            # The oscillator in the middle of its range, as far from both ends as it goes.
            dividers = [divider for divider in limits.output if _within(mhz * divider, limits.oscillator_mhz)]
            if dividers:
                chosen = min(dividers, key=lambda divider: abs(mhz * divider - middle))
                found[round(mhz, 9)] = Pll(input_mhz, reference, feedback, chosen)
    for mhz in sorted(found, reverse=True):
        yield found[mhz]


def pll_at_most(limits: Limits, input_mhz: float, mhz: float) -> Pll | None:
    """The one with the highest frequency that is not above `mhz`; None where all are above it."""
    return next((pll for pll in plls(limits, input_mhz) if pll.mhz <= mhz * (1 + 1e-9)), None)


def _within(value: float, limits: Range) -> bool:
    return limits[0] <= value <= limits[1]
