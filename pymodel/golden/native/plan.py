"""What the compiled kernel does for one layer: its groups of channels, tiles of outputs, places and packed weights.

A *place* is (group of input channels, tap); how many channels a group has depends on the instruction set. Input
channels with the same residue mod P have the same variant for an output channel, so a group takes channels P apart: its
weights are nonzero at the same taps. Output channels with the same residue have all their places in common, and are
summed together, up to TILE at a time, as a small dense product.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from pymodel.common.arrays import Array, Bool, Int8, Int16, Int32, Int64
from pymodel.network.bundle import Bundle
from pymodel.network.formats import accumulator_bound
from pymodel.network.supports import Support
from pymodel.network.topology import Conv

TILE = 4  # convolution.cpp's
Cell = TypeVar("Cell", np.int8, np.bool_)
_TILE = np.dtype(
    [
        ("outputs", np.int32),
        ("output", np.int32, TILE),
        ("taps", np.int32),
        ("positions", np.int64),
        ("weights", np.int64),
    ],
    align=True,
)


# Of weights by channels of a group, and how much larger than themselves the kernel takes activations for (Pair, Quad).
_CELLS = {2: (np.int16, 0), 4: (np.int8, 128)}
_INT32_MAX = (1 << 31) - 1
_plans: WeakKeyDictionary[Bundle, dict[tuple[str, int], Plan | None]] = WeakKeyDictionary()


@dataclass(frozen=True, eq=False)
class Plan:
    """The part of `Layer` in convolution.cpp that depends on the weights alone."""

    shape: tuple[int, ...]  # cout, cin, K, K
    channels: Int32  # int32 [groups, size], -1: no channel
    tiles: Array  # `Tile` of convolution.cpp [tiles]
    places: Int64  # int64 [places], group * K * K + tap
    weights: Int16 | Int8  # int16 or int8 [.., size]
    excess: Int64  # int64 [cout]: how much larger than themselves sums come out, activations being unsigned

    def positions(self, stride: int, columns: int) -> Int64:
        """int64 [places]: where each place lies in the packed rows of one image (convolution.cpp's text)."""
        kernel = self.shape[2]
        group, tap = np.divmod(self.places, kernel * kernel)
        row, column = np.divmod(tap, kernel)
        line = (row * len(self.channels) + group) * stride + column % stride
        place: Int64 = line * columns + column // stride
        return place


def group_channels(count: int, period: int, size: int) -> Int32:
    """Channels of each group, int32 [groups, size], -1: none. Each of `count` channels is in one group.

    Channels `period` apart are grouped; those left over with each other.
    """
    channels = np.arange(count)
    residue, place = channels % period, channels // period
    alike = (count - 1 - residue) // period + 1  # channels with this residue
    whole = place < alike // size * size
    order = np.lexsort((channels, residue))
    left = order[~whole[order]]
    left = np.append(left, np.full(-len(left) % size, -1))
    return np.concatenate([order[whole[order]], left]).reshape(-1, size).astype(np.int32)


def make_plan(weights: Int8, mask: Bool, period: int, size: int = 2) -> Plan:
    """Plan of weights int8 [cout, cin, K, K] that are nonzero only where mask, bool of that shape, is.

    period: channels that far apart share their supports. size: channels of a group, 2 or 4.
    """
    cout, cin, kernel, _ = weights.shape
    taps = kernel * kernel
    channels = group_channels(cin, period, size)
    kind, offset = _CELLS[size]
    # One channel more, which is never used: that of index -1.
    padded = np.pad(weights.reshape(cout, cin, taps), ((0, 0), (0, 1), (0, 0)))
    used = np.pad(mask.reshape(cout, cin, taps), ((0, 0), (0, 1), (0, 0)))
    used = used[:, channels].any(axis=2).reshape(cout, -1)
    _, classes = np.unique(np.packbits(used, axis=1), axis=0, return_inverse=True)

    tiles, places, packed, place_count, weight_count = [], [], [], 0, 0
    for number in range(classes.max() + 1):
        members = np.flatnonzero(classes.ravel() == number)
        own = np.flatnonzero(used[members[0]])
        group, tap = np.divmod(own, taps)
        places.append(own)
        for start in range(0, len(members), TILE):
            outputs = members[start : start + TILE]
            values = padded[outputs[:, None, None], channels[group], tap[:, None]]
            packed.append(values.swapaxes(0, 1).reshape(-1, size))  # [taps][outputs] cells
            listed = np.resize(outputs, TILE)
            tiles.append((len(outputs), listed, len(own), place_count, weight_count))
            weight_count += len(packed[-1])
        place_count += len(own)
    return Plan(
        shape=weights.shape,
        channels=channels,
        tiles=np.array(tiles, _TILE),
        places=np.concatenate(places),
        weights=np.ascontiguousarray(np.concatenate(packed), kind),
        excess=weights.reshape(cout, -1).sum(axis=1, dtype=np.int64) * offset,
    )


def plan_of(bundle: Bundle, layer: Conv, size: int) -> Plan | None:
    """The plan of a convolution of `bundle`, made once; None where its sums are not proved to be int32.

    size: channels of a group (`convolution.group_size`). The layer's weights become read-only, so that the plan stays
    true.
    """
    plans = _plans.setdefault(bundle, {})
    if (layer.name, size) not in plans:
        weights = bundle.weights[layer.name]
        weights.flags.writeable = False
        # Half a unit of the requantisation is added in 32 bits too.
        largest = accumulator_bound(weights, bundle.bias(layer.name), 8) + (1 << bundle.shift(layer.name) >> 1)
        plans[layer.name, size] = _plan_conv(weights, layer, size) if largest <= _INT32_MAX else None
    return plans[layer.name, size]


def _plan_conv(weights: Int8, layer: Conv, size: int) -> Plan:
    """Grouped convolutions as those of one group whose weights between groups are outside the support."""
    support = layer.make_support()
    mask = support.mask(*weights.shape[:2])
    period = support.period if isinstance(support, Support) else 1
    return make_plan(_ungrouped(weights, layer.groups), _ungrouped(mask, layer.groups), period, size)


def _ungrouped(array: NDArray[Cell], groups: int) -> NDArray[Cell]:
    """[cout, cin / groups, K, K] as [cout, cin, K, K], zero between groups."""
    cout, cin, *kernel = array.shape
    whole = np.zeros((groups, cout // groups, groups, cin, *kernel), array.dtype)
    for group, own in enumerate(array.reshape(groups, cout // groups, cin, *kernel)):
        whole[group, :, group] = own
    return whole.reshape(cout, groups * cin, *kernel)
