"""Weights that come by ports, once an image: their order, C++, RTL and cycle model of networks that stream them."""

from __future__ import annotations

import itertools
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from psconv.flow import csim
from psconv.report.collect import weight_traffic
from pymodel.common.errors import ConfigError
from pymodel.common.identifiers import OUT_PORT
from pymodel.engine.packing import EngineShape, pack_rom, pack_stream, unpack_stream
from pymodel.engine.shape_of import engine_shape
from pymodel.golden import model as golden
from pymodel.network.bundle import Bundle
from pymodel.network.random_bundle import random_bundle
from pymodel.network.topology import Network
from pymodel.top import cpp
from pymodel.top import memory as network_memory
from pymodel.top.cycles import latency, slowest
from pymodel.top.dataflow import Dataflow, build
from rtl_tb.runner import simulate
from tests.helpers.designs import Built, design_of
from tests.helpers.networks import NETWORKS, conv, network, some_images

IMAGES = 4
Parallelism = dict[str, dict[str, int]]

# Every kind of layer: a 3x3 convolution of words, one with stride, a skip, 1x1, pools, one pixel.
EVERY_KIND = (
    network(
        conv("a", "input", 8, relu=True),
        conv("b", "a", 16, support="PS4_P4", relu=True),
        conv("c", "b", 16, support="PS4_P4"),
        {"op": "add", "name": "sum", "inputs": ["c", "b"], "relu": True},
        conv("d", "sum", 8, support="PS4_P4", stride=2),
        conv("p", "sum", 8, kernel=1, stride=2),
        {"op": "add", "name": "join", "inputs": ["d", "p"], "relu": True},
        {"op": "maxpool", "name": "largest", "input": "join"},
        {"op": "global_avgpool", "name": "mean", "input": "largest"},
        {"op": "linear", "name": "fc", "input": "mean", "out_features": 5},
        height=8,
        width=8,
    ),
    {"a": {"Tb": 3, "fold": 9}, "b": {"To": 2, "packing": 2}, "c": {"Tb": 2, "fold": 5}, "p": {"Tb": 4}},
)

# One layer after the other of odd shape: channels that fill no block, folds that fill no multiplier.
CASES: dict[str, tuple[Network, Parallelism]] = {
    f"{height}x{width}": (
        network(
            conv("a", "input", 10, support="PS4_P4", relu=True),
            conv("b", "a", 9, support="PS1_P9"),
            conv("c", "b", 8, support="PS4_P4"),
            conv("d", "c", 6, kernel=1),
            channels=11,
            height=height,
            width=width,
        ),
        {"a": {"Tb": 3, "fold": 5}, "b": {"fold": 2}, "c": {"To": 2, "fold": 3}, "d": {"To": 3, "fold": 1}},
    )
    for height, width in ((1, 1), (1, 2), (3, 1), (2, 2), (3, 4))
}

# With rotations: words of one step and of several, last steps and last words that are padded.
CASES |= {
    f"{height}x{width} rotations": (
        network(
            conv("a", "input", 10, support="PS4_P4", relu=True),
            conv("b", "a", 18, support="PS1_P9"),
            conv("c", "b", 8, support="PS4_P4"),
            conv("d", "c", 7, support="PS4_P4"),
            channels=11,
            height=height,
            width=width,
        ),
        {
            "a": {"Tb": 3, "fold": 5, "R": 4},
            "b": {"fold": 2, "R": 9},
            "c": {"To": 2, "fold": 3, "R": 2},
            "d": {"R": 2},
        },
    )
    for height, width in ((1, 1), (1, 2), (3, 4))
}


def made(
    net: Network, parallelism: Parallelism, streamed: Collection[str] | None = None, bits: int = 8
) -> tuple[Bundle, Dataflow]:
    """A network with generated weights; streamed: the layers whose weights are, none: all of them."""
    bundle = random_bundle(net, 3, weight_bits=bits, activation_bits=bits)
    shapes = {
        layer.name: engine_shape(bundle, layer.name, **parallelism.get(layer.name, {}))
        for layer in bundle.network.weighted_layers()
    }
    return bundle, build(bundle, shapes, streamed=shapes if streamed is None else streamed)


def beats(dataflow: Dataflow) -> list[np.ndarray]:
    return [pack_stream(engine.weights, engine.shape) for engine in dataflow.streamed.values()]


# Order


