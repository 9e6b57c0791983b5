"""The steps of the flow, each for one engine: C simulation, HLS, co-simulation, resources.

A step reads what the step before it wrote into the user's folder, writes its own result there, and is left out when
nothing that it depends on has changed. They run in worker processes, one engine at a time in each.
"""

from __future__ import annotations

import platform
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from openhls.driver.compile import compile_hls
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from psconv.common.fresh import Work, content_key, step, unless_fresh, versions, write_json, write_npz
from psconv.common.parallel import in_workers
from psconv.common.places import CSIM, ENGINE, INCLUDE, OPENHLS
from psconv.common.sources import code
from psconv.flow import csim, network_steps
from psconv.flow.bench import bench, inner_streams, simulator, summary
from psconv.flow.config import RunConfig
from psconv.flow.csim import SOURCE, TOP
from psconv.flow.layout import DESIGNS, Layout
from psconv.flow.settings import HLS_PACKAGES, SIMULATION_PACKAGES, SYNTHESIS_PACKAGES, Settings
from psconv.flow.subject import Engine, Subject, engine_input, make_subject
from psconv.report.network import network_report
from psconv.report.render import write_report
from psconv.synthesis.place_route import check_routable, clock_report, place_and_route
from psconv.synthesis.resources import seen_by_yosys, synthesise, trace_operands
from psconv.synthesis.targets import load_target
from psconv.vendor import step as vendor
from pymodel.common.errors import ConfigError
from pymodel.common.files import write_text
from pymodel.common.records import read_json, read_npz, reading
from pymodel.counts.storage import support_storage
from pymodel.engine import cpp as header
from pymodel.engine import cycles
from pymodel.engine.packing import unpack_beats
from pymodel.golden import model as golden_model
from pymodel.golden.native import build as native
from rtl_tb.progress import Progress as SimProgress
from rtl_tb.runner import SimResult

HLS_TOOLS = ("open", *vendor.TOOLS)
PACKAGES = ("numpy", *HLS_PACKAGES, *SIMULATION_PACKAGES, *SYNTHESIS_PACKAGES)


@dataclass(frozen=True)
class Run:
    """One run of the flow: its configuration, subject and settings."""

    config: RunConfig
    path: Path
    subject: Subject
    settings: Settings


def prepare(
    config: RunConfig,
    path: Path,
    out: Path,
    *,
    target: str | None = None,
    clock_ns: float | None = None,
    waves: bool = False,
    pnr: bool = False,
    simulators: Path | None = None,
) -> Run:
    """The run that `config`, read from `path`, describes; writes the resolved configuration. Raises ConfigError."""
    try:
        chosen = load_target(config.target if target is None else target)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}" if target is None else f"--{error}") from error
    if pnr:
        check_routable(chosen)
    period = next(period for period in (clock_ns, config.clock_ns, chosen.clock_ns) if period is not None)
    settings = Settings(Layout(out), chosen, period, config.seed, config.stalls, waves, pnr, simulators)
    run = Run(config, path, make_subject(config, path, chosen), settings)
    resolved = config.model_dump() | {"target": chosen.name, "clock_ns": period}
    names = [design.name for design in run.subject.designs]
    write_json(run.settings.layout.config, {"file": str(path), **resolved, DESIGNS: names})
    return run


@step
def golden_step(engine: Engine, settings: Settings) -> Work:
    """Writes what the golden model computed with the subject."""
    layout, name = settings.layout, engine.name
    result = layout.golden(name)
    return Work(
        result,
        content_key(engine.x, engine.y),
        lambda: write_npz(result, x=engine.x, y=engine.y),
        outdated=(layout.csim(name), layout.cosim(name)),
    )


@step
def csim_step(engine: Engine, settings: Settings) -> Work:
    """C++ compiled as a program, on the same images; compiled again only where the engine has changed."""
    result, folder = settings.layout.csim(engine.name), settings.layout.build(engine.name) / "csim"
    program = content_key(ENGINE, INCLUDE, CSIM, code("psconv.flow.csim"), engine.header, versions("ziglang"))

    def compiled() -> None:
        write_text(folder / header.FILE_NAME, engine.header)
        csim.build(folder)

    def make() -> None:
        unless_fresh(csim.program(folder), program, compiled)
        write_npz(result, y=csim.run(csim.program(folder), engine.x, engine.shape))

    return Work(result, content_key(program, engine.x), make)


