"""Clocks that an ECP5's PLL makes of a board's.

Limits: Lattice FPGA-DS-02012 (ECP5 family data sheet), sysCLOCK PLL timing. The feedback comes from the output, so that
output = input * feedback / reference, and the oscillator runs at output * divider.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

_REFERENCE, _FEEDBACK, _OUTPUT = range(1, 129), range(1, 81), range(1, 129)  # what the dividers divide by
_INPUT_MHZ, _PHASE_MHZ, _OSCILLATOR_MHZ, _OUTPUT_MHZ = (8, 400), (10, 400), (400, 800), (3.125, 400)


@dataclass(frozen=True)
class Pll:
    """Dividers of an EHXPLLL. mhz: of its output."""

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

    @property
    def phase(self) -> int:
        """CPHASE of the output: half its divider, so that the edges lie on each other, as Lattice's tool has it."""
        return self.output // 2 - 1 if self.output > 1 else 0


def plls(input_mhz: float) -> Iterator[Pll]:
    """One for each frequency that can be made of the input's, the highest first."""
    found: dict[float, Pll] = {}
    if not _within(input_mhz, _INPUT_MHZ):
        return
    for reference in _REFERENCE:
        if not _within(input_mhz / reference, _PHASE_MHZ):
            continue
        for feedback in _FEEDBACK:
            mhz = input_mhz * feedback / reference
            if round(mhz, 9) in found or not _within(mhz, _OUTPUT_MHZ):
                continue
            # The oscillator in the middle of its range, as far from both ends as it goes.
            dividers = [divider for divider in _OUTPUT if _within(mhz * divider, _OSCILLATOR_MHZ)]
            if dividers:
                middle = min(dividers, key=lambda divider: abs(mhz * divider - 600))
                found[round(mhz, 9)] = Pll(input_mhz, reference, feedback, middle)
    for mhz in sorted(found, reverse=True):
        yield found[mhz]


def pll_at_most(input_mhz: float, mhz: float) -> Pll | None:
    """The one with the highest frequency that is not above `mhz`; None where all are above it."""
    return next((pll for pll in plls(input_mhz) if pll.mhz <= mhz * (1 + 1e-9)), None)


def _within(value: float, limits: tuple[float, float]) -> bool:
    return limits[0] <= value <= limits[1]
