"""The optimiser of a configuration: which parameters decay, and the learning rate of a step."""

from __future__ import annotations

import torch
from torch import nn

from pymodel.training.config import Optimiser


def make_optimiser(model: nn.Module, options: Optimiser) -> torch.optim.Optimizer:
    """SGD or AdamW; parameters of one dimension (batch norm, biases) do not decay."""
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    groups = [
        {"params": [p for p in parameters if p.dim() > 1], "weight_decay": options.weight_decay},
        {"params": [p for p in parameters if p.dim() <= 1], "weight_decay": 0.0},
    ]
    groups = [group for group in groups if group["params"]]
    if options.name == "adamw":
        return torch.optim.AdamW(groups, lr=options.lr)
    return torch.optim.SGD(groups, lr=options.lr, momentum=options.momentum, nesterov=options.nesterov)


def momentum(optimiser: torch.optim.Optimizer, parameter: torch.Tensor) -> torch.Tensor:
    """The running mean of a parameter's gradients that SGD with momentum or AdamW has; zeros before the first step."""
    state = optimiser.state.get(parameter, {})
    found: torch.Tensor | None = state.get("momentum_buffer", state.get("exp_avg"))
    return torch.zeros_like(parameter) if found is None else found


def set_learning_rate(optimiser: torch.optim.Optimizer, rate: float) -> None:
    """The rate of the next step, for all parameters."""
    for group in optimiser.param_groups:
        group["lr"] = rate
