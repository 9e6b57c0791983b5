"""The processes of an engine, and the stream depths that keep it busy.

An engine is a chain of processes, each a loop nest whose reads and writes are known beforehand (`sequences`), so the
timing contract of generated RTL gives its issue times exactly (pymodel.engine.maxplus); pymodel.top.cycles computes
them for a whole top.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial
from typing import Any

import numpy as np

from pymodel.common.arrays import Int64
from pymodel.common.errors import ConfigError
from pymodel.common.identifiers import IN_PORT, OUT_PORT
from pymodel.engine.maxplus import Link, Orbit, Process, interval, settle
from pymodel.engine.packing import EngineShape
from pymodel.engine.windows import WindowShape, has_columns, last, leading_sets

# The write stages that stream depths are sized for: a compiler that needs no more loses no cycle.
FEEDER_STAGES = 6
STAGES = 16  # of processes other than feeders
# Of a processing element, whose stream of sums openhls makes OPEN_DEPTH words deeper than the stage of its writes.
LEAST_STAGE, OPEN_DEPTH = 1, 3
# A stream is at least so deep: one word every second cycle is all that one of a single word takes with some tools.
LEAST_DEPTH = 2
STREAMED_SUMS_DEPTH = STAGES + 2  # from a credit's use to its return


_WORDS = {"columns": "columns", "windows": "windows", "pixels": "windows"}  # what a feeder writes


@dataclass(frozen=True)
class Sequence:
    """The stream accesses of a process while it works on one image.

    reads, writes: int64, ascending: the iterations that read its input stream and write its output stream.
    """

    process: str
    iterations: int
    reads: Int64
    writes: Int64

    def on(self, source: str, sink: str, name: str | None = None) -> Process:
        """The process with its streams named."""
        return Process(name or self.process, self.iterations, {source: self.reads}, {sink: self.writes})


def sequences(shape: EngineShape) -> list[Sequence]:
    """The processes of an engine from its input to its output port."""
    return [*feeder_sequences(shape), _pe(shape), _output(shape)]


def streamed_sequences(shape: EngineShape) -> list[Sequence]:
    """The processes of an engine whose weights are streamed. `weight_reads` gives when it reads them."""
    return [*feeder_sequences(shape), _streamed_pe(shape), _streamed_output(shape)]


def weight_reads(shape: EngineShape) -> Int64:
    """int64 [rom_words]: the iterations of a streamed engine's processing element that read weights."""
    return _arrivals(shape) + np.arange(shape.rom_words) * shape.pixel_sets


def feeder_sequences(shape: WindowShape) -> list[Sequence]:
    """The processes that turn an image into windows."""
    return [_columns(shape), _windows(shape)] if has_columns(shape) else [_pixels(shape)]


def check_depth(stream: str, link: Link, asked: int | None) -> None:
    """Raises ConfigError where a stream has not the depth that was asked for; None: the compiler chooses."""
    if asked is None and link.depth is not None and link.depth < link.stage + OPEN_DEPTH:
        raise ConfigError(
            f"schedule: stream {stream!r}: depth must be at least {link.stage + OPEN_DEPTH}, as it is written in stage "
            f"{link.stage}, got {link.depth}"
        )
    if asked not in (None, link.depth):
        raise ConfigError(f"schedule: stream {stream!r}: depth must be {asked}, as requested, got {link.depth}")


def longest_silence(begins: Int64, ends: Int64) -> int:
    """Cycles in which no beat moves at any port, at most, however long the ends of a design have stalled before.

    begins, ends: of two images of a run without a stall, the cycles of their first beat taken and last one delivered.
    Let nothing stall any more: the next beat then waits for a chain of iterations, each for the one before, none for
    another beat. Such a chain takes no longer than in that run, where it lies between begin and end of an image, or
    begins in one and ends in the next; and those of all images are alike.
    """
    return int(ends[1] - begins[0])


def stream_depths(shape: EngineShape) -> dict[str, int]:
    """Depths of the engine's wide streams: "windows" and, for kernels above 1x1, "columns".

    The least with which no stream ever holds up the slowest process, the start of a run aside, if the write
    stages of the feeders are FEEDER_STAGES at most. A feeder pauses where no output pixel ends (row ends,
    rows skipped by the stride, the first rows of an image); what it has written ahead has to last so long.
    """
    *feeders, pe, _ = sequences(shape)
    return feeder_depths([*feeders, pe], max(sequence.iterations for sequence in (*feeders, pe)))


