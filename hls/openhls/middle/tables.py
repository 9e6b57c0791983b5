"""Small conditions as truth tables: what depends on few bits of registers needs no carry chain and no chain of choices.

Loop control is full of them: `x >= 1 && x < 9` and "the next x is 9" are functions of the four bits of x, one or two
look-up tables whatever is computed on the way. Synthesis tools do not see that through an adder or a comparator, which
they map onto carry chains.
"""

from __future__ import annotations

from functools import reduce

from openhls.graph.interpret import evaluate
from openhls.graph.nodes import ASSOCIATIVE, Node, Process

TABLE_BITS = 8  # a function of so few bits is a truth table, whatever it is made of
_LEAVES = ("reg", "const")
_ARITHMETIC = ("add", "sub", "mul", "shl", "shru", "shrs", "divu", "divs", "modu", "mods")
_EFFECTS = ("read", "write", "load", "store", "undef")


def cone(root: Node) -> list[Node] | None:
    """All that a value is made of, operands first, from registers on; None if a read or a load is part of it."""
    order: dict[Node, None] = {}
    stack = [(root, False)]
    while stack:
        node, expanded = stack.pop()
        if node.op in _EFFECTS:
            return None
        if expanded or node.op in _LEAVES:
            order[node] = None
        elif node not in order:
            stack.append((node, True))
            stack += [(arg, False) for arg in node.args]
    return list(order)


def value(node: Node, known: dict[Node, int]) -> int:
    """An operation on known operands; an associative one may have any number of them."""
    args = [known[arg] for arg in node.args]
    result = reduce(lambda a, b: evaluate(node, [a, b]), args) if node.op in ASSOCIATIVE else evaluate(node, args)
    return result & ((1 << node.width) - 1)


def tabulate(process: Process) -> None:
    """Replace, in place, conditions that compare or compute and depend on at most TABLE_BITS bits of registers."""
    tables: dict[Node, Node] = {}
    bits: dict[tuple[Node, int], Node] = {}
    for node in list(process.topological()):
        if node.width == 1 and node.op not in _LEAVES and (table := _table(node, bits)) is not None:
            tables[node] = table
    for node in list(process.topological()):
        node.args = [tables.get(arg, arg) for arg in node.args]
    process.run_ends = tables.get(process.run_ends, process.run_ends)


def _table(root: Node, bits: dict[tuple[Node, int], Node]) -> Node | None:
    order = cone(root)
    if order is None or not any(_computes(node) for node in order):
        return None
    used = _used_bits(order)
    if not 0 < len(used) <= TABLE_BITS:
        return None
    contents = 0
    for index in range(1 << len(used)):
        known = {n: 0 for n in order if n.op == "reg"}
        for k, (reg, low) in enumerate(used):
            known[reg] |= (index >> k & 1) << low
        for node in order:
            if node.op != "reg":
                known[node] = value(node, known)
        contents |= known[root] << index
    if contents in (0, (1 << (1 << len(used))) - 1):
        return None
    args = [bits.setdefault(bit, _bit(*bit)) for bit in reversed(used)]
    return Node("table", 1, args, root.loc, value=contents)


def _computes(node: Node) -> bool:
    """Whether synthesis makes more of an operation than gates."""
    return node.op in _ARITHMETIC or (node.op == "icmp" and node.attrs["pred"] not in ("eq", "ne"))


def _used_bits(order: list[Node]) -> list[tuple[Node, int]]:
    """The bits of registers that a cone looks at."""
    used: dict[tuple[Node, int], None] = {}
    for node in order:
        for arg in node.args:
            if arg.op == "reg" and node.op != "reg":
                low, width = (node.attrs["low"], node.width) if node.op == "extract" else (0, arg.width)
                used |= dict.fromkeys((arg, k) for k in range(low, low + width))
    return list(used)


def _bit(reg: Node, low: int) -> Node:
    return reg if reg.width == 1 else Node("extract", 1, [reg], reg.loc, low=low)
