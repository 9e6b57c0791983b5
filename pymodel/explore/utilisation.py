"""The parallelism of a network whose lanes are busiest, and its interval.

With m lanes, each a product a cycle, and T cycles per image, macs / (m * T) of what they could do is done; so the least
m * T is searched, over all T. Only T matter that are the cycles of an option or of a unit between engines, and of these
only few have to be solved: m(T), the least lanes with which T is reached, is no less than the sum of each layer's
least, and no less than m(T') for a larger T'. Where T times that reaches the best product found, T needs no solver.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate

from pymodel.explore.network import Network, cheapest
from pymodel.explore.options import Option
from pymodel.explore.solve import LANES, Answer


@dataclass(frozen=True)
class Utilised:
    """The choice with the least product of lanes and cycles per image; of equal ones that of fewest cycles.

    interval: its cycles per image. product: what there is room for in them, in multiply-accumulates; bound: no choice
    has a lower one. solved: of how many intervals the solver was asked; intervals: how many there are.
    """

    answer: Answer
    interval: int
    product: int
    bound: float
    solved: int
    intervals: int


def lanes(choice: Mapping[str, Option]) -> int:
    """The lanes of a choice: products that it can make in a cycle, however many share a multiplier."""
    return sum(option.lanes for option in choice.values())


def most_utilised(network: Network, budget: Mapping[str, float], interval: int | None = None) -> Utilised | None:
    """The choice whose lanes are best used, within a budget and at most `interval` cycles per image.

    None: no folding fits (or none was found in the solver's time).
    """
    floors = [_Floor(found) for found in network.options.values()]
    first = max(floor.cycles[0] for floor in floors)
    intervals = {cycles for floor in floors for cycles in floor.cycles if cycles >= first}
    pending = {at: sum(floor.at(at) for floor in floors) for at in intervals if interval is None or at <= interval}
    best: tuple[int, int] | None = None  # product, interval
    unproved: list[float] = []
    asked, solved = set[int](), set[int]()
    while pending:
        bound, at = min((at * least, at) for at, least in pending.items())
        if best and (bound, at) >= best:
            break
        # The engines alone are quickly solved, and mostly enough to see that another interval comes first.
        alone = at not in asked
        asked.add(at)
        answer = cheapest(network, budget, at, LANES, ties=False, engines_alone=alone)
        solved.add(at)
        for slower in answer.slower:  # what was ruled out here is a choice for these
            if slower not in intervals and (interval is None or slower <= interval):
                intervals.add(slower)
                pending[slower] = sum(floor.at(slower) for floor in floors)
        if answer.choice is None and answer.proved:  # no shorter interval can be reached either
            pending = {other: least for other, least in pending.items() if other > at}
            continue
        if answer.bound < float("inf"):
            floor = int(answer.bound)
            pending = {other: max(least, floor) if other <= at else least for other, least in pending.items()}
        if alone and answer.choice is not None:
            continue
        del pending[at]
        if not answer.proved:
            unproved.append(at * max(answer.bound, bound / at))
        if answer.choice is None:
            continue
        reached = network.interval(answer.choice)
        found = reached * lanes(answer.choice), reached
        best = min(best or found, found)
    if best is None:
        return None
    product, reached = best
    answer = cheapest(network, budget, reached, LANES)
    return Utilised(answer, reached, product, min([product, *unproved]), len(solved), len(intervals))


class _Floor:
    """For one layer: the fewest lanes that reach a given interval."""

    def __init__(self, found: Sequence[Option]):
        pairs = sorted((option.cycles, option.lanes) for option in found)
        self.cycles = [cycles for cycles, _ in pairs]
        self._least = list(accumulate((lanes for _, lanes in pairs), min))

    def at(self, interval: int) -> int:
        return self._least[bisect_right(self.cycles, interval) - 1]
