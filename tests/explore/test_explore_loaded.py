"""psconv explore with weights that are loaded: in block RAM or UltraRAM, layer by layer, as the flow builds them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from psconv.commands import explore
from psconv.flow.config import load
from psconv.flow.inputs import load_bundle
from psconv.flow.parallelism import engine_shapes
from psconv.synthesis.targets import load_target
from pymodel.common.errors import ConfigError
from pymodel.engine.memories import Memory
from pymodel.explore.costs import Cost
from pymodel.explore.network import cheapest
from pymodel.explore.solve import AXES
from pymodel.explore.streams import regions
from pymodel.explore.technology import Technology, calibrated, technology_of
from pymodel.network.bundle import Bundle
from pymodel.network.random_bundle import random_bundle
from pymodel.network.topology import Network
from pymodel.top.dataflow import Dataflow, build
from pymodel.top.units import LoaderUnit
from tests.helpers.choices import built, every_technology, explored
from tests.helpers.choices import cost_of as cost_of_dataflow
from tests.helpers.places import EXAMPLES


def cost_of(path: Path) -> Cost:
    """What the model of its device says of a configuration as the flow builds it."""
    return cost_of_dataflow(dataflow_of(path), technology_of(load_target(load(path).target).family))


def dataflow_of(path: Path) -> Dataflow:
    config = load(path)
    bundle = load_bundle(config, path)
    shapes = engine_shapes(config, bundle, load_target(config.target))
    return build(bundle, shapes, config.weights == "loaded")


def small() -> Bundle:
    """Two layers with 1,024 and 576 weights, which lie in block RAM where few are read at once."""
    layers: list[dict[str, Any]] = [
        {"op": "conv", "name": "a", "input": "input", "out_channels": 64, "kernel": 1, "relu": True},
        {"op": "global_avgpool", "name": "g", "input": "a"},
        {"op": "linear", "name": "f", "input": "g", "out_features": 9},
    ]
    spec = {"channels": 16, "height": 1, "width": 2}
    return random_bundle(Network(name="small", input=spec, layers=layers, output="f"), 0)


def configured(folder: Path, bundle: Bundle, **keys: Any) -> Path:
    bundle.save(folder / "b.yaml")
    (folder / "n.yaml").write_text(yaml.safe_dump({"psconv": 1, "bundle": "b.yaml", "top": "network"} | keys))
    return folder / "n.yaml"


def request(*budget: str, **more: Any) -> explore.Request:
    return explore.Request(**({"fps": 1000.0, "minimise": "DSP", "budget": budget, "points": 1} | more))


def test_the_model_says_what_yosys_counts() -> None:
    """ResNet18 with loaded weights on the ZCU104: the counts of docs/guide/networks.md, which are yosys' own."""
    cost = cost_of(EXAMPLES / "networks" / "resnet18_loaded.yaml")
    assert (cost.DSP, cost.BRAM, cost.URAM) == (380, 156, 55)


def test_an_ultra_ram_is_neither_block_nor_distributed() -> None:
    memory = Memory("weights", 9000, 100, True, "ultra")
    assert not memory.block and memory.half_blocks == 0 and memory.registers == 0
    assert memory.ultras == 5  # 3 rows of 4096 words, 13 bytes of 8 bits, 9 of them in a block: 39 / 9
    assert Memory("carried", 200, 100, True, "distributed").half_blocks == 0
    assert Memory("carried", 200, 100, True).half_blocks > 0


