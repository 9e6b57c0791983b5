"""The choice of one option for each layer: an integer program, solved to the optimum by HiGHS (scipy.optimize.milp).

What options take by themselves are their costs; what some of them take together, if only they are chosen together, are
prices (streams between them). Every coefficient is an integer and every answer is checked in integers here, so a choice
that is returned is feasible beyond doubt. That no better one exists is HiGHS' proof by branch and bound, in double
precision with tolerances (1e-6) far below the 1 by which two different sums differ.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, milp

from pymodel.common.arrays import Bool, Floats
from pymodel.common.errors import InternalError
from pymodel.common.output import libraries_silent
from pymodel.explore.costs import KINDS, Cost
from pymodel.explore.options import Option, Trait, pareto

TRAFFIC = "traffic"
AXES = (*KINDS, TRAFFIC)  # of Cost.vector
LANES = "lanes"  # what the utilisation is of: no resource, but it can be minimised like one
Combination = Mapping[tuple[str, Trait], Hashable]  # (layer, trait of its option) -> what that is


@dataclass(frozen=True)
class Price:
    """What a part of the network takes at least where a combination is chosen: the most that any of its prices says."""

    part: Hashable
    where: Combination
    cost: Cost


@dataclass(frozen=True)
class Problem:
    """Options of each layer, budgets by resource (those without one are not limited), and what is known of layers
    together: combinations ruled out, and prices.
    """

    layers: Mapping[str, Sequence[Option]]
    budget: Mapping[str, float]
    cuts: tuple[Combination, ...] = ()
    prices: tuple[Price, ...] = ()
    seconds: float = field(default=60.0, kw_only=True)  # at most, for one call of the solver

    def priced(self, choice: Mapping[str, Option]) -> Cost:
        """What the prices come to in a choice."""
        parts: dict[Hashable, Cost] = {}
        for price in self.prices:
            if all(choice[layer].trait(trait) == value for (layer, trait), value in price.where.items()):
                parts[price.part] = parts.get(price.part, Cost()).most(price.cost)
        return sum(parts.values(), Cost())

    def rivals(self, interval: int, by_lanes: bool) -> dict[str, list[Option]]:
        """The options of at most `interval` cycles that a solution may need, by layer.

        One that another equals or beats in everything is in no better one, but where cuts or prices tell them apart.
        """
        told: dict[str, dict[Trait, set[Hashable]]] = {name: {} for name in self.layers}
        for where in (*self.cuts, *(price.where for price in self.prices)):
            for (layer, trait), value in where.items():
                told[layer].setdefault(trait, set()).add(value)

        def kept(name: str) -> list[Option]:
            traits = told[name].items()
            return pareto(
                self.layers[name],
                interval,
                lambda option: tuple((value := option.trait(trait)) in values and value for trait, values in traits),
                by_lanes,
            )

        alike: dict[Hashable, list[Option]] = {}  # layers that share their options and that nothing tells apart
        found = {}
        for name, each in self.layers.items():
            key = name if told[name] else id(each)
            if key not in alike:
                alike[key] = kept(name)
            found[name] = alike[key]
        return found


@dataclass(frozen=True)
class Answer:
    """What the solver found for one interval.

    choice: the option of each layer; None: there is none (`proved`) or none was found.
    bound: the least that the minimised resource can be; proved: nothing better exists.
    slower: cycles per image of the choices ruled out on the way, whose units between the engines are too slow.
    streams: what the choice takes beside its engines.
    """

    choice: dict[str, Option] | None
    bound: float
    proved: bool
    slower: tuple[int, ...] = ()
    streams: Cost = Cost()

    @property
    def chosen(self) -> dict[str, Option]:
        """The choice, where there is one. Raises InternalError where there is none."""
        if self.choice is None:
            raise InternalError("a choice was asked for where the solver found none")
        return self.choice

    @property
    def engines(self) -> Cost:
        return total(self.chosen.values())

    @property
    def cost(self) -> Cost:
        """What engines and streams take together."""
        return self.engines + self.streams


def total(chosen: Iterable[Option]) -> Cost:
    """The sum of the options' costs."""
    return sum((option.cost for option in chosen), Cost())


def minimise(problem: Problem, interval: int, resource: str, ties: bool = True) -> Answer:
    """The choice of at most `interval` cycles in every layer with the least of `resource`, or of LANES.

    ties: among equals, the least of the other resources in the order of AXES. `streams` of the answer are the prices.
    """
    layers = problem.rivals(interval, resource == LANES)
    if not all(layers.values()):
        return Answer(None, float("inf"), True)
    program = _Program(layers, problem)
    best: Answer | None = None
    others = [axis for axis in AXES if axis != resource and program.takes(axis)]
    for axis in (resource, *(others if ties else ())):
        chosen, bound, proved = program.least(axis)
        if chosen is None:
            break
        streams = problem.priced(chosen)
        found = amount(total(chosen.values()) + streams, chosen, axis)
        if best is None:
            best = Answer(chosen, in_units(max(0.0, min(bound, found)), axis), proved, streams=streams)
        else:
            best = Answer(chosen, best.bound, best.proved, streams=streams)
        program.limit(axis, found)
    return best or Answer(None, in_units(max(bound, 0.0), resource), proved)


