"""A pipeline schedule at II = 1: which stage each operation is in.

As soon as possible, with operator chaining under the target's delay model. Three things are not free:

* A recurrence (a strongly connected component through registers) sits inside one stage: its registers take their next
  values when an iteration leaves that stage. Sums are re-associated so that a recurrence holds one adder.
* A memory's load and store. Iteration i issues at cycle t_i and no stage after the issue stages ever waits, so it loads
  at the clock edge t_i + l and stores at the edge t_i + s. A load must see the stores of the iterations before it and
  not its own, hence the gap g = s - l >= 0 (an edge that does both reads the old word). A store d iterations earlier
  lands at t_(i-d) + s <= t_i - d + s: before the load's edge if d > g, whatever bubbles lie between. If d = g it may
  land on the very edge of the load, and there forwarding is needed: the memory hands on the word being written if the
  addresses are equal. So with d the proven least distance (1 if nothing is proven), g <= max(1, d - 1), and
  forwarding where g = d = 1. Only for g = 0 does the old word matter on an edge that loads and stores.
  In the issue stages, where iterations can wait, the same holds: an iteration leaves stage l only together with
  everything in front of it that is in an issue stage, and the others move on anyway.
* Reads: in the first stage if their predicate is known there; the last stage with a read is the last issue stage.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import product
from typing import Literal

from openhls.backend.storage import array_in_block
from openhls.backend.targets import Target
from openhls.common.errors import HlsError, Location
from openhls.graph.nodes import ASSOCIATIVE, Builder, Memory, Node, Process
from openhls.middle.control import Control
from openhls.middle.narrow import extension, signed

Slot = tuple[int, float]  # stage, ns after its start
Style = Literal["block", "distributed", "ultra"]
_STYLES: dict[str, Style] = {"lutram": "distributed", "bram": "block", "uram": "ultra"}  # of BIND_STORAGE


@dataclass
class MemoryPlan:
    """How a memory is built."""

    kind: Literal["ram", "rom"]
    style: Style
    read_latency: int
    distance: int | None  # proven; None: no load follows a store to its word, or a ROM
    forwarding: bool = False
    collides: bool = False  # one edge may store a word and load its old value
    column: int | None = None  # of a ROM: bits that are a memory of their own; None: all


@dataclass
class Operand:
    """One side of a multiplier: the value before its extension."""

    node: Node
    sign: bool
    registered: bool  # the multiplier's own input register takes it one stage earlier

    @property
    def bits(self) -> int:
        """Width as a signed number."""
        return self.node.width + (not self.sign)


@dataclass
class Plan:
    """Stages of a process. `stage`: where a node acts; `ready`: from when on its result is there."""

    process: Process
    stages: int = 0
    issue_stages: int = 1
    stage: dict[Node, int] = field(default_factory=dict)
    ready: dict[Node, Slot] = field(default_factory=dict)
    operands: dict[Node, tuple[Operand, Operand]] = field(default_factory=dict)  # of each mul
    memories: dict[str, MemoryPlan] = field(default_factory=dict)
    known_at_issue: set[Node] = field(default_factory=set)  # writes whose predicate is there in the last issue stage
    patient: bool = False  # whether there is time for what it reads to come straight from a distributed memory
    longest_ns: float = 0.0  # of all stages, by the target's delay model


def components(roots: Iterable[Node]) -> list[list[Node]]:
    """Strongly connected components through registers (Tarjan), operands first."""
    index: dict[Node, int] = {}
    low: dict[Node, int] = {}
    stack: list[Node] = []
    active: set[Node] = set()
    found: list[list[Node]] = []
    for root in roots:
        work = [] if root in index else [(root, 0)]
        while work:
            node, k = work.pop()
            if k == 0:
                index[node] = low[node] = len(index)
                stack.append(node)
                active.add(node)
            descend = None
            for j in range(k, len(node.args)):
                arg = node.args[j]
                if arg not in index:
                    descend = arg
                    work += [(node, j + 1), (arg, 0)]
                    break
                if arg in active:
                    low[node] = min(low[node], index[arg])
            if descend is not None:
                continue
            if low[node] == index[node]:
                component = [stack.pop()]
                while component[-1] is not node:
                    component.append(stack.pop())
                active.difference_update(component)
                found.append(component)
            if work:
                parent = work[-1][0]
                low[parent] = min(low[parent], low[node])
    return found


def plan_memories(process: Process, control: Control, target: Target) -> dict[str, MemoryPlan]:
    """Kind, storage style and read latency of each memory of a process."""
    plans = {}
    for effect in process.effects:
        if effect.op != "load":
            continue
        name = effect.attrs["memory"]
        memory = process.memories[name]
        stored = any(e.op == "store" and e.attrs["memory"] == name for e in process.effects)
        style = _STYLES.get(
            memory.storage or "", "block" if array_in_block(memory.depth, memory.width) else "distributed"
        )
        if style == "ultra":
            _check_ultra(memory, stored, target)
        if stored:
            plans[name] = MemoryPlan("ram", style, 1, control.distances.get(name, 1))
        else:
            column = target.column(memory.depth) if style == "block" else None
            plans[name] = MemoryPlan("rom", style, 2 if style == "block" else 1, None, column=column)
    return plans


def _check_ultra(memory: Memory, stored: bool, target: Target) -> None:
    """Raises HlsError: an array that cannot be an UltraRAM, which begins with zeros."""
    if not target.ultra:
        raise HlsError(f"'{memory.name}': {target.name} has no UltraRAM", memory.loc, "leave out impl=uram")
    if not stored or any(memory.contents or ()):
        what = "begins with values other than 0" if stored else "is a ROM"
        raise HlsError(f"'{memory.name}' {what}; an UltraRAM begins with zeros", memory.loc, "write impl=bram")


def schedule(process: Process, control: Control, target: Target, clock_ns: float) -> Plan:
    """Plan a process (its n-ary operations become trees, in place).

    Raises:
        HlsError: II = 1 cannot be reached at this clock, or an operation is slower than a clock cycle.
    """
    budget = clock_ns - target.overhead
    if budget <= 0:
        raise HlsError(f"a clock of {clock_ns} ns leaves no time for logic: {target.name} loses {target.overhead} ns")
    plans = plan_memories(process, control, target)
    order = components([*process.roots()])
    constraints = _MemoryConstraints(process, plans)
    while True:
        attempt = _Attempt(process, plans, target, budget, constraints.minimum)
        attempt.place_all(order)
        if constraints.satisfied(attempt.stage):
            break
    chosen, plan = patient(attempt, _finish(attempt), constraints, order)
    for node, args in chosen.args.items():
        node.args = args
    return plan


def patient(
    attempt: _Attempt, plan: Plan, constraints: _MemoryConstraints, order: list[list[Node]]
) -> tuple[_Attempt, Plan]:
    """The same schedule, cycle for cycle, with later data from streams; the one that is given if there is none.

    A FIFO then needs no output register, and no multiplexer in front of that: in words as wide as windows they are
    most of what it takes.
    """
    process, target = attempt.process, attempt.target
    if any(effect.op == "read" for effect in process.effects):
        late = _Attempt(process, attempt.plans, target, attempt.budget, constraints.minimum, late_words=True)
        with suppress(HlsError):
            late.place_all(order)
            later = _finish(late)
            same = all(later.stage[node] == plan.stage[node] for node in (*process.effects, *process.regs))
            if same and later.known_at_issue == plan.known_at_issue:  # else writes take their credits otherwise
                return late, replace(later, patient=True)
    return attempt, plan


def _finish(attempt: _Attempt) -> Plan:
    process, stage = attempt.process, attempt.stage
    last_issue = max((stage[e] for e in process.effects if e.op == "read"), default=0)
    result = Plan(
        process,
        issue_stages=last_issue + 1,
        stage=stage,
        ready=attempt.ready,
        operands=attempt.operands,
        memories=attempt.plans,
    )
    for write in [e for e in process.effects if e.op == "write"]:
        stage[write] = max(stage[write], last_issue)
        slot = attempt.slot(write.args[1])
        if slot[0] < last_issue or (slot[0] == last_issue and slot[1] + attempt.target.issue <= attempt.budget):
            result.known_at_issue.add(write)
            if slot[0] == last_issue:
                attempt.longest = max(attempt.longest, slot[1] + attempt.target.issue)
    result.longest_ns = attempt.target.overhead + attempt.longest
    result.stages = max((stage[n] for n in [*process.effects, *process.regs]), default=0) + 1
    return result


class _MemoryConstraints:
    """Earliest stages that the memories' dependences ask for, raised from one attempt to the next."""

    def __init__(self, process: Process, plans: dict[str, MemoryPlan]):
        self.plans = plans
        self.minimum: dict[Node, int] = {}
        self.stuck: dict[Node, tuple[int, int]] = {}  # load -> (gap, attempts without a smaller one)
        effects = process.effects
        self.pairs = [
            (load, store)
            for load in effects
            for store in effects
            if load.op == "load" and store.op == "store" and load.attrs["memory"] == store.attrs["memory"]
        ]

    def satisfied(self, stage: dict[Node, int]) -> bool:
        good = True
        for load, store in self.pairs:
            plan = self.plans[load.attrs["memory"]]
            gap = stage[store] - stage[load]
            if gap < 0:
                self.minimum[store] = stage[load]
                good = False
            elif plan.distance is not None and gap > max(1, plan.distance - 1):
                self._count(load, store, gap)
                self.minimum[load] = stage[store] - max(1, plan.distance - 1)
                good = False
            plan.forwarding = gap == 1 and plan.distance == 1
            plan.collides = gap == 0
        return good

    def _count(self, load: Node, store: Node, gap: int) -> None:
        best, tries = self.stuck.get(load, (gap, 0))
        tries = tries + 1 if gap >= best else 0
        self.stuck[load] = min(gap, best), tries
        if tries > len(self.pairs) + 2:
            name = load.attrs["memory"]
            distance = self.plans[name].distance
            raise HlsError(
                f"II=1 impossible: store to '{name}' is {gap} stages after its load at {load.loc}; "
                f"a dependence distance of {gap + 1} would be needed",
                store.loc,
                f"the shortest distance proved is {distance} iteration{'s' if distance != 1 else ''}",
            )


