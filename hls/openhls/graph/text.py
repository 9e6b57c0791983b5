"""A process as text, to read and to compare: equal graphs give equal texts, whatever their nodes lie at in memory.

    process pe  ; pe.cpp:4
      memory acc: 16 x 32 bits  ; pe.cpp:6
      register %o: i4 = 0, then %3  ; pe.cpp:8
      %0 = icmp eq %o, 0:i4 : i1  ; pe.cpp:8
      %1 = read x if %0 : i72
      ...
      write y = %9 if %7
      run ends if %4
      effects: read x, load acc, store acc, write y

Operands come before their users, but the next values of registers. A constant is `value:iWIDTH` where it is used; bits
are `%x[high:low]`. `effects` gives the program's order.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from hashlib import sha256

from openhls.common.errors import Location
from openhls.graph.nodes import Memory, Node, Process

_SHOWN = 16  # words of a ROM; the rest is told by a digest


def text(process: Process, stage: Mapping[Node, int] | None = None) -> str:
    """A process as text. stage: of each node in a pipeline, shown where it is given."""
    return _Writer(process, stage or {}).text()


class _Writer:
    def __init__(self, process: Process, stage: Mapping[Node, int]):
        self.process, self.stage = process, stage
        self.names: dict[Node, str] = {}
        taken: set[str] = set()
        for register in process.regs:
            name = base = f"%{register.attrs.get('name') or 'register'}"
            count = 2
            while name in taken:
                name, count = f"{base}_{count}", count + 1
            taken.add(name)
            self.names[register] = name

    def text(self) -> str:
        process = self.process
        body = [self._line(node) for node in process.topological() if node.op not in ("reg", "const", "undef")]
        head = [f"process {process.name}{_at(process.loc)}"]
        head += [f"  {_memory(memory)}" for memory in process.memories.values()]
        head += [f"  {self._register(register)}" for register in process.regs]
        tail = [] if process.run_ends is None else [f"  run ends if {self._name(process.run_ends)}"]
        tail.append("  effects: " + ", ".join(f"{e.op} {_subject(e)}" for e in process.effects))
        return "\n".join([*head, *body, *tail]) + "\n"

    def _name(self, node: Node) -> str:
        if node.op == "const":
            return f"{node.attrs['value']}:i{node.width}"
        if node.op == "undef":
            return f"undef:i{node.width}"
        return self.names.setdefault(node, f"%{len(self.names) - len(self.process.regs)}")

    def _register(self, node: Node) -> str:
        init = node.attrs["init"]
        start = "" if init is None else f" = {init}"
        return f"register {self._name(node)}: i{node.width}{start}, then {self._name(node.args[0])}{self._end(node)}"

    def _line(self, node: Node) -> str:
        args = [self._name(arg) for arg in node.args]
        said = _PHRASES.get(node.op, lambda node, args: f"{node.op} {', '.join(args)}")(node, args)
        made = f"{self._name(node)} = {said} : i{node.width}" if node.width else said
        return f"  {made}{self._end(node)}"

    def _end(self, node: Node) -> str:
        stage = f"  [stage {self.stage[node]}]" if node in self.stage else ""
        return stage + _at(node.loc)


_PHRASES: dict[str, Callable[[Node, list[str]], str]] = {
    "icmp": lambda node, args: f"icmp {node.attrs['pred']} {args[0]}, {args[1]}",
    "mux": lambda node, args: f"mux {args[0]} ? {args[1]} : {args[2]}",
    "extract": lambda node, args: f"{args[0]}[{node.attrs['low'] + node.width - 1}:{node.attrs['low']}]",
    "table": lambda node, args: f"table {node.attrs['value']:#x} {', '.join(args)}",
    "read": lambda node, args: f"read {node.attrs['stream']} if {args[0]}",
    "write": lambda node, args: f"write {node.attrs['stream']} = {args[0]} if {args[1]}",
    "load": lambda node, args: f"load {node.attrs['memory']}[{args[0]}] if {args[1]}",
    "store": lambda node, args: f"store {node.attrs['memory']}[{args[0]}] = {args[1]} if {args[2]}",
}


def _subject(effect: Node) -> str:
    return str(effect.attrs.get("stream") or effect.attrs.get("memory"))


def _memory(memory: Memory) -> str:
    said = f"memory {memory.name}: {memory.depth} x {memory.width} bits"
    if memory.storage is not None:
        said += f", {memory.storage}"
    if memory.contents is not None:
        words = " ".join(f"{word:x}" for word in memory.contents[:_SHOWN])
        if len(memory.contents) > _SHOWN:
            words += f" ... sha256 {sha256(repr(memory.contents).encode()).hexdigest()[:16]}"
        said += f" = {words}"
    return said + _at(memory.loc)


def _at(loc: Location | None) -> str:
    return "" if loc is None else f"  ; {loc.brief}"
