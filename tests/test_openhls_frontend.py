"""The front end of the open flow: kernels run natively and, as graphs, in the interpreter; refusals name the line."""

from __future__ import annotations

import random
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
from openhls import frontend, interpret
from openhls.clang import HEADERS
from openhls.errors import HlsError
from openhls.graph import Design

KERNELS = Path(__file__).parent / "openhls" / "kernels"
TOPS = {
    "arithmetic": {"mixed": 20, "wide": 2, "intrinsics": 16, "divide": 12, "requantise": 10},
    "control": {"conditional": 20, "imperfect": 35, "threshold": 9, "triangle": 54, "until": 40, "sequence": 10,
                "choose": 25, "once": 1, "state": 4},
    "memory": {"histogram": 200, "window": 66, "tables": 40, "accumulate": 21, "sorted": 13},
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
    s.write(hls::payload<T>::unpack(ap_uint<hls::payload<T>::width>(("0x" + line.substr(at, end - at)).c_str()).V));
    at = end + 1;
  }}
}}
template <class T> void get(hls::stream<T>& s) {{
  for (; !s.empty();) {{
    ap_uint<hls::payload<T>::width> w = hls::payload<T>::pack(s.read());
    for (int i = (hls::payload<T>::width - 1) / 4 * 4; i >= 0; i -= 4) std::printf("%x", (unsigned)(w >> i).to_uint() & 15);
    std::printf(" ");
  }}
  std::printf("\n");
}}
template <class... T, size_t... I>
void drive(void (*top)(hls::stream<T>&...), const std::vector<std::string>& lines, int runs, std::index_sequence<I...>) {{
  std::tuple<hls::stream<T>...> streams;
  (put(std::get<I>(streams), lines[I]), ...);
  for (int i = 0; i < runs; ++i) top(std::get<I>(streams)...);
  (get(std::get<I>(streams)), ...);
}}
template <class... T> void drive(void (*top)(hls::stream<T>&...), const std::vector<std::string>& lines, int runs) {{
  drive(top, lines, runs, std::index_sequence_for<T...>());
}}
int main(int, char** argv) {{
  std::vector<std::string> lines;
  std::string line;
  for (int c; (c = std::getchar()) != EOF;) {{
    if (c == '\n') {{ lines.push_back(line); line.clear(); }} else line += (char)c;
  }}
  {calls}
}}
"""


@pytest.fixture(scope="session")
def native(tmp_path_factory):
    """kernel file -> its program, compiled once."""

    @cache
    def build(kernel: str) -> Path:
        folder = tmp_path_factory.mktemp("native")
        calls = "\n  ".join(f'if (!std::strcmp(argv[1], "{t}")) drive({t}, lines, std::stoi(argv[2]));' for t in TOPS[kernel])
        source = folder / "driver.cpp"
        source.write_text(DRIVER.format(kernel=KERNELS / f"{kernel}.cpp", calls=calls))
        command = [sys.executable, "-m", "ziglang", "c++", "-std=c++17", "-O1", "-fno-sanitize=all", "-Wno-unknown-pragmas",
                   f"-I{HEADERS}", str(source), "-o", str(folder / "driver")]
        result = subprocess.run(command, capture_output=True, text=True)
        assert result.returncode == 0, result.stderr
        return folder / "driver"

    return build


def words(rng: random.Random, width: int, count: int) -> list[int]:
    """Random words, extremes among them."""
    extremes = [0, 1, (1 << width) - 1, 1 << (width - 1), (1 << (width - 1)) - 1]
    return [rng.choice(extremes) if rng.random() < 0.2 else rng.getrandbits(width) for _ in range(count)]


def run_native(program: Path, top: str, design: Design, inputs: dict[str, list[int]], runs: int) -> dict[str, list[int]]:
    ports = [s for s in design.streams.values() if s.producer is None or s.consumer is None]
    text = "".join(" ".join(f"{w:x}" for w in inputs.get(s.name, [])) + "\n" for s in ports)
    result = subprocess.run([program, top, str(runs)], input=text, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    lines = result.stdout.split("\n")
    return {s.name: [int(w, 16) for w in line.split()] for s, line in zip(ports, lines, strict=False) if s.consumer is None}


def load(kernel: str, top: str) -> Design:
    return frontend.import_design([KERNELS / f"{kernel}.cpp"], top, [], {})[0]


@pytest.mark.parametrize("kernel, top", [(k, t) for k, tops in TOPS.items() for t in tops])
def test_graph_equals_native_program(kernel, top, native):
    design, rng, runs = load(kernel, top), random.Random(top), 3
    for _ in range(3):
        inputs = {s.name: words(rng, s.width, TOPS[kernel][top] * runs)
                  for s in design.streams.values() if s.producer is None}
        if top == "until":
            inputs["x"] += [0] * runs
        expected = run_native(native(kernel), top, design, inputs, runs)
        assert interpret.run(design, inputs, runs) == expected
        assert any(expected.values())
