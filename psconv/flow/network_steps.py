"""The steps of the flow for a network as one top: C simulation, HLS, co-simulation, resources."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from openhls.driver.compile import compile_hls

from psconv.common.fresh import Work, content_key, step, unless_fresh, versions, write_json, write_npz
from psconv.common.places import CSIM, ENGINE, INCLUDE, OPENHLS
from psconv.common.sources import code
from psconv.flow import csim
from psconv.flow.bench import inner_streams, simulator, summary
from psconv.flow.settings import HLS_PACKAGES, SYNTHESIS_PACKAGES, Settings
from psconv.flow.subject import Whole
from psconv.synthesis.place_route import place_and_route
from psconv.synthesis.resources import seen_by_yosys, synthesise_modules
from pymodel.common.files import write_text
from pymodel.common.records import read_json
from pymodel.top import cpp as network_top
from pymodel.top import cycles as network_cycles
from pymodel.top.dataflow import OUT_PORT, TOP
from rtl_tb.progress import Progress
from rtl_tb.runner import SimResult, simulate


@step
def golden_step(whole: Whole, settings: Settings) -> Work:
    """Writes what the golden model computed: images x, scores y, and the output of every layer by its name."""
    layout = settings.layout
    result = layout.golden(whole.name)
    layers = {f"layer_{layer}": whole.outputs[layer] for layer in whole.dataflow.probes}
    key = content_key(whole.x, whole.y, *layers.values())
    return Work(
        result,
        key,
        lambda: write_npz(result, x=whole.x, y=whole.y, **layers),
        outdated=(layout.csim(whole.name), layout.cosim(whole.name)),
    )


@step
def csim_step(whole: Whole, settings: Settings) -> Work:
    """C++ compiled as a program, on the same images; compiled again only where the network has changed."""
    result, dataflow = settings.layout.csim(whole.name), whole.dataflow
    folder = settings.layout.build(whole.name) / "csim"
    key = content_key(ENGINE, INCLUDE, CSIM, code("psconv.flow.csim"), whole.sources, versions("ziglang"))
    program = csim.program(folder)

    def compiled() -> None:
        for file, text in whole.sources.items():
            write_text(folder / file, text)
        csim.build_network(folder)

    def make() -> None:
        unless_fresh(program, key, compiled)
        if whole.weights is None:
            weights = list(whole.streamed.values())
            y = csim.run_words(program, whole.x, dataflow.source.words, dataflow.sink.words, weights)
        else:
            y = whole.scores(csim.run_packets(program, whole.packets(len(whole.x)), dataflow))
        write_npz(result, y=y)

    return Work(result, content_key(key, whole.x, whole.weights, *whole.streamed.values()), make)


@step
def synth_step(whole: Whole, settings: Settings) -> Work:
    """C++ to SystemVerilog through the open flow."""
    folder = settings.layout.synth(whole.name)
    key = content_key(
        ENGINE,
        INCLUDE,
        OPENHLS,
        whole.sources,
        settings.target.openhls,
        settings.clock_ns,
        versions(*HLS_PACKAGES),
    )

    def make() -> None:
        for file, text in whole.sources.items():
            write_text(folder / file, text)
        compile_hls(
            [folder / network_top.SOURCE],
            TOP,
            include_dirs=[INCLUDE, ENGINE, folder],
            target=settings.target.openhls,
            clock_ns=settings.clock_ns,
            out=folder,
            cache=settings.process_cache,
        )
        network_cycles.check(whole.dataflow, read_json(folder / "schedule.json"))

    return Work(
        folder / "ports.json",
        key,
        make,
        (folder / "rtl", folder / "schedule.json", *(folder / file for file in whole.sources)),
    )


@step
def cosim_step(whole: Whole, settings: Settings, progress: Callable[[Progress], None] | None = None) -> Work:
    """The RTL in Verilator, every layer's output probed: without a stall on all images, with stalls on a few."""
    layout, folder = settings.layout, settings.layout.synth(whole.name)
    result, stalls = layout.cosim(whole.name), settings.stalls
    key = content_key(
        simulator(),
        folder / "rtl",
        folder / "ports.json",
        whole.x,
        whole.weights,
        *whole.streamed.values(),
        *whole.outputs.values(),
        settings.seed,
        stalls.model_dump(),
        settings.waves,
    )

    def make() -> None:
        full = run_bench(whole, settings, len(whole.x), "free", 0.0, 0.0, progress)
        record: dict[str, Any] = {"free": _summary(full)}
        if images := min(stalls.images, len(whole.x)):
            stalled = run_bench(whole, settings, images, "stalled", stalls.input, stalls.output, progress)
            record["stalled"] = _summary(stalled) | {"images": images, "input": stalls.input, "output": stalls.output}
        write_json(result.with_suffix(".json"), record)
        write_npz(result, y=whole.scores(full.beats))

    return Work(result, key, make, (result.with_suffix(".json"),))


