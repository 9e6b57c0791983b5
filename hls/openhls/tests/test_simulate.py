"""--simulate: program and RTL on the same words, and what it says where they differ or cannot be compared."""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import time
from pathlib import Path

import pytest

from openhls import HlsError, simulate
from openhls.__main__ import main
from openhls.simulation import tools
from openhls.system.caches import cache_home

KERNEL = """#include "hls_stream.h"
void top(hls::stream<ap_int<8>>& x, hls::stream<ap_int<12>>& y) {
  ap_int<12> sum = 0;
  for (int i = 0; i < 4; ++i) sum += x.read();
#ifdef __SYNTHESIS__
  CHANGED
#endif
  y.write(sum);
}
"""
BENCH = "def words(rng):\n    return {'x': [rng.randrange(-128, 128) for _ in range(40)]}\n"
BEATS = """#include "ap_axi_sdata.h"
typedef ap_axiu<12, 0, 0, 0> Beat;
void top(hls::stream<Beat>& x, hls::stream<Beat>& y) {
  Beat b = x.read();
  b.data = b.data + 1;
  b.last = !b.last;
  y.write(b);
}
"""


def kernel(folder: Path, changed: str = "") -> Path:
    (folder / "kernel.cpp").write_text(KERNEL.replace("CHANGED", changed))
    return folder / "kernel.cpp"


def command(folder: Path, words: str, *more: str) -> int:
    arguments = ["--top", "top", "--out", str(folder / "out"), "--simulate", str(folder / words), *more]
    return main([str(folder / "kernel.cpp"), *arguments])


def test_program_and_rtl_agree(tmp_path, capsys):
    kernel(tmp_path)
    (tmp_path / "words.json").write_text(json.dumps({"x": list(range(-20, 20))}))
    (tmp_path / "bench.py").write_text(BENCH)
    for words in ("words.json", "bench.py"):  # a word a cycle, and the last sum one cycle later
        assert command(tmp_path, words, "--runs", "9", "--seed", "5") == 0
        out = capsys.readouterr().out
        assert "top: program and RTL agree: 36 words of x, 9 words of y; 37 cycles without stalls, 3 runs with" in out
    found = simulate([kernel(tmp_path)], "top", {"x": [1, 2, -3, 255]}, out=tmp_path / "out")
    assert found.agrees and found.taken == {"x": [1, 2, 253, 255]} and found.expected == {"y": [0xFFF]}


def test_words_of_several_fields(tmp_path):
    (tmp_path / "kernel.cpp").write_text(BEATS)
    given = {"x": [[4, 3, 1, 0], [-1, 0, 2, 1], 0x1FFFF]}
    found = simulate([tmp_path / "kernel.cpp"], "top", given, out=tmp_path / "out", runs=3)
    assert found.agrees
    assert found.taken == {"x": [4 | 3 << 12 | 1 << 14, 0xFFF | 2 << 14 | 1 << 16, 0x1FFFF]}
    assert found.expected == {"y": [5 | 3 << 12 | 1 << 14 | 1 << 16, 2 << 14, 0xF << 12]}


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ("sum += 1;", "with idle 0.0, stall 0.0, seed 1: y: word 0 of 2 is 0xb, the program says 0xa"),
        ("if (sum == 10) return;", "cycle 10.*: no end: x 8/8.* y 1/2"),
        ("y.write(sum); y.write(sum); return;", None),
        ("y.write(3);", None),
    ],
)
def test_where_they_differ(changed, message, tmp_path, capsys):
    """A kernel that does something else for the compiler, as a wrong compiler would."""
    kernel(tmp_path, changed)
    (tmp_path / "words.json").write_text('{"x": [1, 2, 3, 4, 1, 1, 1, 1]}')
    status = command(tmp_path, "words.json", "--runs", "2")
    captured = capsys.readouterr()
    if message is None:  # a second write of a stream is not compiled
        assert status == 2 and "write of 'y'" in captured.err
    else:
        assert status == 1
        assert re.search(f"top: the RTL differs from the program: .*{message}", captured.out)


def test_too_many_words_are_found(tmp_path):
    """The loop is longer for the compiler than for the program."""
    text = """#include "hls_stream.h"
#ifdef __SYNTHESIS__
#define N 5
#else
#define N 4
#endif
void top(hls::stream<ap_uint<8>>& x, hls::stream<ap_uint<8>>& y) {
  ap_uint<8> v;
  for (int i = 0; i < N; ++i) {
    if (i == 0) v = x.read();
    y.write(v);
  }
}
"""
    (tmp_path / "kernel.cpp").write_text(text)
    found = simulate([tmp_path / "kernel.cpp"], "top", {"x": [1, 2]}, out=tmp_path / "out", runs=2)
    assert (not found.agrees and "y: word 4 of 8 is 0x1, the program says 0x2" in found.problem) or (
        "y gives more words than the program" in found.problem
    )


