"""Devices of constraints/, and what a design costs on them in yosys's cells."""

from __future__ import annotations

import json
import re
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from pymodel.errors import ConfigError, Strict, read_yaml, validated
from pymodel.formats import MAX_BITS

from .netlist import trace
from .parallel import in_workers
from .yowasp import read_sources, yosys

CONSTRAINTS = Path(__file__).resolve().parent.parent / "constraints"

# What one cell counts as. BRAM in units of 36 kbit. LUT counts every look-up table, those used as memory
# (LUTRAM) and as shift registers (SRL) included.
_XILINX: dict[str, dict[str, float]] = {
    **{f"LUT{n}": {"LUT": 1} for n in range(1, 7)},
    "INV": {"LUT": 1},
    **{f"FD{kind}E": {"FF": 1} for kind in ("R", "S", "C", "P")},
    **{f"FD{kind}E_1": {"FF": 1} for kind in ("R", "S", "C", "P")},
    **{cell: {"DSP": 1} for cell in ("DSP48E1", "DSP48E2")},
    **{cell: {"BRAM": 1} for cell in ("RAMB36E1", "RAMB36E2")},
    **{cell: {"BRAM": 0.5} for cell in ("RAMB18E1", "RAMB18E2")},
    "URAM288": {"URAM": 1},
    **{cell: {"LUT": 1, "SRL": 1} for cell in ("SRL16E", "SRLC16E", "SRLC32E")},
    **{
        cell: {"LUT": luts, "LUTRAM": luts}
        for cell, luts in (
            ("RAM32X1S", 1),
            ("RAM64X1S", 1),
            ("RAM32X1D", 2),
            ("RAM64X1D", 2),
            ("RAM128X1S", 2),
            ("RAM128X1D", 4),
            ("RAM256X1S", 4),
            ("RAM256X1D", 8),
            ("RAM512X1S", 8),
            ("RAM32M", 4),
            ("RAM64M", 4),
            ("RAM32M16", 8),
            ("RAM64M8", 8),
        )
    },
    **{cell: {"CARRY": 1} for cell in ("CARRY4", "CARRY8")},
    **{cell: {"MUXF": 1} for cell in ("MUXF7", "MUXF8", "MUXF9")},
}
_ECP5: dict[str, dict[str, float]] = {
    "LUT4": {"LUT": 1},
    "CCU2C": {"LUT": 2, "CARRY": 1},
    "TRELLIS_DPR16X4": {"LUT": 6, "LUTRAM": 6},  # 4 as memory, 2 that carry the write address and data
    "TRELLIS_FF": {"FF": 1},
    **{cell: {"DSP": 1} for cell in ("MULT18X18D", "MULT9X9D")},
    "DP16KD": {"BRAM": 0.5},
    **{cell: {"MUXF": 1} for cell in ("PFUMX", "L6MUX21")},
}
_FREE = frozenset({"GND", "VCC", "VHI", "VLO", "$scopeinfo", "BUFG"})
KINDS = ("LUT", "FF", "DSP", "BRAM", "URAM", "LUTRAM", "SRL", "CARRY", "MUXF")


class Budget(Strict):
    """What the device has; BRAM in units of 36 kbit."""

    LUT: int = Field(gt=0)
    FF: int = Field(gt=0)
    DSP: int = Field(ge=0)
    BRAM: int = Field(ge=0)
    URAM: int = Field(ge=0)


class Target(Strict):
    """A device of constraints/NAME.yaml."""

    name: str
    description: str
    family: str
    part: str
    package: str
    speed_grade: str
    clock_ns: float = Field(gt=0, description="clock period that a run takes unless told otherwise")
    multiplier: list[Annotated[int, Field(ge=MAX_BITS)]] = Field(
        min_length=2, max_length=2, description="bits of the two operands, signed, of its multipliers"
    )
    openhls: str = Field(description="delay model of the open HLS flow")
    yosys: str = Field(pattern="^synth_", description="yosys's synthesis command without -top")
    nextpnr: str | None = Field(None, description="device options of nextpnr-ecp5; none: no place and route")
    bambu: str = Field(description="device of PandA Bambu's library with the nearest delays (--device-name)")
    constraints: str = Field(description="clock constraint for the vendor's tool, beside the YAML file")
    budgets: Budget


def known_targets() -> list[str]:
    """Names of the devices of constraints/."""
    return sorted(path.stem for path in CONSTRAINTS.glob("*.yaml"))


def load_target(name: str) -> Target:
    """The device called `name`. Raises ConfigError that lists the known ones."""
    if name not in known_targets():
        raise ConfigError(f"target: unknown device '{name}'; known: {', '.join(known_targets())}")
    path = CONSTRAINTS / f"{name}.yaml"
    target = validated(Target, read_yaml(path), str(path))
    if target.name != name:
        raise ConfigError(f"{path}: name: '{name}' expected, as the file is called, got '{target.name}'")
    return target


