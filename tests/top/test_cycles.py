"""The cycle model against a cycle-by-cycle simulation of the timing contract, and against the loop nests."""

from __future__ import annotations

from itertools import islice, pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pymodel.common.errors import ConfigError
from pymodel.engine.cycles import FEEDER_STAGES, sequences, stream_depths
from pymodel.engine.packing import EngineShape
from pymodel.top.cycles import check, latency
from tests.helpers.engines import STAGES, accesses, engine_dataflow, make_schedule, make_shape, simulated

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
    groups, period = draw(st.integers(1, 4)), int(support.split("_P")[1]) if support != "dense" else 1
    if groups > 1 and period < 9:
        of_group = {"cin": period * draw(st.integers(1, 2)), "cout": period * draw(st.sampled_from([1, 2, 4]))}
        layer |= {"groups": groups} | {name: groups * size for name, size in of_group.items()}
        if of_group["cin"] == 1:  # channelwise
            layer |= {"R": draw(st.integers(1, groups)), "Tb": 1, "feed": "windows"}
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
    assert all(written == read for (_, written), (read, _) in pairwise(counts))


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
    cycles = latency(engine_dataflow(shape), schedule, images, start)
    warm = 6 + 1024 // cycles.least_interval  # images until the streams are as full as they stay, or about so
    beats = simulated(shape, schedule, warm + 6, start)
    assert cycles.total == beats[images * shape.out_beats - 1] - start + 1
    ends = beats[shape.out_beats - 1 :: shape.out_beats][-7:]
    within = max(np.diff(ends)) % cycles.interval  # images may come in groups, each at its own distance
    assert (cycles.interval - 1) * 6 - within < ends[-1] - ends[0] <= cycles.interval * 6 + within
    assert cycles.least_interval == max(map(len, accesses(shape).values()))
    assert cycles.fill == cycles.total - images * cycles.least_interval


@given(
    shape=small_shapes(),
    stages=st.fixed_dictionaries({name: st.integers(0, FEEDER_STAGES) for name in STAGES}),
)
@settings(max_examples=200, deadline=None)
def test_computed_depths_keep_the_slowest_process_busy(shape, stages) -> None:
    cycles = latency(engine_dataflow(shape), make_schedule(shape, stages))
    assert cycles.interval == cycles.least_interval


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
    steady = latency(engine_dataflow(shape), make_schedule(shape, stages)).least_interval
    for name, depth in computed.items():
        assert latency(engine_dataflow(shape), make_schedule(shape, stages)).interval == steady
        if depth > 1:
            assert latency(engine_dataflow(shape), make_schedule(shape, stages, **{name: depth - 1})).interval > steady


def test_the_papers_layer() -> None:
    """A stride-1 layer of ResNet18: 262,144 iterations, known by hand."""
    shape = make_shape(cin=64, cout=64, height=32, width=32)
    cycles = latency(engine_dataflow(shape), make_schedule(shape), images=3)
    assert cycles.bottleneck == "engine_pe"
    assert cycles.least_interval == cycles.interval == 262_144
    # The first window needs a row and two pixels of four beats.
    assert 0 < cycles.fill < 32 * 4 + 2 * 4 + 100
    assert 3 * shape.macs / (shape.lanes * cycles.total) == pytest.approx(1, abs=0.001)


def test_the_papers_layer_channel_by_channel() -> None:
    shape = make_shape(cin=64, cout=64, height=32, width=32, feed="channels")
    cycles = latency(engine_dataflow(shape), make_schedule(shape))
    assert cycles.bottleneck == "engine_pe"
    assert cycles.least_interval == cycles.interval == 262_144 + 16
    # The first window needs a row and two pixels of 64 channels.
    assert 0 < cycles.fill < 32 * 64 + 2 * 64 + 100


def test_utilisation_counts_weights_of_the_layer_only() -> None:
    """24 of 32 channels: the second block is half padding, so a quarter of the work is on zeros."""
    shape = make_shape(cin=24, cout=32, height=16, width=16)
    cycles = latency(engine_dataflow(shape), make_schedule(shape), 50)
    assert 50 * shape.macs / (shape.lanes * cycles.total) == pytest.approx(0.75, abs=0.01)


def test_refuses_a_schedule_that_is_not_this_engines() -> None:
    shape = make_shape()

    def refused(message: str, change: Any) -> None:
        schedule = make_schedule(shape)
        change(schedule)
        with pytest.raises(ConfigError, match=message):
            latency(engine_dataflow(shape), schedule)

    process = "processes"
    refused("iterations: must be .* in this network, got 7", lambda s: s[process][2].update(iterations=7))
    refused("in stage 1", lambda s: s[process][1].update(issue_stages=2))
    refused("ii: must be 1 for the cycle model, got 2", lambda s: s[process][1].update(ii=2))
    refused("reads: must be in stage 0, got .*1", lambda s: s[process][1]["reads"][0].update(stage=1))
    refused(
        "writes: must be engine_window_words, got engine_window_words, z",
        lambda s: s[process][1]["writes"].append({"stream": "z", "stage": 1}),
    )
    refused(
        "processes: must be those of this network, got others, such as 'more'",
        lambda s: s[process].append({**s[process][0], "name": "more"}),
    )
    refused("reads: must be x, got z", lambda s: s[process][0]["reads"][0].update(stream="z"))
    with pytest.raises(ConfigError, match="images: must be at least 1, got 0"):
        latency(engine_dataflow(shape), make_schedule(shape), images=0)


def test_depths_other_than_those_that_were_asked_for_are_refused() -> None:
    shape = make_shape()
    check(engine_dataflow(shape), make_schedule(shape))
    asked, least = "depth must be .*, as requested, got", "depth must be at least 12, .*, got"
    for name, message in (("column", asked), ("window", asked), ("sum", least)):
        schedule = make_schedule(shape)
        [stream] = [stream for stream in schedule["streams"] if stream["name"] == f"engine_{name}_words"]
        stream["depth"] -= 1
        with pytest.raises(ConfigError, match=f"'engine_{name}_words': {message} {stream['depth']}"):
            check(engine_dataflow(shape), schedule)


def test_first_lines_do_not_depend_on_later_images() -> None:
    shape = make_shape(stride=2)
    totals = [latency(engine_dataflow(shape), make_schedule(shape), images).total for images in range(1, 7)]
    assert all(later > earlier for earlier, later in zip(totals, islice(totals, 1, None), strict=False))
    assert np.diff(totals)[-1] == latency(engine_dataflow(shape), make_schedule(shape)).interval
