"""A kernel as a program with AMD's headers, and as RTL in Verilator: the words that each gives.

What does not depend on the kernel is compiled once per user: AMD's headers, and what openhls' simulator keeps. A kernel
then costs a second or two.
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

from openhls import CompileResult
from openhls.simulation.rtl import Simulator
from openhls.system import zig

from psconv.flow import csim
from pymodel.common.cache import cache_folder

Words = dict[str, list[int]]
Ports = Sequence[tuple[str, int, bool]]  # name, width, signed

_NATIVE = ("-std=c++17", "-w")
_NATIVE_HEADER = """#include "ap_int.h"
#include "hls_stream.h"
#include <cstdio>
#include <string>
"""


class BuildError(Exception):
    """A tool refused what it was given; the text is the tool's."""


def _compiler(compiler: csim.Compiler) -> list[str]:
    quickly = ("-O0",) if compiler == "amd" else zig.QUICKLY
    return [*csim.compiler_command(compiler), *quickly, *_NATIVE]


def _run(command: Sequence[object], folder: Path, seconds: float = 120) -> str:
    environment = {**os.environ, "LC_ALL": "C"}
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
    """A folder with native.hpp.gch: AMD's headers."""
    version = subprocess.run(["g++", "--version"], capture_output=True, text=True, check=True).stdout
    include = csim.amd_include()
    since = (include / "ap_int.h").stat().st_mtime_ns if include else 0
    key = hashlib.sha256(f"{version} {include} {since} {_NATIVE_HEADER}".encode()).hexdigest()[:16]
    target = cache_folder() / "hunt" / key
    if target.is_dir():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as temporary:
        work = Path(temporary) / "whole"
        work.mkdir()
        (work / "native.hpp").write_text(_NATIVE_HEADER)
        header = ("-x", "c++-header")
        _run([*_compiler("amd"), *header, "native.hpp", "-o", "native.hpp.gch"], work)
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
    _run([*_compiler(compiler), f"-I{prepared()}", source, "-o", program], folder)
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


def run_rtl(
    result: CompileResult,
    taken: Words,
    count: Mapping[str, int],
    folder: Path,
    seed: int,
    idle: float = 0.2,
    stall: float = 0.2,
) -> Words:
    """The output words for the input words `taken`, `count` of each output.

    Raises SimulationError with what the simulation found wrong: too many words, a word that was not held, no end.
    """
    cycles = 20 * (sum(map(len, taken.values())) + sum(count.values()))
    limit = int(2000 + cycles / max(0.02, (1 - idle) * (1 - stall)))
    out: Words = Simulator(result, folder).run(taken, count, idle=idle, stall=stall, seed=seed, limit=limit).out
    return out
