"""Exact integer operations of a network, on numpy arrays, images first.

Sums of products run on BLAS through floating point where a bound proves that every partial sum is an integer
that the type holds exactly, in whatever order BLAS adds; on 64-bit integers otherwise.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from pymodel.common.arrays import Int64, Integers
from pymodel.common.errors import ConfigError
from pymodel.network.formats import Rounding, mean, requantise
from pymodel.network.topology import Padding, positions

_FLOAT32_EXACT = 1 << 24  # every integer of at most this magnitude is a float32
_FLOAT64_EXACT = 1 << 53
COLUMN_BYTES = 1 << 25  # of unrolled windows held at a time


Number = TypeVar("Number", bound=np.number[Any])
Piece = tuple[slice, slice, slice]  # of an array [n, c, h, w]: images, channels, rows


def conv2d(
    images: Integers,
    weights: Integers,
    bias: Integers | None = None,
    stride: int = 1,
    padding: int | tuple[int, ...] = 0,
    groups: int = 1,
) -> Int64:
    """Convolution (cross-correlation): exact int64 [n, cout, hout, wout].

    images: int [n, cin, h, w]; weights: int [cout, cin / groups, K, K]; bias: int [cout] or None. padding: of all
    sides, or (top, left, bottom, right). Raises ConfigError: shapes that do not fit, sums that could leave 64 bits.
    """
    hout, wout = positions(images.shape, weights.shape[2], stride, Padding.of(padding))
    result = np.empty((len(images), len(weights), max(hout, 0), max(wout, 0)), np.int64)
    for piece, sums in conv2d_pieces(images, weights, bias, stride, padding, groups):
        result[piece] = sums
    return result


def conv2d_pieces(
    images: Integers,
    weights: Integers,
    bias: Integers | None = None,
    stride: int = 1,
    padding: int | tuple[int, ...] = 0,
    groups: int = 1,
) -> Iterator[tuple[Piece, Int64]]:
    """`conv2d` in pieces of a few rows or images, each with its place: large images leave no room for all sums."""
    count, cin, height, width = images.shape
    cout, group_cin, kernel, columns = weights.shape
    if group_cin * groups != cin or cout % groups or kernel != columns:
        raise ConfigError(
            f"convolution: weights must fit {cin} input channels in {groups} groups, got {list(weights.shape)}"
        )
    pads = Padding.of(padding)
    hout, wout = positions(images.shape, kernel, stride, pads)
    if hout < 1 or wout < 1:
        raise ConfigError(f"convolution: kernel must be at most the {height}x{width} image, got {kernel}x{kernel}")

    dtype = exact_dtype(images, weights, bias)
    matrix = weights.astype(dtype).reshape(groups, cout // groups, group_cin * kernel * kernel)
    offsets = None if bias is None else bias.astype(np.int64)[:, None, None]
    per_row = np.dtype(dtype).itemsize * cin * kernel * kernel * wout
    for some, rows in _pieces(count, hout, per_row):
        part = _rows(images[some], rows, kernel, stride, pads).astype(dtype)
        unrolled = _windows(part, kernel, stride, Padding.of(0), 0).transpose(0, 1, 4, 5, 2, 3)
        unrolled = unrolled.reshape(len(part), groups, group_cin * kernel * kernel, -1)
        sums = (matrix @ unrolled).reshape(len(part), cout, -1, wout).astype(np.int64)
        yield (some, slice(None), rows), sums if offsets is None else sums + offsets


def linear(vectors: Integers, weights: Integers, bias: Integers | None = None) -> Int64:
    """Fully connected layer: exact int64 [n, out].

    vectors: int [n, in]; weights: int [out, in]; bias: int [out] or None.
    Raises ConfigError: shapes that do not fit, sums that could leave 64 bits.
    """
    return conv2d(vectors[:, :, None, None], weights[:, :, None, None], bias)[:, :, 0, 0]


def exact_dtype(images: Integers, weights: Integers, bias: Integers | None = None) -> type[np.number[Any]]:
    """The quickest type in which sum(images * weights) is exact for every output channel.

    No partial sum, in any order, exceeds max |image| * max over channels of sum |weight|.
    Raises ConfigError where that bound, with the bias, leaves 64 bits.
    """
    wide = weights.astype(np.result_type(weights, np.int16), copy=False)  # in which |-128| exists; narrow is quick
    magnitudes = np.abs(wide).reshape(len(weights), -1).sum(axis=1, dtype=np.int64)
    bound = _largest(images) * int(magnitudes.max(initial=0))
    if bound <= _FLOAT32_EXACT:
        return np.float32
    if bound <= _FLOAT64_EXACT:
        return np.float64
    if bound + (0 if bias is None else _largest(bias)) >= 1 << 63:
        raise ConfigError(f"convolution: sums must fit 64 bits, got up to {bound}")
    return np.int64


def maxpool(images: Integers, kernel: int, stride: int, padding: int | tuple[int, ...] = 0) -> Integers:
    """Largest element of each window: [n, c, hout, wout] of the type of images. Padding never wins."""
    windows = _windows(images, kernel, stride, Padding.of(padding), np.iinfo(images.dtype).min)
    largest = windows[..., 0, 0].copy()
    for row, column in np.ndindex(kernel, kernel):  # whole images at a time: far quicker than a maximum over short axes
        np.maximum(largest, windows[..., row, column], out=largest)
    return largest


def avgpool(
    images: Integers,
    kernel: int,
    stride: int,
    padding: int | tuple[int, ...] = 0,
    rounding: Rounding = "half_up",
) -> Int64:
    """Mean of each window, padding counted as zeros: int64 [n, c, hout, wout], by `formats.mean`."""
    sums = _windows(images.astype(np.int64), kernel, stride, Padding.of(padding), 0).sum(axis=(4, 5))
    return mean(sums, kernel**2, rounding)


def global_avgpool(images: Integers, rounding: Rounding = "half_up") -> Int64:
    """Mean of each channel: int64 [n, c, 1, 1], by `formats.mean`."""
    sums = images.sum(axis=(2, 3), dtype=np.int64, keepdims=True)
    return mean(sums, images.shape[2] * images.shape[3], rounding)


def add_residual(
    left: Integers,
    right: Integers,
    left_frac: int,
    right_frac: int,
    out_frac: int,
    out_bits: int,
    relu: bool,
    high: int | None = None,
    rounding: Rounding = "half_up",
) -> Int64:
    """Residual addition, int64: both shifted left to the finer frac, added, requantised."""
    finest = max(left_frac, right_frac)
    aligned_left = left.astype(np.int64) << (finest - left_frac)
    aligned_right = right.astype(np.int64) << (finest - right_frac)
    return requantise(aligned_left + aligned_right, finest - out_frac, out_bits, relu, high=high, rounding=rounding)


def channel_shuffle(images: Integers, groups: int) -> Integers:
    """Channel g * (c / groups) + j goes to j * groups + g. images: [n, c, h, w]."""
    count, channels, height, width = images.shape
    split = images.reshape(count, groups, channels // groups, height, width)
    return split.swapaxes(1, 2).reshape(images.shape)


def _pieces(count: int, rows: int, per_row: int) -> Iterator[tuple[slice, slice]]:
    """Slices of images and of their rows with which about COLUMN_BYTES are held, where a row has `per_row` bytes."""
    some, few = max(1, COLUMN_BYTES // (per_row * rows)), max(1, COLUMN_BYTES // per_row)
    for start in range(0, count, some):
        for top in range(0, rows, few):
            yield slice(start, start + some), slice(top, min(top + few, rows))


def _rows(images: Integers, rows: slice, kernel: int, stride: int, pads: Padding) -> Integers:
    """What the windows of these output rows read, zeros around the image included."""
    first, last = rows.start * stride - pads.top, (rows.stop - 1) * stride - pads.top + kernel
    height = images.shape[2]
    edges = ((0, 0), (0, 0), (max(0, -first), max(0, last - height)), (pads.left, pads.right))
    inside = images[:, :, max(0, first) : last]
    return np.pad(inside, edges) if any(pads) else inside


def _windows(images: NDArray[Number], kernel: int, stride: int, pads: Padding, fill: int) -> NDArray[Number]:
    """View [n, c, hout, wout, kernel, kernel] of the windows of padded images."""
    if any(pads):
        edges = ((0, 0), (0, 0), (pads.top, pads.bottom), (pads.left, pads.right))
        images = np.pad(images, edges, constant_values=fill)
    windows = np.lib.stride_tricks.sliding_window_view(images, (kernel, kernel), axis=(2, 3))
    return windows[:, :, ::stride, ::stride]


def _largest(array: Integers) -> int:
    """max |element| as a Python integer (0 for an empty array)."""
    return max(int(array.max(initial=0)), -int(array.min(initial=0)))
