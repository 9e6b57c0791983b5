"""The choice of one option for each layer: an integer program, solved to the optimum by HiGHS (scipy.optimize.milp).

Every coefficient is an integer and every answer is checked in integers here, so a choice that is returned is feasible
beyond doubt. That no better one exists is HiGHS' proof by branch and bound, in double precision with tolerances (1e-6)
far below the 1 by which two different sums differ.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, milp

from pymodel.explore.costs import Cost
from pymodel.explore.options import Option, pareto

AXES = ("DSP", "BRAM", "LUT", "FF")  # of Cost.vector
LANES = "lanes"  # what the utilisation is of: no resource, but it can be minimised like one
Cut = Mapping[tuple[str, int], int]  # (layer, 0 for its input or 1 for its output) -> channels of a word: not together


@dataclass(frozen=True)
class Problem:
    """Options of each layer, budgets by resource (those without one are not limited), combinations ruled out."""

    layers: Mapping[str, Sequence[Option]]
    budget: Mapping[str, float]
    cuts: tuple[Cut, ...] = ()
    seconds: float = field(default=60.0, kw_only=True)  # at most, for one call of the solver


@dataclass(frozen=True)
class Answer:
    """What the solver found for one interval.

    choice: the option of each layer; None: there is none (`proved`) or none was found in time.
    bound: the least that the minimised resource can be; proved: nothing better exists.
    slower: cycles per image of the choices ruled out on the way, whose units between the engines are too slow.
    """

    choice: dict[str, Option] | None
    bound: float
    proved: bool
    slower: tuple[int, ...] = ()

    @property
    def cost(self) -> Cost:
        return total(self.choice.values())


def total(chosen: Iterable[Option]) -> Cost:
    """The sum of the options' costs."""
    return sum((option.cost for option in chosen), Cost())


def minimise(problem: Problem, interval: int, resource: str, ties: bool = True) -> Answer:
    """The choice of at most `interval` cycles in every layer with the least of `resource`, or of LANES.

    ties: among equals, the least of the other resources in the order of AXES.
    """
    by_groups, by_lanes = bool(problem.cuts), resource == LANES
    layers = {name: pareto(found, interval, by_groups, by_lanes) for name, found in problem.layers.items()}
    if not all(layers.values()):
        return Answer(None, float("inf"), True)
    program = _Program(layers, problem)
    best: Answer | None = None
    others = [axis for axis in AXES if axis != resource]
    for axis in (resource, *(others if ties else ())):
        chosen, bound, proved = program.least(axis)
        if chosen is None:
            break
        found = sum(program.amount(option, axis) for option in chosen.values())
        if best is None:
            scale = 2 if resource == "BRAM" else 1
            best = Answer(chosen, max(0.0, min(bound, found)) / scale, proved)
        else:
            best = Answer(chosen, best.bound, best.proved)
        program.limit(axis, found)
    return best or Answer(None, max(bound, 0.0), proved)


class _Program:
    """The 0/1 variables (one for each option of each layer) and constraints of a problem."""

    def __init__(self, layers: Mapping[str, Sequence[Option]], problem: Problem):
        self.layers, self.seconds = layers, problem.seconds
        self.flat = [(name, option) for name, found in layers.items() for option in found]
        one = np.array([[float(name == layer) for name, _ in self.flat] for layer in layers])
        self.rows, self.lower, self.upper = [*one], [1.0] * len(layers), [1.0] * len(layers)
        for kind, amount in problem.budget.items():
            if kind in AXES:
                self.limit(kind, int(amount * (2 if kind == "BRAM" else 1)))
        for cut in problem.cuts:
            row = [sum(name == layer and option.groups[side] == group for (layer, side), group in cut.items())
                   for name, option in self.flat]  # fmt: skip
            self._at_most(np.array(row, float), len(cut) - 1)

    @staticmethod
    def amount(option: Option, axis: str) -> int:
        """What an option takes of a resource (BRAM in halves)."""
        return option.lanes if axis == LANES else option.cost.vector[AXES.index(axis)]

    def limit(self, axis: str, amount: int) -> None:
        """At most `amount` of a resource (BRAM in halves)."""
        self._at_most(self._amounts(axis), amount)

    def _amounts(self, axis: str) -> np.ndarray:
        return np.array([self.amount(option, axis) for _, option in self.flat], float)

    def _at_most(self, row: np.ndarray, amount: int) -> None:
        self.rows.append(row)
        self.lower.append(-np.inf)
        self.upper.append(float(amount))

    def least(self, axis: str) -> tuple[dict[str, Option] | None, float, bool]:
        """(choice with the least of a resource, or None; lower bound of that; whether it is proved)."""
        result = milp(
            self._amounts(axis),
            integrality=np.ones(len(self.flat)),
            bounds=Bounds(0, 1),
            constraints=LinearConstraint(np.array(self.rows), self.lower, self.upper),
            options={"time_limit": self.seconds, "mip_rel_gap": 0.0},
        )
        if result.status == 2:  # infeasible
            return None, float("inf"), True
        bound = float(np.ceil((result.mip_dual_bound or 0.0) - 1e-3))
        if result.x is None:
            return None, bound, False
        chosen = {name: option for (name, option), x in zip(self.flat, result.x, strict=True) if x > 0.5}
        self._check(result.x)
        return chosen, bound, result.status == 0

    def _check(self, x: np.ndarray) -> None:
        """The answer holds in integers: nothing of it rests on a tolerance."""
        sums = np.array(self.rows).astype(np.int64) @ (x > 0.5).astype(np.int64)
        if (sums < np.array(self.lower)).any() or (sums > np.array(self.upper)).any():
            raise ArithmeticError("HiGHS returned a choice that breaks a constraint")
