"""Exact cycles of a whole network, and the depths of the streams between its units.

The timing contract (pymodel.maxplus) over the processes of all units. A source that always has a word and a sink that
always takes one give the RTL's cycles exactly.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from pymodel.cycles import FEEDER_STAGES, lead, stream_depths, streamed_depths, warm_up
from pymodel.dataflow import IN_PORT, OUT_PORT, Dataflow
from pymodel.errors import ConfigError
from pymodel.maxplus import Link, Process, Timeline, occupancy, settle
from pymodel.units import POOL_DEPTH, EngineUnit, LoaderUnit, StreamedEngineUnit, Unit

# Write stages that depths are computed with, before anything is compiled: more than any process needs.
STAGES = 16
SUMS_DEPTH = STAGES + 2  # at least what the compiler gives a stream without a depth: it never holds up its producer
LOAD_DEPTH = 4  # of the streams that weights come through: enough for a word a cycle
IMAGES = 8  # at most until a network's streams are as full as they stay


@dataclass(frozen=True)
class NetworkCycles:
    """Cycles of a run of `images` images through a network.

    image_last: of each image, the cycle in which its last beat is delivered, counted from the first input beat.
    total: the last of them + 1. steady: iterations per image of the slowest process, the least interval there can be.
    interval: between the last two images of a long run. bottleneck: the slowest process.
    """

    images: int
    total: int
    image_last: list[int]
    interval: int
    steady: int
    bottleneck: str

    @property
    def fill(self) -> int:
        """Cycles beyond `images` * `steady`."""
        return self.total - self.images * self.steady


def processes(dataflow: Dataflow, reload: bool = False) -> list[Process]:
    """All processes, from input to output, and what they do for an image; reload: one before which weights come."""
    return [process for unit in dataflow.units for process in unit.processes(reload)]


def slowest(dataflow: Dataflow) -> Process:
    """The process with the most iterations: it sets the pace of the network."""
    return max(processes(dataflow), key=lambda process: process.iterations)


def pace(dataflow: Dataflow) -> int:
    """Cycles an image that the network is laid out for: those of its slowest unit by itself.

    A unit takes as many as its slowest process has iterations, but where weights are streamed: there the processing
    element waits for its feeders while windows come in.
    """
    return max(slowest(dataflow).iterations, *(_interval(engine) for engine in dataflow.streamed.values()), 0)


def stream_depths_between(dataflow: Dataflow) -> dict[str, int]:
    """Depths of the streams between units with which the network keeps its `pace`.

    With endless streams between the units and a source that sends words at that pace, each unit works at it, and
    once that repeats from image to image, what waits in each stream at most is its depth. With these depths the
    same times are still a solution of the contract's inequalities, so a network that is fed without pause, whose
    times are the least solution, is no slower (and cannot deadlock).
    Raises ConfigError: a network that does not get to repeat.
    """
    ports = {engine.port.name for engine in dataflow.streamed.values()}  # nothing waits for what is always there
    chain = [
        replace(one, reads={stream: at for stream, at in one.reads.items() if stream not in ports})
        for one in processes(dataflow)
    ]
    cycles = pace(dataflow)
    source = dataflow.in_beats
    loaders = [unit for unit in dataflow.units if isinstance(unit, LoaderUnit)]
    weights = {name for loader in loaders for name in (loader.reads[0].name, loader.writes[1].name)}
    links = _bounded_links(dataflow, {stream.name: None for stream in dataflow.streams})
    for images in (4, IMAGES):
        lines = [Timeline([process] * images) for process in chain]
        sends = (np.arange(images * source, dtype=np.int64) * cycles) // source
        for line in lines:
            if IN_PORT in line.process.reads:
                line.raise_to(IN_PORT, sends)
        settle(lines, links)
        if all(_repeats(line, images, cycles) for line in lines):
            break
    else:
        raise ConfigError(f"network: its streams are not as full as they stay after {IMAGES} images")
    # Weights come at full rate, and wait for nothing but their engine.
    waiting = {stream.name: _waiting(lines, stream.name) for stream in dataflow.streams if stream.name not in weights}
    return {stream.name: waiting.get(stream.name, LOAD_DEPTH) for stream in dataflow.streams}


def latency_at_most(dataflow: Dataflow, images: int) -> NetworkCycles:
    """Cycles of `images` images before anything is compiled: no RTL with at most STAGES stages takes more.

    Exact for RTL whose writes are all in the last stage that sizes the streams (STAGES, FEEDER_STAGES) and that has as
    many issue stages; every constraint of the contract is monotonous in the stages, so fewer are no slower. Once as
    many images as a stream reaches back repeat, so do all the others. Raises ConfigError: a network that does not
    get to repeat.
    """
    chain, slow, depths = processes(dataflow), slowest(dataflow), stream_depths_between(dataflow)
    links = _bounded_links(dataflow, depths) | {OUT_PORT: Link(STAGES, None)}
    words = {stream: len(at) for process in chain for stream, at in process.writes.items()}
    reach = max(-(-(link.depth or 0) // words[stream]) for stream, link in links.items() if words[stream])
    simulated = reach + 3
    beats = dataflow.out_beats
    sink = Process("sink", beats, {OUT_PORT: np.arange(beats)}, {})
    while True:
        lines = [Timeline([process] * simulated, lead=STAGES) for process in (*chain, sink)]
        settle(lines, links)
        if simulated >= images or all(_repeats(line, simulated, slow.iterations, reach) for line in lines):
            break
        simulated *= 2
    ends = lines[-1].times(OUT_PORT)[beats - 1 :: beats].tolist()
    ends += [ends[-1] + more * slow.iterations for more in range(1, images - simulated + 1)]
    return NetworkCycles(images, ends[images - 1] + 1, ends[:images], slow.iterations, slow.iterations, slow.name)


def latency(
    dataflow: Dataflow, schedule: Mapping[str, Any], images: int = 1, start: int = 0,
    reloads: frozenset[int] = frozenset(),
) -> NetworkCycles:  # fmt: skip
    """Cycles of `images` images on RTL that was scheduled as `schedule` (schedule.json) says.

    start: the cycle in which the first beat is offered, counted from the first cycle after reset. reloads: the images
    before which weights come. Raises ConfigError if the schedule is not one of this network.
    """
    chain = processes(dataflow)
    found = {process["name"]: process for process in schedule["processes"]}
    depths = {stream["name"]: stream["depth"] for stream in schedule["streams"]}
    if set(found) != {process.name for process in chain}:
        differing = sorted(set(found) ^ {process.name for process in chain})
        raise ConfigError(f"schedule: it has other processes than this network: {differing[0]!r}, ...")
    links = {}
    for process in chain:
        _check(process, found[process.name])
        for write in found[process.name]["writes"]:
            stream = write["stream"]
            links[stream] = Link(write["stage"] - lead(found[process.name]), depths[stream])
    simulated = max(images + 1, 3)
    reloading = processes(dataflow, reload=True)
    lines = [
        Timeline([(two if at in reloads else one) for at in range(simulated)], lead(found[one.name]))
        for one, two in zip(chain, reloading, strict=True)
    ]
    beats = dataflow.out_beats
    sink = Timeline([Process("sink", beats, {OUT_PORT: np.arange(beats)}, {})] * simulated)
    for line in lines:
        if IN_PORT in line.process.reads:
            line.raise_to(IN_PORT, np.array([start]))
    settle([*lines, sink], links)
    ends = sink.times(OUT_PORT)[beats - 1 :: beats]
    slow = slowest(dataflow)
    return NetworkCycles(
        images=images,
        total=int(ends[images - 1]) - start + 1,
        image_last=[int(end) - start for end in ends[:images]],
        interval=int(ends[-1] - ends[-2]),
        steady=slow.iterations,
        bottleneck=slow.name,
    )


def _interval(engine: StreamedEngineUnit) -> int:
    """Cycles from an image to the next of an engine by itself. Raises ConfigError where that does not settle."""
    chain = engine.processes()
    images = warm_up(max(process.iterations for process in chain))
    lines = [Timeline([process] * images) for process in chain]
    settle(lines, _inner_links(engine))
    last = lines[-1].time
    cycles = int(last[-1] - last[-1 - len(last) // images])
    if not all(_repeats(line, images, cycles) for line in lines):
        raise ConfigError(f"layer {engine.layer}: its streams are not as full as they stay after {images} images")
    return cycles


def _bounded_links(dataflow: Dataflow, depths: Mapping[str, int | None]) -> dict[str, Link]:
    """All streams but the ports, with the write stages that depths are computed for. depths: between the units."""
    links = {name: Link(STAGES, depth) for name, depth in depths.items()}
    for unit in dataflow.units:
        links |= _inner_links(unit)
    return links


def _inner_links(unit: Unit) -> dict[str, Link]:
    """The streams inside a unit, at the depths that its configuration gives them."""
    name = unit.name
    if isinstance(unit, EngineUnit):
        depths = (streamed_depths if isinstance(unit, StreamedEngineUnit) else stream_depths)(unit.shape)
        inner = {f"{name}_window_words": Link(FEEDER_STAGES, depths["windows"])}
        if "columns" in depths:
            inner[f"{name}_column_words"] = Link(FEEDER_STAGES, depths["columns"])
        return inner | {f"{name}_sum_words": Link(STAGES, SUMS_DEPTH)}
    if unit.dataflow:
        return {f"{name}_{words}_words": Link(FEEDER_STAGES, POOL_DEPTH) for words in ("column", "window")}
    return {}


def _repeats(line: Timeline, images: int, cycles: int, last: int = 1) -> bool:
    """Whether each of the last images took the same course as the one before it, so many cycles later."""
    times = line.time.reshape(images, -1)[-last - 1 :]
    return bool((np.diff(times, axis=0) == cycles).all())


def _waiting(lines: list[Timeline], stream: str) -> int:
    producer = next(line for line in lines if stream in line.process.writes)
    consumer = next(line for line in lines if stream in line.process.reads)
    return occupancy(producer, consumer, stream)


def _check(process: Process, scheduled: Mapping[str, Any]) -> None:
    where = f"schedule: process {process.name!r}"
    if scheduled["iterations"] not in (None, process.iterations):
        raise ConfigError(f"{where} has {scheduled['iterations']} iterations, this network {process.iterations}")
    if scheduled["ii"] != 1:
        raise ConfigError(f"{where}: the cycle model needs ii 1")
    for kind, expected in (("reads", process.reads), ("writes", process.writes)):
        found = {access["stream"] for access in scheduled[kind]}
        if found != set(expected):
            raise ConfigError(f"{where} {kind} {', '.join(sorted(found))}; {', '.join(sorted(expected))} expected")
    stages = {read["stage"] for read in scheduled["reads"]}
    if stages != {lead(scheduled)}:
        raise ConfigError(f"{where}: reads in stage {lead(scheduled)} expected, found {sorted(stages)}")
