"""psconv explore with weights that are streamed: any layer's, where others have a ROM, as the flow builds them."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import scripts.calibrate_streamed as calibrate
from psconv.commands import explore
from psconv.flow.config import load
from psconv.flow.inputs import load_bundle
from psconv.flow.parallelism import engine_shapes
from psconv.synthesis.targets import load_target
from pymodel.engine.cycles import streamed_interval, streamed_sequences, waits_for_windows
from pymodel.engine.memories import streamed_memories, total_half_blocks
from pymodel.engine.packing import EngineShape
from pymodel.explore.costs import Cost, multiplier_blocks, port_cost
from pymodel.explore.network import cheapest
from pymodel.explore.options import Option, Parallelism, options
from pymodel.explore.solve import AXES, TRAFFIC
from pymodel.explore.streamed_costs import streamed_calibration, streamed_cost
from pymodel.explore.streams import inner_half_blocks
from pymodel.explore.technology import ULTRASCALE_PLUS, calibrated
from pymodel.network.bundle import Bundle
from pymodel.network.random_bundle import random_bundle
from pymodel.network.topology import Network
from pymodel.top.dataflow import build
from tests.explore.test_explore_loaded import configured, request
from tests.helpers.choices import built, cost_of, explored
from tests.helpers.networks import conv


def small() -> Bundle:
    """Two convolutions and a fully connected layer; few pixels, so little is held in place of weights."""
    layers = [
        conv("a", "input", 8, support="PS4_P4", relu=True),
        conv("b", "a", 16, support="PS4_P4", stride=2, relu=True),
        {"op": "global_avgpool", "name": "g", "input": "b"},
        {"op": "linear", "name": "f", "input": "g", "out_features": 9},
    ]
    spec = {"channels": 4, "height": 4, "width": 4}
    return random_bundle(Network(name="small", input=spec, layers=layers, output="f"), 0)


@pytest.mark.parametrize(
    ("technology", "name"),
    [(one, name) for one in calibrated() for name in sorted(calibrate.ENGINES)],
    ids=lambda each: each if isinstance(each, str) else each.name,
)
def test_multipliers_and_block_rams_equal_what_yosys_counted(technology, name) -> None:
    record = streamed_calibration(technology).measured[name]
    shape = EngineShape(**record["shape"])
    cost = streamed_cost(shape, technology)
    assert multiplier_blocks(shape, technology) == record["DSP"] == cost.DSP
    held = total_half_blocks(streamed_memories(shape)) + inner_half_blocks(shape, streamed=True)
    assert held / 2 == record["BRAM"]
    assert (cost.half_blocks + inner_half_blocks(shape, streamed=True)) / 2 == record["BRAM"]


@pytest.mark.slow
def test_an_engine_that_the_calibration_has_not_seen(tmp_path: Path) -> None:
    name = "unseen"
    calibrate.ENGINES[name] = calibrate.layer_alone(48, 96, 6, "PSD2_P8", To=2, R=4, fold=2)
    try:
        record = calibrate.measure(name, ULTRASCALE_PLUS, tmp_path)
    finally:
        del calibrate.ENGINES[name]
    shape = EngineShape(**record["shape"])
    cost = streamed_cost(shape, ULTRASCALE_PLUS) + port_cost(shape, ULTRASCALE_PLUS)
    assert (cost.DSP, cost.BRAM + inner_half_blocks(shape, streamed=True) / 2) == (record["DSP"], record["BRAM"])
    model = streamed_calibration(ULTRASCALE_PLUS)
    for kind, error in (("LUT", model.LUT), ("FF", model.FF)):
        assert abs(cost.to_json()[kind] / record[kind] - 1) * 100 <= 2 * error.unseen_worst_percent


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_no_image_is_shorter_than_an_option_says(data: st.DataObject) -> None:
    """And most are as long: what the windows keep the engine waiting is that of its feeders alone."""
    kernel, height, width = (
        data.draw(st.sampled_from([1, 3])),
        data.draw(st.integers(1, 7)),
        data.draw(st.integers(1, 7)),
    )
    layers = [
        conv("a", "input", data.draw(st.integers(1, 20)), kernel=kernel, stride=data.draw(st.integers(1, 2)))
        | ({"support": data.draw(st.sampled_from(["dense", "PS4_P4", "PSD2_P3"]))} if kernel == 3 else {})
    ]
    spec = {"channels": data.draw(st.integers(1, 20)), "height": height, "width": width}
    bundle = random_bundle(Network(name="one", input=spec, layers=layers, output="a"), 0)
    network = explored(bundle, multipliers=64, channels=False, streamed=True)
    found = [option for option in network.options["a"] if option.key.streamed]
    assert found
    for option in data.draw(st.lists(st.sampled_from(found), min_size=1, max_size=8)):
        assert option.cycles <= streamed_interval(option.key.of(network.shapes["a"]))


def test_of_the_layers_of_a_large_network_most_take_as_long_as_said() -> None:
    shape = EngineShape(
        cin=64, cout=64, height=8, width=8, kernel=3, padding=1, support="PSD1_P16", shift=4, acc_bits=20
    )
    found = [one for one in options(shape, 400, ULTRASCALE_PLUS, False, False, True) if one.key.streamed][::9]
    exact = [streamed_interval(one.key.of(shape)) for one in found]
    assert len(found) > 20 and sum(a == b.cycles for a, b in zip(exact, found, strict=True)) > 0.9 * len(found)


def test_waits_are_those_of_the_pauses_between_rows() -> None:
    """The engine waits for no longer than the feeder takes beyond a window a cycle."""
    shape = EngineShape(cin=4, cout=4, height=5, width=6, kernel=3, padding=1, support="PS4_P4", shift=0, acc_bits=20)
    *feeders, pe, _ = streamed_sequences(shape)
    slow = max(feeders, key=lambda one: one.iterations)
    # Windows come at the feeder's pace at least, and it works ahead only while the engine does other things.
    assert 0 <= waits_for_windows(shape) <= slow.iterations - len(pe.reads)


def _some(found: list[Option]) -> list[Option]:
    return found[:: max(1, len(found) // 3)]


@pytest.mark.parametrize("resource", ["BRAM", "LUT", "DSP", TRAFFIC])
def test_the_optimum_of_all_choices(resource: str) -> None:
    """Built and priced one by one, without solver or bound: some layers streamed, others with ROMs."""
    network = explored(small(), multipliers=2, packing=False, channels=False, streamed=True)
    few = {
        name: [
            option for place in (True, False) for option in _some([one for one in found if one.key.streamed == place])
        ]
        for name, found in network.options.items()
    }
    network = type(network)(network.bundle, network.shapes, few, network.technology)
    assert all({option.key.streamed for option in found} == {True, False} for found in few.values())
    at = AXES.index(resource)
    every = [(cycles, cost) for _, cycles, cost in built(network)]
    for interval in sorted({cycles for cycles, _ in every})[:: max(1, len(every) // 200)][:5]:
        for budget in ({}, {"BRAM": 1}, {TRAFFIC: 0.05}, {TRAFFIC: 0}, {TRAFFIC: 0.2, "LUT": 3000}):
            limits = {kind: most * interval if kind == TRAFFIC else most for kind, most in budget.items()}
            fitting = [
                cost.in_units[at]
                for cycles, cost in every
                if cycles <= interval and all(cost.in_units[AXES.index(kind)] <= most for kind, most in limits.items())
            ]
            answer = cheapest(network, budget, interval, resource)
            if not fitting:
                assert answer.choice is None and answer.proved
                continue
            assert answer.proved and answer.cost.in_units[at] == min(fitting)


def test_a_choice_is_built_as_it_was_promised(tmp_path: Path) -> None:
    """Without block RAM and distributed ROMs some weights come from outside; read back, the same costs and traffic."""
    path = configured(tmp_path, small(), target="zcu104")
    asked = request("BRAM=0", "DSP=4", weights="streamed")
    found = explore.explore(path, asked)
    written = explore.write_config(found, path, tmp_path / "out", asked)
    config = load(written)
    streamed = {name for name in config.layers if config.streams(name)}
    chosen = found.best.answer.chosen
    assert streamed and streamed == {name for name, option in chosen.items() if option.key.streamed}
    bundle = load_bundle(config, written)
    dataflow = build(bundle, engine_shapes(config, bundle, load_target(config.target)), streamed=streamed)
    assert cost_of(dataflow) == found.best.answer.cost
    assert dataflow.interval == found.best.interval
    rates = {row["layer"]: row["bytes"] for row in found.layers}
    beats = {name: unit.shape.rom_words * unit.shape.stream_beat_bytes for name, unit in dataflow.streamed.items()}
    assert {name: octets for name, octets in rates.items() if octets} == beats
    told = found.summary["MB/s"]
    assert told == round(sum(beats.values()) / (found.best.interval * found.clock_ns) * 1e3, 1)


def test_a_rate_of_bytes_is_kept(tmp_path: Path) -> None:
    path = configured(tmp_path, small(), target="zcu104")
    free = explore.explore(path, request("BRAM=0", weights="streamed", minimise="LUT"))
    least = explore.explore(path, request("BRAM=0", weights="streamed", minimise=TRAFFIC))
    assert least.summary["MB/s"] <= free.summary["MB/s"]
    none = explore.explore(path, request("MB/s=0", weights="streamed"))
    assert not any(option.key.streamed for option in none.best.answer.chosen.values()) and none.summary["MB/s"] == 0
    assert none.to_json()["budget"]["MB/s"] == 0


def test_what_a_file_streams_may_be_streamed(tmp_path: Path) -> None:
    path = configured(tmp_path, small(), target="zcu104", layers={"f": {"weights": "streamed"}})
    assert explore.explore(path, request()).weights == "streamed"
    assert explore.explore(path, request(weights="rom")).weights == "rom"


def test_the_vector_has_all_axes() -> None:
    cost = Cost(1, 3, 4, 5, 6, 7)
    assert dict(zip(AXES, cost.in_units, strict=True)) == cost.to_json() | {TRAFFIC: 7}
    assert len(cost.vector) == len(AXES) and Parallelism(1, 1, 1).streamed is False
