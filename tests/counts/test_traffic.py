"""Traffic against counts by hand, the loop nests of hls/engine run step by step, and the RTL's memories."""

import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from psconv.flow.hls import Synthesised, compile_top
from pymodel.common.errors import ConfigError
from pymodel.counts.complexity import complexity
from pymodel.counts.storage import FORMATS, network_storage, total
from pymodel.counts.traffic import (
    INDEXED,
    KIB,
    Buffers,
    EngineOptions,
    engine_traffic,
    fitted_shape,
    kept_tensors,
    network_traffic,
)
from pymodel.engine.packing import EngineShape
from pymodel.network.topology import Add, Conv, InputSpec, Linear, MaxPool, Network
from pymodel.network.zoo import make_network
from pymodel.top.dataflow import single


def small_shape(**changes: object) -> EngineShape:
    return EngineShape(
        **{
            "cin": 32,
            "cout": 32,
            "kernel": 3,
            "padding": 1,
            "height": 6,
            "width": 6,
            "support": "PSD1_P16",
            "acc_bits": 20,
            **changes,
        }
    )


def memory_bits(shape: EngineShape, **how: object) -> dict[str, tuple[int, int, int]]:
    memories = engine_traffic(shape, **how).memories.values()
    return {memory.name: (memory.capacity_bits, memory.read_bits, memory.written_bits) for memory in memories}


def test_engine_by_hand() -> None:
    # 36 pixels, 2 block sets, 32 steps; words of 24 * 8 bits; beats of 16 * 8 bits.
    traffic = engine_traffic(small_shape())
    rom = 2 * 32 * 24 * 8
    lines = 7 * 6 * 2 * 2 * 128  # 7 rows: the padding below completes the last output row
    history = 6 * 8 * 2 * 6 * 128  # 8 positions a row: padding, six pixels, padding
    sums = 36 * 32 * 20
    assert memory_bits(small_shape()) == {
        "weights": (rom, 36 * rom, 0),
        "biases": (32 * 20, 36 * 2 * 32 * 20, 0),
        "lines": (6 * 2 * 2 * 128, lines, lines),
        "history": (2 * 6 * 128, history, history),
        "sums": (32 * 20, sums, sums),
    }
    assert {name: registers.bits for name, registers in traffic.registers.items()} == {
        "columns": 6 * 6 * 2 * 3 * 128,
        "windows": 36 * 2 * 9 * 128,
        "ring": 36 * 2 * 32 * 9 * 128,
        "sums": sums,
        "output": 36 * 32 * 16 * 8,
    }
    assert (traffic.gathered_bits, traffic.products) == (0, 36 * 2 * 32 * 24)
    assert traffic.products == small_shape().macs


def test_indexed_engine_by_hand() -> None:
    ours, indexed = engine_traffic(small_shape()), engine_traffic(small_shape(), 1000, resident=False)
    assert indexed.memories["indices"].read_bits == 36 * 1000
    assert indexed.memories["indices"].written_bits == indexed.memories["indices"].capacity_bits == 1000
    assert indexed.memories["weights"].written_bits == indexed.memories["weights"].capacity_bits
    assert indexed.gathered_bits == 8 * indexed.products == 8 * ours.products
    assert indexed.registers["ring"].bits == 36 * 2 * 9 * 128  # loaded, never turned
    assert all(indexed.memories[name] == ours.memories[name] for name in ("biases", "lines", "history", "sums"))


def test_fully_connected_engine_by_hand() -> None:
    shape = EngineShape(cin=64, cout=10, kernel=1, height=1, width=1, support="dense", Tb=8, acc_bits=24)
    assert memory_bits(shape) == {
        "weights": (640 * 8, 640 * 8, 0),
        "biases": (10 * 24, 8 * 10 * 24, 0),
        "sums": (10 * 24, 7 * 10 * 24, 7 * 10 * 24),
    }
    assert engine_traffic(shape).registers["ring"].bits == 64 * 8  # one period: nothing to turn


