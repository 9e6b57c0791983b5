"""The middle representation: one loop iteration of each process as a dataflow graph.

The front end (`pragmas`, `clang`, `passes`, `importer`, `dataflow`) makes a `Design`; the back end
(`control`, `narrow`, `schedule`, `emit`, `primitives`) turns it into RTL. Nothing else passes between them.

A process runs its flattened loop nest for ever: one call of the C++ function is one *run* of `n` iterations, and the
first iteration of the next run follows the last of the previous one. All control flow is if-converted: every operation
with an effect carries a predicate (i1), and a `reg` holds a value from one iteration to the next.

Node operations (operands in this order; `width` is the result's, 0 where there is none):

    const(value)            attrs: value (unsigned, < 2**width)
    undef                   any value will do
    add sub mul and or xor  two operands of the result's width (of a product: its low bits)
    shl shru shrs           value, amount (equal widths)
    divu divs modu mods     two operands of the result's width
    icmp                    attrs: pred, one of PREDICATES; operands of equal width; result i1
    mux                     condition (i1), value if true, value if false
    parity                  whether an odd number of the operand's bits are 1; i1
    extract                 attrs: low; bits low .. low+width-1 of the operand
    concat                  operands from the most to the least significant
    replicate               operand repeated width/operand.width times
    table                   attrs: value; bit k of it where the operands, i1, the most significant first, spell k; i1
    reg                     attrs: name, init (unsigned, or None: any value); args[0] = value for the next iteration.
                            At reset and nowhere else it takes `init`: the front end muxes `init` in where a run ends.
    read                    attrs: stream; args = [predicate]
    write                   attrs: stream; args = [value, predicate]; width 0
    load                    attrs: memory; args = [address, predicate]
    store                   attrs: memory; args = [address, value, predicate]; width 0

At most one read and one write per stream, and one load and one store per memory, is left in a process by the front
end, which merges exclusive ones (a ROM may have several loads: each gets a copy of it). Within an iteration a load
comes before a store of the same memory in program order, unless the front end refused.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from openhls.common.errors import Location

ASSOCIATIVE = ("add", "mul", "and", "or", "xor")
PREDICATES = ("eq", "ne", "slt", "sle", "sgt", "sge", "ult", "ule", "ugt", "uge")  # in the order of CIRCT's numbers


class Node:
    """One operation. Identity is object identity; `Builder` shares equal pure nodes."""

    __slots__ = ("args", "attrs", "loc", "op", "width")

    def __init__(self, op: str, width: int, args: Iterable[Node] = (), loc: Location | None = None, **attrs):
        self.op, self.width, self.args, self.loc, self.attrs = op, width, list(args), loc, attrs

    def __repr__(self) -> str:
        return f"<{self.op}:i{self.width} {self.attrs or ''} @{self.loc}>"


@dataclass
class Memory:
    """An array that stayed an array: RAM where some process stores to it, ROM otherwise.

    `contents` holds `depth` unsigned words (None: nothing promised at reset). `storage` is what BIND_STORAGE asked
    for ("bram", "lutram", "uram") or None.
    """

    name: str
    width: int
    depth: int
    contents: list[int] | None = None
    storage: str | None = None
    loc: Location | None = None


@dataclass
class Stream:
    """A FIFO between two processes, or a port of the design.

    `fields` lists the AXI4-Stream side channels packed in one word, least significant first, for example
    [("data", 128), ("keep", 16), ("strb", 16), ("last", 1)]; a plain stream is [("data", width)].
    `depth` is what STREAM asked for (None: the compiler chooses). `producer`, `consumer`: processes; None is the port.
    """

    name: str
    width: int
    fields: list[tuple[str, int]]
    depth: int | None = None
    producer: str | None = None
    consumer: str | None = None
    loc: Location | None = None


@dataclass(frozen=True)
class Static:
    """A static or global variable that a process accesses."""

    symbol: str
    name: str
    written: bool
    loc: Location | None


@dataclass(frozen=True)
class Interface:
    """What a process is to the others: where in the C++ it reads and writes which stream, and the statics it uses."""

    name: str
    loc: Location | None
    reads: dict[str, Location | None]
    writes: dict[str, Location | None]
    statics: list[Static]


@dataclass
class Process:
    """One loop nest at II = 1."""

    name: str
    loc: Location | None
    effects: list[Node] = field(default_factory=list)  # in program order
    regs: list[Node] = field(default_factory=list)
    memories: dict[str, Memory] = field(default_factory=dict)
    statics: list[Static] = field(default_factory=list)  # of the C++; each became memories or registers
    run_ends: Node | None = None  # i1: this iteration is the last of its run
    notes: list[str] = field(default_factory=list)  # to the programmer

    def interface(self) -> Interface:
        reads, writes = ({e.attrs["stream"]: e.loc for e in self.effects if e.op == op} for op in ("read", "write"))
        return Interface(self.name, self.loc, reads, writes, self.statics)

    def roots(self) -> list[Node]:
        return [*self.effects, *self.regs, *([self.run_ends] if self.run_ends is not None else [])]

    def topological(self) -> Iterator[Node]:
        """Every reachable node, operands first; a register's next value is a back edge and comes whenever it comes."""
        seen: set[int] = set()
        for root in [*self.roots(), *[r.args[0] for r in self.regs if r.args]]:
            stack = [(root, False)]
            while stack:
                node, expanded = stack.pop()
                if expanded:
                    yield node
                elif id(node) not in seen:
                    seen.add(id(node))
                    stack.append((node, True))
                    if node.op != "reg":
                        stack += [(a, False) for a in reversed(node.args)]


