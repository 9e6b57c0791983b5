"""The report of a run: report.json for machines, report.md for a terminal, report.html for people.

What a run did not measure is None in its `RunReport` and shown as a dash. Both documents are made from the templates
beside this file.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from markupsafe import Markup
from rich.box import SIMPLE_HEAD
from rich.console import JustifyMethod, RenderableType
from rich.table import Table
from rich.text import Text

from psconv.report.bars import plots, total
from psconv.report.columns import DASH, number, percent, rows, shown, verdict
from psconv.report.schema import DesignReport, RunReport
from psconv.synthesis.targets import verdict as fits
from pymodel.common.files import write_text
from pymodel.common.records import json_text
from pymodel.common.templates import templates

TEMPLATES = Path(__file__).with_name("templates")


def write_report(report: RunReport, folder: Path) -> None:
    """Write report.{json,md,html} into `folder`."""
    write_text(folder / "report.json", json_text(report.model_dump(), name="report") + "\n")
    write_text(folder / "report.md", render_markdown(report))
    write_text(folder / "report.html", render_html(report))


def render_markdown(report: RunReport) -> str:
    """The whole report as Markdown."""
    return templates(TEMPLATES, False).get_template("report.md.j2").render(**_context(report))


def render_html(report: RunReport) -> str:
    """The whole report as one HTML page that loads nothing from elsewhere."""
    charts = [(title, text, Markup(svg)) for title, text, svg in plots(report)]
    return templates(TEMPLATES, True).get_template("report.html.j2").render(**_context(report), plots=charts)


def terminal_table(report: RunReport) -> list[RenderableType]:
    """The report for a terminal of 120 columns: a table of layers, then one line for each further fact."""
    table = Table(title=report.title, title_justify="left", header_style="bold", pad_edge=False, box=SIMPLE_HEAD)
    lines = rows(report)
    columns = [column for column in shown(lines) if column.terminal]
    for column in columns:
        justify: JustifyMethod = "right" if column.numeric else "left"
        table.add_column(column.terminal, justify=justify, no_wrap=column.numeric, overflow="fold")
    for row in lines:
        table.add_row(*(column.value(row) for column in columns), style="red" if verdict(row) == "FAIL" else None)
    parts: list[RenderableType] = [table]
    for design in report.designs:
        parts += [Text(f"{design.name}: {error}", style="red") for error in design.errors]
    parts += [Text(f"{name}: {value}") for name, value in facts(report)]
    return parts


def facts(report: RunReport) -> list[tuple[str, str]]:
    """What the run comes to, in a few numbers."""
    layers = report.layers
    facts = [("Result", "every output value is exact" if report.ok else "FAILED")]
    if report.accuracy:
        a = report.accuracy
        rtl = DASH if a.rtl is None else f"{a.rtl / a.images:.2%}"
        facts.append(("Accuracy", f"golden model {a.golden / a.images:.2%}, RTL {rtl}, {a.images:,} of {a.dataset}"))
    for design in report.designs:
        if len(design.layers) > 1:
            facts += _design_facts(design, report)
    compared = [layer.elements for layer in layers if layer.elements]
    if compared:
        facts.append(("Output values compared", f"{sum(compared):,}"))
    if all(len(design.layers) == 1 for design in report.designs):
        cycles = sum(design.cycles_sim for design in report.designs)
        time = f"{cycles * report.clock_ns / 1e6:,.3f} ms at {1000 / report.clock_ns:,.1f} MHz"
        facts.append(("Cycles of all layers", f"{cycles:,} = {time}"))
    weighted = [layer for layer in layers if layer.lanes]
    stored, indexed = (
        total(weighted, "weight_bits", "index_bits", "padding_bits"),
        total(weighted, "weight_bits", "index_bits_per_weight"),
    )
    if stored and indexed:
        facts.append(
            (
                "Weight storage",
                f"{stored:,} bits; with an index per weight {indexed:,} bits ({indexed / stored:.2f}x)",
            )
        )
    return facts


def _design_facts(design: DesignReport, report: RunReport) -> list[tuple[str, str]]:
    agreement = "exact, for each image" if design.image_ends_agree else "NOT that of the simulation for each image"
    measured = "" if design.interval_sim is None else f", {design.interval_sim:,} between the last two simulated"
    used = ", ".join(
        f"{kind} {number(design.resources[kind], 1)} of {budget:,} ({design.resources[kind] / budget:.1%})"
        for kind, budget in report.budgets.items()
        if budget
    )
    speeds = "; ".join(
        f"{run}: {one.cycles_per_second:,.0f} cycles/s, {one.seconds:,.1f} s (build {one.build:,.1f} s)"
        for run, one in design.simulation.items()
    )
    traffic = []
    if design.weights:
        beats = sum(one.beats_sim for one in design.weights)
        agree = all(one.beats == one.beats_sim for one in design.weights)
        traffic = [
            (
                "Weights streamed",
                f"{number(beats)} beats, {sum(one.bytes for one in design.weights):,} bytes an image, counted in the "
                f"simulation ({'each word once, as the model says' if agree else 'NOT each word once'}); "
                f"{sum(one.megabytes_per_second for one in design.weights):,.1f} MB/s at this rate",
            ),
            (
                "RAM in the place of weights",
                f"{sum(one.held for one in design.weights):,} bits for windows, sums and outputs; the weight ROMs of "
                f"these layers would have {sum(one.rom_bits for one in design.weights):,}",
            ),
        ]
    shared = "" if design.multipliers in (None, design.lanes) else f" on {design.multipliers:,} multipliers"
    clock = design.clock
    placed = [("Fmax", f"{clock.fmax_mhz:,.1f} MHz after place and route of the whole design")] if clock else []
    return [
        (
            "Cycles",
            f"{design.cycles_sim:,} for {design.images} images, model {design.cycles_model:,} ({agreement})",
        ),
        (
            "Interval",
            f"{design.interval_model:,} cycles an image{measured}; the slowest process, {design.bottleneck}, "
            f"has {design.least_interval:,} iterations; fill {design.fill:,}",
        ),
        ("Frames per second", f"{design.frames_per_second:,.1f} at {1000 / report.clock_ns:,.1f} MHz"),
        *traffic,
        ("Lanes", f"{design.lanes:,}{shared}, {design.utilisation:.1%} of their cycles in this run do useful work"),
        (f"Resources on {report.target}", used),
        (f"Fits {report.target}", fits(design.resources, report.budgets)),
        *placed,
        *_memory_facts(design),
        ("Simulation", speeds),
    ]


def _memory_facts(design: DesignReport) -> list[tuple[str, str]]:
    differing = [one.holds for one in design.memory if one.model not in (None, one.bits)]
    checked = f"NOT the model's: {', '.join(differing)}" if differing else "all but the FIFOs equal to the model's"
    held = ", ".join(f"{one.holds} {one.bits:,}" for one in design.memory)
    return [("Memory bits", f"{held} ({checked})")] if design.memory else []


def _budget_rows(design: DesignReport, report: RunReport) -> list[tuple[str, ...]]:
    """Resource, used, there, share."""
    used = design.resources
    return [
        (kind, number(used[kind], 1), number(there), percent(used[kind] / there) if there else DASH)
        for kind, there in report.budgets.items()
        if kind in used
    ]


def _context(report: RunReport) -> dict[str, Any]:
    lines, designs = rows(report), report.designs
    columns = shown(lines)
    return {
        "report": report,
        "columns": columns,
        "rows": [[column.value(row) for column in columns] for row in lines],
        "verdicts": [verdict(row) for row in lines],
        "facts": facts(report),
        "errors": [(design.name, error) for design in designs for error in design.errors],
        "stages": [(design.name, stage) for design in designs if len(design.layers) == 1 for stage in design.stages],
        "clocks": [(design.name, design.clock) for design in designs if design.clock],
        "structures": [(design.name, design.structure) for design in designs if design.structure],
        "modules": [(design.name, module) for design in designs for module in design.modules],
        "functions": [
            (design.name, one) for design in designs for tool in design.tools.values() for one in tool.functions
        ],
        "tools": [(design.name, name, tool) for design in designs for name, tool in design.tools.items()],
        "networks": [
            (design, _budget_rows(design, report), fits(design.resources, report.budgets))
            for design in designs
            if len(design.layers) > 1
        ],
        "kinds": ("LUT", "FF", "DSP", "BRAM"),
        "number": number,
    }
