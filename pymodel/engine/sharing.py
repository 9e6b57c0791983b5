"""Which products share a hardware multiplier: those of output channels that meet the same activation.

The To outputs of a rotation read the same places of the ring. So do outputs of different rotations, here and there:
lane (r, v, t) reads place v - r, and what another variant v' with the tap t reads there is for the output v' - v
further on. docs/reference/engine.md, "Several products in one multiplier".
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import combinations
from typing import NamedTuple, TypeVar

from pymodel.network.supports import BlockSupport, Support

_T = TypeVar("_T")
Product = tuple[int, int]  # an output of a step, and the lane of it


class PackedSum(NamedTuple):
    """Multipliers whose packed products are added before their fields are taken apart.

    outputs: of each field, the lowest first, an output of a step. lanes: of each multiplier a lane of each of them; the
    activation is the same for all.
    """

    outputs: tuple[int, ...]
    lanes: tuple[tuple[int, ...], ...]


@lru_cache(maxsize=1024)
def packed_sums(
    support: Support | BlockSupport,
    To: int,
    R: int,
    Tb: int,
    fold: int,
    packing: int,
    group: int,
    channelwise: bool = False,
) -> tuple[PackedSum, ...]:
    """The multipliers of an engine, `packing` products in each where so many share an activation.

    To, R, Tb, fold, packing, channelwise: of an EngineShape. group: products that a field holds the sum of.
    """
    lanes = -(-support.nonzeros * Tb // fold)
    found: dict[tuple[int, ...], list[tuple[int, ...]]] = defaultdict(list)
    apart: list[Product] = []
    for rotation in range(R):
        outputs = range(rotation * To, (rotation + 1) * To)
        whole = To - To % packing
        for chunk in _batches(outputs[:whole], packing):
            found[chunk] = [(lane,) * packing for lane in range(lanes)]
        apart += [(output, lane) for output in outputs[whole:] for lane in range(lanes)]
    if apart:
        places: dict[tuple[int, ...], list[Product]] = defaultdict(list)
        own = fold > 1 or channelwise  # activations of its own for each rotation, as far as is looked for here
        place = _own_place if own or not isinstance(support, Support) else _places(support)
        for output, lane in apart:
            places[place(output // To, lane)].append((output, lane))
        for chosen in _chosen(list(places.values()), packing):
            found[tuple(output for output, _ in chosen)].append(tuple(lane for _, lane in chosen))
    return tuple(PackedSum(outputs, part) for outputs in sorted(found) for part in _batches(found[outputs], group))


def _batches(items: Sequence[_T], size: int) -> Iterator[tuple[_T, ...]]:
    for start in range(0, len(items), size):
        yield tuple(items[start : start + size])


def _own_place(rotation: int, lane: int) -> tuple[int, ...]:
    """What tells the activations of a lane where no other rotation has a lane that shares them."""
    return rotation, lane


def _places(support: Support) -> Callable[[int, int], tuple[int, ...]]:
    """The same where lanes of several rotations meet in the ring: equal for those that share an activation."""
    elements = support.elements()

    def place(rotation: int, lane: int) -> tuple[int, ...]:
        block, element = divmod(lane, len(elements))
        variant, tap = elements[element]
        return block, (variant - rotation) % support.period, tap

    return place


def _chosen(places: Sequence[Sequence[Product]], packing: int) -> Iterable[tuple[Product, ...]]:
    """The products of each place in multipliers of at most `packing`.

    Pairs of outputs that meet at many places come first: products of the same pair are added in their fields.
    """
    met = Counter(pair for products in places for pair in combinations([output for output, _ in products], 2))
    for products in places:
        left = sorted(products)
        while len(left) > packing:
            first = max(
                combinations(left, 2),
                key=lambda pair: (met[pair[0][0], pair[1][0]], [-output for output, _ in pair]),
            )
            more = [product for product in left if product not in first][: packing - len(first)]
            chosen = tuple(sorted([*first, *more]))
            left = [product for product in left if product not in chosen]
            yield chosen
        if left:
            yield tuple(left)
