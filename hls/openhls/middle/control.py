"""The autonomous control machine of a process: executed, not estimated.

Loop counters, flags and addresses depend on nothing but themselves. That machine is compiled with LLVM and run until
its state repeats, and then for one more period, so what is found here holds for every iteration there will ever be:

* the smallest and largest value of each autonomous node,
* the iterations of one run,
* how often each effect happens in a period,
* for each memory with autonomous addresses the shortest distance, in iterations, from a store to a load of its word.

The state repeats: Brent's cycle detection, looking at the state where runs start (everywhere, if `run_ends` depends on
data). A memory's distances in the period after the first one are those of all later ones.
"""

from __future__ import annotations

import ctypes
import re
from dataclasses import dataclass, field

import llvmlite.binding as llvm
import numpy as np

from openhls.graph.nodes import Node, Process

LIMIT = 2**26  # iterations to try before giving up
MAX_WIDTH = 64  # wider values are data

_LOOKUP = {
    "add": "add",
    "sub": "sub",
    "mul": "mul",
    "and": "and",
    "or": "or",
    "xor": "xor",
    "divu": "udiv",
    "divs": "sdiv",
    "modu": "urem",
    "mods": "srem",
}


@dataclass
class Control:
    """Facts about a process; a node or memory that is missing is not autonomous (or the search was given up)."""

    ranges: dict[Node, tuple[int, int]] = field(default_factory=dict)  # inclusive, as signed numbers
    initial: dict[Node, int] = field(default_factory=dict)  # the value chosen for registers that had none at reset
    iterations: int | None = None  # of one run, where every run takes the same number
    fires: dict[Node, tuple[int, int]] = field(default_factory=dict)  # effect -> (how often, of how many iterations)
    distances: dict[str, int | None] = field(default_factory=dict)  # None: no load ever follows a store to its word


def autonomous(process: Process) -> list[Node]:
    """The nodes that depend on registers and constants only, operands before users (registers first come, first)."""
    nodes = list(process.topological())
    users: dict[Node, list[Node]] = {}
    for node in nodes:
        for arg in node.args:
            users.setdefault(arg, []).append(node)
    todo = [n for n in nodes if not _executable(n)]
    tainted = set(todo)
    while todo:
        for user in users.get(todo.pop(), ()):
            if user not in tainted:
                tainted.add(user)
                todo.append(user)
    return [n for n in nodes if n not in tainted]


def _executable(node: Node) -> bool:
    if node.op in ("read", "load", "write", "store") or node.width > MAX_WIDTH:
        return False
    if node.op in ("divu", "divs", "modu", "mods"):  # only by a positive constant: division must not trap
        by = node.args[1]
        return by.op == "const" and 0 < by.attrs["value"] < 1 << (node.width - 1)
    return True


def analyse(process: Process, limit: int = LIMIT) -> Control:
    """Run the control machine of a process; an empty `Control` if it does not repeat within `limit` iterations."""
    nodes = autonomous(process)
    if not any(n.op == "reg" for n in nodes):
        return _without_state(process, nodes)
    machine = _Machine(process, nodes)
    return machine.run(limit)


def _without_state(process: Process, nodes: list[Node]) -> Control:
    """No autonomous register: every iteration is alike, only constants are known."""
    ends = process.run_ends
    once = ends is not None and ends.op == "const" and ends.attrs["value"] == 1
    return Control(iterations=1 if once else None)


