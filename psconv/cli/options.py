"""Options that several commands have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from pymodel.common import bounds


def number(name: str, within: bounds.Bounds, text: str = "") -> Any:
    """An option that is a number within bounds, which its help shows."""
    return typer.Option(name, help=f"{text}{', ' if text else ''}{within}", callback=within.option(name))


Config = Annotated[
    Path, typer.Argument(metavar="CONFIG", help="YAML file of a run; see docs/reference/configuration.md")
]


Out = Annotated[Path, typer.Option("--out", help="folder for everything that is written")]


Json = Annotated[bool, typer.Option("--json", help="print the result as JSON, nothing else on standard output")]


Hls = Annotated[str, typer.Option("--hls", help="HLS tool: open (the embedded flow), vitis, bambu")]


ScriptOnly = Annotated[bool, typer.Option("--script-only", help="with vitis, bambu: only write what would be run")]


ToolPath = Annotated[Path | None, typer.Option("--tool", help="folder of Vitis, or Bambu's AppImage")]


Implement = Annotated[bool, typer.Option("--implement", help="with vitis: Vivado synthesis and implementation too")]


TargetName = Annotated[str | None, typer.Option("--target", help="device of constraints/ instead of the configured")]


Clock = Annotated[float | None, number("--clock", bounds.CLOCK_NS, "clock period instead of the target's")]


Waves = Annotated[bool, typer.Option("--waves", help="keep a waveform (VCD) of each co-simulation")]


Pnr = Annotated[bool, typer.Option("--pnr", help="place and route with nextpnr for Fmax (ECP5 targets; slow)")]


Sets = Annotated[list[str] | None, typer.Option("--set", help="KEY=VALUE over the file's, repeatable")]
