"""What the flow's own tools take for a layer of ResNet18, and what a second run takes when little or nothing changed.

Three 3x3 layers of the network as engines of 24 lanes. Their layer has a fixed shift and accumulator, so that other
weights change the ROMs alone. Every simulation is compared with the golden model as in any run of the flow.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from psconv.flow import run as flow
from psconv.flow.config import RunConfig
from psconv.flow.settings import HLS_PACKAGES, SIMULATION_PACKAGES, Settings
from psconv.flow.subject import LAYER, Engine
from pymodel.golden import model as golden
from rtl_tb.build import build
from rtl_tb.ports import parse_ports
from scripts.benchmarks.frame import Table
from scripts.benchmarks.stopwatch import Seconds, shortest, timed

PACKAGES = ("numpy", *HLS_PACKAGES, *SIMULATION_PACKAGES)
LAYERS = ((64, 32), (256, 8), (512, 4))  # channels, rows and columns of the image
VARIANT, LANES = "PSD1_P16", 24
ROUNDS = 2  # of HLS; the quicker one counts
HLS_SECONDS, BUILD_SECONDS, CYCLES_PER_SECOND = 15, 60, 100_000  # the aims
STEPS = {"C simulation": flow.csim_step, "HLS": flow.synth_step, "co-simulation": flow.cosim_step}


def run(folder: Path, progress: Callable[[str], None]) -> list[Table]:
    """HLS, simulators, and the steps again; all tools have run once before the first of these."""
    shutil.rmtree(folder, ignore_errors=True)  # every first run is one
    progress("warming up")
    engine, settings, _ = case(16, 4, folder / "warm", 0)
    library = _library(engine, settings, folder)
    hls, simulators, again = [], [], []
    for channels, size in LAYERS:
        base, changes = _variants(channels, size, folder)
        progress(f"{base[0].shape.summary}: HLS")
        hls.append(_hls(*base, channels, size, folder))
        progress(f"{base[0].shape.summary}: simulators, and every step again")
        row, rows = _steps(*base, changes)
        simulators.append(row)
        again += rows
    return [
        Table(
            f"HLS, {VARIANT}, {LANES} lanes",
            hls,
            (
                f"Seconds of compile_hls without its cache, by schedule.json and in all; the better of {ROUNDS} runs. "
                "weights: nonzero ones. other weights: all of them and all biases changed; RTL changed: the files that "
                f"differ then. Aim: {HLS_SECONDS} s.",
            ),
        ),
        Table(
            f"Simulators, {VARIANT}, {LANES} lanes, one image",
            simulators,
            (
                "Build: Verilator and g++, from RTL to a program. Cycles per second with every check of the bench on, "
                "one thread. C simulation: compiled and run, clang's own C++ library being there (the first program "
                "on a machine takes about a minute more). "
                f"What Verilator compiles for all designs, once per user: {library.wall:.1f} s "
                f"({library.processor:.1f} s of processors). "
                f"Aims: {BUILD_SECONDS} s, {CYCLES_PER_SECOND:,} cycles/s.",
            ),
        ),
        Table(
            "Seconds of each step, and again",
            again,
            (
                "first: in an empty folder. nothing: the same again. images: other images, the engine as before. "
                "weights: all weights changed after that, the images as before. Co-simulation: build and run.",
            ),
        ),
    ]


def case(channels: int, size: int, out: Path, seed: int) -> tuple[Engine, Settings, Any]:
    """The engine of a layer with as many output as input channels, the run's settings, its subject."""
    config = RunConfig.model_validate(
        {
            "psconv": 1,
            "seed": seed,
            "images": {"count": 1},
            "stalls": {"images": 0},
            "parallelism": {"lanes": LANES},
            "layer": {
                "in_channels": channels,
                "out_channels": channels,
                "height": size,
                "width": size,
                "support": VARIANT,
                "relu": True,
                "shift": 10,
                "accumulator_bits": 32,
            },
        }
    )
    made = flow.prepare(config, Path(f"{channels}x{size}.yaml"), out)
    [engine] = made.subject.engines
    return engine, made.settings, made.subject


def _variants(channels: int, size: int, folder: Path) -> tuple[tuple[Engine, Settings], dict[str, Engine]]:
    """An engine with its settings, and the same with other images, then with other weights too."""
    out = folder / f"{channels}x{size}"
    first, settings, _ = case(channels, size, out, 0)
    other, _, _ = case(channels, size, out, 1)
    _, _, subject = case(channels, size, out, 0)
    y = golden.run(subject.bundle, other.x)[LAYER]
    return (first, settings), {"images": replace(first, x=other.x, y=y), "weights": other}


