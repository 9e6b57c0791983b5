"""Devices, cell counts, the netlist trace (with engines that must fail it), place and route."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
import yaml
from openhls.primitives import Rom

from pymodel.errors import ConfigError
from scripts import resources
from scripts.resources import (
    CONSTRAINTS,
    count_cells,
    known_targets,
    load_target,
    logic_cells,
    synthesise,
    trace_operands,
)

LANES = [Path(__file__).parent / "rtl" / "lanes.sv"]


def test_every_device_loads_and_its_clock_constraint_agrees() -> None:
    assert {"zcu104", "pynq_z2", "u250", "ulx3s_85f"} <= set(known_targets())
    for name in known_targets():
        target = load_target(name)
        text = (CONSTRAINTS / target.constraints).read_text()
        if target.constraints.endswith(".xdc"):
            assert f"-period {target.clock_ns} " in text
        else:
            frequency = re.search(r'FREQUENCY PORT "ap_clk" (\S+) MHZ', text)
            assert frequency and float(frequency[1]) == pytest.approx(1000 / target.clock_ns)
        assert "ap_clk" in text


def test_devices_are_known_to_the_hls_flow() -> None:
    from openhls.targets import TARGETS

    assert {load_target(name).openhls for name in known_targets()} <= set(TARGETS)


def test_unknown_device_lists_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="unknown device 'zcu102'; known: .*ulx3s_85f.*zcu104"):
        load_target("zcu102")
    with pytest.raises(ConfigError, match="unknown device '../zcu104'"):
        load_target("../zcu104")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"surprise": 1}, "surprise: unknown key"),
        ({"clock_ns": -1.0}, "clock_ns"),
        ({"name": "other"}, "name: 'zcu104' expected"),
        ({"yosys": "rm -rf"}, "yosys"),
    ],
)
def test_a_wrong_device_file_is_one_clear_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: dict, message: str
) -> None:
    data = yaml.safe_load((CONSTRAINTS / "zcu104.yaml").read_text()) | change
    (tmp_path / "zcu104.yaml").write_text(yaml.safe_dump(data))
    monkeypatch.setattr(resources, "CONSTRAINTS", tmp_path)
    with pytest.raises(ConfigError, match=f"zcu104.yaml: {message}"):
        load_target("zcu104")


def test_cells_are_summed_over_the_hierarchy() -> None:
    modules = {
        "top": {"lane": 3, "LUT6": 2, "RAMB18E2": 1, "GND": 1, "MYSTERY": 2},
        "lane": {"DSP48E2": 1, "FDRE": 8, "reg": 2},
        "reg": {"FDRE": 1, "SRL16E": 1, "RAM32M": 1},
        "unused": {"LUT6": 99},
    }
    counted = count_cells(modules, "top", resources._XILINX)
    total = counted["total"]
    assert (total["LUT"], total["FF"], total["DSP"], total["BRAM"]) == (2 + 6 * (1 + 4), 3 * (8 + 2), 3, 0.5)
    assert (total["SRL"], total["LUTRAM"]) == (6, 24)
    assert counted["other"] == {"MYSTERY": 2}
    assert counted["modules"]["reg"]["instances"] == 6 and "unused" not in counted["modules"]


def test_logic_cells_are_those_that_yosys_estimates(tmp_path: Path) -> None:
    source = tmp_path / "lanes.sv"
    source.write_text(LANES[0].read_text())
    script = f"read_verilog -sv {source.name}; {load_target('zcu104').yosys} -top lanes_indexed; "
    resources._yosys(script + "tee -q -o stat.json stat -tech xilinx -json", tmp_path)
    whole = json.loads((tmp_path / "stat.json").read_text())["design"]
    assert logic_cells(whole["num_cells_by_type"]) == whole["estimated_num_lc"] > 0
    assert logic_cells({"LUT6": 2, "LUT5": 3, "LUT4": 1, "LUT3": 1, "LUT2": 5, "LUT1": 4}) == 7 + 2


def test_ring_is_wired_to_its_multipliers() -> None:
    proof = trace_operands(LANES, "lanes_ring")
    assert proof["multiplexer_free"] and proof["multipliers"] == 2
    assert proof["cells_between"] == {} and proof["max_choices"] == 2 and proof["max_delay"] == 1
    assert proof["ring_registers"] == 2
    assert sorted(o["origin"]["name"] for o in proof["activations"]) == ["ring[1]", "ring[4]"]
    assert proof["weights_from_memory"] == 2
    assert [(m["kind"], m["depth"], m["width"]) for m in proof["memories"]] == [("rom", 64, 16)]


def test_a_ring_in_memories_is_addressed_by_counters() -> None:
    rtl = [*LANES, Path(__file__).parent / "rtl" / "lanes_memory.sv"]
    proof = trace_operands(rtl, "lanes_memory")
    assert proof["multiplexer_free"] and proof["multipliers"] == proof["weights_from_memory"] == 2
    assert [o["counted"] for o in proof["activations"]] == [True, True]
    assert sorted(o["origin"]["name"] for o in proof["activations"]) == ["even", "odd"]
    chosen = trace_operands(rtl, "lanes_memory_indexed")
    assert not chosen["multiplexer_free"]
    assert [o["counted"] for o in chosen["activations"]] == [False, False]


def test_the_multipliers_of_one_instance_only() -> None:
    """A ring and an indexed engine in one top: each is judged by itself, and both together fail."""
    both = [*LANES, Path(__file__).parent / "rtl" / "lanes_both.sv"]
    assert trace_operands(both, "lanes_both", "ring")["multiplexer_free"]
    assert not trace_operands(both, "lanes_both", "indexed")["multiplexer_free"]
    assert [trace_operands(both, "lanes_both", name)["multipliers"] for name in ("ring", "indexed", "")] == [2, 2, 4]
    assert not trace_operands(both, "lanes_both")["multiplexer_free"]


def test_packed_weights_are_followed_to_their_memory() -> None:
    rtl = [*LANES, Path(__file__).parent / "rtl" / "lanes_packed.sv"]
    proof = trace_operands(rtl, "lanes_packed")
    assert proof["multipliers"] == 1 and proof["multiplexer_free"]
    assert (proof["weights_from_memory"], proof["packing_adders"]) == (1, 1)
    assert [o["origin"]["name"] for o in proof["activations"]] == ["ring[1]"]
    assert trace_operands(LANES, "lanes_ring")["packing_adders"] == 0
    chosen = trace_operands(rtl, "lanes_packed_chosen")
    assert (chosen["weights_from_memory"], chosen["packing_adders"]) == (0, 0)


def test_a_multiplexer_in_front_of_the_multiplier_is_found() -> None:
    proof = trace_operands(LANES, "lanes_indexed")
    assert not proof["multiplexer_free"] and proof["cells_between"]
    assert {(m["kind"], m["depth"], m["width"]) for m in proof["memories"]} == {("rom", 64, 16), ("rom", 64, 6)}


def test_a_multiplexer_behind_a_pipeline_register_is_found() -> None:
    proof = trace_operands(LANES, "lanes_hidden")
    assert proof["cells_between"] == {}
    assert not proof["multiplexer_free"] and proof["max_choices"] == 6
    assert len(proof["memories"]) == 2


def test_broken_rtl_is_one_clear_error(tmp_path: Path) -> None:
    bad = tmp_path / "bad.sv"
    bad.write_text("module top(input a; endmodule")
    with pytest.raises(ConfigError, match="yosys failed: .*source0.sv:1.*syntax error"):
        trace_operands([bad], "top")
    with pytest.raises(ConfigError, match="no such file"):
        trace_operands([tmp_path / "absent.sv"], "top")
    with pytest.raises(ConfigError, match="yosys failed: .*lanes_absent"):
        trace_operands(LANES, "lanes_absent")
    with pytest.raises(ConfigError, match="no open place and route for 'zcu104'"):
        resources.place_and_route(LANES, "lanes_ring", load_target("zcu104"), 5.0)


def test_synthesis_for_ultrascale() -> None:
    found = synthesise(LANES, "lanes_ring", load_target("zcu104"))
    assert found["total"]["DSP"] == 2 and found["other"] == {}
    # The ring; the other registers may be inside DSP blocks and block RAM.
    assert found["total"]["FF"] >= 48
    assert found["modules"]["lanes_rom"]["instances"] == 1
    assert found["utilisation"]["DSP"] == pytest.approx(2 / 1728, abs=1e-6)


@pytest.mark.slow
def test_synthesis_and_place_and_route_for_ecp5() -> None:
    target = load_target("ulx3s_85f")
    found = synthesise(LANES, "lanes_ring", target)
    assert found["total"]["DSP"] == 2 and found["other"] == {} and found["total"]["FF"] >= 48
    placed = resources.place_and_route(LANES, "lanes_ring", target, 10.0)
    assert 50 < placed["fmax_mhz"] < 500
    assert placed["requested_mhz"] == 100 and placed["met"] == (placed["fmax_mhz"] >= 100)
    assert placed["critical_path"] and placed["critical_path_ns"] == pytest.approx(
        1000 / placed["fmax_mhz"], rel=0.1
    )
    assert placed["used"]["MULT18X18D"] == 2


def test_contents_of_large_roms_do_not_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same cells with random words and with the two words that stand in for them."""
    rng = np.random.default_rng(0)
    words = [int.from_bytes(rng.bytes(9), "little") for _ in range(1024)]
    path = tmp_path / "rom.sv"
    path.write_text(Rom(72, 1024, "block", 2, False, tuple(words)).verilog("rom"))
    target = load_target("zcu104")
    whole = synthesise([path], "rom", target)["total"]
    monkeypatch.setattr(resources, "_LARGE_ROM_BITS", 1)
    assert synthesise([path], "rom", target)["total"] == whole
    assert whole["BRAM"] == 2
