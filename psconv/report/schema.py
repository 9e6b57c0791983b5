"""What report.json holds; docs/reference/interfaces.md lists the same."""

from __future__ import annotations

from typing import Any, Final, Literal

from pydantic import Field

from psconv.vendor.records import ToolReport
from pymodel.common.errors import Strict, validated

VERSION: Final = 1  # of report.json


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


class LayerReport(Strict):
    """One layer of a design. Bits are of the whole layer."""

    name: str
    shape: str = Field(description="channels, image and kernel in words")
    variant: str = Field(description="support: PSD1_P16, dense, ...; else what the unit does")
    elements: int | None = Field(None, description="output values compared at each step")
    mismatches: dict[str, int | None] = Field(description="by step (csim, cosim, stalled): values unlike golden's")
    lanes: int = Field(ge=0, description="multiply-accumulates in each cycle")
    multipliers: int | None = Field(None, ge=0, description="that the lanes take: fewer where products share one")
    scale_multipliers: int = Field(0, ge=0, description="multipliers of the output channels' scales, besides the lanes")
    macs: int | None = Field(None, description="useful multiply-accumulates of one image")
    busy: int | None = Field(None, description="cycles an image in which its slowest process works")
    utilisation: float | None = Field(None, ge=0, le=1, description="useful MACs / (lanes * interval of the design)")
    resources: dict[str, float] | None = Field(None, description="LUT, FF, DSP, BRAM, ... of its units, streams aside")
    weight_bits: int | None = Field(None, description="nonzero weights")
    index_bits: int | None = Field(None, description="support of the period")
    padding_bits: int | None = Field(None, description="zero words of folds and of a short last block")
    index_bits_per_weight: int | None = Field(None, description="indices of an engine with one per weight")
    dense_bits: int | None = Field(None, description="weights of the dense layer")


class StreamDepth(Strict):
    """A stream between two units."""

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
    megabytes_per_second: float = Field(description="at the design's frame rate; 10^6 bytes")
    rom_bits: int = Field(description="of the weight ROM that the engine does not have")
    held_bits: dict[str, int] = Field(description="RAM that it has instead: windows, sums, outputs")

    @property
    def held(self) -> int:
        """All bits that it has instead."""
        return sum(self.held_bits.values())


class MemoryBits(Strict):
    """Memory by what it holds, depth times width of each."""

    holds: str
    bits: int = Field(description="as built: of schedule.json")
    model: int | None = Field(None, description="what the units need; none: the HLS flow chooses")


class Simulation(Strict):
    """Wall clock of a simulation, and of building its simulator."""

    seconds: float
    build: float
    cycles_per_second: float


class DesignReport(Strict):
    """One top: a layer by itself, or a network. Cycles count from the first beat in to the last beat out."""

    name: str
    what: str = Field(description="it is, in words")
    top: str = Field(description="module of the RTL")
    images: int = Field(ge=1)
    layers: list[LayerReport] = Field(min_length=1)
    mismatches: dict[str, int | None] = Field(description="by step (csim, cosim, stalled): outputs unlike golden's")
    errors: list[str] = Field([], description="what the bench found, in words")
    cycles_model: int
    cycles_sim: int
    image_ends_agree: bool = Field(description="each image's last beat comes in the cycle that the model says")
    fill: int = Field(description="cycles beyond images * least_interval")
    least_interval: int = Field(description="iterations per image of the slowest process")
    bottleneck: str = Field(description="the slowest process")
    interval_model: int = Field(description="cycles between two images in an endless run, proved")
    interval_sim: int | None = Field(None, description="between the last two images of this run")
    frames_per_second: float = Field(description="at the configured clock")
    lanes: int = Field(ge=0, description="multiply-accumulates in each cycle")
    multipliers: int | None = Field(None, ge=0, description="that the lanes take: fewer where products share one")
    utilisation: float = Field(ge=0, le=1, description="useful MACs / (lanes * cycles), fill included")
    resources: dict[str, float] = Field(description="LUT, FF, DSP, BRAM, ... of the whole top")
    distinct_modules: int | None = Field(None, description="of the RTL that differ in more than names, where counted")
    modules: list[Module] = Field([], description="where the design is synthesised as a whole")
    clock: ClockReport | None = Field(None, description="with place and route")
    structure: Structure | None = Field(None, description="of an engine by itself")
    multiplexer_free: bool | None = Field(None, description="nothing chooses between ring and multiplier")
    stages: list[Stage] = []
    memory: list[MemoryBits] = []
    nonzero_bits: int | None = Field(None, description="of the weights: those that are not pruned")
    padding_bits: int | None = Field(None, description="of the weights: zeros that fill folds and short blocks")
    streams: list[StreamDepth] = []
    weights: list[WeightTraffic] = Field([], description="of the layers whose weights are streamed")
    simulation: dict[str, Simulation] = {}
    seconds: dict[str, float] = Field({}, description="by step")
    tools: dict[str, ToolReport] = Field({}, description="by HLS tool beside the open flow: vitis, bambu")

    @property
    def ok(self) -> bool:
        """Whether everything that was compared agrees."""
        layers = [value for layer in self.layers for value in layer.mismatches.values()]
        return (
            not self.errors
            and not any((*self.mismatches.values(), *layers))
            and self.cycles_model == self.cycles_sim
            and self.image_ends_agree
            and all(port.beats == port.beats_sim for port in self.weights)
            and all(memory.model in (None, memory.bits) for memory in self.memory)
            and not any(tool.errors or tool.mismatches for tool in self.tools.values())
        )


class Accuracy(Strict):
    """Top-1 hits of a classifier, of `images` images."""

    dataset: str
    images: int = Field(ge=1)
    golden: int
    rtl: int | None = None


class RunReport(Strict):
    """A whole run."""

    version: Literal[1] = VERSION
    title: str
    ok: bool
    designs: list[DesignReport] = Field(min_length=1, description="a design for each layer, or one for the network")
    accuracy: Accuracy | None = None
    clock_ns: float = Field(gt=0)
    target: str
    budgets: dict[str, int] = Field({}, description="of the target")
    provenance: dict[str, str] = Field(description="versions, seed, date, times, in the order of showing")

    @property
    def layers(self) -> list[LayerReport]:
        """The layers of all designs."""
        return [layer for design in self.designs for layer in design.layers]


def parse_report(data: dict[str, Any]) -> RunReport:
    """Check the dictionary of a run. Raises ConfigError naming the key."""
    return validated(RunReport, data, "report")
