"""The bench of rtl_tb on the RTL of a design, whichever HLS tool made it."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NotRequired, TypedDict

import numpy as np

from psconv.common.fresh import content_key, versions
from psconv.common.places import RTL_TB
from psconv.common.sources import code
from psconv.flow.design import Design, Vectors
from psconv.flow.hls import Synthesised
from psconv.flow.settings import SIMULATION_PACKAGES, Settings
from pymodel.common.arrays import UInt8
from pymodel.top import cycles
from rtl_tb.ports import Ports
from rtl_tb.progress import Progress
from rtl_tb.result import CycleNumbers
from rtl_tb.runner import SimResult, simulate
from rtl_tb.watchdog import Inner


@dataclass(frozen=True)
class Rtl:
    """RTL to be simulated.

    quiet: cycles in which no beat may move, stalls aside. inner: its streams, where the open flow made it. tables:
    files that it reads from the folder it runs in.
    """

    files: Sequence[Path]
    ports: Ports | Mapping[str, object]
    quiet: int
    inner: Sequence[Inner] = ()
    tables: Sequence[Path] = ()


@dataclass(frozen=True)
class Disturbance:
    """What happens to a run: stalls (chances in a cycle), a reset after so many input beats.

    reset_on: the port whose beats are counted; none: that of the images. seed: instead of the run's.
    """

    idle: float = 0.0
    backpressure: float = 0.0
    reset_after: int | None = None
    reset_on: str | None = None
    seed: int | None = None


class Summary(TypedDict):
    """A simulation. start: the cycle of its first input beat; None: there was none.

    The others are fields of `rtl_tb.runner.SimResult`, and simulated cycles for each second of the simulation. input,
    output: chances of a stall in a cycle, where there were stalls.
    """

    images: int
    cycles: CycleNumbers
    start: int | None
    moved: dict[str, int]
    stalls: dict[str, int]
    mismatch_count: int
    mismatches: list[dict[str, object]]
    errors: list[str]
    seconds: dict[str, float]
    probes: dict[str, dict[str, object]]
    cycles_per_second: float
    input: NotRequired[float]
    output: NotRequired[float]


def simulator() -> str:
    """A hash of what the result of a simulation depends on besides the design and its images."""
    return content_key(RTL_TB, code(__name__, "rtl_tb.runner", "rtl_tb.bench"), versions(*SIMULATION_PACKAGES))


def synthesised(folder: Path, design: Design) -> Rtl:
    """What the open flow wrote into a folder. Raises ConfigError where its schedule is not one of the design."""
    made = Synthesised(folder)
    schedule = made.schedule
    inner = [Inner(s["name"], s["depth"], s["producer"], s["consumer"]) for s in schedule["streams"]]
    return Rtl(made.rtl, made.ports, cycles.quiet(design.dataflow, schedule), inner)


def run_bench(
    design: Design,
    vectors: Vectors,
    rtl: Rtl,
    settings: Settings,
    out: Path,
    disturbance: Disturbance = Disturbance(),
    progress: Callable[[Progress], None] | None = None,
) -> SimResult:
    """Runs images through the RTL, in the folder `out`, every layer's stream probed, against the golden outputs.

    probes: of streams inside, which only RTL of the open flow has under known names.
    """
    dataflow, images = design.dataflow, len(vectors.x)
    (layer, first), *others = design.sinks.items()
    beats = dataflow.sink_beats
    packets = design.packets(vectors.x)
    probes = design.probes if rtl.inner else {}
    words = {stream.name: stream.words for stream in probes.values()}
    if dataflow.packet_parser is None:
        words |= {"in": dataflow.source.words, "out": first.words} | {sink.name: sink.words for _, sink in others}
    out.mkdir(parents=True, exist_ok=True)
    for table in rtl.tables:
        shutil.copy2(table, out)
    return simulate(
        rtl.files,
        rtl.ports,
        np.concatenate([packet.beats for packet in packets]),
        np.concatenate([packet.last for packet in packets]),
        design.output_beats(layer, vectors.outputs[layer]),
        beats[first.name],
        out,
        extra_inputs=design.extra_inputs(images),
        extra_outputs={
            sink.name: (design.output_beats(one, vectors.outputs[one]), beats[sink.name]) for one, sink in others
        },
        seed=settings.seed if disturbance.seed is None else disturbance.seed,
        idle=disturbance.idle,
        backpressure=disturbance.backpressure,
        reset_after=disturbance.reset_after,
        reset_on=disturbance.reset_on,
        waves=settings.waves,
        cache=settings.simulator_cache,
        timeout_cycles=rtl.quiet,
        inner=rtl.inner,
        axes={stream: tensor.axes for stream, tensor in words.items()},
        fields={stream: ("channel", tensor.bits, tensor.group) for stream, tensor in words.items()},
        probes={s.name: s.words.pack(vectors.outputs[layer], layer) for layer, s in probes.items()},
        progress=progress,
    )


def beats_of(design: Design, result: SimResult, layer: str) -> UInt8:
    """The beats that came out of the port of a layer, uint8 [m, bytes]."""
    return result.extra_beats.get(design.sinks[layer].name, result.beats)


def summary(result: SimResult) -> Summary:
    """The part of a simulation's result that goes into its record."""
    return {
        "images": len(result.cycles["image_last"]),
        "cycles": result.cycles,
        "start": result.cycles["first_in"],
        "moved": result.moved,
        "stalls": result.stalls,
        "mismatch_count": result.mismatch_count,
        "mismatches": result.mismatches,
        "errors": result.errors,
        "seconds": result.seconds,
        "probes": result.probes,
        "cycles_per_second": result.cycles["simulated"] / max(result.seconds["simulation"], 1e-3),
    }
