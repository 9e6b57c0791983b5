"""Golden vectors on disk: OUT/golden/NAME.npz has x, y, and layer_NAME for every layer whose output stays inside."""

from __future__ import annotations

import numpy as np

from psconv.common.fresh import write_npz
from psconv.flow.design import Design, Vectors
from psconv.flow.layout import Layout
from pymodel.common.errors import ConfigError
from pymodel.common.records import read_npz, reading

_INSIDE = "layer_"


def save_vectors(layout: Layout, design: Design, vectors: Vectors) -> None:
    """Writes the vectors of a design."""
    inside = {f"{_INSIDE}{layer}": y for layer, y in vectors.outputs.items() if layer in design.probes}
    write_npz(layout.golden(design.name), x=vectors.x, y=vectors.outputs[design.layer], **inside)


def load_vectors(layout: Layout, design: Design) -> Vectors:
    """The vectors of a design. Raises ConfigError where they are missing or those of another one."""
    path = layout.golden(design.name)
    if not path.is_file():
        raise ConfigError(f"{path}: missing; `psconv golden CONFIG --out {layout.root}` makes it")
    arrays = read_npz(path)
    with reading(path):
        outputs = {layer: arrays[f"{_INSIDE}{layer}"] for layer in design.probes} | {design.layer: arrays["y"]}
        return Vectors(arrays["x"], outputs)


def load_outputs(layout: Layout, design: Design, kind: str) -> np.ndarray:
    """int8 [n, C, H, W]: what a step, csim or cosim, got out of a design. Raises ConfigError."""
    path = {"csim": layout.csim, "cosim": layout.cosim}[kind](design.name)
    arrays = read_npz(path)
    with reading(path):
        return arrays["y"]
