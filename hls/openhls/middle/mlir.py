"""Graph <-> CIRCT: MLIR text of the operations, canonicalisation of a process, Verilog export.

CIRCT's canonicaliser is used for what it is good at (folding, common subexpressions, n-ary sums); everything with an
effect or a state goes through it as an instance of an external module, which it leaves alone.
"""

from __future__ import annotations

import io
import re
import sys
from importlib.util import find_spec
from types import ModuleType

import pycde.circt as circt
from pycde.circt import ir, passmanager

from openhls.common.errors import HlsError, InternalError, Location
from openhls.graph.nodes import PREDICATES, Builder, Node, Process

BINARY = ("add", "sub", "mul", "and", "or", "xor", "shl", "shru", "shrs", "divu", "divs", "modu", "mods")
UNARY = ("parity",)
STATEFUL = ("reg", "read", "write", "load", "store")
_KEEP = "keep"  # an external module that keeps a value alive

# Wherever the bindings wrap a type, an attribute or a place they look for the Python module of its dialect, and they
# remember only what they found: a third of the time goes into not finding this one, which the package leaves out.
_BUILTIN = f"{circt.__name__}.dialects.builtin"
if find_spec(_BUILTIN) is None:
    sys.modules[_BUILTIN] = ModuleType(_BUILTIN)


class Session:
    """An MLIR context with CIRCT's dialects; use it in a `with` statement."""

    def __enter__(self) -> Session:
        self._context = ir.Context()
        self._context.__enter__()
        circt.register_dialects(self._context)
        return self

    def __exit__(self, *exc: object) -> None:
        self._context.__exit__(*exc)

    def run(self, text: str, passes: str) -> ir.Module:
        """Parse a module and run a pass pipeline on it."""
        module = ir.Module.parse(text)
        passmanager.PassManager.parse(f"builtin.module({passes})").run(module.operation)
        return module


def constant(value: int, width: int) -> str:
    """`hw.constant` of an unsigned value."""
    if width == 1:
        return f"hw.constant {'true' if value else 'false'}"
    return f"hw.constant {value - (value >> (width - 1) << width)} : i{width}"


def operation(node: Node, args: list[str]) -> str:
    """A pure node as the right hand side of an MLIR assignment."""
    op, ty, widths = node.op, f"i{node.width}", [a.width for a in node.args]
    if op == "const":
        return constant(node.attrs["value"], node.width)
    if op == "undef":
        return constant(0, node.width)
    if op == "icmp":
        return f"comb.icmp bin {node.attrs['pred']} {args[0]}, {args[1]} : i{widths[0]}"
    if op == "mux":
        return f"comb.mux bin {', '.join(args)} : {ty}"
    if op == "extract":
        return f"comb.extract {args[0]} from {node.attrs['low']} : (i{widths[0]}) -> {ty}"
    if op == "concat":
        return f"comb.concat {', '.join(args)} : {', '.join(f'i{w}' for w in widths)}"
    if op == "replicate":
        return f"comb.replicate {args[0]} : (i{widths[0]}) -> {ty}"
    if op in UNARY:
        return f"comb.{op} bin {args[0]} : i{widths[0]}"
    if op in BINARY:
        return f"comb.{op} bin {', '.join(args)} : {ty}"
    raise HlsError(f"operation '{op}' has no hardware form", node.loc)


def location(loc: Location | None) -> str:
    """The MLIR spelling of a source location, empty if there is none."""
    return f' loc("{loc.file}":{loc.line}:0)' if loc else ""


# -- canonicalisation ------------------------------------------------------------------------------------------------