@every_technology
@pytest.mark.parametrize("resource", ["BRAM", "URAM", "LUT"])
def test_the_optimum_of_all_choices(resource: str, technology: Technology) -> None:
    """Built and priced one by one, without solver or bound. Where there is no UltraRAM nothing lies in it."""
    network = explored(small(), multipliers=1, packing=False, channels=False, loaded=True, technology=technology)
    assert {option.key.ultra_weights for option in network.options["a"]} == {technology.ultra_ram, False}
    at = AXES.index(resource)
    every = [(cycles, cost) for _, cycles, cost in built(network)]
    for interval in sorted({cycles for cycles, _ in every})[:: max(1, len(every) // 400)][:4]:
        for budget in ({}, {"BRAM": 0}, {"URAM": 1}):
            fitting = [
                cost.vector[at]
                for cycles, cost in every
                if cycles <= interval and all(cost.to_json()[kind] <= most for kind, most in budget.items())
            ]
            answer = cheapest(network, budget, interval, resource)
            if not fitting:
                assert answer.choice is None and answer.proved
                continue
            assert answer.proved and answer.cost.vector[at] == min(fitting)


def test_what_brings_weights_connects_no_units() -> None:
    """Regions are those of images: else all words of all engines would be one combination."""
    dataflow = dataflow_of(EXAMPLES / "digits" / "loaded.yaml")
    found = list(regions(dataflow))
    assert len(found) > 3 and not any(isinstance(unit, LoaderUnit) for region in found for unit in region.units)
    assert max(len(region.where) for region in found) < len(dataflow.engines)


@pytest.mark.slow
def test_resnet18_fits_a_zcu104() -> None:
    """At the rate of the example with ROMs, which needs 574 block RAMs of the 312."""
    path = EXAMPLES / "networks" / "resnet18.yaml"
    with_roms = cost_of(path)
    budget = load_target("zcu104").budgets.model_dump()
    assert with_roms.BRAM == 574 > budget["BRAM"]
    network = explored(load_bundle(load(path), path), 400, packing=False, channels=False, loaded=True)
    answer = cheapest(network, budget, 262_144, "DSP")
    assert answer.proved and answer.cost.DSP == with_roms.DSP == 380
    assert network.interval(answer.chosen) == 262_144
    assert all(amount <= budget[kind] for kind, amount in answer.cost.to_json().items()) and answer.cost.URAM > 50


@pytest.mark.parametrize("named", [None, "loaded"])
def test_loaded_where_no_rom_fits(named: str | None, tmp_path: Path) -> None:
    """A choice without block RAM: written, it is read back as what was promised, layer by layer."""
    path = configured(tmp_path, small(), target="zcu104")
    asked = request("BRAM=0", "DSP=4", weights=named)
    found = explore.explore(path, asked)
    assert found.weights == "loaded" and found.best.answer.cost.BRAM == 0 and found.best.answer.cost.URAM >= 1
    written = explore.write_config(found, path, tmp_path / "out", asked)
    config = load(written)
    assert config.weights == "loaded" and config.images == load(path).images
    chosen = {name: option.key.ultra_weights for name, option in found.best.answer.chosen.items()}
    assert any(chosen.values()) and chosen == {name: one.ultra_weights for name, one in config.layers.items()}
    assert {name: shape.ultra_weights for name, shape in dataflow_of(written).shapes.items()} == chosen
    assert cost_of(written) == found.best.answer.cost
    data = json.loads(json.dumps(found.to_json()))
    assert data["weights"] == "loaded" and data["chosen"]["URAM"] == found.best.answer.cost.URAM


@pytest.mark.parametrize("device", [one.device for one in calibrated() if not one.ultra_ram])
def test_without_ultra_ram_loaded_weights_lie_in_block_ram(device: str, tmp_path: Path) -> None:
    """On the 7 series there is none, whatever a budget says; what is written is built as promised."""
    path = configured(tmp_path, small(), target=device)
    asked = request("URAM=none", "DSP=4", weights="loaded", minimise="BRAM")
    found = explore.explore(path, asked)
    assert found.best.answer.cost.URAM == 0
    written = explore.write_config(found, path, tmp_path / "out", asked)
    assert not any(shape.ultra_weights for shape in dataflow_of(written).shapes.values())
    assert cost_of(written) == found.best.answer.cost
    with pytest.raises(ConfigError, match=rf"fits {device} at 1,000 frames/s: BRAM: [\d.]+ at least, 0 there"):
        explore.explore(path, request("BRAM=0", "URAM=none", "DSP=4", weights="loaded"))


def test_rom_where_it_fits(tmp_path: Path) -> None:
    path = configured(tmp_path, small(), target="zcu104")
    found = explore.explore(path, request())
    assert found.weights == "rom" and "ultra_weights" not in found.layers[0]
    written = explore.write_config(found, path, tmp_path / "out", request())
    assert "ultra_weights" not in written.read_text() and load(written).weights == "rom"


def test_what_the_configuration_says_holds(tmp_path: Path) -> None:
    path = configured(tmp_path, small(), target="zcu104", weights="rom")
    with pytest.raises(ConfigError, match=r"no folding of small fits zcu104 at 1,000 frames/s: BRAM: [\d.]+ at least"):
        explore.explore(path, request("BRAM=0", "DSP=4"))
    path = configured(tmp_path, small(), target="zcu104", weights="loaded")
    assert explore.explore(path, request()).weights == "loaded"
    assert explore.explore(path, request(weights="rom")).weights == "rom"


def test_both_refusals_are_told(tmp_path: Path) -> None:
    path = configured(tmp_path, small(), target="zcu104")
    with pytest.raises(ConfigError, match=r"BRAM: .* at least, 0 there.*; with weights: loaded: no folding of small"):
        explore.explore(path, request("BRAM=0", "URAM=0", "DSP=4"))
    scaled = small()
    scales = {"f": np.full(9, 3, np.uint16)}
    path = configured(tmp_path, Bundle(**vars(scaled) | {"scales": scales}), target="zcu104")
    with pytest.raises(ConfigError, match=r"with weights: loaded: .*scales: must be left out where weights are loaded"):
        explore.explore(path, request("BRAM=0", "DSP=4"))


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        ({"layers": {"a": {"ultra_weights": True}}}, "layers.a.ultra_weights: must be left out with weights: rom"),
        (
            {"weights": "loaded", "layers": {"a": {"ultra_weights": True}}, "target": "ulx3s_85f"},
            "layers.a.ultra_weights: must be false for ulx3s_85f, which has no UltraRAM",
        ),
    ],
)
def test_where_weights_cannot_lie(keys: dict[str, Any], told: str, tmp_path: Path, psconv) -> None:
    path = configured(tmp_path, small(), **keys)
    code, _, err = psconv("csim", str(path), "--out", str(tmp_path / "out"))
    assert code == 2 and told in err


def test_a_place_that_there_is_not(tmp_path: Path) -> None:
    path = configured(tmp_path, small(), target="zcu104")
    with pytest.raises(ConfigError, match="--weights: must be rom, loaded or streamed, got 'flash'"):
        explore.explore(path, request(weights="flash"))