@pytest.mark.slow
def test_what_is_kept_outlives_the_installation_it_was_made_with(tmp_path, monkeypatch):
    """Another environment had Verilator, was the first to fill the user's cache, and is gone or has been renewed."""
    monkeypatch.setenv(
        "ZIG_GLOBAL_CACHE_DIR", str(cache_home() / "zig")
    )  # the one that there is: it takes long to make
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    installed, other = tools.verilator(), tmp_path / "other" / "verilator"
    shutil.copytree(installed, other)
    try:
        for folder in (other, other, installed):
            if folder == installed:
                shutil.rmtree(other)
            tools.prepared.cache_clear()
            monkeypatch.setattr(tools, "verilator", lambda folder=folder: folder)
            found = simulate([kernel(tmp_path)], "top", {"x": [1, 2, 3, 4]}, out=tmp_path / "out", runs=1)
            assert found.agrees
            for header in (other / "include").rglob("*.h"):  # as if installed again: the same bytes, a later date
                os.utime(header, (time.time() + 10, time.time() + 10))
    finally:
        tools.prepared.cache_clear()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({}, "words: x: no words for this input port"),
        ({"x": [], "y": []}, "words: y: no input port\n.*input ports: x"),
        ({"x": 3}, "words: x: not a list of words"),
        ({"x": "123"}, "words: x: not a list of words"),
        ({"x": [1, 256]}, r"words: x\[1\]: 256 does not fit in 8 bits"),
        ({"x": [-129]}, r"words: x\[0\]: -129 does not fit in 8 bits"),
        ({"x": [1.0]}, r"words: x\[0\]: 1.0 is no integer"),
        ({"x": [True]}, r"words: x\[0\]: True is no integer"),
        ({"x": [[1, 0]]}, r"words: x\[0\]: 2 fields; a word has 1"),
        ({"x": [1, 2, 3]}, "the program of 'top', called 1 times: .*read of the empty stream 'x'"),
    ],
)
def test_words_that_do_not_fit(words, message, tmp_path):
    with pytest.raises(HlsError, match=message):
        simulate([kernel(tmp_path)], "top", words, out=tmp_path / "out")


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("words.json", "{", "words.json: no JSON"),
        ("words.json", "[1]", "words.json: not a mapping"),
        ("words.json", None, "words.json: No such file"),
        ("bench.py", None, "bench.py: no such file"),
        ("bench.py", "word = 3", r"bench.py: no function words\(rng\)"),
        ("bench.py", "def words(rng):\n    return rng.colour", "bench.py:2: error: AttributeError: .*colour"),
        ("bench.py", "def words(rng):\n    return {'z': []}", r"bench.py: words\(rng\): z: no input port"),
        ("words.txt", "", "words.txt: words come from a .json or a .py"),
    ],
)
def test_files_of_words_that_are_none(name, text, message, tmp_path):
    if text is not None:
        (tmp_path / name).write_text(text)
    with pytest.raises(HlsError, match=message):
        simulate([kernel(tmp_path)], "top", tmp_path / name, out=tmp_path / "out")


ARRAYS = """#include "hls_stream.h"
typedef hls::stream<ap_int<8>> Byte;
void top(Byte& a, Byte x[2], Byte& x_2, hls::stream<ap_uint<20>> (&y)[3], Byte grid[2][3], hls::stream<int>& sum) {
  int total = a.read() * 1000 + x_2.read();
  for (int i = 0; i < 2; ++i) {
    total -= x[i].read() * (i + 1);
    for (int j = 0; j < 3; ++j) total += grid[i][j].read() * (i + 2 * j);
  }
  for (int j = 0; j < 3; ++j) y[j].write(total * (j + 1));
  sum.write(total);
}
"""


def test_a_top_of_arrays_of_streams(tmp_path):
    """Each stream of an array is a port of its own, also where another argument is called as one might be."""
    (tmp_path / "kernel.cpp").write_text(ARRAYS)
    rng = random.Random(3)
    ports = ["a", "x_0", "x_1", "x_2", *(f"grid_{i}_{j}" for i in range(2) for j in range(3))]
    words = {port: [rng.randrange(-128, 128) for _ in range(4)] for port in ports}
    found = simulate([tmp_path / "kernel.cpp"], "top", words, out=tmp_path / "out", runs=4)
    assert found.agrees, found.problem
    total = [
        words["a"][k] * 1000
        + words["x_2"][k]
        - sum(words[f"x_{i}"][k] * (i + 1) for i in range(2))
        + sum(words[f"grid_{i}_{j}"][k] * (i + 2 * j) for i in range(2) for j in range(3))
        for k in range(4)
    ]
    assert found.expected == {
        **{f"y_{j}": [value * (j + 1) % (1 << 20) for value in total] for j in range(3)},
        "sum": [value % (1 << 32) for value in total],
    }


def test_a_top_of_structures_is_refused_by_name(tmp_path):
    text = """#include "hls_stream.h"
struct Pair { hls::stream<int> a, b; };
void top(Pair& x, hls::stream<int>& y) { y.write(x.a.read() + x.b.read()); }
"""
    (tmp_path / "kernel.cpp").write_text(text)
    with pytest.raises(HlsError, match="only a top of streams, or arrays of streams, can be called natively"):
        simulate([tmp_path / "kernel.cpp"], "top", {"x_a": [1], "x_b": [2]}, out=tmp_path / "out")
