"""Running ONNX files as their own text says, quantisers included, and comparing a bundle with that."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from pymodel.common.arrays import Floats
from pymodel.common.errors import ConfigError
from pymodel.frontend.onnx_file import attributes, is_quant, one_line, onnx_module
from pymodel.frontend.quantised import Imported, integers_of
from pymodel.frontend.quantiser import Quantiser
from pymodel.golden import model as golden

if TYPE_CHECKING:
    from onnx import ModelProto

AT_ONCE = 64  # images, of files that leave the batch open
Run = Callable[[Floats], list[Floats]]


@dataclass(frozen=True)
class Deviation:
    """How far one output of a bundle is from the file's, in last places. values: compared. different: of them. largest:
    of all differences."""

    output: str
    values: int
    different: int
    largest: int


def runner(model: ModelProto) -> Run:
    """real [n, ...] -> the outputs of a model, which computes in float32; by onnxruntime where it is installed.

    QONNX's quantisers are written out in ONNX's operators; nothing is fused. Raises ConfigError where it cannot be run.
    """
    onnx = onnx_module()
    plain = _written_out(model)
    constants = {tensor.name for tensor in plain.graph.initializer}
    source = next(one for one in plain.graph.input if one.name not in constants)
    batch = source.type.tensor_type.shape.dim[0].dim_value
    try:
        import onnxruntime
    except ModuleNotFoundError:
        evaluator: Any = onnx.reference.ReferenceEvaluator(plain)
    else:
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        options.log_severity_level = 3
        try:
            evaluator = onnxruntime.InferenceSession(plain.SerializeToString(), options, ["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime's own have no base of their own
            raise ConfigError(f"the ONNX file is one that onnxruntime cannot run: {one_line(error)}") from error

    def run(images: Floats) -> list[Floats]:
        count = batch or min(len(images), AT_ONCE)
        missing = -len(images) % count  # of the last batch: zeros, whose results are left out
        entering = np.concatenate([images, np.zeros((missing, *images.shape[1:]))]).astype(np.float32)
        pieces = [
            evaluator.run(None, {source.name: entering[start : start + count]})
            for start in range(0, len(entering), count)
        ]
        whole = [
            np.concatenate([np.asarray(piece[at], np.float64) for piece in pieces]) for at in range(len(pieces[0]))
        ]
        return [output[: len(images)] for output in whole]

    return run


def sample(quantiser: Quantiser, shape: tuple[int, ...], count: int) -> Floats:
    """Images all over what a quantiser holds, real [count, *shape]; the same each time."""
    rng = np.random.default_rng(0)
    integers = rng.integers(quantiser.low, quantiser.high + 1, (count, *shape)).astype(np.float64)
    return integers * quantiser.scale


def deviations(
    run: Run, found: Imported, quantisers: dict[str, Quantiser], images: Floats, entering: Quantiser
) -> list[Deviation]:
    """How far a bundle is from the file that it was made of, by output, on real images [n, ...] of the file's shape."""
    bundle = found.bundle
    integers = integers_of(images, entering).reshape(-1, *bundle.network.input.shape)
    ours = golden.run(bundle, integers)
    output: Any = bundle.network.output
    result = []
    for name, real in zip([output] if isinstance(output, str) else output, run(images), strict=True):
        quantiser = quantisers.get(name)
        form = bundle.formats[name]
        low, high = (form.min, form.max) if quantiser is None else (quantiser.low, quantiser.high)
        scaled = real.astype(np.float64) / found.scales[name]
        off = np.abs(np.clip(np.rint(scaled), low, high).reshape(len(images), -1) - ours[name].reshape(len(images), -1))
        result.append(Deviation(name, off.size, int(np.count_nonzero(off)), int(off.max(initial=0))))
    return result


def _written_out(model: ModelProto) -> ModelProto:
    """The model with quantisers of QONNX as Div, Clip, Round and Mul."""
    onnx = onnx_module()
    plain: ModelProto = onnx.ModelProto()
    plain.CopyFrom(model)
    del plain.graph.node[:]
    values = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type == "Constant":
            values.update((node.output[0], onnx.numpy_helper.to_array(a.t)) for a in node.attribute if a.HasField("t"))
    for node in model.graph.node:
        if not is_quant(node):
            plain.graph.node.append(node)
            continue
        keys, out = attributes(node), node.output[0]
        width = int(values[node.input[3]].reshape(()))
        limits = Quantiser(width, bool(keys["signed"]), bool(keys["narrow"]), 1.0)
        for end, value in (("low", limits.low), ("high", limits.high)):
            plain.graph.initializer.append(onnx.numpy_helper.from_array(np.float32(value), f"{out}/{end}"))
        plain.graph.node.extend(
            [
                onnx.helper.make_node("Div", node.input[:2], [f"{out}/scaled"]),
                onnx.helper.make_node("Clip", [f"{out}/scaled", f"{out}/low", f"{out}/high"], [f"{out}/clipped"]),
                onnx.helper.make_node("Round", [f"{out}/clipped"], [f"{out}/whole"]),
                onnx.helper.make_node("Mul", [f"{out}/whole", node.input[1]], [out]),
            ]
        )
    return plain
