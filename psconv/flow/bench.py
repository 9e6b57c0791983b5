"""The bench of rtl_tb on the RTL of one engine, whichever HLS tool made it."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from psconv.common.fresh import content_key, versions
from psconv.common.places import RTL_TB
from psconv.common.sources import code
from psconv.flow.settings import SIMULATION_PACKAGES, Settings
from psconv.flow.subject import Engine
from pymodel.engine.packing import pack_beats, pack_output_beats
from rtl_tb.ports import Ports
from rtl_tb.runner import SimResult, simulate
from rtl_tb.watchdog import Inner


def simulator() -> str:
    """A hash of what the result of a simulation depends on besides the design and its images."""
    own = code("rtl_tb.runner", "rtl_tb.bench", "pymodel.top.packets")
    return content_key(RTL_TB, Path(__file__), own, versions(*SIMULATION_PACKAGES))


def bench(
    engine: Engine,
    settings: Settings,
    rtl: Sequence[Path],
    ports: Ports | Mapping[str, object],
    out: Path,
    images: int,
    idle: float,
    backpressure: float,
    quiet: int,
    *,
    inner: Sequence[Inner] = (),
    tables: Sequence[Path] = (),
) -> SimResult:
    """Runs the engine's first `images` images through its RTL, in the folder `out`, against the golden outputs.

    idle, backpressure: chances of a stall in a cycle. quiet: cycles in which no beat may move, stalls aside. inner: the
    streams of RTL of the open flow. tables: files that the RTL reads from the folder it runs in.
    """
    shape = engine.shape
    x, y = engine.x[:images], engine.y[:images]
    beats = pack_beats(x, shape)
    last = np.arange(1, len(beats) + 1) % shape.in_beats == 0
    out.mkdir(parents=True, exist_ok=True)
    for table in tables:
        shutil.copy2(table, out)
    return simulate(
        rtl,
        ports,
        beats,
        last,
        pack_output_beats(y, shape),
        shape.out_beats,
        out,
        seed=settings.seed,
        idle=idle,
        backpressure=backpressure,
        timeout_cycles=quiet,
        inner=inner,
        waves=settings.waves,
        cache=settings.simulator_cache,
        axes={
            "in": [("row", shape.height), ("column", shape.width), ("block set", shape.NB)],
            "out": [("row", shape.hout), ("column", shape.wout), ("group", shape.groups)],
        },
    )


def inner_streams(schedule: Mapping[str, Any]) -> list[Inner]:
    """The streams of a design that the open flow made, its ports among them."""
    return [Inner(s["name"], s["depth"], s["producer"], s["consumer"]) for s in schedule["streams"]]


def summary(result: SimResult) -> dict[str, Any]:
    """What of a simulation goes into its record."""
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
    }
