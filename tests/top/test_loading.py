"""Weights that are loaded: packets, check sums and statuses; C++, RTL and cycle model of networks that load them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from openhls import compile_hls

from psconv.common.places import ENGINE, INCLUDE
from psconv.flow import csim
from psconv.flow.hls import Synthesised, compile_top
from pymodel.common.errors import ConfigError
from pymodel.engine import cpp as header
from pymodel.engine.memories import ultra_blocks
from pymodel.engine.packing import pack_loads, unpack_bias, unpack_weights
from pymodel.engine.shape_of import engine_shape
from pymodel.golden import model as golden
from pymodel.network.bundle import Bundle
from pymodel.network.random_bundle import random_bundle
from pymodel.network.topology import Network
from pymodel.network.zoo import make_network
from pymodel.top import cpp
from pymodel.top.check_sum import check_sum
from pymodel.top.cycles import latency
from pymodel.top.dataflow import Dataflow, build, needed_layers
from pymodel.top.memory import FIFOS, built, needed
from pymodel.top.packets import Packet, in_ultra_ram, loadable, packet, responses, statuses, weight_beats
from pymodel.top.status import Status
from rtl_tb.runner import simulate
from tests.helpers.networks import NETWORKS, conv, network, some_images
from tests.helpers.places import EXAMPLES, FAULTS

GOOD, NONE, NEW = Status.GOOD, Status.NO_WEIGHTS, Status.RELOADED
IMAGES = 9


def hardware(name: str, seed: int = 3) -> tuple[Bundle, Dataflow]:
    """A small network of test_dataflow with generated weights, built to load any."""
    net, parallelism = NETWORKS[name]
    bundle = random_bundle(net, seed)
    names = [layer.name for layer in bundle.network.weighted_layers()]
    shapes = {layer: loadable(engine_shape(bundle, layer, **parallelism.get(layer, {}))) for layer in names}
    return bundle, build(bundle, shapes, loaded=True)


def retrained(bundle: Bundle, seed: int) -> Bundle:
    """Other weights in the same formats."""
    rng = np.random.default_rng(seed)
    weights = {
        name: (rng.permuted(w) if w.shape[2:] == (1, 1) else -(w // 2)).astype(np.int8)
        for name, w in bundle.weights.items()
    }
    return replace(bundle, weights=weights, biases={name: -b for name, b in bundle.biases.items()})


@pytest.fixture(scope="module")
def story() -> tuple[Dataflow, list[Packet], list[Status], dict[int, np.ndarray]]:
    """Packets good and bad, the status on each, and the scores of those whose scores are right."""
    bundle, dataflow = hardware("residual")
    images, other = some_images(bundle, IMAGES), retrained(bundle, 8)
    weights, changed = weight_beats(dataflow, bundle), weight_beats(dataflow, other)
    damaged = weights.copy()
    damaged[len(damaged) // 2, 1] ^= 0x10
    foreign = weights.copy()
    foreign[dataflow.packet_parser.identity_beats - 1, 0] ^= 1
    first = packet(dataflow, images[0], weights)
    cut = Packet(packet(dataflow, images[3]).beats[:-2])
    long = Packet(np.concatenate([packet(dataflow, images[4]).beats] * 2))
    header = Packet(packet(dataflow, images[5]).beats.copy())
    header.beats[0, 0] = 6
    cases = [
        (first, GOOD | NEW, bundle, images[0]),
        (packet(dataflow, images[1]), GOOD, bundle, images[1]),
        (packet(dataflow, images[2], damaged), NONE | NEW, None, None),
        (packet(dataflow, images[2]), NONE, None, None),
        (Packet(first.beats[: len(weights) // 3]), NONE | NEW | Status.TRUNCATED, None, None),
        (Packet(first.beats[:1]), NONE | NEW | Status.TRUNCATED, None, None),
        (packet(dataflow, images[2], changed), GOOD | NEW, other, images[2]),
        (cut, Status.TRUNCATED, None, None),
        (packet(dataflow, images[3]), GOOD, other, images[3]),
        (long, Status.OVERLONG, None, None),
        (header, Status.BAD_HEADER, None, None),
        (Packet(first.beats[: 1 + len(weights)]), NEW | Status.TRUNCATED, None, None),  # weights alone
        (packet(dataflow, images[6]), GOOD, bundle, images[6]),
        (packet(dataflow, images[2], foreign), NONE | NEW | Status.FOREIGN, None, None),
        (packet(dataflow, images[2]), NONE, None, None),
    ]
    right = {
        at: golden.run(trained, image[None])[dataflow.sink.layer]
        for at, (_, _, trained, image) in enumerate(cases)
        if trained is not None
    }
    return dataflow, [case[0] for case in cases], [case[1] for case in cases], right


@pytest.fixture(scope="module")
def computed(story, tmp_path_factory) -> np.ndarray:
    """What the C simulation responses: uint8 [packets, beats, bytes]."""
    dataflow, packets, *_ = story
    folder = tmp_path_factory.mktemp("csim")
    cpp.write(folder, dataflow, "residual")
    return csim.run_packets(csim.build(folder), packets, dataflow).reshape(len(packets), dataflow.out_beats, -1)


def test_statuses_and_scores(story, computed):
    dataflow, _, expected, right = story
    assert statuses(computed[:, -1]) == expected
    assert sorted(right) == [at for at, status in enumerate(expected) if GOOD in status]
    for at, scores in right.items():
        np.testing.assert_array_equal(computed[at], responses(dataflow, scores, [expected[at]]))


@pytest.mark.parametrize("channels", [1, 3, 5, 16])
def test_the_hardware_sums_beats_of_any_width(channels, tmp_path):
    """Beats of 8 to 128 bits, a quarter of a symbol of the check sum to four: what is taken, and what must not be."""
    bundle = random_bundle(network(conv("c", "input", 3, kernel=1), channels=channels, height=1, width=2), channels)
    dataflow = build(bundle, {"c": loadable(engine_shape(bundle, "c", Tb=channels))}, loaded=True)
    image, weights = some_images(bundle, 1)[0], weight_beats(dataflow, bundle)
    assert weights.shape[1] == channels
    first, last = dataflow.packet_parser.identity_beats, len(weights) - dataflow.packet_parser.check_beats
    changed = [weights]
    for one in range(first, last):
        for other in range(one + 1, last):
            if not np.array_equal(weights[one], weights[other]):
                changed.append(weights.copy())
                changed[-1][[one, other]] = changed[-1][[other, one]]
    for at in range(len(weights)):
        changed.append(weights.copy())
        changed[-1][at] ^= np.uint8(1 << at % 8)
    nothing = weights.copy()
    nothing[first:] = 0
    changed.append(nothing)
    cpp.write(tmp_path, dataflow, "wide")
    packets = [packet(dataflow, image, beats) for beats in changed]
    made = csim.run_packets(csim.build(tmp_path), packets, dataflow)
    given = statuses(made.reshape(len(packets), dataflow.out_beats, -1)[:, -1])
    assert given[0] == GOOD | NEW and len(given) > 5
    assert all(GOOD not in status and NONE in status for status in given[1:])


def test_the_packet_parser_of_wide_beats_meets_the_clock(tmp_path):
    """128 bits, half a million of them with weights: sums of integers as long took 4.54 ns."""
    bundle = random_bundle(network(conv("c", "input", 16, kernel=1), channels=16, height=224, width=224), 0)
    dataflow = build(bundle, {"c": loadable(engine_shape(bundle, "c", Tb=16))}, loaded=True)
    parser = replace(dataflow.packet_parser, load_beats=500_000)
    (tmp_path / "config.hpp").write_text(header.render_header("config.hpp", "", "", parser.widest, [parser.struct()]))
    (tmp_path / "parser.cpp").write_text("""
        #include "config.hpp"
        #include "packet_parser.hpp"
        void top(hls::stream<psconv::AxiBeat<128> >& x, hls::stream<ap_uint<128> >& loads,
                 hls::stream<ap_uint<128> >& image, hls::stream<ap_uint<8> >& statuses) {
        #pragma HLS INTERFACE axis port=x
        #pragma HLS INTERFACE axis port=loads
        #pragma HLS INTERFACE axis port=image
        #pragma HLS INTERFACE axis port=statuses
        #pragma HLS INTERFACE ap_ctrl_none port=return
          psconv::packet_parser<parser_config>(x, loads, image, statuses);
        }
    """)
    compile_hls(
        [tmp_path / "parser.cpp"], "top", include_dirs=[INCLUDE, ENGINE, tmp_path], clock_ns=3.333, out=tmp_path
    )


@pytest.fixture(scope="module")
def rtl(story, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("loading")
    compile_top(story[0], folder)
    return folder


@pytest.mark.parametrize("stall, reset_after", [(0.0, None), (0.4, None), (0.2, 700), (0.0, 1900)])
def test_rtl_answers_as_the_c_simulation(story, computed, rtl, tmp_path, stall, reset_after):
    """The reset comes while weights are loaded, or in the middle of an image; then the story starts again."""
    dataflow, packets, *_ = story
    result = simulate(
        Synthesised(rtl).rtl,
        json.loads((rtl / "ports.json").read_text()),
        np.concatenate([p.beats for p in packets]),
        np.concatenate([p.last for p in packets]),
        computed.reshape(-1, computed.shape[2]),
        dataflow.out_beats,
        tmp_path,
        seed=5,
        idle=stall,
        backpressure=stall,
        reset_after=reset_after,
        cache=rtl / "verilator",
    )
    assert result.ok, result.errors


@pytest.mark.parametrize("name", ["one pixel", "channel by channel", "rotations", "groups"])
def test_cycles_with_weights_between_images(name, tmp_path):
    """Weights reach an engine when it is done with the image before: the model knows when."""
    bundle, dataflow = hardware(name)
    images = some_images(bundle, 6)
    scores = golden.run(bundle, images)[dataflow.sink.layer]
    compile_top(dataflow, tmp_path)
    schedule = Synthesised(tmp_path).schedule
    weights = weight_beats(dataflow, bundle)
    for reloads in ({0}, {0, 1, 4}, set(range(6))):
        packets = [packet(dataflow, image, weights if at in reloads else None) for at, image in enumerate(images)]
        expected = responses(dataflow, scores, [GOOD | (NEW if at in reloads else 0) for at in range(6)])
        result = simulate(
            Synthesised(tmp_path).rtl,
            json.loads((tmp_path / "ports.json").read_text()),
            np.concatenate([p.beats for p in packets]),
            np.concatenate([p.last for p in packets]),
            expected,
            dataflow.out_beats,
            tmp_path / "run",
            cache=tmp_path / "verilator",
        )
        assert result.ok, result.errors
        start = result.cycles["first_in"]
        model = latency(dataflow, schedule, 6, start, frozenset(reloads))
        assert [end - start for end in result.cycles["image_last"]] == model.image_last, reloads


def test_a_folded_engine_with_weights_in_ultra_ram(tmp_path):
    """Its sums would fill a block RAM, from which no path leads through an adder back to it in a cycle."""
    layers = conv("first", "input", 32, kernel=1), conv("a", "first", 208, support="PSD1_P16")
    bundle = random_bundle(network(*layers, height=3, width=3), 4)
    shape = loadable(engine_shape(bundle, "a", fold=2)).model_copy(update={"ultra_weights": True})
    dataflow = build(bundle, {"first": loadable(engine_shape(bundle, "first")), "a": shape}, loaded=True)
    images = some_images(bundle, 2)
    compile_top(dataflow, tmp_path, clock_ns=3.333)
    schedule = Synthesised(tmp_path).schedule
    [pe] = [process for process in schedule["processes"] if process["name"] == "a_pe"]
    memories = {memory["name"]: memory for memory in pe["memories"]}
    assert memories["weights"]["style"] == "ultra" and memories["carried"]["style"] == "distributed"
    assert memories["carried"]["depth"] * memories["carried"]["width"] > 4096
    packets = [packet(dataflow, images[0], weight_beats(dataflow, bundle)), packet(dataflow, images[1])]
    result = simulate(
        Synthesised(tmp_path).rtl,
        json.loads((tmp_path / "ports.json").read_text()),
        np.concatenate([p.beats for p in packets]),
        np.concatenate([p.last for p in packets]),
        responses(dataflow, golden.run(bundle, images)["a"], [GOOD | NEW, GOOD]),
        dataflow.out_beats,
        tmp_path / "run",
    )
    assert result.ok, result.errors
    model = latency(dataflow, schedule, 2, result.cycles["first_in"], frozenset({0}))
    assert result.cycles["total"] == model.total
    assert needed(dataflow) == {what: bits for what, bits in built(schedule).items() if what != FIFOS}


def test_which_weights_lie_in_ultra_ram():
    """Where they spare enough block RAM, those first that spare the most, while there are any left."""
    bundle = random_bundle(make_network("resnet18", "cifar10", "PSD1_P16"), 0)
    names = [layer.name for layer in bundle.network.weighted_layers()]
    shapes = {name: loadable(engine_shape(bundle, name)) for name in names}
    large = {name for name, shape in shapes.items() if shape.rom_words >= 4096 and shape.kernel == 3}

    def chosen(ultras: int) -> set[str]:
        found = in_ultra_ram(shapes, ultras)
        assert list(found) == names
        return {name for name, shape in found.items() if shape.ultra_weights}

    assert large <= chosen(96) and not chosen(96) & {"stem", "s1b1_conv1", "s2b2_conv1"} and chosen(0) == set()
    few = chosen(11)
    assert few and few < chosen(96)
    assert sum(ultra_blocks(shapes[name].rom_words, shapes[name].rom_word_bits) for name in few) <= 11


@pytest.mark.parametrize("name", ["residual", "rotations"])
def test_the_hardware_depends_on_no_weight(name):
    bundle, dataflow = hardware(name)
    other = retrained(bundle, 1)
    shapes = {
        name: loadable(engine_shape(other, name, s.To, s.Tb, s.fold, R=s.R, Tx=s.Tx))
        for name, s in dataflow.shapes.items()
    }
    assert cpp.render(dataflow, "n") == cpp.render(build(other, shapes, loaded=True), "n")


@pytest.mark.parametrize("name", ["residual", "rotations", "inverted residual", "groups"])
def test_load_words_hold_weights_and_biases(name):
    bundle, dataflow = hardware(name)
    for name, shape in dataflow.shapes.items():
        kernels = bundle.weights[name].reshape(shape.cout, shape.cin // shape.groups, shape.kernel, -1)
        words = pack_loads(kernels, bundle.bias(name), shape)
        weights = unpack_weights([word % (1 << shape.rom_word_bits) for word in words], shape)
        np.testing.assert_array_equal(weights.reshape(bundle.weights[name].shape), bundle.weights[name])
        rounds = shape.rounds
        every = np.array(words, object).reshape(rounds, shape.NB // rounds, shape.steps // rounds, shape.fold)
        first = every[:, 0, :, 0].ravel()
        biases = [word >> shape.rom_word_bits for word in first]
        np.testing.assert_array_equal(unpack_bias(biases, shape), bundle.bias(name))


def test_a_bundle_that_does_not_fit_is_refused():
    bundle, dataflow = hardware("residual")
    name = next(iter(dataflow.engines))
    large = replace(bundle, biases=bundle.biases | {name: np.full_like(bundle.bias(name), 2**31 - 1)})
    with pytest.raises(ConfigError, match=f"layer {name}.*accumulator"):
        weight_beats(dataflow, large)
    finer = replace(
        bundle,
        weight_formats=bundle.weight_formats
        | {name: replace(bundle.weight_formats[name], frac=bundle.weight_formats[name].frac + 1)},
    )
    with pytest.raises(ConfigError, match=f"layer {name}: shift"):
        weight_beats(dataflow, finer)
    with pytest.raises(
        ConfigError, match="layer a: must be in the bundle and in the hardware, got it in the hardware only"
    ):
        weight_beats(dataflow, random_bundle(network(conv("other", "input", 4)), 1))
    shapes = {layer: engine_shape(bundle, layer, s.To, s.Tb, s.fold, R=s.R) for layer, s in dataflow.shapes.items()}
    in_rom = build(bundle, shapes)
    with pytest.raises(ConfigError, match="weights: must be loaded, got rom"):
        weight_beats(in_rom, bundle)


def test_a_layer_may_be_called_as_a_unit_of_the_top():
    bundle = random_bundle(network(conv("parser", "input", 4)), 1)
    dataflow = build(bundle, {"parser": loadable(engine_shape(bundle, "parser"))}, loaded=True)
    names = [unit.name for unit in dataflow.units]
    assert len(set(names)) == len(names) and list(dataflow.engines) == ["parser"]
    assert weight_beats(dataflow, bundle).size


def test_pack_weights_writes_what_the_network_reads(tmp_path, psconv):
    config = EXAMPLES / "digits" / "loaded.yaml"
    code, out, _ = psconv("pack-weights", str(config), "--out", str(tmp_path / "w.bin"), "--json")
    assert code == 0
    record = json.loads(out)
    octets = (tmp_path / "w.bin").read_bytes()
    assert len(octets) == record["beats"] * record["bytes_per_beat"]
    beats = np.frombuffer(octets, np.uint8).reshape(-1, record["bytes_per_beat"])
    names, checks = record["identity_beats"], record["check_beats"]
    assert int.from_bytes(beats[:names].tobytes(), "little") == int(record["identity"], 16)
    np.testing.assert_array_equal(beats[-checks:], check_sum(beats[names:-checks]))
    code, _, err = psconv("pack-weights", str(config.with_name("network.yaml")), "--out", str(tmp_path / "x.bin"))
    assert code == 2 and "weights: must be loaded, got " in err and not (tmp_path / "x.bin").exists()


def test_beats_that_changed_places_are_seen():
    """32-bit beats, two apart: their sums modulo 2**32 were equal."""
    from psconv.flow.config import load
    from psconv.flow.inputs import load_bundle
    from psconv.flow.parallelism import engine_shapes
    from psconv.synthesis.targets import load_target

    path = FAULTS / "networks" / "swap" / "run.yaml"
    config = load(path)
    bundle = load_bundle(config, path)
    dataflow = build(bundle, engine_shapes(config, bundle, load_target(config.target)), loaded=True)
    weights = weight_beats(dataflow, bundle)
    first = dataflow.packet_parser.identity_beats
    swapped = weights[first : len(weights) - dataflow.packet_parser.check_beats].copy()
    swapped[[0, 2]] = swapped[[2, 0]]
    assert not np.array_equal(check_sum(swapped), weights[len(weights) - dataflow.packet_parser.check_beats :])


def built_to_load(bundle: Bundle) -> Dataflow:
    names = [layer.name for layer in needed_layers(bundle.network) if layer.name in bundle.weights]
    return build(bundle, {name: loadable(engine_shape(bundle, name)) for name in names}, loaded=True)


def everything(**layer_changes: dict) -> Network:
    """Every sort of unit, and a layer that nothing needs; keys of layers changed."""
    layers = [
        conv("a", "input", 8, relu=True),
        {"op": "maxpool", "name": "largest", "input": "a"},
        {"op": "avgpool", "name": "mean", "input": "a"},
        {"op": "add", "name": "sum", "inputs": ["largest", "mean"], "relu": True},
        conv("nobody_reads", "sum", 3),
        conv("b", "sum", 16, support="PSD4_P8"),
        {"op": "global_avgpool", "name": "all", "input": "b"},
        {"op": "linear", "name": "fc", "input": "all", "out_features": 5},
    ]
    layers = [layer | layer_changes.get(layer["name"], {}) for layer in layers]
    return network(*layers, height=8, width=8)


CHANGED = [
    ("largest", {"op": "avgpool"}),
    ("mean", {"op": "maxpool"}),
    ("largest", {"kernel": 1}),
    ("sum", {"relu": False}),
    ("sum", {"inputs": ["mean", "largest"]}),
    ("sum", {"inputs": ["largest", "largest"]}),
    ("a", {"relu": False}),
    ("a", {"kernel": 1, "padding": 0}),
    ("b", {"support": "PSD2_P8"}),
    ("b", {"stride": 2}),
    ("b", {"support": "dense"}),
    ("fc", {"out_features": 6}),
    ("a", {"clip": 3.0}),
    ("sum", {"clip": 3.0}),
    ("a", {"padding": [2, 1, 0, 1]}),
    ("largest", {"padding": [1, 1, 0, 0]}),
]


@pytest.mark.parametrize("layer, change", CHANGED, ids=[f"{layer}-{change}" for layer, change in CHANGED])
def test_a_bundle_that_computes_something_else_is_refused(layer, change):
    """Also where all weights have the same sizes: the packet would be taken, and the scores be another network's."""
    hardware = built_to_load(random_bundle(everything(), 1))
    try:
        other = random_bundle(everything(**{layer: change}), 1)
    except ConfigError:  # a smaller image, which the other branch has not
        other = random_bundle(everything(largest=change, mean=change), 1)
    with pytest.raises(ConfigError, match="layer .* in the (bundle|hardware)"):
        weight_beats(hardware, other)
    assert built_to_load(other).packet_parser.identity != hardware.packet_parser.identity


