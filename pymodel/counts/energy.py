"""Energy of one image: traffic (traffic.py) times a published table of costs per access (energy_costs.yaml).

A model, not a measurement: it counts accesses and operations, each at the cost that the table's source gives
for its process. It leaves out leakage, the clock tree, wires between blocks, control, and the arithmetic of
pooling, residual addition and requantisation, which are the same, or nearly, in the designs compared.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, dataclass, fields
from itertools import pairwise
from pathlib import Path
from typing import Annotated, TypeVar

import numpy as np
from pydantic import Field, field_validator

from pymodel.common.bounds import NETWORK_SIZE, PICOJOULE, POSITIVE_PICOJOULE
from pymodel.common.errors import Strict, validated
from pymodel.common.kinds import COSTS, read_kind
from pymodel.counts.traffic import KIB, EngineOptions, LayerTraffic, Traffic

COSTS_FILE = Path(__file__).with_name("energy_costs.yaml")

Price = Annotated[float, PICOJOULE.field()]
Positive = Annotated[float, POSITIVE_PICOJOULE.field()]
Size = Annotated[int, NETWORK_SIZE.field()]


class WidthPoint(Strict):
    """Energy in pJ of an operation on operands of `bits` bits."""

    bits: Size
    pj: Positive


class CapacityPoint(Strict):
    """Energy in pJ of an access to a memory of `kib` KiB."""

    kib: Size
    pj: Positive


Point = TypeVar("Point", WidthPoint, CapacityPoint)


class MemoryCost(Strict):
    """Energy of an access of `access_bits` bits by the memory's capacity."""

    access_bits: Size
    points: Annotated[list[CapacityPoint], Field(min_length=1)]

    @field_validator("points")
    @classmethod
    def _ascend(cls, points: list[CapacityPoint]) -> list[CapacityPoint]:
        return _check_ascending(points, "kib")

    def per_bit(self, capacity_bits: int) -> float:
        """pJ of one bit read from, or written to, a memory of this capacity."""
        sizes = [point.kib for point in self.points]
        inside = min(max(capacity_bits / KIB, sizes[0]), sizes[-1])
        return power_law(sizes, [point.pj for point in self.points], inside) / self.access_bits


class DramCost(Strict):
    """Energy in pJ of a DRAM access of `access_bits` bits."""

    access_bits: Size
    pj: Price


class Costs(Strict):
    """A table of costs. Every key is explained in energy_costs.yaml."""

    name: str
    source: str
    add: Annotated[list[WidthPoint], Field(min_length=2)]
    multiply: Annotated[list[WidthPoint], Field(min_length=2)]
    memory: MemoryCost
    dram: DramCost
    register_pj_per_bit: Price
    register_file_pj_per_bit: Price

    @field_validator("add", "multiply")
    @classmethod
    def _ascend(cls, points: list[WidthPoint]) -> list[WidthPoint]:
        return _check_ascending(points, "bits")

    @classmethod
    def load(cls, path: Path = COSTS_FILE) -> Costs:
        """Reads a table. Raises ConfigError, naming file and key."""
        return validated(cls, read_kind(path, COSTS), str(path))

    def multiply_accumulate(self, weight_bits: int, activation_bits: int) -> float:
        """pJ of one product and its addition, both as wide as the exact product.

        A multiplier of a x w bits has a * w cells, as a square one of sqrt(a * w) bits. The addition is that
        of a + w bits: one node of an adder tree on products.
        """
        return _at(self.multiply, float(np.sqrt(weight_bits * activation_bits))) + _at(
            self.add, weight_bits + activation_bits
        )

    def dram_bits(self, bits: int) -> float:
        """pJ of that many bits through DRAM, in full accesses."""
        return bits * self.dram.pj / self.dram.access_bits


