"""Quantisers of a graph, lowered: which layer rounds to which numbers, and where it takes a layer of its own."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np

from pymodel.frontend.drafts import Draft, Drafts, Refused, Value
from pymodel.frontend.graph import Node
from pymodel.frontend.quantiser import Quantiser, power_of_two, same
from pymodel.network import topology
from pymodel.network.topology import INPUT

_MOVING = (topology.MaxPool, topology.ChannelShuffle, topology.Concat, topology.Relu)  # numbers stay what they are


class Quantising(Drafts):
    """What a network that was quantised already has besides."""

    def quantise(self, node: Node) -> Value:
        """Where the numbers that are there are among the quantiser's it does nothing; a layer whose sums nothing else
        reads rounds to them; else it takes a layer of its own."""
        value, quantiser = self.values[node.inputs[0]], node.attributes["quantiser"]
        _check_built(quantiser)
        grid = self._grid(value.layer)
        if grid is not None:
            if not quantiser.holds(grid, self._not_negative(value.layer)):
                return self._requantised(node, self._source(node), quantiser)
        elif not value.sole:
            raise Refused("what it reads is read besides, before it is rounded or rounded otherwise: quantise it once")
        elif value.layer == INPUT:
            self.entering = quantiser
        else:
            self._settle(node, value, quantiser)
        return replace(value, shape=node.shape)

    def _grid(self, layer: str) -> Quantiser | None:
        """The numbers that a layer's output can be, where it has been quantised."""
        if layer == INPUT:
            return self.entering
        draft = self.drafts[layer]
        if draft.quantiser is not None or draft.kind not in _MOVING:
            return draft.quantiser
        grids = [self._grid(value.layer) for value in draft.reads]
        first = grids[0]
        alike = first is not None and all(grid is not None and first.one_format(grid) for grid in grids)
        return first if alike else None

    def _settle(self, node: Node, value: Value, quantiser: Quantiser) -> None:
        """Makes a layer that was not quantised so far, or those that it moves numbers of, round to a quantiser's."""
        draft = self.drafts[value.layer]
        if draft.kind is None:
            return
        if draft.kind in (topology.MaxPool, topology.ChannelShuffle):  # rounded before or after: the same
            self._settle_source(node, value, draft, 0, quantiser)
            return
        if draft.kind is topology.Concat:
            for at in range(len(draft.reads)):
                self._settle_source(node, value, draft, at, quantiser)
            return
        if draft.kind in (topology.AvgPool, topology.GlobalAvgPool):
            self._settle_mean(value.layer, quantiser)
        elif draft.kind is topology.Add:
            self._align(node, value.layer, quantiser)
        elif draft.kind is topology.Relu:
            raise Refused("the ReLU that it reads has a source that is read besides: quantise that")
        if not quantiser.signed and draft.kind is not topology.AvgPool and draft.kind is not topology.GlobalAvgPool:
            draft.keys["relu"] = True
        _check_narrow(quantiser, self._not_negative(value.layer))
        draft.quantiser = draft.quantiser or quantiser

    def _settle_source(self, node: Node, value: Value, draft: Draft, at: int, quantiser: Quantiser) -> None:
        """One of the tensors that a layer which moves numbers reads."""
        source = draft.reads[at]
        grid = self._grid(source.layer)
        if grid is None and source.layer != INPUT and source.sole:
            self._settle(node, source, quantiser)
        elif grid is None:
            raise Refused("what it reads is read besides, before it is rounded or rounded otherwise: quantise it once")
        elif not grid.one_format(quantiser):
            self._reread(value.layer, at, self._requantised(node, source, quantiser))

    def _reread(self, layer: str, at: int, value: Value) -> None:
        """A layer, the last so far of what leads to it, reads something else that was made after it."""
        draft = self.drafts.pop(layer)
        draft.reads = (*draft.reads[:at], value, *draft.reads[at + 1 :])
        self.drafts[layer] = draft

    def _requantised(self, node: Node, value: Value, quantiser: Quantiser) -> Value:
        """A layer of its own that rounds integers to others: a depthwise convolution of 1x1 ones."""
        draft, reads = self.drafts.get(value.layer), replace(value, order=None)
        own = self._shape(value.layer)
        keys: dict[str, Any] = {"out_channels": own[0], "kernel": 1, "groups": own[0]}
        if draft and draft.kind is topology.Relu and value.sole:  # it takes that in
            reads, keys = draft.reads[0], keys | {"relu": True} | draft.keys
            del self.drafts[value.layer]
        if not quantiser.signed:
            keys["relu"] = True
        _check_narrow(quantiser, "relu" in keys or self._not_negative(reads.layer))
        ones = np.ones((own[0], 1, 1, 1))
        layer = self._emit(
            node, topology.Conv, own, reads, keys=keys, weight=ones, step=ones[:, 0, 0, 0], quantiser=quantiser
        )
        return replace(layer, order=value.order, moved=value.moved, shape=value.shape)

    def _settle_mean(self, layer: str, quantiser: Quantiser) -> None:
        """A mean in the format of what it reads stays one; else it is a convolution of ones."""
        draft = self.drafts[layer]
        source = draft.reads[0]
        grid, (channels, rows, columns) = self._grid(source.layer), self._shape(source.layer)
        if grid is None:
            raise Refused(f"the mean before it reads {source.layer} before that is quantised: quantise it")
        kernel = draft.keys.get("kernel", rows)
        count = kernel**2 if "kernel" in draft.keys else rows * columns
        if same(grid.scale, quantiser.scale) and quantiser.holds(grid, self._not_negative(source.layer)):
            draft.quantiser = replace(grid, rounding=quantiser.rounding)
            return
        if count != kernel**2:
            raise Refused(
                f"the mean of {rows}x{columns} before it is rounded to another scale: that is built of square images "
                "alone; give it the scale of what it reads"
            )
        draft.kind = topology.Conv
        draft.keys = {"out_channels": channels, "groups": channels, **draft.keys, "kernel": kernel}
        draft.weight = np.full((channels, 1, kernel, kernel), 1 / count)
        draft.step = np.full(channels, 1 / count)

    def _align(self, node: Node, layer: str, quantiser: Quantiser) -> None:
        """An addition shifts its inputs, so their scales and its own must be powers of two apart: others are rounded
        to one that is, by the layer that makes them where nothing else reads that, else by a layer of its own. And it
        never shifts its sum to the left: one input has a scale as fine as its own."""
        for at, value in enumerate(self.drafts[layer].reads):
            grid, draft = self._grid(value.layer), self.drafts.get(value.layer)
            if grid is None:
                raise Refused(f"the addition before it reads {value.layer} before that is quantised: quantise it")
            if power_of_two(grid.scale / quantiser.scale) is not None:
                continue
            reach = max(-grid.low, grid.high) * grid.scale
            steps = math.ceil(math.log2(reach / (127 * quantiser.scale)) - 1e-6)
            self.aligned[layer] = (
                "inputs are rounded to scales that are powers of two from its own: it only shifts (power-of-two "
                "scales, or one scale for both inputs and the sum, are exact)"
            )
            near = replace(quantiser, bits=8, signed=True, narrow=False, scale=quantiser.scale * 2.0**steps)
            if draft and draft.weight is not None and draft.quantiser is not None and value.sole:
                draft.quantiser = near
            else:
                self._reread(layer, at, self._requantised(node, value, near))
        reads = self.drafts[layer].reads
        if any(grid.scale <= quantiser.scale or same(grid.scale, quantiser.scale) for grid in map(self._known, reads)):
            return
        fine = Quantiser(8, True, False, quantiser.scale, quantiser.rounding)  # the sum has the finest scale it reads
        for at, value in enumerate(reads):
            if fine.holds(self._known(value), self._not_negative(value.layer)):
                self._reread(layer, at, self._requantised(node, value, fine))
                return
        raise Refused(
            "the addition before it is rounded to a finer scale than that of both its inputs, which 8 bits of that "
            "scale do not hold: give it the scale of an input"
        )

    def _known(self, value: Value) -> Quantiser:
        """The numbers of a value that has been quantised."""
        grid = self._grid(value.layer)
        assert grid is not None
        return grid

    def _quantisers(self) -> dict[str, Quantiser]:
        """The numbers of INPUT and of each layer that has been quantised."""
        return {name: grid for name in (INPUT, *self.drafts) if (grid := self._grid(name)) is not None}

    def _check_quantised(self, outputs: list[Value]) -> None:
        """Whatever computes in a network that is quantised at all must read integers. Problems are told."""
        if self.entering is None and not any(draft.quantiser for draft in self.drafts.values()):
            return
        told = set()
        for draft in self.drafts.values():
            for value in draft.reads:
                read = self.drafts.get(value.layer)
                if self._grid(value.layer) is None and value.layer not in told and (read is None or read.kind):
                    told.add(value.layer)
                    what = "the images" if read is None else f"{value.layer}, of {read.where},"
                    self._tell(draft.where, f"reads {what} before they are quantised: put a quantiser between")
        for value in outputs:
            draft_out = self.drafts.get(value.layer)
            if draft_out and draft_out.kind and draft_out.weight is None and self._grid(value.layer) is None:
                self._tell(draft_out.where, "gives a result that is not quantised: put a quantiser behind it")


def _check_built(quantiser: Quantiser) -> None:
    """Raises Refused where no format has a quantiser's numbers."""
    most = 8 if quantiser.signed else 7
    if not 2 <= quantiser.bits + (not quantiser.signed) or quantiser.bits > most:
        kind = "signed" if quantiser.signed else "unsigned"
        raise Refused(
            f"activations have 2 to 8 bits with a sign, which unsigned ones have besides, so up to 7: got "
            f"{quantiser.bits} {kind} bits: use 7 unsigned bits (brevitas: bit_width=7), or 8 signed ones"
        )
    if quantiser.narrow and not quantiser.signed:
        raise Refused("the greatest integer of unsigned activations must be used: leave narrow_range out")


def _check_narrow(quantiser: Quantiser, not_negative: bool) -> None:
    """Raises Refused where a quantiser has a least integer that no format has."""
    if quantiser.narrow and quantiser.signed and not not_negative:
        raise Refused(
            f"the least integer of {quantiser.bits} bits must be used: leave narrow_range out for activations "
            "(that of weights may stay)"
        )
