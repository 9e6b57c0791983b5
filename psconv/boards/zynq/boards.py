"""The boards: a processor system, a device of constraints/, and what Vivado calls the board."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pymodel.common.errors import ConfigError


@dataclass(frozen=True)
class Processor:
    """A processor system. memory_bits: of its port to memory. most_mhz: that its ports to the fabric take.

    Its pins are those of Vivado's IP, `ip`; `settings` are what the design needs of it, beside the clock `frequency`.
    """

    ip: str
    automation: str
    memory_bits: int
    address_bits: int
    most_mhz: float
    master: str
    slave: str
    clock: str
    reset: str
    clocked: tuple[str, ...]
    interrupt: str
    frequency: str
    settings: Mapping[str, str]


# AMD PG082, UG585, DS187: the ports of the fabric at 250 MHz at most.
ZYNQ_7000 = Processor(
    ip="xilinx.com:ip:processing_system7",
    automation='{make_external "FIXED_IO, DDR" apply_board_preset "%d"}',
    memory_bits=64,
    address_bits=32,
    most_mhz=250.0,
    master="M_AXI_GP0",
    slave="S_AXI_HP0",
    clock="FCLK_CLK0",
    reset="FCLK_RESET0_N",
    clocked=("M_AXI_GP0_ACLK", "S_AXI_HP0_ACLK"),
    interrupt="IRQ_F2P",
    frequency="CONFIG.PCW_FPGA0_PERIPHERAL_FREQMHZ",
    settings={
        "CONFIG.PCW_USE_M_AXI_GP0": "1",
        "CONFIG.PCW_USE_S_AXI_HP0": "1",
        "CONFIG.PCW_S_AXI_HP0_DATA_WIDTH": "64",
        "CONFIG.PCW_USE_FABRIC_INTERRUPT": "1",
        "CONFIG.PCW_IRQ_F2P_INTR": "1",
    },
)
# AMD PG201, UG1085, DS925, DS987: the ports of the fabric at 333 MHz at most.
ZYNQ_ULTRASCALE = Processor(
    ip="xilinx.com:ip:zynq_ultra_ps_e",
    automation='{apply_board_preset "%d"}',
    memory_bits=128,
    address_bits=40,
    most_mhz=333.34,
    master="M_AXI_HPM0_FPD",
    slave="S_AXI_HP0_FPD",
    clock="pl_clk0",
    reset="pl_resetn0",
    clocked=("maxihpm0_fpd_aclk", "saxihp0_fpd_aclk"),
    interrupt="pl_ps_irq0",
    frequency="CONFIG.PSU__CRL_APB__PL0_REF_CTRL__FREQMHZ",
    settings={
        "CONFIG.PSU__USE__M_AXI_GP0": "1",
        "CONFIG.PSU__USE__M_AXI_GP1": "0",
        "CONFIG.PSU__USE__M_AXI_GP2": "0",
        "CONFIG.PSU__USE__S_AXI_GP2": "1",
        "CONFIG.PSU__SAXIGP2__DATA_WIDTH": "128",
        "CONFIG.PSU__FPGA_PL0_ENABLE": "1",
        "CONFIG.PSU__USE__IRQ0": "1",
    },
)


@dataclass(frozen=True)
class Board:
    """A board. target: its device in constraints/. files: the board's files in Vivado, as a pattern.

    family: as Vivado's IP packager calls it. connections: a carrier card that the board's files know.
    """

    name: str
    title: str
    target: str
    files: str
    family: str
    processor: Processor
    connections: str = ""


BOARDS: Mapping[str, Board] = {
    board.name: board
    for board in (
        Board("pynq_z2", "TUL PYNQ-Z2", "pynq_z2", "tul.com.tw:pynq-z2:part0:*", "zynq", ZYNQ_7000),
        Board("zcu104", "AMD ZCU104", "zcu104", "xilinx.com:zcu104:part0:*", "zynquplus", ZYNQ_ULTRASCALE),
        Board(
            "kv260",
            "AMD Kria KV260",
            "kv260",
            "xilinx.com:kv260_som:part0:*",
            "zynquplus",
            ZYNQ_ULTRASCALE,
            "som240_1_connector xilinx.com:kv260_carrier:som240_1_connector:1.3",
        ),
    )
}


def board_of(name: str) -> Board:
    """The board called `name`. Raises ConfigError that lists the known ones."""
    if name not in BOARDS:
        raise ConfigError(f"--board: must be one of {', '.join(BOARDS)}, got {name!r}")
    return BOARDS[name]
