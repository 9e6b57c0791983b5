"""Every type of layer has all that a layer needs: what is missing is told by the place where it belongs.

The places are scripts/layer_places.py's, which docs/guide/extending.md lists.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from importlib import import_module
from typing import Any, get_args

import numpy as np
import pytest

from psconv.common.places import ENGINE
from psconv.flow.hls import compile_top
from pymodel.common.errors import ConfigError
from pymodel.counts.complexity import complexity
from pymodel.counts.storage import network_storage
from pymodel.counts.traffic import network_traffic
from pymodel.engine.shape_of import engine_shape
from pymodel.golden import model as golden
from pymodel.golden.native.build import KERNEL
from pymodel.network.bundle import Bundle
from pymodel.network.formats import Format
from pymodel.network.random_bundle import random_bundle
from pymodel.network.topology import INPUT, Layer, Network, Weighted
from pymodel.network.zoo import make_network
from pymodel.top import cycles, memory
from pymodel.top.dataflow import Dataflow, build
from scripts.benchmarks.golden import onnx_session
from scripts.hunt import integers
from scripts.layer_places import PLACES, WEIGHTED, Place
from tests.helpers.networks import conv, network, some_images
from tests.helpers.places import ROOT

TYPES = {kind.model_fields["op"].default: kind for kind in get_args(get_args(Layer)[0])}
A = conv("a", INPUT, 4, batch_norm=True, relu=True)
B = conv("b", "a", 4, support="PS4_P4")
# The layers of a small network by the op of its last one, which is called `tested`.
SAMPLES: dict[str, list[dict[str, Any]]] = {
    "conv": [A, conv("tested", "a", 8, support="PS4_P4", batch_norm=True) | {"padding": 0}],
    "linear": [
        A,
        {"op": "global_avgpool", "name": "mean", "input": "a"},
        {"op": "linear", "name": "tested", "input": "mean", "out_features": 5, "relu": True},
    ],
    "maxpool": [A, B, {"op": "maxpool", "name": "tested", "input": "b", "kernel": 3, "padding": 1}],
    "avgpool": [A, {"op": "avgpool", "name": "tested", "input": "a", "kernel": 3, "padding": 1}],
    "global_avgpool": [A, {"op": "global_avgpool", "name": "tested", "input": "a"}],
    "add": [A, B, {"op": "add", "name": "tested", "inputs": ["b", "a"], "relu": True}],
    "relu": [A, B, {"op": "relu", "name": "tested", "input": "b"}],
    "concat": [A, B, {"op": "concat", "name": "tested", "inputs": ["b", "a"]}],
    "channel_shuffle": [A, {"op": "channel_shuffle", "name": "tested", "input": "a", "groups": 2}],
}
# All of them as one top: compiled once.
TOP = network(
    conv("conv", INPUT, 4, support="PS4_P4", relu=True),
    {"op": "maxpool", "name": "maxpool", "input": "conv"},
    {"op": "avgpool", "name": "avgpool", "input": "conv"},
    {"op": "add", "name": "add", "inputs": ["maxpool", "avgpool"]},
    {"op": "relu", "name": "relu", "input": "add"},
    {"op": "concat", "name": "concat", "inputs": ["add", "relu"]},
    {"op": "channel_shuffle", "name": "channel_shuffle", "input": "concat", "groups": 2},
    {"op": "global_avgpool", "name": "global_avgpool", "input": "channel_shuffle"},
    {"op": "linear", "name": "linear", "input": "global_avgpool", "out_features": 3},
    channels=4,
    height=4,
    width=4,
)
IMAGES = 3


@dataclass(frozen=True)
class Case:
    """A network whose last layer, `tested`, is of the type that is tried; compiled: TOP's dataflow and schedule."""

    op: str
    compiled: Callable[[], tuple[Dataflow, dict[str, Any]]]

    @cached_property
    def network(self) -> Network:
        if self.op not in SAMPLES:
            pytest.fail(f"{self.op}: tests/network/test_layer_types.py: SAMPLES has no network with one")
        return network(*SAMPLES[self.op], channels=4, height=4, width=4)

    @cached_property
    def layer(self) -> Any:
        return self.network.layer("tested")

    @cached_property
    def bundle(self) -> Bundle:
        return random_bundle(self.network, 1)

    @cached_property
    def images(self) -> np.ndarray:
        return some_images(self.bundle, IMAGES)

    @cached_property
    def outputs(self) -> dict[str, np.ndarray]:
        """By the golden model, in numpy."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv(KERNEL.switch, "off")
            return golden.run(self.bundle, self.images)

    @cached_property
    def trained(self) -> Any:
        """A torch network with statistics in its batch norms, in evaluation mode."""
        torch = pytest.importorskip("torch")
        from pymodel.nn.build import NetworkModule

        torch.manual_seed(1)
        module = NetworkModule(self.network)
        for part in module.modules():
            if isinstance(part, torch.nn.BatchNorm2d):
                part.running_mean.normal_(0, 0.3)
                part.running_var.uniform_(0.05, 2)
        return module.eval()

    @cached_property
    def fixed(self) -> Any:
        """The network in fixed point, calibrated on the images; outputs of other bits, so that formats apart differ."""
        torch = pytest.importorskip("torch")
        from pymodel.training.calibrate import calibrate
        from pymodel.training.fixed_point import FixedPointNetwork
        from pymodel.training.fold import fold_batch_norm

        folded, source = fold_batch_norm(self.trained), Format(8, 7)
        real = torch.from_numpy(source.real(self.images)).float()
        return FixedPointNetwork(
            folded, *calibrate(folded, real, source, weight_bits=8, activation_bits=8, output_bits=6)
        )


def shape(case: Case) -> None:
    assert isinstance(case.layer, TYPES[case.op])
    out = case.network.shapes()["tested"]
    assert case.outputs["tested"].shape == (IMAGES, *out)


def whole(case: Case) -> None:
    case.bundle.formats["tested"].check(case.outputs["tested"], "tested")
    assert len(np.unique(case.outputs["tested"])) > 1


def kernel(case: Case) -> None:
    found = golden.run(case.bundle, case.images)
    assert np.array_equal(found["tested"], case.outputs["tested"])


def formats(case: Case) -> None:
    """A format that no shift leads to, or another one than that of the input, is refused."""
    form = case.bundle.formats["tested"]
    with pytest.raises(ConfigError, match="layer tested"):
        replace(case.bundle, formats=case.bundle.formats | {"tested": Format(form.bits, form.frac + 40)})


def generated(case: Case) -> None:
    assert set(case.bundle.formats) == {INPUT, *(layer.name for layer in case.network.layers)}
    assert ("tested" in case.bundle.weights) == isinstance(case.layer, Weighted)


def module(case: Case) -> None:
    """On the golden model's inputs and weights it gives, rounded, the golden model's output."""
    torch = pytest.importorskip("torch")
    from pymodel.nn.build import NetworkModule

    bundle, own = case.bundle, NetworkModule(case.network.folded()).double().layers["tested"]
    with torch.no_grad():
        if "tested" in bundle.weights:
            form, source = bundle.weight_formats["tested"], bundle.formats[case.layer.input]
            parameters = dict(own.named_parameters())
            for name, parameter in parameters.items():
                kind = name.rpartition(".")[2]
                values = {
                    "weight": form.real(bundle.weights["tested"]),
                    "bias": np.ldexp(bundle.bias("tested").astype(float), -form.frac - source.frac),
                }[kind]
                parameter.copy_(torch.from_numpy(values))
        inputs = [torch.from_numpy(bundle.formats[name].real(case.outputs[name])) for name in case.layer.sources]
        real = own(*inputs).numpy()
    assert np.array_equal(bundle.formats["tested"].quantise(real), case.outputs["tested"])


def folding(case: Case) -> None:
    torch = pytest.importorskip("torch")
    from pymodel.training.fold import fold_batch_norm

    folded, x = fold_batch_norm(case.trained), torch.randn(IMAGES, *case.network.input.shape)
    with torch.no_grad():
        assert torch.allclose(folded(x), case.trained(x), rtol=1e-4, atol=1e-5)
    assert not any(hasattr(part, "running_mean") for part in folded.modules())
    assert folded.network == case.network.folded() == case.bundle.network


def calibration(case: Case) -> None:
    """The formats that it finds are such as a bundle takes."""
    exported(case)


def exported(case: Case) -> Bundle:
    pytest.importorskip("torch")
    from pymodel.training.fixed_point import FixedConv, FixedLinear

    fixed, weights, biases = case.fixed, {}, {}
    for name, own in fixed.layers.items():
        if isinstance(own, FixedConv | FixedLinear):
            weight, bias = own.integers()
            weights[name] = weight.astype(np.int8)
            if bias is not None:
                biases[name] = bias.astype(np.int32)
    return Bundle(fixed.network, fixed.formats, fixed.weight_formats, weights, biases)


def fixed_point(case: Case) -> None:
    bundle = exported(case)
    ours, exact = case.fixed.integers(case.images), golden.run(bundle, case.images)
    assert np.array_equal(ours["tested"], exact["tested"])


def counted(case: Case) -> int:
    """Multiply-accumulates of the layer: with ones for weights and activations, and none outside, its outputs' sum."""
    torch = pytest.importorskip("torch")
    from pymodel.nn.build import NetworkModule

    own = NetworkModule(case.network.folded()).layers["tested"]
    with torch.no_grad():
        for name, parameter in own.named_parameters():
            parameter.fill_(0 if name.endswith("bias") else 1)
        return int(own(torch.ones(1, *case.network.shapes()[case.layer.input])).sum())


