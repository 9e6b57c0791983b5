"""schedule.json: what the compiler made of each process, and when it reads and writes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from openhls.results import records

VERSION = 1


@dataclass(frozen=True)
class Transfer:
    """A read or write of a stream, and the stage that does it."""

    stream: str
    stage: int


@dataclass(frozen=True)
class MemoryUse:
    """A memory of a process.

    `distance`: the least number of iterations from a store to a load of its word that was proved; None: no load
    follows a store. `read_latency`: cycles. `source`: file:line of the array.
    """

    name: str
    kind: Literal["ram", "rom"]
    style: Literal["block", "distributed", "ultra"]
    depth: int
    width: int
    read_latency: int
    distance: int | None
    forwarding: bool
    source: str | None


@dataclass(frozen=True)
class MultiplierUse:
    """Equal multipliers of one line: bits of the operands (as signed numbers) and of the product, how many."""

    a_bits: int
    b_bits: int
    p_bits: int
    count: int
    source: str | None


@dataclass(frozen=True)
class ScheduledProcess:
    """One loop nest at one iteration per cycle.

    `stages` of its pipeline, of which the first `issue_stages` may wait; `iterations` of a run, None: not known.
    `longest_stage_ns` by the target's delay model.
    """

    name: str
    source: str | None
    stages: int
    issue_stages: int
    ii: int
    iterations: int | None
    reads: tuple[Transfer, ...]
    writes: tuple[Transfer, ...]
    register_bits: int
    longest_stage_ns: float
    memories: tuple[MemoryUse, ...]
    multipliers: tuple[MultiplierUse, ...]


@dataclass(frozen=True)
class ScheduledStream:
    """A stream: bits and FIFO words, the processes at its ends (None: the port).

    `depth` None: there is no FIFO, since it is an input, or its writes provably never happen.
    """

    name: str
    width: int
    depth: int | None
    producer: str | None
    consumer: str | None


@dataclass(frozen=True)
class Schedule:
    """A compiled design: its processes in the order of their calls, its streams, ports first.

    `notes` to the programmer, as a compiler prints them; `seconds` of wall clock by step, which differ from one
    compilation to the next.
    """

    top: str
    target: str
    clock_ns: float
    processes: tuple[ScheduledProcess, ...]
    streams: tuple[ScheduledStream, ...]
    notes: tuple[str, ...]
    seconds: dict[str, float]

    def to_json(self) -> str:
        """The text of schedule.json."""
        return records.dumped(self, VERSION)

    @classmethod
    def from_json(cls, text: str, source: str = "schedule.json") -> Schedule:
        """The schedule of such a text. Raises HlsError that names source and key of what is wrong."""
        return records.record(cls, records.parsed(text, source, VERSION), source)

    @classmethod
    def load(cls, path: Path) -> Schedule:
        """The schedule of a file. Raises HlsError as `from_json`, and where it cannot be read."""
        return cls.from_json(records.read(path), str(path))

    def table(self) -> str:
        """The processes as a short table for a terminal."""
        rows = [
            ("process", "source", "stages", "iterations", "reads", "writes", "registers", "multipliers", "memories")
        ]
        for p in self.processes:
            rows.append(
                (
                    p.name,
                    p.source or "",
                    str(p.stages),
                    str(p.iterations or "?"),
                    " ".join(f"{r.stream}@{r.stage}" for r in p.reads),
                    " ".join(f"{w.stream}@{w.stage}" for w in p.writes),
                    str(p.register_bits),
                    str(sum(m.count for m in p.multipliers)),
                    " ".join(f"{m.name}:{m.depth}x{m.width}" for m in p.memories),
                )
            )
        widths = [max(len(r[k]) for r in rows) for k in range(len(rows[0]))]
        lines = ["  ".join(c.ljust(w) for c, w in zip(r, widths, strict=True)).rstrip() for r in rows]
        total = sum(self.seconds.values())
        return "\n".join([*lines, f"{self.top}: {self.target} at {self.clock_ns} ns, {total:.1f} s"])
