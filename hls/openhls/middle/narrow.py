"""Minimal widths: every value in as few bits as its range needs.

Ranges are signed intervals. Autonomous nodes have exact ones (`control`); the others follow by interval arithmetic,
registers by a fixpoint that starts at their initial value and widens to the full range after a few rounds. A value
that is never negative is kept without its sign bit.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass

from openhls.graph.nodes import Builder, Node, Process
from openhls.middle.control import Control

Range = tuple[int, int]
_ROUNDS = 4
_CSD_TERMS = 3  # products by constants with more digits than this take a multiplier


def takes_multiplier(factor: int) -> bool:
    """Whether a product by this constant is a multiplier, not a few terms that are shifted and added."""
    return len(_digits(factor)) > _CSD_TERMS


def signed(value: int, width: int) -> int:
    """The two's complement number in the low `width` bits."""
    value &= (1 << width) - 1
    return value - (value >> (width - 1) << width)


def full(width: int) -> Range:
    """The range of a signed number of this width."""
    return -(1 << (width - 1)), (1 << (width - 1)) - 1


def extension(node: Node) -> tuple[Node, bool] | None:
    """(x, signed) if the node is a sign or zero extension of x, else None."""
    if node.op != "concat" or len(node.args) != 2:
        return None
    high, x = node.args
    if high.op == "const" and high.attrs["value"] == 0:
        return x, False
    bit = high.args[0] if high.op == "replicate" else high
    if bit.width != 1:
        return None
    if bit is x:
        return x, True
    if bit.op != "extract":
        return None
    source, low = bit.args[0], bit.attrs["low"]
    if source is x and low == x.width - 1:
        return x, True
    if x.op == "extract" and x.args[0] is source and low == x.attrs["low"] + x.width - 1:
        return x, True
    return None


# -- ranges ----------------------------------------------------------------------------------------------------------


def ranges(process: Process, control: Control) -> dict[Node, Range]:
    """The signed range of every node with a result."""
    nodes = [n for n in process.topological() if n.width]
    roms = {m: memory for m, memory in process.memories.items() if memory.contents is not None}
    for effect in process.effects:
        if effect.op == "store":
            roms.pop(effect.attrs["memory"], None)
    table = {name: _contents(m.contents, m.width) for name, m in roms.items() if m.contents is not None}
    exact = control.ranges
    found: dict[Node, Range] = {n: exact[n] for n in nodes if n in exact}
    for r in process.regs:
        start = signed(r.attrs["init"] or 0, r.width)
        found.setdefault(r, (start, start))
    order = {n: k for k, n in enumerate(nodes)}
    users: dict[Node, list[int]] = {}
    for n in nodes:
        for a in n.args:
            users.setdefault(a, []).append(order[n])
    growth: dict[Node, int] = {}
    queue = list(range(len(nodes)))  # sorted, so a heap; operands before users
    queued = set(queue)
    while queue:
        k = heapq.heappop(queue)
        queued.discard(k)
        node = nodes[k]
        if node in exact:
            continue
        if node.op == "reg":
            low, high = found[node]
            new = found.get(node.args[0], (low, high))  # not known yet: the operand will call again
            new = min(low, new[0]), max(high, new[1])
            if new != (low, high):
                growth[node] = growth.get(node, 0) + 1
                new = new if growth[node] <= _ROUNDS else full(node.width)
        else:
            new = _range(node, found, table)
        if found.get(node) == new:
            continue
        found[node] = new
        for user in users.get(node, ()):
            if user not in queued:
                queued.add(user)
                heapq.heappush(queue, user)
    return found


def _contents(words: list[int], width: int) -> Range:
    values = [signed(w, width) for w in words]
    return min(values), max(values)


