"""PyTorch models as graphs: any torch.nn.Module, as torch.export sees it.

The model is traced with tensors that have shapes and no values, so its forward must not depend on what they hold.
What it computes from parameters and constants alone (a masked weight, a normalisation of weights) is computed here.
"""

from __future__ import annotations

import copy
import linecache
import logging
import operator
import sysconfig
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.export.graph_signature import InputKind, OutputKind
from torch.utils import _pytree as pytree

from pymodel.common.arrays import Floats
from pymodel.common.errors import ConfigError
from pymodel.frontend.graph import INPUT, Graph, Node, Shape
from pymodel.network.supports import MaskSupport, Support, SupportSpec
from pymodel.nn.psconv2d import PSConv2d

BATCH = 2  # of the trace: not 1, which could be any other axis's
LISTED = "convolution, batch norm, ReLU, clamp at 0, pooling, linear, +, concatenation, flatten, channel shuffle"
_RELU = "has no fixed-point form here: use nn.ReLU or nn.ReLU6"
_RESIZE = "images are never made larger here: leave it to the program that reads the outputs"
_SCORES = "has no fixed-point form here: return the scores before it, whose largest is the same"
_LARGEST = "the program that reads the scores finds the largest: return the scores"
_CHOICE = "elements are never chosen by what they hold, but by nn.ReLU and nn.MaxPool2d"
_NORM = "depends on each image, so it cannot be folded into weights: use nn.BatchNorm2d"
_SEQUENCE = "sequences are not processed here: psconv builds networks of convolutions"
_BATCH = "the images of a batch must stay along the first axis, each by itself"
_NUMBERS = "constants must be one number, or one for each channel, [channels, 1, 1]"
_SECOND = "its first result alone is built: leave return_indices as it is, False"
_RANDOM = "an image must give the same result each time: random numbers belong to training"
_SPLIT = "channels are never split here: use a convolution of its own for each part"
# What to do about operations that have no form here, by what ATen calls them.
ADVICE: dict[str, str] = {
    **dict.fromkeys(
        "sigmoid silu gelu hardswish hardsigmoid leaky_relu elu celu selu prelu tanh softplus mish rrelu".split(), _RELU
    ),
    **dict.fromkeys("softmax _softmax log_softmax _log_softmax".split(), _SCORES),
    **dict.fromkeys("layer_norm native_layer_norm group_norm native_group_norm instance_norm rms_norm".split(), _NORM),
    **dict.fromkeys(
        "upsample_nearest2d upsample_bilinear2d upsample_bicubic2d pixel_shuffle conv_transpose2d".split(), _RESIZE
    ),
    **dict.fromkeys("lstm gru rnn_tanh rnn_relu embedding scaled_dot_product_attention bmm".split(), _SEQUENCE),
    **dict.fromkeys("split split_with_sizes chunk slice select narrow unbind index index_select".split(), _SPLIT),
    **dict.fromkeys("rand randn randint rand_like randn_like randint_like bernoulli normal".split(), _RANDOM),
    **dict.fromkeys("argmax max topk sort argsort".split(), _LARGEST),
    **dict.fromkeys("gt ge lt le eq ne where masked_fill nonzero".split(), _CHOICE),
    "conv1d": "only 2-d convolutions are built: use nn.Conv2d on images one row high",
    "conv3d": "only 2-d convolutions are built: use nn.Conv2d on each slice",
    "adaptive_max_pool2d": "its windows differ in size: use nn.MaxPool2d",
    "mul": "tensors are never multiplied by one another here: leave the attention or gate out",
    "matmul": "tensors are never multiplied by one another here: use nn.Linear or nn.Conv2d with weights of their own",
    "sub": "tensors are never subtracted here: use +, with the sign in the weights before it",
    "div": "tensors are never divided by one another here",
}
_IDENTITIES = "clone contiguous alias detach dropout feature_dropout alpha_dropout lift_fresh_copy _to_copy to".split()
_RESHAPES = "view reshape _unsafe_view flatten squeeze unsqueeze unflatten".split()
# Nodes of these are tuples of which only the first tensor is read.
_FIRST = "_native_batch_norm_legit_no_training max_pool2d_with_indices".split()

