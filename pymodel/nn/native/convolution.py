"""Calls of the compiled kernel: a convolution over a periodic support, its gradient by the input, and by the weights.

The gradient by the input of a convolution of stride s is itself such a convolution, of the gradient by the output with
both channels swapped: one for each residue of rows and columns mod s, which have taps of their own.
"""

from __future__ import annotations

import ctypes
import math
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import pairwise, product

import torch

from pymodel.common.compiled import Native

_TYPES = {torch.float32: 0, torch.bfloat16: 1, torch.float64: 2}  # `type` of periodic.cpp
DTYPES = tuple(_TYPES)
_GROUP = 4  # vectors of a group, at most: periodic.cpp's VECTORS
_BAND = 320 << 10  # bytes of rings and sums of a band of rows, where it has more than one: periodic.cpp's CACHE
Pair = tuple[int, int]


@dataclass(frozen=True)
class Window:
    """Which source pixels meet a result's pixel, and by which weights.

    elements: (variant, tap) of a block, taps by row * columns + column of the kernel. padding: above and left.
    """

    elements: tuple[Pair, ...]
    period: int
    kernel: Pair
    stride: Pair
    padding: Pair
    dilation: Pair


class _Place(ctypes.Structure):
    """`Place` of periodic.cpp."""

    _fields_ = [(name, ctypes.c_int64) for name in ("variant", "row", "column", "weight")]


class _Group(ctypes.Structure):
    """`Group` of periodic.cpp."""

    _fields_ = [(name, ctypes.c_int64) for name in ("first", "count")]


class _Convolution(ctypes.Structure):
    """`Convolution` of periodic.cpp."""

    _fields_ = [
        *(
            (name, ctypes.c_int64)
            for name in (
                "images",
                "height",
                "width",
                "channels",
                "result_height",
                "result_width",
                "outputs",
                "step_rows",
                "step_columns",
                "result_image",
                "result_row",
                "result_column",
                "weight_output",
                "weight_channel",
                "period",
                "blocks",
                "places",
                "groups",
                "group_stride",
                "bands",
            )
        ),
        ("place", ctypes.c_void_p),
        ("group", ctypes.c_void_p),
    ]


@dataclass(frozen=True, eq=False)
class _Plan:
    """A `Convolution`, with what it points to."""

    convolution: _Convolution
    groups: tuple[Pair, ...]  # (first vector, vectors)
    packed: int  # reals of the packed weights
    start: int = 0  # in the result: elements to its first pixel
    arrays: tuple[object, ...] = ()


def forward(
    native: Native, window: Window, x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None, size: Pair
) -> torch.Tensor:
    """[n, cout, *size] of x [n, cin, h, w], weight [cout, cin, *kernel] and bias [cout]; all of one of DTYPES.

    Weights off the support are not looked at. The result is channels_last and the same with any number of threads.
    Raises MemoryError.
    """
    x = x.contiguous(memory_format=torch.channels_last)
    result = _images(x, weight.shape[0], size)
    plan = _forward_plan(window, tuple(x.shape), weight.shape[0], size, weight.stride(), _lanes(native, x.dtype))
    _apply(native, plan, x, weight, bias, result)
    return result


def input_gradient(
    native: Native, window: Window, gradient: torch.Tensor, weight: torch.Tensor, shape: torch.Size
) -> torch.Tensor:
    """The gradient by x, of that by the result; `shape` is that of x. Otherwise as `forward`."""
    gradient = gradient.contiguous(memory_format=torch.channels_last)
    result = _images(gradient, shape[1], (shape[2], shape[3]))
    plans = _input_plans(
        window, tuple(gradient.shape), tuple(shape[1:]), weight.stride(), _lanes(native, gradient.dtype)
    )
    if sum(plan.convolution.result_height * plan.convolution.result_width for plan in plans) < shape[2] * shape[3]:
        result.zero_()  # some pixels meet no weight
    for plan in plans:
        _apply(native, plan, gradient, weight, None, result)
    return result


