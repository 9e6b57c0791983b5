"""What a compilation says of its result: a `Ports` and a `Schedule` of what was emitted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from openhls.backend.emit import Pipeline, port_signals
from openhls.backend.schedule import Plan
from openhls.common.errors import Location
from openhls.graph.nodes import Stream
from openhls.results.ports import Ports, PortStream, Reset, Signal
from openhls.results.schedule import MemoryUse, MultiplierUse, Schedule, ScheduledProcess, ScheduledStream, Transfer


def _source(loc: Location | None) -> str | None:
    return None if loc is None else loc.brief


def ports(top: str, streams: Mapping[str, Stream]) -> Ports:
    """The pins of the top module."""
    found = []
    for stream in streams.values():
        if stream.producer is None or stream.consumer is None:
            signals = {s: Signal(n, w) for s, (n, w) in port_signals(stream).items()}
            found.append(PortStream(stream.name, "in" if stream.producer is None else "out", signals))
    return Ports(top, "ap_clk", Reset("ap_rst_n", active_low=True), tuple(found))


def process(plan: Plan, iterations: int | None, pipeline: Pipeline) -> ScheduledProcess:
    """A process as it was scheduled and emitted."""
    graph = plan.process

    def transfers(op: str) -> tuple[Transfer, ...]:
        return tuple(Transfer(e.attrs["stream"], plan.stage[e]) for e in graph.effects if e.op == op)

    products = Counter((m.a_bits, m.b_bits, m.p_bits, _source(loc)) for m, loc in pipeline.multipliers)
    return ScheduledProcess(
        name=graph.name,
        source=_source(graph.loc),
        stages=plan.stages,
        issue_stages=plan.issue_stages,
        ii=1,
        iterations=iterations,
        reads=transfers("read"),
        writes=transfers("write"),
        register_bits=pipeline.register_bits,
        longest_stage_ns=round(plan.longest_ns, 3),
        memories=tuple(_memory(plan, e.attrs["memory"]) for e in graph.effects if e.op == "load"),
        multipliers=tuple(MultiplierUse(a, b, p, n, source) for (a, b, p, source), n in products.items()),
    )


def _memory(plan: Plan, name: str) -> MemoryUse:
    memory, shape = plan.process.memories[name], plan.memories[name]
    return MemoryUse(
        name=memory.name,
        kind=shape.kind,
        style=shape.style,
        depth=memory.depth,
        width=memory.width,
        read_latency=shape.read_latency,
        distance=shape.distance,
        forwarding=shape.forwarding,
        source=_source(memory.loc),
    )


def schedule(
    top: str,
    streams: Mapping[str, Stream],
    processes: Sequence[ScheduledProcess],
    depths: Mapping[str, int],
    target: str,
    clock_ns: float,
    notes: Sequence[str],
    seconds: Mapping[str, float],
) -> Schedule:
    """The schedule of a design.

    Args:
        processes: of `process`; depths: of the streams that have a FIFO; notes: to the programmer.
    """
    return Schedule(
        top,
        target,
        float(clock_ns),
        tuple(processes),
        tuple(ScheduledStream(s.name, s.width, depths.get(s.name), s.producer, s.consumer) for s in streams.values()),
        tuple(dict.fromkeys(notes)),
        {k: round(v, 3) for k, v in seconds.items()},
    )
