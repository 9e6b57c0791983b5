"""PyTorch models as people write them, small: what the front end must take without knowing them."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn
from torch.nn import functional

from pymodel.nn.psconv2d import PSConv2d


class LeNet(nn.Module):
    """28x28 digits; ReLU before one pool and behind the other."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 6, 5, padding=2)
        self.conv2 = nn.Conv2d(6, 16, 5)
        self.fc1 = nn.Linear(16 * 5 * 5, 120)
        self.fc2 = nn.Linear(120, 84)
        self.fc3 = nn.Linear(84, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = functional.max_pool2d(functional.relu(self.conv1(x)), 2)
        x = functional.relu(functional.max_pool2d(self.conv2(x), 2))
        x = torch.flatten(x, 1)
        x = functional.relu(self.fc1(x))
        x = functional.relu(self.fc2(x))
        return self.fc3(x)


def mlp() -> nn.Module:
    """784-64-10."""
    return nn.Sequential(nn.Flatten(), nn.Linear(784, 64), nn.BatchNorm1d(64), nn.ReLU(), nn.Linear(64, 10))


class VGG(nn.Module):
    """Convolutions with batch norm and pools made from a list, as torchvision makes them."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = 3
        for entry in (8, "M", 16, 16, "M", 32, "M"):
            if entry == "M":
                layers.append(nn.MaxPool2d(2, 2))
                continue
            layers += [nn.Conv2d(channels, entry, 3, padding=1), nn.BatchNorm2d(entry), nn.ReLU(inplace=True)]
            channels = entry
        self.features = nn.Sequential(*layers)
        self.avgpool = nn.AdaptiveAvgPool2d((2, 2))
        self.classifier = nn.Sequential(nn.Linear(32 * 2 * 2, 24), nn.ReLU(True), nn.Dropout(), nn.Linear(24, 10))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.avgpool(self.features(x))
        return self.classifier(x.view(x.size(0), -1))


class BasicBlock(nn.Module):
    """A block of ResNet: the ReLU object is called twice, once in place on a convolution, once on the sum."""

    def __init__(self, channels: int, out: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, out, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(out)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(out, out, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(out)
        self.downsample = None
        if stride != 1 or channels != out:
            self.downsample = nn.Sequential(nn.Conv2d(channels, out, 1, stride, bias=False), nn.BatchNorm2d(out))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        identity = x if self.downsample is None else self.downsample(x)
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        out += identity
        return self.relu(out)


class ResNet(nn.Module):
    """Stem with a padded pool, two stages, global mean."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 8, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(8)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(kernel_size=3, stride=2, padding=1)
        self.layer1 = nn.Sequential(BasicBlock(8, 8), BasicBlock(8, 8))
        self.layer2 = nn.Sequential(BasicBlock(8, 16, 2), BasicBlock(16, 16))
        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
        self.fc = nn.Linear(16, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        x = self.layer2(self.layer1(x))
        return self.fc(torch.flatten(self.avgpool(x), 1))


class InvertedResidual(nn.Module):
    """A block of MobileNetV2: expand, depthwise, project, all with ReLU6 but the last."""

    def __init__(self, channels: int, out: int, stride: int, expand: int) -> None:
        super().__init__()
        hidden = channels * expand
        self.use_res_connect = stride == 1 and channels == out
        self.conv = nn.Sequential(
            *_conv_bn_relu6(channels, hidden, 1),
            *_conv_bn_relu6(hidden, hidden, 3, stride, groups=hidden),
            nn.Conv2d(hidden, out, 1, bias=False),
            nn.BatchNorm2d(out),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.conv(x) if self.use_res_connect else self.conv(x)


def _conv_bn_relu6(channels: int, out: int, kernel: int, stride: int = 1, groups: int = 1) -> list[nn.Module]:
    conv = nn.Conv2d(channels, out, kernel, stride, (kernel - 1) // 2, groups=groups, bias=False)
    return [conv, nn.BatchNorm2d(out), nn.ReLU6(inplace=True)]


def mobilenet() -> nn.Module:
    """Two inverted residuals, mean, classifier."""
    return nn.Sequential(
        *_conv_bn_relu6(3, 8, 3, 2),
        InvertedResidual(8, 8, 1, 2),
        InvertedResidual(8, 16, 2, 2),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Dropout(0.2),
        nn.Linear(16, 10),
    )


class Fire(nn.Module):
    """A module of SqueezeNet."""

    def __init__(self, channels: int, squeeze: int, expand: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(channels, squeeze, 1)
        self.squeeze_activation = nn.ReLU(inplace=True)
        self.expand1x1 = nn.Conv2d(squeeze, expand, 1)
        self.expand3x3 = nn.Conv2d(squeeze, expand, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.squeeze_activation(self.squeeze(x))
        return torch.cat([functional.relu(self.expand1x1(x)), functional.relu(self.expand3x3(x))], 1)


def squeezenet() -> nn.Module:
    """The classifier is a convolution; its pool's last window is whole at 15x15 pixels, for all of ceil_mode."""
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, stride=2),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(3, 2, ceil_mode=True),
        Fire(8, 4, 8),
        Fire(16, 4, 8),
        nn.Conv2d(16, 10, 1),
        nn.ReLU(inplace=True),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
    )


def channel_shuffle(x: torch.Tensor, groups: int) -> torch.Tensor:
    """As torchvision's ShuffleNet has it."""
    batch, channels, height, width = x.size()
    x = x.view(batch, groups, channels // groups, height, width)
    x = torch.transpose(x, 1, 2).contiguous()
    return x.view(batch, -1, height, width)


class ShuffleUnit(nn.Module):
    """A unit of ShuffleNet: grouped 1x1, shuffle, depthwise, grouped 1x1, added."""

    def __init__(self, channels: int, groups: int) -> None:
        super().__init__()
        self.groups = groups
        self.reduce = nn.Conv2d(channels, channels, 1, groups=groups, bias=False)
        self.norm1 = nn.BatchNorm2d(channels)
        self.depthwise = nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False)
        self.norm2 = nn.BatchNorm2d(channels)
        self.expand = nn.Conv2d(channels, channels, 1, groups=groups, bias=False)
        self.norm3 = nn.BatchNorm2d(channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = functional.relu(self.norm1(self.reduce(x)))
        y = channel_shuffle(y, self.groups)
        y = self.norm2(self.depthwise(y))
        return functional.relu(x + self.norm3(self.expand(y)))


def shufflenet() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 12, 3, 2, 1),
        nn.ReLU(),
        ShuffleUnit(12, 3),
        ShuffleUnit(12, 3),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(12, 10),
    )


class SegmentationHead(nn.Module):
    """Scores for each pixel: a dilated and a wide convolution beside one another, joined, normalised before ReLU."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor([0.25, -0.5, 0.125]).view(1, 3, 1, 1))
        self.stem = nn.Conv2d(3, 8, 3, padding="same")
        self.wide = nn.Conv2d(8, 8, (1, 5), padding=(0, 2))
        self.atrous = nn.Conv2d(8, 8, 3, padding=2, dilation=2)
        self.norm = nn.BatchNorm2d(16)
        self.classes = nn.Conv2d(16, 5, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = functional.relu(self.stem((x - self.mean) / 0.5))
        x = torch.cat((self.wide(x), self.atrous(x)), dim=1)
        return self.classes(functional.relu(self.norm(x)))


def sparse() -> nn.Module:
    """Convolutions of this project's own."""
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1),
        nn.ReLU(),
        PSConv2d(16, 16, 3, padding=1, support="PSD1_P16", bias=False),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        PSConv2d(16, 16, 3, padding=1, support="pSC4"),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(16 * 4 * 4, 10),
    )


class SamePadding(nn.Module):
    """TensorFlow's padding by hand, and an even kernel with padding "same": more on the right than on the left."""

    def __init__(self) -> None:
        super().__init__()
        self.down = nn.Conv2d(3, 8, 3, stride=2)
        self.even = nn.Conv2d(8, 8, 2, padding="same")
        self.fc = nn.Linear(8, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = functional.relu(self.down(functional.pad(x, (0, 1, 0, 1))))
        return self.fc(self.even(x).mean([2, 3]))


class TwoHeads(nn.Module):
    """Two results from one body."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Conv2d(3, 8, 3, padding=1)
        self.one = nn.Conv2d(8, 4, 1)
        self.other = nn.Linear(8, 3)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        x = torch.relu(self.body(x))
        return self.one(x), self.other(x.mean(dim=(2, 3)))


# Name -> how it is made, the shape of its images, the number of layers of its topology.
MODELS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...], int]] = {
    "lenet": (LeNet, (1, 28, 28), 7),
    "mlp": (mlp, (1, 28, 28), 2),
    "mlp of vectors": (lambda: nn.Sequential(nn.Linear(784, 64), nn.ReLU(), nn.Linear(64, 10)), (784,), 2),
    "vgg": (VGG, (3, 16, 16), 9),
    "resnet": (ResNet, (3, 16, 16), 17),
    "mobilenet": (mobilenet, (3, 16, 16), 10),
    "squeezenet": (squeezenet, (3, 15, 15), 12),
    "shufflenet": (shufflenet, (3, 16, 16), 13),
    "segmentation": (SegmentationHead, (3, 9, 7), 7),
    "sparse": (sparse, (1, 8, 8), 5),
    "same padding": (SamePadding, (3, 16, 16), 4),
    "two heads": (TwoHeads, (3, 8, 8), 4),
}


def made(name: str, seed: int = 0) -> tuple[nn.Module, tuple[int, ...]]:
    """A model in evaluation with random statistics in its batch norms, and the shape of its images."""
    make, shape, _ = MODELS[name]
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = make()
        for module in model.modules():
            if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
                nn.init.normal_(module.running_mean, std=0.2)
                nn.init.uniform_(module.running_var, 0.5, 2.0)
                nn.init.uniform_(module.weight, 0.5, 1.5)
                nn.init.normal_(module.bias, std=0.2)
    return model.eval(), shape
