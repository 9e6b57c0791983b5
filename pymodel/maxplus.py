"""Issue times of processes connected by streams: the timing contract as max-plus inequalities, solved exactly.

A process issues one iteration per cycle when it can; which iterations read and write which stream is known
beforehand. The issue times are the least solution of (docs/interfaces.md, "Timing of generated RTL")

    t[i]         >= t[i - 1] + 1                       one iteration per cycle, in order
    t[n-th read] >= t'[n-th write] + write stage + 1   a word can be popped one cycle after its push ends
    t[n-th write] >= t''[(n - depth)-th read] + 1      a credit comes back one cycle after the pop
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass

import numpy as np

from pymodel.errors import ConfigError


class Deadlock(ConfigError):
    """Processes that wait for each other for ever."""


@dataclass(frozen=True)
class Process:
    """The stream accesses of a process while it works on one image.

    reads, writes: by stream, int64 ascending: the iterations that access it.
    """

    name: str
    iterations: int
    reads: dict[str, np.ndarray]
    writes: dict[str, np.ndarray]


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

    iteration, time: int64, of these events. accesses: which events access each stream. lead: issue stages
    before the last one, in which times are counted.
    """

    def __init__(self, runs: Sequence[Process], lead: int = 0):
        """runs: what the process does for each image, one after the other; all have the same streams."""
        events = {key: _events(run) for key, run in {id(run): run for run in runs}.items()}
        begins = np.cumsum([0, *(run.iterations for run in runs)])
        firsts = np.cumsum([0, *(len(events[id(run)]) for run in runs)])
        self.process = runs[0]
        self.iteration = np.concatenate([begin + events[id(run)] for begin, run in zip(begins, runs, strict=False)])
        self.accesses = {
            stream: np.concatenate([
                first + np.searchsorted(events[id(run)], (run.reads | run.writes)[stream])
                for first, run in zip(firsts, runs, strict=False)
            ])
            for stream in self.process.reads | self.process.writes
        }  # fmt: skip
        self.lead = lead
        self.time = self.iteration + lead  # no process issues earlier; `raise_to` only ever raises

    def undelayed(self) -> Timeline:
        """The same timeline before anything was raised."""
        again = copy(self)
        again.time = self.iteration + self.lead
        return again

    def times(self, stream: str) -> np.ndarray:
        """Issue times of the accesses to a stream, int64 [images * accesses of an image]."""
        return self.time[self.accesses[stream]]

    def raise_to(self, stream: str, times: np.ndarray, first: int = 0) -> bool:
        """Delays the accesses to a stream, from the `first` on, to `times` at least, and what follows them.

        True if that changed any time.
        """
        events = self.accesses[stream][first : first + len(times)]
        late = times > self.time[events]
        if not late.any():
            return False
        self.time[events[late]] = times[late]
        self.time = self.iteration + np.maximum.accumulate(self.time - self.iteration)
        return True


def _events(run: Process) -> np.ndarray:
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
            pops = line.times(stream)
            if timelines[writer[stream]].raise_to(stream, pops[: max(len(pops) - depth, 0)] + 1, depth):
                raised.add(writer[stream])
    return True


def occupancy(producer: Timeline, consumer: Timeline, stream: str) -> int:
    """The depth with which the stream never holds up its producer: credits out at most, at any time."""
    issued, popped = producer.times(stream), consumer.times(stream)
    back = np.searchsorted(popped + 1, issued, side="right")  # credits returned when the n-th write issues
    return int((np.arange(1, len(issued) + 1) - np.minimum(back, np.arange(len(issued)))).max())
