"""Boards as data: what the files of constraints/ say goes into the top and into nextpnr's constraints, once."""

from __future__ import annotations

import re

import pytest

from psconv.boards.pins import lpf, pins
from psconv.synthesis.targets import known_boards, load_board
from pymodel.common.errors import ConfigError

BOARDS = known_boards()


def test_the_boards() -> None:
    assert {"ulx3s_85f", "colorlight_i5", "orangecrab"} <= set(BOARDS)
    with pytest.raises(ConfigError, match="--board: must be one of colorlight_i5, .*, got 'zcu104'"):
        load_board("zcu104")


@pytest.mark.parametrize("name", BOARDS)
def test_no_pin_is_used_twice_and_the_clock_is_timed(name: str) -> None:
    target, board = load_board(name)
    found = list(pins(board))
    assert len({pin.site for pin in found}) == len(found) == len({pin.port for pin in found})
    assert {"clk", "rx", "tx"} <= {pin.port for pin in found}
    text = lpf(board)
    for pin in found:
        assert f'LOCATE COMP "{pin.port}" SITE "{pin.site}";' in text
    assert float(re.search(r'FREQUENCY PORT "clk" (\S+) MHZ;', text)[1]) == board.clock.mhz
    assert "http" in board.source and target.nextpnr
