"""C++ to a folder of SystemVerilog: the whole flow."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from . import circt, control, emit, narrow, report
from . import schedule as scheduling
from .errors import HlsError
from .graph import Design
from .keywords import safe
from .merge import merge_registers
from .targets import target as find_target


@dataclass(frozen=True)
class CompileResult:
    """The written files and what ports.json and schedule.json hold."""

    rtl: list[Path]
    ports: dict
    schedule: dict


def compile_hls(sources: Sequence[Path], top: str, include_dirs: Sequence[Path] = (),
                defines: Mapping[str, str] | None = None, target: str = "xcup", clock_ns: float = 3.33, *,
                out: Path) -> CompileResult:  # fmt: skip
    """Compile a C++ function to OUT/rtl/*.sv, OUT/ports.json and OUT/schedule.json.

    Args:
        sources: C++ files; top: the function to compile; include_dirs, defines: as for any compiler.
        target: a name of `targets.TARGETS`; clock_ns: the period to schedule for.
        out: the folder; `rtl` in it is replaced as a whole, and only if all went well.
    Raises:
        HlsError: the C++ cannot be compiled as asked; the message names the line.
    """
    from .frontend import import_design

    find_target(target)
    design, seconds = import_design([Path(s) for s in sources], top, [Path(d) for d in include_dirs],
                                    dict(defines or {}))  # fmt: skip
    return compile_design(design, target, clock_ns, Path(out), seconds)


def compile_design(design: Design, target: str, clock_ns: float, out: Path,
                   seconds: Mapping[str, float] | None = None) -> CompileResult:  # fmt: skip
    """The back end alone: a design graph to the same files. A top called by a reserved word gets an underscore."""
    model, seconds, clock = find_target(target), dict(seconds or {}), time.perf_counter()
    plans: dict[str, scheduling.Schedule] = {}
    iterations: dict[str, int | None] = {}
    with circt.Session() as session:
        for process in design.processes:
            graph = merge_registers(process, session)
            facts = control.analyse(graph)
            graph = circt.canonicalise(narrow.narrow(graph, facts), session)
            plans[process.name] = scheduling.schedule(graph, facts, model, clock_ns)
            iterations[process.name] = facts.iterations
        design = Design(safe(design.top), [plans[p.name].process for p in design.processes], design.streams)
        seconds["schedule"] = time.perf_counter() - clock
        hardware = emit.emit(design, plans, session)
    seconds["emit"] = time.perf_counter() - clock - seconds["schedule"]
    ports = report.ports(design)
    schedule = report.schedule(design, plans, iterations, hardware, target, clock_ns, seconds)
    rtl = _write(out, hardware.modules, ports, schedule)
    return CompileResult(rtl, ports, schedule)


def _write(out: Path, modules: dict[str, str], ports: dict, schedule: dict) -> list[Path]:
    """All files in a temporary folder, then renamed into place."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".openhls-", dir=out) as name:
            scratch = Path(name)
            (scratch / "rtl").mkdir()
            for module, text in modules.items():
                (scratch / "rtl" / f"{module}.sv").write_text(text)
            for file, content in (("ports.json", ports), ("schedule.json", schedule)):
                (scratch / file).write_text(json.dumps(content, indent=2) + "\n")
            if (out / "rtl").exists():
                os.rename(out / "rtl", scratch / "old")
            os.rename(scratch / "rtl", out / "rtl")
            for file in ("ports.json", "schedule.json"):
                os.replace(scratch / file, out / file)
            shutil.rmtree(scratch / "old", ignore_errors=True)
    except OSError as error:
        raise HlsError(f"cannot write to {out}: {error.strerror}") from error
    return sorted((out / "rtl").glob("*.sv"))
