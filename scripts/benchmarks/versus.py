"""The periodic engine against the dense one, and against one with an index beside each weight, multipliers being equal.

Engines are of ResNet18's 3x3 layers, built through the flow from generated weights: HLS, yosys, the exact cycle model,
nextpnr. That model and simulation agree, and outputs are exact, is checked in every run of the flow and in the tests,
not here.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
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

from ..flow import COUNTING
from ..parallel import in_workers
from ..place_route import place_and_route
from ..resources import SOURCES, load_target, synthesise
from ..settings import HLS_PACKAGES, SYNTHESIS_PACKAGES
from ..steps import ROOT, content_key, unless_fresh, versions, write_json
from .clock import CLOCK_NS
from .frame import Table

PACKAGES = (*HLS_PACKAGES, *SYNTHESIS_PACKAGES)
TARGET, PLACED = "zcu104", "ulx3s_85f"
MULTIPLIERS = 24
VARIANT = "PSD1_P16"
# Channels of a layer, rows and columns of its image.
LAYERS = ((64, 32), (128, 16), (256, 8))
ENGINES: dict[str, dict[str, Any]] = {
    "dense": {"support": "dense", "Tb": 8, "fold": 3},
    "indexed": {"support": VARIANT, "engine": "indexed"},
    "periodic": {"support": VARIANT, "feed": "channels"},
    "periodic, windows whole": {"support": VARIANT},
}
PAIR = ("dense", "periodic")  # those that are compared with two products in a multiplier, too
TRIO = ("dense", "indexed", "periodic")  # those that are placed
PACKING = {"To": 2, "packing": 2}
PLACED_SIZE = 8  # rows and columns of the image of what is placed; more only make the line memory deeper


def run(folder: Path, progress: Callable[[str], None]) -> list[Table]:
    """Three layers as each engine, the first layer with two products in a multiplier, all of ResNet18's cycles."""
    plain = [(channels, size, name, ENGINES[name], folder) for channels, size in LAYERS for name in ENGINES]
    packed = [(*LAYERS[0], name, ENGINES[name] | PACKING, folder) for name in PAIR]
    placed = [(LAYERS[0][0], name, ENGINES[name], folder) for name in TRIO]
    # The longest first: with one on each core, the end is not one core's alone.
    calls = [(_fmax, call) for call in placed] + [(_engine, call) for call in plain + packed]

    def done(at: int) -> None:
        channels, *_, name, _, _ = calls[at][1]
        progress(f"{channels} channels, {name}{', placed' if calls[at][0] is _fmax else ''}")

    results = in_workers(_call, calls, done)
    clocks = dict(zip(TRIO, results, strict=False))
    engines = results[len(placed) :]
    rows = [_with_clock(row, clocks) for row in _compared(engines[: len(plain)])]
    double = [_with_clock(row, {}) for row in _compared(engines[len(plain) :])]
    return [
        Table(f"3x3 layers of ResNet18, {VARIANT}, {MULTIPLIERS} multipliers", rows, _NOTES),
        Table(f"Two products in each of {MULTIPLIERS} multipliers", double),
        _network(),
    ]


_NOTES = (
    f"8 bits, {TARGET}, yosys. cycles: an image takes in steady state; latency: of one image alone; both by the exact"
    " model of the RTL that was built. Indices: 8 bits beside each weight, in the same ROM.",
    "LUT: cells. LC: yosys' estimate of the six-input sites that they come to (a LUT of one or two inputs beside one of"
    " at most five or four, or beside its like), with those that are memory or shift registers.",
    f"MHz: {PLACED} (ECP5), HLS for {CLOCK_NS[PLACED]} ns, placed and routed by nextpnr: the first layer's engines with"
    f" images of {PLACED_SIZE}x{PLACED_SIZE}.",
)


def _call(function: Callable[..., Any], arguments: tuple) -> Any:
    return function(*arguments)


