"""`psconv board`: a design as an IP for an AMD board, with all that makes a bitstream of it and a driver for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from openhls import Ports
from rich.console import Console
from rich.text import Text

from psconv.boards.zynq import project
from psconv.boards.zynq.boards import Board, board_of
from psconv.boards.zynq.wrapper import Wrapper, check
from psconv.flow.config import load
from psconv.flow.hls import PORTS, Synthesised
from psconv.flow.layout import Layout
from psconv.flow.run import Run, prepare, run_step
from psconv.synthesis.targets import Target, lacking, verdict
from psconv.vendor.step import run_in
from psconv.vendor.tools import ToolMissing, find
from pymodel.common.errors import ConfigError
from pymodel.common.records import read_json, reading
from pymodel.network.topology import INPUT


@dataclass(frozen=True)
class Made:
    """What was written, and what it takes. bitstream: whether Vivado made one; used: cells; None: not counted."""

    folder: Path
    board: Board
    mhz: float
    wrapper: Wrapper
    used: Mapping[str, float] | None
    bitstream: bool

    def to_json(self) -> dict[str, Any]:
        facts = self.wrapper.facts
        return {
            "folder": str(self.folder),
            "board": self.board.name,
            "clock_mhz": self.mhz,
            "ip": self.wrapper.module,
            "identity": f"{facts['identity']:#010x}",
            "contents": f"{facts['contents']:#010x}",
            "in_bits": 8 * self.wrapper.in_bytes,
            "out_bits": 8 * self.wrapper.out_bytes,
            "resources": None if self.used is None else dict(self.used),
            "bitstream": str(self.folder / project.BITSTREAM) if self.bitstream else None,
        }


def prepared(config: Path, board: str, out: Path, clock_ns: float | None, score_bits: int) -> Run:
    """The run of which the board's folder is made. Raises ConfigError for what cannot be on the board."""
    chosen, content = board_of(board), load(config)
    if content.top != "network" and content.layer is None:
        raise ConfigError(f"{config}: top: must be network for a board, got {content.top}: one IP for each layer")
    run = prepare(content, config, out, target=chosen.target, clock_ns=clock_ns)
    try:
        project.frequency(chosen, run.settings.clock_ns)
        check(run.designs[0], score_bits)
    except ConfigError as error:
        raise ConfigError(f"{config}: {error}") from error
    return run


def make(run: Run, board: str, score_bits: int, fit: bool, build: bool, console: Console) -> Made:
    """Runs what is missing of the flow, writes the folder and, where Vivado is, builds the bitstream.

    fit: counts cells by yosys first. Raises ConfigError where the device has too few of them, or Vivado fails.
    """
    chosen, layout, [design] = board_of(board), run.layout, run.designs
    run_step("synth", run, console)
    used = None
    if fit:
        run_step("resources", run, console)
        used = counted(layout, design.name)
        check_fits(used, run.settings.target, run.path)
    folder = layout.root / chosen.name
    synthesised = Synthesised(layout.synth(design.name))
    formats = run.inputs.bundle.formats
    made = project.Project(
        Wrapper(design, Ports.load(layout.synth(design.name) / PORTS), score_bits),
        chosen,
        run.settings.clock_ns,
        formats[INPUT],
        formats[design.layer],
        synthesised.rtl,
    )
    project.write(made, folder)
    bitstream = folder / project.BITSTREAM
    if build and not bitstream.exists():
        try:
            vivado = find("vivado")
        except ToolMissing:
            console.print(f"No Vivado here: run it in {folder} where it is: vivado -mode batch -source build.tcl")
        else:
            with console.status(Text("Vivado")):
                run_in(folder, [str(vivado), "-mode", "batch", "-source", project.SCRIPT], vivado)
    mhz = project.frequency(chosen, run.settings.clock_ns)
    return Made(folder, chosen, mhz, made.wrapper, used, bitstream.exists())


def counted(layout: Layout, name: str) -> dict[str, float]:
    """The cells of a design by kind, from the step that counted them."""
    path = layout.resources(name)
    with reading(path):
        total: dict[str, float] = read_json(path)["total"]
        return total


def check_fits(used: Mapping[str, float], target: Target, path: Path) -> None:
    """Raises ConfigError where the device has less than a design takes, the DMA and its like aside."""
    budget = target.budgets.model_dump()
    if lacking(used, budget):
        raise ConfigError(
            f"{path}: the network must fit {target.name}: {verdict(used, budget)}; choose a larger board, less "
            "parallelism (psconv explore --device), or --no-fit to write the folder all the same"
        )
