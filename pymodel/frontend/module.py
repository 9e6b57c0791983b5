"""The torch module of a lowered network, with its weights: what calibration and training start from."""

from __future__ import annotations

import torch

from pymodel.frontend.lower import FloatNetwork
from pymodel.network.topology import Conv
from pymodel.nn.build import NetworkModule


@torch.no_grad()
def to_module(lowered: FloatNetwork) -> NetworkModule:
    """A NetworkModule of the topology with the weights of `lowered` as float32, in evaluation, on the CPU."""
    module = NetworkModule(lowered.network)
    state = {}
    for layer in lowered.network.weighted_layers():
        key = f"layers.{layer.name}.{'conv' if isinstance(layer, Conv) else 'linear'}"
        state[f"{key}.weight"] = torch.from_numpy(lowered.weights[layer.name]).float()
        if layer.name in lowered.biases:
            state[f"{key}.bias"] = torch.from_numpy(lowered.biases[layer.name]).float()
    module.load_state_dict(state)
    return module.eval()
