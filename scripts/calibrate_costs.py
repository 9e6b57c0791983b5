"""Calibrates the cost model of `psconv explore`: engines through HLS and yosys, then a fit of LUTs and flip-flops.

    python -m scripts.calibrate_costs --out out/calibration
    python -m scripts.calibrate_costs series_7 --sample 24 --out out/calibration

The engines are those of examples/layers and of ENGINES below that the technology's multipliers have room for. The
result is pymodel/explore/calibration/TECHNOLOGY.yaml: every measurement, the coefficients fitted to them, and how far
off the fit is for engines that it has not seen.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from openhls import fingerprint

from psconv.common.fresh import content_key, unless_fresh
from psconv.common.places import ENGINE, EXAMPLES, INCLUDE
from psconv.flow.config import RunConfig, load
from psconv.flow.design import Design, make_designs
from psconv.flow.hls import compile_top
from psconv.flow.inputs import load_inputs
from psconv.synthesis.resources import synthesise
from psconv.synthesis.targets import load_target
from pymodel.common.errors import ConfigError
from pymodel.common.records import read_json, write_json
from pymodel.engine.products import most_products
from pymodel.explore.costs import engine_cost, ff_features, fit, lut_features
from pymodel.explore.technology import ULTRASCALE_PLUS, Technology
from scripts.calibration import Calibrated, informative, main
from scripts.designs import engine_of

LAYERS = EXAMPLES / "layers"
_START = 2000  # look-up tables that the tools could map while they start


def layer_engine(
    cin: int,
    cout: int,
    size: int,
    support: str,
    To: int = 1,
    R: int = 1,
    Tx: int = 1,
    Tb: int = 1,
    fold: int = 1,
    packing: int = 1,
    feed: str = "windows",
    **keys: Any,
) -> Any:
    layer = {"in_channels": cin, "out_channels": cout, "height": 4, "width": size, "support": support, "relu": True}
    parallelism = {"To": To, "R": R, "Tx": Tx, "Tb": Tb, "fold": fold, "packing": packing, "feed": feed}
    return {"psconv": 1, "layer": layer | keys, "parallelism": parallelism}


FOUR: dict[str, Any] = {"weight_bits": 4}
# What the examples leave out: several blocks and outputs at once, folds, line memories and ROMs in block RAM, products
# of all widths that share multipliers, rings in memories, several rotations at once (up to 768 lanes).
ENGINES = {
    "two_blocks": layer_engine(64, 64, 8, "PSD1_P16", Tb=2, fold=2),
    "two_outputs": layer_engine(32, 64, 24, "PSD1_P16", To=2),
    "dense_parallel": layer_engine(16, 32, 32, "dense", To=4, Tb=4, fold=3),
    "pointwise_parallel": layer_engine(64, 128, 4, "dense", To=4, Tb=4, kernel=1, padding=0),
    "psd4_fold": layer_engine(32, 64, 40, "PSD4_P8", Tb=2, fold=3),
    "ps1_wide": layer_engine(36, 72, 70, "PS1_P9", Tb=2),
    "stem": layer_engine(3, 16, 32, "dense", Tb=3),
    "many_outputs": layer_engine(8, 512, 4, "dense", Tb=8, fold=9),
    "dense_fold": layer_engine(32, 32, 8, "dense", To=4, Tb=8, fold=8),
    "outputs_fold": layer_engine(32, 64, 8, "PSD2_P8", To=4, fold=4),
    "packed_fold": layer_engine(64, 64, 8, "PSD1_P16", To=2, Tb=2, fold=2, packing=2),
    "packed_dense": layer_engine(16, 32, 16, "dense", To=4, Tb=4, fold=3, packing=2),
    "packed_pointwise": layer_engine(64, 128, 4, "dense", To=8, Tb=2, packing=2, kernel=1, padding=0),
    "packed_4x4": layer_engine(32, 64, 8, "PSD1_P8", To=4, packing=4, **FOUR, activation_bits=4),
    "packed_4x8": layer_engine(32, 48, 8, "PSD1_P8", To=3, packing=3, **FOUR),
    "packed_4x8_fold": layer_engine(32, 64, 8, "PSD2_P8", To=4, fold=4, packing=2, **FOUR),
    "packed_2x2": layer_engine(16, 24, 8, "PS4_P4", To=3, packing=3, weight_bits=2, activation_bits=2),
    "packed_wide": layer_engine(64, 128, 8, "PSD1_P16", To=8, Tb=2, packing=2),
    "channels_two_blocks": layer_engine(64, 64, 8, "PSD1_P16", Tb=2, feed="channels"),
    "channels_wide": layer_engine(36, 72, 40, "PS1_P9", Tb=2, feed="channels"),
    "channels_fold": layer_engine(32, 64, 24, "PSD4_P8", Tb=2, fold=3, feed="channels"),
    "channels_outputs": layer_engine(32, 64, 24, "PSD1_P16", To=2, feed="channels"),
    "channels_4x6": layer_engine(32, 64, 16, "PS4_P4", Tb=4, feed="channels", **FOUR, activation_bits=6),
    "packed_channels": layer_engine(32, 64, 12, "PSD1_P16", To=2, packing=2, feed="channels"),
    "packed_channels_4x4": layer_engine(
        64, 64, 8, "PSD2_P8", To=4, Tb=2, fold=2, packing=4, feed="channels", **FOUR, activation_bits=4
    ),
    "rotations_2": layer_engine(16, 32, 32, "PSD1_P16", R=2),
    "rotations_4": layer_engine(48, 48, 24, "PSD1_P16", R=4),
    "rotations_8": layer_engine(16, 32, 32, "PSD1_P16", R=8),
    "rotations_16": layer_engine(64, 64, 8, "PSD1_P16", R=16),
    "rotations_16_fold": layer_engine(32, 32, 16, "PSD1_P16", R=16, fold=6),
    "rotations_16_few_words": layer_engine(32, 32, 16, "PSD1_P16", R=16),
    "rotations_16_two_blocks": layer_engine(64, 64, 8, "PSD1_P16", R=16, Tb=2),
    "rotations_16_stride": layer_engine(16, 32, 32, "PSD1_P16", R=16, stride=2),
    "rotations_4_outputs_fold": layer_engine(32, 64, 16, "PSD1_P16", To=2, R=4, fold=3),
    "rotations_4_packed": layer_engine(64, 64, 8, "PSD1_P16", To=2, R=4, packing=2),
    "rotations_16_packed": layer_engine(64, 64, 8, "PSD1_P16", To=4, R=16, fold=2, packing=2),
    "rotations_16_ragged": layer_engine(16, 40, 16, "PSD1_P16", R=16),
    "rotations_2_p8": layer_engine(24, 32, 16, "PSD2_P8", R=2),
    "rotations_4_p8": layer_engine(32, 48, 8, "PSD1_P8", R=4, Tb=2),
    "rotations_8_p8": layer_engine(32, 64, 16, "PSD2_P8", R=8),
    "rotations_8_p8_packed": layer_engine(64, 64, 8, "PSD1_P8", To=2, R=8, fold=2, packing=2),
    "rotations_8_p8_4x4": layer_engine(32, 64, 8, "PSD1_P8", To=4, R=8, packing=4, fold=2, **FOUR, activation_bits=4),
    "rotations_4_2x3": layer_engine(32, 32, 8, "PSD1_P16", R=4, weight_bits=2, activation_bits=3),
    "shared_p16": layer_engine(32, 64, 16, "PSD1_P16", R=16, packing=2),
    "shared_p16_8": layer_engine(64, 64, 8, "PSD1_P16", R=8, packing=2),
    "shared_p8": layer_engine(32, 64, 16, "PSD2_P8", R=8, packing=2),
    "shared_4x4": layer_engine(32, 64, 16, "PSD1_P8", R=8, packing=2, **FOUR, activation_bits=4),
    "rotations_2_channels": layer_engine(32, 64, 16, "PSD1_P16", R=2, feed="channels"),
    "pixels_2": layer_engine(32, 32, 16, "PSD1_P16", Tx=2, R=4),
    "pixels_2_packed": layer_engine(16, 16, 16, "PSD1_P16", Tx=2, R=2, packing=2),
    "pixels_4_still": layer_engine(32, 64, 16, "PSD2_P8", Tx=4, R=8, packing=2),
    "pixels_2_stride": layer_engine(32, 64, 16, "PSD1_P16", Tx=2, R=2, stride=2),
    "pixels_dense": layer_engine(16, 32, 16, "dense", Tx=2, To=4, Tb=4, packing=2),
    "pixels_pointwise": layer_engine(64, 64, 16, "dense", Tx=4, To=2, Tb=8, packing=2, kernel=1, padding=0),
    "rotations_8_channels": layer_engine(64, 64, 8, "PSD2_P8", R=8, Tb=2, feed="channels"),
}


def configurations() -> dict[str, tuple[RunConfig, Path]]:
    """The engines by name: their configuration and the file that relative paths in it start from."""
    # Where all weights are the same they are constants of the hardware, which the model is not of.
    files = [path for path in sorted(LAYERS.glob("*.yaml")) if path.stem != "extreme_weights"]
    examples = {path.stem: (load(path), path) for path in files}
    return examples | {name: (RunConfig(**data), Path(__file__)) for name, data in ENGINES.items()}


def designs(technology: Technology, sample: int | None = None) -> list[str]:
    """The engines that the technology's multipliers have room for; of these, so many that say most (`informative`).

    As the fit's, their errors are relative: to what the model of UltraScale+, which has seen them all, says they take;
    and so long, about, do HLS and yosys work on them. Raises ConfigError for more than there are.
    """
    found = {name: one for name, one in configurations().items() if _has_room(one[0], technology)}
    if sample is None:
        return list(found)
    if sample > len(found):
        raise ConfigError(f"--sample: must be 1 to {len(found)} for {technology.name}, got {sample}")
    shapes = [engine_of(_design(*one, technology)).shape for one in found.values()]
    costs = [engine_cost(shape, ULTRASCALE_PLUS) for shape in shapes]
    luts = [[value / cost.LUT for value in lut_features(one).values()] for one, cost in zip(shapes, costs, strict=True)]
    ffs = [[value / cost.FF for value in ff_features(one).values()] for one, cost in zip(shapes, costs, strict=True)]
    order = informative([np.array(luts), np.array(ffs)], [_START + cost.LUT for cost in costs], sample)
    return [list(found)[at] for at in order]


def _has_room(config: RunConfig, technology: Technology) -> bool:
    """Whether as many products as a layer's configuration asks for fit a multiplier."""
    layer = config.layer
    assert layer is not None, "the engines are of single layers"
    most = most_products(layer.weight_bits, layer.activation_bits, technology.multiplier_bits)
    return config.parallelism.packing <= most


