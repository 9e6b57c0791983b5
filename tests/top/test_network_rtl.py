"""A network's RTL: every layer exact, cycles as predicted, with stalls, after a reset, back to back."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from openhls.driver.compile import compile_hls

from psconv.common.places import ENGINE, INCLUDE
from psconv.flow.config import Images, RunConfig, Stalls
from psconv.flow.layout import Layout
from psconv.flow.network_steps import run_bench
from psconv.flow.settings import Settings
from psconv.flow.subject import WHOLE, Whole
from psconv.synthesis.targets import load_target
from pymodel.golden import model as golden
from pymodel.top import cpp as network_top
from pymodel.top.cycles import latency, latency_at_most
from pymodel.top.dataflow import OUT_PORT, TOP
from rtl_tb.runner import SimResult
from tests.helpers.networks import made, some_images
from tests.helpers.places import EXAMPLES

IMAGES = 4
NAME = "projection with stride"  # a fork, two paths, an addition, words of 1 and of 9 channels


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Whole, Settings]:
    bundle, dataflow = made(NAME)
    images = some_images(bundle, IMAGES)
    whole = Whole(WHOLE, NAME, dataflow, images, golden.run(bundle, images))
    settings = Settings(Layout(tmp_path_factory.mktemp("network")), load_target("zcu104"), 3.333, 0, Stalls())
    folder = settings.layout.synth(WHOLE)
    network_top.write(folder, dataflow, NAME)
    compile_hls([folder / network_top.SOURCE], TOP, include_dirs=[INCLUDE, ENGINE, folder], out=folder)
    return whole, settings


def simulated(built: tuple[Whole, Settings], name: str, **changes) -> SimResult:
    options = {"images": IMAGES, "idle": 0.0, "backpressure": 0.0, **changes}
    return run_bench(*built, name=name, **options)


def test_layers_and_cycles_are_as_predicted(built) -> None:
    whole, settings = built
    result = simulated(built, "free")
    assert result.ok, result.errors
    probed = {stream.name for stream in whole.dataflow.probes.values()} - {OUT_PORT}
    assert set(result.probes) == probed and len(probed) == 4
    for name, probe in result.probes.items():
        assert probe["mismatch_count"] == 0 and probe["words"] > 0, name
    schedule = json.loads((settings.layout.synth(WHOLE) / "schedule.json").read_text())
    start = result.cycles["first_in"]
    model = latency(whole.dataflow, schedule, IMAGES, start)
    assert [end - start for end in result.cycles["image_last"]] == model.image_last
    assert result.cycles["total"] == model.total
    assert result.cycles["total"] <= latency_at_most(whole.dataflow, IMAGES).total  # known before it was compiled
    assert model.interval == model.steady == np.diff(model.image_last)[-1]


@pytest.mark.parametrize(("idle", "backpressure"), [(0.5, 0.0), (0.0, 0.7), (0.4, 0.4)])
def test_stalls_change_nothing_but_time(built, idle: float, backpressure: float) -> None:
    for seed in (1, 2):
        result = simulated(built, "stalled", idle=idle, backpressure=backpressure, seed=seed)
        assert result.ok, result.errors


@pytest.mark.parametrize("beats", [1, 40, 105, 300])
def test_a_reset_in_the_middle_of_an_image(built, beats: int) -> None:
    """Whatever was under way is gone; all images that are sent after the reset are right, in every layer."""
    result = simulated(built, "reset", reset_after=beats, idle=0.2, backpressure=0.3)
    assert result.ok, result.errors
    assert {probe["mismatch_count"] for probe in result.probes.values()} == {0}


def test_a_wrong_layer_is_named(built) -> None:
    """A value of the golden model changed: the message says which layer, pixel and channel."""
    whole, settings = built
    outputs = {layer: y.copy() for layer, y in whole.outputs.items()}
    outputs["p"][1, 11, 2, 1] ^= 1
    wrong = Whole(whole.name, whole.network, whole.dataflow, whole.x, outputs)
    result = run_bench(wrong, settings, IMAGES, "wrong", 0.0, 0.0)
    assert not result.ok
    first = next(error for error in result.errors if "differ" in error)
    assert first.startswith("probe: p:") and "image 1" in first and "row 2" in first and "column 1" in first, first


def test_configurations_that_no_network_has() -> None:
    base = {"psconv": 1, "images": Images()}
    layer = {"in_channels": 1, "out_channels": 1, "height": 3, "width": 3}
    generated = {"name": "digits", "dataset": "digits"}
    with pytest.raises(ValueError, match="exactly one of bundle, layer and network"):
        RunConfig(**base, layer=layer, network=generated)
    with pytest.raises(ValueError, match="top: network needs a bundle or a network"):
        RunConfig(**base, layer=layer, top="network")
    with pytest.raises(ValueError, match="random images only"):
        RunConfig(**(base | {"images": {"source": "digits"}}), network=generated)


@pytest.mark.slow
def test_digits_under_a_hundred_random_stalls(tmp_path: Path) -> None:
    """No loss, no deadlock: 100 runs with random starvation and back-pressure."""
    from psconv.flow.config import load
    from psconv.flow.subject import make_subject

    path = EXAMPLES / "digits" / "network.yaml"
    config = load(path).model_copy(update={"images": Images(source="digits", count=3)})
    whole = make_subject(config, path).whole
    settings = Settings(Layout(tmp_path), load_target("zcu104"), 3.333, 0, Stalls())
    folder = settings.layout.synth(WHOLE)
    network_top.write(folder, whole.dataflow, "digits")
    compile_hls([folder / network_top.SOURCE], TOP, include_dirs=[INCLUDE, ENGINE, folder], out=folder)
    chances = np.random.default_rng(0).uniform(0, 0.95, (100, 2))
    for seed, (idle, backpressure) in enumerate(chances.tolist(), start=1):
        result = run_bench(whole, settings, 3, "stalled", idle, backpressure, seed=seed)
        assert result.ok, (seed, idle, backpressure, result.errors)
