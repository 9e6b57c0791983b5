"""What is kept of an HLS tool of the user: result.json beside its project, and a part of report.json."""

from __future__ import annotations

from pydantic import Field

from pymodel.common.errors import Strict


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
    cycles_sim: int | None = Field(
        description="of its RTL in this project's bench, all images; none: nothing came out of it"
    )
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
