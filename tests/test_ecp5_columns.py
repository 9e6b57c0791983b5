"""What yosys makes of the ROMs that openhls writes for an ECP5."""

from __future__ import annotations

import json

import pytest
from openhls.driver.compile import compile_design
from openhls.tests.designs import lookup

from psconv.synthesis.place_route import netlist
from psconv.synthesis.targets import load_target


@pytest.mark.parametrize(("width", "depth", "bits"), [(20, 512, 36), (20, 1000, 18), (20, 1536, 9), (9, 4096, 4)])
def test_a_deep_rom_has_columns(width, depth, bits, tmp_path):
    """One block for all words of a column, so nothing stands between a block and the register behind it."""
    result = compile_design(lookup(width, depth), "ecp5", 6.4, tmp_path)
    moved = netlist(result.rtl, "top", load_target("ulx3s_85f"), tmp_path / "netlist")
    design = json.loads((tmp_path / "netlist" / "design.json").read_text())
    blocks = [cell for cell in design["modules"]["top"]["cells"].values() if cell["type"] == "DP16KD"]
    assert len(blocks) == moved["block_ram_outputs"] == -(-width // bits)
