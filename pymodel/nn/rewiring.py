"""Dynamic network rewiring: which weights a network has moves while it is trained, their number stays.

S. Kundu, M. Nazemi, P. A. Beerel, M. Pedram, "DNR: a tunable robust pruning framework through dynamic network rewiring
of DNNs", ASP-DAC 2021 (arXiv 2011.03083), whose way of moving weights is sparse momentum (T. Dettmers, L. Zettlemoyer,
arXiv 1907.04840). After an epoch a share of each layer's present units of least magnitude is pruned. As many in all are
regrown: a layer's part goes by the mean momentum of its present weights over the sum of these of all layers, and within
a layer the absent units of largest momentum come back. Units are single weights or a layer's input channels.

Ours are units that are taps of a periodic support: an element (variant, tap), for all kernels of the variant at once,
by magnitude and momentum summed over these kernels. Each variant regrows as many taps as it lost, so a layer keeps its
period, its taps in each variant and with them its cost, and remains what an engine runs without an index.

A unit that is pruned and regrown at once has not moved: it keeps its weights. Momentum is the optimiser's, of the
gradient by all weights, those that are not there included (`PSConv2d.dense_gradient`). The order of equal units is
theirs in the layer, so processes that have the same weights decide alike.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

import numpy as np
import torch

from pymodel.common.arrays import Bool, Floats, all_but_smallest
from pymodel.common.errors import ConfigError
from pymodel.network.supports import MaskSupport, Support, SupportSpec, make_support
from pymodel.network.topology import Conv, Network
from pymodel.network.zoo import apply_variant, sparse_convs
from pymodel.nn.build import NetworkModule
from pymodel.nn.psconv2d import PSConv2d

Granularity = Literal["irregular", "channel", "taps"]
Momentum = Callable[[torch.Tensor], torch.Tensor]
"""A layer's weights -> their momentum, of the same shape."""


@dataclass(frozen=True)
class Units:
    """The units of a layer that may move.

    present: bool [n]. magnitude, momentum: float64 [n], at least 0. pull: the mean magnitude of the momentum of the
    present weights.
    """

    present: Bool
    magnitude: Floats
    momentum: Floats
    pull: float


def prune_share(rate: float, epoch: int, epochs: int) -> float:
    """The share that is pruned after `epoch` of 1..epochs: from about `rate` down to 0 after the last, by a cosine."""
    return 0.0 if epoch == epochs else rate * 0.5 * (1 + math.cos(math.pi * epoch / epochs))


def parts(total: int, pulls: Sequence[float], room: Sequence[int]) -> list[int]:
    """`total` in whole parts, proportional to `pulls` where `room` allows it, by largest remainders.

    What a layer has no room for goes to the others, by their pulls; where no pull is left, by their room. total must
    be at most the sum of room.
    """
    assert 0 <= total <= sum(room), (total, room)
    found, open_ = [0] * len(room), set(range(len(room)))
    left = total
    while open_ and left:
        weights = {at: Fraction(pulls[at]) for at in sorted(open_)}  # exact: parts have to add up
        if not any(weights.values()):
            weights = {at: Fraction(room[at]) for at in sorted(open_)}
        whole = sum(weights.values())
        quotas = {at: left * weight / whole for at, weight in weights.items()}
        full = [at for at, quota in quotas.items() if quota >= room[at]]
        if full:  # decided; the rest is divided anew
            for at in full:
                found[at] = room[at]
                open_.remove(at)
            left = total - sum(found)
            continue
        for at, quota in quotas.items():
            found[at] = math.floor(quota)
        missing = total - sum(found)
        for at in sorted(quotas, key=lambda at: (math.floor(quotas[at]) - quotas[at], at))[:missing]:
            found[at] += 1
        return found
    return found


