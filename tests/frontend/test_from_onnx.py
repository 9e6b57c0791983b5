"""From float ONNX files to topologies: the function that onnxruntime computes, in the layers that it should take."""

from __future__ import annotations

import builtins
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="reads ONNX files")
torch = pytest.importorskip("torch", reason="evaluates topologies of real numbers")
import onnxruntime  # noqa: E402
from onnx import helper, numpy_helper  # noqa: E402

from pymodel.common.errors import ConfigError  # noqa: E402
from pymodel.frontend import onnx_file, onnx_run  # noqa: E402
from pymodel.frontend.from_onnx import graph_of, read_graph  # noqa: E402
from pymodel.frontend.lower import FloatNetwork, lower  # noqa: E402
from pymodel.frontend.module import to_module  # noqa: E402
from tests.helpers.models import MODELS, made  # noqa: E402

FILES = Path(__file__).parent / "files"
NAMES = list(MODELS)


def exported(name: str, opset: int, folder: Path) -> Path:
    """A model of the helpers as torch's older exporter writes it; the newer one needs onnxscript (files/make.py)."""
    model, shape = made(name)
    path = folder / "model.onnx"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            model, (torch.zeros(2, *shape),), str(path), dynamo=False, opset_version=opset, input_names=["x"],
            dynamic_axes={"x": {0: "n"}},
        )  # fmt: skip
    return path


def by_onnxruntime(path: Path, images: np.ndarray) -> list[np.ndarray]:
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return session.run(None, {session.get_inputs()[0].name: images.astype(np.float32)})


def evaluated(found: FloatNetwork, images: np.ndarray) -> list[np.ndarray]:
    """Outputs of the lowered network, in the file's own shapes."""
    seen: dict[str, Any] = {}
    module = to_module(found)
    entering = torch.from_numpy(images).float().reshape(len(images), *found.network.input.shape)
    module(entering, lambda name, value: seen.update({name: value}))
    names = found.network.output
    names = [names] if isinstance(names, str) else list(names)
    return [
        seen[name].detach().numpy().reshape(-1, *shape) for name, shape in zip(names, found.output_shapes, strict=True)
    ]


def one_node(op: str, shape: list[int], constants: dict[str, np.ndarray] | None = None, **keys: Any) -> onnx.ModelProto:
    """A model of one node, read by name after its input x."""
    constants = constants or {}
    node = helper.make_node(op, ["x", *constants], ["y"], name=f"the_{op}", **keys)
    graph = helper.make_graph(
        [node],
        "one",
        [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.asarray(array), name) for name, array in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)


@pytest.mark.parametrize("opset", [13, 17])
@pytest.mark.parametrize("name", NAMES)
def test_the_topology_computes_what_the_file_does(name: str, opset: int, tmp_path: Path) -> None:
    path = exported(name, opset, tmp_path)
    found = lower(read_graph(path))
    images = np.random.default_rng(0).normal(size=(3, *MODELS[name][1]))
    for ours, expected in zip(evaluated(found, images), by_onnxruntime(path, images), strict=True):
        np.testing.assert_allclose(ours, expected, rtol=1e-4, atol=1e-5)
    assert len(found.network.layers) == MODELS[name][2]


def test_the_newer_exporters_file() -> None:
    """A program exported by torch 2.13 (opset 18): batch norm folded, a mean, a shuffle, joined channels."""
    path = FILES / "plain_dynamo.onnx"
    found = lower(read_graph(path))
    images = np.random.default_rng(0).normal(size=(4, 3, 8, 8))
    (ours,), (expected,) = evaluated(found, images), by_onnxruntime(path, images)
    np.testing.assert_allclose(ours, expected, rtol=1e-4, atol=1e-5)
    assert [layer.name for layer in found.network.layers] == [
        "stem_0", "left", "add", "add_shuffle", "pool", "right", "pool_2", "concat", "reducemean", "head_1"
    ]  # fmt: skip


