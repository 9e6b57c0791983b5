"""The cycles that are known before compilation, of networks whose weights are loaded."""

from __future__ import annotations

from psconv.flow.config import load
from psconv.flow.inputs import load_bundle
from psconv.flow.parallelism import engine_shapes
from pymodel.top.cycles import latency_at_most, stream_depths_between
from pymodel.top.dataflow import build
from tests.helpers.places import EXAMPLES

LOADED = EXAMPLES / "digits" / "loaded.yaml"


def test_streams_that_stay_empty_between_two_loads_do_not_count() -> None:
    """Units that weights come through: no word for an image without a load, and no reach into the images before."""
    config = load(LOADED)
    bundle = load_bundle(config, LOADED)
    shapes = engine_shapes(config, bundle)
    loaded, rom = build(bundle, shapes, loaded=True), build(bundle, shapes)
    assert set(stream_depths_between(loaded)) > {f"{layer}_words" for layer in shapes}
    ends = latency_at_most(loaded, 12).image_last
    assert [latency_at_most(loaded, count).image_last for count in (1, 2, 5)] == [ends[:1], ends[:2], ends[:5]]
    # Each engine takes an order before an image, and the packet parser a beat: at the interval of the same network with
    # its weights in ROM, a little later.
    others = latency_at_most(rom, 12).image_last
    delays = {end - other for end, other in zip(ends, others, strict=True)}
    assert len(delays) == 1 and 0 < min(delays) < 0.1 * (ends[1] - ends[0])