def _design(config: RunConfig, path: Path, technology: Technology) -> Design:
    [design] = make_designs(config, load_inputs(config, path).bundle, load_target(technology.device))
    return design


def measure(name: str, technology: Technology, out: Path) -> dict[str, Any]:
    """{"shape", "LUT", "FF", "DSP", "BRAM"} of an engine after yosys; kept in OUT/TECHNOLOGY/NAME.json."""
    design, target = _design(*configurations()[name], technology), load_target(technology.device)
    result = out / technology.name / f"{name}.json"

    def make() -> None:
        with tempfile.TemporaryDirectory(prefix="psconv_calibrate_") as temporary:
            folder, top = Path(temporary), design.dataflow.top
            made = compile_top(design.dataflow, folder, design.sources, target=target.openhls, clock_ns=target.clock_ns)
            write_json(result, synthesise(made.rtl, top, target))

    unless_fresh(result, content_key(ENGINE, INCLUDE, fingerprint(), design.sources, target.model_dump()), make)
    total = read_json(result)["total"]
    shape = engine_of(design).shape.model_dump(exclude_defaults=True)
    return {"shape": shape, **{kind: total[kind] for kind in ("LUT", "FF", "DSP", "BRAM")}}


CALIBRATED = Calibrated(
    module="calibrate_costs",
    what="engines: measurements and fit",
    sample="N engines, those that say most about the coefficients",
    designs=designs,
    measure=measure,
    fit=fit,
    file=lambda technology: technology.calibration,
)

if __name__ == "__main__":
    main(__doc__, CALIBRATED)