def count(case: Case) -> None:
    [found] = [layer for layer in complexity(case.network).layers if layer.name == "tested"]
    assert found.macs == counted(case)
    assert found.dense_weights == case.bundle.weights["tested"].size
    assert found.weights * np.prod(found.out_shape[1:]) == found.macs


def storage(case: Case) -> None:
    found = network_storage(case.network)["tested"]
    assert found["dense"].weight_bits == 8 * case.bundle.weights["tested"].size
    assert found["per_weight"].weight_bits * np.prod(case.network.shapes()["tested"][1:]) == 8 * counted(case)


def traffic(case: Case) -> None:
    [found] = [layer for layer in network_traffic(case.network, "dense").layers if layer.name == "tested"]
    assert found.engine is not None
    assert found.products >= counted(case)


def engine(case: Case) -> None:
    found = engine_shape(case.bundle, "tested")
    assert found.macs == counted(case)
    assert (found.cout, found.hout, found.wout) == case.network.shapes()["tested"]


def hardware(case: Case) -> None:
    shapes = {layer.name: engine_shape(case.bundle, layer.name) for layer in case.bundle.network.weighted_layers()}
    unit = build(case.bundle, shapes).layers["tested"]
    words = unit.out_words
    assert (words.channels, words.height, words.width) == case.network.shapes()["tested"]


