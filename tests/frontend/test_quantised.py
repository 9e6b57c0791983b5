"""Networks that brevitas and onnxruntime quantised: the bundle against what runs the file."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="reads ONNX files")
import onnxruntime  # noqa: E402
from onnx import helper, numpy_helper  # noqa: E402

from pymodel.common.errors import ConfigError  # noqa: E402
from pymodel.frontend import onnx_file, onnx_run  # noqa: E402
from pymodel.frontend.from_onnx import graph_of  # noqa: E402
from pymodel.frontend.lower import FloatNetwork, lower  # noqa: E402
from pymodel.frontend.quantised import Imported, integers_of, to_bundle  # noqa: E402
from pymodel.golden import model as golden  # noqa: E402
from pymodel.network.formats import Format  # noqa: E402
from tests.helpers.onnx_models import halves_up  # noqa: E402

FILES = Path(__file__).parent / "files"
MODES = {
    "as it is": onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL,
    "fused": onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL,
}


@dataclass(frozen=True)
class Read:
    """A model, and what became of it."""

    model: onnx.ModelProto
    lowered: FloatNetwork
    imported: Imported

    def deviations(self, images: np.ndarray) -> list[onnx_run.Deviation]:
        entering = self.lowered.quantisers["input"]
        run = onnx_run.runner(self.model)
        return onnx_run.deviations(run, self.imported, self.lowered.quantisers, images, entering)


def read(model: onnx.ModelProto, reach: float = 30.0) -> Read:
    found = lower(graph_of(onnx_file.simplified(model, Path("model.onnx")), "model"))
    return Read(model, found, to_bundle(found, dict.fromkeys([found.network.output], reach)))


def of_file(name: str) -> onnx.ModelProto:
    return onnx_file.read_model(FILES / f"{name}.onnx")


def sample(found: Read, count: int) -> np.ndarray:
    return onnx_run.sample(found.lowered.quantisers["input"], found.lowered.network.input.shape, count)


# QONNX, by brevitas


def test_powers_of_two_and_integer_biases_are_exact() -> None:
    """Weights, biases and activations of 4 bits; the additions' quantisers are layers of their own, or nothing."""
    found = read(halves_up(of_file("w4_integer_bias")))
    assert found.imported.rounded == {} and found.imported.rounding == "half_up"
    (deviation,) = found.deviations(sample(found, 200))
    assert (deviation.values, deviation.different) == (2000, 0)


def test_a_quantiser_for_each_reader_is_one() -> None:
    """Some programs write one before each convolution and addition."""
    model = halves_up(of_file("w4_integer_bias"))
    quant = next(node for node in model.graph.node if node.op_type == "Quant" and node.output[0] == "_symbolic_3")
    readers = [(node, at) for node in model.graph.node for at, name in enumerate(node.input) if name == quant.output[0]]
    assert len(readers) == 2
    for number, (reader, at) in enumerate(readers[1:]):
        copy = helper.make_node("Quant", quant.input, [f"copy_{number}"], domain=quant.domain, name=f"copy_{number}")
        copy.attribute.extend(quant.attribute)
        model.graph.node.insert(list(model.graph.node).index(quant) + 1, copy)
        reader.input[at] = copy.output[0]
    found = read(model)
    (deviation,) = found.deviations(sample(found, 20))
    assert deviation.different == 0
    assert len(found.imported.bundle.network.layers) == len(
        read(of_file("w4_integer_bias")).imported.bundle.network.layers
    )


@pytest.mark.parametrize("name", ["w4_powers", "w4_integer_bias", "w6_real"])
def test_files_are_run_as_qonnxs_executor_runs_them(name: str) -> None:
    """What deviations are measured against is what QONNX itself computes."""
    pytest.importorskip("qonnx", reason="QONNX's executor")
    from qonnx.core.modelwrapper import ModelWrapper
    from qonnx.core.onnx_exec import execute_onnx
    from qonnx.transformation.infer_shapes import InferShapes

    model = of_file(name)
    images = np.random.default_rng(0).uniform(-1, 1, (5, 1, 8, 8))
    (ours,) = onnx_run.runner(model)(images)
    wrapped = ModelWrapper(model).transform(InferShapes())
    for image, own in zip(images, ours, strict=True):
        (expected,) = execute_onnx(wrapped, {"x": image[None].astype(np.float32)}).values()
        np.testing.assert_allclose(own, expected[0], rtol=1e-6, atol=1e-6)


