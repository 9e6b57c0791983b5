"""Exact cycles of a top, an engine or a network, and the depths of the streams between its units.

The timing contract (pymodel.engine.maxplus) over the processes of all units. A source that always has a word and a
sink that always takes one give the RTL's cycles exactly.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from pymodel.common.arrays import Int64
from pymodel.common.errors import ConfigError
from pymodel.common.identifiers import IN_PORT
from pymodel.engine.cycles import STAGES, check_depth, lead, longest_silence
from pymodel.engine.maxplus import Link, Orbit, Process, Timeline, interval, occupancy, settle, sink
from pymodel.top.dataflow import Dataflow
from pymodel.top.units import LoaderUnit

LOAD_DEPTH = 4  # at least, of the streams that weights come through: enough for a word a cycle


@dataclass(frozen=True)
class Cycles:
    """Cycles of a run of `images` images.

    image_last: of each image, the cycle in which its last beat is delivered, counted from the first input beat.
    total: the last of them + 1. least_interval: iterations per image of the slowest process: no RTL has a shorter one.
    interval: from an image to the next in an endless run, proved (`pymodel.engine.maxplus.interval`).
    bottleneck: the slowest process.
    """

    images: int
    total: int
    image_last: list[int]
    interval: int
    least_interval: int
    bottleneck: str

    @property
    def fill(self) -> int:
        """Cycles beyond `images` * `least_interval`."""
        return self.total - self.images * self.least_interval


def processes(dataflow: Dataflow, reload: bool = False) -> list[Process]:
    """All processes, from input to output, and what they do for an image; reload: one before which weights come."""
    return [process for unit in dataflow.units for process in unit.processes(reload)]


def slowest(dataflow: Dataflow) -> Process:
    """The process with the most iterations: its iterations are the network's interval."""
    return max(processes(dataflow), key=lambda process: process.iterations)


