"""The shell of an IP between a DMA and a design, in Verilator under cocotb with the bus models of cocotbext-axi."""

from __future__ import annotations

import json
import math
import random
import re
from collections.abc import Sequence
from pathlib import Path

import pytest

from psconv.boards.zynq.wrapper import DMA_BYTES, RTL, dma_bytes
from rtl_tb.build import build_alone
from rtl_tb.runner import run_alone
from tests.helpers.places import ROOT

pytest.importorskip("cocotbext.axi")


def ratio_one(seed: int) -> dict[str, int]:
    """A shell whose words and beats are of the same width."""
    width = random.Random(seed).choice(DMA_BYTES[:4])
    return geometry(seed) | {"IN_BYTES": width, "X_FIELDS": width, "X_BITS": 8, "X_BYTES": width}


def geometry(seed: int) -> dict[str, int]:
    """Parameters of a shell."""
    draw = random.Random(seed)
    fields, bits = draw.randint(1, 9), draw.randint(2, 8)
    y_fields, y_bits, score = draw.randint(1, 5), draw.randint(2, 8), draw.choice([1, 2, 4])
    return {
        "X_FIELDS": fields,
        "X_BITS": bits,
        "X_BYTES": math.ceil(fields * bits / 8),
        "X_WORDS": draw.randint(1, 20),
        "IN_BYTES": draw.choice([dma_bytes(fields), draw.choice(DMA_BYTES[:5])]),
        "Y_FIELDS": y_fields,
        "Y_BITS": y_bits,
        "Y_BYTES": math.ceil(max(y_fields * y_bits, 8) / 8),
        "Y_WORDS": draw.randint(1, 9),
        "SCORE_BYTES": score,
        "OUT_BYTES": draw.choice([dma_bytes(y_fields * score), draw.choice(DMA_BYTES[:5])]),
        "LOADS": seed % 2,
        "LOAD_WORDS": draw.randint(1, 30),
    }


PORTS = """    input wire {p}clk, input wire {p}rst_n, input wire {p}dma_rst_n,
    input wire {p}enable, input wire {p}reset, input wire {p}weights, input wire [31:0] {p}batch,
    output wire {p}core_rst_n, output wire {p}idle, output wire {p}weights_next, output wire {p}packet,
    output wire {p}early, output wire {p}missing, output wire {p}malformed, output wire {p}bad_response,
    output wire [31:0] {p}images, output wire [31:0] {p}packets,
    output wire [63:0] {p}cycles, output wire [63:0] {p}image_cycles,
    output wire [7:0] {p}response, output wire [15:0] {p}responses,
    input wire [8*{IN_BYTES}-1:0] {p}s_axis_tdata, input wire [{IN_BYTES}-1:0] {p}s_axis_tkeep,
    input wire {p}s_axis_tlast, input wire {p}s_axis_tvalid, output wire {p}s_axis_tready,
    output wire [8*{OUT_BYTES}-1:0] {p}m_axis_tdata, output wire [{OUT_BYTES}-1:0] {p}m_axis_tkeep,
    output wire {p}m_axis_tlast, output wire {p}m_axis_tvalid, input wire {p}m_axis_tready,
    output wire [8*{X_BYTES}-1:0] {p}x_tdata, output wire {p}x_tlast, output wire {p}x_tvalid,
    input wire {p}x_tready,
    input wire [8*{Y_BYTES}-1:0] {p}y_tdata, input wire {p}y_tvalid, output wire {p}y_tready"""


def top_of(shells: dict[str, dict[str, int]]) -> str:
    """A module with a shell for each prefix of pins: one simulator for all of them."""
    ports = {prefix: PORTS.format(p=prefix, **shell) for prefix, shell in shells.items()}
    instances = []
    for prefix, shell in shells.items():
        values = ", ".join(f".{name}({value})" for name, value in shell.items())
        names = dict.fromkeys(re.findall(rf"{prefix}(\w+)", ports[prefix]))
        pins = ", ".join(f".{name}({prefix}{name})" for name in names if name != "dma_rst_n")
        instances.append(f"  psconv_axi_shell #({values}) {prefix}shell ({pins});\n")
    return "module shells (\n" + ",\n".join(ports.values()) + "\n);\n" + "".join(instances) + "endmodule\n"


def simulate(seeds: Sequence[int], folder: Path) -> None:
    """All tests of the bench with the shell of each seed."""
    shells = {f"s{seed}_": ratio_one(seed) if seed % 3 == 0 else geometry(seed) for seed in seeds}
    top = folder / "shells.sv"
    top.write_text(top_of(shells))
    binary = build_alone([*sorted(RTL.glob("*.sv")), top], "shells", folder)
    for seed, (prefix, shell) in zip(seeds, shells.items(), strict=True):
        unit = math.gcd(shell["IN_BYTES"], shell["X_FIELDS"])
        stall = random.Random(seed).choice([0.0, 0.1, 0.3, 0.6])
        job = json.dumps({**shell, "prefix": prefix, "stall": stall, "seed": seed, "unit": unit})
        here = folder / prefix
        run_alone(binary, "shells", "tests.boards.shell_bench", here, {"SHELL_JOB": job}, path=[str(ROOT)])


def test_shell(tmp_path: Path) -> None:
    simulate(range(5), tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("start", range(100, 132, 8))
def test_shell_at_large(start: int, tmp_path: Path) -> None:
    simulate(range(start, start + 8), tmp_path)