def run_loops(shape: EngineShape) -> Counter[str]:
    """The loop nests of hls/engine, one iteration after the other: bits through each memory port and register."""
    bits: Counter[str] = Counter()
    beat = shape.P * shape.Tb * shape.in_bits
    taps, sums = shape.kernel**2, shape.To * shape.R * shape.acc_bits

    def ends_window(last: int, outputs: int) -> bool:
        first = last - (shape.kernel - 1)
        return first >= 0 and first % shape.stride == 0 and first // shape.stride < outputs

    if shape.kernel > 1:
        bottom = (shape.hout - 1) * shape.stride + shape.kernel
        for row in range(max(shape.height, bottom - shape.padding)):
            for _ in range(shape.width * shape.NB):
                bits["lines read"] += (shape.kernel - 1) * beat
                bits["lines written"] += (shape.kernel - 1) * beat
                bits["columns"] += shape.kernel * beat * ends_window(row + shape.padding, shape.hout)
        right = (shape.wout - 1) * shape.stride + shape.kernel
        for _ in range(shape.hout):
            for _ in range(max(shape.padding + shape.width, right) * shape.NB):
                bits["history written"] += (taps - shape.kernel) * beat
    channelwise = shape.groups == shape.cin > 1
    rounds = -(-shape.cin // shape.R) if channelwise else shape.groups
    sets, steps = shape.NB // rounds, shape.steps // rounds
    word = (shape.R * shape.cout // shape.cin if channelwise else shape.P * shape.To) * shape.out_bits
    for _ in range(shape.hout * shape.wout * rounds):
        for b in range(sets):
            for s in range(steps):
                for f in range(shape.fold):
                    if f == 0 and s == 0:
                        bits["windows"] += taps * beat
                    if f == 0 and (s == 0 or shape.P > shape.R):
                        bits["ring"] += taps * beat
                    bits["weights read"] += shape.M * shape.To * shape.R * shape.weight_bits
                    bits["biases read"] += shape.To * shape.R * shape.bias_bits
                    bits["sums read"] += sums * (b > 0 and f == 0)
                    bits["sums written"] += sums * (b < sets - 1 and f == shape.fold - 1)
                    bits["sum registers"] += sums * (shape.fold > 1)
                    bits["sum registers"] += sums * (b == sets - 1 and f == shape.fold - 1)
                    bits["products"] += shape.M * shape.To * shape.R
                bits["output"] += word * (b == sets - 1)
    return bits


@st.composite
def shapes(draw: st.DrawFn) -> EngineShape:
    support = draw(st.sampled_from(["dense", "PS1_P9", "PS4_P4", "PSD2_P8", {"taps": [[0, 4], [8]]}]))
    kernel = draw(st.sampled_from([1, 3, 3, 5])) if support == "dense" else 3
    period = {"dense": 1, "PS1_P9": 9, "PS4_P4": 4, "PSD2_P8": 8}.get(str(support), 2)
    Tb, To = draw(st.integers(1, 2)), draw(st.integers(1, 2))
    size = st.integers(max(1, kernel - 2), 6)
    R, groups = draw(st.sampled_from([r for r in range(1, period + 1) if period % r == 0])), draw(st.integers(1, 3))
    cin = groups * period * Tb * draw(st.integers(1, 3))
    if groups == cin > 1:
        R = draw(st.integers(1, cin))
    elif groups == 1 and Tb == 1:
        cin -= draw(st.integers(0, period - 1))
    return EngineShape(
        cin=cin,
        cout=groups * period * To * draw(st.integers(1, 2)),
        groups=groups,
        kernel=kernel,
        support=support,
        To=To,
        R=R,
        Tb=Tb,
        fold=draw(st.integers(1, 3 if period > 1 or kernel > 1 else Tb)),
        stride=draw(st.integers(1, 3)),
        padding=min(kernel - 1, draw(st.integers(1, 2))),
        height=draw(size),
        width=draw(size),
        in_bits=draw(st.integers(2, 8)),
        weight_bits=draw(st.integers(2, 8)),
        out_bits=draw(st.integers(2, 8)),
        acc_bits=24,
    )


@settings(deadline=None, max_examples=80)
@given(shapes())
def test_closed_forms_are_what_the_loops_do(shape: EngineShape) -> None:
    traffic, bits = engine_traffic(shape), run_loops(shape)
    for memory in traffic.memories.values():
        assert memory.read_bits == bits[f"{memory.name} {'written' if memory.name == 'history' else 'read'}"]
        assert memory.written_bits == (0 if memory.name in ("weights", "biases") else bits[f"{memory.name} written"])
    registers = {
        "columns": "columns",
        "windows": "windows",
        "ring": "ring",
        "sums": "sum registers",
        "output": "output",
        "history": "history written",
    }
    for name, found in traffic.registers.items():
        assert found.bits == bits[registers[name]], name
    assert ("history" in traffic.registers) + ("history" in traffic.memories) == (shape.kernel > 1)
    assert traffic.products == bits["products"] >= shape.macs
    assert traffic.products * shape.weight_bits == traffic.memories["weights"].read_bits


RTL = {
    "block sets": {"support": "PS4_P4"},
    "one block set": {"support": "PS4_P4", "cin": 4, "To": 2},
    "rotations": {"support": "PS4_P4", "R": 2},
    "rotations of the ring in memories": {"support": "PSD1_P8", "R": 2, "fold": 2, "feed": "channels"},
    "1x1": {"support": "dense", "kernel": 1, "padding": 0, "Tb": 4},
    "groups": {"support": "PS4_P4", "cin": 16, "groups": 2},
    "depthwise": {"support": "dense", "groups": 8, "R": 4},
}


@pytest.mark.parametrize("changes", RTL.values(), ids=RTL)
def test_memories_are_those_of_the_rtl(changes: dict[str, object], tmp_path: Path) -> None:
    """The compiler's memories have the capacities and the ports' widths that traffic is computed from."""
    shape = small_shape(**{"cin": 8, "cout": 8, "acc_bits": 22, **changes})
    rng = np.random.default_rng(1)
    weights = rng.integers(-128, 128, (8, shape.cin // shape.groups, shape.kernel, shape.kernel))
    weights *= shape.support.mask(*weights.shape[:2])
    compile_top(single("layer", shape, weights, np.arange(-99, -91)), tmp_path)
    schedule = Synthesised(tmp_path).schedule
    names = {"engine_WEIGHT_ROM": "weights", "engine_BIAS_ROM": "biases", "carried": "sums"}
    rtl: Counter[str] = Counter()
    for process in schedule["processes"]:
        for memory in process["memories"]:
            name = re.sub(r"^taps_\d+$", "taps", memory["name"])
            rtl[names.get(name, name)] += memory["depth"] * memory["width"]
    modelled = {memory.name: memory.capacity_bits for memory in engine_traffic(shape).memories.values()}
    # Biases take no more bits in the ROM than their values need.
    assert rtl.pop("biases", 0) <= modelled.pop("biases")
    assert rtl == modelled


def chain(*, skip: bool = False) -> Network:
    """conv a (4x8x8) -> conv b -> pool -> fc; with `skip`, pool reads a + b."""
    layers = [
        Conv(name="a", input="input", out_channels=4, kernel=3, padding=1),
        Conv(name="b", input="a", out_channels=4, kernel=3, padding=1),
    ]
    if skip:
        layers.append(Add(name="add", inputs=["b", "a"]))
    layers += [MaxPool(name="pool", input=layers[-1].name), Linear(name="fc", input="pool", out_features=5)]
    return Network(name="chain", input=InputSpec(channels=2, height=8, width=8), layers=layers, output="fc")


def test_activations_by_hand() -> None:
    # Tensors of 8-bit values: input 1024 bits, a, b and add 2048, pool 512, fc 40.
    def moved(network: Network, kib: int) -> dict[str, tuple[int, int]]:
        layers = network_traffic(network, "dense", buffers=Buffers(activations_kib=kib)).layers
        return {layer.name: (layer.dram_activation_bits, layer.buffer_activation_bits) for layer in layers}

    assert moved(chain(), 0) == {"a": (1024 + 2048, 0), "b": (4096, 0), "pool": (2560, 0), "fc": (552, 0)}
    assert moved(chain(), 1) == {"a": (1024, 2048), "b": (0, 4096), "pool": (0, 2560), "fc": (40, 512)}
    assert moved(chain(skip=True), 1)["add"] == (0, 3 * 2048)


def test_live_tensors_decide_what_is_kept() -> None:
    network = chain(skip=True)
    bits = {"input": 1, "a": 3 * KIB, "b": 3 * KIB, "add": 3 * KIB, "pool": 3 * KIB, "fc": KIB}
    # While add runs, a, b and add are live: 9 KiB. While pool runs, add and pool are: 6.
    assert kept_tensors(network, bits, Buffers(activations_kib=9)) == {"a", "b", "add", "pool"}
    assert kept_tensors(network, bits, Buffers(activations_kib=8)) == {"pool"}
    assert kept_tensors(network, bits, Buffers(activations_kib=5)) == set()


def test_weight_buffer_keeps_the_first_layers() -> None:
    network = chain()  # weights: a 72, b 144, fc 5 * 64 = 320 bytes
    sizes = {"a": 72, "b": 144, "fc": 320}
    streamed = network_traffic(network, "dense")
    assert {x.name: x.dram_weight_bits for x in streamed.layers if x.engine} == {n: 8 * s for n, s in sizes.items()}
    kept = network_traffic(network, "dense", buffers=Buffers(weights_kib=1))
    assert kept.total("dram_weight_bits") == kept.total("dram_index_bits") == 0
    assert all(x.engine.memories["weights"].written_bits == 0 for x in kept.layers if x.engine)


@pytest.mark.parametrize(("outputs", "streamed"), [(16, 0), (17, 17 * 64 * 8)])
def test_a_weight_buffer_can_be_full(outputs: int, streamed: int) -> None:
    layer = Linear(name="fc", input="input", out_features=outputs)
    spec = InputSpec(channels=64, height=1, width=1)
    network = Network(name="fc", input=spec, layers=[layer], output="fc")
    traffic = network_traffic(network, "dense", buffers=Buffers(weights_kib=1))
    assert traffic.total("dram_weight_bits") == streamed
    assert traffic.total("dram_activation_bits") == (64 + outputs) * 8


@pytest.mark.parametrize("form", FORMATS)
def test_streamed_weights_are_the_stored_ones(form: str) -> None:
    network = make_network("digits", "digits", "PSD2_P8")
    traffic, stored = network_traffic(network, form), total(network_storage(network))[form]
    assert traffic.total("dram_weight_bits") == stored.weight_bits
    assert traffic.total("dram_index_bits") == stored.index_bits
    assert traffic.total("dram_bits") == sum(layer.dram_bits for layer in traffic.layers)
    weights = sum(layer.engine.memories["weights"].written_bits for layer in traffic.layers if layer.engine)
    assert weights >= stored.weight_bits  # the engine's words hold padding too


@pytest.mark.parametrize("variant", ["dense", "PSD1_P16", "PSD4_P8"])
def test_products_are_those_of_complexity(variant: str) -> None:
    """Where nothing is padded, the engines multiply exactly as often as the papers count."""
    network = make_network("resnet18", "cifar10", variant)
    counts = complexity(network)
    exact = EngineOptions(multipliers=1)  # one multiplier, one weight a word: no padding but short blocks
    layers = {layer.name: layer for layer in network_traffic(network, "periodic", exact).layers}
    assert all(layers[count.name].products == count.macs for count in counts.layers)
    dense = network_traffic(network, "dense", exact)
    assert dense.total("products") == counts.total("dense_macs")
    wide = network_traffic(network, "periodic").total("products")
    assert counts.macs <= wide <= 1.05 * counts.macs


def test_multipliers_of_depthwise_convolutions_are_all_busy() -> None:
    network = make_network("mobilenet_v2", "cifar10")
    layer = network.layer("s2b1_depth")
    for multipliers, R in ((9, 1), (72, 8), (108, 12)):  # 96 channels, nine products each
        options = EngineOptions(multipliers=multipliers)
        shape = fitted_shape(network, layer, "dense", options)
        assert (shape.R, shape.lanes, shape.NB * shape.round_steps * shape.fold) == (R, multipliers, 96 // R)
        traffic = {one.name: one for one in network_traffic(network, "dense", options).layers}[layer.name]
        assert traffic.products == 96 * 9 * 32 * 32
        engine = traffic.engine
        assert "sums" not in engine.memories and "ring" in engine.registers
        assert engine.memories["weights"].capacity_bits == 96 * 9 * 8
        assert engine.memories["weights"].read_bits == 32 * 32 * 96 * 9 * 8
    layers = network_traffic(network, "dense", EngineOptions(multipliers=9)).layers
    assert sum(layer.products for layer in layers) >= complexity(network).macs


def test_groups_read_the_weights_of_their_own_channels() -> None:
    """ShuffleNet's pointwise convolutions in two groups: half the weights, and half the products, of one of one."""
    network = make_network("shufflenet", "cifar10")
    (name, *_) = [layer.name for layer in network.layers if isinstance(layer, Conv) and layer.groups == 2]
    whole = network.map_convs(lambda conv: Conv(**(conv.model_dump() | {"groups": 1})) if conv.name == name else conv)
    options = EngineOptions(multipliers=1)
    halves, both = (
        {layer.name: layer for layer in network_traffic(each, "dense", options).layers}[name]
        for each in (network, whole)
    )
    mine, other = halves.engine.memories["weights"], both.engine.memories["weights"]
    assert (2 * mine.capacity_bits, 2 * mine.read_bits) == (other.capacity_bits, other.read_bits)
    assert 2 * halves.products == both.products


variants = st.sampled_from(["PSD1_P16", "PSD4_P8", "PSD2_P16", "PS4_P4", "PS2_P6", "PS1_P9", "pSC4", "pSC1"])


@settings(deadline=None, max_examples=25)
@given(variants, st.integers(1, 128), st.integers(2, 8), st.integers(0, 12), st.integers(0, 24))
def test_periodic_moves_least(variant: str, multipliers: int, bits: int, weights: int, activations: int) -> None:
    network = make_network("digits", "digits", variant)
    options = EngineOptions(multipliers=multipliers, weight_bits=bits, activation_bits=bits)
    buffers = Buffers(weights_kib=weights, activations_kib=activations)
    forms = list(total(network_storage(network, bits)))
    found = {form: network_traffic(network, form, options, buffers) for form in forms}
    assert len({traffic.total("dram_activation_bits") for traffic in found.values()}) == 1
    for form in INDEXED:
        if "periodic" in found:
            ours, other = found["periodic"], found[form]
            assert ours.total("dram_bits") <= other.total("dram_bits")
            for mine, theirs in zip(ours.layers, other.layers, strict=True):
                if mine.engine and theirs.engine:
                    assert mine.engine.memory_bits <= theirs.engine.memory_bits
                    assert mine.engine.products == theirs.engine.products
    # More memory never moves more.
    larger = Buffers(weights_kib=weights + 1, activations_kib=activations + 1)
    for form in forms:
        assert network_traffic(network, form, options, larger).total("dram_bits") <= found[form].total("dram_bits")
    for layer in network.weighted_layers():
        assert fitted_shape(network, layer, "bitmap", options).lanes <= multipliers


def test_fitted_shape_is_the_fastest() -> None:
    network = make_network("resnet18", "cifar10", "PSD1_P16")
    layer = network.layer("s1b1_conv1")

    def cycles(shape: EngineShape) -> int:
        return shape.NB * shape.steps * shape.fold

    chosen = fitted_shape(network, layer, "periodic", EngineOptions(multipliers=72))
    for To in (1, 2, 4):
        for Tb in (1, 2, 4):
            for fold in range(1, 24 * Tb + 1):
                other = EngineShape(**{**chosen.model_dump(), "To": To, "Tb": Tb, "fold": fold})
                assert other.lanes > 72 or cycles(other) >= cycles(chosen)


def test_refusals() -> None:
    unstructured = make_network("digits", "digits", "pSC2")
    grouped = make_network("mobilenet_v2", "cifar10").map_convs(
        lambda conv: Conv(**{**conv.model_dump(), "support": "PSD1_P16" if conv.groups > 1 else "dense"})
    )
    with pytest.raises(ConfigError, match="format: must be one of dense.*, got 'zip'"):
        network_traffic(unstructured, "zip")
    with pytest.raises(ConfigError, match="layer conv2 of digits cannot be stored in it"):
        network_traffic(unstructured, "periodic")
    with pytest.raises(ConfigError, match="groups"):
        network_traffic(grouped, "periodic")
    with pytest.raises(ConfigError, match="multipliers"):
        EngineOptions(multipliers=0)
    with pytest.raises(ConfigError, match="weights_kib"):
        Buffers(weights_kib=-1)