def run_bench(
    whole: Whole,
    settings: Settings,
    images: int,
    name: str,
    idle: float,
    backpressure: float,
    progress: Callable[[Progress], None] | None = None,
    seed: int | None = None,
    reset_after: int | None = None,
    reset_on: str | None = None,
) -> SimResult:
    """Runs the first `images` images through the RTL; each layer's stream is a probe, in the order of the data.

    reset_after: input beats after which a reset comes, and everything starts again; of the images, or of the port
    `reset_on`.
    """
    folder, dataflow = settings.layout.synth(whole.name), whole.dataflow
    packets = whole.packets(images)
    schedule = read_json(folder / "schedule.json")
    probes = {layer: stream for layer, stream in dataflow.probes.items() if stream.name != OUT_PORT}
    words = {stream.name: stream.words for stream in probes.values()}
    if whole.weights is None:
        words |= {"in": dataflow.source.words, "out": dataflow.sink.words}
    return simulate(
        sorted((folder / "rtl").glob("*.sv")),
        read_json(folder / "ports.json"),
        np.concatenate([packet.beats for packet in packets]),
        np.concatenate([packet.last for packet in packets]),
        whole.answers(images),
        dataflow.out_beats,
        settings.layout.build(whole.name) / name,
        further=whole.further(images),
        seed=settings.seed if seed is None else seed,
        idle=idle,
        backpressure=backpressure,
        reset_after=reset_after,
        reset_on=reset_on,
        waves=settings.waves,
        cache=settings.simulator_cache,
        timeout_cycles=network_cycles.quiet(dataflow, schedule),
        inner=inner_streams(schedule),
        axes={stream: tensor.axes for stream, tensor in words.items()},
        fields={stream: ("channel", tensor.bits, tensor.group) for stream, tensor in words.items()},
        probes={s.name: s.words.pack(whole.outputs[layer][:images], layer) for layer, s in probes.items()},
        progress=progress,
    )


@step
def resources_step(whole: Whole, settings: Settings, done: Callable[[int, int], None] = lambda now, all: None) -> Work:
    """LUT, FF, DSP, BRAM of every module after yosys; with `pnr` the ECP5's Fmax of the whole network.

    `done` is told how many of how many modules there are.
    """
    result = settings.layout.resources(whole.name)
    rtl = sorted((settings.layout.synth(whole.name) / "rtl").glob("*.sv"))
    key = content_key(
        seen_by_yosys(rtl),
        settings.target.model_dump(),
        settings.pnr and settings.clock_ns,
        code("psconv.synthesis.resources", "psconv.synthesis.place_route"),
        versions(*SYNTHESIS_PACKAGES),
    )

    def make() -> None:
        record = synthesise_modules(rtl, TOP, settings.target, settings.module_cache, done)
        if settings.pnr:
            record["pnr"] = place_and_route(rtl, TOP, settings.target, settings.clock_ns)
        write_json(result, record | {"target": settings.target.name})

    return Work(result, key, make)


def _summary(result: SimResult) -> dict[str, Any]:
    rate = result.cycles["simulated"] / max(result.seconds["simulation"], 1e-3)
    return summary(result) | {"probes": result.probes, "cycles_per_second": rate}
