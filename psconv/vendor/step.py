"""A design through an HLS tool of the user: project on disk, the tool's run, this project's own bench on its RTL."""

from __future__ import annotations

import os
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from openhls.system import children

from psconv.flow.bench import Rtl, run_bench, summary
from psconv.flow.design import Design
from psconv.flow.settings import Settings
from psconv.flow.vectors import load_vectors
from psconv.synthesis.resources import synthesise
from psconv.vendor import project, reports, tools
from psconv.vendor.records import ToolReport
from pymodel.common.errors import ConfigError, validated
from pymodel.common.identifiers import IN_PORT, OUT_PORT
from pymodel.common.records import read_json, reading, write_json
from pymodel.top.cycles import processes
from rtl_tb.build import elaborated_ports
from rtl_tb.ports import Direction, vendor_ports

_ITERATION = 64  # cycles of an iteration, at most, of a tool that pipelines nothing
_QUIET = 20_000  # cycles in which no beat may move, at least

TOOLS = ("vitis", "bambu")
LOG = "run.log"
_RESULT = "result.json"


def write_project(tool: str, design: Design, settings: Settings) -> Path:
    """The folder with everything that the tool needs for this design."""
    folder = settings.layout.vendor(tool, design.name)
    vectors = load_vectors(settings.layout, design)
    project.write(tool, folder, design, vectors, settings.target, settings.clock_ns)
    return folder


def check_tools(tool: str, folders: list[Path], named: Path | None, implement: bool) -> None:
    """Raises ToolMissing if some project still needs a tool that is not installed."""
    if not all(finished(folder) for folder in folders):
        tools.find(tool, named)
    if tool == "vitis" and implement and not all(implemented(folder) for folder in folders):
        tools.find("vivado")


def finished(folder: Path) -> bool:
    """Whether the tool has run, here or on the machine that the folder was copied back from."""
    return (folder / "reports" / "done").exists() and any((folder / "rtl").glob("*.v"))


def implemented(folder: Path) -> bool:
    return (folder / "reports" / "timing.rpt").exists()


def run_design(tool: str, design: Design, settings: Settings, named: Path | None, implement: bool) -> ToolReport:
    """The record of a design, from the tool's results if they are there, else after running it.

    Writes it as result.json. Raises ToolMissing; ConfigError where the tool or a report fails.
    """
    folder = write_project(tool, design, settings)
    if not finished(folder):
        run_in(folder, ["./run.sh", *(["implement"] if implement and tool == "vitis" else [])], tools.find(tool, named))
    elif implement and tool == "vitis" and not implemented(folder):
        run_in(folder, ["vivado", "-mode", "batch", "-source", "vivado_ooc.tcl"], tools.find("vivado"))
    record = collect(tool, folder, design, settings)
    write_json(folder / _RESULT, record.model_dump(exclude_unset=True))
    return record


def stored(tool: str, design: Design, settings: Settings) -> ToolReport | None:
    """The record of an earlier run of the tool on the same inputs, if there is one. Raises ConfigError: damaged."""
    folder = settings.layout.vendor(tool, design.name)
    result = folder / _RESULT
    if not result.exists():
        return None
    vectors = load_vectors(settings.layout, design)
    key = project.contents(tool, design, vectors, settings.target, settings.clock_ns).key
    with reading(folder / project.RECORD):
        fresh = read_json(folder / project.RECORD)["key"] == key
    return validated(ToolReport, read_json(result), str(result)) if fresh else None


