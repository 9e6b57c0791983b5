"""Which arrays and FIFOs lie in block memory, where nothing asks for another place: by their size.

Whoever counts memories before they are compiled needs the same two rules.
"""

from __future__ import annotations

DISTRIBUTED_DEPTH = 64  # words up to which anything is distributed
DISTRIBUTED_BITS = 4096


def array_in_block(depth: int, width: int) -> bool:
    """Whether an array of `depth` words of `width` bits lies in block memory: beyond both limits."""
    return depth > DISTRIBUTED_DEPTH and depth * width > DISTRIBUTED_BITS


def fifo_in_block(depth: int, width: int) -> bool:
    """Whether a FIFO of `depth` words of `width` bits lies in block memory: so too with exactly DISTRIBUTED_BITS."""
    return depth > DISTRIBUTED_DEPTH and depth * width >= DISTRIBUTED_BITS