@st.composite
def shapes(draw) -> EngineShape:
    support, kernel = draw(st.sampled_from([("PSD1_P16", 3), ("PS2_P6", 3), ("dense", 3), ("dense", 1)]))
    period = {"PSD1_P16": 16, "PS2_P6": 6, "dense": 1}[support]
    To = draw(st.integers(1, 3))
    Tb, sets = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    short = draw(st.integers(0, period - 1))
    R, groups = draw(st.sampled_from([r for r in range(1, period + 1) if period % r == 0])), draw(st.integers(1, 3))
    cin = period * Tb * sets - short if groups == 1 else groups * period * Tb * sets
    cout = period * To * draw(st.integers(1, 2)) if To > 1 else draw(st.integers(1, 2 * period))
    if groups > 1:
        cout = groups * period * To * draw(st.integers(1, 2))
    if groups == cin > 1:
        R = draw(st.integers(1, cin))
    return EngineShape(
        cin=cin,
        cout=cout,
        groups=groups,
        R=R,
        kernel=kernel,
        height=4,
        width=4,
        padding=kernel // 2,
        support=support,
        To=To,
        Tb=Tb,
        fold=draw(st.integers(1, Tb)),
        acc_bits=32,
        weight_bits=draw(st.integers(2, 8)),
    )


