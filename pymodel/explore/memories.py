"""The memories of an engine, and the block RAMs of an AMD device that each takes.

A memory is block RAM or distributed by openhls' rule. How many blocks it takes is the choice of yosys' memory mapper
(memory_libmap), restated here: the cheapest of all shapes of a RAMB18 or RAMB36, rows and columns of it packed.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

from pymodel.packing import EngineShape

# openhls (schedule.py): a memory this shallow or this small is distributed.
DISTRIBUTED_DEPTH = 64
DISTRIBUTED_BITS = 4096
# Widths, bits of one bit's column, and cost to yosys of the halves and the whole of a block (its xilinx library).
_HALF = ((1, 2, 4, 9, 18, 36), 1 << 14, 129, 1)
_WHOLE = ((1, 2, 4, 9, 18, 36, 72), 1 << 15, 257, 2)
_ULTRA_WORDS, _ULTRA_BITS = 4096, 72
_MULTIPLEXER = 0.5  # cost of a 2:1 multiplexer for one bit
_BYTE = 9  # bits with a write enable of their own


@dataclass(frozen=True)
class Memory:
    """`depth` words of `width` bits. written: a RAM, else a ROM."""

    name: str
    depth: int
    width: int
    written: bool

    @property
    def block(self) -> bool:
        """Whether it lies in block RAM."""
        return self.depth > DISTRIBUTED_DEPTH and self.depth * self.width > DISTRIBUTED_BITS

    @property
    def half_blocks(self) -> int:
        """RAMB18 that it takes; a RAMB36 is two."""
        return half_blocks(self.depth, self.width, self.written) if self.block else 0

    @property
    def luts(self) -> int:
        """Look-up tables of a distributed memory: RAM32M16 or RAM64M8 (8 LUTs), or a LUT6 for each bit of a ROM."""
        if self.block:
            return 0
        if not self.written:
            return self.width * -(-self.depth // 64)
        bits = 14 if self.depth <= 32 else 7
        return 8 * -(-self.width // bits) * -(-self.depth // 64)

    @property
    def registers(self) -> int:
        """Flip-flops behind it. A RAM in block RAM has its own; a ROM of two words is an address bit and wires."""
        inside = self.block if self.written else self.depth <= 2
        return 0 if inside else self.width


class Totals(NamedTuple):
    """Of the memories of an engine: RAMB18, look-up tables that are memory, flip-flops behind them."""

    half_blocks: int
    luts: int
    registers: int


@cache
def half_blocks(depth: int, width: int, written: bool) -> int:
    """RAMB18 (a RAMB36 is two) of a memory in block RAM. written: RAM with one write enable, else ROM."""
    best = None
    for widths, ones, cost, halves in (_HALF, _WHOLE):
        for unit in widths:
            words = ones // (1 << (widths.index(unit)))
            rows = -(-depth // words)
            byte = min(unit, _BYTE) if written else 1
            blocks = -(-rows * -(-width // byte) * byte // unit)
            total = cost * blocks + _MULTIPLEXER * (rows - 1) * width
            if written and rows > 1:
                total += _MULTIPLEXER * rows
            if best is None or total < best[0]:
                best = total, halves * blocks
    return best[1]


def ultra_blocks(depth: int, width: int) -> int:
    """UltraRAMs of a memory: 4096 words of 72 bits each, rows and columns of bytes packed as in `half_blocks`."""
    rows = -(-depth // _ULTRA_WORDS)
    return min(-(-rows * -(-width // byte) * byte // _ULTRA_BITS) for byte in (8, 9))


def memories(shape: EngineShape) -> list[Memory]:
    """The memories of an engine, its streams aside; names as in openhls' schedule.

    Arrays of one word are registers. A bias is assumed: without one its ROM vanishes.
    """
    taps = [tap_memory(shape, element) for element in range(shape.elements)] if shape.pieces > 1 else []
    return _but_taps(shape) + taps


def streamed_memories(shape: EngineShape) -> list[Memory]:
    """The same of an engine whose weights come by a port: it holds windows, sums and outputs of a whole image."""
    pixels = shape.hout * shape.wout
    found = [
        Memory("windows", pixels * shape.NB, shape.positions * shape.in_bits, True),
        Memory("carried", pixels, shape.To * shape.acc_bits, True),
        Memory("groups", shape.out_beats, shape.out_words.word_bits, True),
    ]
    return [memory for memory in found if memory.depth > 1] + _around(shape)


def _but_taps(shape: EngineShape) -> list[Memory]:
    found = [Memory("WEIGHT_ROM", shape.rom_words, shape.rom_word_bits, False)]
    if shape.NB > 1:
        found.append(Memory("carried", shape.steps, shape.To * shape.acc_bits, True))
    return [memory for memory in found if memory.depth > 1] + _around(shape)


def _around(shape: EngineShape) -> list[Memory]:
    """Those of the feeder and of the output, wherever weights come from."""
    pieces = shape.NB * shape.pieces
    found = [Memory("BIAS_ROM", shape.steps, shape.To * shape.bias_bits, False)]
    if shape.scale_bits:
        found.append(Memory("SCALE_ROM", shape.steps, shape.To * shape.scale_bits, False))
    if shape.kernel > 1:
        found.append(feeder_lines(shape.width * pieces, shape.kernel, shape.piece_bits))
        found.append(Memory("history", pieces, (shape.kernel - 1) * shape.kernel * shape.piece_bits, True))
    return [memory for memory in found if memory.depth > 1]


def tap_memory(shape: EngineShape, element: int) -> Memory:
    """Of an element, where windows come channel by channel: two halves, each of a power of two."""
    return Memory(f"taps_{element}", 2 << (shape.pieces - 1).bit_length(), shape.in_bits, True)


def totals(shape: EngineShape) -> Totals:
    """What all `memories` of an engine take."""
    found = [(memory, 1) for memory in _but_taps(shape)]
    if shape.pieces > 1:  # many, all alike
        found.append((tap_memory(shape, 0), shape.elements))
    return Totals(*(sum(count * getattr(memory, what) for memory, count in found) for what in Totals._fields))


def feeder_lines(beats: int, kernel: int, beat_bits: int) -> Memory:
    """The line memory of an engine or a pooling with rows of `beats` words of `beat_bits` bits."""
    return Memory("lines", beats, (kernel - 1) * beat_bits, True)


def total_half_blocks(found: Iterable[Memory]) -> int:
    return sum(memory.half_blocks for memory in found)
