"""C++ -> RTL: the words of the RTL in Verilator are those of the C++ compiled natively, whatever stalls."""

from __future__ import annotations

import dataclasses
import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openhls.driver.compile import CompileResult, compile_hls
from openhls.tests.harness import INCLUDE, PATTERNS, Simulator, native, random_words

KERNELS = Path(__file__).parent / "kernels"
CLOCKS = {"divide": 60.0, "triangle": 12.0}  # ns; division is combinational, three counters are one recurrence
QUICK = [("memory", "histogram", 200), ("network", "diamond", 12), ("nested", "nested", 6)]
TOPS = [  # file, function, words per run and input (at least)
    ("arithmetic", "mixed", 20),
    ("arithmetic", "wide", 2),
    ("arithmetic", "intrinsics", 16),
    ("arithmetic", "divide", 12),
    ("arithmetic", "requantise", 10),
    ("control", "conditional", 20),
    ("control", "imperfect", 35),
    ("control", "threshold", 9),
    ("control", "triangle", 54),
    ("control", "until", 40),
    ("control", "sequence", 10),
    ("control", "choose", 25),
    ("control", "once", 1),
    ("control", "state", 4),
    ("memory", "window", 66),
    ("memory", "tables", 40),
    ("memory", "accumulate", 21),
    ("memory", "sorted", 13),
]
KEEPS_RAM = ("histogram",)  # the words of a static array outlive a reset


def check(
    source: Path,
    top: str,
    words: int,
    folder: Path,
    clock_ns: float = 3.33,
    runs: int = 3,
    patterns=PATTERNS,
    target: str = "xcup",
) -> tuple[CompileResult, Simulator]:
    """Compile, run natively, simulate under all patterns."""
    result = compile_hls([source], top, [INCLUDE], {}, target, clock_ns, out=folder)
    widths = {s.name: s.width for s in result.schedule.streams}
    inputs = {
        s.name: random_words(widths[s.name], words * runs, k)
        for k, s in enumerate(result.ports.streams)
        if s.direction == "in"
    }
    if top == "until":  # runs end at a zero
        inputs["x"] += [0] * runs
    taken, expected = native(source, top, result, inputs, runs, folder / "native")
    simulator = Simulator(result, folder / "sim")
    for pattern in patterns:
        if top in KEEPS_RAM and "reset_at" in pattern:
            continue
        got = simulator.run(taken, {name: len(w) for name, w in expected.items()}, **pattern)
        assert got.out == expected, pattern
    return result, simulator


