"""ONNX files as a reader wants them: one input, all shapes known, what depends on constants alone computed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pymodel.common.arrays import Array, Floats
from pymodel.common.errors import NEEDS_ONNX, ConfigError
from pymodel.frontend.quantiser import Quantiser, rounded

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto

BATCH = 2  # of files that leave it open: not 1, which could be any other axis's
OPSETS = (13, 20)  # oldest and newest
QONNX = ("qonnx.custom_op.general", "finn.custom_op.general", "onnx.brevitas")  # domains of its operations
QUANTS = ("Quant", "IntQuant")
_MOVES = ("Transpose", "Reshape", "Squeeze", "Unsqueeze", "Flatten", "Identity")  # a scale moves with its weights
_PASSES = 8  # shapes that are computed from shapes need one more each


@dataclass(frozen=True, eq=False)
class Steps:
    """A quantised constant's scale. sizes: float64 of its shape, what 1 stands for. where: the quantising node."""

    sizes: Floats
    where: str


@dataclass(eq=False)
class OnnxFile:
    """A network in a file.

    nodes: those that compute something from the images, in order. constants: by name, float64 where a quantiser gave
    them. steps: of those. shapes: of all tensors, the batch too. input: the tensor that goes in. problems: (where,
    what) of constants that cannot be what they are.
    """

    name: str
    nodes: list[NodeProto]
    constants: dict[str, Array]
    steps: dict[str, Steps]
    shapes: dict[str, tuple[int, ...]]
    input: str
    outputs: list[str]
    problems: list[tuple[str, str]]

    @property
    def batch(self) -> int:
        return self.shapes[self.input][0]


def onnx_module() -> Any:
    """The package onnx. Raises ConfigError where it is missing."""
    try:
        import onnx
        import onnx.reference
        import onnx.shape_inference
    except ModuleNotFoundError as error:
        if error.name != "onnx":
            raise
        raise ConfigError(f"reading and writing ONNX files {NEEDS_ONNX}") from error
    return onnx


def read_model(path: Path) -> ModelProto:
    """The model in a file, with the data that lies beside it. Raises ConfigError, naming the file."""
    onnx = onnx_module()
    try:
        model: ModelProto = onnx.load(str(path))
    except FileNotFoundError as error:
        missing = Path(error.filename) if error.filename else path
        beside = f": its weights are in {missing.name}, which belongs beside it" if missing.name != path.name else ""
        raise ConfigError(f"{path}: cannot be read{beside} ({error.strerror or error})") from error
    except Exception as error:  # protobuf's, onnx's checker of paths to data: none of them have a base of their own
        raise ConfigError(f"{path}: must be an ONNX file, and its external data ({one_line(error)})") from error
    if not model.graph.node:
        raise ConfigError(f"{path}: must be an ONNX file with at least one node, got none")
    return model


def read(path: Path) -> OnnxFile:
    """The network in a file. Raises ConfigError: no ONNX file, other opsets, several inputs, shapes left open."""
    return simplified(read_model(path), path)


def simplified(model: ModelProto, path: Path) -> OnnxFile:
    """`read` of a model that is in memory; path: what messages call it."""
    onnx = onnx_module()
    opset = _opset(model, path)
    inlined = onnx.inliner.inline_local_functions(model) if model.functions else model
    work = onnx.ModelProto()
    work.CopyFrom(inlined)
    source = _fix_input(work, path)
    file = OnnxFile(path.stem, [], {}, {}, {}, source, [one.name for one in work.graph.output], [])
    for tensor in work.graph.initializer:
        file.constants[tensor.name] = onnx.numpy_helper.to_array(tensor)
    nodes = list(work.graph.node)
    for _ in range(_PASSES):
        before = len(nodes)
        file.shapes = _shapes(work, nodes, file.constants, path)
        nodes = [node for node in nodes if not _fold(file, node, opset)]
        if len(nodes) == before:
            break
    file.nodes = nodes
    return file


