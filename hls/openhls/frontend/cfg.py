"""Control flow of a process cut into iterations.

Every back edge is cut: an iteration runs from a *start* (the function's entry or the target of a cut edge) to the next
cut edge or `return`. What is left is acyclic, each block is executed at most once per iteration, and the code between
two visits of an inner loop belongs to the iteration before the outer back edge or after it, where the source has it.
Where a function has several innermost loops, the edges from one into the next are cut, too: each loop's iterations are
its own. A perfect nest of n innermost trips takes n iterations.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from openhls.common.errors import HlsError
from openhls.frontend.ir import Function, Instruction

Edge = tuple[str, str]


@dataclass
class Iteration:
    """The acyclic control flow of one iteration. `""` is the virtual root before all starts."""

    entry: str
    successors: dict[str, list[str]]  # as printed, parallel edges kept once
    cut: set[Edge]
    starts: list[str]  # the entry first
    order: list[str] = field(default_factory=list)  # topological
    inputs: dict[str, list[str]] = field(default_factory=dict)  # uncut predecessors; "" for a start
    ends: list[tuple[str, str]] = field(default_factory=list)  # (block, start of the next iteration)
    returns: list[str] = field(default_factory=list)
    dominator: dict[str, str] = field(default_factory=dict)  # immediate
    _after: dict[str, int] = field(default_factory=dict)  # blocks reachable, as a bit set over `order`
    _post: dict[str, int] = field(default_factory=dict)  # post-dominators, likewise
    _bit: dict[str, int] = field(default_factory=dict)

    def reaches(self, a: str, b: str) -> bool:
        """Whether b can be executed after a in one iteration (a block does not reach itself)."""
        return a != b and bool(self._after[a] >> self._bit[b] & 1)

    def dominates(self, a: str, b: str) -> bool:
        """Whether a is executed before b in every iteration that executes b."""
        while b and b != a:
            b = self.dominator[b]
        return a == b

    def always_after(self, a: str, b: str) -> bool:
        """Whether b is executed in every iteration that executes a (b post-dominates a)."""
        return bool(self._post[a] >> self._bit[b] & 1)


def _successors(function: Function) -> dict[str, list[str]]:
    """Without the blocks that only lead to LLVM's `unreachable`: they are never executed."""
    successors = {label: list(dict.fromkeys(block[-1].labels)) for label, block in function.blocks.items()}
    dead = {label for label, block in function.blocks.items() if block[-1].opcode == "unreachable"}
    while dead:
        for label in dead:
            del successors[label]
        candidates = {label for label, targets in successors.items() if dead & set(targets)}
        for label in candidates:
            successors[label] = [t for t in successors[label] if t not in dead]
        dead = {label for label in candidates if not successors[label]}
    return successors


def _back_edges(entry: str, successors: dict[str, list[str]]) -> tuple[set[Edge], list[str]]:
    """(back edges of a depth-first search, reachable blocks)."""
    state = {entry: 1}
    back: set[Edge] = set()
    stack = [(entry, iter(successors[entry]))]
    while stack:
        block, rest = stack[-1]
        for target in rest:
            if state.get(target) == 1:
                back.add((block, target))
            elif target not in state:
                state[target] = 1
                stack.append((target, iter(successors[target])))
                break
        else:
            state[block] = 2
            stack.pop()
    return back, list(state)


def _loops(back: set[Edge], blocks: list[str], successors: dict[str, list[str]]) -> dict[str, set[str]]:
    """Header -> blocks of its loop."""
    predecessors: dict[str, list[str]] = {b: [] for b in blocks}
    for block in blocks:
        for target in successors[block]:
            predecessors[target].append(block)
    loops: dict[str, set[str]] = {}
    for source, header in back:
        body = loops.setdefault(header, {header})
        work = [source]
        while work:
            block = work.pop()
            if block not in body:
                body.add(block)
                work += predecessors[block]
    return loops


def _topological(starts: list[str], successors: dict[str, list[str]], cut: set[Edge]) -> list[str]:
    order: list[str] = []
    seen: set[str] = set()
    for start in reversed(starts):
        if start in seen:
            continue
        seen.add(start)
        stack: list[tuple[str, Iterator[str]]] = [(start, iter(successors[start]))]
        while stack:
            block, rest = stack[-1]
            for target in rest:
                if (block, target) not in cut and target not in seen:
                    seen.add(target)
                    stack.append((target, iter(successors[target])))
                    break
            else:
                order.append(block)
                stack.pop()
    return order[::-1]


