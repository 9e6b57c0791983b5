"""Bundles as ONNX files: the golden model's integers, in onnxruntime and in QONNX's executor."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

onnx = pytest.importorskip("onnx", reason="writes ONNX files")
import onnxruntime  # noqa: E402
import onnxruntime as ort  # noqa: E402

from pymodel.common.errors import ConfigError  # noqa: E402
from pymodel.frontend import onnx_file, onnx_run  # noqa: E402
from pymodel.frontend.from_onnx import graph_of  # noqa: E402
from pymodel.frontend.lower import lower  # noqa: E402
from pymodel.frontend.pruned import with_supports  # noqa: E402
from pymodel.frontend.quantised import to_bundle  # noqa: E402
from pymodel.frontend.to_onnx import to_onnx, write_onnx  # noqa: E402
from pymodel.golden import model as golden  # noqa: E402
from pymodel.network.bundle import Bundle  # noqa: E402
from pymodel.network.formats import Format  # noqa: E402
from pymodel.network.topology import Network  # noqa: E402
from tests.helpers.golden import EVERY_OP, random_bundle, random_images  # noqa: E402

LEVELS = {
    "as it is": ort.GraphOptimizationLevel.ORT_DISABLE_ALL,
    "optimised": ort.GraphOptimizationLevel.ORT_ENABLE_ALL,
}
CHAIN = """
name: chain
input: {channels: 3, height: 8, width: 8}
layers:
- {op: conv, name: a, input: input, out_channels: 8, kernel: 3, padding: 1, relu: true}
- {op: conv, name: b, input: a, out_channels: 8, kernel: 3, padding: 1, support: PSD1_P4}
- {op: avgpool, name: c, input: b, kernel: 2, stride: 1}
- {op: maxpool, name: d, input: c, kernel: 3}
- {op: conv, name: e, input: d, out_channels: 8, kernel: 1, groups: 4, bias: false}
- {op: channel_shuffle, name: f, input: e, groups: 4}
- {op: conv, name: i, input: f, out_channels: 4, kernel: 1}
- {op: global_avgpool, name: j, input: i}
- {op: linear, name: g, input: j, out_features: 16, relu: true}
- {op: linear, name: h, input: g, out_features: 5}
output: h
"""


def every_layer(layers: str) -> list[str]:
    """The names of layers, each of which is made the output in turn."""
    return [layer["name"] for layer in yaml.safe_load(layers)["layers"]]


def bundle_of(name: str, seed: int) -> Bundle:
    return random_bundle(Network(**(yaml.safe_load(EVERY_OP) | {"output": name})), seed)


def by_onnxruntime(model: onnx.ModelProto, real: np.ndarray, level: str) -> np.ndarray:
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = LEVELS[level]
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])
    return session.run(None, {"input": real.astype(np.float32)})[0]


def integers(bundle: Bundle, real: np.ndarray, name: str) -> np.ndarray:
    """The integers of a tensor of real numbers, which they must be."""
    scaled = np.ldexp(real.astype(np.float64), bundle.formats[name].frac)
    assert (scaled == np.rint(scaled)).all()
    return scaled.astype(np.int64)


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("name", every_layer(EVERY_OP))
def test_onnxruntime_gives_the_golden_models_integers(name: str, level: str) -> None:
    """Every layer, with and without scales, formats of 2 to 8 bits."""
    for seed in range(4):
        bundle = bundle_of(name, seed)
        images = random_images(bundle, 8, seed)
        expected = golden.run(bundle, images)[name]
        real = by_onnxruntime(to_onnx(bundle), bundle.formats["input"].real(images), level)
        np.testing.assert_array_equal(integers(bundle, real, name).reshape(expected.shape), expected)


def test_formats_of_the_export_mean_something() -> None:
    """Were nothing rounded halfway or limited, the test above would prove little."""
    halves = limited = 0
    for seed in range(4):
        bundle = bundle_of("b", seed)
        outputs = golden.run(bundle, random_images(bundle, 8, seed))
        form = bundle.formats["a"]
        limited += int((outputs["a"] == form.max).sum())
        halves += bundle.shift("a") > 0
    assert halves >= 3 and limited > 100


def wide(bias: int, weights: int, scale: int | None) -> Bundle:
    """A convolution whose sums need more than the 24 bits of float32."""
    network = Network(
        name="wide",
        input={"channels": 64, "height": 5, "width": 5},
        layers=[
            {"op": "conv", "name": "a", "input": "input", "out_channels": 4, "kernel": 3, "padding": 1},
            {"op": "linear", "name": "b", "input": "a", "out_features": 3, "bias": False},
        ],
        output="b",
    )
    rng = np.random.default_rng(0)
    return Bundle(
        network=network,
        formats={"input": Format(8, 4), "a": Format(8, 2), "b": Format(8, 0)},
        weight_formats={"a": Format(8, 14), "b": Format(8, 7)},
        weights={
            "a": rng.integers(-weights, weights + 1, (4, 64, 3, 3)).astype(np.int8),
            "b": rng.integers(-127, 128, (3, 100)).astype(np.int8),
        },
        biases={"a": np.array([bias, -bias, bias // 3, 1], np.int32)},
        scales={} if scale is None else {"a": np.full(4, scale, np.uint16)},
    )


@pytest.mark.parametrize("qonnx", [False, True])
@pytest.mark.parametrize(
    ("bias", "weights", "scale", "op"),
    [
        (1 << 22, 40, None, "Conv"),  # 24 bits and a half
        (1 << 22, 40, 40000, "Conv"),
        (1 << 24, 127, None, "ConvInteger"),
        (1 << 24, 127, 65535, "ConvInteger"),
    ],
)
def test_sums_that_float32_does_not_hold(bias: int, weights: int, scale: int | None, op: str, qonnx: bool) -> None:
    bundle = wide(bias, weights, scale)
    images = random_images(bundle, 16, 1)
    expected = golden.run(bundle, images)["b"]
    model = to_onnx(bundle, qonnx)
    assert op in [node.op_type for node in model.graph.node]
    (real,) = onnx_run.runner(model)(bundle.formats["input"].real(images))
    np.testing.assert_array_equal(integers(bundle, real, "b"), expected[:, :, 0, 0])


def test_real_images_are_rounded_as_the_golden_model_rounds_them() -> None:
    """Halves of the input's format too."""
    bundle = bundle_of("a", 0)
    frac = bundle.formats["input"].frac
    images = np.random.default_rng(0).integers(-300, 300, (8, 3, 8, 12)) / 2 * 2.0**-frac
    expected = golden.run(bundle, golden.quantise_input(bundle, images))["a"]
    real = by_onnxruntime(to_onnx(bundle), images, "as it is")
    np.testing.assert_array_equal(integers(bundle, real, "a"), expected)


