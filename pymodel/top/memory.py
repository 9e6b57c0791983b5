"""Bits of memory of a network as one top, by what they hold: as they are built, and as the model needs them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from typing import Any

from pymodel.counts.storage import support_storage
from pymodel.engine.memories import Memory, feeder_memories, memories, streamed_memories
from pymodel.engine.packing import pack_bias, pack_rom, pack_scales
from pymodel.top.dataflow import Dataflow
from pymodel.top.units import (
    EngineUnit,
    GatherPixelsUnit,
    GlobalAverageUnit,
    PoolUnit,
    SplitPixelsUnit,
    StreamedEngineUnit,
    Unit,
)

FIFOS = "FIFOs"
# How the arrays of hls/engine are called in schedule.json, by their last word.
_HOLDS = {
    "WEIGHT_ROM": "weights",
    "weights": "weights",
    "BIAS_ROM": "biases",
    "biases": "biases",
    "SCALE_ROM": "scales",
    "lines": "line buffers",
    "history": "window history",
    "carried": "sums",
    "kept": "pixels",
    "taps": "rings",
    "windows": "windows",
    "groups": "outputs",
}


def built(schedule: Mapping[str, Any]) -> dict[str, int]:
    """Bits by what they hold, of the memories and streams in a schedule.json: depth * width of each."""
    found: Counter[str] = Counter()
    for process in schedule["processes"]:
        for memory in process["memories"]:
            found[holds(memory["name"])] += memory["depth"] * memory["width"]
    found[FIFOS] = sum(stream["depth"] * stream["width"] for stream in schedule["streams"] if stream["depth"])
    return dict(found)


def needed(dataflow: Dataflow) -> dict[str, int]:
    """Memory bits that the units need by this model, by what they hold, FIFOs excluded; `built` must give the same."""
    found: Counter[str] = Counter()
    for unit in dataflow.units:
        for memory in memories_of(unit):
            found[holds(memory.name)] += memory.depth * memory.width
    return dict(found)


def weights(dataflow: Dataflow) -> dict[str, int]:
    """What the weights take: nonzero ones, zeros that fill folds and short blocks, supports (wiring: no memory)."""
    found: Counter[str] = Counter(nonzero=0, padding=0, supports=0)
    for shape in dataflow.shapes.values():
        storage = support_storage(shape.support, *shape.weight_shape[:2], shape.weight_bits)["periodic"]
        found.update(nonzero=storage.weight_bits, padding=shape.padding_bits, supports=storage.index_bits)
    return dict(found)


def holds(name: str) -> str:
    """What a memory of a schedule or of the model is for, by its name."""
    name = re.sub(r"taps_\d+$", "taps", name)  # a memory for each element
    return next((what for word, what in _HOLDS.items() if name == word or name.endswith(f"_{word}")), name)


def memories_of(unit: Unit) -> list[Memory]:
    """The memories that a unit needs. Arrays of one word are registers, ROMs of one word throughout are wires."""
    if isinstance(unit, StreamedEngineUnit):
        return streamed_memories(unit.shape, rom_words(unit))
    if isinstance(unit, EngineUnit):
        return memories(unit.shape, rom_words(unit))
    if isinstance(unit, PoolUnit):
        return feeder_memories(unit, unit.piece_bits)
    if isinstance(unit, GlobalAverageUnit):
        words = unit.in_words
        if words.per_pixel > 1 and words.sets > 1:  # the mean of one set is made at once
            return [Memory("carried", words.per_pixel, words.group * unit.sum_bits, True)]
    if isinstance(unit, SplitPixelsUnit | GatherPixelsUnit):
        narrow, wide = sorted((unit.in_words, unit.out_words), key=lambda words: words.at_once)
        if wide.per_pixel > 1:  # the last part goes on at once
            return [Memory("kept", wide.per_pixel, wide.word_bits - narrow.word_bits, True)]
    return []


def rom_words(unit: EngineUnit) -> dict[str, list[int]]:
    """What the ROMs of an engine hold, by their names; nothing where weights are loaded."""
    if unit.loaded:
        return {}
    found = {"BIAS_ROM": pack_bias(unit.bias, unit.shape)}
    if not isinstance(unit, StreamedEngineUnit):
        found["WEIGHT_ROM"] = pack_rom(unit.weights, unit.shape)
    if unit.scales is not None:
        found["SCALE_ROM"] = pack_scales(unit.scales, unit.shape)
    return found
