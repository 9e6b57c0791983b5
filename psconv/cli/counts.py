"""Counts of networks: parameters, multiply-accumulates, storage, traffic, energy."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from psconv.cli import show
from psconv.cli.options import Json, number
from pymodel.common import bounds
from pymodel.common.records import json_text


def complexity(
    network: Annotated[str, typer.Option(help="resnet18, vgg16, shufflenet, mobilenet_v2, digits")] = "resnet18",
    dataset: Annotated[str, typer.Option(help="cifar10, tiny-imagenet, digits")] = "cifar10",
    variant: Annotated[str, typer.Option(help="such as PSD1_P16,SynFlow@PSD1_P16; or all")] = "all",
    storage: Annotated[bool, typer.Option("--storage", help="bits for weights and indices in five formats")] = False,
    bits: Annotated[int, number("--bits", bounds.COUNTED_BITS, "of a weight, for --storage")] = 8,
    layers: Annotated[bool, typer.Option("--layers", help="a row per layer")] = False,
    as_json: Json = False,
) -> None:
    """Parameters and multiply-accumulates of a network, and the reductions against its dense twin."""
    from pymodel.counts.complexity import compare_variants
    from pymodel.network.supports import PAPER_VARIANTS

    variants = PAPER_VARIANTS if variant == "all" else tuple(variant.split(","))
    counts = compare_variants(network, dataset, variants)
    title = f"{network}, {dataset}"
    if storage:
        from psconv.commands.analysis import storage_rows

        rows = storage_rows(network, dataset, variants, bits)
        show.table(f"Storage: {title}, {bits}-bit weights", rows, show.console(), as_json)
    elif as_json:
        by_variant = {name: count.to_json() for name, count in counts.items()}
        print(json_text({"network": network, "dataset": dataset, "variants": by_variant}))
    elif layers:
        for name, count in counts.items():
            show.table(
                f"{title}, {name}",
                [
                    {
                        "layer": x.name,
                        "support": x.support,
                        "output": "x".join(map(str, x.out_shape)),
                        "weights": x.weights,
                        "of dense": f"{x.weights / x.dense_weights:.3f}",
                        "MACs": x.macs,
                    }
                    for x in count.layers
                ],
                show.console(),
                False,
            )
    else:
        show.table(
            title,
            [
                {
                    "variant": name,
                    "weights": count.total("weights"),
                    "fewer": f"{1 - 1 / count.reduction('weights'):.1%}",
                    "conv only": f"{1 - 1 / count.reduction('conv_weights'):.1%}",
                    "params": count.parameters,
                    "params ÷": f"{count.reduction('parameters'):.2f}x",
                    "MACs": count.macs,
                    "MACs ÷": f"{count.reduction('macs'):.2f}x",
                }
                for name, count in counts.items()
            ],
            show.console(),
            False,
        )


def energy(
    network: Annotated[str, typer.Option(help="resnet18, vgg16, digits")] = "resnet18",
    dataset: Annotated[str, typer.Option(help="cifar10, tiny-imagenet, digits")] = "cifar10",
    variant: Annotated[str, typer.Option(help="such as PSD1_P16,SynFlow@PSD1_P16; or all")] = "all",
    multipliers: Annotated[int, number("--multipliers", bounds.MULTIPLIERS, "of each layer's engine")] = 72,
    weights_kib: Annotated[
        int, number("--weights-kib", bounds.KIB, "on-chip buffer that keeps weights between images")
    ] = 0,
    activations_kib: Annotated[int, number("--activations-kib", bounds.KIB, "on-chip buffer for activations")] = 256,
    costs: Annotated[Path | None, typer.Option(help="YAML file of costs per access instead of the published")] = None,
    plot: Annotated[Path | None, typer.Option(metavar="DIR", help="write plots (SVG and PNG) there")] = None,
    as_json: Json = False,
) -> None:
    """Memory traffic and energy of an image, in each weight format: a model from published costs, not measured."""
    from psconv.commands import analysis
    from pymodel.counts.energy import Costs
    from pymodel.counts.traffic import Buffers, EngineOptions
    from pymodel.network.supports import PAPER_VARIANTS

    variants = PAPER_VARIANTS if variant == "all" else tuple(variant.split(","))
    prices = Costs.load(costs) if costs else Costs.load()
    buffers = Buffers(weights_kib=weights_kib, activations_kib=activations_kib)
    setting = analysis.Setting(EngineOptions(multipliers=multipliers), buffers, prices)
    rows = analysis.energy_rows(network, dataset, variants, setting)
    show.table(f"Energy of an image: {network}, {dataset}", rows, show.console(), as_json)
    if plot:
        analysis.plot_storage(network, dataset, plot, variants)
        analysis.plot_energy(network, dataset, plot, variants, setting)