def synthesise(rtl: Sequence[Path], top: str, target: Target) -> dict[str, Any]:
    """Synthesise `top` with yosys for `target`, hierarchy kept.

    Returns {"total": {LUT, FF, DSP, ...}, "modules": {name: {"instances": n, LUT, ...}}, "other": {cell: n},
    "utilisation": {LUT: share of the budget, ...}, "seconds": s}. A module's numbers are of one instance
    without its submodules; "other" are cells that have no place in the table of this file (none, normally).
    """
    start = time.monotonic()
    return _counted(_cells(rtl, [], top, target), top, target, start)


def synthesise_modules(rtl: Sequence[Path], top: str, target: Target) -> dict[str, Any]:
    """Like `synthesise`, for a large design of which each file is the module of its name.

    Each module below `top` is synthesised by itself, with what it instantiates, several at a time; the hierarchy is
    kept in either case, so the cells are the same. "parts" are the totals of each of them, one instance with its
    submodules.
    """
    start = time.monotonic()
    files = {path.stem: path for path in rtl}
    parts = {name: _instantiated(path, files) for name, path in files.items()}

    def whole(name: str) -> set[str]:
        return {name}.union(*map(whole, parts[name]))

    found = _cells([files[top]], [files[name] for name in sorted(parts[top])], top, target)
    names = sorted(parts[top])
    calls = [([files[module] for module in sorted(whole(name))], [], name, target) for name in names]
    totals = {}
    for name, cells in zip(names, in_workers(_cells, calls), strict=True):
        found |= cells
        totals[name] = _counted(cells, name, target, start)["total"]
    return {**_counted(found, top, target, start), "parts": totals}


def _instantiated(path: Path, files: Mapping[str, Path]) -> set[str]:
    """The modules of `files` that the one in `path` instantiates."""
    words = re.findall(r"^\s*([A-Za-z_]\w*)\s+(?:#\(.*?\)\s*)?[A-Za-z_]\w*\s*\(", path.read_text(), re.MULTILINE)
    return (set(words) & files.keys()) - {path.stem}


def _cells(rtl: Sequence[Path], boxes: Sequence[Path], top: str, target: Target) -> dict[str, dict[str, int]]:
    """Cells by type of each module from `top` down after synthesis; boxes: modules whose insides are not wanted."""
    with tempfile.TemporaryDirectory(prefix="psconv_yosys_") as folder:
        read = read_sources(rtl, Path(folder))
        if boxes:
            read += f"; {read_sources(boxes, Path(folder), 'box', '-lib')}"
        script = f"{read}; {target.yosys} -top {top}; tee -q -o stat.json stat -json"
        yosys(script, Path(folder))
        modules = json.loads((Path(folder) / "stat.json").read_text(encoding="utf-8"))["modules"]
    return {
        name.lstrip("\\"): {kind.lstrip("\\"): n for kind, n in module["num_cells_by_type"].items()}
        for name, module in modules.items()
    }


def _counted(cells: Mapping[str, Mapping[str, int]], top: str, target: Target, start: float) -> dict[str, Any]:
    counted = count_cells(cells, top, _ECP5 if target.family == "ecp5" else _XILINX)
    budget = target.budgets.model_dump()
    share = {kind: round(counted["total"][kind] / budget[kind], 6) for kind in budget if budget[kind]}
    return {**counted, "utilisation": share, "seconds": round(time.monotonic() - start, 2)}


def count_cells(
    modules: Mapping[str, Mapping[str, int]], top: str, weights: Mapping[str, Mapping[str, float]]
) -> dict[str, Any]:
    """Sum cells over the hierarchy below `top`; `modules` gives the cells of each module by type."""
    instances: Counter[str] = Counter()

    def visit(name: str, times: int) -> None:
        instances[name] += times
        for kind, n in modules[name].items():
            if kind in modules:
                visit(kind, times * n)

    visit(top, 1)
    total, other, table = Counter(), Counter(), {}
    for name, times in instances.items():
        own: Counter[str] = Counter()
        for kind, n in modules[name].items():
            if kind in weights:
                for resource, each in weights[kind].items():
                    own[resource] += each * n
            elif kind not in modules and kind not in _FREE:
                other[kind] += n * times
        for resource, n in own.items():
            total[resource] += n * times
        table[name] = {"instances": times, **{kind: _whole(own[kind]) for kind in KINDS}}
    return {"total": {kind: _whole(total[kind]) for kind in KINDS}, "modules": table, "other": dict(other)}


def trace_operands(rtl: Sequence[Path], top: str, instance: str = "") -> dict[str, Any]:
    """Structural proof of the periodic engine, of the multipliers in one instance or all; see `netlist.trace`."""
    with tempfile.TemporaryDirectory(prefix="psconv_yosys_") as folder:
        yosys(
            f"{read_sources(rtl, Path(folder))}; hierarchy -check -top {top}; proc; flatten; opt_expr; opt_dff;"
            " opt_clean; memory -nomap; opt_clean; write_json coarse.json",
            Path(folder),
        )
        design = json.loads((Path(folder) / "coarse.json").read_text(encoding="utf-8"))
    return trace(design, top, instance)


def _whole(value: float) -> int | float:
    return int(value) if value == int(value) else value
