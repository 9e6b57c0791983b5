"""Convolution over a periodic support that costs what its multiply-accumulates cost, on CPUs; with gradients.

Three operators of PyTorch, `psconv::conv2d` and its gradients, traceable by torch.compile. Each call is one of the
compiled kernel (pymodel.nn.native) or a dense convolution of masked weights by PyTorch: whichever was the quicker one
when both were tried on the first images of that shape. `use` says otherwise; where there is no compiler, all is dense.

The two differ by rounding. `choices` and `restore` keep what was found, so that a training that goes on takes the same
steps.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Literal, get_args

import numpy as np
import torch
from torch.nn import functional

from pymodel.common.compiled import Native
from pymodel.common.records import json_text
from pymodel.network.supports import Support, make_support
from pymodel.nn.native import convolution
from pymodel.nn.native.build import KERNEL
from pymodel.nn.native.convolution import Window

Kernels = Literal["auto", "sparse", "dense"]
WORTH_TRYING = 1 << 27  # multiply-accumulates of a dense layer; below, what surrounds them costs as much
PROBE_IMAGES = 16  # of a batch, at most, that both ways are tried on
PROBE_ROUNDS = 3

Padding = tuple[int, int, int, int]  # left, right, top, bottom: torch's order


@dataclass
class _Policy:
    """Which kernels this process uses. choices: what was tried -> whether the compiled kernel was the quicker one."""

    kernels: Kernels = "auto"
    choices: dict[str, bool] = field(default_factory=dict)


_policy = _Policy()


def use(kernels: Kernels) -> None:
    """From now on, in this process: `auto`: as probes say; `sparse`: the compiled kernel where there is one; `dense`:
    never."""
    assert kernels in get_args(Kernels), kernels
    _policy.kernels = kernels


def choices() -> dict[str, bool]:
    """What probes have found, for `restore`."""
    return dict(_policy.choices)


def restore(found: dict[str, bool]) -> None:
    """Take what an earlier run found, in place of probes."""
    _policy.choices.update(found)


def applies(x: torch.Tensor, weight: torch.Tensor, support: object) -> bool:
    """Whether `conv2d` is there for images x, [n, cin, h, w]: on a CPU, float32, bfloat16 or float64, periodic.

    An exported program has PyTorch's own convolution, and needs nothing of this package.
    """
    if _policy.kernels == "dense" or not isinstance(support, Support) or support.is_dense:
        return False
    if x.device.type != "cpu" or x.dim() != 4 or not x.numel() or torch.compiler.is_exporting():
        return False
    if _compute_type(x) not in convolution.DTYPES or _compute_type(x) != _compute_type(weight):
        return False
    # In float64 exactness is asked for, not speed.
    if _policy.kernels == "auto" and (x.dtype == torch.float64 or weight.numel() * x[:, 0].numel() < WORTH_TRYING):
        return False
    return bool(_available())


@torch.compiler.assume_constant_result  # type: ignore[untyped-decorator]  # PyTorch has no types for it
def _available() -> bool:
    """Whether there is a kernel. torch.compile is not to look inside."""
    return KERNEL.chosen() is not None


def conv2d(
    x: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None,
    support: Support,
    stride: tuple[int, int] = (1, 1),
    padding: Padding = (0, 0, 0, 0),
    dilation: tuple[int, int] = (1, 1),
) -> torch.Tensor:
    """torch.nn.functional.conv2d of x [n, cin, h, w], the weights [cout, cin, K, K] on the support and bias [cout].

    Weights off the support are not looked at, and their gradient is zero. Sums do not depend on the number of threads.
    The result is channels_last. Only first derivatives. Under autocast, operands are cast as for conv2d.
    """
    kind = _compute_type(x)
    x, weight, bias = x.to(kind), weight.to(kind), None if bias is None else bias.to(kind)
    result: torch.Tensor = _conv2d(x, weight, bias, _text(support), list(stride), list(padding), list(dilation))
    return result


def _compute_type(x: torch.Tensor) -> torch.dtype:
    if x.dtype != torch.float64 and torch.is_autocast_enabled(x.device.type):
        return torch.get_autocast_dtype(x.device.type)
    return x.dtype


def _text(support: Support) -> str:
    spec = support.spec()
    return spec if isinstance(spec, str) else json_text(spec, indent=None)


@lru_cache
def _support(text: str, kernel: int) -> Support:
    support = make_support(json.loads(text) if text.startswith("{") else text, kernel)
    assert isinstance(support, Support), text
    return support


@lru_cache
def _mask(text: str, shape: tuple[int, ...]) -> torch.Tensor:
    """bool [cout, cin, K, K]: True on the support."""
    return torch.from_numpy(np.ascontiguousarray(_support(text, shape[-1]).mask(shape[0], shape[1])))


def _masked(weight: torch.Tensor, support: str) -> torch.Tensor:
    return torch.where(_mask(support, tuple(weight.shape)), weight, 0)


@lru_cache
def _window(
    text: str, kernel: int, stride: tuple[int, ...], padding: tuple[int, ...], dilation: tuple[int, ...]
) -> Window:
    support = _support(text, kernel)
    return Window(
        tuple(support.elements()),
        support.period,
        (kernel, kernel),
        (stride[0], stride[1]),
        (padding[2], padding[0]),
        (dilation[0], dilation[1]),
    )


def _out_size(
    shape: Sequence[int], kernel: int, stride: Sequence[int], padding: Sequence[int], dilation: Sequence[int]
) -> tuple[int, int]:
    reach = [(kernel - 1) * step + 1 for step in dilation]
    rows = (shape[2] + padding[2] + padding[3] - reach[0]) // stride[0] + 1
    columns = (shape[3] + padding[0] + padding[1] - reach[1]) // stride[1] + 1
    return rows, columns


def _quicker(
    what: str,
    geometry: tuple[object, ...],
    count: int,
    native: Callable[[int], torch.Tensor],
    dense: Callable[[int], torch.Tensor],
) -> torch.Tensor:
    """The result of all `count` images, by the way that is the quicker one; both take how many of them to compute."""
    if _policy.kernels == "sparse":
        return native(count)
    key = json_text([what, KERNEL.describe(), torch.get_num_threads(), count, *geometry], indent=None)
    if key not in _policy.choices:
        few, times = min(count, PROBE_IMAGES), []
        for _ in range(PROBE_ROUNDS):
            marks = [time.perf_counter()]
            for way in (native, dense):
                way(few)
                marks.append(time.perf_counter())
            times.append((marks[1] - marks[0], marks[2] - marks[1]))
        ours, theirs = (min(column) for column in zip(*times, strict=True))
        _policy.choices[key] = ours < theirs
    return native(count) if _policy.choices[key] else dense(count)


def _native() -> Native:
    native = KERNEL.chosen()
    assert native is not None, "the operator is called where there is a kernel"
    return native


@torch.library.custom_op("psconv::conv2d", mutates_args=())
def _conv2d(
    x: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None,
    support: str,
    stride: list[int],
    padding: list[int],
    dilation: list[int],
) -> torch.Tensor:
    kernel = weight.shape[-1]
    window = _window(support, kernel, tuple(stride), tuple(padding), tuple(dilation))
    size = _out_size(x.shape, kernel, stride, padding, dilation)

    def native(count: int) -> torch.Tensor:
        return convolution.forward(_native(), window, x[:count], weight, bias, size)

    def dense(count: int) -> torch.Tensor:
        padded, own = _padded(x[:count], padding)
        out = functional.conv2d(padded, _masked(weight, support), bias, stride, own, dilation)
        return out.contiguous(memory_format=torch.channels_last)

    return _quicker("forward", _geometry(x, weight, support, stride, padding, dilation), x.shape[0], native, dense)


@_conv2d.register_fake
def _(
    x: torch.Tensor,
    weight: torch.Tensor,
    _bias: torch.Tensor | None,
    _support: str,
    stride: list[int],
    padding: list[int],
    dilation: list[int],
) -> torch.Tensor:
    rows, columns = _out_size(x.shape, weight.shape[-1], stride, padding, dilation)
    return x.new_empty((x.shape[0], weight.shape[0], rows, columns)).to(memory_format=torch.channels_last)


@torch.library.custom_op("psconv::conv2d_input", mutates_args=())
def _conv2d_input(
    gradient: torch.Tensor,
    x: torch.Tensor,
    weight: torch.Tensor,
    support: str,
    stride: list[int],
    padding: list[int],
    dilation: list[int],
) -> torch.Tensor:
    window = _window(support, weight.shape[-1], tuple(stride), tuple(padding), tuple(dilation))

    def native(count: int) -> torch.Tensor:
        return convolution.input_gradient(_native(), window, gradient[:count], weight, x[:count].shape)

    def dense(count: int) -> torch.Tensor:
        padded, own = _padded(x[:count], padding)
        wide = _dense_gradient(gradient[:count], padded, _masked(weight, support), stride, own, dilation, 0)
        top, left = (padding[2], padding[0]) if own == [0, 0] else (0, 0)
        inner = wide[:, :, top : top + x.shape[2], left : left + x.shape[3]]
        return inner.contiguous(memory_format=torch.channels_last)

    return _quicker("input", _geometry(x, weight, support, stride, padding, dilation), x.shape[0], native, dense)


@_conv2d_input.register_fake
def _(_gradient: torch.Tensor, x: torch.Tensor, *_others: object) -> torch.Tensor:
    return x.new_empty(x.shape).to(memory_format=torch.channels_last)


@torch.library.custom_op("psconv::conv2d_weight", mutates_args=())
def _conv2d_weight(
    gradient: torch.Tensor,
    x: torch.Tensor,
    weight: torch.Tensor,
    support: str,
    stride: list[int],
    padding: list[int],
    dilation: list[int],
) -> torch.Tensor:
    window = _window(support, weight.shape[-1], tuple(stride), tuple(padding), tuple(dilation))

    def native(count: int) -> torch.Tensor:
        return convolution.weight_gradient(_native(), window, gradient[:count], x[:count], weight)

    def dense(count: int) -> torch.Tensor:
        padded, own = _padded(x[:count], padding)
        whole = _dense_gradient(gradient[:count], padded, weight, stride, own, dilation, 1)
        return torch.empty_like(weight).copy_(_masked(whole, support))

    return _quicker("weight", _geometry(x, weight, support, stride, padding, dilation), x.shape[0], native, dense)


@_conv2d_weight.register_fake
def _(_gradient: torch.Tensor, _x: torch.Tensor, weight: torch.Tensor, *_others: object) -> torch.Tensor:
    return torch.empty_like(weight)


def _geometry(x: torch.Tensor, weight: torch.Tensor, support: str, *window: list[int]) -> tuple[object, ...]:
    return (str(x.dtype), list(x.shape[1:]), weight.shape[0], support, *window)


def _padded(x: torch.Tensor, padding: list[int]) -> tuple[torch.Tensor, list[int]]:
    """(images, padding of rows and columns) for PyTorch's convolution, which pads alike on both sides."""
    left, right, top, bottom = padding
    if left == right and top == bottom:
        return x, [top, left]
    return functional.pad(x, padding), [0, 0]


