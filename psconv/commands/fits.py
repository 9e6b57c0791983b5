"""`psconv fits`: whether a network with all its weights in ROM fits a device, and whether its dense twin would.

By the model of `psconv explore` (docs/guide/explore.md), without building anything: multipliers and block RAM exact,
look-up tables and flip-flops estimates. The twin has the same layers without pruning, each in its own formats and with
its own scales, and of the ways to build it that keep the same interval one with the fewest multipliers: with several
products in each, or with rings in memories, only where the network itself has such.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from psconv.commands.explore import Request, explored
from psconv.common.tables import Row
from psconv.flow.config import RunConfig, load
from psconv.flow.inputs import load_bundle
from psconv.flow.parallelism import engine_shapes
from psconv.synthesis.targets import Target, lacking, load_target, verdict
from pymodel.common.errors import ConfigError
from pymodel.explore.constants import upper_bounds
from pymodel.explore.costs import Cost, engine_cost
from pymodel.explore.network import cheapest
from pymodel.explore.streams import streams_cost
from pymodel.explore.technology import technology_of
from pymodel.network.bundle import Bundle
from pymodel.network.topology import Conv
from pymodel.top.cycles import slowest
from pymodel.top.dataflow import Dataflow, build

BLOCK_BITS, ULTRA_BITS = 36 * 1024, 288 * 1024


@dataclass(frozen=True)
class Candidate:
    """One way to build the network, and what it takes."""

    name: str
    weight_bits: int  # all weights, those that are zero left out where their positions are periodic
    cost: Cost


@dataclass(frozen=True)
class Fits:
    """The network as configured, and its dense twin. interval: cycles from one image to the next, of all of them."""

    network: str
    target: Target
    interval: int
    candidates: list[Candidate]
    upper_bounds: list[str]  # layers of the network as configured that may take less

    @property
    def rows(self) -> list[Row]:
        """What each takes, with its share of the device."""
        budget = self.target.budgets.model_dump()
        return [
            {"network": candidate.name, "weights_Mbit": round(candidate.weight_bits / 1e6, 2)}
            | {kind: _shown(candidate.cost.to_json()[kind], budget[kind]) for kind in ("DSP", "BRAM", "LUT", "FF")}
            | {"fits": verdict(candidate.cost.to_json(), budget)}
            for candidate in self.candidates
        ]

    @property
    def memory_bits(self) -> tuple[int, int]:
        """Memory bits of the device: in block RAM alone, and with UltraRAM."""
        blocks = self.target.budgets.BRAM * BLOCK_BITS
        return blocks, blocks + self.target.budgets.URAM * ULTRA_BITS

    @property
    def note(self) -> str:
        """What the device has for weights, and whose weights alone are more."""
        blocks, both = self.memory_bits
        more = [c.name for c in self.candidates if c.weight_bits > both]
        alone = f"; weights alone are more: {', '.join(more)}" if more else ""
        return (
            f"{self.target.name} has {blocks / 1e6:,.1f} Mbit of block RAM, {both / 1e6:,.1f} Mbit with UltraRAM, "
            f"of which no ROM can be{alone}"
        )

    def to_json(self) -> dict[str, Any]:
        return {
            "network": self.network,
            "device": self.target.name,
            "cycles": self.interval,
            "budget": self.target.budgets.model_dump(),
            "upper_bounds": self.upper_bounds,
            "block_ram_bits": self.memory_bits[0],
            "block_and_ultra_ram_bits": self.memory_bits[1],
            "candidates": [
                {
                    "name": c.name,
                    "weight_bits": c.weight_bits,
                    **c.cost.to_json(),
                    "fits": not lacking(c.cost.to_json(), self.target.budgets.model_dump()),
                }
                for c in self.candidates
            ],
        }


def _shown(used: float, budget: int) -> str:
    """An amount with its share of the budget."""
    return f"{used:,.10g}" + (f" ({used / budget:.1%})" if budget else "")


def fits(path: Path, device: str | None = None, tell: Callable[[str], None] = lambda text: None) -> Fits:
    """The network that `path` configures beside its dense twin. Raises ConfigError. tell: how far it is."""
    config = load(path)
    if config.layer:
        raise ConfigError(f"{path}: layer: must be left out, fits compares a bundle or a network built as one top")
    target = load_target(config.target if device is None else device)
    technology = technology_of(target.family)
    try:
        bundle = load_bundle(config, path)
        shapes = engine_shapes(_with_roms(config), bundle, target)
        own = build(bundle, shapes)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error
    interval = slowest(own).iterations
    engines = (engine_cost(shape, technology) for shape in own.shapes.values())
    here = sum(engines, streams_cost(own, technology))
    found = [Candidate(config.network.variant if config.network else "as configured", _stored_bits(own), here)]
    request = Request(
        fps=None,
        minimise="DSP",
        budget=(),
        packing=any(shape.packing > 1 for shape in own.shapes.values()),
        channels=any(shape.pieces > 1 for shape in own.shapes.values()),
    )
    network = explored(dense_twin(bundle, config.seed), path, {}, request, technology, tell=tell)
    answer = cheapest(network, {}, interval, "DSP")
    if answer.choice is None:
        raise ConfigError(f"{path}: no folding of the dense network takes {interval:,} cycles for an image")
    dense = network.dataflow(answer.choice)
    found.append(Candidate("dense", _stored_bits(dense), answer.cost))
    return Fits(bundle.network.name, target, interval, found, upper_bounds(own))


def _with_roms(config: RunConfig) -> RunConfig:
    """The same run with all weights in ROM."""
    layers = {
        name: one.model_copy(update={"weights": None, "ultra_weights": None}) for name, one in config.layers.items()
    }
    return config.model_copy(update={"weights": "rom", "layers": layers})


def _stored_bits(dataflow: Dataflow) -> int:
    """Bits of all weights of the engines, without what fills words."""
    return sum(s.cout * s.N * s.blocks * s.weight_bits for s in dataflow.shapes.values())


def dense_twin(bundle: Bundle, seed: int) -> Bundle:
    """The bundle with all weights of every kernel: its own where it has them, the others random in the same format.

    Biases and scales are the bundle's own. An accumulator is as wide as the weights ask for.
    """
    weights = {}
    for layer in bundle.network.weighted_layers():
        own, form = bundle.weights[layer.name], bundle.weight_formats[layer.name]
        rng = np.random.default_rng([seed, zlib.crc32(layer.name.encode())])
        drawn = rng.integers(form.min, form.max + 1, own.shape).astype(np.int8)
        kept = layer.make_support().mask(*own.shape[:2]) if isinstance(layer, Conv) else True
        weights[layer.name] = np.where(kept, own, drawn)
    return replace(bundle, network=bundle.network.dense_twin(), weights=weights, accumulator_bits={})
