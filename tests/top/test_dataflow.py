"""Networks as one top: units and streams, C++ against the golden model, depths and cycles."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from psconv.flow import csim
from pymodel.common.errors import ConfigError
from pymodel.common.identifiers import OUT_PORT
from pymodel.engine.maxplus import Link, Process, Timeline, settle
from pymodel.engine.shape_of import engine_shape
from pymodel.golden import model as golden
from pymodel.network.bundle import Bundle
from pymodel.network.formats import Format
from pymodel.network.random_bundle import random_bundle
from pymodel.network.topology import Network
from pymodel.top import cpp
from pymodel.top import cycles as network_cycles
from pymodel.top.cycles import slowest, stream_depths_between
from pymodel.top.dataflow import build
from pymodel.top.packets import loadable
from pymodel.top.units import ConcatenateUnit, ForkUnit, GatherUnit, SplitUnit
from tests.helpers.networks import DIGITS, NETWORKS, conv, made, network, some_images


@pytest.mark.parametrize("name", NETWORKS)
def test_streams_connect_what_they_should(name: str) -> None:
    """Each stream has one writer before its one reader; words on both ends are the same; names are unique."""
    bundle, dataflow = made(name)
    written: dict[str, object] = {"x": dataflow.source}
    for unit in dataflow.units:
        for stream in unit.reads:
            source = written.pop(stream.name)  # written once, before
            if stream != source:  # an image taken as one pixel
                assert replace(stream, words=source.words, whole=True) == source
                assert (stream.words.count, stream.word_bits) == (source.words.count, source.word_bits)
        for stream in unit.writes:
            assert stream.name not in written
            written[stream.name] = stream
    outputs = bundle.network.outputs
    names = {output: "y" if len(outputs) == 1 else f"y_{output}" for output in outputs}
    assert {name: stream.layer for name, stream in written.items()} == {
        name.replace("y_y_c", "y_l2_y_c"): output for output, name in names.items()
    }
    assert list(written.values()) == dataflow.sinks
    assert len({unit.name for unit in dataflow.units}) == len(dataflow.units)
    assert set(dataflow.probes) - {"input"} == {layer.name for layer in bundle.network.layers}


@pytest.mark.parametrize("name", NETWORKS)
def test_cpp_is_the_golden_model(name: str, tmp_path: Path) -> None:
    bundle, dataflow = made(name)
    images = some_images(bundle, 3)
    cpp.write(tmp_path, dataflow, name)
    expected = golden.run(bundle, images)
    sinks = dataflow.sinks
    found = csim.run_all(csim.build(tmp_path), images, dataflow.source.words, [sink.words for sink in sinks])
    assert {sink.layer for sink in sinks} == set(bundle.network.outputs)
    for sink, result in zip(sinks, found, strict=True):
        assert len(np.unique(expected[sink.layer])) > 3  # not all saturated, not all zero
        np.testing.assert_array_equal(result, expected[sink.layer])


def test_additions_align_their_inputs(tmp_path: Path) -> None:
    """Inputs of different scales, an output of a third one."""
    bundle, _ = made("residual")
    formats = bundle.formats | {"b": Format(8, 3), "c": Format(8, 6), "sum": Format(8, 2)}
    shifted = Bundle(bundle.network, formats, bundle.weight_formats, bundle.weights, bundle.biases)
    dataflow = build(shifted, {name: engine_shape(shifted, name) for name in bundle.weights})
    cpp.write(tmp_path, dataflow, "net")
    images = some_images(bundle, 3)
    result = csim.run(csim.build(tmp_path), images, dataflow.source.words, dataflow.sink.words)
    np.testing.assert_array_equal(result, golden.run(shifted, images)["d"])


def test_words_change_only_where_they_must() -> None:
    _, dataflow = made("projection with stride")
    kinds = {unit.name: type(unit) for unit in dataflow.units}
    assert "input_split" not in kinds  # the port has the words of its first reader
    # a's readers want words of 9 (PS1_P9) and of 1 (dense), and it gives 1.
    assert kinds["a_fork"] is ForkUnit
    assert kinds["a_to_b_gather"] is GatherUnit
    assert kinds["b_split"] is SplitUnit  # 9 to 1: the addition takes the words of its first input, p
    assert not {"a_to_p_split", "a_to_p_gather"} & set(kinds)


def test_what_the_output_does_not_depend_on_is_not_built() -> None:
    a = conv("a", "input", 4)
    net = Network(
        name="n",
        input={"channels": 1, "height": 4, "width": 4},
        output="a",
        layers=[a, conv("b", "a", 2), conv("c", "b", 4), a | {"name": "d", "input": "c"}],
    )
    bundle = random_bundle(net, 0)
    dataflow = build(bundle, {"a": engine_shape(bundle, "a")})
    assert [unit.name for unit in dataflow.units] == ["a"]


def test_words_of_a_concatenation_are_filled_by_every_input() -> None:
    """As wide as the widest of its inputs, or wider where only that divides the channels of all."""
    _, dataflow = made("inception")  # 4, 12, 8 and 4 channels in words of 2, 4, 4 and 2
    units = [unit for unit in dataflow.units if isinstance(unit, ConcatenateUnit)]
    assert [(unit.out_words.group, unit.out_words.channels) for unit in units] == [(4, 16), (4, 24), (4, 28)]
    _, dataflow = made("shuffled")  # 10 and 10 channels in words of 4
    (unit,) = (unit for unit in dataflow.units if isinstance(unit, ConcatenateUnit))
    assert (unit.out_words.group, unit.out_words.at_once) == (5, 1)


def test_an_output_that_is_read_is_copied() -> None:
    _, dataflow = made("outputs on the way")
    forks = [unit for unit in dataflow.units if isinstance(unit, ForkUnit)]
    ends = {stream.name for fork in forks for stream in fork.writes} & dataflow.sink_beats.keys()
    assert ends == {"y_a", "y_l2_y_c"}  # b and f are read by no layer
    with pytest.raises(ConfigError, match="network: output: must be one layer, got a, b, y_c, f"):
        _ = dataflow.sink


def test_loaded_weights_need_one_output() -> None:
    net, _ = NETWORKS["outputs on the way"]
    bundle = random_bundle(net, 0)
    shapes = {name: loadable(engine_shape(bundle, name)) for name in bundle.weights}
    with pytest.raises(ConfigError, match="output: must be one layer for loaded weights, got f, a, b, y_c"):
        build(bundle, shapes, loaded=True)


def test_a_layer_with_weights_has_an_engine() -> None:
    bundle = random_bundle(network(conv("a", "input", 4)), 0)
    with pytest.raises(ConfigError, match="layer a: engine: must be given for a conv in hardware, got none"):
        build(bundle, {})


def test_depths_of_the_digits_network() -> None:
    """The skip stream holds what passes while the longer path works: a row and two pixels of conv3's window."""
    bundle = Bundle.load(DIGITS)
    dataflow = build(bundle, {name: engine_shape(bundle, name) for name in bundle.weights})
    depths = stream_depths_between(dataflow)
    assert slowest(dataflow).iterations == 64 * 2 * 32  # conv3: pixels * blocks * output channels
    words_per_pixel, width = 2, 8
    assert depths["conv2_to_add"] >= (width + 1) * words_per_pixel
    assert depths["conv2_to_add"] < 3 * width * words_per_pixel
    assert set(depths) == {stream.name for stream in dataflow.streams}


@pytest.mark.parametrize("name", ["projection with stride", "digits"])
def test_a_stream_is_as_long_as_all_its_images(name: str) -> None:
    """Once its images repeat the rest is told: the same as when every one of them is followed through every process."""
    if name == "digits":
        bundle = Bundle.load(DIGITS)
        dataflow = build(bundle, {name: engine_shape(bundle, name) for name in bundle.weights})
    else:
        dataflow = made(name)[1]
    images = 40
    depths = stream_depths_between(dataflow)
    links = network_cycles.links_of(dataflow, depths) | {OUT_PORT: Link(dataflow.units[-1].out_stage, None)}
    beats = dataflow.out_beats
    chain = [*network_cycles.processes(dataflow), Process("sink", beats, {OUT_PORT: np.arange(beats)}, {})]
    lines = [Timeline([process] * images, network_cycles.STAGES) for process in chain]
    settle(lines, links)
    ends = lines[-1].times(OUT_PORT)[beats - 1 :: beats].tolist()
    for count in (1, 3, images):
        told = network_cycles.latency_at_most(dataflow, count)
        assert told.image_last == ends[:count] and told.total == ends[count - 1] + 1
