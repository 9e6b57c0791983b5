"""What an engine costs: multipliers and block RAM exactly, look-up tables and flip-flops by a fitted model.

The fitted part, on top of what memories take, is linear in the bits of the engine's structure (`lut_features`,
`ff_features`) with coefficients that are never negative; scripts/calibrate_costs.py measures and fits,
calibration/TECHNOLOGY.yaml keeps both.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from openhls.backend.storage import fifo_in_block
from pydantic import Field

from pymodel.common.errors import Strict, validated
from pymodel.common.kinds import CALIBRATION as KIND
from pymodel.common.kinds import read_kind
from pymodel.engine.cycles import FEEDER_STAGES
from pymodel.engine.memories import half_blocks, totals
from pymodel.engine.packing import EngineShape
from pymodel.engine.products import operand_bits
from pymodel.engine.windows import has_columns, kept_columns
from pymodel.explore.linear import Fit, fit_linear
from pymodel.explore.technology import Technology

KINDS = ("DSP", "BRAM", "LUT", "FF", "URAM")
EXACT = ("DSP", "BRAM", "URAM")  # the other two are estimates
DSP_PRODUCT_BITS = 9  # yosys makes narrower products of look-up tables
_DIRECT_WORDS = 64  # of a FIFO that needs no register: a LUT6 for each bit
_SHALLOW = 4  # words of a FIFO of a few
# Of a product by a constant that takes no DSP block, on average: 16 -> 16 channels, PSD1_P16, R = 16, random weights.
_CONSTANT_LUTS = 9
_STREAM_BITS = 10  # of a byte at a port: TDATA, TKEEP and TSTRB


@dataclass(frozen=True)
class Cost:
    """Resources. half_blocks: RAMB18, of which a block RAM (36 kbit) is two. URAM: weights that are loaded, no ROM.

    traffic: bytes of weights that are streamed, an image.
    """

    DSP: int = 0
    half_blocks: int = 0
    LUT: int = 0
    FF: int = 0
    URAM: int = 0
    traffic: int = 0

    @property
    def BRAM(self) -> float:
        """Block RAMs of 36 kbit."""
        return self.half_blocks / 2

    def __add__(self, other: Cost) -> Cost:
        return Cost(*(a + b for a, b in zip(self.vector, other.vector, strict=True)))

    def __sub__(self, other: Cost) -> Cost:
        return Cost(*(a - b for a, b in zip(self.vector, other.vector, strict=True)))

    def most(self, other: Cost) -> Cost:
        """The larger amount of each resource."""
        return Cost(*map(max, self.vector, other.vector))

    @property
    def vector(self) -> tuple[int, int, int, int, int, int]:
        """The integers that the solver works with."""
        return self.DSP, self.half_blocks, self.LUT, self.FF, self.URAM, self.traffic

    @property
    def in_units(self) -> tuple[float, ...]:
        """What `vector` has, in units of each resource: block RAMs in place of halves."""
        return self.DSP, self.BRAM, self.LUT, self.FF, self.URAM, self.traffic

    def to_json(self) -> dict[str, float]:
        """What a device has; `traffic` is none of it."""
        return {"DSP": self.DSP, "BRAM": self.BRAM, "LUT": self.LUT, "FF": self.FF, "URAM": self.URAM}


class Calibration(Strict):
    """calibration/TECHNOLOGY.yaml."""

    technology: str
    sample: int | None = Field(None, description="how many engines were asked for; none: all that there are")
    LUT: Fit
    FF: Fit
    measured: dict[str, dict[str, Any]] = Field(description="of each engine: its shape, and what yosys counts")


@cache
def calibration(technology: Technology) -> Calibration:
    """The fitted model. Raises ConfigError."""
    path = technology.calibration
    return validated(Calibration, read_kind(path, KIND), str(path))


def engine_cost(shape: EngineShape, technology: Technology) -> Cost:
    """What the engine of a shape takes, the streams between engines aside.

    With a single word of weights these are constants: it takes at most so many DSP blocks, and adders in their place.
    """
    model, known = calibration(technology), known_cost(shape, technology)
    return Cost(
        DSP=multiplier_blocks(shape, technology),
        half_blocks=known.half_blocks,
        LUT=model.LUT.predict(lut_features(shape)) + known.LUT,
        FF=model.FF.predict(ff_features(shape)) + known.FF,
        URAM=known.URAM,
    )


def multiplier_blocks(shape: EngineShape, technology: Technology) -> int:
    """DSP blocks: one for each multiplier; for that of a scale two where the sum is too wide for one."""
    multipliers = shape.multipliers if in_blocks(shape) else 0
    if _packed_multipliers(shape) < shape.multipliers:  # those of a single product may be too narrow
        product = min(shape.in_bits + shape.weight_bits, shape.acc_bits)
        multipliers = shape.multipliers if product >= DSP_PRODUCT_BITS else _packed_multipliers(shape)
    return multipliers + shape.scale_multipliers * -(-shape.acc_bits // technology.multiplier_bits)


def fifo_half_blocks(depth: int, width: int) -> int:
    """RAMB18 of a FIFO of openhls; one word of it is in a register."""
    return half_blocks(depth - 1, width, True) if fifo_in_block(depth, width) else 0


@cache
def fifo_cost(depth: int, width: int, technology: Technology, direct: bool = True) -> Cost:
    """A FIFO of openhls. direct: its reader has time for a distributed memory, else there is a register behind that.

    Block RAMs, memories of look-up tables and flip-flops are exact; the look-up tables of pointers and of what counts
    the words are within a few of yosys' (more where a block memory has several rows).
    """
    if depth == 1:
        return Cost(LUT=2, FF=width + 1)
    count = depth.bit_length()
    if direct and depth <= _DIRECT_WORDS:
        pointer = (depth - 1).bit_length()
        control = 2 * pointer + 9 if depth == 1 << pointer else 4 * pointer + 4
        return Cost(LUT=technology.lut_ram.of(depth, width) + control, FF=count + 3 * pointer + 2)
    words = depth - 1  # behind the register
    pointer = (words - 1).bit_length()
    control = 5 * pointer + 5
    if halves := fifo_half_blocks(depth, width):
        return Cost(half_blocks=halves, LUT=width + control, FF=2 * width + count + 2 * pointer + 3)
    return Cost(LUT=technology.lut_ram.of(words, width) + width + control, FF=width + count + 3 * pointer + 2)


def known_cost(shape: EngineShape, technology: Technology) -> Cost:
    """What needs no fit: memories, FIFOs, and the registers of a history that is no memory."""
    memory, fifos = totals(shape, technology.lut_ram), _fifos(shape, technology)
    constants = _CONSTANT_LUTS * shape.multipliers if shape.rom_words == 1 and not shape.loaded else 0
    return Cost(
        half_blocks=memory.half_blocks,
        LUT=memory.luts + sum(fifo.LUT for fifo in fifos) + constants,
        FF=memory.registers + history_registers(shape) + sum(fifo.FF for fifo in fifos),
        URAM=memory.ultras,
    )


def _fifos(shape: EngineShape, technology: Technology) -> list[Cost]:
    """The FIFOs inside an engine and the one at its output; what they take of block RAM is not in it.

    How deep those of windows and columns are is estimated: one word, or a few.
    """
    cycles = _set_cycles(shape)
    several = [
        (_window_bits(shape), max(_REFILL, FEEDER_STAGES + shape.NB - 1) > cycles),
        (column_bits(shape), _pauses(shape) >= cycles),
        (shape.sums_bits, True),
        (shape.out_words.word_bits, True),
    ]
    return [fifo_cost(_SHALLOW if deep else 1, width, technology) for width, deep in several if width]


def port_cost(shape: EngineShape, technology: Technology) -> Cost:
    """What a layer of its own has more than an engine in a network: an output port, whose FIFO has a register."""
    data = shape.out_beat_bytes * _STREAM_BITS + 1
    inside = fifo_cost(_SHALLOW, shape.out_words.word_bits, technology)
    return fifo_cost(_SHALLOW, data, technology, direct=False) - inside


def lut_features(shape: EngineShape) -> dict[str, int]:
    """Bits of what the logic of an engine is made of, memory aside."""
    column = column_bits(shape)
    carries, sums = shape.round_sets * shape.fold > 1, shape.sums_bits
    return {
        "engine": 1,
        "ring": _ring_bits(shape) if _moves(shape) else 0,  # loaded, or turned and held: a multiplexer for each
        "select": shape.Tx * shape.R * shape.M * shape.in_bits * (shape.fold - 1),  # operands of the folds
        "adders": _adder_bits(shape),
        "fields": _field_bits(shape),
        "zeros": _padded_rows_bits(shape) + (column if _history_in_registers(shape) else 0),  # outside the image
        "pieces": shape.in_words.word_bits if shape.pieces > 1 else 0,  # a channel of each block of a beat
        "sums": sums,
        "carried": sums * carries,  # from fold to fold, from block set to block set
        "delayed": sums * (shape.packing > 1),  # until packed products are apart
        "group": shape.out_words.word_bits,
    }


def ff_features(shape: EngineShape) -> dict[str, int]:
    """Bits of what an engine keeps in flip-flops, those of its memories and FIFOs aside."""
    product, plain = shape.multipliers * _product_bits(shape), shape.packing == 1
    column = 0 if _history_in_registers(shape) else column_bits(shape)  # while the history is read
    return {
        "engine": 1,
        "words": column + has_columns(shape) * shape.in_words.word_bits,
        "ring": _ring_bits(shape),
        "products": product,
        "chosen": shape.multipliers * shape.in_bits if plain and not _from_ring(shape) else 0,
        "packed": 0 if plain else _packed_multipliers(shape) * _product_bits(shape),  # both operands: one is a sum
        "sums": shape.sums_bits,
        "group": shape.out_words.word_bits,
    }


# Cycles from a credit of a stream to the word that it lets in: a stream of one word has only these to spare.
_REFILL = FEEDER_STAGES + 2


def _set_cycles(shape: EngineShape) -> int:
    """Cycles that a window set lasts; none where the next one comes meanwhile, in pieces that have to wait."""
    return shape.round_steps * shape.fold if shape.pieces == 1 else 0


def _moves(shape: EngineShape) -> bool:
    """Whether a lane takes more from the ring than what is loaded: it turns, or there are folds to choose from."""
    return (shape.P > shape.R and shape.round_steps > 1) or shape.fold > 1


def _from_ring(shape: EngineShape) -> bool:
    """Whether what is multiplied lies in the registers of a ring: not in a memory, of several folds, or of a stream."""
    return shape.pieces == 1 and shape.fold == 1 and shape.round_steps > 1


def _pauses(shape: EngineShape) -> int:
    """Cycles without a window at the end of a row, about, and in rows that are skipped."""
    return (FEEDER_STAGES + (shape.kernel + 1) * shape.NB) * shape.stride


def _history_in_registers(shape: EngineShape) -> bool:
    """Whether the history is a single word, which lies in registers, not in memory."""
    return has_columns(shape) and shape.NB * shape.pieces == 1


def history_registers(shape: EngineShape) -> int:
    """Flip-flops of a history of columns that is no memory."""
    return kept_columns(shape) * shape.kernel * shape.piece_bits * _history_in_registers(shape)


def _window_bits(shape: EngineShape) -> int:
    return shape.kernel * shape.span * shape.piece_bits


def _ring_bits(shape: EngineShape) -> int:
    """Registers of the window ring; 0 where it lies in memories or each window set is used for one cycle."""
    return _window_bits(shape) if shape.pieces == 1 and shape.round_steps * shape.fold > 1 else 0


def column_bits(shape: EngineShape) -> int:
    """Bits of what a feeder's stream of columns carries; 0 where there is none."""
    return shape.Tx * shape.kernel * shape.piece_bits if has_columns(shape) else 0


