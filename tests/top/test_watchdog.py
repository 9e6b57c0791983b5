"""When silence is a deadlock, and which process waits for whom then."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

from psconv.flow.config import load
from psconv.flow.hls import Synthesised, compile_top
from pymodel.engine.maxplus import Deadlock
from pymodel.engine.shape_of import engine_shape
from pymodel.golden import model as golden
from pymodel.network.random_bundle import random_bundle
from pymodel.top import cpp
from pymodel.top.cycles import latency, quiet
from pymodel.top.dataflow import build
from rtl_tb.runner import simulate
from rtl_tb.watchdog import Inner, longest_stall, waiting
from scripts.hunt.layers import PARALLEL, PLAIN, RTL
from tests.helpers.engines import engine_dataflow, make_schedule, make_shape, simulated
from tests.helpers.networks import conv, network
from tests.helpers.places import FAULTS

LAYERS = FAULTS / "layers"


def test_stalls_that_no_run_sees() -> None:
    assert longest_stall(0.0) == 0 and longest_stall(0.5) == 64
    for chance in (0.1, 0.5, 0.95):
        cycles_in_a_row = longest_stall(chance)
        assert chance**cycles_in_a_row <= 2**-64 < chance ** (cycles_in_a_row - 1)


def test_who_waits_for_whom_is_followed_from_the_output() -> None:
    """A fork that cannot put its word down, as a join does not take it, as it waits for the other path."""
    streams = [
        Inner("x", None, None, "fork"),
        Inner("long", 2, "fork", "path"),
        Inner("short", 3, "fork", "join"),
        Inner("end", 2, "path", "join"),
        Inner("y", 5, "join", None),
    ]
    circle = [
        "join waits for path (end is empty)",
        "path waits for fork (long is empty)",
        "fork waits for join (short is full: 3 words)",
    ]
    assert waiting(streams, [1, 0, 3, 0, 0]) == circle
    assert waiting(streams, [0, 0, 1, 0, 0])[-1] == "fork waits for the bench (x is empty)"
    assert waiting(streams, [1, 1, 1, 1, 5]) == ["join waits for the bench (y is full: 5 words)"]
    assert waiting(streams, [1, 1, 1, 1, 2]) == ["join has words and room, and does not move"]


@pytest.mark.parametrize(
    "layer", [dict(cin=2, cout=3), dict(cin=6, cout=40, height=1, width=1), dict(cin=4, cout=2, padding=0, stride=2)]
)
def test_silence_is_as_long_as_the_model_says_at_most(layer: dict) -> None:
    """Simulated cycle by cycle; and it is no more than a few images' time, so that a deadlock is soon told."""
    shape = make_shape(support="dense", **layer)
    dataflow, schedule = engine_dataflow(shape), make_schedule(shape)
    most = quiet(dataflow, schedule)
    taken_and_given = sorted({0, *simulated(shape, schedule, 4)})
    assert max(np.diff(taken_and_given), default=0) <= most
    assert most <= 4 * latency(dataflow, schedule, 1).total


@pytest.mark.parametrize("name", ["quiet_256", "quiet_512", "quiet_1024"])
def test_layers_that_are_quiet_for_long_are_no_deadlock(name: str) -> None:
    """More than the 20,000 cycles that any silence once was allowed."""
    config = load(LAYERS / f"{name}.yaml")
    layer, requested = config.layer, config.parallelism
    shape = make_shape(
        cin=layer.in_channels,
        cout=layer.out_channels,
        height=layer.height,
        width=layer.width,
        support=layer.support,
        fold=requested.fold,
    )
    assert quiet(engine_dataflow(shape), make_schedule(shape)) > 20_000


@pytest.mark.slow
@pytest.mark.parametrize("name", ["quiet_256", "quiet_1024"])
def test_rtl_that_is_quiet_for_long_is_no_deadlock(name: str, tmp_path: Path) -> None:
    config = load(LAYERS / f"{name}.yaml").model_dump(mode="json", exclude_unset=True)
    case = config | {
        "layer": PLAIN | config["layer"],
        "parallelism": PARALLEL | config.get("parallelism", {}),
        "images": {"count": 3},
        "seed": 0,
        "clock_ns": 3.333,
        "stalls": {"images": 1, "input": 0.9, "output": 0.9},
    }
    RTL.check(case, tmp_path)


def test_a_deadlock_in_rtl_is_told_by_its_processes(tmp_path: Path) -> None:
    """A skip beside a 3x3 convolution whose stream holds less than the rows that it waits for."""
    net = network(
        conv("a", "input", 2, kernel=1),
        conv("b", "a", 2),
        {"op": "add", "name": "s", "inputs": ["b", "a"]},
        channels=1,
        height=4,
        width=6,
    )
    bundle = random_bundle(net, 1)
    dataflow = build(bundle, {name: engine_shape(bundle, name) for name in bundle.weights})
    sources = cpp.render(dataflow, "net")
    sources[cpp.SOURCE], count = re.subn(r"(variable=a_to_s depth=)\d+", r"\g<1>4", sources[cpp.SOURCE])
    assert count == 1
    compile_top(dataflow, tmp_path, sources, jobs=1)
    schedule = Synthesised(tmp_path).schedule
    for model in (lambda: latency(dataflow, schedule), lambda: quiet(dataflow, schedule)):
        with pytest.raises(Deadlock, match="waits for ever"):
            model()
    images = np.random.default_rng(1).integers(-128, 128, (1, 1, 4, 6)).astype(np.int8)
    beats = dataflow.source.words.pack(images, "images")
    expected = dataflow.sink.words.pack(golden.run(bundle, images)["s"], "scores")
    result = simulate(
        Synthesised(tmp_path).rtl,
        json.loads((tmp_path / "ports.json").read_text()),
        beats,
        np.arange(1, len(beats) + 1) == len(beats),
        expected,
        dataflow.out_beats,
        tmp_path / "run",
        timeout_cycles=300,
        inner=[Inner(s["name"], s["depth"], s["producer"], s["consumer"]) for s in schedule["streams"]],
    )
    [told] = [error for error in result.errors if error.startswith("watchdog")]
    inside = told.split("; inside: ")[1].split(", ")
    assert "s waits for b_output (b is empty)" in inside[0]
    assert inside[-1] == "a_fork waits for s (a_to_s is full: 4 words)"