@step
def synth_step(engine: Engine, settings: Settings) -> Work:
    """C++ to SystemVerilog through the open flow."""
    folder = settings.layout.synth(engine.name)
    key = content_key(
        ENGINE,
        INCLUDE,
        OPENHLS,
        engine.header,
        settings.target.openhls,
        settings.clock_ns,
        versions(*HLS_PACKAGES),
    )

    def make() -> None:
        config = settings.layout.build(engine.name) / "synth"
        write_text(config / header.FILE_NAME, engine.header)
        compile_hls(
            [SOURCE],
            TOP,
            include_dirs=[INCLUDE, ENGINE, config],
            target=settings.target.openhls,
            clock_ns=settings.clock_ns,
            out=folder,
            cache=settings.process_cache,
        )
        shutil.copy2(config / header.FILE_NAME, folder)
        cycles.check(engine.shape, read_json(folder / "schedule.json"))

    return Work(folder / "ports.json", key, make, (folder / "rtl", folder / "schedule.json", folder / header.FILE_NAME))


@step
def cosim_step(engine: Engine, settings: Settings) -> Work:
    """The RTL in Verilator: once without a stall on all images, once with random stalls on the first few."""
    layout, folder = settings.layout, settings.layout.synth(engine.name)
    result = layout.cosim(engine.name)
    rtl = sorted((folder / "rtl").glob("*.sv"))
    stalls = settings.stalls
    key = content_key(
        simulator(),
        folder / "rtl",
        folder / "ports.json",
        engine.x,
        engine.y,
        settings.seed,
        stalls.model_dump(),
        settings.waves,
    )

    def one(images: int, name: str, idle: float, backpressure: float) -> SimResult:
        ports, schedule = read_json(folder / "ports.json"), read_json(folder / "schedule.json")
        return bench(
            engine,
            settings,
            rtl,
            ports,
            layout.build(engine.name) / name,
            images,
            idle,
            backpressure,
            cycles.quiet(engine.shape, schedule),
            inner=inner_streams(schedule),
        )

    def make() -> None:
        full = one(len(engine.x), "free", 0.0, 0.0)
        whole = len(full.beats) // engine.shape.out_beats * engine.shape.out_beats
        record: dict[str, Any] = {"free": summary(full)}
        if images := min(stalls.images, len(engine.x)):
            record["stalled"] = summary(one(images, "stalled", stalls.input, stalls.output)) | {
                "images": images,
                "input": stalls.input,
                "output": stalls.output,
            }
        write_json(result.with_suffix(".json"), record)
        write_npz(result, y=unpack_beats(full.beats[:whole], engine.shape))

    return Work(result, key, make, (result.with_suffix(".json"),))


@step
def resources_step(engine: Engine, settings: Settings) -> Work:
    """LUT, FF, DSP, BRAM after yosys; the path from ring to multiplier; with `pnr` the ECP5's Fmax."""
    result = settings.layout.resources(engine.name)
    rtl = sorted((settings.layout.synth(engine.name) / "rtl").glob("*.sv"))
    key = content_key(
        seen_by_yosys(rtl),
        settings.target.model_dump(),
        settings.pnr and settings.clock_ns,
        code("psconv.synthesis.resources", "psconv.synthesis.place_route"),
        versions(*SYNTHESIS_PACKAGES),
    )

    def make() -> None:
        target = settings.target
        record = synthesise(rtl, TOP, target) | {"target": target.name, "operands": trace_operands(rtl, TOP, "pe")}
        if settings.pnr:
            record["pnr"] = place_and_route(rtl, TOP, target, settings.clock_ns)
        write_json(result, record)

    return Work(result, key, make)


