"""Issue conditions one iteration ahead: what decides whether an iteration issues comes straight from a register.

The condition of a read or write is often a function of the loop counters (`s == 0`). It reaches every clock enable of
the issue stage, so each level of logic in front of it costs the whole process. The counters' next values are there a
cycle earlier: a register takes, with them, the value that the condition will have in the next iteration.
"""

from __future__ import annotations

from functools import reduce

from .graph import ASSOCIATIVE, Node, Process
from .interpret import evaluate

_LEAVES = ("reg", "const", "undef")
_EFFECTS = ("read", "write", "load", "store")


def look_ahead(process: Process) -> bool:
    """Put conditions of reads and writes that depend on registers alone into registers of their own, in place.

    A register without an initial value cannot be looked ahead from. Returns whether anything was changed: the graph
    wants to be canonicalised then.
    """
    conditions = dict.fromkeys(e.args[-1] for e in process.effects if e.op in ("read", "write"))
    ahead = {c: _register(c, cone) for c in conditions if (cone := _cone(c)) is not None}
    for node in list(process.topological()):
        node.args = [ahead.get(arg, arg) for arg in node.args]
    process.run_ends = ahead.get(process.run_ends, process.run_ends)
    process.regs += ahead.values()
    return bool(ahead)


def _cone(condition: Node) -> list[Node] | None:
    """What a condition is made of, operands first, from registers on; None if it cannot or need not be looked ahead."""
    if condition.op in _LEAVES:
        return None
    order: dict[Node, None] = {}
    stack = [(condition, False)]
    while stack:
        node, expanded = stack.pop()
        if node.op in _EFFECTS or node.op == "reg" and node.attrs["init"] is None:
            return None
        if expanded or node.op in _LEAVES:
            order[node] = None
        elif node not in order:
            stack.append((node, True))
            stack += [(arg, False) for arg in node.args]
    return list(order)


def _register(condition: Node, cone: list[Node]) -> Node:
    """A register that holds the condition: its cone, on the registers' initial and on their next values."""
    now: dict[Node, int] = {}
    following: dict[Node, Node] = {}
    for node in cone:
        if node.op == "reg":
            now[node], following[node] = node.attrs["init"], node.args[0]
            continue
        now[node] = _value(node, [now[arg] for arg in node.args])
        following[node] = Node(node.op, node.width, [following[arg] for arg in node.args], node.loc, **node.attrs)
    return Node("reg", 1, [following[condition]], condition.loc, name=f"{_name(cone)}_issues", init=now[condition])


def _value(node: Node, args: list[int]) -> int:
    """The value of an operation; an associative one may have any number of operands."""
    if node.op in ASSOCIATIVE:
        value = reduce(lambda a, b: evaluate(node, [a, b]), args)
    else:
        value = evaluate(node, args)
    return value & ((1 << node.width) - 1)


def _name(cone: list[Node]) -> str:
    names = [n.attrs["name"] for n in cone if n.op == "reg" and n.attrs.get("name")]
    return names[-1] if names else "condition"
