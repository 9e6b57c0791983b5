"""Parameters and multiply-accumulates of a network, and the reductions against its dense twin.

The papers count in several ways; `Complexity.reduction` says which way gives which of their claims. What they
call FLOPs are multiply-accumulates (MACs).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from pymodel.network.topology import Conv, Linear, Network
from pymodel.nn.variants import Family


@dataclass(frozen=True)
class LayerComplexity:
    """Counts of one layer with weights, for one image. `weights` are those that may be nonzero."""

    name: str
    op: str
    support: str
    out_shape: tuple[int, int, int]
    weights: int
    dense_weights: int
    batch_norm: int
    bias: int
    macs: int
    dense_macs: int


@dataclass(frozen=True)
class Complexity:
    """Counts of a network: layer by layer, and in total."""

    network: str
    layers: tuple[LayerComplexity, ...]
    origin: Complexity | None = None  # of the dense network, where that has other layers than the dense twin

    def total(self, key: str, op: str | None = None) -> int:
        """The sum of a count of LayerComplexity over all layers, or over those with operation `op`."""
        return sum(getattr(layer, key) for layer in self.layers if op in (None, layer.op))

    @property
    def parameters(self) -> int:
        """Weights, batch norm (scale and offset) and biases of all layers."""
        return self.total("weights") + self.total("batch_norm") + self.total("bias")

    @property
    def dense_parameters(self) -> int:
        """`parameters` of the dense network."""
        if self.origin:
            return self.origin.parameters
        return self.total("dense_weights") + self.total("batch_norm") + self.total("bias")

    @property
    def macs(self) -> int:
        """Multiply-accumulates of an image, all layers."""
        return self.total("macs")

    def reduction(self, what: str) -> float:
        """Dense count over sparse count, for `what`:

        conv_weights  weights of the convolutions: how the papers count VGG16
        weights       with those of fully connected layers: how they count "82 % fewer parameters" of ResNet18
        parameters    with batch norm and biases too: how [A] counts its "4.24x" of ResNet18
        conv_macs     multiply-accumulates of the convolutions
        macs          of all layers
        """
        origin = self.origin or self
        pairs = {
            "conv_weights": (origin.total("dense_weights", "conv"), self.total("weights", "conv")),
            "weights": (origin.total("dense_weights"), self.total("weights")),
            "parameters": (self.dense_parameters, self.parameters),
            "conv_macs": (origin.total("dense_macs", "conv"), self.total("macs", "conv")),
            "macs": (origin.total("dense_macs"), self.macs),
        }
        dense, sparse = pairs[what]
        return dense / sparse

    def to_json(self) -> dict[str, Any]:
        """All counts, for machines."""
        return {
            "network": self.network,
            "conv_weights": self.total("weights", "conv"),
            "weights": self.total("weights"),
            "parameters": self.parameters,
            "conv_macs": self.total("macs", "conv"),
            "macs": self.macs,
            "reduction": {
                what: self.reduction(what) for what in ("conv_weights", "weights", "parameters", "conv_macs", "macs")
            },
            "layers": [asdict(layer) for layer in self.layers],
        }


def complexity(network: Network, origin: Network | None = None) -> Complexity:
    """The counts of a network; its reductions are those against the dense network `origin`, or its dense twin.

    convolution      weights = support's taps of all kernels;  macs = hout * wout * weights
    fully connected  weights = macs = out * in
    batch norm       2 parameters a channel (scale and offset; running statistics are not trained)
    """
    layers = tuple(_layer(network, layer) for layer in network.weighted_layers())
    return Complexity(network.name, layers, complexity(origin) if origin else None)


def compare_variants(family: Family) -> dict[str, Complexity]:
    """The counts of a network under each variant."""
    return {variant: complexity(network, family.dense) for variant, network in family.networks.items()}


def _layer(network: Network, layer: Conv | Linear) -> LayerComplexity:
    channels, height, width = out_shape = network.shapes()[layer.name]
    dense = 1
    for size in network.weight_shape(layer):
        dense *= size
    weights, support = dense, "dense"
    if isinstance(layer, Conv):
        periodic = layer.make_support()
        weights, support = periodic.weights(*network.weight_shape(layer)[:2]), periodic.name
    return LayerComplexity(
        name=layer.name,
        op=layer.op,
        support=support,
        out_shape=out_shape,
        weights=weights,
        dense_weights=dense,
        batch_norm=2 * channels if isinstance(layer, Conv) and layer.batch_norm else 0,
        bias=channels if layer.bias else 0,
        macs=height * width * weights,
        dense_macs=height * width * dense,
    )
