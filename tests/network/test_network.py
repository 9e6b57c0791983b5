"""Topologies: shapes, refusals, and the papers' networks under the papers' rule."""

import copy
import math

import pytest
import yaml

from pymodel.common.errors import ConfigError
from pymodel.network.supports import PAPER_VARIANTS, UnstructuredSupport
from pymodel.network.topology import Conv, Network
from pymodel.network.zoo import DATASETS, NETWORKS, apply_variant, digits, make_network, resnet18, shufflenet, vgg16


def test_digits_shapes() -> None:
    assert digits("PSD1_P16").shapes() == {
        "input": (1, 8, 8),
        "conv1": (16, 8, 8),
        "conv2": (32, 8, 8),
        "conv3": (32, 8, 8),
        "add": (32, 8, 8),
        "pool": (32, 4, 4),
        "conv4": (64, 2, 2),
        "avgpool": (64, 1, 1),
        "fc": (10, 1, 1),
    }


@pytest.mark.parametrize(
    ("name", "convs", "last"),
    [
        ("resnet18", 20, (512, 4, 4)),
        ("vgg16", 13, (512, 1, 1)),
        ("mobilenet_v2", 1 + 17 * 3 + 4 + 1, (1280, 4, 4)),
        ("shufflenet", 1 + 16 * 3, (800, 4, 4)),
    ],
)
def test_forms_of_the_papers_networks(name: str, convs: int, last: tuple[int, int, int]) -> None:
    network = make_network(name, "cifar10")
    assert sum(layer.op == "conv" for layer in network.layers) == convs
    assert network.shapes()[network.layer("avgpool").input] == last
    larger = make_network(name, "tiny-imagenet")
    assert larger.shapes()[larger.layer("avgpool").input] == (last[0], 2 * last[1], 2 * last[2])
    assert larger.shapes()["fc"] == (200, 1, 1)


@pytest.mark.parametrize(
    ("name", "parameters", "macs", "convs"),
    [("resnet18_imagenet", 11_689_512, 1_814_073_344, 20), ("resnet50", 25_557_032, 4_089_184_256, 53)],
)
def test_forms_for_imagenet(name: str, parameters: int, macs: int, convs: int) -> None:
    """Parameters as torchvision publishes them of its own, with a scale and an offset for each channel of a batch norm.

    Multiply-accumulates as fvcore counts them there, of convolutions and the fully connected layer.
    """
    network = make_network(name, "imagenet")
    shapes, weighted = network.shapes(), network.weighted_layers()
    assert [shapes[layer][1:] for layer in ("stem", "pool", "s2b1_add", "s4b1_add")] == [
        (112, 112),
        (56, 56),
        (28, 28),
        (7, 7),
    ]
    sizes = {layer.name: math.prod(network.weight_shape(layer)) for layer in weighted}
    channels = sum(shapes[layer.name][0] for layer in weighted if layer.op == "conv")
    assert sum(sizes.values()) + 2 * channels + 1000 == parameters
    assert sum(sizes[name] * math.prod(shapes[name][1:]) for name in sizes) == macs
    assert sum(layer.op == "conv" for layer in network.layers) == convs


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("variant", PAPER_VARIANTS)
def test_variant_goes_to_every_ungrouped_3x3_convolution_but_the_first(name: str, variant: str) -> None:
    network = make_network(name, "digits" if name == "digits" else "cifar10", variant)
    convs = [layer for layer in network.layers if isinstance(layer, Conv)]
    for index, conv in enumerate(convs):
        assert conv.support == (variant if conv.kernel == 3 and conv.groups == 1 and index else "dense")
    assert network.dense_twin() == make_network(name, "digits" if name == "digits" else "cifar10")
    assert Network(**network.spec()) == network


def test_unstructured_layers_have_each_their_own_support() -> None:
    network = resnet18(variant="pSC2")
    one = network.layer("s1b1_conv1").make_support()
    two = network.layer("s1b1_conv2").make_support()
    assert isinstance(one, UnstructuredSupport)
    assert (one.mask(64, 64) != two.mask(64, 64)).any()
    assert one == resnet18(variant="pSC2").layer("s1b1_conv1").make_support()


def test_folding_moves_batch_norm_into_the_bias() -> None:
    folded = digits("PSD1_P16").folded()
    convs = [layer for layer in folded.layers if isinstance(layer, Conv)]
    assert all(conv.bias and not conv.batch_norm for conv in convs)
    assert folded.shapes() == digits().shapes()