def stream_depths_between(dataflow: Dataflow) -> dict[str, int]:
    """Depths of the streams between units with which the network keeps its interval for ever, and never stands still.

    Were the streams between the units endless, and did words come evenly at that rate, each unit would work at it, and
    there would be times of one image that all images keep. What waits in each stream then at most is its depth: with
    these depths the same times still are a solution of the contract's inequalities. A network that is fed without
    pause, whose times are the least solution, is nowhere later than these, shifted by what its start takes.
    """
    if not dataflow.streams:
        return {}
    lines = [Orbit(process, dataflow.interval) for process in _waiting_processes(dataflow)]
    words = np.arange(dataflow.in_beats)
    for line in lines:
        if IN_PORT in line.process.reads:
            line.raise_to(IN_PORT, words * dataflow.interval // len(words))
    settle(lines, links_of(dataflow, {stream.name: None for stream in dataflow.streams}))
    # Weights come at full rate, and wait for nothing but their engine.
    loaders = [unit for unit in dataflow.units if isinstance(unit, LoaderUnit)]
    loads = {name: LOAD_DEPTH for loader in loaders for name in (loader.reads[0].name, loader.writes[1].name)}
    writers = {stream: line for line in lines for stream in line.process.writes}
    readers = {stream: line for line in lines for stream in line.process.reads}
    names = [stream.name for stream in dataflow.streams]
    return {name: max(occupancy(writers[name], readers[name], name), loads.get(name, 1)) for name in names}


def latency_at_most(dataflow: Dataflow, images: int) -> Cycles:
    """Cycles of `images` images before anything is compiled: no RTL with at most STAGES stages takes more.

    For choices without a schedule (pymodel.explore); `latency` has the exact cycles of what was built.

    Every constraint of the contract is monotonous in the stages, so fewer are no slower (for the streams that get
    their depth from the compiler: `EngineUnit.inner`). Once as many images as a stream reaches back repeat, so do all
    the others.
    """
    chain, slow = processes(dataflow), slowest(dataflow)
    links = links_of(dataflow, stream_depths_between(dataflow))
    for unit in dataflow.units:
        links |= {s.name: Link(unit.out_stage, None) for s in unit.writes if s.name in dataflow.sink_beats}
    words = {stream: len(at) for process in chain for stream, at in process.writes.items()}
    reach = max(-(-(link.depth or 0) // words[stream]) for stream, link in links.items() if words[stream])
    simulated = reach + 3
    while True:
        lines = [Timeline([process] * simulated, lead=STAGES) for process in (*chain, *_sinks(dataflow))]
        settle(lines, links)
        if simulated >= images or all(_repeats(line, simulated, dataflow.interval, reach) for line in lines):
            break
        simulated *= 2
    ends = _image_ends(dataflow, lines).tolist()
    ends += [ends[-1] + more * dataflow.interval for more in range(1, images - simulated + 1)]
    return Cycles(images, ends[images - 1] + 1, ends[:images], dataflow.interval, slow.iterations, slow.name)


def latency(
    dataflow: Dataflow,
    schedule: Mapping[str, Any],
    images: int = 1,
    start: int = 0,
    reloads: frozenset[int] = frozenset(),
) -> Cycles:
    """Cycles of `images` images on RTL that was scheduled as `schedule` (schedule.json) says, exactly.

    start: the cycle in which the first beat is taken, the first whole cycle after reset being 0. reloads: the images
    before which weights come. Raises ConfigError if the schedule is not one of this network, or there are no images.
    """
    if images < 1:
        raise ConfigError(f"images: must be at least 1, got {images}")
    _, ends, links = _run(dataflow, schedule, images, start, reloads)
    slow = slowest(dataflow)
    return Cycles(
        images=images,
        total=int(ends[-1]) - start + 1,
        image_last=[int(end) - start for end in ends],
        interval=interval([*_waiting_processes(dataflow), *_sinks(dataflow)], links),
        least_interval=slow.iterations,
        bottleneck=slow.name,
    )


def check(dataflow: Dataflow, schedule: Mapping[str, Any]) -> None:
    """Raises ConfigError where RTL that was scheduled so has other streams than this model and the C++ count on."""
    links = _scheduled(dataflow, schedule)
    undeclared = {stream for unit in dataflow.units for stream in unit.undeclared}
    for stream, link in links_of(dataflow, stream_depths_between(dataflow)).items():
        check_depth(stream, links[stream], None if stream in undeclared else link.depth)


def quiet(dataflow: Dataflow, schedule: Mapping[str, Any]) -> int:
    """Cycles in which no beat moves, at most, while one is offered and one can be taken (`longest_silence`).

    Weights come before both images, where they come at all.
    """
    begins, ends, _ = _run(dataflow, schedule, 2, 0, frozenset([0, 1]) if dataflow.packet_parser else frozenset())
    return longest_silence(begins, ends)


def _run(
    dataflow: Dataflow, schedule: Mapping[str, Any], images: int, start: int, reloads: frozenset[int]
) -> tuple[Int64, Int64, dict[str, Link]]:
    """Cycles of each image's first beat in and last beat out, int64 [images] each, and the links of the RTL."""
    links = _scheduled(dataflow, schedule)
    leads = {process["name"]: lead(process) for process in schedule["processes"]}
    chain, reloading = processes(dataflow), processes(dataflow, reload=True)
    lines = [
        Timeline([(two if at in reloads else one) for at in range(images)], leads[one.name])
        for one, two in zip(chain, reloading, strict=True)
    ]
    ports = [Timeline([process] * images) for process in _sinks(dataflow)]
    first, one, two = next(
        line for line in zip(lines, chain, reloading, strict=True) if IN_PORT in line[0].process.reads
    )
    first.raise_to(IN_PORT, np.array([start]))
    settle([*lines, *ports], links)
    taken = [len((two if at in reloads else one).reads[IN_PORT]) for at in range(images)]
    begins = first.times(IN_PORT)[np.cumsum([0, *taken[:-1]])]
    return begins, _image_ends(dataflow, ports), links


def _sinks(dataflow: Dataflow) -> list[Process]:
    """What takes the beats of each output port as soon as they are there."""
    return [sink(port, beats) for port, beats in dataflow.sink_beats.items()]


def _image_ends(dataflow: Dataflow, lines: list[Timeline]) -> Int64:
    """int64 [images]: when the last output beat of each image is delivered, at any port. lines: those of sinks too."""
    readers = {stream: line for line in lines for stream in line.process.reads}
    ends = [readers[port].times(port)[beats - 1 :: beats] for port, beats in dataflow.sink_beats.items()]
    last: Int64 = np.stack(ends).max(axis=0)
    return last


def _scheduled(dataflow: Dataflow, schedule: Mapping[str, Any]) -> dict[str, Link]:
    """The streams as the RTL has them. Raises ConfigError if the schedule is not one of this network."""
    chain = processes(dataflow)
    found = {process["name"]: process for process in schedule["processes"]}
    depths = {stream["name"]: stream["depth"] for stream in schedule["streams"]}
    if set(found) != {process.name for process in chain}:
        differing = sorted(set(found) ^ {process.name for process in chain})
        raise ConfigError(f"schedule: processes: must be those of this network, got others, such as {differing[0]!r}")
    links = {}
    for process in chain:
        scheduled = found[process.name]
        _check(process, scheduled)
        for write in scheduled["writes"]:
            links[write["stream"]] = Link(write["stage"] - lead(scheduled), depths[write["stream"]])
    return links


def _waiting_processes(dataflow: Dataflow) -> list[Process]:
    """All processes without what they take from ports of weights: nothing waits for what is always there."""
    ports = {engine.port.name for engine in dataflow.streamed.values()}
    return [
        replace(one, reads={stream: at for stream, at in one.reads.items() if stream not in ports})
        for one in processes(dataflow)
    ]


def links_of(dataflow: Dataflow, depths: Mapping[str, int | None]) -> dict[str, Link]:
    """All streams but the ports, with the write stages that depths are computed for. depths: between the units."""
    links: dict[str, Link] = {}
    for unit in dataflow.units:
        links |= unit.inner | {s.name: Link(unit.out_stage, depths[s.name]) for s in unit.writes if s.name in depths}
    return links


def _repeats(line: Timeline, images: int, cycles: int, last: int = 1) -> bool:
    """Whether each of the last images took the same course as the one before it, so many cycles later."""
    times = line.time.reshape(images, -1)[-last - 1 :]
    return bool((np.diff(times, axis=0) == cycles).all())


def _check(process: Process, scheduled: Mapping[str, Any]) -> None:
    where = f"schedule: process {process.name!r}"
    if scheduled["iterations"] not in (None, process.iterations):
        raise ConfigError(
            f"{where}: iterations: must be {process.iterations} in this network, got {scheduled['iterations']}"
        )
    if scheduled["ii"] != 1:
        raise ConfigError(f"{where}: ii: must be 1 for the cycle model, got {scheduled['ii']}")
    for kind, expected in (("reads", process.reads), ("writes", process.writes)):
        found = {access["stream"] for access in scheduled[kind]}
        if found != set(expected):
            raise ConfigError(f"{where}: {kind}: must be {', '.join(sorted(expected))}, got {', '.join(sorted(found))}")
    stages = {read["stage"] for read in scheduled["reads"]}
    if stages != {lead(scheduled)}:
        raise ConfigError(f"{where}: reads: must be in stage {lead(scheduled)}, got {sorted(stages)}")
