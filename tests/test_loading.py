"""Weights that are loaded: packets, check sums and verdicts; C++, RTL and cycle model of networks that load them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openhls.compile import compile_hls

from pymodel import csim, golden, network_top
from pymodel.bundle import Bundle
from pymodel.csim import ENGINE, INCLUDE
from pymodel.dataflow import TOP, Dataflow, build
from pymodel.errors import ConfigError
from pymodel.explore.memories import ultra_blocks
from pymodel.generate import random_bundle
from pymodel.loading import Packet, Verdict, answers, check_sum, in_ultra_ram, loadable, packet, verdicts, weight_beats
from pymodel.network_cycles import latency
from pymodel.network_memory import FIFOS, built, needed
from pymodel.networks import make_network
from pymodel.packing import pack_loads, unpack_bias, unpack_weights
from rtl_tb.runner import simulate
from tests.test_dataflow import NETWORKS, conv, network, some_images

GOOD, NONE, NEW = Verdict.GOOD, Verdict.NO_WEIGHTS, Verdict.RELOADED
IMAGES = 9


def hardware(name: str, seed: int = 3) -> tuple[Bundle, Dataflow]:
    """A small network of test_dataflow with generated weights, built to load any."""
    net, parallelism = NETWORKS[name]
    bundle = random_bundle(net, seed)
    names = [layer.name for layer in bundle.network.weighted_layers()]
    shapes = {layer: loadable(bundle.engine_shape(layer, **parallelism.get(layer, {}))) for layer in names}
    return bundle, build(bundle, shapes, loaded=True)


def retrained(bundle: Bundle, seed: int) -> Bundle:
    """Other weights in the same formats."""
    rng = np.random.default_rng(seed)
    weights = {name: (rng.permuted(w) if w.shape[2:] == (1, 1) else -(w // 2)).astype(np.int8)
               for name, w in bundle.weights.items()}  # fmt: skip
    return replace(bundle, weights=weights, biases={name: -b for name, b in bundle.biases.items()})


@pytest.fixture(scope="module")
def story() -> tuple[Dataflow, list[Packet], list[Verdict], dict[int, np.ndarray]]:
    """Packets good and bad, the verdict on each, and the scores of those whose scores are right."""
    bundle, dataflow = hardware("residual")
    images, other = some_images(bundle, IMAGES), retrained(bundle, 8)
    weights, changed = weight_beats(dataflow, bundle), weight_beats(dataflow, other)
    damaged = weights.copy()
    damaged[len(damaged) // 2, 1] ^= 0x10
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
        (Packet(first.beats[: len(weights) // 3]), NONE | NEW | Verdict.TRUNCATED, None, None),
        (Packet(first.beats[:1]), NONE | NEW | Verdict.TRUNCATED, None, None),
        (packet(dataflow, images[2], changed), GOOD | NEW, other, images[2]),
        (cut, Verdict.TRUNCATED, None, None),
        (packet(dataflow, images[3]), GOOD, other, images[3]),
        (long, Verdict.OVERLONG, None, None),
        (header, Verdict.BAD_HEADER, None, None),
        (Packet(first.beats[: 1 + len(weights)]), NEW | Verdict.TRUNCATED, None, None),  # weights alone
        (packet(dataflow, images[6]), GOOD, bundle, images[6]),
    ]  # fmt: skip
    right = {
        at: golden.run(trained, image[None])[dataflow.sink.layer]
        for at, (_, _, trained, image) in enumerate(cases)
        if trained is not None
    }
    return dataflow, [case[0] for case in cases], [case[1] for case in cases], right


@pytest.fixture(scope="module")
def computed(story, tmp_path_factory) -> np.ndarray:
    """What the C simulation answers: uint8 [packets, beats, bytes]."""
    dataflow, packets, *_ = story
    folder = tmp_path_factory.mktemp("csim")
    network_top.write(folder, dataflow, "residual")
    return csim.run_packets(csim.build_network(folder), packets, dataflow).reshape(len(packets), dataflow.out_beats, -1)


def test_verdicts_and_scores(story, computed):
    dataflow, _, expected, right = story
    assert verdicts(computed[:, -1]) == expected
    assert sorted(right) == [at for at, verdict in enumerate(expected) if GOOD in verdict]
    for at, scores in right.items():
        np.testing.assert_array_equal(computed[at], answers(dataflow, scores, [expected[at]]))


@pytest.fixture(scope="module")
def rtl(story, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("loading")
    network_top.write(folder, story[0], "residual")
    compile_hls([folder / network_top.SOURCE], TOP, include_dirs=[INCLUDE, ENGINE, folder], out=folder)
    return folder


@pytest.mark.parametrize("stall, reset_after", [(0.0, None), (0.4, None), (0.2, 700), (0.0, 1900)])
def test_rtl_answers_as_the_c_simulation(story, computed, rtl, tmp_path, stall, reset_after):
    """The reset comes while weights are loaded, or in the middle of an image; then the story starts again."""
    dataflow, packets, *_ = story
    result = simulate(
        sorted((rtl / "rtl").glob("*.sv")), json.loads((rtl / "ports.json").read_text()),
        np.concatenate([p.beats for p in packets]), np.concatenate([p.last for p in packets]),
        computed.reshape(-1, computed.shape[2]), dataflow.out_beats, tmp_path, seed=5, idle=stall, backpressure=stall,
        reset_after=reset_after, cache=rtl / "verilator",
    )  # fmt: skip
    assert result.ok, result.errors


@pytest.mark.parametrize("name", ["one pixel", "channel by channel"])
def test_cycles_with_weights_between_images(name, tmp_path):
    """Weights reach an engine when it is done with the image before: the model knows when."""
    bundle, dataflow = hardware(name)
    images = some_images(bundle, 6)
    scores = golden.run(bundle, images)[dataflow.sink.layer]
    network_top.write(tmp_path, dataflow, name)
    # Slower than by default: the gate of some hundred beats needs 3.7 ns for its counter's comparisons.
    compile_hls([tmp_path / network_top.SOURCE], TOP, include_dirs=[INCLUDE, ENGINE, tmp_path], clock_ns=5,
                out=tmp_path)  # fmt: skip
    schedule = json.loads((tmp_path / "schedule.json").read_text())
    weights = weight_beats(dataflow, bundle)
    for reloads in ({0}, {0, 1, 4}, set(range(6))):
        packets = [packet(dataflow, image, weights if at in reloads else None) for at, image in enumerate(images)]
        expected = answers(dataflow, scores, [GOOD | (NEW if at in reloads else 0) for at in range(6)])
        result = simulate(
            sorted((tmp_path / "rtl").glob("*.sv")), json.loads((tmp_path / "ports.json").read_text()),
            np.concatenate([p.beats for p in packets]), np.concatenate([p.last for p in packets]),
            expected, dataflow.out_beats, tmp_path / "run", cache=tmp_path / "verilator",
        )  # fmt: skip
        assert result.ok, result.errors
        start = result.cycles["first_in"]
        model = latency(dataflow, schedule, 6, start, frozenset(reloads))
        assert [end - start for end in result.cycles["image_last"]] == model.image_last, reloads


def test_a_folded_engine_with_weights_in_ultra_ram(tmp_path):
    """Its sums would fill a block RAM, from which no path leads through an adder back to it in a cycle."""
    layers = conv("first", "input", 32, kernel=1), conv("a", "first", 208, support="PSD1_P16")
    bundle = random_bundle(network(*layers, height=3, width=3), 4)
    shape = loadable(bundle.engine_shape("a", fold=2)).model_copy(update={"ultra_weights": True})
    dataflow = build(bundle, {"first": loadable(bundle.engine_shape("first")), "a": shape}, loaded=True)
    images = some_images(bundle, 2)
    network_top.write(tmp_path, dataflow, "folded")
    compile_hls([tmp_path / network_top.SOURCE], TOP, include_dirs=[INCLUDE, ENGINE, tmp_path], clock_ns=3.333,
                out=tmp_path)  # fmt: skip
    schedule = json.loads((tmp_path / "schedule.json").read_text())
    [pe] = [process for process in schedule["processes"] if process["name"] == "a_pe"]
    memories = {memory["name"]: memory for memory in pe["memories"]}
    assert memories["weights"]["style"] == "ultra" and memories["sums_carried"]["style"] == "distributed"
    assert memories["sums_carried"]["depth"] * memories["sums_carried"]["width"] > 4096
    packets = [packet(dataflow, images[0], weight_beats(dataflow, bundle)), packet(dataflow, images[1])]
    result = simulate(
        sorted((tmp_path / "rtl").glob("*.sv")), json.loads((tmp_path / "ports.json").read_text()),
        np.concatenate([p.beats for p in packets]), np.concatenate([p.last for p in packets]),
        answers(dataflow, golden.run(bundle, images)["a"], [GOOD | NEW, GOOD]), dataflow.out_beats, tmp_path / "run",
    )  # fmt: skip
    assert result.ok, result.errors
    model = latency(dataflow, schedule, 2, result.cycles["first_in"], frozenset({0}))
    assert result.cycles["total"] == model.total
    assert needed(dataflow) == {what: bits for what, bits in built(schedule).items() if what != FIFOS}


def test_which_weights_lie_in_ultra_ram():
    """Where they spare enough block RAM, those first that spare the most, while there are any left."""
    bundle = random_bundle(make_network("resnet18", "cifar10", "PSD1_P16"), 0)
    names = [layer.name for layer in bundle.network.weighted_layers()]
    shapes = {name: loadable(bundle.engine_shape(name)) for name in names}
    large = {name for name, shape in shapes.items() if shape.rom_words >= 4096 and shape.kernel == 3}

    def chosen(ultras: int) -> set[str]:
        found = in_ultra_ram(shapes, ultras)
        assert list(found) == names
        return {name for name, shape in found.items() if shape.ultra_weights}

    assert large <= chosen(96) and not chosen(96) & {"stem", "s1b1_conv1", "s2b2_conv1"} and chosen(0) == set()
    few = chosen(11)
    assert few and few < chosen(96)
    assert sum(ultra_blocks(shapes[name].rom_words, shapes[name].rom_word_bits) for name in few) <= 11


def test_the_hardware_depends_on_no_weight():
    bundle, dataflow = hardware("residual")
    other = retrained(bundle, 1)
    shapes = {name: loadable(other.engine_shape(name, s.To, s.Tb, s.fold)) for name, s in dataflow.shapes.items()}
    assert network_top.render(dataflow, "n") == network_top.render(build(other, shapes, loaded=True), "n")


@given(st.data())
@settings(max_examples=40, deadline=None)
def test_no_flipped_bit_passes_the_check_sum(data):
    beats = np.random.default_rng(data.draw(st.integers(0, 99))).integers(
        0, 256, (data.draw(st.integers(1, 60)), data.draw(st.sampled_from([1, 2, 3, 4, 9, 16]))), np.uint8
    )
    changed = beats.copy()
    changed[data.draw(st.integers(0, len(beats) - 1)), data.draw(st.integers(0, beats.shape[1] - 1))] ^= \
        1 << data.draw(st.integers(0, 7))  # fmt: skip
    assert not np.array_equal(check_sum(beats), check_sum(changed))
    if len(np.unique(beats, axis=0)) > 1:
        moved = np.roll(beats, 1, axis=0)
        assert np.array_equal(moved, beats) or not np.array_equal(check_sum(moved), check_sum(beats))


def test_check_sum_by_definition():
    beats = np.random.default_rng(1).integers(0, 256, (50, 5), np.uint8)
    total, totals = 0, 0
    for beat in beats:
        totals = (totals + total) % 2**40
        total = (total + int.from_bytes(beat.tobytes(), "little")) % 2**40
    assert int.from_bytes(check_sum(beats).tobytes(), "little") == total | totals << 40


def test_load_words_hold_weights_and_biases():
    bundle, dataflow = hardware("residual")
    for name, shape in dataflow.shapes.items():
        kernels = bundle.weights[name].reshape(shape.cout, shape.cin, shape.kernel, -1)
        words = pack_loads(kernels, bundle.bias(name), shape)
        weights = unpack_weights([word % (1 << shape.rom_word_bits) for word in words], shape)
        np.testing.assert_array_equal(weights.reshape(bundle.weights[name].shape), bundle.weights[name])
        biases = [words[step * shape.fold] >> shape.rom_word_bits for step in range(shape.steps)]
        np.testing.assert_array_equal(unpack_bias(biases, shape), bundle.bias(name))


def test_a_bundle_that_does_not_fit_is_refused():
    bundle, dataflow = hardware("residual")
    name = next(iter(dataflow.engines))
    large = replace(bundle, biases=bundle.biases | {name: np.full_like(bundle.bias(name), 2**31 - 1)})
    with pytest.raises(ConfigError, match=f"layer {name}.*accumulator"):
        weight_beats(dataflow, large)
    finer = replace(bundle, weight_formats=bundle.weight_formats | {
        name: replace(bundle.weight_formats[name], frac=bundle.weight_formats[name].frac + 1)})  # fmt: skip
    with pytest.raises(ConfigError, match=f"layer {name}: shift"):
        weight_beats(dataflow, finer)
    with pytest.raises(ConfigError, match="in one of them only"):
        weight_beats(dataflow, random_bundle(network(conv("other", "input", 4)), 1))
    shapes = {layer: bundle.engine_shape(layer, s.To, s.Tb, s.fold) for layer, s in dataflow.shapes.items()}
    in_rom = build(bundle, shapes)
    with pytest.raises(ConfigError, match="weights: loaded"):
        weight_beats(in_rom, bundle)


def test_names_that_the_top_needs_are_refused():
    bundle = random_bundle(network(conv("gate", "input", 4)), 1)
    with pytest.raises(ConfigError, match="layer gate"):
        build(bundle, {"gate": loadable(bundle.engine_shape("gate"))}, loaded=True)


def test_pack_weights_writes_what_the_network_reads(tmp_path, psconv):
    config = Path(__file__).parents[1] / "examples" / "digits" / "loaded.yaml"
    code, out, _ = psconv("pack-weights", str(config), "--out", str(tmp_path / "w.bin"), "--json")
    assert code == 0
    record = json.loads(out)
    octets = (tmp_path / "w.bin").read_bytes()
    assert len(octets) == record["beats"] * record["bytes_per_beat"]
    beats = np.frombuffer(octets, np.uint8).reshape(-1, record["bytes_per_beat"])
    checks = record["check_beats"]
    np.testing.assert_array_equal(beats[-checks:], check_sum(beats[:-checks]))
    code, _, err = psconv("pack-weights", str(config.with_name("network.yaml")), "--out", str(tmp_path / "x.bin"))
    assert code == 2 and "weights: loaded" in err and not (tmp_path / "x.bin").exists()


