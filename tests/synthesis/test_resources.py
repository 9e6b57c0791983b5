"""Devices, cell counts, the netlist trace (with engines that must fail it), place and route."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
import yaml
from openhls.backend.primitives import Ram, Rom

from psconv.common.places import CONSTRAINTS
from psconv.synthesis import resources
from psconv.synthesis import targets as targets
from psconv.synthesis.cells import family_of
from psconv.synthesis.modules import distinct, instantiated, without_contents
from psconv.synthesis.place_route import place_and_route
from psconv.synthesis.resources import count_cells, logic_cells, synthesise, trace_operands
from psconv.synthesis.targets import known_targets, load_target
from psconv.synthesis.yowasp import yosys
from pymodel.common.errors import ConfigError
from pymodel.engine.memories import ultra_blocks
from scripts.benchmarks.generated import generate
from tests.helpers.places import RTL

LANES = [RTL / "lanes.sv"]


def test_every_device_loads_and_its_clock_constraint_agrees() -> None:
    assert {"zcu104", "pynq_z2", "u250", "ulx3s_85f"} <= set(known_targets())
    for name in known_targets():
        target = load_target(name)
        text = (CONSTRAINTS / target.constraints).read_text()
        if target.constraints.endswith((".xdc", ".sdc")):
            assert f"-period {target.clock_ns} " in text
        else:
            frequency = re.search(r'FREQUENCY PORT "ap_clk" (\S+) MHZ', text)
            assert frequency and float(frequency[1]) == pytest.approx(1000 / target.clock_ns)
        assert "ap_clk" in text


def test_devices_are_known_to_the_hls_flow() -> None:
    from openhls import known_targets as delay_models

    assert {load_target(name).openhls for name in known_targets()} <= set(delay_models())


def test_unknown_device_lists_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="target: must be one of .*ulx3s_85f.*zcu104.*, got 'zcu102'"):
        load_target("zcu102")
    with pytest.raises(ConfigError, match="target: must be one of .*, got '../zcu104'"):
        load_target("../zcu104")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"surprise": 1}, "surprise: unknown key"),
        ({"clock_ns": -1.0}, "clock_ns"),
        ({"name": "other"}, "name: must be 'zcu104'"),
        ({"yosys": "rm -rf"}, "yosys"),
        ({"openhls": "nexus"}, "openhls: must be one of ecp5, xc7, xcup, got 'nexus'"),
    ],
)
def test_a_wrong_device_file_is_one_clear_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: dict, message: str
) -> None:
    data = yaml.safe_load((CONSTRAINTS / "zcu104.yaml").read_text()) | change
    (tmp_path / "zcu104.yaml").write_text(yaml.safe_dump(data))
    monkeypatch.setattr(targets, "CONSTRAINTS", tmp_path)
    with pytest.raises(ConfigError, match=f"zcu104.yaml: {message}"):
        load_target("zcu104")


def test_cells_are_summed_over_the_hierarchy() -> None:
    modules = {
        "top": {"lane": 3, "LUT6": 2, "RAMB18E2": 1, "GND": 1},
        "lane": {"DSP48E2": 1, "FDRE": 8, "reg": 2},
        "reg": {"FDRE": 1, "SRL16E": 1, "RAM32M": 1},
        "unused": {"LUT6": 99},
    }
    counted = count_cells(modules, "top", family_of("synth_xilinx"))
    total = counted["total"]
    assert (total["LUT"], total["FF"], total["DSP"], total["BRAM"]) == (2 + 6 * (1 + 4), 3 * (8 + 2), 3, 0.5)
    assert (total["SRL"], total["LUTRAM"]) == (6, 24)
    assert counted["modules"]["reg"]["instances"] == 6 and "unused" not in counted["modules"]


def test_logic_cells_are_those_that_yosys_estimates(tmp_path: Path) -> None:
    source = tmp_path / "lanes.sv"
    source.write_text(LANES[0].read_text())
    script = f"read_verilog -sv {source.name}; {load_target('zcu104').yosys} -top lanes_indexed; "
    yosys(script + "tee -q -o stat.json stat -tech xilinx -json", tmp_path)
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
    rtl = [*LANES, RTL / "lanes_memory.sv"]
    proof = trace_operands(rtl, "lanes_memory")
    assert proof["multiplexer_free"] and proof["multipliers"] == proof["weights_from_memory"] == 2
    assert [o["counted"] for o in proof["activations"]] == [True, True]
    assert sorted(o["origin"]["name"] for o in proof["activations"]) == ["even", "odd"]
    chosen = trace_operands(rtl, "lanes_memory_indexed")
    assert not chosen["multiplexer_free"]
    assert [o["counted"] for o in chosen["activations"]] == [False, False]


def test_the_multipliers_of_one_instance_only() -> None:
    """A ring and an indexed engine in one top: each is judged by itself, and both together fail."""
    both = [*LANES, RTL / "lanes_both.sv"]
    assert trace_operands(both, "lanes_both", "ring")["multiplexer_free"]
    assert not trace_operands(both, "lanes_both", "indexed")["multiplexer_free"]
    assert [trace_operands(both, "lanes_both", name)["multipliers"] for name in ("ring", "indexed", "")] == [2, 2, 4]
    assert not trace_operands(both, "lanes_both")["multiplexer_free"]


def test_packed_weights_are_followed_to_their_memory() -> None:
    rtl = [*LANES, RTL / "lanes_packed.sv"]
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
    with pytest.raises(ConfigError, match="target: must be an ECP5 .*, got 'zcu104'"):
        place_and_route(LANES, "lanes_ring", load_target("zcu104"), 5.0)


def test_synthesis_for_ultrascale() -> None:
    found = synthesise(LANES, "lanes_ring", load_target("zcu104"))
    assert found["total"]["DSP"] == 2
    # The ring; the other registers may be inside DSP blocks and block RAM.
    assert found["total"]["FF"] >= 48
    assert found["modules"]["lanes_rom"]["instances"] == 1
    assert found["utilisation"]["DSP"] == pytest.approx(2 / 1728, abs=1e-6)


@pytest.mark.slow
def test_synthesis_and_place_and_route_for_ecp5() -> None:
    target = load_target("ulx3s_85f")
    found = synthesise(LANES, "lanes_ring", target)
    assert found["total"]["DSP"] == 2 and found["total"]["FF"] >= 48
    placed = place_and_route(LANES, "lanes_ring", target, 10.0)
    assert 50 < placed["fmax_mhz"] < 500
    assert placed["requested_mhz"] == 100 and placed["met"] == (placed["fmax_mhz"] >= 100)
    assert placed["critical_path"] and placed["critical_path_ns"] == pytest.approx(1000 / placed["fmax_mhz"], rel=0.1)
    assert placed["used"]["MULT18X18D"] == 2
    assert placed["slack_ns"] == pytest.approx(10 - 1000 / placed["fmax_mhz"], abs=0.01)
    assert sum(placed["critical_path_ns_by_element"].values()) == pytest.approx(placed["critical_path_ns"], abs=0.01)
    assert sum(part["delay_ns"] for part in placed["critical_path_lines"]) == pytest.approx(
        placed["critical_path_ns"], abs=0.01
    )
    assert placed["registers"].keys() == {
        "multiplier_inputs",
        "multiplier_outputs",
        "block_ram_outputs",
        "flip_flops_saved",
    }
    other = place_and_route(LANES, "lanes_ring", target, 10.0, seed=2)
    assert other["seed"] == 2 and other["registers"] == placed["registers"]


@pytest.mark.slow
@pytest.mark.parametrize(("same", "blocks"), [(0, 2), (0xF << 40, 2), ((1 << 36) - 1, 1)])
def test_contents_of_block_roms_do_not_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, same: int, blocks: int
) -> None:
    """The same cells with all words and with two: random words, some bits of which are the same in all of them."""
    rng = np.random.default_rng(0)
    words = [int.from_bytes(rng.bytes(9), "little") & ~same for _ in range(1024)]
    text = Rom(72, 1024, "block", 2, False, tuple(words)).verilog("rom")
    assert without_contents(text) != text and "mem[1]" in without_contents(text)
    path = tmp_path / "rom.sv"
    path.write_text(text)
    target = load_target("zcu104")
    short = synthesise([path], "rom", target)["total"]
    monkeypatch.setattr(resources, "without_contents", lambda text: text)
    whole = synthesise([path], "rom", target)["total"]
    assert short == whole and whole["BRAM"] == blocks


def test_contents_of_a_column_of_a_rom_do_not_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each column by itself: one of them is empty, another has a bit that is always 1."""
    rng = np.random.default_rng(0)
    words = [int.from_bytes(rng.bytes(5), "little") & ~(0x1FF << 9) | 1 << 20 for _ in range(1536)]
    text = Rom(40, 1536, "block", 2, False, tuple(words), 9).verilog("rom")
    assert len(without_contents(text)) < len(text) / 5
    path, target = tmp_path / "rom.sv", load_target("ulx3s_85f")
    path.write_text(text)
    short = synthesise([path], "rom", target)["total"]
    monkeypatch.setattr(resources, "without_contents", lambda text: text)
    whole = synthesise([path], "rom", target)["total"]
    assert short == whole and whole["BRAM"] == 4 / 2


