"""LLVM IR of one process function -> `graph.nodes.Process`: if-conversion of one iteration.

Predicates: a block's predicate says, for the whole iteration, whether it is executed. A merge selects among
the incoming values by conditions that hold *given* that the merge's immediate dominator is executed, so that
an if/else in a loop costs one multiplexer controlled by its own condition.

Values live from one iteration into the next become registers, one per SSA value, whichever start it is
carried to. Where a start makes a register's value irrelevant and a constant would be merged in afterwards (a
counter set to 0 before its loop), the register takes that constant instead, and the merge disappears from the
recurrence.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from openhls.common.errors import HlsError, Location
from openhls.frontend import cfg
from openhls.frontend.copies import expand_copies
from openhls.frontend.debuginfo import DebugInfo
from openhls.frontend.ir import BINARY, Address, Function, Instruction, Value
from openhls.frontend.objects import Field, Objects
from openhls.frontend.pointers import resolve
from openhls.frontend.promises import Promise
from openhls.frontend.wires import WireBuilder
from openhls.graph.nodes import Memory, Node, Process

ARITHMETIC = {
    "add": "add",
    "sub": "sub",
    "mul": "mul",
    "udiv": "divu",
    "sdiv": "divs",
    "urem": "modu",
    "srem": "mods",
}
SHIFTS = {"shl": "shl", "lshr": "shru", "ashr": "shrs"}
IGNORED_CALLS = (
    "llvm.lifetime.",
    "llvm.assume",
    "llvm.experimental.noalias.scope.decl",
    "llvm.dbg.",
    "llvm.invariant.",
)


@dataclass(frozen=True)
class Port:
    """A stream behind an argument: its name in the design, its word's width, and where it is found."""

    stream: str
    width: int
    argument: int = 0
    offset: int = 0  # bytes, in an array or structure of streams


@dataclass
class _Member:
    """One access of the program: where it stands, when it happens, what it is given."""

    block: str
    position: int  # in the order of the process
    predicate: Node
    operands: list[Node]
    loc: Location | None


@dataclass
class _Group:
    """Accesses of one port of a stream or memory, merged: they exclude each other."""

    node: Node
    members: list[_Member] = field(default_factory=list)


def _width(type_: str, where: Location | None) -> int:
    if match := re.fullmatch(r"i(\d+)", type_):
        return int(match[1])
    raise HlsError(f"values of type {type_} are not supported", where, "use ap_int, ap_uint and built-in integers")