def _text(process: Process) -> tuple[str, list[Node]]:
    """The process as one hw.module; stateful nodes are instances named by their index in the returned list."""
    nodes = list(process.topological())
    names = {node: f"%n{k}" for k, node in enumerate(nodes)}
    externals: dict[str, str] = {}
    lines = []

    def instance(key: str, kind: str, args: list[Node], width: int, result: str) -> str:
        ports = [f"a{k}" for k in range(len(args))]
        module = "_".join([kind, *(str(a.width) for a in args), str(width)])
        declared = [f"in %{p} : i{a.width}" for p, a in zip(ports, args, strict=True)]
        declared += [f"out q : i{width}"] if width else []
        externals[module] = f"hw.module.extern @{module}({', '.join(declared)})"
        inputs = ", ".join(f"{p}: {names[a]}: i{a.width}" for p, a in zip(ports, args, strict=True))
        left, out = (f"{result} = ", f"q: i{width}") if width else ("", "")
        return f'{left}hw.instance "{key}" @{module}({inputs}) -> ({out})'

    for k, node in enumerate(nodes):
        if node.op in STATEFUL:
            text = instance(str(k), node.op, node.args, node.width, names[node])
        else:
            text = f"{names[node]} = {operation(node, [names[a] for a in node.args])}"
        lines.append(f"  {text}{location(node.loc)}")
    if process.run_ends is not None:
        lines.append("  " + instance(_KEEP, _KEEP, [process.run_ends], 0, ""))
    body = "\n".join(lines)
    return "\n".join(externals.values()) + f"\nhw.module @body() {{\n{body}\n  hw.output\n}}\n", nodes


def _unsigned(attribute: object, width: int) -> int:
    text = str(attribute).split(" ")[0]
    value = {"true": 1, "false": 0}.get(text)
    return (int(text) if value is None else value) & ((1 << width) - 1)


def _source(op: ir.Operation) -> Location | None:
    """The first place of an operation: one that was made of several has several."""
    found = [(file, line) for file, line in re.findall(r'"([^"]+)":(\d+)', str(op.location)) if file != "-"]
    return Location(found[0][0], int(found[0][1])) if found else None


def _select(builder: Builder, index: Node, elements: list[Node]) -> Node:
    """elements[index] as a tree of muxes on the bits of the index."""
    bit = 0
    while len(elements) > 1:
        select = builder.extract(index, bit, 1)
        pairs = [elements[k : k + 2] for k in range(0, len(elements), 2)]
        elements = [builder.mux(select, p[1], p[0]) if len(p) == 2 else p[0] for p in pairs]
        bit += 1
    return elements[0]


def canonicalise(process: Process, session: Session) -> Process:
    """The process after CIRCT's canonicalisation: the same effects, registers and memories, simpler logic.

    add, mul, and, or, xor may have more than two operands afterwards. Undefined values become zero.
    """
    text, nodes = _text(process)
    module = session.run(text, "canonicalize,cse,canonicalize,cse")
    body = next(op for op in module.body.operations if op.operation.name == "hw.module").regions[0].blocks[0]
    result = Process(process.name, process.loc, memories=process.memories)
    value: dict[ir.Value, Node] = {}
    pending: list[tuple[Node, list[ir.Value]]] = []
    builder = Builder()
    for item in body.operations:
        op = item.operation
        operands = list(op.operands)
        kind = op.name.split(".")[-1]
        builder.loc = _source(op)
        if kind == "output":
            continue
        if kind == "instance":
            key = ir.StringAttr(op.attributes["instanceName"]).value
            if key == _KEEP:
                pending.append((Node(_KEEP, 0), operands))
                continue
            old = nodes[int(key)]
            node = Node(old.op, old.width, [], old.loc, **old.attrs)
            (result.regs if node.op == "reg" else result.effects).append(node)
        elif kind == "constant":
            width = op.results[0].type.width
            node = builder.const(_unsigned(op.attributes["value"], width), width)
            operands = []
        elif kind in ("array_create", "aggregate_constant", "array_get"):
            node = Node(kind, 0 if kind != "array_get" else op.results[0].type.width, [], builder.loc)
            if kind == "aggregate_constant":
                fields = [ir.IntegerAttr(a) for a in ir.ArrayAttr(op.attributes["fields"])]
                node.args = [builder.const(_unsigned(f, f.type.width), f.type.width) for f in fields]
        elif kind not in (*BINARY, *UNARY, "mux", "icmp", "extract", "concat", "replicate"):
            raise InternalError(f"CIRCT's {op.name} is not known", builder.loc)
        else:
            width = getattr(op.results[0].type, "width", 0)  # 0: a choice between arrays
            node = Node(kind, width, [], builder.loc)
            if kind == "icmp":
                node.attrs["pred"] = PREDICATES[int(str(op.attributes["predicate"]).split()[0])]
            elif kind == "extract":
                node.attrs["low"] = int(str(op.attributes["lowBit"]).split()[0])
        pending.append((node, operands))
        for out in op.results:
            value[out] = node
    for node, operands in pending:
        if operands:
            node.args = [value[v] for v in operands]
        if node.op == _KEEP:
            result.run_ends = node.args[0]
    _expand_arrays(result, builder)
    return live(result)