def cpp(case: Case) -> None:
    dataflow, _ = case.compiled()
    unit = dataflow.layers[case.op]
    text = (ENGINE / unit.header).read_text()
    assert f" {unit.function}(" in text
    for _, constant, _, _ in unit.constants():
        assert any(constant in path.read_text() for path in ENGINE.glob("*.hpp")), constant


def timing(case: Case) -> None:
    dataflow, schedule = case.compiled()
    cycles.check(dataflow, schedule)
    scheduled = {process["name"]: process for process in schedule["processes"]}
    for process in dataflow.layers[case.op].processes():
        assert scheduled[process.name]["iterations"] in (None, process.iterations), process.name
        assert {read["stream"] for read in scheduled[process.name]["reads"]} == set(process.reads)


def memories(case: Case) -> None:
    dataflow, schedule = case.compiled()
    unit = dataflow.layers[case.op]
    own = {process.name for process in unit.processes()}
    built = [m for process in schedule["processes"] if process["name"] in own for m in process["memories"]]
    found = sorted((memory.holds(m["name"]), m["depth"], m["width"]) for m in built)
    assert found == sorted((memory.holds(m.name), m.depth, m.width) for m in memory.memories_of(unit))


def campaigns(case: Case) -> None:
    found = integers.outputs(case.bundle, case.images)
    assert np.array_equal(found["tested"], case.outputs["tested"])


def onnx(case: Case) -> None:
    if any(layer.op == case.op for layer in make_network("resnet18", "cifar10").layers):
        session = onnx_session(case.bundle, 1)
        [found] = session.run(None, {INPUT: np.maximum(case.images, 0).astype(np.uint8)})
        assert found.shape == case.outputs["tested"].shape
    else:
        with pytest.raises(ValueError, match=f"op: must have a form in onnxruntime, got {case.op}"):
            onnx_session(case.bundle, 1)


CHECKS: dict[str, Callable[[Case], None]] = {
    "shape": shape,
    "integers": whole,
    "kernel": kernel,
    "formats": formats,
    "generated weights": generated,
    "module": module,
    "folding": folding,
    "calibration": calibration,
    "fixed point": fixed_point,
    "complexity": count,
    "storage": storage,
    "traffic": traffic,
    "engine": engine,
    "hardware": hardware,
    "C++": cpp,
    "cycles": timing,
    "memory": memories,
    "campaigns": campaigns,
    "onnxruntime": onnx,
}


def concerns(place: Place, op: str) -> bool:
    """Whether layers of this op need something there."""
    return place.of != WEIGHTED or hasattr(TYPES[op], "weight_shape")


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], tuple[Dataflow, dict[str, Any]]]:
    made: list[tuple[Dataflow, dict[str, Any]]] = []

    def once() -> tuple[Dataflow, dict[str, Any]]:
        if not made:
            folder, bundle = tmp_path_factory.mktemp("top"), random_bundle(TOP, 1)
            shapes = {layer.name: engine_shape(bundle, layer.name) for layer in TOP.weighted_layers()}
            dataflow = build(bundle, shapes)
            made.append((dataflow, compile_top(dataflow, folder).schedule))
        return made[0]

    return once


@pytest.mark.parametrize(
    ("op", "place"),
    [pytest.param(op, place, id=f"{op}-{place.rule}") for op in TYPES for place in PLACES if concerns(place, op)],
)
def test_a_layer_has_all_that_layers_have(
    op: str, place: Place, compiled: Callable[[], tuple[Dataflow, dict[str, Any]]]
) -> None:
    try:
        CHECKS[place.rule](Case(op, compiled))
    except Exception as error:
        raise AssertionError(f"{op}: {place.rule}: {place.file}: {place.name}: {place.what}") from error


def test_every_place_is_tried_and_there() -> None:
    assert list(CHECKS) == [place.rule for place in PLACES]
    assert set(SAMPLES) == set(TYPES)
    assert {layer.op for layer in TOP.layers} == set(TYPES)
    for place in PLACES:
        if place.file.startswith("pymodel/nn") or place.file.startswith("pymodel/training"):
            pytest.importorskip("torch")
        found: object = import_module(place.where.partition(":")[0])
        for name in place.name.split("."):
            found = getattr(found, name)
        assert (ROOT / place.file).is_file()
