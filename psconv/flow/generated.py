"""A layer with generated weights, and random images."""

from __future__ import annotations

import math
import zlib
from pathlib import Path

import numpy as np

from psconv.flow.config import LayerConfig, RunConfig
from pymodel.common.arrays import Int8, Int32, UInt16
from pymodel.common.errors import ConfigError
from pymodel.common.memory import require
from pymodel.common.records import read_npz
from pymodel.golden import ops
from pymodel.network.bundle import Bundle
from pymodel.network.formats import BIAS_BITS, MAX_SHIFT, SCALE_BITS, Format, check_range
from pymodel.network.supports import check_support
from pymodel.network.topology import INPUT, Conv, InputSpec, Network

LAYER = "layer"  # the name of the only layer of a one-layer run

DRAWN = 1 << 20  # random numbers at a time
_DRAWING_BYTES = 26  # of a weight: drawn, masked, the mask, and as it is kept


def random_images(rng: np.random.Generator, form: Format, shape: tuple[int, ...]) -> Int8:
    """int8 images all over a format, drawn a few at a time: the generator's own integers are eight times as large."""
    images = np.empty(math.prod(shape), np.int8)
    for start in range(0, len(images), DRAWN):
        part = images[start : start + DRAWN]
        part[...] = rng.integers(form.min, form.max + 1, len(part))
    return images.reshape(shape)


def _require_weights(network: Network) -> None:
    """Raises ConfigError where there is no memory to draw the weights of a network."""
    for layer in network.weighted_layers():
        count = math.prod(network.weight_shape(layer))
        require(count * _DRAWING_BYTES, f"layer {layer.name}: {count:,} weights", "a smaller layer needs less")


def require_outputs(network: Network, images: int) -> None:
    """Raises ConfigError where there is no memory for the outputs of every layer, and twice for those at work."""
    sizes = [math.prod(shape) for shape in network.shapes().values()]
    require(images * (sum(sizes) + 2 * max(sizes)), f"network {network.name}: the outputs of {images:,} images")


def generated_bundle(layer: LayerConfig, config: RunConfig, folder: Path) -> tuple[Bundle, Int8]:
    """A network of one layer, and random images for it."""
    support = layer.engine_support
    conv = Conv(
        name=LAYER,
        input=INPUT,
        out_channels=layer.out_channels,
        kernel=layer.kernel,
        stride=layer.stride,
        padding=layer.padding,
        groups=layer.groups,
        relu=layer.relu,
        support=support.spec(),
        bias=layer.bias,
    )
    network = Network(
        name=LAYER,
        layers=[conv],
        output=LAYER,
        input=InputSpec(channels=layer.in_channels, height=layer.height, width=layer.width),
    )
    _require_weights(network)
    require_outputs(network, config.images.count)
    rng = np.random.default_rng([config.seed, zlib.crc32(LAYER.encode())])
    weights, bias = _weights(layer, network.weight_shape(conv), rng, folder)
    scales = _scales(layer, rng)
    activations = Format(layer.activation_bits, 0)
    images = random_images(rng, activations, (config.images.count, *network.input.shape))
    if layer.shift == "auto":
        # One bit less than the largest output needs: most outputs fit, and some saturate.
        factor = 1 if scales is None else scales.astype(np.int64)[:, None, None]
        largest = max(
            int(np.abs(sums * factor).max())
            for _, sums in ops.conv2d_pieces(images, weights, bias, layer.stride, layer.padding, layer.groups)
        )
        shift = min(max(0, largest.bit_length() - layer.output_bits), MAX_SHIFT)
    else:
        shift = layer.shift
    bundle = Bundle(
        network=network,
        formats={INPUT: activations, LAYER: Format(layer.output_bits, -shift)},
        weight_formats={LAYER: Format(layer.weight_bits, 0)},
        weights={LAYER: weights},
        biases={LAYER: bias} if layer.bias else {},
        scales={} if scales is None else {LAYER: scales},
        accumulator_bits={} if layer.accumulator_bits is None else {LAYER: layer.accumulator_bits},
    )
    return bundle, images


def _scales(layer: LayerConfig, rng: np.random.Generator) -> UInt16 | None:
    """uint16 [cout], evenly spread over the octaves above 2^8, or none."""
    if layer.scale == "none":
        return None
    return (2 ** rng.uniform(8, SCALE_BITS, layer.out_channels)).astype(np.uint16)


def _weights(layer: LayerConfig, shape: tuple[int, ...], rng: np.random.Generator, folder: Path) -> tuple[Int8, Int32]:
    """int8 [cout, cin / groups, K, K], zero off the support, and int32 [cout]."""
    form, support = Format(layer.weight_bits, 0), layer.engine_support
    reach = 1 << (layer.weight_bits + layer.activation_bits - 2)
    bias = rng.integers(-reach, reach + 1, shape[0]) * int(layer.bias)
    if layer.weights in ("random", "min", "max"):
        low, high = {"random": (form.min, form.max), "min": (form.min,) * 2, "max": (form.max,) * 2}[layer.weights]
        weights = rng.integers(low, high + 1, shape) * support.mask(*shape[:2])
        return weights.astype(np.int8), bias.astype(np.int32)
    path = folder / layer.weights
    if path.suffix != ".npz":
        raise ConfigError(f"layer.weights: must be random, min, max or an .npz file, got {layer.weights!r}")
    try:
        arrays = read_npz(path)
    except ConfigError as error:
        raise ConfigError(f"layer.weights: {error}") from error
    for name in ("weight", "bias")[: 1 + layer.bias]:
        if name not in arrays:
            found = ", ".join(sorted(arrays)) or "none"
            raise ConfigError(f"layer.weights: {path}: must hold an array {name!r}, got {found}")
    weights, bias = arrays["weight"], arrays["bias"] if layer.bias else bias
    if weights.shape != shape or bias.shape != shape[:1]:
        raise ConfigError(
            f"layer.weights: {path}: shapes of weight and bias must be {list(shape)} and {[shape[0]]}, "
            f"got {list(weights.shape)} and {list(bias.shape)}"
        )
    form.check(weights, f"layer.weights: {path}: weight")
    check_range(bias, -(1 << (BIAS_BITS - 1)), (1 << (BIAS_BITS - 1)) - 1, f"layer.weights: {path}: bias")
    check_support(weights, support, f"layer.weights: {path}")
    return weights.astype(np.int8), bias.astype(np.int32)
