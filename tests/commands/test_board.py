"""`psconv board`: what is refused, with one message each, before anything is built; and whether a network fits."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from psconv.commands.board import check_fits
from psconv.synthesis.targets import load_target
from pymodel.common.errors import ConfigError
from tests.helpers.places import EXAMPLES

LAYER = {"in_channels": 4, "out_channels": 4, "height": 3, "width": 4, "support": "PS4_P4"}
NETWORK = EXAMPLES / "digits" / "network.yaml"


def layer(folder: Path) -> Path:
    path = folder / "run.yaml"
    path.write_text(yaml.safe_dump({"psconv": 1, "layer": LAYER, "images": {"count": 2}}))
    return path


@pytest.mark.parametrize(
    "config, options, message",
    [
        (NETWORK, ["--board", "pynq_z1"], "--board: must be one of pynq_z2, zcu104, kv260, got 'pynq_z1'"),
        (NETWORK, ["--board", "pynq_z2", "--clock", "3"], "clock_ns: must be at least 4 on pynq_z2"),
        (NETWORK, ["--board", "kv260", "--clock", "2.5"], "clock_ns: must be at least 3 on kv260"),
        (NETWORK, ["--board", "pynq_z2", "--score-bits", "12"], "--score-bits: must be one of 8, 16, 32, got 12"),
        (EXAMPLES / "digits" / "run.yaml", ["--board", "zcu104"], "top: must be network for a board, got layers"),
        (EXAMPLES / "digits" / "streamed.yaml", ["--board", "zcu104"], "weights: must be rom or loaded for a board"),
        (Path("nothing.yaml"), ["--board", "zcu104"], "nothing.yaml"),
    ],
)
def test_refused(config: Path, options: list[str], message: str, tmp_path: Path, psconv) -> None:
    status, printed, told = psconv("board", str(config), *options, "--out", str(tmp_path / "out"))
    assert status == 2 and message in told and not printed.strip()
    assert told.count("error:") <= 1 and "Traceback" not in told
    assert not list((tmp_path / "out").glob("*/component.xml"))


def test_a_network_that_is_too_large() -> None:
    """Each resource of which there is too little is named, with what there is."""
    target = load_target("zybo_z7_10")
    used = {"LUT": 17600, "FF": 1, "DSP": 81, "BRAM": 60.5, "URAM": 0}
    expected = r"run.yaml: the network must fit zybo_z7_10: no, because of DSP 81 of 80, BRAM 60\.5 of 60; .*--no-fit"
    with pytest.raises(ConfigError, match=expected):
        check_fits(used, target, Path("run.yaml"))
    check_fits(used | {"DSP": 80, "BRAM": 60}, target, Path("run.yaml"))


@pytest.mark.slow
def test_a_layer_with_its_cells(tmp_path: Path, psconv) -> None:
    """The whole way for one layer, cells counted; the folder is complete."""
    out = tmp_path / "out"
    status, printed, told = psconv("board", str(layer(tmp_path)), "--board", "zcu104", "--out", str(out), "--no-build")
    assert status == 0, told
    assert "AMD ZCU104, 300.03 MHz" in printed and '"LUT":' in printed.replace(" ", "")
    assert {path.name for path in (out / "zcu104").glob("[!.]*")} == {
        "README.md",
        "build.tcl",
        "component.xml",
        "project.json",
        "psconv.ipynb",
        "psconv.json",
        "psconv_driver.py",
        "psconv_registers.h",
        "rtl",
    }
