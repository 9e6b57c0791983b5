"""C simulation: a top's C++ compiled as a program and run on images.

Two compilers with headers of their own read the same source:

    clang   the clang of the open flow (ziglang) and hls/openhls/include
    amd     g++ and AMD's published ap_types, which the hls4ml package carries (a check, not a dependency)

and amd_clang that clang with AMD's headers, as Vitis HLS has a clang in front.
"""

from __future__ import annotations

import importlib.util
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from openhls.system import children, zig

from psconv.common.places import CSIM, ENGINE, INCLUDE
from pymodel.common.arrays import Int8, Integers, UInt8
from pymodel.common.errors import ConfigError
from pymodel.common.files import write_atomically
from pymodel.engine.words import Words
from pymodel.top import cpp
from pymodel.top.dataflow import Dataflow
from pymodel.top.packets import Packet

Compiler = Literal["clang", "amd", "amd_clang"]

# Plain C++ compilers know neither HLS pragmas nor what labels of loops are for.
WARNINGS = ("-Wall", "-Wextra", "-Werror", "-Wno-unknown-pragmas", "-Wno-unused-label")


def simulate(dataflow: Dataflow, images: Integers, compiler: Compiler = "clang", standard: str = "c++14") -> Int8:
    """Output of a top with its weights in ROM, int8 [n, *output], compiled and run in a folder that is then removed.

    images: int [n, *input]. Raises ConfigError: wrong arrays, a compiler that is missing or refuses, a program that
    fails.
    """
    with tempfile.TemporaryDirectory(prefix="csim") as folder:
        cpp.write(Path(folder), dataflow, dataflow.top)
        program = build(Path(folder), compiler, standard)
        return run(program, images, dataflow.source.words, dataflow.sink.words)


def build(folder: Path, compiler: Compiler = "clang", standard: str = "c++14") -> Path:
    """Compiles the top whose C++ lies in `folder` (pymodel.top.cpp) to the program `folder`/csim_<compiler>.

    Folders and files are named by their whole paths, wherever this process runs. Raises ConfigError: no such C++, what
    the compiler said.
    """
    made, folder = program(folder, compiler), folder.absolute()
    if not (folder / cpp.SOURCE).is_file():
        raise ConfigError(f"{folder}: no {cpp.SOURCE}; make it with pymodel.top.cpp.write")
    sources = [CSIM / "csim.cpp", folder / cpp.SOURCE]
    command = [
        *compiler_command(compiler),
        f"-std={standard}",
        *WARNINGS,
        f"-I{folder}",
        f"-I{ENGINE}",
        *map(str, sources),
        "-o",
    ]
    with tempfile.TemporaryDirectory(prefix="csim") as scratch:
        env, problem = zig.uncached(Path(scratch)), f"C simulation: {compiler} refused {cpp.SOURCE}"
        write_atomically(made, lambda target: _execute([*command, str(target.absolute())], problem, env))
    return made


def program(folder: Path, compiler: Compiler = "clang") -> Path:
    """Where `build` puts what it compiles."""
    return folder / f"csim_{compiler}"


def run(program: Path, images: Integers, source: Words, sink: Words, weights: Sequence[UInt8] = ()) -> Int8:
    """Output of a program made by `build`, int8 [n, *sink], for images int [n, *source].

    weights: where a network has ports for them, the beats of each port for an image, uint8 [words, bytes], one port
    after the other; for one image, which the others then get as well, or for image after image.
    Raises ConfigError: wrong images, a program that fails (missing, wrong number of beats, wrong TLAST, ...).
    """
    (y,) = run_all(program, images, source, [sink], weights)
    return y


