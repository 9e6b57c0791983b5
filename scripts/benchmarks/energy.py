"""The tables of docs/measurements/storage_energy.md: storage, traffic and energy of the papers' networks.

A model, not measured. All of it is computed from definitions: the same numbers on every machine.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from psconv.commands.analysis import Setting, energy_rows, periodicity_rows
from psconv.common.tables import Row
from pymodel.counts.energy import Costs
from pymodel.counts.traffic import Buffers, EngineOptions
from pymodel.network.supports import PAPER_VARIANTS
from pymodel.nn.variants import family
from scripts.benchmarks.frame import Table

PACKAGES = ("numpy", "torch")
NETWORKS = ("resnet18", "vgg16")
DATASET = "cifar10"
FORMATS = {"dense": "dense", "per_weight": "index per weight", "bitmap": "bit map", "csr": "CSR"}
SPLIT = ("dense", "PSD4_P16", "PSD1_P16", "PS1_P9")
BASELINES = ("PSD1_P16", "SynFlow@PSD1_P16", "SVD@PSD1_P16")


def run(folder: Path, progress: Callable[[str], None]) -> list[Table]:
    """Periodicity's gain, where the energy goes, the baselines, and what changes with the assumptions."""
    tables = []
    for network in NETWORKS:
        progress(network)
        periodic = [v for v in PAPER_VARIANTS if v.startswith("PS")]
        tables.append(Table(f"Over the periodic format: {network}", _gains(network, periodic, Setting())))
    progress("split")
    tables.append(Table("uJ of an image: resnet18", _split(energy_rows(family("resnet18", DATASET, SPLIT)))))
    progress("baselines")
    rows = energy_rows(family("resnet18", DATASET, BASELINES))
    ours = next(row["total_uJ"] for row in rows if row["format"] == "periodic")
    beside = [
        parts | {"of dense": round(row["of_dense"], 2), "over PSD1_P16": round(row["total_uJ"] / ours, 2)}
        for parts, row in zip(_split(rows), rows, strict=True)
    ]
    tables.append(Table("Beside pruning and low rank, uJ of an image: resnet18", beside))
    progress("assumptions")
    tables.append(Table("One assumption changed at a time: PSD1_P16, resnet18", _assumptions()))
    return tables


def _gains(network: str, variants: Sequence[str], setting: Setting) -> list[Row]:
    rows: dict[str, Row] = {}
    for row in periodicity_rows(family(network, DATASET, variants), setting):
        ratios = " / ".join(f"{row[part]:.2f}" for part in ("storage", "dram", "energy"))
        rows.setdefault(row["variant"], {"variant": row["variant"]})[FORMATS[row["format"]]] = ratios
    return [{"variant": row["variant"]} | {name: row[name] for name in FORMATS.values()} for row in rows.values()]


def _split(rows: Sequence[Row]) -> list[Row]:
    parts = [key for key in rows[0] if key.endswith("_uJ")]
    return [
        {"variant": row["variant"], "format": row["format"]}
        | {part.removesuffix("_uJ").replace("_", " "): round(row[part]) for part in parts}
        for row in rows
    ]


def _assumptions() -> list[dict[str, Any]]:
    costs = Costs.load()
    dearer = costs.dram.model_copy(update={"pj": 2 * costs.dram.pj})
    flat = costs.memory.model_copy(update={"points": costs.memory.points[:1]})
    settings = {
        "nothing": Setting(),
        "DRAM at its higher price, 2.6 nJ": Setting(costs=costs.model_copy(update={"dram": dearer})),
        "one price for all memories, 10 pJ (blocks of 8 KiB, wires free)": Setting(
            costs=costs.model_copy(update={"memory": flat})
        ),
        "flip-flops ten times as dear": Setting(
            costs=costs.model_copy(update={"register_pj_per_bit": 10 * costs.register_pj_per_bit})
        ),
        "fetching by address free": Setting(costs=costs.model_copy(update={"register_file_pj_per_bit": 0.0})),
        "weight buffer of 2 MiB": Setting(buffers=Buffers(weights_kib=2048)),
        "all activations through DRAM": Setting(buffers=Buffers(activations_kib=0)),
        "24 multipliers": Setting(EngineOptions(multipliers=24)),
        "288 multipliers": Setting(EngineOptions(multipliers=288)),
        "4-bit weights": Setting(EngineOptions(weight_bits=4)),
    }
    rows, counted = [], family("resnet18", DATASET, ("PSD1_P16",))
    for name, setting in settings.items():
        energies = energy_rows(counted, setting)
        total = next(row["total_uJ"] for row in energies if row["format"] == "periodic")
        gains = {row["format"]: row["energy"] for row in periodicity_rows(counted, setting)}
        rows.append(
            {
                "changed": name,
                "periodic, uJ": round(total),
                **{title: round(gains[form], 2) for form, title in FORMATS.items()},
            }
        )
    return rows
