"""Counts of networks: parameters, multiply-accumulates, storage, traffic, energy."""

from __future__ import annotations

import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from psconv.cli import show
from psconv.cli.options import Json, number
from pymodel.common import bounds
from pymodel.common.errors import ConfigError
from pymodel.common.records import json_text

if TYPE_CHECKING:
    from psconv.commands.counted import Counted
    from pymodel.nn.variants import Family

NETWORK, DATASET = "resnet18", "cifar10"  # what is counted unless told otherwise
File = Annotated[
    Path | None,
    typer.Argument(metavar="[FILE]", help="a bundle (.yaml) or an ONNX file, instead of a network of the papers"),
]
Model = Annotated[
    str | None, typer.Option("--model", metavar="FILE.py:NAME", help="or a PyTorch model, or what returns one")
]
Input = Annotated[
    str | None, typer.Option("--input", metavar="3x32x32", help="with --model: channels, rows and columns of an image")
]
Name = Annotated[
    str | None, typer.Option("--network", help="resnet18, vgg16, shufflenet, mobilenet_v2, digits; none: resnet18")
]
Images = Annotated[
    str | None, typer.Option("--dataset", help="cifar10, tiny-imagenet, imagenet, digits; none: cifar10")
]
Variant = Annotated[
    str | None,
    typer.Option(
        help="such as PSD1_P16,SynFlow@PSD1_P16; or all; none: all, and of a network from a file, what it has itself"
    ),
]


def complexity(
    file: File = None,
    model: Model = None,
    shape: Input = None,
    network: Name = None,
    dataset: Images = None,
    variant: Variant = None,
    storage: Annotated[bool, typer.Option("--storage", help="bits for weights and indices in five formats")] = False,
    bits: Annotated[
        int | None, number("--bits", bounds.COUNTED_BITS, "of a weight, for --storage; none: the bundle's, or 8")
    ] = None,
    layers: Annotated[bool, typer.Option("--layers", help="a row per layer")] = False,
    as_json: Json = False,
) -> None:
    """Parameters and multiply-accumulates of a network, and the reductions against its dense twin.

    Of the papers' networks: psconv complexity --network vgg16 --variant PSD1_P16

    Of your own: psconv complexity bundle.yaml, psconv complexity model.onnx, or psconv complexity --model
    my_model.py:make_model --input 3x32x32. They are counted as they are (batch norms in the weights before them); with
    --variant their dense twin is, under each of the supports.
    """
    from pymodel.counts.complexity import compare_variants

    counted = _counted(file, model, shape)
    family = _family(counted, network, dataset, variant)
    counts = compare_variants(family)
    if storage:
        from psconv.commands.analysis import storage_rows

        width = bits or (counted.weight_bits if counted else 8)
        rows = storage_rows(family, width)
        show.table(f"Storage: {family.title}, {width}-bit weights", rows, show.console(), as_json)
    elif as_json:
        by_variant = {name: count.to_json() for name, count in counts.items()}
        named = {"network": family.title}
        if not counted:
            named = {"network": network or NETWORK, "dataset": dataset or DATASET}
        print(json_text({**named, "variants": by_variant}))
    elif layers:
        for name, count in counts.items():
            show.table(
                f"{family.title}, {name}",
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
            family.title,
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
    file: File = None,
    model: Model = None,
    shape: Input = None,
    network: Name = None,
    dataset: Images = None,
    variant: Variant = None,
    multipliers: Annotated[int, number("--multipliers", bounds.MULTIPLIERS, "of each layer's engine")] = 72,
    weight_bits: Annotated[
        int | None, number("--weight-bits", bounds.TENSOR_BITS, "none: the widest of a bundle, or 8")
    ] = None,
    activation_bits: Annotated[
        int | None, number("--activation-bits", bounds.TENSOR_BITS, "none: the widest of a bundle, or 8")
    ] = None,
    weights_kib: Annotated[
        int, number("--weights-kib", bounds.KIB, "on-chip buffer that keeps weights between images")
    ] = 0,
    activations_kib: Annotated[int, number("--activations-kib", bounds.KIB, "on-chip buffer for activations")] = 256,
    costs: Annotated[Path | None, typer.Option(help="YAML file of costs per access instead of the published")] = None,
    plot: Annotated[Path | None, typer.Option(metavar="DIR", help="write plots (SVG and PNG) there")] = None,
    as_json: Json = False,
) -> None:
    """Memory traffic and energy of an image, in each weight format: a model from published costs, not measured.

    Of the papers' networks, a bundle, an ONNX file or a PyTorch model, as `psconv complexity` takes them. All layers
    are counted with one width of weights and one of activations.
    """
    from psconv.commands import analysis
    from pymodel.counts.energy import Costs
    from pymodel.counts.traffic import Buffers, EngineOptions

    prices = Costs.load(costs) if costs else Costs.load()
    counted = _counted(file, model, shape)
    family = _family(counted, network, dataset, variant)
    widths = {
        "weight_bits": weight_bits or (counted.weight_bits if counted else 8),
        "activation_bits": activation_bits or (counted.activation_bits if counted else 8),
    }
    buffers = Buffers(weights_kib=weights_kib, activations_kib=activations_kib)
    setting = analysis.Setting(EngineOptions(multipliers=multipliers, **widths), buffers, prices)
    rows = analysis.energy_rows(family, setting)
    show.table(f"Energy of an image: {family.title}", rows, show.console(), as_json)
    if plot:
        analysis.plot_storage(family, plot, setting.options.weight_bits)
        analysis.plot_energy(family, plot, setting)


def _counted(file: Path | None, model: str | None, shape: str | None) -> Counted | None:
    """The network from a file; None where none is given. Raises ConfigError."""
    from psconv.commands import counted

    if file is not None and model is not None:
        raise ConfigError(f"FILE: must be left out with --model, got {file}")
    if model is None and shape is not None:
        raise ConfigError(f"--input: must come with --model alone, got {shape}")
    with redirect_stdout(sys.stderr):  # what the user's own program prints
        if model is not None:
            return counted.of_module(model, shape)
        return None if file is None else counted.of_file(file)


def _family(counted: Counted | None, network: str | None, dataset: str | None, variant: str | None) -> Family:
    """The networks that are counted. Raises ConfigError."""
    from pymodel.network.supports import PAPER_VARIANTS
    from pymodel.nn.variants import family

    named = {"--network": network, "--dataset": dataset}
    if counted and (wrong := [option for option, value in named.items() if value is not None]):
        raise ConfigError(f"{', '.join(wrong)}: must be left out with a network from a file")
    variants = tuple(variant.split(",")) if variant else ()
    if variant == "all":
        variants = PAPER_VARIANTS
    if counted:
        return counted.family(variants)
    return family(network or NETWORK, dataset or DATASET, variants or PAPER_VARIANTS)
