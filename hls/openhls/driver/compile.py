"""C++ to a folder of SystemVerilog: the whole flow."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from openhls.backend import emit, netlist, report
from openhls.backend.keywords import safe
from openhls.backend.targets import DEFAULT_CLOCK_NS, DEFAULT_TARGET, Target, load_target
from openhls.common.clock import Clock
from openhls.common.errors import HlsError
from openhls.driver.build import Built, Job, build_graph
from openhls.driver.cache import Cache
from openhls.driver.watch import Watch, passes_of
from openhls.driver.workers import build_all
from openhls.frontend import dataflow
from openhls.frontend.pragmas import plain
from openhls.frontend.program import read_program
from openhls.graph.nodes import Design, Stream
from openhls.graph.verify import verify_design, verify_streams
from openhls.middle import mlir
from openhls.results.ports import Ports
from openhls.results.schedule import Schedule
from openhls.system.locks import locked

MAX_CLOCK_NS = 1_000_000


@dataclass(frozen=True)
class CompileResult:
    """The written files of SystemVerilog, and what ports.json and schedule.json hold.

    arguments: of the top, in order, how many streams each has: one, or those of an array or structure; none of a graph.
    dumps: the graphs that `print_after` asked for, as text, process by process.
    """

    rtl: list[Path]
    ports: Ports
    schedule: Schedule
    arguments: tuple[int, ...]
    dumps: list[str]


def compile_hls(
    sources: Sequence[Path],
    top: str,
    include_dirs: Sequence[Path] = (),
    defines: Mapping[str, str] | None = None,
    target: str | Path | Target = DEFAULT_TARGET,
    clock_ns: float = DEFAULT_CLOCK_NS,
    *,
    out: Path,
    jobs: int | None = None,
    cache: Path | None = None,
    print_after: str | Sequence[str] = (),
    done: Callable[[int, int], None] = lambda now, all: None,
) -> CompileResult:
    """Compile a C++ function to OUT/rtl/*.sv, OUT/ports.json and OUT/schedule.json.

    Args:
        sources: C++ files; top: the function to compile; include_dirs, defines: as for any compiler.
        target: a delay model, or what `load_target` takes; clock_ns: the period to schedule for.
        out: the folder; `rtl` in it is replaced as a whole, and only if all went well.
        jobs: operating system processes that build the design's processes side by side; None: as many as help.
            The files do not depend on it.
        cache: a folder of processes built before, not built again until something that they are made of changes.
        print_after: passes after which the text of each process's graph is wanted, names of `watch.PASSES` or "all".
        done: is told how many of how many processes are built.
    Raises:
        HlsError: the C++ cannot be compiled as asked; the message names the line.
    """
    model, wanted = _model(target), passes_of(print_after)
    _check_clock(clock_ns)
    clock = Clock()
    top = plain(top)
    program = read_program(sources, top, include_dirs, dict(defines or {}), clock)
    name = safe(top)
    todo = [
        Job(source, {p.stream: program.streams[p.stream].depth for p in source.ports}, name, model, clock_ns, wanted)
        for source in program.processes
    ]
    built = build_all(todo, jobs, Cache(Path(cache)) if cache else None, done)
    interfaces = [b.interface for b in built]
    dataflow.connect(program.streams, interfaces, program.initialised_by_code)
    verify_streams(program.streams, interfaces, "import")
    return _finish(name, program.streams, built, model, clock_ns, Path(out), clock, program.arguments, program.notes)


def compile_design(design: Design, target: str | Path | Target, clock_ns: float, out: Path) -> CompileResult:
    """The back end alone: a design graph to the same files. A top called by a reserved word gets an underscore."""
    model = _model(target)
    _check_clock(clock_ns)
    clock, name = Clock(), safe(design.top)
    depths = {s.name: s.depth for s in design.streams.values()}
    verify_design(design, "import")
    built = [build_graph(process, depths, name, model, clock_ns, Clock(), Watch()) for process in design.processes]
    return _finish(name, design.streams, built, model, clock_ns, out, clock)


def _model(target: str | Path | Target) -> Target:
    return target if isinstance(target, Target) else load_target(target)


def _check_clock(clock_ns: float) -> None:
    if not 0 < clock_ns <= MAX_CLOCK_NS:  # so too for NaN
        raise HlsError(f"a clock of {clock_ns} ns: more than 0 to {MAX_CLOCK_NS:,} ns is possible")


def _finish(
    top: str,
    streams: dict[str, Stream],
    built: Sequence[Built],
    target: Target,
    clock_ns: float,
    out: Path,
    clock: Clock,
    arguments: tuple[int, ...] = (),
    notes: Sequence[str] = (),
) -> CompileResult:
    """The top module around the processes, and the files."""
    depths = {stream: depth for b in built for stream, depth in b.depths.items()}
    direct = {stream for b in built if b.patient for stream in b.interface.reads}
    for b in built:
        clock.add(b.seconds)
    with clock.step("emit"), mlir.Session() as session:
        modules = emit.emit_top(top, streams, [b.interface for b in built], depths, direct, target, session)
    for b in built:
        for module, text in b.modules.items():
            netlist.add(modules, module, text)
    with clock.step("check"):
        netlist.check(modules, top)
    ports = report.ports(top, streams)
    schedule = report.schedule(
        top,
        streams,
        [b.entry for b in built],
        depths,
        target.name,
        clock_ns,
        [*notes, *(note for b in built for note in b.notes)],
        clock.seconds,
    )
    rtl = _write(out, modules, ports, schedule)
    return CompileResult(rtl, ports, schedule, arguments, [text for b in built for text in b.dumps])


def _write(out: Path, modules: dict[str, str], ports: Ports, schedule: Schedule) -> list[Path]:
    """All files in a temporary folder, then renamed into place; ports.json last: without it a folder is not whole."""
    try:
        with locked(out, wait=True), tempfile.TemporaryDirectory(prefix=".", suffix=".partial", dir=out) as name:
            scratch = Path(name)
            (scratch / "rtl").mkdir()
            for module, text in modules.items():
                (scratch / "rtl" / f"{module}.sv").write_text(text)
            for file, content in (("schedule.json", schedule), ("ports.json", ports)):
                (scratch / file).write_text(content.to_json())
            (out / "ports.json").unlink(missing_ok=True)
            if (out / "rtl").exists():
                os.rename(out / "rtl", scratch / "old")
            os.rename(scratch / "rtl", out / "rtl")
            for file in ("schedule.json", "ports.json"):
                os.replace(scratch / file, out / file)
    except OSError as error:
        raise HlsError(f"cannot write to {out}: {error.strerror}") from error
    return sorted((out / "rtl").glob("*.sv"))