@pytest.mark.slow
def test_a_deep_dense_engine_is_counted(tmp_path: Path) -> None:
    """ABC's own verification dies of it."""
    engine = generate(256, 8, {"support": "dense", "Tb": 8, "fold": 3}, "zcu104", tmp_path / "engine")
    assert engine.cells()["DSP"] == engine.shape.multipliers == 24


@pytest.mark.slow
def test_zeros_in_a_ram_do_not_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, target = tmp_path / "ram.sv", load_target("zcu104")
    path.write_text(Ram(72, 512, "block", True, True, False, (0,) * 512).verilog("ram"))
    short = synthesise([path], "ram", target)["total"]
    monkeypatch.setattr(resources, "without_contents", lambda text: text)
    assert "initial" in path.read_text() and short == synthesise([path], "ram", target)["total"]


@pytest.mark.parametrize(("depth", "width", "contents"), [(4096, 72, None), (8192, 100, None), (300, 150, (0,) * 300)])
def test_ultra_ram(tmp_path: Path, depth: int, width: int, contents: tuple[int, ...] | None) -> None:
    path = tmp_path / "ram.sv"
    path.write_text(Ram(width, depth, "ultra", False, False, True, contents).verilog("ram"))
    total = synthesise([path], "ram", load_target("zcu104"))["total"]
    assert (total["URAM"], total["BRAM"], total["LUTRAM"]) == (ultra_blocks(depth, width), 0, 0)


