"""Engines of one 3x3 layer of generated weights for a device, through HLS, yosys and nextpnr.

All benchmarks that write to one folder share them: each is made once, and again only when something changes that it
depends on. That values and cycles are exact is checked in every run of the flow and in the tests, not here.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from openhls import HlsError, fingerprint

from psconv.common.fresh import content_key, unless_fresh, versions
from psconv.common.places import ENGINE, INCLUDE
from psconv.common.sources import code
from psconv.flow.hls import Synthesised, compile_top
from psconv.flow.settings import HLS_PACKAGES, SYNTHESIS_PACKAGES
from psconv.synthesis import place_route
from psconv.synthesis.resources import synthesise
from psconv.synthesis.targets import Target, load_target
from pymodel.common.records import write_json
from pymodel.engine.packing import EngineShape
from pymodel.network.formats import accumulator_bits
from pymodel.top import cpp
from pymodel.top.dataflow import Dataflow, single

PACKAGES = (*HLS_PACKAGES, *SYNTHESIS_PACKAGES)
# Options of engines of 24 multipliers, which benchmarks compare.
DENSE: dict[str, Any] = {"support": "dense", "Tb": 8, "fold": 3}
PERIODIC: dict[str, Any] = {"support": "PSD1_P16"}
BY_CHANNELS = PERIODIC | {"feed": "channels"}
Kept = TypeVar("Kept")
CLOCK_NS = {"ulx3s_85f": 6.4, "zcu104": 3.333}  # scheduled for, and asked of nextpnr
_SLOWER, _PERIODS = 0.4, 10  # ns more, so many times, where HLS refuses a recurrence


@dataclass(frozen=True)
class Generated:
    """An engine whose RTL and schedule.json lie in `folder`. key: of all that they depend on. clock_ns: its period."""

    dataflow: Dataflow
    target: Target
    folder: Path
    key: str
    clock_ns: float

    @property
    def shape(self) -> EngineShape:
        [shape] = self.dataflow.shapes.values()
        return shape

    @property
    def top(self) -> str:
        return self.dataflow.top

    @property
    def schedule(self) -> dict[str, Any]:
        return Synthesised(self.folder).schedule

    @property
    def rtl(self) -> list[Path]:
        return Synthesised(self.folder).rtl

    @property
    def pe_stages(self) -> int:
        """Pipeline stages of the processing element."""
        [pe] = [process for process in self.schedule["processes"] if process["name"].endswith("_pe")]
        return int(pe["stages"])

    @property
    def slowest(self) -> dict[str, Any]:
        """The process with the longest stage, as schedule.json has it: what limits the clock by the flow's model."""
        processes: list[dict[str, Any]] = self.schedule["processes"]
        return max(processes, key=lambda process: float(process["longest_stage_ns"]))

    @property
    def estimated_mhz(self) -> float:
        """The clock that the flow's delay model allows."""
        return 1000 / float(self.slowest["longest_stage_ns"])

    def cells(self) -> dict[str, float]:
        """Resources by yosys, as `resources.synthesise` totals them."""
        return self._kept("cells", lambda: synthesise(self.rtl, self.top, self.target)["total"])

    def netlist(self) -> dict[str, int]:
        """Synthesis for `placed`; the registers that went into blocks."""
        return self._kept(
            "netlist", lambda: place_route.netlist(self.rtl, self.top, self.target, self.folder / "synthesised")
        )

    def placed(self, seed: int = 1) -> place_route.Placed:
        """After place and route."""
        self.netlist()
        return self._kept(
            f"placed_{seed}",
            lambda: place_route.route(
                self.folder / "synthesised", self.rtl, self.top, self.target, self.clock_ns, seed=seed
            ),
        )

    def _kept(self, name: str, make: Callable[[], Kept]) -> Kept:
        result = self.folder / f"{name}.json"
        key = content_key(
            self.key,
            code("psconv.synthesis.resources", "psconv.synthesis.place_route"),
            self.target.model_dump(),
            versions(*SYNTHESIS_PACKAGES),
        )
        unless_fresh(result, key, lambda: write_json(result, make()))
        kept: Kept = json.loads(result.read_text(encoding="utf-8"))
        return kept


def generate(channels: int, size: int, options: dict[str, Any], device: str, folder: Path) -> Generated:
    """The engine of a 3x3 layer of `channels` to `channels` channels and `size` x `size` pixels, as RTL.

    options: of `EngineShape`, over 8 bits; weights take the whole range, bits of sums are as many as proved. folder: of
    a benchmark; engines lie beside it. It is scheduled for the device's CLOCK_NS, or the next period that HLS takes.
    """
    target = load_target(device)
    layer = {
        "cin": channels,
        "cout": channels,
        "kernel": 3,
        "padding": 1,
        "height": size,
        "width": size,
        "in_bits": 8,
        "weight_bits": 8,
        "out_bits": 8,
        "shift": 10,
        "relu": True,
        "multiplier_bits": max(target.multiplier),
        "acc_bits": 32,
    } | options
    widest = EngineShape(**layer)
    rng = np.random.default_rng(channels)
    low = -(1 << (widest.weight_bits - 1))
    weights = rng.integers(low, -low, (channels, channels, 3, 3)) * widest.support.mask(channels, channels)
    bias = rng.integers(-1000, 1000, channels)
    shape = EngineShape(**layer | {"acc_bits": accumulator_bits(weights, bias, widest.in_bits)})
    dataflow, fastest = single("generated", shape, weights, bias), CLOCK_NS[device]
    sources = cpp.render(dataflow, shape.summary)
    here = folder.parent / "engines" / "_".join(map(str, (device, channels, size, *options.values())))
    key = content_key(ENGINE, INCLUDE, fingerprint(), sources, target.openhls, fastest, versions(*HLS_PACKAGES))

    def make() -> None:
        for number in range(_PERIODS + 1):
            try:
                clock_ns = round(fastest + number * _SLOWER, 3)
                compile_top(dataflow, here, sources, target=target.openhls, clock_ns=clock_ns)
                return
            except HlsError as error:
                if "recurrence" not in str(error) or number == _PERIODS:
                    raise

    unless_fresh(here / "schedule.json", key, make, here / "rtl", here / "ports.json")
    return Generated(dataflow, target, here, key, Synthesised(here).schedule["clock_ns"])