class _Importer:
    def __init__(
        self,
        text: str,
        function: Function,
        debug: DebugInfo,
        ports: dict[str, dict[int, Port]],
        name: str,
        promises: Sequence[Promise],
    ):
        self.function, self.debug, self.ports = function, debug, ports
        self.b = WireBuilder()
        self.place = debug.nearest(function)
        self.objects = Objects(text, function, debug)
        expand_copies(function, self.objects)
        self.it = cfg.iteration(function)
        self.promises = promises
        self.process = Process(name, debug.place(function.debug))
        self.values: dict[str, Node] = {}  # SSA values computed in this iteration
        self.state: dict[str, dict[str, Node]] = {}  # block -> carried name -> value at the block's end
        self.registers: dict[str, Node] = {}
        self.widths: dict[str, int] = {}
        self.leader: dict[str, str] = {}  # carried value -> the one whose name its register has
        self.needed: dict[str, set[str]] = {}  # register -> the starts at which its value matters
        self.retimed: dict[str, dict[str, Node]] = {}  # register -> start -> constant it takes
        self.groups: dict[tuple[str, str], list[_Group]] = {}  # (operation, stream or memory)
        self.fields: dict[int, Field] = {}  # id(instruction) -> the field it accesses
        self.count = 0  # accesses so far
        self.given: dict[tuple[str, str], Node] = {}
        self.where: dict[str, Node] = {}

    def run(self) -> Process:
        self._scan()
        self.live = cfg.live_in(self.function, self.it, self._uses)
        self.phis = {s: {i.name: i for i in self.function.blocks[s] if i.opcode == "phi"} for s in self.it.starts}
        cells = {f"cell:{id(f)}": f for f in self.fields.values() if f.is_register}
        self.cells = cells
        carried = set().union(*self.live.values()) - set(self.ports) if self.live else set()
        self.carried = [*sorted(carried), *cells]
        for block in self.function.blocks.values():
            for i in block:
                if i.name in carried or any(i.name in p for p in self.phis.values()):
                    if i.type == "ptr":
                        continue
                    self.widths[i.name] = _width(i.type, self.debug.location(i.debug))
        self.carried = [n for n in self.carried if n in self.widths or n in cells]
        self.widths |= {name: f.bits for name, f in cells.items()}
        self._coalesce()
        for block in self.it.order:
            self._block(block)
        self._next_state()
        self._merge_groups()
        self._finish()
        return self.process

    def _uses(self, i: Instruction) -> list[str]:
        """The values an instruction needs; addresses are computed where they are used."""
        operands = list(i.operands)
        if i.address:
            operands += [index for index, _ in i.address.terms]
        if i.guard:
            operands.append(i.guard)
        return [v.text for v in operands if v.text.startswith("%")]

    def _coalesce(self) -> None:
        """One register for a variable that has a phi at every level of a nest.

        Values of which no two matter at the same start, and of which one is a copy of the other, share a register.
        """
        for name in self.widths:
            self.leader[name] = name
            self.needed[name] = {s for s in self.it.starts if name in self.phis[s] or name in self.live[s]}
        for start in self.it.starts:
            for phi in self.phis[start].values():
                for value, source in zip(phi.operands, phi.labels, strict=True):
                    if phi.name not in self.leader or value.text not in self.leader or (source, start) in self.it.cut:
                        continue
                    a, b = self._leader(phi.name), self._leader(value.text)
                    if a != b and not self.needed[a] & self.needed[b]:
                        self.leader[a] = b
                        self.needed[b] |= self.needed[a]

    def _leader(self, name: str) -> str:
        while self.leader[name] != name:
            name = self.leader[name]
        return name

    # Where the iteration starts
    def start_in(self, starts: frozenset[str]) -> Node:
        """i1: the iteration began at one of these starts (one-hot registers, the last start is the rest)."""
        every = frozenset(self.it.starts)
        if starts == every:
            return self.b.const(1, 1)
        rest = self.it.starts[-1]
        if rest in starts:
            return self.b.not_(self.start_in(every - starts))
        result = self.b.const(0, 1)
        for start in self.it.starts:
            if start in starts:
                result = self.b.or_(result, self._at(start))
        return result

    def _at(self, start: str) -> Node:
        if start not in self.where:
            first = start == self.it.entry
            name = "first" if first else f"at_{_identifier(start)}"
            self.where[start] = Node("reg", 1, [], None, name=name, init=int(first))
        return self.where[start]

    def _starts_of(self, block: str) -> frozenset[str] | None:
        """The starts at which `block` is executed, where nothing else decides it."""
        inputs, found = self.it.inputs[block], set()
        if self.it.always_after("", block):
            return frozenset(self.it.starts)
        for source in inputs:
            if source == "":
                found.add(block)
                continue
            before = self._starts_of(source) if len(self.it.successors[source]) == 1 else None
            if before is None:
                return None
            found |= before
        return frozenset(found)

    # Predicates
    def executed(self, block: str, given: str = "") -> Node:
        """i1: the block is executed, given that `given`, which dominates it, is ("" : in any iteration)."""
        if block == given:
            return self.b.const(1, 1)
        key = (block, given)
        if key not in self.given:
            # walk up the dominators as far as post-dominance makes the predicate equal
            above = block
            while above != given and self.it.always_after(self.it.dominator[above], above):
                above = self.it.dominator[above]
            if above == given:
                self.given[key] = self.b.const(1, 1)
            elif above != block:
                self.given[key] = self.executed(above, given)
            else:
                result = self.b.const(0, 1)
                for source in self.it.inputs[block]:
                    result = self._or(result, self.edge(source, block, given))
                self.given[key] = result
        return self.given[key]

    def _or(self, a: Node, b: Node) -> Node:
        """a | b; p&c | p&!c is p."""
        for x in a.args if a.op == "and" else []:
            for y in b.args if b.op == "and" else []:
                p, q = [n for n in a.args if n is not x], [n for n in b.args if n is not y]
                if p and q and p[0] is q[0] and self.b.not_(x) is y:
                    return p[0]
        if a is self.b.not_(b):
            return self.b.const(1, 1)
        return self.b.or_(a, b)

    def edge(self, source: str, target: str, given: str = "") -> Node:
        """i1: control passes from source to target in this iteration, given that `given` is executed."""
        if source == "":
            return self.start_in(frozenset([target]))
        return self.b.and_(self.executed(source, given), self._branch(source, target))

    def _branch(self, source: str, target: str) -> Node:
        last = self.function.blocks[source][-1]
        if len(self.it.successors[source]) < 2:
            return self.b.const(1, 1)
        self.b.loc = self.debug.location(last.debug)
        condition = self.value(last.operands[0], source)
        if last.opcode == "br":
            return condition if last.labels[0] == target else self.b.not_(condition)
        hits = {label: self.b.const(0, 1) for label in last.labels}
        for case, label in zip(last.cases, last.labels[1:], strict=True):
            equal = self.b.make("icmp", 1, condition, self.b.const(case, condition.width), pred="eq")
            hits[label] = self.b.or_(hits[label], equal)
        if target != last.labels[0]:
            return hits[target]
        others = self.b.const(0, 1)
        for label, hit in hits.items():
            if label != target:
                others = self.b.or_(others, hit)
        return self.b.not_(others)

    def select(self, block: str, choices: list[tuple[str, Node]]) -> Node:
        """The value that the edge taken into `block` brings."""
        above = self.it.dominator[block]
        result = choices[-1][1]
        for source, value in reversed(choices[:-1]):
            if value is not result:
                result = self.b.mux(self.edge(source, block, above), value, result)
        return result

    # Values
    def register(self, name: str) -> Node:
        name = self._leader(name)
        if name not in self.registers:
            shown = self.cells[name].name if name in self.cells else _readable(name[1:])
            self.registers[name] = Node("reg", self.widths[name], [], self.b.loc, name=shown, init=None)
        return self.registers[name]

    def at_start(self, name: str, start: str) -> Node:
        """A carried value at the beginning of an iteration that starts at `start`."""
        if name in self.cells or name in self.live[start]:
            return self.register(name)
        return self.b.undef(self.widths[name])

    def value(self, operand: Value, block: str) -> Node:
        """An operand as seen at the end of (or inside) `block`."""
        text = operand.text
        if text.startswith("%"):
            carried = self.state.get(block, {}).get(text)
            if carried is not None:
                return carried
            if text in self.values:
                return self.values[text]
            raise HlsError(f"a pointer or stream is used as a value ({text})", self.b.loc)
        width = _width(operand.type, self.b.loc)
        if text in ("true", "false"):
            return self.b.const(int(text == "true"), 1)
        if text in ("undef", "poison"):
            return self.b.undef(width)
        if re.fullmatch(r"-?\d+", text):
            return self.b.const(int(text), width)
        raise HlsError(f"the constant {text} is not supported", self.b.loc)

    def _block(self, block: str) -> None:
        state: dict[str, Node] = {}
        self.state[block] = state
        inputs = self.it.inputs[block]
        self.b.loc = None
        for name in self.carried:
            choices = [(s, self.at_start(name, block) if s == "" else self.state[s].get(name)) for s in inputs]
            known = [(s, v) for s, v in choices if v is not None]
            if known:
                state[name] = self.select(block, known)
        phis = {}
        for i in self.function.blocks[block]:
            self.b.loc = self.debug.location(i.debug)
            if i.opcode == "phi":
                if i.type != "ptr":
                    phis[i.name] = self._phi(i, block)
                continue
            if phis:
                self._define(phis, block)
                phis = {}
            result = self._instruction(i, block)
            if i.name and result is not None:
                self._define({i.name: result}, block)
        if phis:
            self._define(phis, block)

    def _define(self, values: dict[str, Node], block: str) -> None:
        for name, node in values.items():
            self.values[name] = node
            if name in self.widths:
                self.state[block][name] = node

    def _phi(self, phi: Instruction, block: str) -> Node:
        width = _width(phi.type, self.b.loc)
        incoming = dict(zip(phi.labels, phi.operands, strict=True))
        inputs = self.it.inputs[block]
        if "" in inputs and self._retime(phi, block, incoming):
            return self.register(phi.name)
        choices = []
        for source in inputs:
            if source == "":
                is_carried = any((s, block) in self.it.cut for s in incoming)
                choices.append((source, self.register(phi.name) if is_carried else self.b.undef(width)))
            else:
                choices.append((source, self.value(incoming[source], source)))
        return self.select(block, choices)

    def _retime(self, phi: Instruction, block: str, incoming: dict[str, Value]) -> bool:
        """Let the register of a phi at a start take its constants where runs and outer iterations end."""
        constants: dict[str, Node] = {}
        for source in self.it.inputs[block]:
            if source == "":
                continue
            starts = self._starts_of(source) if len(self.it.successors[source]) == 1 else None
            value = incoming[source]
            if starts is None or value.text.startswith("%"):
                return False
            for start in starts:
                if start in self.needed[self._leader(phi.name)]:
                    return False
                constants[start] = self.value(value, source)
        known = self.retimed.setdefault(self._leader(phi.name), {})
        if any(known.get(start, node) is not node for start, node in constants.items()):
            return False
        known |= constants
        return True

    # Instructions
    def _instruction(self, i: Instruction, block: str) -> Node | None:
        op, b = i.opcode, self.b
        if op in ("br", "switch", "ret", "alloca", "getelementptr", "unreachable"):
            return None
        if op == "load":
            return self._load(i, block)
        if op == "store":
            return self._store(i, block)
        if op == "call":
            return self._call(i, block)
        if op == "extractvalue" and (member := _members(i.operands[0].text)[i.cases[0]]) in self.values:
            return self.values[member]
        if op not in (*BINARY, "icmp", "select", "trunc", "zext", "sext", "freeze"):
            raise HlsError(f"LLVM's {op} is not supported", b.loc, "use integers, arrays and streams")
        width = _width(i.type, b.loc)
        args = [self.value(v, block) for v in i.operands]
        if op in ARITHMETIC:
            return b.make(ARITHMETIC[op], width, *args)
        if op in SHIFTS:
            return b.shift(SHIFTS[op], *args)
        if op in ("and", "or", "xor"):
            return b.logic(op, *args)
        if op == "icmp":
            return b.compare(i.predicate, *args)
        if op == "select":
            return b.mux(*args)
        if op == "freeze":
            return b.const(0, width) if args[0].op == "undef" else args[0]
        return {"trunc": b.trunc, "zext": b.zext, "sext": b.sext}[op](args[0], width)

    def _call(self, i: Instruction, block: str) -> Node | None:
        name, b = i.callee, self.b
        if name.startswith(IGNORED_CALLS):
            return None
        match = re.fullmatch(r"llvm\.([a-z.]+)\.i\d+(?:\.i\d+)?", name)
        if not match:
            if not name:
                raise HlsError(
                    "a function that is chosen at run time is called", b.loc, "call each in a branch of an if or switch"
                )
            raise HlsError(
                f"the call of {name} is not supported", b.loc, "define the function in the sources, without recursion"
            )
        args = [self.value(v, block) for v in i.operands]
        if match[1].endswith(".with.overflow"):
            self.values |= zip(_members(i.name), self._overflow(match[1], *args), strict=True)
            return None
        width = _width(i.type, b.loc)
        made = self._intrinsic(match[1], width, args)
        if made is None:
            raise HlsError(f"LLVM's {name} is not supported", b.loc)
        return made

    def _intrinsic(self, name: str, width: int, args: list[Node]) -> Node | None:
        b = self.b
        zero = b.const(0, width)
        if name in ("expect", "expect.with.probability"):
            return args[0]
        if name == "is.constant":
            return zero
        if name in ("smax", "smin", "umax", "umin"):
            first = b.make("icmp", 1, args[0], args[1], pred=name[0] + ("gt" if name.endswith("max") else "lt"))
            return b.mux(first, args[0], args[1])
        if name == "abs":
            negative = b.make("icmp", 1, args[0], zero, pred="slt")
            return b.mux(negative, b.make("sub", width, zero, args[0]), args[0])
        if name in ("fshl", "fshr"):
            return self._funnel(name, width, args)
        if name == "bswap":
            return b.join([p for low in range(width - 8, -1, -8) for p in b.cut(args[0], low, 8)])
        if name == "bitreverse":
            return b.join([p for low in range(width - 1, -1, -1) for p in b.cut(args[0], low, 1)])
        if name == "ctpop":
            return self._count(args[0])
        if name == "ctlz":  # the bits above the first 1: what is left of ones when that 1 is copied to all below it
            word = args[0]
            for step in (1 << k for k in range((width - 1).bit_length())):
                word = b.logic("or", word, b.shift("shru", word, b.const(step, width)))
            return self._count(b.not_(word))
        if name == "cttz":  # the bits below the last 1: those that a 1 subtracted turns from 0 to 1
            below = b.make("add", width, args[0], b.const(-1, width))
            return self._count(b.logic("and", b.not_(args[0]), below))
        if name == "usub.sat":
            more = b.make("icmp", 1, args[0], args[1], pred="ugt")
            return b.mux(more, b.make("sub", width, *args), zero)
        if name == "uadd.sat":
            total = b.make("add", width + 1, b.zext(args[0], width + 1), b.zext(args[1], width + 1))
            return b.mux(b.extract(total, width, 1), b.const(-1, width), b.trunc(total, width))
        if name in ("sadd.sat", "ssub.sat"):
            total = b.make(name[1:4], width + 1, b.sext(args[0], width + 1), b.sext(args[1], width + 1))
            negative, sign = b.extract(total, width, 1), b.extract(total, width - 1, 1)
            limit = b.mux(negative, b.const(1 << (width - 1), width), b.const((1 << (width - 1)) - 1, width))
            return b.mux(b.logic("xor", negative, sign), limit, b.trunc(total, width))
        if name in ("scmp", "ucmp"):
            less = b.make("icmp", 1, args[0], args[1], pred=name[0] + "lt")
            more = b.make("icmp", 1, args[0], args[1], pred=name[0] + "gt")
            return b.mux(less, b.const(-1, width), b.zext(more, width))
        return None

    def _count(self, word: Node) -> Node:
        """How many bits of a word are 1."""
        b, width = self.b, word.width
        bits = [b.zext(b.extract(word, low, 1), width) for low in range(width)]
        while len(bits) > 1:
            pairs = [b.make("add", width, x, y) for x, y in zip(bits[::2], bits[1::2], strict=False)]
            bits = pairs + bits[len(pairs) * 2 :]
        return bits[0]

    def _overflow(self, name: str, left: Node, right: Node) -> tuple[Node, Node]:
        """(result, whether it does not fit) of `sadd.with.overflow` and its like: of the exact result in more bits."""
        b, width, op = self.b, left.width, name[1:4]
        extended = b.sext if name[0] == "s" else b.zext
        wide = 2 * width if op == "mul" else width + 1
        exact = b.make(op, wide, extended(left, wide), extended(right, wide))
        result = b.trunc(exact, width)
        return result, b.compare("ne", extended(result, wide), exact)

    def _funnel(self, name: str, width: int, args: list[Node]) -> Node:
        b, (high, low, amount) = self.b, args
        word = b.join([*b.pieces(low), *b.pieces(high)])
        if amount.op == "const":
            n = amount.attrs["value"] % width
            return b.extract(word, n if name == "fshr" else width - n, width)
        n = b.zext(b.make("modu", width, amount, b.const(width, width)), 2 * width)
        if name == "fshr":
            return b.trunc(b.shift("shru", word, n), width)
        return b.extract(b.shift("shl", word, n), width, width)

    # Streams and memories
    def _port(self, i: Instruction) -> Port | None:
        """The stream that a load or store accesses, if it is one."""
        address = i.address
        assert address is not None
        if address.object in self.ports:
            port = self.ports[address.object].get(address.offset)
            if port is None:
                raise HlsError(f"access outside '{address.object[1:]}', an array of streams", self.place(i))
            return port
        if address.object in self.function.arguments:
            raise HlsError(f"{address.object[1:]} is no hls::stream", self.place(i))
        if i.volatile:
            raise HlsError("volatile variables are not supported", self.place(i))
        return None

    def _scan(self) -> None:
        """Find every array access, and with them what the arrays become."""
        streams = {argument: list(ports) for argument, ports in self.ports.items()}
        resolve(self.function, self.it, self.objects, streams, self.place)
        for label in self.it.order:
            for i in self.function.blocks[label]:
                if i.address and self._port(i) is None:
                    bits = _width(i.type or i.operands[0].type, self.place(i))
                    self.objects.collect(i, i.address, -(-bits // 8))
        self.process.notes += self.objects.finish(self.promises)
        self.process.statics = self.objects.statics()
        taken: set[str] = set()
        for obj in self.objects.objects.values():
            stored = any(a.instruction.opcode == "store" for a in obj.accesses)
            constant = obj.name.startswith("@") and not stored
            for made in obj.fields.values():
                made.name = _unique(_identifier(made.name), taken)
                if constant and made.initial and len(set(made.initial)) == 1:
                    made.constant = made.initial[0]
                elif not made.is_register or constant:
                    self._memory(made, obj.name, stored)
            for access in obj.accesses:
                self.fields[id(access.instruction)] = obj.fields[access.address.offset % (obj.step or made.step)]

    def _memory(self, made: Field, object_name: str, stored: bool) -> None:
        if made.is_register:
            return
        self.process.memories[made.name] = Memory(
            made.name, made.bits, made.depth, made.initial, made.storage, made.loc
        )

    def _word_address(self, address: Address, made: Field, block: str) -> Node:
        b, width = self.b, max(1, (made.depth - 1).bit_length())
        constant = (address.offset - made.offset) // made.step
        total = None
        for index, stride in address.terms:
            term = self.value(index, block)
            term = b.trunc(term, width) if term.width >= width else b.sext(term, width)
            if (factor := stride // made.step) != 1:
                shift = factor.bit_length() - 1
                if factor == 1 << shift:
                    term = b.shift("shl", term, b.const(shift, width)) if shift < width else b.const(0, width)
                else:
                    term = b.make("mul", width, term, b.const(factor, width))
            total = term if total is None else b.make("add", width, total, term)
        if total is None:
            return b.const(constant, width)
        return b.make("add", width, total, b.const(constant, width)) if constant else total

    def _load(self, i: Instruction, block: str) -> Node:
        width = _width(i.type, self.b.loc)
        port = self._port(i)
        if port:
            node = self._access("read", port.stream, port.width, [], i, block)
            return self.b.zext(node, width) if width >= node.width else self.b.trunc(node, width)
        made = self.fields[id(i)]
        if made.is_register:
            node = self.state[block][f"cell:{id(made)}"]
        elif made.constant is not None:
            node = self.b.const(made.constant, made.bits)
        else:
            address = self._word_address(i.address, made, block)
            node = self._access("load", made.name, made.bits, [address], i, block)
        return self.b.zext(node, width) if width >= node.width else self.b.trunc(node, width)

    def _store(self, i: Instruction, block: str) -> None:
        value = self.value(i.operands[0], block)
        port = self._port(i)
        if port:
            self._access("write", port.stream, 0, [self.b.trunc(value, port.width)], i, block)
            return
        made = self.fields[id(i)]
        if value.width > made.bits:
            value = self.b.trunc(value, made.bits)
        if made.is_register:
            cell = f"cell:{id(made)}"
            if i.guard:
                value = self.b.mux(self.value(i.guard, block), value, self.state[block][cell])
            self.state[block][cell] = value
        else:
            address = self._word_address(i.address, made, block)
            self._access("store", made.name, 0, [address, value], i, block)

    def _access(self, op: str, target: str, width: int, operands: list[Node], i: Instruction, block: str) -> Node:
        """One more access; it joins a group whose members all exclude it, if there is one."""
        loc = self.b.loc
        groups = self.groups.setdefault((op, target), [])
        predicate = self.executed(block)
        if i.guard:
            predicate = self.b.and_(predicate, self.value(i.guard, block))
        self.b.loc = loc
        member = _Member(block, self.count, predicate, operands, self.place(i))
        self.count += 1
        for group in groups:
            if all(self._exclusive(other, member) for other in group.members):
                break
        else:
            attribute = "stream" if op in ("read", "write") else "memory"
            group = _Group(Node(op, width, [], loc, **{attribute: target}))
            groups.append(group)
            self.process.effects.append(group.node)
        group.members.append(member)
        return group.node

    def _exclusive(self, a: _Member, b: _Member) -> bool:
        """No iteration has both: no path leads through both blocks, or one needs what the other must not have."""
        if a.block != b.block and not self.it.reaches(a.block, b.block) and not self.it.reaches(b.block, a.block):
            return True
        first, second = self._needs(a.predicate), self._needs(b.predicate)
        return any(self.b.not_(x) in second for x in first)

    def _needs(self, predicate: Node) -> set[Node]:
        """Conditions that all hold where a predicate does."""
        found, work = set(), [predicate]
        while work:
            node = work.pop()
            found.add(node)
            if node.op == "and":
                work += node.args
        return found

    # The end of the iteration
    def _next_state(self) -> None:
        ends: list[tuple[Node, str, str]] = [(self.edge(s, t), s, t) for s, t in self.it.ends]
        ends += [(self.executed(r), r, self.it.entry) for r in self.it.returns]
        self.process.run_ends = self.b.const(0, 1)
        for predicate, block, _ in ends:
            if block in self.it.returns:
                self.process.run_ends = self._or(self.process.run_ends, predicate)
        self.members: dict[str, list[str]] = {}
        for name in self.leader:
            self.members.setdefault(self._leader(name), []).append(name)
        done: set[str] = set()
        while todo := [n for n in [*self.registers, *self.where] if n not in done]:
            for name in todo:
                done.add(name)
                if name in self.where and name not in self.registers:
                    self._next_start(name, ends)
                else:
                    self._next_value(name, ends)

    def _next_start(self, start: str, ends: list[tuple[Node, str, str]]) -> None:
        result = self.b.const(0, 1)
        for predicate, _, target in ends:
            if target == start:
                result = self._or(result, predicate)
        self.where[start].args = [result]

    def _next_value(self, name: str, ends: list[tuple[Node, str, str]]) -> None:
        register = self.registers[name]
        constants = self.retimed.get(name, {})
        choices: list[tuple[Node, Node]] = []
        for predicate, block, target in ends:
            self.b.loc = register.loc
            value = self._value_at_end(name, block, target, constants)
            if value is not None and value.op != "undef":
                choices.append((predicate, value))
        merged: dict[int, list] = {}
        for predicate, value in choices:
            entry = merged.setdefault(id(value), [self.b.const(0, 1), value])
            entry[0] = self._or(entry[0], predicate)
        pairs = list(merged.values())
        pairs.sort(key=lambda pair: pair[1].op == "const")  # constants outermost: they decide late and cheaply
        result = self.b.undef(register.width)
        for predicate, value in pairs:
            result = value if result.op == "undef" else self.b.mux(predicate, value, result)
        register.args = [result]
        if name in self.cells:
            made = self.cells[name]
            register.attrs["init"] = made.initial[0] if made.initial else None
        elif (first := constants.get(self.it.entry)) is not None and first.op == "const":
            register.attrs["init"] = first.attrs["value"]

    def _value_at_end(self, name: str, block: str, target: str, constants: dict[str, Node]) -> Node | None:
        if name in self.cells:
            return self.state[block].get(name)
        if block not in self.it.returns:
            for member in self.members[name]:
                if phi := self.phis[target].get(member):
                    return self.value(dict(zip(phi.labels, phi.operands, strict=True))[block], block)
                if member in self.live[target]:
                    return self.value(Value("", member), block)
        return constants.get(target)

    def _merge_groups(self) -> None:
        roms = {m for op, m in self.groups if op == "load" and ("store", m) not in self.groups}
        for (op, target), groups in self.groups.items():
            if len(groups) > 1 and not (op == "load" and target in roms):
                self._refuse_two(op, target, groups)
            for group in groups:
                predicate = self.b.const(0, 1)
                for member in group.members:
                    predicate = self._or(predicate, member.predicate)
                merged = list(group.members[-1].operands)
                for member in group.members[-2::-1]:
                    pairs = zip(member.operands, merged, strict=True)
                    merged = [self.b.mux(member.predicate, x, y) for x, y in pairs]
                group.node.args = [*merged, predicate]
        for (op, memory), stores in self.groups.items():
            if op == "store":
                self._order_memory(memory, stores[0])

    def _refuse_two(self, op: str, target: str, groups: list[_Group]) -> None:
        first, second = next((a, b) for b in groups[1].members for a in groups[0].members if not self._exclusive(a, b))
        hint = {
            "read": "read once per iteration into a variable, or read in a loop of its own",
            "write": "write once per iteration (pack the words in one), or write in a loop of its own",
            "load": f"a RAM is read at one address per iteration: split '{target}' or keep the word in a variable",
            "store": f"a RAM is written at one address per iteration: split '{target}' or choose the word first",
        }[op]
        raise HlsError(f"second {op} of '{target}' in one iteration (the first is at {first.loc})", second.loc, hint)

    def _order_memory(self, memory: str, stores: _Group) -> None:
        """Loads come before stores in every iteration."""
        for loads in self.groups.get(("load", memory), []):
            for load in loads.members:
                for store in stores.members:
                    same = store.block == load.block and store.position < load.position
                    after = same or self.it.reaches(store.block, load.block)
                    if after and not self._exclusive(store, load):
                        raise HlsError(
                            f"'{memory}' is read after it was written in the same iteration (written at {store.loc})",
                            load.loc,
                            "keep the written word in a variable, or read before the write",
                        )

    def _finish(self) -> None:
        """Effects in program order, loads of a memory before its store; registers that matter."""
        process = self.process
        process.effects.sort(key=lambda n: n.op == "store")
        process.effects = [n for n in process.effects if not _never(n)]
        process.regs = []
        names: set[str] = set()
        every = {id(r): r for r in [*self.registers.values(), *self.where.values()]}
        found: set[int] = set()
        work = list(process.roots())
        seen: set[int] = set()
        while work:
            node = work.pop()
            if id(node) in seen:
                continue
            seen.add(id(node))
            if node.op == "reg":
                found.add(id(node))
            work += node.args
        for key, register in every.items():
            if key in found:
                register.attrs["name"] = _unique(register.attrs["name"], names)
                process.regs.append(register)
        used = {n.attrs["memory"] for n in process.effects if "memory" in n.attrs}
        process.memories = {k: m for k, m in process.memories.items() if k in used}


def _members(name: str) -> tuple[str, str]:
    """The two values of a pair."""
    return f"{name}#0", f"{name}#1"


def _never(node: Node) -> bool:
    return node.args[-1].op == "const" and node.args[-1].attrs["value"] == 0


def _identifier(name: str) -> str:
    return re.sub(r"\W", "_", name.strip('"')) or "v"


def _readable(name: str) -> str:
    """LLVM's name for a part or a version of a variable -> `variable` or `variable_part`."""
    match = re.match(r"(.+?)\.sroa\.(\d+)", name)
    return _identifier(f"{match[1]}_{match[2]}" if match else name.split(".")[0])


def _unique(name: str, taken: set[str]) -> str:
    candidate, n = name, 2
    while candidate in taken:
        candidate, n = f"{name}_{n}", n + 1
    taken.add(candidate)
    return candidate


def import_process(
    text: str,
    function: Function,
    debug: DebugInfo,
    ports: dict[str, dict[int, Port]],
    name: str,
    promises: Sequence[Promise],
) -> Process:
    """One optimised process function -> its graph.

    Args:
        text: the printed module it stands in (for types and the contents of globals).
        ports: pointer argument (`%x`) -> byte offset -> stream.
        promises: what pragmas say about its arrays.

    Raises:
        HlsError: what cannot be one iteration per cycle, with its line.
    """
    return _Importer(text, function, debug, ports, name, promises).run()