PAIR = """// two of a kind
module NAME_pair(input clk, input [7:0] A_data, output [7:0] A_sum);
  NAME_reg first_reg (.clk (clk), .d (A_data), .q (A_sum));
endmodule
"""
REG = """module NAME_reg(input wire clk, input wire [7:0] d,
  output wire [7:0] q);
  logic [7:0] NAME_word;  // kept
  always_ff @(posedge clk) NAME_word <= d OP 8'hd1;
  assign q = NAME_word;
endmodule
"""


def design(operators: dict[str, str]) -> dict[str, str]:
    """A top with a pair of modules for each name, which differ in names and in the operator."""
    texts = {}
    for name, operator in operators.items():
        texts[f"{name}_pair"] = PAIR.replace("NAME", name).replace("A_", f"{name}_")
        texts[f"{name}_reg"] = REG.replace("NAME", name).replace("OP", operator)
    body = "".join(
        f"  wire [7:0] {name}_out;\n"
        f"  {name}_pair {name}_inst (.clk (clk), .{name}_data (x), .{name}_sum ({name}_out));\n"
        for name in operators
    )
    total = " ^ ".join(f"{name}_out" for name in operators)
    texts["top"] = f"module top(input clk, input [7:0] x, output [7:0] y);\n{body}  assign y = {total};\nendmodule\n"
    return texts


def test_modules_that_differ_in_names_alone_are_one() -> None:
    found = distinct(design({"left": "+", "right": "+", "other": "-"}))
    assert len(found.name_of) == 7 and len(found.modules) == 5
    assert found.name_of["left_pair"] == found.name_of["right_pair"] != found.name_of["other_pair"]
    assert found.name_of["left_reg"] == found.name_of["right_reg"] != found.name_of["other_reg"]
    assert found.first[found.name_of["right_reg"]] == "left_reg"
    texts = design({"left": "+"})
    assert instantiated(texts["top"], texts) == {"left_pair"}
    swapped = texts | {"left_pair": texts["left_pair"].replace(".d (left_data)", ".d (left_sum)")}
    assert distinct(swapped).name_of["left_pair"] != distinct(texts).name_of["left_pair"]


