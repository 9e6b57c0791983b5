"""What every graph has to be, whatever pass it comes from: `nodes` in rules that are checked.

A pass that breaks one is a fault of this compiler; it would show as wrong RTL, or as an error that blames the program.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping

from openhls.common.errors import InternalError
from openhls.graph.nodes import ASSOCIATIVE, PREDICATES, Design, Interface, Memory, Node, Process, Stream

_BINARY = ("sub", "shl", "shru", "shrs", "divu", "divs", "modu", "mods")
_EFFECTS = ("read", "write", "load", "store")
_ATTRIBUTES = {
    "const": {"value"},
    "icmp": {"pred"},
    "extract": {"low"},
    "table": {"value"},
    "reg": {"name", "init"},
    "read": {"stream"},
    "write": {"stream"},
    "load": {"memory"},
    "store": {"memory"},
}


def verify(process: Process, after: str, widths: Mapping[str, int] | None = None) -> None:
    """A process keeps to the rules of `nodes`.

    Args:
        after: the pass that made it, for the message; widths: bits of the words of streams, where they are known.
    Raises:
        InternalError: says which node breaks which rule.
    """
    check = _Check(process, after, widths or {})
    check.registers_and_effects()
    order = check.order()
    for node in order:
        check.node(node)
    check.streams()
    check.memories()


def verify_design(design: Design, after: str) -> None:
    """Every process, and every stream between its two ends. Raises InternalError."""
    widths = {name: stream.width for name, stream in design.streams.items()}
    for process in design.processes:
        verify(process, after, widths)
    verify_streams(design.streams, [process.interface() for process in design.processes], after)


def verify_streams(streams: Mapping[str, Stream], processes: Iterable[Interface], after: str) -> None:
    """Every stream has the ends that it says it has, and no others. Raises InternalError."""
    found: dict[tuple[str, str], list[str]] = {}
    for process in processes:
        for role, used in (("consumer", process.reads), ("producer", process.writes)):
            for name in used:
                if name not in streams:
                    raise InternalError(f"after {after}: '{process.name}' uses an unknown stream '{name}'", process.loc)
                found.setdefault((name, role), []).append(process.name)
    for key, stream in streams.items():
        if key != stream.name:
            raise InternalError(f"after {after}: stream '{stream.name}' is filed as '{key}'", stream.loc)
        if sum(width for _, width in stream.fields) != stream.width or stream.width < 1:
            raise InternalError(f"after {after}: stream '{key}' is not as wide as its fields", stream.loc)
        for role, said in (("producer", stream.producer), ("consumer", stream.consumer)):
            ends = found.get((key, role), [])
            if len(ends) > 1 or (ends and ends[0] != said):
                what = f"stream '{key}' says its {role} is {said or 'the port'}; that is {' and '.join(ends)}"
                raise InternalError(f"after {after}: {what}", stream.loc)


class _Check:
    def __init__(self, process: Process, after: str, widths: Mapping[str, int]):
        self.process, self.after, self.widths = process, after, widths
        self.registers = set(process.regs)
        self.effects = set(process.effects)

    def fail(self, node: Node | None, what: str) -> InternalError:
        subject = f"{node.op}:i{node.width}" if node is not None else f"process '{self.process.name}'"
        loc = node.loc if node is not None and node.loc is not None else self.process.loc
        return InternalError(f"after {self.after}: {subject}: {what}", loc)

    def registers_and_effects(self) -> None:
        for what, nodes, ops in (
            ("registers", self.process.regs, ("reg",)),
            ("effects", self.process.effects, _EFFECTS),
        ):
            for node, count in Counter(nodes).items():
                if node.op not in ops:
                    raise self.fail(node, f"is no operation to stand among the {what}")
                if count > 1:
                    raise self.fail(node, f"stands among the {what} {count} times")

    def order(self) -> list[Node]:
        """Every node that is reached. Raises InternalError where operands go round in a circle without a register."""
        done: dict[Node, None] = {}
        active: set[Node] = set()
        roots = [*self.process.roots(), *(arg for register in self.process.regs for arg in register.args)]
        stack = [(root, False) for root in reversed(roots)]
        while stack:
            node, expanded = stack.pop()
            if expanded:
                active.discard(node)
                done[node] = None
            elif node in active:
                raise self.fail(node, "depends on itself without a register")
            elif node not in done:
                active.add(node)
                stack.append((node, True))
                if node.op != "reg":
                    stack += [(arg, False) for arg in reversed(node.args)]
        return list(done)

    def node(self, node: Node) -> None:
        rule = _RULES.get(node.op)
        if rule is None:
            raise self.fail(node, "is no operation that is known")
        if set(node.attrs) != _ATTRIBUTES.get(node.op, set()):
            raise self.fail(node, f"attributes {sorted(node.attrs)}, not {sorted(_ATTRIBUTES.get(node.op, ()))}")
        if node.op == "reg" and node not in self.registers:
            raise self.fail(node, f"'{node.attrs['name']}' is used, and none of the process's registers")
        if node.op in _EFFECTS and node not in self.effects:
            raise self.fail(node, "is used, and none of the process's effects")
        if node.op in ("write", "store") and node.width:
            raise self.fail(node, "has a result")
        if node.op not in ("write", "store") and node.width < 1:
            raise self.fail(node, "has no width")
        for arg in node.args:
            if arg.width < 1:
                raise self.fail(node, f"takes the result of a {arg.op}, which has none")
        if node.op in _EFFECTS and (not node.args or node.args[-1].width != 1):
            raise self.fail(node, "has no predicate of one bit behind its operands")
        if problem := rule(self, node, [arg.width for arg in node.args]):
            raise self.fail(node, problem)
        if node is self.process.run_ends and node.width != 1:
            raise self.fail(node, "the run's end is no single bit")

    def streams(self) -> None:
        for op in ("read", "write"):
            for stream, count in Counter(e.attrs["stream"] for e in self.process.effects if e.op == op).items():
                if count > 1:
                    raise self.fail(None, f"has {count} {op}s of stream '{stream}'")

    def memories(self) -> None:
        accesses: dict[str, list[Node]] = {}
        for effect in self.process.effects:
            if effect.op in ("load", "store"):
                accesses.setdefault(effect.attrs["memory"], []).append(effect)
        for key, memory in self.process.memories.items():
            if problem := _memory_problem(key, memory):
                raise self.fail(None, problem)
        for name, nodes in accesses.items():
            ops = [node.op for node in nodes]
            if "store" in ops and (ops.count("store") > 1 or ops.count("load") > 1):
                raise self.fail(
                    nodes[-1], f"memory '{name}' has {ops.count('load')} loads, {ops.count('store')} stores"
                )
            if ops == ["store", "load"]:
                raise self.fail(nodes[0], f"the store of '{name}' comes before its load")


def _memory_problem(key: str, memory: Memory) -> str:
    words = memory.contents
    if key != memory.name:
        return f"memory '{memory.name}' is filed as '{key}'"
    if memory.width < 1 or memory.depth < 1:
        return f"memory '{key}' of {memory.depth} x {memory.width} bits"
    if words is not None and len(words) != memory.depth:
        return f"memory '{key}' has {len(words)} words of contents, not {memory.depth}"
    if words is not None and any(not 0 <= word < 1 << memory.width for word in words):
        return f"memory '{key}' begins with words that are wider than {memory.width} bits"
    return ""


# -- one rule for each operation: what is wrong with a node, or nothing -----------------------------------------------

Rule = Callable[[_Check, Node, list[int]], str]


def _count(node: Node, number: int) -> str:
    return "" if len(node.args) == number else f"has {len(node.args)} operands, not {number}"


def _const(_: _Check, node: Node, widths: list[int]) -> str:
    value = node.attrs["value"]
    return _count(node, 0) or ("" if 0 <= value < 1 << node.width else f"value {value} is wider")


def _undef(_: _Check, node: Node, widths: list[int]) -> str:
    return _count(node, 0)


def _same(_: _Check, node: Node, widths: list[int]) -> str:
    if len(widths) < 2 or (node.op not in ASSOCIATIVE and len(widths) != 2):
        return f"has {len(widths)} operands"
    return "" if set(widths) == {node.width} else f"operands of {widths} bits"


def _icmp(_: _Check, node: Node, widths: list[int]) -> str:
    if node.attrs["pred"] not in PREDICATES:
        return f"no predicate '{node.attrs['pred']}'"
    wrong = node.width != 1 or len(set(widths)) != 1
    return _count(node, 2) or (f"compares operands of {widths} bits" if wrong else "")


def _mux(_: _Check, node: Node, widths: list[int]) -> str:
    return _count(node, 3) or ("" if widths == [1, node.width, node.width] else f"operands of {widths} bits")


def _parity(_: _Check, node: Node, widths: list[int]) -> str:
    return _count(node, 1) or ("" if node.width == 1 else "has more than one bit")


def _extract(_: _Check, node: Node, widths: list[int]) -> str:
    low = node.attrs["low"]
    beyond = _count(node, 1) or not 0 <= low <= widths[0] - node.width
    return beyond if isinstance(beyond, str) else f"bits from {low} on of {widths[0]}" if beyond else ""


def _concat(_: _Check, node: Node, widths: list[int]) -> str:
    return "" if widths and sum(widths) == node.width else f"operands of {widths} bits"


def _replicate(_: _Check, node: Node, widths: list[int]) -> str:
    return _count(node, 1) or (f"an operand of {widths[0]} bits" if node.width % widths[0] else "")


def _table(_: _Check, node: Node, widths: list[int]) -> str:
    if node.width != 1 or set(widths) != {1}:
        return f"operands of {widths} bits"
    fits = 0 <= node.attrs["value"] < 1 << (1 << len(widths))
    return "" if fits else f"contents for more than {len(widths)} operands"


def _register(_: _Check, node: Node, widths: list[int]) -> str:
    init = node.attrs["init"]
    if init is not None and not 0 <= init < 1 << node.width:
        return f"initial value {init} is wider"
    return _count(node, 1) or ("" if widths == [node.width] else f"its next value has {widths[0]} bits")


def _read(check: _Check, node: Node, widths: list[int]) -> str:
    return _count(node, 1) or _stream(check, node, node.width)


def _write(check: _Check, node: Node, widths: list[int]) -> str:
    return _count(node, 2) or _stream(check, node, widths[0])


def _stream(check: _Check, node: Node, width: int) -> str:
    stream = node.attrs["stream"]
    if check.widths and stream not in check.widths:
        return f"no stream '{stream}'"
    known = check.widths.get(stream, width)
    return "" if width == known else f"a word of {width} bits, the stream '{stream}' has {known}"


def _load(check: _Check, node: Node, widths: list[int]) -> str:
    return _count(node, 2) or _access(check, node, node.width)


def _store(check: _Check, node: Node, widths: list[int]) -> str:
    return _count(node, 3) or _access(check, node, widths[1])


def _access(check: _Check, node: Node, width: int) -> str:
    memory = check.process.memories.get(node.attrs["memory"])
    if memory is None:
        return f"no memory '{node.attrs['memory']}'"
    return "" if width == memory.width else f"a word of {width} bits, the memory '{memory.name}' has {memory.width}"


_RULES: dict[str, Rule] = {
    **dict.fromkeys((*ASSOCIATIVE, *_BINARY), _same),
    "const": _const,
    "undef": _undef,
    "icmp": _icmp,
    "mux": _mux,
    "parity": _parity,
    "extract": _extract,
    "concat": _concat,
    "replicate": _replicate,
    "table": _table,
    "reg": _register,
    "read": _read,
    "write": _write,
    "load": _load,
    "store": _store,
}