def _hls(engine: Engine, settings: Settings, channels: int, size: int, folder: Path) -> dict[str, Any]:
    """The row of one layer's HLS: itself, with other weights, with four times the pixels."""
    scratch = folder / "hls"
    other, _, _ = case(channels, size, scratch, 1)
    larger, _, _ = case(channels, 2 * size, scratch, 0)
    plain, rtl, steps = _compiled(engine, settings, scratch / "plain")
    weights, changed_rtl, _ = _compiled(other, settings, scratch / "weights")
    image, _, _ = _compiled(larger, settings, scratch / "image")
    names = sorted(name for name in rtl.keys() | changed_rtl.keys() if rtl.get(name) != changed_rtl.get(name))
    return {
        "layer": engine.shape.summary,
        "weights": int(np.count_nonzero(engine.weights)),
        **steps,
        **plain.row("HLS"),
        "in time": plain.wall < HLS_SECONDS,
        "other weights s": weights.wall,
        "over": weights.processor / plain.processor,
        "4x image s": image.wall,
        "over ": image.processor / plain.processor,
        "RTL changed": ", ".join(name.removeprefix("psconv_engine_").removesuffix(".sv") for name in names),
    }


def _compiled(engine: Engine, settings: Settings, out: Path) -> tuple[Seconds, dict[str, str], dict[str, float]]:
    """Seconds of HLS from nothing, the RTL's files by name, the seconds of its steps."""
    there = replace(settings, layout=replace(settings.layout, root=out))

    def once() -> None:
        shutil.rmtree(out, ignore_errors=True)
        flow.synth_step(engine, there)

    seconds = shortest(once, ROUNDS)
    made = there.layout.synth(engine.name)
    rtl = {path.name: path.read_text(encoding="utf-8") for path in (made / "rtl").glob("*.sv")}
    return seconds, rtl, json.loads((made / "schedule.json").read_text(encoding="utf-8"))["seconds"]


def _steps(
    engine: Engine, settings: Settings, changes: dict[str, Engine]
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The row of the simulators, and one of each step: first, again, and with the changes one after the other."""
    columns: dict[str, dict[str, Seconds]] = {step: {} for step in STEPS}
    record: dict[str, Any] = {}
    for column, subject in ({"first": engine, "nothing": engine} | changes).items():
        for name, step in STEPS.items():
            columns[name][column] = timed(lambda: step(subject, settings))  # noqa: B023
        check(subject, settings)
        if column == "first":
            record = json.loads(settings.layout.cosim(engine.name).with_suffix(".json").read_text())["free"]
    rate = record["cycles"]["simulated"] / record["seconds"]["simulation"]
    build_seconds = record["seconds"]["build"]
    simulators = {
        "layer": engine.shape.summary,
        "C simulation s": columns["C simulation"]["first"].wall,
        "build s": build_seconds,
        "built in time": build_seconds < BUILD_SECONDS,
        "cycles": record["cycles"]["simulated"],
        "simulation s": record["seconds"]["simulation"],
        "cycles per second": rate,
        "fast enough": rate >= CYCLES_PER_SECOND,
    }
    rows = [
        {"layer": engine.shape.summary, "step": name} | {column: s.wall for column, s in found.items()}
        for name, found in columns.items()
    ]
    return simulators, rows


def check(engine: Engine, settings: Settings) -> None:
    """Raises AssertionError where C simulation or RTL differ from the golden model."""
    layout = settings.layout
    for path in (layout.csim(engine.name), layout.cosim(engine.name)):
        with np.load(path) as arrays:
            assert np.array_equal(arrays["y"], engine.y), path
    result = json.loads(layout.cosim(engine.name).with_suffix(".json").read_text())["free"]
    assert not result["errors"] and not result["mismatch_count"], result["errors"]


def _library(engine: Engine, settings: Settings, folder: Path) -> Seconds:
    """Seconds of what Verilator compiles once for all designs. Warms up every tool."""
    for step in STEPS.values():
        step(engine, settings)
    rtl = sorted((settings.layout.synth(engine.name) / "rtl").glob("*.sv"))
    ports = parse_ports(json.loads((settings.layout.synth(engine.name) / "ports.json").read_text()))
    with _new_user(folder / "user"):
        first = timed(lambda: build(rtl, ports, folder / "first"))
        second = timed(lambda: build(rtl, ports, folder / "second"))
    return Seconds(first.wall - second.wall, first.processor - second.processor)


@contextmanager
def _new_user(home: Path) -> Iterator[None]:
    """A cache folder that is empty."""
    before = os.environ.get("XDG_CACHE_HOME")
    os.environ["XDG_CACHE_HOME"] = str(home.resolve())
    yield
    if before is None:
        del os.environ["XDG_CACHE_HOME"]
    else:
        os.environ["XDG_CACHE_HOME"] = before