@given(shapes(), st.integers(0, 99))
@settings(max_examples=60, deadline=None)
def test_weight_beats_come_back_and_are_the_rom_turned_round(shape: EngineShape, seed: int) -> None:
    rng, reach = np.random.default_rng(seed), 1 << (shape.weight_bits - 1)
    weights = rng.integers(-reach, reach, (shape.cout, shape.cin // shape.groups, shape.kernel, shape.kernel))
    weights *= shape.support.mask(*weights.shape[:2])
    stream, rom = pack_stream(weights, shape), pack_rom(weights, shape)
    np.testing.assert_array_equal(unpack_stream(stream, shape), weights)
    at = iter(stream)
    rounds = -(-shape.cin // shape.R) if shape.groups == shape.cin > 1 else shape.groups
    sets, steps = shape.NB // rounds, shape.steps // rounds
    for g, step, fold, block in itertools.product(range(rounds), range(steps), range(shape.fold), range(sets)):
        word = rom[((g * sets + block) * steps + step) * shape.fold + fold]
        assert int.from_bytes(next(at).tobytes(), "little") == word
    assert next(at, None) is None


# C++


@pytest.mark.parametrize(
    "name", [name for name in NETWORKS if not name.startswith(("three readers", "channel by channel", "even kernels"))]
)
def test_cpp_is_the_golden_model(name: str, tmp_path: Path) -> None:
    bundle, dataflow = made(*NETWORKS[name])
    images = some_images(bundle, 3)
    cpp.write(tmp_path, dataflow, name)
    program = csim.build(tmp_path)
    words = [sink.words for sink in dataflow.sinks]
    found, expected = (
        csim.run_all(program, images, dataflow.source.words, words, beats(dataflow)),
        golden.run(bundle, images),
    )
    for sink, result in zip(dataflow.sinks, found, strict=True):
        np.testing.assert_array_equal(result, expected[sink.layer])


@pytest.mark.skipif(csim.amd_include() is None, reason="the hls4ml package is not installed")
@pytest.mark.parametrize("compiler", ["amd", "amd_clang"])
def test_cpp_with_the_headers_of_amd(compiler: str, tmp_path: Path) -> None:
    bundle, dataflow = made(*EVERY_KIND)
    images = some_images(bundle, 2)
    cpp.write(tmp_path, dataflow, "net")
    program = csim.build(tmp_path, compiler)
    result = csim.run(program, images, dataflow.source.words, dataflow.sink.words, beats(dataflow))
    np.testing.assert_array_equal(result, golden.run(bundle, images)[bundle.network.output])


@pytest.mark.parametrize(("name", "bits"), [*((name, 8) for name in CASES), ("3x4", 3)])
def test_cpp_of_odd_shapes(name: str, bits: int, tmp_path: Path) -> None:
    bundle, dataflow = made(*CASES[name], bits=bits)
    images = some_images(bundle, 3) >> (8 - bits)
    cpp.write(tmp_path, dataflow, name)
    program = csim.build(tmp_path)
    result = csim.run(program, images, dataflow.source.words, dataflow.sink.words, beats(dataflow))
    np.testing.assert_array_equal(result, golden.run(bundle, images)[bundle.network.output])


def test_each_image_has_its_own_weights(tmp_path: Path) -> None:
    """Nothing is left of the weights of the image before; cut weights are refused."""
    bundle, dataflow = made(*NETWORKS["residual"])
    other = replace(bundle, weights={name: (w // 2).astype(np.int8) for name, w in bundle.weights.items()})
    images = some_images(bundle, 3)
    mine, its = beats(dataflow), beats(build(other, dataflow.shapes, streamed=dataflow.shapes))
    cpp.write(tmp_path, dataflow, "residual")
    program, words = csim.build(tmp_path), (dataflow.source.words, dataflow.sink.words)
    result = csim.run(program, images, *words, [*mine, *its, *mine])
    for trained, at in ((bundle, 0), (other, 1), (bundle, 2)):
        np.testing.assert_array_equal(result[at], golden.run(trained, images[[at]])["d"][0])
    with pytest.raises(ConfigError, match="WEIGHTS is not a whole number of images"):
        csim.run(program, images, *words, [*mine, its[0]])


# RTL


def whole_network(
    folder: Path, net: Network, parallelism: Parallelism, streamed: Collection[str] | None = None
) -> Built:
    """A network compiled to RTL."""
    bundle, dataflow = made(net, parallelism, streamed)
    return Built.of(dataflow, bundle, some_images(bundle, IMAGES), folder)


def fewer(built: Built, images: int) -> Built:
    """`built` with its first `images` images alone."""
    return replace(built, vectors=built.vectors.first(images))


def check_free_run(built: Built) -> None:
    """Every layer exact, the end of each image in the cycle that the model says, every weight read once an image."""
    design, dataflow, schedule = built.design, built.design.dataflow, built.schedule
    result = built.simulated("free")
    assert result.ok, result.errors
    probed = {stream.name for stream in dataflow.probes.values()} - {OUT_PORT}
    assert set(result.probes) == probed
    start = result.cycles["first_in"]
    model = latency(dataflow, schedule, IMAGES, start)
    assert [end - start for end in result.cycles["image_last"]] == model.image_last
    assert slowest(dataflow).iterations <= model.interval <= dataflow.interval
    memory = {what: bits for what, bits in network_memory.built(schedule).items() if what != network_memory.FIFOS}
    assert network_memory.needed(dataflow) == memory  # or `psconv run` calls it a failure
    for engine in dataflow.streamed.values():
        traffic = weight_traffic(engine, result.moved, IMAGES, 1e6)
        assert traffic.beats == traffic.beats_sim == engine.shape.NB * engine.shape.steps * engine.shape.fold
        assert traffic.bytes == len(design.streamed[engine.port.name].tobytes())


@pytest.fixture(scope="module")
def every_kind(tmp_path_factory: pytest.TempPathFactory) -> Built:
    return whole_network(tmp_path_factory.mktemp("every"), *EVERY_KIND)


def test_layers_and_cycles_are_as_predicted(every_kind) -> None:
    check_free_run(every_kind)


@pytest.mark.parametrize("seed", [1, 2])
def test_stalls_of_all_streams_change_nothing_but_time(every_kind, seed: int) -> None:
    result = fewer(every_kind, 2).simulated("stalled", idle=0.4, backpressure=0.4, seed=seed)
    assert result.ok, result.errors


@pytest.mark.parametrize(
    ("stream", "after"), [(None, 1), (None, 100), ("w_b", 1), ("w_b", 13), ("w_c", 75), ("w_fc", 60)]
)
def test_a_reset_in_the_middle_of_an_image_or_of_weights(every_kind, stream: str | None, after: int) -> None:
    result = fewer(every_kind, 2).simulated("reset", reset_after=after, reset_on=stream, idle=0.1, backpressure=0.1)
    assert result.ok, result.errors
    assert {probe["mismatch_count"] for probe in result.probes.values()} == {0}


@pytest.mark.slow
def test_a_mix_with_weights_in_rom(tmp_path: Path) -> None:
    built = whole_network(tmp_path, *EVERY_KIND, streamed=["c", "p", "fc"])
    check_free_run(built)
    result = fewer(built, 2).simulated("stalled", idle=0.4, backpressure=0.4, seed=3)
    assert result.ok, result.errors


@pytest.mark.parametrize(
    "name",
    [name if name == "1x2" else pytest.param(name, marks=pytest.mark.slow) for name in CASES],
)
def test_rtl_of_odd_shapes(name: str, tmp_path: Path) -> None:
    """Images of 1, 2, 3, 4 and 12 pixels: sums and windows are stored as many iterations before they are loaded."""
    built = whole_network(tmp_path, *CASES[name])
    check_free_run(built)
    result = built.simulated("stalled", idle=0.4, backpressure=0.4, seed=3)
    assert result.ok, result.errors


def test_the_stream_that_starves_is_named(every_kind) -> None:
    """Weights that are kept back: the watchdog says by which port they do not come."""
    short = design_of(every_kind.design.dataflow)
    extra_inputs = short.extra_inputs(1)
    missing, last = extra_inputs["w_d"]
    assert last.nonzero()[0].tolist() == [len(missing) - 1]  # TLAST with the last weight
    short.streamed["w_d"] = missing[: len(missing) // 2]
    result = fewer(replace(every_kind, design=short), 1).simulated("starved")
    stuck = [error for error in result.errors if error.startswith("watchdog")]
    half = len(missing) // 2
    assert len(stuck) == 1 and f"w_d: all {half} beats transferred, and the design asks for more" in stuck[0]
    assert "w_c: all" in stuck[0] and "y: stuck" in stuck[0]


# Refusals


def test_windows_that_come_channel_by_channel() -> None:
    with pytest.raises(ConfigError, match="layer a: feed: must be windows with weights: streamed, got channels"):
        made(*NETWORKS["channel by channel"])


def test_what_does_not_go_together_is_refused() -> None:
    net, _parallelism = NETWORKS["one pixel"]
    bundle = random_bundle(net, 3)
    shapes = {layer.name: engine_shape(bundle, layer.name) for layer in net.weighted_layers()}
    with pytest.raises(ConfigError, match="layer a: weights: must be loaded where any are loaded, got streamed"):
        build(bundle, shapes, loaded=True, streamed=["a"])


def test_a_layer_may_be_called_as_the_port_of_another() -> None:
    clash = random_bundle(network(conv("a", "input", 3), conv("w_a", "a", 3), conv("b", "w_a", 3)), 3)
    dataflow = build(clash, {name: engine_shape(clash, name) for name in clash.weights}, streamed=["a"])
    names = [unit.name for unit in dataflow.units] + [engine.port.name for engine in dataflow.streamed.values()]
    assert len(set(names)) == len(names) and set(dataflow.engines) == {"a", "w_a", "b"}


def test_the_bench_wants_all_inputs(tmp_path: Path) -> None:
    def stream(name: str, direction: str) -> dict[str, object]:
        signals = {
            f"T{role}": {"name": f"{name}_T{role}", "width": width}
            for role, width in (("DATA", 8), ("VALID", 1), ("READY", 1), ("LAST", 1))
        }
        return {"name": name, "direction": direction, "signals": signals}

    ports = {
        "top": "top",
        "clock": "clk",
        "reset": {"name": "rst", "active_low": True},
        "streams": [stream("x", "in"), stream("w", "in"), stream("y", "out")],
    }
    images = np.zeros((4, 1), np.uint8), np.array([False, True] * 2)

    def run(**options: object) -> None:
        simulate([], ports, *images, np.zeros((2, 1), np.uint8), 1, tmp_path, **options)

    with pytest.raises(ConfigError, match="must have one stream of direction 'in', got x, w"):
        run()
    with pytest.raises(ConfigError, match="stream of direction 'in' must be one of x, w, got 'v'|other than v, got"):
        run(extra_inputs={"v": images})
    with pytest.raises(ConfigError, match=r"extra_inputs\['w'\]: must have a packet for each of 2 images, got 1"):
        run(extra_inputs={"w": (images[0], np.array([False, False, False, True]))})
    with pytest.raises(ConfigError, match=r"extra_inputs\['w'\]: must be one flag per input beat"):
        run(extra_inputs={"w": (images[0], np.array([True, False, False, False]))})
    with pytest.raises(ConfigError, match="reset_on: must be one of the input streams x, w, got 'v'"):
        run(extra_inputs={"w": images}, reset_after=1, reset_on="v")
    with pytest.raises(ConfigError, match="reset_after: must be 1 to 4 beats of w, got 5"):
        run(extra_inputs={"w": images}, reset_after=5, reset_on="w")


def test_rom_networks_have_no_weight_port() -> None:
    _, dataflow = made(*NETWORKS["residual"], streamed=[])
    text = "".join(cpp.render(dataflow, "net").values())
    assert "w_a" not in text and "streamed" not in text and "PSCONV_WEIGHT_PORTS" not in text