@dataclass
class Design:
    """A top function: its processes and the streams among them and to the outside."""

    top: str
    processes: list[Process] = field(default_factory=list)
    streams: dict[str, Stream] = field(default_factory=dict)  # ports first, in the order of the arguments


class Builder:
    """Makes nodes: shares equal pure ones, folds undefined values and constants where they meet a choice."""

    def __init__(self) -> None:
        self._memo: dict[tuple, Node] = {}
        self.loc: Location | None = None

    def make(self, op: str, width: int, *args: Node, **attrs) -> Node:
        """A pure node; equal calls give the same object."""
        key = (op, width, tuple(map(id, args)), tuple(sorted(attrs.items())))
        if key not in self._memo:
            self._memo[key] = Node(op, width, args, self.loc, **attrs)
        return self._memo[key]

    def const(self, value: int, width: int) -> Node:
        return self.make("const", width, value=value & ((1 << width) - 1))

    def undef(self, width: int) -> Node:
        return self.make("undef", width)

    def mux(self, condition: Node, true: Node, false: Node) -> Node:
        if true is false or false.op == "undef":
            return true
        if true.op == "undef":
            return false
        if condition.op == "const":
            return true if condition.attrs["value"] else false
        return self.make("mux", true.width, condition, true, false)

    def and_(self, a: Node, b: Node) -> Node:
        for x, y in ((a, b), (b, a)):
            if x.op == "const" and x.width == 1:
                return y if x.attrs["value"] else x
        return a if a is b else self.make("and", a.width, a, b)

    def or_(self, a: Node, b: Node) -> Node:
        for x, y in ((a, b), (b, a)):
            if x.op == "const" and x.width == 1:
                return x if x.attrs["value"] else y
        return a if a is b else self.make("or", a.width, a, b)

    def not_(self, a: Node) -> Node:
        if a.op == "const":
            return self.const(~a.attrs["value"], a.width)
        return self.make("xor", a.width, a, self.const(-1, a.width))

    def extract(self, x: Node, low: int, width: int) -> Node:
        return x if width == x.width else self.make("extract", width, x, low=low)

    def trunc(self, x: Node, width: int) -> Node:
        return self.extract(x, 0, width)

    def zext(self, x: Node, width: int) -> Node:
        return x if width == x.width else self.make("concat", width, self.const(0, width - x.width), x)

    def sext(self, x: Node, width: int) -> Node:
        if width == x.width:
            return x
        sign = self.extract(x, x.width - 1, 1)
        high = sign if width - x.width == 1 else self.make("replicate", width - x.width, sign)
        return self.make("concat", width, high, x)
