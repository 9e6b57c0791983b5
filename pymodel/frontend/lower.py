"""From a graph to a topology and its weights: what a layer of the topology computes in one is put together.

Batch norm goes into the weights before it, ReLU and clipping into the layer that makes what they read, padding into the
convolution or pool behind it. Reshaping and transposing move nothing: a value knows the order in which it holds the
elements of its layer's output, and what reads it decides what that comes to: flattening, a channel shuffle, columns of
a fully connected layer's weights in another order. What cannot be built is told all at once.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from pydantic import BaseModel

from pymodel.common.arrays import Floats
from pymodel.common.errors import ConfigError
from pymodel.frontend import graph as graphs
from pymodel.frontend.drafts import NO_PADS, Draft, Pads, Refused, Value, moved_by, sizes
from pymodel.frontend.graph import Graph, Node
from pymodel.frontend.quantiser import Quantiser
from pymodel.frontend.quantising import Quantising
from pymodel.network import topology
from pymodel.network.supports import Support, make_support
from pymodel.network.topology import INPUT, InputSpec, Network

FINE = 64  # the integer weight of a batch norm that is a layer of its own: its shift is an integer as fine as that


@dataclass(frozen=True, eq=False)
class FloatNetwork:
    """A topology without batch norm, and its weights as real numbers.

    weights: float64 [cout, cin / groups, K, K] or [out, in], biases: float64 [cout], by layer; biases lacks layers
    without one. output_shapes: what the program that the network comes from gives for each output, without the batch;
    elements are in the order of the layer's own (channels, rows, columns). where: what a message calls each layer.

    Of a network that was quantised already: steps, float64 [cout] by layer, is what its weights are integers times;
    quantisers, of INPUT and by layer, the numbers that its output can be. Layers that move numbers have those of what
    they read. aligned: additions, and what about them is not exactly what the network says.
    """

    network: Network
    weights: dict[str, Floats]
    biases: dict[str, Floats]
    output_shapes: tuple[graphs.Shape, ...]
    where: dict[str, str]
    steps: dict[str, Floats] = field(default_factory=dict)
    quantisers: dict[str, Quantiser] = field(default_factory=dict)
    aligned: dict[str, str] = field(default_factory=dict)


def lower(graph: Graph) -> FloatNetwork:
    """The topology of a graph. Raises ConfigError, which names all that cannot be built, and what to use instead."""
    return _Lowering(graph).run()


class _Lowering(Quantising):
    def run(self) -> FloatNetwork:
        """The whole network. Raises ConfigError."""
        needed = _needed(self.graph)
        self.uses = Counter(name for node in needed for name in node.inputs) + Counter(self.graph.outputs)
        self.values[graphs.INPUT] = Value(INPUT, self.graph.input_shape, sole=self.uses[graphs.INPUT] == 1)
        for node in needed:
            try:
                value = _LOWERINGS[node.op](self, node)
            except Refused as problem:
                self._tell(node.where, str(problem))
                value = self._stand_in(node)
            self.values[node.name] = replace(value, sole=value.sole and self.uses[node.name] == 1)
        places = {node.name: node.where for node in needed}
        outputs = [self._output(name, places.get(name, "forward")) for name in self.graph.outputs]
        self._check_quantised(outputs)
        layers = [self._layer(name, draft) for name, draft in self.drafts.items()]
        if self.problems:
            raise ConfigError(self._told())
        return self._network([layer for layer in layers if layer is not None], outputs)

    def _network(self, layers: list[Any], outputs: list[Value]) -> FloatNetwork:
        names = [value.layer for value in outputs]
        channels, height, width = self.input
        where = {name: draft.where for name, draft in self.drafts.items()}
        keys: dict[str, Any] = {
            "name": re.sub(r"[\x00-\x1f\x7f\\]", " ", self.graph.name)[:256],
            "input": InputSpec(channels=channels, height=height, width=width),
            "layers": layers,
            "output": names[0] if len(names) == 1 else names,
        }
        try:
            network = Network(**keys)
        except ConfigError as error:
            self._tell("forward", f"returns {len(names)} tensors: {error}" if len(names) > 1 else str(error))
            raise ConfigError(self._told()) from error
        return FloatNetwork(
            network=network,
            weights={name: draft.weight for name, draft in self.drafts.items() if draft.weight is not None},
            biases={name: draft.bias for name, draft in self.drafts.items() if draft.bias is not None},
            output_shapes=tuple(value.shape for value in outputs),
            where=where,
            steps={name: draft.step for name, draft in self.drafts.items() if draft.step is not None},
            quantisers=self._quantisers(),
            aligned=self.aligned,
        )

    def _told(self) -> str:
        places = {node.where: at for at, node in reversed(list(enumerate(self.graph.nodes)))}
        ordered = sorted(self.problems, key=lambda problem: places.get(problem[0], len(places)))
        told = dict.fromkeys(f"{where}: {problem}" for where, problem in ordered)  # a module called twice: once
        return "\n".join((f"{self.graph.name}: cannot be built:", *(f"  {problem}" for problem in told)))

    def _layer(self, name: str, draft: Draft) -> Any:
        """The topology's layer of a draft; None, and a problem, where the topology has none."""
        if draft.kind is None:
            return None
        keys: dict[str, Any] = {} if draft.weight is None else {"bias": draft.bias is not None}
        sources = [value.layer for value in draft.reads]
        keys |= {"inputs": sources} if "inputs" in draft.kind.model_fields else {"input": sources[0]}
        keys |= draft.keys
        try:
            return draft.kind(name=name, **keys)
        except ConfigError as error:
            self._tell(draft.where, str(error).removeprefix(f"{draft.kind.__name__} {name}: "))
            return None

    def _output(self, name: str, where: str) -> Value:
        """The value that is a result. Problems are told, as of `where`."""
        try:
            value = self.values[name]
            if value.layer == INPUT:
                raise Refused("a result must be computed from the images, got the images themselves")
            if value.pads != NO_PADS:
                raise Refused("a border is built before a convolution or a pool alone: return the tensor without it")
            return value if value.order is None else self._image(value)
        except Refused as problem:
            self._tell(where, f"is a result that {problem}" if str(problem).startswith("reads") else str(problem))
            return self._input()

    # Each of these lowers one operation.

    def conv2d(self, node: Node) -> Value:
        value = self.values[node.inputs[0]]
        source = self._image(replace(value, pads=NO_PADS))
        if value.border != 0 and value.pads != NO_PADS:
            raise Refused(f"what lies around an image must be zeros, got {value.border:g}: pad with zeros")
        stride = _same(node, "stride")
        attributes = node.attributes
        weight, support, (above, left, below, right) = _square(node)
        pads = [sum(pair) for pair in zip(attributes["pads"], value.pads, (above, left, below, right), strict=True)]
        rows, columns = node.shape[1:]
        keys = {
            "out_channels": len(weight),
            "kernel": weight.shape[-1],
            "stride": stride,
            "padding": _padding(pads),
            "groups": attributes["groups"],
        } | ({} if support is None else {"support": support})
        bias, step = node.arrays.get("bias"), node.arrays.get("step")
        if norm := self._norm_before(source, any(pads), step is not None):
            gain, offset = (
                np.repeat(one.reshape(attributes["groups"], 1, -1), len(weight) // attributes["groups"], axis=1)
                for one in norm
            )
            weight, bias, source = self._absorbed(source, weight, bias, gain, offset)
        shape = (len(weight), rows, columns)
        return self._emit(node, topology.Conv, shape, source, keys=keys, weight=weight, bias=bias, step=step)

    def linear(self, node: Node) -> Value:
        value, weight = self._source(node), node.arrays["weight"]
        size = math.prod(self._shape(value.layer))
        if len(value.shape) != 1:
            raise Refused(
                f"must read vectors, got {sizes(value.shape)}: flatten before it, or use nn.Conv2d with a kernel of 1"
            )
        if value.shape != (size,):
            raise Refused(moved_by(value, "a part of a layer's output"))
        if value.order is not None:  # its columns in the order in which the layer gives the elements
            reordered = np.empty_like(weight)
            reordered[:, value.order] = weight
            weight = reordered
        keys = {"out_features": len(weight)}
        source = replace(value, order=None)
        bias, step = node.arrays.get("bias"), node.arrays.get("step")
        if norm := self._norm_before(source, False, step is not None):
            gain, offset = (np.repeat(one, size // len(one)) for one in norm)
            weight, bias, source = self._absorbed(source, weight, bias, gain, offset)
        shape = (len(weight), 1, 1)
        return self._emit(node, topology.Linear, shape, source, keys=keys, weight=weight, bias=bias, step=step)

    def batch_norm(self, node: Node) -> Value:
        value, a = self._source(node), node.arrays
        gain = a["scale"] / np.sqrt(a["variance"] + node.attributes["epsilon"])
        offset = a["shift"] - a["mean"] * gain
        draft = self.drafts.get(value.layer)
        own = self._shape(value.layer)
        foldable = draft and draft.weight is not None and "relu" not in draft.keys and draft.quantiser is None
        if draft and foldable and value.sole and value.order is None and value.shape[0] == own[0]:
            assert draft.weight is not None
            draft.weight = draft.weight * gain.reshape(-1, *[1] * (draft.weight.ndim - 1))
            draft.bias = offset if draft.bias is None else draft.bias * gain + offset
            draft.step = None if draft.step is None else draft.step * gain
            return replace(value, shape=node.shape)
        source = self._image(value)
        keys = {"out_channels": own[0], "kernel": 1, "groups": own[0]}
        weight = gain.reshape(-1, 1, 1, 1)
        more: dict[str, Any] = {"weight": weight, "bias": offset, "step": gain / FINE, "norm": True}
        return self._emit(node, topology.Conv, own, source, keys=keys, **more)

    def _norm_before(self, source: Value, bordered: bool, quantised: bool) -> tuple[Floats, Floats] | None:
        """(gain, offset) of a batch norm that this reads alone, and that can go into the weights behind it.

        Zeros around the image are not what the norm would make of zeros, unless it has no offset. Weights that are
        quantised stay what they are.
        """
        draft = self.drafts.get(source.layer)
        if draft is None or not draft.norm or not source.sole or "relu" in draft.keys:
            return None
        if quantised or draft.quantiser is not None:
            return None
        assert draft.weight is not None and draft.bias is not None
        return None if bordered and draft.bias.any() else (draft.weight.ravel(), draft.bias)

    def _absorbed(
        self, source: Value, weight: Floats, bias: Floats | None, gain: Floats, offset: Floats
    ) -> tuple[Floats, Floats | None, Value]:
        """Weights, biases and input without the batch norm before them. gain, offset: of each input of an output."""
        draft = self.drafts.pop(source.layer)
        rest = [1] * (weight.ndim - 2)
        gain, offset = (one.reshape(-1, weight.shape[1], *rest) for one in (gain, offset))
        shift = (weight * offset).reshape(len(weight), -1).sum(axis=1)
        return weight * gain, shift if bias is None else bias + shift, draft.reads[0]

    def relu(self, node: Node) -> Value:
        return self._limited(node, None)

    def clip(self, node: Node) -> Value:
        low, high = node.attributes["low"], node.attributes["high"]
        value = self._source(node)
        if low != 0 and not ((low is None or low < 0) and self._not_negative(value.layer)):
            shown = "nothing" if low is None else f"{low:g}"
            raise Refused(f"its lower bound must be 0, got {shown}: use nn.ReLU6, nn.Hardtanh(0, x) or clamp(0, x)")
        if high is not None and high <= 0:
            raise Refused(f"its upper bound must be more than 0, got {high:g}")
        return self._limited(node, None if high is None or math.isinf(high) else float(high))

    def _limited(self, node: Node, clip: float | None) -> Value:
        """ReLU, and an upper bound where there is one: in the layer that it reads, where that is read by it alone."""
        value = self._source(node)
        draft = self._limits(value)
        if draft is not None and (draft.quantiser is None or clip is None):
            draft.keys["relu"] = True
            bounds = [bound for bound in (clip, draft.keys.get("clip")) if bound is not None]
            if bounds:
                draft.keys["clip"] = min(bounds)
            return replace(value, shape=node.shape)
        keys = {} if clip is None else {"clip": clip}
        own = self._shape(value.layer)
        layer = self._emit(node, topology.Relu, own, replace(value, order=None), keys=keys)
        return replace(layer, order=value.order, moved=value.moved)

    def _limits(self, value: Value) -> Draft | None:
        """The layer that can take in a ReLU behind a value; None where there is none.

        The largest of a window, limited, is the largest of limited elements: a ReLU goes before a pool. So it does
        before a quantiser, of which 0 is a number.
        """
        draft = self.drafts.get(value.layer)
        if draft is None or not value.sole:
            return None
        if draft.kind in (topology.Conv, topology.Linear, topology.Add):
            return draft
        return self._limits(draft.reads[0]) if draft.kind is topology.MaxPool else None

    def max_pool2d(self, node: Node) -> Value:
        value = self.values[node.inputs[0]]
        border = value.pads != NO_PADS and value.border > -math.inf
        if border and not (value.border <= 0 and self._not_negative(value.layer)):
            raise Refused(
                f"the border of {value.border:g} before it can be larger than the image: use its own padding instead"
            )
        source = self._image(replace(value, pads=NO_PADS))
        kernel, stride = _same(node, "kernel"), _same(node, "stride")
        pads = [own + more for own, more in zip(node.attributes["pads"], value.pads, strict=True)]
        if _same(node, "dilation") != 1:
            raise Refused("its dilation must be 1")
        for axis in (0, 1):  # a last position that is cut off reads beyond the image, which never wins
            covered = (node.shape[1 + axis] - 1) * stride + kernel
            there = self._shape(source.layer)[1 + axis] + pads[axis] + pads[axis + 2]
            pads[axis + 2] += max(0, covered - there)
        return self._pool(node, topology.MaxPool, source, kernel, stride, pads)

    def avg_pool2d(self, node: Node) -> Value:
        value = self.values[node.inputs[0]]
        source = self._image(replace(value, pads=NO_PADS))
        own = self._shape(source.layer)
        pads = [own_pad + more for own_pad, more in zip(node.attributes["pads"], value.pads, strict=True)]
        kernel = node.attributes["kernel"]
        if not any(pads) and kernel == own[1:]:
            return self.global_avg_pool(node)
        if any(value.pads) and value.border != 0:
            raise Refused(f"what lies around an image must be zeros, got {value.border:g}: pad with zeros")
        if any(node.attributes["pads"]) and not node.attributes["count_pads"]:
            raise Refused("padding counts as zeros here: leave count_include_pad as it is, True, or pad nothing")
        size, stride = _same(node, "kernel"), _same(node, "stride")
        for axis in (0, 1):
            there = own[1 + axis] + pads[axis] + pads[axis + 2]
            if (there - size) // stride + 1 != node.shape[1 + axis]:
                raise Refused("its last window is cut off: leave ceil_mode as it is, False")
        if size == 1 and stride == 1 and not any(pads):
            return replace(source, sole=value.sole)
        return self._pool(node, topology.AvgPool, source, size, stride, pads)

    def _pool(
        self, node: Node, kind: type[BaseModel], source: Value, kernel: int, stride: int, pads: list[int]
    ) -> Value:
        keys = {"kernel": kernel, "stride": stride, "padding": _padding(pads)}
        channels, rows, columns = node.shape
        return self._emit(node, kind, (channels, rows, columns), source, keys=keys)

    def global_avg_pool(self, node: Node) -> Value:
        source = self._image(self._source(node))
        own = self._shape(source.layer)
        if own[1:] == (1, 1):
            return replace(source, shape=node.shape)
        return self._emit(node, topology.GlobalAvgPool, (own[0], 1, 1), source)

    def add(self, node: Node) -> Value:
        left, right = self._source(node), self._source(node, 1)
        one, other = self._shape(left.layer), self._shape(right.layer)
        if one != other or not _alike(left, right):
            left, right = self._image(left), self._image(right)
            one, other = self._shape(left.layer), self._shape(right.layer)
        if one != other:
            raise Refused(f"tensors that are added must have one shape, got {sizes(one)} and {sizes(other)}")
        plain = (replace(left, order=None), replace(right, order=None))
        return replace(self._emit(node, topology.Add, one, *plain), order=left.order, moved=left.moved)

    def concat(self, node: Node) -> Value:
        values = [self._source(node, at) for at in range(len(node.inputs))]
        if node.attributes["axis"] != 0:
            raise Refused("tensors are joined along their channels alone: concatenate along dim=1")
        if len(node.shape) == 3 or any(value.order is not None for value in values):
            values = [self._image(value) for value in values]
        shapes = [self._shape(value.layer) for value in values]
        if len({shape[1:] for shape in shapes}) > 1:
            raise Refused(f"must have one height and width, got {', '.join(map(sizes, shapes))}")
        total = sum(shape[0] for shape in shapes)
        return self._emit(node, topology.Concat, (total, *shapes[0][1:]), *values)

    def pad(self, node: Node) -> Value:
        value, pads = self.values[node.inputs[0]], node.attributes["pads"]
        border = float(node.attributes["value"])
        if not any(pads):
            return value
        if value.pads != NO_PADS and value.border != border:
            raise Refused("borders of two values around one image cannot be built")
        top, left, bottom, right = (own + more for own, more in zip(value.pads, pads, strict=True))
        return replace(value, pads=(top, left, bottom, right), border=border)

    def reshape(self, node: Node) -> Value:
        value = self._source(node)
        if value.order is not None and value.shape == self._shape(value.layer) and len(node.shape) > 3:
            value = self._image(value)  # a second shuffle begins: each is a layer
        order = None if value.order is None else value.order.reshape(node.shape)
        moved = value.moved if value.shape == node.shape else node.where
        return replace(value, shape=node.shape, order=order, moved=moved)

    def transpose(self, node: Node) -> Value:
        value = self._source(node)
        order = np.arange(math.prod(value.shape)).reshape(value.shape) if value.order is None else value.order
        order = order.transpose(node.attributes["axes"])
        if (order.ravel() == np.arange(order.size)).all():
            return replace(value, shape=node.shape, order=None)
        return replace(value, shape=node.shape, order=order, moved=node.where)

    def identity(self, node: Node) -> Value:
        return self.values[node.inputs[0]]

    def unsupported(self, node: Node) -> Value:
        self._tell(node.where, node.attributes["problem"])
        return self._stand_in(node)


_LOWERINGS: Mapping[str, Callable[[_Lowering, Node], Value]] = {op: getattr(_Lowering, op) for op in graphs.OPS}


def _needed(graph: Graph) -> list[Node]:
    """The nodes that an output is computed from, in their order."""
    names = set(graph.outputs)
    found = []
    for node in reversed(graph.nodes):
        if node.name in names:
            names.update(node.inputs)
            found.append(node)
    return found[::-1]


def _square(node: Node) -> tuple[Floats, Any, Pads]:
    """Weights [cout, cin / groups, K, K] of a convolution, its support, and the padding that they need besides.

    A kernel with fewer rows than columns, or one whose taps are apart, is a square one whose other taps are left out:
    a support, which costs neither multipliers nor memory.
    """
    weight, spec = node.arrays["weight"], node.attributes["support"]
    dilation = node.attributes["dilation"]
    rows, columns = weight.shape[2:]
    if rows == columns and (rows == 1 or dilation == (1, 1)):
        return weight, spec, NO_PADS
    height, width = ((size - 1) * step + 1 for size, step in zip((rows, columns), dilation, strict=True))
    kernel = max(height, width)
    above, left = (kernel - height) // 2, (kernel - width) // 2
    place = np.add.outer(above + np.arange(rows) * dilation[0], np.zeros(columns, int)) * kernel
    place = (place + left + np.arange(columns) * dilation[1]).ravel()  # tap of the square kernel, for each of its own
    taps = [list(range(rows * columns))]
    if spec is not None:
        support = make_support(spec, rows)
        if not isinstance(support, Support):
            raise Refused(f"a support {support.name} needs square kernels without dilation")
        taps = [list(own) for own in support.taps]
    square = np.zeros((*weight.shape[:2], kernel * kernel))
    square[..., place] = weight.reshape(*weight.shape[:2], -1)
    pads = (above, left, kernel - height - above, kernel - width - left)
    spread = {"taps": [[int(place[tap]) for tap in own] for own in taps]}
    return square.reshape(*weight.shape[:2], kernel, kernel), spread, pads


def _same(node: Node, key: str) -> int:
    """An attribute of rows and columns that must be the same. Raises Refused."""
    rows, columns = node.attributes[key]
    if rows != columns:
        raise Refused(f"its {key} must be the same for rows and columns, got {rows} and {columns}")
    return int(rows)


def _padding(pads: list[int]) -> int | list[int]:
    """The topology's key: one number where all sides are alike."""
    return pads[0] if len(set(pads)) == 1 else pads


def _alike(left: Value, right: Value) -> bool:
    """Whether two values hold their layers' elements in one order."""
    if left.shape != right.shape or (left.order is None) != (right.order is None):
        return False
    return left.order is None or right.order is None or bool((left.order == right.order).all())
