"""Networks that were quantised elsewhere as bundles: their own integers, no calibration.

With s the scale of a tensor, the real value of its integer 1, and g[o] what the weights of output channel o are
integers times (the gain of a batch norm is in it), a layer computes

    y = round((sum(w * x) + b[o]) * r[o])        r[o] = s_in * g[o] / s_out,  b[o] = bias[o] / (s_in * g[o])

in integers. Where all r are one power of two it is the shift; else r[o] is scale[o] * 2**-shift with the scale of a
bundle, 16 bits, as near as those come. Only these ratios matter: the fractional bits of a tensor whose scale is no
power of two are those of the power next to it, and notes hold the scales of inputs and outputs.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from pymodel.common.arrays import Floats, Int32, Int64, UInt16
from pymodel.common.errors import ConfigError, InternalError
from pymodel.frontend.lower import FloatNetwork
from pymodel.frontend.quantiser import Quantiser, power_of_two
from pymodel.frontend.quantiser import rounded as nearest
from pymodel.network.bundle import Bundle, Note
from pymodel.network.formats import BIAS_BITS, MAX_SHIFT, SCALE_BITS, Format, Rounding
from pymodel.network.topology import INPUT, Network

OUTPUT_BITS = 8  # of outputs that the file does not quantise
_NEAR = 1e-3  # weights over their steps are whole numbers to this; float32 leaves far less
_EXACT = 1e-6  # a fraction to which a scale or bias counts as what the file says


@dataclass(frozen=True)
class Imported:
    """A bundle, and what became of the file's numbers.

    scales: real value of the integer 1 by tensor. rounded: by layer, what is not exactly the file's. rounding: the
    file's: half_even, or half_up.
    """

    bundle: Bundle
    scales: dict[str, float]
    rounded: dict[str, list[str]]
    rounding: Rounding


@dataclass(frozen=True, eq=False)
class _Integers:
    """One layer in integers. rounded: what is not exactly the file's."""

    weights: Int64
    bits: int
    bias: Int32
    scales: UInt16 | None
    shift: int
    rounded: list[str] = field(default_factory=list)


def to_bundle(lowered: FloatNetwork, ranges: Mapping[str, float], finer: int = 0) -> Imported:
    """The bundle of a network that was quantised. ranges: of outputs that were not, the largest magnitude by layer.

    finer: bits by which weights get wider, 8 in all at most, where a bias is no whole number of products: it is one of
    products 2**finer times as small then.

    Raises ConfigError, naming the layer: weights that are not quantised, scales or biases that no bundle holds.
    """
    network, problems = lowered.network, []
    modes = {quantiser.rounding for name, quantiser in lowered.quantisers.items() if name != INPUT}
    if len(modes) > 1:
        problems.append("activations: must be rounded in one way, got some with halves to even and some upwards")
    scales, formats = _formats(lowered, ranges)
    found: dict[str, _Integers] = {}
    for layer in network.weighted_layers():
        try:
            found[layer.name] = _integers(lowered, layer.name, scales[layer.input], scales[layer.name], finer)
        except ConfigError as error:
            problems.append(f"{lowered.where[layer.name]}: {error}")
    if problems:
        raise ConfigError("\n".join((f"{network.name}: cannot be built:", *(f"  {problem}" for problem in problems))))
    rounding: Rounding = next(iter(modes), "half_even")
    weight_formats = {}
    for name, own in found.items():
        frac = own.shift + formats[name].frac - formats[network.weighted_layer(name).input].frac
        weight_formats[name] = Format(own.bits, frac)
    bundle = Bundle(
        network=network,
        formats=formats,
        weight_formats=weight_formats,
        weights={name: own.weights.astype(np.int8) for name, own in found.items()},
        biases={name: own.bias for name, own in found.items() if network.weighted_layer(name).bias},
        scales={name: own.scales for name, own in found.items() if own.scales is not None},
        rounding=rounding,
        notes=_notes(scales, network),
    )
    rounded = {name: own.rounded for name, own in found.items() if own.rounded}
    rounded |= {name: [what] for name, what in lowered.aligned.items()}
    return Imported(bundle, scales, rounded, rounding)


def integers_of(images: Floats, quantiser: Quantiser) -> Int64:
    """Images, real, as the integers of a quantiser: divided as float32, as whoever runs the file does."""
    scaled = np.divide(images.astype(np.float32), np.float32(quantiser.scale)).astype(np.float64)
    return np.clip(nearest(scaled, quantiser.rounding), quantiser.low, quantiser.high).astype(np.int64)