def test_narrow_resnet() -> None:
    network = resnet18(width=8)
    assert network.shapes()["s4b2_add"] == (64, 4, 4)
    assert network.name == "resnet18_w8"


def _changed(index: int | None, **change: object) -> dict:
    spec = copy.deepcopy(digits("PSD1_P16").spec())
    target = spec if index is None else spec["layers"][index]
    for key, value in change.items():
        if value is None:
            del target[key]
        else:
            target[key] = value
    return spec


@pytest.mark.parametrize(
    ("index", "change", "says"),
    [
        (1, {"input": "nope"}, "layer conv2: input: must be .*, got 'nope'"),
        (1, {"input": "conv2"}, "layer conv2: input: must be .*, got 'conv2'"),
        (1, {"name": "conv1"}, "layer conv1: name: must be a name of its own"),
        (1, {"name": "input"}, "layer input: name: must be a name of its own"),
        (1, {"name": "a.b"}, "name"),
        (1, {"colour": 1}, "Conv conv2: colour: unknown key"),
        (1, {"op": "cnov"}, "'cnov'"),
        (1, {"op": None}, "op"),
        (1, {"out_channels": None}, "Conv conv2: out_channels"),
        (1, {"out_channels": "32"}, "Conv conv2: out_channels"),
        (1, {"kernel": 2}, "conv2.*support: must be dense or .* for 2x2 kernels, got 'PSD1_P16'"),
        (1, {"padding": [1, 1, 1]}, r"Conv conv2: padding: must be an integer of .*, or four, .*, got \[1, 1, 1\]"),
        (1, {"padding": [0, 0, 0, -1]}, "Conv conv2: padding: must be"),
        (1, {"padding": 1.0}, "Conv conv2: padding: must be .*, got 1.0"),
        (1, {"padding": [0, 0, 0, 3]}, r"padding: must be 0 to 2 with kernel 3, got \[0, 0, 0, 3\]"),
        (1, {"clip": 0.0}, "Conv conv2: clip"),
        (1, {"clip": "6"}, "Conv conv2: clip"),
        (2, {"clip": 6.0}, "Conv conv3: clip: must be left out without relu: true, got 6"),
        (4, {"clip": 6.0}, "MaxPool pool: clip: unknown key"),
        (1, {"kernel": 5, "support": "dense", "padding": 5}, "padding: must be 0 to 4 with kernel 5, got 5"),
        (1, {"kernel": 15, "support": "dense"}, "layer conv2: kernel: must be at most .*, got 15"),
        (1, {"stride": 0}, "Conv conv2: stride"),
        (1, {"groups": 3}, "Conv conv2: groups: must divide out_channels 32, got 3"),
        (1, {"groups": 32}, "layer conv2: groups: must divide .*, got 32"),
        (1, {"support": "PSD3_P4"}, "PSD3_P4"),
        (1, {"support": {"tap": [[0]]}}, "taps"),
        (1, {"support": 7}, "support"),
        (
            3,
            {"inputs": ["conv1", "conv3"]},
            r"layer add: inputs: must have one shape, got \(16, 8, 8\) and \(32, 8, 8\)",
        ),
        (3, {"inputs": ["conv3"]}, "Add add: inputs"),
        (4, {"kernel": 9}, "layer pool: kernel: must be at most 8, .* height .*, got 9"),
        (4, {"padding": 2}, "padding: must be 0 to 1 with kernel 2, got 2"),
        (None, {"output": "nope"}, "output: must be one of the layers, got 'nope'"),
        (None, {"output": "input"}, "output"),
        (None, {"output": ["fc", "nope"]}, "output: must be one of the layers, got 'nope'"),
        (None, {"output": ["fc", "conv1", "fc"]}, "output: must name each layer once, got 'fc' twice"),
        (None, {"output": []}, "output: must be the name of a layer, or a list of names, got none"),
        (None, {"output": ["fc", 3]}, "output"),
        (None, {"layers": []}, "layers"),
        (None, {"extra": 1}, "extra: unknown key"),
        (None, {"input": {"channels": 0, "height": 8, "width": 8}}, "input.channels"),
    ],
)
def test_refusals_name_the_layer(index: int | None, change: dict, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        Network(**_changed(index, **change))


def test_padding_of_each_side() -> None:
    """Shapes as ONNX defines them; files have a number where all sides are the same."""
    source = {"channels": 2, "height": 5, "width": 7}
    layers = [
        {"op": "conv", "name": "a", "input": "input", "out_channels": 3, "kernel": 4, "padding": [1, 2, 0, 3]},
        {"op": "maxpool", "name": "b", "input": "a", "kernel": 2, "stride": 2, "padding": [0, 0, 1, 1]},
        {"op": "avgpool", "name": "c", "input": "b", "kernel": 3, "stride": 1, "padding": [1, 1, 1, 1]},
        {"op": "relu", "name": "d", "input": "c", "clip": 6.0},
    ]
    made = Network(name="n", input=source, layers=layers, output="d")
    assert made.shapes() == {"input": (2, 5, 7), "a": (3, 3, 9), "b": (3, 2, 5), "c": (3, 2, 5), "d": (3, 2, 5)}
    assert made.layer("a").pads == (1, 2, 0, 3) and made.layer("c").pads == (1, 1, 1, 1)
    assert made.layer("a").pads.rows == 1 and made.layer("a").pads.columns == 5
    spec = made.spec()
    assert [layer.get("padding") for layer in spec["layers"]] == [[1, 2, 0, 3], [0, 0, 1, 1], 1, None]
    assert spec["layers"][3] == {"op": "relu", "name": "d", "input": "c", "clip": 6.0}
    assert yaml.safe_load(yaml.safe_dump(spec)) == spec and Network(**spec) == made
    layers[0]["padding"] = [0, 0, 3, 3]
    assert Network(name="n", input=source, layers=layers, output="d") != made


def test_several_outputs() -> None:
    spec = digits().spec()
    several = Network(**spec | {"output": ["fc", "pool"]})
    assert several.outputs == ("fc", "pool") and several.spec()["output"] == ["fc", "pool"]
    assert Network(**several.spec()) == several == Network(**several.model_dump())
    assert several.dense_twin().outputs == ("fc", "pool")
    with pytest.raises(ConfigError, match="output: must be one layer for a test, got fc, pool"):
        several.only_output("a test")
    one = Network(**spec | {"output": ["fc"]})
    assert one == digits() and one.spec()["output"] == "fc" and one.outputs == ("fc",)
    assert one.only_output("a test") == "fc"


def test_shuffle_and_concat_shapes() -> None:
    layers = [
        {"op": "conv", "name": "a", "input": "input", "out_channels": 6, "kernel": 1},
        {"op": "channel_shuffle", "name": "b", "input": "a", "groups": 4},
    ]
    source = {"channels": 2, "height": 3, "width": 4}
    with pytest.raises(ConfigError, match="layer b: groups: must divide .*, got 4"):
        Network(name="n", input=source, layers=layers, output="b")
    layers[1] = {"op": "concat", "name": "b", "inputs": ["a", "input", "a"]}
    assert Network(name="n", input=source, layers=layers, output="b").shapes()["b"] == (14, 3, 4)
    layers.insert(1, {"op": "maxpool", "name": "p", "input": "a"})
    layers[2]["inputs"] = ["a", "p"]
    with pytest.raises(ConfigError, match="layer b: inputs: must have one height and width"):
        Network(name="n", input=source, layers=layers, output="b")


@pytest.mark.parametrize(
    ("name", "dataset", "variant"),
    [
        ("resnet19", "cifar10", "dense"),
        ("resnet18", "cifar100", "dense"),
        ("resnet18", "digits", "dense"),
        ("digits", "cifar10", "dense"),
        ("resnet18", "cifar10", "PSD1"),
    ],
)
def test_unknown_networks(name: str, dataset: str, variant: str) -> None:
    with pytest.raises(ConfigError):
        make_network(name, dataset, variant)


def test_unknown_layer_lists_the_known() -> None:
    with pytest.raises(ConfigError, match="conv1, conv2"):
        digits().layer("conv9")


def test_images_too_small() -> None:
    with pytest.raises(ConfigError, match="layer pool5"):
        vgg16(image=16)
    with pytest.raises(ConfigError, match="groups: must be 2 or 3, got 4"):
        shufflenet(groups=4)
    with pytest.raises(ConfigError):
        apply_variant(digits(), "PS8_P2")
    assert set(DATASETS) == {"cifar10", "tiny-imagenet", "imagenet", "digits"}