def test_a_design_module_by_module_costs_what_it_costs_as_a_whole(tmp_path: Path) -> None:
    """Also from the cache, and where one module has changed only its batch is synthesised again."""
    target, told = load_target("zcu104"), []

    def counted(operators: dict[str, str]) -> dict:
        folder = tmp_path / "-".join(map(str, map(ord, operators.values())))
        folder.mkdir(exist_ok=True)
        for name, text in design(operators).items():
            (folder / f"{name}.sv").write_text(text)
        told.clear()
        rtl = sorted(folder.glob("*.sv"))
        found = resources.synthesise_modules(
            rtl, "top", target, tmp_path / "cache", lambda now, all: told.append((now, all))
        )
        assert told[-1] == (found["distinct"], found["distinct"])
        return found | {"rtl": rtl}

    first = counted({"left": "+", "right": "+"})
    assert first["total"] == synthesise(first["rtl"], "top", target)["total"]
    assert first["synthesised"] == first["distinct"] == 3 and told[0] == (0, 3)
    assert first["parts"]["left_pair"] == first["parts"]["right_pair"] and first["parts"]["left_pair"]["FF"] == 8
    assert first["modules"]["left_reg"]["instances"] == 2
    again = counted({"left": "+", "right": "+"})
    assert again["synthesised"] == 0 and again["total"] == first["total"]
    assert counted({"left": "+", "right": "-"})["synthesised"] == 5


TREE = """module tree(input clk, input signed [7:0] a, b, c, d, e, f, g, h, output reg signed [10:0] y);
  always @(posedge clk) y <= ((a + b) + (c + d)) + ((e + f) + (g + h));
endmodule
"""
MIXED = """module gold(input signed [4:0] a, input signed [2:0] b, input [3:0] c, d, input [1:0] e, input f,
            output signed [6:0] s, output [5:0] u, output [2:0] low, output [8:0] shared, output one);
  assign s = a + b + 7'sd5;
  assign u = c + d + e + f;
  assign low = c + d;
  assign shared = {(c + e) + (d + f), 3'd0} + (c + d);
  assign one = f + e[0];
endmodule
"""


@pytest.mark.slow
def test_a_tree_of_adders_takes_a_look_up_table_a_bit(tmp_path: Path) -> None:
    """Four sums of 9 bits, two of 10 and one of 11, each a carry chain; yosys by itself merges and compresses them."""
    source = tmp_path / "tree.sv"
    source.write_text(TREE)
    target = load_target("zcu104")
    found = synthesise([source], "tree", target)["total"]
    assert 0 < found["LUT"] <= 4 * 9 + 2 * 10 + 11 and found["FF"] == 11
    yosys(f"read_verilog -sv tree.sv; {target.yosys} -top tree; tee -q -o stat.json stat -json", tmp_path)
    [module] = json.loads((tmp_path / "stat.json").read_text())["modules"].values()
    merged = {kind: n for kind, n in module["num_cells_by_type"].items() if kind.startswith("LUT")}
    assert sum(merged.values()) > found["LUT"]


def test_carry_chains_are_the_sums_that_they_stand_for(tmp_path: Path) -> None:
    """Proved for all operands: of both signs, of unequal widths, with carries cut off, of one bit."""
    (tmp_path / "gold.sv").write_text(MIXED)
    (tmp_path / "chains.v").write_text(resources.CHAINS)
    script = (
        "read_verilog -sv gold.sv; proc; opt_expr; opt_clean; wreduce; opt_clean; copy gold gate; "
        "select -assert-min 5 gate/t:$add; techmap -map chains.v gate; select -assert-none gate/t:$add; "
        "select -assert-min 5 gate/t:$alu; techmap gate; miter -equiv -flatten gold gate both; "
        "sat -verify -prove trigger 0 both"
    )
    yosys(script, tmp_path)
    wrong = resources.CHAINS.replace(".CI(1'b0)", ".CI(1'b1)")
    (tmp_path / "chains.v").write_text(wrong)
    with pytest.raises(ConfigError):
        yosys(script, tmp_path)
