"""Engines that need less than the cost model says, as their weights, biases or scales are constants of the hardware.

The model is of a shape: it holds for whatever weights an engine is given. Of some the compiler needs no ROM and no
multiplier: a ROM whose words are all the same is wires, and what is multiplied by a constant is added, or not at all.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pymodel.common.arrays import Int64
from pymodel.engine.memories import memories
from pymodel.engine.packing import EngineShape, lane_weights, pack_bias, pack_scales
from pymodel.explore.costs import DSP_PRODUCT_BITS
from pymodel.top.dataflow import Dataflow
from pymodel.top.units import EngineUnit


def upper_bounds(dataflow: Dataflow) -> list[str]:
    """The layers with weights in ROM of which the cost model gives no more than an upper bound of DSP and BRAM."""
    return [layer for layer, unit in dataflow.engines.items() if needs_less(unit)]


def exactness(kinds: str, layers: Sequence[str]) -> str:
    """In words: which of the model's figures are exact; layers: those of `upper_bounds`."""
    if not layers:
        return f"{kinds} exact"
    return f"{kinds} exact, at most for {', '.join(layers)} (constants that take no multiplier or no ROM)"


def needs_less(unit: EngineUnit) -> bool:
    """Whether what the cost model says of DSP and BRAM of an engine may be more than it takes."""
    shape = unit.shape
    if _constant_factors(lane_weights(unit.weights, shape), shape):
        return True
    if unit.scales is not None and len(set(pack_scales(unit.scales, shape))) == 1:
        return True
    biases = {"BIAS_ROM": pack_bias(unit.bias, shape)}
    return any(memory.block for memory in set(memories(shape)) - set(memories(shape, biases)))


def _constant_factors(weights: Int64, shape: EngineShape) -> bool:
    """Whether a lane's weight is always the same, or always so small that its products are narrow."""
    low, high = weights.min(0).astype(np.int64), weights.max(0).astype(np.int64)
    half = 1 << (shape.in_bits - 1)
    corners = np.stack([weight * x for weight in (low, high) for x in (-half, half - 1)])
    narrow = 1 << (DSP_PRODUCT_BITS - 2)  # products of one bit less are -narrow .. narrow - 1
    return bool(((low == high) | ((corners.min(0) >= -narrow) & (corners.max(0) < narrow))).any())
