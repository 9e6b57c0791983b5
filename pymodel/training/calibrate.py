"""Formats of a folded network: the scales that lose least on given images.

One power of two per tensor; for weights, as an option, an integer scale per output channel on top of it.
"""

from __future__ import annotations

import numpy as np
import torch

from pymodel.common.arrays import Int64, Reals
from pymodel.common.errors import ConfigError
from pymodel.network.formats import BIAS_BITS, MAX_FRAC, MAX_SHIFT, SCALE_BITS, Format
from pymodel.network.topology import INPUT, Add, Conv, Linear, Network
from pymodel.nn.build import FullyConnected, NetworkModule
from pymodel.nn.psconv2d import PSConv2d

SAMPLES_PER_BATCH = 1 << 16  # values of each tensor that are kept per batch
BATCH = 128
SATURATING_CANDIDATES = 4  # how many finer scales than the one that saturates nothing are tried
RATIOS = 2.0 ** (np.arange(4, -33, -1) / 16)  # of the scales tried for a channel to the one that saturates nothing
# Below this a channel's scale would be a coarse number itself, and its biases would widen the accumulators of all.
LEAST_SCALE = 1 << (SCALE_BITS // 2)


def calibrate(
    folded: NetworkModule,
    images: torch.Tensor,
    source: Format,
    weight_bits: int,
    activation_bits: int,
    output_bits: int,
    per_channel: bool = False,
) -> tuple[dict[str, Format], dict[str, Format], dict[str, Int64]]:
    """(formats of the input and of every layer's output, weight formats, scales), as pymodel.network.bundle has them.

    images: float32 [n, C, H, W], the values that inputs of the format `source` stand for. Each frac and, with
    `per_channel`, each scale minimises the squared error of quantisation; then fracs are lowered where a shift
    or a bias would be out of range. Scales are int64 [cout]; there are none without `per_channel`.
    """
    network = folded.network
    group = _shared_formats(network)
    samples = _collect(folded, images, group)
    bits = dict.fromkeys(group.values(), activation_bits) | {group[output]: output_bits for output in network.outputs}
    chosen = {
        tensor: _format_of(f"layer {tensor}: outputs", np.concatenate(values), bits[tensor])
        for tensor, values in samples.items()
    }
    chosen[group[INPUT]] = source
    formats = {tensor: chosen[root] for tensor, root in group.items()}
    weight_formats, scales = {}, {}
    for layer in network.weighted_layers():
        weights = _weights(_core(folded, layer))
        if per_channel:
            _check_reach(f"layer {layer.name}: weights", weights, weight_bits)
            weight_formats[layer.name], scales[layer.name] = best_scales(weights, weight_bits)
        else:
            weight_formats[layer.name] = _format_of(f"layer {layer.name}: weights", weights, weight_bits)
    _settle(folded, formats, weight_formats, scales, group)
    return formats, weight_formats, scales


def _format_of(what: str, values: Reals, bits: int) -> Format:
    """`best_format`. Raises ConfigError, naming `what`, for values beyond every format."""
    _check_reach(what, values, bits)
    return best_format(values, bits)


def _check_reach(what: str, values: Reals, bits: int) -> None:
    largest = float(np.abs(values).max(initial=0.0))
    if not largest < 2.0 ** (MAX_FRAC + bits - 1):  # so too for NaN
        raise ConfigError(
            f"{what} reach {largest:g}; numbers of {bits} bits reach 2^{MAX_FRAC + bits - 1} at most: "
            "the training diverged; train again with a smaller optimiser.lr"
        )


def best_format(values: Reals, bits: int) -> Format:
    """The format of `bits` with the least squared error over `values`, saturation included.

    Values far below the finest scale, those of a layer that is all but dead, become zeros of that scale.
    """
    largest = float(np.abs(values).max(initial=0.0))
    if largest == 0.0:
        return Format(bits, bits - 1)
    coarsest = bits - 1 - int(np.ceil(np.log2(largest)))
    fracs = range(coarsest - 1, coarsest + SATURATING_CANDIDATES + 1)
    candidates = [Format(bits, frac) for frac in sorted({min(max(frac, -MAX_FRAC), MAX_FRAC) for frac in fracs})]
    return min(candidates, key=lambda form: _squared_error(values, form))


def best_scales(weights: Reals, bits: int) -> tuple[Format, Int64]:
    """(format, int64 [cout]): the scale of each output channel with the least squared error over its weights.

    weights: real [cout, n]. The frac is the finest with which no scale exceeds its SCALE_BITS.
    """
    weights = np.asarray(weights, np.float64)
    low, high = Format(bits, 0).min, Format(bits, 0).max
    unsaturated = np.maximum(weights / high, weights / low).max(axis=1, initial=0.0)
    largest = float(unsaturated.max(initial=0.0))
    if largest == 0.0:
        return Format(bits, bits - 1), np.ones(len(weights), np.int64)
    limit = (1 << SCALE_BITS) - 1
    form = Format(bits, min(MAX_FRAC, int(np.floor(np.log2(min(limit / largest, 2.0**MAX_FRAC))))))
    best, least_error = np.zeros(len(weights), np.int64), np.full(len(weights), np.inf)
    for ratio in RATIOS:
        scales = np.clip(np.ceil(np.ldexp(unsaturated * ratio, form.frac)), LEAST_SCALE, limit).astype(np.int64)
        error = np.square(form.real(form.quantise(weights / scales[:, None])) * scales[:, None] - weights).sum(axis=1)
        best = np.where(error < least_error, scales, best)
        least_error = np.minimum(error, least_error)
    return form, best


def _squared_error(values: Reals, form: Format) -> float:
    return float(np.square(form.real(form.quantise(values)) - values).sum())


def _shared_formats(network: Network) -> dict[str, str]:
    """Tensor -> the tensor that stands for all that must have the same format.

    Pools, ReLU, shuffle and concatenation have the format of their inputs; the input's own is given.
    """
    group = {INPUT: INPUT} | {layer.name: layer.name for layer in network.layers}
    for layer in network.layers:
        if not isinstance(layer, Conv | Linear | Add):
            joined = {group[name] for name in (layer.name, *layer.sources)}
            root = INPUT if INPUT in joined else min(joined)
            group = {name: root if own in joined else own for name, own in group.items()}
    return group


@torch.no_grad()
def _collect(folded: NetworkModule, images: torch.Tensor, group: dict[str, str]) -> dict[str, list[Reals]]:
    """Evenly spaced values of every tensor over the images, by group."""
    samples: dict[str, list[Reals]] = {}

    def observe(name: str, value: torch.Tensor) -> None:
        flat = value.flatten()
        step = -(-flat.numel() // SAMPLES_PER_BATCH)
        samples.setdefault(group[name], []).append(flat[::step].cpu().numpy())

    for batch in images.split(BATCH):
        folded(batch, observe)
    return samples


def _core(folded: NetworkModule, layer: Conv | Linear) -> torch.nn.Conv2d | torch.nn.Linear:
    module = folded.layers[layer.name]
    return module.linear if isinstance(module, FullyConnected) else folded.conv(layer.name)


def _weights(core: torch.nn.Conv2d | torch.nn.Linear) -> Reals:
    """[cout, n]; zeros off the support, which every format holds exactly."""
    weight = core.masked_weight if isinstance(core, PSConv2d) else core.weight
    return weight.detach().flatten(1).cpu().numpy()


def _settle(
    folded: NetworkModule,
    formats: dict[str, Format],
    weight_formats: dict[str, Format],
    scales: dict[str, Int64],
    group: dict[str, str],
) -> None:
    """Lower fracs, in place, until every shift is possible and every bias fits its 32 bits.

    Lowering one only ever asks others to be lowered, so this ends. A weight frac that is lowered halves the scales.
    """
    network = folded.network

    def lower(root: str, frac: int) -> bool:
        """Whether a frac above `frac` had to be lowered."""
        if formats[root].frac <= frac:
            return False
        for tensor, own in group.items():
            if own == root:
                formats[tensor] = Format(formats[tensor].bits, frac)
        return True

    changed = True
    while changed:
        changed = False
        for layer in network.layers:
            fracs = [formats[source].frac for source in layer.sources]
            if isinstance(layer, Add):
                limit = min(*fracs, formats[layer.name].frac) + MAX_SHIFT
                for source in set(layer.sources) - {INPUT}:  # a dead branch's, beside one that is not
                    changed |= lower(group[source], limit)
                changed |= lower(group[layer.name], max(fracs))
            if isinstance(layer, Conv | Linear):
                form, own = weight_formats[layer.name], scales.get(layer.name)
                bias_limit = _largest_bias_frac(_core(folded, layer), own)
                if form.frac + fracs[0] > min(bias_limit, formats[layer.name].frac + MAX_SHIFT):
                    if form.frac == -MAX_FRAC:
                        raise ConfigError(
                            f"layer {layer.name}: bias: no weights of {form.bits} bits have a scale so "
                            "coarse that its biases fit 32 bits"
                        )
                    weight_formats[layer.name], changed = Format(form.bits, form.frac - 1), True
                    if own is not None:
                        scales[layer.name] = np.maximum(1, (own + 1) >> 1)
                changed |= lower(group[layer.name], fracs[0] + weight_formats[layer.name].frac)


def _largest_bias_frac(core: torch.nn.Conv2d | torch.nn.Linear, scales: Int64 | None) -> int:
    """The finest scale at which every bias, over the scale of its channel, is an integer of BIAS_BITS."""
    if core.bias is None or not core.bias.detach().any():
        return 1 << 10
    biases = core.bias.detach().abs().cpu().numpy()
    largest = float((biases if scales is None else biases / scales).max())
    return BIAS_BITS - 2 - int(np.ceil(np.log2(largest)))
