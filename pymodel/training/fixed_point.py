"""Fixed point in torch: the integer semantics of pymodel.network.formats on real values, with gradients.

Every value is held as the real number that its integer stands for. Scales are powers of two, so products and
sums of such numbers are exact in float64 (in float32, below 2**24 units), and

    fake_quantise(y) = clamp(floor(y * 2**frac + 1/2), low, high) * 2**-frac

is `requantise`: add half, arithmetic shift right, saturate. Where output channels have scales (network.formats),
weights and bias are divided by them before they are rounded, and the accumulators multiplied by them before
they are. The gradient passes the rounding unchanged (straight through, Bengio et al., arXiv 1308.3432) and
stops where the value saturates.
"""

from __future__ import annotations

from typing import Generic, TypeVar

import torch
from torch import nn
from torch.nn import functional

from pymodel.common.arrays import Int64, Integers
from pymodel.network.formats import Format
from pymodel.network.topology import INPUT, Add, AvgPool, Conv, GlobalAvgPool, Linear, Relu
from pymodel.nn.build import Addition, ConvBlock, FullyConnected, NetworkModule, Rectifier, padded
from pymodel.nn.psconv2d import PSConv2d


def fake_quantise(real: torch.Tensor, form: Format, relu: bool = False, clip: float | None = None) -> torch.Tensor:
    """The value of `form` nearest to each element (halves upwards, saturating; at zero with `relu`, and at `clip`)."""
    low, high = form.limits(relu, clip)
    saturated = real.clamp(low * form.scale, high * form.scale)
    return _straight_through(saturated, form.frac)


def _straight_through(real: torch.Tensor, frac: int) -> torch.Tensor:
    """`real` rounded to multiples of 2**-frac; the derivative is that of `real`."""
    with torch.no_grad():
        rounded = torch.floor(real * 2.0**frac + 0.5) * 2.0**-frac
    # Not real + (rounded - real): that sum rounds again.
    replaced: torch.Tensor = _Replace.apply(real, rounded)  # type: ignore[no-untyped-call]  # PyTorch has no types for it
    return replaced