@pytest.mark.parametrize("tensor", ["input", "a", "largest", "sum", "b", "fc"])
def test_formats_are_part_of_what_is_computed(tensor):
    bundle = random_bundle(everything(), 1)
    hardware = built_to_load(bundle)
    for field, step in (("bits", -1), ("frac", 1)):
        form = bundle.formats[tensor]
        formats = bundle.formats | {tensor: replace(form, **{field: getattr(form, field) + step})}
        try:
            other = replace(bundle, formats=formats)
            identity = built_to_load(other).packet_parser.identity
        except ConfigError:  # a pool has the format of its input
            continue
        with pytest.raises(ConfigError, match="layer .* in the bundle"):
            weight_beats(hardware, other)
        assert identity != hardware.packet_parser.identity


def test_identities_are_for_ever():
    """Identities as they were before padding of each side and upper bounds of ReLUs: hardware keeps its number."""
    assert [hardware(name)[1].packet_parser.identity for name in ("residual", "pools")] == [0xF244D5EB, 0x31593D30]


def test_padding_on_the_other_side_is_another_network():
    """All sizes are the same."""
    above, below = ({"padding": [1, 1, 0, 0], "kernel": 3}, {"padding": [0, 0, 1, 1], "kernel": 3})
    one, other = (random_bundle(everything(largest=side, mean=side), 1) for side in (above, below))
    assert one.network.shapes() == other.network.shapes()
    with pytest.raises(ConfigError, match="layer (largest|mean): PADDING: must be 1, as in the hardware, got 0"):
        weight_beats(built_to_load(one), other)


