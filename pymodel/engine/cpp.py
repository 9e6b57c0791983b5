"""C++ configuration headers: sizes, element tables, ROMs, all of the engine that depends on the layer."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from pymodel.common.arrays import Integers
from pymodel.common.errors import ConfigError
from pymodel.common.templates import templates
from pymodel.engine.cycles import STREAMED_SUMS_DEPTH, stream_depths, streamed_depths
from pymodel.engine.packing import EngineShape, pack_bias, pack_rom, pack_scales
from pymodel.network.formats import check_accumulator
from pymodel.network.supports import Support

LINE = 108

Constant = tuple[str, str, str, str]  # type, name, value, comment

_templates = templates(Path(__file__).with_name("templates"))


def render_header(file: str, generator: str, title: str, widest: int, structs: Sequence[str]) -> str:
    """Text of a configuration header. widest: bits of the widest word; structs: C++ text."""
    return _templates.get_template("config.hpp.j2").render(
        generator=generator,
        title=title,
        guard="PSCONV_" + file.upper().replace(".", "_"),
        widest=widest,
        structs="\n".join(structs),
    )


def engine_struct(
    name: str,
    shape: EngineShape,
    weights: Integers,
    bias: Integers,
    scales: Integers | None = None,
    prefix: str = "",
    streamed: bool = False,
    least_depth: int = 1,
) -> str:
    """C++ text of an engine's configuration, a structure and its tables; `prefix` stands before their names.

    weights: int [cout, cin / groups, K, K]; bias, scales (where the shape has scale_bits): int [cout]. streamed: the
    weights come by a port, and are in no table. least_depth: of the streams inside, for a tool to whose FIFOs the cycle
    model does not apply. Raises ConfigError: arrays that do not fit the shape, formats, support or accumulators.
    """
    if (scales is None) != (shape.scale_bits == 0):
        raise ConfigError(f"engine: scale_bits: must be 0 without scales and above 0 with them, got {shape.scale_bits}")
    words = pack_rom(weights, shape)  # checked whether they are stored here or not
    check_accumulator(weights, bias, shape.in_bits, shape.acc_bits, "engine")
    return _templates.get_template("engine_struct.hpp.j2").render(
        name=name,
        **_of_shape(shape, prefix, engine_constants(shape, streamed, least_depth), streamed),
        weights="" if streamed else _rom(words, shape.rom_word_bits),
        biases=_rom(pack_bias(bias, shape), shape.outputs * shape.bias_bits),
        scales="" if scales is None else _rom(pack_scales(scales, shape), shape.outputs * shape.scale_bits),
    )


def loaded_engine_struct(name: str, shape: EngineShape, prefix: str = "", least_depth: int = 1) -> str:
    """C++ text of the configuration of an engine whose weights are loaded: it has no ROM, and depends on no weight."""
    own = flag("ULTRA_WEIGHTS", shape.ultra_weights, "weights lie in UltraRAM, not in block RAM")
    values = _of_shape(shape, prefix, [*engine_constants(shape, least_depth=least_depth), own])
    return _templates.get_template("engine_struct.hpp.j2").render(name=name, **values, weights="", biases="", scales="")


def _of_shape(
    shape: EngineShape, prefix: str, constants: Sequence[Constant], streamed: bool = False
) -> dict[str, object]:
    elements = shape.support.elements() if isinstance(shape.support, Support) and shape.engine == "periodic" else []
    return {
        "prefix": prefix,
        "shape": shape,
        "constants": constants,
        # Where weights are streamed one turn of all windows more: they come in.
        "image_cycles": shape.pixel_sets * (shape.rom_words + (shape.NB if streamed else 0)),
        "variants": _table(str(variant) for variant, _ in elements),
        "taps": _table(str(tap) for _, tap in elements),
        **(_sharing(shape) if shape.packing > 1 and not shape.packs_pixels else {"sums": 0}),
    }


def _sharing(shape: EngineShape) -> dict[str, object]:
    """Which products share a multiplier: numbers of the template, and tables of a row of PACKING for each of them."""
    sums = shape.packed_sums

    def rows(found: Iterable[tuple[int, ...]]) -> str:
        return _table(str(number) for row in found for number in (*row, *[-1] * (shape.packing - len(row))))

    begins = np.cumsum([0, *(len(one.lanes) for one in sums)])
    return {
        "sums": len(sums),
        "multipliers": int(begins[-1]),
        "sum_begins": _table(map(str, begins)),
        "sum_outputs": rows(one.outputs for one in sums),
        "multiplier_lanes": rows(lanes for one in sums for lanes in one.lanes),
    }


def integers(numbers: Iterable[tuple[str, int, str]]) -> list[Constant]:
    """Constants of type int from (name, value, comment)."""
    return [("int", name, str(value), comment) for name, value, comment in numbers]


def flag(name: str, value: bool, comment: str) -> Constant:
    """A constant of type bool."""
    return "bool", name, str(value).lower(), comment


def widest_word(shape: EngineShape) -> int:
    """Bits of the widest word in an engine."""
    window = (shape.span + shape.Tx) * shape.kernel * shape.in_channels_per_beat * shape.in_bits
    output = 8 * shape.out_beat_bytes
    sums, scaled = shape.Tx * shape.outputs * max(shape.acc_bits, shape.scale_bits), shape.acc_bits + shape.scale_bits
    return max(window, 8 * shape.in_beat_bytes, output, shape.rom_word_bits, sums, scaled)


def engine_constants(shape: EngineShape, streamed: bool = False, least_depth: int = 1) -> list[Constant]:
    """The members of the configuration of an engine; streamed: of one whose weights come by a port."""
    depths = streamed_depths(shape) if streamed else stream_depths(shape)
    depths = {name: max(depth, least_depth) for name, depth in depths.items()}
    numbers = [
        ("KERNEL", shape.kernel, "rows and columns of a kernel"),
        ("STRIDE", shape.stride, "input pixels from one output pixel to the next"),
        ("TOP", shape.pads.top, "rows of zeros above the image"),
        ("LEFT", shape.pads.left, "columns of zeros to the left of it"),
        ("HEIGHT", shape.height, "rows of the input image"),
        ("WIDTH", shape.width, "columns of the input image"),
        ("OUT_HEIGHT", shape.hout, "rows of the output image"),
        ("OUT_WIDTH", shape.wout, "columns of the output image"),
        ("TX", shape.Tx, "neighbouring pixels at once"),
        ("PERIOD", shape.P, "variants of the kernels; input channels of a block"),
        ("NONZEROS", shape.N, "weights of a block and output channel: elements"),
        ("CHANNELS", shape.in_channels_per_beat, "of an input beat: PERIOD * TB"),
        ("TO", shape.To, "output channels at once that are PERIOD apart"),
        ("ROTATIONS", shape.R, "neighbouring output channels at once"),
        ("TB", shape.Tb, "blocks at once"),
        ("FOLDS", shape.fold, "iterations that share the work of one step"),
        ("LANES_PER_OUTPUT", shape.M, "of each output of a step: NONZEROS * TB / FOLDS, rounded up"),
        ("PACKING", shape.packing, "products that share a multiplier, at most"),
        ("SPACING", shape.product_fields.spacing, "bits from one of these products to the next"),
        ("ROUNDS", shape.rounds, "groups, one after the other, or sets of PERIOD of them"),
        ("BLOCK_SETS", shape.NB, "sets of TB blocks, of all rounds"),
        ("PIECES", shape.pieces, "of a beat and a window set: PERIOD if fed channel by channel"),
        ("STEPS", shape.steps, "sets of TO * ROTATIONS output channels, of all rounds"),
        ("IN_BITS", shape.in_bits, "of an input activation"),
        ("WEIGHT_BITS", shape.weight_bits, "of a weight"),
        ("INDEX_BITS", shape.index_bits, "of the index beside a weight; 0: the ring chooses the operands"),
        ("BIAS_BITS", shape.bias_bits, "of a bias"),
        ("ACC_BITS", shape.acc_bits, "of a sum: enough for these weights and any input"),
        ("OUT_BITS", shape.out_bits, "of an output activation"),
        ("SCALE_BITS", shape.scale_bits, "of an output channel's scale; 0: there are none"),
        ("SHIFT", shape.shift, "right shift from a sum, times its scale, to an output"),
        ("LARGEST", shape.limit, "output"),
        ("WINDOW_DEPTH", depths["windows"], "windows waiting for the processing element"),
    ]
    if "columns" in depths:
        numbers.append(("COLUMN_DEPTH", depths["columns"], "columns waiting for their windows"))
    if streamed:
        numbers.append(("SUMS_DEPTH", STREAMED_SUMS_DEPTH, "sums waiting while an image is sent"))
    return [
        *integers(numbers),
        flag("CHANNELWISE", shape.channelwise, "each output channel has an input channel of its own, else a block"),
        flag("PACKS_PIXELS", shape.packs_pixels, "products of a multiplier share a weight, else an activation"),
        flag("RELU", shape.relu, "negative outputs become zero"),
        flag("HALVES_TO_EVEN", shape.rounding == "half_even", "between two outputs, else up"),
    ]


def _rom(words: list[int], bits: int) -> str:
    digits = -(-bits // 4)
    return _table(f"PSCONV_ROM_WORD(0x{word:0{digits}x})" for word in words)


def _table(values: Iterable[str]) -> str:
    """C++ initialisers, filled into lines; a value longer than a line has one of its own."""
    lines = [""]
    for value in values:
        item = f"{value},"
        if lines[-1] and len(lines[-1]) + 1 + len(item) > LINE:
            lines.append("")
        lines[-1] += f" {item}" if lines[-1] else f"    {item}"
    return "\n".join(lines)
