"""Collects what the steps of a run wrote into its report."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

import numpy as np

from psconv.flow.bench import Summary
from psconv.flow.design import Design, Vectors
from psconv.flow.hls import Synthesised
from psconv.flow.run import Run
from psconv.flow.settings import HLS_PACKAGES, SIMULATION_PACKAGES, SYNTHESIS_PACKAGES, Settings
from psconv.flow.vectors import load_outputs, load_vectors
from psconv.report.render import write_report
from psconv.report.schema import (
    Accuracy,
    ClockReport,
    DesignReport,
    LayerReport,
    MemoryBits,
    Module,
    PathPart,
    RunReport,
    Simulation,
    Stage,
    StreamDepth,
    Structure,
    WeightTraffic,
    parse_report,
)
from psconv.synthesis.operands import Trace
from psconv.synthesis.place_route import Placed
from psconv.synthesis.resources import Resources
from psconv.vendor.step import TOOLS, stored
from pymodel.common.arrays import Int8
from pymodel.common.errors import ConfigError
from pymodel.common.records import read_json
from pymodel.counts.storage import support_storage
from pymodel.golden import model
from pymodel.golden.native.build import KERNEL
from pymodel.top import memory
from pymodel.top.cycles import Cycles, latency
from pymodel.top.dataflow import Dataflow
from pymodel.top.units import EngineUnit, StreamedEngineUnit, Unit

PACKAGES = ("numpy", *HLS_PACKAGES, *SIMULATION_PACKAGES, *SYNTHESIS_PACKAGES)
_KINDS = ("LUT", "FF", "DSP", "BRAM", "URAM")


def report(run: Run) -> RunReport:
    """Compares and counts what the steps wrote, and writes the report. Raises ConfigError as `design_report` does."""
    settings, bundle = run.settings, run.inputs.bundle
    designs = [design_report(design, settings) for design in run.designs]
    result = parse_report(
        {
            "title": f"{bundle.network.name}: {run.path}",
            "ok": all(design.ok for design in designs),
            "designs": designs,
            "accuracy": _accuracy(run),
            "clock_ns": settings.clock_ns,
            "target": settings.target.name,
            "budgets": settings.target.budgets.model_dump(),
            "provenance": {
                "configuration": str(run.path),
                "seed": str(settings.seed),
                "images": f"{len(run.inputs.images)} ({_source(run)})",
                "golden model": f"convolutions by {KERNEL.describe()}",
                "HLS": "open (embedded: clang, LLVM, CIRCT)",
                "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
                "python": platform.python_version(),
                **{name: version(name) for name in PACKAGES},
            },
        }
    )
    write_report(result, settings.layout.report)
    return result


def design_report(design: Design, settings: Settings) -> DesignReport:
    """What the steps came to for one design.

    Raises ConfigError where a result is missing or damaged, or where nothing came out of the RTL.
    """
    layout, dataflow = settings.layout, design.dataflow
    schedule = Synthesised(layout.synth(design.name)).schedule
    simulation = layout.simulation(design.name)
    simulated: dict[str, Summary] = read_json(simulation)
    vectors, free = load_vectors(layout, design), simulated["free"]
    images, start, total = len(vectors.x), free["start"], free["cycles"]["total"]
    if start is None or total is None:
        raise ConfigError(f"{simulation}: nothing came out of the RTL: {'; '.join(free['errors'])}")
    resources: Resources = read_json(layout.resources(design.name))
    cycles = latency(dataflow, schedule, images, start, design.reloads)
    ends = [end - start for end in free["cycles"]["image_last"]]
    compiled = load_outputs(layout, design, "csim")
    csim = sum(int((y != vectors.outputs[layer]).sum()) for layer, y in compiled.items())
    mismatches = {_run_name(run): one["mismatch_count"] for run, one in simulated.items()}
    depths = {stream["name"]: stream["depth"] for stream in schedule["streams"]}
    frames_per_second = 1e9 / (cycles.interval * settings.clock_ns)
    stored_bits = memory.weights(dataflow)
    operands = resources["operands"] if design.engine else None
    return DesignReport(
        name=design.name,
        what=design.what,
        top=dataflow.top,
        images=images,
        layers=_layers(design, vectors, simulated, resources, cycles),
        mismatches={"csim": csim, **mismatches},
        errors=[error for one in simulated.values() for error in one["errors"]],
        cycles_model=cycles.total,
        cycles_sim=total,
        image_ends_agree=ends == cycles.image_last,
        fill=cycles.fill,
        least_interval=cycles.least_interval,
        bottleneck=cycles.bottleneck,
        interval_model=cycles.interval,
        interval_sim=ends[-1] - ends[-2] if len(ends) > 1 else None,
        frames_per_second=frames_per_second,
        lanes=dataflow.lanes,
        multipliers=dataflow.multipliers,
        utilisation=dataflow.macs * len(ends) / (dataflow.lanes * total) if dataflow.lanes else 0.0,
        resources=resources["total"],
        distinct_modules=resources.get("distinct"),
        modules=_modules(resources["modules"]) if design.engine else [],
        clock=_clock(resources["pnr"]) if "pnr" in resources else None,
        structure=_structure(operands) if operands else None,
        # The trace stops at the nearest register, and a fold's choice may be spread over two of them.
        multiplexer_free=operands["multiplexer_free"] and design.engine.shape.fold == 1
        if operands and design.engine
        else None,
        stages=[
            Stage.model_validate({key: process[key] for key in ("name", "stages", "ii", "iterations")})
            for process in schedule["processes"]
        ],
        memory=_memory(dataflow, schedule),
        nonzero_bits=stored_bits["nonzero"],
        padding_bits=stored_bits["padding"],
        streams=[StreamDepth(name=s.name, bits=s.word_bits, depth=depths[s.name]) for s in dataflow.streams],
        weights=[
            weight_traffic(engine, free["moved"], images, frames_per_second) for engine in dataflow.streamed.values()
        ],
        simulation={
            run: Simulation(
                seconds=one["seconds"]["run"],
                build=one["seconds"]["build"],
                cycles_per_second=one["cycles_per_second"],
            )
            for run, one in simulated.items()
        },
        seconds={
            "co-simulation": sum(free["seconds"].values()),
            "yosys": resources["seconds"],
            "HLS": sum(schedule["seconds"].values()),
        },
        tools={tool: record for tool in TOOLS if (record := stored(tool, design, settings))},
    )


def _layers(
    design: Design,
    vectors: Vectors,
    simulated: Mapping[str, Summary],
    resources: Resources,
    cycles: Cycles,
) -> list[LayerReport]:
    dataflow = design.dataflow
    cells = {design.layer: resources["total"]} if design.engine else _by_layer(dataflow, resources["parts"])
    return [
        _layer(unit, dataflow, layer, vectors.outputs[layer].size, simulated, cells[layer], cycles.interval)
        for layer, unit in dataflow.layers.items()
    ]


def _layer(
    unit: Unit,
    dataflow: Dataflow,
    layer: str,
    elements: int,
    simulated: Mapping[str, Summary],
    resources: Mapping[str, float],
    interval: int,
) -> LayerReport:
    stream = dataflow.probes[layer]
    common: dict[str, Any] = {
        "name": layer,
        "elements": elements,
        "mismatches": {
            _run_name(run): one["probes"].get(stream.name, one)["mismatch_count"] for run, one in simulated.items()
        },
        "resources": {kind: resources[kind] for kind in _KINDS},
        "busy": max(process.iterations for process in unit.processes()),
    }
    if not isinstance(unit, EngineUnit):
        out = stream.words
        size = f"→{out.channels}x{out.height}x{out.width}"
        return LayerReport(shape=size, variant=unit.function, lanes=0, **common)
    shape = unit.shape
    storage = support_storage(shape.support, *shape.weight_shape[:2], shape.weight_bits)
    return LayerReport(
        shape=shape.summary,
        variant=shape.support.name,
        lanes=shape.lanes,
        multipliers=shape.multipliers,
        scale_multipliers=shape.scale_multipliers,
        macs=shape.macs,
        utilisation=shape.macs / (shape.lanes * interval),
        weight_bits=storage["periodic"].weight_bits,
        index_bits=storage["periodic"].index_bits,
        padding_bits=shape.padding_bits,
        index_bits_per_weight=storage["per_weight"].index_bits,
        dense_bits=storage["dense"].weight_bits,
        **common,
    )


def _by_layer(dataflow: Dataflow, parts: Mapping[str, Mapping[str, float]]) -> dict[str, dict[str, float]]:
    """Cells of the processes of each layer's units, their memories and multipliers included; streams aside."""
    found = {layer: dict.fromkeys(_KINDS, 0.0) for layer in dataflow.probes}
    for unit in dataflow.units:
        for process in unit.processes():
            for kind in _KINDS:
                if unit.layer in found:
                    found[unit.layer][kind] += parts[f"{dataflow.top}_{process.name}"][kind]
    return found


