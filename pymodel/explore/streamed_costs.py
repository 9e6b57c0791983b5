"""What an engine costs whose weights are streamed: as `costs` has it for one with its weights in ROM or RAM.

It holds windows, sums and outputs of a whole image in place of weights, so its memories are others, and its logic has a
model of its own; scripts/calibrate_streamed.py measures and fits, calibration/TECHNOLOGY_streamed.yaml keeps both.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from pymodel.common.errors import validated
from pymodel.common.kinds import CALIBRATION as KIND
from pymodel.common.kinds import read_kind
from pymodel.engine.cycles import STREAMED_SUMS_DEPTH, streamed_depths
from pymodel.engine.memories import totals
from pymodel.engine.packing import EngineShape
from pymodel.explore.costs import (
    Calibration,
    Cost,
    column_bits,
    ff_features,
    fifo_cost,
    fitted_model,
    history_registers,
    lut_features,
    multiplier_blocks,
    port_cost,
)
from pymodel.explore.technology import Technology


@cache
def streamed_calibration(technology: Technology) -> Calibration:
    """The fitted model. Raises ConfigError."""
    path = technology.streamed_calibration
    return validated(Calibration, read_kind(path, KIND), str(path))


def streamed_cost(shape: EngineShape, technology: Technology) -> Cost:
    """What the engine of a shape takes with its weights streamed, the streams between engines aside."""
    model, known = streamed_calibration(technology), _known_cost(shape, technology)
    return known + Cost(
        DSP=multiplier_blocks(shape, technology),
        LUT=model.LUT.predict(streamed_lut_features(shape)),
        FF=model.FF.predict(streamed_ff_features(shape)),
        traffic=shape.rom_words * shape.stream_beat_bytes,
    )


def _known_cost(shape: EngineShape, technology: Technology) -> Cost:
    """What needs no fit: memories, FIFOs, and the registers of a history that is no memory."""
    memory = totals(shape, technology.lut_ram, streamed=True)
    widths = {"windows": shape.window_bits, "columns": column_bits(shape)}
    inner = [fifo_cost(depth, widths[name], technology) for name, depth in streamed_depths(shape).items()]
    inner.append(fifo_cost(STREAMED_SUMS_DEPTH, shape.sums_bits, technology, direct=False))
    out = fifo_cost(1, shape.out_words.word_bits, technology)
    return Cost(
        half_blocks=memory.half_blocks,
        LUT=memory.luts + out.LUT + sum(fifo.LUT for fifo in inner),
        FF=memory.registers + history_registers(shape) + out.FF + sum(fifo.FF for fifo in inner),
    )


def streamed_lut_features(shape: EngineShape) -> dict[str, int]:
    """Bits of what the logic is made of, memory aside."""
    found = lut_features(shape)
    kept = {name: found[name] for name in ("engine", "adders", "fields", "sums", "group")}
    return kept | {"windows": shape.window_bits, "beats": shape.rom_word_bits}


def streamed_ff_features(shape: EngineShape) -> dict[str, int]:
    """Bits of what is kept in flip-flops, those of memories and FIFOs aside."""
    return {
        "engine": 1,
        "adders": lut_features(shape)["adders"],
        "chosen": ff_features(shape)["chosen"],
        "windows": shape.window_bits,
    }


def fit_streamed(measured: Mapping[str, Mapping[str, Any]], technology: Technology) -> dict[str, Any]:
    """The content of calibration/TECHNOLOGY_streamed.yaml: of each engine {"shape", "LUT", "FF", "DSP", "BRAM"}."""
    shapes = [EngineShape(**record["shape"]) for record in measured.values()]
    known = [_known_cost(shape, technology) + port_cost(shape, technology) for shape in shapes]
    return fitted_model(measured, technology, known, streamed_lut_features, streamed_ff_features)
