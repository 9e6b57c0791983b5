"""The top function: one process, or a network of processes connected by streams.

A function with `#pragma HLS DATAFLOW` holds streams and calls, nothing else. What it calls is a process, unless it has

* `DATAFLOW` itself: a network in the network; its processes and streams get the name of the call and `_` in front;
* `INLINE`: read as if it stood in its caller, and adding nothing to the names.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

from openhls.common.errors import HlsError, Location
from openhls.frontend import passes
from openhls.frontend.debuginfo import DebugInfo, Variable
from openhls.frontend.ir import Function, Instruction, Types, parse_constant_gep, parse_function
from openhls.frontend.lengths import LENGTH_MARKER, lengths
from openhls.frontend.pragmas import ABOUT_ARRAYS, DATAFLOW_MARKER, INLINE_MARKER, KEEP_MARKER, STREAM_MARKER
from openhls.frontend.printed import PrintedModule
from openhls.graph.nodes import Interface, Static, Stream

Places = dict[int, str]  # byte offset behind a pointer -> the name of the stream there


@dataclass
class Call:
    """One process: a unique name, its function, and for each of its arguments the streams by byte offset."""

    name: str
    function: str
    arguments: list[Places]

    @property
    def streams(self) -> list[str]:
        return [stream for places in self.arguments for stream in places.values()]


@dataclass
class Network:
    """Processes and streams of a design, ports first. arguments: of the top, how many streams each has."""

    calls: list[Call]
    streams: dict[str, Stream]
    arguments: tuple[int, ...]


def find_top(module: PrintedModule, debug: DebugInfo, top: str, sources: Sequence[Path]) -> str:
    """C++ name -> the symbol of its one definition in the sources."""
    found = [s for s in module.functions if debug.text(module.subprogram(s), "name") == top]
    if not found:
        raise HlsError(
            f"no function named '{top}' is defined in {', '.join(map(str, sources))}",
            None,
            "--top names a function with hls::stream arguments, without its namespace",
        )
    if len(found) > 1:
        first, second = (debug.place(module.subprogram(s)) for s in found[:2])
        raise HlsError(
            f"'{top}' is defined {len(found)} times (overloads)",
            second,
            f"the first is at {first}; give the top a name of its own",
        )
    return found[0]


def _streams(debug: DebugInfo, variable: Variable, length: int | None = None) -> dict[int, Stream] | None:
    """The streams that a variable holds, by byte offset; None where it is something else."""
    found = debug.streams(variable.type, variable.name, length)
    if found is None:
        return None
    return {at: Stream(name, sum(w for _, w in fields), fields, loc=variable.loc) for name, at, fields in found}


def port_streams(debug: DebugInfo, subprogram: str | None, known: Mapping[int, int]) -> list[dict[int, Stream]]:
    """The streams behind each argument of a function, by byte offset.

    Args:
        known: position of an argument declared as an array -> its length.
    Raises:
        HlsError: an argument that is no stream, nor an array or structure of streams.
    """
    ports = []
    for position, variable in sorted(debug.arguments(subprogram).items()):
        streams = _streams(debug, variable, known.get(position))
        if not streams:
            raise HlsError(
                f"argument '{variable.name}' is no hls::stream",
                variable.loc,
                "a top and its processes take references to hls::stream, arrays and structures of them only; make "
                "constants template parameters",
            )
        ports.append(streams)
    return ports


def _by_name(ports: list[dict[int, Stream]]) -> dict[str, Stream]:
    """All streams of a top's arguments."""
    named: dict[str, Stream] = {}
    for stream in (s for places in ports for s in places.values()):
        if other := named.get(stream.name):
            raise HlsError(f"a second port would be called '{stream.name}'", stream.loc, f"the first is at {other.loc}")
        named[stream.name] = stream
    return named


def _names(ports: list[dict[int, Stream]]) -> list[Places]:
    return [{at: s.name for at, s in places.items()} for places in ports]


def read_network(module: PrintedModule, debug: DebugInfo, symbol: str) -> Network:
    """The processes of a top function and the streams that connect them.

    Args:
        module: of which `debug` is the metadata; symbol: the top in it.
    Raises:
        HlsError: the top or a network in it holds what is neither a stream nor a call, or a stream lacks an end.
    """
    subprogram = module.subprogram(symbol)
    arguments = port_streams(debug, subprogram, lengths(module.body(symbol)))
    ports, sizes = _by_name(arguments), tuple(map(len, arguments))
    if DATAFLOW_MARKER not in module.callees(symbol):
        call = Call(_plain(debug.text(subprogram, "name") or symbol), symbol, _names(arguments))
        return Network([call], ports, sizes)
    reader = _Reader(module, debug, Network([], dict(ports), sizes))
    reader.read(symbol, _names(arguments), _Scope("", [symbol]))
    reader.check_ends()
    return reader.network


def _plain(name: str) -> str:
    """`pe<Config>` -> `pe`."""
    return re.sub(r"\W.*", "", name) or "process"