def test_formats_are_the_quantisers() -> None:
    """4 unsigned bits behind a ReLU are 5 signed ones of which no half is used."""
    found = read(of_file("w4_integer_bias"))
    bundle, scales = found.imported.bundle, found.imported.scales
    assert bundle.formats["c1"] == Format(5, round(-np.log2(scales["c1"]))) and bundle.network.layer("c1").relu
    assert bundle.formats["c2"].bits == 4 and not bundle.network.layer("c2").relu
    assert all(np.abs(weights).max() <= 7 for name, weights in bundle.weights.items() if name in ("c1", "c2", "c3"))
    assert not bundle.scales.keys() & {"c1", "c2", "c3", "fc"}  # their shifts say all
    assert bundle.network.layer("r2").groups == 8  # of the sum's 8 bits to 4: a layer of its own


def test_a_bundle_rounds_as_its_file_does() -> None:
    """brevitas' network as it is, halves to even, on all that its input holds: every integer of its output."""
    found = read(of_file("w4_integer_bias"))
    assert found.imported.rounded == {} and found.imported.rounding == "half_even"
    (deviation,) = found.deviations(sample(found, 200))
    assert (deviation.values, deviation.different) == (2000, 0)


def test_batch_norm_goes_into_scales_and_biases() -> None:
    """As exactly as 16 bits of a scale, and a bias that is a whole number of products, can."""
    found = read(of_file("w4_powers"))
    bundle = found.imported.bundle
    assert {"c1", "c2", "c3"} <= bundle.scales.keys()
    constants = {tensor.name: numpy_helper.to_array(tensor).astype(float) for tensor in found.model.graph.initializer}
    gain = constants["b2.weight"] / np.sqrt(constants["b2.running_var"] + 1e-5)
    shift = constants["b2.bias"] - constants["b2.running_mean"] * gain
    scales = found.imported.scales
    steps = 2.0 ** -bundle.shift("c2") * bundle.scales["c2"] * scales["c2"]  # real value of a sum's 1 times its scale
    ratio = steps / (np.abs(gain) * scales["c1"])
    assert np.ptp(ratio) / ratio.mean() < 1e-4  # all channels' weights have one scale in the file
    assert np.abs(bundle.biases["c2"] * steps - shift).max() <= steps.max() / 2 * 1.001
    told = " ".join(found.imported.rounded["c2"])
    assert "biases are rounded to sums of products" in told and "scales have 16 bits" in told


def test_finer_biases_take_wider_weights() -> None:
    """Each bit more halves what a bias is off, at the least; the weights are the same numbers."""
    model = of_file("w4_powers")
    lowered = lower(graph_of(onnx_file.simplified(model, Path("model.onnx")), "model"))
    plain, wider = (to_bundle(lowered, {"fc": 30.0}, finer) for finer in (0, 3))
    gain, shift = lowered.steps["c2"], lowered.biases["c2"]
    scale = lowered.quantisers["c1"].scale
    for found, most in ((plain, 0.5), (wider, 0.5 / 8)):
        bundle = found.bundle
        assert bundle.weight_formats["c2"].bits == (4 if found is plain else 7)
        size = np.abs(gain) * scale / (1 if found is plain else 8)  # of a sum's 1
        assert np.abs(bundle.biases["c2"] * size - shift).max() <= most * (np.abs(gain) * scale).max()
    assert (wider.bundle.weights["c2"] == 8 * plain.bundle.weights["c2"].astype(int)).all()
    assert to_bundle(lowered, {"fc": 30.0}, 6).bundle.weight_formats["c2"].bits == 8
    exact = lower(graph_of(onnx_file.simplified(of_file("w4_integer_bias"), Path("model.onnx")), "model"))
    assert to_bundle(exact, {}, 3).bundle.weight_formats["c2"].bits == 4  # nothing to be gained


def test_scales_that_are_no_powers_of_two() -> None:
    """Weights with one for each channel, 6 bits: fractions of 2**-16 alone, and an addition's inputs, are not exact."""
    found = read(of_file("w6_real"))
    assert found.imported.rounded["add_add"] == [
        "inputs are rounded to scales that are powers of two from its own: it only shifts (power-of-two scales, or one "
        "scale for both inputs and the sum, are exact)"
    ]
    assert found.imported.bundle.notes == {}  # those of input and output are powers of two
    rng = np.random.default_rng(0)
    (deviation,) = found.deviations(rng.uniform(0, 1, (64, 1, 8, 8)))
    assert deviation.largest <= 4


# QDQ, by onnxruntime


class Images:
    """Calibration data as onnxruntime reads it."""

    def __init__(self, name: str, images: np.ndarray) -> None:
        self.pieces = iter([{name: piece.astype(np.float32)} for piece in np.array_split(images, 4)])

    def get_next(self) -> dict[str, np.ndarray] | None:
        return next(self.pieces, None)


