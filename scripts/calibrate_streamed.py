"""Calibrates the cost model of engines whose weights are streamed: networks of one layer through HLS and yosys, a fit.

    python -m scripts.calibrate_streamed --out out/calibration

The result is pymodel/explore/calibration/TECHNOLOGY_streamed.yaml: every measurement, the coefficients fitted to them,
and how far off the fit is for engines that it has not seen.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from openhls import fingerprint

from psconv.common.fresh import content_key, unless_fresh
from psconv.common.places import ENGINE, INCLUDE
from psconv.flow.hls import compile_top
from psconv.synthesis.resources import synthesise
from psconv.synthesis.targets import load_target
from pymodel.common.records import read_json, write_json
from pymodel.engine.products import most_products
from pymodel.explore.network import top_shapes
from pymodel.explore.streamed_costs import fit_streamed
from pymodel.explore.technology import Technology
from pymodel.network.random_bundle import random_bundle
from pymodel.network.topology import Conv, InputSpec, Network
from pymodel.top.cpp import render
from pymodel.top.dataflow import Dataflow, build
from scripts.calibration import Calibrated, main

LAYER = "layer"


def layer_alone(
    cin: int, cout: int, size: int, support: str, bits: int = 8, kernel: int = 3, stride: int = 1, **parallelism: Any
) -> tuple[Network, int, dict[str, Any]]:
    """A network of one convolution of size x size pixels, bits of its weights and activations, To, R, Tx, ..."""
    layer = Conv(
        name=LAYER,
        input="input",
        out_channels=cout,
        kernel=kernel,
        padding=kernel // 2,
        stride=stride,
        support=support,
        relu=True,
    )
    pixels = InputSpec(channels=cin, height=size, width=size)
    return Network(name=LAYER, input=pixels, layers=[layer], output=LAYER), bits, parallelism


# Few pixels and many, windows in block RAM and in look-up tables, folds, several rotations, outputs, blocks, pixels.
ENGINES = {
    "plain": layer_alone(64, 64, 4, "PSD1_P16"),
    "large_image": layer_alone(32, 32, 16, "PSD1_P16"),
    "one_pixel": layer_alone(128, 10, 1, "dense", kernel=1, Tb=4, To=2),
    "pointwise": layer_alone(64, 128, 4, "dense", kernel=1, To=4, Tb=4),
    "pointwise_fold": layer_alone(64, 64, 8, "dense", kernel=1, To=2, Tb=16, fold=2),
    "two_blocks": layer_alone(64, 64, 4, "PSD1_P16", Tb=2, fold=2),
    "two_outputs": layer_alone(64, 64, 8, "PSD1_P16", To=2),
    "stride": layer_alone(32, 64, 8, "PSD1_P16", stride=2, fold=2),
    "p8": layer_alone(32, 64, 4, "PSD4_P8"),
    "p9": layer_alone(36, 72, 6, "PS1_P9", Tb=2),
    "dense": layer_alone(16, 32, 8, "dense", To=4, Tb=4, fold=3),
    "rotations_4": layer_alone(64, 64, 4, "PSD1_P16", R=4),
    "rotations_16": layer_alone(32, 64, 4, "PSD1_P16", R=16),
    "rotations_8_fold": layer_alone(32, 32, 8, "PSD2_P8", R=8, fold=4),
    "packed": layer_alone(64, 64, 4, "PSD1_P16", To=2, packing=2),
    "packed_wide": layer_alone(64, 128, 4, "PSD1_P16", To=4, R=4, packing=2),
    "packed_4_bits": layer_alone(32, 64, 8, "PSD1_P8", 4, To=4, packing=4),
    "packed_dense": layer_alone(32, 32, 4, "dense", To=4, Tb=4, fold=2, packing=2),
    "two_pixels": layer_alone(32, 32, 8, "PSD1_P16", Tx=2, R=2),
    "two_pixels_packed": layer_alone(32, 32, 8, "PSD1_P16", Tx=2, R=4, packing=2),
    "five_bits": layer_alone(32, 48, 6, "PSD2_P8", 5, R=2),
}


def dataflow_of(name: str, technology: Technology) -> Dataflow:
    """The network of one streamed engine; no more products share a multiplier than the technology's can take."""
    network, bits, given = ENGINES[name]
    parallelism = dict(given)
    bundle = random_bundle(network, 1, bits, bits)
    shape = top_shapes(bundle, technology.multiplier_bits)[LAYER]
    most = most_products(bits, bits, technology.multiplier_bits)
    parallelism["packing"] = min(parallelism.get("packing", 1), most)
    fields = {key: getattr(shape, key) for key in type(shape).model_fields}
    return build(bundle, {LAYER: type(shape)(**(fields | parallelism))}, streamed=[LAYER])


def measure(name: str, technology: Technology, out: Path) -> dict[str, Any]:
    """{"shape", "LUT", "FF", "DSP", "BRAM"} of an engine after yosys; kept in OUT/TECHNOLOGY/streamed/NAME.json."""
    dataflow, target = dataflow_of(name, technology), load_target(technology.device)
    result = out / technology.name / "streamed" / f"{name}.json"
    sources = render(dataflow, name)

    def make() -> None:
        with tempfile.TemporaryDirectory(prefix="psconv_calibrate_") as temporary:
            made = compile_top(dataflow, Path(temporary), sources, target=target.openhls, clock_ns=target.clock_ns)
            write_json(result, synthesise(made.rtl, dataflow.top, target))

    unless_fresh(result, content_key(ENGINE, INCLUDE, fingerprint(), sources, target.model_dump()), make)
    total = read_json(result)["total"]
    shape = dataflow.shapes[LAYER].model_dump(exclude_defaults=True)
    return {"shape": shape, **{kind: total[kind] for kind in ("LUT", "FF", "DSP", "BRAM")}}


CALIBRATED = Calibrated(
    module="calibrate_streamed",
    what="engines with streamed weights: measurements and fit",
    sample="the first N engines",
    designs=lambda technology, sample: list(ENGINES)[:sample],
    measure=measure,
    fit=lambda measured, technology, _: fit_streamed(measured, technology),
    file=lambda technology: technology.streamed_calibration,
)

if __name__ == "__main__":
    main(__doc__, CALIBRATED)