Arguments = dict[str, Any]  # of an ATen operation, by the names of its schema


class _Refused(Exception):
    """An operation that has no form here: what is wrong, and what to use instead."""


def trace(model: nn.Module, example: Sequence[int], name: str | None = None) -> Graph:
    """The graph of `model` in evaluation, for images of the shape `example` (without the batch).

    example: (channels, rows, columns), or (features,). name: of the network; None: the model's class. PSConv2d keeps
    its support. The model itself is not changed. Raises ConfigError where its forward cannot be followed.
    """
    if not isinstance(model, nn.Module):
        raise ConfigError(f"model: must be a torch.nn.Module, got {type(model).__name__}")
    title = name or type(model).__name__
    if len(example) not in (1, 3):
        raise ConfigError(
            f"{title}: images must be [n, channels, rows, columns], or [n, features], "
            f"got [{', '.join(map(str, ('n', *example)))}]"
        )
    try:
        model = copy.deepcopy(model).cpu().float().eval()
    except Exception as error:  # of a module's own, or of tensors that are no parameters
        raise ConfigError(f"{title}: cannot be copied, which is how it stays as it is: {error}") from error
    return _Reader(model, title, _exported(model, title, tuple(example)), tuple(example)).graph()


def _exported(model: nn.Module, title: str, example: Shape) -> torch.export.ExportedProgram:
    """The program of a model. Raises ConfigError, naming module and line, where torch.export finds none."""
    sample = torch.zeros(BATCH, *example)
    try:
        with _quiet(), torch.no_grad():
            program: torch.export.ExportedProgram = torch.export.export(model, (sample,)).run_decompositions({})
            return program
    except Exception as error:  # whatever the model's own code raises, or torch.export of what it met there
        raise ConfigError(f"{title}: cannot be built:\n  {_failure(model, error)}") from error


@contextmanager
def _quiet() -> Iterator[None]:
    """torch.export writes what it could not follow in its own words, which say nothing of the model's."""
    disabled = logging.root.manager.disable
    with warnings.catch_warnings(), redirect_stderr(StringIO()), redirect_stdout(StringIO()):
        warnings.simplefilter("ignore")
        logging.disable(logging.CRITICAL)
        try:
            yield
        finally:
            logging.disable(disabled)


def _failure(model: nn.Module, error: Exception) -> str:
    """Where in the model an error arose, and what it means."""
    modules = {id(module): name for name, module in model.named_modules()}
    others = (str(Path(torch.__file__).parent), sysconfig.get_path("stdlib"), __file__, "<")
    path, place = "", ""
    trace = error.__traceback__
    while trace:
        frame = trace.tb_frame
        owner, file = frame.f_locals.get("self"), frame.f_code.co_filename
        path = modules.get(id(owner), path)
        if not file.startswith(others):
            source = linecache.getline(file, trace.tb_lineno).strip()
            place = f"{Path(file).name}:{trace.tb_lineno}{f': {source}' if source else ''}"
        trace = trace.tb_next
    where = f"{path or 'forward'} ({type(model.get_submodule(path)).__name__}{f', {place}' if place else ''})"
    if "data-dependent" in str(error).lower() or "DataDependent" in type(error).__name__:
        return (
            f"{where}: the forward depends on what a tensor holds, which hardware cannot: use shapes, or the model's "
            "own settings, in conditions and sizes"
        )
    said = " ".join(str(error).split())
    return f"{where}: {said[:200]}" if said else f"{where}: {type(error).__name__}"


