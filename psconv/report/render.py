"""The report of a run: report.json for machines, report.md for a terminal, report.html for people.

`write_report` takes one dictionary, checked against `RunReport`; what a run did not measure is None and shown
as a dash. Both documents are made from the templates beside this file.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from markupsafe import Markup
from pydantic import Field
from rich.box import SIMPLE_HEAD
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from psconv.synthesis.targets import verdict
from pymodel.common.errors import Strict, validated
from pymodel.common.files import write_text
from pymodel.common.records import json_text
from pymodel.common.templates import templates

TEMPLATES = Path(__file__).with_name("templates")
DASH = "–"


class Stage(Strict):
    """One process of the generated pipeline."""

    name: str
    stages: int
    ii: int = 1
    iterations: int | None = None


class Structure(Strict):
    """What stands between registers and multipliers in the netlist, and which memories there are."""

    multipliers: int
    cells_between: int = Field(ge=0, description="combinational cells before all activation operands")
    choices: int = Field(description="words that a ring register is loaded from, at most: load or rotate is 2")
    weights_from_memory: int = Field(description="multipliers whose weights come from a memory and nowhere else")
    packing_adders: int = Field(0, ge=0, description="adders on that way: they pack weights that share a multiplier")
    memories: list[str] = Field(description="name, kind, depth x width")


class Module(Strict):
    """Cells of one module of the RTL, without its submodules; all instances together."""

    name: str
    instances: int
    resources: dict[str, float]


class PathPart(Strict):
    """A part of a critical path that comes from the same lines of C++."""

    source: str | None = Field(description="lines of C++; none: of no line, such as the reset")
    through: list[str] = Field(description="what it runs through: register, logic, carry chain, routing, ...")
    delay_ns: float


class ClockReport(Strict):
    """The clock after place and route, and what limits it."""

    requested_mhz: float
    fmax_mhz: float
    slack_ns: float = Field(description="against the requested clock; negative: too slow")
    met: bool
    seed: int = Field(description="of the placement")
    ns_by_element: dict[str, float] = Field(description="the critical path's nanoseconds by what they are spent in")
    path: list[PathPart] = Field(description="the critical path in lines of C++")
    registers: dict[str, int] = Field(description="blocks that took registers in, and flip-flops saved by it")


class ToolLoop(Strict):
    """A pipelined loop in the report of an HLS tool."""

    module: str
    name: str
    ii: int
    depth: int | None = None
    iterations: int | None = None


class ToolFunction(Strict):
    """A function in the log of an HLS tool that does not pipeline: its own estimates."""

    name: str
    control_steps: int | None = None
    states: int | None = None
    fmax_mhz: float | None = None
    area: int | None = None
    dsp: int | None = None
    ff: int | None = None


class ToolReport(Strict):
    """What an HLS tool of the user made of a layer; there only where that tool has run."""

    version: str | None = None
    mismatches: int = Field(description="output values of its RTL unlike golden's, in this project's bench")
    errors: list[str] = []
    cycles_sim: int = Field(description="of its RTL in this project's bench, all images")
    resources: dict[str, float] = Field(description="LUT, FF, DSP, BRAM, URAM")
    resources_by: str = Field(description="who counted them: the tool's estimate, Vivado after routing, yosys")
    clock_estimate_ns: float | None = Field(None, description="the tool's own estimate")
    interval: int | None = Field(None, description="cycles from one image to the next, the tool's own estimate")
    loops: list[ToolLoop] = []
    functions: list[ToolFunction] = []
    cosim: str | None = Field(None, description="result of the tool's own co-simulation")
    wns_ns: float | None = Field(None, description="worst negative slack after routing")
    fmax_mhz: float | None = Field(None, description="after routing")
    provenance: dict[str, str]


class LayerReport(Strict):
    """One layer. Bits are of the whole layer; cycles are of all `images`."""

    name: str
    shape: str = Field(description="channels, image and kernel in words")
    variant: str = Field(description="support: PSD1_P16, dense, ...")
    images: int = Field(ge=1)
    elements: int | None = Field(None, description="output values compared at each step")
    mismatches: dict[str, int | None] = Field(description="by step (csim, cosim, stalled): values unlike golden's")
    errors: list[str] = Field([], description="what the bench found, in words")
    lanes: int = Field(ge=0, description="multiply-accumulates in each cycle")
    multipliers: int | None = Field(None, ge=0, description="that the lanes take: fewer where products share one")
    scale_multipliers: int = Field(0, ge=0, description="multipliers of the output channels' scales, besides the lanes")
    macs: int | None = Field(None, description="useful multiply-accumulates of one image")
    busy: int | None = Field(None, description="in a network: cycles an image in which its slowest process works")
    cycles_model: int | None = None
    cycles_sim: int | None = None
    fill: int | None = Field(None, description="cycles of cycles_sim that start and drain the pipeline")
    cycles_dense: int | None = Field(None, description="the dense engine with the same number of multipliers")
    utilisation: float | None = Field(None, ge=0, le=1, description="useful MACs / (lanes * cycles)")
    resources: dict[str, float] | None = Field(None, description="LUT, FF, DSP, BRAM, ...")
    resources_dense: dict[str, float] | None = Field(None, description="the dense engine, the same multipliers")
    fmax_mhz: float | None = None
    clock: ClockReport | None = Field(None, description="with place and route")
    multiplexer_free: bool | None = Field(None, description="nothing chooses between ring and multiplier")
    weight_bits: int | None = Field(None, description="nonzero weights")
    index_bits: int | None = Field(None, description="support of the period")
    padding_bits: int | None = Field(None, description="zero words of folds and of a short last block")
    index_bits_per_weight: int | None = Field(None, description="indices of an engine with one per weight")
    dense_bits: int | None = Field(None, description="weights of the dense layer")
    stages: list[Stage] = []
    structure: Structure | None = None
    modules: list[Module] = []
    seconds: dict[str, float] = Field({}, description="by step")
    tools: dict[str, ToolReport] = Field({}, description="by HLS tool beside the open flow: vitis, bambu")


class StreamDepth(Strict):
    """A stream between two units of a network."""

    name: str
    bits: int
    depth: int


class WeightTraffic(Strict):
    """Weights of a layer that come from outside memory, by a port of their own, for each image."""

    layer: str
    port: str
    beats: int = Field(description="of an image, by the model: each weight word once")
    beats_sim: float = Field(description="of an image, as counted in the simulation")
    beat_bytes: int
    bytes: int = Field(description="of an image: beats_sim * beat_bytes")
    megabytes_per_second: float = Field(description="at the network's frame rate; 10^6 bytes")
    rom_bits: int = Field(description="of the weight ROM that the engine does not have")
    held_bits: dict[str, int] = Field(description="RAM that it has instead: windows, sums, outputs")

    @property
    def held(self) -> int:
        """All bits that it has instead."""
        return sum(self.held_bits.values())


class MemoryBits(Strict):
    """Memory of a network by what it holds, depth times width of each."""

    holds: str
    bits: int = Field(description="as built: of schedule.json")
    model: int | None = Field(None, description="what the units need; none: the HLS flow chooses")


class Simulation(Strict):
    """Wall clock of a simulation, and of building its simulator."""

    seconds: float
    build: float
    cycles_per_second: float


class NetworkReport(Strict):
    """A network as one top. Cycles count from the first beat of the first image to the last of the last."""

    images: int = Field(ge=1)
    cycles_model: int
    cycles_sim: int
    image_ends_agree: bool = Field(description="each image's last beat comes in the cycle that the model says")
    fill: int = Field(description="cycles beyond images * steady")
    steady: int = Field(description="iterations per image of the slowest process: the least interval there can be")
    bottleneck: str
    interval_model: int = Field(description="cycles between two images in an endless run, proved")
    interval_sim: int | None = Field(None, description="between the last two images of this run")
    frames_per_second: float = Field(description="at the configured clock")
    mismatches: dict[str, int] = Field(description="by step: scores unlike golden's")
    errors: list[str] = []
    processes: int
    lanes: int
    multipliers: int | None = Field(None, description="that the lanes take")
    utilisation: float = Field(description="useful MACs / (lanes * cycles), fill included")
    resources: dict[str, float]
    clock: ClockReport | None = Field(None, description="with place and route of the whole network")
    modules: int | None = Field(None, description="of the RTL that differ in more than names: yosys sees each once")
    memory: list[MemoryBits] = []
    nonzero_bits: int | None = Field(None, description="of the weights: those that are not pruned")
    padding_bits: int | None = Field(None, description="of the weights: zeros that fill folds and short blocks")
    streams: list[StreamDepth] = []
    weights: list[WeightTraffic] = Field([], description="of the layers whose weights are streamed")
    simulation: dict[str, Simulation] = {}
    seconds: dict[str, float] = {}


class Accuracy(Strict):
    """Top-1 hits of a classifier, of `images` images."""

    dataset: str
    images: int = Field(ge=1)
    golden: int
    rtl: int | None = None


class RunReport(Strict):
    """A whole run."""

    title: str
    ok: bool
    layers: list[LayerReport] = Field(min_length=1)
    network: NetworkReport | None = Field(None, description="where the network is one top")
    accuracy: Accuracy | None = None
    clock_ns: float = Field(gt=0)
    target: str
    budgets: dict[str, int] = Field({}, description="of the target")
    provenance: dict[str, str] = Field(description="versions, seed, date, times, in the order of showing")


@dataclass(frozen=True)
class Column:
    """One column of the layer table: heading, what it means, how to read it off a layer."""

    heading: str
    meaning: str
    value: Callable[[LayerReport], str]
    numeric: bool = True
    terminal: str = ""  # heading in a terminal, which has room for these columns only


def _number(value: float | None, digits: int = 0) -> str:
    if value is None:
        return DASH
    if value == int(value):
        return f"{int(value):,}"
    return f"{value:,.{max(digits, 1)}f}"


def _percent(value: float | None) -> str:
    return DASH if value is None else f"{100 * value:.1f} %"


def _verdict(layer: LayerReport) -> str:
    if layer.errors or any(layer.mismatches.values()):
        return "FAIL"
    if any(value is None for value in layer.mismatches.values()) or not layer.mismatches:
        return "not all run"
    return "exact"


def _agreement(layer: LayerReport) -> str:
    if layer.cycles_model is None or layer.cycles_sim is None:
        return DASH
    return "exact" if layer.cycles_model == layer.cycles_sim else f"{layer.cycles_sim - layer.cycles_model:+,d}"


def _speedup(layer: LayerReport) -> str:
    cycles = layer.cycles_sim or layer.cycles_model
    return f"{layer.cycles_dense / cycles:.2f}x" if layer.cycles_dense and cycles else DASH


def _storage_ratio(layer: LayerReport) -> float | None:
    """All stored bits over those of the nonzero weights."""
    if not layer.weight_bits or layer.index_bits is None:
        return None
    return (layer.weight_bits + layer.index_bits + (layer.padding_bits or 0)) / layer.weight_bits


def _resource(kind: str) -> Callable[[LayerReport], str]:
    return lambda layer: _number((layer.resources or {}).get(kind), 1)


COLUMNS: tuple[Column, ...] = (
    Column("layer", "name in the network", lambda layer: layer.name, numeric=False, terminal="layer"),
    Column(
        "shape",
        "input channels and image, kernel, output channels, stride",
        lambda layer: layer.shape,
        numeric=False,
        terminal="shape",
    ),
    Column(
        "support",
        "variant of the periodic supports; dense: all taps",
        lambda layer: layer.variant,
        numeric=False,
        terminal="support",
    ),
    Column(
        "result",
        "exact: every output value of every image equals the golden model's, in the C simulation, in the"
        " RTL, and in the RTL with random stalls",
        _verdict,
        numeric=False,
    ),
    Column(
        "mismatches",
        "output values that differ from the golden model's, in all simulations together",
        lambda layer: _number(sum(value or 0 for value in layer.mismatches.values())),
        terminal="mis-\nmatches",
    ),
    Column("images", "images simulated", lambda layer: _number(layer.images)),
    Column("lanes", "multiply-accumulates in every cycle", lambda layer: _number(layer.lanes)),
    Column(
        "multipliers",
        "hardware multipliers that the lanes take, where several products share one (parallelism.packing)",
        lambda layer: DASH if layer.multipliers in (None, layer.lanes) else _number(layer.multipliers),
        terminal="multi-\npliers",
    ),
    Column(
        "scale mult.",
        "multipliers of the output channels' scales in the requantisation, where a layer has scales; no lanes",
        lambda layer: _number(layer.scale_multipliers) if layer.scale_multipliers else DASH,
    ),
    Column(
        "busy",
        "cycles of an image in which its slowest process works; the most of them all are the network's interval",
        lambda layer: _number(layer.busy),
        terminal="busy\ncycles",
    ),
    Column(
        "cycles",
        "RTL simulation, first input beat accepted to last output beat accepted, all images",
        lambda layer: _number(layer.cycles_sim),
        terminal="RTL\ncycles",
    ),
    Column(
        "model",
        "cycles that the analytical model predicts",
        lambda layer: _number(layer.cycles_model),
        terminal="model\ncycles",
    ),
    Column(
        "vs model",
        "exact, or by how many cycles the RTL takes more (+) or less (-) than the model",
        _agreement,
    ),
    Column(
        "fill",
        "cycles that start and drain the pipeline, once for all images",
        lambda layer: _number(layer.fill),
    ),
    Column(
        "use",
        "useful multiplications / (lanes x cycles)",
        lambda layer: _percent(layer.utilisation),
        terminal="use",
    ),
    Column(
        "vs dense",
        "cycles of the dense engine with as many multipliers, over the cycles here",
        _speedup,
    ),
    Column(
        "LUT",
        "look-up tables, those in memories and shift registers included",
        _resource("LUT"),
        terminal="LUT",
    ),
    Column("FF", "flip-flops", _resource("FF"), terminal="FF"),
    Column("DSP", "multiplier blocks", _resource("DSP"), terminal="DSP"),
    Column("BRAM", "block RAMs of 36 kbit", _resource("BRAM"), terminal="BRAM"),
    Column("URAM", "UltraRAMs", _resource("URAM")),
    Column("Fmax MHz", "after place and route (nextpnr, ECP5 only)", lambda layer: _number(layer.fmax_mhz, 1)),
    Column(
        "mux-free",
        "yes: in the netlist no cell stands between a ring register, or a memory that counters address, and its"
        " multiplier (a fold of F puts a choice among F of them there)",
        lambda layer: DASH if layer.multiplexer_free is None else "yes" if layer.multiplexer_free else "no",
        numeric=False,
    ),
    Column("weight bits", "nonzero weights", lambda layer: _number(layer.weight_bits), terminal="weight\nbits"),
    Column(
        "index bits",
        "the supports of one period, for the whole layer",
        lambda layer: _number(layer.index_bits),
        terminal="index\nbits",
    ),
    Column(
        "padding bits",
        "zero weights that fill folds and a short last block",
        lambda layer: _number(layer.padding_bits),
    ),
    Column(
        "stored / weight",
        "all stored bits over the bits of the nonzero weights; 1 is the least possible",
        lambda layer: _number(_storage_ratio(layer), 3),
    ),
    Column(
        "index per weight",
        "index bits of an engine that keeps an index for each nonzero weight",
        lambda layer: _number(layer.index_bits_per_weight),
    ),
    Column("dense bits", "weights of the layer without pruning", lambda layer: _number(layer.dense_bits)),
    Column(
        "seconds",
        "wall clock of all steps",
        lambda layer: _number(sum(layer.seconds.values()), 1) if layer.seconds else DASH,
    ),
)


def write_report(data: dict[str, Any], folder: Path) -> RunReport:
    """Write report.{json,md,html} into `folder`. Raises ConfigError when `data` is no RunReport."""
    report = parse_report(data)
    write_text(folder / "report.json", json_text(report.model_dump(), name="report") + "\n")
    write_text(folder / "report.md", render_markdown(report))
    write_text(folder / "report.html", render_html(report))
    return report


def parse_report(data: dict[str, Any]) -> RunReport:
    """Check the dictionary of a run. Raises ConfigError naming the key."""
    return validated(RunReport, data, "report")


def render_markdown(report: RunReport) -> str:
    """The whole report as Markdown."""
    return templates(TEMPLATES, False).get_template("report.md.j2").render(**_context(report))


def render_html(report: RunReport) -> str:
    """The whole report as one HTML page that loads nothing from elsewhere."""
    plots = [(title, text, Markup(svg)) for title, text, svg in _plots(report)]
    return templates(TEMPLATES, True).get_template("report.html.j2").render(**_context(report), plots=plots)


def terminal_table(data: dict[str, Any] | RunReport) -> list[RenderableType]:
    """The report for a terminal of 120 columns: a table of layers, then one line for each further fact."""
    report = data if isinstance(data, RunReport) else parse_report(data)
    table = Table(title=report.title, title_justify="left", header_style="bold", pad_edge=False, box=SIMPLE_HEAD)
    columns = [column for column in _shown(report) if column.terminal]
    for column in columns:
        justify = "right" if column.numeric else "left"
        table.add_column(column.terminal, justify=justify, no_wrap=column.numeric, overflow="fold")
    for layer in report.layers:
        style = "red" if _verdict(layer) == "FAIL" else None
        table.add_row(*(column.value(layer) for column in columns), style=style)
    parts: list[RenderableType] = [table]
    for layer in report.layers:
        parts += [Text(f"{layer.name}: {error}", style="red") for error in layer.errors]
    parts += [Text(f"{name}: {value}") for name, value in _facts(report)]
    return parts


def _facts(report: RunReport) -> list[tuple[str, str]]:
    """What the run comes to, in a few numbers."""
    layers = report.layers
    facts = [("Result", "every output value is exact" if report.ok else "FAILED")]
    if report.accuracy:
        a = report.accuracy
        rtl = DASH if a.rtl is None else f"{a.rtl / a.images:.2%}"
        facts.append(("Accuracy", f"golden model {a.golden / a.images:.2%}, RTL {rtl}, {a.images:,} of {a.dataset}"))
    if report.network:
        facts += _network_facts(report.network, report)
    compared = [layer.elements for layer in layers if layer.elements]
    if compared:
        facts.append(("Output values compared", f"{sum(compared):,}"))
    if all(layer.cycles_sim for layer in layers):
        total = sum(layer.cycles_sim or 0 for layer in layers)
        facts.append(
            (
                "Cycles of all layers",
                f"{total:,} = {total * report.clock_ns / 1e6:,.3f} ms at {1000 / report.clock_ns:,.1f} MHz",
            )
        )
    weighted = [layer for layer in layers if layer.lanes]
    stored, indexed = (
        _sum(weighted, "weight_bits", "index_bits", "padding_bits"),
        _sum(weighted, "weight_bits", "index_bits_per_weight"),
    )
    if stored and indexed:
        facts.append(
            (
                "Weight storage",
                f"{stored:,} bits; with an index per weight {indexed:,} bits ({indexed / stored:.2f}x)",
            )
        )
    return facts


def _network_facts(network: NetworkReport, report: RunReport) -> list[tuple[str, str]]:
    agreement = "exact, for each image" if network.image_ends_agree else "NOT that of the simulation for each image"
    measured = "" if network.interval_sim is None else f", {network.interval_sim:,} between the last two simulated"
    used = ", ".join(
        f"{kind} {_number(network.resources[kind], 1)} of {budget:,} ({network.resources[kind] / budget:.1%})"
        for kind, budget in report.budgets.items()
        if budget
    )
    speeds = "; ".join(
        f"{run}: {one.cycles_per_second:,.0f} cycles/s, {one.seconds:,.1f} s (build {one.build:,.1f} s)"
        for run, one in network.simulation.items()
    )
    traffic = []
    if network.weights:
        beats = sum(one.beats_sim for one in network.weights)
        agree = all(one.beats == one.beats_sim for one in network.weights)
        traffic = [
            (
                "Weights streamed",
                f"{_number(beats)} beats, {sum(one.bytes for one in network.weights):,} bytes an image, counted in the "
                f"simulation ({'each word once, as the model says' if agree else 'NOT each word once'}); "
                f"{sum(one.megabytes_per_second for one in network.weights):,.1f} MB/s at this rate",
            ),
            (
                "RAM in the place of weights",
                f"{sum(one.held for one in network.weights):,} bits for windows, sums and outputs; the weight ROMs of "
                f"these layers would have {sum(one.rom_bits for one in network.weights):,}",
            ),
        ]
    shared = "" if network.multipliers in (None, network.lanes) else f" on {network.multipliers:,} multipliers"
    clock = network.clock
    placed = [("Fmax", f"{clock.fmax_mhz:,.1f} MHz after place and route of the whole network")] if clock else []
    return [
        (
            "Cycles",
            f"{network.cycles_sim:,} for {network.images} images, model {network.cycles_model:,} ({agreement})",
        ),
        (
            "Interval",
            f"{network.interval_model:,} cycles an image{measured}; the slowest process, {network.bottleneck}, "
            f"has {network.steady:,} iterations; fill {network.fill:,}",
        ),
        ("Frames per second", f"{network.frames_per_second:,.1f} at {1000 / report.clock_ns:,.1f} MHz"),
        *traffic,
        ("Lanes", f"{network.lanes:,}{shared}, {network.utilisation:.1%} of their cycles in this run do useful work"),
        (f"Resources on {report.target}", used),
        (f"Fits {report.target}", verdict(network.resources, report.budgets)),
        *placed,
        *_memory_facts(network),
        ("Simulation", speeds),
    ]


def _memory_facts(network: NetworkReport) -> list[tuple[str, str]]:
    differing = [one.holds for one in network.memory if one.model not in (None, one.bits)]
    checked = f"NOT the model's: {', '.join(differing)}" if differing else "all but the FIFOs equal to the model's"
    held = ", ".join(f"{one.holds} {one.bits:,}" for one in network.memory)
    return [("Memory bits", f"{held} ({checked})")] if network.memory else []


def _budget_rows(report: RunReport) -> list[tuple[str, ...]]:
    """Of a network: resource, used, there, share."""
    used = report.network.resources if report.network else {}
    return [
        (kind, _number(used[kind], 1), _number(there), _percent(used[kind] / there) if there else DASH)
        for kind, there in report.budgets.items()
        if kind in used
    ]


def _sum(layers: Sequence[LayerReport], *keys: str) -> int | None:
    values = [getattr(layer, key) for layer in layers for key in keys]
    return None if not values or any(value is None for value in values) else sum(values)


def _shown(report: RunReport) -> list[Column]:
    """The columns that say something of any layer."""
    return [column for column in COLUMNS if any(column.value(layer) != DASH for layer in report.layers)]


def _context(report: RunReport) -> dict[str, Any]:
    shown = _shown(report)
    clocks = [(layer.name, layer.clock) for layer in report.layers]
    if report.network:
        clocks.append(("all of them, as one top", report.network.clock))
    return {
        "report": report,
        "columns": shown,
        "rows": [[column.value(layer) for column in shown] for layer in report.layers],
        "verdicts": [_verdict(layer) for layer in report.layers],
        "facts": _facts(report),
        "errors": [(layer.name, error) for layer in report.layers for error in layer.errors],
        "stages": [(layer.name, stage) for layer in report.layers for stage in layer.stages],
        "clocks": [(name, clock) for name, clock in clocks if clock],
        "structures": [(layer.name, layer.structure) for layer in report.layers if layer.structure],
        "modules": [(layer.name, module) for layer in report.layers for module in layer.modules],
        "functions": [
            (layer.name, one) for layer in report.layers for tool in layer.tools.values() for one in tool.functions
        ],
        "tools": [(layer.name, name, tool) for layer in report.layers for name, tool in layer.tools.items()],
        "budget": _budget_rows(report),
        "fits": verdict(report.network.resources, report.budgets) if report.network else "",
        "kinds": ("LUT", "FF", "DSP", "BRAM"),
        "number": _number,
    }


_BLUE, _GREY, _ORANGE, _INK = "#2f6fb0", "#b9c2cc", "#e08a3c", "#2b333b"


def _plots(report: RunReport) -> list[tuple[str, str, str]]:
    """(title, explanation, SVG) of each plot that the run has data for."""
    layers, plots = [layer for layer in report.layers if layer.lanes], []
    if all(layer.cycles_sim or layer.cycles_model for layer in layers):
        here = [layer.cycles_sim or layer.cycles_model or 0 for layer in layers]
        series = [("this engine", here, _BLUE)]
        if all(layer.cycles_dense for layer in layers):
            series.insert(0, ("dense, the same multipliers", [layer.cycles_dense or 0 for layer in layers], _GREY))
        plots.append(("Cycles", "Per layer, all images; shorter is faster.", _bars(layers, series, "cycles")))
    if _sum(layers, "weight_bits", "index_bits", "index_bits_per_weight") is not None:
        kilobits = [
            [(getattr(layer, key) or 0) / 1000 for layer in layers]
            for key in ("weight_bits", "padding_bits", "index_bits", "index_bits_per_weight")
        ]
        overhead = [p + i for p, i in zip(kilobits[1], kilobits[2], strict=True)]
        plots.append(
            (
                "Weight storage",
                "Bits stored for each layer. With periodic supports only the nonzero weights are stored, and the"
                " supports of one period; an engine without periodicity adds an index to every weight.",
                _stacks(
                    layers,
                    [("index per weight", kilobits[0], kilobits[3]), ("periodic", kilobits[0], overhead)],
                ),
            )
        )
    if all(layer.utilisation is not None for layer in layers):
        use = [100 * (layer.utilisation or 0) for layer in layers]
        plots.append(
            (
                "Lane utilisation",
                "Useful multiplications over lanes x cycles; what is missing to 100 % is fill, padding and the image's"
                " border, and in a network the wait for its slowest layer.",
                _bars(layers, [("", use, _BLUE)], "%", 100),
            )
        )
    if report.budgets and all(layer.resources for layer in layers):
        kinds = [
            kind
            for kind, budget in report.budgets.items()
            if budget and any((layer.resources or {}).get(kind) for layer in layers)
        ]
        series = [
            (
                kind,
                [100 * (layer.resources or {}).get(kind, 0) / report.budgets[kind] for layer in layers],
                colour,
            )
            for kind, colour in zip(kinds, (_BLUE, _GREY, _ORANGE, "#6aa84f", "#8e6bb0"), strict=False)
        ]
        plots.append((f"Share of {report.target}", "Each layer's engine alone.", _bars(layers, series, "% of device")))
    return plots


def _axes(layers: Sequence[LayerReport], rows: int):
    """Figure and axes for horizontal bars, `rows` of them per layer; first layer on top."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.2, 0.9 + len(layers) * (0.14 + 0.12 * rows)), layout="constrained")
    axes = figure.subplots()
    axes.set_yticks(range(len(layers)), [layer.name for layer in layers])
    axes.invert_yaxis()
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x", color="#e6eaee", linewidth=0.8)
    axes.set_axisbelow(True)
    return figure, axes