@pytest.mark.parametrize("qonnx", [False, True])
@pytest.mark.parametrize("name", every_layer(EVERY_OP))
def test_quant_nodes_written_out_give_them_too(name: str, qonnx: bool) -> None:
    """QONNX without its own executor, which the next test has where it is installed."""
    bundle = bundle_of(name, 5)
    images = random_images(bundle, 3, 0)
    expected = golden.run(bundle, images)[name]
    (real,) = onnx_run.runner(to_onnx(bundle, qonnx))(bundle.formats["input"].real(images))
    np.testing.assert_array_equal(integers(bundle, real, name).reshape(expected.shape), expected)


@pytest.mark.parametrize("name", ["l", "n", "p"])
def test_qonnxs_executor_gives_the_golden_models_integers(name: str) -> None:
    pytest.importorskip("qonnx", reason="QONNX's executor")
    from qonnx.core.modelwrapper import ModelWrapper
    from qonnx.core.onnx_exec import execute_onnx
    from qonnx.transformation.infer_shapes import InferShapes

    for seed in range(3):
        bundle = bundle_of(name, seed)
        images = random_images(bundle, 3, seed)
        expected = golden.run(bundle, images)[name]
        wrapped = ModelWrapper(to_onnx(bundle, qonnx=True)).transform(InferShapes())
        for image, own in zip(bundle.formats["input"].real(images), expected, strict=True):
            real = execute_onnx(wrapped, {"input": image[None].astype(np.float32)})[name]
            np.testing.assert_array_equal(integers(bundle, real, name).reshape(own.shape), own)