def weight_gradient(
    native: Native, window: Window, gradient: torch.Tensor, x: torch.Tensor, weight: torch.Tensor
) -> torch.Tensor:
    """The gradient by the weights, like `weight`, zero off the support. Otherwise as `forward`."""
    x = x.contiguous(memory_format=torch.channels_last)
    gradient = gradient.contiguous(memory_format=torch.channels_last)
    result = torch.zeros_like(weight)
    size = (gradient.shape[2], gradient.shape[3])
    plan = _forward_plan(window, tuple(x.shape), weight.shape[0], size, result.stride(), _lanes(native, x.dtype))
    blocks, groups = plan.convolution.blocks, len(plan.groups)
    threads = torch.get_num_threads()
    of_blocks = _parts(blocks, threads)
    of_groups = _parts(groups, threads // len(of_blocks))

    def part(first: int, last: int, begin: int, end: int) -> None:
        _check(
            native.library.psconv_gradient(
                native.instruction_set,
                ctypes.byref(plan.convolution),
                _TYPES[x.dtype],
                x.data_ptr(),
                gradient.data_ptr(),
                result.data_ptr(),
                first,
                last,
                begin,
                end,
            ),
            x,
        )

    _side_by_side(part, [(*one, *two) for one, two in product(of_blocks, of_groups)])
    return result


def _apply(
    native: Native,
    plan: _Plan,
    source: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None,
    result: torch.Tensor,
) -> None:
    kind, convolution = _TYPES[source.dtype], ctypes.byref(plan.convolution)
    packed = torch.empty(plan.packed, dtype=_real(source.dtype))
    threads = torch.get_num_threads()
    bias = None if bias is None else bias.contiguous()

    def pack(begin: int, end: int) -> None:
        native.library.psconv_pack(
            native.instruction_set, convolution, kind, weight.data_ptr(), packed.data_ptr(), begin, end
        )

    def part(begin: int, end: int) -> None:
        _check(
            native.library.psconv_apply(
                native.instruction_set,
                convolution,
                kind,
                source.data_ptr(),
                packed.data_ptr(),
                None if bias is None else bias.data_ptr(),
                result.data_ptr() + plan.start * result.element_size(),
                begin,
                end,
            ),
            source,
        )

    _side_by_side(pack, _parts(len(plan.groups), threads))
    _side_by_side(part, _parts(plan.convolution.images * plan.convolution.bands, threads))


def _check(failed: int, source: torch.Tensor) -> None:
    if failed:
        raise MemoryError(f"convolution of images {list(source.shape)}")


def _images(like: torch.Tensor, channels: int, size: Pair) -> torch.Tensor:
    return torch.empty((like.shape[0], channels, *size), dtype=like.dtype, memory_format=torch.channels_last)


def _real(dtype: torch.dtype) -> torch.dtype:
    """In which products are summed."""
    return torch.float64 if dtype == torch.float64 else torch.float32


def _lanes(native: Native, dtype: torch.dtype) -> int:
    return int(native.library.psconv_vector_bytes(native.instruction_set)) // _real(dtype).itemsize


@lru_cache(maxsize=256)
def _forward_plan(
    window: Window, source: tuple[int, ...], outputs: int, size: Pair, strides: tuple[int, ...], lanes: int
) -> _Plan:
    places = []
    for variant, tap in window.elements:
        row, column = divmod(tap, window.kernel[1])
        places.append(
            _Place(
                variant,
                row * window.dilation[0] - window.padding[0],
                column * window.dilation[1] - window.padding[1],
                row * strides[2] + column * strides[3],
            )
        )
    return _plan(
        window.period, places, source, (outputs, *size), window.stride, (size[0], size[1]), strides[:2], lanes, 0
    )


@lru_cache(maxsize=256)
def _input_plans(
    window: Window, source: tuple[int, ...], result: tuple[int, ...], strides: tuple[int, ...], lanes: int
) -> list[_Plan]:
    plans = []
    channels, *size = result
    for phase in product(range(min(window.stride[0], size[0])), range(min(window.stride[1], size[1]))):
        places = []
        for variant, tap in window.elements:
            at = divmod(tap, window.kernel[1])
            ways = [phase[axis] + window.padding[axis] - at[axis] * window.dilation[axis] for axis in (0, 1)]
            if all(way % stride == 0 for way, stride in zip(ways, window.stride, strict=True)):
                row, column = (way // stride for way, stride in zip(ways, window.stride, strict=True))
                places.append(_Place(variant, row, column, at[0] * strides[2] + at[1] * strides[3]))
        if places:
            own = tuple(
                -(-(whole - first) // stride) for whole, first, stride in zip(size, phase, window.stride, strict=True)
            )
            start = (phase[0] * size[1] + phase[1]) * channels
            plans.append(
                _plan(
                    window.period,
                    places,
                    source,
                    result,
                    (1, 1),
                    (own[0], own[1]),
                    (strides[1], strides[0]),
                    lanes,
                    start,
                    window.stride,
                )
            )
    return plans


def _plan(
    period: int,
    places: list[_Place],
    source: tuple[int, ...],
    result: tuple[int, ...],
    step: Pair,
    size: Pair,
    weight_strides: Sequence[int],
    lanes: int,
    start: int,
    spread: Pair = (1, 1),
) -> _Plan:
    """source: [n, channels, h, w] of what is summed; result: [channels, h, w] of the whole result, of which `size` rows
    and columns, `spread` apart, are computed."""
    outputs, height, width = result
    blocks = -(-source[1] // period)
    stride, groups = _groups(-(-outputs // lanes), period, lanes)
    ring = -(-(period + lanes - 1) // 8) * 8
    row_bytes = (source[3] * blocks * ring * step[0] + size[1] * outputs) * 4
    rows = max(1, _BAND // row_bytes)
    place_array, group_array = (
        (_Place * len(places))(*places),
        (_Group * len(groups))(*(_Group(*group) for group in groups)),
    )
    convolution = _Convolution(
        images=source[0],
        height=source[2],
        width=source[3],
        channels=source[1],
        result_height=size[0],
        result_width=size[1],
        outputs=outputs,
        step_rows=step[0],
        step_columns=step[1],
        result_image=outputs * height * width,
        result_row=outputs * width * spread[0],
        result_column=outputs * spread[1],
        weight_output=weight_strides[0],
        weight_channel=weight_strides[1],
        period=period,
        blocks=blocks,
        places=len(places),
        groups=len(groups),
        group_stride=stride,
        bands=-(-size[0] // rows),
        place=ctypes.addressof(place_array),
        group=ctypes.addressof(group_array),
    )
    packed = sum(count for _, count in groups) * blocks * len(places) * lanes
    return _Plan(convolution, tuple(groups), packed, start, (place_array, group_array))


def _groups(vectors: int, period: int, lanes: int) -> tuple[int, list[Pair]]:
    """(stride, groups): vectors `stride` apart read the rings at the same places; up to _GROUP of them are a group."""
    stride = period // math.gcd(period, lanes)
    groups = []
    for residue in range(min(stride, vectors)):
        alike = -(-(vectors - residue) // stride)
        for begin, end in _parts(alike, -(-alike // _GROUP)):
            groups.append((residue + begin * stride, end - begin))
    return stride, groups


def _parts(count: int, most: int) -> list[Pair]:
    """0 .. count in at most `most` pieces of about the same size."""
    pieces = max(1, min(most, count))
    return list(pairwise(count * at // pieces for at in range(pieces + 1)))


def _side_by_side(part: Callable[..., None], calls: Sequence[tuple[int, ...]]) -> None:
    """All calls, the first in this thread."""
    others = [_pool(len(calls) - 1).submit(part, *call) for call in calls[1:]]
    part(*calls[0])
    for other in others:
        other.result()


@cache
def _pool(threads: int) -> ThreadPoolExecutor:
    """Threads that wait from one call to the next."""
    return ThreadPoolExecutor(threads, "psconv")
