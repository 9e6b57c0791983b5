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
from openhls.errors import HlsError
from openhls.graph import Design

from tests.openhls import programs
from tests.openhls.harness import INCLUDE, PATTERNS, Simulator, native, random_words

FAULTS = Path(__file__).parent / "faults" / "cpp"
MENDED = ("clear_array", "function_pointer", "loop_of_two", "memcpy", "merge", "merge_tables", "pointer_walk", "range_for",
          "static_const", "stream_array", "stream_array_loop")  # fmt: skip
FILES = [*sorted(programs.FOLDER.glob("*.cpp")), *(FAULTS / f"{name}.cpp" for name in MENDED)]
RUNS = 3


@dataclass
class Native:
    """The programs compiled natively: what they took, what they gave."""

    taken: dict[str, list[int]]
    given: dict[str, list[int]]


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> Path:
    return programs.write_design(FILES, tmp_path_factory.mktemp("programs") / "every.cpp")


@pytest.fixture(scope="module")
def design(source) -> Design:
    return frontend.import_design([source], programs.TOP, [INCLUDE], {})


@pytest.fixture(scope="module")
def expected(source, design, tmp_path_factory) -> Native:
    ports = [s for s in design.streams.values() if s.producer is None or s.consumer is None]
    widths = {s.name: s.width for s in ports}
    inputs = {s.name: random_words(s.width, 130 * RUNS, k) for k, s in enumerate(ports) if s.producer is None}
    is_in = {s.name: s.producer is None for s in ports}
    return Native(*native(source, programs.NATIVE, widths, is_in, inputs, RUNS, tmp_path_factory.mktemp("native")))


PROGRAMS = [name for file in FILES for name in programs.programs_of(file)]


@pytest.mark.parametrize("program", PROGRAMS)
def test_graph_equals_the_native_program(program, design, expected):
    mine = [p for p in design.processes if p.name == program]