def _formats(lowered: FloatNetwork, ranges: Mapping[str, float]) -> tuple[dict[str, float], dict[str, Format]]:
    """Scales and formats of INPUT and all layers."""
    scales: dict[str, float] = {}
    formats: dict[str, Format] = {}
    for name in (INPUT, *(layer.name for layer in lowered.network.layers)):
        quantiser = lowered.quantisers.get(name)
        if quantiser is None:  # an output: an 8-bit format that reaches what was seen
            frac = math.floor(math.log2(((1 << (OUTPUT_BITS - 1)) - 1) / max(ranges[name], 2.0**-32)))
            scales[name], formats[name] = 2.0**-frac, Format(OUTPUT_BITS, frac)
        else:
            scales[name] = quantiser.scale
            formats[name] = Format(quantiser.format_bits, round(-math.log2(quantiser.scale)))
    # Scales that are powers of two apart stay so, though each is rounded by itself: of an addition's tensors that is
    # asked for, and a scale near a half power may go either way.
    for layer in lowered.network.layers:
        if layer.op == "add":
            frac = formats[layer.name].frac
            for source in layer.sources:
                power = power_of_two(scales[source] / scales[layer.name])
                if power is None:
                    raise InternalError(f"layer {layer.name}: scales {scales[source]} and {scales[layer.name]}")
                if formats[source].frac != frac - power:
                    raise ConfigError(
                        f"layer {layer.name}: the scale {scales[layer.name]:g} lies midway between powers of two: "
                        "calibrate once more, or use power-of-two scales"
                    )
    return scales, formats


def _integers(lowered: FloatNetwork, name: str, scale_in: float, scale_out: float, finer: int) -> _Integers:
    """One layer in integers. Raises ConfigError."""
    weight, steps = lowered.weights[name], lowered.steps.get(name)
    if steps is None:
        raise ConfigError("weights: must be quantised, got real ones: put a Quant, or a QDQ pair, between them and it")
    steps = np.abs(steps)
    dead = steps == 0  # a gain of 0: such a channel is its bias
    steps = np.where(dead, steps.max() if steps.any() else 1.0, steps)
    real = weight / steps.reshape(-1, *[1] * (weight.ndim - 1))
    weights = np.rint(real).astype(np.int64)
    if np.abs(real - weights).max(initial=0) > _NEAR:
        raise InternalError(f"layer {name}: weights are no multiples of their steps")
    bits = _bits(weights)
    bias = lowered.biases.get(name, np.zeros(len(weight)))
    if not _whole(bias / (scale_in * steps)):
        more = min(finer, 8 - bits)
        weights, steps, bits = weights << more, steps / 2**more, bits + more
    ratios = scale_in * steps / scale_out
    rounded = []
    exact = bias / (scale_in * steps)
    whole = np.rint(exact)
    if np.abs(whole).max(initial=0) >= 1 << (BIAS_BITS - 1):
        raise ConfigError(
            f"bias: must have at most {BIAS_BITS} bits as a sum of products, got {np.abs(whole).max():.3g}: the gain "
            "of its batch norm, or the scale of its weights, is too small in some channel"
        )
    if not _whole(exact):
        off = (np.abs(exact - whole) * ratios).max()
        rounded.append(f"biases are rounded to sums of products, by {off:.2g} last places at most")
    scales, shift = _scales(ratios)
    if scales is not None:
        error = np.abs(scales * 2.0**-shift / ratios - 1)[~dead].max(initial=0)
        if error > _EXACT:
            rounded.append(f"scales have {SCALE_BITS} bits: off by a fraction of {error:.2g} at most")
    return _Integers(weights, bits, whole.astype(np.int32), scales, shift, rounded)


def _whole(bias: Floats) -> bool:
    """Whether biases are whole numbers, float32 aside."""
    return bool((np.abs(bias - np.rint(bias)) <= _EXACT * np.maximum(1, np.abs(bias))).all())


def _scales(ratios: Floats) -> tuple[UInt16 | None, int]:
    """Scales, or None where all are 1, and the shift whose product is nearest to `ratios`. Raises ConfigError."""
    powers = [power_of_two(ratio) for ratio in ratios.tolist()]
    if len(set(powers)) == 1 and powers[0] is not None and -MAX_SHIFT <= powers[0] <= 0:
        return None, -powers[0]
    most = (1 << SCALE_BITS) - 1
    shift = min(MAX_SHIFT, math.floor(math.log2(most / ratios.max())))
    if shift < 0:
        raise ConfigError(
            f"its output's scale must be at least that of its products / {most}, got 1/{ratios.max():.3g}"
        )
    scales = np.clip(np.rint(ratios * 2.0**shift), 1, most).astype(np.int64)
    spare = min(int(np.bitwise_or.reduce(scales) & -np.bitwise_or.reduce(scales)).bit_length() - 1, shift)
    return (scales >> spare).astype(np.uint16), shift - spare


def _bits(weights: Int64) -> int:
    """The bits of the narrowest format of all weights. Raises ConfigError."""
    for bits in range(2, 9):
        form = Format(bits, 0)
        if form.contains(weights):
            return bits
    raise ConfigError(
        f"weights: must be integers of 8 bits, got {weights.min()} to {weights.max()} (a batch norm with a negative "
        "gain turns -128 into 128: quantise weights with narrow_range)"
    )


def _notes(scales: Mapping[str, float], network: Network) -> dict[str, Note]:
    """Scales of input and outputs that are no powers of two: what integers mean."""
    output: Any = network.output
    names = (INPUT, *([output] if isinstance(output, str) else output))
    return {f"scale_{name}": scales[name] for name in names if power_of_two(scales[name]) is None}
