"""The networks of the papers, ResNets for ImageNet, and a small network for handwritten digits.

ResNet18, VGG16, ShuffleNet and MobileNetV2 have the CIFAR forms of the public pytorch-cifar collection, on
which the authors' code is built. A *variant* (see supports.py) is applied by the papers' rule: to every
3x3 convolution but the first of the network and those in groups; 1x1 convolutions and fully connected layers
are dense. Other sizes of image (Tiny ImageNet) differ in the input and in the last, global pooling alone. The ImageNet
forms of ResNet18 and ResNet50 (He et al., 2016, table 1) are networks of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from pymodel.common.errors import ConfigError
from pymodel.network.supports import thinned
from pymodel.network.topology import (
    INPUT,
    Add,
    AvgPool,
    ChannelShuffle,
    Concat,
    Conv,
    GlobalAvgPool,
    InputSpec,
    Layer,
    Linear,
    MaxPool,
    Network,
    Relu,
)


@dataclass(frozen=True)
class Dataset:
    """What a network needs to know of a data set."""

    name: str
    channels: int
    height: int
    width: int
    classes: int


DATASETS = {
    dataset.name: dataset
    for dataset in (
        Dataset("cifar10", 3, 32, 32, 10),
        Dataset("tiny-imagenet", 3, 64, 64, 200),
        Dataset("imagenet", 3, 224, 224, 1000),
        Dataset("digits", 1, 8, 8, 10),
    )
}


def sparse_convs(network: Network) -> tuple[str, ...]:
    """The convolutions that a variant changes, by the papers' rule (supports.thinned)."""
    convs = [layer for layer in network.layers if isinstance(layer, Conv)]
    return tuple(
        conv.name for at, conv in enumerate(convs) if thinned(at == 0, (conv.kernel, conv.kernel), conv.groups)
    )


def apply_variant(network: Network, variant: str) -> Network:
    """The dense `network` with the support that `variant` names in the layers of `sparse_convs`.

    Raises ConfigError for a name unknown.
    """
    chosen = sparse_convs(network)

    def change(conv: Conv) -> Conv:
        if conv.name not in chosen:
            return conv
        return Conv(**{**conv.model_dump(), "support": variant})

    return network.map_convs(change)


def resnet18(classes: int = 10, image: int = 32, width: int = 64, variant: str = "dense") -> Network:
    """CIFAR ResNet18: 3x3 stem of `width` channels, four stages of two basic blocks, one last pooling."""
    name = "resnet18" if width == 64 else f"resnet18_w{width}"
    return _resnet(name, [2, 2, 2, 2], classes, image, width, variant)


def resnet8(classes: int = 10, image: int = 32, width: int = 16, variant: str = "dense") -> Network:
    """ResNet-8 of MLPerf Tiny's image classification: 16 channels, three stages of one basic block each."""
    name = "resnet8" if width == 16 else f"resnet8_w{width}"
    return _resnet(name, [1, 1, 1], classes, image, width, variant)


def resnet20(classes: int = 10, image: int = 32, width: int = 16, variant: str = "dense") -> Network:
    """CIFAR ResNet-20 (He et al., 2016) with 1x1 projections: 16 channels, three stages of three basic blocks each."""
    name = "resnet20" if width == 16 else f"resnet20_w{width}"
    return _resnet(name, [3, 3, 3], classes, image, width, variant)


def _resnet(name: str, blocks: Sequence[int], classes: int, image: int, width: int, variant: str) -> Network:
    """A stem of `width` channels and stages of so many basic blocks, each with twice the channels of the one before."""
    layers = [_conv_bn("stem", INPUT, width, 3, relu=True), *_stages("stem", width, blocks, width)]
    return _finish(name, InputSpec(channels=3, height=image, width=image), layers, classes, variant)


def _stages(source: str, channels: int, blocks: Sequence[int], width: int, expansion: int = 1) -> list[Layer]:
    """Stages of so many residual blocks, the first of `width` channels, each with twice those of the one before.

    source, channels: what they start from. expansion: 1 for basic blocks of two 3x3 convolutions; else bottlenecks,
    whose last, 1x1 convolution has so many times the channels of the 3x3 one before it, which has the stride.
    """
    layers = list[Layer]()
    for stage, count in enumerate(blocks):
        for block in range(count):
            prefix, stride, inner = f"s{stage + 1}b{block + 1}", 2 if stage and not block else 1, width << stage
            out, convs = inner * expansion, [f"{prefix}_conv{n + 1}" for n in range(2 if expansion == 1 else 3)]
            if expansion == 1:
                layers.append(_conv_bn(convs[0], source, inner, 3, stride=stride, relu=True))
                layers.append(_conv_bn(convs[1], convs[0], out, 3))
            else:
                layers.append(_conv_bn(convs[0], source, inner, 1, relu=True))
                layers.append(_conv_bn(convs[1], convs[0], inner, 3, stride=stride, relu=True))
                layers.append(_conv_bn(convs[2], convs[1], out, 1))
            if stride != 1 or channels != out:
                layers.append(_conv_bn(f"{prefix}_proj", source, out, 1, stride=stride))
                source = f"{prefix}_proj"
            layers.append(Add(name=f"{prefix}_add", inputs=[convs[-1], source], relu=True))
            source, channels = f"{prefix}_add", out
    return layers


