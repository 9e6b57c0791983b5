"""Depths of streams in random small networks: no network refused, none that deadlocks or loses its interval."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from pymodel.common.errors import ConfigError
from pymodel.engine.cycles import FEEDER_STAGES, LEAST_STAGE, OPEN_DEPTH, STAGES
from pymodel.top.cycles import latency, processes, slowest, stream_depths_between
from pymodel.top.dataflow import Dataflow
from scripts.hunt import small_networks
from scripts.hunt.campaign import Campaign, Case, Fault

MOST_EVENTS = 150_000  # of all processes and images: seconds at most
FEEDERS = ("_columns", "_windows", "_pixels")


class Depths(Campaign):
    """Networks as RTL with random write stages, in the cycle model, for many images."""

    name = "depths"
    help = "the depths of a network's streams keep its interval and never stop it, whatever stages the compiler chooses"
    aim = 1000
    seconds = 60.0

    def draw(self, rng: np.random.Generator) -> Case:
        return small_networks.draw(rng) | {"stages": int(rng.integers(1 << 16))}

    def check(self, case: Case, folder: Path) -> None:
        _, dataflow = small_networks.built(case)
        try:
            schedule = some_schedule(dataflow, case["stages"])
        except ConfigError as error:
            raise Fault(
                "refused", f"{error}; there must be depths for an interval of {dataflow.interval} cycles"
            ) from error
        accesses = sum(len(at) for one in processes(dataflow) for at in (one.reads | one.writes).values())
        most = max(MOST_EVENTS // accesses, 24)
        # With streamed weights the interval may be shorter, with fewer stages than the network is laid out for.
        least = slowest(dataflow).iterations
        for images in (24, most):
            found = latency(dataflow, schedule, images)
            kept = np.diff(found.image_last)[-images // 4 :].mean()
            if least <= kept <= dataflow.interval and found.interval <= dataflow.interval:
                return
        raise Fault(
            "wrong",
            f"after {images} images {kept:.2f} cycles from one to the next, {found.interval} proved, "
            f"{least} to {dataflow.interval} were expected",
        )

    def smaller(self, case: Case) -> Iterator[Case]:
        yield from small_networks.smaller(case)


def some_schedule(dataflow: Dataflow, seed: int) -> dict[str, Any]:
    """A schedule.json of the network with the depths that are computed for it and random stages. Raises ConfigError."""
    rng = np.random.default_rng(seed)
    depths: dict[str, int | None] = dict(stream_depths_between(dataflow))
    for unit in dataflow.units:
        depths |= {name: link.depth for name, link in unit.inner.items()}
    late = rng.integers(3)  # 0: all writes as early as can be, 1: as late, 2: anywhere
    entries = []
    for process in processes(dataflow):
        least = LEAST_STAGE if process.name.endswith("_pe") else 0
        most = FEEDER_STAGES if process.name.endswith(FEEDERS) else STAGES
        writes = []
        for stream in process.writes:
            stage = (least, most, int(rng.integers(least, most + 1)))[late]
            writes.append({"stream": stream, "stage": stage})
            own = stream.endswith("_sum_words") and not process.name.endswith("streamed_pe")
            if own or stream in dataflow.sink_beats:
                depths[stream] = stage + OPEN_DEPTH
        entries.append(
            {
                "name": process.name,
                "iterations": process.iterations,
                "ii": 1,
                "issue_stages": 1,
                "reads": [{"stream": stream, "stage": 0} for stream in process.reads],
                "writes": writes,
            }
        )
    return {"processes": entries, "streams": [{"name": name, "depth": depth} for name, depth in depths.items()]}


CAMPAIGN = Depths()
