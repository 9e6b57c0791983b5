"""The cycle model against a cycle-by-cycle simulation of the timing contract, and against the loop nests."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pymodel.common.errors import ConfigError
from pymodel.engine.cycles import FEEDER_STAGES, check, latency, sequences, stream_depths
from pymodel.engine.packing import EngineShape

# Scheduled as a compiler might: write stage of each process, deep enough streams where none is asked for.
STAGES = {"columns": 3, "windows": 2, "pixels": 1, "pe": 9, "output": 4}


def make_shape(**changes: Any) -> EngineShape:
    layer = {"cin": 16, "cout": 16, "kernel": 3, "padding": 1, "height": 6, "width": 5, "support": "PSD1_P16"}
    return EngineShape(**{**layer, "acc_bits": 24, **changes})


def make_schedule(shape: EngineShape, stages: dict[str, int] = STAGES, **depths: int) -> dict[str, Any]:
    """A schedule.json of the engine; streams are called by their producers."""
    names = [sequence.process for sequence in sequences(shape)]
    wide = stream_depths(shape)
    default = {**wide, "pixels": wide["windows"], "pe": stages["pe"] + 3, "output": stages["output"] + 3}
    between = [f"{name}_words" for name in names[:-1]]
    inputs, outputs = ["x", *between], [*between, "y"]
    return {
        "processes": [
            {
                "name": f"psconv::{name}",
                "iterations": None,
                "ii": 1,
                "issue_stages": 1,
                "reads": [{"stream": read, "stage": 0}],
                "writes": [{"stream": write, "stage": stages[name]}],
            }
            for name, read, write in zip(names, inputs, outputs, strict=True)
        ],
        "streams": [
            {"name": "x", "depth": 0, "producer": None, "consumer": f"psconv::{names[0]}"},
            *[
                {
                    "name": write,
                    "depth": {**default, **depths}[name],
                    "producer": f"psconv::{name}",
                    "consumer": f"psconv::{names[i + 1]}" if i + 1 < len(names) else None,
                }
                for i, (name, write) in enumerate(zip(names, outputs, strict=True))
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
    nests["pe"] = [
        (step == f == 0, b == shape.NB - 1 and f == shape.fold - 1)
        for _ in pixels
        for b in range(shape.NB)
        for step in range(shape.steps)
        for f in range(shape.fold)
    ]
    if shape.pieces > 1:  # the first set before all work, each other one from the beginning of the set before
        sets, turn = len(pixels) * shape.NB, shape.steps * shape.fold
        ahead = [n // turn < sets - 1 and n % turn < shape.pieces for n in range(sets * turn)]
        writes = [write for _, write in nests["pe"]]
        nests["pe"] = [(True, False)] * shape.pieces + list(zip(ahead, writes, strict=True))
    nests["output"] = [
        (True, step == shape.steps - 1 or step % shape.P == shape.P - 1) for _ in pixels for step in range(shape.steps)
    ]
    return nests


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


SUPPORTS = ["PSD1_P16", "PS4_P4", "PS2_P6", "PS1_P9", "dense"]


@st.composite
def small_shapes(draw: st.DrawFn) -> EngineShape:
    """Every shape of a few hundred iterations that EngineShape accepts may come."""
    kernel = draw(st.sampled_from([1, 3, 3, 5]))
    support = draw(st.sampled_from(SUPPORTS)) if kernel == 3 else "dense"
    layer = {
        "kernel": kernel,
        "support": support,
        "cin": draw(st.integers(1, 20)),
        "cout": draw(st.integers(1, 24)),
        "height": draw(st.integers(1, 6)),
        "width": draw(st.integers(1, 6)),
        "stride": draw(st.integers(1, 3)),
        "padding": draw(st.integers(0, kernel - 1)),
        "To": draw(st.sampled_from([1, 1, 2, 4])),
        "Tb": draw(st.sampled_from([1, 1, 2])),
        "fold": draw(st.integers(1, 4)),
        "feed": draw(st.sampled_from(["windows", "channels"])),
    }
    try:
        return EngineShape(**layer, acc_bits=24)
    except ConfigError:
        # What does not divide is made to.
        for key, value in (("To", 1), ("Tb", 1), ("fold", 1), ("height", 6), ("width", 6), ("feed", "windows")):
            layer[key] = value
        return EngineShape(**layer, acc_bits=24)


@given(shape=small_shapes())
@settings(max_examples=150, deadline=None)
def test_sequences_are_the_loop_nests(shape: EngineShape) -> None:
    nests = accesses(shape)
    assert list(nests) == [sequence.process for sequence in sequences(shape)]
    for sequence in sequences(shape):
        reads, writes = np.array(nests[sequence.process]).T
        assert sequence.iterations == len(reads)
        assert np.flatnonzero(reads).tolist() == sequence.reads.tolist()
        assert np.flatnonzero(writes).tolist() == sequence.writes.tolist()
    counts = [(len(sequence.reads), len(sequence.writes)) for sequence in sequences(shape)]
    assert counts[0][0] == shape.in_beats and counts[-1][1] == shape.out_beats
    assert all(written == read for (_, written), (read, _) in zip(counts, counts[1:], strict=False))


@given(
    shape=small_shapes(),
    images=st.integers(1, 3),
    stages=st.fixed_dictionaries({name: st.integers(0, 12) for name in STAGES}),
    depths=st.dictionaries(st.sampled_from(sorted(STAGES)), st.integers(1, 9)),
    start=st.sampled_from([0, 0, 1, 3, 40]),
)
@settings(max_examples=40, deadline=None)
def test_latency_is_that_of_the_simulation(shape, images, stages, depths, start) -> None:
    schedule = make_schedule(shape, stages, **depths)
    cycles = latency(shape, schedule, images, start)
    warm = 6 + 1024 // cycles.steady  # images until the streams are as full as they stay, or about so
    beats = simulated(shape, schedule, warm + 6, start)
    assert cycles.total == beats[images * shape.out_beats - 1] - start + 1
    ends = beats[shape.out_beats - 1 :: shape.out_beats][-7:]
    within = max(np.diff(ends)) % cycles.interval  # images may come in groups, each at its own distance
    assert (cycles.interval - 1) * 6 - within < ends[-1] - ends[0] <= cycles.interval * 6 + within
    assert cycles.steady == max(map(len, accesses(shape).values()))
    assert cycles.fill == cycles.total - images * cycles.steady


@given(
    shape=small_shapes(),
    stages=st.fixed_dictionaries({name: st.integers(0, FEEDER_STAGES) for name in STAGES}),
)
@settings(max_examples=200, deadline=None)
def test_computed_depths_keep_the_slowest_process_busy(shape, stages) -> None:
    cycles = latency(shape, make_schedule(shape, stages))
    assert cycles.interval == cycles.steady


@pytest.mark.parametrize(
    ("layer", "depths"),
    [
        # 64 steps hide everything: one window and a few columns are enough.
        (dict(cin=64, cout=64, height=32, width=32), {"windows": 1}),
        # A step or two per window: the row ends show.
        (dict(cin=16, cout=2, height=8, width=8), {"windows": None}),
    ],
)
def test_depths_are_the_least(layer, depths) -> None:
    """One word less, and the slowest process has to wait (the write stages being as late as allowed for)."""
    shape = make_shape(**layer)
    stages = {**STAGES, "columns": FEEDER_STAGES, "windows": FEEDER_STAGES}
    computed = stream_depths(shape)
    assert all(depth is None or computed[name] == depth for name, depth in depths.items())
    steady = latency(shape, make_schedule(shape, stages)).steady
    for name, depth in computed.items():
        assert latency(shape, make_schedule(shape, stages)).interval == steady
        if depth > 1:
            assert latency(shape, make_schedule(shape, stages, **{name: depth - 1})).interval > steady


def test_the_papers_layer() -> None:
    """A stride-1 layer of ResNet18: 262,144 iterations, known by hand."""
    shape = make_shape(cin=64, cout=64, height=32, width=32)
    cycles = latency(shape, make_schedule(shape), images=3)
    assert cycles.bottleneck == "pe"
    assert cycles.steady == cycles.interval == 262_144
    # The first window needs a row and two pixels of four beats.
    assert 0 < cycles.fill < 32 * 4 + 2 * 4 + 100
    assert cycles.utilisation == pytest.approx(1, abs=0.001)


def test_the_papers_layer_channel_by_channel() -> None:
    shape = make_shape(cin=64, cout=64, height=32, width=32, feed="channels")
    cycles = latency(shape, make_schedule(shape))
    assert cycles.bottleneck == "pe"
    assert cycles.steady == cycles.interval == 262_144 + 16
    # The first window needs a row and two pixels of 64 channels.
    assert 0 < cycles.fill < 32 * 64 + 2 * 64 + 100


def test_utilisation_counts_weights_of_the_layer_only() -> None:
    """24 of 32 channels: the second block is half padding, so a quarter of the work is on zeros."""
    shape = make_shape(cin=24, cout=32, height=16, width=16)
    cycles = latency(shape, make_schedule(shape), 50)
    assert cycles.utilisation == pytest.approx(0.75, abs=0.01)


def test_refuses_a_schedule_that_is_not_this_engines() -> None:
    shape = make_shape()

    def refused(message: str, change: Any) -> None:
        schedule = make_schedule(shape)
        change(schedule)
        with pytest.raises(ConfigError, match=message):
            latency(shape, schedule)

    process = "processes"
    refused("has 7 iterations, this shape", lambda s: s[process][2].update(iterations=7))
    refused("in stage 1", lambda s: s[process][1].update(issue_stages=2))
    refused("ii 1", lambda s: s[process][1].update(ii=2))
    refused("one read, of 'columns_words' in stage 0", lambda s: s[process][1]["reads"][0].update(stage=1))
    refused("one write", lambda s: s[process][1]["writes"].append({"stream": "z", "stage": 1}))
    refused("5 processes, this engine has 4", lambda s: s[process].append({**s[process][0], "name": "more"}))
    refused("'x'", lambda s: s["streams"][0].update(name="z"))
    with pytest.raises(ConfigError, match="images: 0"):
        latency(shape, make_schedule(shape), images=0)


def test_depths_other_than_those_that_were_asked_for_are_refused() -> None:
    shape = make_shape()
    check(shape, make_schedule(shape))
    asked, least = "were asked for", "at least 12 were expected"
    for name, message in (("columns", asked), ("windows", asked), ("pe", least)):
        schedule = make_schedule(shape)
        [stream] = [stream for stream in schedule["streams"] if stream["name"] == f"{name}_words"]
        stream["depth"] -= 1
        with pytest.raises(ConfigError, match=f"'{name}_words' is {stream['depth']} deep, .*{message}"):
            check(shape, schedule)


def test_first_lines_do_not_depend_on_later_images() -> None:
    shape = make_shape(stride=2)
    totals = [latency(shape, make_schedule(shape), images).total for images in range(1, 7)]
    assert all(later > earlier for earlier, later in zip(totals, islice(totals, 1, None), strict=False))
    assert np.diff(totals)[-1] == latency(shape, make_schedule(shape)).interval
