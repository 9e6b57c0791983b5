"""Figures out of the reports of Vitis HLS and Vivado, and out of the log of PandA Bambu.

Their formats: UG1399 ("Synthesis Summary", "C/RTL co-simulation report"), UG906 (report_utilization,
report_timing_summary). A value that a tool leaves open ("undef", "?", "NA", "-") is None.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import TypedDict

from psconv.vendor.records import ToolFunction, ToolLoop
from pymodel.common.errors import ConfigError

# Names of the resources, by their first words in Vivado's tables of the UltraScale+ and the 7 series.
_VIVADO_ROWS = {
    "LUT": ("CLB LUTs", "Slice LUTs"),
    "FF": ("CLB Registers", "Slice Registers"),
    "DSP": ("DSPs",),
    "BRAM": ("Block RAM Tile",),
    "URAM": ("URAM",),
}
_HLS_RESOURCES = {
    "LUT": ("LUT", 1.0),
    "FF": ("FF", 1.0),
    "DSP": ("DSP", 1.0),
    "DSP48E": ("DSP", 1.0),
    "BRAM_18K": ("BRAM", 0.5),
    "URAM": ("URAM", 1.0),
}


class Estimates(TypedDict):
    """What C synthesis estimates. latency, interval: the worst case in cycles. resources: a BRAM has 36 kbit."""

    version: str | None
    clock_ns: float | None
    latency: int | None
    interval: int | None
    resources: dict[str, float]
    loops: list[ToolLoop]


class Cosim(TypedDict):
    """The result of a co-simulation. status: "Pass" or "Fail"; latency: the worst case in cycles."""

    status: str
    latency: int | None


def csynth(top: Path, summary: Path) -> Estimates:
    """Estimates of C synthesis: `top` is TOP_csynth.xml, `summary` csynth.xml (of all modules). Raises ConfigError."""
    root = _xml(top)
    resources: dict[str, float] = {}
    for element in _child(root, "AreaEstimates/Resources", top):
        if element.tag in _HLS_RESOURCES and (count := _number(element.text)) is not None:
            name, weight = _HLS_RESOURCES[element.tag]
            resources[name] = resources.get(name, 0) + weight * count
    estimates = _child(root, "PerformanceEstimates", top)
    return {
        "version": root.findtext("ReportVersion/Version"),
        "clock_ns": _number(estimates.findtext("SummaryOfTimingAnalysis/EstimatedClockPeriod")),
        "latency": _whole(estimates.findtext("SummaryOfOverallLatency/Worst-caseLatency")),
        "interval": _whole(estimates.findtext("SummaryOfOverallLatency/Interval-max")),
        "resources": resources,
        "loops": _loops(summary),
    }


def _loops(path: Path) -> list[ToolLoop]:
    """Every pipelined loop of the module list, which reports of 2020.2 and before do not have."""
    loops = []
    for module in _child(_xml(path), "ModuleInformation", path).iterfind("Module"):
        for summary in module.iterfind("PerformanceEstimates/SummaryOfLoopLatency"):
            for loop in summary.iter():
                if (interval := _whole(loop.findtext("PipelineII"))) is not None:
                    loops.append(
                        ToolLoop(
                            module=_child(module, "Name", path).text or "",
                            name=loop.findtext("Name") or loop.tag,
                            ii=interval,
                            depth=_whole(loop.findtext("PipelineDepth")),
                            # A number, or from how many to how many: the worst case, as of latency and interval.
                            iterations=_whole(loop.findtext("TripCount/range/max") or loop.findtext("TripCount")),
                        )
                    )
    return loops


def cosim(path: Path) -> Cosim:
    """The row of Verilog in TOP_cosim.rpt. Raises ConfigError where there is none."""
    for line in _text(path).splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if cells[0] == "Verilog" and len(cells) >= 5:
            return {"status": cells[1], "latency": _whole(cells[4])}
    raise ConfigError(f"{path}: no row of Verilog in the co-simulation report")


def utilisation(path: Path) -> dict[str, float]:
    """Used resources of Vivado's report_utilization: {LUT, FF, DSP, BRAM (36 kbit), URAM}."""
    used: dict[str, float] = {}
    for line in _text(path).splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        for name, rows in _VIVADO_ROWS.items():
            # The first table that names a resource is the one of the whole design. A star marks a footnote.
            if len(cells) > 1 and cells[0].rstrip("*") in rows and name not in used:
                count = _number(cells[1])
                if count is None:
                    raise ConfigError(f"{path}: {cells[0]}: must be a number, got {cells[1]!r}")
                used[name] = count
    if missing := [name for name in ("LUT", "FF", "DSP", "BRAM") if name not in used]:
        raise ConfigError(f"{path}: no row of {', '.join(missing)}: is it a report_utilization?")
    return used


