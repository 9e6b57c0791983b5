"""Scheduled processes -> hw/comb/seq text -> SystemVerilog modules and the top that wires them.

Control of a pipeline (docs/reference/interfaces.md, "Timing of generated RTL"), R the last issue stage:

    blocked[s] = v[s] & some read of stage s finds nothing, or (s = R) some write has no credit
    hold[s]    = hold[s+1] | blocked[s]                          s = 0 .. R, hold[R+1] = 0
    fire[s]    = v[s] & ~hold[s]
    v[s]'      = hold[s] ? v[s] : fire[s-1]                      s = 1 .. R
    v[s]'      = s = R+1 ? fire[R] : v[s-1]                      after the issue stages nothing ever waits

A write whose predicate is not known in stage R takes a credit at issue all the same and gives it back if it does not
happen. (So a stream that is full can hold up iterations that would not have written to it.)

Registers of the loop take their next value when an iteration leaves their stage: fire[s], or v[s] after the issue
stages.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass

from openhls.backend.keywords import safe
from openhls.backend.netlist import add
from openhls.backend.primitives import Fifo, Multiplier, Ram, Rom, address_bits, credit_bits
from openhls.backend.schedule import Operand, Plan
from openhls.backend.targets import Target
from openhls.common.errors import InternalError, Location
from openhls.graph.nodes import Interface, Node, Stream
from openhls.middle.mlir import Session, constant, location, operation, verilog
from openhls.middle.narrow import extension


@dataclass(frozen=True)
class Pipeline:
    """What emission makes of a process."""

    modules: dict[str, str]  # SystemVerilog by module name
    register_bits: int
    multipliers: list[tuple[Multiplier, Location | None]]


class _Text:
    """MLIR text of one hw.module: unique names, ports, lines."""

    def __init__(self, name: str):
        self.name = name
        self.lines: list[str] = []
        self.inputs: list[str] = []
        self.outputs: list[tuple[str, int, str]] = []  # name, width, value
        self._used: dict[str, int] = {}
        self._shared: dict[str, str] = {}

    def fresh(self, hint: str) -> str:
        hint = re.sub(r"\W", "_", hint)
        hint = safe(hint if hint and not hint[0].isdigit() else f"v{hint}")
        count = self._used.get(hint, 0)
        self._used[hint] = count + 1
        return f"%{hint}" if count == 0 else self.fresh(f"{hint}_{count}")

    def input(self, name: str, width: int) -> str:
        self._used[name] = 1
        self.inputs.append(f"in %{name} : i{width}")
        return f"%{name}"

    def clock(self, name: str) -> str:
        self._used[name] = 1
        self.inputs.append(f"in %{name} : !seq.clock")
        return f"%{name}"

    def output(self, name: str, width: int, value: str) -> None:
        self.outputs.append((name, width, value))

    def put(self, hint: str, text: str, loc: Location | None = None) -> str:
        name = self.fresh(hint)
        self.lines.append(f"  {name} = {text}{location(loc)}")
        return name

    def share(self, text: str, hint: str = "c") -> str:
        """A pure operation without operands to rename, made once."""
        if text not in self._shared:
            self._shared[text] = self.put(hint, text)
        return self._shared[text]

    def bit(self, value: bool) -> str:
        return self.share(constant(int(value), 1), "true" if value else "false")

    # One-bit logic that folds constants.

    def not_(self, a: str, hint: str = "") -> str:
        if a in (self.bit(True), self.bit(False)):  # folded: no `x & 1` reaches the reader
            return self.bit(a == self.bit(False))
        return self.share(f"comb.xor bin {a}, {self.bit(True)} {_namehint(hint)}: i1", hint)

    def all(self, values: list[str], hint: str = "") -> str:
        values = [v for v in dict.fromkeys(values) if v != self.bit(True)]
        if self.bit(False) in values:
            return self.bit(False)
        if len(values) < 2:
            return values[0] if values else self.bit(True)
        return self.share(f"comb.and bin {', '.join(values)} {_namehint(hint)}: i1", hint)

    def any(self, values: list[str], hint: str = "") -> str:
        values = [v for v in dict.fromkeys(values) if v != self.bit(False)]
        if self.bit(True) in values:
            return self.bit(True)
        if len(values) < 2:
            return values[0] if values else self.bit(False)
        return self.share(f"comb.or bin {', '.join(values)} {_namehint(hint)}: i1", hint)

    def instance(
        self,
        label: str,
        module: str,
        inputs: list[tuple[str, str, int]],
        outputs: list[tuple[str, int, str]],
        loc: Location | None = None,
        clock: str = "clk",
    ) -> str:
        """Instantiate a module whose first port is the clock; outputs: (port, width, name). Returns its declaration."""
        names = [name for _, _, name in outputs]
        given = ", ".join([f"{clock}: %ap_clk: !seq.clock", *(f"{p}: {v}: i{w}" for p, v, w in inputs)])
        results = ", ".join(f"{p}: i{w}" for p, w, _ in outputs)
        left = ", ".join(names)
        self.lines.append(f'  {left} = hw.instance "{label}" @{module}({given}) -> ({results}){location(loc)}')
        declared = [f"in %{clock} : !seq.clock", *(f"in %{p} : i{w}" for p, _, w in inputs)]
        declared += [f"out {p} : i{w}" for p, w, _ in outputs]
        return f"hw.module.extern @{module}({', '.join(declared)})"

    def module(self) -> str:
        ports = [*self.inputs, *(f"out {n} : i{w}" for n, w, _ in self.outputs)]
        values = ", ".join(v for _, _, v in self.outputs)
        types = ", ".join(f"i{w}" for _, w, _ in self.outputs)
        end = f"  hw.output {values} : {types}" if self.outputs else "  hw.output"
        return f"hw.module @{self.name}({', '.join(ports)}) {{\n" + "\n".join([*self._sorted(), end]) + "\n}\n"

    def _sorted(self) -> list[str]:
        """Logic in the order of its dependences, then registers and instances: so CIRCT needs few helper wires."""
        logic: dict[str, str] = {}
        state: list[str] = []
        for line in self.lines:
            if " = seq." in line or " hw.instance " in line:
                state.append(line)
            else:
                logic[line.split(" = ", 1)[0].strip()] = line
        order: list[str] = []
        seen: set[str] = set()
        for root in logic:
            stack = [(root, False)]
            while stack:
                name, expanded = stack.pop()
                if expanded:
                    order.append(logic[name])
                elif name not in seen:
                    seen.add(name)
                    stack.append((name, True))
                    operands = re.findall(r"%\w+", logic[name].split(" = ", 1)[1])
                    stack += [(o, False) for o in operands if o in logic]
        return order + state


def _namehint(name: str) -> str:
    """The attribute that asks CIRCT to call a helper wire, should it need one, by this name."""
    return f'{{sv.namehint = "{name}"}} ' if name else ""


class _ProcessText:
    """One pipeline as a hw.module."""

    def __init__(self, schedule: Plan, top: str, depths: Mapping[str, int]):
        self.schedule, self.process, self.top = schedule, schedule.process, top
        self.text = _Text(process_module(top, schedule.process.name))
        self.depths = depths
        self.externals: dict[str, str] = {}
        self.primitives: dict[str, Multiplier | Ram | Rom] = {}
        self.multipliers: list[tuple[Multiplier, Location | None]] = []
        self.register_bits = 0
        self.last_issue = schedule.issue_stages - 1
        self.result: dict[Node, str] = {}  # where the value first is
        self.delayed: dict[tuple[Node, int], str] = {}
        self.wanted: list[Node] = []
        self.holder = {r.args[0]: r for r in reversed(self.process.regs)}
        self.valids: dict[int, str] = {}
        self.memory_modules: dict[tuple[str, bool], str] = {}

    # -- registers --

    def register(
        self,
        hint: str,
        value: str,
        width: int,
        enable: str | None = None,
        init: int | None = None,
        loc: Location | None = None,
        name: str | None = None,
    ) -> str:
        text = self.text
        self.register_bits += width
        name = name or text.fresh(hint)
        op = "seq.compreg" if enable is None or enable == text.bit(True) else "seq.compreg.ce"
        enabled = "" if op == "seq.compreg" else f", {enable}"
        reset = "" if init is None else f" reset %rst, {text.share(constant(init, width))}"
        text.lines.append(f"  {name} = {op} {value}, %ap_clk{enabled}{reset} : i{width}{location(loc)}")
        return name

    def move(self, stage: int) -> str | None:
        """Enable of the registers in front of a stage; None: always."""
        return self.text.not_(self.hold[stage], f"move{stage}") if stage <= self.last_issue else None

    def valid(self, stage: int) -> str:
        """The valid bit of a stage after the issue stages."""
        for s in range(self.last_issue + 1, stage + 1):
            if s not in self.valids:
                source = self.fire[self.last_issue] if s == self.last_issue + 1 else self.valids[s - 1]
                self.valids[s] = self.register(f"valid{s}", source, 1, init=0)
        return self.valids[stage]

    def acts(self, stage: int) -> str:
        """An iteration leaves this stage in this cycle."""
        return self.fire[stage] if stage <= self.last_issue else self.valid(stage)

    # -- values --

    def at(self, node: Node, stage: int) -> str:
        """The value of a node as seen in a stage."""
        if node.op in ("const", "undef"):
            return self.text.share(operation(node, []))
        born = self.schedule.ready[node][0]
        if stage == born:
            return self._first(node)
        assert stage > born, f"{node} wanted in stage {stage}, made in {born}"
        key = node, stage
        if key not in self.delayed:
            holder = self.holder.get(node)
            if node.op in ("concat", "replicate"):
                parts = [self.at(a, stage) for a in node.args]
                self.delayed[key] = self.text.put(node.op, operation(node, parts), node.loc)
            elif holder is not None and stage == born + 1 and self.schedule.stage[holder] == born:
                self.delayed[key] = self._first(holder)
            else:
                before = self.at(node, stage - 1)
                self.delayed[key] = self.register(
                    f"{self._hint(node)}_s{stage}", before, node.width, self.move(stage), loc=node.loc
                )
        return self.delayed[key]

    def _hint(self, node: Node) -> str:
        if node.op == "read":
            return str(node.attrs["stream"])
        if node.op == "load":
            return str(node.attrs["memory"])
        return str(node.attrs.get("name") or "") or ("condition" if node.op == "table" else node.op)

    def _first(self, node: Node) -> str:
        if node not in self.result:
            self.result[node] = self.text.fresh(self._hint(node))
            self.wanted.append(node)
        return self.result[node]

    def _make_wanted(self) -> None:
        """Emit what was asked for, until nothing new is."""
        while self.wanted:
            node = self.wanted.pop()
            name, stage = self.result[node], self.schedule.stage[node]
            if node.op == "reg":
                value = self.at(node.args[0], stage)
                self.register("", value, node.width, self.acts(stage), node.attrs["init"], node.loc, name)
            elif node.op == "load":
                self._load(node, name)
            elif node.op == "mul":
                self._multiply(node, name)
            else:
                args = [self.at(a, stage) for a in node.args]
                made = f"hw.wire {self._table(node.attrs['value'], args)} : i1" if node.op == "table" else None
                self.text.lines.append(f"  {name} = {made or operation(node, args)}{location(node.loc)}")

    def _table(self, contents: int, bits: list[str]) -> str:
        """A truth table as gates: by its first bit, the most significant one, into two smaller ones."""
        text, rows = self.text, 1 << len(bits)
        if contents in (0, (1 << rows) - 1):
            return text.bit(contents != 0)
        half, [bit, *others] = rows // 2, bits
        high, low = contents >> half, contents & (1 << half) - 1
        if high == low:
            return self._table(low, others)
        true, false, flipped = self._table(high, others), self._table(low, others), (1 << half) - 1
        if low == 0:
            return text.all([bit, true])
        if high == 0:
            return text.all([text.not_(bit), false])
        if low == flipped:
            return text.any([text.not_(bit), true])
        if high == flipped:
            return text.any([bit, false])
        if high == low ^ flipped:
            return text.share(f"comb.xor bin {bit}, {false} : i1")
        return text.share(f"comb.mux bin {bit}, {true}, {false} : i1")

    def _use(
        self,
        label: str,
        module: str,
        shape: Multiplier | Ram | Rom,
        inputs: list[tuple[str, str, int]],
        output: tuple[str, int, str],
        loc: Location | None,
    ) -> None:
        add(self.externals, module, self.text.instance(label, module, inputs, [output], loc))
        if self.primitives.setdefault(module, shape) != shape:
            raise InternalError(f"two different modules would be called '{module}'", loc)

    def _multiply(self, node: Node, name: str) -> None:
        stage = self.schedule.stage[node]
        a, b = self.schedule.operands[node]
        sides = [self._operand(x, stage) for x in (a, b)]
        bits = min(node.width, a.bits + b.bits)
        held = stage + 1 <= self.last_issue or (stage <= self.last_issue and (a.registered or b.registered))
        shape = Multiplier(a.bits, b.bits, bits, a.registered, b.registered, held)
        enables = (
            [
                ("en_in", self.move(stage) or self.text.bit(True), 1),
                ("en_out", self.move(stage + 1) or self.text.bit(True), 1),
            ]
            if held
            else []
        )
        module = shape.name(self.top)
        self.multipliers.append((shape, node.loc))
        inputs = [*enables, ("a", sides[0], a.bits), ("b", sides[1], b.bits)]
        label = self.text.fresh("product")[1:]
        product = name if bits == node.width else self.text.fresh(f"{label}_p")
        self._use(label, module, shape, inputs, ("p", bits, product), node.loc)
        if bits < node.width:
            self._extended(product, bits, node.width, True, name)

    def _operand(self, operand: Operand, stage: int) -> str:
        value = self.at(operand.node, stage - operand.registered)
        return value if operand.sign else self._extended(value, operand.node.width, operand.bits, False)

    def _extended(self, value: str, width: int, to: int, sign: bool, name: str | None = None) -> str:
        text = self.text
        if sign:
            bit = text.put("sign", f"comb.extract {value} from {width - 1} : (i{width}) -> i1")
            high = text.put("sign", f"comb.replicate {bit} : (i1) -> i{to - width}")
        else:
            high = text.share(constant(0, to - width))
        name = name or text.fresh("wide")
        text.lines.append(f"  {name} = comb.concat {high}, {value} : i{to - width}, i{width}")
        return name

    def _memory_module(self, memory: str, held: bool) -> str:
        """A module name of its own for each memory (and each form of a ROM), whatever characters its name holds.

        Behind the last two underscores: no name of a memory in another process joins to the same.
        """
        if (memory, held) not in self.memory_modules:
            plain = re.sub(r"[^A-Za-z0-9]+", "_", memory).strip("_") + ("_held" if held else "")
            name, count = f"{self.text.name}__{plain}", 2
            while name in self.memory_modules.values():
                name, count = f"{self.text.name}__{plain}_{count}", count + 1
            self.memory_modules[memory, held] = name
        return self.memory_modules[memory, held]

    def _address(self, node: Node, stage: int, depth: int) -> str:
        """The low bits of an address."""
        bits = address_bits(depth)
        found = extension(node)
        if found is not None and found[0].width >= bits:
            node = found[0]
        value = self.at(node, stage)
        if node.width > bits:
            return self.text.put("address", f"comb.extract {value} from 0 : (i{node.width}) -> i{bits}")
        return value if node.width == bits else self._extended(value, node.width, bits, False)

    def _load(self, node: Node, name: str) -> None:
        text, stage, memory_name = self.text, self.schedule.stage[node], node.attrs["memory"]
        memory, plan = self.process.memories[memory_name], self.schedule.memories[memory_name]
        held = stage + 1 <= self.last_issue
        bits = address_bits(memory.depth)
        inputs = []
        if held:
            inputs = [(f"en{k}", self.move(stage + k) or text.bit(True), 1) for k in range(1, plan.read_latency + 1)]
        inputs.append(("raddr", self._address(node.args[0], stage, memory.depth), bits))
        module = self._memory_module(memory_name, held and plan.kind == "rom")
        contents = None if memory.contents is None else tuple(memory.contents)
        if plan.kind == "rom":
            shape: Rom | Ram = Rom(
                memory.width,
                memory.depth,
                plan.style,
                plan.read_latency,
                held,
                contents or (0,) * memory.depth,
                plan.column,
            )
        else:
            store = next(e for e in self.process.effects if e.op == "store" and e.attrs["memory"] == memory_name)
            s = self.schedule.stage[store]
            when = [self.acts(s), self.at(store.args[2], s)]
            if contents is not None:
                when.append("%ap_rst_n")  # before the first reset valid bits are not to be trusted with the contents
            enable = text.all(when, f"{memory_name}_we")
            inputs += [
                ("we", enable, 1),
                ("waddr", self._address(store.args[0], s, memory.depth), bits),
                ("wdata", self.at(store.args[1], s), memory.width),
            ]
            shape = Ram(memory.width, memory.depth, plan.style, plan.forwarding, plan.collides, held, contents)
        label = text.fresh(f"{memory_name}_mem")[1:]
        self._use(label, module, shape, inputs, ("rdata", memory.width, name), node.loc)

    # -- control --

    def build(self) -> _ProcessText:
        text, effects = self.text, self.process.effects
        text.clock("ap_clk")
        reset = text.input("ap_rst_n", 1)
        text._used["rst"] = 1
        text.lines.append(f"  %rst = comb.xor bin {reset}, {text.bit(True)} {_namehint('rst')}: i1")
        reads = [e for e in effects if e.op == "read"]
        writes = [e for e in effects if e.op == "write"]
        for read in reads:
            stream = read.attrs["stream"]
            self.result[read] = text.input(f"{stream}_data", read.width)
            text.input(f"{stream}_valid", 1)
        for write in writes:
            text.input(f"{write.attrs['stream']}_popped", 1)
        self._issue(reads, writes)
        self._credits(writes)
        for write in writes:
            stage, stream = self.schedule.stage[write], write.attrs["stream"]
            push = text.all([self.acts(stage), self.at(write.args[1], stage)], f"{stream}_push")
            text.output(f"{stream}_data", write.args[0].width, self.at(write.args[0], stage))
            text.output(f"{stream}_push", 1, push)
        self._make_wanted()
        return self

    def _issue(self, reads: list[Node], writes: list[Node]) -> None:
        """Valid bits, hold chain and fire of the issue stages. The chain is written from the last stage to the first,
        its names are there before."""
        text, last = self.text, self.last_issue
        stages = range(last + 1)
        self.hold = {s: text.fresh(f"hold{s}") for s in stages} | {last + 1: text.bit(False)}
        self.fire = {s: text.fresh(f"fire{s}") for s in stages}
        self.live = {s: text.fresh(f"valid{s}") for s in stages}
        self.register("", text.bit(True), 1, init=0, name=self.live[0])
        for s in stages[1:]:
            self.register("", self.fire[s - 1], 1, self.move(s), 0, name=self.live[s])
        self.credit: dict[Node, str] = {w: text.fresh(f"{w.attrs['stream']}_credit") for w in writes}
        ready: dict[Node, str] = {}
        for s in reversed(stages):
            blocked: dict[Node, str] = {}
            for read in (r for r in reads if self.schedule.stage[r] == s):
                stream = read.attrs["stream"]
                empty = text.not_(f"%{stream}_valid", f"{stream}_empty")
                blocked[read] = text.all([self.at(read.args[0], s), empty], f"{stream}_waits")
            if s == last:
                for write in writes:
                    stream = write.attrs["stream"]
                    none = text.not_(self.credit[write], f"{stream}_full")
                    blocked[write] = text.all([self._takes(write), none], f"{stream}_waits")
            for read in (r for r in reads if self.schedule.stage[r] == s):
                others = [text.not_(b) for e, b in blocked.items() if e is not read]
                ready[read] = text.all(
                    [self.live[s], self.at(read.args[0], s), text.not_(self.hold[s + 1]), *others],
                    f"{read.attrs['stream']}_ready",
                )
            waits = text.all([self.live[s], text.any(list(blocked.values()))])
            held = text.any([self.hold[s + 1], waits])
            fires = text.all([self.live[s], text.not_(held)])
            text.lines.append(f"  {self.hold[s]} = hw.wire {held} : i1")
            text.lines.append(f"  {self.fire[s]} = hw.wire {fires} : i1")
        for read in reads:
            text.output(f"{read.attrs['stream']}_ready", 1, ready[read])

    def _takes(self, write: Node) -> str:
        """Whether the iteration in the last issue stage needs a credit: if that is not known there, it takes one."""
        known = write in self.schedule.known_at_issue
        return self.at(write.args[1], self.last_issue) if known else self.text.bit(True)

    def _credits(self, writes: list[Node]) -> None:
        """A counter per written stream: down at issue, up at the consumer's pop, up where no write came of it."""
        text = self.text
        for write in writes:
            stream, stage = write.attrs["stream"], self.schedule.stage[write]
            bits = credit_bits(self.depths[stream])
            up = f"%{stream}_popped"
            down = text.all([self.fire[self.last_issue], self._takes(write)], f"{stream}_takes")
            count = text.fresh(f"{stream}_credits")
            if write in self.schedule.known_at_issue:
                self._count(write, count, bits, up, down)
                continue
            unused = text.all([self.acts(stage), text.not_(self.at(write.args[1], stage))], f"{stream}_unused")
            terms = [count, *(e if bits == 1 else self._extended(e, 1, bits, False) for e in (up, unused))]
            total = text.put("sum", f"comb.add bin {', '.join(terms)} : i{bits}", write.loc)
            taken = down if bits == 1 else self._extended(down, 1, bits, False)
            left = text.put("left", f"comb.sub bin {total}, {taken} : i{bits}", write.loc)
            self.register("", left, bits, init=self.depths[stream], name=count, loc=write.loc)
            zero = text.share(constant(0, bits))
            text.lines.append(f"  {self.credit[write]} = comb.icmp bin ne {count}, {zero} : i{bits}")

    def _count(self, write: Node, count: str, bits: int, up: str, down: str) -> None:
        """A credit counter, and in a register of its own whether there is a credit.

        `down` hangs on all that holds an iteration up, and `up` on the same of the consumer: both only choose among
        what is made before they are there.
        """
        text, stream, some = self.text, write.attrs["stream"], self.credit[write]
        moves = text.put(f"{stream}_moves", f"comb.xor bin {up}, {down} : i1", write.loc)

        def step(if_up: str, if_down: str, name: str, width: int, init: int) -> None:
            chosen = text.put("", f"comb.mux bin {up}, {if_up}, {if_down} : i{width}", write.loc)
            following = text.put("", f"comb.mux bin {moves}, {chosen}, {name} : i{width}", write.loc)
            self.register("", following, width, init=init, name=name, loc=write.loc)

        if bits == 1:
            step(text.bit(True), text.bit(False), some, 1, 1)
            return
        one = text.share(constant(1, bits))
        more = text.put("more", f"comb.add bin {count}, {one} : i{bits}", write.loc)
        less = text.put("less", f"comb.sub bin {count}, {one} : i{bits}", write.loc)
        several = text.put("several", f"comb.icmp bin ugt {count}, {one} : i{bits}", write.loc)
        step(more, less, count, bits, self.depths[stream])
        step(text.bit(True), several, some, 1, 1)


