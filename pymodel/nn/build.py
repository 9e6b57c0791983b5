"""The torch module of a pymodel.network.topology.Network: the topology stays defined there, once."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn
from torch.nn import functional

from pymodel.common.errors import ConfigError
from pymodel.network import topology
from pymodel.network.topology import INPUT, Network
from pymodel.nn.psconv2d import PSConv2d

Observer = Callable[[str, torch.Tensor], None]
Around = tuple[int, int, int, int]  # left, right, top, bottom: torch's order


class NetworkModule(nn.Module):
    """A network as torch layers: real input [n, C, H, W] -> output [n, features of the output layer].

    Where there are several output layers, the features of one after the other.
    """

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network
        shapes = network.shapes()
        self.layers = nn.ModuleDict({layer.name: _module(layer, shapes[layer.sources[0]]) for layer in network.layers})
        self._released = _released_after(network)

    def forward(self, x: torch.Tensor, observe: Observer | None = None) -> torch.Tensor:
        """`observe(name, value)` sees the input (under the name INPUT) and every layer's output."""
        values = {INPUT: x}
        if observe:
            observe(INPUT, x)
        for layer in self.network.layers:
            value = self.layers[layer.name](*(values[source] for source in layer.sources))
            values[layer.name] = value
            if observe:
                observe(layer.name, value)
            for name in self._released[layer.name]:
                del values[name]
        return torch.cat([values[output].flatten(1) for output in self.network.outputs], dim=1)

    def conv(self, name: str) -> nn.Conv2d:
        """The convolution of the layer called `name`. Raises ConfigError for a layer of another kind."""
        block = self.layers[name]
        if not isinstance(block, ConvBlock):
            raise ConfigError(f"layer {name}: op: must be conv, got {self.network.layer(name).op}")
        return block.conv


class Rectifier(nn.Module):
    """The ReLU at the end of a layer, with its upper bound, where the layer has them."""

    def __init__(self, layer: topology.Rectified) -> None:
        super().__init__()
        self.relu, self.clip = layer.relu, layer.clip

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.clip is not None:
            return x.clamp(0, self.clip)
        return functional.relu(x) if self.relu else x


class ConvBlock(nn.Module):
    """Convolution, then batch norm and ReLU where the layer has them."""

    def __init__(self, layer: topology.Conv, in_channels: int) -> None:
        super().__init__()
        support, (own, self.around) = layer.make_support(), _padding_of(layer.pads)
        channels, window = (in_channels, layer.out_channels), (layer.kernel, layer.stride, own)
        self.conv: nn.Conv2d = (
            nn.Conv2d(*channels, *window, groups=layer.groups, bias=layer.bias)
            if support.is_dense
            else PSConv2d(*channels, *window, groups=layer.groups, bias=layer.bias, support=support)
        )
        self.norm = nn.BatchNorm2d(layer.out_channels) if layer.batch_norm else None
        self.rectifier = Rectifier(layer)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.conv(padded(x, self.around))
        if self.norm is not None:
            x = self.norm(x)
        rectified: torch.Tensor = self.rectifier(x)
        return rectified


class FullyConnected(nn.Module):
    """Linear layer on the flattened input; the output keeps the form [n, features, 1, 1]."""

    def __init__(self, layer: topology.Linear, in_features: int) -> None:
        super().__init__()
        self.linear = nn.Linear(in_features, layer.out_features, layer.bias)
        self.rectifier = Rectifier(layer)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        rectified: torch.Tensor = self.rectifier(self.linear(x.flatten(1))[:, :, None, None])
        return rectified


class Addition(nn.Module):
    """The residual addition."""

    def __init__(self, layer: topology.Add) -> None:
        super().__init__()
        self.rectifier = Rectifier(layer)

    def forward(self, left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
        rectified: torch.Tensor = self.rectifier(left + right)
        return rectified


class Concatenation(nn.Module):
    """The inputs' channels one after the other."""

    def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
        return torch.cat(inputs, dim=1)


class GlobalAverage(nn.Module):
    """Mean of each channel, [n, C, 1, 1]."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        # Not `mean`, which multiplies by 1 / (h * w) on some devices: a half would not be one any more.
        return x.sum(dim=(2, 3), keepdim=True) / (x.shape[2] * x.shape[3])


def nonzero_weights(model: nn.Module) -> int:
    """Weights of a model's convolutions and linear layers that may be nonzero."""
    total = 0
    for module in model.modules():
        if isinstance(module, PSConv2d):
            total += int((~module.pruned).sum())
        elif isinstance(module, nn.Conv2d | nn.Linear):
            total += module.weight.numel()
    return total


def _module(layer: topology.Layer, source: topology.Shape) -> nn.Module:
    match layer:
        case topology.Conv():
            return ConvBlock(layer, source[0])
        case topology.Linear():
            return FullyConnected(layer, source[0] * source[1] * source[2])
        case topology.MaxPool():
            own, around = _padding_of(layer.pads, layer.kernel // 2)
            largest = nn.MaxPool2d(layer.kernel, layer.stride, own)
            return nn.Sequential(nn.ConstantPad2d(around, -torch.inf), largest) if any(around) else largest
        case topology.AvgPool():
            own, around = _padding_of(layer.pads, layer.kernel // 2)
            mean = nn.AvgPool2d(layer.kernel, layer.stride, own)
            return nn.Sequential(nn.ZeroPad2d(around), mean) if any(around) else mean
        case topology.GlobalAvgPool():
            return GlobalAverage()
        case topology.Add():
            return Addition(layer)
        case topology.Concat():
            return Concatenation()
        case topology.ChannelShuffle():
            return nn.ChannelShuffle(layer.groups)
        case topology.Relu():
            return Rectifier(layer)
    raise ConfigError(f"layer {layer.name}: no torch module for {layer.op}")


def padded(x: torch.Tensor, around: Around) -> torch.Tensor:
    """Images with so many columns and rows of zeros around them."""
    return functional.pad(x, around) if any(around) else x


def _padding_of(pads: topology.Padding, most: int | None = None) -> tuple[tuple[int, int], Around]:
    """(rows, columns) that a module of torch pads by itself, alike on both sides and by at most `most`; and what has to
    be around its input where it cannot."""
    itself = pads.top == pads.bottom and pads.left == pads.right
    if itself and (most is None or max(pads) <= most):
        return (pads.top, pads.left), (0, 0, 0, 0)
    return (0, 0), (pads.left, pads.right, pads.top, pads.bottom)


def _released_after(network: Network) -> dict[str, list[str]]:
    """Layer -> the tensors that no later layer reads, so that memory holds only what is still needed."""
    last_use = {INPUT: network.layers[0].name} | {layer.name: layer.name for layer in network.layers}
    for layer in network.layers:
        last_use.update(dict.fromkeys(layer.sources, layer.name))
    last_use |= dict.fromkeys(network.outputs, "")  # the result stays
    released: dict[str, list[str]] = {layer.name: [] for layer in network.layers}
    for tensor, reader in last_use.items():
        if reader:
            released[reader].append(tensor)
    return released