def moved(layers: Sequence[Units], share: float) -> list[Bool]:
    """Which units of each layer are present after `share` of each layer's was pruned and as many regrown in all."""
    kept, lost = [], 0
    for units in layers:
        gone = math.floor(share * np.count_nonzero(units.present))
        stays = units.present.copy()
        stays[units.present] = all_but_smallest(units.magnitude[units.present], gone)
        kept.append(stays)
        lost += gone
    grown = parts(lost, [units.pull for units in layers], [int((~stays).sum()) for stays in kept])
    return [
        stays | _largest(units.momentum, ~stays, count) for units, stays, count in zip(layers, kept, grown, strict=True)
    ]


def moved_taps(table: Bool, magnitude: Floats, momentum: Floats, share: float) -> Bool:
    """bool [P, taps]: a periodic support after `share` of its elements was pruned and regrown, each in its variant.

    table: bool [P, taps]; magnitude, momentum: float64 [P, taps], sums over the kernels of a variant. Variants with all
    taps have none to move.
    """
    movable = table & ~table.all(axis=1, keepdims=True)
    stays = table.copy()
    stays[movable] = all_but_smallest(magnitude[movable], math.floor(share * np.count_nonzero(movable)))
    found = stays.copy()
    for variant, lost in enumerate((table & ~stays).sum(axis=1)):
        found[variant] |= _largest(momentum[variant], ~stays[variant], int(lost))
    return found


def _largest(scores: Floats, among: Bool, count: int) -> Bool:
    """bool [n]: the `count` largest of scores [n] among those marked; of equal ones the first."""
    chosen = np.zeros(len(scores), bool)
    at = np.flatnonzero(among)
    order = np.argsort(-scores[at], kind="stable")
    chosen[at[order[:count]]] = True
    return chosen


def first_network(
    dense: Network, granularity: Granularity, variant: str, density: float | None, seed: int
) -> tuple[Network, tuple[str, ...]]:
    """(the network that a training with rewiring begins with, the layers that are rewired: those a variant changes).

    `taps`: under the periodic support `variant`. Else at random places of each layer, drawn by `seed`: the share
    `density` of its units, rounded, or, where there is none, as many weights as `variant` leaves (channels: the
    nearest number of them); one at least. Raises ConfigError.
    """
    layers = sparse_convs(dense)
    if not layers:
        raise ConfigError(f"rewire: {dense.name} has no convolution that a variant changes")
    varied = apply_variant(dense, variant)
    if granularity == "taps":
        for name in layers:
            support = _conv(varied, name).make_support()
            if not isinstance(support, Support):
                raise ConfigError(
                    f"network.variant: must be a periodic support with rewire.granularity: taps, such as PS2_P6, "
                    f"got {variant}"
                )
        return varied, layers

    def change(conv: Conv) -> Conv:
        if conv.name not in layers:
            return conv
        shape = dense.weight_shape(conv)
        weights = int(np.prod(shape))
        left = density
        if left is None:
            left = _conv(varied, conv.name).make_support().weights(*shape[:2]) / weights
        random = np.random.default_rng([seed, zlib.crc32(conv.name.encode())])
        units = shape[1] if granularity == "channel" else weights
        present = np.zeros(units, bool)
        present[random.permutation(units)[: max(1, round(left * units))]] = True
        return _with_support(conv, MaskSupport.of(_mask(present, shape)).spec())

    return dense.map_convs(change), layers


