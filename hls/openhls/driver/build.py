"""One process -> its RTL: everything that needs no other process, so that they can be built side by side."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass

from openhls.backend import emit, report
from openhls.backend import schedule as scheduling
from openhls.backend.targets import Target
from openhls.common.clock import Clock
from openhls.common.errors import HlsError
from openhls.driver.watch import Watch
from openhls.frontend.program import ProcessSource, process_graph
from openhls.graph.nodes import Interface, Process
from openhls.middle import control, mlir, narrow
from openhls.middle.lookahead import look_ahead
from openhls.middle.merge import merge_registers
from openhls.middle.tables import tabulate
from openhls.results.schedule import ScheduledProcess


@dataclass(frozen=True)
class Job:
    """A process to build, and all that its RTL depends on."""

    source: ProcessSource
    depths: dict[str, int | None]  # of its streams, as declared
    top: str  # the name of the top module
    target: Target
    clock_ns: float
    print_after: tuple[str, ...] = ()  # passes, of `watch.PASSES`


@dataclass(frozen=True)
class Built:
    """A process as RTL."""

    interface: Interface
    modules: dict[str, str]  # SystemVerilog by module name
    depths: dict[str, int]  # FIFO depths of the streams it writes
    patient: bool  # whether the FIFOs that it reads need no output register
    entry: ScheduledProcess  # in schedule.json
    notes: list[str]  # to the programmer
    seconds: dict[str, float]  # by step
    dumps: list[str]  # the graph after the passes that the job names, as text


def build(job: Job) -> Built:
    """Both ends of the compiler for one process. Raises HlsError."""
    clock = Clock()
    process = process_graph(job.source, clock)
    widths = {port.stream: port.width for port in job.source.ports}
    return build_graph(process, job.depths, job.top, job.target, job.clock_ns, clock, Watch(job.print_after, widths))


def build_graph(
    process: Process,
    depths: Mapping[str, int | None],
    top: str,
    target: Target,
    clock_ns: float,
    clock: Clock,
    watch: Watch,
) -> Built:
    """The back end for one process.

    Args:
        depths: of its streams, as declared; top: the name of the top module.
        target: the delay model; clock_ns: the period to schedule for.
        clock: takes the seconds of "schedule" and "emit"; watch: looks at the graph after each pass.
    Raises:
        HlsError: with the texts that were wanted so far.
    """
    try:
        with mlir.Session() as session:
            with clock.step("schedule"):
                graph = watch.after("merge", merge_registers(watch.after("import", process), session))
                facts = control.analyse(graph)
                graph = watch.after("narrow", mlir.canonicalise(narrow.narrow(graph, facts), session))
                plan = _plan(graph, facts, target, clock_ns, session, watch)
            with clock.step("emit"):
                written = emit.written_depths(plan, depths)
                pipeline = emit.emit_process(plan, top, written, session)
                entry = report.process(plan, facts.iterations, pipeline)
    except HlsError as error:
        error.dumps = watch.dumps
        raise
    return Built(
        process.interface(), pipeline.modules, written, plan.patient, entry, process.notes, clock.seconds, watch.dumps
    )


def _plan(
    graph: Process, facts: control.Control, target: Target, clock_ns: float, session: mlir.Session, watch: Watch
) -> scheduling.Plan:
    """The schedule with issue conditions looked ahead, small ones as truth tables, unless the longer way
    round the loop costs an issue stage."""
    plans = []
    ahead = mlir.canonicalise(graph, session)
    if look_ahead(ahead):
        ahead = watch.after("lookahead", mlir.canonicalise(ahead, session))
        tabulate(ahead)
        watch.after("tables", ahead)
        with suppress(HlsError):  # the plain graph says what is wrong
            plans.append(scheduling.schedule(ahead, facts, target, clock_ns))
    if not plans or _cost(plans[0]) > (1, 0):
        tabulate(graph)
        watch.after("tables", graph)
        plans.append(scheduling.schedule(graph, facts, target, clock_ns))
    plan = min(plans, key=_cost)
    watch.after("schedule", plan.process, plan.stage)
    return plan


def _cost(plan: scheduling.Plan) -> tuple[int, int]:
    """Issue stages, and writes that take a credit at issue whether they happen or not: cycles that no model expects."""
    writes = [e for e in plan.process.effects if e.op == "write"]
    return plan.issue_stages, len(writes) - len(plan.known_at_issue)