def test_an_image_is_taken_as_one_pixel(tmp_path: Path) -> None:
    """Loaded weights of a fully connected layer come in the order of the words of its image, whoever's they are."""
    bundle, dataflow = hardware("flattened words")
    images, other = some_images(bundle, 3), retrained(bundle, 8)
    packets = [
        packet(dataflow, images[0], weight_beats(dataflow, bundle)),
        packet(dataflow, images[1], weight_beats(dataflow, other)),
        packet(dataflow, images[2]),
    ]
    cpp.write(tmp_path, dataflow, "flattened")
    found = csim.run_packets(csim.build(tmp_path), packets, dataflow)
    scores = np.concatenate([golden.run(bundle, images[:1])["fc"], golden.run(other, images[1:])["fc"]])
    expected = responses(dataflow, scores, [GOOD | NEW, GOOD | NEW, GOOD])
    np.testing.assert_array_equal(found.reshape(expected.shape), expected)


def test_what_makes_no_difference_is_taken():
    """Other weights, names of the network, points that all move together, multipliers that are shared."""
    bundle = random_bundle(everything(), 1)
    hardware = built_to_load(bundle)
    other = retrained(bundle, 4)
    moved = {name: replace(form, frac=form.frac + 2) for name, form in bundle.formats.items()}
    renamed = bundle.network.model_copy(update={"name": "another"})
    for same in (other, replace(bundle, formats=moved), replace(bundle, network=renamed)):
        assert built_to_load(same).packet_parser.identity == hardware.packet_parser.identity
        assert len(weight_beats(hardware, same)) == len(weight_beats(hardware, bundle))
    packed = {name: shape.model_copy(update={"ultra_weights": True}) for name, shape in hardware.shapes.items()}
    assert build(bundle, packed, loaded=True).packet_parser.identity == hardware.packet_parser.identity