class Rewiring:
    """The layers of a network whose supports move. While it is used, `clear` has to follow each step of the optimiser.

    module: whose convolutions `layers` are PSConv2d with masks of whole units, or periodic supports for `taps`.
    """

    def __init__(self, module: NetworkModule, layers: Sequence[str], granularity: Granularity) -> None:
        self.network, self.granularity = module.network, granularity
        self.convs: dict[str, PSConv2d] = {}
        for name in layers:
            conv = module.conv(name)
            assert isinstance(conv, PSConv2d), name
            conv.dense_gradient = True
            self.convs[name] = conv

    def clear(self) -> None:
        """Weights that are not there become zero."""
        for conv in self.convs.values():
            conv.clear_pruned()

    def rewire(self, momentum: Momentum, share: float) -> int:
        """Prune `share` of each layer's units, regrow as many; the number of units that are in another place."""
        if self.granularity == "taps":
            return sum(self._rewire_taps(conv, momentum, share) for conv in self.convs.values())
        layers = [self._units(conv, momentum(conv.weight)) for conv in self.convs.values()]
        found = moved(layers, share)
        for conv, present in zip(self.convs.values(), found, strict=True):
            conv.move(MaskSupport.of(_mask(present, tuple(conv.weight.shape))))
        return sum(int((now & ~units.present).sum()) for now, units in zip(found, layers, strict=True))

    def supports(self) -> dict[str, SupportSpec]:
        """Each layer's support, as files name it."""
        return {name: _movable(conv).spec() for name, conv in self.convs.items()}

    def move(self, supports: Mapping[str, SupportSpec]) -> None:
        """Go back to what `supports` gave. Raises ConfigError for supports of other layers."""
        if set(supports) != set(self.convs):
            raise ConfigError(f"supports: must be of {', '.join(self.convs)}, got {', '.join(supports) or 'none'}")
        for name, conv in self.convs.items():
            conv.move(make_support(supports[name], conv.kernel_size[0]))

    def moved_network(self) -> Network:
        """The topology with the supports as they are now."""
        supports = self.supports()
        return self.network.map_convs(
            lambda conv: _with_support(conv, supports[conv.name]) if conv.name in supports else conv
        )

    def _units(self, conv: PSConv2d, momentum: torch.Tensor) -> Units:
        weights, pulls = _array(conv.weight), np.abs(_array(momentum))
        mask = ~conv.pruned.cpu().numpy()
        pull = float(pulls[mask].mean())
        if self.granularity == "irregular":
            return Units(mask.ravel(), np.abs(weights).ravel(), pulls.ravel(), pull)
        norms = [np.sqrt(np.square(values).sum(axis=(0, 2, 3))) for values in (weights, pulls)]
        return Units(mask[0, :, 0, 0], norms[0], norms[1], pull)

    def _rewire_taps(self, conv: PSConv2d, momentum: Momentum, share: float) -> int:
        support = _movable(conv)
        assert isinstance(support, Support)
        before = support.table()
        magnitude, pulls = (by_element(_array(of), support) for of in (conv.weight, momentum(conv.weight)))
        after = moved_taps(before, magnitude, pulls, share)
        if np.array_equal(after, before):
            return 0
        conv.move(Support.custom([np.flatnonzero(taps).tolist() for taps in after], support.kernel))
        return int((after & ~before).sum())


def by_element(values: Floats, support: Support) -> Floats:
    """float64 [P, K * K]: the sums of |values| [cout, cin, K, K] over the kernels of each variant."""
    cout, cin = values.shape[:2]
    sums = np.zeros((support.period, support.kernel**2))
    np.add.at(sums, support.variants(cout, cin).ravel(), np.abs(values).reshape(cout * cin, -1))
    return sums


def _movable(conv: PSConv2d) -> Support | MaskSupport:
    assert isinstance(conv.support, Support | MaskSupport)
    return conv.support


def _mask(present: Bool, shape: tuple[int, ...]) -> Bool:
    """bool `shape`, [cout, cin, K, K], of units: all weights, or a layer's input channels."""
    if len(present) == math.prod(shape):
        return present.reshape(shape)
    return np.broadcast_to(present[None, :, None, None], shape)


def _array(values: torch.Tensor) -> Floats:
    array: Floats = values.detach().cpu().double().numpy()
    return array


def _conv(network: Network, name: str) -> Conv:
    layer = network.layer(name)
    assert isinstance(layer, Conv), name
    return layer


def _with_support(conv: Conv, support: SupportSpec) -> Conv:
    return Conv(**{**conv.model_dump(), "support": support})
