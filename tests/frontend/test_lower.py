"""From PyTorch models to topologies: the same function, in the layers that it should take."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="reads PyTorch models")
from torch import nn  # noqa: E402

from pymodel.common.errors import ConfigError, InternalError  # noqa: E402
from pymodel.frontend.from_torch import trace  # noqa: E402
from pymodel.frontend.graph import INPUT, Graph, Node  # noqa: E402
from pymodel.frontend.lower import FloatNetwork, lower  # noqa: E402
from pymodel.frontend.module import to_module  # noqa: E402
from pymodel.network.supports import MaskSupport, Support  # noqa: E402
from pymodel.network.topology import Conv, Network  # noqa: E402
from tests.helpers.models import MODELS, SegmentationHead, made  # noqa: E402

NAMES = list(MODELS)


def lowered(model: nn.Module, shape: tuple[int, ...]) -> FloatNetwork:
    return lower(trace(model, shape))


def results(found: FloatNetwork, images: torch.Tensor) -> list[torch.Tensor]:
    """Outputs of the lowered network, in the model's own shapes."""
    seen = {}
    module = to_module(found)
    module(images.reshape(len(images), *found.network.input.shape), lambda name, value: seen.update({name: value}))
    names = found.network.output
    names = [names] if isinstance(names, str) else list(names)
    return [seen[name].reshape(-1, *shape) for name, shape in zip(names, found.output_shapes, strict=True)]


@pytest.mark.parametrize("name", NAMES)
def test_the_topology_computes_what_the_model_does(name: str) -> None:
    model, shape = made(name)
    found = lowered(model, shape)
    images = torch.from_numpy(np.random.default_rng(0).normal(size=(3, *shape))).float()
    with torch.no_grad():
        expected = model(images)
        ours = results(found, images)
    for one, other in zip(ours, expected if isinstance(expected, tuple) else (expected,), strict=True):
        assert one.shape == other.shape
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)  # batch norm is folded: rounded elsewhere
    assert len(found.network.layers) == MODELS[name][2]
    assert not any(getattr(layer, "batch_norm", False) for layer in found.network.layers)


def test_layers_are_called_by_the_paths_of_modules() -> None:
    found = lowered(*made("resnet"))
    names = [layer.name for layer in found.network.layers]
    assert names[:5] == ["conv1", "maxpool", "layer1_0_conv1", "layer1_0_conv2", "layer1_0_add"]
    assert found.where["layer2_0_downsample_0"] == "layer2.0.downsample.0 (Conv2d)"


def test_supports_stay() -> None:
    model, shape = made("sparse")
    convs = [layer for layer in lowered(model, shape).network.layers if isinstance(layer, Conv)]
    one, periodic, random = (conv.make_support() for conv in convs)
    assert one.is_dense
    assert isinstance(periodic, Support) and periodic.name == "PSD1_P16"
    assert isinstance(random, MaskSupport)
    assert (random.mask(16, 16) == ~model[5].pruned.numpy()).all()


def test_dilation_and_wide_kernels_are_supports_of_square_ones() -> None:
    """3x3 taps two apart are 9 of 25; a row of five is 5 of them."""
    network = lowered(SegmentationHead(), (3, 9, 7)).network
    assert network.layer("atrous").support == {"taps": [[0, 2, 4, 10, 12, 14, 20, 22, 24]]}
    assert network.layer("wide").support == {"taps": [[10, 11, 12, 13, 14]]}
    assert network.layer("wide").padding == 2


def test_a_shuffle_is_one_layer() -> None:
    network = lowered(*made("shufflenet")).network
    assert [layer.groups for layer in network.layers if layer.op == "channel_shuffle"] == [3, 3]


