"""One process -> its RTL: everything that needs no other process, so that they can be built side by side."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass

from openhls.backend import emit, report
from openhls.backend import schedule as scheduling
from openhls.backend.targets import Target
from openhls.backend.targets import target as find_target
from openhls.common.clock import Clock
from openhls.common.errors import HlsError
from openhls.frontend.program import ProcessSource, process_graph
from openhls.graph.nodes import Interface, Process
from openhls.middle import control, mlir, narrow
from openhls.middle.lookahead import look_ahead
from openhls.middle.merge import merge_registers
from openhls.middle.tables import tabulate


@dataclass(frozen=True)
class Job:
    """A process to build, and all that its RTL depends on."""

    source: ProcessSource
    depths: dict[str, int | None]  # of its streams, as declared
    top: str  # the name of the top module
    target: str
    clock_ns: float


@dataclass(frozen=True)
class Built:
    """A process as RTL."""

    interface: Interface
    modules: dict[str, str]  # SystemVerilog by module name
    depths: dict[str, int]  # FIFO depths of the streams it writes
    entry: dict  # in schedule.json
    notes: list[str]  # to the programmer
    seconds: dict[str, float]  # by step


def build(job: Job) -> Built:
    """Both ends of the compiler for one process. Raises HlsError."""
    clock = Clock()
    process = process_graph(job.source, clock)
    return build_graph(process, job.depths, job.top, job.target, job.clock_ns, clock)


def build_graph(
    process: Process, depths: Mapping[str, int | None], top: str, target: str, clock_ns: float, clock: Clock
) -> Built:
    """The back end for one process.

    Args:
        depths: of its streams, as declared; top: the name of the top module.
        target: a name of `targets.TARGETS`; clock_ns: the period to schedule for.
        clock: takes the seconds of "schedule" and "emit".
    """
    with mlir.Session() as session:
        with clock.step("schedule"):
            graph = merge_registers(process, session)
            facts = control.analyse(graph)
            graph = mlir.canonicalise(narrow.narrow(graph, facts), session)
            plan = _plan(graph, facts, find_target(target), clock_ns, session)
        with clock.step("emit"):
            written = emit.written_depths(plan, depths)
            pipeline = emit.emit_process(plan, top, written, session)
            entry = report.process(plan, facts.iterations, pipeline)
    return Built(process.interface(), pipeline.modules, written, entry, process.notes, clock.seconds)


def _plan(
    graph: Process, facts: control.Control, target: Target, clock_ns: float, session: mlir.Session
) -> scheduling.Schedule:
    """The schedule with issue conditions looked ahead, small ones as truth tables, unless the longer way
    round the loop costs an issue stage."""
    plans = []
    ahead = mlir.canonicalise(graph, session)
    if look_ahead(ahead):
        ahead = mlir.canonicalise(ahead, session)
        tabulate(ahead)
        with suppress(HlsError):  # the plain graph says what is wrong
            plans.append(scheduling.schedule(ahead, facts, target, clock_ns))
    if not plans or _cost(plans[0]) > (1, 0):
        tabulate(graph)
        plans.append(scheduling.schedule(graph, facts, target, clock_ns))
    return min(plans, key=_cost)


def _cost(plan: scheduling.Schedule) -> tuple[int, int]:
    """Issue stages, and writes that take a credit at issue whether they happen or not: cycles that no model expects."""
    writes = [e for e in plan.process.effects if e.op == "write"]
    return plan.issue_stages, len(writes) - len(plan.known_at_issue)
