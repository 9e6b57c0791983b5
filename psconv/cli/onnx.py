"""ONNX files in and out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from psconv.cli import show
from psconv.cli.options import Json, number
from pymodel.common import bounds


def import_onnx(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="an .onnx file: float, QONNX or QDQ")],
    out: Annotated[Path, typer.Option("--out", help="the bundle's .yaml file")],
    calibration: Annotated[
        Path | None,
        typer.Option(
            "--calibration", help=".npz with `images` as the file takes them, some 100, and `labels`; for float files"
        ),
    ] = None,
    weight_bits: Annotated[int | None, number("--weight-bits", bounds.TENSOR_BITS, "of a float file")] = None,
    activation_bits: Annotated[int | None, number("--activation-bits", bounds.TENSOR_BITS, "of a float file")] = None,
    output_bits: Annotated[int | None, number("--output-bits", bounds.TENSOR_BITS, "of a float file")] = None,
    per_channel: Annotated[
        bool, typer.Option("--per-channel", help="of a float file: an integer scale per output channel besides")
    ] = False,
    masks: Annotated[
        bool,
        typer.Option("--masks", help="pruned layers that no periodic support fits keep a mask, which is not built"),
    ] = False,
    finer: Annotated[
        int | None,
        number("--finer", bounds.FINER_BITS, "of a quantised file: bits that weights may get wider for finer biases"),
    ] = None,
    as_json: Json = False,
) -> None:
    """Turns an ONNX file into a fixed-point bundle (needs the package's `onnx` extra; docs/guide/onnx.md).

    A float network is quantised on the images: psconv import model.onnx --calibration data.npz --out bundle.yaml

    One that brevitas (QONNX) or onnxruntime (QDQ) quantised keeps its own integers: psconv import model.onnx --out
    bundle.yaml

    Zeros of pruned weights become a periodic support where one fits. What a bundle cannot have exactly is told, with
    how far its outputs are from the file's. What cannot be built is named, all of it, with what to use instead.
    """
    from psconv.api.onnx_files import import_onnx

    bits = {"weight_bits": weight_bits, "activation_bits": activation_bits, "output_bits": output_bits}
    given = {name: value for name, value in bits.items() if value is not None}
    result = import_onnx(file, out, calibration, given, per_channel, masks, finer)
    show.result("Bundle", result.to_json(), as_json)


def export_onnx(
    bundle: Annotated[Path, typer.Argument(metavar="BUNDLE", help="a bundle's .yaml file")],
    onnx: Annotated[Path, typer.Option("--onnx", help="the .onnx file to write")],
    qonnx: Annotated[bool, typer.Option("--qonnx", help="Quant nodes (FINN, hls4ml) instead of QDQ")] = False,
    as_json: Json = False,
) -> None:
    """Writes a bundle as an ONNX file that gives the same integers (needs the package's `onnx` extra).

    QDQ, which onnxruntime runs: psconv export bundle.yaml --onnx model.onnx
    """
    from psconv.api.onnx_files import export_onnx

    show.result("ONNX", export_onnx(bundle, onnx, qonnx).to_json(), as_json)
