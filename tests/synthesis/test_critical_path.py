"""The critical path in lines of C++: from names after synthesis to the comments of the generated Verilog."""

import pytest

from psconv.synthesis.critical_path import described, in_lines, sentence, shares
from psconv.synthesis.source_lines import SourceLines

TOP = """
module top(
  input         clk,
  output [7:0]  y
);
  wire [7:0]   _pe_sum;
  wire [7:0]   fifo_data;  // geometry.hpp:5
  top_pe pe (  // pe.hpp:102
    .clk (clk),
    .sum (_pe_sum)
  );  // pe.hpp:102
  top_fifo sums_fifo (
    .clk  (clk),
    .data (fifo_data)
  );
  assign y = _pe_sum;
endmodule
"""
PE = """
module top_pe(
  input         clk,
  output [7:0]  sum
);
  reg  [7:0]   s;  // pe.hpp:41
  reg  [7:0]   plain;
  wire [7:0]   _product_p;  // products.hpp:83
  wire         _GEN = s == 8'h0;  // pe.hpp:57
  always_ff @(posedge clk) begin
    if (_GEN)
      s <=
        _GEN
          ? 8'h0  // pe.hpp:41
          : s + 8'h1;  // pe.hpp:98
    plain <= s;
  end
  top_mul product (  // products.hpp:83
    .p (_product_p)
  );
  assign sum = plain + _product_p;  // pe.hpp:79
endmodule
"""
MUL = """
module top_mul(
  output [7:0] p
);
  logic [7:0] p_q;
  assign p = p_q;
endmodule
"""
FIFO = "module top_fifo(\n  input clk\n);\n  logic [7:0] out;\nendmodule\n"


def module() -> dict:
    def cell(kind: str, name: str | None = None) -> dict:
        return {"type": kind, "attributes": {"hdlname": name} if name else {}}

    nets = ("pe s", "pe plain", "pe _GEN", "pe sum", "pe _product_p", "pe product p_q", "sums_fifo out", "pe absent")
    return {
        "cells": {
            "pe": cell("$scopeinfo"),
            "pe.product": cell("$scopeinfo", "pe product"),
            "sums_fifo": cell("$scopeinfo", "sums_fifo"),
            "pe.s_TRELLIS_FF_Q_3": cell("TRELLIS_FF"),
            "pe.s_TRELLIS_FF_Q_3_DI_LUT4_Z": cell("LUT4"),
            "pe._GEN_LUT4_Z": cell("LUT4"),
            "pe.s_TRELLIS_FF_Q_3_DI_CCU2C_S0": {
                "type": "CCU2C",
                "attributes": {"src": "source1.sv:15.13-15.18|/share/lattice/arith_map.v:74.7-80.4"},
            },
        },
        "netnames": {
            **{net.replace(" ", "."): {"attributes": {"hdlname": net}} for net in nets},
            "y": {"attributes": {"src": "source0.sv:4.1"}},
            "pe.s_TRELLIS_FF_Q_3_DI": {"attributes": {}},
        },
    }


LINES = SourceLines(module(), "top", [TOP, PE, MUL, FIFO])


@pytest.mark.parametrize(
    "name, lines",
    [
        ("pe.s_TRELLIS_FF_Q_3_DI_LUT4_Z", "pe.hpp:41, pe.hpp:98"),  # named after the register that it feeds
        ("pe.s_TRELLIS_FF_Q_3_DI_CCU2C_S0$CCU2_COMB1", "pe.hpp:98"),  # yosys knows the line of an adder
        ("pe.s[3]", "pe.hpp:41, pe.hpp:98"),
        ("pe._GEN", "pe.hpp:57"),
        ("pe.sum_LUT4_Z", "pe.hpp:79"),
        ("pe._product_p_TRELLIS_FF_Q_DI_MULT18X18D_P0", "products.hpp:83"),  # an instance drives it: its declaration
        ("pe.product.p_q_TRELLIS_FF_Q", "products.hpp:83"),  # no line in the primitive: the instance's
        ("pe.plain_TRELLIS_FF_Q", "pe.hpp:102"),  # no line at the statement: the process
        ("pe.absent_LUT4_Z", "pe.hpp:102"),
        ("sums_fifo.out_TRELLIS_FF_Q", None),
        ("y_LUT4_Z", None),
        ("nothing", None),
    ],
)
def test_names_lead_to_lines(name, lines):
    assert LINES.of(name) == lines


def _step(kind: str, delay: float, cell: str, net: str | None = None) -> dict:
    step = {"type": kind, "delay": delay, "from": {"cell": cell, "port": "Q"}, "to": {"cell": cell, "port": "A"}}
    return step | ({"net": net} if net else {})


def test_a_path_is_told_in_lines_and_elements():
    register, logic, carry = "pe.s_TRELLIS_FF_Q_3", "pe._GEN_LUT4_Z", "pe.s_TRELLIS_FF_Q_3_DI_CCU2C_S0$CCU2_COMB0"
    path = [
        _step("clk-to-q", 0.5, register),
        _step("routing", 1.25, register, "pe.s[3]"),
        _step("logic", 0.25, logic),
        _step("routing", 0.0, logic, "pe._GEN"),
        _step("logic", 0.5, carry),
        _step("logic", 0.125, "$nextpnr_CCU2C_1$CCU2_COMB0"),  # which nextpnr added
        _step("setup", 0.0, register),
    ]
    steps = described(path, module(), LINES)
    assert [step["element"] for step in steps] == [
        "register",
        "routing",
        "logic",
        "routing",
        "carry chain",
        "carry chain",
        "register",
    ]
    assert shares(steps) == {"routing": 1.25, "carry chain": 0.625, "register": 0.5, "logic": 0.25}
    parts = in_lines(steps)
    assert [(part["source"], part["delay_ns"]) for part in parts] == [
        ("pe.hpp:41, pe.hpp:98", 1.75),
        ("pe.hpp:57", 0.25),
        ("pe.hpp:98", 0.625),
    ]
    assert sentence(parts[1:]) == "pe.hpp:57 0.25 ns (logic) > pe.hpp:98 0.62 ns (carry chain)"
