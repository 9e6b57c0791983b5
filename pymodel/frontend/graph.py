"""The neutral graph between the readers of other programs' networks and the lowering to a topology.

A reader (`from_torch`, ...) makes a `Graph` of nodes; `lower` makes a topology of it. A node is one operation on real
tensors. Shapes are without the batch, which every tensor has as its first axis: (channels, rows, columns) of images,
(features,) of vectors; axes are counted likewise, so axis 0 of an image is its channels. `OPS` is the vocabulary: the
attributes and arrays of each operation, and what they mean.

What a reader finds no operation for becomes a node `unsupported`, with the shape that its program knows: the lowering
goes on behind it, so that a user learns of all problems at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from pymodel.common.arrays import Floats
from pymodel.common.errors import InternalError

INPUT = "input"  # the tensor that goes into a graph, as nodes name it
Shape = tuple[int, ...]


class Op(NamedTuple):
    """An operation of the vocabulary: number of inputs (None: two or more), attributes, arrays that a node must have,
    and those that it may have."""

    inputs: int | None
    what: str
    attributes: Mapping[str, str] = {}
    arrays: Mapping[str, str] = {}
    optional: Mapping[str, str] = {}


_WINDOW = {
    "stride": "(rows, columns) from one position to the next",
    "pads": "(top, left, bottom, right): rows and columns more on each side",
    "dilation": "(rows, columns) from one tap to the next",
}
_STEP = "[out]: of weights that were quantised, what an output channel's are integers times"
_POOL = {"kernel": "(rows, columns) of a window", **_WINDOW, "ceil": "whether a last, cut-off position counts"}

OPS: dict[str, Op] = {
    "conv2d": Op(
        1,
        "cross-correlation of an image; zeros around it",
        {
            **_WINDOW,
            "groups": "of channels",
            "support": "the support in the form files use (pymodel.network.supports); None: dense",
        },
        {"weight": "[out, in / groups, rows, columns]"},
        {"bias": "[out]", "step": _STEP},
    ),
    "linear": Op(1, "weight @ x + bias of a vector", {}, {"weight": "[out, in]"}, {"bias": "[out]", "step": _STEP}),
    "batch_norm": Op(
        1,
        "scale * (x - mean) / sqrt(variance + epsilon) + shift of each channel of an image, or feature of a vector",
        {"epsilon": "added to the variance"},
        dict.fromkeys(("scale", "shift", "mean", "variance"), "[channels]"),
    ),
    "relu": Op(1, "max(x, 0)"),
    "clip": Op(1, "min(max(x, low), high)", {"low": "real, or None: no bound", "high": "real, or None: no bound"}),
    "max_pool2d": Op(1, "the largest of each window; padding never wins", _POOL),
    "avg_pool2d": Op(
        1, "the mean of each window", {**_POOL, "count_pads": "whether padding counts as zeros, or not at all"}
    ),
    "global_avg_pool": Op(1, "the mean of each channel of an image: (channels, 1, 1) or, by its shape, (channels,)"),
    "add": Op(2, "the sum of two tensors of one shape"),
    "concat": Op(None, "tensors one after the other", {"axis": "along which"}),
    "pad": Op(1, "an image with a border", {"pads": _WINDOW["pads"], "value": "real: what the border holds"}),
    "reshape": Op(1, "the same elements in the same order, in the node's shape; flatten and squeeze are this too"),
    "transpose": Op(1, "the axes in another order", {"axes": "axis of the input, for each axis of the result"}),
    "quantise": Op(1, "the nearest of the numbers that a quantiser has", {"quantiser": "a Quantiser"}),
    "identity": Op(1, "the input itself: dropout in evaluation, a copy"),
    "unsupported": Op(
        None,
        "what has no operation here; any number of inputs",
        {"problem": "what is wrong, and what to use instead; empty: it follows from one that is told"},
    ),
}


@dataclass(frozen=True, eq=False)
class Node:
    """One operation. Raises InternalError where it is not as `OPS` says: that is an error of a reader.

    name: of its result, unlike all others in its graph. inputs: names of nodes, or INPUT. shape: of its result.
    where: what a message calls it, module path and class or the name in the file, such as `features.3 (ReLU6)`.
    path: from which the layer's name is made, such as `features.3`; "": it has none.
    attributes, arrays (float64): as `OPS` says.
    """

    name: str
    op: str
    inputs: tuple[str, ...]
    shape: Shape
    where: str
    path: str = ""
    attributes: Mapping[str, Any] = field(default_factory=dict)
    arrays: Mapping[str, Floats] = field(default_factory=dict)

    def __post_init__(self) -> None:
        form = OPS.get(self.op)
        if form is None:
            raise InternalError(f"{self.where}: no operation {self.op!r}")
        if self.op != "unsupported" and (
            len(self.inputs) < 2 if form.inputs is None else len(self.inputs) != form.inputs
        ):
            raise InternalError(f"{self.where}: {self.op} of {len(self.inputs)} inputs")
        arrays = set(self.arrays)
        if self.attributes.keys() != form.attributes.keys() or not (
            form.arrays.keys() <= arrays <= {*form.arrays, *form.optional}
        ):
            raise InternalError(f"{self.where}: {self.op} with {sorted(self.attributes)} and {sorted(arrays)}")


@dataclass(frozen=True, eq=False)
class Graph:
    """Nodes in an order of evaluation. Raises InternalError: a name used twice, or not made before it is read.

    name: of the network. input_shape: (channels, rows, columns), or (features,). outputs: nodes, in the order of the
    results.
    """

    name: str
    input_shape: Shape
    nodes: tuple[Node, ...]
    outputs: tuple[str, ...]

    def __post_init__(self) -> None:
        known = {INPUT}
        for node in self.nodes:
            if node.name in known or not known.issuperset(node.inputs):
                raise InternalError(f"{node.where}: {node.name} of {', '.join(node.inputs)}: not in order")
            known.add(node.name)
        if not self.outputs or not known.issuperset(self.outputs):
            raise InternalError(f"outputs {', '.join(self.outputs) or 'none'}: not in the graph")