def weight_traffic(
    engine: StreamedEngineUnit, moved: Mapping[str, int], images: int, frames_per_second: float
) -> WeightTraffic:
    """What an engine reads for each image. moved: beats counted in a simulation of `images` images, by port."""
    shape, beats = engine.shape, moved[engine.port.name]
    octets = beats * shape.stream_beat_bytes / images
    return WeightTraffic(
        layer=engine.layer,
        port=engine.port.name,
        beats=shape.rom_words,
        beats_sim=beats / images,
        beat_bytes=shape.stream_beat_bytes,
        bytes=round(octets),
        megabytes_per_second=octets * frames_per_second / 1e6,
        rom_bits=shape.rom_words * shape.rom_word_bits,
        held_bits=shape.held_bits,
    )


def _memory(dataflow: Dataflow, schedule: Mapping[str, Any]) -> list[MemoryBits]:
    """Bits of memory by what they hold, most first, as built and as the model says (which has no FIFOs)."""
    here, needed = memory.built(schedule), memory.needed(dataflow)
    missing = {holds: 0 for holds in needed if holds not in here}
    return [
        MemoryBits(holds=holds, bits=bits, model=None if holds == memory.FIFOS else needed.get(holds, 0))
        for holds, bits in sorted((here | missing).items(), key=lambda item: -item[1])
    ]


