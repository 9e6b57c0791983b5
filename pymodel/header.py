"""The C++ configuration header of an engine: sizes, lane tables, ROMs, all that depends on the layer."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import jinja2
import numpy as np

from pymodel.cycles import stream_depths
from pymodel.files import write_text
from pymodel.formats import check_accumulator
from pymodel.packing import EngineShape, pack_bias, pack_weights

FILE_NAME = "engine_config.hpp"  # as the engine includes it
LINE = 108

_templates = jinja2.Environment(
    loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
    undefined=jinja2.StrictUndefined,
    keep_trailing_newline=True,
    trim_blocks=True,
    lstrip_blocks=True,
)


def render(shape: EngineShape, weights: np.ndarray, bias: np.ndarray) -> str:
    """Text of engine_config.hpp. The same arguments always give the same text.

    weights: int [cout, cin, K, K]; bias: int [cout].
    Raises ConfigError: arrays that do not fit the shape, its formats, its support or its accumulators.
    """
    words, biases = pack_weights(weights, shape), pack_bias(bias, shape)
    check_accumulator(weights, bias, shape.in_bits, shape.acc_bits, "engine")
    lanes = shape.support.lanes()
    return _templates.get_template(f"{FILE_NAME}.j2").render(
        shape=shape,
        constants=_constants(shape),
        image_cycles=shape.hout * shape.wout * shape.rom_words,
        widest=_widest_word(shape),
        variants=_table(str(variant) for variant, _ in lanes),
        taps=_table(str(tap) for _, tap in lanes),
        weights=_rom(words, shape.rom_word_bits),
        biases=_rom(biases, shape.To * shape.bias_bits),
    )


def write(path: Path, shape: EngineShape, weights: np.ndarray, bias: np.ndarray) -> None:
    """Writes `render(...)` to `path`, which is never seen half written. Makes its folder.

    Raises ConfigError.
    """
    write_text(path, render(shape, weights, bias))


def _constants(shape: EngineShape) -> list[tuple[str, str, str]]:
    """(name, value, comment) of the members of EngineConfig."""
    depths = stream_depths(shape)
    numbers = [
        ("KERNEL", shape.kernel, "rows and columns of a kernel"),
        ("STRIDE", shape.stride, "input pixels from one output pixel to the next"),
        ("PADDING", shape.padding, "rows and columns of zeros on each side"),
        ("HEIGHT", shape.height, "rows of the input image"),
        ("WIDTH", shape.width, "columns of the input image"),
        ("OUT_HEIGHT", shape.hout, "rows of the output image"),
        ("OUT_WIDTH", shape.wout, "columns of the output image"),
        ("PERIOD", shape.P, "variants of the kernels; input channels of a block"),
        ("NONZEROS", shape.N, "weights of a block and output channel: lanes"),
        ("CHANNELS", shape.in_channels_per_beat, "of an input beat"),
        ("TO", shape.To, "output channels at once"),
        ("TB", shape.Tb, "blocks at once"),
        ("FOLDS", shape.fold, "iterations that share the work of one step"),
        ("MULTIPLIERS", shape.M, "for each of TO outputs: NONZEROS * TB / FOLDS, rounded up"),
        ("BLOCK_SETS", shape.NB, "sets of TB blocks"),
        ("STEPS", shape.steps, "sets of TO output channels"),
        ("IN_BITS", shape.in_bits, "of an input activation"),
        ("WEIGHT_BITS", shape.weight_bits, "of a weight"),
        ("BIAS_BITS", shape.bias_bits, "of a bias"),
        ("ACC_BITS", shape.acc_bits, "of a sum: enough for these weights and any input"),
        ("OUT_BITS", shape.out_bits, "of an output activation"),
        ("SHIFT", shape.shift, "right shift from a sum to an output"),
        ("WINDOW_DEPTH", depths["windows"], "windows waiting for the processing element"),
    ]
    if "columns" in depths:
        numbers.append(("COLUMN_DEPTH", depths["columns"], "columns waiting for their windows"))
    return [
        *((f"int {name}", str(value), comment) for name, value, comment in numbers),
        ("bool RELU", str(shape.relu).lower(), "negative outputs become zero"),
    ]


def _widest_word(shape: EngineShape) -> int:
    window = shape.kernel**2 * shape.in_channels_per_beat * shape.in_bits
    output = 8 * shape.out_beat_bytes
    return max(window, 8 * shape.in_beat_bytes, output, shape.rom_word_bits, shape.To * shape.acc_bits)


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
