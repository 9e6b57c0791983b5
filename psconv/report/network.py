"""What the report of a run says of a network as one top."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from psconv.flow.settings import Settings
from psconv.flow.subject import Whole
from psconv.synthesis.place_route import clock_report
from pymodel.common.records import read_json, read_npz, reading
from pymodel.counts.storage import support_storage
from pymodel.top import memory as network_memory
from pymodel.top.cycles import latency
from pymodel.top.dataflow import OUT_PORT, TOP, Dataflow
from pymodel.top.units import EngineUnit, StreamedEngineUnit


def network_report(whole: Whole, settings: Settings) -> dict[str, Any]:
    """{"layers": [...], "network": {...}}: fields of psconv.report.render's LayerReport and NetworkReport."""
    layout, dataflow = settings.layout, whole.dataflow
    schedule = read_json(layout.synth(whole.name) / "schedule.json")
    simulated = read_json(layout.cosim(whole.name).with_suffix(".json"))
    resources = read_json(layout.resources(whole.name))
    free = simulated["free"]
    images, start = len(whole.x), free["start"]
    model = latency(dataflow, schedule, images, start, whole.reloads)
    ends = [end - start for end in free["cycles"]["image_last"]]
    with reading(layout.csim(whole.name)):
        csim = int((read_npz(layout.csim(whole.name))["y"] != whole.y).sum())
    depths = {stream["name"]: stream["depth"] for stream in schedule["streams"]}
    interval = int(np.diff(ends)[-1]) if images > 1 else None
    frames_per_second = 1e9 / (model.interval * settings.clock_ns)
    stored = network_memory.weights(dataflow)
    network = {
        "images": images,
        "cycles_model": model.total,
        "cycles_sim": free["cycles"]["total"],
        "image_ends_agree": ends == model.image_last,
        "fill": model.fill,
        "steady": model.steady,
        "bottleneck": model.bottleneck,
        "interval_model": model.interval,
        "interval_sim": interval,
        "frames_per_second": frames_per_second,
        "mismatches": {"csim": csim} | {_run_name(run): result["mismatch_count"] for run, result in simulated.items()},
        "errors": [error for result in simulated.values() for error in result["errors"]],
        "processes": len(schedule["processes"]),
        "lanes": dataflow.lanes,
        "multipliers": dataflow.multipliers,
        "utilisation": dataflow.macs * images / (dataflow.lanes * free["cycles"]["total"]),
        "resources": resources["total"],
        "clock": clock_report(resources["pnr"]) if "pnr" in resources else None,
        "modules": resources["distinct"],
        "memory": _memory(dataflow, schedule),
        "nonzero_bits": stored["nonzero"],
        "padding_bits": stored["padding"],
        "streams": [{"name": s.name, "bits": s.word_bits, "depth": depths[s.name]} for s in dataflow.streams],
        "weights": [
            _traffic(engine, free["moved"], images, frames_per_second) for engine in dataflow.streamed.values()
        ],
        "simulation": {
            run: {
                "seconds": result["seconds"]["run"],
                "build": result["seconds"]["build"],
                "cycles_per_second": result["cycles_per_second"],
            }
            for run, result in simulated.items()
        },
        "seconds": {"HLS": sum(schedule["seconds"].values()), "yosys": resources["seconds"]},
    }
    parts = _by_layer(dataflow, resources["parts"])
    layers = [
        _layer(layer, whole, simulated, parts[layer], model.interval)
        for layer in dataflow.probes
        if layer in dataflow.layers
    ]
    return {"layers": layers, "network": network}


def _traffic(
    engine: StreamedEngineUnit, moved: Mapping[str, int], images: int, frames_per_second: float
) -> dict[str, Any]:
    """Fields of WeightTraffic. moved: beats counted in a simulation of `images` images, by port."""
    shape, beats = engine.shape, moved[engine.port.name]
    octets = beats * shape.stream_beat_bytes / images
    return {
        "layer": engine.layer,
        "port": engine.port.name,
        "beats": shape.rom_words,
        "beats_sim": beats / images,
        "beat_bytes": shape.stream_beat_bytes,
        "bytes": round(octets),
        "megabytes_per_second": octets * frames_per_second / 1e6,
        "rom_bits": shape.rom_words * shape.rom_word_bits,
        "held_bits": shape.held_bits,
    }


def _memory(dataflow: Dataflow, schedule: dict[str, Any]) -> list[dict[str, Any]]:
    """Bits of memory by what they hold, most first, as built and as the model says (which has no FIFOs)."""
    here, model = network_memory.built(schedule), network_memory.needed(dataflow)
    missing = {holds: 0 for holds in model if holds not in here}
    return [
        {"holds": holds, "bits": bits, "model": None if holds == network_memory.FIFOS else model.get(holds, 0)}
        for holds, bits in sorted((here | missing).items(), key=lambda item: -item[1])
    ]


def _run_name(run: str) -> str:
    return "cosim" if run == "free" else run


def _layer(layer: str, whole: Whole, simulated: dict, resources: dict[str, float], interval: int) -> dict[str, Any]:
    dataflow = whole.dataflow
    stream = dataflow.probes[layer]
    mismatches = {
        _run_name(run): result["mismatch_count"]
        if stream.name == OUT_PORT
        else result["probes"][stream.name]["mismatch_count"]
        for run, result in simulated.items()
    }
    common = {
        "name": layer,
        "images": len(whole.x),
        "elements": whole.outputs[layer].size,
        "mismatches": mismatches,
        "resources": resources,
    }
    unit = dataflow.layers[layer]
    busy = max(process.iterations for process in unit.processes())
    out = stream.words
    if not isinstance(unit, EngineUnit):
        return common | {
            "shape": f"→{out.channels}x{out.height}x{out.width}",
            "variant": unit.function,
            "lanes": 0,
            "busy": busy,
        }
    shape = unit.shape
    storage = support_storage(shape.support, shape.cout, shape.cin, shape.weight_bits)
    return common | {
        "shape": shape.summary,
        "variant": shape.support.name,
        "lanes": shape.lanes,
        "multipliers": shape.multipliers,
        "scale_multipliers": shape.scale_multipliers,
        "macs": shape.macs,
        "busy": busy,
        "utilisation": shape.macs / (shape.lanes * interval),
        "weight_bits": storage["periodic"].weight_bits,
        "index_bits": storage["periodic"].index_bits,
        "padding_bits": shape.padding_bits,
        "index_bits_per_weight": storage["per_weight"].index_bits,
        "dense_bits": storage["dense"].weight_bits,
    }


def _by_layer(dataflow: Dataflow, parts: dict[str, dict[str, float]]) -> dict[str, dict[str, float]]:
    """Cells of the processes of each layer's units, their memories and multipliers included; streams aside."""
    kinds = ("LUT", "FF", "DSP", "BRAM", "URAM")
    found = {layer: dict.fromkeys(kinds, 0) for layer in dataflow.probes}
    for unit in dataflow.units:
        for process in unit.processes():
            for kind in kinds:
                if unit.layer in found:
                    found[unit.layer][kind] += parts[f"{TOP}_{process.name}"][kind]
    return found
