"""Energy against sums written out by hand, its laws, and cost tables that are wrong."""

from dataclasses import astuple, replace
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from pymodel.common.errors import ConfigError
from pymodel.counts.energy import COSTS_FILE, PARTS, Costs, Energy, layer_energy, network_energy, power_law
from pymodel.counts.traffic import (
    INDEXED,
    KIB,
    Buffers,
    EngineOptions,
    EngineTraffic,
    LayerTraffic,
    Memory,
    Registers,
    engine_traffic,
    network_traffic,
)
from pymodel.engine.packing import EngineShape
from pymodel.network.zoo import make_network

COSTS = Costs.load()
LAYER = LayerTraffic(
    "layer",
    "conv",
    64_000,
    640,
    6_400,
    1_000,
    EngineTraffic(
        memories={
            "weights": Memory("weights", "weights", 8 * KIB, 640, 64),
            "indices": Memory("indices", "indices", KIB, 128, 0),
            "lines": Memory("lines", "activations", 32 * KIB, 64, 64),
            "sums": Memory("sums", "sums", 1024 * KIB, 64, 0),
        },
        registers={"ring": Registers("activations", 1000), "sums": Registers("sums", 320)},
        gathered_bits=80,
        products=10,
    ),
)


def test_published_points() -> None:
    # Horowitz, ISSCC 2014, figure 1.1.9.
    assert COSTS.multiply_accumulate(8, 8) == pytest.approx(0.2 + 0.03 * 2 ** (power_exponent(0.03, 0.1)))
    assert [64 * COSTS.memory.per_bit(kib * KIB) for kib in (8, 32, 1024)] == pytest.approx([10, 20, 100])
    assert COSTS.dram_bits(64) == 1300
    assert "ISSCC" in COSTS.source and "10.1109/ISSCC.2014.6757323" in COSTS.source


def power_exponent(low: float, high: float) -> float:
    """The exponent of the power law through the energies at 8 and at 32 bits."""
    import math

    return math.log(high / low) / math.log(4)


def test_layer_by_hand() -> None:
    energy = layer_energy(LAYER, EngineOptions(), 32 * KIB, COSTS)
    assert energy.dram_weights == pytest.approx(1000 * 1300)
    assert energy.dram_indices == pytest.approx(10 * 1300)
    assert energy.dram_activations == pytest.approx(100 * 1300)
    assert energy.weights == pytest.approx(11 * 10)
    assert energy.indices == pytest.approx(2 * 10)  # below the smallest published memory: its cost
    assert energy.activations == pytest.approx(1000 / 64 * 20 + 2 * 20 + 1000 * 0.1 / 32 + 80 * 0.3 / 8)
    assert energy.sums == pytest.approx(100 + 320 * 0.1 / 32)
    assert energy.macs == pytest.approx(10 * COSTS.multiply_accumulate(8, 8))
    assert energy.total == pytest.approx(sum(astuple(energy)))
    assert energy.total == pytest.approx(energy.dram + energy.on_chip + energy.macs)


@pytest.mark.parametrize(
    ("engine", "feed"), [("periodic", "windows"), ("periodic", "channels"), ("indexed", "windows")]
)
def test_every_engine_has_an_energy(engine: str, feed: str) -> None:
    """Each memory and register of every kind of engine belongs to a part, and no part loses any."""
    if (engine, feed) == ("indexed", "channels"):
        pytest.skip("no such engine")
    shape = EngineShape(
        cin=32,
        cout=32,
        kernel=3,
        padding=1,
        height=6,
        width=6,
        support="PSD1_P16",
        acc_bits=20,
        engine=engine,
        feed=feed,
    )
    traffic = engine_traffic(shape, 1000 if engine == "indexed" else None)
    assert ("taps" in traffic.memories) == (feed == "channels")
    energy = layer_energy(LayerTraffic("layer", "conv", 0, 0, 0, 0, traffic), EngineOptions(), KIB, COSTS)
    memories = sum(m.bits * COSTS.memory.per_bit(m.capacity_bits) for m in traffic.memories.values())
    registers = traffic.register_bits * COSTS.register_pj_per_bit
    gathered = traffic.gathered_bits * COSTS.register_file_pj_per_bit
    assert energy.on_chip == pytest.approx(memories + registers + gathered)
    assert min(energy.weights, energy.activations, energy.sums) > 0


def test_a_layer_without_weights_moves_activations_only() -> None:
    pool = LayerTraffic("pool", "maxpool", 0, 0, 640, 64, None)
    energy = layer_energy(pool, EngineOptions(), 8 * KIB, COSTS)
    assert energy == Energy(dram_activations=13_000, activations=10)


COUNTS = ("dram_weight_bits", "dram_index_bits", "dram_activation_bits", "buffer_activation_bits")


@given(st.sampled_from(COUNTS), st.integers(1, 10**9))
def test_more_traffic_costs_more(count: str, more: int) -> None:
    larger = replace(LAYER, **{count: getattr(LAYER, count) + more})
    before, after = (layer_energy(x, EngineOptions(), 256 * KIB, COSTS) for x in (LAYER, larger))
    assert after.total > before.total
    assert all(a >= b for a, b in zip(astuple(after), astuple(before), strict=True))