def test_weights_are_for_one_order_of_lanes():
    """As many beats of as many bits, in another order: hardware with other lanes must not take them."""
    bundle = random_bundle(network(conv("a", "input", 16, support="PS4_P4"), channels=16), 1)
    identities, loads = set(), set()
    for degrees in ({"To": 4}, {"To": 2, "R": 2}, {"R": 4}):
        dataflow = build(bundle, {"a": loadable(engine_shape(bundle, "a", **degrees))}, loaded=True)
        identities.add(dataflow.packet_parser.identity)
        [shape] = dataflow.shapes.values()
        kernels = bundle.weights["a"].reshape(16, 16, 3, 3)
        loads.add(tuple(pack_loads(kernels, bundle.bias("a"), shape)))
        assert (shape.load_bits, shape.rom_words) == (4 * (16 * 8 + shape.bias_bits), 4 * 4)
    assert len(identities) == len(loads) == 3


def test_a_layer_that_nothing_needs_is_not_loaded(psconv, tmp_path):
    """With weights in ROM such a network ran, with weights that are loaded it was refused."""
    config = FAULTS / "networks" / "unused.yaml"
    code, out, err = psconv("csim", str(config), "--out", str(tmp_path), "--json")
    assert code == 0, err
    code, out, err = psconv("pack-weights", str(config), "--out", str(tmp_path / "w.bin"), "--json")
    assert code == 0 and json.loads(out)["engines"] == 2, err
