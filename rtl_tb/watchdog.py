"""Says who waits for whom, and where, when a run was ended because nothing moved (rtl_tb/sv/bench_control.sv)."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

_RARE_BITS = 64  # a chance of 2**-64 is one that never comes true


@dataclass(frozen=True)
class StreamState:
    """What one stream was doing when the watchdog looked. `direction` is seen from the design."""

    name: str
    direction: str
    transferred: int
    total: int
    position: str
    valid: bool
    ready: bool

    def describe(self) -> str:
        if self.transferred >= self.total:
            more = ", and the design asks for more" if self.direction == "in" and self.ready else ""
            return f"{self.name}: all {self.total} beats transferred{more}"
        driver, taker = ("bench", "design") if self.direction == "in" else ("design", "bench")
        if self.valid and self.ready:
            waiting = "a beat is being transferred"
        elif self.valid:
            waiting = f"the {driver} offers a beat, the {taker} is not ready"
        elif self.ready:
            waiting = f"the {taker} is ready, the {driver} offers no beat"
        else:
            waiting = f"the {driver} offers no beat and the {taker} is not ready"
        return f"{self.name}: stuck at {self.position}, {self.transferred} of {self.total} beats done: {waiting}"


@dataclass(frozen=True)
class Inner:
    """A stream inside the design, as schedule.json has it. producer, consumer: processes; None: the bench."""

    name: str
    depth: int | None
    producer: str | None
    consumer: str | None


def longest_stall(chance: float) -> int:
    """Cycles of stalls in a row, each with this chance, that no run sees."""
    return math.ceil(_RARE_BITS * math.log(2) / -math.log(chance)) if chance else 0


def report(
    limit: int, cycle: int, states: Iterable[StreamState], inner: Sequence[Inner] = (), levels: Sequence[int] = ()
) -> str:
    """The message of a run that ended in `cycle`, after `limit` cycles without a transferred beat.

    levels: words in each of the streams `inner`; of those that come in, whether a word is offered.
    """
    stuck = "; ".join(state.describe() for state in states)
    text = f"watchdog: no beat moved in {limit} cycles (cycle {cycle}): {stuck}"
    waits = waiting(inner, levels)
    return f"{text}; inside: {', '.join(waits)}" if waits else text


def waiting(inner: Sequence[Inner], levels: Sequence[int]) -> list[str]:
    """Which process waits for whom, from the one that writes the output on, until the bench or one named before.

    A process that has words on all sides waits for room; which of several streams that are empty, or full, it wants
    next is not seen: the first is told.
    """
    process = next((stream.producer for stream in inner if stream.producer and not stream.consumer), None)
    told: list[str] = []
    seen: set[str] = set()
    while process and process not in seen:
        seen.add(process)
        ends = list(zip(inner, levels, strict=True))
        empty = next((s for s, level in ends if s.consumer == process and not level), None)
        full = next((s for s, level in ends if s.producer == process and s.depth and level >= s.depth), None)
        if empty:
            other = empty.producer
            told.append(f"{process} waits for {other or 'the bench'} ({empty.name} is empty)")
        elif full:
            other = full.consumer
            told.append(f"{process} waits for {other or 'the bench'} ({full.name} is full: {full.depth} words)")
        else:
            other = None
            told.append(f"{process} has words and room, and does not move")
        process = other
    return told
