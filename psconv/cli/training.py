"""Training and quantisation, which need PyTorch."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
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
    """Trains a pSConv network in PyTorch (needs the package's `train` extra)."""
    with _torch():
        from pymodel.training import train as training
    show.result("Training", training.train(config, out, resume, tuple(sets or ())).to_json(), as_json)


def quantize(
    run_dir: Annotated[Path, typer.Argument(metavar="RUN", help="folder of a training run")],
    out: Annotated[Path, typer.Option("--out", help="the bundle's .yaml file")],
    weight_bits: Annotated[int | None, number("--weight-bits", bounds.TENSOR_BITS)] = None,
    activation_bits: Annotated[int | None, number("--activation-bits", bounds.TENSOR_BITS)] = None,
    qat: Annotated[bool | None, typer.Option("--qat/--no-qat", help="quantisation-aware training")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="continue after a kill")] = False,
    sets: Sets = None,
    as_json: Json = False,
) -> None:
    """Turns a trained network into a fixed-point bundle that golden model and engine run."""
    with _torch():
        from pymodel.training.quantise import quantise
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
