"""The flow's commands: all of it, or a step."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from psconv.cli import show
from psconv.cli.options import Clock, Config, Hls, Implement, Json, Out, Pnr, ScriptOnly, TargetName, ToolPath, Waves
from psconv.common.tables import Row
from psconv.vendor.tools import ToolMissing
from pymodel.common.errors import ConfigError
from pymodel.common.records import json_text, read_json, reading

if TYPE_CHECKING:
    from psconv.flow.run import Run
    from psconv.vendor.records import ToolReport


def _prepared(
    config: Path,
    out: Path,
    as_json: bool,
    hls: str = "open",
    target: str | None = None,
    clock: float | None = None,
    waves: bool = False,
    pnr: bool = False,
) -> tuple[Run, Console]:
    """The run that the file describes, in a folder that nobody else writes in meanwhile."""
    from psconv.flow.config import load  # the flow's packages take seconds to import; --help should not
    from psconv.flow.layout import Layout
    from psconv.flow.run import prepare
    from psconv.vendor.step import TOOLS

    if hls not in ("open", *TOOLS):
        raise ConfigError(f"--hls: must be one of open, {', '.join(TOOLS)}, got {hls!r}")
    console, content = show.console(as_json), load(config)
    show.keep(out)
    Layout(out).sweep()
    return prepare(content, config, out, target=target, clock_ns=clock, waves=waves, pnr=pnr), console


def _flow(last: str, prepared: tuple[Run, Console]) -> tuple[Run, Console]:
    """Runs a step and those that it needs; those whose inputs have not changed are left out."""
    from psconv.flow.run import run_steps

    run, console = prepared
    run_steps(last, run, console)
    return run, console


def run(
    config: Config,
    out: Out = Path("out"),
    hls: Hls = "open",
    target: TargetName = None,
    clock: Clock = None,
    waves: Waves = False,
    pnr: Pnr = False,
    tool: ToolPath = None,
    implement: Implement = False,
    as_json: Json = False,
) -> None:
    """The whole flow: golden model, C simulation, HLS, co-simulation, resources, comparison, report."""
    this, console = _flow("all", _prepared(config, out, as_json, hls, target, clock, waves, pnr))
    if hls != "open":
        _vendor(this, hls, tool, implement, console)
    _report(this, console, as_json)


def golden(config: Config, out: Out = Path("out"), as_json: Json = False) -> None:
    """The golden model: exact integer inputs and outputs of every layer, as OUT/golden/LAYER.npz."""
    from psconv.flow.vectors import load_vectors

    this, console = _flow("golden", _prepared(config, out, as_json))
    rows = []
    for design in this.designs:
        outputs = load_vectors(this.layout, design).outputs
        for layer, shape in design.shapes.items():
            y = outputs[layer]
            rows.append(
                {
                    "layer": layer,
                    "engine": shape.summary,
                    "images": len(y),
                    "output": "x".join(map(str, y.shape[1:])),
                    "lowest": int(y.min()),
                    "highest": int(y.max()),
                    "accumulator_bits": shape.acc_bits,
                }
            )
    show.table("Golden model", rows, console, as_json)


def csim(config: Config, out: Out = Path("out"), as_json: Json = False) -> None:
    """C simulation: the C++ of each design as a program, its outputs against the golden model's."""
    _, console = _flow("csim", _prepared(config, out, as_json))
    show_comparison(out / "golden", out / "csim", console, as_json)


def synth(
    config: Config,
    out: Out = Path("out"),
    hls: Hls = "open",
    target: TargetName = None,
    clock: Clock = None,
    script_only: ScriptOnly = False,
    tool: ToolPath = None,
    implement: Implement = False,
    as_json: Json = False,
) -> None:
    """HLS: C++ to RTL of each design: OUT/synth/NAME/ by the open flow, OUT/vitis/NAME/ or OUT/bambu/NAME/."""
    if hls != "open":
        this, console = _flow("golden", _prepared(config, out, as_json, hls, target, clock))
        records = _vendor(this, hls, tool, implement, console, script_only, as_json)
        show.table(f"HLS: {hls}", [_tool_row(layer, record) for layer, record in records.items()], console, as_json)
        if any(record.mismatches or record.errors for record in records.values()):
            raise typer.Exit(1)
        return
    if script_only or tool or implement:
        raise ConfigError(f"--script-only, --tool, --implement: --hls must be vitis or bambu, got {hls!r}")
    from psconv.flow.hls import SCHEDULE

    this, console = _flow("synth", _prepared(config, out, as_json, hls, target, clock))
    rows = []
    for design in this.designs:
        path = this.layout.synth(design.name) / SCHEDULE
        with reading(path):
            rows += [
                {
                    "design": design.name,
                    "process": process["name"],
                    "II": process["ii"],
                    "stages": process["stages"],
                    "iterations": process["iterations"],
                    "register_bits": process["register_bits"],
                    "multipliers": sum(m["count"] for m in process["multipliers"]),
                    "memories": ", ".join(f"{m['name']} {m['depth']}x{m['width']}" for m in process["memories"]),
                }
                for process in read_json(path)["processes"]
            ]
    show.table("Schedule", rows, console, as_json)