def _range(node: Node, known: dict[Node, Range], table: dict[str, Range]) -> Range:
    op, limit, args = node.op, full(node.width), [known[a] for a in node.args if a.width]
    if op in ("const", "undef"):
        value = signed(node.attrs.get("value", 0), node.width)
        return value, value
    if op == "load":
        return table.get(node.attrs["memory"], limit)
    if op == "add":
        result = sum(a[0] for a in args), sum(a[1] for a in args)
    elif op == "sub":
        result = args[0][0] - args[1][1], args[0][1] - args[1][0]
    elif op == "mul":
        result = args[0]
        for a in args[1:]:
            corners = [x * y for x in result for y in a]
            result = min(corners), max(corners)
    elif op == "mux":
        result = min(args[1][0], args[2][0]), max(args[1][1], args[2][1])
    elif op == "icmp":
        outcome = _compare(node.attrs["pred"], *args)
        result = (-1, 0) if outcome is None else (-1, -1) if outcome else (0, 0)
    elif op == "and" and any(a[0] >= 0 for a in args):
        result = 0, min(a[1] for a in args if a[0] >= 0)
    elif op in ("and", "or", "xor"):
        bits = max(_bits(a) for a in args)
        low, high = full(bits)
        result = (0, high) if op != "and" and all(a[0] >= 0 for a in args) else (low, high)
    elif op == "extract" and node.attrs["low"] == 0:
        result = args[0]
    elif op == "concat":
        result = _concat_range(node, known)
    elif op == "shrs" and node.args[1].op == "const":
        amount = min(node.args[1].attrs["value"], node.width)
        result = args[0][0] >> amount, args[0][1] >> amount
    elif op in ("shrs", "shru") and args[0][0] >= 0:
        result = 0, args[0][1]
    elif op == "shrs":
        result = args[0][0], max(args[0][1], 0)
    elif op in ("modu", "divu", "mods", "divs") and args[0][0] >= 0 and args[1][0] > 0:
        result = (0, min(args[0][1], args[1][1] - 1)) if op[:3] == "mod" else (0, args[0][1] // args[1][0])
    else:
        return limit
    return result if limit[0] <= result[0] and result[1] <= limit[1] else limit


def _concat_range(node: Node, known: dict[Node, Range]) -> Range:
    found = extension(node)
    if found is None:
        return full(node.width)
    x, sign = found
    inner = known[x]
    return inner if sign or inner[0] >= 0 else (0, (1 << x.width) - 1)


def _compare(predicate: str, a: Range, b: Range) -> bool | None:
    """The outcome of a comparison if the ranges decide it."""
    if predicate in ("eq", "ne"):
        if a[1] < b[0] or b[1] < a[0]:
            return predicate == "ne"
        return predicate == "eq" if a[0] == a[1] == b[0] == b[1] else None
    if predicate[0] == "u" and (a[0] < 0 or b[0] < 0):
        return None
    if predicate[1] == "g":
        a, b, predicate = b, a, predicate.replace("g", "l")
    if predicate.endswith("lt"):
        return True if a[1] < b[0] else False if a[0] >= b[1] else None
    return True if a[1] <= b[0] else False if a[0] > b[1] else None


def _bits(r: Range) -> int:
    """Two's complement width."""
    low, high = r
    return max(1, max(high.bit_length(), (~low).bit_length() if low < 0 else 0) + 1)


# -- rewriting -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Narrow:
    """A node and how to widen it to the value it stands for."""

    node: Node
    sign: bool


class _Rewriter:
    def __init__(self, process: Process, control: Control):
        self.process, self.control = process, control
        self.ranges = ranges(process, control)
        self.builder = Builder()
        self.made: dict[Node, _Narrow] = {}

    def shape(self, node: Node) -> tuple[int, bool]:
        """(width, signed) in which the node's value is kept."""
        low, high = self.ranges[node]
        width, sign = (max(1, high.bit_length()), False) if low >= 0 else (_bits((low, high)), True)
        return (width, sign) if width < node.width else (node.width, True)

    def fit(self, x: Node, width: int) -> Node:
        """The value of old node x, cut or extended to `width` bits."""
        narrow = self.made[x]
        node, b = narrow.node, self.builder
        if width > node.width:
            return b.sext(node, width) if narrow.sign else b.zext(node, width)
        return self._cut(node, width)

    def _cut(self, node: Node, width: int) -> Node:
        while node.op == "concat" and width <= node.args[-1].width:
            node = node.args[-1]
        if width == node.width:
            return node
        if node.op == "const":
            return self.builder.const(node.attrs["value"], width)
        if node.op == "extract":
            return self.builder.extract(node.args[0], node.attrs["low"], width)
        return self.builder.trunc(node, width)

    def run(self) -> Process:
        old = self.process
        result = Process(old.name, old.loc, memories=old.memories)
        effects: dict[Node, Node] = {}
        for r in old.regs:
            width, sign = self.shape(r)
            init = self.control.initial.get(r, r.attrs["init"])
            attrs = r.attrs | {"init": None if init is None else init & ((1 << width) - 1)}
            self.made[r] = _Narrow(Node("reg", width, [], r.loc, **attrs), sign)
        for node in old.topological():
            if node.op == "reg":
                continue
            self.builder.loc = node.loc
            if node.op in ("read", "load", "write", "store"):
                effects[node] = Node(node.op, node.width, self._effect_args(node), node.loc, **node.attrs)
            if node.width:
                width, sign = self.shape(node)
                value = self._value(node, width, effects.get(node))
                self.made[node] = _Narrow(value, sign)
        for r in old.regs:
            new = self.made[r].node
            new.args = [self.fit(r.args[0], new.width)]
        result.regs = [self.made[r].node for r in old.regs]
        result.effects = [effects[e] for e in old.effects if not self._never(e)]
        result.run_ends = None if old.run_ends is None else self.fit(old.run_ends, 1)
        return result

    def _never(self, effect: Node) -> bool:
        """A write or store that provably never happens."""
        return effect.width == 0 and self.control.fires.get(effect, (1, 1))[0] == 0

    def _effect_args(self, node: Node) -> list[Node]:
        return [self.fit(a, a.width) for a in node.args]

    def _value(self, node: Node, width: int, effect: Node | None) -> Node:
        """A node of `width` bits that holds the value of the old one."""
        b, op = self.builder, node.op
        low, high = self.ranges[node]
        if low == high and op not in ("read", "load"):
            return b.const(low, width)
        if effect is not None:
            return self._cut(effect, width)
        if op in ("add", "sub", "and", "or", "xor"):
            return b.make(op, width, *(self.fit(a, width) for a in node.args))
        if op == "mul":
            return self._product(node, width)
        if op in ("divu", "modu", "divs", "mods") and all(self.ranges[a][0] >= 0 for a in node.args):
            needed = max(1, *(self.ranges[a][1].bit_length() for a in node.args))
            result = b.make(op[:3] + "u", needed, *(self.fit(a, needed) for a in node.args))
            return b.zext(result, width) if width > needed else self._cut(result, width)
        if op == "mux":
            condition, true, false = node.args
            return b.mux(self.fit(condition, 1), self.fit(true, width), self.fit(false, width))
        if op == "icmp":
            return self._comparison(node)
        if op == "extract" and node.attrs["low"] == 0:
            return self.fit(node.args[0], width)
        if op == "concat" and width <= node.args[-1].width:
            return self.fit(node.args[-1], width)
        if op == "concat" and (extended := extension(node)) is not None:
            x, sign = extended
            whole = self.fit(x, x.width)
            return b.sext(whole, width) if sign else b.zext(whole, width)
        whole = b.make(op, node.width, *(self.fit(a, a.width) for a in node.args), **node.attrs)
        return self._cut(whole, width)

    def _comparison(self, node: Node) -> Node:
        x, y = node.args
        predicate = node.attrs["pred"]
        positive = self.ranges[x][0] >= 0 and self.ranges[y][0] >= 0
        if positive:
            width = max(self.ranges[a][1].bit_length() for a in (x, y)) or 1
            predicate = predicate if predicate in ("eq", "ne") else "u" + predicate[1:]
        else:
            width = max(_bits(self.ranges[a]) for a in (x, y))
        return self.builder.make("icmp", 1, self.fit(x, width), self.fit(y, width), pred=predicate)

    def _product(self, node: Node, width: int) -> Node:
        """Operands keep their own narrow values: the low bits of a product need no more than `width` of each."""
        constants = [a for a in node.args if a.op == "const"]
        factors = [a for a in node.args if a.op != "const"]
        value = self.fit(factors[0], width)
        for factor in factors[1:]:
            value = self.builder.make("mul", width, value, self.fit(factor, width))
        for constant in constants:
            value = self._times(value, signed(constant.attrs["value"], constant.width), width)
        return value

    def _times(self, value: Node, factor: int, width: int) -> Node:
        """value * factor as a few shifted terms (canonical signed digits), or as a product where they are many."""
        b = self.builder
        digits = _digits(factor)
        if takes_multiplier(factor):
            return b.make("mul", width, value, b.const(factor, width))
        total = b.const(0, width)
        for shift, negative in digits:
            if shift >= width:
                continue
            term = value
            if shift:
                term = b.make("concat", width, self._cut(value, width - shift), b.const(0, shift))
            total = b.make("sub" if negative else "add", width, total, term)
        return total


def _digits(factor: int) -> list[tuple[int, bool]]:
    """Canonical signed digits of a factor: (shift, negative), least significant first."""
    digits, shift = [], 0
    while factor:
        if factor & 1:
            digit = 2 - (factor & 3)
            digits.append((shift, digit < 0))
            factor -= digit
        factor >>= 1
        shift += 1
    return digits


def narrow(process: Process, control: Control) -> Process:
    """The same process on minimal widths; writes and stores that never happen are gone."""
    return _Rewriter(process, control).run()
