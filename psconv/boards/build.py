"""From an engine's RTL to a bitstream: the sources of a board, yosys, nextpnr, the packer."""

from __future__ import annotations

import json
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypedDict

from psconv.boards.families import family_of as fpga_family
from psconv.boards.family import NETLIST, PLACED
from psconv.boards.pll import Pll
from psconv.boards.shell import TOP, Shell, sources
from psconv.synthesis.cells import family_of
from psconv.synthesis.critical_path import Part, Step, described, in_lines, shares
from psconv.synthesis.resources import count_cells
from psconv.synthesis.source_lines import SourceLines
from psconv.synthesis.targets import Board, Target
from psconv.synthesis.yosys_json import Design as Netlist
from psconv.synthesis.yowasp import source_name, yosys
from pymodel.common.errors import ConfigError
from pymodel.common.files import write_atomically, write_text

_LOGIC = ("LUT4", "PFUMX", "L6MUX21")


class Routed(TypedDict):
    """A board after place and route: as `psconv.synthesis.place_route.Placed`, of the engine's clock."""

    fmax_mhz: float
    requested_mhz: float
    met: bool
    seed: int
    critical_path_ns: float
    critical_path: list[Step]
    critical_path_ns_by_element: dict[str, float]
    critical_path_lines: list[Part]
    used: dict[str, int]
    seconds: float


@dataclass(frozen=True)
class Files:
    """What is written for a board. rtl: psconv_link.sv first, board.sv last, the engine's between.

    bitstream_name: of the file of the bitstream.
    """

    folder: Path
    bitstream_name: str

    @property
    def rtl(self) -> list[Path]:
        found = sorted((self.folder / "rtl").glob("*.sv"))
        return sorted(found, key=lambda path: (path.name != "psconv_link.sv", path.stem == TOP, path.name))

    @property
    def netlist(self) -> Path:
        return self.folder / NETLIST

    @property
    def placed(self) -> Path:
        return self.folder / PLACED

    @property
    def bitstream(self) -> Path:
        return self.folder / self.bitstream_name


def write_sources(
    shell: Shell, board: Board, target: Target, pll: Pll, engine: Sequence[Path], ports: Mapping[str, Any], out: Path
) -> Files:
    """Writes OUT/rtl: the board's top and all below it. ports: the engine's ports.json."""
    streams = {stream["name"]: stream["signals"] for stream in ports["streams"]}
    nets = {ports["clock"]: "clock", ports["reset"]["name"]: "engine_rst_n"}
    for name, signals in streams.items():
        for key, signal in signals.items():
            driven = name == shell.design.dataflow.source.name and key in ("TKEEP", "TSTRB")
            known = key in ("TDATA", "TVALID", "TREADY", "TLAST") and not (key == "TLAST" and name != _source(shell))
            side = "x" if name == _source(shell) else "y"
            nets[signal["name"]] = (
                f"{signal['width']}'b{'1' * signal['width']}" if driven else f"{side}_{key.lower()}" if known else ""
            )
    family = fpga_family(target)
    rendered = sources(
        name=target.name,
        board=board,
        mhz=f"{pll.mhz:.6g}",
        pll=pll,
        pll_template=family.pll_template,
        x_bits=8 * shell.info.x_bytes,
        y_bits=8 * shell.info.y_bytes,
        parameters=shell.parameters,
        engine=ports["top"],
        engine_ports=nets,
    )
    folder = out / "rtl"
    shutil.rmtree(folder, ignore_errors=True)
    for name, text in rendered.items():
        write_text(folder / name, text)
    for path in engine:
        write_text(folder / path.name, path.read_text(encoding="utf-8"))
    return Files(out, family.bitstream)


def _source(shell: Shell) -> str:
    return shell.design.dataflow.source.name


