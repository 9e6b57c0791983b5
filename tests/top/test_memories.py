"""The memories of networks with degenerate constants and images: what the model names is what the compiler builds."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from psconv.flow import run as flow
from psconv.flow.config import load
from psconv.flow.hls import compile_top
from pymodel.common.errors import ConfigError
from pymodel.engine.packing import EngineShape, unpack_weights
from pymodel.engine.shape_of import engine_shape
from pymodel.explore.constants import needs_less, upper_bounds
from pymodel.explore.costs import DSP_PRODUCT_BITS, multiplier_blocks
from pymodel.explore.options import engines
from pymodel.explore.technology import ULTRASCALE_PLUS
from pymodel.network.bundle import Bundle
from pymodel.network.random_bundle import random_bundle
from pymodel.network.topology import Network
from pymodel.top import memory as network_memory
from pymodel.top.dataflow import Dataflow, build, single
from tests.helpers.networks import made as of_small_network
from tests.helpers.places import EXAMPLES, FAULTS

NETWORKS = FAULTS / "networks"

LAYERS = 4
CONSTANTS = ("zero", "one", "minus one", "powers of two", "all equal", "zeros and ones", "any")


def values(kind: str, shape: tuple[int, ...], rng: np.random.Generator, bits: int) -> np.ndarray:
    """Weights or biases of a kind."""
    largest = (1 << (bits - 1)) - 1
    return {
        "zero": lambda: np.zeros(shape, int),
        "one": lambda: np.ones(shape, int),
        "minus one": lambda: -np.ones(shape, int),
        "powers of two": lambda: 1 << rng.integers(0, bits - 1, shape),
        "all equal": lambda: np.full(shape, rng.integers(-largest, largest + 1)),
        "zeros and ones": lambda: rng.integers(0, 2, shape),
        "any": lambda: rng.integers(-largest - 1, largest + 1, shape),
    }[kind]()


def random_network(rng: np.random.Generator) -> Network:
    """A chain of small layers of every kind that has memories, down to one pixel and one channel."""
    height, width = (int(n) for n in rng.integers(1, 6, 2))
    channels = int(rng.integers(1, 9))
    layers: list[dict[str, Any]] = []
    source = "input"
    for at in range(LAYERS):
        name, kind = f"l{at}", rng.choice(["conv", "conv", "conv", "pool", "mean"])
        if kind == "conv":
            kernel = int(rng.choice([1, 3]))
            layer = {
                "op": "conv",
                "out_channels": int(rng.choice([1, 2, 4, 8])),
                "kernel": kernel,
                "stride": int(rng.integers(1, 4)),
                "padding": int(rng.integers(0, kernel)),
                "bias": bool(rng.integers(2)),
            }
            if kernel == 3 and rng.integers(2):
                layer["support"] = str(rng.choice(["PS4_P4", "PS2_P6"]))
        elif kind == "pool":
            layer = {
                "op": "avgpool",
                "kernel": 2,
                "stride": int(rng.integers(1, 3)),
                "padding": int(rng.integers(0, 2)),
            }
        else:
            layer = {"op": "global_avgpool"}
        layer |= {"name": name, "input": source}
        try:  # a window that is larger than the image, the mean of a number of pixels that is no power of two
            network = made([*layers, layer], channels, height, width)
            _, *size = network.shapes()[source]
            if kind == "mean" and (size[0] * size[1]).bit_count() > 1:
                continue
        except ConfigError:
            continue
        layers.append(layer)
        source = name
    return made(layers, channels, height, width)


def made(layers: list[dict[str, Any]], channels: int, height: int, width: int) -> Network:
    size = {"channels": channels, "height": height, "width": width}
    return Network(name="net", input=size, layers=layers, output=layers[-1]["name"])


def degenerate(bundle: Bundle, rng: np.random.Generator) -> Bundle:
    """The bundle with constants of some kind in each layer."""
    weights, biases = dict(bundle.weights), dict(bundle.biases)
    for name, old in weights.items():
        new = values(str(rng.choice(CONSTANTS)), old.shape, rng, 8) * (old.ndim == 2 or mask(bundle, name))
        weights[name] = new.astype(old.dtype)
    for name, old in biases.items():
        biases[name] = values(str(rng.choice(CONSTANTS)), old.shape, rng, 8).astype(old.dtype)
    return replace(bundle, weights=weights, biases=biases)


def mask(bundle: Bundle, name: str) -> np.ndarray:
    layer, weights = bundle.network.layer(name), bundle.weights[name]
    return layer.make_support().mask(*weights.shape[:2])


def random_dataflow(seed: int) -> Dataflow:
    rng = np.random.default_rng(seed)
    while True:
        try:
            bundle = degenerate(random_bundle(random_network(rng), seed), rng)
            chosen = {}
            for layer in bundle.network.weighted_layers():
                every = list(engines(engine_shape(bundle, layer.name), 16))
                chosen[layer.name] = every[int(rng.integers(len(every)))]
            streamed = [name for name in chosen if rng.integers(3) == 0 and chosen[name].pieces == 1]
            return build(bundle, chosen, streamed=streamed)
        except ConfigError:
            continue


def compiled(dataflow: Dataflow, folder: Path) -> dict[str, Any]:
    """The schedule of a network."""
    return compile_top(dataflow, folder).schedule


def built(schedule: dict[str, Any]) -> Counter[tuple[str, int, int]]:
    """Memories in a schedule: (what is held, depth, width)."""
    return Counter(
        (network_memory.holds(memory["name"]), memory["depth"], memory["width"])
        for process in schedule["processes"]
        for memory in process["memories"]
    )


def named(dataflow: Dataflow) -> Counter[tuple[str, int, int]]:
    return Counter(
        (network_memory.holds(memory.name), memory.depth, memory.width)
        for unit in dataflow.units
        for memory in network_memory.memories_of(unit)
    )


@pytest.mark.parametrize("seed", [0, 1, 2, *(pytest.param(n, marks=pytest.mark.slow) for n in range(3, 60))])
def test_memories_are_those_that_the_compiler_builds(seed: int, tmp_path: Path) -> None:
    """And multipliers are those of the cost model, or fewer in the engines of which it says so."""
    check_memories(random_dataflow(seed), tmp_path)


@pytest.mark.parametrize("streams", [False, True])
@pytest.mark.parametrize("name", ["inverted residual", "groups"])
def test_memories_of_groups_are_those_that_the_compiler_builds(name: str, streams: bool, tmp_path: Path) -> None:
    bundle, dataflow = of_small_network(name)
    check_memories(build(bundle, dataflow.shapes, streamed=dataflow.shapes if streams else ()), tmp_path)


def check_memories(dataflow: Dataflow, folder: Path) -> None:
    schedule = compiled(dataflow, folder)
    assert built(schedule) == named(dataflow)
    processes = {process["name"]: process for process in schedule["processes"]}
    for layer, unit in dataflow.engines.items():
        name = f"{unit.name}_{'streamed_pe' if layer in dataflow.streamed else 'pe'}"
        blocks = sum(
            product["count"] for product in processes[name]["multipliers"] if product["p_bits"] >= DSP_PRODUCT_BITS
        )
        most = multiplier_blocks(unit.shape, ULTRASCALE_PLUS)
        assert blocks <= most if layer not in dataflow.streamed and needs_less(unit) else blocks == most, layer


@pytest.mark.parametrize(("R", "fold", "known"), [(2, 1, False), (4, 2, False), (2, 4, True)])
def test_rings_in_memories_have_a_memory_for_each_place(R: int, fold: int, known: bool, tmp_path: Path) -> None:
    """Rotations share places of the ring. known: all words of weights are one; lanes of zeros in it look at nothing."""
    shape = EngineShape(
        cin=4, cout=16, kernel=3, height=3, width=3, support="PS4_P4", R=R, fold=fold, feed="channels", acc_bits=24
    )
    rng = np.random.default_rng(R + fold)
    if known:
        values = rng.integers(1, 128, shape.lanes) * rng.integers(0, 2, shape.lanes)
        word = int.from_bytes(values.astype(np.uint8).tobytes(), "little")
        weights = unpack_weights([word] * shape.rom_words, shape)
    else:
        weights = rng.integers(-128, 128, (16, 4, 3, 3)) * shape.support.mask(16, 4)
    dataflow = single("layer", shape, weights, np.arange(16))
    rings = {key: count for key, count in built(compiled(dataflow, tmp_path)).items() if key[0] == "rings"}
    assert rings == {key: count for key, count in named(dataflow).items() if key[0] == "rings"}
    assert 0 < sum(rings.values()) < shape.R * shape.elements


CONFIGURED = [
    NETWORKS / "mem_nobias" / "run.yaml",
    NETWORKS / "mem_sameweight" / "run.yaml",
    pytest.param(EXAMPLES / "digits" / "streamed.yaml", marks=pytest.mark.slow),
]


@pytest.mark.parametrize("path", CONFIGURED)
def test_memories_of_networks_that_were_called_wrong(path: Path, tmp_path: Path) -> None:
    dataflow = flow.prepare(load(path), path, tmp_path / "out").designs[0].dataflow
    assert built(compiled(dataflow, tmp_path)) == named(dataflow)


@pytest.mark.slow
@pytest.mark.parametrize("path", CONFIGURED)
def test_networks_that_were_called_wrong_are_exact(path: Path, tmp_path: Path, psconv) -> None:
    code, said, _ = psconv("run", str(path), "--out", str(tmp_path / "out"))
    said = " ".join(said.split())
    assert code == 0 and "Result: every output value is exact" in said and "NOT the model's" not in said


@pytest.mark.parametrize(("name", "gone"), [("biases", True), ("weights", True), ("any", False)])
def test_explore_names_what_takes_less(name: str, gone: bool) -> None:
    """A ROM of 129 equal biases would be a block; multipliers of equal weights are none."""
    net = made([{"op": "conv", "name": "c", "input": "input", "out_channels": 129, "kernel": 1}], 4, 2, 2)
    bundle = random_bundle(net, 0)
    if name == "biases":
        bundle = replace(bundle, biases={"c": np.full(129, 5, np.int32)})
    if name == "weights":
        bundle = replace(bundle, weights={"c": np.full((129, 4, 1, 1), 3, np.int8)})
    shape = engine_shape(bundle, "c", Tb=4).model_copy(update={"acc_bits": 32})
    assert upper_bounds(build(bundle, {"c": shape})) == (["c"] if gone else [])


def test_explore_names_engines_with_a_single_word_of_weights() -> None:
    """All rotations and outputs at once: each weight is a constant."""
    conv = {"op": "conv", "name": "c", "input": "input", "out_channels": 4, "kernel": 3, "padding": 1}
    bundle = random_bundle(made([conv | {"support": "PSD1_P4"}], 4, 4, 4), 0)
    found = {R: upper_bounds(build(bundle, {"c": engine_shape(bundle, "c", R=R)})) for R in (1, 2, 4)}
    assert found == {1: [], 2: [], 4: ["c"]}
