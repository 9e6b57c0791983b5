"""The verdict of a network whose weights are loaded on each packet: the last beat of its answer.

The C++ has the bits from the configurations of its units, docs/guide/weights.md from `python -m scripts.reference`.
"""

from __future__ import annotations

from enum import IntFlag

VERDICT_BITS = 8  # of the stream of verdicts


class Verdict(IntFlag):
    """GOOD: the scores are right. RELOADED: weights were in the packet. The others say why the scores are not right."""

    GOOD = 1 << 0
    NO_WEIGHTS = 1 << 1
    RELOADED = 1 << 2
    BAD_HEADER = 1 << 3
    TRUNCATED = 1 << 4
    OVERLONG = 1 << 5
    FOREIGN = 1 << 6

    @property
    def bit(self) -> int:
        """The number of the bit of a single flag."""
        return self.value.bit_length() - 1

    @property
    def meaning(self) -> str:
        """A single flag in words."""
        return _MEANINGS[self]


_MEANINGS = {
    Verdict.GOOD: "good: the scores are right, no other fault",
    Verdict.NO_WEIGHTS: "no valid weights: none since reset, or those that came last were damaged or cut short",
    Verdict.RELOADED: "weights were in this packet",
    Verdict.BAD_HEADER: "the header is neither 0 nor 1",
    Verdict.TRUNCATED: "the packet ended before the image was complete",
    Verdict.OVERLONG: "it went on after the image",
    Verdict.FOREIGN: "the weights in this packet are for another network",
}