def resnet18_imagenet(classes: int = 1000, image: int = 224, width: int = 64, variant: str = "dense") -> Network:
    """ResNet18 for ImageNet: a 7x7 stem and a padded 3x3 maximum of stride 2, four stages of two basic blocks."""
    name = "resnet18_imagenet" if width == 64 else f"resnet18_imagenet_w{width}"
    return _imagenet(name, [2, 2, 2, 2], 1, classes, image, width, variant)


def resnet50(classes: int = 1000, image: int = 224, width: int = 64, variant: str = "dense") -> Network:
    """ResNet50 for ImageNet: the same stem, stages of 3, 4, 6, 3 bottlenecks, strides in their 3x3 ones."""
    name = "resnet50" if width == 64 else f"resnet50_w{width}"
    return _imagenet(name, [3, 4, 6, 3], 4, classes, image, width, variant)


def _imagenet(
    name: str, blocks: Sequence[int], expansion: int, classes: int, image: int, width: int, variant: str
) -> Network:
    layers = [
        _conv_bn("stem", INPUT, width, 7, stride=2, relu=True),
        MaxPool(name="pool", input="stem", kernel=3, stride=2, padding=1),
        *_stages("pool", width, blocks, width, expansion),
    ]
    return _finish(name, InputSpec(channels=3, height=image, width=image), layers, classes, variant)


def vgg16(classes: int = 10, image: int = 32, variant: str = "dense") -> Network:
    """VGG16 with batch norm: 13 convolutions, a 2x2 max pool after each of the five stages, one FC layer."""
    layers: list[Layer] = []
    source = INPUT
    for stage, (count, channels) in enumerate(((2, 64), (2, 128), (3, 256), (3, 512), (3, 512)), start=1):
        for index in range(1, count + 1):
            layers.append(_conv_bn(f"conv{stage}_{index}", source, channels, 3, relu=True))
            source = layers[-1].name
        layers.append(MaxPool(name=f"pool{stage}", input=source))
        source = f"pool{stage}"
    return _finish("vgg16", InputSpec(channels=3, height=image, width=image), layers, classes, variant)


def mobilenet_v2(classes: int = 10, image: int = 32, variant: str = "dense") -> Network:
    """MobileNetV2 in its CIFAR form: inverted residuals, the first two strides 1."""
    layers: list[Layer] = [_conv_bn("stem", INPUT, 32, 3, relu=True)]
    source, channels = "stem", 32
    plan = ((1, 16, 1, 1), (6, 24, 2, 1), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))
    for stage, (expansion, out, count, first_stride) in enumerate(plan, start=1):
        for block in range(count):
            name, stride, inner = f"s{stage}b{block + 1}", 1 if block else first_stride, expansion * channels
            layers += [
                _conv_bn(f"{name}_expand", source, inner, 1, relu=True),
                _conv_bn(f"{name}_depth", f"{name}_expand", inner, 3, stride=stride, groups=inner, relu=True),
                _conv_bn(f"{name}_reduce", f"{name}_depth", out, 1),
            ]
            result = f"{name}_reduce"
            if stride == 1:
                if channels != out:
                    layers.append(_conv_bn(f"{name}_proj", source, out, 1))
                    source = f"{name}_proj"
                layers.append(Add(name=f"{name}_add", inputs=[result, source]))
                result = f"{name}_add"
            source, channels = result, out
    layers.append(_conv_bn("head", source, 1280, 1, relu=True))
    return _finish("mobilenet_v2", InputSpec(channels=3, height=image, width=image), layers, classes, variant)