def synthesise(files: Files, target: Target) -> dict[str, float]:
    """Writes the netlist of what `write_sources` wrote; what its cells come to. Raises ConfigError as yosys does."""
    family = fpga_family(target)
    with tempfile.TemporaryDirectory(prefix="psconv_board_") as name:
        folder = Path(name)
        names = _copied(files, folder)
        command = family.with_pads(target.yosys)
        yosys(f"read_verilog -sv -defer {' '.join(names)}; {command} -top {TOP} -json {NETLIST}", folder)
        design: Netlist = json.loads((folder / NETLIST).read_text(encoding="utf-8"))
    family.registers(design["modules"][TOP])
    write_text(files.netlist, json.dumps(design))
    cells = Counter(cell["type"] for cell in design["modules"][TOP]["cells"].values())
    return count_cells({TOP: cells}, TOP, family_of(target.yosys))["total"]


def as_verilog(netlist: Path, out: Path) -> Path:
    """Writes OUT/NAME.v of a netlist as `synthesise` wrote it, for simulation with the cells' models.

    Look-up tables are put in by yosys, from its own models: Verilator takes minutes over thousands of instances.
    """
    with tempfile.TemporaryDirectory(prefix="psconv_board_") as name:
        folder = Path(name)
        shutil.copy(netlist, folder / NETLIST)
        keep = " ".join(f"t:{cell}" for cell in _LOGIC)
        mapped = f"select {keep}; techmap -map +/lattice/common_sim.vh; select -clear; opt_expr; opt_clean"
        yosys(f"read_json {NETLIST}; {mapped}; write_verilog -noattr netlist.v", folder)
        text = (folder / "netlist.v").read_text(encoding="utf-8")
    result = out / f"{netlist.stem}.v"
    write_text(result, text)
    return result


def _copied(files: Files, folder: Path) -> list[str]:
    """Copies the sources under the names that `SourceLines` knows, in the order that yosys needs."""
    names = [source_name(index) for index in range(len(files.rtl))]
    for name, path in zip(names, files.rtl, strict=True):
        shutil.copy(path, folder / name)
    return names


def route(files: Files, board: Board, target: Target, mhz: float, *, seed: int = 1) -> Routed:
    """Places and routes the netlist and writes the bitstream. Raises ConfigError: it does not fit the device."""
    start = time.monotonic()
    text, family = files.netlist.read_text(encoding="utf-8"), fpga_family(target)
    with tempfile.TemporaryDirectory(prefix="psconv_board_") as name:
        folder = Path(name)
        (folder / NETLIST).write_text(text, encoding="utf-8")
        options = ["--json", NETLIST, "--write", PLACED]
        options += ["--freq", f"{mhz:.6f}", "--seed", str(seed), "--report", "report.json"]
        options += ["--timing-allow-fail", "--quiet"]
        assert target.nextpnr is not None
        try:
            family.place(board, [*target.nextpnr.split(), *options], folder)
        except ConfigError as error:
            raise ConfigError(f"--board {target.name}: {error}") from error
        report = json.loads((folder / "report.json").read_text(encoding="utf-8"))
        family.pack(target, folder)
        for file in (PLACED, *family.outputs):
            write_atomically(files.folder / file, lambda to, file=file: shutil.copy(folder / file, to))  # type: ignore[misc]
    clock, fmax = min(report["fmax"].items(), key=lambda item: item[1]["achieved"] / item[1]["constraint"])
    paths = [path for path in report["critical_paths"] if clock in path["from"] and clock in path["to"]]
    design: Netlist = json.loads(text)
    lines = SourceLines(design["modules"][TOP], TOP, [path.read_text(encoding="utf-8") for path in files.rtl])
    steps = described(paths[0]["path"], design["modules"][TOP], lines) if paths else []
    return {
        "fmax_mhz": round(fmax["achieved"], 2),
        "requested_mhz": round(mhz, 4),
        "met": fmax["achieved"] >= fmax["constraint"],
        "seed": seed,
        "critical_path_ns": round(sum(step["delay_ns"] for step in steps), 3),
        "critical_path": steps,
        "critical_path_ns_by_element": shares(steps),
        "critical_path_lines": in_lines(steps),
        "used": {cell: n["used"] for cell, n in report["utilization"].items() if n["used"]},
        "seconds": round(time.monotonic() - start, 2),
    }
