"""Bits that hold a layer's weights and what tells their positions, in five formats.

Of W = cout * cin * K * K positions (cin of a group), R = cin * K * K in each filter, n hold w-bit weights.

    format      weights   indices
    dense       W * w     none: position is implied, zeros are stored
    periodic    n * w     P * K * K: one bit map of a period for the whole layer (periodic supports only)
    per_weight  n * w     n * ceil(log2(K * K)): the tap of each weight in its kernel; and a count of 0..K*K
                          weights, ceil(log2(K * K + 1)) bits a kernel, unless all kernels have the same
    bitmap      n * w     W: one bit a position
    csr         n * w     n * ceil(log2(R)): the column of each weight in the matrix [cout, R]; and cout + 1
                          row starts of ceil(log2(n + 1)) bits

The widths are the narrowest that do for the layer. A dense layer is stored dense in every format: no sane
design keeps indices for it.
"""

from __future__ import annotations

from dataclasses import dataclass

from pymodel.common.arrays import Bool
from pymodel.common.errors import ConfigError
from pymodel.network.supports import AnySupport, Support
from pymodel.network.topology import Conv, Linear, Network

FORMATS = ("dense", "periodic", "per_weight", "bitmap", "csr")


@dataclass(frozen=True)
class Storage:
    """Bits of weights and of indices."""

    weight_bits: int
    index_bits: int

    @property
    def bits(self) -> int:
        return self.weight_bits + self.index_bits

    def __add__(self, other: Storage) -> Storage:
        return Storage(self.weight_bits + other.weight_bits, self.index_bits + other.index_bits)


def mask_storage(mask: Bool, weight_bits: int) -> dict[str, Storage]:
    """Storage of the positions that `mask`, bool [cout, cin, K, K], allows, in every format but "periodic".

    Raises ConfigError unless the mask has four dimensions.
    """
    if mask.ndim != 4:
        raise ConfigError(f"mask: shape must be [cout, cin, K, K], got {list(mask.shape)}")
    cout, cin, kernel, _ = mask.shape
    taps, count = kernel * kernel, int(mask.sum())
    weights = count * weight_bits
    if count == mask.size:
        return dict.fromkeys(("dense", "per_weight", "bitmap", "csr"), Storage(weights, 0))
    per_kernel = mask.sum(axis=(2, 3))
    count_bits = 0 if per_kernel.min() == per_kernel.max() else _index_width(taps + 1)
    return {
        "dense": Storage(mask.size * weight_bits, 0),
        "per_weight": Storage(weights, count * _index_width(taps) + cout * cin * count_bits),
        "bitmap": Storage(weights, mask.size),
        "csr": Storage(weights, count * _index_width(cin * taps) + (cout + 1) * _index_width(count + 1)),
    }


def support_storage(support: AnySupport, cout: int, cin: int, weight_bits: int) -> dict[str, Storage]:
    """Storage of a layer with `support` in every format; "periodic" only where the support has a period."""
    storage = mask_storage(support.mask(cout, cin), weight_bits)
    if isinstance(support, Support):
        weights = support.weights(cout, cin) * weight_bits
        storage["periodic"] = Storage(weights, support.index_bits())
    return storage


def network_storage(network: Network, weight_bits: int = 8) -> dict[str, dict[str, Storage]]:
    """Storage of each layer with weights, by layer name and format. Biases (equal in all) are left out."""
    return {layer.name: _layer_storage(network, layer, weight_bits) for layer in network.weighted_layers()}


def total(layers: dict[str, dict[str, Storage]]) -> dict[str, Storage]:
    """The sums over all layers, for each format that every layer has."""
    return {
        form: sum((layer[form] for layer in layers.values()), Storage(0, 0))
        for form in FORMATS
        if all(form in layer for layer in layers.values())
    }


def _layer_storage(network: Network, layer: Conv | Linear, weight_bits: int) -> dict[str, Storage]:
    shape = network.weight_shape(layer)
    if isinstance(layer, Conv):
        return support_storage(layer.make_support(), shape[0], shape[1], weight_bits)
    return support_storage(Support.parse("dense", 1), shape[0], shape[1], weight_bits)


def _index_width(values: int) -> int:
    """ceil(log2(values)): bits that tell `values` possibilities apart."""
    return (values - 1).bit_length()
