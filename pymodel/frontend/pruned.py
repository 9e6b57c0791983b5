"""Weights that are zero already: which periodic support they have, or how far they are from the nearest.

The variant of a kernel depends on o + i alone (v(o, i) = (o + i + 1) mod P), so what kernels of one sum o + i have
decides everything: a layer is summed up over these diagonals once, whatever the number of supports it is held against.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from pymodel.common.arrays import Bool, Int64
from pymodel.frontend.graph import Graph, Node
from pymodel.network.supports import NAMED_KERNEL, MaskSupport, Support, SupportSpec

LEAST_ZEROS = 1 / 3  # of the weights of a layer that counts as pruned; quantised weights are often zero by themselves
MAX_PERIOD = 64  # of the supports that are tried
_FAMILIES = ("PSD4", "PSD2", "PSD1", "PS4", "PS2", "PS1")


@dataclass(frozen=True)
class Pruned:
    """What was found of one layer.

    where: what a message calls it. zeros: the fraction of its weights. support: the name of what it has, "mask" where
    it keeps its own, "dense" where no support fits. nearest: the periodic support that differs in fewest taps, and
    stray: how many nonzero weights are off it, of so many nonzero ones.
    """

    where: str
    zeros: float
    support: str
    nearest: str
    stray: int
    nonzero: int

    def __str__(self) -> str:
        found = f"{self.where}: {self.zeros:.1%} of its weights are zero"
        if self.support == self.nearest:
            return f"{found}: {self.support}"
        kept = "kept as a mask, which no hardware has" if self.support == "mask" else "built dense"
        near = f"; nearest is {self.nearest}, off which {self.stray:,} of {self.nonzero:,} nonzero weights are"
        return f"{found}: {kept}{near}"


def with_supports(graph: Graph, masks: bool) -> tuple[Graph, list[Pruned]]:
    """The same graph; its 3x3 convolutions have the periodic support that their zeros fit, if any does.

    masks: pruned convolutions that fit none keep their own mask. Those that have a support already keep that.
    """
    nodes, found = [], []
    for node in graph.nodes:
        if node.op == "conv2d" and node.attributes["support"] is None and _is_square(node):
            spec, told = _recognised(node, masks)
            if told is not None:
                found.append(told)
            node = replace(node, attributes={**node.attributes, "support": spec})
        nodes.append(node)
    return replace(graph, nodes=tuple(nodes)), found


def candidates(cin: int) -> Iterator[Support]:
    """The periodic supports that a layer of `cin` channels is held against; those with fewest weights first."""
    found = []
    for period in range(1, min(cin, MAX_PERIOD) + 1):
        for family in _FAMILIES:
            support = Support.parse(f"{family}_P{period}", NAMED_KERNEL)
            if not support.is_dense:
                found.append(support)
    return iter(sorted(found, key=lambda support: (support.nonzeros / support.period, support.period)))


def _is_square(node: Node) -> bool:
    return node.arrays["weight"].shape[2:] == (NAMED_KERNEL, NAMED_KERNEL) and node.attributes["dilation"] == (1, 1)


def _recognised(node: Node, masks: bool) -> tuple[SupportSpec | None, Pruned | None]:
    mask: Bool = node.arrays["weight"] != 0
    zeros = 1 - float(mask.mean())
    if zeros < LEAST_ZEROS or not mask.any():
        return None, None
    nonzeros, kernels = _diagonals(mask)
    nearest, least, stray = None, np.inf, 0
    for support in candidates(mask.shape[1]):
        off, missing = _distance(support, nonzeros, kernels)
        if off == 0:
            return support.spec(), Pruned(node.where, zeros, support.name, support.name, 0, int(mask.sum()))
        if off + missing < least:
            nearest, least, stray = support, off + missing, off
    assert nearest is not None
    kept = "mask" if masks else "dense"
    told = Pruned(node.where, zeros, kept, nearest.name, stray, int(mask.sum()))
    return (MaskSupport.of(mask).spec() if masks else None), told


def _diagonals(mask: Bool) -> tuple[Int64, Int64]:
    """int [cout + cin - 1, taps]: nonzero weights of the kernels of each sum o + i, by tap; and [..]: those kernels."""
    cout, cin = mask.shape[:2]
    taps = mask.reshape(cout, cin, -1)
    sums = np.add.outer(np.arange(cout), np.arange(cin))
    nonzeros = np.zeros((cout + cin - 1, taps.shape[-1]), np.int64)
    np.add.at(nonzeros, sums, taps)
    return nonzeros, np.bincount(sums.ravel())


def _distance(support: Support, nonzeros: Int64, kernels: Int64) -> tuple[int, int]:
    """(nonzero weights off a support, zeros on it)."""
    allowed = np.zeros((support.period, nonzeros.shape[1]), bool)
    for variant, taps in enumerate(support.taps):
        allowed[variant, list(taps)] = True
    on = allowed[(np.arange(len(nonzeros)) + 1) % support.period]
    return int(nonzeros[~on].sum()), int((kernels[:, None] - nonzeros)[on].sum())
