"""Parallelism of a whole network: the least resources at an interval, the least interval within budgets.

The engines' options are independent of each other, what is between them is not: how long a split or a pooling takes,
and what streams cost, follows from several engines together. So the solver is asked again and again. It starts from the
engines alone, and what its choices break is added: combinations of words that make a unit too slow, what the units
between certain words cost at least, what the streams of a choice cost in truth. Each holds in every network, so the
solver's least is always a bound that none can beat; once a choice is as cheap, it is the optimum of the network as
built, streams included.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from pymodel.common.errors import ConfigError
from pymodel.engine.packing import EngineShape
from pymodel.engine.shape_of import engine_shape
from pymodel.explore.costs import Cost
from pymodel.explore.options import Option, pareto
from pymodel.explore.solve import (
    AXES,
    LANES,
    TRAFFIC,
    Answer,
    Combination,
    Price,
    Problem,
    amount,
    in_units,
    minimise,
)
from pymodel.explore.streams import inner_half_blocks, least_prices, regions, streams_cost
from pymodel.explore.technology import Technology
from pymodel.network.bundle import Bundle
from pymodel.top.cycles import processes
from pymodel.top.dataflow import Dataflow, build
from pymodel.top.packets import loadable

_KEEPS = 4  # of a search that found nothing: each keeps at least as much free as the one before it
UNLIMITED = 1 << 62  # cycles per image: slower than any network, whatever stands between its engines


@dataclass(frozen=True)
class Effort:
    """Limits of one search. They count work, not seconds, so that every machine finds the same.

    rounds: of the solver, for a small network; columns: options in all rounds together; accesses: to streams, by an
    image of each choice whose streams are priced; least: rounds and prices, however large the network is.
    """

    rounds: int
    columns: int
    accesses: int
    least: int


FULL = Effort(rounds=400, columns=1 << 17, accesses=1 << 21, least=3)
QUICK = Effort(rounds=100, columns=1 << 15, accesses=1 << 18, least=1)  # for one of many points


@dataclass(frozen=True)
class Network:
    """A bundle, and of each engine of its top the shape, its parallelism left open, and the options.

    technology: of the device. loaded: its weights are in RAM, and the shapes those of `pymodel.top.packets`.
    """

    bundle: Bundle
    shapes: Mapping[str, EngineShape]
    options: Mapping[str, Sequence[Option]]
    technology: Technology
    loaded: bool = False
    _streams: dict[tuple[Hashable, ...], Streams] = field(default_factory=dict, compare=False, repr=False)

    def at(self, interval: int) -> Network:
        """The network with only the options that a choice of at most `interval` cycles may need: few to send about."""
        lists = {id(found): found for found in self.options.values()}  # alike layers share theirs
        few = {key: pareto(found, interval, lambda option: option.trait("timing")) for key, found in lists.items()}
        return replace(self, options={name: few[id(found)] for name, found in self.options.items()})

    def dataflow(self, choice: Mapping[str, Option]) -> Dataflow:
        """The network with its layers built so."""
        shapes = {name: option.key.of(self.shapes[name]) for name, option in choice.items()}
        streamed = [name for name, option in choice.items() if option.key.streamed]
        return build(self.bundle, shapes, self.loaded, streamed)

    def interval(self, choice: Mapping[str, Option]) -> int:
        """Cycles between two images in steady state."""
        return self.dataflow(choice).interval

    def streams(self, choice: Mapping[str, Option]) -> Streams:
        """What the streams of a choice take; it is computed once for all that differ in packing alone."""
        timing = tuple(option.trait("timing") for option in choice.values())
        if timing not in self._streams:
            self._streams[timing] = Streams.of(self.dataflow(choice), self.technology)
        return self._streams[timing]


@dataclass(frozen=True)
class Streams:
    """What the streams of a choice take. inner: RAMB18 of those inside each engine; accesses: to them, by an image."""

    cost: Cost
    inner: Mapping[str, int]
    accesses: int

    @classmethod
    def of(cls, dataflow: Dataflow, technology: Technology) -> Streams:
        inner = {
            layer: inner_half_blocks(shape, layer in dataflow.streamed) for layer, shape in dataflow.shapes.items()
        }
        accesses = sum(len(at) for one in processes(dataflow) for at in (*one.reads.values(), *one.writes.values()))
        return cls(streams_cost(dataflow, technology), inner, accesses)


@dataclass(frozen=True)
class Fastest:
    """The choice of the highest frame rate. interval: its cycles per image; bound: none has fewer than this."""

    answer: Answer
    interval: int
    bound: int

    @property
    def proved(self) -> bool:
        return self.interval == self.bound


def top_shapes(bundle: Bundle, multiplier_bits: int, loaded: bool = False) -> dict[str, EngineShape]:
    """The shape of each engine that the top of a bundle has, its parallelism left open.

    Layers that the output does not depend on have none. multiplier_bits: as in EngineShape. loaded: with weights in
    RAM. Raises ConfigError.
    """
    shapes = {
        layer.name: engine_shape(bundle, layer.name, multiplier_bits=multiplier_bits)
        for layer in bundle.network.weighted_layers()
    }
    if loaded:
        shapes = {name: _loadable(name, shape) for name, shape in shapes.items()}
    return build(bundle, shapes, loaded).shapes


def _loadable(name: str, shape: EngineShape) -> EngineShape:
    """`loadable`; what it raises names the layer."""
    try:
        return loadable(shape)
    except ConfigError as error:
        raise ConfigError(f"layer {name}: {error}") from error


def cheapest(
    network: Network,
    budget: Mapping[str, float],
    interval: int,
    resource: str,
    ties: bool = True,
    enough: bool = False,
    engines_alone: bool = False,
    effort: Effort = FULL,
    known: Answer | None = None,
) -> Answer:
    """The choice with the least of `resource` that takes at most `interval` cycles per image, within a budget.

    Engines and streams count together. ties: among equals, the least of the other resources as far as the solver knows
    the streams. enough: the first choice found that fits, whatever it takes. engines_alone: streams cost nothing.
    known: a choice that fits.
    """
    search = _Search(network, budget, interval, resource, effort)
    search.best = known
    search.run(ties, enough, engines_alone)
    best = search.best
    if ties and best and search.proved and (search.rounds > 1 or best is known):
        search.settle_ties(best)
    return search.answer


class _Search:
    """The rounds of `cheapest`: what is known so far, the best choice, and a bound that none can beat."""

    def __init__(self, network: Network, budget: Mapping[str, float], interval: int, resource: str, effort: Effort):
        self.network, self.budget, self.interval, self.resource = network, allowed(budget, interval), interval, resource
        self.effort = effort
        self.problem = Problem(network.options, self.budget)
        self.slower: set[int] = set()
        self.best: Answer | None = None
        self.bound = 0.0
        self.rounds = self.columns = self.priced = self.accesses = 0

    @property
    def proved(self) -> bool:
        """Whether nothing better exists than the best choice, or none at all."""
        return self.bound >= (self._amount(self.best) if self.best else float("inf"))

    @property
    def answer(self) -> Answer:
        slower = tuple(sorted(self.slower))
        if self.best is None:
            return Answer(None, self.bound, self.proved, slower)
        bound = min(self.bound, self._amount(self.best))
        return replace(self.best, bound=bound, proved=self.proved, slower=slower)

    def run(self, ties: bool, enough: bool, engines_alone: bool = False) -> None:
        """Rounds until a proof, until any choice is found (enough), or up to the limits."""
        while not self.proved and not (enough and self.best) and not self._spent():
            relaxed = self._solve(self.problem.budget, ties and not self.rounds)
            self.bound = max(self.bound, relaxed.bound)
            if engines_alone and relaxed.choice:
                self.best = relaxed
                return
            if relaxed.choice is None or not self._learn(relaxed):
                break  # where no proof comes of that, the solver's time was over
        if self.best is None and not self.proved and not engines_alone:
            self._keep_free()

    def settle_ties(self, known: Answer) -> None:
        """Replaces the best choice by the one that takes as little of the resource and the least of the others.

        known: one of these choices, which stays the best where no other is found.
        """
        most = dict(self.budget) | {self.resource: self._amount(known)}
        self.problem, self.best = replace(self.problem, budget=most), None
        while self.best is None and not self._spent():
            relaxed = self._solve(most, True)
            if relaxed.choice is None or not self._learn(relaxed):
                break
        self.best = self.best or known

    def _solve(self, budget: Mapping[str, float], ties: bool) -> Answer:
        """The least by what is known; whatever makes a unit between its engines too slow is ruled out on the way."""
        self.rounds += 1
        self.columns += sum(map(len, self.problem.layers.values()))
        while True:
            answer = minimise(replace(self.problem, budget=budget), self.interval, self.resource, ties)
            if answer.choice is None:
                return answer
            dataflow = self.network.dataflow(answer.choice)
            cuts = conflicts(dataflow, answer.choice, self.interval)
            if not cuts:
                return answer
            self.slower |= {unit.interval for unit in dataflow.units if unit.interval > self.interval}
            self.problem = replace(self.problem, cuts=(*self.problem.cuts, *cuts))

    def _spent(self) -> bool:
        """Whether the limits are reached."""
        most = self.effort
        return (
            self.rounds >= most.rounds
            or (self.rounds >= most.least and self.columns > most.columns)
            or (self.priced >= most.least and self.accesses > most.accesses)
        )

    def _amount(self, answer: Answer) -> float:
        return in_units(amount(answer.cost, answer.chosen, self.resource), self.resource)

    def _learn(self, relaxed: Answer) -> bool:
        """Adds what the network of a choice tells: a better choice, or why it is none. False: nothing new."""
        choice = relaxed.chosen
        dataflow = self.network.dataflow(choice)
        new = self._add(least_prices(dataflow, self.interval, self.network.technology))
        known = replace(relaxed, streams=self.problem.priced(choice))
        if new and not (self._fits(known) and self._amount(known) <= self.bound):
            return True
        self._price(choice)
        return self._add_truth(choice) or new

    def _price(self, choice: dict[str, Option]) -> Answer:
        """A choice with all that it takes; it becomes the best one if it is."""
        streams = self.network.streams(choice)
        self.priced += 1
        self.accesses += streams.accesses
        true = Answer(choice, self.bound, False, streams=streams.cost)
        if self._fits(true) and (self.best is None or self._amount(true) < self._amount(self.best)):
            self.best = true
        return true

    def _add_truth(self, choice: dict[str, Option]) -> bool:
        """Adds what the streams of a choice take: those inside an engine, and all that the prices do not know."""
        streams = self.network.streams(choice)
        new = self._add(
            [
                Price(("inner", layer), {(layer, "timing"): choice[layer].trait("timing")}, Cost(half_blocks=halves))
                for layer, halves in streams.inner.items()
            ]
        )
        beyond = streams.cost - self.problem.priced(choice)
        if min(beyond.vector) < 0:
            raise ArithmeticError("streams take less than the least that they can take")
        everything: Combination = {(layer, "timing"): option.trait("timing") for layer, option in choice.items()}
        return self._add([Price("all", everything, beyond)]) or new

    def _add(self, prices: Sequence[Price]) -> bool:
        """Adds the prices that are not known; whether there are any."""
        new = [price for price in prices if price.cost != Cost() and price not in self.problem.prices]
        self.problem = replace(self.problem, prices=(*self.problem.prices, *new))
        return bool(new)

    def _fits(self, answer: Answer) -> bool:
        return all(
            in_units(amount(answer.cost, answer.chosen, kind), kind) <= most
            for kind, most in self.problem.budget.items()
            if kind in (*AXES, LANES)
        )

    def _keep_free(self) -> None:
        """Where the rounds found nothing that fits: searches on with what streams took beyond the prices kept free."""
        free = Cost()
        for _ in range(_KEEPS):
            left = {kind: most - getattr(free, kind, 0) for kind, most in self.budget.items()}
            relaxed = self._solve(left, False)
            if relaxed.choice is None:
                return
            true = self._price(relaxed.choice)
            if self.best:
                return
            free = free.most(true.streams - self.problem.priced(relaxed.choice))


def fastest(network: Network, budget: Mapping[str, float], resource: str) -> Fastest | None:
    """The choice of the highest frame rate within a budget, and of these the one with the least of `resource`.

    None: no folding fits the budget, or none was found. The intervals of the options are searched by bisection, first
    for the engines alone, as none can be faster; then the solver proves that one cycle less is impossible.
    """
    intervals = sorted({option.cycles for found in network.options.values() for option in found} | {UNLIMITED})
    impossible = max(min((option.cycles for option in found), default=0) for found in network.options.values()) - 1

    fitting: Answer | None = None

    def possible(at: int, engines_alone: bool = False) -> bool:
        nonlocal impossible, fitting
        answer = cheapest(network, budget, intervals[at], resource, False, True, engines_alone)
        if answer.choice is None and answer.proved:
            impossible = max(impossible, intervals[at])
        if answer.choice is not None and not engines_alone:
            fitting = answer
        return answer.choice is not None

    first = _first(bisect_left(intervals, impossible + 1), len(intervals), lambda at: possible(at, True))
    low, step = first, 1
    while low < len(intervals) and not possible(low):
        first, low, step = low + 1, low + step, 2 * step
    low = _first(first, min(low, len(intervals)), possible)
    if fitting is None:
        return None
    target = intervals[low]
    while True:
        found = cheapest(network, budget, target, resource, known=fitting)
        interval = network.interval(found.chosen)
        if interval - 1 <= impossible:
            return Fastest(found, interval, interval)
        fitting = cheapest(network, budget, interval - 1, resource, ties=False, enough=True)
        if fitting.choice is None:
            return Fastest(found, interval, interval if fitting.proved else impossible + 1)
        target = network.interval(fitting.choice)


def _first(low: int, high: int, holds: Callable[[int], bool]) -> int:
    """The first number from `low` up that holds, as all above it do, or `high`."""
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if holds(middle) else (middle + 1, high)
    return low


def allowed(budget: Mapping[str, float], interval: int) -> dict[str, float]:
    """A budget for images that are `interval` cycles apart: what it has of traffic is bytes a cycle."""
    found = dict(budget)
    if TRAFFIC in found and interval < UNLIMITED:
        found[TRAFFIC] *= interval
    else:
        found.pop(TRAFFIC, None)
    return found


def conflicts(dataflow: Dataflow, choice: Mapping[str, Option], interval: int) -> list[Combination]:
    """What makes a unit slower than `interval`: combinations of words around those between engines, a streamed engine.

    The cycles of an option whose weights are streamed are the least that it takes.
    """
    slow = [region.where for region in regions(dataflow) if region.iterations > interval]
    for layer, engine in dataflow.streamed.items():
        if engine.interval > interval:
            slow.append({(layer, "timing"): choice[layer].trait("timing")})
    return slow
