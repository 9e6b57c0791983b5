"""What a network whose weights are loaded says of each packet: the status, the last beat of its response.

The C++ has the bits from the configurations of its units, docs/guide/weights.md from `python -m scripts.reference`.
"""

from __future__ import annotations

from enum import IntFlag

STATUS_BITS = 8  # of the stream of statuses


class Status(IntFlag):
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
    Status.GOOD: "good: the scores are right, no other fault",
    Status.NO_WEIGHTS: "no valid weights: none since reset, or those that came last were damaged or cut short",
    Status.RELOADED: "weights were in this packet",
    Status.BAD_HEADER: "the header is neither 0 nor 1",
    Status.TRUNCATED: "the packet ended before the image was complete",
    Status.OVERLONG: "it went on after the image",
    Status.FOREIGN: "the weights in this packet are for another network",
}