@pytest.mark.parametrize("qonnx", [False, True])
@pytest.mark.parametrize("seed", range(6))
def test_what_is_exported_is_imported_to_the_same_integers(seed: int, qonnx: bool) -> None:
    """Scales, formats, rounding, supports and names."""
    bundle = random_bundle(Network(**yaml.safe_load(CHAIN)), seed)
    model = to_onnx(bundle, qonnx)
    graph, _ = with_supports(graph_of(onnx_file.simplified(model, Path("chain.onnx")), "chain"), masks=False)
    found = to_bundle(lower(graph), {})
    assert found.rounding == "half_up" and found.rounded == {}
    again = found.bundle
    assert [layer.name for layer in again.network.layers] == ["a", "b", "c", "d", "e", "e_shuffle", "i", "j", "g", "h"]
    assert again.network.layer("b").support == "PSD1_P4"
    images = random_images(bundle, 16, seed)
    ours, expected = golden.run(again, images), golden.run(bundle, images)
    for name in ("a", "b", "c", "e", "i", "j", "g", "h"):
        np.testing.assert_array_equal(ours[name], expected[name])
        assert again.formats[name] == bundle.formats[name]


@pytest.mark.parametrize("name", every_layer(EVERY_OP))
def test_every_layer_comes_back(name: str) -> None:
    """As other layers perhaps, a shuffle as columns, to the same integers."""
    for seed in range(3):
        bundle = bundle_of(name, seed)
        images = random_images(bundle, 8, seed)
        expected = golden.run(bundle, images)[name]
        for qonnx in (False, True):
            file = onnx_file.simplified(to_onnx(bundle, qonnx), Path("every.onnx"))
            found = to_bundle(lower(graph_of(file, "every")), {})
            ours = golden.run(found.bundle, images)[str(found.bundle.network.output)]
            np.testing.assert_array_equal(ours.reshape(expected.shape), expected)
            assert found.rounded == {}


def test_sums_beyond_32_bits_are_refused() -> None:
    bundle = wide(2**31 - 1, 127, None)
    with pytest.raises(ConfigError, match=r"layer a: sums must have at most 32 bits, which ConvInteger has, got 33"):
        to_onnx(bundle)


def test_the_file_is_an_onnx_file(tmp_path: Path) -> None:
    bundle = bundle_of("l", 0)
    write_onnx(bundle, tmp_path / "sub" / "model.onnx")
    model: Any = onnx.load(tmp_path / "sub" / "model.onnx")
    onnx.checker.check_model(model, full_check=True)
    assert model.graph.input[0].name == "input" and model.graph.output[0].name == "l"
    with pytest.raises(ConfigError, match=r"the name must end in \.onnx, got model\.txt"):
        write_onnx(bundle, Path("model.txt"))


@pytest.mark.parametrize("qonnx", [False, True])
@pytest.mark.parametrize("name", every_layer(EVERY_OP))
def test_halves_to_even_are_exact_too(name: str, qonnx: bool) -> None:
    """ONNX's own rounding, and means; what comes back rounds so as well."""
    for seed in range(3):
        bundle = replace(bundle_of(name, seed), rounding="half_even")
        images = random_images(bundle, 8, seed)
        expected = golden.run(bundle, images)[name]
        model = to_onnx(bundle, qonnx)
        (real,) = onnx_run.runner(model)(bundle.formats["input"].real(images))
        np.testing.assert_array_equal(integers(bundle, real, name).reshape(expected.shape), expected)
        again = to_bundle(lower(graph_of(onnx_file.simplified(model, Path("even.onnx")), "even")), {}).bundle
        ours = golden.run(again, images)[str(again.network.output)]
        np.testing.assert_array_equal(ours.reshape(expected.shape), expected)