def test_layers_are_called_by_the_paths_of_modules(tmp_path: Path) -> None:
    names = [layer.name for layer in lower(read_graph(exported("resnet", 17, tmp_path))).network.layers]
    assert names[:5] == ["conv1", "maxpool", "layer1_0_conv1", "layer1_0_conv2", "layer1_0_add"]
    assert "layer2_0_downsample_0" in names


def test_data_beside_the_file(tmp_path: Path) -> None:
    model = onnx.load(FILES / "plain_dynamo.onnx")
    for tensor in model.graph.initializer:
        if len(tensor.raw_data) < 1024:  # what shorter ones are is never put beside
            tensor.raw_data = numpy_helper.to_array(tensor).tobytes()
    path = tmp_path / "model.onnx"
    onnx.save(model, path, save_as_external_data=True, location="model.data", size_threshold=0)
    assert lower(read_graph(path)).weights.keys() == {"stem_0", "left", "right", "head_1"}
    (tmp_path / "model.data").unlink()
    with pytest.raises(ConfigError, match=r"model.onnx: .*model\.data"):
        read_graph(path)


@pytest.mark.parametrize("kind", ["SAME_UPPER", "SAME_LOWER", "VALID"])
def test_auto_pad_is_onnxruntimes(kind: str, tmp_path: Path) -> None:
    weight = np.random.default_rng(0).normal(size=(4, 3, 3, 3)).astype(np.float32)
    model = one_node("Conv", [2, 3, 9, 9], {"w": weight}, auto_pad=kind, strides=[2, 2])
    path = tmp_path / "model.onnx"
    onnx.save(model, path)
    images = np.random.default_rng(1).normal(size=(2, 3, 9, 9))
    (ours,), (expected,) = evaluated(lower(read_graph(path)), images), by_onnxruntime(path, images)
    np.testing.assert_allclose(ours, expected, rtol=1e-4, atol=1e-5)