class _Machine:
    """The LLVM function of one process's control machine."""

    def __init__(self, process: Process, nodes: list[Node]):
        self.process = process
        self.names: dict[Node, str] = {}
        inside = set(nodes)
        self.regs = [n for n in nodes if n.op == "reg"]
        self.initial = {r: 0 for r in self.regs if r.attrs["init"] is None}
        self.pure = [n for n in nodes if n.op not in ("reg", "const", "undef")]
        self.watched = [n for n in [*self.regs, *self.pure] if n.width]
        self.effects = [e for e in process.effects if e.args[-1] in inside]
        accesses = [e for e in process.effects if e.op in ("load", "store")]
        known = {e for e in self.effects if e.op in ("load", "store") and e.args[0] in inside}
        names = {e.attrs["memory"] for e in accesses if e.op == "store"}
        self.memories = sorted(m for m in names if all(e in known for e in accesses if e.attrs["memory"] == m))
        self.ends = process.run_ends if process.run_ends in inside else None
        self.lines: list[str] = []
        self.phis: list[str] = []
        self.results: list[str] = []
        self.count = 0

    # Every loop-carried i64 gets a phi, a next value and a slot in the result array.

    def _emit(self, text: str) -> str:
        self.count += 1
        self.lines.append(f"  %t{self.count} = {text}")
        return f"%t{self.count}"

    def _carry(self, name: str, initial: int | str, width: int = 64) -> str:
        self.phis.append(f"  %{name} = phi i{width} [{initial}, %entry], [%{name}.next, %loop]")
        return f"%{name}"

    def _next(self, name: str, text: str, width: int = 64) -> None:
        self.lines.append(f"  %{name}.next = {text}")

    def _result(self, name: str) -> int:
        self.results.append(f"%{name}.next")
        return len(self.results) - 1

    def _value(self, node: Node) -> str:
        if node.op == "const":
            return str(node.attrs["value"])
        return "0" if node.op == "undef" else self.names[node]

    def _fold(self, op: str, width: int, args: list[str]) -> str:
        value = args[0]
        for arg in args[1:]:
            value = self._emit(f"{op} i{width} {value}, {arg}")
        return value

    def _resize(self, value: str, width: int, to: int, how: str) -> str:
        if width == to:
            return value
        return self._emit(f"{how if width < to else 'trunc'} i{width} {value} to i{to}")

    def _pure(self, node: Node) -> str:
        op, width, args = node.op, node.width, [self._value(a) for a in node.args]
        ty = f"i{width}"
        if op in _LOOKUP:
            return self._fold(_LOOKUP[op], width, args)
        if op == "icmp":
            return self._emit(f"icmp {node.attrs['pred']} i{node.args[0].width} {args[0]}, {args[1]}")
        if op == "parity":
            wide = node.args[0].width
            return self._resize(self._emit(f"call i{wide} @llvm.ctpop.i{wide}(i{wide} {args[0]})"), wide, 1, "zext")
        if op == "mux":
            return self._emit(f"select i1 {args[0]}, {ty} {args[1]}, {ty} {args[2]}")
        if op == "extract":
            wide = node.args[0].width
            return self._resize(self._emit(f"lshr i{wide} {args[0]}, {node.attrs['low']}"), wide, width, "zext")
        if op in ("concat", "replicate"):
            parts = node.args if op == "concat" else node.args * (width // node.args[0].width)
            value = "0"
            for part in parts:
                if part.width < width:
                    value = self._emit(f"shl {ty} {value}, {part.width}")
                value = self._emit(f"or {ty} {value}, {self._resize(self._value(part), part.width, width, 'zext')}")
            return value
        if op in ("shl", "shru"):  # an amount beyond the width gives zero; LLVM leaves it undefined
            inside = self._emit(f"icmp ult {ty} {args[1]}, {width}") if width < 1 << min(width, 32) else "true"
            shifted = self._emit(f"{'shl' if op == 'shl' else 'lshr'} {ty} {args[0]}, {args[1]}")
            return self._emit(f"select i1 {inside}, {ty} {shifted}, {ty} 0")
        if op == "shrs":
            amount = self._emit(f"call {ty} @llvm.umin.{ty}({ty} {args[1]}, {ty} {width - 1})")
            return self._emit(f"ashr {ty} {args[0]}, {amount}")
        raise AssertionError(f"no LLVM form of {node}")

    def _bounds(self) -> dict[Node, tuple[int, int]]:
        slots = {}
        for k, node in enumerate(self.watched):
            value = self._resize(self._value(node), node.width, 64, "sext")
            for name, initial in (("smin", 2**63 - 1), ("smax", -(2**63))):
                old = self._carry(f"{name}{k}", initial)
                self._next(f"{name}{k}", f"call i64 @llvm.{name}.i64(i64 {old}, i64 {value})")
            slots[node] = self._result(f"smin{k}"), self._result(f"smax{k}")
        return slots

    def _fires(self) -> dict[Node, int]:
        slots = {}
        for k, effect in enumerate(self.effects):
            old = self._carry(f"fires{k}", 0)
            self._next(f"fires{k}", f"add i64 {old}, {self._resize(self._value(effect.args[-1]), 1, 64, 'zext')}")
            slots[effect] = self._result(f"fires{k}")
        return slots

    def _distances(self) -> dict[str, int]:
        """A table per memory: the iteration of the last store to each word, -1 where there was none."""
        slots = {}
        for k, name in enumerate(self.memories):
            depth = self.process.memories[name].depth
            table = self._emit(f"getelementptr ptr, ptr %tables, i64 {k}")
            table = self._emit(f"load ptr, ptr {table}")
            least = self._carry(f"distance{k}", 2**62)
            for effect in self.effects:
                if effect.op not in ("load", "store") or effect.attrs["memory"] != name:
                    continue
                address = self._resize(self._value(effect.args[0]), effect.args[0].width, 64, "zext")
                inside = self._emit(f"icmp ult i64 {address}, {depth}")
                happens = self._emit(f"and i1 {inside}, {self._value(effect.args[-1])}")
                word = self._emit(f"select i1 {happens}, i64 {address}, i64 {depth}")  # one spare word for the others
                word = self._emit(f"getelementptr i64, ptr {table}, i64 {word}")
                if effect.op == "store":
                    self.lines.append(f"  store i64 %i, ptr {word}")
                    continue
                last = self._emit(f"load i64, ptr {word}")
                stored = self._emit(f"icmp sge i64 {last}, 0")
                counts = self._emit(f"and i1 {stored}, {happens}")
                distance = self._emit(f"sub i64 %i, {last}")
                distance = self._emit(f"select i1 {counts}, i64 {distance}, i64 {2**62}")
                least = self._emit(f"call i64 @llvm.umin.i64(i64 {least}, i64 {distance})")
            self._next(f"distance{k}", f"add i64 {least}, 0")
            slots[name] = self._result(f"distance{k}")
        return slots

    def _repeats(self) -> None:
        """Brent's algorithm on the states at marks (the starts of runs); a second hit ends the loop."""
        mark = self._value(self.ends) if self.ends is not None else "true"
        same = "true"
        for k, r in enumerate(self.regs):
            saved = self._carry(f"saved{k}", r.attrs["init"] or 0, r.width)
            equal = self._emit(f"icmp eq i{r.width} {saved}, %reg{k}.next")
            same = self._emit(f"and i1 {same}, {equal}")
        hit = self._emit(f"and i1 {same}, {mark}")
        power, steps, hits = self._carry("power", 1), self._carry("steps", 0), self._carry("hits", 0)
        self._next("hits", f"add i64 {hits}, {self._emit(f'zext i1 {hit} to i64')}")
        one_more = self._emit(f"add i64 {steps}, {self._emit(f'zext i1 {mark} to i64')}")
        full = self._emit(f"icmp eq i64 {one_more}, {power}")
        searching = self._emit("icmp eq i64 %hits.next, 0")
        full = self._emit(f"and i1 {full}, {mark}")
        save = self._emit(f"and i1 {full}, {searching}")
        self._next("power", f"shl i64 {power}, {self._emit(f'zext i1 {save} to i64')}")
        self._next("steps", f"select i1 {save}, i64 0, i64 {one_more}")
        for k, r in enumerate(self.regs):
            ty = f"i{r.width}"
            self._next(f"saved{k}", f"select i1 {save}, {ty} %reg{k}.next, {ty} %saved{k}")
        start, shortest, longest = self._carry("start", 0), self._carry("shortest", 2**62), self._carry("longest", 0)
        length = self._emit(f"sub i64 %i.next, {start}")
        for name, old, pick in (("shortest", shortest, "umin"), ("longest", longest, "umax")):
            new = self._emit(f"call i64 @llvm.{pick}.i64(i64 {old}, i64 {length})")
            self._next(name, f"select i1 {mark}, i64 {new}, i64 {old}")
        self._next("start", f"select i1 {mark}, i64 %i.next, i64 {start}")
        done = self._emit("icmp uge i64 %hits.next, 2")
        out = self._emit("icmp eq i64 %i.next, %limit")
        self.lines.append(f"  %stop = or i1 {done}, {out}")

    def run(self, limit: int) -> Control:
        self._carry("i", 0)
        for k, r in enumerate(self.regs):
            self.names[r] = self._carry(f"reg{k}", r.attrs["init"] or 0, r.width)
        for node in self.pure:
            self.names[node] = self._pure(node)
        for k, r in enumerate(self.regs):
            self._next(f"reg{k}", f"or i{r.width} {self._value(r.args[0])}, 0")
        self._next("i", "add i64 %i, 1")
        bounds, fires, distances = self._bounds(), self._fires(), self._distances()
        self._repeats()
        hits, steps, shortest, longest = (self._result(n) for n in ("hits", "i", "shortest", "longest"))
        out = self._call(limit)
        if out[hits] < 2:
            return Control()
        control = Control(initial=self.initial)
        control.ranges = {n: (int(out[low]), int(out[high])) for n, (low, high) in bounds.items()}
        control.fires = {e: (int(out[k]), int(out[steps])) for e, k in fires.items()}
        control.distances = {m: None if out[k] == 2**62 else int(out[k]) for m, k in distances.items()}
        if self.ends is not None and out[shortest] == out[longest]:
            control.iterations = int(out[longest])
        return control

    def _call(self, limit: int) -> np.ndarray:
        stores = []
        for k, value in enumerate(self.results):
            stores += [f"  %slot{k} = getelementptr i64, ptr %out, i64 {k}", f"  store i64 {value}, ptr %slot{k}"]
        text = "\n".join(
            [
                "define void @machine(i64 %limit, ptr %tables, ptr %out) {",
                "entry:",
                "  br label %loop",
                "loop:",
                *self.phis,
                *self.lines,
                "  br i1 %stop, label %exit, label %loop",
                "exit:",
                *stores,
                "  ret void",
                "}",
            ]
        )
        tables = [np.full(self.process.memories[m].depth + 1, -1, np.int64) for m in self.memories]
        pointers = np.array([t.ctypes.data for t in tables] or [0], np.uint64)
        out = np.zeros(len(self.results), np.int64)
        _execute(_declare(text) + text, limit, pointers, out)
        return out


def _declare(text: str) -> str:
    """Declarations of the LLVM intrinsics a function calls."""
    found = sorted(set(re.findall(r"call (i\d+) @(llvm\.[a-z]+\.i\d+)\([^,)]*(,?)", text)))
    return "".join(f"declare {ty} @{name}({ty}{', ' + ty if two else ''})\n" for ty, name, two in found)


def _execute(text: str, limit: int, tables: np.ndarray, out: np.ndarray) -> None:
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    machine = llvm.Target.from_default_triple().create_target_machine(opt=2)
    module = llvm.parse_assembly(text)
    builder = llvm.create_pass_builder(machine, llvm.create_pipeline_tuning_options(2))
    builder.getModulePassManager().run(module, builder)
    with llvm.create_mcjit_compiler(module, machine) as engine:
        engine.finalize_object()
        call = ctypes.CFUNCTYPE(None, ctypes.c_int64, ctypes.c_void_p, ctypes.c_void_p)
        call(engine.get_function_address("machine"))(limit, tables.ctypes.data, out.ctypes.data)