def _compared(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """With each row's ratios to the dense engine of its layer."""
    dense = {row["layer"]: row for row in rows if row["engine"] == "dense"}
    return [
        row
        | {
            "speed over dense": dense[row["layer"]]["cycles"] / row["cycles"],
            "LUT per lane over dense": row["LUT per lane"] / dense[row["layer"]]["LUT per lane"],
            "LC per lane over dense": row["LC per lane"] / dense[row["layer"]]["LC per lane"],
        }
        for row in rows
    ]


def _with_clock(row: dict[str, Any], clocks: Mapping[str, float]) -> dict[str, Any]:
    clock = clocks.get(row["engine"]) if row["channels"] == LAYERS[0][0] else None
    return {key: value for key, value in row.items() if key != "channels"} | {"MHz": clock}


def _design(channels: int, size: int, options: dict[str, Any]) -> tuple[EngineShape, str]:
    """The engine of a layer, and its header."""
    shape = EngineShape(cin=channels, cout=channels, kernel=3, padding=1, height=size, width=size, in_bits=8,
                        weight_bits=8, out_bits=8, shift=10, relu=True, acc_bits=32, **options)  # fmt: skip
    rng = np.random.default_rng(channels)
    weights = rng.integers(-128, 128, (channels, channels, 3, 3)) * shape.support.mask(channels, channels)
    return shape, header.render(shape, weights, rng.integers(-1000, 1000, channels))


def _built(text: str, here: Path, device: str, measure: Callable[[Any, Any], dict[str, Any]]) -> dict[str, Any]:
    """What `measure` says of the RTL of an engine for a device; kept as long as nothing that it depends on changes."""
    target, result, clock_ns = load_target(device), here / "result.json", CLOCK_NS[device]
    key = content_key(ENGINE, INCLUDE, ROOT / "hls" / "openhls", *SOURCES, *COUNTING, text, target.model_dump(),
                      clock_ns, versions(*PACKAGES))  # fmt: skip

    def make() -> None:
        write_text(here / header.FILE_NAME, text)
        made = compile_hls([SOURCE], TOP, include_dirs=[INCLUDE, ENGINE, here], target=target.openhls,
                           clock_ns=clock_ns, out=here)  # fmt: skip
        write_json(result, measure(made.rtl, target))

    unless_fresh(result, key, make)
    return json.loads(result.read_text())


def _engine(channels: int, size: int, name: str, options: dict[str, Any], folder: Path) -> dict[str, Any]:
    shape, text = _design(channels, size, options)
    here = folder / f"{channels}_{'_'.join(map(str, options.values()))}"
    cells = _built(text, here, TARGET, lambda rtl, target: synthesise(rtl, TOP, target)["total"])
    cycles = latency(shape, json.loads((here / "schedule.json").read_text()))
    return {
        "layer": shape.summary,
        "channels": channels,
        "engine": name,
        "cycles": cycles.interval,
        "latency": cycles.total,
        **{kind: cells[kind] for kind in ("LUT", "LC", "FF", "DSP", "BRAM")},
        "LUT per lane": cells["LUT"] / shape.lanes,
        "LC per lane": cells["LC"] / shape.lanes,
        "weight bits": shape.weight_bits_stored,
        "index bits": shape.index_rom_bits,
    }


def _fmax(channels: int, name: str, options: dict[str, Any], folder: Path) -> float:
    """MHz of an engine after place and route."""
    _, text = _design(channels, PLACED_SIZE, options)
    here = folder / f"{channels}_{'_'.join(map(str, options.values()))}_placed"
    placed = _built(text, here, PLACED, lambda rtl, target: place_and_route(rtl, TOP, target, CLOCK_NS[PLACED]))
    return placed["fmax_mhz"]


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
                + _filling(layer)
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


def _filling(layer: Any) -> int:
    """Lane iterations of an image before there is work: a period, in which the first window set comes in."""
    support = layer.make_support() if isinstance(layer, Conv) else None
    return support.period * support.nonzeros if support and support.period > 1 else 0