class Permuted(nn.Module):
    """Flattened as other frameworks do, channels last."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 3, 3)
        self.fc = nn.Linear(3 * 4 * 2, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(self.conv(x).permute(0, 2, 3, 1).flatten(1))


def test_columns_of_weights_take_the_order_of_elements() -> None:
    model = Permuted().eval()
    found = lowered(model, (2, 6, 4))
    images = torch.randn(3, 2, 6, 4)
    torch.testing.assert_close(results(found, images)[0], model(images))
    assert [layer.op for layer in found.network.layers] == ["conv", "linear"]


class Shared(nn.Module):
    """What two layers read is not changed by one of them."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 4, 3, padding=1)
        self.norm = nn.BatchNorm2d(4)
        self.twice = nn.Conv2d(4, 4, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.conv(x)
        z = self.twice(self.twice(torch.relu(y)))
        return self.norm(y) + z


def test_what_others_read_stays_as_it_is() -> None:
    model = Shared().eval()
    nn.init.uniform_(model.norm.running_mean)
    found = lowered(model, (2, 5, 5))
    images = torch.randn(2, 2, 5, 5)
    torch.testing.assert_close(results(found, images)[0], model(images), rtol=1e-4, atol=1e-5)
    assert [layer.op for layer in found.network.layers] == ["conv", "relu", "conv", "conv", "conv", "add"]
    assert [layer.name for layer in found.network.layers][2:4] == ["twice", "twice_2"]


class NormFirst(nn.Module):
    """Batch norm before layers: into their weights, unless zeros lie around what it makes."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.BatchNorm2d(4)
        self.grouped = nn.Conv2d(4, 6, 3, groups=2, bias=False)
        self.pool = nn.MaxPool2d(2)
        self.second = nn.BatchNorm2d(6)
        self.padded = nn.Conv2d(6, 2, 3, padding=1)
        self.third = nn.BatchNorm2d(2)
        self.fc = nn.Linear(2 * 3 * 1, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.second(self.pool(self.grouped(self.first(x))))
        x = self.third(self.pool(self.padded(x)))
        return self.fc(x.permute(0, 2, 3, 1).flatten(1))


def test_a_norm_goes_into_the_layer_behind_it() -> None:
    model = NormFirst().eval()
    for norm in (model.first, model.second, model.third):
        nn.init.normal_(norm.running_mean)
        nn.init.uniform_(norm.running_var, 0.5, 2)
    found = lowered(model, (4, 14, 6))
    images = torch.randn(3, 4, 14, 6)
    torch.testing.assert_close(results(found, images)[0], model(images), rtol=1e-4, atol=1e-5)
    names = [layer.name for layer in found.network.layers]
    assert names == ["grouped", "pool", "second", "padded", "pool_2", "fc"]


class ByHand(nn.Module):
    """Numbers for all channels, for each, from the left and from the right."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("each", torch.tensor([[[1.0]], [[-2.0]], [[0.5]]]))
        self.conv = nn.Conv2d(3, 3, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.conv(1 - (x * self.each) / 4)
        return -(2 + x - self.each) * 3


def test_arithmetic_with_constants_goes_into_weights() -> None:
    model = ByHand().eval()
    found = lowered(model, (3, 5, 4))
    images = torch.randn(2, 3, 5, 4)
    torch.testing.assert_close(results(found, images)[0], model(images))
    assert [layer.name for layer in found.network.layers] == ["conv"]


def test_the_model_itself_is_not_changed() -> None:
    model, shape = made("resnet")
    model.train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    trace(model, shape)
    assert model.training
    assert all((value == before[name]).all() for name, value in model.state_dict().items())


def test_constants_are_computed() -> None:
    """Weights that PyTorch computes from others at each step."""
    model = nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Conv2d(2, 3, 3))).eval()
    found = lowered(model, (2, 5, 5))
    assert (found.weights["layer0"] == model[0].weight.detach().double().numpy()).all()


def node(name: str, op: str, *inputs: str, shape: tuple[int, ...] = (2, 3, 3), **attributes: object) -> Node:
    return Node(name, op, inputs, shape, f"node {name}", attributes=attributes)


def test_a_graph_is_in_order() -> None:
    with pytest.raises(InternalError, match="node b: b of a: not in order"):
        Graph("g", (2, 3, 3), (node("b", "relu", "a"),), ("b",))
    with pytest.raises(InternalError, match="outputs z: not in the graph"):
        Graph("g", (2, 3, 3), (node("a", "relu", INPUT),), ("z",))


@pytest.mark.parametrize(
    "make, problem",
    [
        (lambda: node("a", "sine", INPUT), "no operation 'sine'"),
        (lambda: node("a", "add", INPUT), "add of 1 inputs"),
        (lambda: node("a", "concat", INPUT, axis=0), "concat of 1 inputs"),
        (lambda: node("a", "clip", INPUT, low=0), r"clip with \['low'\]"),
        (lambda: node("a", "linear", INPUT), r"linear with \[\] and \[\]"),
    ],
)
def test_a_node_is_as_the_vocabulary_says(make, problem: str) -> None:
    with pytest.raises(InternalError, match=problem):
        make()


def test_what_no_result_needs_is_left_out() -> None:
    nodes = (
        node("a", "relu", INPUT),
        node("b", "unsupported", INPUT, problem="nobody asks"),
    )
    network = lower(Graph("g", (2, 3, 3), nodes, ("a",))).network
    assert network == Network(
        name="g",
        input={"channels": 2, "height": 3, "width": 3},
        layers=[{"op": "relu", "name": "relu", "input": "input"}],
        output="relu",
    )


def test_all_problems_are_told_at_once() -> None:
    nodes = (
        node("a", "unsupported", INPUT, problem="first"),
        node("b", "clip", "a", low=-1.0, high=1.0),
        node("c", "unsupported", "b", problem=""),
        node("d", "transpose", "c", axes=(0, 2, 1)),
        node("e", "global_avg_pool", "d", shape=(2,)),
    )
    with pytest.raises(ConfigError) as caught:
        lower(Graph("g", (2, 3, 3), nodes, ("e",)))
    assert str(caught.value).splitlines() == [
        "g: cannot be built:",
        "  node a: first",
        "  node b: its lower bound must be 0, got -1: use nn.ReLU6, nn.Hardtanh(0, x) or clamp(0, x)",
        "  node e: reads an order of elements that no channel shuffle gives by node d: only flattening and channel "
        "shuffles move elements here",
    ]