def attributes(node: NodeProto) -> dict[str, Any]:
    """The attributes of a node; texts are decoded."""
    onnx = onnx_module()
    found = {one.name: onnx.helper.get_attribute_value(one) for one in node.attribute}
    return {key: value.decode() if isinstance(value, bytes) else value for key, value in found.items()}


def is_quant(node: NodeProto) -> bool:
    """Whether a node is QONNX's quantiser."""
    return node.domain in QONNX and node.op_type in QUANTS


def where(node: NodeProto) -> str:
    """What a message calls a node: its name, or that of its result, and its operation."""
    return f"{node.name or next(iter(node.output), '?')} ({node.op_type})"


def _opset(model: ModelProto, path: Path) -> int:
    versions = {one.domain: one.version for one in model.opset_import}
    found = versions.get("", versions.get("ai.onnx", 0))
    low, high = OPSETS
    if not low <= found <= high:
        raise ConfigError(
            f"{path}: opset: must be {low} to {high}, got {found}: export with opset_version={min(high, 18)}, or "
            "convert it with onnx.version_converter"
        )
    return int(found)


def _fix_input(model: ModelProto, path: Path) -> str:
    """The name of the one input, whose batch is known afterwards."""
    constants = {tensor.name for tensor in model.graph.initializer}
    inputs = [one for one in model.graph.input if one.name not in constants]
    if len(inputs) != 1:
        names = ", ".join(one.name for one in inputs) or "none"
        raise ConfigError(f"{path}: a network has one input, the images, got {len(inputs)}: {names}")
    dims = inputs[0].type.tensor_type.shape.dim
    shown = ", ".join(str(dim.dim_value) if dim.HasField("dim_value") else dim.dim_param or "?" for dim in dims)
    if len(dims) not in (2, 4):
        raise ConfigError(
            f"{path}: input {inputs[0].name}: must be images [n, channels, rows, columns], or [n, features], "
            f"got [{shown}]"
        )
    if any(dim.dim_value <= 0 for dim in dims[1:]):
        raise ConfigError(
            f"{path}: input {inputs[0].name}: channels, rows and columns must be numbers, got [{shown}]: export "
            "with the batch as the only dynamic axis"
        )
    if dims[0].dim_value <= 0:
        dims[0].dim_value = BATCH
        for output in model.graph.output:
            output.type.tensor_type.ClearField("shape")
    return str(inputs[0].name)


def _shapes(
    model: ModelProto, nodes: list[NodeProto], constants: Mapping[str, Array], path: Path
) -> dict[str, tuple[int, ...]]:
    """Shapes of all tensors that onnx finds one for."""
    onnx = onnx_module()
    work = onnx.ModelProto()
    work.CopyFrom(model)
    del work.graph.node[:], work.graph.initializer[:], work.graph.value_info[:]
    work.graph.node.extend(_plain(node) for node in nodes)
    work.graph.initializer.extend(
        onnx.numpy_helper.from_array(value.astype(np.float32) if value.dtype == np.float64 else value, name)
        for name, value in constants.items()
    )
    for one in list(work.graph.input):
        if one.name in constants:
            work.graph.input.remove(one)
    try:
        found = onnx.shape_inference.infer_shapes(work, data_prop=True).graph
    except Exception as error:  # onnx's own, without a base
        raise ConfigError(f"{path}: its shapes do not fit together: {one_line(error)}") from error
    shapes = {name: value.shape for name, value in constants.items()}
    for one in (*found.input, *found.value_info, *found.output):
        shape = one.type.tensor_type.shape
        if one.type.tensor_type.HasField("shape") and all(dim.HasField("dim_value") for dim in shape.dim):
            shapes[one.name] = tuple(dim.dim_value for dim in shape.dim)
    return shapes


