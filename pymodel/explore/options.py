"""The ways to build a layer: every legal (To, R, Tx, Tb, fold, packing, feed) with its cycles and cost.

pymodel.explore chooses among them for all layers of a network together, within the budget of a device. The traffic
model (pymodel.counts.traffic.fitted_shape) has no device: it takes the fastest engine of each layer with a number of
multipliers.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, product
from operator import le
from typing import Any, Literal, NamedTuple

from pymodel.common.errors import ConfigError
from pymodel.engine.cycles import (
    feeder_sequences,
    pe_iterations,
    sequences,
    streamed_sequences,
    waits_for_windows,
)
from pymodel.engine.memories import Memory
from pymodel.engine.packing import EngineShape
from pymodel.engine.products import most_products
from pymodel.explore.costs import Cost, engine_cost, in_blocks
from pymodel.explore.streamed_costs import streamed_cost
from pymodel.explore.technology import Technology
from pymodel.top.dataflow import Form, forms

MOST_MULTIPLIERS = 1 << 16  # of an engine, whatever a budget allows
MOST_PIXELS = 4  # at once
WINDOWS, CHANNELS = "windows", "channels"  # EngineShape.feed
Trait = Literal["reads", "writes", "timing"]  # what of an option the rest of the network depends on


class Parallelism(NamedTuple):
    """What is chosen of an engine: keys of EngineShape, and of a configuration."""

    To: int
    Tb: int
    fold: int
    packing: int = 1
    feed: str = WINDOWS
    R: int = 1
    Tx: int = 1
    ultra_weights: bool = False
    streamed: bool = False  # `weights: streamed` of a layer; no key of EngineShape

    @property
    def of_engine(self) -> dict[str, Any]:
        """The keys of EngineShape."""
        return {key: value for key, value in self._asdict().items() if key != "streamed"}

    def of(self, shape: EngineShape) -> EngineShape:
        """The engine of a shape with this parallelism, which must be legal."""
        return shape.model_copy(update=self.of_engine)


@dataclass(frozen=True)
class Option:
    """One way to build a layer. cycles: an image takes in steady state, iterations of the engine's slowest process.

    Where weights are streamed that is the least: how sums are sent may take more (Network.interval knows).

    lanes: multiply-accumulates in each cycle; multipliers: hardware multipliers that make them, those of scales aside.
    words: what the units around it depend on, the forms of its input and output words.
    """

    key: Parallelism
    lanes: int
    multipliers: int
    cycles: int
    cost: Cost
    words: tuple[Form, Form]

    def trait(self, trait: Trait) -> Hashable:
        """The form of the words that it reads or writes; or all that its cycles depend on: neither packing nor where
        weights lie."""
        if trait == "timing":
            return self.key._replace(packing=1, ultra_weights=False)
        return self.words[0 if trait == "reads" else 1]


def engines(shape: EngineShape, multipliers: int, packing: bool = True, channels: bool = True) -> Iterator[EngineShape]:
    """Every engine of a layer with at most `multipliers` hardware multipliers and no needless fold.

    What is legal EngineShape says, packing for the multipliers that the shape itself has. Of the folds that lead to the
    same lanes only the least is there: the others take more cycles with as many lanes and a weight ROM of more words.
    Of the rotations that lead to a single step likewise: the others have more lanes, with nothing to do.
    Pixels come at once, up to MOST_PIXELS, where there is nothing to fold. packing: whether lanes may share
    multipliers. channels: whether rings may lie in memories; only where they do.
    """
    fields = {name: getattr(shape, name) for name in EngineShape.model_fields}
    feeds = [WINDOWS]
    if channels and Parallelism(1, 1, 1, feed=CHANNELS).of(shape).pieces > 1:
        feeds.append(CHANNELS)

    def legal(parallelism: Parallelism) -> EngineShape | None:
        try:
            return EngineShape(**(fields | parallelism.of_engine))
        except ConfigError:
            return None

    most = most_products(shape.weight_bits, shape.in_bits, shape.multiplier_bits) if packing else 1
    for To in _divisors(shape.cout):
        if legal(Parallelism(To, 1, 1)) is None:
            continue
        rotations = _rotations(shape, To)
        for Tb in _divisors(shape.blocks):
            for (lanes, same), R in product(_folds(shape.N * Tb), rotations):
                for Tx in _pixels(shape) if lanes == shape.N * Tb else [1]:
                    for q in _packings(most, To, R, Tx, same):
                        if lanes * To * R * Tx > multipliers * q:
                            continue
                        for feed in feeds if Tx == 1 else feeds[:1]:
                            found = _first(legal(Parallelism(To, Tb, fold, q, feed, R, Tx)) for fold in same)
                            yield from (engine for engine in found if engine.multipliers <= multipliers)


def _packings(most: int, To: int, R: int, Tx: int, folds: Sequence[int]) -> list[int]:
    """Products that may share a multiplier: those of To outputs, of rotations where there is one fold, of pixels."""
    together = To * R if 1 in folds else To
    return [q for q in range(1, most + 1) if q <= together or Tx % q == 0]


def _pixels(shape: EngineShape) -> list[int]:
    """Pixels at once: powers of two that divide both widths."""
    found = [1]
    while found[-1] < MOST_PIXELS and shape.width % (2 * found[-1]) == 0 and shape.wout % (2 * found[-1]) == 0:
        found.append(2 * found[-1])
    return found


def _rotations(shape: EngineShape, To: int) -> list[int]:
    """Rotations at once that have work: of those with which one step is all, the least. Channelwise: whole rounds."""
    if shape.channelwise:
        return _divisors(shape.cin)
    found = _divisors(shape.P)
    return [R for R in found if all(r * To < shape.group_cout for r in found if r < R)]


def _divisors(number: int) -> list[int]:
    return [n for n in range(1, number + 1) if number % n == 0]


def _folds(elements: int) -> list[tuple[int, list[int]]]:
    """The folds of so many products by the lanes that they lead to."""
    return [(lanes, list(folds)) for lanes, folds in groupby(range(1, elements + 1), lambda fold: -(-elements // fold))]


def _first(found: Iterable[EngineShape | None]) -> list[EngineShape]:
    """The first one that there is, if any."""
    return next(([engine] for engine in found if engine), [])


def most_multipliers(shape: EngineShape, blocks: float | None) -> int:
    """The most hardware multipliers of an engine that can do with so many DSP blocks (None: with any number).

    Products too narrow for a block are made of look-up tables: without limit.
    """
    if blocks is None or not in_blocks(Parallelism(1, 1, 1).of(shape)):
        return MOST_MULTIPLIERS
    return min(int(blocks), MOST_MULTIPLIERS)


def options(
    shape: EngineShape,
    multipliers: int,
    technology: Technology,
    packing: bool = True,
    channels: bool = True,
    streamed: bool = False,
) -> list[Option]:
    """All options of a layer: its `engines` with their cycles and costs. The shape's own parallelism is ignored.

    streamed: also with weights that come from outside, wherever windows come whole.
    """
    # The feeder depends on the channels of a word, on feed and Tx alone.
    feeders: dict[tuple[int, str, int], int] = {}
    outputs: dict[tuple[int, int, int], int] = {}  # and the output process on To, R and Tx: one engine tells for all
    found = []
    for engine in engines(shape, multipliers, packing, channels):
        key = Parallelism(*(getattr(engine, name) for name in Parallelism._fields[:-1]))
        feeder, output = (engine.in_channels_per_beat, key.feed, key.Tx), (key.To, key.R, key.Tx)
        if feeder not in feeders:
            feeders[feeder] = max(sequence.iterations for sequence in feeder_sequences(engine))
        if output not in outputs:
            outputs[output] = sequences(engine)[-1].iterations
        cycles = max(feeders[feeder], outputs[output], pe_iterations(engine))
        for place in _places(engine, technology):
            own = key._replace(ultra_weights=place.ultra_weights)
            cost = engine_cost(place, technology)
            found.append(Option(own, engine.lanes, engine.multipliers, cycles, cost, forms(engine)))
        if streamed and engine.pieces == 1:
            found.append(_streamed(engine, key._replace(streamed=True), feeders[feeder], technology))
    return found


def _streamed(engine: EngineShape, key: Parallelism, feeder: int, technology: Technology) -> Option:
    """An engine with its weights streamed. feeder: cycles of its feeder."""
    *_, pe, output = streamed_sequences(engine)
    # Fewest waits: with the most steps and folds that go with what the feeder moves.
    slow = Parallelism(1, key.Tb, engine.N * key.Tb if key.Tx == 1 else 1, Tx=key.Tx).of(engine)
    cycles = max(feeder, output.iterations, pe.iterations + waits_for_windows(slow))
    cost = streamed_cost(engine, technology)
    return Option(key, engine.lanes, engine.multipliers, cycles, cost, forms(engine))


def _places(engine: EngineShape, technology: Technology) -> list[EngineShape]:
    """An engine with its weights in block RAM; and with them in UltraRAM, if there is, where they are loaded and fill
    a block."""
    in_block = Memory("weights", engine.rom_words, engine.rom_word_bits, True).block
    if not (technology.ultra_ram and engine.loaded and in_block):
        return [engine]
    return [engine, engine.model_copy(update={"ultra_weights": True})]


def pareto(
    found: Iterable[Option],
    interval: int,
    apart: Callable[[Option], Hashable] = lambda option: None,
    by_lanes: bool = False,
) -> list[Option]:
    """The options of at most `interval` cycles that no other one is as cheap as in everything.

    apart: only options of which it says the same are compared. by_lanes: lanes count, too, beside the resources. Of
    equal ones the fastest stays.
    """
    amounts = ((o.cost.vector + ((o.lanes,) if by_lanes else ()), o) for o in found if o.cycles <= interval)
    in_order = sorted(amounts, key=lambda each: (each[0], each[1].cycles, each[1].key))
    fronts: dict[Hashable, list[tuple[int, ...]]] = {}
    kept = []
    for vector, option in in_order:  # ascending, so no later one beats an earlier
        front = fronts.setdefault(apart(option), [])
        if not any(all(map(le, other, vector)) for other in front):
            front.append(vector)
            kept.append(option)
    return kept


def by_words(option: Option) -> Hashable:
    """Options with the same words at input and output, as `apart` of `pareto`."""
    return option.words