class _Reader:
    """One exported program on its way to a graph."""

    def __init__(self, model: nn.Module, title: str, program: torch.export.ExportedProgram, example: Shape) -> None:
        self.model, self.title, self.program, self.example = model, title, program, example
        self.constants: dict[str, torch.Tensor] = {}  # by the name of the torch node
        self.names: dict[str, str] = {}  # torch node -> node of the graph
        self.nodes: list[Node] = []
        self.unknown: set[str] = set()  # nodes that have been told of and have no shape: what reads them has none

    def graph(self) -> Graph:
        """The whole graph. Raises ConfigError where there is none."""
        signature = self.program.graph_signature
        values: dict[str, Any] = {**self.program.state_dict, **self.program.constants}
        for spec in signature.input_specs:
            if spec.kind == InputKind.USER_INPUT:
                self.names[spec.arg.name] = INPUT
            elif isinstance(values.get(spec.target or ""), torch.Tensor):
                self.constants[spec.arg.name] = values[spec.target or ""].detach()
        changed = [spec.target for spec in signature.output_specs if spec.kind == OutputKind.BUFFER_MUTATION]
        if changed:
            raise ConfigError(
                f"{self.title}: cannot be built:\n  forward: changes the buffer {changed[0]}: each image must be "
                "computed by itself"
            )
        results: Any = ()
        for node in self.program.graph.nodes:
            if node.op == "call_function":
                self._call(node)
            elif node.op == "output":
                results = node.args[0]
        outputs = [node for node in pytree.tree_leaves(results) if isinstance(node, torch.fx.Node)]
        constant = [node.name for node in outputs if node.name not in self.names]
        if constant or not outputs:
            raise ConfigError(f"{self.title}: cannot be built:\n  forward: must return tensors computed from its input")
        return Graph(self.title, self.example, tuple(self.nodes), tuple(self.names[node.name] for node in outputs))

    def _call(self, node: torch.fx.Node) -> None:
        """One operation: a constant, or a node of the graph."""
        inputs = [one for one in node.all_input_nodes if one.name not in self.constants]
        if not inputs and torch.Tag.nondeterministic_seeded not in getattr(node.target, "tags", ()):
            self._fold(node)
            return
        read, shape = tuple(self.names[one.name] for one in inputs), _shape(node)
        if node.target is operator.getitem:  # one of several results
            known = _operation(inputs[0]) in _FIRST
            if known and node.args[1] == 0:
                self.names[node.name] = read[0]
            else:  # what is not known has been told of
                self._add(node, "unsupported", read, shape or (1,), {"problem": _SECOND if known else ""})
            return
        if self.unknown.intersection(read):
            self._add(node, "unsupported", read, shape or (1,), {"problem": ""})
            return
        op = _operation(node)
        try:
            translate = _TRANSLATIONS.get(op)
            if translate is None:
                raise _Refused(ADVICE.get(op, f"has no form here; psconv builds {LISTED}"))
            if shape is None:
                raise _Refused(_BATCH)
            translate(self, node, _arguments(node), shape)
        except _Refused as problem:
            self._add(node, "unsupported", read, shape or (1,), {"problem": str(problem)})
            if shape is None and isinstance(node.meta.get("val"), torch.Tensor):
                self.unknown.add(node.name)

    def _fold(self, node: torch.fx.Node) -> None:
        """What depends on parameters and constants alone is computed; anew each time, as nothing changes them."""

        def value(one: Any) -> Any:
            return self.constants[one.name] if isinstance(one, torch.fx.Node) else one

        args, kwargs = pytree.tree_map(value, (node.args, node.kwargs))
        target: Any = node.target
        with torch.no_grad():
            self.constants[node.name] = target(*args, **kwargs)

    def _add(
        self,
        node: torch.fx.Node,
        op: str,
        inputs: tuple[str, ...],
        shape: Shape,
        attributes: dict[str, Any] | None = None,
        arrays: Mapping[str, torch.Tensor | None] | None = None,
    ) -> None:
        path, where = self._where(node)
        given = {name: _array(array) for name, array in (arrays or {}).items() if array is not None}
        self.nodes.append(Node(node.name, op, inputs, shape, where, path, attributes or {}, given))
        self.names[node.name] = node.name

    def _where(self, node: torch.fx.Node) -> tuple[str, str]:
        """(path of the layer, what a message calls it)."""
        stack = list(node.meta.get("nn_module_stack", {}).values())
        path = stack[-1][0] if stack else ""
        module = self.model.get_submodule(path)
        if type(module).__module__.startswith("torch.nn") or isinstance(module, PSConv2d):
            return path, f"{path or 'forward'} ({type(module).__name__})"
        op = _operation(node)
        line = _line(node)
        return f"{path}.{op}" if path else op, f"{path or 'forward'} ({op}{f', {line}' if line else ''})"

    def _module(self, node: torch.fx.Node) -> nn.Module:
        stack = list(node.meta.get("nn_module_stack", {}).values())
        return self.model.get_submodule(stack[-1][0] if stack else "")

    def _input(self, value: Any) -> str:
        """The name of a tensor that is no constant. Raises _Refused."""
        if not isinstance(value, torch.fx.Node) or value.name not in self.names:
            raise _Refused("its input must be computed from the images: constants go into the weights of a layer")
        return self.names[value.name]

    def _constant(self, value: Any, what: str) -> torch.Tensor:
        """A tensor that is known. Raises _Refused, naming it."""
        if isinstance(value, torch.fx.Node) and value.name in self.constants:
            return self.constants[value.name]
        raise _Refused(f"its {what} must be parameters or constants, not computed from the images")

    def _optional(self, value: Any, what: str) -> torch.Tensor | None:
        return None if value is None else self._constant(value, what)

    # Each of these makes the node of one operation of ATen.

    def convolution(self, node: torch.fx.Node, a: Arguments, shape: Shape) -> None:
        module = self._module(node)
        if len(shape) != 3:
            raise _Refused("images must come in a batch, [n, channels, rows, columns]")
        weight = self._constant(a["weight"], "weights")
        rows, columns = weight.shape[2:]
        dilation = _pair(a["dilation"])
        if a["padding"] == "same":
            beyond = [(size - 1) * step for size, step in zip((rows, columns), dilation, strict=True)]
            first = [total // 2 for total in beyond]
            pads = (*first, *(total - one for total, one in zip(beyond, first, strict=True)))
        elif a["padding"] == "valid":
            pads = (0, 0, 0, 0)
        else:
            pads = _pads(a["padding"])
        attributes = {
            "stride": _pair(a["stride"]),
            "pads": pads,
            "dilation": dilation,
            "groups": a["groups"],
            "support": _support(module),
        }
        arrays = {"weight": weight, "bias": self._optional(a["bias"], "biases")}
        self._add(node, "conv2d", (self._input(a["input"]),), shape, attributes, arrays)

    def linear(self, node: torch.fx.Node, a: Arguments, shape: Shape) -> None:
        arrays = {"weight": self._constant(a["weight"], "weights"), "bias": self._optional(a["bias"], "biases")}
        self._add(node, "linear", (self._input(a["input"]),), shape, {}, arrays)

    def matmul(self, node: torch.fx.Node, a: Arguments, shape: Shape) -> None:
        left, right = (a[key] for key in list(a)[:2])
        if not isinstance(right, torch.fx.Node) or right.name not in self.constants:
            raise _Refused(ADVICE["matmul"])
        self._add(node, "linear", (self._input(left),), shape, {}, {"weight": self.constants[right.name].t()})

    def addmm(self, node: torch.fx.Node, a: Arguments, shape: Shape) -> None:
        if a["alpha"] != 1 or a["beta"] != 1:
            raise _Refused("addmm: alpha and beta must be 1: scale the weights instead")
        arrays = {"weight": self._constant(a["mat2"], "weights").t(), "bias": self._constant(a["self"], "biases")}
        self._add(node, "linear", (self._input(a["mat1"]),), shape, {}, arrays)

    def batch_norm(self, node: torch.fx.Node, a: Arguments, shape: Shape) -> None:
        mean, variance = (self._constant(a[f"running_{key}"], "statistics") for key in ("mean", "var"))
        scale, shift = (self._optional(a[key], "parameters") for key in ("weight", "bias"))
        arrays = {
            "scale": torch.ones_like(mean) if scale is None else scale,
            "shift": torch.zeros_like(mean) if shift is None else shift,
            "mean": mean,
            "variance": variance,
        }
        self._add(node, "batch_norm", (self._input(a["input"]),), shape, {"epsilon": a["eps"]}, arrays)

    def relu(self, node: torch.fx.Node, a: Arguments, shape: Shape) -> None:
        self._add(node, "relu", (self._input(a["self"]),), shape)

    def clip(self, node: torch.fx.Node, a: Arguments, shape: Shape) -> None:
        low, high = (a.get(f"{key}_val", a.get(key)) for key in ("min", "max"))
        if isinstance(low, torch.fx.Node) or isinstance(high, torch.fx.Node):
            raise _Refused("its bounds must be plain numbers")
        self._add(node, "clip", (self._input(a["self"]),), shape, {"low": low, "high": high})

    def relu6(self, node: torch.fx.Node, a: Arguments, shape: Shape) -> None:
        self._add(node, "clip", (self._input(a["self"]),), shape, {"low": 0.0, "high": 6.0})

    def max_pool(self, node: torch.fx.Node, a: Arguments, shape: Shape) -> None:
        attributes = _pool(a) | {"dilation": _pair(a["dilation"])}
        self._add(node, "max_pool2d", (self._input(a["self"]),), shape, attributes)

    def avg_pool(self, node: torch.fx.Node, a: Arguments, shape: Shape) -> None:
        if a["divisor_override"] is not None:
            raise _Refused("divisor_override must be left out")
        attributes = _pool(a) | {"dilation": (1, 1), "count_pads": a["count_include_pad"]}
        self._add(node, "avg_pool2d", (self._input(a["self"]),), shape, attributes)

    def adaptive_avg_pool(self, node: torch.fx.Node, a: Arguments, shape: Shape) -> None:
        source: Any = a["self"].meta["val"]
        kernel = tuple(size // out for size, out in zip(source.shape[-2:], shape[-2:], strict=True))
        if any(size % out for size, out in zip(source.shape[-2:], shape[-2:], strict=True)):
            raise _Refused(
                f"{tuple(source.shape[-2:])} pixels do not divide into {shape[-2:]}, so its windows differ in size: "
                "use nn.AvgPool2d, or an output size that divides"
            )
        attributes = {"kernel": kernel, "stride": kernel, "pads": (0, 0, 0, 0), "dilation": (1, 1), "ceil": False}
        self._add(node, "avg_pool2d", (self._input(a["self"]),), shape, attributes | {"count_pads": True})

    def mean(self, node: torch.fx.Node, a: Arguments, shape: Shape) -> None:
        source: Any = a["self"].meta["val"]
        axes = {axis % source.dim() for axis in a["dim"] or ()}
        if source.dim() != 4 or axes != {2, 3}:
            raise _Refused(f"a mean must be over rows and columns of images, dim=(2, 3), got dim={a['dim']}")
        self._add(node, "global_avg_pool", (self._input(a["self"]),), shape)

    def add(self, node: torch.fx.Node, a: Arguments, shape: Shape) -> None:
        left, right = a["self"], a["other"]
        if self._known(right) or self._known(left):
            self._affine(node, left, right, shape, lambda one, other: one + a["alpha"] * other)
            return
        if a["alpha"] != 1 or _shape(left) != _shape(right):
            raise _Refused("tensors that are added must have one shape, and no alpha")
        self._add(node, "add", (self._input(left), self._input(right)), shape)

    def subtract(self, node: torch.fx.Node, a: Arguments, shape: Shape) -> None:
        self._arithmetic(node, a, shape, lambda one, other: one - a["alpha"] * other)

    def multiply(self, node: torch.fx.Node, a: Arguments, shape: Shape) -> None:
        self._arithmetic(node, a, shape, lambda one, other: one * other)

    def divide(self, node: torch.fx.Node, a: Arguments, shape: Shape) -> None:
        if self._known(a["self"]):
            raise _Refused("nothing is divided by a tensor here")
        self._arithmetic(node, a, shape, lambda one, other: one / other)

    def subtract_from(self, node: torch.fx.Node, a: Arguments, shape: Shape) -> None:
        self._affine(node, a["self"], a["other"], shape, lambda one, other: other - a["alpha"] * one)

    def negate(self, node: torch.fx.Node, a: Arguments, shape: Shape) -> None:
        self._affine(node, a["self"], -1.0, shape, lambda one, other: one * other)

    def _arithmetic(self, node: torch.fx.Node, a: Arguments, shape: Shape, compute: Callable[[Any, Any], Any]) -> None:
        if not self._known(a["other"]) and not self._known(a["self"]):
            raise _Refused(ADVICE[_operation(node)])
        self._affine(node, a["self"], a["other"], shape, compute)

    def _known(self, value: Any) -> bool:
        return not isinstance(value, torch.fx.Node) or value.name in self.constants

    def _affine(
        self, node: torch.fx.Node, left: Any, right: Any, shape: Shape, compute: Callable[[Any, Any], Any]
    ) -> None:
        """gain * x + offset with a pair of numbers for each channel: what normalisation by hand comes to."""
        x, known = (right, left) if self._known(left) else (left, right)
        each = (1, shape[0], *[1] * (len(shape) - 1))
        value = torch.as_tensor(self.constants[known.name] if isinstance(known, torch.fx.Node) else known).double()
        if _shape(x) != shape or torch.broadcast_shapes(value.shape, (BATCH, *shape)) != (BATCH, *shape):
            raise _Refused(_NUMBERS)
        try:
            value = value.broadcast_to(each)
        except RuntimeError as error:
            raise _Refused(_NUMBERS) from error

        def at(image: torch.Tensor) -> torch.Tensor:
            result: torch.Tensor = compute(image, value) if x is left else compute(value, image)
            return result.reshape(shape[0])

        shift = at(torch.zeros(each, dtype=torch.float64))
        scale = at(torch.ones(each, dtype=torch.float64)) - shift
        arrays = {"scale": scale, "shift": shift, "mean": torch.zeros(shape[0]), "variance": torch.ones(shape[0])}
        self._add(node, "batch_norm", (self._input(x),), shape, {"epsilon": 0.0}, arrays)

    def concat(self, node: torch.fx.Node, a: Arguments, shape: Shape) -> None:
        axis = a["dim"] % (len(shape) + 1) - 1
        if axis < 0:
            raise _Refused("images of a batch are not joined here: concatenate channels, dim=1")
        inputs = tuple(self._input(one) for one in a["tensors"])
        if len(inputs) == 1:
            self._add(node, "identity", inputs, shape)
        else:
            self._add(node, "concat", inputs, shape, {"axis": axis})

    def pad(self, node: torch.fx.Node, a: Arguments, shape: Shape) -> None:
        if a.get("mode", "constant") != "constant":
            raise _Refused(f"mode {a['mode']!r} would need pixels twice: pad with zeros")
        left, right, top, bottom = (*a["pad"], 0, 0, 0, 0)[:4]
        if any(a["pad"][4:]) or min(left, right, top, bottom) < 0 or len(shape) != 3:
            raise _Refused("only rows and columns of images are padded, by 0 or more")
        attributes = {"pads": (top, left, bottom, right), "value": float(a.get("value") or 0)}
        self._add(node, "pad", (self._input(a["self"]),), shape, attributes)

    def reshape(self, node: torch.fx.Node, a: Arguments, shape: Shape) -> None:
        self._add(node, "reshape", (self._input(a["self"]),), shape)

    def transpose(self, node: torch.fx.Node, a: Arguments, shape: Shape) -> None:
        rank = len(shape) + 1
        order = list(range(rank))
        if "dims" in a:
            order = [axis % rank for axis in a["dims"]]
        else:
            first, second = a["dim0"] % rank, a["dim1"] % rank
            order[first], order[second] = second, first
        if order[0] != 0:
            raise _Refused(_BATCH)
        self._add(node, "transpose", (self._input(a["self"]),), shape, {"axes": tuple(axis - 1 for axis in order[1:])})

    def identity(self, node: torch.fx.Node, a: Arguments, shape: Shape) -> None:
        self._add(node, "identity", (self._input(next(iter(a.values()))),), shape)

    def part(self, node: torch.fx.Node, a: Arguments, shape: Shape) -> None:
        """A slice that leaves nothing out, as `x[:, :]` writes it."""
        if _shape(a["self"]) != shape:
            raise _Refused(_SPLIT)
        self.identity(node, a, shape)


_TRANSLATIONS: dict[str, Callable[[_Reader, torch.fx.Node, Arguments, Shape], None]] = {
    "conv2d": _Reader.convolution,
    "linear": _Reader.linear,
    "matmul": _Reader.matmul,
    "mm": _Reader.matmul,
    "addmm": _Reader.addmm,
    "_native_batch_norm_legit_no_training": _Reader.batch_norm,
    "relu": _Reader.relu,
    "relu6": _Reader.relu6,
    **dict.fromkeys(("hardtanh", "clamp", "clamp_min", "clamp_max"), _Reader.clip),
    **dict.fromkeys(("max_pool2d", "max_pool2d_with_indices"), _Reader.max_pool),
    "avg_pool2d": _Reader.avg_pool,
    "adaptive_avg_pool2d": _Reader.adaptive_avg_pool,
    "mean": _Reader.mean,
    "add": _Reader.add,
    "sub": _Reader.subtract,
    "rsub": _Reader.subtract_from,
    "mul": _Reader.multiply,
    "div": _Reader.divide,
    "neg": _Reader.negate,
    "cat": _Reader.concat,
    **dict.fromkeys(("pad", "constant_pad_nd"), _Reader.pad),
    **dict.fromkeys(_RESHAPES, _Reader.reshape),
    **dict.fromkeys(("transpose", "permute"), _Reader.transpose),
    **dict.fromkeys(_IDENTITIES, _Reader.identity),
    "slice": _Reader.part,
}


def _operation(node: torch.fx.Node) -> str:
    """What ATen calls an operation, without its overload: `conv2d`; `aten.conv2d.padding` has another."""
    target: Any = node.target
    packet = getattr(target, "overloadpacket", target)
    return str(getattr(packet, "__name__", packet))


def _arguments(node: torch.fx.Node) -> Arguments:
    """All arguments of an operation, those left out too, by the names of its schema."""
    target: Any = node.target
    found = {}
    for at, argument in enumerate(target._schema.arguments):
        if at < len(node.args):
            found[argument.name] = node.args[at]
        else:
            found[argument.name] = node.kwargs.get(argument.name, argument.default_value)
    return found


def _shape(node: Any) -> Shape | None:
    """The shape of a tensor without its batch; None where its first axis is not that, its size is a tensor's, or it is
    none."""
    value = node.meta.get("val")
    if isinstance(value, tuple | list) and _operation(node) in _FIRST:
        value = value[0]
    if not isinstance(value, torch.Tensor) or not all(isinstance(size, int) for size in value.shape):
        return None
    return tuple(value.shape[1:]) if value.dim() > 1 and value.shape[0] == BATCH else None


def _line(node: torch.fx.Node) -> str:
    """The line of the user's own program that an operation comes from, `model.py:31`."""
    places = [line for line in node.meta.get("stack_trace", "").splitlines() if line.strip().startswith("File ")]
    if not places:
        return ""
    file, line = places[-1].split('"')[1], places[-1].split("line ")[1].split(",")[0]
    return f"{Path(file).name}:{line}"


def _array(tensor: torch.Tensor) -> Floats:
    found: Floats = tensor.detach().cpu().double().numpy()
    return np.ascontiguousarray(found)


def _pair(value: Any) -> tuple[int, int]:
    rows, *rest = value if isinstance(value, list | tuple) else (value,)
    return int(rows), int(rest[0] if rest else rows)


def _pads(value: Any) -> tuple[int, int, int, int]:
    rows, columns = _pair(value)
    return rows, columns, rows, columns


def _pool(a: Arguments) -> dict[str, Any]:
    kernel = _pair(a["kernel_size"])
    return {
        "kernel": kernel,
        "stride": _pair(a["stride"]) if a["stride"] else kernel,
        "pads": _pads(a["padding"]),
        "ceil": a["ceil_mode"],
    }


def _support(module: nn.Module) -> SupportSpec | None:
    """The support of a PSConv2d in the form files use; that of others than periodic ones is its mask."""
    if not isinstance(module, PSConv2d):
        return None
    if isinstance(module.support, Support):
        return None if module.support.is_dense else module.support.spec()
    return MaskSupport.of((~module.pruned).cpu().numpy()).spec()
