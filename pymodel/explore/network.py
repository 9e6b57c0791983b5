"""Parallelism of a whole network: the least resources at an interval, the least interval within budgets.

The engines' options are independent of each other, the units between them are not: how long a split or a pooling takes
follows from the words of the engines around it. A choice whose units in between are too slow is ruled out, together
with all that have the same words there, and the solver asked again; so the answers hold for the network as built.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from pymodel.bundle import Bundle
from pymodel.cycles import stream_depths
from pymodel.dataflow import Dataflow, build
from pymodel.explore.costs import Cost
from pymodel.explore.memories import Memory, feeder_memories, half_blocks, total_half_blocks
from pymodel.explore.options import Option, pareto
from pymodel.explore.solve import Answer, Cut, Problem, minimise
from pymodel.network_cycles import processes, slowest, stream_depths_between
from pymodel.packing import EngineShape
from pymodel.units import EngineUnit, PoolUnit, Unit

_UNLIMITED = 1 << 62  # cycles per image: slower than any network, whatever stands between its engines
_BLOCK_FIFO = 64, 4096  # openhls (primitives.py): FIFOs deeper and at least as large lie in block RAM


@dataclass(frozen=True)
class Network:
    """A bundle, and of each of its layers with weights the engine, its parallelism left open, and the options."""

    bundle: Bundle
    shapes: Mapping[str, EngineShape]
    options: Mapping[str, Sequence[Option]]

    def at(self, interval: int) -> Network:
        """The network with only the options that a choice of at most `interval` cycles may need: few to send about."""
        lists = {id(found): found for found in self.options.values()}  # alike layers share theirs
        few = {key: pareto(found, interval, by_groups=True) for key, found in lists.items()}
        return replace(self, options={name: few[id(found)] for name, found in self.options.items()})

    def dataflow(self, choice: Mapping[str, Option]) -> Dataflow:
        """The network with its layers built so."""
        return build(self.bundle, {name: option.key.of(self.shapes[name]) for name, option in choice.items()})

    def interval(self, choice: Mapping[str, Option]) -> int:
        """Cycles between two images in steady state."""
        return slowest(self.dataflow(choice)).iterations


@dataclass(frozen=True)
class Fastest:
    """The choice of the highest frame rate. interval: its cycles per image; bound: none has fewer than this."""

    answer: Answer
    interval: int
    bound: int

    @property
    def proved(self) -> bool:
        return self.interval == self.bound


def cheapest(network: Network, budget: Mapping[str, float], interval: int, resource: str, ties: bool = True) -> Answer:
    """The choice with the least of `resource` that takes at most `interval` cycles per image, within a budget."""
    problem, slower = Problem(network.options, budget), set[int]()
    while True:
        answer = minimise(problem, interval, resource, ties)
        dataflow = network.dataflow(answer.choice) if answer.choice else None
        cuts = conflicts(dataflow, interval) if dataflow else []
        if not cuts:
            return replace(answer, slower=tuple(sorted(slower)))
        slower |= {process.iterations for process in processes(dataflow) if process.iterations > interval}
        problem = replace(problem, cuts=(*problem.cuts, *cuts))


def fastest(network: Network, budget: Mapping[str, float], resource: str) -> Fastest | None:
    """The choice of the highest frame rate within a budget, and of these the one with the least of `resource`.

    None: no folding fits the budget (or none was found in the solver's time). The intervals of the options are
    searched by bisection; then the solver proves that one cycle less is impossible.
    """
    intervals = sorted({option.cycles for found in network.options.values() for option in found} | {_UNLIMITED})
    impossible = max(min((option.cycles for option in found), default=0) for found in network.options.values()) - 1
    low, high = bisect_left(intervals, impossible + 1), len(intervals)
    while low < high:
        middle = (low + high) // 2
        answer = cheapest(network, budget, intervals[middle], resource, ties=False)
        if answer.choice is not None:
            high = middle
        else:
            low = middle + 1
            if answer.proved:
                impossible = max(impossible, intervals[middle])
    if low == len(intervals):
        return None
    target = intervals[low]
    while True:
        found = cheapest(network, budget, target, resource)
        interval = network.interval(found.choice)
        if interval - 1 <= impossible:
            return Fastest(found, interval, interval)
        better = cheapest(network, budget, interval - 1, resource, ties=False)
        if better.choice is None:
            return Fastest(found, interval, interval if better.proved else impossible + 1)
        target = network.interval(better.choice)


def conflicts(dataflow: Dataflow, interval: int) -> list[Cut]:
    """The combinations of words that make a unit between engines slower than `interval`."""
    between = [unit for unit in dataflow.units if not isinstance(unit, EngineUnit)]
    slow = [unit for unit in between if any(process.iterations > interval for process in unit.processes())]
    cuts: list[Cut] = []
    for unit in slow:
        cut = _words_around(_region(unit, between), dataflow)
        if cut not in cuts:
            cuts.append(cut)
    return cuts


def _region(unit: Unit, between: Sequence[Unit]) -> set[str]:
    """Names of the streams of a unit and of all that it is connected to without an engine in between."""
    streams = {stream.name for stream in (*unit.reads, *unit.writes)}
    size = 0
    while size != len(streams):
        size = len(streams)
        for other in between:
            own = {stream.name for stream in (*other.reads, *other.writes)}
            if own & streams:
                streams |= own
    return streams


def _words_around(streams: set[str], dataflow: Dataflow) -> Cut:
    cut: dict[tuple[str, int], int] = {}
    for layer, engine in dataflow.engines.items():
        sides = (engine.reads, engine.shape.in_channels_per_beat), (engine.writes, engine.shape.out_channels_per_beat)
        for side, (own, group) in enumerate(sides):
            if streams & {stream.name for stream in own}:
                cut[layer, side] = group
    return cut


def streams_cost(dataflow: Dataflow) -> Cost:
    """Of the streams between and inside the units, and of the poolings' line memories.

    Block RAM exactly, from the depths of the cycle model; look-up tables and flip-flops of FIFOs as estimates, those of
    additions, poolings and regroupings not at all.
    """
    depths = stream_depths_between(dataflow)
    halves, rest = 0, Cost()
    for unit in dataflow.units:
        if isinstance(unit, EngineUnit):
            halves += inner_half_blocks(unit.shape)
        elif isinstance(unit, PoolUnit):
            halves += total_half_blocks(feeder_memories(unit, unit.reads[0].words.word_bits))
        for stream in unit.writes:
            if stream.name in depths:
                fifo = _fifo(depths[stream.name], stream.word_bits)
                # An engine's model has the logic of a FIFO at its output.
                rest += Cost(half_blocks=fifo.half_blocks) if isinstance(unit, EngineUnit) else fifo
    return rest + Cost(half_blocks=halves)


def inner_half_blocks(shape: EngineShape) -> int:
    """RAMB18 of the streams inside an engine. Those of columns are deep where windows come channel by channel."""
    taps = {"columns": shape.kernel, "windows": shape.kernel**2}
    return sum(_fifo(depth, shape.piece_bits * taps[name]).half_blocks for name, depth in stream_depths(shape).items())


def _fifo(depth: int, width: int) -> Cost:
    """A FIFO of openhls: an output register, and depth - 1 words behind it. Look-up tables as counted on a few."""
    if depth == 1:
        return Cost(LUT=2, FF=width + 1)
    least_depth, least_bits = _BLOCK_FIFO
    if depth > least_depth and depth * width >= least_bits:
        return Cost(half_blocks=half_blocks(depth - 1, width, True), LUT=2 * width + 20, FF=2 * width + 12)
    return Cost(LUT=Memory("fifo", depth - 1, width, True).luts + width + 20, FF=width + 12)


def within(cost: Cost, budget: Mapping[str, float]) -> bool:
    """Whether a cost keeps a budget."""
    return all(cost.to_json()[kind] <= amount for kind, amount in budget.items())
