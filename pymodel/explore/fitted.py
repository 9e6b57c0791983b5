"""What is asked of a network's parallelism, and what no choice can beat."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pymodel.explore.network import Network, cheapest, fastest
from pymodel.explore.solve import Answer
from pymodel.explore.utilisation import most_utilised


@dataclass(frozen=True)
class Fitted:
    """A choice that fits a budget with its streams. interval: cycles per image; bounds: what no choice can beat."""

    answer: Answer
    interval: int
    bounds: Bounds


@dataclass(frozen=True)
class Bounds:
    """amount: the least of the minimised resource at the interval found. None: not asked for.

    interval: the least cycles per image. product: the least lanes times cycles per image.
    """

    amount: float | None = None
    interval: int | None = None
    product: float | None = None


def fitted(
    network: Network, budget: Mapping[str, float], resource: str, interval: int | None = None, utilised: bool = False
) -> Fitted | None:
    """Within a budget the least of `resource` at an interval, or the highest frame rate (interval: None).

    utilised: instead the best use of the lanes, in at most `interval` cycles per image. None: nothing that fits was
    found.
    """
    if utilised:
        used = most_utilised(network, budget, interval)
        return None if used is None else Fitted(used.answer, used.interval, Bounds(product=used.bound))
    if interval is None:
        best = fastest(network, budget, resource)
        return None if best is None else Fitted(best.answer, best.interval, Bounds(best.answer.bound, best.bound))
    answer = cheapest(network, budget, interval, resource)
    if answer.choice is None:
        return None
    return Fitted(answer, network.interval(answer.choice), Bounds(answer.bound))
