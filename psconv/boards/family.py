"""An FPGA family, as `psconv bitstream` has to know it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from psconv.boards.pll import Limits
from psconv.synthesis.targets import Board, Target
from psconv.synthesis.yosys_json import Module

NETLIST, PLACED = "netlist.json", "placed.json"  # what nextpnr reads and writes


@dataclass(frozen=True)
class Family:
    """pll_template: the PLL in the board's top (psconv/boards/rtl).

    models: cells for simulation (psconv/boards/models); library: files of yosys with more of them.
    outputs: files that `place` and `pack` make, the bitstream last. needs: the modules of Python that they use, with
    the packages that have them. with_pads: yosys's command for the top of a board, from that for a block alone.
    registers: moves flip-flops of the flattened netlist into blocks, in place.
    place: nextpnr, with a device's options and those of every family, in a folder with the netlist. pack: what nextpnr
    wrote there to the bitstream. Both raise ConfigError with what the tool said.
    """

    pll: Limits
    pll_template: str
    models: str
    library: Sequence[str]
    outputs: Sequence[str]
    needs: Mapping[str, str]
    with_pads: Callable[[str], str]
    registers: Callable[[Module], object]
    place: Callable[[Board, Sequence[str], Path], None]
    pack: Callable[[Target, Path], None]

    @property
    def bitstream(self) -> str:
        return self.outputs[-1]