def _bars(
    layers: Sequence[LayerReport],
    series: Sequence[tuple[str, list[float], str]],
    unit: str,
    top: float | None = None,
) -> str:
    figure, axes = _axes(layers, len(series))
    height = 0.8 / len(series)
    for index, (label, values, colour) in enumerate(series):
        at = [row + (index - (len(series) - 1) / 2) * height for row in range(len(layers))]
        axes.barh(at, values, height * 0.92, label=label, color=colour)
    return _svg(figure, axes, unit, top, legend=len(series) > 1)


def _stacks(layers: Sequence[LayerReport], series: Sequence[tuple[str, list[float], list[float]]]) -> str:
    figure, axes = _axes(layers, len(series))
    height = 0.8 / len(series)
    for index, (label, weights, overhead) in enumerate(series):
        at = [row + (index - (len(series) - 1) / 2) * height for row in range(len(layers))]
        axes.barh(at, weights, height * 0.92, color=_BLUE if index else _GREY, label=f"{label}: weights")
        axes.barh(
            at,
            overhead,
            height * 0.92,
            left=weights,
            color=_ORANGE if index else "#d9b38c",
            label=f"{label}: indices" + (" and padding" if index else ""),
        )
    return _svg(figure, axes, "kbit", None, legend=True)


def _svg(figure: Any, axes: Any, unit: str, top: float | None, legend: bool) -> str:
    """The figure as an <svg> element; the same figure gives the same text."""
    import matplotlib

    axes.set_xlabel(unit)
    axes.set_xlim(0, top)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.10g}")
    if legend:
        figure.legend(loc="outside upper left", ncols=2, frameon=False, fontsize=9)
    text = io.StringIO()
    style = {"svg.fonttype": "none", "svg.hashsalt": unit, "font.family": "sans-serif", "text.color": _INK}
    with matplotlib.rc_context(style):
        figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None}, transparent=True)
    svg = text.getvalue()
    return svg[svg.index("<svg") :]
