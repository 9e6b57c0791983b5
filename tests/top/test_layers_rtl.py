"""Networks of every type of layer as RTL: every layer exact, cycles as predicted, memories as modelled, with stalls."""

from __future__ import annotations

from pathlib import Path

import pytest

from pymodel.common.errors import ConfigError
from pymodel.network.formats import Rounding
from pymodel.top import memory
from pymodel.top.cycles import check, latency, latency_at_most
from tests.helpers.designs import Built
from tests.helpers.networks import made, some_images

IMAGES = 3


@pytest.mark.parametrize(
    ("name", "rounding"),
    [
        ("sums that are halves", "half_even"),
        ("padded pools and means of any size", "half_up"),
        ("inception", "half_up"),
        ("shuffled", "half_up"),
        ("flattened", "half_up"),
        ("flattened words", "half_up"),
        ("one pixel pooled", "half_up"),
        ("even kernels, padding of each side", "half_up"),
        ("ReLU6 and nothing else", "half_up"),
        ("outputs on the way", "half_up"),
    ],
)
def test_a_network_is_exact(name: str, rounding: Rounding, tmp_path: Path) -> None:
    bundle, dataflow = made(name, rounding)
    built = Built.of(dataflow, bundle, some_images(bundle, IMAGES), tmp_path)
    check(dataflow, built.schedule)
    result = built.simulated("free")
    assert result.ok, result.errors
    ports = dataflow.sink_beats
    judged = set(ports) if len(ports) > 1 else set()  # each by itself only where there are several
    assert set(result.probes) == {stream.name for stream in dataflow.probes.values()} - set(ports) | judged
    assert {probe["mismatch_count"] for probe in result.probes.values()} <= {0}
    start = result.cycles["first_in"]
    model = latency(dataflow, built.schedule, IMAGES, start)
    assert [end - start for end in result.cycles["image_last"]] == model.image_last
    assert result.cycles["total"] == model.total <= latency_at_most(dataflow, IMAGES).total
    held = memory.built(built.schedule)
    held.pop(memory.FIFOS)
    assert held == memory.needed(dataflow)
    for seed, (idle, backpressure) in enumerate([(0.5, 0.0), (0.0, 0.7), (0.4, 0.4)]):
        stalled = built.simulated("stalled", idle=idle, backpressure=backpressure, seed=seed)
        assert stalled.ok, stalled.errors


def test_a_mean_whose_halves_would_go_to_even_has_no_unit() -> None:
    with pytest.raises(ConfigError, match="layer wide: the elements of a mean must be odd or a power of two .* got 36"):
        made("padded pools and means of any size", "half_even")