def shufflenet(classes: int = 10, image: int = 32, groups: int = 2, variant: str = "dense") -> Network:
    """ShuffleNet (version 1) in its CIFAR form: a 1x1 stem of 24, three stages of 4, 8, 4 units."""
    widths = {2: (200, 400, 800), 3: (240, 480, 960)}
    if groups not in widths:
        raise ConfigError(f"shufflenet: groups: must be 2 or 3, got {groups}")
    layers: list[Layer] = [_conv_bn("stem", INPUT, 24, 1, relu=True)]
    source, channels = "stem", 24
    for stage, (width, count) in enumerate(zip(widths[groups], (4, 8, 4), strict=True), start=1):
        for unit in range(count):
            name, first = f"s{stage}u{unit + 1}", unit == 0
            out = width - channels if first else width
            inner, group1 = out // 4, 1 if channels == 24 else groups
            layers += [
                _conv_bn(f"{name}_conv1", source, inner, 1, groups=group1, relu=True),
                ChannelShuffle(name=f"{name}_shuffle", input=f"{name}_conv1", groups=group1),
                _conv_bn(
                    f"{name}_depth", f"{name}_shuffle", inner, 3, stride=2 if first else 1, groups=inner, relu=True
                ),
                _conv_bn(f"{name}_conv3", f"{name}_depth", out, 1, groups=groups),
            ]
            if first:
                layers += [
                    AvgPool(name=f"{name}_pool", input=source, kernel=3, stride=2, padding=1),
                    Concat(name=f"{name}_concat", inputs=[f"{name}_conv3", f"{name}_pool"]),
                    Relu(name=f"{name}_relu", input=f"{name}_concat"),
                ]
                source = f"{name}_relu"
            else:
                layers.append(Add(name=f"{name}_add", inputs=[f"{name}_conv3", source], relu=True))
                source = f"{name}_add"
            channels = width
    return _finish("shufflenet", InputSpec(channels=3, height=image, width=image), layers, classes, variant)


def digits(variant: str = "dense", classes: int = 10) -> Network:
    """A residual network for 8x8 images of one channel, with one layer of each kind that engines meet."""
    layers: list[Layer] = [
        _conv_bn("conv1", INPUT, 16, 3, relu=True),
        _conv_bn("conv2", "conv1", 32, 3, relu=True),
        _conv_bn("conv3", "conv2", 32, 3),
        Add(name="add", inputs=["conv3", "conv2"], relu=True),
        MaxPool(name="pool", input="add"),
        _conv_bn("conv4", "pool", 64, 3, stride=2, relu=True),
    ]
    return _finish("digits", InputSpec(channels=1, height=8, width=8), layers, classes, variant)


_BUILDERS: dict[str, Callable[..., Network]] = {
    "resnet18": resnet18,
    "resnet8": resnet8,
    "resnet20": resnet20,
    "vgg16": vgg16,
    "mobilenet_v2": mobilenet_v2,
    "shufflenet": shufflenet,
    "resnet18_imagenet": resnet18_imagenet,
    "resnet50": resnet50,
    "digits": digits,
}
NETWORKS = tuple(_BUILDERS)
# Whose channels in the first stage can be chosen.
WITH_WIDTH = ("resnet8", "resnet18", "resnet20", "resnet18_imagenet", "resnet50")


@lru_cache
def make_network(name: str, dataset: str | Dataset, variant: str = "dense", width: int | None = None) -> Network:
    """The network `name` for a data set, one of DATASETS or another, with the support `variant` (see apply_variant).

    width: channels of the first stage, for networks of WITH_WIDTH.

    Raises ConfigError for a name or a pair unknown, and for a width of a network that has none.
    """
    if name not in _BUILDERS:
        raise ConfigError(f"network: must be one of {', '.join(NETWORKS)}, got {name!r}")
    if width is not None and name not in WITH_WIDTH:
        raise ConfigError(f"width: must be left out for {name}, got {width}; {', '.join(WITH_WIDTH)} have a width")
    if isinstance(dataset, str):
        if dataset not in DATASETS:
            raise ConfigError(f"dataset: must be one of {', '.join(DATASETS)}, got {dataset!r}")
        if (name == "digits") != (dataset == "digits"):
            fitting = ["digits"] if name == "digits" else [key for key in DATASETS if key != "digits"]
            raise ConfigError(f"dataset: must be {' or '.join(fitting)} for network {name}, got {dataset!r}")
        dataset = DATASETS[dataset]
    chosen = {} if width is None else {"width": width}
    standard = _BUILDERS[name](classes=dataset.classes, **chosen)
    source = InputSpec(channels=dataset.channels, height=dataset.height, width=dataset.width)
    network = Network(name=standard.name, input=source, layers=standard.layers, output=standard.output)
    return apply_variant(network, variant)


def _conv_bn(
    name: str, source: str, out: int, kernel: int, stride: int = 1, groups: int = 1, relu: bool = False
) -> Conv:
    """A convolution that keeps the image size (at stride 1), with batch norm in place of a bias."""
    return Conv(
        name=name,
        input=source,
        out_channels=out,
        kernel=kernel,
        stride=stride,
        padding=kernel // 2,
        groups=groups,
        relu=relu,
        bias=False,
        batch_norm=True,
    )


def _finish(name: str, source: InputSpec, layers: list[Layer], classes: int, variant: str) -> Network:
    """The network of `layers`, then global average pooling and a fully connected layer, under `variant`."""
    layers = [
        *layers,
        GlobalAvgPool(name="avgpool", input=layers[-1].name),
        Linear(name="fc", input="avgpool", out_features=classes),
    ]
    return apply_variant(Network(name=name, input=source, layers=layers, output="fc"), variant)