def cosim(
    config: Config,
    out: Out = Path("out"),
    waves: Waves = False,
    target: TargetName = None,
    clock: Clock = None,
    as_json: Json = False,
) -> None:
    """Co-simulation: the RTL in Verilator under cocotb, each beat against the golden model."""
    this, console = _flow("cosim", _prepared(config, out, as_json, target=target, clock=clock, waves=waves))
    rows = []
    for design in this.designs:
        path = this.layout.simulation(design.name)
        with reading(path):
            rows += [
                {
                    "design": design.name,
                    "run": name,
                    "images": result["images"],
                    "cycles": result["cycles"]["total"],
                    "mismatches": result["mismatch_count"],
                    "errors": "; ".join(result["errors"]),
                }
                for name, result in read_json(path).items()
            ]
    show.table("Co-simulation", rows, console, as_json)
    if any(row["mismatches"] or row["errors"] for row in rows):
        raise typer.Exit(1)


def resources(
    config: Config,
    out: Out = Path("out"),
    target: TargetName = None,
    clock: Clock = None,
    pnr: Pnr = False,
    as_json: Json = False,
) -> None:
    """Resources: cells of the RTL by yosys, on the device; with --pnr its clock after place and route."""
    this, console = _flow("resources", _prepared(config, out, as_json, target=target, clock=clock, pnr=pnr))
    rows = []
    for design in this.designs:
        path = this.layout.resources(design.name)
        with reading(path):
            record = read_json(path)
            fmax = {"Fmax MHz": round(record["pnr"]["fmax_mhz"], 1)} if "pnr" in record else {}
            rows.append({"design": design.name} | record["total"] | fmax)
    show.table(f"Resources: {this.settings.target.name}", rows, console, as_json)


def report(
    config: Config,
    out: Out = Path("out"),
    target: TargetName = None,
    clock: Clock = None,
    pnr: Pnr = False,
    as_json: Json = False,
) -> None:
    """Reports: OUT/report/report.json, report.md and report.html from what is in OUT, all of which must be there."""
    from psconv.flow.run import missing

    this, console = _prepared(config, out, as_json, target=target, clock=clock, pnr=pnr)
    if steps := missing(this):
        commands = "; ".join(f"psconv {step} {config} --out {out}" for step in steps)
        raise ConfigError(f"{out}: results are missing, or of another configuration or program: {commands}")
    _report(this, console, as_json)


def compare(
    a: Annotated[Path, typer.Argument(help="folder of LAYER.npz files, or one .npz: the reference")],
    b: Annotated[Path, typer.Argument(help="folder or .npz to compare with it")],
    as_json: Json = False,
) -> None:
    """Compares outputs element for element: where they differ, how many, by how much. Exit 1 where they do."""
    show_comparison(a, b, show.console(as_json), as_json)


def _vendor(
    this: Run,
    hls: str,
    tool: Path | None,
    implement: bool,
    console: Console,
    script_only: bool = False,
    as_json: bool = False,
) -> dict[str, ToolReport]:
    """The record of every layer through an HLS tool of the user. Raises ToolMissing when all projects are written."""
    from psconv.vendor import project, step

    designs, settings = this.designs, this.settings
    folders = {design.name: step.write_project(hls, design, settings) for design in designs}
    for design in designs:
        if hls == "bambu" and (wide := ", ".join(project.wide_words(design))):
            console.print(
                f"Warning: {design.what} has words of more than 64 bits: {wide}. Bambu 2024.10 cuts "
                "these at -O2: outputs differ unless yours is mended (docs/guide/bambu.md)"
            )
    if script_only:
        console.print(f"Written, one folder for each design: {', '.join(map(str, folders.values()))}")
        console.print(
            "Each is complete: copy it to a machine with the tool and call ./run.sh in it (README.md there)."
            " Copied back, it is taken up by the same command without --script-only."
        )
        if as_json:
            print(json_text({layer: str(folder) for layer, folder in folders.items()}))
        raise typer.Exit(0)
    try:
        step.check_tools(hls, list(folders.values()), tool, implement)
    except ToolMissing as missing:
        raise ToolMissing(
            f"{missing}\nWhat it would run is complete on disk: {', '.join(map(str, folders.values()))}\n"
            "Instead: copy these folders to a machine that has the tool and call ./run.sh in each (README.md there),"
            " or use the embedded flow: --hls open, which needs no tool (make: HLS=open)."
        ) from missing
    records = {}
    for design in designs:
        with show.status(console, f"{hls}: {design.name}"):
            records[design.name] = step.run_design(hls, design, settings, tool, implement)
    return records


def _tool_row(layer: str, record: ToolReport) -> Row:
    return {
        "layer": layer,
        "mismatches": record.mismatches,
        "cycles": record.cycles_sim,
        **record.resources,
        "counted by": record.resources_by,
        "its co-simulation": record.cosim,
        "Fmax MHz": record.fmax_mhz,
        "errors": "; ".join(record.errors),
    }


def _report(this: Run, console: Console, as_json: bool) -> None:
    from psconv.report.collect import report as collect
    from psconv.report.render import terminal_table

    result = collect(this)
    if as_json:
        print(json_text(result.model_dump()))
    else:
        for part in terminal_table(result):
            console.print(part)
        console.print(f"Report: {this.layout.report / 'report.html'}")
    if not result.ok:
        raise typer.Exit(1)


def show_comparison(a: Path, b: Path, console: Console, as_json: bool) -> None:
    """Prints how the outputs in two folders differ. Raises typer.Exit with status 1 where they do."""
    from psconv.commands.compare import compare as compare_outputs

    result = compare_outputs(a, b)
    if as_json:
        print(json_text(result.to_json()))
    else:
        console.print(result.render())
    if not result.equal:
        raise typer.Exit(1)
