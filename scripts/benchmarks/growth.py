"""How tools, simulation and hardware grow: with lanes, with weights, with the image, with the batch.

Each series has one thing that grows and everything else fixed, and an exponent: the slope of a least squares fit on
the logarithms, of processor time where it is about time. Times are taken with one process at a time; synthesis, of
which only the cells and Fmax are of interest, runs on all cores.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from psconv.common import plots
from psconv.common.parallel import in_workers
from psconv.flow import run as flow
from psconv.flow import steps
from psconv.flow.config import RunConfig
from psconv.flow.design import Design
from psconv.flow.hls import Synthesised
from psconv.flow.settings import HLS_PACKAGES, SIMULATION_PACKAGES, SYNTHESIS_PACKAGES, Settings
from psconv.synthesis.place_route import place_and_route
from psconv.synthesis.resources import synthesise
from pymodel.golden import model as golden
from pymodel.network.bundle import Bundle
from pymodel.network.random_bundle import random_bundle
from pymodel.network.topology import INPUT, Conv, InputSpec, Network
from pymodel.network.zoo import make_network
from scripts.benchmarks.frame import Table
from scripts.benchmarks.generated import CLOCK_NS
from scripts.benchmarks.golden import numpy_only
from scripts.benchmarks.stopwatch import Seconds, exponent, shortest, timed
from scripts.designs import engine_of

PACKAGES = ("numpy", *HLS_PACKAGES, *SIMULATION_PACKAGES, *SYNTHESIS_PACKAGES)
VARIANT, TARGET = "PSD1_P8", "ulx3s_85f"  # N = 16: lanes are powers of two
CHANNELS, SIZE = 64, 8  # of the layer that engines of all numbers of lanes compute
PARALLELISM = {
    8: {"fold": 2},
    32: {"Tb": 2},
    64: {"Tb": 2, "To": 2},
    128: {"Tb": 4, "To": 2},
    256: {"Tb": 4, "To": 4},
    512: {"Tb": 8, "To": 4},
}
SYNTHESISED = (512, 64, 32, 8)  # lanes, the longest first
PLACED = 64  # lanes at most: with 128 nextpnr takes more than eight minutes
SIMULATED_CYCLES = 30_000  # at least: images enough for so many
OUTPUTS = (64, 128, 256, 512)  # output channels, with them weights, at 16 lanes
SIZES = (8, 16, 32, 64)  # rows and columns of an image
BATCHES = (1, 4, 16, 64)
NUMPY_BATCHES = (1, 4, 16)
LINEAR, FLAT = 1.1, 0.15  # largest exponents of what should be linear, and of what should not grow

Row = dict[str, Any]


@dataclass(frozen=True)
class Measured:
    """The rows of every series, smallest first. lanes: with the cells of the engines that were synthesised, else None.

    golden_images, golden_batches: by model. The keys of a row are the columns of its table.
    """

    lanes: list[Row]
    weights: list[Row]
    images: list[Row]
    golden_images: dict[str, list[Row]]
    golden_batches: dict[str, list[Row]]


def run(folder: Path, progress: Callable[[str], None]) -> list[Table]:
    """The series, their exponents, and a plot of each in `folder`."""
    return evaluated(_measured(folder, progress), folder)


def evaluated(measured: Measured, folder: Path) -> list[Table]:
    """A table of the exponents and one of each series; a plot of each in `folder`."""
    fits = []
    for name, size, rows, limits in _series(measured):
        curves = {key: _curve(rows, size, f"{key} processor s") for key in limits}
        plots.write(plots.growth(curves, size, "processor time, s", name), folder / name.replace(" ", "_"))
        fits += [
            _fit(name, key, size, exponent(*curves[key]), exponent(*_curve(rows, size, f"{key} s")), limit)
            for key, limit in limits.items()
        ]
    lanes = measured.lanes
    area = {key: _curve(lanes, "lanes", key) for key in ("LUT", "FF", "DSP")}
    plots.write(plots.growth(area, "lanes", "cells", f"{VARIANT} on {TARGET}"), folder / "cells")
    speed = {key: _curve(lanes, "lanes", key) for key in ("Fmax MHz",)}
    plots.write(plots.against(speed, "lanes", "MHz", f"{VARIANT} on {TARGET}, place and route"), folder / "fmax")
    fits += [_fit("lanes", f"{key} (cells)", "lanes", exponent(*area[key]), None, LINEAR) for key in area]
    return [
        Table(
            "Exponents",
            fits,
            (
                "Slope of log time over log size, of processor seconds; that of wall seconds beside it. 1 is linear. A "
                f"fixed part makes it less. Plots: {folder.name}/*.svg, *.png.",
            ),
        ),
        Table(
            f"Engines of 8 to 512 lanes, {VARIANT}, {CHANNELS}x{SIZE}x{SIZE}->{CHANNELS}",
            lanes,
            (
                f"Open flow for {TARGET} and {CLOCK_NS[TARGET]} ns. cycle: of the simulation with all checks, in "
                f"seconds. Cells: yosys; Fmax: nextpnr, out of context, up to {PLACED} lanes. An empty place: not "
                "synthesised, or not placed.",
            ),
        ),
        Table(f"HLS against weights, {VARIANT}, 16 lanes, {CHANNELS} input channels", measured.weights),
        Table(f"HLS against pixels, {VARIANT}, 16 lanes, {CHANNELS}->{CHANNELS} channels", measured.images),
        *(Table(f"Golden model against pixels: {model}", rows) for model, rows in measured.golden_images.items()),
        *(Table(f"Golden model against the batch: {model}", rows) for model, rows in measured.golden_batches.items()),
    ]


def _series(measured: Measured) -> Iterator[tuple[str, str, list[Row], dict[str, float]]]:
    """Every series: its name, what grows in it, its rows, and the largest exponent of each time."""
    yield "lanes", "lanes", measured.lanes, {"HLS": LINEAR, "Verilator": LINEAR, "cycle": LINEAR}
    yield "weights", "weights", measured.weights, {"HLS": FLAT}
    yield "image", "pixels", measured.images, {"HLS": FLAT}
    for model, rows in measured.golden_images.items():
        yield f"golden {model} image", "pixels", rows, {"kernel": LINEAR, "numpy": LINEAR}
    for model, rows in measured.golden_batches.items():
        yield f"golden {model} batch", "batch", rows, {"kernel": LINEAR, "numpy": LINEAR}


def _fit(series: str, time_of: str, against: str, grown: float, wall: float | None, aim: float) -> Row:
    return {
        "series": series,
        "time of": time_of,
        "against": against,
        "exponent": grown,
        "of wall time": wall,
        "aim": aim,
        "met": grown <= aim,
    }


def _measured(folder: Path, progress: Callable[[str], None]) -> Measured:
    """Takes all times, one process at a time, in `folder`, which is emptied first."""
    shutil.rmtree(folder, ignore_errors=True)
    steps.synth_step(*_engine(8, CHANNELS, SIZE, folder / "warm"))  # LLVM and CIRCT start once
    lanes = []
    for count in PARALLELISM:
        progress(f"{count} lanes")
        lanes.append(_tools(count, folder / f"{count}_lanes"))
    progress("yosys, nextpnr")
    cells = {row["lanes"]: row for row in in_workers(_synthesis, [(n, folder / f"{n}_lanes") for n in SYNTHESISED])}
    nothing = dict.fromkeys(next(iter(cells.values())))
    lanes = [row | {key: cells.get(row["lanes"], nothing)[key] for key in nothing if key != "lanes"} for row in lanes]
    progress("HLS, more weights and pixels")
    weights = [compiled(count, SIZE, folder / f"{count}_outputs") for count in OUTPUTS]
    images = [compiled(CHANNELS, size, folder / f"{size}_pixels") for size in SIZES]
    progress("golden model")
    return Measured(lanes, weights, images, _golden_images(), _golden_batches())


def _engine(
    lanes: int, outputs: int, size: int, out: Path, images: int = 1, channels: int = CHANNELS
) -> tuple[Design, Settings]:
    """An engine of VARIANT with so many lanes, and the settings of its run."""
    config = RunConfig.model_validate(
        {
            "psconv": 1,
            "target": TARGET,
            "images": {"count": images},
            "stalls": {"images": 0},
            "parallelism": PARALLELISM.get(lanes, {}) | {"lanes": lanes},
            "layer": {
                "in_channels": channels,
                "out_channels": outputs,
                "height": size,
                "width": size,
                "support": VARIANT,
                "relu": True,
                "shift": 10,
                "accumulator_bits": 32,
            },
        }
    )
    made = flow.prepare(config, Path(f"{lanes}_lanes.yaml"), out, clock_ns=CLOCK_NS[TARGET])
    [engine] = made.designs
    steps.golden_step(made.designs, made.settings, made.inputs)
    return engine, replace(made.settings, simulators=out / "simulators")


def _tools(lanes: int, out: Path) -> Row:
    """HLS, Verilator's build and the speed of the simulation. Raises AssertionError where an output differs."""
    shape = engine_of(_engine(lanes, CHANNELS, SIZE, out)[0]).shape
    cycles = shape.hout * shape.wout * shape.NB * shape.steps * shape.fold
    engine, settings = _engine(lanes, CHANNELS, SIZE, out, images=-(-SIMULATED_CYCLES // cycles))
    hls = timed(lambda: steps.synth_step(engine, settings))
    whole = timed(lambda: steps.cosim_step(engine, settings))
    record = json.loads(settings.layout.simulation(engine.name).read_text(encoding="utf-8"))["free"]
    assert not record["errors"] and not record["mismatch_count"], (lanes, record["errors"])
    settings.layout.cosim(engine.name).unlink()
    again = timed(lambda: steps.cosim_step(engine, settings))  # the simulator is there: the run alone
    verilator = Seconds(record["seconds"]["build"], whole.processor - again.processor)
    simulated, seconds = record["cycles"]["simulated"], record["seconds"]["simulation"]
    return {
        "lanes": lanes,
        **hls.row("HLS"),
        **verilator.row("Verilator"),
        "cycles": simulated,
        "cycles per second": simulated / seconds,
        "lane cycles per second": lanes * simulated / seconds,
        # The simulation's own clock is the wall's; of its processor time the start of Python would be a part.
        "cycle s": seconds / simulated,
        "cycle processor s": seconds / simulated,
    }


def _synthesis(lanes: int, out: Path) -> Row:
    """Cells, and Fmax of the smaller engines."""
    engine, settings = _engine(lanes, CHANNELS, SIZE, out)
    rtl = Synthesised(settings.layout.synth(engine.name)).rtl
    target, fmax = settings.target, None
    cells = synthesise(rtl, engine.dataflow.top, target)["total"]
    if lanes <= PLACED:
        fmax = place_and_route(rtl, engine.dataflow.top, target, settings.clock_ns)["fmax_mhz"]
    return {"lanes": lanes} | {kind: cells[kind] for kind in ("LUT", "FF", "DSP", "BRAM")} | {"Fmax MHz": fmax}


def compiled(outputs: int, size: int, out: Path) -> Row:
    """Times HLS of an engine of 16 lanes with so many output channels, for images of size x size pixels."""
    engine, settings = _engine(16, outputs, size, out)

    def once() -> None:
        shutil.rmtree(out, ignore_errors=True)
        steps.synth_step(engine, settings)

    seconds = shortest(once, 2)
    unit = engine_of(engine)
    return {
        "layer": unit.shape.summary,
        "weights": int(np.count_nonzero(unit.weights)),
        "pixels": size * size,
        **seconds.row("HLS"),
    }


def _golden_images() -> dict[str, list[Row]]:
    """Seconds of one layer and of whole ResNet18 for images of several sizes."""

    def layer(size: int) -> Bundle:
        conv = Conv(name="layer", input=INPUT, out_channels=64, kernel=3, padding=1, support="PSD1_P16", relu=True)
        shape = InputSpec(channels=64, height=size, width=size)
        return random_bundle(Network(name="layer", layers=[conv], output="layer", input=shape), 0)

    def whole(size: int) -> Bundle:
        network = make_network("resnet18", "cifar10", "PSD1_P16")
        larger = network.input.model_copy(update={"height": size, "width": size})
        return random_bundle(network.model_copy(update={"input": larger}), 0)

    models = {"layer": (layer, 8), "ResNet18": (whole, 4)}
    return {
        name: [{"pixels": size * size, "batch": batch} | _golden(make(size), batch, True) for size in SIZES]
        for name, (make, batch) in models.items()
    }


def _golden_batches() -> dict[str, list[Row]]:
    """Seconds of whole networks for several batches; numpy, which is slow, up to a smaller one."""
    models = {
        "digits": random_bundle(make_network("digits", "digits", "PSD1_P16"), 0),
        "ResNet18": random_bundle(make_network("resnet18", "cifar10", "PSD1_P16"), 0),
    }
    return {
        name: [{"batch": batch} | _golden(bundle, batch, batch in NUMPY_BATCHES) for batch in BATCHES]
        for name, bundle in models.items()
    }


def _golden(bundle: Bundle, batch: int, by_numpy: bool) -> Row:
    """Seconds of one thread with the compiled kernel, and with numpy where it is asked for; equal in every layer."""
    rng = np.random.default_rng(0)
    images = rng.integers(-128, 128, (batch, *bundle.network.input.shape)).astype(np.int8)
    made = golden.run(bundle, images, threads=1)  # plans are made here
    kernel = shortest(lambda: golden.run(bundle, images, threads=1), 3)
    times: Row = kernel.row("kernel") | {"numpy s": None, "numpy processor s": None}
    if by_numpy:
        with numpy_only():
            expected = golden.run(bundle, images)
            times |= timed(lambda: golden.run(bundle, images)).row("numpy")
        assert all(np.array_equal(made[name], expected[name]) for name in expected)
    return times


def _curve(rows: Sequence[Row], size: str, value: str) -> tuple[list[float], list[float]]:
    """The measured points of a column."""
    points = [(row[size], row[value]) for row in rows if row[value] is not None]
    return [x for x, _ in points], [y for _, y in points]
