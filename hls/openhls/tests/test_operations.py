"""What LLVM and CIRCT make of plain integer code: their own operations, each in RTL as the C++ computes it."""

from __future__ import annotations

import random
import re
from pathlib import Path

import pytest

from openhls.common.clock import Clock
from openhls.common.errors import HlsError, InternalError
from openhls.driver.compile import compile_hls
from openhls.frontend import passes
from openhls.frontend.program import read_program
from openhls.graph.interpret import evaluate
from openhls.graph.nodes import Builder, Node, Process
from openhls.middle import mlir
from openhls.middle.control import analyse
from openhls.middle.tables import value
from openhls.tests.harness import INCLUDE, PATTERNS, compare

ONE = Builder().const(1, 1)
KERNELS = Path(__file__).parent / "kernels"
FAULTS = Path(__file__).parent / "faults" / "cpp"
# All that instcombine and its neighbours make of integers without floating point or vectors, and clang of its builtins.
INTRINSICS = {
    "bits": "bitreverse bswap ctlz ctpop cttz fshl fshr",
    "sums": "abs expect sadd.sat sadd.with.overflow scmp smax smin smul.with.overflow ssub.sat ssub.with.overflow "
    "uadd.sat uadd.with.overflow ucmp umax umin umul.with.overflow usub.sat",
}


FAULTY = ("product_names", "parity", "parity_condition", "parity_computed", "never_write", "never_read")


def test_intrinsics(tmp_path):
    source = KERNELS / "idioms.cpp"
    for process in read_program([source], "idioms", [], {}, Clock()).processes:
        text, _ = passes.optimise(process.text, process.function)
        made = set(re.findall(r"= (?:tail )?call .*@llvm\.([a-z.]+)\.i\d+", text))
        assert made == set(INTRINSICS[process.name].split())
    compare(source, "idioms", 1, tmp_path, runs=300, clock_ns=40.0, patterns=PATTERNS[:1])


def test_faults(tmp_path):
    """All in one top, each a process of its own: its words are those of the program."""
    text, arguments, calls = [], [], []
    for name in FAULTY:
        text += [f"#define top {name}", f'#include "{FAULTS / name}.cpp"', "#undef top"]
        kinds = re.findall(r"hls::stream<[^&]*&", (FAULTS / f"{name}.cpp").read_text())
        names = [f"{name}_{k}" for k in range(len(kinds))]
        arguments += [f"{kind} {argument}" for kind, argument in zip(kinds, names, strict=True)]
        calls.append(f"{name}({', '.join(names)});")
    body = "\n  ".join(calls)
    text.append(f"void every({', '.join(arguments)}) {{\n#pragma HLS DATAFLOW\n  {body}\n}}\n")
    (tmp_path / "every.cpp").write_text("\n".join(text))
    compare(tmp_path / "every.cpp", "every", 20, tmp_path, runs=4, patterns=PATTERNS[:3])


def test_a_top_without_an_access_is_refused_with_its_line(tmp_path):
    with pytest.raises(HlsError, match=r"no_stream.cpp:4: error: stream 'x' is neither read nor written"):
        compile_hls([FAULTS / "no_stream.cpp"], "top", [INCLUDE], out=tmp_path)


def test_a_stream_that_is_never_written_stays_empty(tmp_path):
    """Inside a top it has no FIFO, and its reader finds nothing. (At a port: `never_write`.)"""
    result = compile_hls([KERNELS / "idioms.cpp"], "silent", [INCLUDE], out=tmp_path)
    assert [s.depth for s in result.schedule.streams if s.name == "never"] == [None]
    [text] = [path.read_text() for path in result.rtl if path.name == "silent.sv"]
    assert re.search(r"\.never_valid +\(1'h0\)", text)


# -- the graph through CIRCT -------------------------------------------------------------------------------------------


def bit_graph(rng: random.Random, state: bool) -> tuple[Process, Node]:
    """Random xors of bits of registers, or of a stream's word, and what is made of them: a written value."""
    b = Builder()
    width = rng.randint(2, 9)
    source = Node("reg" if state else "read", width, [], **({"name": "r", "init": 1} if state else {"stream": "x"}))
    source.args = [b.make("add", width, source, b.const(rng.randrange(1 << width), width)) if state else b.const(1, 1)]
    values = [b.extract(source, k, 1) for k in range(width)]
    for _ in range(rng.randint(width, 3 * width)):
        x, y = rng.sample(values, 2)
        op = rng.choice(["xor", "xor", "xor", "and", "or"])
        values.append(b.not_(x) if rng.random() < 0.1 else b.make(op, 1, x, y))
    every = values[0]
    for bit in values[1:width]:
        every = b.make("xor", 1, every, bit)
    out = Node("write", 0, [b.make("concat", 3, every, *values[-2:]), b.const(1, 1)], stream="y")
    process = Process("p", None, effects=[out] if state else [source, out], regs=[source] if state else [])
    process.run_ends = b.const(1, 1)
    return process, out


def written(process: Process, word: int) -> int:
    """The value that an iteration writes where its register or its stream holds `word`."""
    known: dict[Node, int] = {}
    for node in process.topological():
        if node.op in ("reg", "read"):
            known[node] = word
        elif node.op not in ("write",):
            known[node] = value(node, known)
    [out] = [e for e in process.effects if e.op == "write"]
    return known[out.args[0]]


def test_xors_of_bits_through_circt():
    """Every word of random graphs, before and after canonicalisation; parity must have been among what CIRCT made."""
    rng, made = random.Random(5), set()
    with mlir.Session() as session:
        for k in range(60):
            process, _out = bit_graph(rng, state=bool(k % 2))
            canonical = mlir.canonicalise(process, session)
            made |= {n.op for n in canonical.topological()}
            width = next(n for n in process.topological() if n.op in ("reg", "read")).width
            for word in range(1 << width):
                assert written(canonical, word) == written(process, word)
            again = mlir.canonicalise(canonical, session)
            assert all(written(again, w) == written(process, w) for w in range(1 << width))
            if k % 2:  # a register: the control machine is executed through LLVM
                assert analyse(canonical).ranges
    assert "parity" in made


def test_an_operation_of_circt_that_is_not_known_is_an_internal_error(monkeypatch):
    b, source = Builder(), Node("read", 4, [ONE], stream="x")
    bits = [b.extract(source, k, 1) for k in range(4)]
    every = b.make("xor", 1, b.make("xor", 1, bits[0], bits[1]), b.make("xor", 1, bits[2], bits[3]))
    process = Process("p", None, effects=[source, Node("write", 0, [every, ONE], stream="y")])
    monkeypatch.setattr(mlir, "UNARY", ())
    with mlir.Session() as session, pytest.raises(InternalError, match="CIRCT's comb.parity is not known"):
        mlir.canonicalise(process, session)


@pytest.mark.parametrize("width", [1, 2, 7, 64, 65])
def test_parity(width):
    rng = random.Random(width)
    node = Node("parity", 1, [Node("undef", width)])
    for word in [0, 1, (1 << width) - 1, *(rng.getrandbits(width) for _ in range(20))]:
        assert evaluate(node, [word]) == bin(word).count("1") % 2
