"""The golden model of one engine: a convolution and its requantisation, of integers."""

from __future__ import annotations

import numpy as np

from pymodel.common.arrays import Int8, Integers
from pymodel.engine.packing import EngineShape
from pymodel.golden import ops
from pymodel.network.formats import check_accumulator, requantise


def conv_layer(
    images: Integers, weights: Integers, bias: Integers, shape: EngineShape, scales: Integers | None = None
) -> Int8:
    """Output of one engine: int8 [n, cout, hout, wout].

    images: int [n, cin, height, width]; weights: int [cout, cin / groups, K, K]; bias, scales: int [cout].
    Raises ConfigError: an accumulator that is too small.
    """
    check_accumulator(weights, bias, shape.in_bits, shape.acc_bits, "layer")
    factors = None if scales is None else scales[:, None, None]
    acc = ops.conv2d(images, weights, bias, shape.stride, shape.padding, shape.groups)
    return requantise(acc, shape.shift, shape.out_bits, shape.relu, factors, shape.limit, shape.rounding).astype(
        np.int8
    )
