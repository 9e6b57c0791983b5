"""C++ sources -> `graph.Design`: the whole front end."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from . import clang, dataflow, passes
from .debuginfo import DebugInfo, Variable
from .errors import HlsError
from .graph import Design, Process, Static
from .importer import Port, import_process
from .ir import Function, parse_function
from .pragmas import DATAFLOW_MARKER, Directives, Promise
from .printed import PrintedModule


class Clock:
    """Seconds per step, for schedule.json."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - start


def import_design(
    sources: list[Path], top: str, include_dirs: list[Path], defines: dict[str, str]
) -> tuple[Design, dict[str, float]]:
    """Compile a top function and what it calls to a network of process graphs.

    Args:
        sources: C++ files; one of them defines the top.
        top: the C++ name of the top function (its namespace left out).
        include_dirs: for #include; the flow's own headers come after them.
        defines: preprocessor macros; `__SYNTHESIS__` is defined in any case.
    Returns:
        The design, and the seconds spent in "clang", "llvm" and "import".
    Raises:
        HlsError: the sources cannot be compiled as asked; the message names the line.
    """
    clock, directives = Clock(), Directives()
    if not sources:
        raise HlsError("no C++ source was given")
    with clock.step("clang"):
        units = []
        for source in sources:
            text, promised = clang.compile_ir(Path(source), [Path(d) for d in include_dirs], defines)
            units.append(passes.widen_returns(text))
            directives.promises += promised.promises
    with clock.step("llvm"):
        module = PrintedModule(_link(units))
        debug = DebugInfo(module.debug_text())
        symbol = dataflow.find_top(module, debug, top)
        network = dataflow.read_network(module, debug, symbol)
        flat = {
            function: passes.optimise(module.slice(function), function)
            for function in dict.fromkeys(c.function for c in network.calls)
        }
    _check_interfaces(directives, debug, module.subprogram(symbol))
    design = Design(top, streams=network.streams)
    with clock.step("import"):
        for call in network.calls:
            process = _process(call, flat[call.function], network, directives)
            design.processes.append(process)
            _connect(design, process, call)
        _check_connections(design)
        _check_statics(design.processes, module.initialised_by_code())
    return design, clock.seconds


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


def _process(call: dataflow.Call, text: str, network: dataflow.Network, directives: Directives) -> Process:
    debug = DebugInfo(text)
    function = parse_function(text, call.function)
    dataflow.port_streams(debug, function.debug)
    _check_streams(function, debug, call.name)
    ports = {
        argument: Port(stream, network.streams[stream].width)
        for argument, stream in zip(function.arguments, call.streams, strict=True)
    }

    def promise(kind: str, variable: Variable) -> Promise | None:
        return directives.about(kind, variable.name, variable.loc)

    return import_process(text, function, debug, ports, call.name, promise)


def _connect(design: Design, process: Process, call: dataflow.Call) -> None:
    """Note who reads and who writes each stream."""
    for effect in process.effects:
        if effect.op not in ("read", "write"):
            continue
        stream = design.streams[effect.attrs["stream"]]
        role = "consumer" if effect.op == "read" else "producer"
        if (other := getattr(stream, role)) is not None:
            raise HlsError(f"stream '{stream.name}' has two {role}s, {other} and {process.name}", effect.loc)
        setattr(stream, role, process.name)


def _check_connections(design: Design) -> None:
    for stream in design.streams.values():
        if stream.producer is None and stream.consumer is None:
            raise HlsError(f"stream '{stream.name}' is neither read nor written", stream.loc)
        if stream.producer == stream.consumer:
            raise HlsError(f"process '{stream.producer}' both reads and writes '{stream.name}'", stream.loc)


def _check_streams(function: Function, debug: DebugInfo, process: str) -> None:
    """No network hides in a process: Vitis would run its parts one after the other."""
    hint = f"write `#pragma HLS DATAFLOW` in the function that is called as '{process}', too"
    for block in function.blocks.values():
        for i in block:
            if i.callee == DATAFLOW_MARKER:
                raise HlsError(f"DATAFLOW inside the process '{process}'", debug.location(i.debug), hint)
    for node in function.declares.values():
        variable = debug.local(node)
        if debug.stream_fields(variable.type) is not None:
            raise HlsError(f"stream '{variable.name}' inside the process '{process}'", variable.loc, hint)


def _check_statics(processes: list[Process], initialised_by_code: set[str]) -> None:
    """Each process has its own copy of a static, with contents known now."""
    users: dict[str, list[tuple[str, Static]]] = {}
    for process in processes:
        for static in process.statics:
            users.setdefault(static.symbol, []).append((process.name, static))
    for symbol, found in users.items():
        static = found[0][1]
        if symbol in initialised_by_code:
            raise HlsError(
                f"'{static.name}' is initialised by code",
                static.loc,
                "make its initialiser a constant expression (constexpr)",
            )
        if len(found) > 1 and any(s.written for _, s in found):
            raise HlsError(
                f"'{static.name}' is written, and shared by the processes {', '.join(name for name, _ in found)}",
                static.loc,
                "processes share streams only; a function that keeps a state can be one process",
            )


def _check_interfaces(directives: Directives, debug: DebugInfo, subprogram: str | None) -> None:
    """Every INTERFACE pragma of the top names one of its arguments."""
    place = debug.place(subprogram)
    names = {v.name for v in debug.arguments(subprogram).values()} | {"return"}
    for promise in directives.promises:
        in_top = place and promise.loc.file == place.file and promise.first - 2 <= place.line <= promise.last
        if promise.kind == "interface" and in_top and promise.variable not in names:
            raise HlsError(
                f"INTERFACE port={promise.variable}: no such argument",
                promise.loc,
                f"arguments: {', '.join(sorted(names - {'return'}))}",
            )
