"""What the compiled kernel does for one layer: its pairs of channels, tiles of outputs, places and packed weights.

A *place* is (pair of input channels, tap). Input channels with the same residue mod P have the same variant for an
output channel, so a pair takes channels P apart: its two weights are nonzero at the same taps. Output channels with the
same residue have all their places in common, and are summed together, up to TILE at a time, as a small dense product.
"""

from __future__ import annotations

from dataclasses import dataclass
from weakref import WeakKeyDictionary

import numpy as np

from pymodel.bundle import Bundle
from pymodel.formats import accumulator_bound
from pymodel.network import Conv
from pymodel.supports import Support

TILE = 4  # convolution.cpp's
_TILE = np.dtype(
    [("outputs", np.int32), ("output", np.int32, TILE), ("taps", np.int32),
     ("positions", np.int64), ("weights", np.int64)],
    align=True,
)  # fmt: skip


_INT32_MAX = (1 << 31) - 1
_plans: WeakKeyDictionary[Bundle, dict[str, Plan | None]] = WeakKeyDictionary()


@dataclass(frozen=True, eq=False)
class Plan:
    """What of `Layer` in convolution.cpp depends on the weights alone."""

    shape: tuple[int, ...]  # cout, cin, K, K
    first: np.ndarray  # int32 [pairs]
    second: np.ndarray  # int32 [pairs], -1: no second channel
    tiles: np.ndarray  # `Tile` of convolution.cpp [tiles]
    places: np.ndarray  # int64 [places], pair * K * K + tap
    weights: np.ndarray  # int16 [.., 2]

    def positions(self, stride: int, columns: int) -> np.ndarray:
        """int64 [places]: where each place lies in the packed rows of one image (convolution.cpp's text)."""
        kernel = self.shape[2]
        pair, tap = np.divmod(self.places, kernel * kernel)
        row, column = np.divmod(tap, kernel)
        line = (row * len(self.first) + pair) * stride + column % stride
        return line * columns + column // stride


def pair_channels(count: int, period: int) -> tuple[np.ndarray, np.ndarray]:
    """First and second channel of each pair, int32 [pairs]; second -1: none. Each of `count` channels is in one pair.

    Channels `period` apart are paired; those left over with each other.
    """
    channels = np.arange(count)
    early = channels // period % 2 == 0
    first = channels[early & (channels + period < count)]
    left = np.setdiff1d(channels, [first, first + period])
    last = np.append(left, -1) if len(left) % 2 else left
    return (
        np.concatenate([first, last[0::2]]).astype(np.int32),
        np.concatenate([first + period, last[1::2]]).astype(np.int32),
    )


def make_plan(weights: np.ndarray, mask: np.ndarray, period: int) -> Plan:
    """Plan of weights int8 [cout, cin, K, K] that are nonzero only where mask, bool of that shape, is.

    period: channels that far apart share their supports.
    """
    cout, cin, kernel, _ = weights.shape
    taps = kernel * kernel
    first, second = pair_channels(cin, period)
    # One channel more, which is never used: the second of a pair that has none (index -1).
    padded = np.pad(weights.reshape(cout, cin, taps), ((0, 0), (0, 1), (0, 0)))
    used = np.pad(mask.reshape(cout, cin, taps), ((0, 0), (0, 1), (0, 0)))
    used = (used[:, first] | used[:, second]).reshape(cout, -1)
    _, classes = np.unique(np.packbits(used, axis=1), axis=0, return_inverse=True)

    tiles, places, packed, place_count, weight_count = [], [], [], 0, 0
    for number in range(classes.max() + 1):
        members = np.flatnonzero(classes.ravel() == number)
        own = np.flatnonzero(used[members[0]])
        pair, tap = np.divmod(own, taps)
        places.append(own)
        for start in range(0, len(members), TILE):
            outputs = members[start : start + TILE]
            values = np.stack([padded[outputs[:, None], channel[pair], tap] for channel in (first, second)], axis=-1)
            packed.append(values.swapaxes(0, 1).reshape(-1, 2))  # [taps][outputs] pairs
            listed = np.resize(outputs, TILE)
            tiles.append((len(outputs), listed, len(own), place_count, weight_count))
            weight_count += len(packed[-1])
        place_count += len(own)
    return Plan(
        shape=weights.shape,
        first=first,
        second=second,
        tiles=np.array(tiles, _TILE),
        places=np.concatenate(places),
        weights=np.ascontiguousarray(np.concatenate(packed), np.int16),
    )


def plan_of(bundle: Bundle, layer: Conv) -> Plan | None:
    """The plan of a convolution of `bundle`, made once; None where its sums are not proved to be int32.

    The layer's weights become read-only, so that the plan stays true.
    """
    plans = _plans.setdefault(bundle, {})
    if layer.name not in plans:
        weights = bundle.weights[layer.name]
        weights.flags.writeable = False
        # Half a unit of the requantisation is added in 32 bits too.
        largest = accumulator_bound(weights, bundle.bias(layer.name), 8) + (1 << bundle.shift(layer.name) >> 1)
        plans[layer.name] = _plan_conv(weights, layer) if largest <= _INT32_MAX else None
    return plans[layer.name]


def _plan_conv(weights: np.ndarray, layer: Conv) -> Plan:
    """Grouped convolutions as those of one group whose weights between groups are outside the support."""
    support = layer.make_support()
    mask = support.mask(*weights.shape[:2])
    period = support.period if isinstance(support, Support) else 1
    return make_plan(_ungrouped(weights, layer.groups), _ungrouped(mask, layer.groups), period)


def _ungrouped(array: np.ndarray, groups: int) -> np.ndarray:
    """[cout, cin / groups, K, K] as [cout, cin, K, K], zero between groups."""
    cout, cin, *kernel = array.shape
    whole = np.zeros((groups, cout // groups, groups, cin, *kernel), array.dtype)
    for group, own in enumerate(array.reshape(groups, cout // groups, cin, *kernel)):
        whole[group, :, group] = own
    return whole.reshape(cout, groups * cin, *kernel)
