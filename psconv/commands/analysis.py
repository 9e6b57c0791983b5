"""Storage, traffic and energy of the papers' networks as tables: rows are dicts, for terminal, JSON and plots.

Everything is computed from the definitions in pymodel (storage, traffic, energy): a model, not measured.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from psconv.common import plots
from psconv.common.tables import Row
from pymodel.counts.energy import PARTS, Costs, Energy, network_energy
from pymodel.counts.storage import FORMATS, Storage, network_storage, total
from pymodel.counts.traffic import Buffers, EngineOptions, Traffic, network_traffic
from pymodel.nn.variants import Family

MIB = 8 * 2**20  # bits
UJ = 1e6  # pJ


@dataclass(frozen=True)
class Setting:
    """What traffic and energy are computed for. Raises ConfigError where its parts do."""

    options: EngineOptions = field(default_factory=EngineOptions)
    buffers: Buffers = field(default_factory=Buffers)
    costs: Costs = field(default_factory=Costs.load)


def storage_rows(family: Family, weight_bits: int = 8) -> list[Row]:
    """Bits of all weights and indices, for each variant and format.

    bits_per_weight: all bits over the weights that may be nonzero. of_dense, of_periodic: all bits over those
    of the dense network, and of the periodic format (None where there is none). Raises ConfigError.
    """
    rows, dense = [], total(network_storage(family.dense, weight_bits))["dense"]
    for variant, network in family.networks.items():
        storage = total(network_storage(network, weight_bits))
        weights = min(part.weight_bits for part in storage.values()) // weight_bits
        for form in FORMATS:
            if form in storage:
                part = storage[form]
                rows.append(
                    {
                        "variant": variant,
                        "format": form,
                        "weight_bits": part.weight_bits,
                        "index_bits": part.index_bits,
                        "MiB": part.bits / MIB,
                        "bits_per_weight": part.bits / weights,
                        "of_dense": part.bits / dense.bits,
                        "of_periodic": _over(part, storage.get("periodic")),
                    }
                )
    return rows


def traffic_rows(family: Family, setting: Setting | None = None) -> list[Row]:
    """Bits moved for one image, for each variant and format: DRAM, on-chip memory ports, registers.

    Raises ConfigError.
    """
    rows = []
    for variant, traffic in _traffics(family, setting or Setting()):
        engines = [layer.engine for layer in traffic.layers if layer.engine]
        dram = {part: traffic.total(f"dram_{part}_bits") for part in ("weight", "index", "activation")}
        rows.append(
            {
                "variant": variant,
                "format": traffic.form,
                **{f"dram_{part}_bits": bits for part, bits in dram.items()},
                "dram_bits": traffic.total("dram_bits"),
                "tensor_buffer_bits": traffic.total("buffer_activation_bits"),
                "engine_memory_bits": sum(engine.memory_bits for engine in engines),
                "register_bits": sum(engine.register_bits for engine in engines),
                "gathered_bits": sum(engine.gathered_bits for engine in engines),
                "products": traffic.total("products"),
            }
        )
    return rows


def energy_rows(family: Family, setting: Setting | None = None) -> list[Row]:
    """Energy of one image in uJ, for each variant and format, split as `pymodel.counts.energy.Energy` says.

    of_dense: over the dense network's. of_periodic: over the periodic format's (None where there is none).
    Raises ConfigError.
    """
    setting = setting or Setting()
    energies = {
        (variant, traffic.form): _sum(traffic, setting.costs) for variant, traffic in _traffics(family, setting)
    }
    dense = _sum(network_traffic(family.dense, "dense", setting.options, setting.buffers), setting.costs)
    return [
        {
            "variant": variant,
            "format": form,
            **_parts(energy),
            "total_uJ": energy.total / UJ,
            "of_dense": energy.total / dense.total,
            "of_periodic": _ratio(energy, energies.get((variant, "periodic"))),
        }
        for (variant, form), energy in energies.items()
    ]


def layer_energy_rows(family: Family, variant: str, form: str, setting: Setting | None = None) -> list[Row]:
    """Energy of one image in uJ layer by layer, for one variant in one format. Raises ConfigError."""
    setting = setting or Setting()
    traffic = network_traffic(family.networks[variant], form, setting.options, setting.buffers)
    return [
        {"layer": layer, **_parts(energy), "total_uJ": energy.total / UJ}
        for layer, energy in network_energy(traffic, setting.costs).items()
    ]


def periodicity_rows(family: Family, setting: Setting | None = None) -> list[Row]:
    """The papers' argument: how many times as much the other formats take as the periodic one.

    One row for each variant with a period and each other format: storage, DRAM bits and energy of one image,
    as ratios over the periodic format. "dense" is the dense network. Raises ConfigError.
    """
    setting = setting or Setting()
    stored = {
        (row["variant"], row["format"]): row["of_periodic"] for row in storage_rows(family, setting.options.weight_bits)
    }
    dram, energy = {}, {}
    for variant, traffic in _traffics(family, setting, with_dense=True):
        dram[variant, traffic.form] = traffic.total("dram_bits")
        energy[variant, traffic.form] = _sum(traffic, setting.costs).total
    return [
        {
            "variant": variant,
            "format": form,
            "storage": stored[variant, form],
            "dram": dram[variant, form] / dram[variant, "periodic"],
            "energy": energy[variant, form] / energy[variant, "periodic"],
        }
        for variant, form in dram
        if form != "periodic" and (variant, "periodic") in dram
    ]


def plot_storage(family: Family, folder: Path, weight_bits: int = 8) -> list[Path]:
    """Writes folder/storage.svg and .png: bits by variant and format; returns their paths.

    Raises ConfigError.
    """
    rows = storage_rows(family, weight_bits)
    figure = plots.storage_bars(rows, f"{family.title}: stored bits, {weight_bits}-bit weights")
    return plots.write(figure, folder / "storage")


def plot_energy(family: Family, folder: Path, setting: Setting | None = None) -> list[Path]:
    """Writes folder/energy.svg and .png: energy split by variant and format; returns their paths.

    Raises ConfigError.
    """
    setting = setting or Setting()
    rows = energy_rows(family, setting)
    title = f"{family.title}: energy of an image ({setting.costs.name}; a model)"
    figure = plots.energy_bars(rows, title)
    return plots.write(figure, folder / "energy")


def _traffics(family: Family, setting: Setting, with_dense: bool = False) -> Iterator[tuple[str, Traffic]]:
    """Each variant in each format it has. A sparse network in the dense format is the dense network: it comes
    with `with_dense` only, and a network without masks, equal in all formats, in the dense format only."""
    for variant, made in family.networks.items():
        storage = network_storage(made, setting.options.weight_bits)
        possible = total(storage)
        sparse = possible["dense"] != possible["bitmap"]
        for form in possible:
            if (form == "dense" and (with_dense or not sparse)) or (form != "dense" and sparse):
                yield variant, network_traffic(made, form, setting.options, setting.buffers, storage)


def _sum(traffic: Traffic, costs: Costs) -> Energy:
    return sum(network_energy(traffic, costs).values(), Energy())


def _parts(energy: Energy) -> Row:
    return {f"{part}_uJ": getattr(energy, part) / UJ for part in PARTS}


def _ratio(energy: Energy, base: Energy | None) -> float | None:
    return None if base is None else energy.total / base.total


def _over(part: Storage, base: Storage | None) -> float | None:
    return None if base is None else part.bits / base.bits
