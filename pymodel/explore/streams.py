"""What stands between the engines of a network takes: of a whole choice, and of the words around a few units.

What stands between two engines (splits, gatherings, forks, additions, poolings) follows from the words that they write
and read; how deep its streams are, from the timing of the whole network.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass

from openhls.backend.storage import DISTRIBUTED_BITS, DISTRIBUTED_DEPTH

from pymodel.engine.cycles import STAGES, stream_depths, streamed_depths
from pymodel.engine.packing import EngineShape
from pymodel.engine.windows import WindowShape, span
from pymodel.explore.costs import Cost, fifo_cost, fifo_half_blocks
from pymodel.explore.options import Trait
from pymodel.explore.solve import Combination, Price
from pymodel.explore.technology import Technology
from pymodel.explore.unit_costs import unit_cost
from pymodel.top.cycles import stream_depths_between
from pymodel.top.dataflow import Dataflow, forms
from pymodel.top.units import EngineUnit, LoaderUnit, PoolUnit, Stream, StreamedEngineUnit, Unit

_RETURN = STAGES + 2  # cycles from a credit's use to its return at least, with which depths are computed


@dataclass(frozen=True)
class Region:
    """Units that are connected without an engine in between, and the words of the engines around them.

    where: a choice has a region like it if its engines have these words.
    """

    units: tuple[Unit, ...]
    where: Combination

    @property
    def iterations(self) -> int:
        """Iterations of its slowest process for an image."""
        return max(process.iterations for unit in self.units for process in unit.processes())


def regions(dataflow: Dataflow) -> Iterator[Region]:
    """The regions between the engines, in order.

    What brings weights to the engines is in none: it works before an image, and so connects what images do not.
    """
    left = [unit for unit in dataflow.units if not isinstance(unit, EngineUnit | LoaderUnit)]
    while left:
        units, streams, found = list[Unit](), set[str](), left[:1]
        while found:
            units += found
            left = [unit for unit in left if unit not in found]
            streams |= set().union(*map(_tensors, found))
            found = [unit for unit in left if streams & _tensors(unit)]
        where: dict[tuple[str, Trait], Hashable] = {}
        for layer, engine in dataflow.engines.items():
            if streams & {stream.name for stream in engine.reads if isinstance(stream, Stream)}:
                where[layer, "reads"] = forms(engine.shape)[0]
            if streams & {stream.name for stream in engine.writes}:
                where[layer, "writes"] = forms(engine.shape)[1]
        yield Region(tuple(units), where)


def _tensors(unit: Unit) -> set[str]:
    """The streams of a unit that carry elements of an image."""
    return {stream.name for stream in (*unit.reads, *unit.writes) if isinstance(stream, Stream)}


def streams_cost(dataflow: Dataflow, technology: Technology) -> Cost:
    """What the streams between and inside the units take, and the units that are no engines.

    DSP blocks and block RAM exactly, the latter from the depths of the cycle model; look-up tables and flip-flops as
    estimates.
    """
    depths = stream_depths_between(dataflow)
    cost = Cost()
    for unit in dataflow.units:
        engine = isinstance(unit, EngineUnit)
        if isinstance(unit, EngineUnit):
            cost += Cost(half_blocks=inner_half_blocks(unit.shape, isinstance(unit, StreamedEngineUnit)))
        else:
            cost += unit_cost(unit, technology)
        if isinstance(unit, PoolUnit):
            for depth, width in _feeder_fifos(unit.feeder_depths, unit, unit.piece_bits):
                cost += fifo_cost(depth, width, technology)
        for stream in unit.writes:
            if stream.name in depths:
                fifo = fifo_cost(depths[stream.name], stream.word_bits, technology)
                # An engine's model has the logic of a FIFO at its output.
                cost += Cost(half_blocks=fifo.half_blocks) if engine else fifo
    return cost


def least_prices(dataflow: Dataflow, interval: int, technology: Technology) -> list[Price]:
    """What the regions of a network take at least, in any choice of at most `interval` cycles with their words."""
    between = {stream.name for stream in dataflow.streams}
    found = []
    for region in regions(dataflow):
        cost = Cost()
        for unit in region.units:
            cost += unit_cost(unit, technology)
            for stream in unit.writes:
                if stream.name in between and isinstance(stream, Stream):
                    cost += _least_fifo(stream.words.count, stream.word_bits, interval, technology)
        found.append(Price(tuple(sorted(region.where)), region.where, cost))
    return found


def inner_half_blocks(shape: EngineShape, streamed: bool = False) -> int:
    """RAMB18 of the feeder's streams in an engine. Those of columns are deep where windows come channel by channel."""
    fifos = _feeder_fifos(streamed_depths(shape) if streamed else stream_depths(shape), shape, shape.piece_bits)
    return sum(fifo_half_blocks(depth, width) for depth, width in fifos)


def _feeder_fifos(depths: Mapping[str, int], shape: WindowShape, bits: int) -> list[tuple[int, int]]:
    """Depth and width of a feeder's streams of columns and windows; bits: of one tap."""
    taps = {"columns": shape.kernel * shape.Tx, "windows": shape.kernel * span(shape)}
    return [(depth, bits * taps[name]) for name, depth in depths.items()]


def _least_fifo(words: int, width: int, interval: int, technology: Technology) -> Cost:
    """What a FIFO takes at least that passes so many words in at most `interval` cycles.

    Each word holds a credit for _RETURN cycles, so where these come to more than the interval two are out at once.
    """
    one, two = fifo_cost(1, width, technology), fifo_cost(2, width, technology)
    if words * _RETURN <= interval:
        return Cost(LUT=one.LUT, FF=min(one.FF, two.FF))
    shallowest = max(DISTRIBUTED_DEPTH + 1, -(-DISTRIBUTED_BITS // width))
    block = fifo_cost(shallowest, width, technology)
    return Cost(LUT=min(two.LUT, block.LUT), FF=two.FF)
