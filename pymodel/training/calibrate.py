"""Formats of a folded network: the power-of-two scale of each tensor that loses least on given images."""

from __future__ import annotations

import numpy as np
import torch

from pymodel.formats import BIAS_BITS, Format
from pymodel.network import Add, Conv, Linear, Network
from pymodel.training.build import NetworkModule
from pymodel.training.psconv2d import PSConv2d

SAMPLES_PER_BATCH = 1 << 16  # values of each tensor that are kept per batch
BATCH = 128
SATURATING_CANDIDATES = 4  # how many finer scales than the one that saturates nothing are tried


def calibrate(
    folded: NetworkModule,
    images: torch.Tensor,
    source: Format,
    weight_bits: int,
    activation_bits: int,
    output_bits: int,
) -> tuple[dict[str, Format], dict[str, Format]]:
    """(formats of the input and of every layer's output, weight formats), as pymodel.bundle has them.

    images: float32 [n, C, H, W], the values that inputs of the format `source` stand for. Each frac
    minimises the squared error of quantisation; then fracs are lowered where a shift would be negative.
    """
    network = folded.network
    group = _shared_formats(network)
    samples = _collect(folded, images, group)
    bits = {tensor: activation_bits for tensor in group.values()} | {group[network.output]: output_bits}
    chosen = {tensor: best_format(np.concatenate(values), bits[tensor]) for tensor, values in samples.items()}
    chosen[group["input"]] = source
    formats = {tensor: chosen[root] for tensor, root in group.items()}
    weight_formats = {
        layer.name: best_format(_weights_on_support(_core(folded, layer)), weight_bits)
        for layer in network.weighted_layers()
    }
    _settle(folded, formats, weight_formats, group)
    return formats, weight_formats


def best_format(values: np.ndarray, bits: int) -> Format:
    """The format of `bits` with the least squared error over `values`, saturation included."""
    largest = float(np.abs(values).max(initial=0.0))
    if largest == 0.0:
        return Format(bits, bits - 1)
    coarsest = bits - 1 - int(np.ceil(np.log2(largest)))
    candidates = [Format(bits, frac) for frac in range(coarsest - 1, coarsest + SATURATING_CANDIDATES + 1)]
    return min(candidates, key=lambda form: _squared_error(values, form))


def _squared_error(values: np.ndarray, form: Format) -> float:
    return float(np.square(form.real(form.quantise(values)) - values).sum())


def _shared_formats(network: Network) -> dict[str, str]:
    """Tensor -> the tensor that stands for all that must have the same format.

    Pools, ReLU, shuffle and concatenation have the format of their inputs; the input's own is given.
    """
    group = {"input": "input"} | {layer.name: layer.name for layer in network.layers}
    for layer in network.layers:
        if not isinstance(layer, Conv | Linear | Add):
            joined = {group[name] for name in (layer.name, *layer.sources)}
            root = "input" if "input" in joined else min(joined)
            group = {name: root if own in joined else own for name, own in group.items()}
    return group


@torch.no_grad()
def _collect(folded: NetworkModule, images: torch.Tensor, group: dict[str, str]) -> dict[str, list[np.ndarray]]:
    """Evenly spaced values of every tensor over the images, by group."""
    samples: dict[str, list[np.ndarray]] = {}

    def observe(name: str, value: torch.Tensor) -> None:
        flat = value.flatten()
        step = -(-flat.numel() // SAMPLES_PER_BATCH)
        samples.setdefault(group[name], []).append(flat[::step].cpu().numpy())

    for batch in images.split(BATCH):
        folded(batch, observe)
    return samples


def _core(folded: NetworkModule, layer: Conv | Linear) -> torch.nn.Conv2d | torch.nn.Linear:
    module = folded.layers[layer.name]
    return module.conv if isinstance(layer, Conv) else module.linear


def _weights_on_support(core: torch.nn.Conv2d | torch.nn.Linear) -> np.ndarray:
    weight = core.weight.detach()
    return (weight[~core.pruned] if isinstance(core, PSConv2d) else weight.flatten()).cpu().numpy()


def _settle(
    folded: NetworkModule,
    formats: dict[str, Format],
    weight_formats: dict[str, Format],
    group: dict[str, str],
) -> None:
    """Lower fracs, in place, until every shift is 0 or more and every bias fits its 32 bits.

    Lowering one only ever asks others to be lowered, so this ends.
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
                changed |= lower(group[layer.name], max(fracs))
            if isinstance(layer, Conv | Linear):
                core, form = _core(folded, layer), weight_formats[layer.name]
                limit = _largest_bias_frac(core) - fracs[0]
                if form.frac > limit:
                    weight_formats[layer.name], changed = Format(form.bits, limit), True
                changed |= lower(group[layer.name], fracs[0] + weight_formats[layer.name].frac)


def _largest_bias_frac(core: torch.nn.Conv2d | torch.nn.Linear) -> int:
    """The finest scale at which every bias is an integer of BIAS_BITS."""
    largest = 0.0 if core.bias is None else float(core.bias.detach().abs().max())
    if largest == 0.0:
        return 1 << 10
    return BIAS_BITS - 2 - int(np.ceil(np.log2(largest)))
