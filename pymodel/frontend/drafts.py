"""Layers while a graph is lowered: what later nodes may still change, and what tensors are of them."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from pydantic import BaseModel

from pymodel.common.arrays import Floats, Int64
from pymodel.frontend import graph as graphs
from pymodel.frontend.graph import Graph, Node
from pymodel.frontend.quantiser import Quantiser
from pymodel.network import topology
from pymodel.network.topology import INPUT

Pads = tuple[int, int, int, int]  # top, left, bottom, right
NO_PADS: Pads = (0, 0, 0, 0)


@dataclass(frozen=True, eq=False)
class Value:
    """A tensor of the graph: elements of a layer's output.

    shape: the graph's. order: int, of that shape: which element of the layer's output, flattened, each is; None: all of
    them as they come. pads: a border that the tensor has besides, of zeros or `border`. sole: whether nothing else
    reads the layer's output or anything between it and this. moved: the last node that moved elements.
    """

    layer: str
    shape: graphs.Shape
    order: Int64 | None = None
    pads: Pads = NO_PADS
    border: float = 0.0
    sole: bool = True
    moved: str = ""


@dataclass(eq=False)
class Draft:
    """A layer that later nodes may still change. shape: of its output, (channels, rows, columns).

    kind: None, where it stands for what cannot be built, so that the rest can be looked at. norm: whether it is a batch
    norm that found no layer before it: a weight and a bias for each channel.
    """

    kind: type[BaseModel] | None
    where: str
    shape: topology.Shape
    reads: tuple[Value, ...]
    keys: dict[str, Any] = field(default_factory=dict)
    weight: Floats | None = None
    bias: Floats | None = None
    step: Floats | None = None
    quantiser: Quantiser | None = None
    norm: bool = False


class Refused(Exception):
    """A node that cannot be built: what is wrong, and what to use instead."""


class Drafts:
    """The layers of a graph so far, and the values of its nodes."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.drafts: dict[str, Draft] = {}
        self.problems: list[tuple[str, str]] = []  # where, what
        self.values: dict[str, Value] = {}
        self.shuffles: dict[tuple[str, int], str] = {}
        self.entering: Quantiser | None = None  # of the images
        self.aligned: dict[str, str] = {}
        shape = graph.input_shape
        self.input: topology.Shape = (shape[0], shape[1], shape[2]) if len(shape) == 3 else (math.prod(shape), 1, 1)

    def _tell(self, where: str, problem: str) -> None:
        if problem:
            self.problems.append((where, problem))

    def _stand_in(self, node: Node) -> Value:
        """What later nodes read instead of a node that cannot be built; never part of a network."""
        shape = node.shape if len(node.shape) == 3 else (math.prod(node.shape), 1, 1)
        name = self._name(f"{node.path or node.op}_unknown")
        self.drafts[name] = Draft(None, node.where, (shape[0], shape[1], shape[2]), (self._input(),))
        return Value(name, node.shape)

    def _input(self) -> Value:
        return self.values[graphs.INPUT]

    def _name(self, path: str) -> str:
        """A layer's name from the path of a module: an identifier that no other layer has."""
        plain = re.sub(r"\W+", "_", path, flags=re.ASCII).strip("_") or "layer"
        plain = (plain if plain[0].isalpha() else f"layer{plain}")[:56]
        taken = {INPUT, *self.drafts}
        numbered = (f"{plain}_{number}" for number in range(2, len(taken) + 3))
        return plain if plain not in taken else next(name for name in numbered if name not in taken)

    def _emit(self, node: Node, kind: type[BaseModel], shape: topology.Shape, *reads: Value, **more: Any) -> Value:
        """A new layer, and the value that is all of its output in the node's shape."""
        name = self._name(node.path or node.op)
        self.drafts[name] = Draft(kind, node.where, shape, reads, **more)
        return Value(name, node.shape)

    def _shape(self, layer: str) -> topology.Shape:
        return self.input if layer == INPUT else self.drafts[layer].shape

    def _source(self, node: Node, at: int = 0) -> Value:
        """An input of a node, which has no border. Raises Refused."""
        value = self.values[node.inputs[at]]
        if value.pads != NO_PADS:
            raise Refused("a border is built before a convolution or a pool alone: pad there")
        return value

    def _image(self, value: Value) -> Value:
        """A value as all of a layer's output, (channels, rows, columns). Raises Refused where it is none.

        Channels in the order of a shuffle take a layer of their own.
        """
        shape = self._shape(value.layer)
        if value.shape != shape and not (shape[1:] == (1, 1) and value.shape == shape[:1]):
            raise Refused(moved_by(value, f"{sizes(value.shape)} from {sizes(shape)}"))
        if value.order is None:
            return value
        groups = _shuffle_groups(value.order, shape)
        if groups is None:
            raise Refused(moved_by(value, "an order of elements that no channel shuffle gives"))
        if (value.layer, groups) not in self.shuffles:
            name = self._name(f"{value.layer}_shuffle" if value.layer != INPUT else "shuffle")
            source = replace(value, order=None)
            self.drafts[name] = Draft(topology.ChannelShuffle, value.moved, shape, (source,), {"groups": groups})
            self.shuffles[value.layer, groups] = name
        return Value(self.shuffles[value.layer, groups], value.shape, sole=False)

    def _not_negative(self, layer: str) -> bool:
        draft = self.drafts.get(layer)
        if draft is None:
            return False
        if draft.kind is topology.Relu or draft.keys.get("relu"):
            return True
        passing = (topology.MaxPool, topology.AvgPool, topology.GlobalAvgPool, topology.ChannelShuffle, topology.Concat)
        return draft.kind in passing and all(self._not_negative(value.layer) for value in draft.reads)


def _shuffle_groups(order: Int64, shape: topology.Shape) -> int | None:
    """The groups of the channel shuffle that puts elements into this order; None where there is none."""
    channels, height, width = shape
    pixels = order.reshape(channels, -1)
    first = pixels[:, 0] // (height * width)
    if not (pixels == first[:, None] * (height * width) + np.arange(height * width)).all():
        return None
    for groups in range(2, channels):
        if channels % groups == 0 and (np.arange(channels).reshape(groups, -1).T.ravel() == first).all():
            return groups
    return None


def moved_by(value: Value, what: str) -> str:
    by = f" by {value.moved}" if value.moved else ""
    return f"reads {what}{by}: only flattening and channel shuffles move elements here"


def sizes(shape: graphs.Shape) -> str:
    return "x".join(map(str, shape))