def feeder_depths(chain: list[Sequence], period: int) -> dict[str, int]:
    """Least depths of the feeder's FIFOs with which the last process of `chain`, which takes windows, never waits.

    period: the interval, cycles from image to image. Returns depths by FIFO, "columns" and "windows".
    """
    return dict(_feeder_depths(_Chain.of(*chain), period))


@dataclass(frozen=True)
class _Chain:
    """The feeders and the process that takes their windows; equal if they do the same."""

    accesses: tuple[tuple[str, int, bytes, bytes], ...]
    sequences: tuple[Sequence, ...] = field(compare=False)

    @classmethod
    def of(cls, *sequences: Sequence) -> _Chain:
        return cls(
            tuple((one.process, one.iterations, one.reads.tobytes(), one.writes.tobytes()) for one in sequences),
            sequences,
        )


@lru_cache(maxsize=64)  # a network's layers are few different ones
def _feeder_depths(chain: _Chain, period: int) -> dict[str, int]:
    """`feeder_depths` of these processes."""
    *feeders, last = chain.sequences
    names = [IN_PORT, *(feeder.process for feeder in feeders), "taken"]  # a stream is called by its producer
    slow = replace(last, writes=last.writes[:0])  # what becomes of its words does not matter here
    processes = [sequence.on(*names[at : at + 2]) for at, sequence in enumerate([*feeders, slow])]

    def links(depths: Mapping[str, int | None]) -> dict[str, Link]:
        return {name: Link(FEEDER_STAGES, depth) for name, depth in depths.items()}

    # With endless streams, and words that come evenly: so the last process is to work for ever.
    first, *others = (Orbit(process, period) for process in processes)
    words = len(processes[0].reads[IN_PORT])
    first.raise_to(IN_PORT, np.arange(words) * period // words)
    endless: dict[str, int | None] = {feeder.process: None for feeder in feeders}
    settle([first, *others], links(endless))

    depths: dict[str, int] = {}  # those that are found

    def enough(name: str, depth: int) -> bool:
        """Whether there are times of the feeders, as early before as it may be, that leave it as it is."""
        fixed = others[-1].copy()
        so = links({**endless, **depths, name: depth})
        return settle([*(Orbit(process, period) for process in processes[:-1]), fixed], so, fixed)

    for feeder in reversed(feeders):  # windows are the widest words: theirs first
        depths[feeder.process] = _least(partial(enough, feeder.process))
    return {_WORDS[feeder.process]: depths[feeder.process] for feeder in feeders}


def streamed_depths(shape: EngineShape) -> dict[str, int]:
    """FIFO depths of an engine with streamed weights, by FIFO.

    It takes all windows of an image at once, so a stream of them never makes up for a pause of the feeders unless it
    holds a good part of the image, in words K*K times as wide as those of the stream in front. These are as deep as a
    window a cycle needs.
    """
    depth = FEEDER_STAGES + 2  # from a credit's use to its return
    return {"windows": depth, "columns": depth} if has_columns(shape) else {"windows": depth}


@lru_cache(maxsize=64)
def streamed_interval(shape: EngineShape) -> int:
    """Cycles an image of an engine whose weights come by a port: its processing element waits while windows come."""
    chain = streamed_sequences(shape)
    names = [IN_PORT, *(sequence.process for sequence in chain[:-1]), OUT_PORT]
    processes = [sequence.on(*names[at : at + 2]) for at, sequence in enumerate(chain)]
    depths = streamed_depths(shape)
    links = {feeder.process: Link(FEEDER_STAGES, depths[_WORDS[feeder.process]]) for feeder in chain[:-2]}
    return interval(processes, links | {chain[-2].process: Link(STAGES, STREAMED_SUMS_DEPTH)})


@lru_cache(maxsize=64)
def waits_for_windows(shape: EngineShape) -> int:
    """Cycles of an image in which the processing element of a streamed engine waits for windows, beside its iterations.

    Sums are taken at once here. How they are sent can only make an image longer (`streamed_interval`), as can fewer
    steps and folds, in which the feeders have less time to be ahead.
    """
    *feeders, pe, _ = streamed_sequences(shape)
    names = [IN_PORT, *(feeder.process for feeder in feeders), OUT_PORT]
    processes = [sequence.on(*names[at : at + 2]) for at, sequence in enumerate((*feeders, pe))]
    depths = streamed_depths(shape)
    links = {feeder.process: Link(FEEDER_STAGES, depths[_WORDS[feeder.process]]) for feeder in feeders}
    return interval(processes, links) - pe.iterations


def _least(enough: Callable[[int], bool]) -> int:
    """The least number from 1 up that is enough; all above it are. Small ones take the fewest trials."""
    high = 1
    while not enough(high):
        high *= 2
    low = high // 2 + 1
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle + 1, high)
    return low


