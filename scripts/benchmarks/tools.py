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

from psconv.common.fresh import Step
from psconv.flow import run as flow
from psconv.flow import steps
from psconv.flow.config import RunConfig
from psconv.flow.design import Design
from psconv.flow.generated import random_images
from psconv.flow.hls import Synthesised
from psconv.flow.run import Run
from psconv.flow.settings import HLS_PACKAGES, SIMULATION_PACKAGES, Settings
from psconv.flow.vectors import load_vectors
from rtl_tb.build import build
from rtl_tb.ports import parse_ports
from scripts.benchmarks.frame import Table
from scripts.benchmarks.stopwatch import Seconds, shortest, timed
from scripts.designs import engine_of

PACKAGES = ("numpy", *HLS_PACKAGES, *SIMULATION_PACKAGES)
LAYERS = ((64, 32), (256, 8), (512, 4))  # channels, rows and columns of the image
VARIANT, LANES = "PSD1_P16", 24
ROUNDS = 2  # of HLS; the quicker one counts
HLS_SECONDS, BUILD_SECONDS, CYCLES_PER_SECOND = 15, 60, 100_000  # the aims
STEPS: dict[str, Step[...]] = {
    "C simulation": steps.csim_step,
    "HLS": steps.synth_step,
    "co-simulation": steps.cosim_step,
}


def run(folder: Path, progress: Callable[[str], None]) -> list[Table]:
    """HLS, simulators, and the steps again; all tools have run once before the first of these."""
    shutil.rmtree(folder, ignore_errors=True)  # every first run is one
    progress("warming up")
    library = _library(case(16, 4, folder / "warm", 0), folder)
    hls, simulators, again = [], [], []
    for channels, size in LAYERS:
        progress(f"{channels} channels: HLS")
        hls.append(_hls(channels, size, folder))
        progress(f"{channels} channels: simulators, and every step again")
        row, rows = _steps(_runs(channels, size, folder))
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


def case(channels: int, size: int, out: Path, seed: int, images: int | None = None) -> Run:
    """A run of a layer with as many output as input channels, its golden vectors written.

    seed: of the weights. images: seed of other images than that gives.
    """
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
    if images is not None:
        rng = np.random.default_rng(images)
        x = random_images(rng, made.inputs.bundle.formats["input"], made.inputs.images.shape)
        made = replace(made, inputs=replace(made.inputs, images=x))
    steps.golden_step(made.designs, made.settings, made.inputs)
    return made


def _runs(channels: int, size: int, folder: Path) -> dict[str, Callable[[], Run]]:
    """What makes a run: as it is, with other images, then with other weights too. Each writes its golden vectors."""
    out = folder / f"{channels}x{size}"
    return {
        "first": lambda: case(channels, size, out, 0),
        "nothing": lambda: case(channels, size, out, 0),
        "images": lambda: case(channels, size, out, 0, images=1),
        "weights": lambda: case(channels, size, out, 1, images=1),
    }


def _hls(channels: int, size: int, folder: Path) -> dict[str, Any]:
    """The row of one layer's HLS: itself, with other weights, with four times the pixels."""
    scratch = folder / "hls"
    run, other = case(channels, size, scratch, 0), case(channels, size, scratch, 1)
    larger = case(channels, 2 * size, scratch, 0)
    plain, rtl, seconds = _compiled(run, scratch / "plain")
    weights, changed_rtl, _ = _compiled(other, scratch / "weights")
    image, _, _ = _compiled(larger, scratch / "image")
    engine, top = engine_of(run.designs[0]), run.designs[0].dataflow.top
    names = sorted(name for name in rtl.keys() | changed_rtl.keys() if rtl.get(name) != changed_rtl.get(name))
    return {
        "layer": engine.shape.summary,
        "weights": int(np.count_nonzero(engine.weights)),
        **seconds,
        **plain.row("HLS"),
        "in time": plain.wall < HLS_SECONDS,
        "other weights s": weights.wall,
        "over": weights.processor / plain.processor,
        "4x image s": image.wall,
        "over ": image.processor / plain.processor,
        "RTL changed": ", ".join(name.removeprefix(f"{top}_").removesuffix(".sv") for name in names),
    }


def _compiled(run: Run, out: Path) -> tuple[Seconds, dict[str, str], dict[str, float]]:
    """Seconds of HLS from nothing, the RTL's files by name, the seconds of its steps."""
    [design], settings = run.designs, run.settings
    there = replace(settings, layout=replace(settings.layout, root=out))

    def once() -> None:
        shutil.rmtree(out, ignore_errors=True)
        steps.synth_step(design, there)

    seconds = shortest(once, ROUNDS)
    made = Synthesised(there.layout.synth(design.name))
    rtl = {path.name: path.read_text(encoding="utf-8") for path in made.rtl}
    return seconds, rtl, made.schedule["seconds"]


def _steps(runs: dict[str, Callable[[], Run]]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The row of the simulators, and one of each step: first, again, and with the changes one after the other."""
    columns: dict[str, dict[str, Seconds]] = {step: {} for step in STEPS}
    record: dict[str, Any] = {}
    for column, make in runs.items():
        run = make()
        [design], settings = run.designs, run.settings
        for name, step in STEPS.items():
            columns[name][column] = timed(lambda: step(design, settings))  # noqa: B023
        check(design, settings)
        if column == "first":
            record = json.loads(settings.layout.simulation(design.name).read_text())["free"]
    engine = engine_of(design)
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


def check(design: Design, settings: Settings) -> None:
    """Raises AssertionError where C simulation or RTL differ from the golden model."""
    layout = settings.layout
    expected = load_vectors(layout, design).outputs[design.layer]
    for path in (layout.csim(design.name), layout.cosim(design.name)):
        with np.load(path) as arrays:
            assert np.array_equal(arrays["y"], expected), path
    result = json.loads(layout.simulation(design.name).read_text())["free"]
    assert not result["errors"] and not result["mismatch_count"], result["errors"]


def _library(run: Run, folder: Path) -> Seconds:
    """Seconds of what Verilator compiles once for all designs. Warms up every tool."""
    [design], settings = run.designs, run.settings
    for step in STEPS.values():
        step(design, settings)
    made = Synthesised(settings.layout.synth(design.name))
    rtl, ports = made.rtl, parse_ports(made.ports)
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
