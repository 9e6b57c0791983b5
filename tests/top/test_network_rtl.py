"""A network's RTL: every layer exact, cycles as predicted, with stalls, after a reset, back to back."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from psconv.flow.config import Images, RunConfig
from pymodel.common.identifiers import OUT_PORT
from pymodel.datasets.splits import load_dataset
from pymodel.engine.shape_of import engine_shape
from pymodel.network.bundle import Bundle
from pymodel.top.cycles import latency, latency_at_most
from pymodel.top.dataflow import build
from tests.helpers.designs import Built
from tests.helpers.networks import DIGITS, made, some_images

IMAGES = 4
NAME = "projection with stride"  # a fork, two paths, an addition, words of 1 and of 9 channels


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    bundle, dataflow = made(NAME)
    return Built.of(dataflow, bundle, some_images(bundle, IMAGES), tmp_path_factory.mktemp("network"))


def test_layers_and_cycles_are_as_predicted(built) -> None:
    dataflow = built.design.dataflow
    result = built.simulated("free")
    assert result.ok, result.errors
    probed = {stream.name for stream in dataflow.probes.values()} - {OUT_PORT}
    assert set(result.probes) == probed and len(probed) == 4
    for name, probe in result.probes.items():
        assert probe["mismatch_count"] == 0 and probe["words"] > 0, name
    start = result.cycles["first_in"]
    model = latency(dataflow, built.schedule, IMAGES, start)
    assert [end - start for end in result.cycles["image_last"]] == model.image_last
    assert result.cycles["total"] == model.total
    assert result.cycles["total"] <= latency_at_most(dataflow, IMAGES).total  # known before it was compiled
    assert model.interval == model.least_interval == np.diff(model.image_last)[-1]


@pytest.mark.parametrize("name", ["inverted residual", "groups"])
def test_groups_are_exact_and_take_the_cycles_of_the_model(name: str, tmp_path: Path) -> None:
    """Depthwise and grouped convolutions between others: every layer, every image's end, and with stalls."""
    bundle, dataflow = made(name)
    built = Built.of(dataflow, bundle, some_images(bundle, IMAGES), tmp_path)
    result = built.simulated("free")
    assert result.ok, result.errors
    start = result.cycles["first_in"]
    model = latency(dataflow, built.schedule, IMAGES, start)
    assert [end - start for end in result.cycles["image_last"]] == model.image_last
    assert model.interval == model.least_interval
    stalled = built.simulated("stalled", idle=0.4, backpressure=0.4)
    assert stalled.ok, stalled.errors


@pytest.mark.parametrize(("idle", "backpressure"), [(0.5, 0.0), (0.0, 0.7), (0.4, 0.4)])
def test_stalls_change_nothing_but_time(built, idle: float, backpressure: float) -> None:
    for seed in (1, 2):
        result = built.simulated("stalled", idle=idle, backpressure=backpressure, seed=seed)
        assert result.ok, result.errors


@pytest.mark.parametrize("beats", [1, 40, 105, 300])
def test_a_reset_in_the_middle_of_an_image(built, beats: int) -> None:
    """Whatever was under way is gone; all images that are sent after the reset are right, in every layer."""
    result = built.simulated("reset", reset_after=beats, idle=0.2, backpressure=0.3)
    assert result.ok, result.errors
    assert {probe["mismatch_count"] for probe in result.probes.values()} == {0}


def test_a_wrong_layer_is_named(built) -> None:
    """A value of the golden model changed: the message says which layer, pixel and channel."""
    outputs = {layer: y.copy() for layer, y in built.vectors.outputs.items()}
    outputs["p"][1, 11, 2, 1] ^= 1
    result = replace(built, vectors=replace(built.vectors, outputs=outputs)).simulated("wrong")
    assert not result.ok
    first = next(error for error in result.errors if "differ" in error)
    assert first.startswith("probe: p:") and "image 1" in first and "row 2" in first and "column 1" in first, first


def test_configurations_that_no_network_has() -> None:
    base = {"psconv": 1, "images": Images()}
    layer = {"in_channels": 1, "out_channels": 1, "height": 3, "width": 3}
    generated = {"name": "digits", "dataset": "digits"}
    with pytest.raises(ValueError, match="bundle, layer, network: exactly one must be given"):
        RunConfig(**base, layer=layer, network=generated)
    with pytest.raises(ValueError, match="top: must be layers for one layer, got network"):
        RunConfig(**base, layer=layer, top="network")
    with pytest.raises(ValueError, match="images.source: must be random"):
        RunConfig(**(base | {"images": {"source": "digits"}}), network=generated)


@pytest.mark.slow
def test_digits_under_a_hundred_random_stalls(tmp_path: Path) -> None:
    """No loss, no deadlock: 100 runs with random starvation and back-pressure."""
    bundle = Bundle.load(DIGITS)
    shapes = {layer.name: engine_shape(bundle, layer.name) for layer in bundle.network.weighted_layers()}
    data = load_dataset("digits")
    built = Built.of(build(bundle, shapes), bundle, data.integers(data.test.images[:3]), tmp_path)
    chances = np.random.default_rng(0).uniform(0, 0.95, (100, 2))
    for seed, (idle, backpressure) in enumerate(chances.tolist(), start=1):
        result = built.simulated("stalled", idle=idle, backpressure=backpressure, seed=seed)
        assert result.ok, (seed, idle, backpressure, result.errors)
