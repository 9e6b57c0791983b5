"""What C++ offers, program by program: the graph and the RTL give the words of the natively compiled program.

Pointers chosen at run time and pointers that walk, streams in arrays and structures, copies of arrays, loops that LLVM
would like to take apart, calls through pointers, statics, lambdas, templates. All programs are one design: one native
program and one simulation serve them all.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest
from openhls import frontend, interpret
from openhls.compile import compile_hls
from openhls.graph import Design

from tests.openhls import programs
from tests.openhls.harness import INCLUDE, PATTERNS, Simulator, random_words, run_native

FAULTS = Path(__file__).parent / "faults" / "cpp"
MENDED = ("clear_array", "function_pointer", "loop_of_two", "memcpy", "merge", "merge_tables", "pointer_walk", "range_for",
          "static_const", "stream_array", "stream_array_loop")  # fmt: skip
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
    design = frontend.import_design([source], programs.TOP, [INCLUDE], {})
    ports = {s.name: s for s in design.streams.values() if s.producer is None or s.consumer is None}
    inputs = {s.name: random_words(s.width, 130 * RUNS, k) for k, s in enumerate(ports.values()) if not s.producer}
    kinds = {s.name: (s.width, s.producer is None) for s in ports.values()}
    return Case(source, design, *run_native(source, programs.NATIVE, kinds, inputs, RUNS, folder / "native"))


@pytest.fixture(scope="module")
def every(tmp_path_factory) -> Case:
    return prepare(FILES, tmp_path_factory.mktemp("programs"))


@pytest.fixture(scope="module")
def computed(every) -> dict[str, list[int]]:
    return interpret.run(every.design, every.taken, RUNS)


@pytest.mark.parametrize("program", PROGRAMS)
def test_graph_equals_the_native_program(program, every, computed):
    expected = {port: words for port, words in every.given.items() if port.startswith(f"{program}_")}
    assert any(expected.values())
    assert {port: computed[port] for port in expected} == expected


def simulate(case: Case, folder: Path, target: str, clock_ns: float, patterns: list[dict]) -> None:
    result = compile_hls([case.source], programs.TOP, [INCLUDE], {}, target, clock_ns, out=folder)
    simulator = Simulator(result, folder / "sim", folder)
    for pattern in patterns:
        got = simulator.run(case.taken, {port: len(words) for port, words in case.given.items()}, **pattern)
        assert got.out == case.given, pattern


def test_rtl_of_one_merge_equals_the_native_program(tmp_path):
    """The plainest of all stream programs, with random stalls."""
    simulate(prepare([FAULTS / "merge.cpp", FAULTS / "stream_array_loop.cpp"], tmp_path), tmp_path, "xcup", 3.33, PATTERNS[:4])


@pytest.mark.slow
@pytest.mark.parametrize("target, clock_ns", [("xcup", 8.0), ("ecp5", 30.0)])
def test_rtl_equals_the_native_programs(target, clock_ns, every, tmp_path):
    simulate(every, tmp_path, target, clock_ns, PATTERNS[:6])
