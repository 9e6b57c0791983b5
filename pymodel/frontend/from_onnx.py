"""ONNX files as graphs: float networks, QONNX (Quant nodes) and QDQ (pairs of QuantizeLinear and DequantizeLinear).

A quantiser becomes a node `quantise`; weights are real numbers in any case, with the steps that they are multiples of
where they were quantised.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pymodel.common.arrays import Array, Floats
from pymodel.common.errors import ConfigError
from pymodel.frontend import onnx_file
from pymodel.frontend.graph import INPUT, Graph, Node, Shape
from pymodel.frontend.onnx_file import OnnxFile, attributes, where
from pymodel.frontend.quantiser import Quantiser, same
from pymodel.network.formats import Rounding

if TYPE_CHECKING:
    from onnx import NodeProto

LISTED = (
    "Conv, BatchNormalization, Relu, Clip at 0, MaxPool, AveragePool, GlobalAveragePool, ReduceMean, Gemm, MatMul, "
    "Flatten, Reshape, Transpose, Add, Concat, Pad"
)
_RELU = "has no fixed-point form here: use Relu, or Clip from 0"
_SCORES = "has no fixed-point form here: end with the scores before it, whose largest is the same"
_NORM = "depends on each image, so it cannot be folded into weights: use BatchNormalization"
_RESIZE = "images are never made larger here: leave it to the program that reads the outputs"
_SEQUENCE = "sequences are not processed here: psconv builds networks of convolutions"
_SPLIT = "channels are never split here: use a convolution of its own for each part"
_FLOW = "the network depends on what a tensor holds, which hardware cannot"
_BATCH = "the images of a batch must stay along the first axis, each by itself"
_NUMBERS = "constants must be one number, or one for each channel, [channels, 1, 1]"
_INTEGERS = (
    "operators of integers (QOperator) are not read: quantise with quant_format=QuantFormat.QDQ, or export QONNX"
)
# What to do about operations that have no form here.
ADVICE: dict[str, str] = {
    **dict.fromkeys(
        "Sigmoid HardSigmoid HardSwish LeakyRelu Elu Celu Selu PRelu Tanh Softplus Softsign Gelu Mish Erf".split(),
        _RELU,
    ),
    **dict.fromkeys("Softmax LogSoftmax ArgMax".split(), _SCORES),
    **dict.fromkeys("LayerNormalization GroupNormalization InstanceNormalization LpNormalization LRN".split(), _NORM),
    **dict.fromkeys("Resize Upsample ConvTranspose DepthToSpace".split(), _RESIZE),
    **dict.fromkeys("LSTM GRU RNN Embedding Gather Einsum Attention".split(), _SEQUENCE),
    **dict.fromkeys("Split Slice".split(), _SPLIT),
    **dict.fromkeys("If Loop Scan Where NonZero".split(), _FLOW),
    **dict.fromkeys("QLinearConv QLinearMatMul QLinearAdd ConvInteger MatMulInteger QGemm".split(), _INTEGERS),
    "GlobalMaxPool": "use MaxPool with the image's size as its kernel",
    "LpPool": "use AveragePool",
    "DynamicQuantizeLinear": "scales must be known: use static quantisation (onnxruntime's quantize_static)",
    "BipolarQuant": "weights and activations have 2 bits at least: use Quant with a bit width of 2",
    "Trunc": "what it cuts off is not rounded here: use an average pool and a Quant behind it",
    "FloatQuant": "numbers are integers here: use Quant",
    "MultiThreshold": "export QONNX before FINN's own steps: Quant nodes are read",
    "Floor": "rounds nothing but floor(x * (1 / s) + 0.5) * s before a quantiser of scale s",
    "Sum": "use Add of two tensors",
    "Max": "only a maximum with 0 is built: use Relu",
    "Min": "only limits of a Relu are built: use Clip from 0",
}

Attributes = dict[str, Any]
Form = tuple[tuple[str, float | None], ...]  # nodes, the last first: operation, and the one number that it has besides
NEAR = (-256.0, 255.0)  # to which integers are limited on their way to 8 bits, where they come as double


class _Refused(Exception):
    """A node that has no form here: what is wrong, and what to use instead."""


def read_graph(path: Path) -> Graph:
    """The graph of an ONNX file; names of layers come from the modules that torch's exporters note in it.

    Raises ConfigError: a file that cannot be read; other opsets than 13 to 20; several inputs, or open shapes.
    """
    return graph_of(onnx_file.read(path), str(path))


def graph_of(file: OnnxFile, title: str) -> Graph:
    """The graph of a file that has been read; title: what messages call it."""
    return _Reader(file, title).graph()


class _Reader:
    """One file on its way to a graph."""

    def __init__(self, file: OnnxFile, title: str) -> None:
        self.file, self.title = file, title
        self.names: dict[str, str] = {file.input: INPUT}  # tensor -> node of the graph
        self.quantised: dict[tuple[str, Quantiser], str] = {}  # (tensor, quantiser) -> node of the graph
        self.integers: dict[str, Quantiser] = {}  # tensors of QuantizeLinear, not yet real again
        self.makers = {name: node for node in file.nodes for name in node.output}
        self.nodes: list[Node] = []
        self.problems = file.problems

    def graph(self) -> Graph:
        """The whole graph. Raises ConfigError where there is none."""
        for node in self.file.nodes:
            self._node(node)
        constant = [name for name in self.file.outputs if name not in self.names]
        if constant or not self.file.outputs:
            raise ConfigError(f"{self.title}: outputs: must be computed from the images, got {constant or 'none'}")
        for place, problem in self.problems:  # of constants: told with those of the nodes that read them
            name, told = f"problem {len(self.nodes)}", {"problem": problem}
            self.nodes.append(Node(name, "unsupported", (INPUT,), (1,), place, "", told))
            self.names[name] = name
        outputs = [self.names[name] for name in self.file.outputs]
        extra = [name for name in self.names if name.startswith("problem ")]
        shape = self.file.shapes[self.file.input][1:]
        return Graph(self.file.name, shape, tuple(self.nodes), (*outputs, *extra))

    def _node(self, node: NodeProto) -> None:
        """One node of the file: one of the graph."""
        shape = self._shape(node.output[0])
        try:
            translate = _QUANTS if onnx_file.is_quant(node) else _TRANSLATIONS.get(node.op_type)
            foreign = node.domain not in ("", "ai.onnx") and not onnx_file.is_quant(node)
            if translate is None or foreign:
                raise _Refused(ADVICE.get(node.op_type, f"has no form here; psconv builds {LISTED}"))
            if shape is None:  # where that of an input is not known either, this follows from what is told of that
                sources = [name for name in node.input if name in self.names]
                raise _Refused("" if any(self._shape(name) is None for name in sources) else _BATCH)
            translate(self, node, attributes(node), shape)
        except _Refused as problem:
            read = tuple(self.names[name] for name in node.input if name in self.names) or (INPUT,)
            self._add(node, "unsupported", read, shape or (1,), {"problem": str(problem)})
        for name in node.output[1:]:  # of dropout, say: nothing that is built reads them
            if name:
                self._add(node, "unsupported", (self.names[node.output[0]],), (1,), {"problem": _SECOND}, output=name)

    def _shape(self, name: str) -> Shape | None:
        """The shape of a tensor without its batch; None where it is not known, or its first axis is not the batch."""
        shape = self.file.shapes.get(name)
        if shape is None or len(shape) < 2 or shape[0] != self.file.batch:
            return None
        return tuple(shape[1:])

    def _add(
        self,
        node: NodeProto,
        op: str,
        inputs: tuple[str, ...],
        shape: Shape,
        keys: Attributes | None = None,
        arrays: Mapping[str, Floats | None] | None = None,
        output: str | None = None,
    ) -> None:
        name = output or node.output[0]
        given = {key: np.ascontiguousarray(a, np.float64) for key, a in (arrays or {}).items() if a is not None}
        self.names[name] = name if name != INPUT else f"{INPUT} (of a node)"
        self.nodes.append(Node(self.names[name], op, inputs, shape, where(node), self._path(node), keys or {}, given))

    def _path(self, node: NodeProto) -> str:
        """The module that a node comes from, as far as an exporter says so; else its own name."""
        weighted = node.op_type in ("Conv", "Gemm", "MatMul")
        if weighted and len(node.input) > 1 and node.input[1].endswith(".weight"):
            return str(node.input[1]).removesuffix(".weight")
        scopes = _scopes(node)
        if scopes is None:
            return node.name.removesuffix(f"/{node.op_type}") or node.op_type.lower()
        if node.op_type == "QuantizeLinear" and not scopes:
            return "requantised"
        joins = node.op_type in ("Add", "Concat")  # which no module is for
        return scopes if scopes and not joins else f"{scopes}.{node.op_type.lower()}".strip(".")

    def _input(self, name: str) -> str:
        """The node that makes a tensor. Raises _Refused for a constant, and for integers that were not made real."""
        if name not in self.names:
            raise _Refused("its input must be computed from the images: constants go into the weights of a layer")
        if name in self.integers:
            raise _Refused("reads integers: a DequantizeLinear belongs before it (QuantFormat.QDQ)")
        return self.names[name]

    def _constant(self, node: NodeProto, at: int, what: str) -> Array | None:
        """An input that must be a constant; None where it is left out. Raises _Refused."""
        if at >= len(node.input) or not node.input[at]:
            return None
        if node.input[at] not in self.file.constants:
            raise _Refused(f"its {what} must be constants, not computed from the images")
        return self.file.constants[node.input[at]]

    def _needed(self, node: NodeProto, at: int, what: str) -> Array:
        found = self._constant(node, at, what)
        if found is None:
            raise _Refused(f"its {what} are missing")
        return found

    def _weights(self, node: NodeProto, turned: bool = False) -> dict[str, Floats | None]:
        """Arrays `weight` [out, ...] and, where a quantiser made it, `step` [out]. Raises _Refused."""
        weight = self._needed(node, 1, "weights").astype(np.float64)
        steps = self.file.steps.get(node.input[1])
        sizes = None if steps is None else steps.sizes
        if turned:
            weight, sizes = weight.T, None if sizes is None else sizes.T
        if sizes is None or steps is None:
            return {"weight": weight, "step": None}
        each = sizes.reshape(len(weight), -1)
        if (each != each[:, :1]).any():
            raise _Refused(
                f"weights need one scale, or one for each output channel, got others in {steps.where}: quantise per "
                "tensor or per (output) channel"
            )
        return {"weight": weight, "step": each[:, 0]}

    # Each of these makes the node of one operation.

    def conv(self, node: NodeProto, a: Attributes, shape: Shape) -> None:
        arrays = self._weights(node)
        weight = arrays["weight"]
        assert weight is not None
        if weight.ndim != 4 or len(shape) != 3:
            raise _Refused("only 2-d convolutions are built: use one on images one row high")
        keys = self._window(node, a, weight.shape[2:])
        keys |= {"groups": a.get("group", 1), "support": None}
        bias = self._constant(node, 2, "biases")
        self._add(node, "conv2d", (self._input(node.input[0]),), shape, keys, {**arrays, "bias": bias})

    def gemm(self, node: NodeProto, a: Attributes, shape: Shape) -> None:
        if a.get("transA", 0):
            raise _Refused("transA must be 0: images lie along the first axis")
        arrays = self._weights(node, turned=not a.get("transB", 0))
        alpha, beta = a.get("alpha", 1.0), a.get("beta", 1.0)
        bias = self._constant(node, 2, "biases")
        scaled = {key: None if array is None else array * alpha for key, array in arrays.items()}
        if bias is not None:
            if bias.ndim > 1 and bias.shape[0] != 1:
                raise _Refused("its biases must be the same for all images of a batch")
            scaled["bias"] = np.broadcast_to(bias * beta, (1, shape[-1])).reshape(-1)
        self._add(node, "linear", (self._input(node.input[0]),), shape, {}, scaled)

    def matmul(self, node: NodeProto, a: Attributes, shape: Shape) -> None:
        if node.input[1] not in self.file.constants:
            raise _Refused("tensors are never multiplied by one another here: use Gemm or Conv with constant weights")
        if self.file.constants[node.input[1]].ndim != 2:
            raise _Refused("weights must be a matrix [features, outputs]")
        self._add(node, "linear", (self._input(node.input[0]),), shape, {}, self._weights(node, turned=True))

    def batch_norm(self, node: NodeProto, a: Attributes, shape: Shape) -> None:
        if a.get("training_mode", 0):
            raise _Refused("training_mode must be 0: export the model in evaluation (model.eval())")
        scale, shift, mean, variance = (self._needed(node, at, "statistics") for at in range(1, 5))
        arrays = {"scale": scale, "shift": shift, "mean": mean, "variance": variance}
        keys = {"epsilon": a.get("epsilon", 1e-5)}
        self._add(node, "batch_norm", (self._input(node.input[0]),), shape, keys, arrays)

    def relu(self, node: NodeProto, a: Attributes, shape: Shape) -> None:
        self._add(node, "relu", (self._input(node.input[0]),), shape)

    def clip(self, node: NodeProto, a: Attributes, shape: Shape) -> None:
        bounds = [self._constant(node, at, "bounds") for at in (1, 2)]
        low, high = (None if bound is None else float(bound.reshape(())) for bound in bounds)
        self._add(node, "clip", (self._input(node.input[0]),), shape, {"low": low, "high": high})

    def max_pool(self, node: NodeProto, a: Attributes, shape: Shape) -> None:
        keys = self._pool(node, a)
        self._add(node, "max_pool2d", self._read(node), shape, keys)
        self._integers(node)

    def avg_pool(self, node: NodeProto, a: Attributes, shape: Shape) -> None:
        keys = self._pool(node, a) | {"count_pads": bool(a.get("count_include_pad", 0))}
        self._add(node, "avg_pool2d", (self._input(node.input[0]),), shape, keys)

    def global_avg_pool(self, node: NodeProto, a: Attributes, shape: Shape) -> None:
        self._add(node, "global_avg_pool", (self._input(node.input[0]),), shape)

    def reduce_mean(self, node: NodeProto, a: Attributes, shape: Shape) -> None:
        rank = len(self.file.shapes[node.input[0]])
        given = self._constant(node, 1, "axes")
        axes = a.get("axes", []) if given is None else given.tolist()
        if rank != 4 or {axis % rank for axis in axes} != {2, 3}:
            raise _Refused(f"a mean must be over rows and columns of images, axes 2 and 3, got {axes or 'all'}")
        self.global_avg_pool(node, a, shape)

    def add(self, node: NodeProto, a: Attributes, shape: Shape) -> None:
        left, right = node.input
        if left in self.file.constants or right in self.file.constants:
            self._affine(node, shape, np.add)
            return
        if self._shape(left) != self._shape(right):
            raise _Refused("tensors that are added must have one shape")
        self._add(node, "add", (self._input(left), self._input(right)), shape)

    def arithmetic(self, node: NodeProto, a: Attributes, shape: Shape) -> None:
        left, right = node.input
        known = self.file.constants
        compute = {"Sub": np.subtract, "Mul": np.multiply, "Div": np.divide}[node.op_type]
        if (left not in known and right not in known) or (node.op_type == "Div" and left in known):
            raise _Refused(
                "tensors are never subtracted, multiplied or divided by one another here: leave the gate out, or use "
                "Add with the sign in the weights before it"
            )
        self._affine(node, shape, compute)

    def negate(self, node: NodeProto, a: Attributes, shape: Shape) -> None:
        self._normalise(node, shape, node.input[0], -np.ones(shape[0]), np.zeros(shape[0]))

    def _affine(self, node: NodeProto, shape: Shape, compute: Callable[..., Any]) -> None:
        """gain * x + offset with a pair of numbers for each channel, as a batch norm."""
        known = self.file.constants
        x, constant = node.input if node.input[1] in known else reversed(node.input)
        value = known[constant].astype(np.float64)
        each = (1, shape[0], *[1] * (len(shape) - 1))
        if self._shape(x) != shape or np.broadcast_shapes(value.shape, (1, *shape)) != (1, *shape):
            raise _Refused(_NUMBERS)
        try:
            value = np.broadcast_to(value, each)
        except ValueError as error:
            raise _Refused(_NUMBERS) from error

        def at(image: Floats) -> Floats:
            found: Floats = compute(image, value) if x == node.input[0] else compute(value, image)
            return found.reshape(shape[0])

        shift = at(np.zeros(each))
        self._normalise(node, shape, x, at(np.ones(each)) - shift, shift)

    def _normalise(self, node: NodeProto, shape: Shape, x: str, scale: Floats, shift: Floats) -> None:
        arrays = {"scale": scale, "shift": shift, "mean": np.zeros(shape[0]), "variance": np.ones(shape[0])}
        self._add(node, "batch_norm", (self._input(x),), shape, {"epsilon": 0.0}, arrays)

    def concat(self, node: NodeProto, a: Attributes, shape: Shape) -> None:
        axis = a["axis"] % (len(shape) + 1) - 1
        if axis < 0:
            raise _Refused("images of a batch are not joined here: concatenate channels, axis=1")
        inputs = tuple(self._input(name) for name in node.input)
        if len(inputs) == 1:
            self._add(node, "identity", inputs, shape)
        else:
            self._add(node, "concat", inputs, shape, {"axis": axis})

    def pad(self, node: NodeProto, a: Attributes, shape: Shape) -> None:
        if a.get("mode", "constant") != "constant":
            raise _Refused(f"mode {a['mode']!r} would need pixels twice: pad with zeros")
        pads, value = self._needed(node, 1, "pads").tolist(), self._constant(node, 2, "value")
        axes = self._constant(node, 3, "axes")
        rank = len(shape) + 1
        around = dict.fromkeys(range(rank), (0, 0))
        chosen = range(rank) if axes is None else [axis % rank for axis in axes.tolist()]
        around |= dict(zip(chosen, zip(pads[: len(pads) // 2], pads[len(pads) // 2 :], strict=True), strict=True))
        outside = [pair for axis, pair in around.items() if axis < 2 and pair != (0, 0)]
        if outside or min(pads, default=0) < 0 or len(shape) != 3:
            raise _Refused("only rows and columns of images are padded, by 0 or more")
        (top, bottom), (left, right) = around[2], around[3]
        border = 0.0 if value is None else float(value.reshape(()))
        self._add(node, "pad", self._read(node), shape, {"pads": (top, left, bottom, right), "value": border})
        self._integers(node)

    def reshape(self, node: NodeProto, a: Attributes, shape: Shape) -> None:
        self._add(node, "reshape", self._read(node), shape)
        self._integers(node)

    def transpose(self, node: NodeProto, a: Attributes, shape: Shape) -> None:
        order = a.get("perm", list(range(len(shape) + 1))[::-1])
        if order[0] != 0:
            raise _Refused(_BATCH)
        self._add(node, "transpose", self._read(node), shape, {"axes": tuple(axis - 1 for axis in order[1:])})
        self._integers(node)

    def identity(self, node: NodeProto, a: Attributes, shape: Shape) -> None:
        self._add(node, "identity", self._read(node), shape)
        self._integers(node)

    def cast(self, node: NodeProto, a: Attributes, shape: Shape) -> None:
        floats = (1, 10, 11, 16)  # float32, float16, double, bfloat16
        if a["to"] not in floats:
            raise _Refused("numbers are only made integers by quantisers: use Quant or QuantizeLinear")
        self.identity(node, a, shape)

    def quant(self, node: NodeProto, a: Attributes, shape: Shape) -> None:
        """QONNX's quantiser."""
        scale, zero, bits = (self._needed(node, at, "scale, zero point and bit width") for at in (1, 2, 3))
        mode = a.get("rounding_mode", "ROUND").upper()
        if mode not in ("ROUND", "HALF_EVEN"):
            raise _Refused(f"rounding_mode must be ROUND, got {mode}")
        if bits.size != 1 or float(bits.reshape(())) % 1:
            raise _Refused(f"its bit width must be one whole number, got {bits.tolist()}")
        if np.any(zero != 0):
            raise _Refused(_ZERO_QONNX)
        width = int(bits.reshape(()))
        quantiser = Quantiser(width, bool(a["signed"]), bool(a["narrow"]), _scale(scale))
        self._quantise(node, shape, quantiser)

    def quantise_linear(self, node: NodeProto, a: Attributes, shape: Shape) -> None:
        """The first half of a QDQ pair."""
        scale, zero = self._needed(node, 1, "scale"), self._constant(node, 2, "zero point")
        kind = "uint8" if zero is None else zero.dtype.name
        if kind != "int8":
            raise _Refused(
                f"activations must be int8 (0 to 127 behind a ReLU), got {kind}: quantise with "
                "activation_type=QuantType.QInt8 and extra_options={'ActivationSymmetric': True}"
            )
        if zero is not None and np.any(zero != 0):
            raise _Refused(
                f"zero points must be 0, got {zero.reshape(-1)[0]}: quantise with "
                "extra_options={'ActivationSymmetric': True}"
            )
        source, bits = self._limited(node.input[0], _scale(scale))
        quantiser = Quantiser(bits, True, False, _scale(scale))
        self._quantise(node, shape, quantiser, source)
        self.integers[node.output[0]] = quantiser

    def dequantise_linear(self, node: NodeProto, a: Attributes, shape: Shape) -> None:
        """The second half: the same scale, and a tensor of real numbers."""
        found = self.integers.get(node.input[0])
        if found is None:
            raise _Refused("reads no integers of a QuantizeLinear: the images must enter as real numbers")
        scale = _scale(self._needed(node, 1, "scale"))
        zero = self._constant(node, 2, "zero point")
        if not same(scale, found.scale) or (zero is not None and np.any(zero != 0)):
            raise _Refused("must have the scale and zero point of the QuantizeLinear that it reads")
        self._add(node, "identity", (self.names[node.input[0]],), shape)

    def _quantise(self, node: NodeProto, shape: Shape, quantiser: Quantiser, source: str | None = None) -> None:
        source, rounding = self._rounded(source or node.input[0], quantiser.scale)
        quantiser = replace(quantiser, rounding=rounding)
        known = self.quantised.get((source, quantiser))  # some programs write one for each reader
        if known is not None:
            self.names[node.output[0]] = known
            return
        self._add(node, "quantise", (self._input(source),), shape, {"quantiser": quantiser})
        self.quantised[source, quantiser] = self.names[node.output[0]]

    def _limited(self, name: str, scale: float) -> tuple[str, int]:
        """(tensor, bits): what a QuantizeLinear reads behind limits of fewer bits than its 8, as `to_onnx` has them."""
        node = self.makers.get(name)
        for bits in range(2, 8):
            limits = (-(2 ** (bits - 1)) * scale, (2 ** (bits - 1) - 1) * scale)
            if node is not None and node.op_type == "Clip" and self._numbers(node) == limits:
                return node.input[0], bits
        return name, 8

    def _rounded(self, name: str, scale: float) -> tuple[str, Rounding]:
        """(tensor, how it is rounded): of one that a quantiser reads; by the quantiser itself, halves to the even
        integer, but where it comes in a form that `to_onnx` writes.

        That is floor(x * (1 / scale) + 0.5) * scale, or, of a mean x of `count` elements, whose sum is found again
        first, floor((2 * round(x * (count / scale)) + count) / (2 * count)) * scale; and for halves to the even one,
        computed as double, round(x * (1 / scale)) * scale or round(round(x * (count / scale)) / count) * scale.
        """
        real, single = ("Mul", scale), ("Mul", 1 / scale)
        forms: list[tuple[Rounding, Form]] = [
            ("half_up", (real, ("Floor", None), ("Add", 0.5), single)),
            ("half_even", (real, ("Round", None), single)),
        ]
        for op in ("Floor", "Round"):
            divided = self._maker(self._behind(name, (real, (op, None))))
            if divided is not None and divided.op_type == "Div" and len(numbers := self._numbers(divided)) == 1:
                count = numbers[0] / 2 if op == "Floor" else numbers[0]
                total: Form = (("Round", None), ("Mul", count / scale))
                up: Form = (real, ("Floor", None), ("Div", 2 * count), ("Add", count), ("Mul", 2.0), *total)
                forms += [("half_up", up), ("half_even", (real, ("Round", None), ("Div", count), *total))]
        for rounding, form in forms:
            source = self._behind(name, form)
            if source is not None:
                return source, rounding
        return name, "half_even"

    def _behind(self, name: str | None, form: Form) -> str | None:
        """The tensor that a chain of nodes starts from, the last first, each with a constant or None; None: no such."""
        for op, constant in form:
            node = self._maker(name)
            if node is None or node.op_type != op or (constant is not None and self._numbers(node) != (constant,)):
                return None
            name = node.input[0]
        return name

    def _maker(self, name: str | None) -> NodeProto | None:
        """The node that makes a tensor, but for what changes its type or limits it to 8 bits on the way."""
        node = self.makers.get(name or "")
        while node and (node.op_type == "Cast" or (node.op_type == "Clip" and self._numbers(node) == NEAR)):
            node = self.makers.get(node.input[0])
        return node

    def _numbers(self, node: NodeProto) -> tuple[float, ...]:
        """The inputs of a node behind the first that are constants of one number."""
        known = [self.file.constants[name] for name in node.input[1:] if name in self.file.constants]
        return tuple(float(value.reshape(())) for value in known if value.size == 1)

    def _read(self, node: NodeProto) -> tuple[str]:
        """The first input, which may be integers: the operation moves them."""
        name = node.input[0]
        return (self.names[name] if name in self.integers else self._input(name),)

    def _integers(self, node: NodeProto) -> None:
        """What moves integers gives integers."""
        if node.input[0] in self.integers:
            self.integers[node.output[0]] = self.integers[node.input[0]]

    def _window(self, node: NodeProto, a: Attributes, kernel: tuple[int, ...]) -> Attributes:
        """Attributes stride, pads and dilation of a convolution or pool."""
        source = self._shape(node.input[0])
        if source is None or len(source) != 3 or len(kernel) != 2:
            raise _Refused("images must be [n, channels, rows, columns]")
        strides, dilations = a.get("strides", [1, 1]), a.get("dilations", [1, 1])
        kind = a.get("auto_pad", "NOTSET")
        if kind == "NOTSET":
            pads = a.get("pads", [0, 0, 0, 0])
        elif kind == "VALID":
            pads = [0, 0, 0, 0]
        else:  # SAME_UPPER, SAME_LOWER: as many positions as strides fit, what is left over below or above
            before, after = [], []
            for size, own, stride, step in zip(source[1:], kernel, strides, dilations, strict=True):
                total = max(0, (-(-size // stride) - 1) * stride + (own - 1) * step + 1 - size)
                less, more = total // 2, total - total // 2
                before.append(less if kind == "SAME_UPPER" else more)
                after.append(more if kind == "SAME_UPPER" else less)
            pads = before + after
        if min(pads) < 0:
            raise _Refused(f"pads must be 0 or more, got {list(pads)}")
        return {"stride": tuple(strides), "pads": tuple(pads), "dilation": tuple(dilations)}

    def _pool(self, node: NodeProto, a: Attributes) -> Attributes:
        kernel = tuple(a["kernel_shape"])
        return self._window(node, a, kernel) | {"kernel": kernel, "ceil": bool(a.get("ceil_mode", 0))}


def _scopes(node: NodeProto) -> str | None:
    """The path of the module that a node comes from, as torch's exporters note it; None where they did not."""
    for entry in node.metadata_props:
        if entry.key == "pkg.torch.onnx.name_scopes":  # ['', 'layer1', 'layer1.0', 'conv2d']: the last is the node
            scopes = re.findall(r"'([^']*)'", entry.value)[1:-1]
            handlers = [scope for scope in scopes if scope.endswith("_quant")]  # brevitas has more inside
            handlers = [scope.removesuffix(".act_quant") for scope in handlers]
            return handlers[0] if handlers else scopes[-1] if scopes else ""
    if not node.name.startswith("/"):
        return None
    path: list[str] = []
    for scope in node.name.strip("/").split("/")[:-1]:  # /layer1/layer1.0/conv1/Conv
        if path and scope.startswith(f"{path[-1]}."):
            path.pop()
        path.append(scope)
    return ".".join(path)


def _scale(array: Array) -> float:
    """The one scale of an activation. Raises _Refused."""
    if array.size != 1 and np.any(array != array.reshape(-1)[0]):
        raise _Refused(f"activations need one scale, got {array.size}: quantise activations per tensor")
    value = float(array.reshape(-1)[0])
    if not value > 0 or not np.isfinite(value):
        raise _Refused(f"its scale must be more than 0, got {value:g}")
    return value


_SECOND = "only the first result of an operation is built"
_ZERO_QONNX = "zero points must be 0: use a symmetric quantiser (brevitas: Int8Act..., or Uint8Act... behind a ReLU)"
_QUANTS = _Reader.quant
_TRANSLATIONS: dict[str, Callable[[_Reader, NodeProto, Attributes, Shape], None]] = {
    "Conv": _Reader.conv,
    "Gemm": _Reader.gemm,
    "MatMul": _Reader.matmul,
    "BatchNormalization": _Reader.batch_norm,
    "Relu": _Reader.relu,
    "Clip": _Reader.clip,
    "MaxPool": _Reader.max_pool,
    "AveragePool": _Reader.avg_pool,
    "GlobalAveragePool": _Reader.global_avg_pool,
    "ReduceMean": _Reader.reduce_mean,
    "Add": _Reader.add,
    **dict.fromkeys(("Sub", "Mul", "Div"), _Reader.arithmetic),
    "Neg": _Reader.negate,
    "Concat": _Reader.concat,
    "Pad": _Reader.pad,
    **dict.fromkeys(("Flatten", "Reshape", "Squeeze", "Unsqueeze"), _Reader.reshape),
    "Transpose": _Reader.transpose,
    **dict.fromkeys(("Identity", "Dropout"), _Reader.identity),
    "Cast": _Reader.cast,
    "QuantizeLinear": _Reader.quantise_linear,
    "DequantizeLinear": _Reader.dequantise_linear,
}