def _reachable(
    order: list[str], successors: dict[str, list[str]], cut: set[Edge], bit: dict[str, int]
) -> dict[str, int]:
    after: dict[str, int] = {}
    for block in reversed(order):
        after[block] = 0
        for target in successors[block]:
            if (block, target) not in cut:
                after[block] |= after[target] | 1 << bit[target]
    return after


def iteration(function: Function) -> Iteration:
    """Cut a function's control flow into iterations.

    Raises:
        HlsError: no run of the function is defined.
    """
    entry = next(iter(function.blocks))
    successors = _successors(function)
    if entry not in successors:
        raise HlsError("the process function has undefined behaviour in every run")
    cut, blocks = _back_edges(entry, successors)
    loops = _loops(cut, blocks, successors)
    inner = [h for h in loops if not any(other != h and other in loops[h] for other in loops)]
    starts = list(dict.fromkeys([entry, *[b for b in blocks if any(t == b for _, t in cut)]]))
    if len(inner) > 1:
        order = _topological(starts, successors, cut)
        bit = {b: i for i, b in enumerate(order)}
        after = _reachable(order, successors, cut, bit)
        reached = {h: {b for b in order if any(x == b or after[x] >> bit[b] & 1 for x in loops[h])} for h in inner}
        for header in inner:
            others = set().union(*[reached[h] for h in inner if h != header]) - loops[header]
            cut |= {(b, header) for b in others if header in successors[b]}
        starts = list(dict.fromkeys([*starts, *[b for b in blocks if any(t == b for _, t in cut)]]))
    order = _topological(starts, successors, cut)
    result = Iteration(entry, successors, cut, starts, order)
    result._bit = {b: i for i, b in enumerate(["", *order])}
    result.inputs = {b: [""] if b in starts else [] for b in order}
    for block in order:
        if not successors[block]:
            result.returns.append(block)
        for target in successors[block]:
            if (block, target) in cut:
                result.ends.append((block, target))
            else:
                result.inputs[target].append(block)
    result._after = _reachable(order, successors, cut, result._bit)
    _dominators(result)
    return result


def _dominators(it: Iteration) -> None:
    dominators = {"": 1}
    by_bit = ["", *it.order]
    for block in it.order:
        common = -1
        for source in it.inputs[block]:
            common &= dominators[source]
        it.dominator[block] = by_bit[common.bit_length() - 1]  # the nearest is the last in topological order
        dominators[block] = common | 1 << it._bit[block]
    leaving = {b for b, _ in it.ends} | set(it.returns)
    for block in reversed(it.order):
        targets = [t for t in it.successors[block] if (block, t) not in it.cut]
        common = 0 if block in leaving or not targets else -1
        for target in targets:
            common &= it._post[target]
        it._post[block] = common | 1 << it._bit[block]
    root = -1
    for start in it.starts:
        root &= it._post[start]
    it._post[""] = root | 1


def live_in(function: Function, it: Iteration, uses_of: Callable[[Instruction], list[str]]) -> dict[str, set[str]]:
    """Start -> the values it needs from earlier iterations (its own phis not counted).

    Args:
        uses_of: the values that an instruction other than a phi needs (a pointer needs its indices).
    """
    uses: dict[str, set[str]] = {}
    defines: dict[str, set[str]] = {}
    phi_uses: dict[str, set[str]] = {b: set() for b in it.order}
    for block in it.order:
        used: set[str] = set()
        defined: set[str] = set()
        for instruction in function.blocks[block]:
            if instruction.opcode == "phi":
                for value, label in zip(instruction.operands, instruction.labels, strict=True):
                    if value.text.startswith("%") and label in phi_uses:
                        phi_uses[label].add(value.text)
            else:
                used |= {v for v in uses_of(instruction) if v not in defined}
            if instruction.name:
                defined.add(instruction.name)
        uses[block], defines[block] = used, defined
    live: dict[str, set[str]] = {b: set() for b in it.order}
    changed = True
    while changed:
        changed = False
        for block in reversed(it.order):
            out = set(phi_uses[block])
            for target in it.successors[block]:
                out |= live[target]
            new = uses[block] | (out - defines[block])
            if new != live[block]:
                live[block], changed = new, True
    return {start: live[start] for start in it.starts}
