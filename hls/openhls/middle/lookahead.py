"""Issue conditions one iteration ahead: what decides whether an iteration issues comes straight from a register.

The condition of a read or write is often a function of the loop counters (`s == 0`). It reaches every clock enable of
the issue stage, so each level of logic in front of it costs the whole process. The counters' next values are there a
cycle earlier: a register takes, with them, the value that the condition will have in the next iteration.
"""

from __future__ import annotations

from openhls.graph.nodes import Node, Process
from openhls.middle.tables import cone, value


def look_ahead(process: Process) -> bool:
    """Put conditions of reads and writes that depend on registers alone into registers of their own, in place.

    A register without an initial value cannot be looked ahead from. Returns whether anything was changed: the graph
    wants to be canonicalised then.
    """
    conditions = dict.fromkeys(e.args[-1] for e in process.effects if e.op in ("read", "write"))
    ahead = {}
    for condition in conditions:
        made_of = None if condition.op in ("reg", "const") else cone(condition)
        if made_of is not None and all(n.attrs["init"] is not None for n in made_of if n.op == "reg"):
            ahead[condition] = _register(condition, made_of)
    for node in list(process.topological()):
        node.args = [ahead.get(arg, arg) for arg in node.args]
    if process.run_ends is not None:
        process.run_ends = ahead.get(process.run_ends, process.run_ends)
    process.regs += ahead.values()
    return bool(ahead)


def _register(condition: Node, made_of: list[Node]) -> Node:
    """A register that holds the condition: what it is made of, on the registers' initial and on their next values."""
    now: dict[Node, int] = {}
    following: dict[Node, Node] = {}
    for node in made_of:
        if node.op == "reg":
            now[node], following[node] = node.attrs["init"], node.args[0]
            continue
        now[node] = value(node, now)
        following[node] = Node(node.op, node.width, [following[arg] for arg in node.args], node.loc, **node.attrs)
    return Node("reg", 1, [following[condition]], condition.loc, name=f"{_name(made_of)}_issues", init=now[condition])


def _name(made_of: list[Node]) -> str:
    names = [n.attrs["name"] for n in made_of if n.op == "reg" and n.attrs.get("name")]
    return names[-1] if names else "condition"
