"""Runs a `Design` exactly, one process iteration after the other, on Python integers.

It knows no clock: streams are unbounded queues, and a process advances while its reads find words (a Kahn network gives
the same words in any order of execution). It is the yardstick for both ends of the compiler.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from operator import eq, ge, gt, le, lt, ne

from openhls.common.errors import HlsError
from openhls.graph.nodes import Design, Node, Process

_COMPARE = {"eq": eq, "ne": ne, "lt": lt, "le": le, "gt": gt, "ge": ge}


def signed(value: int, width: int) -> int:
    """Two's complement reading of an unsigned word."""
    return value - (1 << width) if value >> (width - 1) & 1 else value


def _divide(a: int, b: int) -> int:
    """C's division: towards zero."""
    quotient = abs(a) // abs(b)
    return -quotient if (a < 0) != (b < 0) else quotient


def evaluate(node: Node, args: Sequence[int]) -> int:
    """A pure operation on unsigned words; the result is reduced to the node's width by the caller.

    What C leaves undefined (division by zero, a shift by the width or more) gives 0 (or the sign).
    """
    op, width = node.op, node.width
    if op == "const":
        return int(node.attrs["value"])
    if op == "undef":
        return 0
    if op in _SIMPLE:
        return _SIMPLE[op](*args)
    if op == "shl":
        return args[0] << args[1] if args[1] < width else 0
    if op == "shrs":
        return signed(args[0], width) >> min(args[1], width)
    if op in ("divs", "mods"):
        a, b = (signed(x, width) for x in args)
        quotient = _divide(a, b) if b else 0
        return quotient if op == "divs" else a - b * quotient if b else 0
    if op == "icmp":
        predicate = node.attrs["pred"]
        a, b = (signed(x, n.width) for x, n in zip(args, node.args, strict=True)) if predicate[0] == "s" else args
        return int(_COMPARE[predicate if predicate in ("eq", "ne") else predicate[1:]](a, b))
    if op == "parity":
        return args[0].bit_count() & 1
    if op == "mux":
        return args[1] if args[0] else args[2]
    if op == "extract":
        return args[0] >> int(node.attrs["low"])
    if op == "concat":
        value = 0
        for word, source in zip(args, node.args, strict=True):
            value = value << source.width | word
        return value
    if op == "table":
        return int(node.attrs["value"]) >> int("".join(map(str, args)), 2)
    if op == "replicate":
        value, part = 0, node.args[0].width
        for _ in range(width // part):
            value = value << part | args[0]
        return value
    raise ValueError(f"unknown operation {op}")


_SIMPLE: dict[str, Callable[..., int]] = {
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "mul": lambda a, b: a * b,
    "and": lambda a, b: a & b,
    "or": lambda a, b: a | b,
    "xor": lambda a, b: a ^ b,
    "shru": lambda a, b: a >> b,
    "divu": lambda a, b: a // b if b else 0,
    "modu": lambda a, b: a % b if b else 0,
}


class Starved(Exception):
    """A read found its stream empty: the iteration has not happened."""


class Machine:
    """One process: its registers, its memories, one iteration at a time."""

    def __init__(self, process: Process, queues: Mapping[str, deque[int]]):
        self.process, self.queues = process, queues
        self.order = list(process.topological())
        self.registers = {id(r): r.attrs["init"] or 0 for r in process.regs}
        self.memories = {name: list(m.contents or [0] * m.depth) for name, m in process.memories.items()}
        self.iterations = self.runs = 0

    def step(self) -> None:
        """One iteration.

        Raises:
            Starved: nothing has changed; try again when the stream holds a word.
        """
        values: dict[int, int] = dict(self.registers)
        popped: list[str] = []
        late: list[tuple[Node, list[int]]] = []
        for node in self.order:
            if node.op == "reg":
                continue
            args = [values[id(a)] for a in node.args]
            if node.op == "read":
                result = self._read(node, args[0], popped)
            elif node.op == "load":
                words = self.memories[node.attrs["memory"]]
                result = words[args[0]] if args[1] and args[0] < len(words) else 0
            elif node.op in ("write", "store"):
                late.append((node, args))
                continue
            else:
                result = evaluate(node, args) & ((1 << node.width) - 1)
            values[id(node)] = result
        for stream in popped:
            self.queues[stream].popleft()
        for node, args in late:
            if not args[-1]:
                continue
            if node.op == "write":
                self.queues[node.attrs["stream"]].append(args[0])
            else:
                self.memories[node.attrs["memory"]][args[0]] = args[1]
        self.registers = {id(r): values[id(r.args[0])] for r in self.process.regs}
        self.iterations += 1
        self.runs += bool(self.process.run_ends is not None and values[id(self.process.run_ends)])

    def _read(self, node: Node, wanted: int, popped: list[str]) -> int:
        if not wanted:
            return 0
        queue = self.queues[node.attrs["stream"]]
        if not queue:
            raise Starved(node.attrs["stream"])
        popped.append(node.attrs["stream"])
        return queue[0]


def run(
    design: Design, inputs: Mapping[str, Sequence[int]], runs: int = 1, limit: int = 1_000_000
) -> dict[str, list[int]]:
    """Run every process `runs` times, or until its input ends.

    Args:
        inputs: words (unsigned) of each input port, all runs one after the other.
        runs: how often each process function is called.
        limit: iterations of one process after which it is taken for hung.
    Returns:
        The words of each output port.
    """
    queues: dict[str, deque[int]] = {name: deque() for name in design.streams}
    for name, words in inputs.items():
        queues[name].extend(words)
    machines = [Machine(process, queues) for process in design.processes]
    advanced = True
    while advanced:
        advanced = False
        for machine in machines:
            try:
                while machine.runs < runs:
                    machine.step()
                    advanced = True
                    if machine.iterations > limit:
                        raise HlsError(f"process '{machine.process.name}' runs for more than {limit} iterations")
            except Starved:
                continue
    return {name: list(queues[name]) for name, stream in design.streams.items() if stream.consumer is None}