def float_model(add: bool) -> onnx.ModelProto:
    """Two convolutions, a pool, a fully connected layer, 8x8 digits; with `add` a skip connection."""
    rng = np.random.default_rng(5)
    constants = {
        "w1": rng.normal(size=(8, 1, 3, 3)) / 3,
        "b1": rng.normal(size=8) / 4,
        "w2": rng.normal(size=(8, 8, 3, 3)) / 8,
        "b2": rng.normal(size=8) / 4,
        "w3": rng.normal(size=(10, 128)) / 11,
        "b3": rng.normal(size=10) / 4,
    }
    last = "s" if add else "r2"
    nodes = [
        helper.make_node("Conv", ["x", "w1", "b1"], ["c1"], name="c1", pads=[1] * 4),
        helper.make_node("Relu", ["c1"], ["r1"], name="r1"),
        helper.make_node("Conv", ["r1", "w2", "b2"], ["c2"], name="c2", pads=[1] * 4),
        helper.make_node("Relu", ["c2"], ["r2"], name="r2"),
        *([helper.make_node("Add", ["r1", "r2"], ["s"], name="s")] if add else []),
        helper.make_node("MaxPool", [last], ["p"], name="p", kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("Flatten", ["p"], ["f"], name="f"),
        helper.make_node("Gemm", ["f", "w3", "b3"], ["y"], name="fc", transB=1),
    ]
    graph = helper.make_graph(
        nodes,
        "digits",
        [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, ["n", 1, 8, 8])],
        [helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, ["n", 10])],
        [numpy_helper.from_array(array.astype(np.float32), name) for name, array in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def quantised(model: onnx.ModelProto, folder: Path, **more: Any) -> onnx.ModelProto:
    """By onnxruntime's static quantisation to QDQ."""
    from onnxruntime import quantization as ort

    rng = np.random.default_rng(0)
    onnx.save(model, folder / "float.onnx")
    settings: dict[str, Any] = {
        "quant_format": ort.QuantFormat.QDQ,
        "activation_type": ort.QuantType.QInt8,
        "weight_type": ort.QuantType.QInt8,
        "extra_options": {"ActivationSymmetric": True},
    }
    with warnings.catch_warnings(), silent():
        warnings.simplefilter("ignore")
        images = Images("x", rng.normal(size=(64, 1, 8, 8)))
        ort.quantize_static(str(folder / "float.onnx"), str(folder / "qdq.onnx"), images, **(settings | more))
    return onnx_file.read_model(folder / "qdq.onnx")


class silent:  # noqa: N801
    """onnxruntime recommends steps that a test does not need."""

    def __enter__(self) -> None:
        logging.disable(logging.WARNING)

    def __exit__(self, *error: object) -> None:
        logging.disable(logging.NOTSET)


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    with silent():
        yield


@pytest.mark.parametrize("per_channel", [False, True])
def test_qdq_differs_by_last_places(per_channel: bool, tmp_path: Path) -> None:
    found = read(quantised(float_model(add=False), tmp_path, per_channel=per_channel))
    (deviation,) = found.deviations(np.random.default_rng(1).normal(size=(100, 1, 8, 8)))
    assert deviation.values == 1000
    assert deviation.largest <= 1 and deviation.different <= 30  # scales of 16 bits; 2 and 3 were found
    assert found.imported.bundle.notes.keys() == {"scale_input", "scale_fc"}
    assert found.imported.bundle.scales["c1"].size == 8
    assert (len(set(found.imported.bundle.scales["c1"])) > 1) == per_channel


@pytest.mark.parametrize("mode", MODES)
def test_qdq_against_onnxruntimes_own_integers(mode: str, tmp_path: Path) -> None:
    """Fused, onnxruntime computes with integers, as the bundle does."""
    found = read(quantised(float_model(add=False), tmp_path))
    images = np.random.default_rng(1).normal(size=(100, 1, 8, 8))
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = MODES[mode]
    # Without VNNI the sum of two products saturates at 16 bits, unless it is told to be precise.
    options.add_session_config_entry("session.x64quantprecision", "1")
    session = onnxruntime.InferenceSession(found.model.SerializeToString(), options, ["CPUExecutionProvider"])
    (real,) = session.run(None, {"x": images.astype(np.float32)})
    expected = np.rint(real / found.imported.scales["fc"])
    ours = golden.run(found.imported.bundle, integers_of(images, found.lowered.quantisers["input"]))["fc"][:, :, 0, 0]
    off = np.abs(ours - expected)
    assert off.max() <= 1 and (off > 0).mean() < 0.03


def test_an_addition_of_other_scales_is_near(tmp_path: Path) -> None:
    """The producer that nothing else reads rounds to the sum's scale itself, the other by a layer of its own."""
    found = read(quantised(float_model(add=True), tmp_path))
    names = [layer.name for layer in found.imported.bundle.network.layers]
    assert "s" in found.imported.rounded
    assert names.index("s") > names.index("c2") and len(names) <= 8
    (deviation,) = found.deviations(np.random.default_rng(1).normal(size=(100, 1, 8, 8)))
    assert deviation.largest <= 4


def test_fewer_layers_where_convolutions_are_not_rounded_before_their_relu(tmp_path: Path) -> None:
    """onnxruntime rounds a convolution and its ReLU, each to its own scale, unless told otherwise."""
    model = float_model(add=False)
    options = {"ActivationSymmetric": True, "OpTypesToExcludeOutputQuantization": ["Conv"]}
    few = read(quantised(model, tmp_path, extra_options=options)).imported.bundle.network.layers
    assert [layer.name for layer in few] == ["c1", "c2", "p", "fc"]


# Refused


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"activation_type": "QUInt8"}, "got uint8: quantise with activation_type=QuantType.QInt8"),
        ({"extra_options": {}}, "zero points must be 0, got"),
        (
            {"extra_options": {"ActivationSymmetric": True, "WeightSymmetric": False}},
            "zero points of weights must be 0",
        ),
        ({"quant_format": "QOperator"}, "operators of integers (QOperator) are not read"),
    ],
)
def test_quantisations_that_cannot_be_built(settings: dict[str, Any], message: str, tmp_path: Path) -> None:
    from onnxruntime import quantization as ort

    kinds = {"activation_type": ort.QuantType, "weight_type": ort.QuantType, "quant_format": ort.QuantFormat}
    given = {key: kinds[key][value] if key in kinds else value for key, value in settings.items()}
    with pytest.raises(ConfigError) as refused:
        read(quantised(float_model(add=False), tmp_path, **given))
    assert message in str(refused.value)