def _columns(shape: WindowShape) -> Sequence:
    beats = shape.width // shape.Tx * shape.NB
    pieces = beats * shape.pieces
    bottom = np.arange(shape.hout) * shape.stride - shape.pads.top + shape.kernel - 1
    return Sequence(
        process="columns",
        iterations=max(shape.height, int(bottom[-1]) + 1) * pieces,
        reads=np.arange(shape.height * beats) * shape.pieces,
        writes=(bottom[:, None] * pieces + np.arange(pieces)).ravel(),
    )


def _windows(shape: WindowShape) -> Sequence:
    inside = np.arange(shape.width // shape.Tx) + leading_sets(shape)
    right = np.arange(shape.wout // shape.Tx) * shape.stride + leading_sets(shape) + last(shape) // shape.Tx
    positions = max(int(inside[-1]), int(right[-1])) + 1
    row = np.arange(shape.hout)[:, None] * positions
    pieces = np.arange(shape.NB * shape.pieces)
    return Sequence(
        process="windows",
        iterations=shape.hout * positions * len(pieces),
        reads=((row + inside)[..., None] * len(pieces) + pieces).ravel(),
        writes=((row + right)[..., None] * len(pieces) + pieces).ravel(),
    )


def _pixels(shape: WindowShape) -> Sequence:
    rows, columns = np.arange(shape.hout) * shape.stride, np.arange(shape.wout // shape.Tx) * shape.stride
    width = shape.width // shape.Tx
    pixel = (rows[:, None] * width + columns).ravel()
    return Sequence(
        process="pixels",
        iterations=shape.height * width * shape.NB,
        reads=np.arange(shape.height * width * shape.NB),
        writes=(pixel[:, None] * shape.NB + np.arange(shape.NB)).ravel(),
    )


def pe_iterations(shape: EngineShape) -> int:
    """Iterations of the processing element for an image."""
    return _pe_fill(shape) + shape.pixel_sets * shape.rom_words


def _pe_fill(shape: EngineShape) -> int:
    """In pieces a set is taken while the one before it is at work, the first one before there is any work."""
    return shape.pieces if shape.pieces > 1 else 0


def _pe(shape: EngineShape) -> Sequence:
    turn = shape.round_steps * shape.fold
    sets = np.arange(shape.pixel_sets * shape.NB) * turn
    last_set = sets[shape.round_sets - 1 :: shape.round_sets]
    last_fold = np.arange(shape.round_steps) * shape.fold + shape.fold - 1
    fill = _pe_fill(shape)
    taken = np.concatenate([[0], fill + sets[:-1]]) if fill else sets
    return Sequence(
        process="pe",
        iterations=pe_iterations(shape),
        reads=(taken[:, None] + np.arange(shape.pieces)).ravel(),
        writes=(fill + last_set[:, None] + last_fold).ravel(),
    )


def _output(shape: EngineShape) -> Sequence:
    pixels = shape.pixel_sets
    step = np.arange(shape.steps)
    full = step[(step % shape.slots == shape.slots - 1) | (step == shape.steps - 1)]
    return Sequence(
        process="output",
        iterations=pixels * shape.steps,
        reads=np.arange(pixels * shape.steps),
        writes=(np.arange(pixels)[:, None] * shape.steps + full).ravel(),
    )


def _arrivals(shape: EngineShape) -> int:
    """Iterations in which the windows of an image come; a single one comes in the first iteration of the nest."""
    windows = shape.pixel_sets * shape.NB
    return windows if windows > 1 else 0


def _streamed_pe(shape: EngineShape) -> Sequence:
    arrivals = _arrivals(shape)
    pixels, turn = np.arange(shape.pixel_sets), shape.fold * shape.pixel_sets * shape.round_sets
    last_set = arrivals + np.arange(1, shape.steps + 1) * turn - len(pixels)
    return Sequence(
        process="streamed_pe",
        iterations=arrivals + shape.steps * turn,
        reads=np.arange(shape.pixel_sets * shape.NB),
        writes=(last_set[:, None] + pixels).ravel(),
    )


def _streamed_output(shape: EngineShape) -> Sequence:
    taken = shape.pixel_sets * shape.steps
    return Sequence(
        process="streamed_output",
        iterations=taken + shape.out_beats,
        reads=np.arange(taken),
        writes=taken + np.arange(shape.out_beats),
    )


def lead(process: Mapping[str, Any]) -> int:
    """Issue stages of a scheduled process before the last one."""
    return int(process["issue_stages"]) - 1
