"""Run the bench on a design: `simulate`."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cocotb_tools.config
import find_libpython
import numpy as np
from openhls.system import children

from pymodel.common.arrays import Bool, UInt8
from pymodel.common.errors import ConfigError
from rtl_tb import harness, records
from rtl_tb.build import build
from rtl_tb.job import Job
from rtl_tb.ports import Ports, Stream, parse_ports
from rtl_tb.processes import log_tail, run
from rtl_tb.progress import FILE as PROGRESS_FILE
from rtl_tb.progress import Progress, read_progress
from rtl_tb.result import CycleNumbers, Result
from rtl_tb.scoreboard import Field, Layout
from rtl_tb.watchdog import Inner, longest_stall


@dataclass(frozen=True)
class SimResult:
    """Outcome of one run.

    beats: uint8 [m, bytes], last: bool [m] (False without TLAST), as received; extra_beats: of each extra output.
    cycles: first_in, last_in, first_out, last_out, image_last [per image], total (first_in to last_out, both
    included), simulated; numbered from 0, the first whole cycle after the reset. moved: beats transferred, by stream.
    stalls: cycles in which one side of a stream waited for the other.
    mismatches: the first of mismatch_count, of all outputs. errors: everything that is wrong, in words; empty: the run
    is right. probes: by stream, the fields of rtl_tb.scoreboard.ProbeVerdict; of outputs, too, where there are several.
    seconds: build, run, and simulation, which is the run without the start of Python in it.
    """

    beats: UInt8
    last: Bool
    cycles: CycleNumbers
    moved: dict[str, int]
    stalls: dict[str, int]
    mismatch_count: int
    mismatches: list[dict[str, object]]
    probes: dict[str, dict[str, object]]
    errors: list[str]
    seconds: dict[str, float]
    waves: Path | None
    extra_beats: dict[str, UInt8] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        return not self.errors and self.mismatch_count == 0


def simulate(
    rtl: Sequence[Path],
    ports: Ports | Mapping[str, object],
    beats_in: UInt8,
    last_in: Bool,
    expected: UInt8,
    beats_per_image: int,
    out: Path,
    *,
    extra_inputs: Mapping[str, tuple[UInt8, Bool]] | None = None,
    extra_outputs: Mapping[str, tuple[UInt8, int]] | None = None,
    seed: int = 1,
    idle: float = 0.0,
    backpressure: float = 0.0,
    waves: bool = False,
    timeout_cycles: int = 20_000,
    reset_after: int | None = None,
    reset_on: str | None = None,
    axes: Mapping[str, Sequence[tuple[str, int]]] | None = None,
    fields: Mapping[str, tuple[str, int, int]] | None = None,
    probes: Mapping[str, UInt8] | None = None,
    inner: Sequence[Inner] = (),
    threads: int = 1,
    progress: Callable[[Progress], None] | None = None,
    cache: Path | None = None,
) -> SimResult:
    """Send `beats_in` through the design and compare what comes out with `expected`.

    rtl: Verilog files. ports: ports.json, parsed or not. beats_in: uint8 [n, bytes], byte 0 = TDATA[7:0].
    last_in: bool [n], TLAST of the input. expected: uint8 [m, bytes]. beats_per_image: output beats per
    image. out: folder of the run (result.json, beats.npz, sim.log, dump.vcd). extra_inputs: (beats, TLAST) of each
    input stream other than that of the images, by name; it stalls by itself, with a seed of its own. extra_outputs:
    (expected beats, beats per image) of each output stream other than that of `expected`, by name. idle,
    backpressure: chance per cycle that the bench offers no beat, or takes none. timeout_cycles: cycles without a beat
    until the watchdog ends the run, besides those that such stalls may take. reset_after: pulse the reset after so
    many input beats, of the images or of the extra stream `reset_on`, then start again from the first. cache:
    folder of compiled designs (default out/build); share it between runs.

    probes: expected words of streams inside the top module, uint8 [k, ceil(width / 8)] by stream name; the top
    has the nets NAME_push and NAME_push_data. Name them in the order of the data: the first message is then
    about the first stream that differs.

    inner: the streams of the design, by which the watchdog tells which process waits for whom; those with a producer
    have a FIFO NAME_fifo in the top, with ports push and popped.

    For messages, by "in", "out" or the name of a probe or an extra stream: axes, names and sizes of the beats of an
    image, e.g. {"out": [("row", 8), ("column", 8), ("group", 2)]}; fields, what the bits of a beat are (name, bits,
    count), e.g. {"out": ("channel", 8, 16)}.

    threads: of the simulator; more than one is for large designs only (docs/guide/benches.md). progress: called
    about once a second, and at the end.

    Raises ConfigError for unfitting arguments, for RTL that Verilator refuses, and for a simulation that died.
    """
    ports = ports if isinstance(ports, Ports) else parse_ports(dict(ports))
    probes, extra_inputs = dict(probes or {}), dict(extra_inputs or {})
    extra_outputs = dict(extra_outputs or {})
    source, sink = ports.stream("in", extra_inputs), ports.stream("out", extra_outputs)
    _check_arguments(source, sink, beats_in, last_in, expected, beats_per_image, idle, backpressure, timeout_cycles)
    images = int(last_in.sum())
    _check_probes(probes, images)
    inputs = {source.name: (beats_in, last_in)} | extra_inputs
    for name, (beats, last) in extra_inputs.items():
        _check_input(f"extra_inputs['{name}']", ports.named(name, "in"), beats, last)
        if int(last.sum()) != images:
            raise ConfigError(
                f"extra_inputs['{name}']: must have a packet for each of {images} images, got {int(last.sum())}"
            )
    for name, (beats, per_image) in extra_outputs.items():
        _check_beats(f"extra_outputs['{name}']", ports.named(name, "out"), beats)
        if len(beats) != images * per_image:
            raise ConfigError(
                f"extra_outputs['{name}']: must be {images} images of {per_image} beats, got {len(beats)} beats"
            )
    equal = bool((np.diff(np.flatnonzero(last_in), prepend=-1) * images == len(beats_in)).all())
    # Messages count the beats of input packets of different lengths from the first packet on.
    counts = {"in": len(beats_in) // images if equal else len(beats_in), "out": beats_per_image}
    counts |= {name: len(words) // images for name, words in probes.items()}
    counts |= {name: len(stream) // images for name, (stream, _) in extra_inputs.items()}
    counts |= {name: per_image for name, (_, per_image) in extra_outputs.items()}
    layouts = _layouts(counts, axes or {}, fields or {})
    layouts |= {source.name: layouts.pop("in"), sink.name: layouts.pop("out")}
    reset_on = reset_on or source.name
    if reset_on not in inputs:
        raise ConfigError(f"reset_on: must be one of the input streams {', '.join(inputs)}, got '{reset_on}'")
    if reset_after is not None and not 1 <= reset_after <= len(inputs[reset_on][0]):
        raise ConfigError(
            f"reset_after: must be 1 to {len(inputs[reset_on][0])} beats of {reset_on}, got {reset_after}"
        )
    if threads < 1:
        raise ConfigError(f"threads: must be at least 1, got {threads}")

    start = time.monotonic()
    cache = cache or out / "build"
    sizes = {name: words.shape[1] for name, words in probes.items()}
    levels = [stream.name for stream in inner if stream.producer]
    binary = build(rtl, ports, cache, probes=sizes, levels=levels, waves=waves, threads=threads)
    built = time.monotonic()
    out.mkdir(parents=True, exist_ok=True)
    for stale in ("result.json", "beats.npz", "dump.vcd", PROGRESS_FILE):
        (out / stale).unlink(missing_ok=True)
    for name, (stream, last) in inputs.items():
        records.write_source(out / records.source(name), stream, last.astype(bool))
    data = out / "expected.npz"
    outputs = {sink.name: expected} | {name: beats for name, (beats, _) in extra_outputs.items()}
    named = {f"probe_{name}": words for name, words in probes.items()}
    named |= {f"expected_{name}": beats for name, beats in outputs.items()}
    np.savez(data, allow_pickle=False, **named)
    job = Job(
        ports=ports.model_dump(mode="json"),
        data=str(data.resolve()),
        source=source.name,
        sinks=list(outputs),
        beats={name: len(stream) for name, (stream, _) in inputs.items()},
        layouts=layouts,
        probes=list(probes),
        inner=list(inner),
        seed=seed,
        idle=idle,
        backpressure=backpressure,
        timeout_cycles=timeout_cycles + longest_stall(idle) + longest_stall(backpressure),
        reset_after=reset_after,
        reset_on=reset_on,
    )
    job_path = out / "job.json"
    job.save(job_path)
    _run_bench(binary, job_path.resolve(), seed, waves, cache, progress)
    result = _read_result(out)
    seconds = {
        "build": round(built - start, 3),
        "run": round(time.monotonic() - built, 3),
        "simulation": result["seconds"],
    }
    with np.load(out / "beats.npz") as received:
        beats, last = received["beats"], received["last"]
        extra_beats = {name: received[f"beats_{name}"] for name in extra_outputs}
    _remove_records(out, ports, probes)
    return SimResult(
        beats=beats,
        last=last,
        cycles=result["cycles"],
        moved=result["moved"],
        stalls=result["stalls"],
        mismatch_count=result["mismatch_count"],
        mismatches=result["mismatches"],
        probes=result["probes"],
        errors=result["errors"],
        seconds=seconds,
        waves=out / "dump.vcd" if waves else None,
        extra_beats=extra_beats,
    )


def _check_arguments(
    source: Stream,
    sink: Stream,
    beats_in: UInt8,
    last_in: Bool,
    expected: UInt8,
    beats_per_image: int,
    idle: float,
    backpressure: float,
    timeout_cycles: int,
) -> None:
    _check_beats("expected", sink, expected)
    _check_input("beats_in", source, beats_in, last_in, "last_in")
    images = int(np.count_nonzero(last_in))
    if beats_per_image < 1 or len(expected) != images * beats_per_image:
        raise ConfigError(f"expected: must be {images} images of {beats_per_image} beats, got {len(expected)} beats")
    for name, chance in (("idle", idle), ("backpressure", backpressure)):
        if not 0 <= chance < 1:
            raise ConfigError(f"{name}: must be a chance in [0, 1), got {chance}")
    if timeout_cycles < 1:
        raise ConfigError(f"timeout_cycles: must be at least 1, got {timeout_cycles}")


def _check_beats(name: str, stream: Stream, beats: UInt8) -> None:
    if beats.dtype != np.uint8 or beats.ndim != 2 or beats.shape[1] != stream.bytes or not len(beats):
        raise ConfigError(
            f"{name}: must be uint8 [beats > 0, {stream.bytes}] for stream '{stream.name}',"
            f" got {beats.dtype} {list(beats.shape)}"
        )


def _check_input(name: str, stream: Stream, beats: UInt8, last: Bool, flags: str = "") -> None:
    """flags: the name of `last`, where it is an argument by itself."""
    _check_beats(name, stream, beats)
    if last.shape != (len(beats),) or not last[-1]:
        raise ConfigError(f"{flags or name}: must be one flag per input beat, the last one set")


def _check_probes(probes: Mapping[str, UInt8], images: int) -> None:
    for name, words in probes.items():
        if words.dtype != np.uint8 or words.ndim != 2 or not words.size or len(words) % images:
            raise ConfigError(
                f"probes['{name}']: must be uint8 [words, bytes] of {images} equal images,"
                f" got {words.dtype} {list(words.shape)}"
            )


def _layouts(
    beats: Mapping[str, int],
    axes: Mapping[str, Sequence[tuple[str, int]]],
    fields: Mapping[str, tuple[str, int, int]],
) -> dict[str, Layout]:
    """The layout of each stream of `beats`, which gives the beats of an image."""
    for argument, named in (("axes", axes), ("fields", fields)):
        for name in named:
            if name not in beats:
                raise ConfigError(f"{argument}: must name streams of {', '.join(beats)}, got '{name}'")
    for name, sizes in axes.items():
        size = int(np.prod([size for _, size in sizes]))
        if size != beats[name]:
            raise ConfigError(f"axes['{name}']: must have {beats[name]} beats, as an image, got {size}")
    return {
        name: Layout(
            count,
            [(str(axis), int(size)) for axis, size in axes.get(name, ())],
            Field(*fields[name]) if name in fields else None,
        )
        for name, count in beats.items()
    }


def _remove_records(folder: Path, ports: Ports, probes: Iterable[str]) -> None:
    """What the simulation read and wrote beside its result."""
    files = ["expected.npz", PROGRESS_FILE, *map(records.probe, probes)]
    for stream in ports.streams:
        files += [records.source(stream.name), records.sink(stream.name), records.errors(stream.name)]
    for file in files:
        (folder / file).unlink(missing_ok=True)


def run_alone(
    binary: Path,
    top: str,
    module: str,
    folder: Path,
    environment: Mapping[str, str] | None = None,
    *,
    seed: int = 1,
    waves: bool = False,
    path: Sequence[str] = (),
) -> None:
    """Runs the cocotb tests of `module` on a simulator of `rtl_tb.build.build_alone`; its log is folder/sim.log.

    environment: variables for the tests; path: folders that come before those of this process where they import from.
    Raises ConfigError, with the end of the log, unless every test passed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    results = folder / "cocotb.xml"
    results.unlink(missing_ok=True)
    _run_cocotb(binary, top, module, folder, seed, waves, folder, environment or {}, path=path)
    text = results.read_text(encoding="utf-8") if results.is_file() else ""
    if "<testcase" not in text or "<failure" in text or "<error" in text:
        log = (folder / "sim.log").read_text(encoding="utf-8", errors="replace")
        raise ConfigError(f"{folder}: {module} failed; end of sim.log:\n{log_tail(log)}")


