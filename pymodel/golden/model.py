"""The golden model: what every C simulation and every RTL must equal, element for element.

pymodel.golden.ops is its definition. Where pymodel.golden.native has a compiled kernel, that computes convolutions
and residual additions, to the same integers; PSCONV_NATIVE=off in the environment leaves all to numpy.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping

import numpy as np

from pymodel.common.arrays import Array, Int8, Int64, Integers, Reals, UInt16
from pymodel.common.errors import ConfigError
from pymodel.golden import ops
from pymodel.golden.native.build import KERNEL
from pymodel.golden.native.convolution import MAX_ADD_SHIFT, add, convolve, group_size
from pymodel.golden.native.plan import plan_of
from pymodel.network.bundle import Bundle
from pymodel.network.formats import requantise
from pymodel.network.topology import INPUT, Add, Conv, Layer

BATCH = 256
_BY_CHANNEL = ("maxpool", "avgpool", "add", "relu")  # layers each of whose output channels is of one of each input
PIECE = 1 << 21  # elements of such a layer at a time


def run(
    bundle: Bundle,
    images: Integers,
    given: Mapping[str, Int8] | None = None,
    threads: int | None = None,
) -> dict[str, Int8]:
    """Output of every layer, int8 [n, c, h, w] in any order of memory, by name; INPUT is the images themselves.

    images: int [n, c, h, w] of the format of the input. given: outputs, by layer, that are taken as they are
    instead of being computed: those of a simulation, say. threads: of the compiled kernel, as many as there are
    processors where None. Raises ConfigError: wrong shape, out of range.
    """
    given = given or {}
    threads = threads or len(os.sched_getaffinity(0))
    expected = bundle.network.input.shape
    if images.ndim != 4 or images.shape[1:] != expected:
        wanted = ", ".join(map(str, expected))
        raise ConfigError(f"images: shape must be [n, {wanted}], got {list(images.shape)}")
    bundle.formats[INPUT].check(images, "images")
    outputs = {INPUT: images.astype(np.int8)}
    for layer in bundle.network.layers:
        if layer.name in given:
            outputs[layer.name] = given[layer.name]
            continue
        inputs = [outputs[source] for source in layer.sources]
        result = _by_kernel(bundle, layer, inputs, threads)
        if result is None:
            result = _evaluate(bundle, layer, inputs)
        outputs[layer.name] = result
    return outputs


def quantise_input(bundle: Bundle, images: Reals) -> Int8:
    """int8 images of the network's input format from real ones. Raises ConfigError for NaN."""
    return bundle.formats[INPUT].quantise(images).astype(np.int8)


def as_input(bundle: Bundle, images: Array) -> Int8:
    """int8 [n, C, H, W] from what a user has: integers are taken as they are, real numbers rounded to the input format.

    images: [n, C, H, W] or, where H = W = 1, [n, C]. Raises ConfigError: another shape or type, NaN, out of range.
    """
    channels, *pixels = bundle.network.input.shape
    images = np.asarray(images)
    if pixels == [1, 1] and images.ndim == 2:
        images = images[:, :, None, None]
    if images.ndim != 4 or images.shape[1:] != (channels, *pixels):
        wanted = ", ".join(map(str, (channels, *pixels)))
        raise ConfigError(f"images: shape must be [n, {wanted}], got {list(images.shape)}")
    if images.dtype.kind == "f":
        return quantise_input(bundle, images)
    bundle.formats[INPUT].check(images, "images")
    return images.astype(np.int8)


def predict(bundle: Bundle, images: Integers) -> Int64:
    """Classes, int64 [n]: the largest score, the lowest class of equal ones. images: int [n, c, h, w].

    Raises ConfigError where the network has several outputs.
    """
    output = bundle.network.only_output("classes")
    scores = [run(bundle, images[start : start + BATCH])[output] for start in range(0, max(len(images), 1), BATCH)]
    best: Int64 = _flat(np.concatenate(scores)).argmax(axis=1)
    return best


def accuracy(bundle: Bundle, images: Integers, labels: Integers) -> float:
    """The fraction of images, int [n, c, h, w], whose predicted class is that of labels, int [n]."""
    if len(labels) != len(images) or not len(images):
        raise ConfigError(f"accuracy: labels: must be as many as the {len(images)} images, got {len(labels)}")
    return float((predict(bundle, images) == labels).mean())