def amount(cost: Cost, choice: Mapping[str, Option], axis: str) -> int:
    """What a choice of that cost takes of a resource (BRAM in halves), or its lanes."""
    return sum(option.lanes for option in choice.values()) if axis == LANES else cost.vector[AXES.index(axis)]


def in_units(amount: float, axis: str) -> float:
    """An amount of the solver's in units of the resource."""
    return amount / _unit(axis)


def _unit(axis: str) -> int:
    """How many of the solver's units are one of the resource."""
    return 2 if axis == "BRAM" else 1


class _Program:
    """The variables of a problem and its constraints.

    One 0/1 variable for each option of each layer; for each part that has prices, and each resource, what it takes.
    """

    def __init__(self, layers: Mapping[str, Sequence[Option]], problem: Problem):
        self.seconds = problem.seconds
        self.flat = [(name, option) for name, found in layers.items() for option in found]
        costliest = Cost()
        for price in problem.prices:
            costliest = costliest.most(price.cost)
        self.priced = {axis for axis, most in zip(AXES, costliest.vector, strict=True) if most}
        self.parts = {part: at for at, part in enumerate(dict.fromkeys(price.part for price in problem.prices))}
        self.rows: list[Floats] = []
        self.lower: list[float] = []
        self.upper: list[float] = []
        for layer in layers:
            self._add(self._row([name == layer for name, _ in self.flat]), 1.0, 1.0)
        for kind, most in problem.budget.items():
            if kind in (*AXES, LANES):
                self.limit(kind, math.floor(most * _unit(kind)))
        for cut in problem.cuts:
            self._add(self._row(self._met(cut)), -np.inf, len(cut) - 1.0)
        for price in problem.prices:
            met, conditions = self._row(self._met(price.where)), len(price.where)
            for axis, cost in zip(AXES, price.cost.vector, strict=True):
                if cost:
                    row = cost * met
                    row[self._column(price.part, axis)] = -1.0
                    self._add(row, -np.inf, cost * (conditions - 1.0))

    def _met(self, where: Combination) -> list[int]:
        """How many conditions of a combination each option meets."""
        return [
            sum(name == layer and option.trait(trait) == value for (layer, trait), value in where.items())
            for name, option in self.flat
        ]

    def _row(self, of_options: Sequence[float]) -> Floats:
        return np.concatenate([np.array(of_options, float), np.zeros(len(self.parts) * len(AXES))])

    def _column(self, part: Hashable, axis: str) -> int:
        return len(self.flat) + self.parts[part] * len(AXES) + AXES.index(axis)

    def _add(self, row: Floats, lower: float, upper: float) -> None:
        self.rows.append(row)
        self.lower.append(lower)
        self.upper.append(upper)

    def limit(self, axis: str, most: int) -> None:
        """At most so much of a resource (BRAM in halves)."""
        self._add(self._amounts(axis), -np.inf, most)

    def takes(self, axis: str) -> bool:
        """Whether anything takes of a resource."""
        return any(amount(option.cost, {"": option}, axis) for _, option in self.flat) or axis in self.priced

    def _amounts(self, axis: str) -> Floats:
        row = self._row([amount(option.cost, {"": option}, axis) for _, option in self.flat])
        if axis != LANES:
            row[[self._column(part, axis) for part in self.parts]] = 1.0
        return row

    def least(self, axis: str) -> tuple[dict[str, Option] | None, float, bool]:
        """(choice with the least of a resource, or None; lower bound of that; whether it is proved)."""
        options, prices = len(self.flat), len(self.parts) * len(AXES)
        with libraries_silent():  # HiGHS prints lines about some solutions that it finds
            result = milp(
                self._amounts(axis),
                integrality=np.repeat([1, 0], [options, prices]),
                bounds=Bounds(0, np.repeat([1, np.inf], [options, prices])),
                constraints=LinearConstraint(np.array(self.rows), self.lower, self.upper),
                options={"time_limit": self.seconds, "mip_rel_gap": 0.0},
            )
        if result.status == 2:  # infeasible
            return None, float("inf"), True
        bound = float(np.ceil((result.mip_dual_bound or 0.0) - 1e-3))
        if result.x is None:
            return None, bound, False
        picked = result.x[:options] > 0.5
        self._check(picked)
        chosen = {name: option for (name, option), one in zip(self.flat, picked, strict=True) if one}
        return chosen, bound, result.status == 0

    def _check(self, picked: Bool) -> None:
        """The answer holds in integers: nothing of it rests on a tolerance.

        A part takes the most that its prices say, which is all that the rest of its rows ask for.
        """
        rows = np.array(self.rows).astype(np.int64)
        options = len(self.flat)
        sums = rows[:, :options] @ picked.astype(np.int64)
        prices = rows[:, options:]
        taken = np.zeros(prices.shape[1], np.int64)
        for row, of_options, upper in zip(prices, sums, self.upper, strict=True):
            if (row < 0).any():
                column = int(np.flatnonzero(row < 0)[0])
                taken[column] = max(taken[column], of_options - int(upper))
        sums += prices @ taken
        if (sums < np.array(self.lower)).any() or (sums > np.array(self.upper)).any():
            raise ArithmeticError("HiGHS returned a choice that breaks a constraint")
