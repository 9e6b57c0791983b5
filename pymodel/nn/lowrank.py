"""Low rank: a K x K convolution as one with few outputs and a 1x1 convolution, by singular value decomposition.

The weights as a matrix [cout, cin * K * K] = U S V are cut off after the r largest singular values: sqrt(S) V is a
K x K convolution with r outputs, U sqrt(S) a 1x1 convolution on them (X. Zhang et al., "Accelerating very deep
convolutional networks for classification and detection", IEEE TPAMI 38(10), 2016, section 2.1, without its data).
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from pymodel.common.errors import ConfigError
from pymodel.network.topology import Conv, Layer, Network
from pymodel.nn.build import NetworkModule


@dataclass(frozen=True)
class _Factors:
    """A layer's decomposition. left: [cout, n], right: [n, cin * K * K], values: [n], descending."""

    left: torch.Tensor
    values: torch.Tensor
    right: torch.Tensor

    @classmethod
    def of(cls, weight: torch.Tensor) -> _Factors:
        return cls(*torch.linalg.svd(weight.detach().double().flatten(1), full_matrices=False))

    @property
    def cost(self) -> int:
        """Weights that each rank takes."""
        return len(self.left) + self.right.shape[1]

    @property
    def most(self) -> int:
        """The highest rank with which the layer has no more weights than before."""
        return min(len(self.values), len(self.left) * self.right.shape[1] // self.cost)

    def error(self, rank: int) -> float:
        """The squared error of that rank over the sum of the squared weights."""
        squares = self.values.square()
        return float(squares[rank:].sum() / squares.sum())


def low_rank(network: NetworkModule, layers: Sequence[str], weights: int) -> NetworkModule:
    """`network` with the convolutions `layers` decomposed, of together at most `weights` weights, and nearly as many.

    The ranks are those with which the largest relative error of any layer is least (`choose_ranks`). The new network
    starts from the decomposed weights and the other parameters of the old one. Raises ConfigError for a grouped
    convolution and too few weights.
    """
    for name in layers:
        if network.conv(name).groups > 1:
            raise ConfigError(f"SVD: layer {name}: groups: must be 1, a grouped convolution has no rank to lower")
    factors = {name: _Factors.of(network.conv(name).weight) for name in layers}
    ranks = dict(zip(layers, choose_ranks(list(factors.values()), weights), strict=True))
    state = network.state_dict()
    for name, factor in factors.items():
        rank, shape = ranks[name], network.conv(name).weight.shape
        root = factor.values[:rank].sqrt()
        state[f"layers.{_basis(name)}.conv.weight"] = (root[:, None] * factor.right[:rank]).view(rank, *shape[1:])
        state[f"layers.{name}.conv.weight"] = (factor.left[:, :rank] * root)[:, :, None, None]
    module = NetworkModule(_decomposed(network.network, ranks))
    module.load_state_dict(state)
    return module


def choose_ranks(factors: Sequence[_Factors], weights: int) -> list[int]:
    """One rank for each layer, at least 1: each next one goes where the relative error is largest, while it fits.

    The sum of squared errors would not do: at initialisation all singular values are alike, and the small layers,
    where a rank is cheap, would get them all. Raises ConfigError for too few weights.
    """
    ranks, left = [1] * len(factors), weights - sum(factor.cost for factor in factors)
    if left < 0:
        raise ConfigError(f"SVD: weights: must be at least {weights - left}, rank 1 in every layer, got {weights}")
    waiting = [(-factor.error(1), index) for index, factor in enumerate(factors)]
    heapq.heapify(waiting)
    while waiting:
        _, index = heapq.heappop(waiting)
        factor = factors[index]
        # A layer whose next rank does not fit has its last one; a smaller layer's may still fit.
        if factor.cost <= left and ranks[index] < factor.most:
            ranks[index] += 1
            left -= factor.cost
            heapq.heappush(waiting, (-factor.error(ranks[index]), index))
    return ranks


def _decomposed(network: Network, ranks: dict[str, int]) -> Network:
    layers: list[Layer] = []
    for layer in network.layers:
        if isinstance(layer, Conv) and layer.name in ranks:
            basis = Conv(
                name=_basis(layer.name),
                input=layer.input,
                out_channels=ranks[layer.name],
                kernel=layer.kernel,
                stride=layer.stride,
                padding=layer.padding,
                bias=False,
            )
            changes = {"input": basis.name, "kernel": 1, "stride": 1, "padding": 0}
            layers += [basis, Conv(**{**layer.model_dump(), **changes})]
        else:
            layers.append(layer)
    return Network(name=network.name, input=network.input, layers=layers, output=network.output)


def _basis(name: str) -> str:
    """The name of the K x K convolution in front of the 1x1 convolution that keeps the layer's name."""
    return f"{name}_basis"
