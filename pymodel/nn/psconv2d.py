"""PSConv2d: torch.nn.Conv2d with a pre-defined sparse support.

The taps off the support are removed from the function itself: forward uses
`torch.where(pruned, 0, weight)`, whose derivative masks the gradient. So output and gradient are right
whatever was written into the parameter (NaN included), and a parameter that is zero off the support stays
exactly zero under every optimiser that maps (weight 0, gradient 0) to 0: SGD with momentum and weight decay,
Adam, AdamW. Initialisation, loading and saving a state dict clear the parameter itself. Where the support is to move
(pymodel.nn.rewiring), `dense_gradient` has the gradient of the weights that are not there, too: whoever sets it clears
the parameter after each step.

On a CPU, large layers with a periodic support are computed by pymodel.nn.periodic, which multiplies on the support
only, where that is the quicker way. Elsewhere a step costs what that of nn.Conv2d costs, and one pass over the weights
forward and one backward. docs/guide/training.md has the measurements.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import torch
from torch import nn
from torch.nn import functional

from pymodel.common.arrays import Bool
from pymodel.common.errors import ConfigError
from pymodel.network.supports import NAMED_KERNEL, Support, SupportSpec, make_support, thinned
from pymodel.nn import periodic


class MaskedSupport(Protocol):
    """What PSConv2d needs of a support: its mask, bool [cout, cin, K, K], True where a weight may lie."""

    def mask(self, cout: int, cin: int) -> Bool: ...


class PSConv2d(nn.Conv2d):
    """Drop-in for nn.Conv2d: the same arguments, plus `support`: a name such as "PSD1_P16", taps as files give them,
    {"taps": [[0, 4, 8], [2]]}, or an object.

    weight: [out_channels, in_channels // groups, K, K]. The mask is a non-persistent buffer `pruned` (True
    off the support), so the state dict has the keys of nn.Conv2d and loads into the dense twin and back.
    In a grouped convolution the support counts the input channels of the group.
    Raises ConfigError for a kernel that is not square and an unknown support.
    """

    pruned: torch.Tensor
    dense_gradient = False  # whether the parameter's gradient is that of all weights, those off the support included

    def __init__(self, *args: Any, support: MaskedSupport | SupportSpec = "dense", **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        height, width = self.kernel_size
        if height != width:
            raise ConfigError(f"kernel_size: must be square, got {height}x{width}")
        self.support = make_support(support, height) if isinstance(support, str | dict) else support
        mask = self.support.mask(self.out_channels, self.in_channels // self.groups)
        pruned = torch.from_numpy(~mask).to(self.weight.device)
        self.register_buffer("pruned", pruned, persistent=False)
        self.register_load_state_dict_post_hook(_clear_after_load)  # type: ignore[no-untyped-call]  # PyTorch has no types for it
        self.register_state_dict_pre_hook(_clear_before_save)  # type: ignore[no-untyped-call]  # PyTorch has no types for it
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """nn.Conv2d's default (uniform, bound 1/sqrt(fan-in)), with each filter's fan-in on the support."""
        super().reset_parameters()
        if "pruned" not in self._buffers:  # called by nn.Conv2d's constructor: the support is not known yet
            return
        gain = self._fan_in_gain()
        with torch.no_grad():
            self.weight.mul_(gain.view(-1, 1, 1, 1))
            if self.bias is not None:
                self.bias.mul_(gain)
        self.clear_pruned()

    def _fan_in_gain(self) -> torch.Tensor:
        """sqrt(dense fan-in / fan-in on the support) of each filter, [out_channels]."""
        fan_in = (~self.pruned).sum(dim=(1, 2, 3)).clamp(min=1)
        return (self.weight[0].numel() / fan_in.to(self.weight.dtype)).sqrt()

    def move(self, support: MaskedSupport) -> None:
        """Another support for the same kernels: weights off it become zero, those new on it are zero."""
        self.clear_pruned()
        mask = support.mask(self.out_channels, self.in_channels // self.groups)
        self.support = support
        self.pruned.copy_(torch.from_numpy(~mask))
        self.clear_pruned()

    def clear_pruned(self) -> None:
        """Set the parameter itself to zero off the support."""
        with torch.no_grad():
            self.weight.masked_fill_(self.pruned, 0)

    @property
    def masked_weight(self) -> torch.Tensor:
        """The weights that count: the parameter on the support, zero elsewhere; a function of the parameter."""
        masked: torch.Tensor = torch.where(self.pruned, 0, self.weight)  # several times quicker than masked_fill
        return masked

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """[n, in_channels, H, W] -> [n, out_channels, Hout, Wout]."""
        return self.convolve(input, self.weight, self.bias)

    def convolve(self, input: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
        """`forward` with other weights, of the same shapes."""
        if self.dense_gradient:
            masked: torch.Tensor = _Masked.apply(weight, self.pruned)  # type: ignore[no-untyped-call]  # PyTorch has no types for it
            dense: torch.Tensor = self._conv_forward(input, masked, bias)
            return dense
        if self.groups == 1 and periodic.applies(input, weight, self.support):
            assert isinstance(self.support, Support)  # applies() has looked
            left, right, top, bottom = self._reversed_padding_repeated_twice
            if self.padding_mode != "zeros":
                input = functional.pad(input, (left, right, top, bottom), mode=self.padding_mode)
                left = right = top = bottom = 0
            stride, dilation = (self.stride[0], self.stride[1]), (self.dilation[0], self.dilation[1])
            return periodic.conv2d(input, weight, bias, self.support, stride, (left, right, top, bottom), dilation)
        out: torch.Tensor = self._conv_forward(input, torch.where(self.pruned, 0, weight), bias)
        return out

    def extra_repr(self) -> str:
        inherited = super().extra_repr()  # type: ignore[no-untyped-call]  # PyTorch has no types for it
        return f"{inherited}, support={getattr(self.support, 'name', self.support)}"


class _Masked(torch.autograd.Function):
    """Forward: the weights, zero where pruned. Backward: the gradient by the masked weights, pruned ones included."""

    @staticmethod
    def forward(ctx: torch.autograd.function.FunctionCtx, weight: torch.Tensor, pruned: torch.Tensor) -> torch.Tensor:
        return torch.where(pruned, 0, weight)

    @staticmethod
    def backward(ctx: torch.autograd.function.FunctionCtx, gradient: torch.Tensor) -> tuple[torch.Tensor, None]:
        return gradient, None


def _clear_after_load(module: PSConv2d, _incompatible_keys: object) -> None:
    module.clear_pruned()


def _clear_before_save(module: PSConv2d, _prefix: str, _keep_vars: bool) -> None:
    module.clear_pruned()


ConvRule = Callable[[str, nn.Conv2d], MaskedSupport | SupportSpec | None]
"""(qualified name, convolution) -> its support, or None to leave the convolution as it is."""


def papers_rule(model: nn.Module, support: MaskedSupport | SupportSpec) -> ConvRule:
    """The rule of the papers (supports.thinned): `support` where it is defined, the others stay as they are.

    Raises ConfigError for the name of no support.
    """
    names = [name for name, module in model.named_modules() if isinstance(module, nn.Conv2d)]
    found = make_support(support, NAMED_KERNEL) if isinstance(support, str | dict) else support
    size = getattr(found, "kernel", NAMED_KERNEL)

    def rule(name: str, conv: nn.Conv2d) -> MaskedSupport | SupportSpec | None:
        return support if thinned(name == names[0], conv.kernel_size, conv.groups, size) else None

    return rule


def convert(model: nn.Module, rule: ConvRule) -> nn.Module:
    """Replace, in place, each nn.Conv2d for which `rule` gives a support; returns the model.

    Weights on the support are kept, scaled by sqrt(dense fan-in / real fan-in) so that the variance of each
    output stays what it was. Device, dtype and training mode are kept.
    """
    for name, module in list(model.named_modules()):
        for child_name, child in list(module.named_children()):
            if type(child) is nn.Conv2d:
                path = f"{name}.{child_name}" if name else child_name
                support = rule(path, child)
                if support is not None:
                    setattr(module, child_name, _sparse_twin(child, support))
    return model


def _sparse_twin(conv: nn.Conv2d, support: MaskedSupport | SupportSpec) -> PSConv2d:
    twin = PSConv2d(
        conv.in_channels,
        conv.out_channels,
        conv.kernel_size,
        stride=conv.stride,
        padding=conv.padding,
        dilation=conv.dilation,
        groups=conv.groups,
        bias=conv.bias is not None,
        padding_mode=conv.padding_mode,
        device=conv.weight.device,
        dtype=conv.weight.dtype,
        support=support,
    )
    twin.train(conv.training)
    with torch.no_grad():
        twin.weight.copy_(conv.weight * twin._fan_in_gain().view(-1, 1, 1, 1))
        twin.clear_pruned()
        if conv.bias is not None and twin.bias is not None:
            twin.bias.copy_(conv.bias)
    return twin