def written_depths(plan: Plan, declared: Mapping[str, int | None]) -> dict[str, int]:
    """The FIFO depth of each stream that a process writes: as declared, or enough for full rate."""
    depths = {}
    for write in (e for e in plan.process.effects if e.op == "write"):
        stream = write.attrs["stream"]
        wanted = declared[stream]
        depths[stream] = plan.stage[write] + 3 if wanted is None else max(1, wanted)
    return depths


def emit_process(plan: Plan, top: str, depths: Mapping[str, int], session: Session) -> Pipeline:
    """The modules of a process; `depths`: of the streams it writes."""
    made = _ProcessText(plan, top, depths).build()
    [body] = verilog("\n".join([*made.externals.values(), made.text.module()]), session).values()
    modules = {name: shape.verilog(name) for name, shape in made.primitives.items()}
    add(modules, made.text.name, _comment(_process_header(plan)) + body)
    return Pipeline(modules, made.register_bits, made.multipliers)


# -- the design ------------------------------------------------------------------------------------------------------


def port_signals(stream: Stream) -> dict[str, tuple[str, int]]:
    """AXI4-Stream signals of a port: {"TDATA": (name, width), ...}; TDATA is padded to whole bytes."""
    widths = dict(stream.fields)
    data = -(-widths.pop("data") // 8) * 8
    signals = {"TDATA": data, "TVALID": 1, "TREADY": 1} | {f"T{f.upper()}": w for f, w in widths.items()}
    return {s: (f"{stream.name}_{s}", w) for s, w in signals.items()}


def emit_top(
    top: str,
    streams: Mapping[str, Stream],
    processes: Sequence[Interface],
    depths: Mapping[str, int],
    direct: Set[str],
    target: Target,
    session: Session,
) -> dict[str, str]:
    """The top module and its FIFOs: SystemVerilog by module name.

    depths: of the streams that are ever written. direct: those whose FIFO needs no output register.
    """
    made = _TopText(top, streams, processes, depths, direct, target)
    [body] = verilog("\n".join([*made.externals.values(), made.text.module()]), session).values()
    modules = dict(made.fifos)
    add(modules, top, _comment(_top_header(top)) + body)
    return modules


def _comment(header: str) -> str:
    return "".join(f"// {line}\n" for line in header.splitlines())


def _process_header(plan: Plan) -> str:
    process = plan.process
    file = process.loc.brief if process.loc else "a hand-made graph"
    return "\n".join(
        [
            f"Pipeline of {process.name} ({file}): one iteration per cycle, {plan.stages} stages, the first "
            f"{plan.issue_stages} of which wait.",
            "Reads: data is taken when valid and ready. Writes: a push needs no answer, `popped` returns a credit.",
            "Not promised: any meaning of a write's data without its push; that a push is ever refused.",
        ]
    )


def _top_header(top: str) -> str:
    return "\n".join(
        [
            f"{top}: AXI4-Stream in and out, free running from the cycle after reset.",
            "A reset (synchronous, active low) at any time empties the pipelines and FIFOs.",
            "Not promised: the words of RAMs after a reset; registered inputs (TREADY may depend on the other streams,",
            "never on its own TVALID).",
        ]
    )


class _TopText:
    """The top module as a hw.module: processes, FIFOs, ports."""

    def __init__(
        self,
        top: str,
        streams: Mapping[str, Stream],
        processes: Sequence[Interface],
        depths: Mapping[str, int],
        direct: Set[str],
        target: Target,
    ):
        self.text, self.streams, self.depths, self.direct, self.target = _Text(top), streams, depths, direct, target
        self.externals: dict[str, str] = {}
        self.fifos: dict[str, str] = {}
        self.data: dict[str, str] = {}
        self.valid: dict[str, str] = {}
        text = self.text
        text.clock("ap_clk")
        self.reset = text.input("ap_rst_n", 1)
        # Benches refer to the nets S_push and S_push_data: named before anything else can take their names.
        self.probes = {s: (text.fresh(f"{s}_push_data"), text.fresh(f"{s}_push")) for s in depths}
        self.ready = {s: text.fresh(f"{s}_ready") for s in streams}
        self.popped = {s: text.fresh(f"{s}_popped") for s in streams}
        self.pushed = {s: (text.fresh(f"{s}_word"), text.fresh(f"{s}_pushed")) for s in depths}
        for stream in streams.values():
            if stream.producer is None:
                self._input(stream)
            elif stream.name in depths:
                self._fifo(stream)
            else:
                self._silent(stream)
        for process in processes:
            self._process(process)

    def _input(self, stream: Stream) -> None:
        text, signals = self.text, port_signals(stream)
        payload = {s: text.input(n, w) for s, (n, w) in signals.items() if s not in ("TVALID", "TREADY")}
        self.data[stream.name] = _packed(text, stream, payload)
        self.valid[stream.name] = text.input(signals["TVALID"][0], 1)
        text.output(signals["TREADY"][0], 1, self.ready[stream.name])

    def _fifo(self, stream: Stream) -> None:
        text, name = self.text, stream.name
        depth = self.depths[name]
        direct = name in self.direct and depth <= self.target.direct_words
        shape = Fifo(stream.width, depth, self.target.block_registers, direct)
        module = shape.name(text.name)
        add(self.fifos, module, shape.verilog(module))
        wants = self._wants(stream)
        for inner, probe, width in zip(self.pushed[name], self.probes[name], (stream.width, 1), strict=True):
            # the symbol keeps CIRCT from dropping or renaming it
            text.lines.append(f"  {probe} = hw.wire {inner} sym @{probe[1:]} : i{width}")
        word, push = self.probes[name]
        self.valid[name], self.data[name] = text.fresh(f"{name}_valid"), text.fresh(f"{name}_data")
        add(
            self.externals,
            module,
            text.instance(
                text.fresh(f"{name}_fifo")[1:],
                module,
                [("rst_n", self.reset, 1), ("push", push, 1), ("push_data", word, stream.width), ("ready", wants, 1)],
                [
                    ("valid", 1, self.valid[name]),
                    ("data", stream.width, self.data[name]),
                    ("popped", 1, self.popped[name]),
                ],
                stream.loc,
            ),
        )
        self._output(stream)

    def _silent(self, stream: Stream) -> None:
        """A stream whose writes provably never happen: it has no FIFO and stays empty."""
        self._wants(stream)
        self.valid[stream.name] = self.text.bit(False)
        self.data[stream.name] = self.text.share(constant(0, stream.width))
        self._output(stream)

    def _wants(self, stream: Stream) -> str:
        """The ready of who takes from a stream that a process writes."""
        port = stream.consumer is None
        return self.text.input(port_signals(stream)["TREADY"][0], 1) if port else self.ready[stream.name]

    def _output(self, stream: Stream) -> None:
        """The port of a stream that no process reads."""
        if stream.consumer is None:
            text, signals = self.text, port_signals(stream)
            for signal, value in _unpacked(text, stream, self.data[stream.name]).items():
                text.output(signals[signal][0], signals[signal][1], value)
            text.output(signals["TVALID"][0], 1, self.valid[stream.name])

    def _process(self, process: Interface) -> None:
        inputs = [("ap_rst_n", self.reset, 1)]
        outputs: list[tuple[str, int, str]] = []
        for stream in process.reads:
            inputs.append((f"{stream}_data", self.data[stream], self.streams[stream].width))
            inputs.append((f"{stream}_valid", self.valid[stream], 1))
            outputs.append((f"{stream}_ready", 1, self.ready[stream]))
        for stream in (s for s in process.writes if s in self.depths):
            word, push = self.pushed[stream]
            inputs.append((f"{stream}_popped", self.popped[stream], 1))
            outputs.append((f"{stream}_data", self.streams[stream].width, word))
            outputs.append((f"{stream}_push", 1, push))
        module = process_module(self.text.name, process.name)
        label = self.text.fresh(process.name)[1:]
        declared = self.text.instance(label, module, inputs, outputs, process.loc, clock="ap_clk")
        add(self.externals, module, declared)


def process_module(top: str, process: str) -> str:
    """The name of a process's module."""
    return f"{top}_{process}"


def _packed(text: _Text, stream: Stream, signals: dict[str, str]) -> str:
    """The word of a stream from its port signals."""
    parts = []
    for name, width in reversed(stream.fields):
        value = signals[f"T{name.upper()}"]
        full = -(-width // 8) * 8 if name == "data" else width
        if full != width:
            value = text.put(f"{stream.name}_bits", f"comb.extract {value} from 0 : (i{full}) -> i{width}")
        parts.append((value, width))
    if len(parts) == 1:
        return parts[0][0]
    values, types = ", ".join(v for v, _ in parts), ", ".join(f"i{w}" for _, w in parts)
    return text.put(f"{stream.name}_word", f"comb.concat {values} : {types}")


def _unpacked(text: _Text, stream: Stream, word: str) -> dict[str, str]:
    """Port signals from the word of a stream."""
    signals, low = {}, 0
    for name, width in stream.fields:
        value = word
        if width != stream.width:
            value = text.put(f"{stream.name}_{name}", f"comb.extract {word} from {low} : (i{stream.width}) -> i{width}")
        if name == "data" and width % 8:
            pad = 8 - width % 8
            zero = text.share(constant(0, pad))
            value = text.put(f"{stream.name}_padded", f"comb.concat {zero}, {value} : i{pad}, i{width}")
        signals[f"T{name.upper()}"] = value
        low += width
    return signals
