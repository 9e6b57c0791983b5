"""Parallelism that fits a budget together with the streams between the engines."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pymodel.explore.costs import Cost
from pymodel.explore.network import Network, cheapest, fastest, streams_cost, within
from pymodel.explore.solve import Answer
from pymodel.explore.utilisation import most_utilised
from pymodel.network_cycles import slowest

_ROUNDS = 4  # of `fitted`: each leaves at least as much free as the one before


@dataclass(frozen=True)
class Fitted:
    """A choice that fits a budget with its streams.

    interval: cycles per image; streams: what the streams take, beside answer.cost of the engines.
    bounds: what no choice can beat, streams left out, hence below what any has.
    """

    answer: Answer
    interval: int
    streams: Cost
    bounds: Bounds

    @property
    def cost(self) -> Cost:
        return self.answer.cost + self.streams


@dataclass(frozen=True)
class Bounds:
    """amount: the least of the minimised resource at the interval found. None: not asked for.

    interval: the least cycles per image. product: the least lanes times cycles per image.
    """

    amount: float | None = None
    interval: int | None = None
    product: float | None = None


def fitted(
    network: Network, budget: Mapping[str, float], resource: str, interval: int | None = None, utilised: bool = False
) -> Fitted | None:
    """Within a budget the least of `resource` at an interval, or the highest frame rate (interval: None).

    utilised: instead the best use of the lanes, in at most `interval` cycles per image.

    What the streams take is known only when all layers are chosen. Where they do not fit beside the engines, the
    search is repeated with that much kept free; the bounds stay those of the first search. None: nothing fits.
    """
    free, first = Cost(), None
    for _ in range(_ROUNDS):
        left = {kind: amount - getattr(free, kind, 0) for kind, amount in budget.items()}
        answer, bounds = _search(network, left, resource, interval, utilised)
        if answer is None or answer.choice is None:
            return None
        first = first or bounds
        dataflow = network.dataflow(answer.choice)
        streams = streams_cost(dataflow)
        if within(answer.cost + streams, budget):
            return Fitted(answer, slowest(dataflow).iterations, streams, first)
        free = Cost(*(max(a, b) for a, b in zip(free.vector, streams.vector, strict=True)))
    return None


def _search(
    network: Network, budget: Mapping[str, float], resource: str, interval: int | None, utilised: bool
) -> tuple[Answer | None, Bounds]:
    """The best choice by its engines alone."""
    if utilised:
        found = most_utilised(network, budget, interval)
        return (found.answer, Bounds(product=found.bound)) if found else (None, Bounds())
    if interval is None:
        found = fastest(network, budget, resource)
        return (found.answer, Bounds(found.answer.bound, found.bound)) if found else (None, Bounds())
    answer = cheapest(network, budget, interval, resource)
    return answer, Bounds(answer.bound)