def run_all(
    program: Path, images: Integers, source: Words, sinks: Sequence[Words], weights: Sequence[UInt8] = ()
) -> list[Int8]:
    """`run` of a network with several outputs: of each port, int8 [n, *sink]. sinks: in the order of the ports."""
    with tempfile.TemporaryDirectory(prefix="csim") as folder:
        given, made = Path(folder) / "x.bin", Path(folder) / "y.bin"
        source.pack(images, "input images").tofile(given)
        command = [str(program), str(given), str(made)]
        if len(weights):
            beats = Path(folder) / "w.bin"
            beats.write_bytes(b"".join(port.tobytes() for port in weights))
            command.append(str(beats))
        _execute(command, "C simulation failed")
        words = np.fromfile(made, np.uint8)
    sizes = [sink.count * sink.word_bytes for sink in sinks]
    if words.size != len(images) * sum(sizes):
        raise ConfigError(f"C simulation: {program} is of another shape: it gave {words.size} bytes")
    parts = np.split(words.reshape(len(images), sum(sizes)), np.cumsum(sizes[:-1]), axis=1)
    return [
        sink.unpack(np.ascontiguousarray(part).reshape(-1, sink.word_bytes), "output beats")
        for sink, part in zip(sinks, parts, strict=True)
    ]


def run_packets(program: Path, packets: Sequence[Packet], dataflow: Dataflow) -> UInt8:
    """Output beats of a network that loads its weights: uint8 [n * out_beats, bytes].

    Raises ConfigError as `run` does.
    """
    size = dataflow.sink.words.word_bytes
    with tempfile.TemporaryDirectory(prefix="csim") as folder:
        given, made = Path(folder) / "x.bin", Path(folder) / "y.bin"
        given.write_bytes(b"".join(len(p.beats).to_bytes(4, "little") + p.beats.tobytes() for p in packets))
        _execute([str(program), str(given), str(made)], "C simulation failed")
        beats = np.fromfile(made, np.uint8)
    if beats.size != len(packets) * dataflow.out_beats * size:
        raise ConfigError(f"C simulation: {program} is of another shape: it gave {beats.size} bytes")
    return beats.reshape(-1, size)


def amd_include() -> Path | None:
    """Folder of AMD's ap_types headers; None where hls4ml is not installed."""
    spec = importlib.util.find_spec("hls4ml")  # finds the package without importing it
    if spec is None or not spec.submodule_search_locations:
        return None
    folder = Path(spec.submodule_search_locations[0]) / "templates" / "vivado" / "ap_types"
    return folder if (folder / "ap_int.h").is_file() else None


def compiler_command(compiler: Compiler) -> list[str]:
    """The start of a command that compiles C++ with the headers of `compiler`. Raises ConfigError."""
    if compiler == "clang":
        return [*zig.PROGRAM, f"-I{INCLUDE}"]
    if compiler in ("amd", "amd_clang"):
        include = amd_include()
        if include is None:
            raise ConfigError(f"compiler {compiler}: AMD's ap_types headers are missing; install the hls4ml package")
        headers = [f"-I{CSIM / 'amd'}", "-isystem", str(include)]
        if compiler == "amd":
            # Their default constructors mask bits that were never set; inlined, that is reported in our lines.
            return ["g++", "-O1", "-Wno-maybe-uninitialized", "-Wno-uninitialized", *headers]
        # Their specialisations of std::complex clash with the one of clang's library, and nothing here needs them.
        skipped = ["-D__AP_INT_SPECIAL_H__", "-D__AP_FIXED_SPECIAL_H__"]
        return [*zig.PROGRAM, *skipped, *headers]
    raise ConfigError(f"compiler: must be one of clang, amd, amd_clang, got {compiler!r}")


def _execute(command: list[str], problem: str, env: Mapping[str, str] | None = None) -> None:
    """Runs a command. Raises ConfigError with what it printed."""
    try:
        done = children.run(command, env=env)
    except OSError as error:
        raise ConfigError(f"{problem}: {command[0]} cannot be started: {error}") from error
    if done.returncode:
        output = done.stderr.strip() or done.stdout.strip()
        raise ConfigError(f"{problem} (exit status {done.returncode}):\n{output}")