def _clock(placed: Placed) -> ClockReport:
    return ClockReport(
        requested_mhz=placed["requested_mhz"],
        fmax_mhz=placed["fmax_mhz"],
        slack_ns=placed["slack_ns"],
        met=placed["met"],
        seed=placed["seed"],
        ns_by_element=placed["critical_path_ns_by_element"],
        path=[PathPart(**part) for part in placed["critical_path_lines"]],
        registers=placed["registers"],
    )


def _structure(operands: Trace) -> Structure:
    return Structure(
        multipliers=operands["multipliers"],
        cells_between=sum(operands["cells_between"].values()),
        choices=operands["max_choices"],
        weights_from_memory=operands["weights_from_memory"],
        packing_adders=operands["packing_adders"],
        memories=[f"{m['name']} ({m['kind']}) {m['depth']}x{m['width']}" for m in operands["memories"]],
    )


def _modules(modules: Mapping[str, Mapping[str, float]]) -> list[Module]:
    """Cells per module, summed over its instances; modules with no cells of their own are left out."""
    found = []
    for name, counts in modules.items():
        times = int(counts["instances"])
        cells = {kind: times * counts[kind] for kind in ("LUT", "FF", "DSP", "BRAM")}
        if any(cells.values()):
            found.append(Module(name=name, instances=times, resources=cells))
    return found


def _accuracy(run: Run) -> Accuracy | None:
    """Hits by the golden model and by the RTL: what came out of each design, carried on through the network."""
    inputs, layout = run.inputs, run.layout
    if inputs.labels is None or len(inputs.bundle.network.outputs) > 1:
        return None  # there is nothing to compare a class with
    bundle, last = inputs.bundle, inputs.bundle.network.outputs[0]

    def hits(scores: Int8) -> int:
        return int((scores.reshape(len(scores), -1).argmax(axis=1) == inputs.labels).sum())

    golden = model.run(bundle, inputs.images)
    result = Accuracy(dataset=_source(run), images=len(inputs.images), golden=hits(golden[last]))
    simulated = {layer: y for one in run.designs for layer, y in load_outputs(layout, one, "cosim").items()}
    if any(len(y) != len(inputs.images) for y in simulated.values()):
        return result  # some RTL stopped before the last image
    outputs = model.run(bundle, inputs.images, simulated)
    # The RTL of a design saw the golden model's inputs: its outputs count only if those before it led to the same.
    chained = all(np.array_equal(d.vectors(outputs).x, load_vectors(layout, d).x) for d in run.designs)
    return result.model_copy(update={"rtl": hits(outputs[last])}) if chained else result


def _source(run: Run) -> str:
    """Where the images come from, in a word."""
    return run.config.images.path or run.config.images.source


def _run_name(run: str) -> str:
    return "cosim" if run == "free" else run