def _of_channels(scales: UInt16 | None) -> UInt16 | None:
    """Scales [c] as [c, 1, 1], against images [n, c, h, w]."""
    return None if scales is None else scales[:, None, None]


def _flat(images: Int8) -> Int8:
    """[n, c * h * w]; n may be 0."""
    return images.reshape(len(images), math.prod(images.shape[1:]))


def _by_kernel(bundle: Bundle, layer: Layer, inputs: list[Int8], threads: int) -> Int8 | None:
    """The output of one layer by the compiled kernel; None where there is no kernel, or none for this layer."""
    native = KERNEL.chosen()
    if native is None or any(array.dtype != np.int8 for array in inputs):
        return None
    out = bundle.formats[layer.name]
    if isinstance(layer, Conv):
        plan = plan_of(bundle, layer, group_size(native))
        if plan is None:
            return None
        return convolve(
            native,
            plan,
            inputs[0],
            bundle.bias(layer.name),
            bundle.scales.get(layer.name),
            layer.stride,
            layer.padding,
            bundle.shift(layer.name),
            bundle.limits(layer.name),
            threads,
            bundle.rounding,
        )
    if isinstance(layer, Add):
        fracs = [bundle.formats[source].frac for source in layer.sources]
        shifts = (max(fracs) - fracs[0], max(fracs) - fracs[1], max(fracs) - out.frac)
        if max(shifts) <= MAX_ADD_SHIFT:
            left, right = inputs
            return add(native, left, right, shifts, bundle.limits(layer.name), threads, bundle.rounding)
    return None


def _evaluate(bundle: Bundle, layer: Layer, inputs: list[Int8]) -> Int8:
    """The output of one layer, int8, in pieces where the way to it takes more memory than it does itself."""
    name, out, x = layer.name, bundle.formats[layer.name], inputs[0]
    result = np.empty((len(x), *bundle.network.shapes()[name]), np.int8)
    if layer.op == "conv":
        weights, bias, scales = bundle.weights[name], bundle.bias(name), _of_channels(bundle.scales.get(name))
        for piece, acc in ops.conv2d_pieces(x, weights, bias, layer.stride, layer.padding, layer.groups):
            high = bundle.limits(name)[1]
            result[piece] = requantise(acc, bundle.shift(name), out.bits, layer.relu, scales, high, bundle.rounding)
    elif layer.op in _BY_CHANNEL:
        for part in _channels(x):
            result[part] = _whole(bundle, layer, [array[part] for array in inputs])
    else:
        result[...] = _whole(bundle, layer, inputs)
    return result


def _channels(x: Int8) -> Iterator[tuple[slice, slice]]:
    """Slices of images and channels of at most PIECE elements where that can be."""
    count, channels, height, width = x.shape
    few = max(1, PIECE // (height * width))
    some = max(1, few // channels)
    for start in range(0, count, some):
        for first in range(0, channels, few):
            yield slice(start, start + some), slice(first, first + few)


def _whole(bundle: Bundle, layer: Layer, inputs: list[Int8]) -> Integers:
    """The output of one layer that is no convolution, or of some of its channels, in its output format."""
    name, out, x, rounding = layer.name, bundle.formats[layer.name], inputs[0], bundle.rounding
    match layer.op:
        case "linear":
            acc = ops.linear(_flat(x), bundle.weights[name], bundle.bias(name))
            high = bundle.limits(name)[1]
            y = requantise(acc, bundle.shift(name), out.bits, layer.relu, bundle.scales.get(name), high, rounding)
            return y[:, :, None, None]
        case "maxpool":
            return ops.maxpool(x, layer.kernel, layer.stride, layer.padding)
        case "avgpool":
            return ops.avgpool(x, layer.kernel, layer.stride, layer.padding, rounding)
        case "global_avgpool":
            return ops.global_avgpool(x, rounding)
        case "add":
            left, right = (bundle.formats[source].frac for source in layer.sources)
            high = bundle.limits(name)[1]
            return ops.add_residual(x, inputs[1], left, right, out.frac, out.bits, layer.relu, high, rounding)
        case "relu":
            return np.clip(x, *bundle.limits(name))
        case "concat":
            return np.concatenate(inputs, axis=1)
        case "channel_shuffle":
            return ops.channel_shuffle(x, layer.groups)
    raise AssertionError(f"no golden model for {layer.op}")  # every op of pymodel.network.topology is above
