"""Golden vectors on disk: OUT/golden/NAME.npz has x, y, and layer_NAME for every layer whose output stays inside.

Where a design has several outputs, there is y_LAYER of each in the place of y.
"""

from __future__ import annotations

from psconv.flow.design import Design, Vectors
from psconv.flow.layout import Layout
from pymodel.common.arrays import Int8
from pymodel.common.errors import ConfigError
from pymodel.common.records import read_npz, reading, write_npz

_INSIDE = "layer_"


def output_keys(design: Design) -> dict[str, str]:
    """What the output of each layer that comes out is called in the files of a design."""
    return {layer: f"y_{layer}" if len(design.sinks) > 1 else "y" for layer in design.sinks}


def save_vectors(layout: Layout, design: Design, vectors: Vectors) -> None:
    """Writes the vectors of a design."""
    outside = {key: vectors.outputs[layer] for layer, key in output_keys(design).items()}
    inside = {f"{_INSIDE}{layer}": y for layer, y in vectors.outputs.items() if layer in design.probes}
    write_npz(layout.golden(design.name), x=vectors.x, **outside, **inside)


def load_vectors(layout: Layout, design: Design) -> Vectors:
    """The vectors of a design. Raises ConfigError where they are missing or those of another one."""
    path = layout.golden(design.name)
    if not path.is_file():
        raise ConfigError(f"{path}: missing; `psconv golden CONFIG --out {layout.root}` makes it")
    arrays = read_npz(path)
    with reading(path):
        outputs = {layer: arrays[f"{_INSIDE}{layer}"] for layer in design.probes}
        return Vectors(arrays["x"], outputs | {layer: arrays[key] for layer, key in output_keys(design).items()})


def load_outputs(layout: Layout, design: Design, kind: str) -> dict[str, Int8]:
    """int8 [n, C, H, W] by layer: what a step, csim or cosim, got out of a design. Raises ConfigError."""
    path = {"csim": layout.csim, "cosim": layout.cosim}[kind](design.name)
    arrays = read_npz(path)
    with reading(path):
        return {layer: arrays[key] for layer, key in output_keys(design).items()}