def collect(tool: str, folder: Path, design: Design, settings: Settings) -> ToolReport:
    """What report.json keeps of a design. Raises ConfigError where a report of the tool is missing or another one."""
    rtl, dataflow = sorted((folder / "rtl").glob("*.v")), design.dataflow
    directions: dict[str, Direction] = {IN_PORT: "in", **dict.fromkeys(design.streamed, "in"), OUT_PORT: "out"}
    ports = vendor_ports(tool, dataflow.top, directions, elaborated_ports(rtl, dataflow.top))
    # The tables of ROMs and RAMs are read while the simulation starts, from its folder.
    tables = [path for suffix in ("*.dat", "*.mem") for path in sorted((folder / "rtl").glob(suffix))]
    # One after the other, all iterations of an image take no longer, whatever the tool has made of them.
    loaded = dataflow.packet_parser is not None
    quiet = max(_ITERATION * sum(process.iterations for process in processes(dataflow, loaded)), _QUIET)
    out = settings.layout.build(design.name) / tool
    vectors = load_vectors(settings.layout, design)
    simulated = summary(run_bench(design, vectors, Rtl(rtl, ports, quiet, tables=tables), settings, out))
    record: dict[str, Any] = {
        "mismatches": simulated["mismatch_count"],
        "errors": simulated["errors"],
        "cycles_sim": simulated["cycles"]["total"],
        "provenance": {
            "tool": _version(tool, folder / "reports" / "tool.txt"),
            "target": settings.target.name,
            "clock_ns": str(settings.clock_ns),
            "collected": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        },
    }
    if tool == "vitis":
        record |= _vitis_figures(folder / "reports", dataflow.top)
    else:
        total = synthesise(rtl, dataflow.top, settings.target, tables)["total"]
        record |= {
            "resources": _plain(total),
            "resources_by": "yosys",
            "functions": reports.bambu(folder / "reports" / "bambu.log"),
        }
        if wide := project.wide_words(design):
            record["provenance"]["cut by Bambu 2024.10 at -O2, being wider than 64 bits"] = ", ".join(wide)
    return validated(ToolReport, record, str(folder))


def _vitis_figures(folder: Path, top: str) -> dict[str, Any]:
    """Fields of ToolReport."""
    estimate = reports.csynth(folder / f"{top}_csynth.xml", folder / "csynth.xml")
    cosim = reports.cosim(folder / f"{top}_cosim.rpt")
    figures: dict[str, Any] = {
        "version": estimate["version"],
        "resources": _plain(estimate["resources"]),
        "resources_by": "Vitis HLS, estimate",
        "clock_estimate_ns": estimate["clock_ns"],
        "interval": estimate["interval"],
        "loops": estimate["loops"],
        "cosim": cosim["status"],
    }
    if (folder / "timing.rpt").exists():
        slack = reports.timing(folder / "timing.rpt")
        used = reports.utilisation(folder / "utilization.rpt")
        figures |= {"resources": _plain(used), "resources_by": "Vivado, routed"}
        figures |= {"wns_ns": slack["wns_ns"], "fmax_mhz": slack["fmax_mhz"]}
    return figures


def _plain(counts: dict[str, float]) -> dict[str, float]:
    return {kind: counts[kind] for kind in ("LUT", "FF", "DSP", "BRAM", "URAM") if kind in counts}


def _version(tool: str, path: Path) -> str:
    """The line in which a tool says which release it is: Bambu's has a name, those of AMD's tools are the first."""
    lines = [line.strip() for line in path.read_text(encoding="utf-8", errors="replace").splitlines()]
    if tool == "bambu":
        return next((line for line in lines if line.startswith("Version:")), "unknown version")
    return next((line for line in lines if any(char.isdigit() for char in line)), "unknown version")


def run_in(folder: Path, command: list[str], program: Path) -> None:
    """Runs a command of the project with the tool in front of PATH; its output goes to run.log."""
    path = os.pathsep.join([str(program.parent), os.environ.get("PATH", os.defpath)])
    environment = {**os.environ, "PATH": path, "BAMBU": str(program)}
    with (folder / LOG).open("w+", encoding="utf-8", errors="replace") as log:
        with children.started(command, cwd=folder, env=environment, stdout=log, stderr=subprocess.STDOUT) as process:
            status = process.wait()
        log.seek(0)
        lines = log.read().splitlines()
    if status:
        errors = [line for line in lines if any(word in line for word in ("ERROR", "error:", "error -> "))] or lines
        raise ConfigError(f"{folder / LOG}: {' '.join(command)} failed with {status}:\n" + "\n".join(errors[-15:]))
