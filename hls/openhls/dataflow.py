"""The top function: one process, or a network of processes connected by streams.

A top with `#pragma HLS DATAFLOW` may hold streams and calls of process functions, nothing else.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

import llvmlite.binding as llvm

from . import passes
from .debuginfo import DebugInfo, Variable
from .errors import HlsError
from .graph import Stream
from .ir import NAME, Function, Instruction, parse_function
from .pragmas import DATAFLOW_MARKER, STREAM_MARKER

_DEFINE = re.compile(rf"^define [^\n@]*({NAME})\([^\n]*?!dbg !(\d+)", re.MULTILINE)


@dataclass
class Call:
    """One process: a unique name, its function, and the stream of each of its arguments."""

    name: str
    function: str
    streams: list[str]


@dataclass
class Network:
    """Processes and streams of a design, ports first."""

    calls: list[Call]
    streams: dict[str, Stream] = field(default_factory=dict)


def find_top(text: str, debug: DebugInfo, top: str) -> tuple[str, str]:
    """C++ name -> (symbol, debug node) of its one definition."""
    found = [(m[1][1:].strip('"'), m[2]) for m in _DEFINE.finditer(text) if debug.text(m[2], "name") == top]
    if not found:
        raise HlsError(
            f"no function named '{top}' is defined in the sources",
            None,
            "--top names a function with hls::stream arguments, without its namespace",
        )
    if len(found) > 1:
        raise HlsError(
            f"'{top}' is defined {len(found)} times (overloads)",
            debug.place(found[1][1]),
            f"the first is at {debug.place(found[0][1])}; give the top a name of its own",
        )
    return found[0]


def _stream(debug: DebugInfo, variable: Variable) -> Stream | None:
    fields = debug.stream_fields(variable.type)
    if fields is None:
        return None
    return Stream(variable.name, sum(w for _, w in fields), fields, loc=variable.loc)


def port_streams(debug: DebugInfo, subprogram: str) -> dict[str, Stream]:
    """The streams among a function's arguments by C++ name, in order.

    Raises:
        HlsError: an argument that is no stream.
    """
    ports = {}
    for _, variable in sorted(debug.arguments(subprogram).items()):
        stream = _stream(debug, variable)
        if stream is None:
            raise HlsError(
                f"argument '{variable.name}' is no hls::stream",
                variable.loc,
                "a top and its processes take references to hls::stream only; make constants template parameters",
            )
        ports[variable.name] = stream
    return ports


def read_network(
    module: llvm.ModuleRef, text: str, debug: DebugInfo, symbol: str, subprogram: str
) -> Network:
    """The processes of a top function and the streams that connect them."""
    ports = port_streams(debug, subprogram)
    name = debug.text(subprogram, "name") or symbol
    if f"@{DATAFLOW_MARKER}()" not in _body(text, symbol):
        network = Network([Call(_plain(name), symbol, list(ports))], ports)
        return network
    flat = module.clone()
    passes.promote(flat, symbol)
    flat_text = str(flat)
    flat_debug = DebugInfo(flat_text)
    return _Reader(flat_text, flat_debug, parse_function(flat_text, symbol), ports).run()


def _body(text: str, symbol: str) -> str:
    start = re.search(rf'^define [^\n@]*@"?{re.escape(symbol)}"?\(', text, re.MULTILINE)
    return text[start.start() : text.index("\n}\n", start.start())] if start else ""


def _plain(name: str) -> str:
    """`pe<Config>` -> `pe`."""
    return re.sub(r"\W.*", "", name) or "process"


class _Reader:
    def __init__(self, text: str, debug: DebugInfo, function: Function, ports: dict[str, Stream]):
        self.debug, self.function = debug, function
        self.network = Network([], dict(ports))
        self.streams = dict(zip(function.arguments, ports, strict=True))  # pointer -> stream
        self.subprograms = {m[1][1:].strip('"'): m[2] for m in _DEFINE.finditer(text)}

    def run(self) -> Network:
        if len(self.function.blocks) != 1:
            branch = next(b[-1] for b in self.function.blocks.values() if len(b[-1].labels) != 0)
            self._refuse(branch, "control flow in a dataflow function")
        for i in next(iter(self.function.blocks.values())):
            self._instruction(i)
        self._check_ends()
        return self.network

    def _refuse(self, i: Instruction, what: str) -> None:
        raise HlsError(
            f"{what}",
            self.debug.location(i.debug),
            "a DATAFLOW function holds streams and calls of process functions, nothing else",
        )

    def _instruction(self, i: Instruction) -> None:
        if i.opcode == "alloca":
            self._declare(i)
        elif i.opcode == "call":
            self._call(i)
        elif i.opcode != "ret":
            self._refuse(i, "a statement that is no call of a process")

    def _declare(self, i: Instruction) -> None:
        declare = self.function.declares.get(i.name)
        if declare is None:
            return  # a temporary; the call that it is made for is refused
        variable = self.debug.local(declare)
        stream = _stream(self.debug, variable)
        if stream is None:
            raise HlsError(
                f"'{variable.name}' in a DATAFLOW function is no hls::stream",
                variable.loc,
                "declare it in the process that uses it",
            )
        if stream.name in self.network.streams:
            raise HlsError(f"a second stream named '{stream.name}'", variable.loc)
        self.network.streams[stream.name] = stream
        self.streams[i.name] = stream.name

    def _call(self, i: Instruction) -> None:
        if i.callee.startswith("llvm.") or i.callee == DATAFLOW_MARKER:
            return
        if i.callee == STREAM_MARKER:
            self._depth(i)
            return
        subprogram = self.subprograms.get(i.callee)
        if subprogram is None:
            self._refuse(i, f"the function {i.callee} is not defined in the sources")
        place = self.debug.place(subprogram)
        if place and self.debug.is_header(place):
            if (self.debug.text(subprogram, "name") or "").startswith("stream"):
                return  # the constructor of a named stream
            self._refuse(i, "a stream is accessed here")
        arguments = [self.streams.get(v.text) for v in i.operands]
        if None in arguments:
            self._refuse(i, "an argument of a process that is no stream")
        plain = _plain(self.debug.text(subprogram, "name") or i.callee)
        count = sum(
            c.name == plain or re.fullmatch(rf"{plain}_\d+", c.name) is not None for c in self.network.calls
        )
        name = f"{plain}_{count + 1}" if count else plain
        self.network.calls.append(Call(name, i.callee, [a for a in arguments if a]))

    def _depth(self, i: Instruction) -> None:
        where = self.debug.location(i.debug)
        name = self.streams.get(i.operands[0].text)
        if name is None:
            raise HlsError("HLS STREAM: the variable is no stream of this function", where)
        depth = i.operands[1].text
        if not depth.isdigit() or int(depth) < 1:
            raise HlsError(f"the depth of '{name}' is no positive constant", where)
        self.network.streams[name].depth = int(depth)

    def _check_ends(self) -> None:
        for call in self.network.calls:
            for stream in call.streams:
                if call.streams.count(stream) > 1:
                    raise HlsError(
                        f"process '{call.name}' has the stream '{stream}' twice as an argument",
                        self.network.streams[stream].loc,
                    )
        for name, stream in self.network.streams.items():
            users = [c.name for c in self.network.calls if name in c.streams]
            wanted = 1 if name in list(self.network.streams)[: len(self.function.arguments)] else 2
            if len(users) != wanted:
                what = "one process" if wanted == 1 else "two processes (one writes it, one reads it)"
                raise HlsError(
                    f"stream '{name}' is used by {', '.join(users) or 'no process'}; it needs {what}",
                    stream.loc,
                )