@pytest.mark.parametrize("file, top, words", QUICK)
def test_kernel(file, top, words, tmp_path):
    check(KERNELS / f"{file}.cpp", top, words, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("target, clock_ns", [("xcup", 3.33), ("ecp5", 9.0)])
@pytest.mark.parametrize("file, top, words", QUICK + TOPS)
def test_kernel_on_each_target(file, top, words, target, clock_ns, tmp_path):
    check(KERNELS / f"{file}.cpp", top, words, tmp_path, CLOCKS.get(top, clock_ns), target=target)


def test_full_rate(tmp_path):
    """Without stalls n iterations take n cycles and a constant, as schedule.json says."""
    result, simulator = check(KERNELS / "memory.cpp", "accumulate", 21, tmp_path, patterns=PATTERNS[:1])
    [process] = result.schedule.processes
    assert process.iterations == 21 and process.issue_stages == 1
    words = random_words(8, 21 * 5, 1)
    got = simulator.run({"x": words}, {"y": 7 * 5})
    start = got.times["x"][0]
    assert got.times["x"] == list(range(start, start + 21 * 5))
    stage = process.writes[0].stage
    writes = [21 * run + 14 + s for run in range(5) for s in range(7)]
    assert got.times["y"] == [start + i + stage + 1 for i in writes]


def test_names_in_a_nested_network(tmp_path):
    """Names of nested DATAFLOW functions are joined; INLINE ones add nothing; the top's own names stay as they are."""
    source = KERNELS / "nested.cpp"
    nested = compile_hls([source], "nested", [INCLUDE], out=tmp_path / "nested").schedule
    assert [p.name for p in nested.processes] == [
        "first_shift",
        "first_scale",
        "fork",
        "block_second_shift",
        "block_second_scale",
        "block_second_scale_2",
        "block_first_shift",
        "block_first_scale",
        "add",
    ]
    streams = {s.name: (s.depth, s.producer, s.consumer) for s in nested.streams}
    assert streams.keys() == {
        "x",
        "y",
        "first_out",
        "left",
        "right",
        "deep",
        "first_fed",
        "block_between",
        "block_second_fed",
        "block_second_middle",
        "block_first_fed",
    }
    assert streams["block_second_middle"] == (6, "block_second_shift", "block_second_scale")
    assert streams["block_between"][1:] == ("block_second_scale_2", "block_first_shift")
    assert streams["right"] == (32, "fork", "add")
    alone = compile_hls([source], "alone", [INCLUDE], out=tmp_path / "alone").schedule
    assert [p.name for p in alone.processes] == ["shift", "scale", "scale_2"]
    assert [s.name for s in alone.streams] == ["x", "y", "fed", "middle"]


RECORDER = """module recorder #(parameter FILE = "") (input wire clk, input wire rst_n, input wire push,
                                             input wire [23:0] word);
  integer file;
  initial file = $fopen(FILE, "w");
  always @(posedge clk) if (rst_n && push) $fwrite(file, "%h\\n", word);
  final $fclose(file);
endmodule
"""


@pytest.mark.parametrize("top", ["nested", "clash"])
def test_probes(top, tmp_path):
    """Each stream that a process writes has nets S_push and S_push_data in the top, and they carry its words."""
    result = compile_hls([KERNELS / "nested.cpp"], top, [INCLUDE], out=tmp_path)
    streams = [s.name for s in result.schedule.streams if s.producer]
    assert len(streams) >= 4
    recorders = [RECORDER]
    for name in streams:
        ports = f".clk(ap_clk), .rst_n(ap_rst_n), .push({name}_push), .word({name}_push_data)"
        recorders.append(f'bind {top} recorder #(.FILE("{tmp_path / name}.log")) recorder_{name} ({ports});\n')
    (tmp_path / "recorder.sv").write_text("".join(recorders))
    probed = dataclasses.replace(result, rtl=[*result.rtl, tmp_path / "recorder.sv"])
    words = random_words(24, 6 * 4, 9)
    out = Simulator(probed, tmp_path / "sim").run({"x": words}, {"y": len(words)}, stall=0.4, idle=0.2).out["y"]
    logs = {s: [int(w, 16) for w in (tmp_path / f"{s}.log").read_text().split()] for s in streams}
    assert logs["y"] == out

    def mapped(rule) -> list[int]:
        return [rule(w) % 2**24 for w in words]

    if top == "clash":
        assert logs["a"] == mapped(lambda w: w + 3)
        assert logs["begin"] == mapped(lambda w: w + 7)
        assert logs["a_push_word"] == mapped(lambda w: w + 12)
    else:
        first = mapped(lambda w: (w + 1) * 2)
        assert logs["first_out"] == logs["left"] == logs["right"] == first
        assert logs["block_second_fed"] == [(w + 2) * 4 % 2**24 for w in first]


# -- random straight-line kernels --------------------------------------------------------------------------------------


def random_kernel(rng: random.Random, statements: int = 14) -> str:
    """C++ of random arithmetic, shifts, comparisons and selections on odd widths and signs."""
    lines, values = [], []

    def integer() -> tuple[str, int, bool]:
        width, sign = rng.randint(1, 24), rng.random() < 0.5
        return f"ap_{'int' if sign else 'uint'}<{width}>", width, sign

    low = 0
    for _ in range(4):
        kind, width, _ = integer()
        lines.append(f"{kind} v{len(values)} = in({low + width - 1}, {low});")
        values.append(width)
        low += width
    state, _state_width, _ = integer()
    for _ in range(statements):
        kind, width, _ = integer()
        a, b, c = (f"v{rng.randrange(len(values))}" for _ in range(3))
        pick = rng.choice(["+", "-", "*", "&", "|", "^", "<<", ">>", "?:", "cmp", "-x", "~", "state", "const"])
        if pick in ("<<", ">>"):
            text = f"{a} {pick} {rng.randint(0, 7)}"
        elif pick == "?:":
            relation = rng.choice(["<", "<=", "==", "!=", ">", ">="])
            text = f"{a} {relation} {b} ? {kind}({b}) : {kind}({c})"
        elif pick == "cmp":
            text = f"({a} {rng.choice(['<', '>=', '=='])} {b}) ^ ({b} > {c})"
        elif pick in ("-x", "~"):
            text = f"{pick[0]}{a}"
        elif pick == "state":
            text = f"state + {a}"
        elif pick == "const":
            text = f"{a} {rng.choice('+-*')} {rng.randint(-40, 300)}"
        else:
            text = f"{a} {pick} {b}"
        lines.append(f"{kind} v{len(values)} = {text};")
        values.append(width)
    outputs = list(range(len(values)))[-8:]
    packed, total = [], 0
    for k in outputs:
        packed.append(f"out({total + values[k] - 1}, {total}) = v{k};")
        total += values[k]
    body = "\n    ".join([*lines, f"state = {rng.choice(['state', 'v0'])} ^ v{outputs[-1]};", *packed])
    return f"""#include "ap_int.h"
#include "hls_stream.h"
void kernel(hls::stream<ap_uint<{low}>>& x, hls::stream<ap_uint<{total}>>& y) {{
  static {state} state = 1;
  for (int i = 0; i < 20; ++i) {{
    ap_uint<{low}> in = x.read();
    ap_uint<{total}> out = 0;
    {body}
    y.write(out);
  }}
}}
"""


@given(seed=st.integers(0, 2**32 - 1), target=st.sampled_from([("xcup", 5.0), ("ecp5", 16.0)]))
@settings(max_examples=1, deadline=None)
def test_random_kernel(seed, target, tmp_path_factory):
    _random_kernel(seed, target, tmp_path_factory)


@pytest.mark.slow
@given(seed=st.integers(0, 2**32 - 1), target=st.sampled_from([("xcup", 5.0), ("ecp5", 16.0)]))
@settings(max_examples=25, deadline=None)
def test_random_kernels(seed, target, tmp_path_factory):
    _random_kernel(seed, target, tmp_path_factory)


def _random_kernel(seed, target, tmp_path_factory):
    folder = tmp_path_factory.mktemp("kernel")
    source = folder / "kernel.cpp"
    source.write_text(random_kernel(random.Random(seed)))
    check(source, "kernel", 20, folder, target[1], 5, PATTERNS[:5], target[0])