def timing(path: Path) -> dict[str, float]:
    """Vivado's report_timing_summary: {"wns_ns", "whs_ns", "period_ns", "fmax_mhz"}; fmax is 1 / (period - WNS)."""
    text = _text(path)
    design = re.search(r"Design Timing Summary\n.*?WNS\(ns\).*?\n[-\s]+\n\s*(\S.*?)\n", text, re.DOTALL)
    clock = re.search(r"^ap_clk\s+\{[^}]*\}\s+([\d.]+)\s", text, re.MULTILINE)
    if not design or not clock:
        raise ConfigError(f"{path}: no design timing summary of a clock ap_clk: is it a report_timing_summary?")
    columns = design[1].split()
    wns, whs, period = _number(columns[0]), _number(columns[4]), float(clock[1])
    if wns is None or whs is None:
        raise ConfigError(f"{path}: no slack in the design timing summary: {design[1]!r}")
    return {"wns_ns": wns, "whs_ns": whs, "period_ns": period, "fmax_mhz": round(1000 / (period - wns), 2)}


# Figures in Bambu's log: below a heading that ends with "function NAME:", each on a line of its own.
_BAMBU_HEADING = re.compile(r"^\s*\S.* [Ii]nformation (?:of|for) function (\S+):\s*$")
_BAMBU_FIGURES = {
    "control_steps": "Number of control steps",
    "fmax_mhz": "Estimated max frequency (MHz)",
    "states": "Number of states",
    "area": "Total estimated area",
    "dsp": "Estimated number of DSPs",
}
_BAMBU_FLIP_FLOPS = re.compile(r"^\s*Total number of flip-flops in function (\S+): (\d+)")


def bambu(path: Path) -> list[ToolFunction]:
    """Estimates of each function in Bambu's log; one that the log does not give is None.

    Raises ConfigError for a log without any function.
    """
    found: dict[str, dict[str, float | None]] = {}
    figures: dict[str, float | None] | None = None
    for line in _text(path).splitlines():
        if heading := _BAMBU_HEADING.match(line):
            figures = found.setdefault(heading[1], dict.fromkeys((*_BAMBU_FIGURES, "ff")))
        elif total := _BAMBU_FLIP_FLOPS.match(line):
            found.setdefault(total[1], dict.fromkeys((*_BAMBU_FIGURES, "ff")))["ff"] = int(total[2])
        elif figures is not None:
            label, _, value = line.strip().rpartition(": ")
            for key, words in _BAMBU_FIGURES.items():
                if label == words:
                    figures[key] = _number(value) if key == "fmax_mhz" else _whole(value)
    if not found:
        raise ConfigError(f"{path}: no figures of a function: is it the log of Bambu?")
    return [ToolFunction.model_validate({"name": name, **figures}) for name, figures in found.items()]


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error}") from error


def _xml(path: Path) -> ElementTree.Element:
    try:
        return ElementTree.fromstring(_text(path))
    except ElementTree.ParseError as error:
        raise ConfigError(f"{path}: not XML: {error}") from error


def _child(root: ElementTree.Element, name: str, path: Path) -> ElementTree.Element:
    found = root.find(name)
    if found is None:
        raise ConfigError(f"{path}: no element {name}: is it a report of C synthesis?")
    return found


def _number(text: str | None) -> float | None:
    try:
        return float((text or "").strip())
    except ValueError:
        return None


def _whole(text: str | None) -> int | None:
    number = _number(text)
    return None if number is None else int(number)
