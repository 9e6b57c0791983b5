"""The ways to fold a layer: every legal (To, Tb, fold) with its cycles and cost."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from pymodel.cycles import sequences
from pymodel.explore.costs import Cost, engine_cost
from pymodel.packing import EngineShape


@dataclass(frozen=True)
class Option:
    """One folding of a layer. cycles: an image takes in steady state, iterations of the engine's slowest process."""

    To: int
    Tb: int
    fold: int
    lanes: int
    cycles: int
    cost: Cost
    groups: tuple[int, int]  # channels of its input and output words: what the units around it depend on

    @property
    def key(self) -> tuple[int, int, int]:
        return self.To, self.Tb, self.fold


def parallelisms(shape: EngineShape, lanes: int) -> list[tuple[int, int, int]]:
    """Every legal (To, Tb, fold) with at most `lanes` multipliers and no needless fold.

    Of the folds that lead to the same multipliers only the least is there: the others take more cycles with as many
    multipliers and a weight ROM of more words.
    """
    found = []
    for To in (n for n in range(1, shape.cout + 1) if n == 1 or shape.cout % (shape.P * n) == 0):
        for Tb in (n for n in range(1, shape.blocks + 1) if shape.blocks % n == 0):
            elements = shape.N * Tb
            folds = {-(-elements // -(-elements // fold)) for fold in range(1, elements + 1)}
            found += [(To, Tb, fold) for fold in sorted(folds) if -(-elements // fold) * To <= lanes]
    return found


def options(shape: EngineShape, lanes: int) -> list[Option]:
    """All options of a layer with at most `lanes` multipliers. The shape's own To, Tb, fold and feed do not matter.

    Windows come whole: the cost model is of such engines.
    """
    keys = parallelisms(shape, lanes)

    def folded(To: int, Tb: int, fold: int) -> EngineShape:
        return shape.model_copy(update={"To": To, "Tb": Tb, "fold": fold, "feed": "windows"})

    # The feeder depends on Tb alone and the output process on To alone: an engine each tells their iterations.
    feeder = {Tb: _iterations(folded(1, Tb, 1), feeding=True) for Tb in {Tb for _, Tb, _ in keys}}
    output = {To: _iterations(folded(To, 1, 1), feeding=False) for To in {To for To, _, _ in keys}}
    found = []
    for To, Tb, fold in keys:
        engine = folded(To, Tb, fold)
        cycles = max(feeder[Tb], output[To], engine.hout * engine.wout * engine.rom_words)
        groups = engine.in_channels_per_beat, engine.out_channels_per_beat
        found.append(Option(To, Tb, fold, engine.lanes, cycles, engine_cost(engine), groups))
    return found


def _iterations(shape: EngineShape, feeding: bool) -> int:
    """Of the slowest process in front of the processing element, or of the one behind it."""
    *feeders, _, output = sequences(shape)
    return max(sequence.iterations for sequence in feeders) if feeding else output.iterations


def pareto(found: Iterable[Option], interval: int, by_groups: bool, by_lanes: bool = False) -> list[Option]:
    """The options of at most `interval` cycles that no other one is as cheap as in everything.

    by_groups: only options with the same words at input and output are compared. by_lanes: multipliers count, too,
    beside the resources. Of equal ones the first stays.
    """

    def amounts(option: Option) -> tuple[int, ...]:
        return option.cost.vector + ((option.lanes,) if by_lanes else ())

    kept: list[Option] = []
    for option in sorted((o for o in found if o.cycles <= interval), key=lambda o: (o.cost.vector, o.cycles, o.key)):
        rivals = (o for o in kept if not by_groups or o.groups == option.groups)
        if not any(_as_cheap(amounts(rival), amounts(option)) for rival in rivals):
            kept.append(option)
    return kept


def _as_cheap(a: tuple[int, ...], b: tuple[int, ...]) -> bool:
    return all(x <= y for x, y in zip(a, b, strict=True))
