"""The front end of the open flow: kernels run natively and, as graphs, in the interpreter; refusals name the line."""

from __future__ import annotations

import random
import re
import subprocess
from collections import deque
from collections.abc import Iterable
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openhls.common.errors import HlsError
from openhls.frontend.clang import HEADERS
from openhls.frontend.partition import pieces_in
from openhls.frontend.program import import_design
from openhls.frontend.wires import WireBuilder
from openhls.graph import interpret
from openhls.graph.nodes import Design, Node
from openhls.system.zig import PROGRAM, QUICKLY

KERNELS = Path(__file__).parent / "kernels"
TOPS = {
    "arithmetic": {"mixed": 20, "wide": 2, "intrinsics": 16, "divide": 12, "requantise": 10},
    "control": {
        "conditional": 20,
        "imperfect": 35,
        "threshold": 9,
        "triangle": 54,
        "until": 40,
        "sequence": 10,
        "choose": 25,
        "once": 1,
        "state": 4,
    },
    "memory": {"histogram": 200, "window": 66, "copies": 40, "tables": 40, "accumulate": 21, "sorted": 13, "apart": 50},
    "network": {"diamond": 12},
}  # kernel file -> top -> words per input and run (as many as any input needs)

DRIVER = r"""
#include <cstdio>
#include <cstring>
#include <string>
#include <tuple>
#include <utility>
#include <vector>
#include "{kernel}"

// argv: top, runs; stdin: one line of words (hex) per argument, empty for outputs; stdout: the same of outputs.
template <class T> void put(hls::stream<T>& s, const std::string& line) {{
  for (size_t at = 0; at < line.size();) {{
    size_t end = line.find(' ', at);
    if (end == std::string::npos) end = line.size();
    std::string word = "0x" + line.substr(at, end - at);
    s.write(hls::payload<T>::unpack(ap_uint<hls::payload<T>::width>(word.c_str()).V));
    at = end + 1;
  }}
}}
template <class T> void get(hls::stream<T>& s) {{
  for (; !s.empty();) {{
    ap_uint<hls::payload<T>::width> w = hls::payload<T>::pack(s.read());
    for (int i = (hls::payload<T>::width - 1) / 4 * 4; i >= 0; i -= 4) std::printf("%x", (w >> i).to_uint() & 15);
    std::printf(" ");
  }}
  std::printf("\n");
}}
typedef std::vector<std::string> Lines;
template <class... T, size_t... I>
void drive(void (*top)(hls::stream<T>&...), const Lines& lines, int runs, std::index_sequence<I...>) {{
  std::tuple<hls::stream<T>...> streams;
  (put(std::get<I>(streams), lines[I]), ...);
  for (int i = 0; i < runs; ++i) top(std::get<I>(streams)...);
  (get(std::get<I>(streams)), ...);
}}
template <class... T> void drive(void (*top)(hls::stream<T>&...), const Lines& lines, int runs) {{
  drive(top, lines, runs, std::index_sequence_for<T...>());
}}
int main(int, char** argv) {{
  Lines lines;
  std::string line;
  for (int c; (c = std::getchar()) != EOF;) {{
    if (c == '\n') {{ lines.push_back(line); line.clear(); }} else line += (char)c;
  }}
  {calls}
}}
"""


def build_driver(folder: Path, kernel: Path, tops: Iterable[str]) -> Path:
    """A program that runs any of a kernel file's tops on words from its standard input."""
    calls = "\n  ".join(f'if (!std::strcmp(argv[1], "{t}")) drive({t}, lines, std::stoi(argv[2]));' for t in tops)
    source, program = folder / "driver.cpp", folder / "driver"
    source.write_text(DRIVER.format(kernel=kernel, calls=calls))
    command = [*PROGRAM, *QUICKLY, "-std=c++17", "-fwrapv", "-w", f"-I{HEADERS}", str(source), "-o", str(program)]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    return program


@pytest.fixture(scope="session")
def native(tmp_path_factory):
    """kernel file -> its program, compiled once."""
    return cache(lambda k: build_driver(tmp_path_factory.mktemp("native"), KERNELS / f"{k}.cpp", TOPS[k]))


def words(rng: random.Random, width: int, count: int) -> list[int]:
    """Random words, extremes among them."""
    extremes = [0, 1, (1 << width) - 1, 1 << (width - 1), (1 << (width - 1)) - 1]
    return [rng.choice(extremes) if rng.random() < 0.2 else rng.getrandbits(width) for _ in range(count)]