def test_all_problems_are_told_at_once(tmp_path: Path) -> None:
    """Each with node and operation, and what to use instead; what follows from one is not told again."""
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["a"], name="first"),
        helper.make_node("LeakyRelu", ["a"], ["b"], name="leaky"),
        helper.make_node("Conv", ["b", "w2"], ["c"], name="second"),
        helper.make_node("Resize", ["c", "", "sizes"], ["d"], name="larger"),
        helper.make_node("Mystery", ["d"], ["e"], name="custom", domain="com.example"),
        helper.make_node("Relu", ["e"], ["f"], name="after"),
    ]
    constants = {"w": np.ones((4, 3, 3, 3)), "w2": np.ones((4, 4, 1, 1)), "sizes": np.ones(4) * [1, 1, 2, 2]}
    graph = helper.make_graph(
        nodes,
        "broken",
        [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, ["n", 3, 8, 8])],
        [helper.make_tensor_value_info("f", onnx.TensorProto.FLOAT, None)],
        [numpy_helper.from_array(array.astype(np.float32), name) for name, array in constants.items()],
    )
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("com.example", 1)]
    path = tmp_path / "broken.onnx"
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8), path)
    with pytest.raises(ConfigError) as refused:
        lower(read_graph(path))
    lines = str(refused.value).splitlines()
    assert lines[0] == "broken: cannot be built:"
    assert [line.split(":")[0].strip() for line in lines[1:]] == [
        "leaky (LeakyRelu)", "larger (Resize)", "custom (Mystery)"
    ]  # fmt: skip
    assert "use Relu" in lines[1] and "psconv builds Conv" in lines[3]


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (one_node("Conv", [2, 3, 9, 9], {"w": np.ones((4, 3, 3, 3), np.float32)}, strides=[2, 1]), "stride"),
        (one_node("Softmax", [2, 10]), "the_Softmax (Softmax): has no fixed-point form here: end with the scores"),
        (one_node("ReduceMean", [2, 3, 4, 4], {"axes": np.array([1])}), "axes 2 and 3, got [1]"),
        (one_node("Transpose", [2, 3, 4, 4], perm=[1, 0, 2, 3]), "must stay along the first axis"),
        (one_node("MaxPool", [2, 3, 4, 4], kernel_shape=[2, 2], dilations=[2, 2]), "dilation must be 1"),
        (one_node("AveragePool", [2, 3, 4, 4], kernel_shape=[3, 3], pads=[1] * 4), "count_include_pad"),
        (one_node("Pad", [2, 3, 4, 4], {"p": np.array([0, 1, 0, 0, 0, 0, 0, 0])}), "only rows and columns"),
    ],
)
def test_what_cannot_be_built(model: onnx.ModelProto, message: str, tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    onnx.save(model, path)
    with pytest.raises(ConfigError) as refused:
        lower(read_graph(path))
    assert message in str(refused.value)


def test_files_that_are_none(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    with pytest.raises(ConfigError, match=r"model.onnx: cannot be read"):
        read_graph(path)
    path.write_bytes(b"no protobuf")
    with pytest.raises(ConfigError, match=r"model.onnx: must be an ONNX file"):
        read_graph(path)
    model = one_node("Relu", [2, 3, 4, 4])
    model.opset_import[0].version = 11
    onnx.save(model, path)
    with pytest.raises(ConfigError, match=r"opset: must be 13 to 20, got 11"):
        read_graph(path)
    model = one_node("Relu", ["n", 3, "h", "w"])
    onnx.save(model, path)
    with pytest.raises(ConfigError, match=r"input x: channels, rows and columns must be numbers, got \[n, 3, h, w\]"):
        read_graph(path)


def test_without_onnx(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    real = builtins.__import__

    def missing(name: str, *rest: Any) -> Any:
        if name.partition(".")[0] == "onnx":
            raise ModuleNotFoundError("no onnx", name="onnx")
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(ConfigError, match=r"needs the package onnx: pip install 'psconv\[onnx\]'"):
        onnx_file.read(tmp_path / "model.onnx")


def examples() -> list[tuple[str, Any]]:
    """The models that onnx tests its operators with, those of them that are read; inputs but the first are
    constants, versions of the operators are those of opset 20 at most."""
    from onnx.backend.test.case.node import collect_testcases

    found = []
    for case in collect_testcases(""):
        model = case.model
        if model is None or not {node.op_type for node in model.graph.node} <= READ:
            continue
        for one in model.opset_import:
            one.version = min(max(one.version, 13), 20)
        rng = np.random.default_rng(0)
        for one in list(model.graph.input)[1:]:
            kind = helper.tensor_dtype_to_np_dtype(one.type.tensor_type.elem_type)
            values = rng.uniform(0.5, 2, [dim.dim_value for dim in one.type.tensor_type.shape.dim])
            model.graph.initializer.append(numpy_helper.from_array(values.astype(kind), one.name))
        found.append((case.name, model))
    return found


READ = set(
    "Conv BatchNormalization Relu Clip MaxPool AveragePool GlobalAveragePool ReduceMean Gemm MatMul Add Sub Mul Div "
    "Neg Concat Pad Flatten Reshape Squeeze Unsqueeze Transpose Identity Dropout Constant".split()
)


def test_onnxs_own_examples_are_right_or_refused() -> None:
    """No traceback, and no other number than onnxruntime's."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        models = examples()
    built = []
    for name, model in models:
        try:
            found = lower(graph_of(onnx_file.simplified(model, Path(f"{name}.onnx")), name))
        except ConfigError:
            continue
        source = model.graph.input[0].type.tensor_type
        if source.elem_type != onnx.TensorProto.FLOAT:
            continue
        images = np.random.default_rng(1).normal(size=[dim.dim_value for dim in source.shape.dim])
        (expected,) = onnx_run.runner(model)(images)[:1]
        np.testing.assert_allclose(evaluated(found, images)[0], expected, rtol=1e-3, atol=1e-4, err_msg=name)
        built.append(name)
    assert len(models) > 100 and len(built) > 20, (len(models), built)