@dataclass
class _Scope:
    """A network while it is read: what goes in front of its names, and the functions being read, outermost first."""

    prefix: str
    functions: list[str]
    calls: Counter[str] = field(default_factory=Counter)  # C++ name -> calls of it so far

    def call(self, function: str) -> str:
        """The name of a further call of a C++ function: `pe`, `pe_2`, ..."""
        self.calls[function] += 1
        count = self.calls[function]
        return self.prefix + (function if count == 1 else f"{function}_{count}")


class _Reader:
    """Collects processes and streams over all levels of a network."""

    def __init__(self, module: PrintedModule, debug: DebugInfo, network: Network):
        """network: the ports alone; streams and processes are added to it."""
        self.module, self.debug, self.network = module, debug, network
        self.ports = list(network.streams)

    def read(self, symbol: str, arguments: list[Places], scope: _Scope) -> None:
        """Add what a DATAFLOW or INLINE function holds; `arguments`: the streams that it is called with."""
        text = passes.promote(self.module.slice(symbol, callees=False), symbol)
        _Body(self, DebugInfo(text), Types.of(text), parse_function(text, symbol), arguments, scope).read()

    def add_stream(self, stream: Stream, scope: _Scope) -> str:
        """Returns the stream's name in the top."""
        name = scope.prefix + stream.name
        if other := self.network.streams.get(name):
            raise HlsError(
                f"a second stream named '{name}'",
                stream.loc,
                f"the first is at {other.loc}; what is INLINE shares the names of its caller",
            )
        stream.name = name
        self.network.streams[name] = stream
        return name

    def add_process(self, call: Call, loc: Location | None) -> None:
        if any(call.name == other.name for other in self.network.calls):
            raise HlsError(f"a second process named '{call.name}'", loc, "rename one of the functions")
        self.network.calls.append(call)

    def check_ends(self) -> None:
        """Every stream joins two processes, or one and a port."""
        users: dict[str, list[str]] = {name: [] for name in self.network.streams}
        for call in self.network.calls:
            for used in call.streams:
                users[used].append(call.name)
        for name, stream in self.network.streams.items():
            wanted = 1 if name in self.ports else 2
            if len(users[name]) != wanted:
                what = "one process" if wanted == 1 else "two processes (one writes it, one reads it)"
                raise HlsError(
                    f"stream '{name}' is used by {', '.join(users[name]) or 'no process'}; it needs {what}",
                    stream.loc,
                )


