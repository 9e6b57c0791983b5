"""Issue times of processes connected by streams: the timing contract as max-plus inequalities, solved exactly.

A process issues one iteration per cycle when it can; which iterations read and write which stream is known
beforehand. The issue times are the least solution of (docs/reference/interfaces.md, "Timing of generated RTL")

    t[i]         >= t[i - 1] + 1                       one iteration per cycle, in order
    t[n-th read] >= t'[n-th write] + write stage + 1   a word can be popped one cycle after its push ends
    t[n-th write] >= t''[(n - depth)-th read] + 1      a credit comes back one cycle after the pop
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from math import ceil
from typing import Self

import numpy as np

from pymodel.common.arrays import Int64
from pymodel.common.errors import ConfigError

_LONG = 1 << 48  # cycles; more than anything here takes


class Deadlock(ConfigError):
    """Processes that wait for each other for ever."""


@dataclass(frozen=True)
class Process:
    """The stream accesses of a process while it works on one image.

    reads, writes: by stream, int64 ascending: the iterations that access it.
    """

    name: str
    iterations: int
    reads: dict[str, Int64]
    writes: dict[str, Int64]


def sink(stream: str, words: int) -> Process:
    """What takes every word of a stream as soon as it is there."""
    return Process("sink", words, {stream: np.arange(words)}, {})


@dataclass(frozen=True)
class Link:
    """How a stream connects its two processes.

    stage: of the write, counted from the last issue stage of the process that writes. depth: of the stream;
    None: endless.
    """

    stage: int
    depth: int | None


class Timeline:
    """Issue times of the iterations of several images that access a stream; between them nothing can wait.

    iteration, time: int64, of these events. accesses: which events access each stream, a slice where they follow each
    other: what passes millions of weights on has many, in every cycle. lead: issue stages before the last one, in which
    times are counted.
    """

    def __init__(self, runs: Sequence[Process], lead: int = 0):
        """runs: what the process does for each image, one after the other; all have the same streams."""
        events = {key: _events(run) for key, run in {id(run): run for run in runs}.items()}
        begins = np.cumsum([0, *(run.iterations for run in runs)])
        firsts = np.cumsum([0, *(len(events[id(run)]) for run in runs)])
        self.process = runs[0]
        self.iteration = np.concatenate([begin + events[id(run)] for begin, run in zip(begins, runs, strict=False)])
        self.accesses = {
            stream: _in_a_row(
                np.concatenate(
                    [
                        first + np.searchsorted(events[id(run)], (run.reads | run.writes)[stream])
                        for first, run in zip(firsts, runs, strict=False)
                    ]
                )
            )
            for stream in self.process.reads | self.process.writes
        }
        self.lead = lead
        self.time = self.iteration + lead  # no process issues earlier; `raise_to` only ever raises

    def copy(self) -> Self:
        """Another one with the same times."""
        again = copy(self)
        again.time = self.time.copy()
        return again

    def times(self, stream: str) -> Int64:
        """Issue times of the accesses to a stream, int64 [images * accesses of an image]."""
        found: Int64 = self.time[self.accesses[stream]]
        return found

    def credits(self, stream: str, depth: int) -> tuple[Int64, int]:
        """When the credits of a stream that it reads can be used again, and the first write that needs one of them."""
        pops = self.times(stream)
        return pops[: max(len(pops) - depth, 0)] + 1, depth

    def raise_to(self, stream: str, times: Int64, first: int = 0) -> bool:
        """Delays the accesses to a stream, from the `first` on, to `times` at least, and what follows them.

        True if that changed any time.
        """
        events = self.accesses[stream]
        if isinstance(events, slice):
            begin = events.start + first
            accessed = self.time[begin : begin + len(times)]
            if not (times > accessed).any():
                return False
            np.maximum(accessed, times, out=accessed)
        else:
            events = events[first : first + len(times)]
            late = times > self.time[events]
            if not late.any():
                return False
            self.time[events[late]] = times[late]
        self.time = self.iteration + np.maximum.accumulate(self.time - self.iteration)
        return True


class Orbit(Timeline):
    """Issue times for one image of an endless row, image n of which does at t + n * period what this one does at t.

    A solution for one image with what it needs of its neighbours is one for all of them, for ever. Where it begins is
    left open: long ago, until `raise_to` says otherwise.
    """

    def __init__(self, run: Process, period: int):
        """period: at least the iterations of an image, or there is no solution."""
        super().__init__([run])
        self.period = period
        self.time = self.iteration - _LONG

    def credits(self, stream: str, depth: int) -> tuple[Int64, int]:
        pops = self.times(stream)
        if not len(pops):
            return pops, 0
        back = np.arange(len(pops)) - depth
        return pops[back % len(pops)] + back // len(pops) * self.period + 1, 0

    def raise_to(self, stream: str, times: Int64, first: int = 0) -> bool:
        if not super().raise_to(stream, times, first):
            return False
        late = self.time - self.iteration  # ascending; the next image's first iteration follows this one's last
        self.time = self.iteration + np.maximum(late, late[-1] + self.process.iterations - self.period)
        return True


def _in_a_row(events: Int64) -> slice | Int64:
    """Ascending numbers, as a slice where none between them is missing."""
    if len(events) and int(events[-1]) - int(events[0]) == len(events) - 1:
        return slice(int(events[0]), int(events[-1]) + 1)
    return events


def _events(run: Process) -> Int64:
    """The iterations that access any stream."""
    accessed = np.zeros(run.iterations, bool)
    for at in (*run.reads.values(), *run.writes.values()):
        accessed[at] = True
    return np.flatnonzero(accessed)


def settle(timelines: Sequence[Timeline], links: Mapping[str, Link], must_not_wait: Timeline | None = None) -> bool:
    """Raises the times of processes to the least solution above them.

    timelines: from the input to the output; links: of the streams that two of them share. False as soon as
    `must_not_wait` has to wait. Raises Deadlock where there is no solution.
    """
    # As long as nothing stands still, some process issues an iteration or a write is on its way in every cycle.
    slack = 2 + max((link.stage for link in links.values()), default=0)
    limit = max(int(line.time.max()) for line in timelines) + slack * sum(
        int(line.iteration[-1]) + 1 for line in timelines
    )
    writer = {stream: at for at, line in enumerate(timelines) for stream in line.process.writes}
    reader = {stream: at for at, line in enumerate(timelines) for stream in line.process.reads}
    # A process that was raised raises its consumers by its words and its producers by its credits. From
    # below, the least solution is reached in any order. Sweeps take the fewest steps: words all the way down, then
    # credits all the way up; one process at a time, two that share a shallow stream raise each other word by word.
    raised, sweep = set(range(len(timelines))), list[int]()
    backwards = True  # the direction of the next sweep's list, which is taken from its end
    while raised:
        if not sweep:
            sweep, backwards = sorted(raised, reverse=backwards), not backwards
        at = sweep.pop()
        raised.remove(at)
        line = timelines[at]
        if line.time[-1] > limit:
            raise Deadlock(f"process {line.process.name} waits for ever: streams that meet again are too shallow")
        for stream in line.process.writes:
            if stream not in reader or stream not in links:
                continue
            consumer = timelines[reader[stream]]
            if consumer.raise_to(stream, line.times(stream) + links[stream].stage + 1):
                if consumer is must_not_wait:
                    return False
                raised.add(reader[stream])
        for stream in line.process.reads:
            if stream not in writer or (depth := links[stream].depth) is None:
                continue
            producer = timelines[writer[stream]]
            if producer.raise_to(stream, *line.credits(stream, depth)):
                if producer is must_not_wait:
                    return False
                raised.add(writer[stream])
    return True


def occupancy(producer: Orbit, consumer: Orbit, stream: str) -> int:
    """The depth with which the stream never holds up its producer: credits out at most, at any time."""
    issued, popped = producer.times(stream), consumer.times(stream)
    if not len(issued):
        return 0
    before = issued - 1 - popped[0]  # a pop gives a credit from the next cycle on
    image = before // producer.period
    back = image * len(popped) + np.searchsorted(popped - popped[0], before - image * producer.period, side="right")
    return int((np.arange(1, len(issued) + 1) - back).max())


def keeps(processes: Sequence[Process], links: Mapping[str, Link], period: int) -> bool:
    """Whether images can follow each other in `period` cycles for ever, whatever a run begins with.

    Then there are times of one image that fit those of the images before and after it. Shifted so far that they begin
    after a run does, they are a solution of all its inequalities; the run's own times are the least solution, so none
    is more than that constant later, however many images there are. And where there is a solution nothing stands
    still. Conversely, a process of `period` iterations has no other course than one iteration a cycle: if the others
    make it wait, there are no such times. Without one, False may also mean that none were found in time.
    """
    if any(process.iterations > period for process in processes):
        return False
    lines = [Orbit(process, period) for process in processes]
    steady = next((line for line in lines if line.process.iterations == period), None)
    begin = steady or lines[0]
    begin.time = begin.iteration.copy()
    try:
        return settle(lines, links, must_not_wait=steady)
    except Deadlock:
        return False


def interval(processes: Sequence[Process], links: Mapping[str, Link]) -> int:
    """Cycles with which images can follow each other for ever, the least whole number that is proved.

    Raises Deadlock.
    """
    least = max(process.iterations for process in processes)
    if keeps(processes, links, least):
        return least
    # Were all times of an image and of those that reach into the next one at most c * T later than those of c images
    # before, the next c would be so, too, as times only grow with those they depend on: T is kept for ever.
    words = {stream: len(at) for process in processes for stream, at in process.writes.items()}
    reach = max([1, *(-(-link.depth // words[s]) for s, link in links.items() if link.depth and words.get(s))])
    images = 4 * (reach + 1)
    lines = [Timeline([process] * images) for process in processes]
    settle(lines, links)
    times = np.concatenate([line.time.reshape(images, -1).T for line in lines])
    later = [int((times[:, -reach:] - times[:, -reach - c : -c]).max()) / c for c in range(1, images // 2)]
    most = max(least, ceil(min(later)))
    # Where streams fill slowly that is more than the last images took: what they took is proved, if it can be.
    last = max(least, int((times[:, -1] - times[:, -2]).max()))
    return last if last < most and keeps(processes, links, last) else most
