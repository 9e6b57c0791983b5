"""Depths of a network's streams: none refused, the interval kept for ever, as told, and campaigns that would notice."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import yaml

from psconv.flow.config import load
from psconv.flow.inputs import load_bundle
from psconv.flow.parallelism import engine_shapes
from pymodel.engine import reference as reference
from pymodel.network import formats
from pymodel.top import cycles as network_cycles
from pymodel.top.cycles import latency, slowest
from pymodel.top.dataflow import Dataflow, build
from scripts.hunt import depths, layers, networks
from scripts.hunt.campaign import Case, Fault
from scripts.hunt.depths import some_schedule
from tests.helpers.places import FAULTS

# Two paths of the same convolutions, one of them longer by two.
SKIP = {
    "input": [3, 1, 1],
    "seed": 5,
    "parallelism": {},
    "weights": [],
    "activation_bits": 8,
    "weight_bits": 8,
    "scaled": [],
    "fracs": {},
    "stages": 0,
    "clock_ns": 3.333,
    "idle": 0.4,
    "backpressure": 0.4,
    "layers": [
        *(
            {
                "op": "conv",
                "name": f"c{at}",
                "input": f"c{at - 1}" if at else "input",
                "out_channels": 3,
                "kernel": 1,
                "stride": 1,
                "padding": 0,
                "support": "dense",
            }
            for at in range(3)
        ),
        {"op": "add", "name": "s", "inputs": ["c2", "c0"]},
    ],
}


def dataflow_of(path: Path) -> Dataflow:
    config = load(path)
    bundle = load_bundle(config, path)
    shapes = engine_shapes(config, bundle)
    return build(bundle, shapes, config.weights == "loaded", list(filter(config.streams, shapes)))


@pytest.mark.parametrize(
    "name", ["pool", "lenet_head", "seven", "pool2/run", "skip3/run", "skip4_8/run", "hls_q/run", "mem_nobias/run"]
)
def test_the_interval_is_kept_for_ever(name: str) -> None:
    """The slowest process's interval, exactly, well after the start, with the latest and with the earliest stages."""
    dataflow = dataflow_of(FAULTS / "networks" / f"{name}.yaml")
    least = slowest(dataflow).iterations
    for seed in range(4):
        found = latency(dataflow, some_schedule(dataflow, seed), 60)
        assert found.interval == least
        assert (np.diff(found.image_last)[-20:] == least).all()


def test_poolings_take_what_their_interval_needs() -> None:
    """Words of a pooling as fast as can be wait for a credit's way round; slow ones need no more than two places."""
    for name, enough in (("pool2/run", 2), ("lenet_head", 2)):
        dataflow = dataflow_of(FAULTS / "networks" / f"{name}.yaml")
        [pool] = [unit for unit in dataflow.units if unit.function == "pool"]
        assert min(pool.feeder_depths.values()) > enough  # two were built, and were too few
    [pool] = [unit for unit in dataflow_of(FAULTS / "networks" / "hls_q" / "run.yaml").units if unit.function == "pool"]
    assert pool.network_interval == 36 and pool.feeder_depths["columns"] == 2


def draws(campaign: depths.Depths, seed: int, count: int) -> list[Case]:
    return [campaign.draw(np.random.default_rng([seed, at])) for at in range(count)]


def test_random_networks_keep_their_interval(tmp_path: Path) -> None:
    for case in draws(depths.CAMPAIGN, 1, 12):
        depths.CAMPAIGN.check(case, tmp_path)


@pytest.mark.slow
def test_a_thousand_random_networks_keep_their_interval(tmp_path: Path) -> None:
    for case in draws(depths.CAMPAIGN, 2, 1000):
        depths.CAMPAIGN.check(case, tmp_path)


def test_streams_too_shallow_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    depths.CAMPAIGN.check(SKIP, tmp_path)
    asked = network_cycles.occupancy
    monkeypatch.setattr(network_cycles, "occupancy", lambda *stream: max(asked(*stream) // 2, 1))
    with pytest.raises(Fault, match="were expected"):
        depths.CAMPAIGN.check(SKIP, tmp_path)


def test_statuses_wait_for_their_scores(tmp_path: Path) -> None:
    """The longest way round a network with loaded weights: from the packet parser past all engines to the response."""
    depths.CAMPAIGN.check(SKIP | {"weights": "loaded"}, tmp_path)


def test_random_layers_are_plain_integers(tmp_path: Path) -> None:
    for case in draws(layers.CAMPAIGN, 1, 25):
        layers.CAMPAIGN.check(case, tmp_path)


def test_a_golden_model_that_rounds_otherwise_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def down(sums: np.ndarray, shift: int, *rest: object) -> np.ndarray:
        return formats.requantise(sums - ((1 << shift) >> 1), shift, *rest)

    monkeypatch.setattr(reference, "requantise", down)
    with pytest.raises(Fault, match=r"golden.conv_layer: \d+ of \d+ values differ"):
        for case in draws(layers.CAMPAIGN, 1, 5):
            layers.CAMPAIGN.check(case, tmp_path)


@pytest.mark.parametrize("campaign", [layers.CAMPAIGN, depths.CAMPAIGN, networks.CAMPAIGN, layers.RTL])
def test_simpler_cases_are_other_cases(campaign: networks.Networks | layers.Layers) -> None:
    """A few of them are cases still, and none is the one it came from: shrinking comes to an end."""
    for case in draws(campaign, 3, 3):
        simpler = list(campaign.smaller(case))
        assert simpler and case not in simpler


def test_a_network_in_rtl(tmp_path: Path) -> None:
    """A skip, an image every third cycle: values, cycles, interval, stalls."""
    networks.CAMPAIGN.check(SKIP, tmp_path)


@pytest.mark.slow
def test_random_networks_in_rtl(tmp_path: Path) -> None:
    for at, case in enumerate(draws(networks.CAMPAIGN, 1, 8)):
        networks.CAMPAIGN.check(case, tmp_path / str(at))


def test_a_layer_whose_zeros_are_not_through_when_the_first_beat_comes(tmp_path: Path) -> None:
    """RTL and cycle model count from the same cycle."""
    config = yaml.safe_load((FAULTS / "layers" / "late_first_beat.yaml").read_text())
    case = config | {
        "layer": layers.PLAIN | config["layer"],
        "parallelism": layers.PARALLEL,
        "images": {"count": 3},
        "seed": 0,
        "clock_ns": 3.333,
        "stalls": {"images": 2, "input": 0.4, "output": 0.4},
    }
    layers.RTL.check(case, tmp_path)


@pytest.mark.slow
def test_random_layers_in_rtl(tmp_path: Path) -> None:
    for at, case in enumerate(draws(layers.RTL, 1, 8)):
        layers.RTL.check(case, tmp_path / str(at))
