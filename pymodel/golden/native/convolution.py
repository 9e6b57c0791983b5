"""Calls of the compiled kernel: convolution with requantisation, and residual addition.

Its arrays are images last, int8 [c, h, w, n], because then the images fill the lanes. Here they are seen as
[n, c, h, w] all the same: results are views, and arguments that are such views need no copy.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import pairwise

import numpy as np

from pymodel.common.arrays import Int8, Integers
from pymodel.common.compiled import Native
from pymodel.golden.native.plan import Plan
from pymodel.network.formats import Rounding
from pymodel.network.topology import Padding, positions

MAX_ADD_SHIFT = 22  # 2 * 128 * 2**22 and the rounding are an int32
LINE = 64  # bytes of a cache line: no two threads write to one, but for few at the ends of their parts
_WORTH_A_THREAD = 1 << 16  # elements of an addition


class _Layer(ctypes.Structure):
    """`Layer` of convolution.cpp."""

    _fields_ = [
        *(
            (name, ctypes.c_int64)
            for name in (
                "height",
                "width",
                "cout",
                "hout",
                "wout",
                "kernel",
                "stride",
                "top",
                "left",
                "columns",
                "groups",
                "tiles",
                "places",
            )
        ),
        *((name, ctypes.c_void_p) for name in ("channel", "tile", "position", "weights", "bias", "scale")),
        *((name, ctypes.c_int32) for name in ("shift", "low", "high", "even")),
    ]


class _Addition(ctypes.Structure):
    """`Addition` of convolution.cpp."""

    _fields_ = [(name, ctypes.c_int32) for name in ("left", "right", "shift", "low", "high", "even")]


def group_size(native: Native) -> int:
    """Input channels that the kernel multiplies at a time: what plans are made for."""
    return int(native.library.psconv_group(native.instruction_set))


def convolve(
    native: Native,
    plan: Plan,
    images: Int8,
    bias: Integers,
    scales: Integers | None,
    stride: int,
    padding: int | tuple[int, ...],
    shift: int,
    saturation: tuple[int, int],
    threads: int = 1,
    rounding: Rounding = "half_up",
) -> Int8:
    """Convolution and pymodel.network.formats.requantise: exactly: int8 [n, cout, hout, wout].

    images: int8 [n, cin, h, w]; bias, scales: int [cout]; padding: of all sides, or (top, left, bottom, right);
    saturation: lowest and highest output. The plan has `group_size(native)` channels in a group; `plan_of` proves
    that the sums fit. Raises MemoryError.
    """
    cout, _, kernel, _ = plan.shape
    inner = _images_last(images)
    _, height, width, count = inner.shape
    pads = Padding.of(padding)
    columns = -(-(width + pads.columns) // stride)
    hout, wout = positions((height, width), kernel, stride, pads)
    arrays = {
        "channel": plan.channels,
        "tile": plan.tiles,
        "position": plan.positions(stride, columns).astype(np.int32),
        "weights": plan.weights,
        # Modulo 2^32, as the kernel's sums on the way to one that fits.
        "bias": (np.asarray(bias, np.int64) - plan.excess).astype(np.int32),
    }
    if scales is not None:
        arrays["scale"] = np.ascontiguousarray(scales, np.int32)
    layer = _Layer(
        height=height,
        width=width,
        cout=cout,
        hout=hout,
        wout=wout,
        kernel=kernel,
        stride=stride,
        top=pads.top,
        left=pads.left,
        columns=columns,
        groups=len(plan.channels),
        tiles=len(plan.tiles),
        places=len(plan.places),
        shift=shift,
        low=saturation[0],
        high=saturation[1],
        even=_to_even(rounding, shift),
        **{name: array.ctypes.data for name, array in arrays.items()},
    )
    out = np.empty((cout, hout, wout, count), np.int8)

    def part(top: int, bottom: int, begin: int, end: int) -> None:
        if native.library.psconv_convolve(
            native.instruction_set,
            ctypes.byref(layer),
            inner.ctypes.data,
            out.ctypes.data,
            count,
            begin,
            end,
            top,
            bottom,
        ):
            raise MemoryError(f"convolution of {count} images {list(images.shape[1:])}")

    rows = parts_of(hout, 1, threads)
    blocks = parts_of(count, LINE, threads // len(rows))
    _side_by_side(part, [(*these, *block) for these in rows for block in blocks])
    return _images_first(out)


def add(
    native: Native,
    left: Int8,
    right: Int8,
    shifts: tuple[int, int, int],
    saturation: tuple[int, int],
    threads: int = 1,
    rounding: Rounding = "half_up",
) -> Int8:
    """Residual addition: int8 of the shape of left and right, int8 [n, c, h, w].

    shifts: left of each, then right of the sum, each 0 to MAX_ADD_SHIFT. saturation: lowest and highest output.
    """
    one, two = _images_last(left), _images_last(right)
    out = np.empty(one.shape, np.int8)
    addition = _Addition(*shifts, *saturation, _to_even(rounding, shifts[2]))

    def part(begin: int, end: int) -> None:
        native.library.psconv_add(
            native.instruction_set,
            ctypes.byref(addition),
            one.ctypes.data,
            two.ctypes.data,
            out.ctypes.data,
            begin,
            end,
        )

    _side_by_side(part, parts_of(out.size, _WORTH_A_THREAD, threads))
    return _images_first(out)


def _to_even(rounding: Rounding, shift: int) -> bool:
    return rounding == "half_even" and shift > 0


def parts_of(count: int, grain: int, most: int) -> list[tuple[int, int]]:
    """0 .. count in at most `most` pieces of about the same size, which begin at multiples of `grain`."""
    grains = -(-count // grain)
    pieces = max(1, min(most, grains))
    ends = [min(count, grains * at // pieces * grain) for at in range(pieces + 1)]
    return list(pairwise(ends))


def _side_by_side(part: Callable[..., None], calls: Sequence[tuple[int, ...]]) -> None:
    """All calls, the first in this thread."""
    others = [_pool(len(calls) - 1).submit(part, *call) for call in calls[1:]]
    part(*calls[0])
    for other in others:
        other.result()


@cache
def _pool(threads: int) -> ThreadPoolExecutor:
    """Threads that wait from one layer to the next."""
    return ThreadPoolExecutor(threads, "psconv")


def _images_last(images: Int8) -> Int8:
    return np.ascontiguousarray(images.transpose(1, 2, 3, 0))


def _images_first(images: Int8) -> Int8:
    return images.transpose(3, 0, 1, 2)