@dataclass(frozen=True)
class Energy:
    """Energy of one image in pJ, by where it goes.

    dram_weights, dram_indices, dram_activations: DRAM accesses.
    weights, indices: the engines' weight and index memories, read for every output pixel; and written once
        per image where they are streamed.
    activations: on-chip tensors, line and history memories, and operands on their way to the multipliers:
        ring, windows, streams, or fetched by index.
    sums: bias and accumulator memories, accumulator and output registers.
    macs: multiply-accumulates.
    """

    dram_weights: float = 0.0
    dram_indices: float = 0.0
    dram_activations: float = 0.0
    weights: float = 0.0
    indices: float = 0.0
    activations: float = 0.0
    sums: float = 0.0
    macs: float = 0.0

    @property
    def dram(self) -> float:
        return self.dram_weights + self.dram_indices + self.dram_activations

    @property
    def on_chip(self) -> float:
        """On-chip memories and registers, arithmetic aside."""
        return self.weights + self.indices + self.activations + self.sums

    @property
    def total(self) -> float:
        return self.dram + self.on_chip + self.macs

    def __add__(self, other: Energy) -> Energy:
        return Energy(*(a + b for a, b in zip(astuple(self), astuple(other), strict=True)))


PARTS = tuple(part.name for part in fields(Energy))


def layer_energy(layer: LayerTraffic, options: EngineOptions, buffer_bits: int, costs: Costs) -> Energy:
    """Energy of one layer for one image.

    options: the number formats of the engines. buffer_bits: capacity of the memory that tensors are kept in.
    """
    parts = dict.fromkeys(PARTS, 0.0)
    parts["dram_weights"] = costs.dram_bits(layer.dram_weight_bits)
    parts["dram_indices"] = costs.dram_bits(layer.dram_index_bits)
    parts["dram_activations"] = costs.dram_bits(layer.dram_activation_bits)
    parts["activations"] = layer.buffer_activation_bits * costs.memory.per_bit(buffer_bits)
    if layer.engine:
        for memory in layer.engine.memories.values():
            energy = memory.bits * costs.memory.per_bit(memory.capacity_bits)
            parts[memory.part] += energy
        for registers in layer.engine.registers.values():
            parts[registers.part] += registers.bits * costs.register_pj_per_bit
        parts["activations"] += layer.engine.gathered_bits * costs.register_file_pj_per_bit
        mac = costs.multiply_accumulate(options.weight_bits, options.activation_bits)
        parts["macs"] = layer.products * mac
    return Energy(**parts)


def network_energy(traffic: Traffic, costs: Costs | None = None) -> dict[str, Energy]:
    """Energy of one image by layer. `sum(energies.values(), Energy())` is the network's."""
    costs = costs or Costs.load()
    buffer = traffic.buffers.activations_kib * KIB
    return {layer.name: layer_energy(layer, traffic.options, buffer, costs) for layer in traffic.layers}


def power_law(xs: Sequence[float], ys: Sequence[float], x: float) -> float:
    """y at x on the straight lines through the points in log-log scale.

    The outer lines go on beyond the points. xs ascend; a single point is a constant.
    """
    if len(xs) == 1:
        return float(ys[0])
    at = min(max(int(np.searchsorted(xs, x)), 1), len(xs) - 1)
    slope = np.log(ys[at] / ys[at - 1]) / np.log(xs[at] / xs[at - 1])
    return float(ys[at - 1] * (x / xs[at - 1]) ** slope)


def _at(points: Sequence[WidthPoint], bits: float) -> float:
    return power_law([point.bits for point in points], [point.pj for point in points], bits)


def _check_ascending(points: list[Point], key: str) -> list[Point]:
    """The points. Raises ValueError, which pydantic reports, unless `key` ascends and energy never falls."""
    for low, high in pairwise(points):
        if getattr(low, key) >= getattr(high, key) or low.pj > high.pj:
            raise ValueError(f"points must ascend in {key}, and pj must not fall, got {low!r} before {high!r}")
    return points
