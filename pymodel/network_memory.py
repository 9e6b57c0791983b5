"""Bits of memory of a network as one top, by what they hold: as they are built, and as the model needs them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from typing import Any

from pymodel.dataflow import Dataflow
from pymodel.explore.memories import Memory, feeder_lines, memories, streamed_memories
from pymodel.storage import support_storage
from pymodel.units import EngineUnit, GlobalAverageUnit, PoolUnit, StreamedEngineUnit, Unit

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
    "taps": "rings",
    "windows": "windows",
    "groups": "outputs",
}


def built(schedule: Mapping[str, Any]) -> dict[str, int]:
    """Bits by what they hold, of the memories and streams in a schedule.json: depth * width of each."""
    found: Counter[str] = Counter()
    for process in schedule["processes"]:
        for memory in process["memories"]:
            found[_holds(memory["name"])] += memory["depth"] * memory["width"]
    found[FIFOS] = sum(stream["depth"] * stream["width"] for stream in schedule["streams"] if stream["depth"])
    return dict(found)


def needed(dataflow: Dataflow) -> dict[str, int]:
    """The same of the memories that the units need, streams aside: what `built` must give."""
    found: Counter[str] = Counter()
    for unit in dataflow.units:
        for memory in _memories(unit):
            found[_holds(memory.name)] += memory.depth * memory.width
    return dict(found)


def weights(dataflow: Dataflow) -> dict[str, int]:
    """What the weights take: nonzero ones, zeros that fill folds and short blocks, supports (wiring: no memory)."""
    found: Counter[str] = Counter(nonzero=0, padding=0, supports=0)
    for shape in dataflow.shapes.values():
        storage = support_storage(shape.support, shape.cout, shape.cin, shape.weight_bits)["periodic"]
        found.update(nonzero=storage.weight_bits, padding=shape.padding_bits, supports=storage.index_bits)
    return dict(found)


def _holds(name: str) -> str:
    name = re.sub(r"taps_\d+$", "taps", name)  # a memory for each element
    return next((what for word, what in _HOLDS.items() if name == word or name.endswith(f"_{word}")), name)


def _memories(unit: Unit) -> list[Memory]:
    """Arrays of one word are registers."""
    if isinstance(unit, StreamedEngineUnit):
        return streamed_memories(unit.shape)
    if isinstance(unit, EngineUnit):
        return memories(unit.shape)
    if isinstance(unit, PoolUnit):
        word = unit.reads[0].words.word_bits
        rows = [feeder_lines(unit.width * unit.NB, unit.kernel, word),
                Memory("history", unit.NB, (unit.kernel - 1) * unit.kernel * word, True)]  # fmt: skip
    elif isinstance(unit, GlobalAverageUnit):
        words = unit.reads[0].words
        rows = [Memory("carried", words.per_pixel, words.group * unit.sum_bits, True)]
    else:
        rows = []
    return [memory for memory in rows if memory.depth > 1]
