"""The columns of the table of layers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from psconv.report.schema import DesignReport, LayerReport, RunReport

DASH = "–"


@dataclass(frozen=True)
class Row:
    """A layer in its design."""

    layer: LayerReport
    design: DesignReport

    @property
    def alone(self) -> DesignReport | None:
        """The design where this layer is all of it, so that what is said of the design is said of the layer."""
        return self.design if len(self.design.layers) == 1 else None

    @property
    def mismatches(self) -> Mapping[str, int | None]:
        """By step: values unlike golden's."""
        return self.design.mismatches if self.alone else self.layer.mismatches

    @property
    def errors(self) -> list[str]:
        return self.design.errors if self.alone else []

    @property
    def resources(self) -> Mapping[str, float] | None:
        return self.design.resources if self.alone else self.layer.resources


def rows(report: RunReport) -> list[Row]:
    """A row for each layer."""
    return [Row(layer, design) for design in report.designs for layer in design.layers]


@dataclass(frozen=True)
class Column:
    """One column of the layer table: heading, what it means, how to read it off a layer."""

    heading: str
    meaning: str
    value: Callable[[Row], str]
    numeric: bool = True
    terminal: str = ""  # heading in a terminal, which has room for these columns only


def number(value: float | None, digits: int = 0) -> str:
    if value is None:
        return DASH
    if value == int(value):
        return f"{int(value):,}"
    return f"{value:,.{max(digits, 1)}f}"


def percent(value: float | None) -> str:
    return DASH if value is None else f"{100 * value:.1f} %"


def verdict(row: Row) -> str:
    """Whether every value that was compared is right."""
    mismatches = row.mismatches
    if row.errors or any(mismatches.values()):
        return "FAIL"
    if any(value is None for value in mismatches.values()) or not mismatches:
        return "not all run"
    return "exact"


def _agreement(row: Row) -> str:
    if not row.alone:
        return DASH
    model, simulated = row.alone.cycles_model, row.alone.cycles_sim
    return "exact" if model == simulated else f"{simulated - model:+,d}"


def _alone(value: Callable[[DesignReport], str]) -> Callable[[Row], str]:
    """What a design says of its only layer."""
    return lambda row: value(row.alone) if row.alone else DASH


def _storage_ratio(layer: LayerReport) -> float | None:
    """All stored bits over those of the nonzero weights."""
    if not layer.weight_bits or layer.index_bits is None:
        return None
    return (layer.weight_bits + layer.index_bits + (layer.padding_bits or 0)) / layer.weight_bits


def _resource(kind: str) -> Callable[[Row], str]:
    return lambda row: number((row.resources or {}).get(kind), 1)


COLUMNS: tuple[Column, ...] = (
    Column("layer", "name in the network", lambda row: row.layer.name, numeric=False, terminal="layer"),
    Column(
        "shape",
        "input channels and image, kernel, output channels, stride",
        lambda row: row.layer.shape,
        numeric=False,
        terminal="shape",
    ),
    Column(
        "support",
        "variant of the periodic supports; dense: all taps",
        lambda row: row.layer.variant,
        numeric=False,
        terminal="support",
    ),
    Column(
        "result",
        "exact: every output value of every image equals the golden model's, in the C simulation, in the"
        " RTL, and in the RTL with random stalls",
        verdict,
        numeric=False,
    ),
    Column(
        "mismatches",
        "output values that differ from the golden model's, in all simulations together",
        lambda row: number(sum(value or 0 for value in row.mismatches.values())),
        terminal="mis-\nmatches",
    ),
    Column("images", "images simulated", lambda row: number(row.design.images)),
    Column("lanes", "multiply-accumulates in every cycle", lambda row: number(row.layer.lanes)),
    Column(
        "multipliers",
        "hardware multipliers that the lanes take, where several products share one (parallelism.packing)",
        lambda row: DASH if row.layer.multipliers in (None, row.layer.lanes) else number(row.layer.multipliers),
        terminal="multi-\npliers",
    ),
    Column(
        "scale mult.",
        "multipliers of the output channels' scales in the requantisation, where a layer has scales; no lanes",
        lambda row: number(row.layer.scale_multipliers) if row.layer.scale_multipliers else DASH,
    ),
    Column(
        "busy",
        "cycles of an image in which its slowest process works; the most of them all are the network's interval",
        lambda row: DASH if row.alone else number(row.layer.busy),
        terminal="busy\ncycles",
    ),
    Column(
        "cycles",
        "RTL simulation, first input beat accepted to last output beat accepted, all images",
        _alone(lambda design: number(design.cycles_sim)),
        terminal="RTL\ncycles",
    ),
    Column(
        "model",
        "cycles that the analytical model predicts",
        _alone(lambda design: number(design.cycles_model)),
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
        _alone(lambda design: number(design.fill)),
    ),
    Column(
        "use",
        "useful multiplications / (lanes x cycles)",
        lambda row: percent(row.alone.utilisation if row.alone else row.layer.utilisation),
        terminal="use",
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
    Column(
        "Fmax MHz",
        "after place and route (nextpnr, ECP5 only)",
        _alone(lambda design: number(design.clock.fmax_mhz, 1) if design.clock else DASH),
    ),
    Column(
        "mux-free",
        "yes: in the netlist no cell stands between a ring register, or a memory that counters address, and its"
        " multiplier (a fold of F puts a choice among F of them there)",
        _alone(lambda it: DASH if it.multiplexer_free is None else "yes" if it.multiplexer_free else "no"),
        numeric=False,
    ),
    Column("weight bits", "nonzero weights", lambda row: number(row.layer.weight_bits), terminal="weight\nbits"),
    Column(
        "index bits",
        "the supports of one period, for the whole layer",
        lambda row: number(row.layer.index_bits),
        terminal="index\nbits",
    ),
    Column(
        "padding bits",
        "zero weights that fill folds and a short last block",
        lambda row: number(row.layer.padding_bits),
    ),
    Column(
        "stored / weight",
        "all stored bits over the bits of the nonzero weights; 1 is the least possible",
        lambda row: number(_storage_ratio(row.layer), 3),
    ),
    Column(
        "index per weight",
        "index bits of an engine that keeps an index for each nonzero weight",
        lambda row: number(row.layer.index_bits_per_weight),
    ),
    Column("dense bits", "weights of the layer without pruning", lambda row: number(row.layer.dense_bits)),
    Column(
        "seconds",
        "wall clock of all steps",
        _alone(lambda design: number(sum(design.seconds.values()), 1) if design.seconds else DASH),
    ),
)


def shown(rows: list[Row]) -> list[Column]:
    """The columns that say something of any layer."""
    return [column for column in COLUMNS if any(column.value(row) != DASH for row in rows)]