@given(st.integers(1, 1 << 40), st.integers(1, 1 << 40))
def test_larger_memories_cost_more(a: int, b: int) -> None:
    low, high = sorted((a, b))
    assert COSTS.memory.per_bit(low) <= COSTS.memory.per_bit(high) * (1 + 1e-12)
    assert 10 / 64 <= COSTS.memory.per_bit(a) * (1 + 1e-12) and COSTS.memory.per_bit(a) <= 100 / 64 * (1 + 1e-12)


@given(st.integers(2, 8), st.integers(2, 8))
def test_narrower_numbers_cost_less(a: int, w: int) -> None:
    cost = COSTS.multiply_accumulate
    assert 0 < cost(w, a) <= cost(8, 8) * (1 + 1e-12)
    assert cost(w, a) == pytest.approx(cost(a, w))
    assert cost(w, a) < cost(w + 1, a)


@given(
    st.lists(
        st.tuples(st.integers(1, 10**6), st.floats(1e-3, 1e3)), min_size=1, max_size=5, unique_by=lambda point: point[0]
    )
)
def test_power_law_meets_its_points(points: list[tuple[int, float]]) -> None:
    xs, ys = zip(*sorted(points), strict=True)
    assert [power_law(xs, ys, x) for x in xs] == pytest.approx(list(ys))


def test_power_law_between_and_beyond() -> None:
    assert power_law([1, 100], [1, 10], 25) == pytest.approx(5)
    assert power_law([1, 100], [1, 10], 400) == pytest.approx(20)
    assert power_law([7], [3], 1000) == 3


@settings(deadline=None, max_examples=20)
@given(st.sampled_from(["PSD1_P16", "PSD4_P8", "PS2_P6", "PS1_P9"]), st.integers(1, 100), st.integers(0, 20))
def test_periodic_takes_least_energy(variant: str, multipliers: int, kib: int) -> None:
    network = make_network("digits", "digits", variant)
    options, buffers = EngineOptions(multipliers=multipliers), Buffers(weights_kib=kib)
    found = {}
    for form in ("periodic", *INDEXED):
        layers = network_energy(network_traffic(network, form, options, buffers), COSTS)
        assert list(layers) == [layer.name for layer in network.layers]
        found[form] = sum(layers.values(), Energy())
        assert found[form].total == pytest.approx(sum(layer.total for layer in layers.values()))
    periodic = found.pop("periodic")
    for energy in found.values():
        assert periodic.total < energy.total
        # The rest is the same engine: what differs is the indices, the operands that they fetch, and how many layers'
        # weights fit beside them into the buffer.
        same = ("dram_activations", "sums", "macs")
        assert [getattr(periodic, part) for part in same] == pytest.approx([getattr(energy, part) for part in same])
        assert periodic.indices == 0 < energy.indices and periodic.activations < energy.activations
        assert periodic.weights <= energy.weights and periodic.dram_weights <= energy.dram_weights


def test_free_accesses_cost_nothing() -> None:
    """Each part comes from its own prices: without them it is gone, and the others stay."""
    data = yaml.safe_load(COSTS_FILE.read_text())
    before = layer_energy(LAYER, EngineOptions(), KIB, COSTS)
    free_dram = Costs(**{**data, "dram": {"access_bits": 64, "pj": 0}})
    after = layer_energy(LAYER, EngineOptions(), KIB, free_dram)
    assert after.dram == 0 and after.on_chip == before.on_chip and after.macs == before.macs


BROKEN = {
    "extra": ({"wires_pj": 1.0}, "wires_pj: unknown key"),
    "negative": ({"register_pj_per_bit": -1.0}, "register_pj_per_bit"),
    "text": ({"dram": {"access_bits": 64, "pj": "much"}}, "dram.pj"),
    "not a number": ({"dram": {"access_bits": 64, "pj": float("nan")}}, "dram.pj"),
    "no width": ({"dram": {"access_bits": 0, "pj": 1.0}}, "dram.access_bits"),
    "order": ({"memory": {"access_bits": 64, "points": [{"kib": 8, "pj": 2}, {"kib": 4, "pj": 3}]}}, "ascend in kib"),
    "falling": ({"add": [{"bits": 8, "pj": 2}, {"bits": 16, "pj": 1}]}, "must not fall"),
    "too few": ({"multiply": [{"bits": 8, "pj": 2}]}, "multiply"),
    "zero": ({"multiply": [{"bits": 8, "pj": 0}, {"bits": 16, "pj": 1}]}, "multiply.0.pj"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_broken_tables(case: str, tmp_path: Path) -> None:
    change, message = BROKEN[case]
    path = tmp_path / "costs.yaml"
    path.write_text(yaml.safe_dump({**yaml.safe_load(COSTS_FILE.read_text()), **change}))
    with pytest.raises(ConfigError, match=message) as error:
        Costs.load(path)
    assert str(path) in str(error.value)


def test_missing_table(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="costs.yaml: cannot be read"):
        Costs.load(tmp_path / "costs.yaml")
    path = tmp_path / "short.yaml"
    path.write_text("name: x\n")
    with pytest.raises(ConfigError, match="source"):
        Costs.load(path)


def test_parts_are_all_of_an_energy() -> None:
    assert Energy(*range(len(PARTS))).total == sum(range(len(PARTS)))
    assert Energy(1, 2) + Energy(3, 4, macs=5) == Energy(4, 6, macs=5)