def _run_bench(
    binary: Path, job: Path, seed: int, waves: bool, cache: Path, progress: Callable[[Progress], None] | None
) -> None:
    folder = job.parent

    def look() -> None:
        if progress and (latest := read_progress(folder)):
            progress(latest)

    own = {"RTL_TB_JOB": str(job)}
    _run_cocotb(binary, harness.TOP, "rtl_tb.bench", folder, seed, waves, cache, own, look if progress else None)
    look()


def _run_cocotb(
    binary: Path,
    top: str,
    module: str,
    folder: Path,
    seed: int,
    waves: bool,
    cache: Path,
    own: Mapping[str, str],
    look: Callable[[], None] | None = None,
    path: Sequence[str] = (),
) -> None:
    """A simulator with the tests of a module, in a folder; own: environment variables of its own."""
    packages = [*path, str(Path(__file__).resolve().parent.parent), *(entry for entry in sys.path if entry)]
    environment = {
        "PYTHONPATH": os.pathsep.join(packages),
        "PYGPI_PYTHON_BIN": sys.executable,
        "GPI_USERS": f"{find_libpython.find_libpython()};{cocotb_tools.config.pygpi_entry_point()}",
        "COCOTB_TOPLEVEL": top,
        "COCOTB_TEST_MODULES": module,
        "COCOTB_RESULTS_FILE": str(folder.resolve() / "cocotb.xml"),
        "COCOTB_RANDOM_SEED": str(seed),
        "COCOTB_TRUST_INERTIAL_WRITES": "1",
        "COCOTB_ANSI_OUTPUT": "0",
        "TOPLEVEL_LANG": "verilog",
        **own,
    }
    if sys.dont_write_bytecode:
        # Each simulation starts a Python of its own, which would compile every package anew.
        environment |= {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": str(cache.resolve() / "pycache")}
    command = [str(binary.resolve()), "+verilator+rand+reset+2", f"+verilator+seed+{seed % 2**31 or 1}"]
    with (folder / "sim.log").open("w", encoding="utf-8") as log:
        command += ["--trace"] if waves else []
        run(command, folder, children.environment(environment), log, look)


def _read_result(folder: Path) -> Result:
    try:
        result: Result = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        log = (folder / "sim.log").read_text(encoding="utf-8", errors="replace")
        raise ConfigError(f"{folder}: the simulation died; end of sim.log:\n{log_tail(log)}") from None
    return result