def _dense_gradient(
    gradient: torch.Tensor,
    x: torch.Tensor,
    weight: torch.Tensor,
    stride: list[int],
    padding: list[int],
    dilation: list[int],
    which: int,
) -> torch.Tensor:
    """By x (0) or by the weights (1)."""
    asked = [at == which for at in range(3)]
    found: torch.Tensor = torch.ops.aten.convolution_backward(
        gradient, x, weight, None, stride, padding, dilation, False, [0, 0], 1, asked
    )[which]
    return found


def _setup(ctx: torch.autograd.function.FunctionCtx, inputs: tuple[object, ...], output: torch.Tensor) -> None:
    x, weight, _, *window = inputs
    ctx.save_for_backward(x, weight)  # type: ignore[arg-type]  # tensors
    ctx.window = window  # type: ignore[attr-defined]  # where PyTorch wants it


def _backward(ctx: torch.autograd.function.FunctionCtx, gradient: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
    x, weight = ctx.saved_tensors  # type: ignore[attr-defined]  # PyTorch's types do not know of it
    asked, window = ctx.needs_input_grad, ctx.window  # type: ignore[attr-defined]
    return (
        _conv2d_input(gradient, x, weight, *window) if asked[0] else None,
        _conv2d_weight(gradient, x, weight, *window) if asked[1] else None,
        gradient.sum((0, 2, 3)) if asked[2] else None,
        *[None] * len(window),
    )


_conv2d.register_autograd(_backward, setup_context=_setup)
