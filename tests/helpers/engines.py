"""Engines' shapes, and a schedule of one with a simulation of it, step by step, that is not the model's."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from pymodel.engine.cycles import stream_depths
from pymodel.engine.packing import EngineShape
from pymodel.top.dataflow import Dataflow, single

# Scheduled as a compiler might: write stage of each process, deep enough streams where none is asked for.
STAGES = {"columns": 3, "windows": 2, "pixels": 1, "pe": 9, "output": 4}


def make_shape(**changes: Any) -> EngineShape:
    layer = {"cin": 16, "cout": 16, "kernel": 3, "padding": 1, "height": 6, "width": 5, "support": "PSD1_P16"}
    return EngineShape(**{**layer, "acc_bits": 24, **changes})


def engine_dataflow(shape: EngineShape) -> Dataflow:
    """The engine by itself; its weights are zeros."""
    return single(
        "layer",
        shape,
        np.zeros((shape.cout, shape.cin // shape.groups, shape.kernel, shape.kernel), int),
        np.zeros(shape.cout),
    )


def make_schedule(shape: EngineShape, stages: dict[str, int] = STAGES, **depths: int) -> dict[str, Any]:
    """A schedule.json of the engine by itself. stages, depths: by process, of its writes."""
    [engine] = engine_dataflow(shape).units
    processes = engine.processes()
    kinds = [process.name.removeprefix(f"{engine.name}_") for process in processes]
    wide = stream_depths(shape)
    default = {**wide, "pixels": wide["windows"], "pe": stages["pe"] + 3, "output": stages["output"] + 3}
    names = [process.name for process in processes]
    inputs, outputs = (
        ["".join(process.reads) for process in processes],
        ["".join(process.writes) for process in processes],
    )
    return {
        "processes": [
            {
                "name": name,
                "iterations": None,
                "ii": 1,
                "issue_stages": 1,
                "reads": [{"stream": read, "stage": 0}],
                "writes": [{"stream": write, "stage": stages[kind]}],
            }
            for name, kind, read, write in zip(names, kinds, inputs, outputs, strict=True)
        ],
        "streams": [
            {"name": "x", "depth": 0, "producer": None, "consumer": names[0]},
            *[
                {"name": write, "depth": {**default, **depths}[kind], "producer": name, "consumer": consumer}
                for name, kind, write, consumer in zip(names, kinds, outputs, [*names[1:], None], strict=True)
            ],
        ],
    }


def accesses(shape: EngineShape) -> dict[str, list[tuple[bool, bool]]]:
    """(reads, writes) of each iteration of each process, by running the loop nests of the C++ one by one."""
    s, k, p = shape.stride, shape.kernel, shape.padding
    pieces = range(shape.NB * shape.pieces)
    ends = {o * s + k - 1 for o in range(max(shape.hout, shape.wout))}
    rows, columns = (sorted(end for end in ends if end < n * s - s + k) for n in (shape.hout, shape.wout))
    nests: dict[str, list[tuple[bool, bool]]] = {}
    if k == 1:
        nests["pixels"] = [
            (True, y in rows and x in columns)
            for y in range(shape.height)
            for x in range(shape.width)
            for _ in range(shape.NB)
        ]
    else:
        nests["columns"] = [
            (r < shape.height and n % shape.pieces == 0, r + p in rows)
            for r in range(max(shape.height, rows[-1] - p + 1))
            for _ in range(shape.width)
            for n in pieces
        ]
        nests["windows"] = [
            (p <= x < p + shape.width, x in columns)
            for _ in rows
            for x in range(max(p + shape.width, columns[-1] + 1))
            for _ in pieces
        ]
    pixels = range(shape.hout * shape.wout)
    channelwise = shape.groups == shape.cin > 1
    rounds = -(-shape.cin // shape.R) if channelwise else shape.groups
    block_sets, steps = shape.NB // rounds, shape.steps // rounds
    nests["pe"] = [
        (step == f == 0, b == block_sets - 1 and f == shape.fold - 1)
        for _ in pixels
        for _ in range(rounds)
        for b in range(block_sets)
        for step in range(steps)
        for f in range(shape.fold)
    ]
    if shape.pieces > 1:  # the first set before all work, each other one from the beginning of the set before
        sets, turn = len(pixels) * shape.NB, steps * shape.fold
        ahead = [n // turn < sets - 1 and n % turn < shape.pieces for n in range(sets * turn)]
        writes = [write for _, write in nests["pe"]]
        nests["pe"] = [(True, False)] * shape.pieces + list(zip(ahead, writes, strict=True))
    per_word = steps if channelwise else shape.P // shape.R
    nests["output"] = [
        (True, step == shape.steps - 1 or step % per_word == per_word - 1)
        for _ in pixels
        for step in range(shape.steps)
    ]
    return nests


def simulated(shape: EngineShape, schedule: dict[str, Any], images: int, start: int = 0) -> list[int]:
    """The cycles of all output beats: every process looked at in every cycle, as the RTL would."""
    nests = [nest * images for nest in accesses(shape).values()]
    stages = [process["writes"][0]["stage"] for process in schedule["processes"]]
    fifos = [Fifo(stream["depth"]) for stream in schedule["streams"] if stream["name"] != "x"]
    at, beats, now = [0] * len(nests), [], 0
    while len(beats) < images * shape.out_beats:
        for fifo in fifos:
            fifo.start_cycle(now)
        for i, nest in enumerate(nests):
            if at[i] == len(nest):
                continue
            reads, writes = nest[at[i]]
            if reads and not (now >= start if i == 0 else fifos[i - 1].ready(now)):
                continue
            if writes and not fifos[i].credits:
                continue
            if reads and i > 0:
                fifos[i - 1].pop(now)
            if writes:
                fifos[i].credits -= 1
                fifos[i].words.append(now + stages[i] + 1)
            at[i] += 1
        if fifos[-1].ready(now):
            fifos[-1].pop(now)
            beats.append(now)
        now += 1
    return beats


@dataclass
class Fifo:
    depth: int
    credits: int = 0
    words: deque[int] = field(default_factory=deque)  # the cycle from which each can be popped
    returned: list[int] = field(default_factory=list)  # the cycles from which credits can be used

    def __post_init__(self) -> None:
        self.credits = self.depth

    def start_cycle(self, now: int) -> None:
        self.credits += sum(cycle <= now for cycle in self.returned)
        self.returned = [cycle for cycle in self.returned if cycle > now]

    def ready(self, now: int) -> bool:
        return bool(self.words) and self.words[0] <= now

    def pop(self, now: int) -> None:
        self.words.popleft()
        self.returned.append(now + 1)
