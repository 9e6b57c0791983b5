"""The periodic engine against the dense one, and against one with an index beside each weight, multipliers being equal.

Engines are of ResNet18's 3x3 layers (`generated`): HLS, yosys, the exact cycle model of the RTL, nextpnr.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from psconv.common.parallel import in_workers
from pymodel.counts.complexity import complexity
from pymodel.network.supports import Support
from pymodel.network.topology import Conv, Network, Shape, Weighted
from pymodel.network.zoo import make_network
from pymodel.top.cycles import latency
from scripts.benchmarks.frame import Table
from scripts.benchmarks.generated import BY_CHANNELS, CLOCK_NS, DENSE, PACKAGES, PERIODIC, generate

__all__ = ["PACKAGES", "run"]
TARGET, PLACED = "zcu104", "ulx3s_85f"
MULTIPLIERS = 24
VARIANT = PERIODIC["support"]
# Channels of a layer, rows and columns of its image.
LAYERS = ((64, 32), (128, 16), (256, 8))
WHOLE = "periodic, windows whole"  # what the ring in memories is compared with: the first layer alone
ENGINES: dict[str, dict[str, Any]] = {
    "dense": DENSE,
    "indexed": PERIODIC | {"engine": "indexed"},
    "periodic": BY_CHANNELS,
    WHOLE: PERIODIC,
}
PLACING = (WHOLE, "periodic", "dense")  # the longest first; nextpnr does not come to an end with the indexed engine
PAIR = ("dense", "periodic")  # those that are compared with two products in a multiplier, too
PACKING = {"To": 2, "packing": 2}


def run(folder: Path, progress: Callable[[str], None]) -> list[Table]:
    """Three layers as each engine, the first layer with two products in a multiplier, all of ResNet18's cycles."""
    plain = [
        (*layer, name, ENGINES[name], folder)
        for layer in LAYERS
        for name in ENGINES
        if name != WHOLE or layer == LAYERS[0]
    ]
    packed = [(*LAYERS[0], name, ENGINES[name] | PACKING, folder) for name in PAIR]
    placed = [(*LAYERS[0], name, ENGINES[name], folder) for name in PLACING]
    # The longest first: with one on each core, the end is not one core's alone.
    calls = [(_fmax, call) for call in placed] + [(measured, call) for call in plain + packed]

    def done(at: int) -> None:
        function, (channels, _, name, *_) = calls[at]
        progress(f"{channels} channels, {name}{', placed' if function is _fmax else ''}")

    results = in_workers(_call, calls, done)
    clocks = dict(zip(PLACING, results, strict=False))
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
    f"estimated MHz: {TARGET}, scheduled for {CLOCK_NS[TARGET]} ns, by the flow's delay model. ECP5 MHz: {PLACED},"
    f" scheduled for {CLOCK_NS[PLACED]} ns, or the next period that HLS takes,"
    " placed and routed by nextpnr with seed 1: engines of the first layer.",
)


def _call(function: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
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
    return {key: value for key, value in row.items() if key != "channels"} | {"ECP5 MHz": clock}


def measured(channels: int, size: int, name: str, options: dict[str, Any], folder: Path) -> dict[str, Any]:
    """The row of an engine, without ratios."""
    engine = generate(channels, size, options, TARGET, folder)
    shape, cells, cycles = engine.shape, engine.cells(), latency(engine.dataflow, engine.schedule)
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
        "estimated MHz": round(engine.estimated_mhz, 1),
    }


def _fmax(channels: int, size: int, _: str, options: dict[str, Any], folder: Path) -> float:
    """MHz after place and route."""
    return float(generate(channels, size, options, PLACED, folder).placed()["fmax_mhz"])


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
        rows.append(
            {
                "of": title,
                "dense": work["dense"],
                "periodic": work["periodic"],
                "ratio": work["dense"] / work["periodic"],
            }
        )
    reduction = complexity(dense).macs / complexity(sparse).macs
    return Table(
        "Whole ResNet18: lane iterations of an image",
        rows,
        (
            f"Lane iterations: cycles times multipliers, what an engine without idle lanes takes. {VARIANT} has "
            f"{reduction:.2f} times fewer MACs by pymodel.counts.complexity.",
        ),
    )


def _varied(network: Network, name: str) -> bool:
    layer = network.layer(name)
    return isinstance(layer, Conv) and layer.make_support().name == VARIANT


def _products(layer: Weighted, channels: int, sizes: dict[str, Shape]) -> int:
    """Lane iterations of an output pixel: every block of channels whole, every output channel."""
    outputs = sizes[layer.name][0]
    if not isinstance(layer, Conv):
        return channels * outputs
    support = _periodic(layer)
    return -(-channels // support.period) * support.nonzeros * outputs


def _filling(layer: Weighted) -> int:
    """Lane iterations of an image before there is work: a period, in which the first window set comes in."""
    support = _periodic(layer) if isinstance(layer, Conv) else None
    return support.period * support.nonzeros if support and support.period > 1 else 0


def _periodic(layer: Conv) -> Support:
    support = layer.make_support()
    assert isinstance(support, Support), f"{layer.name}: {support.name}"
    return support