class _Attempt:
    """One pass over the graph, operands first."""

    def __init__(
        self,
        process: Process,
        plans: dict[str, MemoryPlan],
        target: Target,
        budget: float,
        minimum: dict[Node, int],
        late_words: bool = False,
    ):
        self.word = target.late_word if late_words else lambda _: target.fifo  # of so many bits, to the logic
        self.process, self.plans, self.target, self.budget, self.minimum = process, plans, target, budget, minimum
        self.stage: dict[Node, int] = {}
        self.ready: dict[Node, Slot] = {}
        self.args: dict[Node, list[Node]] = {}  # operands that differ from the node's
        self.operands: dict[Node, tuple[Operand, Operand]] = {}
        self.builder = Builder()
        self.held = {r.args[0] for r in process.regs}
        self.longest = 0.0  # ns from the start of a stage to the last register at its end

    def slot(self, node: Node) -> Slot:
        return (0, 0.0) if node.op in ("const", "undef") else self.ready[node]

    def place_all(self, order: list[list[Node]]) -> None:
        for component in order:
            node = component[0]
            if len(component) > 1 or node in node.args:
                self._recurrence(component)
            elif node.op == "reg":
                self._set(node, self.slot(node.args[0])[0], (self.slot(node.args[0])[0], 0.0))
            elif node.op in ASSOCIATIVE and len(node.args) > 2:
                self._tree(node, node.args)
            else:
                self._place(node)

    def _set(self, node: Node, stage: int, ready: Slot) -> None:
        self.longest = max(self.longest, ready[1])
        self.stage[node], self.ready[node] = stage, ready

    def _start(self, node: Node, extra: float) -> Slot:
        """The earliest slot with all operands and `extra` ns left in the stage."""
        args = self.args.get(node, node.args)
        if node.op == "load":
            args = args[:1]  # a load that need not happen may: it has no effect
        stage, offset = max(map(self.slot, args), default=(0, 0.0))
        if self.minimum.get(node, 0) > stage:
            stage, offset = self.minimum[node], 0.0
        if offset > 0 and offset + extra > self.budget:
            stage, offset = stage + 1, 0.0
        if extra > self.budget:
            width = max([node.width, *(a.width for a in args)])
            raise HlsError(
                f"one '{node.op}' of {width} bits takes {extra:.2f} ns; "
                f"the clock leaves {self.budget:.2f} ns for logic",
                node.loc,
            )
        self.longest = max(self.longest, offset + extra)
        return stage, offset

    def _place(self, node: Node) -> None:
        target = self.target
        if node.op == "mul":
            self._product(node)
        elif node.op == "read":
            stage, _ = self._start(node, target.issue)
            self._set(node, stage, (stage, self.word(node.width)))
        elif node.op == "load":
            plan = self.plans[node.attrs["memory"]]
            depth = self.process.memories[node.attrs["memory"]].depth
            stage, _ = self._start(node, target.read_setup(plan.style, depth))
            late = target.distributed if plan.style == "distributed" else target.block
            self._set(node, stage, (stage + plan.read_latency, late if plan.read_latency == 1 else 0.0))
        elif node.op in ("write", "store"):
            stage, _ = self._start(node, target.setup)
            self._set(node, stage, (stage, 0.0))
        else:
            delay = target.delay(node)
            stage, offset = self._start(node, delay)
            self._set(node, stage, (stage, offset + delay))

    def _product(self, node: Node) -> None:
        """Operands straight from registers, or through the multiplier's own; the product is registered."""
        always = self.target.operand_registers
        sides = []
        for arg in self.args.get(node, node.args):
            base, sign = extension(arg) or (arg, True)
            sides.append((base, sign, self.slot(base)))
        stage = max([s + (always or offset > 0) for base, _, (s, offset) in sides if base.op != "const"], default=0)
        stage = max(stage, self.minimum.get(node, 0))
        left, right = (
            # one stage after a register's next value is made, that register holds it: no need for another one
            Operand(
                base,
                sign,
                slot[0] < stage and base.op != "const" and (always or not (slot[0] == stage - 1 and base in self.held)),
            )
            for base, sign, slot in sides
        )
        self.operands[node] = left, right
        self._set(node, stage, (stage + 1, 0.0))

    # -- trees --

    def _tree(self, node: Node, operands: list[Node]) -> None:
        """A balanced tree, the earliest operands first; partial sums only as wide as they can grow."""
        self.args[node] = [self._fit(v, s, node.width) for v, s in self._reduce(node, operands, 2)]
        self._place(node)

    def _reduce(self, node: Node, operands: list[Node], leave: int) -> list[tuple[Node, bool]]:
        """Combine operands of a node with its operation until `leave` are left: (value, signed)."""
        stripped = [self._stripped(a) if node.op == "add" else (a, True) for a in operands]
        heap = [(self.slot(a), k, a, sign) for k, (a, sign) in enumerate(stripped)]
        heapq.heapify(heap)
        count = len(operands)
        while len(heap) > leave:
            (_, _, x, x_sign), (_, _, y, y_sign) = heapq.heappop(heap), heapq.heappop(heap)
            sign = x_sign or y_sign
            width = node.width
            if node.op == "add":
                width = min(width, 1 + max(v.width + (sign and not s) for v, s in ((x, x_sign), (y, y_sign))))
                x, y = self._fit(x, x_sign, width), self._fit(y, y_sign, width)
            partial = Node(node.op, width, [x, y], node.loc)
            self._place(partial)
            heapq.heappush(heap, (self.slot(partial), count, partial, sign))
            count += 1
        return [(value, sign) for _, _, value, sign in heap]

    def _stripped(self, node: Node) -> tuple[Node, bool]:
        if node.op == "const":
            value = signed(node.attrs["value"], node.width)
            bits = (value if value >= 0 else ~value).bit_length() + 1
            return self.builder.const(value, min(bits, node.width)), True
        return extension(node) or (node, True)

    def _fit(self, node: Node, sign: bool, width: int) -> Node:
        b = self.builder
        b.loc = node.loc
        if width <= node.width:
            return self._wired(b.trunc(node, width))
        if node.op == "const":
            return b.const(signed(node.attrs["value"], node.width), width)
        return self._wired(b.sext(node, width) if sign else b.zext(node, width))

    def _wired(self, node: Node) -> Node:
        """Make slots for freshly made wiring."""
        todo = [node]
        while todo:
            last = todo[-1]
            missing = [a for a in last.args if a not in self.ready and a.op != "const"]
            if missing:
                todo += missing
                continue
            todo.pop()
            if last not in self.ready and last.op != "const":
                self._place(last)
        return node

    # -- recurrences --

    def _recurrence(self, component: list[Node]) -> None:
        inside = set(component)
        for node in list(component):
            if node.op in ("mul", "load"):
                what = "a multiplication" if node.op == "mul" else f"a load of '{node.attrs['memory']}'"
                raise HlsError(f"II=1 impossible: {what} lies inside the recurrence {_through(component)}", node.loc)
            if node.op in ASSOCIATIVE and len(node.args) > 2:
                component += self._split(node, inside)
        inside.update(component)
        outside = [self.slot(a) for n in component for a in self._operands(n) if a not in inside]
        first = max([s for s, _ in outside] + [self.minimum.get(n, 0) for n in component], default=0)
        order = self._ordered(component, inside)
        # It cannot be cut. `carry_out` is what routing takes on average: a clock that is in reach without it is tried.
        bare = replace(self.target, carry_out=0.0)
        for target, stage in product((self.target, bare), (first, first + 1)):
            offsets, worst = self._offsets(order, inside, stage, target)
            if worst <= self.budget:
                break
        else:
            raise HlsError(
                f"II=1 impossible: the recurrence {_through(component)} takes {worst:.2f} ns; the clock "
                f"leaves {self.budget:.2f} ns for logic",
                _place_of(component),
            )
        self.longest = max(self.longest, worst)
        for node in component:
            self._set(node, stage, (stage, offsets[node]))

    def _operands(self, node: Node) -> list[Node]:
        return self.args.get(node, node.args)

    def _split(self, node: Node, inside: set[Node]) -> list[Node]:
        """Combine what comes from outside before the recurrence, so that one operation is left inside."""
        outer = [a for a in node.args if a not in inside]
        inner = [a for a in node.args if a in inside]
        made = []
        if len(outer) > 1:
            [(value, sign)] = self._reduce(node, outer, 1)
            outer = [self._fit(value, sign, node.width)]
        while len(inner) + len(outer) > 2:
            partial = Node(node.op, node.width, [inner.pop(0), inner.pop(0)], node.loc)
            made.append(partial)
            inner.append(partial)
        self.args[node] = inner + outer
        return made

    def _ordered(self, component: list[Node], inside: set[Node]) -> list[Node]:
        """Operands before users; registers cut the cycles."""
        order, seen = [], set()
        for root in component:
            stack = [(root, False)]
            while stack:
                node, expanded = stack.pop()
                if expanded:
                    order.append(node)
                elif node not in seen:
                    seen.add(node)
                    stack.append((node, True))
                    if node.op != "reg":
                        stack += [(a, False) for a in self._operands(node) if a in inside]
        return order

    def _offsets(
        self, order: list[Node], inside: set[Node], stage: int, target: Target
    ) -> tuple[dict[Node, float], float]:
        """When each result is there if the recurrence is in this stage, and the longest path."""
        offsets: dict[Node, float] = {}
        worst = 0.0

        def arrival(arg: Node) -> float:
            if arg in inside:
                return offsets[arg]
            at, offset = self.slot(arg)
            return offset if at == stage else 0.0

        for node in order:
            if node.op == "reg":
                offsets[node] = 0.0
                continue
            start = max(map(arrival, self._operands(node)), default=0.0)
            if node.op == "read":
                offsets[node] = self.word(node.width)
                worst = max(worst, start + self.target.issue)
            else:
                probe = Node(node.op, node.width, self._operands(node), node.loc, **node.attrs)
                offsets[node] = start + target.delay(probe)
                worst = max(worst, offsets[node])
        for node in order:
            if node.op == "reg":
                worst = max(worst, arrival(node.args[0]))
        return offsets, worst


def _through(component: list[Node]) -> str:
    names = sorted({n.attrs["name"] for n in component if n.op == "reg" and n.attrs.get("name")})
    return "through " + (", ".join(f"'{n}'" for n in names[:4]) or "a register")


def _place_of(component: list[Node]) -> Location | None:
    """The line of the slowest kind of operation in a recurrence, for the message."""
    located = [(n.op not in ("add", "sub", "icmp"), n.loc.file, n.loc.line, n.loc) for n in component if n.loc]
    return min(located, key=lambda found: found[:3])[3] if located else None