def _padded_rows_bits(shape: EngineShape) -> int:
    return shape.Tx * shape.pads.top * shape.piece_bits


def _product_bits(shape: EngineShape) -> int:
    """Bits of one multiplier's product."""
    packed, shared = shape.operand_bits
    return shared + operand_bits(shape.packing, shape.product_fields.spacing, packed)


def in_blocks(shape: EngineShape) -> bool:
    """Whether DSP blocks are the multipliers. Of a product no more bits are made than its sum has."""
    bits = _product_bits(shape)
    return (bits if shape.packing > 1 else min(bits, shape.acc_bits)) >= DSP_PRODUCT_BITS


@dataclass(frozen=True)
class _Adders:
    """How the products of a cycle become sums. packed: adders that pack operands, of `packed_bits` bits.

    grouped: bits of the adders of packed products; fields: how many outputs have so many numbers of their own to add;
    apart_bits: bits of the fields that are told apart from the ones above them.
    """

    packed: int
    packed_bits: int
    grouped: int
    fields: Mapping[int, int]
    apart_bits: int


def _adders(shape: EngineShape) -> _Adders:
    spacing, packing, every = shape.product_fields.spacing, shape.packing, shape.Tx * shape.outputs
    if shape.packs_rotations:
        sums = shape.packed_sums
        shared = [one for one in sums if len(one.outputs) > 1]
        numbers = Counter(output for one in sums for output in one.outputs)
        return _Adders(
            packed=shape.Tx * sum(len(one.lanes) * (len(one.outputs) - 1) for one in shared),
            packed_bits=shape.operand_bits[0] + 1,
            grouped=shape.Tx * sum((len(one.lanes) - 1) * (len(one.outputs) * spacing + 1) for one in sums),
            fields={count: shape.Tx * outputs for count, outputs in Counter(numbers.values()).items()},
            apart_bits=shape.Tx * spacing * sum(len(one.outputs) - 1 for one in shared),
        )
    apart = -(-shape.M // shape.product_fields.group)
    # Outputs that meet the same activations of several pixels pack them once.
    activations = min(shape.R * shape.M, shape.positions) * shape.Tx
    return _Adders(
        packed=(activations // packing if shape.packs_pixels else shape.multipliers) * (packing - 1),
        packed_bits=shape.operand_bits[0] + 1,
        grouped=(shape.M - apart) * (every // packing) * (packing * spacing + 1),
        fields={apart: every},
        apart_bits=apart * (every // packing) * (packing - 1) * spacing,
    )


def _packed_multipliers(shape: EngineShape) -> int:
    """Multipliers with several products: all, but where rotations share them."""
    if not shape.packs_rotations:
        return shape.multipliers
    return shape.Tx * sum(len(one.lanes) for one in shape.packed_sums if len(one.outputs) > 1)


def _adder_bits(shape: EngineShape) -> int:
    """Adder bits of an engine: packed operands, groups of packed products, balanced trees over each output's fields.

    Also those of the multipliers themselves where no DSP block is one.
    """
    adders = _adders(shape)
    products = 0 if in_blocks(shape) else shape.multipliers * shape.weight_bits * shape.in_bits
    trees = sum(outputs * _tree_bits(terms, shape.product_fields.spacing) for terms, outputs in adders.fields.items())
    return products + adders.packed * adders.packed_bits + adders.grouped + trees


@cache
def _tree_bits(terms: int, spacing: int) -> int:
    """Adder bits of a balanced tree over so many fields."""
    bits, width = 0, spacing + 1
    while terms > 1:
        width += 1
        bits += terms // 2 * width
        terms -= terms // 2
    return bits


def _field_bits(shape: EngineShape) -> int:
    """Bits of the packed fields that are told apart from the ones above them."""
    return _adders(shape).apart_bits


def fit(measured: Mapping[str, Mapping[str, Any]], technology: Technology, sample: int | None = None) -> dict[str, Any]:
    """The content of calibration/TECHNOLOGY.yaml: of each engine {"shape", "LUT", "FF", "DSP", "BRAM"} was measured.

    sample: how many engines were asked for; None: all. What they leave open is as in the technology that it is `like`.
    """
    prior = calibration(technology.like) if technology.like else None
    shapes = [EngineShape(**record["shape"]) for record in measured.values()]
    known = [known_cost(shape, technology) + port_cost(shape, technology) for shape in shapes]
    return fitted_model(measured, technology, known, lut_features, ff_features, prior, sample)


def fitted_model(
    measured: Mapping[str, Mapping[str, Any]],
    technology: Technology,
    known: Sequence[Cost],
    luts: Callable[[EngineShape], Mapping[str, int]],
    ffs: Callable[[EngineShape], Mapping[str, int]],
    prior: Calibration | None = None,
    sample: int | None = None,
) -> dict[str, Any]:
    """The content of a `Calibration`. known: of each engine what needs no fit; luts, ffs: the features of an engine.

    prior: of another technology, for what the measurements leave open. sample: as in `fit`.
    """
    shapes, records = [EngineShape(**record["shape"]) for record in measured.values()], list(measured.values())

    def fitted(kind: str, features: Callable[[EngineShape], Mapping[str, int]], before: Fit | None) -> dict[str, Any]:
        totals, offsets = [record[kind] for record in records], [int(cost.to_json()[kind]) for cost in known]
        coefficients = before.coefficients if before else None
        return fit_linear([features(shape) for shape in shapes], totals, offsets, prior=coefficients).model_dump()

    return {
        "technology": technology.name,
        **({} if sample is None else {"sample": sample}),
        "LUT": fitted("LUT", luts, prior.LUT if prior else None),
        "FF": fitted("FF", ffs, prior.FF if prior else None),
        "measured": {name: dict(record) for name, record in measured.items()},
    }
