"""C++ to a folder of SystemVerilog: the whole flow."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from openhls.backend import emit, netlist, report
from openhls.backend.keywords import safe
from openhls.backend.targets import target as find_target
from openhls.common.clock import Clock
from openhls.common.errors import HlsError
from openhls.driver.build import Built, Job, build_graph
from openhls.driver.cache import Cache
from openhls.driver.workers import build_all
from openhls.frontend import dataflow
from openhls.frontend.pragmas import plain
from openhls.frontend.program import read_program
from openhls.graph.nodes import Design, Stream
from openhls.middle import mlir
from openhls.system.locks import locked

MAX_CLOCK_NS = 1_000_000


@dataclass(frozen=True)
class CompileResult:
    """The written files and what ports.json and schedule.json hold."""

    rtl: list[Path]
    ports: dict
    schedule: dict


def compile_hls(
    sources: Sequence[Path],
    top: str,
    include_dirs: Sequence[Path] = (),
    defines: Mapping[str, str] | None = None,
    target: str = "xcup",
    clock_ns: float = 3.33,
    *,
    out: Path,
    jobs: int | None = None,
    cache: Path | None = None,
) -> CompileResult:
    """Compile a C++ function to OUT/rtl/*.sv, OUT/ports.json and OUT/schedule.json.

    Args:
        sources: C++ files; top: the function to compile; include_dirs, defines: as for any compiler.
        target: a name of `targets.TARGETS`; clock_ns: the period to schedule for.
        out: the folder; `rtl` in it is replaced as a whole, and only if all went well.
        jobs: operating system processes that build the design's processes side by side; None: as many as help.
            The files do not depend on it.
        cache: a folder of processes built before, not built again until something that they are made of changes.
    Raises:
        HlsError: the C++ cannot be compiled as asked; the message names the line.
    """
    find_target(target)
    _check_clock(clock_ns)
    clock = Clock()
    top = plain(top)
    program = read_program(sources, top, include_dirs, dict(defines or {}), clock)
    name = safe(top)
    todo = [
        Job(source, {p.stream: program.streams[p.stream].depth for p in source.ports}, name, target, clock_ns)
        for source in program.processes
    ]
    built = build_all(todo, jobs, Cache(Path(cache)) if cache else None)
    dataflow.connect(program.streams, [b.interface for b in built], program.initialised_by_code)
    return _finish(name, program.streams, built, target, clock_ns, Path(out), clock, program.notes)


def compile_design(design: Design, target: str, clock_ns: float, out: Path) -> CompileResult:
    """The back end alone: a design graph to the same files. A top called by a reserved word gets an underscore."""
    find_target(target)
    _check_clock(clock_ns)
    clock, name = Clock(), safe(design.top)
    depths = {s.name: s.depth for s in design.streams.values()}
    built = [build_graph(process, depths, name, target, clock_ns, Clock()) for process in design.processes]
    return _finish(name, design.streams, built, target, clock_ns, out, clock)


def _check_clock(clock_ns: float) -> None:
    if not 0 < clock_ns <= MAX_CLOCK_NS:  # so too for NaN
        raise HlsError(f"a clock of {clock_ns} ns: more than 0 to {MAX_CLOCK_NS:,} ns is possible")


def _finish(
    top: str,
    streams: dict[str, Stream],
    built: Sequence[Built],
    target: str,
    clock_ns: float,
    out: Path,
    clock: Clock,
    notes: Sequence[str] = (),
) -> CompileResult:
    """The top module around the processes, and the files."""
    depths = {stream: depth for b in built for stream, depth in b.depths.items()}
    for b in built:
        clock.add(b.seconds)
    with clock.step("emit"), mlir.Session() as session:
        modules = emit.emit_top(top, streams, [b.interface for b in built], depths, find_target(target), session)
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
        target,
        clock_ns,
        [*notes, *(note for b in built for note in b.notes)],
        clock.seconds,
    )
    rtl = _write(out, modules, ports, schedule)
    return CompileResult(rtl, ports, schedule)


def _write(out: Path, modules: dict[str, str], ports: dict, schedule: dict) -> list[Path]:
    """All files in a temporary folder, then renamed into place; ports.json last: without it a folder is not whole."""
    try:
        with locked(out, wait=True), tempfile.TemporaryDirectory(prefix=".", suffix=".partial", dir=out) as name:
            scratch = Path(name)
            (scratch / "rtl").mkdir()
            for module, text in modules.items():
                (scratch / "rtl" / f"{module}.sv").write_text(text)
            for file, content in (("schedule.json", schedule), ("ports.json", ports)):
                (scratch / file).write_text(json.dumps(content, indent=2) + "\n")
            (out / "ports.json").unlink(missing_ok=True)
            if (out / "rtl").exists():
                os.rename(out / "rtl", scratch / "old")
            os.rename(scratch / "rtl", out / "rtl")
            for file in ("schedule.json", "ports.json"):
                os.replace(scratch / file, out / file)
    except OSError as error:
        raise HlsError(f"cannot write to {out}: {error.strerror}") from error
    return sorted((out / "rtl").glob("*.sv"))
