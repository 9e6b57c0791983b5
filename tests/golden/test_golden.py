"""The golden model against other people's integer convolution, and against loops over exact integers."""

from __future__ import annotations

import dataclasses
import itertools
import math
from fractions import Fraction

import numpy as np
import onnx
import onnxruntime
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from pymodel.common.errors import ConfigError
from pymodel.engine.packing import EngineShape
from pymodel.engine.reference import conv_layer
from pymodel.engine.shape_of import engine_shape
from pymodel.golden import model as golden
from pymodel.golden import ops
from pymodel.network import formats as formats
from pymodel.network.bundle import Bundle
from pymodel.network.formats import Format, accumulator_bits
from pymodel.network.topology import Network
from pymodel.network.zoo import digits
from tests.helpers.golden import EVERY_OP, conv_by_onnxruntime, random_bundle, random_images

# Third party: onnxruntime's ConvInteger


@pytest.mark.parametrize("batch", range(24))
def test_convolution_equals_onnxruntime(batch: int) -> None:
    """240 random layers."""
    rng = np.random.default_rng(batch)
    for index in range(10):
        kernel, groups = int(rng.choice([1, 3, 3, 5])), int(rng.choice([1, 1, 1, 2, 3]))
        stride, padding = int(rng.integers(1, 3)), int(rng.integers(0, 2)) if kernel > 1 else 0
        smallest = kernel - 2 * padding
        height, width = (int(rng.integers(smallest, smallest + 12)) for _ in range(2))
        cin, cout = groups * int(rng.integers(1, 20)), groups * int(rng.integers(1, 20))
        images = rng.integers(-128, 128, (int(rng.integers(1, 4)), cin, height, width)).astype(np.int8)
        weights = rng.integers(-128, 128, (cout, cin // groups, kernel, kernel)).astype(np.int8)
        if index == 0:  # the extremes
            images[:], weights[:] = -128, rng.choice([-128, 127])
        expected = conv_by_onnxruntime(images, weights, stride, padding, groups)
        result = ops.conv2d(images, weights, None, stride, padding, groups)
        assert result.dtype == np.int64
        assert np.array_equal(result, expected)


def test_wide_layer_equals_onnxruntime() -> None:
    """Sums beyond float32's integers."""
    rng = np.random.default_rng(7)
    images = rng.integers(100, 128, (1, 512, 5, 3)).astype(np.int8)
    weights = rng.integers(90, 128, (4, 512, 3, 3)).astype(np.int8)
    expected = conv_by_onnxruntime(images, weights, 1, 1, 1)
    assert expected.max() > 1 << 24
    assert np.array_equal(ops.conv2d(images, weights, None, 1, 1), expected)


# The exact range of floating point


@pytest.mark.parametrize(("limit", "within", "beyond"), [(24, np.float32, np.float64), (53, np.float64, np.int64)])
def test_type_changes_exactly_at_the_limit(limit: int, within: type, beyond: type) -> None:
    for excess, expected in ((0, within), (1, beyond)):
        # Sums of 1 + ... + 1 + a large one, whose partial sums are odd numbers up to 2**limit + excess.
        weights = np.ones((1, 16, 1, 1), np.int64)
        weights[0, 3] = 2**limit + excess - 15
        images = np.ones((2, 16, 1, 1), np.int64)
        images[1] = -1
        assert ops.exact_dtype(images, weights) is expected
        total = 2**limit + excess
        assert ops.conv2d(images, weights).ravel().tolist() == [total, -total]
        # The smallest odd change of the sum shows too.
        images[0, 0] = 0
        assert ops.conv2d(images, weights).ravel().tolist() == [total - 1, -total]


def test_the_bound_takes_the_extreme_of_int8() -> None:
    images, weights = np.full((1, 1024, 1, 1), -128, np.int8), np.full((2, 1024, 1, 1), -128, np.int8)
    assert ops.exact_dtype(images, weights) is np.float32  # 1024 * 2**14 = 2**24
    assert ops.conv2d(images, weights).ravel().tolist() == [2**24] * 2
    images, weights = np.full((1, 1025, 1, 1), -128, np.int8), np.full((1, 1025, 1, 1), -128, np.int8)
    assert ops.exact_dtype(images, weights) is np.float64
    assert ops.conv2d(images, weights).ravel().tolist() == [1025 * 2**14]


def test_sums_beyond_64_bits_are_refused() -> None:
    weights = np.full((1, 2, 1, 1), 2**61)
    assert ops.conv2d(np.ones((1, 2, 1, 1), int), weights).item() == 2**62
    with pytest.raises(ConfigError, match="64 bits"):
        ops.conv2d(np.full((1, 2, 1, 1), 2), weights)
    with pytest.raises(ConfigError, match="64 bits"):
        ops.conv2d(np.ones((1, 2, 1, 1), int), weights, np.array([2**62]))


def test_images_in_chunks_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(3)
    images, weights = rng.integers(-128, 128, (7, 5, 6, 4)), rng.integers(-128, 128, (3, 5, 3, 3))
    whole = ops.conv2d(images, weights, None, 1, 1)
    monkeypatch.setattr(ops, "COLUMN_BYTES", 1)
    assert np.array_equal(ops.conv2d(images, weights, None, 1, 1), whole)
    assert ops.conv2d(images[:0], weights, None, 1, 1).shape == (0, 3, 6, 4)


@pytest.mark.parametrize(
    ("images", "weights", "groups"),
    [
        ((1, 4, 5, 5), (2, 3, 3, 3), 1),
        ((1, 4, 5, 5), (3, 2, 3, 3), 2),
        ((1, 4, 2, 5), (2, 4, 3, 3), 1),
        ((1, 4, 5, 5), (2, 4, 3, 1), 1),
    ],
)
def test_convolutions_that_do_not_fit(images: tuple, weights: tuple, groups: int) -> None:
    with pytest.raises(ConfigError, match="convolution"):
        ops.conv2d(np.ones(images, int), np.ones(weights, int), groups=groups)


# Every operation, against loops over Python integers


def rounded(total: Fraction, out: Format, relu: bool, clip: float | None = None) -> int:
    """Exact value, in units of the output format, rounded half up and saturated; at `clip`, rounded likewise, too."""
    most = (
        out.max if clip is None else min(out.max, math.floor(Fraction(clip) * Fraction(2) ** out.frac + Fraction(1, 2)))
    )
    return min(max((total + Fraction(1, 2)).__floor__(), 0 if relu else out.min), most)


def evaluate_by_loops(bundle: Bundle, image: np.ndarray) -> dict[str, np.ndarray]:
    """The network's definition in real numbers (exact fractions), one element at a time."""
    scale = {name: Fraction(2) ** -form.frac for name, form in bundle.formats.items()}
    tensors: dict[str, np.ndarray] = {"input": image}

    def at(tensor: np.ndarray, c: int, y: int, x: int, outside: int | None) -> int | None:
        inside = 0 <= y < tensor.shape[1] and 0 <= x < tensor.shape[2]
        return int(tensor[c, y, x]) if inside else outside

    for layer in bundle.network.layers:
        x, unit, out = tensors[layer.sources[0]], scale[layer.sources[0]], bundle.formats[layer.name]
        y = np.zeros(bundle.network.shapes()[layer.name], np.int64)
        name = layer.name
        scales = [Fraction(int(own)) for own in bundle.scales.get(name, np.ones(y.shape[0], int))]
        for c, row, column in itertools.product(*map(range, y.shape)):
            if layer.op in ("conv", "maxpool", "avgpool"):
                top, left = [layer.padding] * 2 if isinstance(layer.padding, int) else layer.padding[:2]
                window = [
                    (layer.stride * row + i - top, layer.stride * column + j - left)
                    for i in range(layer.kernel)
                    for j in range(layer.kernel)
                ]
            match layer.op:
                case "conv":
                    w, per_group = bundle.weights[name], len(x) // layer.groups
                    first = c // (len(w) // layer.groups) * per_group
                    total = int(bundle.bias(name)[c])
                    for k in range(per_group):
                        for t, place in enumerate(window):
                            total += int(w[c, k].flat[t]) * at(x, first + k, *place, 0)
                    factor = unit * scales[c] * Fraction(2) ** -bundle.weight_formats[name].frac / scale[name]
                    y[c, row, column] = rounded(total * factor, out, layer.relu, layer.clip)
                case "linear":
                    total = sum(int(a) * int(b) for a, b in zip(bundle.weights[name][c], x.flat, strict=True))
                    factor = unit * scales[c] * Fraction(2) ** -bundle.weight_formats[name].frac / scale[name]
                    y[c] = rounded((total + int(bundle.bias(name)[c])) * factor, out, layer.relu, layer.clip)
                case "maxpool":
                    values = [at(x, c, *place, None) for place in window]
                    y[c, row, column] = max(value for value in values if value is not None)
                case "avgpool":
                    total = sum(at(x, c, *place, 0) for place in window)
                    y[c, row, column] = rounded(Fraction(total, layer.kernel**2), out, False)
                case "global_avgpool":
                    y[c] = rounded(Fraction(int(x[c].sum()), x[c].size), out, False)
                case "add":
                    total = sum(int(tensors[s][c, row, column]) * scale[s] for s in layer.sources)
                    y[c, row, column] = rounded(total / scale[name], out, layer.relu, layer.clip)
                case "relu":
                    y[c, row, column] = rounded(Fraction(int(x[c, row, column])), out, True, layer.clip)
                case "concat":
                    parts = [plane for source in layer.sources for plane in tensors[source]]
                    y[c, row, column] = parts[c][row, column]
                case "channel_shuffle":
                    per_group = len(x) // layer.groups
                    y[c, row, column] = x[c % layer.groups * per_group + c // layer.groups, row, column]
        tensors[name] = y
    return tensors


def quantised_conv_by_onnxruntime(
    images: np.ndarray, weights: np.ndarray, bias: np.ndarray, scales: np.ndarray, shift: int
) -> np.ndarray:
    """int8 QLinearConv, padding 1, of int8 tensors whose weights have one scale per output channel."""
    fixed = {
        "x_scale": np.float32(1),
        "zero": np.int8(0),
        "w": weights,
        "w_scale": scales.astype(np.float32),
        "w_zero": np.zeros(len(weights), np.int8),
        "y_scale": np.float32(2.0**shift),
        "b": bias,
    }
    node = onnx.helper.make_node(
        "QLinearConv", ["x", "x_scale", "zero", "w", "w_scale", "w_zero", "y_scale", "zero", "b"], ["y"], pads=[1] * 4
    )
    graph = onnx.helper.make_graph(
        [node],
        "conv",
        [onnx.helper.make_tensor_value_info("x", onnx.TensorProto.INT8, images.shape)],
        [onnx.helper.make_tensor_value_info("y", onnx.TensorProto.INT8, None)],
        [onnx.numpy_helper.from_array(np.asarray(array), name) for name, array in fixed.items()],
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 13)], ir_version=8)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return session.run(None, {"x": images})[0]


@pytest.mark.parametrize("seed", range(8))
def test_scales_equal_onnxruntimes_channel_scales(seed: int) -> None:
    """Its products and its rounding are of float32, exact below 2**24; it rounds halves to even, so none may occur."""
    rng = np.random.default_rng(seed)
    cin, cout = int(rng.integers(1, 4)), int(rng.integers(1, 9))
    images = rng.integers(-16, 16, (2, cin, 6, 5)).astype(np.int8)
    weights = rng.integers(-16, 16, (cout, cin, 3, 3)).astype(np.int8)
    bias, scales = rng.integers(-999, 1000, cout).astype(np.int32), 2 * rng.integers(0, 256, cout) + 1
    products = ops.conv2d(images, weights, bias, 1, 1) * scales[:, None, None]
    shift = int(np.abs(products).max()).bit_length() - int(rng.integers(7, 10))
    assert np.abs(products).max() < 1 << 24
    tie = (products - (1 << (shift - 1))) % (1 << shift) == 0
    shape = EngineShape(
        cin=cin,
        cout=cout,
        kernel=3,
        padding=1,
        height=6,
        width=5,
        support="dense",
        shift=shift,
        acc_bits=accumulator_bits(weights, bias, 8),
        scale_bits=9,
    )
    result = conv_layer(images, weights, bias, shape, scales)
    expected = quantised_conv_by_onnxruntime(images, weights, bias, scales, shift)
    assert np.array_equal(result[~tie], expected[~tie]) and tie.mean() < 0.05
    assert (np.abs(result[tie].astype(int) - expected[tie]) <= 1).all() and len(np.unique(result)) > 20


@pytest.mark.parametrize("seed", range(6))
def test_every_operation_equals_loops(seed: int) -> None:
    network = Network(**yaml.safe_load(EVERY_OP))
    bundle = random_bundle(network, seed)
    images = random_images(bundle, 2, seed)
    outputs = golden.run(bundle, images)
    assert list(outputs) == ["input", *(layer.name for layer in network.layers)]
    for index, image in enumerate(images):
        expected = evaluate_by_loops(bundle, image)
        for name, tensor in expected.items():
            assert outputs[name].dtype == np.int8
            assert np.array_equal(outputs[name][index], tensor), name
    # The comparison means something only where the numbers move.
    assert all(len(np.unique(outputs[name])) > 1 for name in ("a", "b", "c", "j", "m", "o", "p"))


@settings(deadline=None, max_examples=25)
@given(st.integers(2, 8), st.integers(0, 2**32))
def test_outputs_stay_in_their_formats(bits: int, seed: int) -> None:
    bundle = random_bundle(digits("PSD1_P16").folded(), seed, bits)
    for name, tensor in golden.run(bundle, random_images(bundle, 3, seed)).items():
        assert bundle.formats[name].contains(tensor)


def test_one_layer_equals_the_network() -> None:
    bundle = random_bundle(digits("PSD4_P8").folded(), 5)
    outputs = golden.run(bundle, random_images(bundle, 4, 5))
    for layer in bundle.network.weighted_layers():
        shape = engine_shape(bundle, layer.name)
        weights, source = bundle.weights[layer.name], outputs[layer.input]
        y = conv_layer(
            source,
            weights.reshape(shape.cout, shape.cin, shape.kernel, shape.kernel),
            bundle.bias(layer.name),
            shape,
            bundle.scales.get(layer.name),
        )
        assert np.array_equal(y, outputs[layer.name])


def test_a_layer_whose_accumulator_is_too_small() -> None:
    shape = EngineShape(cin=4, cout=2, kernel=3, padding=1, height=4, width=4, support="dense", acc_bits=20)
    images, bias = np.full((1, 4, 4, 4), -128), np.zeros(2, int)
    fits = np.full((2, 4, 3, 3), 113)  # 36 * 113 * 128 < 2**19
    assert conv_layer(images, fits, bias, shape).min() == -128
    with pytest.raises(ConfigError, match="accumulator_bits: must be at least 21 .*, got 20"):
        conv_layer(images, fits + 1, bias, shape)


def test_predictions_and_accuracy(monkeypatch: pytest.MonkeyPatch) -> None:
    bundle = random_bundle(digits().folded(), 1)
    images = random_images(bundle, 9, 2)
    scores = golden.run(bundle, images)["fc"].reshape(9, 10)
    classes = [int(np.flatnonzero(row == row.max())[0]) for row in scores]
    assert golden.predict(bundle, images).tolist() == classes
    monkeypatch.setattr(golden, "BATCH", 4)
    assert golden.predict(bundle, images).tolist() == classes
    labels = np.array(classes)
    labels[:3] += 1
    assert golden.accuracy(bundle, images, labels) == 6 / 9
    with pytest.raises(ConfigError, match="labels"):
        golden.accuracy(bundle, images, labels[:-1])
    assert golden.predict(bundle, images[:0]).shape == (0,)


def test_wrong_images_are_refused() -> None:
    bundle = random_bundle(digits().folded(), 1, bits=5)
    with pytest.raises(ConfigError, match="shape"):
        golden.run(bundle, np.zeros((1, 1, 8, 9), int))
    with pytest.raises(ConfigError, match="16 at"):
        golden.run(bundle, np.full((1, 1, 8, 8), 16))
    with pytest.raises(ConfigError, match="integers"):
        golden.run(bundle, np.zeros((1, 1, 8, 8)))


def test_real_images_are_quantised() -> None:
    bundle = random_bundle(digits().folded(), 1)
    bundle = dataclasses.replace(bundle, formats=bundle.formats | {"input": Format(8, 4)})
    images = golden.quantise_input(bundle, np.array([[[[0.0, 0.5, 100.0, -100.0]]]]))
    assert images.tolist() == [[[[0, 8, 127, -128]]]]


@pytest.mark.parametrize("count", [1, 2, 3, 5, 6, 9, 20, 36, 49, 64, 255])
def test_means_are_the_nearest_integers(count: int) -> None:
    sums = np.arange(-128 * count, 127 * count + 1)
    images = np.zeros((len(sums), 1, 1, count), np.int64)
    images[:] = (sums // count)[:, None, None, None]
    images[:, 0, 0] += np.arange(count) < (sums % count)[:, None]  # of 8 bits, with each possible sum
    means = ops.global_avgpool(images)[:, 0, 0, 0]
    assert means.tolist() == [(2 * int(total) + count) // (2 * count) for total in sums]


def test_classes_are_of_one_output() -> None:
    bundle = random_bundle(digits().folded(), 1)
    several = dataclasses.replace(bundle, network=Network(**bundle.network.spec() | {"output": ["fc", "pool"]}))
    images = random_images(bundle, 2, 0)
    ours, theirs = golden.run(several, images), golden.run(bundle, images)
    assert all(np.array_equal(ours[name], y) for name, y in theirs.items())
    with pytest.raises(ConfigError, match="output: must be one layer for classes, got fc, pool"):
        golden.predict(several, images)
    with pytest.raises(ConfigError, match="output: must be one layer for classes, got fc, pool"):
        golden.accuracy(several, images, np.zeros(2, int))
