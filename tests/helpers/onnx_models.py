"""ONNX models changed as a test needs them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import onnx


def halves_up(model: onnx.ModelProto) -> onnx.ModelProto:
    """A QONNX model whose activations round halves up: floor(x * (1 / s) + 0.5) * s before each of their quantisers."""
    import onnx

    changed = onnx.ModelProto()
    changed.CopyFrom(model)
    constants = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    del changed.graph.node[:]
    for node in model.graph.node:
        if node.op_type == "Quant" and node.input[0] not in constants:
            scale, out = constants[node.input[1]], node.output[0]
            fixed = {"inverse": (1 / scale).astype(np.float32), "half": np.float32(0.5)}
            changed.graph.initializer.extend(
                onnx.numpy_helper.from_array(np.asarray(array), f"{out}.{name}") for name, array in fixed.items()
            )
            steps = [
                ("Mul", [node.input[0], f"{out}.inverse"]),
                ("Add", [f"{out}.0", f"{out}.half"]),
                ("Floor", [f"{out}.1"]),
                ("Mul", [f"{out}.2", node.input[1]]),
            ]
            changed.graph.node.extend(
                onnx.helper.make_node(op, inputs, [f"{out}.{at}"], name=f"{out}.{op}{at}")
                for at, (op, inputs) in enumerate(steps)
            )
            node = onnx.helper.make_node("Identity", [], [])  # a new one to be filled
            node.CopyFrom(next(one for one in model.graph.node if one.output[0] == out))
            node.input[0] = f"{out}.3"
        changed.graph.node.append(node)
    return changed
