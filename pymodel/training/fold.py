"""Batch norm folded into the convolution before it: the network that is quantised."""

from __future__ import annotations

import torch

from pymodel.nn.build import ConvBlock, NetworkModule
from pymodel.nn.mixture import with_one_gaussian


@torch.no_grad()
def fold_batch_norm(module: NetworkModule) -> NetworkModule:
    """`module` with batch norm folded into weights and biases: the same function in evaluation. On the CPU, float32.

    Batch norm after a convolution, gamma * (conv(x) - mean) / sqrt(var + eps) + beta, is the convolution with
    weights w * g and bias (b - mean) * g + beta, where g = gamma / sqrt(var + eps) for each output channel. Mixture
    normalisation, whose scale depends on the pixel, counts as the batch norm that is nearest to it
    (pymodel.nn.mixture.MixtureNorm2d.one_gaussian): no more the same function, unless it has one component.
    """
    one = with_one_gaussian(module)
    assert isinstance(one, NetworkModule)
    module = one
    folded = NetworkModule(module.network.folded())
    trained = module.state_dict()
    state = {name: value.detach().cpu() for name, value in trained.items() if ".norm." not in name}
    for name, block in module.layers.items():
        if isinstance(block, ConvBlock) and block.norm is not None:
            norm = block.norm
            gain = norm.weight.double() / (trained[f"layers.{name}.norm.running_var"].double() + norm.eps).sqrt()
            weight = block.conv.weight.double() * gain.view(-1, 1, 1, 1)
            bias = 0.0 if block.conv.bias is None else block.conv.bias.double()
            bias = (bias - trained[f"layers.{name}.norm.running_mean"].double()) * gain + norm.bias.double()
            state[f"layers.{name}.conv.weight"] = weight.float().cpu()
            state[f"layers.{name}.conv.bias"] = bias.float().cpu()
    folded.load_state_dict(state)
    return folded.eval()