def changed(name: str, **attributes: Any) -> onnx.ModelProto:
    """A file whose quantisers of activations behind a ReLU have other attributes, or other inputs."""
    model = of_file(name)
    for node in model.graph.node:
        if node.op_type == "Quant" and node.input[0].startswith("relu"):
            for key, value in attributes.items():
                place = {"scale": 1, "zero": 2, "bits": 3}.get(key)
                if place is None:
                    next(one for one in node.attribute if one.name == key).CopyFrom(helper.make_attribute(key, value))
                else:
                    model.graph.initializer.append(numpy_helper.from_array(np.float32(value), f"{node.output[0]}{key}"))
                    node.input[place] = f"{node.output[0]}{key}"
    return model


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ({"bits": 8}, "got 8 unsigned bits: use 7 unsigned bits (brevitas: bit_width=7), or 8 signed ones"),
        ({"zero": 3}, "zero points must be 0: use a symmetric quantiser"),
        ({"narrow": 1}, "the greatest integer of unsigned activations must be used"),
        ({"rounding_mode": "CEIL"}, "rounding_mode must be ROUND, got CEIL"),
        ({"scale": 0}, "its scale must be more than 0"),
        ({"scale": [0.5, 0.25] * 4}, "activations need one scale, got 8"),
    ],
)
def test_quantisers_that_cannot_be_built(attributes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as refused:
        read(changed("w4_powers", **attributes))
    assert message in str(refused.value)


def test_eight_signed_bits_behind_a_relu_lose_nothing() -> None:
    """As onnxruntime has it: -128 to -1 are never used."""
    found = read(changed("w4_powers", bits=8, signed=1, scale=0.0625))
    assert found.imported.bundle.formats["c1"] == Format(8, 4) and found.imported.bundle.network.layer("c1").relu


def test_narrow_activations_only_behind_a_relu() -> None:
    found = read(changed("w4_powers", bits=8, signed=1, narrow=1, scale=0.0625))
    assert found.imported.bundle.formats["c1"] == Format(8, 4)
    model = of_file("w4_powers")
    quant = next(node for node in model.graph.node if node.op_type == "Quant" and node.input[0].startswith("getitem"))
    next(one for one in quant.attribute if one.name == "narrow").i = 1
    with pytest.raises(ConfigError, match=r"the least integer of 4 bits must be used: leave narrow_range out"):
        read(model)


def test_what_is_not_quantised_is_named() -> None:
    """Without the pool's source quantised, the pool's reader reads real numbers."""
    model = of_file("w4_powers")
    quant = next(node for node in model.graph.node if node.op_type == "Quant" and node.input[0] == "relu")
    for node in model.graph.node:
        for at, name in enumerate(node.input):
            if name == quant.output[0]:
                node.input[at] = "relu"
    with pytest.raises(ConfigError) as refused:
        read(model)
    assert "quantise it once" in str(refused.value) or "put a quantiser between" in str(refused.value)


def test_weights_that_are_not_quantised() -> None:
    model = of_file("w4_powers")
    conv = next(node for node in model.graph.node if node.op_type == "Conv")
    quant = next(node for node in model.graph.node if node.output[0] == conv.input[1])
    conv.input[1] = quant.input[0]
    with pytest.raises(ConfigError, match=r"\(Conv\): weights: must be quantised, got real ones"):
        read(model)
