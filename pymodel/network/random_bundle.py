"""Bundles with generated weights: a network's hardware can be built and checked before anything is trained."""

from __future__ import annotations

import math
import zlib

import numpy as np

from pymodel.network.bundle import Bundle
from pymodel.network.formats import MAX_SHIFT, Format
from pymodel.network.topology import INPUT, Conv, Network

FRAC = 4  # of every tensor: additions need no alignment then


def random_bundle(network: Network, seed: int, weight_bits: int = 8, activation_bits: int = 8) -> Bundle:
    """A bundle of `network` (batch norm folded) with uniformly distributed weights on its supports.

    A layer's shift undoes what its products and sums do to the spread of the activations, sqrt(n / 2) * the spread of
    the weights for n weights of an output channel after a ReLU (He et al., 2015), so that values neither die out nor
    all saturate. The same arguments give the same bundle. Raises ConfigError: a layer that has no fixed-point form.
    """
    network = network.folded()
    activations = Format(activation_bits, FRAC)
    reach = 1 << (weight_bits - 1)
    weights, biases, weight_formats = {}, {}, {}
    for layer in network.weighted_layers():
        rng = np.random.default_rng([seed, zlib.crc32(layer.name.encode())])
        shape = network.weight_shape(layer)
        values = rng.integers(-reach, reach, shape)
        if isinstance(layer, Conv):
            values *= layer.make_support().mask(*shape[:2])
        nonzero = values[values != 0]  # none at all in a small layer, at times
        gain = math.sqrt(max(len(nonzero) / shape[0], 1) / 2) * nonzero.std() if len(nonzero) else 1
        shift = min(max(round(math.log2(max(gain, 1))), 0), MAX_SHIFT)
        weights[layer.name] = values.astype(np.int8)
        weight_formats[layer.name] = Format(weight_bits, shift)
        if layer.bias:
            largest = (1 << shift) * activations.max // 4
            biases[layer.name] = rng.integers(-largest, largest + 1, shape[0]).astype(np.int32)
    return Bundle(
        network=network,
        formats=dict.fromkeys((INPUT, *(layer.name for layer in network.layers)), activations),
        weight_formats=weight_formats,
        weights=weights,
        biases=biases,
    )
