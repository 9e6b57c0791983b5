"""C++ sources -> a network of processes, each as IR of its own; the IR of one -> `graph.Process`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from openhls.common.clock import Clock
from openhls.common.errors import HlsError, note
from openhls.frontend import clang, dataflow, passes
from openhls.frontend.debuginfo import DebugInfo
from openhls.frontend.importer import Port, import_process
from openhls.frontend.ir import Function, parse_function
from openhls.frontend.pragmas import DATAFLOW_MARKER, STREAM_MARKER, Directives
from openhls.frontend.printed import PrintedModule
from openhls.graph.nodes import Design, Process, Stream


@dataclass(frozen=True)
class ProcessSource:
    """All that one process is made from; it does not change with the rest of the sources."""

    name: str
    function: str  # symbol
    text: str  # printed module: the function and what it needs
    ports: tuple[Port, ...]  # of its arguments


@dataclass(frozen=True)
class Program:
    """A top function taken apart: its streams (ports first, ends still open), its processes in the order of calls."""

    streams: dict[str, Stream]
    arguments: tuple[int, ...]  # of the top, how many streams each has
    processes: list[ProcessSource]
    initialised_by_code: set[str]  # symbols of globals
    notes: list[str]  # where Vitis HLS does something else, as a compiler prints it


def read_program(
    sources: Sequence[Path], top: str, include_dirs: Sequence[Path], defines: dict[str, str], clock: Clock
) -> Program:
    """Compile C++ as far as the network of a top function can be seen.

    Args:
        sources: C++ files; one of them defines the top.
        top: the C++ name of the top function (its namespace left out).
        include_dirs: for #include; the flow's own headers come after them.
        defines: preprocessor macros; `__SYNTHESIS__` is defined in any case.
        clock: takes the seconds of "clang" and "llvm".
    Raises:
        HlsError: the sources cannot be compiled as asked; the message names the line.
    """
    directives = Directives()
    if not sources:
        raise HlsError("no C++ source was given")
    with clock.step("clang"):
        units = []
        for source in sources:
            if Path(source).suffix == ".c":
                raise HlsError(f"{source}: a C source; openhls compiles C++", None, "call the file .cpp")
            text, promised = clang.compile_ir(Path(source), [Path(d) for d in include_dirs], defines)
            units.append(passes.widen_returns(text))
            directives.ports += promised.ports
            directives.notes += promised.notes
    with clock.step("llvm"):
        module = PrintedModule(_link(units))
        debug = DebugInfo(module.debug_text())
        symbol = dataflow.find_top(module, debug, top, sources)
        _check_interfaces(directives, module, debug, symbol)
        network = dataflow.read_network(module, debug, symbol)
        slices = {f: module.slice(f) for f in dict.fromkeys(c.function for c in network.calls)}
        processes = [
            ProcessSource(
                c.name,
                c.function,
                slices[c.function],
                tuple(
                    Port(s, network.streams[s].width, k, at)
                    for k, places in enumerate(c.arguments)
                    for at, s in places.items()
                ),
            )
            for c in network.calls
        ]
        notes = dict.fromkeys(note(loc, text) for loc, text in directives.notes)
        return Program(network.streams, network.arguments, processes, module.initialised_by_code(), list(notes))


def _link(units: list[str]) -> str:
    """Printed modules -> one."""
    if len(units) == 1:
        return units[0]
    module = passes.parse(units[0])
    for unit in units[1:]:
        try:
            module.link_in(passes.parse(unit))
        except RuntimeError as error:
            raise HlsError(f"the sources do not link: {error}") from None
    return str(module)


def process_graph(source: ProcessSource, clock: Clock) -> Process:
    """Optimise and import one process; `clock` takes the seconds of "llvm" and "import"."""
    with clock.step("llvm"):
        text, promises = passes.optimise(source.text, source.function)
    with clock.step("import"):
        debug = DebugInfo(text)
        function = parse_function(text, source.function)
        _check_streams(function, debug, source.name)
        _check_unrolled(function, debug)
        ports: dict[str, dict[int, Port]] = {}
        for port in source.ports:
            ports.setdefault(function.arguments[port.argument], {})[port.offset] = port
        return import_process(text, function, debug, ports, source.name, promises)


def import_design(sources: Sequence[Path], top: str, include_dirs: Sequence[Path], defines: dict[str, str]) -> Design:
    """The front end alone: a top function as a design graph. Arguments and errors: as for `read_program`."""
    clock = Clock()
    program = read_program(sources, top, include_dirs, defines, clock)
    processes = [process_graph(source, clock) for source in program.processes]
    dataflow.connect(program.streams, [p.interface() for p in processes], program.initialised_by_code)
    return Design(top, processes, program.streams)


def _check_streams(function: Function, debug: DebugInfo, process: str) -> None:
    """No network hides in a process: Vitis would run its parts one after the other."""
    hint = f"write `#pragma HLS DATAFLOW` in the function that is called as '{process}', too"
    for block in function.blocks.values():
        for i in block:
            if i.callee == DATAFLOW_MARKER:
                raise HlsError(f"DATAFLOW inside the process '{process}'", debug.location(i.debug), hint)
            if i.callee == STREAM_MARKER:
                raise HlsError(f"HLS STREAM inside the process '{process}'", debug.location(i.debug), hint)
    for node in function.declares.values():
        variable = debug.local(node)
        if debug.streams(variable.type, variable.name) is not None and not debug.leads_elsewhere(variable.type):
            raise HlsError(f"stream '{variable.name}' inside the process '{process}'", variable.loc, hint)


def _check_unrolled(function: Function, debug: DebugInfo) -> None:
    """No loop is left of those that UNROLL is about."""
    for block in function.blocks.values():
        match = re.search(r"!llvm\.loop !(\d+)", block[-1].text)
        parts = debug.entries(match[1]) if match else []
        if any('"llvm.loop.unroll.full"' in debug.nodes.get(part, "") for part in parts):
            start = next((p for p in parts if debug.kind(p) == "DILocation"), block[-1].debug)
            raise HlsError(
                "HLS UNROLL: the number of iterations is not known here",
                debug.location(start),
                "bound the loop by constants, or leave out the UNROLL",
            )


def _check_interfaces(directives: Directives, module: PrintedModule, debug: DebugInfo, top: str) -> None:
    """Every INTERFACE pragma stands in the top (or in what is no part of it) and names one of its arguments."""
    reachable, todo = set(), [top]
    while todo:
        symbol = todo.pop()
        if symbol not in reachable and module.subprogram(symbol) is not None:
            reachable.add(symbol)
            todo += module.callees(symbol)
    for symbol in sorted(reachable):
        place = debug.place(module.subprogram(symbol))
        names = {v.name for v in debug.arguments(module.subprogram(symbol)).values()} | {"return"}
        for mode in directives.ports:
            if place is None or mode.loc.file != place.file or not mode.first <= place.line <= mode.last:
                continue
            if symbol != top:
                what = "INTERFACE in a function that is not the top"
                raise HlsError(what, mode.loc, "it is about the arguments of the top")
            if mode.port not in names:
                raise HlsError(
                    f"INTERFACE port={mode.port}: no such argument",
                    mode.loc,
                    f"arguments: {', '.join(sorted(names - {'return'}))}",
                )
