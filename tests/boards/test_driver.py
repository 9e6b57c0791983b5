"""The driver for PYNQ, unmodified, on the RTL in Verilator: its bus is a model, everything else is what a user has."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.helpers.zynq import small

pytest.importorskip("cocotbext.axi")


@pytest.mark.parametrize(
    "loaded, score_bits", [(False, 16), (True, 8)], ids=["weights in ROM", "weights that are loaded"]
)
def test_driver(loaded: bool, score_bits: int, tmp_path: Path) -> None:
    small("residual", tmp_path, loaded, score_bits).run("driver")
