"""Random bundles of every operation, and convolutions by onnxruntime."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime

from pymodel.network import formats as formats
from pymodel.network.bundle import Bundle
from pymodel.network.formats import MAX_FRAC, Format, accumulator_bits
from pymodel.network.topology import Network, Weighted

# A network with every operation, small and not square.
EVERY_OP = """
name: every_op
input: {channels: 3, height: 8, width: 12}
layers:
- {op: conv, name: a, input: input, out_channels: 8, kernel: 3, padding: 1, relu: true}
- {op: conv, name: b, input: a, out_channels: 8, kernel: 3, padding: 1, support: PSD1_P8}
- {op: add, name: c, inputs: [b, a]}
- {op: maxpool, name: d, input: c, kernel: 3, stride: 2, padding: 1}
- {op: conv, name: e, input: d, out_channels: 8, kernel: 1, groups: 4, bias: false}
- {op: channel_shuffle, name: f, input: e, groups: 4}
- {op: concat, name: g, inputs: [f, e]}
- {op: relu, name: h, input: g}
- {op: avgpool, name: i, input: h}
- {op: conv, name: j, input: i, out_channels: 5, kernel: 3, stride: 2, padding: 2,
   support: {taps: [[0, 8], [4], [1, 2, 3]]}}
- {op: linear, name: k, input: j, out_features: 4}
- {op: add, name: l, inputs: [k, k], relu: true}
- {op: conv, name: m, input: i, out_channels: 4, kernel: 3, padding: 1, stride: 2}
- {op: avgpool, name: n, input: h, kernel: 4, stride: 1, padding: 2}
- {op: conv, name: o, input: h, out_channels: 4, kernel: 3}
- {op: global_avgpool, name: p, input: o}
- {op: conv, name: q, input: h, out_channels: 6, kernel: 4, padding: [1, 3, 0, 2], stride: 2, relu: true, clip: 1.3}
- {op: maxpool, name: r, input: h, kernel: 3, stride: 2, padding: [2, 0, 1, 1]}
- {op: avgpool, name: s, input: c, kernel: 3, stride: 1, padding: [0, 2, 1, 0]}
- {op: relu, name: t, input: c, clip: 0.7}
- {op: linear, name: u, input: t, out_features: 3, relu: true, clip: 6.0}
- {op: add, name: v, inputs: [a, c], relu: true, clip: 0.4}
- {op: conv, name: w, input: h, out_channels: 8, kernel: 2, padding: [0, 0, 1, 1], groups: 2, relu: true, clip: 6.0}
output: l
"""


def random_bundle(network: Network, seed: int, bits: int = 8) -> Bundle:
    """A bundle of `network` with weights and formats at random that keep the numbers moving."""
    rng = np.random.default_rng(seed)
    formats = {"input": Format(bits, int(rng.integers(0, 6)))}
    weight_formats, weights, biases, scales = {}, {}, {}, {}
    for layer in network.layers:
        source = formats[layer.sources[0]]
        formats[layer.name] = source
        if layer.op == "add":
            finest = max(formats[name].frac for name in layer.sources)
            formats[layer.name] = Format(int(rng.integers(2, 9)), finest - int(rng.integers(0, 3)))
        if not isinstance(layer, Weighted):
            continue
        shape = network.weight_shape(layer)
        form = Format(int(rng.integers(2, bits + 1)), int(rng.integers(-2, 9)))
        values = rng.integers(form.min, form.max + 1, shape)
        if layer.op == "conv":
            values = values * layer.make_support().mask(*shape[:2])
        weights[layer.name] = values.astype(np.int8)
        bound = accumulator_bits(weights[layer.name], np.zeros(shape[0], int), source.bits)
        if layer.bias:
            biases[layer.name] = rng.integers(-(2**bound) // 32, 2**bound // 32 + 1, shape[0]).astype(np.int32)
        # A shift that leaves about the output's range: sums are mostly well within their bound.
        out_bits = int(rng.integers(3, 9))
        if scale_bits := max(0, int(rng.integers(-8, 17))):
            scales[layer.name] = rng.integers(1, 1 << scale_bits, shape[0]).astype(np.uint16)
        shift = max(0, min(31, bound + scale_bits - out_bits - 3))
        # Deep networks would run out of fracs.
        form = Format(form.bits, max(form.frac, -MAX_FRAC - source.frac + shift))
        weight_formats[layer.name] = form
        formats[layer.name] = Format(out_bits, source.frac + form.frac - shift)
        # Concatenated tensors share a format: f comes of e, so nothing else is to be done.
    return Bundle(network, formats, weight_formats, weights, biases, scales)


def random_images(bundle: Bundle, count: int, seed: int) -> np.ndarray:
    form = bundle.formats["input"]
    return np.random.default_rng(seed).integers(form.min, form.max + 1, (count, *bundle.network.input.shape))


def conv_by_onnxruntime(images: np.ndarray, weights: np.ndarray, stride: int, padding: int, groups: int) -> np.ndarray:
    """int32 convolution of uint8 images, zero point 128, and int8 weights."""
    node = onnx.helper.make_node(
        "ConvInteger", ["x", "w", "zero"], ["y"], strides=[stride] * 2, pads=[padding] * 4, group=groups
    )
    graph = onnx.helper.make_graph(
        [node],
        "conv",
        [onnx.helper.make_tensor_value_info("x", onnx.TensorProto.UINT8, images.shape)],
        [onnx.helper.make_tensor_value_info("y", onnx.TensorProto.INT32, None)],
        [onnx.numpy_helper.from_array(weights, "w"), onnx.numpy_helper.from_array(np.uint8(128), "zero")],
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 13)], ir_version=8)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return session.run(None, {"x": (images.astype(int) + 128).astype(np.uint8)})[0]