def report(run: Run) -> dict[str, Any]:
    """Compares and counts what the steps wrote, and writes the report; returns report.json's content."""
    layout, bundle = run.settings.layout, run.subject.bundle
    whole = network_report(run.subject.whole, run.settings) if run.subject.whole else None
    layers = whole["layers"] if whole else [_layer_report(engine, run.settings) for engine in run.subject.engines]
    ok = all(
        not layer.get("errors")
        and not any(layer["mismatches"].values())
        and layer.get("cycles_model") == layer.get("cycles_sim")
        and not any(tool["errors"] or tool["mismatches"] for tool in layer.get("tools", {}).values())
        for layer in layers
    )
    if whole:
        network = whole["network"]
        ok &= not network["errors"] and not any(network["mismatches"].values()) and network["image_ends_agree"]
        ok &= network["cycles_model"] == network["cycles_sim"]
        ok &= all(port["beats"] == port["beats_sim"] for port in network["weights"])
        ok &= all(memory["model"] in (None, memory["bits"]) for memory in network["memory"])
    data = {
        "title": f"{bundle.network.name}: {run.path}",
        "ok": ok,
        "layers": layers,
        "network": whole["network"] if whole else None,
        "accuracy": _accuracy(run),
        "clock_ns": run.settings.clock_ns,
        "target": run.settings.target.name,
        "budgets": run.settings.target.budgets.model_dump(),
        "provenance": {
            "configuration": str(run.path),
            "seed": str(run.settings.seed),
            "images": f"{len(run.subject.images)} ({run.config.images.source})",
            "golden model": f"convolutions by {native.describe()}",
            "HLS": "open (embedded: clang, LLVM, CIRCT)",
            "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
            "python": platform.python_version(),
            **{name: version(name) for name in PACKAGES},
        },
    }
    return write_report(data, layout.report).model_dump()


def _layer_report(engine: Engine, settings: Settings) -> dict[str, Any]:
    layout, shape, name = settings.layout, engine.shape, engine.name
    schedule = read_json(layout.synth(name) / "schedule.json")
    simulated = read_json(layout.cosim(name).with_suffix(".json"))
    resources = read_json(layout.resources(name))
    free = simulated["free"]
    model = cycles.latency(shape, schedule, len(engine.x), free["start"])
    storage = support_storage(shape.support, shape.cout, shape.cin, shape.weight_bits)
    return {
        "name": name,
        "shape": shape.summary,
        "variant": shape.support.name,
        "images": len(engine.x),
        "elements": engine.y.size,
        "mismatches": {"csim": int((_load(layout.csim(name)) != engine.y).sum())}
        | {"cosim" if run == "free" else run: result["mismatch_count"] for run, result in simulated.items()},
        "errors": [error for result in simulated.values() for error in result["errors"]],
        "lanes": shape.lanes,
        "multipliers": shape.multipliers,
        "scale_multipliers": shape.scale_multipliers,
        "macs": shape.macs,
        "cycles_model": model.total,
        "cycles_sim": free["cycles"]["total"],
        "fill": model.fill,
        "utilisation": len(engine.x) * shape.macs / (shape.lanes * free["cycles"]["total"]),
        "resources": resources["total"],
        "fmax_mhz": resources["pnr"]["fmax_mhz"] if "pnr" in resources else None,
        "clock": clock_report(resources["pnr"]) if "pnr" in resources else None,
        # The trace stops at the nearest register, and a fold's choice may be spread over two of them.
        "multiplexer_free": resources["operands"]["multiplexer_free"] and shape.fold == 1,
        "weight_bits": storage["periodic"].weight_bits,
        "index_bits": storage["periodic"].index_bits,
        "padding_bits": shape.padding_bits,
        "index_bits_per_weight": storage["per_weight"].index_bits,
        "dense_bits": storage["dense"].weight_bits,
        "stages": [
            {key: process[key] for key in ("name", "stages", "ii", "iterations")} for process in schedule["processes"]
        ],
        "structure": _structure(resources["operands"]),
        "modules": _modules(resources["modules"]),
        "seconds": {
            "co-simulation": sum(free["seconds"].values()),
            "yosys": resources["seconds"],
            "HLS": sum(schedule["seconds"].values()),
        },
        "tools": {tool: record for tool in vendor.TOOLS if (record := vendor.stored(tool, engine, settings))},
    }


def _structure(operands: dict[str, Any]) -> dict[str, Any]:
    return {
        "multipliers": operands["multipliers"],
        "cells_between": sum(operands["cells_between"].values()),
        "choices": operands["max_choices"],
        "weights_from_memory": operands["weights_from_memory"],
        "packing_adders": operands["packing_adders"],
        "memories": [f"{m['name']} ({m['kind']}) {m['depth']}x{m['width']}" for m in operands["memories"]],
    }