def _plain(node: NodeProto) -> NodeProto:
    """The node itself; for a quantiser of QONNX, which onnx does not know, one that keeps the shape as it does."""
    onnx = onnx_module()
    if not is_quant(node):
        return node
    same: NodeProto = onnx.helper.make_node("Identity", node.input[:1], node.output)
    return same


def _fold(file: OnnxFile, node: NodeProto, opset: int) -> bool:
    """Whether a node's results are constants; if so they are computed."""
    onnx = onnx_module()
    if node.op_type == "Shape" and node.input[0] in file.shapes:
        bounds = attributes(node)
        shape = file.shapes[node.input[0]][bounds.get("start", 0) : bounds.get("end")]
        file.constants[node.output[0]] = np.array(shape, np.int64)
        return True
    inputs = [name for name in node.input if name]
    if any(name not in file.constants for name in inputs) or any(a.HasField("g") for a in node.attribute):
        return False
    if is_quant(node) or node.op_type == "DequantizeLinear":
        _quantised_constant(file, node)
        return True
    if node.domain not in ("", "ai.onnx"):
        return False
    version = onnx.helper.make_opsetid("", opset)
    graph = onnx.helper.make_graph([node], "constant", [], [onnx.ValueInfoProto(name=n) for n in node.output if n])
    graph.input.extend(
        onnx.helper.make_tensor_value_info(
            name, onnx.helper.np_dtype_to_tensor_dtype(file.constants[name].dtype), file.constants[name].shape
        )
        for name in dict.fromkeys(inputs)
    )
    evaluator = onnx.reference.ReferenceEvaluator(onnx.helper.make_model(graph, opset_imports=[version]))
    results = evaluator.run(None, {name: file.constants[name] for name in inputs})
    file.constants.update(zip((name for name in node.output if name), map(np.asarray, results), strict=True))
    if node.op_type in _MOVES and node.input[0] in file.steps:
        steps = file.steps[node.input[0]]
        given = {name: file.constants[name] for name in inputs} | {node.input[0]: steps.sizes}
        file.steps[node.output[0]] = Steps(np.asarray(evaluator.run(None, given)[0]), steps.where)
    return True


def _quantised_constant(file: OnnxFile, node: NodeProto) -> None:
    """A constant behind a quantiser: its real value, and its steps."""
    array, scale = file.constants[node.input[0]], file.constants[node.input[1]].astype(np.float64)
    zero = file.constants[node.input[2]] if len(node.input) > 2 and node.input[2] else np.zeros(())
    if node.op_type == "DequantizeLinear":
        if scale.ndim == 1 and array.ndim > 0:
            scale = scale.reshape(
                [-1 if axis == attributes(node).get("axis", 1) % array.ndim else 1 for axis in range(array.ndim)]
            )
        whole: Floats = array.astype(np.float64)
    else:
        keys = attributes(node)
        bits, narrow, mode = (
            int(file.constants[node.input[3]]),
            bool(keys["narrow"]),
            keys.get("rounding_mode", "ROUND"),
        )
        if mode not in ("ROUND", "HALF_EVEN"):
            file.problems.append((where(node), f"rounding_mode of a constant must be ROUND, got {mode}"))
        limits = Quantiser(max(bits, 1), bool(keys["signed"]), narrow, 1.0)
        single = np.divide(array, scale.astype(array.dtype)) + zero  # as whoever runs the file divides: in float32
        whole = np.clip(rounded(single.astype(np.float64), "half_even"), limits.low, limits.high)
    if np.any(zero != 0):
        file.problems.append((where(node), _ZERO_POINT))
    file.constants[node.output[0]] = whole * scale
    file.steps[node.output[0]] = Steps(np.broadcast_to(scale, array.shape).copy(), where(node))


_ZERO_POINT = (
    "zero points of weights must be 0: quantise them symmetrically (onnxruntime: weight_type=QuantType.QInt8; "
    "brevitas: an Int8Weight quantiser)"
)


def one_line(error: Exception) -> str:
    """What an error of another program says, shortened."""
    return " ".join(str(error).split())[:300]
