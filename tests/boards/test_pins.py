"""Boards as data: what the files of constraints/ say goes into the top and into nextpnr's constraints, once."""

from __future__ import annotations

import re

import pytest

from psconv.boards.ecp5 import lpf
from psconv.boards.families import FAMILIES, family_of
from psconv.boards.gowin import cst
from psconv.boards.pins import pins
from psconv.synthesis.targets import known_boards, load_board, load_target
from pymodel.common.errors import ConfigError

BOARDS = known_boards()


def test_the_boards() -> None:
    assert {"ulx3s_85f", "colorlight_i5", "orangecrab", "tang_primer_20k"} <= set(BOARDS)
    with pytest.raises(ConfigError, match="--board: must be one of colorlight_i5, .*, got 'zcu104'"):
        load_board("zcu104")
    with pytest.raises(ConfigError, match=r"zcu104\.yaml: family: must be one of ecp5, gw2a for a board, got 'zynq_u"):
        family_of(load_target("zcu104"))


@pytest.mark.parametrize("name", BOARDS)
def test_no_pin_is_used_twice(name: str) -> None:
    target, board = load_board(name)
    found = list(pins(board))
    assert len({pin.site for pin in found}) == len(found) == len({pin.port for pin in found})
    assert {"clk", "rx", "tx"} <= {pin.port for pin in found}
    assert "http" in board.source and target.nextpnr
    text = {"ecp5": lpf, "gw2a": cst}[target.family](board)
    for pin in found:
        place = {"ecp5": f'LOCATE COMP "{pin.port}" SITE "{pin.site}";', "gw2a": f'IO_LOC "{pin.port}" {pin.site};'}
        assert text.count(place[target.family]) == 1
        assert re.search(rf'"{re.escape(pin.port)}" IO_TYPE={pin.io} PULL_?MODE={pin.pull};', text)


@pytest.mark.parametrize("name", [name for name in BOARDS if load_target(name).family == "ecp5"])
def test_the_clock_of_the_board_is_told(name: str) -> None:
    _, board = load_board(name)
    assert float(re.search(r'FREQUENCY PORT "clk" (\S+) MHZ;', lpf(board))[1]) == board.clock.mhz


def test_families_are_apart() -> None:
    """Every family has its own PLL, bitstream and tools."""
    for of in ("pll_template", "models", "bitstream"):
        assert len({getattr(family, of) for family in FAMILIES.values()}) == len(FAMILIES)
    assert FAMILIES.keys() == {load_target(name).family for name in BOARDS}