def _modules(modules: dict[str, dict[str, float]]) -> list[dict[str, Any]]:
    """Of each module that has cells of its own: all its instances together."""
    found = []
    for name, counts in modules.items():
        times = int(counts["instances"])
        cells = {kind: times * counts[kind] for kind in ("LUT", "FF", "DSP", "BRAM")}
        if any(cells.values()):
            found.append({"name": name, "instances": times, "resources": cells})
    return found


def _accuracy(run: Run) -> dict[str, Any] | None:
    """Hits by the golden model and by the RTL: each engine's RTL output carried on through the whole network."""
    subject, layout = run.subject, run.settings.layout
    if subject.labels is None:
        return None
    bundle, last = subject.bundle, subject.bundle.network.output

    def hits(scores: np.ndarray) -> int:
        return int((scores.reshape(len(scores), -1).argmax(axis=1) == subject.labels).sum())

    result = {"dataset": run.config.images.source, "images": len(subject.images), "golden": hits(subject.outputs[last])}
    if subject.whole:
        y = _load(layout.cosim(subject.whole.name))
        return result | {"rtl": hits(y) if len(y) == len(subject.images) else None}
    simulated = {engine.name: _load(layout.cosim(engine.name)) for engine in subject.engines}
    if any(len(y) != len(subject.images) for y in simulated.values()):
        return result  # some RTL stopped before the last image
    outputs = golden_model.run(bundle, subject.images, simulated)
    # The RTL of a layer saw the golden model's inputs: its outputs count only if those before it led to the same.
    chained = all(np.array_equal(engine_input(bundle, e.name, outputs), e.x) for e in subject.engines)
    return result | {"rtl": hits(outputs[last]) if chained else None}


def _load(path: Path) -> np.ndarray:
    arrays = read_npz(path)
    with reading(path):
        return arrays["y"]


# Title, the step for one layer's engine, the step for a whole network.
STEPS: dict[str, tuple[str, Callable[..., None], Callable[..., None]]] = {
    "golden": ("golden model", golden_step, network_steps.golden_step),
    "csim": ("C simulation", csim_step, network_steps.csim_step),
    "synth": ("HLS: C++ to RTL", synth_step, network_steps.synth_step),
    "cosim": ("co-simulation (Verilator)", cosim_step, network_steps.cosim_step),
    "resources": ("resources (yosys)", resources_step, network_steps.resources_step),
}


def run_step(name: str, run: Run, console: Console) -> None:
    """Runs a step for every design that it is not done for, one on each core, the largest first; shows progress."""
    title, layer_step, network_step = STEPS[name]
    if run.subject.whole:
        _run_network_step(name, title, network_step, run, console)
        return
    engines = sorted(run.subject.engines, key=lambda e: -e.shape.lanes)
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[last]}", markup=False),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, transient=False) as progress:
        task = progress.add_task(f"{title:<28}", total=len(engines), last="")
        todo = [engine for engine in engines if not layer_step.plan(engine, run.settings).done]
        progress.update(task, advance=len(engines) - len(todo))
        in_workers(
            layer_step,
            [(engine, run.settings) for engine in todo],
            lambda at: progress.update(task, advance=1, last=todo[at].name),
        )


def _run_network_step(name: str, title: str, step: Callable[..., None], run: Run, console: Console) -> None:
    """One step for a whole network; those that take long tell how far they are."""
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.fields[state]}", markup=False),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, transient=False) as progress:
        task = progress.add_task(f"{title:<28}", total=None, state="")

        def show(now: SimProgress) -> None:
            left = "" if now.seconds_left is None else f", {now.seconds_left:,.0f} s left"
            progress.update(
                task,
                total=now.expected,
                completed=now.beats,
                state=f"{now.cycles:,} cycles, {now.cycles_per_second:,.0f}/s{left}",
            )

        def count(now: int, all: int) -> None:
            progress.update(task, total=all, completed=now, state=f"{now} of {all} modules")

        step(run.subject.whole, run.settings, *{"cosim": [show], "resources": [count]}.get(name, []))
        progress.update(task, total=1, completed=1)
