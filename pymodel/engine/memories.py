"""The memories of an engine, and the block RAMs of an AMD device that each takes.

A memory is block RAM or distributed by openhls' rule. How many blocks it takes is the choice of yosys' memory mapper
(memory_libmap), restated here: the cheapest of all shapes of a RAMB18 or RAMB36, rows and columns of it packed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Literal, NamedTuple

from openhls.backend.storage import array_in_block

from pymodel.engine.packing import EngineShape
from pymodel.engine.windows import WindowShape, has_columns, kept_columns
from pymodel.network.supports import Support

# Widths, bits of one bit's column, and cost to yosys of the halves and the whole of a block (its xilinx library).
_HALF = ((1, 2, 4, 9, 18, 36), 1 << 14, 129, 1)
_WHOLE = ((1, 2, 4, 9, 18, 36, 72), 1 << 15, 257, 2)
_ULTRA_WORDS, _ULTRA_BITS = 4096, 72
_MULTIPLEXER = 0.5  # cost of a 2:1 multiplexer for one bit
_BYTE = 9  # bits with a write enable of their own
_LONG_COLUMN = 32  # bits of which no two random ones are the same


Style = Literal["distributed", "ultra"]


@dataclass(frozen=True)
class LutRam:
    """RAM that look-up tables make, with a port to read and one to write.

    A block of `luts` of them has bits_of_32 bits of up to 32 words, or bits_of_64 of up to 64.
    """

    bits_of_32: int
    bits_of_64: int
    luts: int

    def of(self, depth: int, width: int) -> int:
        """Look-up tables of a memory."""
        bits = self.bits_of_32 if depth <= 32 else self.bits_of_64
        return self.luts * -(-width // bits) * -(-depth // 64)


@dataclass(frozen=True)
class Memory:
    """`depth` words of `width` bits. written: a RAM, else a ROM. style: what the C++ asks for; none: by its size."""

    name: str
    depth: int
    width: int
    written: bool
    style: Style | None = None

    @property
    def block(self) -> bool:
        """Whether it lies in block RAM."""
        inside: bool = self.style is None and array_in_block(self.depth, self.width)
        return inside

    @property
    def ultras(self) -> int:
        """UltraRAMs that it takes."""
        return ultra_blocks(self.depth, self.width) if self.style == "ultra" else 0

    @property
    def half_blocks(self) -> int:
        """RAMB18 that it takes; a RAMB36 is two."""
        return half_blocks(self.depth, self.width, self.written) if self.block else 0

    def luts(self, lut_ram: LutRam) -> int:
        """Look-up tables of a distributed memory: RAM, or LUT6s for each column of a ROM."""
        if self.block:
            return 0
        if self.style == "ultra":  # multiplexers join rows, up to four in a look-up table
            return self.width * -(-(-(-self.depth // _ULTRA_WORDS) - 1) // 3)
        if not self.written:
            return self._columns * -(-self.depth // 64)
        return lut_ram.of(self.depth, self.width)

    @property
    def registers(self) -> int:
        """Flip-flops behind it; a RAM in block RAM has its own."""
        if self.written:
            return 0 if self.block or self.style == "ultra" else self.width
        return self._columns

    @property
    def _columns(self) -> int:
        """Columns of a ROM of random words that differ from one another and are no constants: equal ones are one."""
        if self.depth > _LONG_COLUMN:
            return self.width
        possible = 1 << self.depth
        return round((possible - 2) * (1 - (1 - 1 / possible) ** self.width))


class Totals(NamedTuple):
    """What the memories of an engine take: RAMB18, look-up tables used as memory, flip-flops behind them, UltraRAM."""

    half_blocks: int
    luts: int
    registers: int
    ultras: int


@cache
def half_blocks(depth: int, width: int, written: bool) -> int:
    """RAMB18 (a RAMB36 is two) of a memory in block RAM. written: RAM with one write enable, else ROM."""
    choices: list[tuple[float, int]] = []  # cost to yosys, halves of a block
    for widths, ones, cost, halves in (_HALF, _WHOLE):
        for unit in widths:
            words = ones // (1 << (widths.index(unit)))
            rows = -(-depth // words)
            byte = min(unit, _BYTE) if written else 1
            blocks = -(-rows * -(-width // byte) * byte // unit)
            total = cost * blocks + _MULTIPLEXER * (rows - 1) * width
            if written and rows > 1:
                total += _MULTIPLEXER * rows
            choices.append((total, halves * blocks))
    return min(choices, key=lambda choice: choice[0])[1]


def ultra_blocks(depth: int, width: int) -> int:
    """UltraRAMs of a memory: 4096 words of 72 bits each, rows and columns of bytes packed as in `half_blocks`."""
    rows = -(-depth // _ULTRA_WORDS)
    return min(-(-rows * -(-width // byte) * byte // _ULTRA_BITS) for byte in (8, 9))


Words = Mapping[str, Sequence[int]]  # of an engine's ROMs, by their names


def memories(shape: EngineShape, words: Words | None = None) -> list[Memory]:
    """The memories of an engine, its streams aside; names as in openhls' schedule.

    words: what its ROMs hold. A ROM whose words are all the same is none; those that are not in `words` are taken to
    have different ones. Arrays of one word are registers.
    """
    numbers = _used_taps(shape, words) if shape.pieces > 1 else []
    return _but_taps(shape, words) + [tap_memory(shape, number) for number in numbers]


def streamed_memories(shape: EngineShape, words: Words | None = None) -> list[Memory]:
    """Memories of an engine whose weights are streamed: it holds windows, sums and outputs of a whole image."""
    sets = shape.pixel_sets
    found = [
        Memory("windows", sets * shape.NB, shape.window_bits, True),
        Memory("groups", shape.out_beats, shape.out_words.word_bits, True),
    ]
    if shape.round_sets * shape.fold > 1:  # else each turn begins new sums
        found.append(Memory("carried", sets, shape.sums_bits, True))
    return _needed(found, words) + _around(shape, words)


def _but_taps(shape: EngineShape, words: Words | None) -> list[Memory]:
    if shape.loaded:
        found = [
            Memory("weights", shape.rom_words, shape.rom_word_bits, True, "ultra" if shape.ultra_weights else None)
        ]
        if shape.round_sets > 1:
            found.append(Memory("carried", shape.round_steps, shape.sums_bits, True, "distributed"))
        return _needed(found, words) + _around(shape, words)
    found = [Memory("WEIGHT_ROM", shape.rom_words, shape.rom_word_bits, False)]
    if shape.round_sets > 1:
        found.append(Memory("carried", shape.round_steps, shape.sums_bits, True))
    return _needed(found, words) + _around(shape, words)


def _around(shape: EngineShape, words: Words | None) -> list[Memory]:
    """Memories of the feeder and of the output stage; every engine has them."""
    biases = ("biases", True) if shape.loaded else ("BIAS_ROM", False)
    found = [Memory(biases[0], shape.steps, shape.outputs * shape.bias_bits, biases[1])]
    if shape.scale_bits:
        found.append(Memory("SCALE_ROM", shape.steps, shape.outputs * shape.scale_bits, False))
    return _needed(found, words) + feeder_memories(shape, shape.piece_bits)


def _needed(found: Iterable[Memory], words: Words | None) -> list[Memory]:
    return [memory for memory in found if memory.depth > 1 and _only_word(memory.name, words) is None]


def _only_word(rom: str, words: Words | None) -> int | None:
    """The word of a ROM whose words are known to be all the same; None of any other."""
    held = set(words[rom]) if words is not None and rom in words else set()
    return held.pop() if len(held) == 1 else None


def _used_taps(shape: EngineShape, words: Words | None) -> list[int]:
    """Numbers of the tap memories, one for each place of the ring that the engine looks at.

    Lanes of several rotations may be wired to one place: the memory of the last of them stands for all. A lane whose
    weights are known to be zero in all words looks at none.
    """
    places = _wired(shape)
    last = {place: number for number, place in enumerate(places)}
    weights = _only_word("WEIGHT_ROM", words)
    if weights is None:
        return sorted(last.values())
    field = (1 << shape.weight_bits) - 1
    lanes = (lane for lane in range(shape.word_weights) if weights >> lane * shape.weight_bits & field)
    used = {(lane // (shape.M * shape.To), lane % shape.M) for lane in lanes}  # rotation, multiplier of an output
    looks = (n for n in range(len(places)) if (n // shape.elements % shape.R, n % shape.elements % shape.M) in used)
    return sorted({last[places[number]] for number in looks})


def _wired(shape: EngineShape) -> list[tuple[int, int, int, int]]:
    """What each element is wired to, rotation by rotation of each pixel: (block, position in the ring, row, column)."""
    support = _ring_of(shape)
    return [
        (block, *place)
        for pixel in range(shape.Tx)
        for rotation in range(shape.R)
        for block in range(shape.Tb)
        for place in _rotation(support, shape.P, rotation, pixel * shape.stride)
    ]


def _rotation(support: Support, P: int, rotation: int, column: int) -> list[tuple[int, int, int]]:
    """What the elements of a block are wired to in one rotation of the pixel that begins at a column."""
    return [
        ((variant - rotation) % P, tap // support.kernel, column + tap % support.kernel)
        for variant, tap in support.elements()
    ]


def _ring_of(shape: EngineShape) -> Support:
    assert isinstance(shape.support, Support), "an engine without a ring has no memories in its place"
    return shape.support


def ring_places(shape: EngineShape) -> int:
    """Activations of the ring that lanes are wired to; lanes of several rotations and pixels may share one."""
    return shape.Tb * _block_places(_ring_of(shape), shape.P, shape.R, shape.Tx, shape.stride)


@cache
def _block_places(support: Support, P: int, R: int, Tx: int, stride: int) -> int:
    """Activations of one block of the ring that lanes are wired to."""
    columns = [pixel * stride for pixel in range(Tx)]
    return len(
        {place for rotation in range(R) for column in columns for place in _rotation(support, P, rotation, column)}
    )


def feeder_memories(feeder: WindowShape, piece_bits: int) -> list[Memory]:
    """Line buffers and history of a feeder that moves words of `piece_bits` per tap; none for 1x1 kernels."""
    if not has_columns(feeder):
        return []
    pieces = feeder.NB * feeder.pieces
    found = [Memory("history", pieces, kept_columns(feeder) * feeder.kernel * piece_bits, True)]
    # Padded rows up to the end of the last window, and of them those below row 0 of the image.
    if feeder.kernel > 1 and (feeder.hout - 1) * feeder.stride + feeder.kernel - feeder.pads.top > 1:
        above = feeder.Tx * (feeder.kernel - 1) * piece_bits
        found.append(Memory("lines", feeder.width // feeder.Tx * pieces, above, True))
    return [memory for memory in found if memory.depth > 1]


def tap_memory(shape: EngineShape, number: int) -> Memory:
    """The LUT memory of a place of the ring with `feed: channels`: two banks, each rounded up to a power of two.

    number: (pixel * R + rotation) * elements + element, of the last lane that is wired to the place.
    """
    return Memory(f"taps_{number}", 2 << (shape.pieces - 1).bit_length(), shape.in_bits, True)


def totals(shape: EngineShape, lut_ram: LutRam, streamed: bool = False) -> Totals:
    """What all `memories` of an engine take, whatever its ROMs hold. streamed: `streamed_memories`."""
    found = [(memory, 1) for memory in (streamed_memories(shape) if streamed else _but_taps(shape, None))]
    if shape.pieces > 1:  # many, all alike
        found.append((tap_memory(shape, 0), ring_places(shape)))
    return Totals(
        half_blocks=sum(count * memory.half_blocks for memory, count in found),
        luts=sum(count * memory.luts(lut_ram) for memory, count in found),
        registers=sum(count * memory.registers for memory, count in found),
        ultras=sum(count * memory.ultras for memory, count in found),
    )


def total_half_blocks(found: Iterable[Memory]) -> int:
    return sum(memory.half_blocks for memory in found)
