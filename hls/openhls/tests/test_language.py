"""What C++ offers, program by program: the graph and the RTL give the words of the natively compiled program.

Pointers chosen at run time and pointers that walk, streams in arrays and structures, copies of arrays, loops that LLVM
would like to take apart, calls through pointers, statics, lambdas, templates. All programs are one design: one native
program and one simulation serve them all.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

import pytest

from openhls.common.errors import HlsError
from openhls.driver.compile import compile_hls
from openhls.frontend.program import import_design
from openhls.graph import interpret
from openhls.graph.nodes import Design
from openhls.system.locks import locked
from openhls.tests import programs
from openhls.tests.harness import INCLUDE, PATTERNS, Simulator, random_words, run_native

FAULTS = Path(__file__).parent / "faults" / "cpp"
MENDED = (
    "clear_array",
    "function_pointer",
    "loop_of_two",
    "memcpy",
    "merge",
    "merge_tables",
    "pointer_walk",
    "range_for",
    "static_const",
    "stream_array",
    "stream_array_loop",
    "wide_string",
)
FILES = [*sorted(programs.FOLDER.glob("*.cpp")), *(FAULTS / f"{name}.cpp" for name in MENDED)]
PROGRAMS = [name for file in FILES for name in programs.programs_of(file)]
RUNS = 3


@dataclass
class Case:
    """Programs as one design, and the words that they take and give as native programs."""

    source: Path
    design: Design
    taken: dict[str, list[int]]
    given: dict[str, list[int]]


def prepare(files: list[Path], folder: Path) -> Case:
    source = programs.write_design(files, folder / "every.cpp")
    design = import_design([source], programs.TOP, [INCLUDE], {})
    ports = {s.name: s for s in design.streams.values() if s.producer is None or s.consumer is None}
    inputs = {s.name: random_words(s.width, 130 * RUNS, k) for k, s in enumerate(ports.values()) if not s.producer}
    kinds = {s.name: (s.width, s.producer is None) for s in ports.values()}
    return Case(source, design, *run_native([source], programs.NATIVE, kinds, inputs, RUNS, folder / "native"))


@pytest.fixture(scope="session")
def words(tmp_path_factory) -> dict[str, dict[str, list[int]]]:
    """What all programs give, {"native", "graph"}; made once for all processes of a test run, as it takes a minute."""
    folder = tmp_path_factory.getbasetemp()
    folder = (folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder) / "programs"
    path = folder / "words.json"
    with locked(folder, path.name, wait=True):
        if not path.exists():
            every = prepare(FILES, folder)
            computed = interpret.run(every.design, every.taken, RUNS)
            path.write_text(json.dumps({"native": every.given, "graph": computed}))
    return json.loads(path.read_text())


@pytest.mark.parametrize("program", PROGRAMS)
def test_graph_equals_the_native_program(program, words):
    expected = {port: given for port, given in words["native"].items() if port.startswith(f"{program}_")}
    assert any(expected.values())
    assert {port: words["graph"][port] for port in expected} == expected


def simulate(case: Case, folder: Path, target: str, clock_ns: float, patterns: list[dict]) -> None:
    result = compile_hls([case.source], programs.TOP, [INCLUDE], {}, target, clock_ns, out=folder)
    simulator = Simulator(result, folder / "sim")
    for pattern in patterns:
        got = simulator.run(case.taken, {port: len(words) for port, words in case.given.items()}, **pattern)
        assert got.out == case.given, pattern


def test_rtl_of_one_merge_equals_the_native_program(tmp_path):
    """The plainest of all stream programs, with random stalls."""
    case = prepare([FAULTS / "merge.cpp", FAULTS / "stream_array_loop.cpp"], tmp_path)
    simulate(case, tmp_path, "xcup", 3.33, PATTERNS[:4])


@pytest.mark.slow
@pytest.mark.parametrize("target, clock_ns", [("xcup", 8.0), ("ecp5", 30.0)])
@pytest.mark.parametrize("file", FILES[: -len(MENDED)], ids=lambda file: file.stem)
def test_rtl_equals_the_native_programs(file, target, clock_ns, tmp_path):
    simulate(prepare([file], tmp_path), tmp_path, target, clock_ns, PATTERNS[:6])


# What is refused: the text of a top, the line blamed (from 1), what the message and its hint say
REFUSED = [
    (
        "void top(Words* x, Words& y) {\n  for (int i = 0; i < 3; ++i)\n    y.write(x[i].read());\n}",
        3,
        "'x' is indexed, but it is one stream",
        "x[4]",
    ),
    ("void top(Words x[2], Words& y) {\n  y.write(x[2].read());\n}", 2, "access outside 'x'", ""),
    (
        "void top(Words x[2], Words& x_1, Words& y) {\n  y.write(x[0].read() + x[1].read() + x_1.read());\n}",
        1,
        "a second port would be called 'x_1'",
        "the first is at",
    ),
    (
        "struct Ports { Words& a; };\nvoid top(Ports& p, Words& y) {\n  y.write(p.a.read());\n}",
        2,
        "argument 'p' is no hls::stream",
        "arrays and structures",
    ),
    (
        "void top(Words& x, Words& y) {\n  static Word (*f)(Word) = nullptr;\n  y.write(f(x.read()));\n}",
        3,
        "a function that is chosen at run time is called",
        "if or switch",
    ),
    (
        "void top(Words& x, Words& y) {\n  static Word a[8];\n  memmove(a + 1, a, 7);\n  a[0] = x.read();\n"
        "  for (int i = 0; i < 8; ++i) y.write(a[i]);\n}",
        3,
        "memmove within one array",
        "write a loop",
    ),
    (
        "void top(Words& x, Words& y) {\n  static Word a[8];\n  memset(a, 0, x.read());\n"
        "  for (int i = 0; i < 8; ++i) y.write(a[i]);\n}",
        3,
        "memset of a length that is not constant",
        "write a loop",
    ),
    (
        "void two(Words x[2], Words& y) { y.write(x[0].read() + x[1].read()); }\nvoid top(Words x[2], Words& y) {\n"
        "#pragma HLS DATAFLOW\n  two(x + 1, y);\n}",
        4,
        "'two' is given no stream for 'x_1'",
        "",
    ),
    (
        "int factorial(int n) { return n < 2 ? 1 : n * factorial(n - 1); }\nvoid top(Words& x, Words& y) {\n"
        "  y.write(factorial(x.read()));\n}",
        3,
        "is not supported",
        "without recursion",
    ),
]


@pytest.mark.parametrize("text, line, message, hint", REFUSED, ids=[message for _, _, message, _ in REFUSED])
def test_refusals_are_true(text, line, message, hint, tmp_path):
    start = '#include "hls_stream.h"\n#include <cstring>\ntypedef ap_uint<8> Word;\ntypedef hls::stream<Word> Words;\n'
    source = tmp_path / "refused.cpp"
    source.write_text(start + text + "\n")
    with pytest.raises(HlsError) as caught:
        import_design([source], "top", [INCLUDE], {})
    error = caught.value
    assert message in error.message and hint in (error.hint or "")
    assert error.loc is not None and (Path(error.loc.file).name, error.loc.line) == ("refused.cpp", line + 4), error


@pytest.mark.parametrize("name, second, first", [("after_loop", 6, 5), ("no_line", 10, 7)])
def test_both_places_of_two_accesses_are_named(name, second, first):
    with pytest.raises(HlsError) as caught:
        import_design([FAULTS / f"{name}.cpp"], "top", [INCLUDE], {})
    assert caught.value.loc.line == second and f"{name}.cpp:{first})" in caught.value.message


def test_c_sources_are_refused_by_name(tmp_path):
    (tmp_path / "helper.c").write_text("int f(int v) { return v; }\n")
    with pytest.raises(HlsError, match=r"helper\.c: a C source"):
        import_design([tmp_path / "helper.c"], "f", [INCLUDE], {})
