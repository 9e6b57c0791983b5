"""A bundle computed by PyTorch in float64 on integers, layer by layer: an answer that shares no code with ours."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from pymodel.network.bundle import Bundle


def outputs(bundle: Bundle, images: np.ndarray) -> dict[str, np.ndarray]:
    """int64 [n, c, h, w] of every layer. Sums stay far below 2^53, so every one is exact."""
    values = {"input": torch.from_numpy(images.astype(np.float64))}
    for layer in bundle.network.layers:
        values[layer.name] = _layer(bundle, layer, [values[source] for source in layer.sources])
    return {name: value.numpy().astype(np.int64) for name, value in values.items()}


def _layer(bundle: Bundle, layer: Any, inputs: list[torch.Tensor]) -> torch.Tensor:
    name, x, form = layer.name, inputs[0], bundle.formats[layer.name]
    low = 0 if getattr(layer, "relu", False) or layer.op == "relu" else -(2 ** (form.bits - 1))
    high = 2 ** (form.bits - 1) - 1
    if getattr(layer, "clip", None) is not None:
        high = min(high, math.floor(layer.clip * 2.0**form.frac + 0.5))
    if layer.op in ("conv", "linear"):
        weight = torch.from_numpy(bundle.weights[name].astype(np.float64))
        if layer.op == "conv":
            sums = functional.conv2d(_padded(x, layer.padding, 0.0), weight, stride=layer.stride, groups=layer.groups)
        else:
            sums = functional.linear(x.flatten(1), weight)[:, :, None, None]
        if name in bundle.biases:
            sums = sums + torch.from_numpy(bundle.biases[name].astype(np.float64))[:, None, None]
        if name in bundle.scales:
            sums = sums * torch.from_numpy(bundle.scales[name].astype(np.float64))[:, None, None]
        frac = bundle.formats[layer.input].frac + bundle.weight_formats[name].frac
        return torch.floor(sums * 2.0 ** (form.frac - frac) + 0.5).clamp(low, high)
    if layer.op == "add":
        left, right = (
            value * 2.0 ** -bundle.formats[source].frac for value, source in zip(inputs, layer.sources, strict=True)
        )
        return torch.floor((left + right) * 2.0**form.frac + 0.5).clamp(low, high)
    if layer.op == "maxpool":
        return functional.max_pool2d(_padded(x, layer.padding, -math.inf), layer.kernel, layer.stride)
    if layer.op == "avgpool":
        pixels = layer.kernel**2
        sums = functional.avg_pool2d(_padded(x, layer.padding, 0.0), layer.kernel, layer.stride, divisor_override=1)
        return torch.floor((2 * sums + pixels) / (2 * pixels))
    if layer.op == "global_avgpool":
        pixels = x.shape[2] * x.shape[3]
        return torch.floor((2 * x.sum(dim=(2, 3), keepdim=True) + pixels) / (2 * pixels))
    if layer.op == "relu":
        return x.clamp(low, high)
    if layer.op == "concat":
        return torch.cat(inputs, dim=1)
    assert layer.op == "channel_shuffle"
    return functional.channel_shuffle(x, layer.groups)


def _padded(x: torch.Tensor, padding: Any, value: float) -> torch.Tensor:
    top, left, bottom, right = padding if isinstance(padding, list | tuple) else (padding,) * 4
    return functional.pad(x, (left, right, top, bottom), value=value)
