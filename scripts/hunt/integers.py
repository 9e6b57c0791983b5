"""What layers compute, once more: by the formulas of docs/reference/interfaces.md on plain integers.

Campaigns compare with it. It shares no code with pymodel.golden or the C++: a sum over taps of int64 products, and that
is all.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction

import numpy as np

from pymodel.common.arrays import Int8, Int64, Integers
from pymodel.network.bundle import Bundle
from pymodel.network.topology import Layer


def convolution(
    x: Integers, weights: Integers, bias: Integers, stride: int, padding: int | Sequence[int], groups: int = 1
) -> Int64:
    """Sums, int64 [n, cout, hout, wout], of x int [n, cin, h, w] and weights int [cout, cin / groups, K, K]."""
    taps = patches(x, weights.shape[-1], stride, padding, 0)
    sums = np.zeros((len(x), len(weights), *taps.shape[-2:]), np.int64)
    first = np.arange(len(weights)) // (len(weights) // groups) * weights.shape[1]  # input channel of each filter
    for row, column in np.ndindex(weights.shape[2:]):
        for channel in range(weights.shape[1]):
            w = weights[:, channel, row, column].astype(np.int64)
            sums += w[None, :, None, None] * taps[row, column][:, first + channel]
    return sums + bias.astype(np.int64)[None, :, None, None]


def patches(x: Integers, kernel: int, stride: int, padding: int | Sequence[int], outside: int) -> Int64:
    """int64 [K, K, n, c, hout, wout]: what each tap of the window meets at each place.

    padding: on each side, or of top, left, bottom, right.
    """
    n, channels, height, width = x.shape
    top, left, bottom, right = [padding] * 4 if isinstance(padding, int) else padding
    wide = np.full((n, channels, top + height + bottom, left + width + right), outside, np.int64)
    wide[:, :, top : top + height, left : left + width] = x
    rows = range(0, top + height + bottom - kernel + 1, stride)
    columns = range(0, left + width + right - kernel + 1, stride)
    found = np.empty((kernel, kernel, n, channels, len(rows), len(columns)), np.int64)
    for row, column in np.ndindex(kernel, kernel):
        for at, y in enumerate(rows):
            for to, z in enumerate(columns):
                found[row, column, :, :, at, to] = wide[:, :, y + row, z + column]
    return found


def requantised(
    sums: Int64,
    shift: int,
    bits: int,
    relu: bool,
    scales: Integers | None = None,
    most: int | None = None,
    to_even: bool = False,
) -> Int64:
    """Sums, times a scale for each channel, over 2**shift: half is added, rounded down, kept within `bits`.

    most: the largest output; None: that of `bits`. to_even: what is halfway goes to the even integer.
    """
    if scales is not None:
        sums = sums * scales.astype(np.int64)[None, :, None, None]
    rounded = np.floor_divide(sums + (2**shift // 2), 2**shift)
    if to_even:
        rounded = np.rint(sums / 2**shift).astype(np.int64)
    kept: Int64 = np.clip(rounded, 0 if relu else -(2 ** (bits - 1)), 2 ** (bits - 1) - 1 if most is None else most)
    return kept


def most(layer: Layer, bits: int, frac: int) -> int:
    """The largest output of a layer with or without an upper bound, in units of 2**-frac."""
    greatest = (1 << (bits - 1)) - 1
    clip = getattr(layer, "clip", None)
    if clip is None:
        return greatest
    return min(greatest, math.floor(Fraction(clip) * Fraction(2) ** frac + Fraction(1, 2)))


def mean(sums: Int64, count: int, to_even: bool = False) -> Int64:
    """Sums over a number, to the nearest integer: a half more, rounded down."""
    if to_even:
        nearest: Int64 = np.rint(sums / count).astype(np.int64)
        return nearest
    found: Int64 = np.floor_divide(sums * 2 + count, 2 * count)
    return found


def outputs(bundle: Bundle, x: Integers) -> dict[str, Int8]:
    """int8 [n, c, h, w] of every layer, by name; "input" is x itself."""
    found = {"input": x.astype(np.int8)}
    for layer in bundle.network.layers:
        found[layer.name] = _output(bundle, layer, [found[source] for source in layer.sources]).astype(np.int8)
    return found


def _output(bundle: Bundle, layer: Layer, inputs: list[Int8]) -> Int64:
    x, bits, name = inputs[0].astype(np.int64), bundle.formats[layer.name].bits, layer.name
    high, to_even = most(layer, bits, bundle.formats[name].frac), bundle.rounding == "half_even"
    if layer.op in ("conv", "linear"):
        weights = bundle.weights[name]
        bias = bundle.biases.get(name, np.zeros(len(weights), np.int64))
        shift = bundle.formats[layer.input].frac + bundle.weight_formats[name].frac - bundle.formats[name].frac
        if layer.op == "linear":
            sums = convolution(x.reshape(len(x), -1, 1, 1), weights.reshape(len(weights), -1, 1, 1), bias, 1, 0)
        else:
            sums = convolution(x, weights, bias, layer.stride, layer.padding, layer.groups)
        return requantised(sums, shift, bits, layer.relu, bundle.scales.get(name), high, to_even)
    if layer.op == "add":
        fracs = [bundle.formats[source].frac for source in layer.inputs]
        fine = max(fracs)
        sums = sum(y.astype(np.int64) * 2 ** (fine - frac) for y, frac in zip(inputs, fracs, strict=True))
        return requantised(sums, fine - bundle.formats[name].frac, bits, layer.relu, most=high, to_even=to_even)
    if layer.op == "maxpool":
        largest: Int64 = patches(x, layer.kernel, layer.stride, layer.padding, -(2**7)).max(axis=(0, 1))
        return largest
    if layer.op == "avgpool":
        sums = patches(x, layer.kernel, layer.stride, layer.padding, 0).sum(axis=(0, 1))
        return mean(sums, layer.kernel**2, to_even)
    if layer.op == "global_avgpool":
        sums = x.sum(axis=(2, 3), keepdims=True)
        return mean(sums, x.shape[2] * x.shape[3], to_even)
    if layer.op == "relu":
        return np.where(x > 0, np.where(x > high, high, x), 0)
    if layer.op == "concat":
        return np.concatenate([y.astype(np.int64) for y in inputs], axis=1)
    if layer.op == "channel_shuffle":
        size = x.shape[1] // layer.groups
        return x[:, [channel % layer.groups * size + channel // layer.groups for channel in range(x.shape[1])]]
    raise NotImplementedError(f"{layer.op}: no campaign draws one")