def _expand_arrays(process: Process, builder: Builder) -> None:
    """CIRCT turns long chains of muxes into array lookups: make them trees of muxes."""
    tree: dict[Node, Node] = {}
    for node in process.topological():
        node.args = [tree.get(a, a) for a in node.args]
        if node.op == "array_get":
            array, index = node.args
            builder.loc = node.loc
            tree[node] = _select(builder, index, _elements(builder, array))
    for register in process.regs:  # they come before their operands
        register.args = [tree.get(a, a) for a in register.args]
    if process.run_ends is not None:
        process.run_ends = tree.get(process.run_ends, process.run_ends)


def _elements(builder: Builder, array: Node) -> list[Node]:
    """The elements of an array, or of a choice between two, from index 0 on."""
    if array.op != "mux":
        return array.args[::-1]
    condition, true, false = array.args
    pairs = zip(_elements(builder, true), _elements(builder, false), strict=True)
    return [builder.mux(condition, a, b) for a, b in pairs]


def live(process: Process) -> Process:
    """Drop, in place, the loads and registers that no read, write or store needs."""
    seen: set[Node] = set()
    todo = [e for e in process.effects if e.op != "load"]
    if process.run_ends is not None:
        todo.append(process.run_ends)
    while todo:
        node = todo.pop()
        if node not in seen:
            seen.add(node)
            todo += node.args
    process.regs = [r for r in process.regs if r in seen]
    process.effects = [e for e in process.effects if e in seen]
    return process


# -- export ----------------------------------------------------------------------------------------------------------

_OPTIONS = "disallowLocalVariables,locationInfoStyle=plain,emittedLineLength=110"
_PIPELINE = "cse,lower-seq-to-sv{disable-reg-randomization},cse,hw.module(prettify-verilog)"


def verilog(text: str, session: Session) -> dict[str, str]:
    """SystemVerilog of the modules of hw/comb/seq text (attributes of the outer module excluded), by module name."""
    wrapped = f'module attributes {{circt.loweringOptions = "{_OPTIONS}"}} {{\n{text}\n}}\n'
    stream = io.StringIO()
    circt.export_verilog(session.run(wrapped, _PIPELINE), stream)
    found = re.findall(r"^module (\w+).*?^endmodule", stream.getvalue(), re.M | re.S)
    bodies = re.findall(r"^module \w+.*?^endmodule", stream.getvalue(), re.M | re.S)
    return {name: _comments(body) for name, body in zip(found, bodies, strict=True)}


def _comments(body: str) -> str:
    """Keep the C++ lines in the comments, drop positions in the intermediate text."""

    def places(match: re.Match[str]) -> str:
        kept, file = [], "-"
        for place in match[2].split(", "):
            name, _, line = place.partition(":")
            file = name.rsplit("/", 1)[-1] or file
            if file != "-":
                kept.append(f"{file}:{line.split(':')[0]}")
        return match[1] + ("  // " + ", ".join(kept) if kept else "")

    lines = [re.sub(r"^(.*?)\s*// ([^ ,]*:\d[^ ]*(?:, [^ ]*:\d+[^ ]*)*)$", places, line) for line in body.splitlines()]
    return "\n".join(line.rstrip() for line in lines) + "\n"
