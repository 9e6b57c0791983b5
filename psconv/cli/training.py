"""Training and quantisation, which need PyTorch."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Annotated

import typer

from psconv.cli import show
from psconv.cli.options import Json, Out, Sets, number
from pymodel.common import bounds
from pymodel.common.errors import NEEDS_TORCH, ConfigError


def train(
    config: Annotated[Path, typer.Argument(help="YAML file of a training; see docs/guide/training.md")],
    out: Out = Path("out/train"),
    resume: Annotated[bool, typer.Option("--resume", help="continue after a kill, to the same weights")] = False,
    sets: Sets = None,
    as_json: Json = False,
) -> None:
    """Trains a pSConv network in PyTorch (needs the package's `train` extra).

    In the file, `network: {name: resnet18, variant: PSD1_P16}` is one of ours; with `python: my_model.py:make_model` in
    place of the name, it is a module of your own, whose convolutions get the support (docs/guide/own_network.md).
    """
    with _torch():
        from pymodel.training import train as training
    with redirect_stdout(sys.stderr):  # what the user's own program prints
        result = training.train(config, out, resume, tuple(sets or ()))
    show.result("Training", result.to_json(), as_json)


def quantize(
    out: Annotated[Path, typer.Option("--out", help="the bundle's .yaml file")],
    run_dir: Annotated[
        Path | None, typer.Argument(metavar="RUN", help="folder of a training run; or --model instead")
    ] = None,
    model: Annotated[
        str | None,
        typer.Option("--model", metavar="FILE.py:NAME", help="a PyTorch model, or the function that returns one"),
    ] = None,
    weights: Annotated[
        Path | None,
        typer.Option("--weights", help="with --model: its state dict, by torch.save; none: those it comes with"),
    ] = None,
    calibration: Annotated[
        Path | None,
        typer.Option(
            "--calibration", help="with --model: .npz with `images` as the model takes them, some 100, and `labels`"
        ),
    ] = None,
    weight_bits: Annotated[int | None, number("--weight-bits", bounds.TENSOR_BITS)] = None,
    activation_bits: Annotated[int | None, number("--activation-bits", bounds.TENSOR_BITS)] = None,
    output_bits: Annotated[int | None, number("--output-bits", bounds.TENSOR_BITS, "with --model")] = None,
    per_channel: Annotated[
        bool, typer.Option("--per-channel", help="with --model: an integer scale per output channel besides")
    ] = False,
    qat: Annotated[bool | None, typer.Option("--qat/--no-qat", help="with RUN: quantisation-aware training")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="with RUN: continue after a kill")] = False,
    sets: Sets = None,
    as_json: Json = False,
) -> None:
    """Turns a trained network into a fixed-point bundle that golden model and engine run.

    A network that `psconv train` trained: psconv quantize runs/digits --out digits.yaml

    A model of your own, any torch.nn.Module (docs/guide/own_network.md):

    psconv quantize --model my_model.py:make_model --weights w.pt --calibration data.npz --out bundle.yaml

    The scales of all tensors, the input's too, are those that lose least on the images. What cannot be built is
    named, all of it, with what to use instead. With labels, the accuracies before and after are told.
    """
    if model is not None:
        if run_dir is not None:
            raise ConfigError(f"RUN: must be left out with --model, got {run_dir}")
        _refuse_others("RUN", {"--qat": qat, "--resume": resume or None, "--set": sets})
        _quantize_model(
            model,
            weights,
            calibration,
            out,
            {"weight_bits": weight_bits, "activation_bits": activation_bits, "output_bits": output_bits},
            per_channel,
            as_json,
        )
        return
    if run_dir is None:
        raise ConfigError("quantize: must be given RUN, the folder of a training, or --model FILE.py:NAME")
    _refuse_others(
        "--model",
        {
            "--weights": weights,
            "--calibration": calibration,
            "--output-bits": output_bits,
            "--per-channel": per_channel or None,
        },
    )
    with _torch():
        from pymodel.training.quantise import quantise
    with redirect_stdout(sys.stderr):  # what the user's own program prints
        result = quantise(
            run_dir,
            out,
            weight_bits=weight_bits,
            activation_bits=activation_bits,
            qat=qat,
            resume=resume,
            overrides=tuple(sets or ()),
        )
    if result:  # none in the other processes of torchrun
        show.result("Bundle", result.to_json(), as_json)


def _refuse_others(owner: str, given: dict[str, object]) -> None:
    """Options that belong to the other way must be left out."""
    if wrong := [option for option, value in given.items() if value is not None]:
        raise ConfigError(f"{', '.join(wrong)}: must come with {owner} alone")


def _quantize_model(
    model: str,
    weights: Path | None,
    calibration: Path | None,
    out: Path,
    bits: dict[str, int | None],
    per_channel: bool,
    as_json: bool,
) -> None:
    if calibration is None:
        raise ConfigError("--calibration: must be given with --model: an .npz with the array `images`")
    with _torch():
        from psconv.api.files import quantize_files
    given = {name: value for name, value in bits.items() if value is not None}
    with redirect_stdout(sys.stderr):  # what the user's own program prints
        result = quantize_files(model, weights, calibration, out, given, per_channel)
    show.result("Bundle", result.to_json(), as_json)


def sweep(
    config: Annotated[Path, typer.Argument(help="YAML file of a training")],
    variants: Annotated[list[str], typer.Argument(help="such as dense PSD1_P16 PS1_P9")],
    results: Annotated[Path, typer.Option(help="results file (.json) to add to; a table and a plot come beside it")],
    out: Out = Path("out/sweep"),
    sets: Sets = None,
    as_json: Json = False,
) -> None:
    """Trains, quantises and judges several variants of a network, side by side."""
    with _torch():
        from pymodel.training import sweep as sweeping
    with redirect_stdout(sys.stderr):  # what the user's own program prints
        result = sweeping.sweep(config, out, tuple(variants), results, tuple(sets or ()))
    if result:
        show.result("Sweep", result.to_json(), as_json)


@contextmanager
def _torch() -> Iterator[None]:
    """Around the import of a module that needs PyTorch. Raises ConfigError where that is missing."""
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        raise ConfigError(f"training {NEEDS_TORCH}") from error
