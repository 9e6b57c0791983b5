"""Every choice of parallelism of a small network, one by one: what the solver is compared with."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest

from pymodel.explore.costs import Cost, engine_cost
from pymodel.explore.network import Network, top_shapes
from pymodel.explore.options import Option, options
from pymodel.explore.solve import total
from pymodel.explore.streamed_costs import streamed_cost
from pymodel.explore.streams import streams_cost
from pymodel.explore.technology import ULTRASCALE_PLUS, Technology, calibrated
from pymodel.network.bundle import Bundle
from pymodel.top.dataflow import Dataflow

TECHNOLOGY = ULTRASCALE_PLUS
every_technology = pytest.mark.parametrize("technology", calibrated(), ids=lambda each: each.name)


def explored(
    bundle: Bundle,
    multipliers: int = 1 << 16,
    packing: bool = True,
    channels: bool = True,
    loaded: bool = False,
    streamed: bool = False,
    technology: Technology = TECHNOLOGY,
) -> Network:
    """A network with all its options; alike layers share theirs."""
    shapes = top_shapes(bundle, technology.multiplier_bits, loaded)
    distinct = {shape.model_dump_json(): shape for shape in shapes.values()}
    found = {
        key: options(shape, multipliers, technology, packing, channels, streamed) for key, shape in distinct.items()
    }
    ways = {name: found[shape.model_dump_json()] for name, shape in shapes.items()}
    return Network(bundle, shapes, ways, technology, loaded)


def built(network: Network) -> Iterator[tuple[tuple[Option, ...], int, Cost]]:
    """Every choice with the cycles and the streams of the network as built, which do not depend on packing
    or on where weights lie."""
    known: dict[object, tuple[int, Cost]] = {}
    for picks in itertools.product(*network.options.values()):
        key = tuple(option.trait("timing") for option in picks)
        if key not in known:
            dataflow = network.dataflow(dict(zip(network.options, picks, strict=True)))
            known[key] = dataflow.interval, streams_cost(dataflow, network.technology)
        cycles, streams = known[key]
        yield picks, cycles, total(picks) + streams


def cost_of(dataflow: Dataflow, technology: Technology = TECHNOLOGY) -> Cost:
    """What the model says of a network as built: engines, and what stands between them."""
    engines = (
        (streamed_cost if layer in dataflow.streamed else engine_cost)(shape, technology)
        for layer, shape in dataflow.shapes.items()
    )
    return sum(engines, streams_cost(dataflow, technology))