class _Body:
    """One DATAFLOW or INLINE function, its local variables promoted to values."""

    def __init__(
        self,
        reader: _Reader,
        debug: DebugInfo,
        types: Types,
        function: Function,
        arguments: list[Places],
        scope: _Scope,
    ):
        self.reader, self.debug, self.types, self.function, self.scope = reader, debug, types, function, scope
        self.streams = dict(zip(function.arguments, arguments, strict=True))  # object -> streams
        self.definitions = {i.name: i for block in function.blocks.values() for i in block if i.name}
        self.used: set[str] = set()  # objects that were handed on

    def read(self) -> None:
        if len(self.function.blocks) != 1:
            branch = next(b[-1] for b in self.function.blocks.values() if len(b[-1].labels) != 0)
            self._refuse(branch, "control flow in a dataflow function", "; `#pragma HLS UNROLL` makes calls of a loop")
        for i in next(iter(self.function.blocks.values())):
            self._instruction(i)
        for position, variable in self.debug.arguments(self.function.debug).items():
            if self.function.arguments[position - 1] not in self.used:
                name = self.debug.text(self.function.debug, "name")
                raise HlsError(
                    f"argument '{variable.name}' of '{name}' is used by no process",
                    variable.loc,
                    "hand it on to a process, or leave it out",
                )

    def _refuse(self, i: Instruction, what: str, further: str = "") -> NoReturn:
        raise HlsError(
            what,
            self.debug.location(i.debug),
            "a DATAFLOW function, what is INLINE in it included, holds streams and calls of processes, nothing else"
            + further,
        )

    def _instruction(self, i: Instruction) -> None:
        if i.opcode == "alloca":
            self._declare(i)
        elif i.opcode == "call":
            self._call(i)
        elif i.opcode not in ("ret", "getelementptr"):
            self._refuse(i, "a statement that is no call of a process")

    def _declare(self, i: Instruction) -> None:
        declare = self.function.declares.get(i.name)
        if declare is None:
            return  # a temporary; the call that it is made for is refused
        variable = self.debug.local(declare)
        streams = _streams(self.debug, variable)
        if not streams:
            raise HlsError(
                f"'{variable.name}' in a DATAFLOW function is no hls::stream",
                variable.loc,
                "declare it in the process that uses it",
            )
        self.streams[i.name] = {at: self.reader.add_stream(s, self.scope) for at, s in streams.items()}

    def _call(self, i: Instruction) -> None:
        if i.callee.startswith("llvm.") or i.callee in (DATAFLOW_MARKER, INLINE_MARKER, KEEP_MARKER, LENGTH_MARKER):
            return
        if i.callee == STREAM_MARKER:
            self._depth(i)
            return
        module, debug = self.reader.module, self.reader.debug
        subprogram = module.subprogram(i.callee)
        if subprogram is None:
            self._refuse(i, f"the function {i.callee} is not defined in the sources")
        place, name = debug.place(subprogram), debug.text(subprogram, "name") or i.callee
        if name.startswith(ABOUT_ARRAYS):  # of streams: each of them is by itself anyway
            return
        if place and debug.is_header(place):
            if name.startswith("stream"):
                return  # the constructor of a named stream
            self._refuse(i, "a stream is accessed here")
        arguments = self._arguments(i, _plain(name), subprogram)
        if i.callee in self.scope.functions:
            self._refuse(i, f"'{name}' calls itself")
        callees = module.callees(i.callee)
        functions = [*self.scope.functions, i.callee]
        if INLINE_MARKER in callees:
            inlined = _Scope(self.scope.prefix, functions, self.scope.calls)
            self.reader.read(i.callee, arguments, inlined)
        elif DATAFLOW_MARKER in callees:
            self.reader.read(i.callee, arguments, _Scope(f"{self.scope.call(_plain(name))}_", functions))
        else:
            call = Call(self.scope.call(_plain(name)), i.callee, arguments)
            self.reader.add_process(call, self.debug.location(i.debug))

    def _behind(self, pointer: str) -> tuple[str, Places]:
        """What a pointer leads to: (the object, its streams from there on)."""
        offset = 0
        while (gep := self._element(pointer)) is not None:
            constant, terms = self.types.displacement(gep)
            if terms:
                self._refuse(gep, "a stream chosen at run time")
            offset += constant
            pointer = gep.operands[0].text
        return pointer, {at - offset: name for at, name in self.streams.get(pointer, {}).items() if at >= offset}

    def _element(self, pointer: str) -> Instruction | None:
        if pointer.startswith("getelementptr"):
            return parse_constant_gep(pointer)
        found = self.definitions.get(pointer)
        return found if found is not None and found.opcode == "getelementptr" else None

    def _arguments(self, i: Instruction, callee: str, subprogram: str) -> list[Places]:
        """The streams that a call hands on."""
        module, where = self.reader.module, self.debug.location(i.debug)
        wanted = port_streams(self.reader.debug, subprogram, lengths(module.body(i.callee)))
        if len(wanted) != len(i.operands):
            self._refuse(i, "an argument of a process that is no stream")
        arguments: list[Places] = []
        for operand, places in zip(i.operands, wanted, strict=True):
            object_, streams = self._behind(operand.text)
            self.used.add(object_)
            if not streams:
                self._refuse(i, "an argument of a process that is no stream")
            if missing := [s for at, s in places.items() if at not in streams]:
                raise HlsError(f"'{callee}' is given no stream for '{missing[0].name}'", where)
            arguments.append({at: streams[at] for at in places})
        every = [stream for places in arguments for stream in places.values()]
        for stream in every:
            if every.count(stream) > 1:
                raise HlsError(f"'{callee}' has the stream '{stream}' twice as an argument", where)
        return arguments

    def _depth(self, i: Instruction) -> None:
        where, pointer = self.debug.location(i.debug), i.operands[0].text
        _, streams = self._behind(pointer)
        if 0 not in streams:
            raise HlsError("HLS STREAM: the variable is no stream of this function", where)
        named = [streams[0]] if self._element(pointer) else list(streams.values())  # one element, or the variable
        depth = int(i.operands[1].text)
        for name in named:
            stream = self.reader.network.streams[name]
            if stream.depth not in (None, depth):
                what = f"HLS STREAM: '{name}' has a depth of {stream.depth} already"
                raise HlsError(what, where, "write one of them")
            stream.depth = depth


def connect(streams: dict[str, Stream], processes: Sequence[Interface], initialised_by_code: set[str]) -> None:
    """Note, in place, who reads and who writes each stream.

    Args:
        initialised_by_code: symbols of the globals that get their contents before main.
    Raises:
        HlsError: a stream without two different ends; statics that are more than a process's own constants or state.
    """
    for process in processes:
        for role, used in (("consumer", process.reads), ("producer", process.writes)):
            for name, loc in used.items():
                stream = streams[name]
                if (other := getattr(stream, role)) is not None:
                    raise HlsError(f"stream '{name}' has two {role}s, {other} and {process.name}", loc)
                setattr(stream, role, process.name)
    for stream in streams.values():
        if stream.producer is None and stream.consumer is None:
            raise HlsError(f"stream '{stream.name}' is neither read nor written", stream.loc)
        if stream.producer == stream.consumer:
            raise HlsError(f"process '{stream.producer}' both reads and writes '{stream.name}'", stream.loc)
    _check_statics(processes, initialised_by_code)


def _check_statics(processes: Sequence[Interface], initialised_by_code: set[str]) -> None:
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