class _Replace(torch.autograd.Function):
    """Forward: the second argument. Backward: to the first."""

    @staticmethod
    def forward(ctx: torch.autograd.function.FunctionCtx, _real: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
        return value.view_as(value)

    @staticmethod
    def backward(ctx: torch.autograd.function.FunctionCtx, gradient: torch.Tensor) -> tuple[torch.Tensor, None]:
        return gradient, None


Core = TypeVar("Core", bound=nn.Conv2d | nn.Linear)


class _Weighted(nn.Module, Generic[Core]):
    """A convolution or linear layer whose weights, bias and output are in fixed point."""

    scales: torch.Tensor | None

    def __init__(
        self,
        core: Core,
        rectifier: Rectifier,
        source: Format,
        weight: Format,
        out: Format,
        scales: Int64 | None,
    ) -> None:
        super().__init__()
        self.source, self.weight_format, self.out, self.rectifier = source, weight, out, rectifier
        self.core = core
        # Not in the state dict, which is the folded network's.
        self.register_buffer("scales", None if scales is None else torch.from_numpy(scales), persistent=False)

    @property
    def bias_frac(self) -> int:
        """The accumulator's scale, which is the bias's."""
        return self.source.frac + self.weight_format.frac

    def quantised(self, dtype: torch.dtype) -> tuple[torch.Tensor, torch.Tensor | None]:
        """(weights, bias), over the channels' scales, as real values of their formats; exactly zero off the support."""
        core = self.core
        weight = core.masked_weight if isinstance(core, PSConv2d) else core.weight
        weight, bias = weight.to(dtype), None if core.bias is None else core.bias.to(dtype)
        if self.scales is not None:
            weight = weight / self.scales.view(-1, *[1] * (weight.dim() - 1))
            bias = None if bias is None else bias / self.scales
        weight = fake_quantise(weight, self.weight_format)
        return weight, None if bias is None else _straight_through(bias, self.bias_frac)

    def requantised(self, acc: torch.Tensor) -> torch.Tensor:
        """The layer's output from its accumulators, [n, c, h, w]."""
        scaled = acc if self.scales is None else acc * self.scales.view(-1, 1, 1)
        return fake_quantise(scaled, self.out, self.rectifier.relu, self.rectifier.clip)

    @torch.no_grad()
    def integers(self) -> tuple[Int64, Int64 | None]:
        """(weights, bias) as int64 arrays."""
        weight, bias = self.quantised(torch.float64)
        return _integers(weight, self.weight_format.frac), None if bias is None else _integers(bias, self.bias_frac)


class FixedConv(_Weighted[nn.Conv2d]):
    """ConvBlock (without batch norm) in fixed point."""

    def __init__(self, block: ConvBlock, source: Format, weight: Format, out: Format, scales: Int64 | None) -> None:
        super().__init__(block.conv, block.rectifier, source, weight, out, scales)
        self.around = block.around

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        weight, bias = self.quantised(x.dtype)
        conv, x = self.core, padded(x, self.around)
        if isinstance(conv, PSConv2d):
            return self.requantised(conv.convolve(x, weight, bias))
        return self.requantised(functional.conv2d(x, weight, bias, conv.stride, conv.padding, groups=conv.groups))


class FixedLinear(_Weighted[nn.Linear]):
    """FullyConnected in fixed point."""

    def __init__(
        self, block: FullyConnected, source: Format, weight: Format, out: Format, scales: Int64 | None
    ) -> None:
        super().__init__(block.linear, block.rectifier, source, weight, out, scales)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        weight, bias = self.quantised(x.dtype)
        return self.requantised(functional.linear(x.flatten(1), weight, bias)[:, :, None, None])


class Requantised(nn.Module):
    """Any other layer whose results must be brought into a format: additions, averages, ReLUs with an upper bound."""

    def __init__(self, inner: nn.Module, out: Format) -> None:
        super().__init__()
        self.inner, self.out = inner, out

    def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
        rectifier = self.inner.rectifier if isinstance(self.inner, Addition) else self.inner
        relu, clip = (rectifier.relu, rectifier.clip) if isinstance(rectifier, Rectifier) else (False, None)
        return fake_quantise(self.inner(*inputs), self.out, relu, clip)


class FixedPointNetwork(NetworkModule):
    """A folded network in fixed point; the parameters stay real numbers, so that it can be trained.

    formats: of INPUT and each layer's output; weight_formats: of each layer with weights; scales: int64 [cout]
    of those that have them.
    """

    def __init__(
        self,
        folded: NetworkModule,
        formats: dict[str, Format],
        weight_formats: dict[str, Format],
        scales: dict[str, Int64],
    ) -> None:
        super().__init__(folded.network)
        self.load_state_dict(folded.state_dict())
        self.formats, self.weight_formats, self.scales = formats, weight_formats, scales
        for layer in folded.network.layers:
            inner, out = self.layers[layer.name], formats[layer.name]
            if isinstance(layer, Conv | Linear):
                source, weight, own = formats[layer.input], weight_formats[layer.name], scales.get(layer.name)
                if isinstance(inner, ConvBlock):
                    self.layers[layer.name] = FixedConv(inner, source, weight, out, own)
                elif isinstance(inner, FullyConnected):
                    self.layers[layer.name] = FixedLinear(inner, source, weight, out, own)
            elif isinstance(layer, Add | AvgPool | GlobalAvgPool | Relu):
                self.layers[layer.name] = Requantised(inner, out)

    @torch.no_grad()
    def integers(self, images: Integers) -> dict[str, Int64]:
        """Every layer's output as int64 [n, c, h, w], computed in float64; images: int [n, C, H, W]."""
        outputs: dict[str, Int64] = {}

        def observe(name: str, value: torch.Tensor) -> None:
            outputs[name] = _integers(value, self.formats[name].frac)

        real = torch.from_numpy(self.formats[INPUT].real(images))
        self(real.to(next(self.parameters()).device), observe)
        return outputs


def _integers(real: torch.Tensor, frac: int) -> Int64:
    """real * 2**frac, which is an integer, as int64."""
    return (real * 2.0**frac).round().to(torch.int64).cpu().numpy()