def run_native(
    program: Path, top: str, design: Design, inputs: dict[str, list[int]], runs: int
) -> dict[str, list[int]]:
    ports = [s for s in design.streams.values() if s.producer is None or s.consumer is None]
    text = "".join(" ".join(f"{w:x}" for w in inputs.get(s.name, [])) + "\n" for s in ports)
    result = subprocess.run([program, top, str(runs)], input=text, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    lines = result.stdout.split("\n")
    return {
        s.name: [int(w, 16) for w in line.split()] for s, line in zip(ports, lines, strict=False) if s.consumer is None
    }


@cache
def load(kernel: str, top: str) -> Design:
    return import_design([KERNELS / f"{kernel}.cpp"], top, [], {})


@pytest.mark.parametrize("kernel, top", [(k, t) for k, tops in TOPS.items() for t in tops])
def test_graph_equals_native_program(kernel, top, native):
    design, rng, runs = load(kernel, top), random.Random(top), 3
    for _ in range(3):
        inputs = {
            s.name: words(rng, s.width, TOPS[kernel][top] * runs) for s in design.streams.values() if s.producer is None
        }
        if top == "until":
            inputs["x"] += [0] * runs
        expected = run_native(native(kernel), top, design, inputs, runs)
        assert interpret.run(design, inputs, runs) == expected
        assert any(expected.values())


# Random loop nests
class NestWriter:
    """Writes a random kernel: up to three loops, branches, continue, a RAM, state that survives the run."""

    def __init__(self, rng: random.Random):
        self.rng, self.names = rng, ["a", "b", "state"]

    def expression(self, depth: int = 2) -> str:
        rng = self.rng
        if depth == 0 or rng.random() < 0.25:
            return rng.choice([*self.names, str(rng.randint(-9, 9))])
        left, right = self.expression(depth - 1), self.expression(depth - 1)
        operator = rng.choice(["+", "-", "*", "&", "^", "<", ">>", "?"])
        if operator == ">>":
            return f"(({left}) >> {rng.randint(0, 5)})"
        if operator == "?":
            return f"(({left}) > ({right}) ? ({self.expression(depth - 1)}) : ({right}))"
        return f"(({left}) {operator} ({right}))"

    def statement(self, innermost: bool) -> str:
        target, e, kind = self.rng.choice(["a", "b", "state"]), self.expression, self.rng.randrange(6)
        if kind == 0:
            return f"if ({e()} > 2) {{ {target} = {e()}; }} else {{ b += {e(1)}; }}"
        if kind == 1:
            return f"if ({e(1)} & 1) {{ if ({e(1)} > 2) {target} = {e(1)}; }}"
        if kind == 2:
            return f"switch ({e(1)} & 3) {{ case 0: a = 1; break; case 1: a += 2; case 2: b ^= {e(1)}; }}"
        if kind == 3 and innermost:
            return f"if ({e(1)} == 3) continue;"
        return f"{target} = {e()};"

    def kernel(self, name: str) -> str:
        rng, e = self.rng, self.expression
        lines = [
            f"void {name}(hls::stream<ap_int<8>>& x, hls::stream<ap_int<16>>& y) {{",
            "static int state = 3; static int ram[8]; int a = 1, b = 2;",
        ]
        loops = rng.randint(1, 3)
        for level in range(loops):
            low = rng.choice(["0", "0", "1", *self.names[3:]])
            lines.append(f"for (int i{level} = {low}; i{level} < {rng.randint(2, 4)}; ++i{level}) {{")
            self.names.append(f"i{level}")
            if level < loops - 1:
                lines += [self.statement(False) for _ in range(rng.randint(0, 2))]
        lines.append(
            rng.choice(
                [
                    "int r = x.read();",
                    f"int r = 0; if ({e(1)} > 0) r = x.read(); else if (b & 1) r = -x.read();",
                ]
            )
        )
        lines.append("int old = ram[r & 7];")
        self.names += ["r", "old"]
        lines += [self.statement(True) for _ in range(rng.randint(1, 4))]
        lines.append(f"if ({e(1)} > -3) ram[r & 7] = {e()}; else ram[i0 & 7] = {e(1)};")
        lines.append(rng.choice(["", f"if ({e(1)} == 7) return;"]))
        lines.append(rng.choice([f"y.write({e()});", f"if ({e()} > 0) y.write({e(1)}); else y.write({e(1)});"]))
        self.names = self.names[: 3 + loops]
        for level in range(loops):
            self.names.pop()
            lines.append("}")
            if level < loops - 1:
                lines += [self.statement(False) for _ in range(rng.randint(0, 2))]
        return "\n".join([*lines, "}"])


@pytest.mark.parametrize("seed, count", [(0, 8), pytest.param(1, 60, marks=pytest.mark.slow)])
def test_random_nests_equal_native_program(seed, count, tmp_path):
    rng = random.Random(seed)
    tops = [f"nest{i}" for i in range(count)]
    kernels = "\n".join(NestWriter(rng).kernel(t) for t in tops)
    source = tmp_path / "nests.cpp"
    source.write_text(f'#include "ap_int.h"\n#include "hls_stream.h"\n{kernels}\n')
    program = build_driver(tmp_path, source, tops)
    for top in tops:
        design = import_design([source], top, [], {})
        inputs = {"x": words(rng, 8, 1000)}
        assert interpret.run(design, inputs, 4) == run_native(program, top, design, inputs, 4), top


# What is refused, and where
REFUSED = KERNELS / "refused.cpp"


def refused_cases() -> list[tuple[int, int, str]]:
    """(case, line, reason) of every `// refused:` in the file."""
    found, case = [], 0
    for number, line in enumerate(REFUSED.read_text().splitlines(), 1):
        if match := re.match(r"#(?:el)?if CASE == (\d+)", line):
            case = int(match[1])
        elif case and "// refused: " in line:
            found.append((case, number, line.split("// refused: ")[1]))
    return found


@pytest.mark.parametrize("case, line, reason", refused_cases())
def test_refusal_names_line_and_reason(case, line, reason):
    with pytest.raises(HlsError) as caught:
        import_design([REFUSED], "top", [], {"CASE": str(case)})
    error = caught.value
    assert error.loc is not None and Path(error.loc.file).name == "refused.cpp"
    assert reason in error.message
    assert error.loc.line == line, str(error)


def test_side_channels_are_refused():
    with pytest.raises(HlsError, match="user, id and dest channels are not supported"):
        import_design([REFUSED], "top", [], {"CASE": "21"})


def test_missing_source_and_top():
    with pytest.raises(HlsError, match="no such file"):
        import_design([KERNELS / "absent.cpp"], "top", [], {})
    with pytest.raises(HlsError, match="no function named 'absent'"):
        import_design([KERNELS / "control.cpp"], "absent", [], {})


# What the graph looks like
def test_perfect_nest_has_no_start_state():
    """Counters restart by themselves: no `first` register, one iteration per innermost trip."""
    design = load("memory", "window")
    (process,) = design.processes
    assert not any(r.attrs["name"] == "first" for r in process.regs)
    assert {m.width for m in process.memories.values()} == {8}
    assert [m.depth for m in process.memories.values()] == [11, 11]


def test_true_widths_storage_and_contents():
    (process,) = load("memory", "tables").processes
    words = process.memories["WORDS"]
    assert (words.width, words.depth, words.storage) == (192, 6, "lutram")
    assert words.contents[1:] == [1, 2**192 - 5, 2**192 - 1, 12345678901234567890, 7]
    gain = next(m for m in process.memories.values() if m.contents == [1000, 2, 3, 4, 2047])
    assert gain.width == 11
    (process,) = load("memory", "accumulate").processes
    assert sorted((m.name, m.width, m.depth) for m in process.memories.values()) == [
        ("acc_0", 16, 7),
        ("acc_1", 16, 7),
    ]


def test_a_pragma_is_about_the_array_of_its_function():
    (process,) = load("memory", "apart").processes
    assert {m.depth: m.storage for m in process.memories.values()} == {100: "lutram", 90: None}


def test_registers_of_a_nest_are_shared():
    """A ring that is carried over every level of a nest is one register per element."""
    (process,) = load("arithmetic", "wide").processes
    assert sum(r.width for r in process.regs if r.attrs["name"].startswith("ring")) == 1152


def test_packing_a_word_is_wiring():
    (process,) = load("arithmetic", "wide").processes
    assert not [n for n in process.topological() if n.width == 1152 and n.op in ("and", "or", "xor", "shl", "shru")]


def test_network_streams():
    design = load("network", "diamond")
    assert [p.name for p in design.processes] == [
        "unpack",
        "scale",
        "scale_2",
        "narrow_down",
        "scale_3",
        "join",
    ]
    assert list(design.streams)[:2] == ["x", "y"]
    assert design.streams["x"].fields == [("data", 16), ("keep", 2), ("strb", 2), ("last", 1)]
    assert design.streams["low"].depth == 4 and design.streams["right"].depth == 2
    assert design.streams["left"].depth is None
    assert (design.streams["left"].producer, design.streams["left"].consumer) == ("scale", "join")
    assert design.streams["x"].consumer == "unpack" and design.streams["y"].producer == "join"


def test_run_ends_once_per_run():
    (process,) = load("control", "imperfect").processes
    queues = {name: deque([1] * 200) for name in ("bias", "x", "y")}
    machine = interpret.Machine(process, queues)
    for _ in range(70):
        machine.step()
    assert machine.runs == 2


def test_large_rom_is_quick(tmp_path):
    """A table of long words is evaluated by the compiler, not by code; its contents come out exact."""
    rng = random.Random(7)
    contents = [rng.getrandbits(192) for _ in range(3000)]
    table = ",".join(f'"0x{w:x}"' for w in contents)
    (tmp_path / "rom.cpp").write_text(f"""#include "hls_stream.h"
static const ap_uint<192> ROM[] = {{{table}}};
void top(hls::stream<ap_uint<192>>& y) {{ for (int i = 0; i < 3000; ++i) y.write(ROM[i]); }}
""")
    design = import_design([tmp_path / "rom.cpp"], "top", [], {})
    assert design.processes[0].memories["ROM"].contents == contents


# Wiring rules
@settings(max_examples=150, deadline=None)
@given(a=st.integers(0, 2**40 - 1), b=st.integers(0, 2**40 - 1), data=st.data())
def test_wires_fold_like_arithmetic(a, b, data):
    """Every wiring rule gives the value of the operation it stands for."""
    builder, ones = WireBuilder(), 2**40 - 1
    inputs = {"x": a, "y": b}
    pool = [
        (Node("read", 40, [], stream="x"), a),
        (Node("read", 40, [], stream="y"), b),
        (builder.const(0xFF00FF, 40), 0xFF00FF),
        (builder.const(a, 40), a),
    ]
    for _ in range(8):
        (p, u), (q, v) = data.draw(st.sampled_from(pool)), data.draw(st.sampled_from(pool))
        n = data.draw(st.integers(1, 39))
        kind = data.draw(st.sampled_from(("and", "or", "xor", "shl", "shru", "shrs", "sext", "join", "sign")))
        if kind in ("and", "or", "xor"):
            node, expected = builder.logic(kind, p, q), {"and": u & v, "or": u | v, "xor": u ^ v}[kind]
        elif kind == "sext":
            node = builder.sext(builder.trunc(p, n), 40)
            expected = interpret.signed(u & ((1 << n) - 1), n) & ones
        elif kind == "sign":
            predicate, limit = data.draw(st.sampled_from([("slt", 0), ("sgt", -1), ("slt", 1), ("sgt", 0)]))
            node = builder.compare(predicate, p, builder.const(limit, 40))
            value = interpret.signed(u, 40)
            expected = int(value < limit if predicate == "slt" else value > limit)
            assert limit not in (0, -1) or (predicate, limit) == ("sgt", 0) or node.op != "icmp"
            node = builder.zext(node, 40)
        elif kind == "join":
            node = builder.join([*builder.cut(p, 40 - n, n), *builder.cut(q, n, 40 - n)])
            expected = u >> (40 - n) | v >> n << n
        else:
            node = builder.shift(kind, p, builder.const(n, 40))
            expected = {"shl": u << n & ones, "shru": u >> n, "shrs": interpret.signed(u, 40) >> n & ones}[kind]
        assert node.width == 40 and evaluate(node, inputs) == expected
        pool.append((node, expected))


def evaluate(node: Node, inputs: dict[str, int]) -> int:
    if node.op == "read":
        return inputs[node.attrs["stream"]]
    words = [evaluate(n, inputs) for n in node.args]
    return interpret.evaluate(node, words) & ((1 << node.width) - 1)


def test_a_piece_that_llvm_has_split_further() -> None:
    """SROA puts a suffix of its own behind the name of a piece that it takes apart."""
    assert pieces_in("%a..1.sroa.0") == ("%a", [1]) and pieces_in('@"a b..2..0"') == ('@"a b', [2, 0])
